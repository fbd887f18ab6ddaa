#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A set is one cut.  Writers keep a handle in each of two shares, on two volumes, open from begin to end and bump a counter
# in one share, then in the other; meanwhile shadow copy sets are taken of both shares.  In every copy, read from its share
# and from its directory, the second counter is never ahead of the first, nor more than one behind; what was confirmed
# before the cut is in it.  Then the same with sets taken by ioctl, as fast as it goes.  Last the control: what is taken one
# volume after the other must be found wrong.
#
#   ROUNDS=5000   at least this many rounds of the slowest pair of writers, in each of the first two parts
#   SETS=24       at least this many sets through SMB (default: a thousandth of ROUNDS, or 24 if that is more)
#   CUTS=500      at least this many sets by ioctl (default: a tenth of ROUNDS)
#   PAIRS=4       writers; see litmus.c for how they differ
# The defaults are for ROUNDS=100000.
# shellcheck disable=SC2034,SC2154  # the library's variables
. "$(dirname "$0")/smbd-lib.sh"
[ "$BACKEND" = kagefs ] || skip "needs BACKEND=kagefs"
LITMUS=$BUILD/tests/litmus
[ -x "$LITMUS" ] || skip "$LITMUS is not built (libsmbclient-dev)"
ROUNDS=${ROUNDS:-100000} PAIRS=${PAIRS:-4}
CUTS=${CUTS:-$((ROUNDS / 10))}
SETS=${SETS:-$((ROUNDS > 24000 ? ROUNDS / 1000 : 24))}
S=smb://127.0.0.1
VSS=$BUILD/kagefs-vss
WRITER=
trap 'end_pid "$WRITER"; cleanup' EXIT

