#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A file system that hangs (SIGSTOP): each call that needs it is answered in its time, with the right code; meanwhile other
# clients, other stores and the timers go on, and the agent's threads stay bounded.  When it goes on, nothing is left.
# (smbd-crash.sh with VICTIM=hang stops it at every step of a cycle.)
. "$(dirname "$0")/smbd-lib.sh"
RPC_MS=
[ "$BACKEND" = kagefs ] || skip "needs BACKEND=kagefs"
VSS=$BUILD/kagefs-vss
[ -x "$VSS" ] || skip "$VSS is not built"
CLIENTS=12 # more than workers of one key

freeze() { kill -STOP "$FS_PID"; }
thaw() { kill -CONT "$FS_PID"; }
OTHER_PID=
end() {
	thaw
	[ -z "$OTHER_PID" ] || { umount -l "$T/other"; wait "$OTHER_PID"; }
	cleanup
}
trap end EXIT

other_store() { # a second store, with the share [apart]
	mkdir "$T/other"
	"$BUILD/kagefs" mkfs "$T/store2" || die "mkfs"
	"$BUILD/kagefs" mount -f -o allow_other "$T/store2" "$T/other" >"$T/fs2.log" 2>&1 &
	OTHER_PID=$!
	wait_for mountpoint -q "$T/other" || die "mount of the other store"
	printf '[apart]\n\tpath = %s\n\tread only = no\n' "$T/other" >"$T/extra.conf"
}

vss() { "$VSS" "$1" --authfile "$T/auth" --port "$PORT" --auth none "${@:2}"; }
settled() { [ "$(count_sets)" = 0 ] && [ "$(count_shares)" = 0 ] && [ "$(count_snapshots)" = 0 ]; }
settles() { if wait_for settled; then echo "ok: $1: nothing is left"; else nothing_left "$1"; fi; }
answers() { grep -c "call=$1 .*result=0x$2" "$T/agent.log"; } # CALL CODE
answered() { if [ "$(answers "$2" "$3")" -gt "$4" ]; then echo "ok: $1"; else fail "$1: not answered 0x$3"; fi; }
expose_one() { # CONTEXT SHARE: sets SET and COPY
	rpc "fss_create_expose $1 rw $2" >"$T/created" 2>&1
	SET=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	COPY=$(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): share .* exposed.*/\1/p' "$T/created")
	[ -n "$COPY" ] || { fail "expose $*"; cat "$T/created"; }
}

others_go_on() {
	has "a share of another store is supported meanwhile" "supports shadow copy" rpc "fss_is_path_sup apart"
	expose_one backup apart
	has "a whole cycle on another store meanwhile" deleted rpc "fss_delete apart $SET $COPY"
}

all_ask() { [ "$(grep -c 'client connected' "$T/agent.log")" -ge $CLIENTS ]; }
paths() {
	local i n pids=()
	freeze
	for i in $(seq $CLIENTS); do
		rpc "fss_is_path_sup $([ $((i % 2)) = 0 ] && echo second || echo fsrvp_share)" >"$T/path.$i" 2>&1 &
		pids+=($!)
	done
	wait_for all_ask
	others_go_on
	n=$(ls /proc/"$AGENT_PID"/task | wc -l)
	[ "$n" -lt 40 ] && echo "ok: $n threads" || fail "$n threads"
	wait "${pids[@]}"
	is "clients told that the file system does not answer" "$(answers IsPathSupported 00000102)" $CLIENTS
	thaw
	has "served again" "supports shadow copy" rpc "fss_is_path_sup second"
}

# A set of our own is exposed; the file system hangs when it is to be sealed, deleted, aborted.
exposed_set() {
	local n
	expose_one nas_rollback second
	freeze
	n=$(answers RecoveryCompleteShadowCopySet 00000102)
	rpc "fss_recovery_complete $SET" >/dev/null 2>&1
	answered "RecoveryComplete is answered while it hangs" RecoveryCompleteShadowCopySet 00000102 "$n"
	n=$(answers DeleteShareMapping 00000102)
	rpc "fss_delete second $SET $COPY" >/dev/null 2>&1
	answered "DeleteShareMapping is answered while it hangs" DeleteShareMapping 00000102 "$n"
	thaw
	# What was asked may have happened meanwhile, then it is found out; else the client asks again.
	rpc "fss_delete second $SET $COPY" >/dev/null 2>&1
	settles "exposed set"
}

# The timer gives up a set in progress although the file system hangs, and is not held by it.
timer() {
	local n
	KAGEFS_VSS_STATE_DIR=$T/records vss create --context nas-rollback //127.0.0.1/second >"$T/made" 2>&1 || fail "create"
	n=$(grep -c 'reason="message sequence timer"' "$T/agent.log")
	freeze
	timer_ran() { [ "$(grep -c 'reason="message sequence timer"' "$T/agent.log")" -gt "$n" ]; }
	if wait_for timer_ran; then echo "ok: the timer runs while it hangs"; else fail "the timer does not run"; fi
	others_go_on
	thaw
	settles "timer"
}

# The agent ends while it hangs: what it had in progress is gone, and a new one starts.
agent_ends() {
	freeze
	rpc "fss_is_path_sup second" >/dev/null 2>&1 &
	local client=$!
	wait_for grep -q "IsPathSupported" "$T/agent.log"
	kill "$AGENT_PID"
	wait_for grep -q "ending: signal=15" "$T/agent.log"
	wait_for test ! -e "$T/samba/ncalrpc/np/fssagentrpc"
	ok "its pipe is released while it hangs" test ! -e "$T/samba/ncalrpc/np/fssagentrpc"
	wait $client
	thaw
	wait "$AGENT_PID"
	agent_start --require-rpc-auth no
	wait_for rpc fss_get_sup_version
	has "a new one serves" "supports shadow copy" rpc "fss_is_path_sup second"
}

EXPOSE_CONF="registry shares = yes"
stage
other_store
printf 'username = root\npassword = %s\ndomain = KAGETEST\n' "$PASSWORD" >"$T/auth"
chmod 600 "$T/auth"
agent_start --require-rpc-auth no --commit-limit 3 --reconcile-interval 3600
wait_for rpc fss_get_sup_version
paths
exposed_set
agent_stop
agent_start --require-rpc-auth no --reconcile-interval 3600 --sequence-timeout 3
wait_for rpc fss_get_sup_version
timer
agent_ends
finish
