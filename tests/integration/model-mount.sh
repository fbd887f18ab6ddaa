#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The model test through the mount: random system calls on a kagefs volume and on a tmpfs directory must do the same, with
# snapshots, rollbacks, remounts and kill -9 of the daemon in between.  SEEDS and OPS from the environment for longer runs.
. "$(dirname "$0")/lib.sh"
need_root
helper twin_test
SEEDS=${SEEDS:-"1 2 3"} OPS=${OPS:-4000}
start -o allow_other
mkdir "$T/ref"
mount -t tmpfs -o size=512m tmpfs "$T/ref"
ended() { # the reference is no mount of kagefs: finish would not release it
	local rc=$?
	umount -l "$T/ref"
	(exit $rc)
	finish
}
trap ended EXIT
for seed in $SEEDS; do
	say "seed $seed"
	k volume create "$M/v$seed"
	mkdir -m "$(stat -c %a "$M/v$seed")" "$T/ref/v$seed"
	for round in 1 2; do
		"$HELPERS/twin_test" run "$M/v$seed" "$T/ref/v$seed" "$KAGEFS" "$seed$round" "$OPS" || fail "seed $seed$round, $OPS operations"
		if [ $round = 1 ]; then
			umount_store
		else
			k sync "$M"
			pid=$(daemon_pid)
			kill -KILL "$pid"
			for ((i = 0; i < 100; i++)); do
				[ -e "/proc/$pid" ] || break
				sleep 0.1
			done
			umount -l "$M"
		fi
		mount_store -o allow_other
		"$HELPERS/twin_test" compare "$M/v$seed" "$T/ref/v$seed" || fail "seed $seed$round after the remount"
	done
done
