/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Having the kernel write back what mappings have dirtied, so that the daemon can be killed meanwhile.
 *
 * A notification (fuse_lowlevel_notify_inval_inode) writes back too, but the kernel then waits, not to be interrupted, inside a
 * write to /dev/fuse.  A daemon killed at that moment keeps the device open, the kernel never gives up the requests that nobody
 * answers, and everybody hangs.  So it is done by opening and closing the files as any program could, in a thread that has no
 * descriptor of the device.
 */
#ifndef FS_FUSE_WRITEBACK_H
#define FS_FUSE_WRITEBACK_H

#include "fs/fuse/mnt.h"

/* An open with these flags is for write-back: its close writes back.  Others may do so, too; it only costs them the wait. */
#define WRITEBACK_OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_DSYNC)

/*
 * Write back the n inodes; returns when the kernel has done it, and how many of inos, moved to the front, it could not reach
 * this way (an ordinary user's daemon may not open by handle).  Those that are not open any more are done.
 */
size_t writeback_inodes(struct mnt *m, fuse_ino_t *inos, size_t n) MUST_USE;

#endif
