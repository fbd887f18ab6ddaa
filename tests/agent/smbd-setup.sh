#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What an administrator installs and starts: kagefs-samba-setup diverts Samba's helper (in a private copy of the system's
# directories), the unit is well formed, the daemon goes to the background only when it serves, tells a service manager, reads
# its configuration file, and ends cleanly.
REAL_HELPER=1
. "$(dirname "$0")/smbd-lib.sh"
SRC=$(cd "$HERE/../.." && pwd)
command -v dpkg-divert >/dev/null || skip "dpkg-divert is not installed"
command -v python3 >/dev/null || skip "python3 is not installed"

over() { # a directory of the system, with changes that nobody else sees
	OVER="$1 ${OVER:-}"
	mkdir -p "$T/over$1"
	mount -t tmpfs none "$T/over$1" && mkdir "$T/over$1/up" "$T/over$1/work" &&
		mount -t overlay -o "lowerdir=$1,upperdir=$T/over$1/up,workdir=$T/over$1/work" none "$1" 2>/dev/null && return
	cp -a "$1/." "$T/over$1/up/" && mount --bind "$T/over$1/up" "$1" # no overlay here
}
setup() { "$SRC/agent/kagefs-samba-setup" "$@"; }

diversion() {
	local libexec=/usr/libexec/samba
	[ -e $libexec/rpcd_fsrvp ] || { say "no $libexec/rpcd_fsrvp: diversion is not tried"; return; }
	over $libexec && over /var/lib/dpkg || { fail "private copies of the system's directories"; return; }
	rpcd() { $libexec/rpcd_fsrvp --list-interfaces 2>/dev/null | grep -ci fssagent; }
	setup --undo >/dev/null 2>&1 # where the machine itself has been set up
	is "Samba's helper serves the pipe" "$(rpcd)" 1
	has "status says so" "serves the pipe" setup --status
	ok "divert" setup
	is "it serves nothing" "$(rpcd)" 0
	ok "status" setup --status
	has "dpkg knows" "disabled.rpcd_fsrvp" dpkg-divert --list $libexec/rpcd_fsrvp
	is "no program that samba-dcerpcd runs has it" "$(ls $libexec | grep -c '^rpcd_.*fsrvp')" 1
	has "again: nothing to do" "serves nothing already" setup
	agent_start --require-rpc-auth no
	rpc getusername >/dev/null 2>&1 # makes smbd start samba-dcerpcd
	has "the agent answers" "supports shadow copy" rpc "fss_is_path_sup second"
	is "its name was never taken" "$(grep -c 'took the pipe name back' "$T/agent.log")" 0
	agent_stop
	ok "undo" setup --undo
	is "Samba's helper serves the pipe again" "$(rpcd)" 1
	has "undo twice" "nothing to give back" setup --undo
}

unit() {
	local unit=$T/inst/lib/systemd/system/kagefs-fsrvpd.service
	make -s -C "$SRC" O="$BUILD" PREFIX="$T/inst" install >"$T/out" 2>&1 || fail "make install: $(tail -3 "$T/out")"
	ok "unit is installed" test -e "$unit"
	ok "it starts what was installed" test -x "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")"
	ok "setup is installed" test -x "$T/inst/sbin/kagefs-samba-setup"
	if command -v systemd-analyze >/dev/null; then
		# smbd.service may be absent here; everything else it says is a fault.
		systemd-analyze verify "$unit" >"$T/verify" 2>&1
		is "systemd finds no fault in it" "$(grep -vc 'smbd.service' "$T/verify")" 0
		[ -z "$(grep -v smbd.service "$T/verify")" ] || cat "$T/verify"
	else
		say "no systemd-analyze: the unit is not verified"
	fi
}

# Type=notify: READY=1 comes when clients are served, STOPPING=1 at the end.
notification() {
	python3 - "$T/notify" >"$T/notified" <<'E2' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    text = s.recv(4096).decode()
    print(text, flush=True)
    if "STOPPING" in text:
        break
E2
	local listener=$!
	wait_for test -S "$T/notify"
	NOTIFY_SOCKET=$T/notify agent_start --require-rpc-auth no
	wait_for grep -q READY=1 "$T/notified"
	has "tells that it is ready" "READY=1" cat "$T/notified"
	has "and then serves" "supports shadow copy" rpc "fss_is_path_sup second"
	agent_stop
	wait $listener
	has "tells that it stops" "STOPPING=1" cat "$T/notified"
}

background() {
	local pid
	printf '[fsrvpd]\n\trequire-rpc-auth = no\n\tsmb-conf = %s\n\tallow = games, S-1-22-1-34\n\tshares-file = %s\n' \
		"$T/smb.conf" "$T/shares.conf" >"$T/fsrvpd.conf"
	ok "starts in the background" timeout 60 "$AGENT" --config "$T/fsrvpd.conf"
	has "and serves at once" "supports shadow copy" rpc "fss_is_path_sup second"
	USER_NAME=games has "configured: a user" "supports shadow copy" rpc "fss_is_path_sup second"
	USER_NAME=backup has "configured: a SID" "supports shadow copy" rpc "fss_is_path_sup second"
	for pid in $(pgrep -x kagefs-fsrvpd); do kill "$pid"; done # all in this process namespace
	wait_for gone
	is "ends cleanly: names left" "$(ls -A "$T/samba/ncalrpc/np" | grep -c 'fssagentrpc$')" 0
	printf '[fsrvpd]\n\tno-such-option = 1\n' >"$T/fsrvpd.conf"
	if "$AGENT" --config "$T/fsrvpd.conf" 2>"$T/said"; then fail "an unknown key is taken"; else has "an unknown key is refused" "no-such-option" cat "$T/said"; fi
	printf '[fsrvpd]\n\tsmb-conf = %s/none\n' "$T" >"$T/fsrvpd.conf"
	if "$AGENT" --config "$T/fsrvpd.conf" 2>/dev/null; then fail "starts without smb.conf"; else echo "ok: what cannot start says so by its status"; fi
}
gone() { ! pgrep -x kagefs-fsrvpd; }

allow() {
	local group; group=$(id -gn games)
	agent_start --require-rpc-auth no --allow "@$group"
	USER_NAME=games has "--allow a group" "supports shadow copy" rpc "fss_is_path_sup second"
	USER_NAME=backup has "not others" "80070005" rpc "fss_is_path_sup second"
	agent_stop
	agent_start --require-rpc-auth no --allow 'KAGETEST\games' --allow S-1-22-1-34
	USER_NAME=games has "--allow DOMAIN\\user" "supports shadow copy" rpc "fss_is_path_sup second"
	USER_NAME=backup has "--allow a SID" "supports shadow copy" rpc "fss_is_path_sup second"
	agent_stop
	agent_start --require-rpc-auth no
	USER_NAME=games has "nobody is allowed unless named" "80070005" rpc "fss_is_path_sup second"
	has "but root" "supports shadow copy" rpc "fss_is_path_sup second"
	agent_stop
	if timeout 30 "$AGENT" -f --config /dev/null --smb-conf "$T/smb.conf" --allow @nosuchgroup 2>"$T/said"; then
		fail "an unknown group is taken"
	else
		has "an unknown group is refused" "@nosuchgroup" cat "$T/said"
	fi
}

OVER=
trap 'for d in $OVER; do umount -l "$d" "$T/over$d"; done 2>/dev/null; cleanup' EXIT
EXPOSE_CONF="registry shares = yes"
stage
diversion
unit
notification
background
allow
finish
