#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The disk below the store stands still: more writers than the daemon serves at once wait for it, and readers of what is in
# memory are answered all the same.  When it goes on, all writes succeed.
. "$(dirname "$0")/lib.sh"
need_root
need fsfreeze
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
WRITERS=40
STILL=60 # seconds; then it goes on in any case, or a test that fails would hang
small_disk 700M
new_store
mkdir -p "$M"
k mount -o log=64M "$S" "$M"
cd "$M"
mkdir "$T/src"
for i in $(seq "$WRITERS"); do
	head -c 524288 /dev/urandom > "$T/src/$i"
	head -c 8192 "$T/src/$i" > "r$i"
	: > "w$i"
done
sync "$M/r1"

(
	exec > /dev/null 2>&1
	fsfreeze --freeze "$T/disk" || exit
	touch "$T/still"
	for _ in $(seq $((STILL * 10))); do
		[ ! -e "$T/enough" ] || break
		sleep 0.1
	done
	touch "$T/goes-on"
	fsfreeze --unfreeze "$T/disk"
) &
disk=$!
for _ in $(seq 100); do
	[ ! -e "$T/still" ] || break
	sleep 0.1
done
[ -e "$T/still" ] || fail "the disk could not be frozen"

writers=
for i in $(seq "$WRITERS"); do
	dd if="$T/src/$i" of="w$i" bs=128k oflag=sync conv=notrunc > "$T/dd$i" 2>&1 &
	writers="$writers $!"
done
sleep 3 # they fill what may be unflushed, and then wait for room
for i in $(seq "$WRITERS"); do
	dd if="r$i" iflag=direct bs=8k count=1 status=none 2>> "$T/err" | cmp - <(head -c 8192 "$T/src/$i") || fail "reading r$i: $(cat "$T/err")"
done
[ ! -e "$T/goes-on" ] || fail "readers waited for the disk, too"
for i in $(seq "$WRITERS"); do
	kill -0 "$(echo "$writers" | cut -d' ' -f$((i + 1)))" || fail "writer $i did not wait for the disk: $(cat "$T/dd$i")"
done
touch "$T/enough"
wait "$disk" || fail "the disk stands still"
for i in $(seq "$WRITERS"); do
	wait "$(echo "$writers" | cut -d' ' -f$((i + 1)))" || fail "writer $i: $(cat "$T/dd$i")"
	cmp "w$i" "$T/src/$i" || fail "writer $i: other bytes"
done
