# SPDX-License-Identifier: GPL-3.0-or-later
# What the stage and its two commands share: telling the steps, checking, talking to the shares.
# shellcheck shell=bash disable=SC2034
set -u -o pipefail

export LC_ALL=C TZ=UTC
export SMBWORK_AUTH=$T/app.auth SMBWORK_CONF=$T/client.conf
M=$T/mnt
SERVER=127.0.0.1
URL=smb://$SERVER
COUNTS=$T/counts
SMBWORK=$T/smbwork
DEMO=scripts/demo.d
kagefs() { "$KAGEFS_BUILD/kagefs" "$@"; }

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
seconds() { if [ "$1" -lt 1000 ]; then echo "$1 ms"; else printf '%d.%02d s\n' $(($1 / 1000)) $(($1 % 1000 / 10)); fi; }
# chapter TEXT; step TEXT COMMAND...: tell what is done and how long it took.  A step that fails ends the demo.
chapter() { printf '\n%s\n' "$1"; }
step() {
	local text=$1 began ms
	shift
	began=$(now_ms)
	if ! "$@" > "$T/out" 2>&1; then
		printf '  %-74s   FAILED\n' "$text"
		tail -n 15 "$T/out" | sed 's/^/      /'
		echo "failed" >> "$COUNTS"
		exit 1
	fi
	ms=$(($(now_ms) - began))
	printf '  %-74s %8s\n' "$text" "$(seconds "$ms")"
}
# verify TEXT COMMAND...: a check; its failure is told and counted, and the demo goes on.
verify() {
	local text=$1
	shift
	if "$@" > "$T/out" 2>&1; then
		printf '    ok  %s\n' "$text"
		echo "ok" >> "$COUNTS"
	else
		printf '    NOT %s\n' "$text"
		tail -n 8 "$T/out" | sed 's/^/        /'
		echo "failed" >> "$COUNTS"
	fi
}
# note NAME VALUE: for the summary and between the scripts; noted NAME: read it.
note() { echo "$2" > "$T/notes/$1"; }
noted() { cat "$T/notes/$1" 2> /dev/null || echo "?"; }

# as USER SHARE COMMANDS: smbclient; the password comes from a file.
as() { smbclient -s "$T/client.conf" -A "$T/$1.auth" "$2" -c "$3"; }
# refused PATTERN COMMAND...: it must not work, and say why.
refused() {
	local pattern=$1 text
	shift
	text=$("$@" 2>&1) && { echo "worked: $*"; return 1; }
	grep -Eq "$pattern" <<< "$text" || { echo "$text"; return 1; }
}
# Number of the last write that the server has confirmed to order, guest or bank.
acked() { echo $((10#$(cat "$T/acked/$1"))); }
between() { echo "$1 <= $2 <= $3"; [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
counter() { echo $((10#$(cat "$1"))); }
# Of an ext4 image: its journal holds what is not in place yet.
needs_recovery() { dumpe2fs -h "$1" 2> /dev/null | grep -q needs_recovery; }
