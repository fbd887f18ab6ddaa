#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 of the agent before and after every call that changes something, in a whole backup cycle of two shares:
# afterwards a new agent finds everything and nothing is left.  STRIDE=n: only every nth step, from START on.
. "$(dirname "$0")/smbd-lib.sh"
STRIDE=${STRIDE:-1} START=${START:-1}
KILLER=$BUILD/tests/kill-countdown.so

cycle() { # one client's whole work; whether it succeeds does not matter
	rpc "fss_create_expose $1 rw fsrvp_share second" >"$T/created" 2>&1
	local set copies
	set=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	mapfile -t copies < <(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): .* shadow-copy added.*/\1/p' "$T/created")
	[ -n "$set" ] && [ ${#copies[@]} = 2 ] || return 1
	rpc "fss_recovery_complete $set; fss_delete fsrvp_share $set ${copies[0]}; fss_delete second $set ${copies[1]}" >"$T/deleted" 2>&1
}

agent_under_killer() { # KILL_AT KILL_AFTER
	LD_PRELOAD=$KILLER KILL_AT=$1 KILL_AFTER=$2 KILL_LOG=$T/calls "$AGENT" -f --config /dev/null --smb-conf "$T/smb.conf" \
		--shares-file "$T/shares.conf" --require-rpc-auth no >>"$T/agent.log" 2>&1 &
	AGENT_PID=$!
	disown # or bash tells of each kill
	local i
	for i in $(seq 50); do
		[ -S "$T/samba/ncalrpc/np/fssagentrpc" ] && break
		kill -0 $AGENT_PID 2>/dev/null || break
		sleep 0.05
	done
}

quiet_is() { [ "$2" = "$3" ] || fail "$1: got \"$2\", want \"$3\""; }

EXPOSE_CONF=${EXPOSE_CONF-registry shares = yes}
stage
[ -e "$KILLER" ] || skip "$KILLER is not built"
agent_under_killer 0 0
cycle backup || fail "the cycle does not work undisturbed"
agent_stop
STEPS=$(cat "$T/calls")
say "a cycle has $STEPS steps"
RUNS=0
for context in backup nas_rollback; do
	for after in 0 1; do
		for ((n = START; n <= STEPS; n += STRIDE)); do
			agent_under_killer $n $after
			cycle $context
			agent_stop
			RUNS=$((RUNS + 1))
			agent_start --require-rpc-auth no
			wait_for test -S "$T/samba/ncalrpc/np/fssagentrpc"
			wait_for rpc "fss_get_sup_version" || fail "no answer after step $n"
			sets=$(count_sets) shares=$(count_shares) snapshots=$(count_snapshots)
			if [ $context = backup ]; then
				quiet_is "step $n after=$after $context: sets" "$sets" 0
				quiet_is "step $n after=$after $context: shares" "$shares" 0
				quiet_is "step $n after=$after $context: snapshots" "$snapshots" 0
			else # whole, or partly deleted, or gone; but each share has its copy and each copy its share
				quiet_is "step $n after=$after $context: shares" "$shares" "$snapshots"
				[ "$sets" = 0 ] && quiet_is "step $n after=$after $context: copies without set" "$snapshots" 0
				for name in $(testparm -s "$T/smb.conf" 2>/dev/null | sed -nE 's/^\[(.*@\{.*\})\]/\1/p'); do
					smbc "$name" ls >/dev/null 2>&1 || fail "step $n after=$after: $name cannot be read"
					set=$(testparm -s "$T/smb.conf" --section-name="$name" 2>/dev/null | sed -nE 's/.*kagefs:set = (.*)/\1/p')
					copy=${name#*@\{}
					rpc "fss_delete ${name%@*} $set ${copy%\}}" >/dev/null 2>&1
				done
				quiet_is "step $n after=$after $context: deleted" "$(count_sets) $(count_shares) $(count_snapshots)" "0 0 0"
			fi
			agent_stop
		done
		say "$context, killed $([ $after = 1 ] && echo after || echo before) each step: $RUNS runs so far, $FAILED failures"
	done
done
finish
