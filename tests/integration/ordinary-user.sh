#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# An ordinary user makes, mounts and steers a store through fusermount3; others stay out; the ioctls are the owner's.
. "$(dirname "$0")/lib.sh"
CHECK_AT_END=0
[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
need fusermount3
[ -e /etc/mtab ] || skip "fusermount3 needs /etc/mtab, which this system lacks: ln -s ../proc/self/mounts /etc/mtab"
if [ "$(id -u)" = 0 ]; then
	need setpriv
	# Two users without names: nothing is added to the system's files.
	U=61234 V=61235
	[ -w /dev/fuse ] && chmod 0666 /dev/fuse
	chmod 755 "$T"
	getent passwd "$U" > /dev/null || [ ! -w /etc/passwd ] || {
		cp /etc/passwd "$T/passwd.saved"
		echo "kagefstest:x:$U:$U::/nonexistent:/bin/sh" >> /etc/passwd # fusermount3 wants a name
	}
	as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
	install -d -o "$U" -g "$U" "$T/u"
else
	U=$(id -u) V=
	as() { "${@:2}"; }
	mkdir "$T/u"
fi
bin=$T/kagefs
cp "$KAGEFS" "$bin"
chmod 755 "$bin"
S=$T/u/s M=$T/u/m
leave() {
	local rc=$?
	set +e
	as "$U" "$bin" umount "$M" 2> /dev/null
	sed -i '/^kagefstest:x:/d' /etc/passwd 2> /dev/null
	(exit "$rc")
	finish
}
trap leave EXIT

as "$U" "$bin" mkfs "$S"
as "$U" mkdir "$M"
as "$U" "$bin" mount "$S" "$M"
is_mounted "$M" || fail "not mounted"
as "$U" sh -c "echo mine > $M/file && mkdir $M/d && chmod 700 $M/d"
same "$(as "$U" cat "$M/file")" mine "own file"
same "$(as "$U" stat -c %u "$M/file" "$M" | sort -u)" "$U" "owner of files and root"
as "$U" "$bin" volume create "$M/vol"
as "$U" sh -c "echo a > $M/vol/f"
as "$U" "$bin" snapshot create --name one "$M/vol" > /dev/null
same "$(as "$U" cat "$M/vol/.snapshots/one/f")" a "own snapshot"
as "$U" "$bin" snapshot create --name two --read-only "$M/vol" > /dev/null
as "$U" "$bin" snapshot list "$M/vol" > "$T/out"
grep -q one "$T/out" || fail "own snapshot is not listed"
as "$U" "$bin" rollback "$M/vol" one > /dev/null
as "$U" "$bin" volume set --read-only "$M/vol"
must_fail as "$U" touch "$M/vol/x"
as "$U" "$bin" volume set --read-write "$M/vol"
as "$U" touch "$M/vol/x"
as "$U" "$bin" sync "$M"
as "$U" "$bin" df "$M" > /dev/null
as "$U" "$bin" stats "$M" > /dev/null
must_fail as "$U" mknod "$M/dev" b 7 0
if [ -n "$V" ]; then
	must_fail as "$V" ls "$M"
	must_fail as "$V" "$bin" umount "$M"
	is_mounted "$M" || fail "another user unmounted it"
fi
as "$U" "$bin" umount "$M"
if is_mounted "$M"; then fail "still mounted"; fi
as "$U" "$bin" mount "$S" "$M"
same "$(as "$U" cat "$M/file")" mine "after remount"
as "$U" "$bin" umount "$M"
as "$U" "$bin" check "$S" || fail "check"

# allow_other is the administrator's
if [ -n "$V" ] && ! grep -qs '^user_allow_other' /etc/fuse.conf; then
	rc=0
	as "$U" "$bin" mount -o allow_other "$S" "$M" 2> "$T/err" || rc=$?
	same "$rc" 32 "allow_other as a user"
	grep -q user_allow_other "$T/err" || fail "message for allow_other: $(cat "$T/err")"
	same "$(wc -l < "$T/err")" 1 "lines for allow_other"
fi
if [ -n "$V" ]; then # a mount point of somebody else
	mkdir -m 755 "$T/foreign"
	rc=0
	as "$U" "$bin" mount "$S" "$T/foreign" 2> "$T/err" || rc=$?
	same "$rc" 32 "mount on a foreign directory"
	same "$(wc -l < "$T/err")" 1 "lines for a foreign mount point: $(cat "$T/err")"
fi
