#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 of the program at random under load, then mount again: the dead mount answers ENOTCONN, `kagefs mount` replaces it,
# everything that fsync promised is there, snapshots are whole or not there at all.
# ROUNDS (default 8), SEED (default: the time; printed).  io_uring.sh runs it once more.
. "$(dirname "$0")/lib.sh"
helper crash_load
start
rounds=${ROUNDS:-8}
seed=${SEED:-$(date +%s)}
say "SEED=$seed"
RANDOM=$((seed % 32768))
k volume create "$M/v"
mkdir "$M/v/work" "$M/v/noise"
for round in $(seq "$rounds"); do
	pid=$(daemon_pid)
	"$HELPERS/crash_load" write "$M/v/work" "$T/journal" "$((seed + round))" &
	load=$!
	# unpromised work beside it
	(
		i=0
		while dd if=/dev/zero of="$M/v/noise/n$((i % 7))" bs=64k count=$((RANDOM % 40 + 1)) 2> /dev/null; do
			rm -f "$M/v/noise/n$(((i + 3) % 7))"
			i=$((i + 1))
		done
	) 2> /dev/null &
	noise=$!
	(
		n=0
		while k snapshot create --name "r$round-$n" "$M/v" > /dev/null 2>&1; do
			echo "r$round-$n" >> "$T/snapshots"
			if [ $((n % 3)) = 2 ]; then
				echo "r$round-$((n - 1))" >> "$T/deleting"
				k snapshot delete "$M/v" "r$round-$((n - 1))" > /dev/null 2>&1 && echo "r$round-$((n - 1))" >> "$T/deleted"
			fi
			n=$((n + 1))
			sleep 0.1
		done
	) 2> /dev/null &
	snaps=$!
	sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
	kill -9 "$pid"
	wait $load $noise $snaps || true
	while kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
	must_fail ls "$M/v"
	mount_store
	"$HELPERS/crash_load" verify "$M/v/work" "$T/journal" || fail "after kill -9, round $round"
	touch "$T/snapshots" "$T/deleting" "$T/deleted"
	# acknowledged snapshots are there and readable, acknowledged deletions are done
	for s in $(comm -23 <(sort "$T/snapshots") <(sort "$T/deleted")); do
		[ ! -d "$M/v/.snapshots/$s" ] || continue
		# done, and its answer not heard of
		[ "${s%-*}" = "r$round" ] && grep -qx "$s" "$T/deleting" || fail "snapshot $s is lost (round $round)"
		echo "$s" >> "$T/deleted"
	done
	for s in $(cat "$T/deleted"); do
		[ ! -e "$M/v/.snapshots/$s" ] || fail "deleted snapshot $s is back (round $round)"
	done
	for s in $(ls "$M/v/.snapshots" | tail -2); do
		find "$M/v/.snapshots/$s" -type f -exec cat {} + > /dev/null || fail "reading snapshot $s (round $round)"
	done
	for s in $(ls "$M/v/.snapshots" | sed "/^r$round-/d" | sed 5q); do
		k snapshot delete "$M/v" "$s"
		echo "$s" >> "$T/deleted"
	done
	if [ $((round % 3)) = 0 ]; then
		k umount "$M"
		check_store
		mount_store
	fi
done
say "$(wc -l < "$T/snapshots") snapshots, $(grep -c ^end "$T/journal") promised saves, $rounds kills"
