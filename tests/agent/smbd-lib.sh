# SPDX-License-Identifier: GPL-3.0-or-later
# A private smbd, the agent and two shares, for the smbd-*.sh scripts.  Sourced, not run.
#
#   BACKEND=fake|kagefs   what the volumes live on (fake: copies of directories)
#   BUILD=build           where the programs are
#   KEEP=1                leave the folder with all logs behind
#
# The script runs again inside private mount and process namespaces: whatever it starts ends with it, and Samba's own
# FSRVP helper is covered by /bin/true without touching the system.

set -u
BACKEND=${BACKEND:-${1:-fake}}
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac

skip() { echo "SKIP: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
for program in smbd smbtorture rpcclient smbclient testparm sharesec net; do
	command -v $program >/dev/null || skip "$program is not installed"
done
if [ -z "${INSIDE_NAMESPACE:-}" ]; then
	INSIDE_NAMESPACE=1 BACKEND=$BACKEND BUILD=$BUILD exec unshare --mount --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi
# Stores that were mounted before are none of our agent's business, and would be held open as long as this namespace lives.
umount -alt fuse.kagefs 2>/dev/null
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/fsrvp-test.XXXXXX")
chmod 755 "$T"
FAILED=0
AGENT_PID= SMBD_PID= WINBIND_PID= FS_PID=
PASSWORD=secret-1

say() { echo "== $*"; }
fail() { echo "FAIL: $*"; FAILED=$((FAILED + 1)); }
die() { echo "FATAL: $*"; tail -n 30 "$T"/agent.log 2>/dev/null; exit 1; }
# ok WHAT COMMAND...: the command must succeed
ok() { local what=$1; shift; if "$@" >"$T/out" 2>&1; then echo "ok: $what"; else fail "$what"; sed 's/^/    /' "$T/out"; fi; }
# has WHAT TEXT COMMAND...: its output must contain the text (an extended regular expression), whatever its status
has() { local what=$1 text=$2; shift 2; "$@" >"$T/out" 2>&1; if grep -qE -- "$text" "$T/out"; then echo "ok: $what"; else fail "$what: no \"$text\" in:"; sed 's/^/    /' "$T/out"; fi; }
is() { if [ "$2" = "$3" ]; then echo "ok: $1"; else fail "$1: got \"$2\", want \"$3\""; fi; }
wait_for() { local i; for i in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
end_pid() { [ -n "$1" ] || return 0; kill "$1" 2>/dev/null; for _ in $(seq 50); do kill -0 "$1" 2>/dev/null || break; sleep 0.1; done; kill -9 "$1" 2>/dev/null; wait "$1" 2>/dev/null; return 0; }

cleanup() {
	end_pid "$AGENT_PID"; end_pid "$SMBD_PID"; end_pid "$WINBIND_PID"
	backend_stop
	if [ "$FAILED" != 0 ]; then echo "--- agent.log (end)"; tail -n 40 "$T/agent.log"; fi
	[ -n "${KEEP:-}" ] && echo "kept: $T" || rm -rf "$T"
}
trap cleanup EXIT
finish() { if [ "$FAILED" = 0 ]; then say "passed: $(basename "$0") backend=$BACKEND"; exit 0; fi; say "$FAILED failed: $(basename "$0")"; exit 1; }

# ---- the file system ----
VOLUMES=$T/volumes
backend_start() {
	mkdir -p "$VOLUMES"
	case $BACKEND in
	fake)
		export KAGEFS_FAKE_ROOT=$VOLUMES
		AGENT=$BUILD/tests/fsrvpd-fake ;;
	kagefs)
		AGENT=$BUILD/kagefs-fsrvpd
		"$BUILD/kagefs" mkfs "$T/store" || die "mkfs"
		"$BUILD/kagefs" mount -f -o allow_other "$T/store" "$VOLUMES" >"$T/fs.log" 2>&1 &
		FS_PID=$!
		wait_for mountpoint -q "$VOLUMES" || die "mount: $(tail -5 "$T/fs.log")" ;;
	*) die "unknown backend $BACKEND" ;;
	esac
	[ -x "$AGENT" ] || skip "$AGENT is not built"
}
backend_stop() {
	[ -n "$FS_PID" ] || return 0
	umount "$VOLUMES" || umount -l "$VOLUMES"
	wait "$FS_PID"
}
fs_remount() { # after a kill
	wait "$FS_PID" 2>/dev/null
	umount -l "$VOLUMES" 2>/dev/null
	"$BUILD/kagefs" mount -f -o allow_other "$T/store" "$VOLUMES" >>"$T/fs.log" 2>&1 &
	FS_PID=$!
	wait_for mountpoint -q "$VOLUMES" || die "mount after a kill: $(tail -5 "$T/fs.log")"
}
make_volume() { case $BACKEND in fake) mkdir "$VOLUMES/$1" ;; kagefs) "$BUILD/kagefs" volume create "$VOLUMES/$1" ;; esac; chmod 777 "$VOLUMES/$1"; }
# Numbers of things that must not leak.
count_snapshots() { local n=0 v; for v in "$VOLUMES"/*/; do n=$((n + $(ls "$v.snapshots" 2>/dev/null | wc -l))); done; echo $n; }
count_sets() { case $BACKEND in fake) ls "$VOLUMES/.sets" | grep -vc keep ;; kagefs) "$BUILD/tests/count-sets" "$VOLUMES" ;; esac; }
count_shares() { testparm -s "$T/smb.conf" 2>/dev/null | grep -c '^\[.*@{'; }
nothing_left() { is "$1: no shares" "$(count_shares)" 0; is "$1: no snapshots" "$(count_snapshots)" 0; is "$1: no sets" "$(count_sets)" 0; }

# ---- Samba ----
PORT=
free_port() { local p; for p in $(seq $((20000 + RANDOM % 20000)) 65000); do (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; }
samba_start() {
	mkdir -p "$T"/samba/{private,state,lock,cache,pid,winbind} "$T/log"
	PORT=$(free_port)
	: >"$T/shares.conf"
	cat >"$T/smb.conf" <<CONF
[global]
	netbios name = KAGETEST
	workgroup = KAGEGROUP
	server role = standalone server
	interfaces = lo
	bind interfaces only = yes
	smb ports = $PORT
	disable netbios = yes
	private dir = $T/samba/private
	state directory = $T/samba/state
	lock directory = $T/samba/lock
	cache directory = $T/samba/cache
	pid directory = $T/samba/pid
	ncalrpc dir = $T/samba/ncalrpc
	winbindd socket directory = $T/samba/winbind
	passdb backend = tdbsam
	log file = $T/log/%I.%m.log
	max log size = 0
	log level = ${LOG_LEVEL:-1}
	load printers = no
	printcap name = /dev/null
	disable spoolss = yes
	idmap config * : range = 100000-199999
	include = $T/shares.conf
	include = $T/extra.conf
	${EXPOSE_CONF:-}
$1
[fsrvp_share]
	path = $VOLUMES/vol1
	read only = no
	vfs objects = shadow_copy2
	shadow:snapdir = .snapshots
	shadow:mountpoint = $VOLUMES/vol1
	shadow:format = @GMT-%Y.%m.%d-%H.%M.%S
	shadow:localtime = no
	shadow:sort = desc
[second]
	path = $VOLUMES/vol2
	read only = no
[below]
	path = $VOLUMES/vol1/sub/dir
	read only = no
	comment = a share below the root of its volume
	vfs objects = shadow_copy2
	shadow:snapdir = .snapshots
	shadow:mountpoint = $VOLUMES/vol1
	shadow:format = @GMT-%Y.%m.%d-%H.%M.%S
	shadow:localtime = no
[hidden\$]
	path = $VOLUMES/vol2
	read only = no
[elsewhere]
	path = $T/elsewhere
	read only = no
CONF
	: >"$T/extra.conf"
	mkdir -p "$T/elsewhere"
	for user in root backup games; do
		printf '%s\n%s\n' "$PASSWORD" "$PASSWORD" | smbpasswd -c "$T/smb.conf" -s -a $user >/dev/null || die "smbpasswd $user"
	done
	[ -n "${REAL_HELPER:-}" ] || mount --bind /bin/true /usr/libexec/samba/rpcd_fsrvp || mount --bind /bin/true /usr/lib/x86_64-linux-gnu/samba/rpcd_fsrvp
	smbd_start
}
smbd_start() { smbd -F -s "$T/smb.conf" >"$T/smbd.log" 2>&1 & SMBD_PID=$!; disown; wait_for smb_answers || die "smbd does not answer"; }
smb_answers() { smbclient -s "$T/smb.conf" -p "$PORT" -L 127.0.0.1 -U "root%$PASSWORD"; }
# libwbclient knows only the compiled-in place of winbindd's socket.
winbind_start() { mkdir -p /run/samba "$T/samba/winbind"; mount -t tmpfs none /run/samba; mkdir /run/samba/winbindd; mount --bind "$T/samba/winbind" /run/samba/winbindd
	winbindd -F -s "$T/smb.conf" >"$T/winbind.log" 2>&1 & WINBIND_PID=$!; wait_for test -S "$T/samba/winbind/pipe" || die "winbindd"; }

# ---- the agent ----
agent_start() {
	"$AGENT" -f --debug --config /dev/null --smb-conf "$T/smb.conf" --shares-file "$T/shares.conf" "$@" >>"$T/agent.log" 2>&1 &
	AGENT_PID=$!
	wait_for test -S "$T/samba/ncalrpc/np/.kagefs-fssagentrpc" || die "the agent does not start"
	# Clients that come before it is ready wait in the socket's backlog.
}
agent_stop() { end_pid "$AGENT_PID"; AGENT_PID=; }
agent_kill() { kill -9 "$AGENT_PID"; wait "$AGENT_PID" 2>/dev/null; AGENT_PID=; }

# ---- clients ----
# RPC_MS: how long to wait for an answer.  rpcclient itself (empty) gives up after 10 s, which a call that starts several of
# Samba's programs may take on a machine under load; a requester that does is wanted where something hangs.
USER_NAME=root RPC_MS=60000
rpc() { rpcclient -s "$T/smb.conf" -p "$PORT" -U "KAGETEST\\$USER_NAME%$PASSWORD" "127.0.0.1${BINDING:-}" -c "${RPC_MS:+timeout $RPC_MS; }$1"; }
smbc() { local share=$1; shift; smbclient -s "$T/smb.conf" -p "$PORT" -U "KAGETEST\\$USER_NAME%$PASSWORD" "//127.0.0.1/$share" -c "$*"; }
torture() { local binding=$1; shift; smbtorture -s "$T/smb.conf" -p "$PORT" -U "root%$PASSWORD" -W KAGETEST "ncacn_np:127.0.0.1[smb2${binding:+,$binding}]" "$@"; }
# Of the output of fss_create_expose: "SET COPY SHARE" per line.
parse_expose() { sed -nE 's/^.*\{?([0-9a-f-]{36})\}?.*$/\1/p'; }

stage() {
	backend_start
	make_volume vol1
	make_volume vol2
	mkdir -p "$VOLUMES/vol1/sub/dir"
	echo hello >"$VOLUMES/vol1/file"; echo below >"$VOLUMES/vol1/sub/dir/file"; echo two >"$VOLUMES/vol2/file"
	chmod -R a+rwX "$VOLUMES"/vol*
	samba_start "${GLOBAL_EXTRA:-}"
}
