#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A store damaged while nobody has it open, as sqlite3 and a flipped byte can; 'kagefs check --repair' and fsck.kagefs mend it or
# say which file is lost, with the exit codes of fsck(8).
. "$(dirname "$0")/lib.sh"
need sqlite3 dd
CHECK_AT_END=0
start
mkdir -p "$M/a/b"
head -c 3000000 /dev/urandom > "$M/a/b/one"
head -c 200000 /dev/urandom > "$M/two"
before=$(digest "$M")
k snapshot create --name s "$M" > /dev/null
umount_store

wanted_rc 0 k check --repair "$S"
[ ! -e "$S/meta.db.before-repair" ] || fail "a copy of the database although nothing was mended"

say "a table of blocks that is gone"
sqlite3 "$S/meta.db" 'DELETE FROM block; INSERT INTO orphan VALUES(999, 5); INSERT INTO inode(line, ino, epoch, dead) VALUES(77, 5, 1, 1);'
wanted_rc 1 k check "$S"
wanted_rc 1 k check --repair "$S"
grep -q '^mended: table orphan: 1 rows' "$T/out" || fail "not said what was mended"
grep -q 'made again from pack' "$T/out" || fail "not said what was mended"
same "$(sqlite3 "$S/meta.db.before-repair" 'SELECT count(*) FROM block; SELECT count(*) FROM orphan' | tr '\n' ' ')" "0 1 " "copy of the database"
wanted_rc 0 k check --repair "$S"
wanted_rc 0 k check "$S"

say "counts of references"
sqlite3 "$S/meta.db" 'UPDATE block SET refs = 0 WHERE id % 2 = 0; UPDATE block SET refs = 9 WHERE id % 2 = 1'
ln -s "$KAGEFS" "$T/fsck.kagefs"
wanted_rc 4 "$T/fsck.kagefs" "$S"
wanted_rc 1 "$T/fsck.kagefs" -a "$S"
wanted_rc 0 "$T/fsck.kagefs" "$S"
mount_store
same "$(digest "$M")" "$before" "content after repair"
same "$(digest "$M/.snapshots/s")" "$before" "the snapshot after repair"
umount_store

say "a byte of the packs"
read -r pack off < <(sqlite3 -separator ' ' "$S/meta.db" 'SELECT pack, off FROM block ORDER BY id LIMIT 1')
printf '\377\000\377' | dd of="$S/packs/$(printf %08x "$pack")" bs=1 seek=$((off + 1000)) conv=notrunc status=none
wanted_rc 4 k check --repair --json "$S"
python3 -c 'import json,sys; d = json.load(open(sys.argv[1])); assert d["count"] == 1 and any("file=/" in v["text"] for v in d["violations"]), d' "$T/out" ||
	fail "JSON: $(cat "$T/out")"
wanted_rc 4 k check --repair "$S"
lost=$(sed -n 's/^lost: volume=1 .*file=\([^:]*\): 1 of its blocks.*/\1/p' "$T/out")
[ -n "$lost" ] || fail "the file is not named: $(cat "$T/out")"
mount_store
must_fail cat "$M$lost"
must_fail cat "$M/.snapshots/s$lost"
rm "$M$lost"
k snapshot delete "$M" s
umount_store
wanted_rc 0 k check --repair "$S"

say "an index row that points elsewhere, rows of nobody, a place in use that is to be given back"
mount_store
head -c 1000000 /dev/urandom > "$M/three"
k sync "$M"
before=$(digest "$M")
umount_store
sqlite3 "$S/meta.db" 'UPDATE block SET off = (SELECT max(off) FROM block) WHERE id % 3 = 0;
	INSERT INTO orphan VALUES(999, 5); INSERT INTO freed SELECT pack, off, stored FROM block WHERE id % 3 = 1 AND pack > 0'
wanted_rc 1 k check "$S"
grep -q "; .*; run 'kagefs check --repair'" "$T/out" || fail "not said what it means and what to do: $(cat "$T/out")"
wanted_rc 1 k check --repair "$S"
wanted_rc 0 k check --repair "$S"
mount_store
same "$(digest "$M")" "$before" "content after repair"
umount_store

say "a log whose end is torn"
mount_store
echo first > "$M/first"
k sync "$M"
echo second > "$M/second"
sync "$M/second"
pid=$(daemon_pid)
kill -9 "$pid"
umount -l "$M" 2> /dev/null || fusermount3 -u -z "$M"
while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
python3 - "$S/log" << 'E'
import glob, struct, sys
segs = [(struct.unpack_from("<Q", open(f, "rb").read(80), 40)[0], f) for f in glob.glob(sys.argv[1] + "/seg-*") if open(f, "rb").read(8) == b"KAGELOG1"]
f = max(segs)[1]
data = open(f, "rb").read().rstrip(b"\0")
with open(f, "r+b") as out:
    out.seek(len(data) - 1)
    out.write(bytes([data[-1] ^ 1]))
E
wanted_rc 0 k check --repair "$S"
mount_store
same "$(cat "$M/first")" first "what was before the end"
umount_store

say "a pack cut off, then gone"
pack=$S/packs/$(printf %08x "$(sqlite3 "$S/meta.db" 'SELECT pack FROM block WHERE len = 65536 ORDER BY id DESC LIMIT 1')")
truncate -s 300000 "$pack"
wanted_rc 4 k check --repair "$S"
grep -q '^lost: volume=1 file=/three: .*; restore it from a backup' "$T/out" || fail "the file is not named: $(cat "$T/out")"
rm "$pack"
wanted_rc 4 k check --repair "$S"
mount_store
must_fail cat "$M/three"
same "$(cat "$M/first")" first "a file that was not in it"
echo new > "$M/three"
same "$(cat "$M/three")" new "written again"
rm -r "$M/a" "$M/two"
umount_store
wanted_rc 0 k check --repair "$S"
wanted_rc 0 k check "$S"

wanted_rc 8 k check --repair "$T"
mount_store
wanted_rc 8 k check --repair "$S"
umount_store
