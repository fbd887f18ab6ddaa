/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef FS_FUSE_READAHEAD_H
#define FS_FUSE_READAHEAD_H

/*
 * How far the kernel reads ahead of a sequential reader of the mount at dir: enough for two of the largest requests at once, one
 * being read from the disk while the other is verified.  The kernel takes no more than 128 KiB from the protocol, the rest only
 * from root, through /sys.  To be called when INIT has been answered: the answer would lower it again.  Sends no request to the
 * mount.  Where it cannot be set sequential reads are slower, nothing else.
 */
void readahead_raise(const char *dir);

#endif
