#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Attribute namespaces (Samba's among them) and POSIX ACLs, also across snapshots and a remount.
. "$(dirname "$0")/lib.sh"
need_root
need setfattr getfattr setfacl getfacl setpriv
U=61234 V=61235
as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
chmod 755 "$T"
start -o allow_other
chmod 755 "$M"
cd "$M"
k volume create v
cd v
chmod 777 .
echo x > f
chmod 666 f
for n in user.DOSATTRIB security.NTACL trusted.t system.own user.a; do
	setfattr -n $n -v "value of $n" f
	same "$(getfattr -n $n --only-values f)" "value of $n" "$n"
done
same "$(getfattr -d -m - f | grep -c '=')" 5 "listed as root"
same "$(as $U getfattr -d -m - f 2> /dev/null | grep -c '^trusted')" 0 "trusted.* shown to a user"
must_fail as $U setfattr -n trusted.x -v y f
must_fail as $U setfattr -n security.NTACL -v y f
must_fail as $U setfattr -n system.own -v y f
must_fail as $U setfattr -x system.own f
as $U setfattr -n user.theirs -v y f
must_fail setfattr -n nonsense.x -v y f
ln -s f l
setfattr -h -n trusted.link -v y l
must_fail setfattr -h -n user.link -v y l
mkdir d
setfattr -n user.dir -v y d
setfattr -n user.binary -v 0x00ff0a00 f
same "$(getfattr -e hex -n user.binary f | grep -o '0x.*')" 0x00ff0a00 "binary value"
setfattr -x user.a f
must_fail getfattr -n user.a f

# ACLs
echo secret > g
chmod 640 g
must_fail as $U cat g
setfacl -m u:$U:r g
same "$(as $U cat g)" secret "allowed by ACL"
must_fail as $V cat g
same "$(stat -c %A g)" "-rw-r-----" "mode with ACL"
chmod 600 g # the mask
must_fail as $U cat g
chmod 640 g
as $U cat g > /dev/null
setfacl -m m::--- g
must_fail as $U cat g
same "$(stat -c %A g)" "-rw-------" "mask is the group mode"
setfacl -m u:$U:rw,m::rw g
as $U sh -c 'echo more >> g'
setfacl -b g
same "$(stat -c %A g)" "-rw-r-----" "mode after setfacl -b"
setfacl -d -m u:$U:rwx,g::rx,o::- d
mkdir d/sub
umask 077
echo y > d/file
umask 022
getfacl -cp d/sub | grep -qx "default:user:$U:rwx" || fail "default ACL is not inherited by directories"
getfacl -cp d/file | grep -q "^user:$U:rwx" || fail "default ACL is not applied to files"
same "$(stat -c %A d/file)" "-rw-rw----" "default ACL beats the umask"
same "$(as $U cat d/file)" y "allowed by default ACL"
must_fail as $V cat d/file
must_fail setfacl -d -m u:$U:r f
# an equivalent ACL becomes mode bits
setfacl -m u::rw,g::r,o::r f
same "$(getfattr -d -m system.posix f | wc -l)" 0 "minimal ACL is kept as an attribute"
# set-group-id goes when somebody outside the group changes the ACL
touch s
chown $U:0 s
chmod 2755 s
as $U setfacl -m u:$V:r s
same "$(stat -c %A s)" "-rwxr-xr-x" "set-group-id after setfacl by a foreigner"

acl=$(getfacl -Rcp . | grep -v '^$' | sort | sha256sum)
xat=$(getfattr -Rhd -m - . | sha256sum)
k snapshot create --name s . > /dev/null
setfacl -Rb .
setfattr -x user.DOSATTRIB f
same "$(cd .snapshots/s && getfattr -Rhd -m - . | sha256sum)" "$xat" "attributes in the snapshot"
same "$(cd .snapshots/s && getfacl -Rcp . | grep -v '^$' | sort | sha256sum)" "$acl" "ACLs in the snapshot"
must_fail as $V cat .snapshots/s/d/file
same "$(as $U cat .snapshots/s/d/file)" y "ACL works in the snapshot"
umount_store
mount_store -o allow_other
cd "$M/v"
same "$(cd .snapshots/s && getfattr -Rhd -m - . | sha256sum)" "$xat" "attributes after remount"
same "$(as $U cat .snapshots/s/d/file)" y "ACL after remount"
cd /
