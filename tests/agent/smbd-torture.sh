#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Samba's own FSRVP test suite in one run without pauses: all ten must pass, plain, signed and sealed.  With the include file
# all but share_sd, which asks Samba's helper rpcd_classic for the new share: that does not read its configuration anew.
. "$(dirname "$0")/smbd-lib.sh"

run() { # run NAME BINDING NUMBER TEST...
	local name=$1 binding=$2 number=$3
	shift 3
	say "smbtorture $name"
	torture "$binding" --option="fss:sequence timeout=${SEQUENCE:-1}" "$@" >"$T/torture.$name" 2>&1
	set -- "$name"
	grep -E '^(success|failure|error|skip):' "$T/torture.$1"
	is "$1: passed" "$(grep -c '^success:' "$T/torture.$1")" "$number"
	is "$1: not passed" "$(grep -cE '^(failure|error|skip):' "$T/torture.$1")" 0
	grep -A8 -E '^(failure|error):' "$T/torture.$1"
}

EXPOSE_CONF="registry shares = yes"
stage
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth no
run plain "" 10 rpc.fsrvp
agent_stop
winbind_start
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth yes
run sign sign 10 rpc.fsrvp
# The suite leaves sets behind and expects none at its start: they are not persistent, a new agent releases them.
agent_stop
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth yes
run seal seal 10 rpc.fsrvp
agent_stop
agent_start --sequence-timeout "${SEQUENCE:-1}" --require-rpc-auth no --expose include
all_but_one=()
for name in enum_created sc_share_io bad_id sc_set_abort create_simple set_ctx get_version is_path_supported seq_timeout; do
	all_but_one+=("rpc.fsrvp.fsrvp.$name")
done
run include "" 9 "${all_but_one[@]}"
agent_stop
agent_start --expose include
wait_for test "$(count_shares)" = 0
agent_stop
agent_start
wait_for test "$(count_shares)" = 0
nothing_left "after a restart"
agent_stop
finish
