#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# allow_other: every user has their own rights, inside snapshots too; ioctls are root's and the owners'.
. "$(dirname "$0")/lib.sh"
need_root
need setpriv
U=61234 V=61235 G=61300
as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
as_group() { setpriv --reuid="$1" --regid="$1" --groups="$2" "${@:3}"; }
chmod 755 "$T"
start -o allow_other
chmod 755 "$M"
bin=$T/kagefs
cp "$KAGEFS" "$bin"
chmod 755 "$bin"
cd "$M"
k volume create v
chmod 755 v
install -d -o $U -g $U -m 700 v/private
install -d -o $U -g $G -m 2770 v/shared
install -d -m 1777 v/tmp
echo secret > v/private/f
echo common > v/shared/f
chown $U:$G v/shared/f
chmod 660 v/shared/f
echo all > v/open
k snapshot create --name w v > /dev/null
k snapshot create --name ro --read-only v > /dev/null
for top in v v/.snapshots/w v/.snapshots/ro; do
	same "$(as $V cat $top/open)" all "$top: open file"
	must_fail as $V cat $top/private/f
	must_fail as $V ls $top/private
	must_fail as $V cat $top/shared/f
	same "$(as_group $V $G cat $top/shared/f)" common "$top: by group"
	same "$(as $U cat $top/private/f)" secret "$top: own file"
	must_fail as $V sh -c "echo x > $top/open"
	must_fail as $V chmod 777 $top/private
	must_fail as $V chown $V $top/open
done
for top in v v/.snapshots/w; do
	as_group $V $G sh -c "umask 007; echo new > $top/shared/new"
	same "$(stat -c '%u %g %a' $top/shared/new)" "$V $G 660" "$top: group of a set-group-id directory"
	as_group $V $G mkdir $top/shared/sub
	same "$(stat -c '%g %A' $top/shared/sub | cut -c1-17)" "$G drwxr-sr-x" "$top: set-group-id is inherited"
	as $U touch $top/tmp/mine
	must_fail as $V rm -f $top/tmp/mine
	must_fail as $V mv $top/tmp/mine $top/tmp/yours
	# writing takes set-user-id away
	cp /bin/true $top/suid
	chmod 6777 $top/suid
	as $V sh -c "echo x >> $top/suid"
	same "$(stat -c %a $top/suid)" 777 "$top: set-user-id after a foreign write"
	chmod 6777 $top/suid
	as $V truncate -s 1 $top/suid
	same "$(stat -c %a $top/suid)" 777 "$top: set-user-id after a foreign truncate"
	chmod 6777 $top/suid
	as $V sh -c ": > $top/suid"
	same "$(stat -c %a $top/suid)" 777 "$top: set-user-id after a foreign O_TRUNC"
	chmod 6755 $top/suid
	chown $U $top/suid
	same "$(stat -c %a $top/suid)" 755 "$top: set-user-id after chown"
	if command -v setcap > /dev/null && setcap cap_net_raw+ep $top/suid 2> /dev/null; then
		chmod 777 $top/suid
		as $V sh -c "echo x >> $top/suid"
		same "$(getcap $top/suid)" "" "$top: file capabilities after a write"
		# The same without the page cache, and through a handle that is older than the capabilities.
		setcap cap_net_raw+ep $top/suid
		as $V sh -c "dd if=/dev/zero of=$top/suid bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null"
		same "$(getcap $top/suid)" "" "$top: file capabilities after a direct write"
		: > $top/held
		chmod 777 $top/held
		as $V sh -c "exec 9> $top/held; : > $top/tmp/opened; while [ ! -e $top/go ]; do sleep 0.05; done; echo x >&9" &
		for _ in $(seq 200); do [ ! -e $top/tmp/opened ] || break; sleep 0.05; done
		setcap cap_net_raw+ep $top/held
		touch $top/go
		wait $!
		same "$(getcap $top/held)" "" "$top: file capabilities after a write through an older handle"
	fi
done
must_fail as $U touch v/.snapshots/ro/private/x

# ioctls
must_fail as $U "$bin" snapshot create --name no v
must_fail as $U "$bin" snapshot delete v ro
must_fail as $U "$bin" volume delete v
must_fail as $U "$bin" volume create v/tmp/sub
must_fail as $U "$bin" rollback v w
must_fail as $U "$bin" volume set --read-only v
must_fail as $U "$bin" snapshot set --read-only v w
as $U "$bin" volume show v > "$T/out"
as $U "$bin" sync v
as $U "$bin" volume list --json v > "$T/out"
same "$(grep -c '"id"' "$T/out")" 0 "volumes of others in a user's list"
must_fail as $U "$bin" snapshot list v
chown $U v
as $U "$bin" snapshot create --name yes v > /dev/null
same "$(as $U cat v/.snapshots/yes/private/f)" secret "snapshot by the owner"
as $U "$bin" snapshot delete v yes
must_fail as $V "$bin" snapshot create --name no v
k snapshot delete v w ro
