/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes.  Valid replies: attr (getattr, setattr), a hand-made statx_out (STATX, see wire.h), statfs, err. */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>

#include "fs/base/clock.h"

static struct wire_sx_time sx_time(int64_t ns)
{
	struct wire_sx_time t = {.sec = ns / 1000000000};
	int64_t rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		t.sec--;
	}
	t.nsec = (uint32_t)rest;
	return t;
}

static void reply_statx(fuse_req_t req, const struct fs_attr *a)
{
	struct mnt *m = mnt_of(req);
	struct wire_statx_out out = {
		.attr_valid = (uint64_t)mnt_attr_timeout(a),
		.stat = {
			.mask = STATX_BASIC_STATS | STATX_BTIME,
			.blksize = m->blksize,
			.nlink = a->nlink,
			.uid = a->uid,
			.gid = a->gid,
			.mode = (uint16_t)a->mode,
			.ino = fs_node_number(m->fs, a->node),
			.size = a->size,
			.blocks = a->blocks_512,
			.atime = sx_time(a->atime_ns),
			.btime = sx_time(a->btime_ns),
			.ctime = sx_time(a->ctime_ns),
			.mtime = sx_time(a->mtime_ns),
			.rdev_major = major(a->rdev),
			.rdev_minor = minor(a->rdev),
		},
	};

	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	struct fs_attr a;
	int err = mnt_node(m, ino, &node);

	if (!err)
		err = fs_getattr(m->fs, node, &a);
	if (err)
		reply_err(req, err);
	else if (fi && fi->fh == WIRE_STATX_FH)
		reply_statx(req, &a);
	else
		reply_attr(req, &a);
}

static int64_t ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int valid, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_attr in = {0}, out;
	struct fs_node node;
	unsigned mask = 0;
	uint64_t lsn = 0;
	int err = mnt_node(m, ino, &node);

	if (valid & FUSE_SET_ATTR_MODE) {
		mask |= FS_SET_MODE;
		in.mode = st->st_mode & 07777;
	}
	if (valid & FUSE_SET_ATTR_UID) {
		mask |= FS_SET_UID;
		in.uid = st->st_uid;
	}
	if (valid & FUSE_SET_ATTR_GID) {
		mask |= FS_SET_GID;
		in.gid = st->st_gid;
	}
	if (valid & FUSE_SET_ATTR_SIZE) {
		mask |= FS_SET_SIZE;
		in.size = (uint64_t)st->st_size;
	}
	if (valid & FUSE_SET_ATTR_ATIME) {
		mask |= FS_SET_ATIME;
		in.atime_ns = valid & FUSE_SET_ATTR_ATIME_NOW ? clock_realtime_ns() : ns_of(&st->st_atim);
	}
	if (valid & FUSE_SET_ATTR_MTIME) {
		mask |= FS_SET_MTIME;
		in.mtime_ns = valid & FUSE_SET_ATTR_MTIME_NOW ? clock_realtime_ns() : ns_of(&st->st_mtim);
	}
	if (valid & FUSE_SET_ATTR_CTIME) {
		mask |= FS_SET_CTIME;
		in.ctime_ns = ns_of(&st->st_ctim);
	}
	if (valid & FUSE_SET_ATTR_KILL_SUID) /* FATTR_KILL_SUIDGID of HANDLE_KILLPRIV_V2 */
		mask |= FS_SET_KILL_SUID;
	if (!err)
		err = mask ? fs_setattr(m->fs, &ctx, node, &in, mask, &out, &lsn) : fs_getattr(m->fs, node, &out);
	if (err) {
		reply_err(req, err);
		return;
	}
	mnt_changed(m, ino, lsn);
	reply_attr(req, &out);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mnt *m = mnt_of(req);
	struct fs_statfs s;
	int err = fs_statfs(m->fs, &s);

	if (err) {
		reply_err(req, err);
		return;
	}
	struct statvfs out = {
		.f_bsize = s.block_size,
		.f_frsize = s.block_size,
		.f_blocks = s.blocks,
		.f_bfree = s.blocks_free,
		.f_bavail = s.blocks_avail,
		.f_files = s.files,
		.f_ffree = s.files_free,
		.f_favail = s.files_free,
		.f_namemax = s.name_max,
	};
	fuse_reply_statfs(req, &out);
}
