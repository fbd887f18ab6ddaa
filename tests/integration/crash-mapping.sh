#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 of the program while the kernel writes back what a shared mapping holds, because of a snapshot: the program is gone,
# nobody hangs, and the next mount works.
# ROUNDS (default 4).
. "$(dirname "$0")/lib.sh"
helper crash_load
need_root # an ordinary user's program may not open by handle, and has the kernel write back in another way
start
k volume create "$M/v"
for round in $(seq "${ROUNDS:-4}"); do
	pid=$(daemon_pid)
	"$HELPERS/crash_load" map "$M/v/file" 128 > "$T/mapped" 2> /dev/null &
	load=$!
	until [ -s "$T/mapped" ]; do
		kill -0 $load || fail "crash_load map"
		sleep 0.02
	done
	k snapshot create --name "r$round" "$M/v" > /dev/null 2>&1 &
	snap=$!
	sleep "0.$((round * 7 % 10))"
	kill -9 "$pid"
	i=0
	while kill -0 "$pid" 2> /dev/null; do
		i=$((i + 1))
		[ $i -lt 600 ] || fail "the program hangs after kill -9 (round $round)"
		sleep 0.05
	done
	kill $load 2> /dev/null || true # it may have had its SIGBUS
	wait $load $snap || true
	rm "$T/mapped"
	k mount "$S" "$M"
	ls "$M/v" > /dev/null
done
say "$(find "$M/v/.snapshots" -mindepth 1 -maxdepth 1 | wc -l) snapshots were acknowledged in time"
