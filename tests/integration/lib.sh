# SPDX-License-Identifier: GPL-3.0-or-later
# What the integration tests share.  Source it first:  . "$(dirname "$0")/lib.sh"
#
# Each test gets a private directory $T with a store $T/s and a mount point $T/m, runs with -eu, and ends by unmounting and
# `kagefs check`.  Exit codes: 0 passed, 77 skipped, others failed.
# From the environment: KAGEFS, the program under test; HELPERS, where the compiled helpers are; KEEP=1 keeps $T;
# MOUNT_OPTIONS are added to each mount of mount_store (io_uring.sh).
# shellcheck shell=bash disable=SC2034

set -euo pipefail
SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KAGEFS=${KAGEFS:-$SRC/build/kagefs}
HELPERS=${HELPERS:-$SRC/build/tests}
TEST=$(basename "$0" .sh)
T=$(mktemp -d "${TMPDIR:-/tmp}/kagefs-$TEST.XXXXXX")
S=$T/s
M=$T/m
CHECK_AT_END=1
export LC_ALL=C TZ=UTC

say() { echo "  $*"; }
fail() {
	echo "FAILED: $TEST: $*" >&2
	exit 1
}
skip() {
	echo "skipped: $TEST: $*" >&2
	CHECK_AT_END=0
	exit 77
}
need() {
	local c
	for c in "$@"; do command -v "$c" > /dev/null || skip "$c is not installed"; done
}
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
helper() { [ -x "$HELPERS/$1" ] || skip "$HELPERS/$1 is not built (make integration-helpers)"; }
k() { "$KAGEFS" "$@"; }

# same A B WHAT
same() { [ "$1" = "$2" ] || fail "$3: wanted '$2', got '$1'"; }
# wanted_rc CODE COMMAND...: run it, its output goes to $T/out and $T/err
wanted_rc() {
	local want=$1 rc=0
	shift
	"$@" > "$T/out" 2> "$T/err" || rc=$?
	[ "$rc" = "$want" ] || fail "$*: exit code $rc, wanted $want: $(cat "$T/err")"
}
# must_fail COMMAND...: any failure will do
must_fail() {
	if "$@" > "$T/out" 2> "$T/err"; then fail "worked but must not: $*"; fi
}
# refused CODE PATTERN COMMAND...: exit code, exactly one line on stderr in the agreed form, and the pattern in it
refused() {
	local code=$1 pattern=$2
	shift 2
	wanted_rc "$code" "$@"
	[ "$(wc -l < "$T/err")" = 1 ] || fail "$*: not one line: $(cat "$T/err")"
	grep -Eq '^kagefs: [a-z]+( [a-z]+)?: ' "$T/err" || fail "$*: form of message: $(cat "$T/err")"
	grep -Eq "$pattern" "$T/err" || fail "$*: '$pattern' not in: $(cat "$T/err")"
}

is_mounted() { grep -q " $1 .* - fuse.kagefs " /proc/self/mountinfo; }
new_store() { k mkfs "$@" "$S"; }
# mount_store [MOUNT ARGUMENTS...]
mount_store() {
	mkdir -p "$M"
	k mount ${MOUNT_OPTIONS:+-o "$MOUNT_OPTIONS"} "$@" "$S" "$M"
	is_mounted "$M" || fail "not mounted after mount"
}
umount_store() {
	cd "$T"
	k umount "$M"
	if is_mounted "$M"; then fail "still mounted after umount"; fi
}
check_store() { k check "${1:-$S}" || fail "check of ${1:-$S} found something"; }
# The program that serves $S.
daemon_pid() { tr -cd '0-9 \n' < "$S/lock" | awk '{print $1; exit}'; }
start() {
	[ -x "$KAGEFS" ] || skip "$KAGEFS is not built"
	[ -e /dev/fuse ] || skip "no /dev/fuse"
	new_store
	mount_store "$@"
}
# One digest for a tree: names, modes, owners, contents, links.
digest() {
	(cd "$1" && find . -mindepth 1 -printf '%p %y %m %U %G %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum) | sha256sum | cut -d' ' -f1
}

finish() {
	local rc=$? pid m
	trap - EXIT
	set +e
	cd /
	for pid in $(jobs -p); do kill "$pid" 2> /dev/null; done
	wait 2> /dev/null
	# Deepest first; whatever is still mounted below the private directory.
	awk -v t="$T/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r m; do
		k umount "$m" 2> "$T/umount-err" || {
			cat "$T/umount-err" >&2
			umount -l "$m" 2> /dev/null || fusermount3 -u -z "$m" 2> /dev/null
		}
	done
	if [ "$rc" = 0 ] && [ "$CHECK_AT_END" = 1 ] && [ -d "$S" ]; then
		if ! k check "$S"; then
			echo "FAILED: $TEST: kagefs check at the end" >&2
			rc=1
		fi
	fi
	if [ "$rc" != 0 ] && [ "$rc" != 77 ] || [ "${KEEP:-0}" = 1 ]; then
		echo "  kept: $T" >&2
	else
		rm -rf "$T"
	fi
	exit "$rc"
}

# small_disk SIZE: $S shall lie on a disk of its own, $T/disk, which is released at the end.
small_disk() {
	mkdir "$T/disk"
	truncate -s "$1" "$T/img"
	mkfs.ext4 -q -F -m 0 "$T/img"
	mount -o loop "$T/img" "$T/disk" 2> /dev/null || skip "no loop devices"
	S=$T/disk/s
	trap small_disk_away EXIT
}
small_disk_away() {
	local rc=$?
	set +e
	cd /
	fsfreeze --unfreeze "$T/disk" 2> /dev/null
	k umount "$M" 2> /dev/null
	if [ "$rc" = 0 ]; then k check "$S" || rc=1; fi
	CHECK_AT_END=0
	umount "$T/disk" || umount -l "$T/disk"
	(exit "$rc")
	finish
}
trap finish EXIT
trap 'exit 130' INT TERM
