#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A file rewritten again and again without a pause, several times the disk below the store: what it set free comes back while the
# writing goes on, nobody is told that the disk is full, and the last bytes are right.
. "$(dirname "$0")/lib.sh"
need_root
helper rewrite_load
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
FILE_MIB=96
WRITES=250000 # each batch of them rewrites the whole file
mkdir "$T/disk"
truncate -s 900M "$T/img"
mkfs.ext4 -q -F -m 0 "$T/img"
mount -o loop "$T/img" "$T/disk" 2> /dev/null || skip "no loop devices"
S=$T/disk/s
away() {
	local rc=$?
	set +e
	cd /
	k umount "$M" 2> /dev/null
	if [ "$rc" = 0 ]; then k check "$S" || rc=1; fi
	CHECK_AT_END=0
	umount "$T/disk" || umount -l "$T/disk"
	(exit "$rc")
	finish
}
trap away EXIT
new_store
mkdir -p "$M"
k mount -o log=64M "$S" "$M"
cd "$M"

"$HELPERS/rewrite_load" f "$FILE_MIB" "$WRITES" 2> "$T/err" || fail "$(cat "$T/err"); $(k df . | tail -1)"
sync f || fail "the last writes are not durable"
sum=$(sha256sum < f)
umount_store
check_store "$S"
k mount -o log=64M "$S" "$M"
same "$(sha256sum < "$M/f")" "$sum" "content after a remount"
