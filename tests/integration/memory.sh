#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon stays within its memory=SIZE: with many changed files, many known files, large reads and writes, many open
# directories.  Measured is what the kernel says it ever had resident (VmHWM), files mapped included.
. "$(dirname "$0")/lib.sh"
helper many_files
bound=64 files=${FILES:-60000}
start -o memory=${bound}M
pid=$(daemon_pid)
within() {
	local peak
	peak=$(awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$pid/status")
	say "$1: $peak MiB at most, $(k stats "$M" | awk '$1 == "memory.used_bytes" {print int($2 / 1048576)}') MiB counted"
	[ "$peak" -le $bound ] || fail "$1: $peak MiB resident, the bound is $bound MiB"
}
value() { k stats "$M" | awk -v n="$1" '$1 == n {print $2}'; }

same "$(value memory.bound_bytes)" $((bound << 20)) "bound shown"
[ "$(value memory.used_bytes)" -le $((bound << 20)) ] || fail "more counted than allowed at the start"

# changed files, in three directories at once: more than the bound holds as changes not applied
mkdir "$M/a" "$M/b" "$M/c"
for d in a b c; do "$HELPERS/many_files" write "$M/$d" $((files / 3)) & done
wait
within "$files files written"

# known files: each look-up is remembered until the kernel forgets it
for d in a b c; do "$HELPERS/many_files" list "$M/$d" $((files / 3)); done
ls -lR "$M" > /dev/null
[ "$(value memory.nodes)" -ge $((files * 24)) ] || say "the kernel has forgotten some"
within "listed"

# large writes and reads by several at once
for i in 1 2 3 4 5 6; do
	dd if=/dev/urandom of="$M/big$i" bs=1M count=24 status=none &
done
wait
sync
echo 3 > /proc/sys/vm/drop_caches 2> /dev/null || say "not root: pages stay cached"
for i in 1 2 3 4 5 6; do sha256sum < "$M/big$i" > "$T/sum$i" & done
wait
within "6 large files at once"

# random small writes over a large file: as many pieces as the bound allows
for i in 1 2; do
	dd if=/dev/zero of="$M/big$i" bs=512 count=30000 seek=1000 conv=notrunc status=none &
done
wait
within "60,000 small writes"

# snapshots, and deleting everything
for i in $(seq 20); do k snapshot create --name "s$i" "$M" > /dev/null; done
rm -r "$M/a" "$M/b"
within "deleted"
same "$(head -c 8 "$M/.snapshots/s20/a/e0000007")" e0000007 "a file in a snapshot"
umount_store

# the same store with the log as a kill left it
mount_store -o memory=${bound}M
pid=$(daemon_pid)
mkdir "$M/e"
"$HELPERS/many_files" write "$M/e" 10000
kill -9 "$pid"
umount -l "$M" 2> /dev/null || fusermount3 -u -z "$M"
mount_store -o memory=${bound}M
pid=$(daemon_pid)
within "after a replay"
umount_store
refused 1 'memory=63M' k mount -o memory=63M "$S" "$M"
refused 1 'threads=64' k mount -o memory=64M,threads=64 "$S" "$M"
