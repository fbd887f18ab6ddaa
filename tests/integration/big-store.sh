#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A store with very many snapshots of large files: how long it takes to open, what the daemon takes, that it works as ever.
# 64 volumes with images of GIB GiB each (sparse clones), SETS sets of all of them.  With KAGEFS_CHECK_LONG=1 10 TiB and 100,032
# snapshots; else 1 TiB and 3,200.
. "$(dirname "$0")/lib.sh"
helper big_store
if [ "${KAGEFS_CHECK_LONG:-0}" = 1 ]; then sets=${SETS:-1563} gib=${GIB:-160}; else sets=${SETS:-50} gib=${GIB:-16}; fi
now() { date +%s%3N; }
value() { k stats "$M" | awk -v n="$1" '$1 == n {print $2}'; }
within() {
	local peak
	peak=$(awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$(daemon_pid)/status")
	say "$1: $peak MiB resident at most (tables $((($(value memory.volumes) + $(value memory.sets)) / 1048576)) MiB)"
	[ "$peak" -le 512 ] || fail "$1: $peak MiB resident, the bound is 512 MiB"
}

start
"$HELPERS/big_store" "$M" "$sets" "$gib" | sed 's/^/  /'
same "$(value volumes)" $((64 + 64 * sets + 1)) "volumes"
within "built"
t0=$(now)
umount_store
say "unmounted in $(($(now) - t0)) ms"
t0=$(now)
mount_store
opened=$(($(now) - t0))
say "opened in $opened ms: $(value volumes) volumes, $(du -sm "$S" | cut -f1) MiB of store"
within "opened"
same "$(du -s --apparent-size --block-size=1G "$M" | cut -f1)" $((64 * gib + 1)) "GiB of data seen"

# looked at: all sets of one volume, the first and the last state of another
t0=$(now)
same "$(ls "$M/v07/.snapshots" | wc -l)" "$sets" "snapshots listed"
say "$sets snapshots of one volume listed in $(($(now) - t0)) ms"
t0=$(now)
same "$(k snapshot list --json "$M/v07" | tr ',' '\n' | grep -c '"name"')" "$sets" "snapshots listed by the command"
say "by the command in $(($(now) - t0)) ms"
same "$(cat "$M/v01/.snapshots/s00001/counter")" 1 "the first state"
[ ! -e "$M/v02/.snapshots/s00001/counter" ] || fail "a later file is in the first set"
last=$(printf 's%05d' "$sets")
same "$(cat "$M/v$(printf %02d $((sets % 64)))/.snapshots/$last/counter")" "$sets" "the last state"
cmp -n $((gib << 20)) "$M/v05/.snapshots/s00001/image" "$M/v63/.snapshots/$last/image" || fail "images differ"
t0=$(now)
k snapshot create --name one-more "$M/v03" > /dev/null
say "one more snapshot in $(($(now) - t0)) ms, with the command's start"

# one snapshot in each of many volumes looked into, then deleted: the kernel and the daemon know them all
for v in $(seq -f 'v%02.0f' 0 63); do ls -R "$M/$v/.snapshots/$last" > /dev/null; done
within "looked into"
t0=$(now)
for v in 10 11 12 13; do
	ls "$M/v$v/.snapshots" | grep '^s' | xargs -n 500 "$KAGEFS" snapshot delete --force "$M/v$v"
done
say "$((4 * sets)) snapshots deleted in $(($(now) - t0)) ms"
within "deleted"
umount_store
