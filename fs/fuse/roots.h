/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Under which name the kernel last got each volume's root, looked up or listed, so that deleting or replacing a volume can take
 * that name out of the kernel's caches.  Entries are small, one per volume ever seen, and may be out of date: dropping a name
 * too many costs one look-up.
 */
#ifndef FS_FUSE_ROOTS_H
#define FS_FUSE_ROOTS_H

#include "fs/fuse/mnt.h"

int roots_init(struct mnt *m) MUST_USE;
void roots_release(struct mnt *m);
/* Thread-safe.  Without memory nothing is remembered and the name expires by time only. */
void roots_saw(struct mnt *m, uint64_t vol, fuse_ino_t parent, const char *name);
/* The kernel may get many pages of this file of the volume. */
#define ROOTS_LARGE_BYTES (4u << 20)
void roots_large(struct mnt *m, uint64_t vol, fuse_ino_t ino);
/* Tell the kernel to forget what it knows about a name in a directory, also that there is none, and the directory's listing.  Not
 * from a thread that serves a request holding an inode lock; the same for the following. */
void names_changed(struct mnt *m, fuse_ino_t dir, const char *name);
/* The same for the name of vol's root.  What the kernel has below it goes later. */
void roots_drop(struct mnt *m, uint64_t vol);
/* The mount's own root was replaced: drop every name. */
void roots_drop_all(struct mnt *m);

#endif
