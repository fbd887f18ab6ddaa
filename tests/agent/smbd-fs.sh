#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What only the real file system can show: copies writable by their creator alone and sealed for good, Previous Versions at
# the root of a volume and below it, and kill -9 of the file system at many moments of a cycle.
. "$(dirname "$0")/smbd-lib.sh"
[ "$BACKEND" = kagefs ] || skip "needs BACKEND=kagefs"

create() { # USER CONTEXT MODE SHARE...
	local user=$1; shift
	USER_NAME=$user rpc "fss_create_expose $*" >"$T/created" 2>&1
	SET=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	mapfile -t COPY < <(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): share .* exposed.*/\1/p' "$T/created")
	mapfile -t NAME < <(sed -nE 's/^.*: share (.*) exposed as.*/\1/p' "$T/created")
	[ -n "${NAME[0]:-}" ] || { fail "create $*"; sed 's/^/    /' "$T/created"; }
}

creator_only() {
	create backup backup rw second
	USER_NAME=backup ok "the creator may write" smbc "${NAME[0]}" "put $T/smb.conf edited"
	USER_NAME=games has "another user may not" "ACCESS_DENIED|MEDIA_WRITE_PROTECTED" smbc "${NAME[0]}" "put $T/smb.conf intruder"
	USER_NAME=games has "and may not change a file that all may write" "ACCESS_DENIED|MEDIA_WRITE_PROTECTED" smbc "${NAME[0]}" "put $T/smb.conf file"
	has "the base does not see the edit" "NO_SUCH_FILE" smbc second "ls edited"
	rpc "fss_recovery_complete $SET" >/dev/null
	USER_NAME=backup has "after RecoveryComplete the creator may not either" "ACCESS_DENIED|MEDIA_WRITE_PROTECTED" smbc "${NAME[0]}" "put $T/smb.conf again"
	has "his edit is in the copy" "edited" smbc "${NAME[0]}" ls
	has "delete" deleted rpc "fss_delete second $SET ${COPY[0]}"
	create backup backup ro second
	USER_NAME=backup has "without auto-recovery nobody may" "ACCESS_DENIED|MEDIA_WRITE_PROTECTED" smbc "${NAME[0]}" "put $T/smb.conf edited"
	has "delete" deleted rpc "fss_delete second $SET ${COPY[0]}"
}

sealed_under_an_open_handle() {
	create root backup rw second
	local dir; dir=$(testparm -s "$T/smb.conf" --section-name="${NAME[0]}" --parameter-name=path 2>/dev/null)
	exec 9>>"$dir/file" || fail "cannot open for writing in the copy"
	echo before >&9 || fail "write before the seal"
	rpc "fss_recovery_complete $SET" >/dev/null
	if echo after >&9 2>/dev/null; then fail "an open handle writes after the seal"; else echo "ok: an open handle is stopped by the seal"; fi
	exec 9>&-
	has "delete" deleted rpc "fss_delete second $SET ${COPY[0]}"
}

previous_versions() {
	create root nas_rollback ro fsrvp_share
	local gmt; gmt=$(ls "$VOLUMES/vol1/.snapshots" | tail -1)
	echo changed >"$VOLUMES/vol1/file"; echo changed >"$VOLUMES/vol1/sub/dir/file"
	has "share at the root of the volume lists the snapshot" "$gmt" smbc fsrvp_share "allinfo file"
	has "share below the root lists it" "$gmt" smbc below "allinfo file"
	smbc fsrvp_share "get $gmt\\file $T/old1" >/dev/null 2>&1
	smbc below "get $gmt\\file $T/old2" >/dev/null 2>&1
	is "old contents at the root" "$(cat "$T/old1")" hello
	is "old contents below the root" "$(cat "$T/old2")" below
	has "delete" deleted rpc "fss_delete fsrvp_share $SET ${COPY[0]}"
}

settled() { [ "$(count_sets)" = 0 ] && [ "$(count_shares)" = 0 ] && [ "$(count_snapshots)" = 0 ]; }

