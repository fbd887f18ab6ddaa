#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Samba's own FSRVP test suite in one run without pauses: all ten must pass, plain, signed and sealed.
. "$(dirname "$0")/smbd-lib.sh"

run() { # run NAME BINDING
	say "smbtorture rpc.fsrvp $1"
	torture "$2" --option="fss:sequence timeout=${SEQUENCE:-1}" rpc.fsrvp >"$T/torture.$1" 2>&1
	grep -E '^(success|failure|error|skip):' "$T/torture.$1"
	is "$1: passed" "$(grep -c '^success:' "$T/torture.$1")" 10
	is "$1: not passed" "$(grep -cE '^(failure|error|skip):' "$T/torture.$1")" 0
	grep -A8 -E '^(failure|error):' "$T/torture.$1"
}

EXPOSE_CONF="registry shares = yes"
stage
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth no
run plain ""
agent_stop
winbind_start
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth yes
run sign sign
# The suite leaves sets behind and expects none at its start: they are not persistent, a new agent releases them.
agent_stop
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth yes
run seal seal
agent_stop
agent_start
wait_for test "$(count_shares)" = 0
nothing_left "after a restart"
agent_stop
finish
