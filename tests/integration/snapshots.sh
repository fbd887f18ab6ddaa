#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What snapshots mean: content of one instant, writable or not, sealed with handles open, deleted with files open, nested.
. "$(dirname "$0")/lib.sh"
start -o allow_other
cd "$M"

# content, not yet flushed data included; later writes do not reach it
k volume create vol
cd vol
echo first > file
mkdir dir
head -c 1000000 /dev/urandom > dir/data
sum=$(sha256sum < dir/data)
tree=$(digest .)
name=$(k snapshot create .)
[[ $name =~ ^@GMT-[0-9]{4}\.[0-9]{2}\.[0-9]{2}-[0-9]{2}\.[0-9]{2}\.[0-9]{2}$ ]] || fail "default name: $name"
echo second > file
echo new > dir/new
rm dir/data
same "$(cat .snapshots/"$name"/file)" first "content of the snapshot"
same "$(sha256sum < .snapshots/"$name"/dir/data)" "$sum" "deleted file in the snapshot"
same "$(digest .snapshots/"$name")" "$tree" "tree in the snapshot"
[ ! -e .snapshots/"$name"/dir/new ] || fail "a later file is in the snapshot"
same "$(cat file)" second "live file"

# names: the next free second
for _ in 1 2 3; do k snapshot create .; done > "$T/names"
same "$(sort -u "$T/names" | wc -l)" 3 "default names differ"
same "$(ls .snapshots | wc -l)" 4 "names listed"
same "$(k snapshot list --json . | tr ',' '\n' | grep -c '"name"')" 4 "names in JSON"

# writable, each on its own
k snapshot create --name w . > /dev/null
echo mine > .snapshots/w/file
same "$(cat file)" second "live file after a write to the snapshot"
same "$(cat .snapshots/w/file)" mine "write to a snapshot"
same "$(cat .snapshots/"$name"/file)" first "other snapshot"

# a snapshot of a snapshot
(cd .snapshots/w && k snapshot create --name child . > /dev/null && same "$(cat .snapshots/child/file)" mine "child")

# read-only from birth
k snapshot create --name ro --read-only . > /dev/null
must_fail touch .snapshots/ro/x
must_fail sh -c 'echo x > .snapshots/ro/file'
must_fail rm -f .snapshots/ro/file
must_fail chmod 600 .snapshots/ro/file
must_fail setfattr -n user.x -v y .snapshots/ro/file

# made read-only with a handle open: the next write fails, and what was written before is in
exec 8>> .snapshots/w/handle
echo in-time >&8
k snapshot set --read-only . w
if { echo late >&8; } 2> /dev/null; then fail "write through an open handle into a read-only snapshot"; fi
exec 8>&-
same "$(cat .snapshots/w/handle)" in-time "what was written before"
k snapshot set --read-write . w
echo again > .snapshots/w/handle

# inode numbers are unique in the mount
(find . -printf '%i\n'; find .snapshots/ro .snapshots/w -printf '%i\n') | sort | uniq -d > "$T/doubled"
[ ! -s "$T/doubled" ] || fail "inode numbers twice: $(head -3 "$T/doubled")"

# working directories stay where they are
cd .snapshots/ro/dir
same "$(pwd -P)" "$M/vol/.snapshots/ro/dir" "pwd in a snapshot"
cd "$M/vol"

# deleted with files open
exec 7< .snapshots/"$name"/file
k snapshot delete . "$name"
[ ! -e .snapshots/"$name" ] || fail "deleted snapshot is still there"
must_fail ls .snapshots/"$name"
if cat <&7 > /dev/null 2>&1; then fail "reading a file of a deleted snapshot worked"; fi
exec 7<&-
same "$(cat file)" second "live file after a deletion"
mkdir "$T/x"
must_fail k snapshot show . "$name"

