#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The agent beside Samba's own FSRVP helper, which is not diverted here: each start of samba-dcerpcd binds the pipe's name,
# and the agent takes it back.  Also: smbd started after the agent, and what is left after a clean end.
REAL_HELPER=1
. "$(dirname "$0")/smbd-lib.sh"

NP=
took() { grep -c 'took the pipe name back' "$T/agent.log"; }
took_more_than() { [ "$(took)" -gt "$1" ]; }

EXPOSE_CONF="registry shares = yes"
stage
NP=$T/samba/ncalrpc/np
end_pid "$SMBD_PID"
rm -rf "$T/samba/ncalrpc"
agent_start --require-rpc-auth no
is "mode of the ncalrpc directory" "$(stat -c %a "$T/samba/ncalrpc")" 755
is "mode of the np directory" "$(stat -c %a "$NP")" 700
smbd_start
for i in 1 2 3; do
	before=$(took)
	rpc "getusername" >/dev/null 2>&1 # lsarpc: makes smbd start samba-dcerpcd, which lists all helpers
	wait_for took_more_than "$before" || true # the first one may have come before the agent
	pid=$(cat "$T"/samba/pid/samba-dcerpcd.pid 2>/dev/null || pgrep -f samba-dcerpcd | head -1)
	has "start $i of samba-dcerpcd ($pid): the agent answers" "supports shadow copy" rpc "fss_is_path_sup second"
	[ -n "$pid" ] && kill "$pid" && for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
done
[ "$(took)" -ge 2 ] && echo "ok: took the name back $(took) times" || fail "took the name back only $(took) times"
has "every call was ours" "call=IsPathSupported" cat "$T/agent.log"
is "calls answered by the agent" "$(grep -c 'call=IsPathSupported' "$T/agent.log")" 3
agent_stop
is "names left after the end" "$(ls -A "$NP" | grep -c 'kagefs-fssagentrpc$')" 0
finish
