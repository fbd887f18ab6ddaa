#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# rpcclient's FSRVP commands in every context, read-only and writable; several shares in one set; access; expose and
# withdraw as clients see it: all of it with either way to tell Samba of shares.  Then authentication at the RPC level.
. "$(dirname "$0")/smbd-lib.sh"

# create CONTEXT MODE SHARE...: sets SET and the arrays COPY and NAME
create() {
	local context=$1 mode=$2; shift 2
	rpc "fss_create_expose $context $mode $*" >"$T/created" 2>&1
	SET=$(sed -nE 's/^([0-9a-f-]{36}): shadow-copy set created.*/\1/p' "$T/created")
	mapfile -t COPY < <(sed -nE 's/^[0-9a-f-]{36}\(([0-9a-f-]{36})\): share .* exposed.*/\1/p' "$T/created")
	mapfile -t NAME < <(sed -nE 's/^.*: share (.*) exposed as.*/\1/p' "$T/created")
	is "create $context $mode $*" "${#NAME[@]}" $#
	[ ${#NAME[@]} = $# ] || sed 's/^/    /' "$T/created"
}
delete() { has "delete mapping of $1" "deleted" rpc "fss_delete $1 $SET $2"; }

contexts() {
	for context in backup file_share_backup nas_rollback app_rollback; do
		for mode in ro rw; do
			create $context $mode fsrvp_share
			has "mapping" "${NAME[0]}" rpc "fss_get_mapping fsrvp_share $SET ${COPY[0]}"
			has "copy is readable" "file" smbc "${NAME[0]}" ls
			if [ $mode = rw ]; then
				ok "writable before recovery is complete" smbc "${NAME[0]}" "put $T/smb.conf edited"
				has "the base share does not see it" "NO_SUCH_FILE" smbc fsrvp_share "ls edited"
			else
				has "not writable" "MEDIA_WRITE_PROTECTED|ACCESS_DENIED" smbc "${NAME[0]}" "put $T/smb.conf edited"
			fi
			has "recovery complete" "recovery complete|marked" rpc "fss_recovery_complete $SET"
			has "sealed" "MEDIA_WRITE_PROTECTED|ACCESS_DENIED" smbc "${NAME[0]}" "put $T/smb.conf again"
			delete fsrvp_share "${COPY[0]}"
		done
	done
	nothing_left "contexts"
}

# How many of our shares Samba's configuration has, again and again, until $T/watch is gone.
watch_shares() { while [ -e "$T/watch" ]; do testparm -s "$T/smb.conf" 2>/dev/null | grep -c '^\[.*@{'; done >"$T/seen"; }

several_shares() {
	touch "$T/watch"
	watch_shares &
	create backup rw fsrvp_share second below 'hidden$'
	rm "$T/watch"
	wait $!
	is "all four appear at one instant" "$(sort -u "$T/seen" | grep -vE '^(0|4)$' | tr '\n' ' ')" ""
	is "two shares of one volume have one copy" "${COPY[0]}" "${COPY[2]}"
	is "a hidden share's copy is hidden" "${NAME[3]}" "hidden\$@{${COPY[3]}}\$"
	has "share below the root shows its own directory" "below|file" smbc "${NAME[2]}" "more file"
	has "not in the browse list" "fsrvp_share " smb_answers
	if grep -q '@{' "$T/out"; then fail "exposed shares are in the browse list"; fi
	has "has_shadow_copy" "has an associated shadow-copy" rpc "fss_has_shadow_copy second"
	delete fsrvp_share "${COPY[0]}"
	has "withdrawn share is gone" "BAD_NETWORK_NAME" smbc "${NAME[0]}" ls
	has "its sibling on the same volume is not" "file" smbc "${NAME[2]}" ls
	delete below "${COPY[2]}"
	delete second "${COPY[1]}"
	delete 'hidden$' "${COPY[3]}"
	nothing_left "several shares"
}

disconnects() {
	create backup ro second
	(echo 'ls'; sleep 4; echo 'ls') | smbclient -s "$T/smb.conf" -p "$PORT" -U "KAGETEST\\root%$PASSWORD" "//127.0.0.1/${NAME[0]}" >"$T/held" 2>&1 &
	local client=$!
	sleep 1
	delete second "${COPY[0]}"
	wait $client
	has "users of a withdrawn share are disconnected" "NETWORK_NAME_DELETED|CONNECTION_DISCONNECTED|NOT_CONNECTED|USER_SESSION_DELETED" cat "$T/held"
}

descriptor() { sharesec --configfile="$T/smb.conf" "$1" --viewsddl; }
set_descriptor() { sharesec --configfile="$T/smb.conf" "$1" --setsddl="$2" || fail "sharesec"; }
READ='D:(A;;0x001200a9;;;WD)' CHANGE='D:(A;;0x001301bf;;;WD)' ROOT_ONLY='D:(A;;0x001f01ff;;;S-1-22-1-0)' EVERYBODY='D:(A;;0x001f01ff;;;WD)'

# The share permissions of the base as they are when the set is exposed; neither before nor after.
descriptor_is_cloned() {
	set_descriptor second "$READ"
	KAGEFS_VSS_STATE_DIR=$T/records vss create --context backup //127.0.0.1/second >"$T/made" 2>&1 || fail "create: $(cat "$T/made")"
	local set name
	set=$(sed -n 's/^set //p' "$T/made")
	set_descriptor second "$CHANGE"
	name=$(KAGEFS_VSS_STATE_DIR=$T/records vss expose "$set" 2>/dev/null) || fail "expose"
	name=${name##*/}
	is "share permissions are the base's at that moment" "$(descriptor "$name")" "$CHANGE"
	set_descriptor second "$ROOT_ONLY"
	is "and stay what they were" "$(descriptor "$name")" "$CHANGE"
	KAGEFS_VSS_STATE_DIR=$T/records vss delete "$set" >/dev/null 2>&1 || fail "delete"
	create backup ro second
	USER_NAME=backup has "who may not use the base may not use its copy" "ACCESS_DENIED" smbc "${NAME[0]}" ls
	has "who may, may" "file" smbc "${NAME[0]}" ls
	delete second "${COPY[0]}"
	printf '[global]\n\tinclude = %s\n[%s]\n\tpath = /\n' "$T/smb.conf" "${NAME[0]}" >"$T/again.conf"
	is "with the share its permissions are gone" "$(sharesec --configfile="$T/again.conf" "${NAME[0]}" --viewsddl)" "$EVERYBODY"
	sharesec --configfile="$T/smb.conf" second --delete >/dev/null
}
vss() { "$BUILD/kagefs-vss" "$1" --authfile "$T/auth" --port "$PORT" --auth none "${@:2}"; }

two_clients() { # one set in progress at a time, from one address: the second replaces nothing that is exposed
	create backup ro fsrvp_share; local set1=$SET copy1=${COPY[0]}
	create nas_rollback rw second; local set2=$SET copy2=${COPY[0]}
	SET=$set1 delete fsrvp_share "$copy1"
	SET=$set2 delete second "$copy2"
	nothing_left "two clients"
}

errors() {
	has "share that does not exist" "80070057" rpc "fss_is_path_sup nosuch"
	has "share outside kagefs" "does not support" rpc "fss_is_path_sup elsewhere"
	has "cannot be added" "8004230c" rpc "fss_create_expose backup ro elsewhere"
	has "unknown set" "80042308" rpc "fss_delete second 11111111-1111-1111-1111-111111111111 11111111-1111-1111-1111-111111111111"
	has "unknown set" "80070057" rpc "fss_recovery_complete 11111111-1111-1111-1111-111111111111"
	USER_NAME=games has "a user without rights" "80070005" rpc "fss_is_path_sup second"
	USER_NAME=backup has "a user that is allowed" "supports shadow copy" rpc "fss_is_path_sup second"
}

# What Samba's configuration has besides our shares is never touched.
others_untouched() { is "$1: other shares" "$(testparm -s "$T/smb.conf" 2>/dev/null | grep '^\[' | grep -vc '@{')" "$OTHERS"; }

both_ways() { # EXPOSE
	say "--expose $1, without authentication at the RPC level"
	agent_start --require-rpc-auth no --allow backup --expose "$1"
	contexts
	several_shares
	disconnects
	descriptor_is_cloned
	two_clients
	errors
	others_untouched "$1"
	agent_stop
}

EXPOSE_CONF=${EXPOSE_CONF-registry shares = yes}
stage
[ -x "$BUILD/kagefs-vss" ] || skip "$BUILD/kagefs-vss is not built"
printf 'username = root\npassword = %s\ndomain = KAGETEST\n' "$PASSWORD" >"$T/auth"
chmod 600 "$T/auth"
net -s "$T/smb.conf" conf addshare theirs "$T/elsewhere" || fail "a registry share of somebody else"
OTHERS=$(testparm -s "$T/smb.conf" 2>/dev/null | grep -c '^\[')
both_ways registry
both_ways include
is "the include file is empty again" "$(grep -c '^\[.*@{' "$T/shares.conf")" 0

say "authentication at the RPC level required, winbind runs"
winbind_start
agent_start --require-rpc-auth yes --allow backup
has "not authenticated" "80070005" rpc "fss_is_path_sup second"
for BINDING in '[sign]' '[seal]' '[ntlm,sign]' '[ntlm,seal]' '[spnego,sign]' '[spnego,seal]'; do
	has "$BINDING" "supports shadow copy" rpc "fss_is_path_sup second"
done
BINDING='[seal]'
USER_NAME=games has "sealed, but without rights" "80070005" rpc "fss_is_path_sup second"
create backup rw fsrvp_share second
delete fsrvp_share "${COPY[0]}"
delete second "${COPY[1]}"
nothing_left "sealed"
agent_stop
finish