export T LITMUS LITMUS_AUTH=$T/auth LITMUS_CONF=$T/smb.conf NOTES=$T/notes PAIRS
least() { "$LITMUS" rounds "$NOTES" "$PAIRS" | cut -d' ' -f1; }
all() { "$LITMUS" rounds "$NOTES" "$PAIRS" | cut -d' ' -f2; }
all_wrote() { [ "$(least)" -gt 0 ]; }
writing() { kill -0 "$WRITER" 2>/dev/null || die "the writers ended: $(cat "$T/writer.log")"; }
only_snapshot() { set -- "$VOLUMES/$1"/.snapshots/*; [ $# = 1 ] && echo "$1"; }

# ---- verdicts ----
VERDICTS=0 HALFWAY=0
judge() { # WHAT COPY COPY: fails on a violation; the counters are then in $T/seen
	VERDICTS=$((VERDICTS + PAIRS))
	if ! "$LITMUS" check "$T/before" "$T/after" "$PAIRS" "$2" "$3" >"$T/seen" 2>"$T/verdict"; then
		fail "$1"
		sed 's/^/    /' "$T/verdict"
	fi
}
same() { cmp -s "$T/seen" "$T/first" || { fail "$1 shows other counters"; diff "$T/first" "$T/seen"; }; }
first_seen() { cp "$T/seen" "$T/first"; HALFWAY=$((HALFWAY + $(awk '$2 != $3' "$T/seen" | wc -l))); }

# ---- sets through SMB ----
declare -A ID NAME
create() { # CONTEXT MODE SHARE...
	ID=() NAME=()
	cat "$NOTES" >"$T/before"
	rpc "fss_create_expose $*" >"$T/created" 2>&1
	cat "$NOTES" >"$T/after"
	SET=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	local id name
	while read -r id name; do NAME[${name%%@*}]=$name ID[${name%%@*}]=$id; done < <(
		sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): share (.*) exposed as.*/\1 \2/p' "$T/created")
	[ "${#NAME[@]}" = $(($# - 2)) ] || { fail "create $*"; sed 's/^/    /' "$T/created"; return 1; }
}
delete() { # SHARE...
	local share calls=
	for share; do calls="${calls:+$calls; }fss_delete $share $SET ${ID[$share]}"; done
	rpc "$calls" >"$T/deleted" 2>&1
	[ "$(grep -c deleted "$T/deleted")" = $# ] || { fail "delete $*"; sed 's/^/    /' "$T/deleted"; }
}

by_rpcclient() { # CONTEXT MODE SHARE SHARE
	create "$@" || return
	judge "set $SET, directories" "$(only_snapshot vol1)" "$(only_snapshot vol2)"
	first_seen
	judge "set $SET, shares" "$S/${NAME[fsrvp_share]}" "$S/${NAME[second]}"
	same "set $SET: the share"
	rpc "fss_recovery_complete $SET" >/dev/null 2>&1
	judge "set $SET, sealed" "$S/${NAME[fsrvp_share]}" "$S/${NAME[second]}"
	same "set $SET: the sealed share"
	delete "${@:3}"
}

# The requester's commands read the copies when they are writable, and again when they are sealed.
write_use() {
	cat >"$T/use" <<'USE'
[ -e "$T/after" ] || cat "$NOTES" >"$T/after"
case $KAGEFS_VSS_SHARE_1 in
*/second) one=$KAGEFS_VSS_COPY_2 two=$KAGEFS_VSS_COPY_1 ;;
*) one=$KAGEFS_VSS_COPY_1 two=$KAGEFS_VSS_COPY_2 ;;
esac
exec "$LITMUS" check "$T/before" "$T/after" "$PAIRS" "smb:$one" "smb:$two" >"$T/seen.$KAGEFS_VSS_PHASE"
USE
	echo "sh $T/use && exec \"$LITMUS\" check $T/before $T/after $PAIRS $VOLUMES/vol1/.snapshots/* $VOLUMES/vol2/.snapshots/* >$T/seen.directories" >"$T/use.recover"
}
by_requester() { # SHARE SHARE
	local part
	rm -f "$T"/seen.* "$T/after"
	cat "$NOTES" >"$T/before"
	if ! "$VSS" backup --authfile "$T/auth" --port "$PORT" --recover "sh $T/use.recover" --exec "sh $T/use" \
		"//127.0.0.1/$1" "//127.0.0.1/$2" >"$T/out" 2>&1; then
		fail "kagefs-vss backup $*"
		sed 's/^/    /' "$T/out"
		return
	fi
	VERDICTS=$((VERDICTS + 3 * PAIRS))
	cp "$T/seen.recover" "$T/seen"
	first_seen
	for part in directories exec; do
		cp "$T/seen.$part" "$T/seen"
		same "the requester's copy, $part,"
	done
}

sets_through_smb() {
	local n=0 begin goal
	say "shadow copy sets through SMB"
	[ -x "$VSS" ] || say "$VSS is not built: all of them by rpcclient"
	begin=$(all) goal=$(($(least) + ROUNDS))
	while [ $n -lt "$SETS" ] || [ "$(least)" -lt $goal ]; do
		writing
		case $((n % 6)) in
		0) by_rpcclient backup ro fsrvp_share second ;;
		1) by_rpcclient backup rw second fsrvp_share ;;
		2) by_rpcclient nas_rollback rw fsrvp_share second ;;
		3) by_rpcclient app_rollback ro second fsrvp_share ;;
		4) if [ -x "$VSS" ]; then by_requester fsrvp_share second; else by_rpcclient file_share_backup rw fsrvp_share second; fi ;;
		5) if [ -x "$VSS" ]; then by_requester second fsrvp_share; else by_rpcclient file_share_backup ro second fsrvp_share; fi ;;
		esac
		n=$((n + 1))
		[ "$FAILED" -lt 20 ] || die "too many failures"
	done
	say "$(($(all) - begin)) rounds by $PAIRS writers, at least $ROUNDS by each; $n sets; $VERDICTS verdicts on pairs; $HALFWAY pairs were between their two writes"
	is "failures and violations in sets through SMB" $FAILED 0
	nothing_left "sets through SMB"
}

