#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fallocate, holes, copy_file_range, mmap, O_DIRECT, O_SYNC, O_APPEND, rename flags, names, huge files, readdir, locks: in the
# root volume, in another volume, inside a writable snapshot, with direct I/O for everything and for nothing.
. "$(dirname "$0")/lib.sh"
helper posix_test
start
mkdir "$M/root"
"$HELPERS/posix_test" "$M/root"
k volume create "$M/vol"
mkdir "$M/vol/in"
"$HELPERS/posix_test" "$M/vol/in"
k snapshot create --name w "$M/vol" > /dev/null
mkdir "$M/vol/.snapshots/w/more"
"$HELPERS/posix_test" "$M/vol/.snapshots/w/more"
umount_store
check_store
mount_store -o direct=0
mkdir "$M/direct"
"$HELPERS/posix_test" "$M/direct"
umount_store
mount_store -o direct=never,threads=1
mkdir "$M/cached"
"$HELPERS/posix_test" "$M/cached"

# copy_file_range between volumes of one store shares blocks and never says EOPNOTSUPP
head -c 20000000 /dev/urandom > "$M/vol/src"
cp --reflink=auto --sparse=never "$M/vol/src" "$M/copy"
cmp "$M/vol/src" "$M/copy"
