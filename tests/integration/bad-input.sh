#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Wrong input: one clear line, the right exit code, nothing changed.
. "$(dirname "$0")/lib.sh"
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
mkdir -p "$M" "$T/full" "$T/empty"
echo x > "$T/full/file"
echo x > "$T/file"

# mkfs
refused 1 'not empty; ' k mkfs "$T/full"
same "$(ls -A "$T/full")" file "mkfs in a full directory"
refused 1 'is not a directory' k mkfs "$T/file"
refused 1 'does not exist; ' k mkfs "$T/no/such/place"
refused 2 'block size' k mkfs --block-size 5000 "$T/new"
refused 2 'block size' k mkfs --block-size 2M "$T/new"
refused 2 'block size' k mkfs --block-size -1 "$T/new"
refused 2 'compression' k mkfs --compress gzip "$T/new"
refused 2 'usage' k mkfs --nonsense "$T/new"
refused 2 'usage' k mkfs
[ ! -e "$T/new" ] || fail "a refused mkfs made a directory"
new_store
refused 1 'not empty; ' k mkfs "$S"

# mount
refused 32 'does not exist; ' k mount "$T/no-store" "$M"
refused 32 'holds no store; ' k mount "$T/empty" "$M"
same "$(ls -A "$T/empty")" "" "mount of an empty directory left something"
refused 32 'does not exist; ' k mount "$S" "$T/no-dir"
refused 32 'not a directory' k mount "$S" "$T/file"
refused 32 'not a directory' k mount "$T/file" "$M"
refused 32 'hidden' k mount "$S" "$T"
refused 32 'lies in the store' k mount "$S" "$S/packs"
refused 1 "unknown option 'nonsense'" k mount -o nonsense "$S" "$M"
refused 1 'memory=lots' k mount -o memory=lots "$S" "$M"
refused 1 'memory=1' k mount -o memory=1 "$S" "$M"
refused 1 'log=-5' k mount -o log=-5 "$S" "$M"
refused 1 'threads' k mount -o threads=100000 "$S" "$M"
refused 1 'snapdir=maybe' k mount -o snapdir=maybe "$S" "$M"
refused 1 'usage' k mount "$S"
refused 1 'usage' k mount -x "$S" "$M"
mount_store
refused 32 'mounted on .*process [0-9]+' k mount "$S" "$T/empty"
refused 32 'mounted there already' k mount "$S" "$M"
refused 11 'is open in process [0-9]+' k check "$S"
refused 1 'not empty' k mkfs "$S"

# commands on a mount
refused 1 'not on a mounted kagefs' k sync "$T"
refused 1 'not on a mounted kagefs' k stats "$T"
refused 1 'not on a mounted kagefs' k volume create "$T/v"
refused 1 'does not exist' k volume show "$M/none"
mkdir "$M/dir"
refused 1 'not the root of a volume' k volume delete "$M/dir"
refused 1 'not the root of a volume' k snapshot create "$M/dir"
refused 1 'exists already' k volume create "$M/dir"
refused 1 'in use|mount.s root' k volume delete "$M"
refused 1 'too long' k volume create "$M/$(printf 'n%.0s' $(seq 256))"
refused 1 'too long' k snapshot create --name "$(printf 'n%.0s' $(seq 256))" "$M"
refused 1 'is not a name' k snapshot create --name a/b "$M"
refused 1 'no such snapshot' k snapshot show "$M" none
refused 1 'no such snapshot' k snapshot delete "$M" none
refused 1 'no such snapshot' k rollback "$M" none
k snapshot create --name twice "$M" > /dev/null
k volume create "$M/with"
k snapshot create --name x "$M/with" > /dev/null
refused 1 'has snapshots' k volume delete "$M/with"
k volume delete --recursive "$M/with"
[ ! -e "$M/with" ] || fail "volume delete --recursive"
refused 1 'exists already' k snapshot create --name twice "$M"
refused 3 'no such snapshot' k snapshot delete "$M" twice none
refused 2 'usage' k volume set "$M"
refused 2 'usage' k volume set --read-only --read-write "$M"
refused 2 'no such verb' k nonsense
refused 2 'no such verb' k volume nonsense
refused 2 'usage' k sync
refused 2 'number of seconds' k stats --watch x "$M"
must_fail mkdir "$M/.snapshots/made-by-hand"
must_fail rmdir "$M/.snapshots"
must_fail mv "$M/.snapshots" "$M/elsewhere"
must_fail touch "$M/.snapshots/file"
wanted_rc 2 k
wanted_rc 0 k help
wanted_rc 0 k help volume
wanted_rc 0 k help mount
wanted_rc 0 k version

# umount
refused 32 'not the mount point' k umount "$T/empty"
refused 32 'not the mount point' k umount /
cd "$M"
refused 32 'in use' k umount "$M"
umount_store

# a store that is damaged or newer
cp -r "$S" "$T/damaged"
db=$(ls "$T"/damaged/*.db | head -1)
dd if=/dev/urandom of="$db" bs=4096 count=4 conv=notrunc status=none
rm -f "$db-wal" "$db-shm"
wanted_rc 32 k mount "$T/damaged" "$M"
[ "$(wc -l < "$T/err")" = 1 ] || say "NOTE: several lines about a damaged store: $(cat "$T/err")"
must_fail k check "$T/damaged"

# rights
if [ "$(id -u)" = 0 ] && getent passwd nobody > /dev/null && command -v setpriv > /dev/null; then
	chmod 755 "$T"
	rc=0
	setpriv --reuid=65534 --regid=65534 --clear-groups "$KAGEFS" mount "$S" "$M" 2> "$T/err" || rc=$?
	same "$rc" 32 "mount of a foreign store as another user"
	same "$(wc -l < "$T/err")" 1 "lines for a foreign store"
fi
