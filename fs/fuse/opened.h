/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which inodes are open, and how.
 *
 * Direct I/O or the page cache is meant to be a property of the inode while it is open: a cached handle beside direct writers
 * brings the kernel's exclusive lock back (tried: 25k to 2.6k writes per second).  So once one handle is direct, new ones are
 * too, until all are closed.  Direct are: large files opened for writing (VM images), and files opened with O_DIRECT, O_SYNC
 * or O_DSYNC (databases, Samba's write-through), because then the kernel sends one durable WRITE instead of WRITE and FSYNC.
 * So are empty files opened only for writing (what tar, cp and git do with a new file): before the first cached write to an
 * inode the kernel asks for its security.capability, one round trip a file; before a direct one it does not.
 * What the kernel would have taken away at a write (set-user-id bits it names in the WRITE, the capability it does not), a direct
 * write takes away here.
 * A cached handle that is still there only costs speed: kernels that offer mappings of direct files (6.6 on; older ones get
 * no direct mode) drop the pages a direct write touches.
 *
 * A file handle (fi->fh) is two bits, so that it means the same to a daemon that takes a mount over.
 */
#ifndef FS_FUSE_OPENED_H
#define FS_FUSE_OPENED_H

#include "fs/fuse/mnt.h"

enum opened_fh { OPENED_DIRECT = 1 << 0, OPENED_WRITABLE = 1 << 1 };

int opened_init(struct mnt *m) MUST_USE;
void opened_release(struct mnt *m);
/* Count an open with these flags of open(2); size: the file's.  *fh gets the handle.  -ENOMEM. */
int opened_get(struct mnt *m, fuse_ino_t ino, struct fs_node node, uint64_t size, int flags, uint64_t *fh) MUST_USE;
void opened_put(struct mnt *m, fuse_ino_t ino, uint64_t fh);
/* The inode has a security.capability, or may have: the next direct write takes it away.  Nothing when no handle is direct. */
void opened_has_caps(struct mnt *m, fuse_ino_t ino);
/* True once after that. */
bool opened_take_caps(struct mnt *m, fuse_ino_t ino);
/* The kernel reads pages of the inode although it is open for direct I/O: somebody maps it. */
void opened_paged(struct mnt *m, fuse_ino_t ino);
/* The inode changed at lsn; nothing is kept when it is not open. */
void opened_changed(struct mnt *m, fuse_ino_t ino, uint64_t lsn);
/* The same for a write.  True: its answer shall wait until it is durable, as an fsync will follow.  The kernel sends the fsyncs of
 * one inode one after the other, and direct writes all at once: so several threads share flushes, and their fsyncs find
 * nothing to wait for. */
bool opened_wrote(struct mnt *m, fuse_ino_t ino, uint64_t lsn);
/* An fsync came.  Position to wait for to make everything written to the open inode, and answered, durable. */
uint64_t opened_fsync(struct mnt *m, fuse_ino_t ino);
/* fs_open_options.push_out: write back the kernel's pages of every inode of the volumes open for writing; drop: and drop them.
 * An inode that was only read and written directly has none: mapping it makes the kernel drop all of its pages, and before one
 * is dirtied it is read (fuse_file_mmap and filemap_fault in the kernel). */
void opened_push_out(void *arg, const uint64_t *vols, unsigned n, bool drop);
/* The volume is gone: drop pages of everything open in it, so that readers learn it too. */
void opened_drop(struct mnt *m, uint64_t vol);

#endif
