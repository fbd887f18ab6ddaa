#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kagefs-vss with credentials from a keytab, and from a ticket: a private KDC, a private smbd that takes Kerberos, the agent.
# Kerberos is what protects the SMB session; at the RPC level the agent has NTLM only, so calls go without (--auth none).
#
#   BUILD=build  where the programs are
# shellcheck disable=SC2034,SC2154  # the library's variables
. "$(dirname "$0")/../agent/smbd-lib.sh"
export PATH=$PATH:/usr/sbin
for program in krb5kdc kdb5_util kadmin.local kinit; do command -v $program >/dev/null || skip "$program is not installed"; done
VSS=$BUILD/kagefs-vss
[ -x "$VSS" ] || skip "$VSS is not built"
REALM=KAGE.TEST HOST=kagetest.kage.test KDC_PID=
trap 'end_pid "$KDC_PID"; cleanup; umount -l /etc/hosts 2>/dev/null' EXIT

kdc() {
	local port; port=$(free_port)
	printf '127.0.0.1 localhost\n127.0.0.1 %s\n' $HOST >"$T.hosts"
	mount --bind "$T.hosts" /etc/hosts
	rm -f "$T.hosts"
	export KRB5_CONFIG=$T/krb5.conf KRB5_KDC_PROFILE=$T/kdc.conf
	cat >"$T/krb5.conf" <<CONF
[libdefaults]
	default_realm = $REALM
	dns_lookup_kdc = false
	dns_canonicalize_hostname = false
	rdns = false
[realms]
	$REALM = {
		kdc = 127.0.0.1:$port
	}
[domain_realm]
	.kage.test = $REALM
CONF
	cat >"$T/kdc.conf" <<CONF
[kdcdefaults]
	kdc_listen = 127.0.0.1:$port
	kdc_tcp_listen = 127.0.0.1:$port
[realms]
	$REALM = {
		database_name = $T/principal
		key_stash_file = $T/stash
		acl_file = $T/acl
		disable_pac = true
	}
CONF
	kdb5_util create -s -r $REALM -P master-1 >"$T/out" 2>&1 || die "kdb5_util: $(cat "$T/out")"
	for principal in cifs/$HOST root; do kadmin.local -r $REALM -q "addprinc -randkey $principal" >>"$T/out" 2>&1; done
	kadmin.local -r $REALM -q "ktadd -k $T/smbd.keytab cifs/$HOST" >>"$T/out" 2>&1
	kadmin.local -r $REALM -q "ktadd -k $T/backup.keytab root" >>"$T/out" 2>&1
	[ -s "$T/backup.keytab" ] || die "kadmin.local: $(cat "$T/out")"
	krb5kdc -n -r $REALM >"$T/kdc.log" 2>&1 &
	KDC_PID=$!
	wait_for kinit -k -t "$T/backup.keytab" -c "$T/probe.cc" root@$REALM || die "the KDC does not answer: $(tail -3 "$T/kdc.log")"
}

vss() { "$VSS" "$1" --port "$PORT" --auth none "${@:2}"; }
left_in_tmp() { find /tmp -maxdepth 1 -name 'kagefs-vss-*' -newer "$T/begin" | wc -l; }

kdc
EXPOSE_CONF="registry shares = yes"
GLOBAL_EXTRA="
	realm = $REALM
	kerberos method = dedicated keytab
	dedicated keytab file = $T/smbd.keytab"
stage
agent_start --require-rpc-auth no
export KAGEFS_VSS_STATE_DIR=$T/records
unset USER LOGNAME PASSWD
S=//$HOST
touch "$T/begin"
ok "probe" vss probe --keytab "$T/backup.keytab" --user root@$REALM $S/second
has "the agent knows who it is" 'user=.*\\root' cat "$T/agent.log"
ok "a whole cycle" vss backup --keytab "$T/backup.keytab" --user root@$REALM --exec "touch $T/done" $S/second $S/fsrvp_share
ok "its command ran" test -e "$T/done"
is "no ticket is left" "$(left_in_tmp)" 0
ok "a ticket that is there already" vss probe --ccache "FILE:$T/probe.cc" $S/second
ok "which stays" test -e "$T/probe.cc"
has "a keytab without the principal" "kinit got no ticket" vss probe --keytab "$T/backup.keytab" --user other@$REALM $S/second
has "a keytab without --user" "no principal" vss probe --keytab "$T/backup.keytab" $S/second
is "no folder is left" "$(left_in_tmp)" 0
nothing_left "keytab"
finish
