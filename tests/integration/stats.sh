#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kagefs stats: after known work it shows that work, requests answered by another thread included.
. "$(dirname "$0")/lib.sh"
start
cd "$M"

# value NAME: a counter.  times NAME FIELD: count, mean, p50, p99, p99.9 or max (microseconds) of one line of the table.
value() { k stats "$M" | awk -v n="$1" '$1 == n {print $2}'; }
times() {
	k stats "$M" | awk -v n="$1" -v f="$2" 'BEGIN {split("count mean p50 p99 p99.9 max", name); for (i in name) col[name[i]] = i + 1}
		$1 == n {print $col[f]; found = 1} END {if (!found) print 0}'
}
# The converter works in the background.
wait_idle() {
	local i
	sync
	for i in $(seq 200); do
		[ "$(value apply.lag_records)" != 0 ] || return 0
		sleep 0.1
	done
	fail "not applied after 20 s: $(k stats "$M" | grep '^apply')"
}
less() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a < b)}'; }

# requests: created, written, made durable
for i in $(seq 50); do echo "$i" > "f$i"; done
same "$(times create count)" 50 "creates"
same "$(times write count)" 50 "writes"
same "$(times write_sync count)" 0 "synchronous writes before there were any"
dd if=/dev/zero of=sync bs=4k count=20 oflag=dsync status=none
same "$(times create count)" 51 "creates with one more"
same "$(times write count)" 50 "writes without the synchronous ones"
same "$(times write_sync count)" 20 "synchronous writes"
before=$(times fsync count)
dd if=/dev/zero of=one bs=4k count=1 conv=fsync status=none
same $(($(times fsync count) - before)) 1 "fsync"
for what in create write write_sync fsync ioctl log_flush; do
	less 0 "$(times $what p50)" || fail "$what took no time"
	less "$(times $what p99)" "$(times $what max)1" || fail "$what: p99 above the maximum"
done
# a synchronous write waits for a flush, so the slowest is not faster than the fastest half of the flushes
less "$(times log_flush p50)" "$(times write_sync max)" || fail "synchronous writes were counted before they were durable"
same "$(value ops.write_bytes)" $((141 + 21 * 4096)) "bytes written"

# snapshots: commits and how long they held writers
for i in 1 2 3; do k snapshot create . > /dev/null; done
same "$(value ops.commits)" 3 "commits"
same "$(times set_commit count)" 3 "commits timed"
less 2 "$(times set_gate count)" || fail "the gate was not timed"
less "$(times set_gate max)" "$(times set_commit max)" || fail "writers were held longer than the commit took"

# blocks: equal ones are stored once, zeros compress
block=$(k df --json . | sed 's/.*"block_size":\([0-9]*\).*/\1/')
wait_idle
appended=$(value blocks.appended) hits=$(value blocks.dedup_hits) plain=$(value blocks.plain_bytes)
head -c $((8 * block)) /dev/urandom | tr '\0' x > random # zeros at a block's end are not stored
wait_idle
same $(($(value blocks.appended) - appended)) 8 "new blocks"
same $(($(value blocks.plain_bytes) - plain)) $((8 * block)) "their bytes"
dd if=random of=again bs=64k status=none # read and written, where cat and cp would clone
wait_idle
same $(($(value blocks.appended) - appended)) 8 "blocks of a copy"
same $(($(value blocks.dedup_hits) - hits)) 8 "blocks found again"
less 1 "$(value blocks.dedup_ratio)" || fail "dedup ratio"
stored=$(value blocks.stored_bytes)
(yes kagefs || :) | head -c $((32 * block)) > text
wait_idle
less $((($(value blocks.stored_bytes) - stored) * 8)) $((32 * block)) || fail "compression is not shown"
less 1 "$(value blocks.compression_ratio)" || fail "compression ratio"
same "$(value convert.lag_bytes)" 0 "bytes to convert when idle"
same "$(value apply.lag_ms)" 0 "lag when idle"

# while there is a lag it is shown
head -c $((4 * block)) /dev/urandom > lag
lag=$(value convert.lag_bytes)
[ "$lag" -ge $((4 * block)) ] || [ "$(value blocks.appended)" -gt $((appended + 8)) ] || fail "lag is not shown: $lag"

# caches: a second reading is served from memory
wait_idle
echo 3 > /proc/sys/vm/drop_caches 2> /dev/null || say "not root: pages stay cached"
cat random > /dev/null
hits=$(value caches.rows.hits)
stat f1 f2 f3 > /dev/null
cat random > /dev/null
[ "$(value caches.rows.hits)" -ge "$hits" ] || fail "hits went down"
less 0 "$(value caches.rows.hit_ratio)" || fail "hit ratio of rows"

# one object, valid JSON
k stats --json . > "$T/json"
same "$(wc -l < "$T/json")" 1 "lines of JSON"
grep -q '"schema_version":2,' "$T/json" || fail "schema version"
if command -v python3 > /dev/null; then
	same "$(python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["times_ns"]["write_sync"]["count"])' < "$T/json")" 20 "JSON"
fi
timeout 2 "$KAGEFS" stats --watch 0.2 --json . > "$T/json" || [ $? = 124 ]
same "$(head -3 "$T/json" | grep -c '^{.*}$')" 3 "an object per interval"

# --watch: one line of numbers per interval, with the writes of that interval
(while [ ! -e "$T/stop" ]; do dd if=/dev/zero of=sync bs=4k count=50 oflag=dsync conv=notrunc status=none; done) &
timeout 3 "$KAGEFS" stats --watch 0.5 . > "$T/watch" || [ $? = 124 ]
touch "$T/stop"
wait
grep -v '[a-z]' "$T/watch" > "$T/lines"
[ "$(wc -l < "$T/lines")" -ge 4 ] || fail "lines: $(cat "$T/watch")"
same "$(awk '{print NF}' "$T/lines" | sort -u)" "$(tail -1 <(grep reqs "$T/watch") | awk '{print NF}')" "columns"
awk 'NR > 1 && $3 > 0 && $7 > 0 {ok = 1} END {exit !ok}' "$T/lines" || fail "no writes shown: $(cat "$T/watch")"
# Threads that write and sync in turn share flushes: soon their writes are answered when durable.  One that stops syncing is not held up.
truncate -s 32M image
in_turn() { # in_turn WRITES: after 40 writes with an fdatasync each, so many without; prints how many were answered when durable
	local before
	before=$(times write_sync count)
	python3 - image "$1" << 'X'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for i in range(40):
    os.pwrite(fd, os.urandom(4096), i * 4096)
    os.fdatasync(fd)
for i in range(int(sys.argv[2])):
    os.pwrite(fd, os.urandom(4096), i * 4096)
os.close(fd)
X
	echo $(($(times write_sync count) - before))
}
if command -v python3 > /dev/null; then
	n=$(in_turn 0)
	less 20 "$n" || fail "writes followed by fdatasync are not durable by themselves: $n of 40"
	n=$(in_turn 200)
	less "$n" 60 || fail "writes wait although nobody syncs any more: $n of 240"
fi
cd /
umount_store
