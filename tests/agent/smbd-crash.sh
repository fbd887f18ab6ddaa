#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Somebody is killed before and after every call of the agent that changes something, in a whole backup cycle of two shares;
# afterwards nothing is left, or of a persistent set all of it.
#
#   VICTIM=agent  kill -9; a new agent finds everything
#   VICTIM=smbd   kill -9 of all of smbd; the same agent gives up what its client left behind
#   VICTIM=fs     kill -9 of the file system, which is mounted again; the same agent goes on
#   VICTIM=hang   the file system is stopped (SIGSTOP) and goes on when the client has its answers
#   STRIDE=n      only every nth step, from START to END
. "$(dirname "$0")/smbd-lib.sh"
RPC_MS=
STRIDE=${STRIDE:-1} START=${START:-1} VICTIM=${VICTIM:-agent}
KILLER=$BUILD/tests/kill-countdown.so
OPTIONS=(--require-rpc-auth no --reconcile-interval 3600)

cycle() { # one client's whole work; whether it succeeds does not matter
	rpc "fss_create_expose $1 rw fsrvp_share second" >"$T/created" 2>&1
	local set copies
	set=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	mapfile -t copies < <(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): .* shadow-copy added.*/\1/p' "$T/created")
	[ -n "$set" ] && [ ${#copies[@]} = 2 ] || return 1
	rpc "fss_recovery_complete $set; fss_delete fsrvp_share $set ${copies[0]}; fss_delete second $set ${copies[1]}" >"$T/deleted" 2>&1
}

agent_under_killer() { # KILL_AT KILL_AFTER
	local whom=() i
	case $VICTIM in
	smbd) whom=(KILL_WHOM=smbd) ;;
	fs) whom=(KILL_WHOM="$FS_PID") ;;
	hang) whom=(KILL_WHOM="$FS_PID" KILL_SIGNAL=19) ;;
	esac
	rm -f "$T/over" "$T/struck"
	env LD_PRELOAD="$KILLER" KILL_AT="$1" KILL_AFTER="$2" KILL_UNLESS="$T/over" KILL_MARK="$T/struck" KILL_LOG="$T/calls" "${whom[@]}" "$AGENT" -f --config /dev/null \
		--smb-conf "$T/smb.conf" --shares-file "$T/shares.conf" "${OPTIONS[@]}" >>"$T/agent.log" 2>&1 &
	AGENT_PID=$!
	disown # or bash tells of each kill
	for i in $(seq 50); do
		[ -S "$T/samba/ncalrpc/np/fssagentrpc" ] && break
		kill -0 $AGENT_PID 2>/dev/null || break
		sleep 0.05
	done
}

recover() { # bring the victim back
	case $VICTIM in
	agent)
		agent_start --require-rpc-auth no
		wait_for test -S "$T/samba/ncalrpc/np/fssagentrpc" ;;
	smbd)
		local pid
		for pid in $(pgrep -x smbd); do kill -9 "$pid" 2>/dev/null; done # all in this process namespace
		wait "$SMBD_PID" 2>/dev/null
		smbd_start ;;
	fs)
		kill -9 "$FS_PID" 2>/dev/null
		fs_remount ;;
	hang) kill -CONT "$FS_PID" ;;
	esac
	wait_for rpc "fss_get_sup_version" || fail "no answer after $1"
}

counts() { echo "$(count_sets) $(count_shares) $(count_snapshots)"; }
settled() { kill -HUP $AGENT_PID; [ "$(counts)" = "0 0 0" ]; }
# A persistent set is whole, or partly deleted, or gone; but each share has its copy and each copy its share.
whole() { kill -HUP $AGENT_PID; set -- $(counts); [ "$2" = "$3" ] && { [ "$1" != 0 ] || [ "$3" = 0 ]; }; }
delete_all() {
	local name set copy
	for name in $(testparm -s "$T/smb.conf" 2>/dev/null | sed -nE 's/^\[(.*@\{.*\})\]/\1/p'); do
		smbc "$name" ls >/dev/null 2>&1 || fail "$1: $name cannot be read"
		set=$(testparm -s "$T/smb.conf" --section-name="$name" 2>/dev/null | sed -nE 's/.*kagefs:set = (.*)/\1/p')
		copy=${name#*@\{}
		rpc "fss_delete ${name%@*} $set ${copy%\}}" >/dev/null 2>&1
	done
}

EXPOSE_CONF=${EXPOSE_CONF-registry shares = yes}
stage
[ -e "$KILLER" ] || skip "$KILLER is not built"
[ "$BACKEND" = kagefs ] || [ "$VICTIM" = agent ] || [ "$VICTIM" = smbd ] || skip "VICTIM=$VICTIM needs BACKEND=kagefs"
agent_under_killer 0 0
cycle backup || fail "the cycle does not work undisturbed"
agent_stop
STEPS=$(cat "$T/calls")
END=${END:-$STEPS}
say "a cycle has $STEPS steps; victim: $VICTIM"
# An agent that lives gives up the client soon, and a set that nobody keeps.
[ $VICTIM = agent ] || OPTIONS+=(--profile spec --sequence-timeout 2 --exposed-timeout 2 --commit-limit 3)
RUNS=0 STRUCK=0
for context in backup nas_rollback; do
	for after in 0 1; do
		for ((n = START; n <= END && n <= STEPS; n += STRIDE)); do
			agent_under_killer $n $after
			cycle $context
			[ $VICTIM = agent ] && agent_stop || touch "$T/over"
			RUNS=$((RUNS + 1))
			[ ! -e "$T/struck" ] || STRUCK=$((STRUCK + 1))
			what="step $n after=$after $context"
			recover "$what"
			if [ $context = nas_rollback ]; then
				wait_for whole || fail "$what: sets, shares, copies: $(counts)"
				delete_all "$what"
			fi
			wait_for settled || fail "$what: left: sets, shares, copies: $(counts)"
			agent_stop
		done
		say "$context, $([ $after = 1 ] && echo after || echo before) each step: $RUNS runs so far, $VICTIM struck in $STRUCK, $FAILED failures"
	done
done
[ $STRUCK -gt 0 ] || fail "$VICTIM was never struck"
finish
