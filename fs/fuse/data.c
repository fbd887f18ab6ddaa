/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content.  Valid replies: buf (read), write (write, copy_file_range), lseek, err.
 *
 * A WRITE through a handle with O_SYNC or O_DSYNC, or that an fsync is about to follow, is answered when it is durable, from
 * whichever thread flushes; so are fsync and fsyncdir.  The offset of an O_APPEND write is the kernel's, which is the only one
 * who knows the size and keeps the order of the pieces of one large append.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <fcntl.h>

#include "fs/fuse/opened.h"

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	void *buf = reply_room(size);
	ssize_t n = mnt_node(m, ino, &node);

	/* Direct reads come with the owner of the file table (FUSE_READ_LOCKOWNER), those for pages do not. */
	if ((fi->fh & OPENED_DIRECT) && !fi->lock_owner)
		opened_paged(m, ino);
	if (!n && !buf)
		n = -ENOMEM;
	if (!n)
		n = fs_read(m->fs, node, buf, size, (uint64_t)off);
	if (n < 0)
		reply_err(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* What the kernel does before a cached write. */
static int drop_caps(struct mnt *m, const struct fs_ctx *ctx, struct fs_node node)
{
	uint64_t lsn = 0;
	int err = fs_removexattr(m->fs, ctx, node, XATTR_CAPS, &lsn);

	return err == -ENODATA ? 0 : err;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node node;
	uint64_t lsn = 0;
	ssize_t n = mnt_node(m, ino, &node);

	if (!n && (fi->fh & OPENED_DIRECT) && opened_take_caps(m, ino))
		n = drop_caps(m, &ctx, node);
	if (!n)
		n = fs_write(m->fs, &ctx, node, buf, size, (uint64_t)off, fi->flags & WIRE_KILL ? FS_WRITE_KILL_SUID : 0, &lsn);
	if (n < 0) {
		reply_err(req, (int)n);
		return;
	}
	mnt_changed(m, 0, lsn);
	if (((fi->flags & O_DSYNC) && !fi->writepage) || opened_wrote(m, ino, lsn))
		reply_durable(req, lsn, n);
	else
		fuse_reply_write(req, (size_t)n);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	uint64_t lsn = opened_fsync(m, ino);
	uint64_t names = atomic_load(&m->names_lsn);

	/* The path to it survives as well. */
	reply_durable(req, datasync ? lsn : MAX(lsn, names), -1);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	reply_durable(req, atomic_load(&mnt_of(req)->last_lsn), -1);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node node;
	uint64_t lsn = 0;
	int err = mnt_node(m, ino, &node);

	if (!err)
		err = fs_fallocate(m->fs, &ctx, node, mode, (uint64_t)off, (uint64_t)len, &lsn);
	if (!err)
		mnt_changed(m, ino, lsn);
	reply_err(req, err);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	int64_t r = mnt_node(m, ino, &node);

	if (!r && whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	if (!r)
		r = fs_seek(m->fs, node, (uint64_t)off, whence);
	if (r < 0)
		reply_err(req, (int)r);
	else
		fuse_reply_lseek(req, r);
}

/* The answer has 32 bits for the length; callers go on where a short copy ended. */
#define COPY_MAX (1u << 30)

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t out,
			off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node src, dst;
	uint64_t lsn = 0;
	int64_t n = mnt_node(m, in, &src);

	if (!n)
		n = mnt_node(m, out, &dst);
	if (!n && flags)
		n = -EINVAL;
	if (!n)
		n = fs_clone_range(m->fs, &ctx, src, (uint64_t)off_in, dst, (uint64_t)off_out, MIN(len, COPY_MAX), &lsn);
	if (n < 0) {
		reply_err(req, (int)n);
		return;
	}
	mnt_changed(m, out, lsn);
	fuse_reply_write(req, (size_t)n);
}
