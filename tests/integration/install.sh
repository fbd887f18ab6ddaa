#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make install into a private place, and the names and calling forms that come with it: mkfs.kagefs, fsck.kagefs with its
# exit codes, mount -t fuse.kagefs with options as fstab has them, umount.
. "$(dirname "$0")/lib.sh"
need_root
need make
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
out=$(dirname "$KAGEFS")
[ "$(basename "$KAGEFS")" = kagefs ] && [ -d "$out/fs" ] || skip "KAGEFS is not in a build folder"
make -s -C "$SRC" O="$out" PREFIX="$T/inst" install > "$T/out" 2>&1 || fail "make install: $(tail -3 "$T/out")"
for n in mkfs fsck mount umount; do [ -x "$T/inst/sbin/$n.kagefs" ] || fail "$n.kagefs is not installed"; done
export PATH=$T/inst/bin:$T/inst/sbin:$PATH
mkfs.kagefs --block-size 16K --compress zstd "$S"
mkdir "$M"
# mount.fuse looks for the program in the system's folders only: in a private mount namespace ours lies there.
if [ -x /sbin/mount.fuse ] || [ -x /sbin/mount.fuse3 ]; then
	cat > "$T/inner" << 'X'
set -eu
T=$1 S=$1/s M=$1/m
fail() { echo "FAILED: install: $*" >&2; exit 1; }
mount --bind "$T/inst/bin" /usr/local/bin
mount -t fuse.kagefs "$S" "$M" -o allow_other,default_permissions,nofail,x-systemd.mount-timeout=120
same=$(findmnt -n -o FSTYPE,OPTIONS "$M")
case $same in fuse.kagefs*allow_other*) ;; *) fail "mounted as: $same" ;; esac
echo x > "$M/f"
kagefs umount "$M"
mount -t fuse.kagefs "$S" "$M" -o ro,noexec
[ "$(cat "$M/f")" = x ] || fail "read-only mount"
findmnt -n -o OPTIONS "$M" | grep -q noexec || fail "noexec is not on"
if touch "$M/g" 2> /dev/null; then fail "writing on a read-only mount"; fi
umount "$M"
rc=0
mount -t fuse.kagefs "$T/none" "$M" 2> "$T/err" || rc=$?
[ "$rc" = 32 ] || fail "mount -t for a missing store: exit code $rc"
X
	unshare -m bash "$T/inner" "$T"
else
	say "no /sbin/mount.fuse: mount -t is not tried"
fi
for _ in $(seq 50); do
	rc=0
	fsck.kagefs "$S" > "$T/out" 2>&1 || rc=$?
	[ "$rc" = 8 ] || break # still closing
	sleep 0.1
done
same "$rc" 0 "fsck.kagefs of a good store: $(cat "$T/out")"
wanted_rc 0 fsck.kagefs -a "$S"
wanted_rc 8 fsck.kagefs "$T/none"
wanted_rc 16 fsck.kagefs
wanted_rc 16 fsck.kagefs -Z "$S"
wanted_rc 10 kagefs check "$T/inst"
mount.kagefs "$S" "$M"
wanted_rc 8 fsck.kagefs "$S"
umount.kagefs "$M"
