#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The ioctl ABI: every command, its errors, and callers of 64 and of 32 bits.
. "$(dirname "$0")/lib.sh"
need_root
helper ioctl_test
start
"$HELPERS/ioctl_test" "$M"
umount_store
check_store
rm -rf "$S"
new_store
mount_store
if [ -x "$HELPERS/ioctl_test32" ]; then
	same "$("$HELPERS/ioctl_test32" --layout | sha256sum)" "$("$HELPERS/ioctl_test" --layout | sha256sum)" "layout for 32 bits"
	"$HELPERS/ioctl_test32" "$M"
else
	say "no 32-bit caller: the compiler cannot build one here (-m32); sizes are asserted in the header"
fi
