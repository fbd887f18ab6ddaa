#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two requesters at once, from two addresses: each is told to wait while the other's set is made, both get all of theirs.
# Then smbd is killed with SIGKILL at many moments of a cycle: the agent gives up what its client left behind.
. "$(dirname "$0")/smbd-lib.sh"

requester() { # ADDRESS SHARE ROUNDS
	local address=$1 share=$2 done=0 try set copy
	for try in $(seq 200); do
		rpcclient -s "$T/smb.conf" -p "$PORT" -U "KAGETEST\\root%$PASSWORD" "$address" -c "fss_create_expose file_share_backup rw $share" >"$T/client.$share" 2>&1
		if grep -q 'exposed as' "$T/client.$share"; then
			set=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/client.$share")
			copy=$(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): share .* exposed.*/\1/p' "$T/client.$share")
			rpcclient -s "$T/smb.conf" -p "$PORT" -U "KAGETEST\\root%$PASSWORD" "$address" \
				-c "fss_recovery_complete $set; fss_delete $share $set $copy" >"$T/client.$share.end" 2>&1
			grep -q deleted "$T/client.$share.end" && done=$((done + 1))
			[ $done = "$3" ] && break
		elif grep -q 80042316 "$T/client.$share"; then
			echo busy >>"$T/busy"
			sleep 0.$((RANDOM % 3 + 1))
		else
			cat "$T/client.$share"
			break
		fi
	done
	echo $done >"$T/done.$share"
}

two_requesters() {
	: >"$T/busy"
	requester 127.0.0.1 fsrvp_share 8 & local one=$!
	requester ::1 second 8 & local two=$!
	wait $one $two
	is "first requester's sets" "$(cat "$T/done.fsrvp_share")" 8
	is "second requester's sets" "$(cat "$T/done.second")" 8
	say "told to wait $(wc -l <"$T/busy") times"
	nothing_left "two requesters"
}

settled() { [ "$(count_sets)" = 0 ] && [ "$(count_shares)" = 0 ] && [ "$(count_snapshots)" = 0 ]; }

smbd_killed() {
	local delay pid
	for delay in 0.02 0.05 0.10 0.15 0.20 0.25 0.30 0.35 0.40 0.50; do
		rpc "fss_create_expose backup rw fsrvp_share second" >/dev/null 2>&1 &
		local client=$!
		sleep $delay
		for pid in $(pgrep -x smbd); do kill -9 "$pid" 2>/dev/null; done # all in this process namespace
		wait "$SMBD_PID" 2>/dev/null
		wait $client
		smbd_start
		if wait_for settled; then echo "ok: smbd killed after $delay s"; else fail "smbd killed after $delay s"; nothing_left "$delay"; fi
		ok "and the next client is served" wait_for rpc "fss_is_path_sup second"
	done
}

EXPOSE_CONF="registry shares = yes"
stage
agent_start --require-rpc-auth no
two_requesters
agent_stop
agent_start --require-rpc-auth no --profile spec --sequence-timeout 2 --reconcile-interval 1
smbd_killed
agent_stop
finish
