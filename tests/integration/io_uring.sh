#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# FUSE over io_uring: the line that says it is off; every way an answer can take (at once, from the pool, from the flusher);
# then the POSIX, snapshot and kill -9 tests through it.  The kernel has one switch for the whole machine, which only mounts that
# ask for io_uring look at; it is turned on for this test and put back.
. "$(dirname "$0")/lib.sh"
switch=/sys/module/fuse/parameters/enable_uring
uname_r=$(uname -r)
[ -e "$switch" ] || modprobe fuse 2> /dev/null || true
[ -e "$switch" ] || skip "Linux $uname_r has no FUSE over io_uring; only /dev/fuse was tested"
was=$(cat "$switch")
uring() { k stats --json "$M" | sed -n "s/.*\"io_uring\":{[^}]*\"$1\":\([0-9]*\).*/\1/p"; }

if [ "$was" = N ]; then
	new_store
	mkdir -p "$M"
	k mount -o io_uring "$S" "$M" 2> "$T/err"
	same "$(grep -c 'io_uring: it is switched off: as root, echo Y > .*; requests go through /dev/fuse$' "$T/err")" 1 "line that it is off"
	same "$(wc -l < "$T/err")" 1 "lines"
	same "$(uring queues)" 0 "queues while it is off"
	echo x > "$M/file"
	same "$(cat "$M/file")" x "a file through /dev/fuse"
	umount_store
	check_store
	rm -rf "$S"
	[ "$(id -u)" = 0 ] || skip "$switch is N and only root can turn it on; only /dev/fuse was tested"
	trap 'rc=$?; echo N > "$switch"; (exit $rc); finish' EXIT
	echo Y > "$switch"
fi

new_store
mkdir -p "$M"
k mount -o io_uring "$S" "$M" 2> "$T/err"
same "$(cat "$T/err")" "" "words at the mount"
same "$(uring queues)" "$(nproc --all)" "queues"

# at once, durable, by ioctl, and long ones
head -c 3000000 /dev/urandom > "$T/data"
cp "$T/data" "$M/data"
for i in 1 2 3 4; do dd if="$T/data" of="$M/sync$i" bs=64k oflag=sync 2> /dev/null & done
wait
sync "$M/data"
for i in $(seq 300); do echo "$i" > "$M/f$i"; done
same "$(cat "$M"/f* | sort -n | tail -1)" 300 "small files"
for i in 1 2 3 4; do cmp "$T/data" "$M/sync$i"; done
k volume create "$M/v"
k snapshot create --name s "$M/v" > /dev/null
mkdir "$M/dir"
touch "$M"/dir/{1..100}
[ "$(uring requests)" -gt 900 ] || fail "requests came another way: $(uring requests)"

# from the disk: the pool answers, and both CPUs' queues go on meanwhile
umount_store
mount_store -o io_uring
before=$(uring handed_on)
for i in 1 2 3 4; do cmp "$T/data" "$M/sync$i" & done
wait
same "$(ls "$M" | wc -l)" 307 "listing"
same "$(ls -l "$M/dir" | wc -l)" 101 "long listing"
lookups=$(k stats --json "$M" | sed -n 's/.*"lookup":{"count":\([0-9]*\).*/\1/p')
[ "$lookups" -lt 50 ] || fail "the entries of a listing came without attributes: $lookups look-ups"
[ "$(uring handed_on)" -gt "$before" ] || fail "nothing was handed on although all was cold"

# a signal ends it although a file is open
exec 5< "$M/data"
pid=$(daemon_pid)
kill "$pid"
for _ in $(seq 300); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
exec 5<&-
if kill -0 "$pid" 2> /dev/null; then fail "the daemon did not end on SIGTERM"; fi
mount_store -o io_uring
cmp "$T/data" "$M/data"
umount_store

for t in posix snapshots crash; do
	rc=0
	MOUNT_OPTIONS=io_uring ROUNDS=4 "$SRC/tests/integration/$t.sh" > "$T/log" 2>&1 || rc=$?
	[ "$rc" = 0 ] || fail "$t through io_uring: exit code $rc: $(tail -5 "$T/log")"
	say "$t: passed through io_uring"
done
