#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The requester against kagefs-fsrvpd, in the private smbd of tests/agent/smbd-lib.sh: what Samba's own agent cannot show,
# namely RPC authentication that is required, two shares of one volume, copies sealed for good, an honest abort, and an
# agent that dies.
#
#   BUILD=build  where the programs are;  BACKEND=fake|kagefs  see smbd-lib.sh
# shellcheck disable=SC2034,SC2154,SC2016  # the library's variables; commands for another shell
. "$(dirname "$0")/../agent/smbd-lib.sh"

VSS=$BUILD/kagefs-vss
[ -x "$VSS" ] || skip "$VSS is not built"
EXPOSE_CONF="registry shares = yes"
stage
winbind_start
agent_start --require-rpc-auth yes
export KAGEFS_VSS_STATE_DIR=$T/records
printf 'username = root\npassword = %s\ndomain = KAGETEST\n' "$PASSWORD" >"$T/auth"
chmod 600 "$T/auth"
vss() { "$VSS" "$1" --authfile "$T/auth" --port "$PORT" "${@:2}"; }
fails() { local want=$1 got=0; shift; "$@" || got=$?; [ "$got" = "$want" ] || { echo "exit $got, wanted $want"; return 1; }; }
set_of() { sed -n 's/^set //p' "$T/made"; }
S=//127.0.0.1

say "authentication"
has "unprotected calls are refused" "access denied" vss probe --auth none $S/second
for level in sign seal; do
	ok "probe --auth $level" vss probe --auth $level $S/second
	ok "probe --auth $level --auth-type ntlm" vss probe --auth $level --auth-type ntlm $S/second
done

say "the whole cycle over four shares on two volumes"
cat >"$T/recover" <<E2
#!/bin/sh
smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$KAGEFS_VSS_COPY_1" -c "put $T/smb.conf recovered"
E2
cat >"$T/exec" <<E2
#!/bin/sh
for i in 1 2 3 4; do
	eval "copy=\\\$KAGEFS_VSS_COPY_\$i"
	smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$copy" -c "get file $T/got.\$i" || exit 1
	smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$copy" -c "put $T/smb.conf late" && exit 2
done
smbclient -A $T/auth -p \$KAGEFS_VSS_PORT "\$KAGEFS_VSS_COPY_1" -c "get recovered $T/got.recovered"
E2
chmod +x "$T/recover" "$T/exec"
ok "backup" vss backup --recover "$T/recover" --exec "$T/exec" $S/fsrvp_share $S/second $S/below "$S/hidden\$"
is "share below the root" "$(cat "$T/got.3")" below
is "hidden share" "$(cat "$T/got.4")" two
ok "the recovery's change was in the copy" test -s "$T/got.recovered"
ok "and not in the share" test ! -e "$VOLUMES/vol1/recovered"
nothing_left "backup"

say "one copy, two shares"
ok "create" sh -c "'$VSS' create --authfile '$T/auth' --port $PORT --expose --no-auto-recover --context nas-rollback \
	$S/second '$S/hidden\$' >'$T/made'"
ok "delete of one mapping" vss delete "$(set_of)" "$(awk '/hidden/ {print $4}' "$T/made")"
is "the copy stays for the other" "$(count_snapshots)" 1
ok "complete" vss complete "$(set_of)"
ok "delete of the rest" vss delete "$(set_of)"
nothing_left "delete"

say "abort"
ok "create" sh -c "'$VSS' create --authfile '$T/auth' --port $PORT $S/second >'$T/made'"
has "IsPathShadowCopied sees it" "has-copies=yes" vss probe $S/second
ok "abort" vss abort "$(set_of)"
nothing_left "abort"

say "the agent dies while the copies are used"
ok "the backup is done, its end is not" fails 3 vss backup --context app-rollback --timeout-cleanup 3 \
	--exec "kill -9 $AGENT_PID" $S/second
AGENT_PID=
agent_start --require-rpc-auth yes
wait_for vss probe $S/second # the dead agent's socket is still there for a moment
has "the set is still known" exposed vss list
ok "and can be deleted" vss delete "$(basename "$KAGEFS_VSS_STATE_DIR"/*.set .set)"
nothing_left "death of the agent"

say "the requester is killed"
requester_killed() { # PHASE-OPTIONS...: kill -9 while its command runs
	rm -f "$T/on"
	"$VSS" backup --authfile "$T/auth" --port "$PORT" "$@" $S/second $S/fsrvp_share >"$T/killed" 2>&1 &
	local pid=$!
	wait_for test -e "$T/on" || fail "its command does not start: $(cat "$T/killed")"
	kill -9 $pid
	wait $pid 2>/dev/null
	kill "$(cat "$T/on")"
	has "its record tells of the set" exposed vss list
	ok "which can be deleted with it" vss delete "$(basename "$KAGEFS_VSS_STATE_DIR"/*.set .set)"
	nothing_left "requester killed"
	rm -f "$T/on"
}
requester_killed --recover "echo \$\$ >$T/on; exec sleep 60" --exec true
requester_killed --context nas-rollback --exec "echo \$\$ >$T/on; exec sleep 60"
# Without anybody who deletes it: a set that is not exposed goes by the agent's timer, one that is by its time.
agent_stop
agent_start --require-rpc-auth yes --sequence-timeout 2 --exposed-timeout 2
wait_for vss probe $S/second
gone() { [ "$(count_sets)$(count_shares)$(count_snapshots)" = 000 ]; }
ok "create" vss create $S/second
wait_for gone
nothing_left "left alone before Expose"
ok "create and expose" vss create --expose --context file-share-backup $S/second
wait_for gone
nothing_left "left alone after Expose"
rm -f "$KAGEFS_VSS_STATE_DIR"/*.set
agent_stop
agent_start --require-rpc-auth yes
wait_for vss probe $S/second

say "two requesters at once"
"$VSS" backup --authfile "$T/auth" --port "$PORT" --recover "touch $T/on; sleep 2" --exec true $S/second >"$T/first" 2>&1 &
first=$!
wait_for test -e "$T/on"
ok "is waited for" env KAGEFS_VSS_STATE_DIR="$T/records" "$VSS" backup --authfile "$T/auth" --port "$PORT" --wait 30 --exec true \
	$S/fsrvp_share
wait $first
is "and not disturbed" $? 0
nothing_left "two requesters"
finish
