#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The requester against Samba's own FSRVP agent (or the one that owns the pipe): a private smbd in a private folder on a
# free port of 127.0.0.1, two shares with shell_snap scripts, every command of kagefs-vss for real.
#
# usage: smbd-requester.sh [PATH-OF-KAGEFS-VSS]      as root; 77: cannot run here
# SLOW=1 adds a commit of 70 seconds.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
VSS=$(realpath "${1:-${O:-build}/kagefs-vss}")
skip() { echo "skip: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root, for smbd"
[ -x "$VSS" ] || skip "$VSS is not built"
for p in smbd smbpasswd smbclient net python3 ss; do command -v $p >/dev/null || skip "$p is not installed"; done
[ -x /usr/libexec/samba/rpcd_fsrvp ] || skip "Samba's own agent is not installed"
/usr/libexec/samba/rpcd_fsrvp --list-interfaces 2>/dev/null | grep -qi fssagentrpc || skip "Samba's own agent is diverted"

T=$(mktemp -d /tmp/vss-it-XXXXXX)
jobs_pids=()
ended() { # ended PID: end it and wait until it is gone
	[ -n "$1" ] && kill "$1" 2>/dev/null || return 0
	for _ in $(seq 50); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
	kill -9 "$1" 2>/dev/null
}
cleanup() {
	for p in ${jobs_pids[@]+"${jobs_pids[@]}"}; do ended "$p"; done
	for f in smbd samba-dcerpcd; do [ -s "$T/pid/$f.pid" ] && ended "$(cat "$T/pid/$f.pid")"; done
	[ "${failed:-1}" = 0 ] && rm -rf "$T" || echo "kept: $T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir -p "$T"/{priv,lock,state,cache,pid,ncalrpc,a,b,snaps}
cat >"$T/create" <<E2
#!/bin/sh
set -e
[ ! -f "$T/slow" ] || sleep "\$(cat "$T/slow")"
[ ! -f "$T/fail" ] || exit 1
n=$T/snaps/\$(basename "\$1")-\$(date +%s%N)
cp -a "\$1" "\$n"
echo "\$n"
E2
printf '#!/bin/sh\nrm -rf "$2"\n' >"$T/delete"
chmod +x "$T/create" "$T/delete"
PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
{
	cat <<E2
[global]
 workgroup = VSSIT
 netbios name = VSSIT
 server role = standalone server
 smb ports = $PORT
 interfaces = lo
 bind interfaces only = yes
 private dir = $T/priv
 lock directory = $T/lock
 state directory = $T/state
 cache directory = $T/cache
 pid directory = $T/pid
 ncalrpc dir = $T/ncalrpc
 passdb backend = tdbsam:$T/priv/passdb.tdb
 log file = $T/log.%m
 registry shares = yes
 include = registry
 load printers = no
 disable spoolss = yes
E2
	for s in a b; do
		printf '[%s]\n path = %s\n read only = no\n vfs objects = shell_snap\n' $s "$T/$s"
		printf ' shell_snap:%s command = %s\n' "check path" true create "$T/create" delete "$T/delete"
	done
} >"$T/smb.conf"
echo "file of a" >"$T/a/f"
echo "file of b" >"$T/b/f"
printf 'pw\npw\n' | smbpasswd -c "$T/smb.conf" -s -a root >/dev/null 2>&1 || skip "smbpasswd does not work"
printf 'username = root\npassword = pw\n' >"$T/auth"
chmod 600 "$T/auth"
smbd -D -s "$T/smb.conf" || skip "smbd does not start"
export KAGEFS_VSS_STATE_DIR=$T/records
# For jobs, so that $! is the program and not a subshell: "$VSS" VERB "${AUTH[@]}" ...
AUTH=(--authfile "$T/auth" --port "$PORT")
vss() { "$VSS" "$1" "${AUTH[@]}" "${@:2}"; }
for _ in $(seq 50); do vss probe //127.0.0.1/a >/dev/null 2>&1 && break; sleep 0.2; done

failed=0 n=0
ok() { # ok WHAT COMMAND...
	n=$((n + 1))
	if "${@:2}"; then echo "ok $n - $1"; else echo "not ok $n - $1"; failed=1; fi
}
rc() { # rc WANTED COMMAND...: its exit code is the wanted one
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" || got=$?
	[ "$got" = "$want" ] || { echo "# exit $got, wanted $want: $*"; sed 's/^/# /' "$T/out" "$T/err"; return 1; }
}
nothing_left() {
	[ -z "$(ls "$T/snaps")" ] || { echo "# snapshots: $(ls "$T/snaps")"; return 1; }
	! net -s "$T/smb.conf" conf listshares 2>/dev/null | grep '@{' || return 1
	! ls "$T/records/"*.set 2>/dev/null
}
said() { grep -q -- "$1" "$T/err" || { echo "# stderr lacks: $1"; sed 's/^/# /' "$T/err"; return 1; }; }
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval("d"+sys.argv[2]))' "$T/out" "$1"; }
started() { for _ in $(seq 100); do [ -e "$T/$1" ] && return 0; sleep 0.1; done; return 1; }
cut_connections() { # end the smbd processes that serve a client
	ss -tnpH state established "sport = :$PORT" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u |
		while read -r p; do [ "$p" = "$(cat "$T/pid/smbd.pid")" ] || kill -9 "$p"; done
}

# --- what the agent says of itself
ok "probe" rc 0 vss probe //127.0.0.1/a //127.0.0.1/b
ok "probe --json" rc 0 vss probe --json //127.0.0.1/a
ok "probe --json says supported" test "$(field '["shares"][0]["supported"]')" = True
ok "probe of an unknown share" rc 1 vss probe //127.0.0.1/nope
for level in none sign seal; do
	ok "probe --auth $level" rc 0 vss probe --auth $level //127.0.0.1/a
	ok "probe --auth $level --auth-type ntlm" rc 0 vss probe --auth $level --auth-type ntlm //127.0.0.1/a
done
ok "probe --smb-encrypt required" rc 0 vss probe --smb-encrypt required //127.0.0.1/a
ok "password from the environment" rc 0 env USER=root PASSWD=pw "$VSS" probe --port "$PORT" //127.0.0.1/a
printf 'pw\n' >"$T/pw"
chmod 600 "$T/pw"
ok "password from a file" rc 0 env PASSWD_FILE="$T/pw" "$VSS" probe --user root --port "$PORT" //127.0.0.1/a

# --- errors of the user
ok "wrong password" rc 1 env USER=root PASSWD=no "$VSS" probe --port "$PORT" //127.0.0.1/a
ok "... is said" said "refused the user name or password"
ok "password in the arguments" rc 2 "$VSS" probe --user root%pw --port "$PORT" //127.0.0.1/a
ok "wrong port" rc 1 "$VSS" probe --authfile "$T/auth" --port 1 //127.0.0.1/a
ok "... is said" said "nobody listens there"
ok "no command" rc 2 "$VSS"
ok "two servers" rc 2 vss backup --exec true //127.0.0.1/a //localhost/b
ok "context the agent refuses" rc 1 vss create --no-auto-recover //127.0.0.1/a
ok "nothing left" nothing_left

# --- the steps one by one, each a process of its own
ok "create" rc 0 vss create --json --context nas-rollback --auto-recover //127.0.0.1/a //127.0.0.1/b
SET=$(field '["set"]["set_id"]')
ok "two snapshots" test "$(ls "$T/snaps" | wc -l)" = 2
ok "list" rc 0 vss list
ok "list says not-exposed" grep -q not-exposed "$T/out"
ok "expose" rc 0 vss expose "$SET"
COPY_A=$(sed -n 1p "$T/out")
ok "copy a can be read" rc 0 smbclient -A "$T/auth" -p "$PORT" "$COPY_A" -c 'get f -'
ok "... with its content" grep -q "file of a" "$T/out"
ok "complete" rc 0 vss complete "$SET"
ok "abort of an exposed set" rc 1 vss abort "$SET"
ok "list --json" rc 0 vss list --json
ok "list --json says exposed" test "$(field '["sets"][0]["copies"][1]["state"]')" = exposed
ok "delete of one copy" rc 0 vss delete "$SET" "$COPY_A"
ok "one snapshot less" test "$(ls "$T/snaps" | wc -l)" = 1
ok "delete of it again" rc 3 vss delete "$SET" "$COPY_A"
ok "delete of the rest" rc 0 vss delete "$SET"
ok "nothing left" nothing_left
ok "create, then abort" rc 0 vss create --json //127.0.0.1/a
ok "abort of a committed set" rc 0 vss abort "$(field '["set"]["set_id"]')"
ok "nothing left" nothing_left
for c in backup file-share-backup nas-rollback app-rollback; do
	for w in --read-only --auto-recover; do
		ok "backup --context $c $w" rc 0 vss backup --context $c $w --exec true //127.0.0.1/a
	done
done
ok "nothing left" nothing_left

# --- the whole cycle
cat >"$T/recover" <<E2
#!/bin/sh
echo recovered >$T/r && smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$KAGEFS_VSS_COPY_1" -c "put $T/r r" &&
	test \$KAGEFS_VSS_COUNT = 2 && test \$KAGEFS_VSS_PHASE = recover && test -z "\$PASSWD"
E2
cat >"$T/exec" <<E2
#!/bin/sh
for i in 1 2; do
	eval "copy=\\\$KAGEFS_VSS_COPY_\$i"
	smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$copy" -c "get f $T/got\$i" || exit 1
done
smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$KAGEFS_VSS_COPY_1" -c "get r $T/got-r"
E2
chmod +x "$T/recover" "$T/exec"
ok "backup with recovery" rc 0 vss backup --verbose --recover "$T/recover" --exec "$T/exec" //127.0.0.1/a //127.0.0.1/b
ok "... read both copies" grep -q "file of b" "$T/got2"
ok "... and the recovery's change" grep -q recovered "$T/got-r"
ok "... which is not in the share" test ! -e "$T/a/r"
for step in IsPathSupported GetSupportedVersion StartShadowCopySet AddToShadowCopySet PrepareShadowCopySet \
	CommitShadowCopySet ExposeShadowCopySet GetShareMapping RecoveryCompleteShadowCopySet DeleteShareMapping; do
	ok "... step $step" said "$step"
done
ok "backup --json" rc 0 vss backup --json --exec 'echo noise' //127.0.0.1/a
ok "backup --json is JSON" test "$(field '["result"]')" = 'done'
ok "backup --keep" rc 0 vss backup --json --keep --context app-rollback --exec true //127.0.0.1/a
ok "... leaves one" test "$(ls "$T/snaps" | wc -l)" = 1
ok "... that can be deleted" rc 0 vss delete "$(field '["set"]["set_id"]')"
ok "nothing left" nothing_left

# --- trouble
ok "failing exec command" rc 1 vss backup --exec 'exit 7' //127.0.0.1/a
ok "... is said" said "status 7"
ok "failing recovery command" rc 1 vss backup --recover 'exit 1' --exec "touch $T/no" //127.0.0.1/a
ok "... and no exec after it" test ! -e "$T/no"
ok "nothing left" nothing_left
touch "$T/fail"
ok "snapshot fails" rc 1 vss backup --exec true //127.0.0.1/a //127.0.0.1/b
rm "$T/fail"
ok "nothing left" nothing_left
for sig in INT TERM HUP; do
	# The signal is not ignored, whoever started the tests: bash makes background jobs ignore SIGINT, nohup SIGHUP.
	rm -f "$T/on"
	python3 - "$VSS" "$T" "$PORT" $sig <<'E2' >"$T/out" 2>"$T/err"
import os, signal, subprocess, sys, time
vss, t, port, sig = sys.argv[1:]
p = subprocess.Popen([vss, "backup", "--authfile", t + "/auth", "--port", port, "--exec", "touch %s/on; sleep 60" % t,
                      "//127.0.0.1/a"], preexec_fn=lambda: signal.signal(getattr(signal, "SIG" + sig), signal.SIG_DFL))
while not os.path.exists(t + "/on"):
    time.sleep(0.1)
p.send_signal(getattr(signal, "SIG" + sig))
sys.exit(p.wait())
E2
	ok "SIG$sig while the command runs" test $? = 1
	ok "... is said" said "stopped by SIG$sig"
done
ok "nothing left" nothing_left
echo 3 >"$T/slow"
"$VSS" backup "${AUTH[@]}" --exec "touch $T/no" //127.0.0.1/a >"$T/out" 2>"$T/err" &
pid=$!
jobs_pids+=("$pid")
sleep 1.5
kill -TERM $pid
wait $pid
ok "SIGTERM while the agent commits" test $? = 1
ok "... and no exec after it" test ! -e "$T/no"
rm "$T/slow"
ok "nothing left" nothing_left
rm -f "$T/on"
"$VSS" backup "${AUTH[@]}" --exec "touch $T/on; sleep 2" //127.0.0.1/a >"$T/out" 2>"$T/err" &
pid=$!
jobs_pids+=("$pid")
ok "command started" started on
cut_connections
wait $pid
ok "connection cut while the command runs" test $? = 0
ok "nothing left" nothing_left
rm -f "$T/on"
"$VSS" backup "${AUTH[@]}" --recover "touch $T/on; sleep 2" --exec true //127.0.0.1/a >"$T/out" 2>"$T/err" &
pid=$!
jobs_pids+=("$pid")
ok "recovery command started" started on
cut_connections
wait $pid
ok "connection cut in the recovery phase" test $? = 0
ok "nothing left" nothing_left
rm -f "$T/on"
"$VSS" backup "${AUTH[@]}" --context app-rollback --exec "echo \$\$ >$T/on; exec sleep 60" //127.0.0.1/a >"$T/out" 2>"$T/err" &
pid=$!
jobs_pids+=("$pid")
ok "command started" started on
jobs_pids+=("$(cat "$T/on")")
kill -9 $pid
wait $pid 2>/dev/null
ok "requester killed: its record is there" rc 0 vss list --json
ok "... and enough to delete the set" rc 0 vss delete "$(field '["sets"][0]["set_id"]')"
ok "nothing left" nothing_left
echo 2 >"$T/slow"
"$VSS" backup "${AUTH[@]}" --exec true //127.0.0.1/a >"$T/out2" 2>&1 &
pid=$!
jobs_pids+=("$pid")
sleep 0.7
ok "a second one is refused meanwhile" rc 1 vss backup --exec true //127.0.0.1/b
ok "... is said" said "set in progress"
ok "... or waits" rc 0 vss backup --wait 30 --exec true //127.0.0.1/b
wait $pid
ok "and the first one was not disturbed" test $? = 0
rm "$T/slow"
ok "nothing left" nothing_left
if [ "${SLOW:-0}" = 1 ]; then
	echo 70 >"$T/slow"
	ok "commit that takes 70 seconds" rc 0 vss backup --exec true //127.0.0.1/a
	rm "$T/slow"
	ok "nothing left" nothing_left
fi
echo "1..$n"
exit $failed
