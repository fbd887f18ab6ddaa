/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Under which name the kernel last got each volume's root, so that deleting or replacing a volume can take that name out of
 * the kernel's cache.  Entries are small, one per volume ever looked up, and may be out of date: dropping a name too many
 * costs one look-up.
 */
#ifndef FS_FUSE_ROOTS_H
#define FS_FUSE_ROOTS_H

#include "fs/fuse/mnt.h"

int roots_init(struct mnt *m) MUST_USE;
void roots_release(struct mnt *m);
/* Thread-safe.  Without memory nothing is remembered and the name expires by time only. */
void roots_saw(struct mnt *m, uint64_t vol, fuse_ino_t parent, const char *name);
/* Tell the kernel to forget the name of vol's root.  Not from a thread that serves a request holding an inode lock. */
void roots_drop(struct mnt *m, uint64_t vol);
/* The mount's own root was replaced: drop every name. */
void roots_drop_all(struct mnt *m);

#endif
