#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# git, SQLite, a C build, tar and rsync work on the mount while snapshots are taken; each snapshot is a state the tool was
# in: git fsck, PRAGMA integrity_check and the tool's own comparison say so.
. "$(dirname "$0")/lib.sh"
need git sqlite3 tar rsync cc make
start
cd "$M"
k volume create w
cd w

# Snapshots every now and then, until told to stop.
touch "$T/go"
(
	n=0
	while [ -e "$T/go" ]; do
		k snapshot create --name "s$n" "$M/w" > /dev/null
		n=$((n + 1))
		sleep 0.3
	done
) &
snapper=$!

# git
git init -q repo
git -C repo config user.email t@example.org
git -C repo config user.name t
git -C repo config gc.auto 0
for i in $(seq 1 15); do
	mkdir -p "repo/d$i"
	for j in $(seq 1 10); do echo "$i $j $RANDOM" > "repo/d$i/f$j"; done
	git -C repo add -A
	git -C repo commit -qm "commit $i"
done
git -C repo gc -q
git -C repo fsck --strict > /dev/null 2>&1 || fail "git fsck"
same "$(git -C repo status --porcelain | wc -l)" 0 "git status"
same "$(git -C repo log --oneline | wc -l)" 15 "commits"

# SQLite, both journal modes; the rows of a transaction come together or not at all
for mode in delete wal; do
	sqlite3 "$mode.db" "PRAGMA journal_mode=$mode; CREATE TABLE t(a INTEGER, b BLOB);" > /dev/null
	for i in $(seq 1 40); do
		echo "BEGIN; INSERT INTO t VALUES($i, randomblob(3000)); INSERT INTO t VALUES(-$i, randomblob(3000)); COMMIT;"
	done | sqlite3 "$mode.db"
	same "$(sqlite3 "$mode.db" 'SELECT count(*), sum(a) FROM t; PRAGMA integrity_check;' | tr '\n' ' ')" "80|0 ok " "SQLite $mode"
done

# a C build
mkdir build
cat > build/Makefile << 'X'
prog: $(patsubst %.c,%.o,$(wildcard *.c))
	$(CC) -o $@ $^
X
for i in $(seq 1 12); do echo "int f$i(int x) { return x + $i; }" > "build/f$i.c"; done
{
	for i in $(seq 1 12); do echo "int f$i(int);"; done
	echo 'int main(void) { int s = 0;'
	for i in $(seq 1 12); do echo "s = f$i(s);"; done
	echo 'return s == 78 ? 0 : 1; }'
} > build/main.c
make -s -C build -j2
./build/prog || fail "the program that was built"
make -s -C build -q prog || fail "make thinks it must build again: time stamps are wrong"

# tar and rsync, there and back
mkdir src
for i in $(seq 1 200); do head -c $((RANDOM % 20000)) /dev/urandom > "src/f$i"; done
ln -s f1 src/link
ln src/f2 src/hard
truncate -s 10M src/sparse
echo end >> src/sparse
tar -cf all.tar src
mkdir untar
tar -xf all.tar -C untar
same "$(digest untar/src)" "$(digest src)" "tar there and back"
rsync -aHS src/ rsynced/
same "$(digest rsynced)" "$(digest src)" "rsync"
same "$(rsync -aHSni src/ rsynced/ | wc -l)" 0 "rsync finds differences"
cp -a src copied
same "$(digest copied)" "$(digest src)" "cp -a"

rm "$T/go"
wait "$snapper"

# what the snapshots hold
count=0
for s in .snapshots/*; do
	count=$((count + 1))
	for mode in delete wal; do
		[ -e "$s/$mode.db" ] || continue
		sqlite3 "$s/$mode.db" 'PRAGMA integrity_check; SELECT coalesce(sum(a), 0) FROM t;' > "$T/q" 2>&1 || {
			grep -q 'no such table' "$T/q" && continue
			fail "SQLite $mode in $s: $(cat "$T/q")"
		}
		same "$(tr '\n' ' ' < "$T/q")" "ok 0 " "SQLite $mode in $s"
	done
	if [ -d "$s/repo/.git/refs/heads" ] && [ -n "$(ls -A "$s/repo/.git/refs/heads")" ]; then
		rm -f "$s/repo/.git/index.lock"
		git -c safe.directory='*' -C "$s/repo" fsck --strict > "$T/q" 2>&1 || fail "git in $s: $(cat "$T/q")"
	fi
done
[ "$count" -ge 3 ] || fail "only $count snapshots were taken"
say "$count snapshots compared"

# and a snapshot of a quiet tree is that tree
k snapshot create --name quiet . > /dev/null
rm -rf repo src
same "$(digest .snapshots/quiet/src)" "$(digest copied)" "quiet snapshot"
git -c safe.directory='*' -C .snapshots/quiet/repo fsck --strict > /dev/null 2>&1 || fail "git in the quiet snapshot"
tree=$(digest .snapshots/quiet)
umount_store
mount_store
same "$(digest "$M/w/.snapshots/quiet")" "$tree" "quiet snapshot after remount"
