#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything that is listed can be had as JSON: one object with schema_version, that a parser understands, whatever is in the names.
. "$(dirname "$0")/lib.sh"
need python3
start
odd=$'a "quoted"\\ back\tand\nline \xff'
k volume create "$M/$odd"
k volume create "$M/plain"
k snapshot create --name "$odd" "$M/$odd" "$M/plain" > /dev/null
k snapshot create --json --name second "$M/plain" > "$T/created"

# json EXPRESSION FILE: the value, from the object d
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$2"; }
json 'd["schema_version"]' "$T/created" > /dev/null || fail "snapshot create --json"
n=0
while read -r verb rest; do
	# shellcheck disable=SC2086
	k ${verb//_/ } --json ${rest//M/"$M"} > "$T/json" || fail "$verb --json"
	same "$(json 'type(d["schema_version"]).__name__' "$T/json")" int "schema_version of $verb"
	n=$((n + 1))
done << 'X'
volume_list M
volume_show M/plain
snapshot_list M/plain
snapshot_show M/plain second
df M
stats M
X
same "$n" 6 "listings"
k volume list --json "$M" > "$T/json"
same "$(json 'len(d["volumes"])' "$T/json")" 3 "volumes in JSON"
k snapshot list --json "$M/$odd" > "$T/json"
same "$(json 'len(d["snapshots"])' "$T/json")" 1 "snapshots in JSON"
umount_store
k check --json "$S" > "$T/json"
same "$(json 'd["schema_version"]' "$T/json")" 1 "schema_version of check"

# The kernel keeps a listing until the directory changes, whoever changes it.
requests() { k stats --json "$M" | python3 -c 'import json, sys; t = json.load(sys.stdin)["times_ns"]; print(sum(t[n]["count"] for n in ("readdir", "readdirplus") if n in t))'; }
names() { ls -A "$1" | tr '\n' ' '; }
mount_store
mkdir "$M/d" "$M/d/sub"
touch "$M/d/a"
names "$M/d" > /dev/null
before=$(requests)
same "$(names "$M/d")" "a sub " "listed again"
same "$(requests)" "$before" "requests for a listing the kernel has"
touch "$M/d/b"
same "$(names "$M/d")" "a b sub " "after a file came"
rm "$M/d/a"
same "$(names "$M/d")" "b sub " "after a file went"
k volume create "$M/d/v"
same "$(names "$M/d")" "b sub v " "after a volume came"
k volume create "$M/d/w"
same "$(names "$M/d")" "b sub v w " "after another came"
k volume delete "$M/d/v"
same "$(names "$M/d")" "b sub w " "after a volume went that was only listed"
same "$(names "$M/d/sub")" "" "empty"
k volume create "$M/d/sub/x"
same "$(names "$M/d/sub")" "x " "a volume in an empty directory"
touch "$M/d/w/one"
k snapshot create --name before "$M/d/w" > /dev/null
same "$(names "$M/d/w/.snapshots")" "before " "snapshots"
touch "$M/d/w/two"
same "$(names "$M/d/w")" "one two " "before going back"
k snapshot create --name later "$M/d/w" > /dev/null
same "$(names "$M/d/w/.snapshots")" "before later " "snapshots after one more"
k rollback "$M/d/w" before
same "$(names "$M/d/w")" "one " "gone back"
touch "$M/top"
names "$M" > /dev/null
k snapshot create --name before "$M" > /dev/null
rm "$M/top"
touch "$M/other"
names "$M" > "$T/names"
grep -q other "$T/names" || fail "the root's listing: $(cat "$T/names")"
k rollback "$M" before
names "$M" > "$T/names"
{ grep -q top "$T/names" && ! grep -q other "$T/names"; } || fail "the root's listing after going back: $(cat "$T/names")"
