#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What was written is there after unmount and mount, also when the mount follows the unmount at once.
. "$(dirname "$0")/lib.sh"
start
same "$(findmnt -n -o FSTYPE "$M")" fuse.kagefs "file system type"
same "$(findmnt -n -o SOURCE "$M")" "$(realpath "$S")" "source"
cd "$M"
mkdir -p a/b/c
echo one > a/one
head -c 3000000 /dev/urandom > a/b/large
seq 900000 > a/b/text # compresses, unlike the one above
ln a/one a/b/hard
ln -s ../one a/b/soft
mkfifo a/fifo
chmod 640 a/one
touch -d '2001-02-03 04:05:06.789' a/one
before=$(digest .)
times=$(stat -c '%X %y' a/one)
umount_store
wanted_rc 32 k umount "$M"
mount_store
same "$(digest "$M")" "$before" "tree after remount"
same "$(stat -c '%X %y' "$M/a/one")" "$times" "times after remount"
same "$(stat -c %h "$M/a/one")" 2 "links"
for i in 1 2 3 4 5 6 7 8 9 10; do
	echo "$i" > "$M/turn"
	k umount "$M"
	k mount "$S" "$M"
	same "$(cat "$M/turn")" "$i" "turn"
done

# the kernel reads far enough ahead for a sequential reader (it takes that from root only)
if [ "$(id -u)" = 0 ]; then
	same "$(cat "/sys/class/bdi/$(stat -c %Hd:%Ld "$M")/read_ahead_kb")" 2048 "readahead"
fi

# a mount that comes while the last one is still closing waits for it
if [ "$(id -u)" = 0 ]; then
	for i in 1 2 3; do
		head -c 40000000 /dev/urandom > "$M/dirty"
		umount -i "$M" # returns at once
		k mount "$S" "$M" 2> "$T/err"
		same "$(stat -c %s "$M/dirty")" 40000000 "after a mount that waited"
		rm "$M/dirty"
	done
fi

# a mount namespace that was split off keeps the store open: said, not waited for
if [ "$(id -u)" = 0 ]; then
	unshare --mount sleep 1000 &
	holder=$!
	until [ "$(readlink "/proc/$holder/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.05; done
	refused 32 "still mounted in the mount namespace of process $holder" k umount "$M"
	if is_mounted "$M"; then fail "still mounted here"; fi
	kill "$holder"
	wait "$holder" || true
	mount_store
fi

# SIGTERM unmounts cleanly, also with files open.
pid=$(daemon_pid)
echo before-term > "$M/term"
exec 9< "$M/term"
kill -TERM "$pid"
for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
if kill -0 "$pid" 2> /dev/null; then fail "still running 10 s after SIGTERM"; fi
exec 9<&-
if is_mounted "$M"; then fail "still mounted after SIGTERM"; fi
check_store
mount_store
same "$(cat "$M/term")" before-term "written before SIGTERM"

# mount(8)'s calling forms
umount_store
k "$S" "$M" -o rw,dev,suid,x-systemd.automount
same "$(cat "$M/term")" before-term "kagefs STORE DIR -o"
# kagefs sync: what it was asked for is there whatever happens to the program
echo synced > "$M/synced"
k sync "$M"
pid=$(daemon_pid)
kill -9 "$pid"
while kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
k mount "$S" "$M"
same "$(cat "$M/synced")" synced "after kagefs sync and kill -9"

k umount "$M"
mkdir "$T/bin"
ln -s "$KAGEFS" "$T/bin/mount.kagefs"
ln -s "$KAGEFS" "$T/bin/umount.kagefs"
"$T/bin/mount.kagefs" "$S" "$M" -o ro,nofail
must_fail touch "$M/x"
same "$(cat "$M/term")" before-term "read-only mount"
"$T/bin/umount.kagefs" "$M"
"$T/bin/mount.kagefs" -f "$S" "$M"
if is_mounted "$M"; then fail "mount -f mounted"; fi
mount_store -o snapdir=visible
k snapshot create --name shown "$M" > /dev/null
ls -a "$M" | grep -qx .snapshots || fail "snapdir=visible does not show .snapshots"
umount_store
mount_store
if ls -a "$M" | grep -qx .snapshots; then fail ".snapshots is listed"; fi
[ -d "$M/.snapshots/shown" ] || fail "hidden .snapshots cannot be entered"
