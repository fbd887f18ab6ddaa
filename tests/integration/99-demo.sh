#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The demo, without installing and building: it succeeds and leaves nothing; and when it is stopped half-way, or when a
# part of it fails, it says so and leaves nothing either.
# shellcheck disable=SC2016,SC2034
. "$(dirname "$0")/lib.sh"
need_root
need unshare ip smbd winbindd smbclient smbpasswd testparm gcc sqlite3 setfacl mkfs.ext4 debugfs pgrep
pkg-config --exists smbclient sqlite3 || skip "libsmbclient-dev or libsqlite3-dev is not installed"
BUILD=$(dirname "$(realpath "$KAGEFS")")
for p in kagefs-fsrvpd kagefs-vss; do [ -x "$BUILD/$p" ] || skip "$BUILD/$p is not built"; done
[ -c /dev/fuse ] || skip "no /dev/fuse"
CHECK_AT_END=0
chmod 711 "$T" # the shares' users go through it
export TMPDIR=$T KAGEFS_BUILD=$BUILD
unset KEEP

# demo [COMMAND...]: in the background, with its output in $T/demo.out; COMMAND is run in its environment
start_demo() {
	: > "$T/demo.out" # here: the child may do it late, and until_said would read of the demo before
	setsid "$@" "$SRC/scripts/demo" --no-install > "$T/demo.out" 2>&1 &
	demo=$!
}
ended() { # ended CODE: wait for it; this is its exit code
	local rc=0
	wait "$demo" || rc=$?
	[ "$rc" = "$1" ] || fail "exit code $rc, wanted $1: $(tail -n 40 "$T/demo.out")"
}
said() { grep -qE -- "$1" "$T/demo.out" || fail "did not say '$1': $(cat "$T/demo.out")"; }
until_said() {
	local i
	for ((i = 0; i < 600; i++)); do
		if grep -qE -- "$1" "$T/demo.out"; then return; fi
		sleep 0.1
	done
	fail "did not say '$1' within a minute: $(cat "$T/demo.out")"
}
run_samba() { ls -A /run/samba 2> /dev/null || echo none; }
nothing_left() {
	local i
	for ((i = 0; i < 100; i++)); do
		pgrep -f "$T/kagefs-demo" > /dev/null || break
		sleep 0.1
	done
	if pgrep -af "$T/kagefs-demo"; then fail "processes are left"; fi
	if grep -F "$T" /proc/*/mountinfo 2> /dev/null; then fail "mounts are left"; fi
	for i in "$T"/kagefs-demo.*; do
		if [ -e "$i" ]; then fail "left: $i"; fi
	done
	same "$(run_samba)" "$before" "/run/samba"
}
before=$(run_samba)

say "the whole demo"
start_demo env
ended 0
said ' verifications passed, 0 failed'
said 'Nothing is left behind'
if grep -E '^ +NOT |FAILED' "$T/demo.out"; then fail "it tells of failures"; fi
nothing_left

say "stopped while the applications write"
start_demo env
until_said 'Start writing'
kill -TERM "$demo"
ended 130
nothing_left

say "stopped while the copies are repaired"
start_demo env
until_said 'the recovery command'
kill -TERM "$demo"
ended 130
nothing_left

say "Ctrl-C: every process of the terminal gets SIGINT"
# A shell without job control starts background programs with SIGINT ignored; a terminal does not.
start_demo python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])'
until_said 'Let them work'
kill -INT -- "-$demo"
ended 130
nothing_left

say "killed: what it started ends with it"
start_demo env
until_said 'Let them work'
unshare=$(pgrep -P "$demo" unshare)
kill -KILL "$unshare"
ended 137
nothing_left

say "the requester fails"
mkdir "$T/bin"
for p in kagefs kagefs-fsrvpd; do ln -s "$BUILD/$p" "$T/bin/$p"; done
printf '#!/bin/sh\n[ "$1" != backup ] || exit 1\nexec %s/kagefs-vss "$@"\n' "$BUILD" > "$T/bin/kagefs-vss"
chmod +x "$T/bin/kagefs-vss"
KAGEFS_BUILD=$T/bin start_demo env
ended 1
said '[1-9][0-9]* failed\.'
nothing_left

say "copies that are not of one instant are noticed"
ln -sf "$BUILD/kagefs-vss" "$T/bin/kagefs-vss"
rm "$T/bin/kagefs"
cat > "$T/bin/kagefs" << END
#!/bin/sh
if [ "\$1 \$2 \$#" = "snapshot create 6" ]; then
	$BUILD/kagefs snapshot create --name "\$4" "\$5" && exec $BUILD/kagefs snapshot create --name "\$4" "\$6"
fi
exec $BUILD/kagefs "\$@"
END
chmod +x "$T/bin/kagefs"
KAGEFS_BUILD=$T/bin start_demo env
ended 1
said 'cut [0-9]+: vm1 has'
nothing_left
