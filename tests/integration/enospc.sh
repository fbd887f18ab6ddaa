#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A full disk below the store: ENOSPC before anything is acknowledged; reading, deleting, snapshot deletion, unmount and
# mount work; what was acknowledged is there; deleting makes room again.
. "$(dirname "$0")/lib.sh"
need_root
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
small_disk 700M
new_store
mkdir -p "$M"
k mount -o log=64M "$S" "$M"
cd "$M"
k volume create v
cd v
echo keep > small
head -c 20000000 /dev/urandom > first
sum=$(sha256sum < first)
k snapshot create --name early . > /dev/null

# fill it with data that does not compress or repeat; every file that was written and synced is to be there afterwards
n=0
while head -c 5000000 /dev/urandom > "fill$n" 2> "$T/err" && sync "fill$n" 2>> "$T/err"; do
	sha256sum "fill$n" >> "$T/sums"
	n=$((n + 1))
	[ "$n" -lt 200 ] || fail "the disk did not get full"
done
say "full after $n files: $(tail -1 "$T/err")"
grep -q 'No space left' "$T/err" || fail "not ENOSPC: $(cat "$T/err")"
[ "$n" -ge 40 ] || fail "full after only $n files of 5 MB on 700 MB, of which the log takes 256 MB"
rm -f "fill$n"
sha256sum --quiet -c "$T/sums" || fail "an acknowledged file is wrong on a full disk"
same "$(sha256sum < first)" "$sum" "old file on a full disk"
same "$(cat small)" keep "small file on a full disk"
df . > /dev/null
k df . > /dev/null

# to the brim, with small writes
i=0
while head -c 4096 /dev/urandom > "tiny$i" 2> /dev/null && [ "$i" -lt 3000 ]; do i=$((i + 1)); done
ls > /dev/null

# umount, check and mount on a full disk
umount_store
check_store "$S"
k mount -o log=64M "$S" "$M"
cd "$M/v"
sha256sum --quiet -c "$T/sums" || fail "an acknowledged file is wrong after a remount on a full disk"

# deletion works and gives room back
rm -f tiny*
rm -f fill*
rm first
k snapshot delete . early
for _ in $(seq 100); do
	if head -c 50000000 /dev/urandom > again 2> /dev/null && sync again 2> /dev/null; then break; fi
	sleep 0.3
done
same "$(stat -c %s again)" 50000000 "writing after deletion"
same "$(cat small)" keep "small file at the end"
