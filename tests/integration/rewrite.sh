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
small_disk 900M
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
