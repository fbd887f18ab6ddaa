/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening and closing.  The open replies are made by hand: libfuse 3.14 cannot say FOPEN_PARALLEL_DIRECT_WRITES.
 * Valid replies: fuse_open_out (open), fuse_entry_out + fuse_open_out (create, tmpfile), err.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/fuse/opened.h"
#include "fs/fuse/writeback.h"

/* Of newer linux/fuse.h. */
#define OPEN_NOFLUSH (1u << 5)
#define OPEN_PARALLEL_DIRECT_WRITES (1u << 6)

static struct fuse_open_out open_out(uint64_t fh, int flags)
{
	struct fuse_open_out o = {.fh = fh, .open_flags = OPEN_PARALLEL_DIRECT_WRITES};

	if ((flags & (O_ACCMODE | WRITEBACK_OPEN_FLAGS)) != WRITEBACK_OPEN_FLAGS)
		o.open_flags |= OPEN_NOFLUSH;
	/* A direct open lets the kernel drop the pages it had, a cached one keeps them: nobody else writes. */
	o.open_flags |= fh & OPENED_DIRECT ? FOPEN_DIRECT_IO : FOPEN_KEEP_CACHE;
	return o;
}

/* Writing into a read-only volume fails at open already, as on a read-only mount. */
static int may_write(struct mnt *m, struct fs_node node, int flags)
{
	struct kagefs_ioc_volume_get v = {.volume = node.vol};
	int err;

	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	err = fs_ioc_volume_get(m->fs, &v);
	if (err)
		return err == -ENOENT ? -ESTALE : err;
	return v.info.flags & KAGEFS_VOL_READ_ONLY ? -EROFS : 0;
}

/* fresh: it was made just now. */
static int open_node(fuse_req_t req, fuse_ino_t ino, const struct fs_attr *a, int flags, bool fresh, uint64_t *fh)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_attr now = *a;
	int err = may_write(m, a->node, flags);

	if (!err && (flags & O_TRUNC)) {
		struct fs_attr in = {.size = 0};
		uint64_t lsn = 0;

		err = fs_setattr(m->fs, &ctx, a->node, &in, FS_SET_SIZE | (flags & WIRE_KILL ? FS_SET_KILL_SUID : 0), &now, &lsn);
		if (!err)
			mnt_changed(m, ino, lsn);
	}
	if (!err)
		err = opened_get(m, ino, a->node, now.size, flags, fh);
	if (!err && (*fh & OPENED_DIRECT) && (*fh & OPENED_WRITABLE) && !fresh && fs_getxattr(m->fs, a->node, XATTR_CAPS, NULL, 0) >= 0)
		opened_has_caps(m, ino);
	return err;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	struct fs_attr a;
	uint64_t fh;
	int err = mnt_node(m, ino, &node);

	if (!err)
		err = fs_getattr(m->fs, node, &a);
	if (!err)
		err = open_node(req, ino, &a, fi->flags, false, &fh);
	if (err) {
		reply_err(req, err);
		return;
	}
	struct fuse_open_out out = open_out(fh, fi->flags);

	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)))
		opened_put(m, ino, fh);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	opened_put(mnt_of(req), ino, fi->fh);
	reply_err(req, 0);
}

static void split_time(double s, uint64_t *sec, uint32_t *nsec)
{
	*sec = (uint64_t)s;
	*nsec = (uint32_t)((s - (double)*sec) * 1e9);
}

static struct fuse_entry_out entry_out(const struct fuse_entry_param *e)
{
	const struct stat *st = &e->attr;
	struct fuse_entry_out o = {
		.nodeid = e->ino,
		.generation = e->generation,
		.attr = {
			.ino = st->st_ino,
			.size = (uint64_t)st->st_size,
			.blocks = (uint64_t)st->st_blocks,
			.atime = (uint64_t)st->st_atim.tv_sec,
			.mtime = (uint64_t)st->st_mtim.tv_sec,
			.ctime = (uint64_t)st->st_ctim.tv_sec,
			.atimensec = (uint32_t)st->st_atim.tv_nsec,
			.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
			.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
			.mode = st->st_mode,
			.nlink = (uint32_t)st->st_nlink,
			.uid = st->st_uid,
			.gid = st->st_gid,
			.rdev = (uint32_t)st->st_rdev,
			.blksize = (uint32_t)st->st_blksize,
		},
	};

	split_time(e->entry_timeout, &o.entry_valid, &o.entry_valid_nsec);
	split_time(e->attr_timeout, &o.attr_valid, &o.attr_valid_nsec);
	return o;
}

static int make_or_find(fuse_req_t req, struct fs_node dir, const char *name, mode_t mode, int *flags, struct fs_attr *a,
			bool *fresh)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	uint64_t lsn = 0;
	int len, err;

	*fresh = false;
	if (strcmp(name, WIRE_TMPFILE_NAME) == 0) {
		err = fs_tmpfile(m->fs, &ctx, dir, S_IFREG | (mode & 07777), a, &lsn);
	} else {
		len = mnt_name(name);
		if (len < 0)
			return len;
		err = fs_mknod(m->fs, &ctx, dir, name, (size_t)len, S_IFREG | (mode & 07777), 0, NULL, a, &lsn);
		if (err == -EEXIST && !(*flags & O_EXCL)) {
			err = fs_lookup(m->fs, dir, name, (size_t)len, a);
			if (!err && !S_ISREG(a->mode))
				err = S_ISDIR(a->mode) ? -EISDIR : -EEXIST;
			return err;
		}
	}
	if (!err)
		mnt_changed_names(m, lsn);
	*fresh = !err;
	*flags &= ~O_TRUNC; /* new, so empty */
	return err;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	struct fuse_entry_param e;
	struct fs_node dir;
	struct fs_attr a;
	int flags = fi->flags;
	bool fresh = false;
	uint64_t fh;
	int err = mnt_node(m, parent, &dir);

	if (!err)
		err = make_or_find(req, dir, name, mode, &flags, &a, &fresh);
	if (!err) {
		err = mnt_entry(m, dir, parent, name, &a, &e);
		if (strcmp(name, WIRE_TMPFILE_NAME) == 0)
			fs_drop(m->fs, a.node, 1); /* the one it was born with */
	}
	if (err) {
		reply_err(req, err);
		return;
	}
	err = open_node(req, e.ino, &a, flags, fresh, &fh);
	if (err) {
		mnt_entry_undo(m, &a);
		reply_err(req, err);
		return;
	}
	out.entry = entry_out(&e);
	out.open = open_out(fh, flags);
	if (fuse_reply_buf(req, (const char *)&out, sizeof(out))) {
		opened_put(m, e.ino, fh);
		mnt_entry_undo(m, &a);
	}
}
