#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One directory with ENTRIES names (default 20,000; 1,000,000 for the record) lists right, also while it changes and in a
# snapshot.  Names are hard links and empty files in turn.
. "$(dirname "$0")/lib.sh"
helper many_files
n=${ENTRIES:-20000}
start
k volume create "$M/v"
mkdir "$M/v/d"
cd "$M/v/d"
begin=$SECONDS
"$HELPERS/many_files" create . "$n"
say "$n names in $((SECONDS - begin)) s"
"$HELPERS/many_files" list . "$n"
k snapshot create --name s "$M/v" > /dev/null
begin=$SECONDS
"$HELPERS/many_files" list-changing . "$n"
say "listed while changing in $((SECONDS - begin)) s"
"$HELPERS/many_files" list "$M/v/.snapshots/s/d" "$n"
same "$(find "$M/v/.snapshots/s/d" -mindepth 1 | wc -l)" "$n" "names by find in the snapshot"
umount_store
mount_store
"$HELPERS/many_files" list "$M/v/.snapshots/s/d" "$n"
rm -rf "$M/v/d"
[ ! -e "$M/v/d" ] || fail "rm -r"
