#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Figures for large numbers; runs with KAGEFS_CHECK_LONG=1 only (about 10 minutes), or with smaller numbers:
#   SNAPSHOTS=10000 FILES=1000000 ENTRIES=1000000
# A snapshot of a tree of FILES files and of a 100 GiB image must take no longer than one of an empty volume (times 3 and
# 20 ms of slack, as the disk's flush is in both); SNAPSHOTS of them are made, listed and deleted.
. "$(dirname "$0")/lib.sh"
[ "${KAGEFS_CHECK_LONG:-0}" = 1 ] || [ -n "${SNAPSHOTS:-}${FILES:-}${ENTRIES:-}" ] || skip "long: set KAGEFS_CHECK_LONG=1"
helper many_files
snapshots=${SNAPSHOTS:-10000} files=${FILES:-1000000} entries=${ENTRIES:-1000000}
now() { date +%s%3N; }
start

# median of 9 snapshots, in ms
snap_ms() {
	local i t0
	for i in 1 2 3 4 5 6 7 8 9; do
		t0=$(now)
		k snapshot create --name "$2-$i" "$1" > /dev/null
		echo $(($(now) - t0))
	done | sort -n | sed -n 5p
}

for v in empty tree image dir many; do k volume create "$M/$v"; done
e=$(snap_ms "$M/empty" t)
say "snapshot of an empty volume: $e ms (median of 9, with the command's start)"

truncate -s 100G "$M/image/vm"
for i in $(seq 0 97 9999); do
	dd if=/dev/urandom of="$M/image/vm" bs=64k count=1 seek=$((i * 163)) conv=notrunc status=none
done
t=$(snap_ms "$M/image" t)
say "snapshot of a 100 GiB sparse image: $t ms"
[ "$t" -le $((e * 3 + 20)) ] || fail "snapshot of an image takes longer"

t0=$(now)
dirs=$((files / 1000))
for i in $(seq "$dirs"); do
	mkdir "$M/tree/d$i"
	"$HELPERS/many_files" create "$M/tree/d$i" 1000
done
say "$files files made in $((($(now) - t0) / 1000)) s"
t=$(snap_ms "$M/tree" t)
say "snapshot of a tree of $files files: $t ms"
[ "$t" -le $((e * 3 + 20)) ] || fail "snapshot of a large tree takes longer"
t0=$(now)
same "$(find "$M/tree/.snapshots/t-9" -type f | wc -l)" "$files" "files in the snapshot"
say "walked the snapshot in $((($(now) - t0) / 1000)) s"

mkdir "$M/dir/d"
t0=$(now)
"$HELPERS/many_files" create "$M/dir/d" "$entries"
say "$entries names in one directory in $((($(now) - t0) / 1000)) s"
t0=$(now)
"$HELPERS/many_files" list "$M/dir/d" "$entries"
say "listed in $(($(now) - t0)) ms"
t0=$(now)
"$HELPERS/many_files" list-changing "$M/dir/d" "$entries"
say "listed while it changed in $((($(now) - t0) / 1000)) s"

echo 0 > "$M/many/counter"
t0=$(now)
for i in $(seq "$snapshots"); do
	echo "$i" > "$M/many/counter"
	k snapshot create --name "n$i" "$M/many" > /dev/null
done
say "$snapshots snapshots, with a write between two, in $((($(now) - t0) / 1000)) s"
t0=$(now)
same "$(k snapshot list "$M/many" | wc -l)" $((snapshots + 1)) "snapshots listed by the command"
say "listed by the command in $(($(now) - t0)) ms"
t0=$(now)
same "$(ls "$M/many/.snapshots" | wc -l)" "$snapshots" "snapshots listed by ls"
say "listed by ls in $(($(now) - t0)) ms"
for i in 1 $((snapshots / 2)) "$snapshots"; do
	same "$(cat "$M/many/.snapshots/n$i/counter")" "$i" "content of snapshot $i"
done
t0=$(now)
umount_store
say "unmounted in $(($(now) - t0)) ms"
t0=$(now)
mount_store
say "mounted in $(($(now) - t0)) ms"
same "$(ls "$M/many/.snapshots" | wc -l)" "$snapshots" "snapshots after remount"
t0=$(now)
seq -f 'n%.0f' "$snapshots" | xargs -n 500 "$KAGEFS" snapshot delete "$M/many"
say "$snapshots snapshots deleted in $((($(now) - t0) / 1000)) s"
same "$(ls "$M/many/.snapshots" | wc -l)" 0 "snapshots left"
same "$(cat "$M/many/counter")" "$snapshots" "live file"