# a handle of a deleted snapshot never reaches one that is made later, which may get its numbers
echo first-life > reused
k snapshot create --name dies . > /dev/null
exec 6<> .snapshots/dies/reused
cd .snapshots/dies/dir
k snapshot delete "$M/vol" dies
sleep 3 # until it is reclaimed
echo second-life > "$M/vol/reused"
for i in 1 2 3; do k snapshot create --name "later$i" "$M/vol" > /dev/null; done
if cat <&6 > "$T/out" 2> /dev/null; then fail "a deleted snapshot's file reads as: $(cat "$T/out")"; fi
if { echo evil >&6; } 2> /dev/null; then fail "writing into a deleted snapshot's file worked"; fi
must_fail touch ./from-a-dead-directory
cd "$M/vol"
exec 6>&-
for i in 1 2 3; do
	same "$(cat ".snapshots/later$i/reused")" second-life "a later snapshot"
	[ ! -e ".snapshots/later$i/dir/from-a-dead-directory" ] || fail "a dead directory led into a later snapshot"
	k snapshot delete . "later$i"
done
rm reused

# nested volumes: one instant for all, and a place holder without --recursive
cd "$M"
k volume create vol/inner
echo a > vol/inner/f
k snapshot create --recursive --name all vol > /dev/null
same "$(cat vol/.snapshots/all/inner/f)" a "nested volume in a recursive snapshot"
k snapshot create --name outer vol > /dev/null
same "$(ls -A vol/.snapshots/outer/inner | wc -l)" 0 "nested volume that is not in the set"
must_fail rmdir vol/inner
must_fail touch vol/.snapshots/outer/inner/x
k volume create other
k snapshot create --name both vol other > /dev/null
[ -d vol/.snapshots/both ] && [ -d other/.snapshots/both ] || fail "set of two volumes"
refused 1 'has snapshots' k volume delete vol

# across volumes: no links, no renames, but mv and cp work
must_fail ln vol/file other/file
mv vol/file other/file
same "$(cat other/file)" second "mv across volumes"

# rollback
echo good > other/file
k snapshot create --name base other > /dev/null
echo bad > other/file
echo extra > other/extra
k rollback other base > "$T/out"
same "$(cat other/file)" good "after rollback"
[ ! -e other/extra ] || fail "rollback kept a new file"
kept=$(sed 's/^kept as //' "$T/out")
same "$(cat other/.snapshots/"$kept"/file)" bad "what the rollback replaced"
echo onward > other/file
same "$(cat other/file)" onward "writing after a rollback"
# the snapshots came along: listed, rolled back to again, deleted
same "$(k snapshot list --json other | grep -o '"name":"[^"]*"' | sort | tr '\n' ' ')" \
	"\"name\":\"base\" \"name\":\"$kept\" \"name\":\"both\" " "snapshots after a rollback"
k rollback other base > /dev/null
same "$(cat other/file)" good "after a second rollback"
k snapshot delete other base
[ ! -e other/.snapshots/base ] || fail "a snapshot from before the rollback cannot be deleted"

# everything survives a remount
trees=$(digest "$M/vol") snaps=$(ls "$M/vol/.snapshots" | sort | tr '\n' ' ')
umount_store
mount_store
same "$(digest "$M/vol")" "$trees" "volume after remount"
same "$(ls "$M/vol/.snapshots" | sort | tr '\n' ' ')" "$snaps" "snapshots after remount"
same "$(cat "$M/vol/.snapshots/all/inner/f")" a "nested after remount"
must_fail touch "$M/vol/.snapshots/ro/x"

# deletion of all of it
cd "$M/vol"
ls .snapshots | while read -r n; do k snapshot delete . "$n"; done
same "$(ls .snapshots | wc -l)" 0 "snapshots after deleting all"
cd "$M"
refused 1 'volumes below' k volume delete vol
k volume delete --recursive vol/inner
k volume delete vol
[ ! -e vol ] || fail "deleted volume is still there"