# ---- sets by ioctl ----
sets_by_ioctl() {
	local begin goal
	say "sets by ioctl"
	begin=$(all) goal=$(($(least) + ROUNDS))
	ok "no violation" "$LITMUS" cuts "$NOTES" "$PAIRS" "$VOLUMES/vol1" "$VOLUMES/vol2" "$CUTS" set
	cat "$T/out"
	while [ "$(least)" -lt $goal ] && [ "$FAILED" = 0 ]; do
		writing
		ok "no violation" "$LITMUS" cuts "$NOTES" "$PAIRS" "$VOLUMES/vol1" "$VOLUMES/vol2" 1000 set
		cat "$T/out"
	done
	say "$(($(all) - begin)) rounds by $PAIRS writers, at least $ROUNDS by each"
	nothing_left "sets by ioctl"
}

# ---- the control: this test can fail ----
wrong_order() { grep -c '^VIOLATION order' "$1"; }
control() {
	say "control: not a set, but one volume after the other"
	"$LITMUS" cuts "$NOTES" "$PAIRS" "$VOLUMES/vol1" "$VOLUMES/vol2" 200 apart >"$T/out" 2>"$T/verdict"
	is "it is found wrong" $? 1
	cat "$T/out"
	[ "$(wrong_order "$T/verdict")" -gt 0 ] || fail "but not for the order"
	is "and only for the order" "$(grep -vc '^VIOLATION order' "$T/verdict")" 0
	local one set1 id1
	create nas_rollback ro fsrvp_share || return
	one=${NAME[fsrvp_share]} set1=$SET id1=${ID[fsrvp_share]}
	rpc "fss_recovery_complete $SET" >/dev/null 2>&1
	cp "$T/before" "$T/before.1"
	create nas_rollback ro second || return
	cp "$T/before.1" "$T/before"
	"$LITMUS" check "$T/before" "$T/after" "$PAIRS" "$S/$one" "$S/${NAME[second]}" >"$T/seen" 2>"$T/verdict"
	is "two sets through SMB are found wrong" $? 1
	is "all of their pairs" "$(wrong_order "$T/verdict")" "$PAIRS"
	sed 's/^/    /' "$T/verdict"
	delete second
	SET=$set1 ID=([fsrvp_share]=$id1)
	delete fsrvp_share
	nothing_left "control"
}

# ---- the end: what the shares themselves hold ----
writers_end() {
	local rc
	writing
	kill "$WRITER"
	wait "$WRITER"
	rc=$?
	WRITER=
	is "the writers never had an error" $rc 0
	[ $rc = 0 ] || cat "$T/writer.log"
	cat "$NOTES" >"$T/before"
	cat "$NOTES" >"$T/after"
	judge "the shares" "$S/fsrvp_share" "$S/second"
	first_seen
	is "all rounds are whole" "$(awk '$2 != $3' "$T/seen" | wc -l)" 0
	judge "the volumes" "$VOLUMES/vol1" "$VOLUMES/vol2"
	same "the volume"
}

# Everything ends, and the store is whole.
store_is_whole() {
	agent_stop
	end_pid "$SMBD_PID"; SMBD_PID=
	end_pid "$WINBIND_PID"; WINBIND_PID=
	backend_stop
	is "the file system ends well" $? 0
	FS_PID=
	ok "kagefs check" "$BUILD/kagefs" check "$T/store"
	cat "$T/out"
}

EXPOSE_CONF="registry shares = yes"
stage
winbind_start
agent_start --require-rpc-auth no --reconcile-interval 1
export LITMUS_PORT=$PORT KAGEFS_VSS_STATE_DIR=$T/records
(umask 077 && printf 'username = root\npassword = %s\ndomain = KAGETEST\n' "$PASSWORD" >"$LITMUS_AUTH")
write_use
"$LITMUS" write "$NOTES" "$PAIRS" $S/fsrvp_share $S/second >"$T/writer.log" 2>&1 &
WRITER=$!
wait_for all_wrote || die "no writer: $(cat "$T/writer.log")"
sets_through_smb
sets_by_ioctl
control
writers_end
store_is_whole
finish
