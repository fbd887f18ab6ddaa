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