# Volumes below a share are in its copy, as of the same instant; those beside it are not made part of the set.
nested_volumes() {
	local top=$VOLUMES/vol1 i n
	"$BUILD/kagefs" volume create "$top/sub/inner" "$top/sub/dir/leaf" "$top/beside" || fail "volume create"
	mkdir -p "$top/sub/inner/x" && "$BUILD/kagefs" volume create "$top/sub/inner/x/innermost" || fail "volume create"
	echo inner >"$top/sub/inner/file"; echo innermost >"$top/sub/inner/x/innermost/file"; echo leaf >"$top/sub/dir/leaf/file"
	chmod -R a+rwX "$top"
	create root nas_rollback rw fsrvp_share
	is "volumes below the share are in its copy" "$(smbc "${NAME[0]}" 'get sub\inner\file -' 2>/dev/null)" inner
	is "and those below these" "$(smbc "${NAME[0]}" 'get sub\inner\x\innermost\file -' 2>/dev/null)" innermost
	ok "writable like the rest" smbc "${NAME[0]}" "put $T/smb.conf sub\\inner\\edited"
	is "the volume itself does not change" "$(ls "$top/sub/inner")" "$(printf 'file\nx')"
	rpc "fss_recovery_complete $SET" >/dev/null
	has "and sealed" "ACCESS_DENIED|MEDIA_WRITE_PROTECTED" smbc "${NAME[0]}" "put $T/smb.conf sub\\inner\\late"
	agent_stop
	agent_start --require-rpc-auth no --reconcile-interval 1
	wait_for smbc "${NAME[0]}" ls
	kill -HUP "$AGENT_PID"
	is "a new agent leaves them" "$(smbc "${NAME[0]}" 'get sub\inner\file -' 2>/dev/null)" inner
	is "copies" "$(count_nested)" "1 1 1 1 1"
	has "delete" deleted rpc "fss_delete fsrvp_share $SET ${COPY[0]}"
	is "copies left" "$(count_nested)" "0 0 0 0 0"
	create root backup ro below
	is "of a share below the root, what lies below it" "$(smbc "${NAME[0]}" 'get leaf\file -' 2>/dev/null)" leaf
	is "and not what lies beside" "$(ls "$top/beside/.snapshots" | wc -l)" 0
	has "delete" deleted rpc "fss_delete below $SET ${COPY[0]}"
	for i in $(seq 61); do echo "$top/sub/dir/v$i"; done | xargs "$BUILD/kagefs" volume create || fail "volume create"
	has "more than a set can have: refused" "8004230c" rpc "fss_create_expose backup ro fsrvp_share"
	has "and said" "too many volumes below" cat "$T/agent.log"
	has "another share is not" "supports shadow copy" rpc "fss_is_path_sup second"
	n=$(for i in $(seq 61); do echo "$top/sub/dir/v$i"; done | xargs "$BUILD/kagefs" volume delete 2>&1) || fail "volume delete: $n"
	"$BUILD/kagefs" volume delete "$top/sub/inner/x/innermost" "$top/sub/inner" "$top/sub/dir/leaf" "$top/beside" >/dev/null || fail "volume delete"
	nothing_left "volumes below a share"
}
count_nested() { local d; for d in sub/inner sub/inner/x/innermost sub/dir/leaf beside .; do ls "$VOLUMES/vol1/$d/.snapshots" | wc -l; done | xargs; }

fs_killed() {
	local delay
	for delay in 0.05 0.10 0.15 0.20 0.25 0.30 0.35 0.40 0.50 0.60; do
		rpc "fss_create_expose backup rw fsrvp_share second" >"$T/created" 2>&1 &
		local client=$!
		sleep $delay
		kill -9 "$FS_PID"
		wait $client
		fs_remount
		agent_stop
		agent_start --require-rpc-auth no --reconcile-interval 1
		wait_for rpc fss_get_sup_version
		if wait_for settled; then echo "ok: file system killed after $delay s"; else fail "file system killed after $delay s"; nothing_left "$delay"; fi
	done
}

fs_killed_agent_lives() {
	create root nas_rollback ro fsrvp_share second
	kill -9 "$FS_PID"
	fs_remount
	ok "persistent copies are readable again" wait_for smbc "${NAME[0]}" "more file"
	has "and can be deleted" deleted rpc "fss_delete fsrvp_share $SET ${COPY[0]}; fss_delete second $SET ${COPY[1]}"
	wait_for settled
	nothing_left "file system killed under a living agent"
}

EXPOSE_CONF="registry shares = yes"
stage
agent_start --require-rpc-auth no --allow backup --reconcile-interval 1
creator_only
sealed_under_an_open_handle
previous_versions
nested_volumes
nothing_left "so far"
fs_killed_agent_lives
fs_killed
agent_stop
finish
