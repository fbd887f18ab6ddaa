/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names.  Valid replies: entry (lookup, mknod, mkdir, symlink, link), readlink, err; errors are those of fs/volume, plus
 * ENAMETOOLONG above 255 bytes and ESTALE for nodes of a deleted volume.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "fs/fuse/roots.h"

/* Directory and name of a call; answers the request and returns false when they are no good. */
static bool dir_and_name(fuse_req_t req, fuse_ino_t parent, const char *name, struct fs_node *dir, size_t *len)
{
	int err = mnt_node(mnt_of(req), parent, dir);
	int n = err ? err : mnt_name(name);

	if (n < 0) {
		reply_err(req, n);
		return false;
	}
	*len = (size_t)n;
	return true;
}

static void reply_negative(fuse_req_t req, struct fs_node dir)
{
	struct fuse_entry_param e = {.entry_timeout = MNT_TIMEOUT_S};

	/* Names come into .snapshots by ioctl. */
	if (dir.ino == FS_INO_SNAPSHOTS)
		reply_err(req, -ENOENT);
	else
		fuse_reply_entry(req, &e);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mnt *m = mnt_of(req);
	struct fs_node dir;
	struct fs_attr a;
	size_t len;
	int err;

	if (!dir_and_name(req, parent, name, &dir, &len))
		return;
	if (name[0] == '.' && len == 1) /* by handle (export) */
		err = fs_getattr(m->fs, dir, &a);
	else if (name[0] == '.' && name[1] == '.' && len == 2)
		err = -ESTALE; /* directories do not know their parents; a handle of one works while the kernel has it */
	else
		err = fs_lookup(m->fs, dir, name, len, &a);
	if (err == -ENOENT)
		reply_negative(req, dir);
	else if (err)
		reply_err(req, err);
	else
		reply_entry(req, dir, parent, name, &a);
}

static void forget(struct mnt *m, fuse_ino_t ino, uint64_t n)
{
	struct fs_node node;

	/* Nodes of a deleted volume have no holds left to drop. */
	if (ino != MNT_INO_ROOT && mnt_node(m, ino, &node) == 0)
		fs_drop(m->fs, node, n);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	forget(mnt_of(req), ino, n);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct mnt *m = mnt_of(req);

	for (size_t i = 0; i < count; i++)
		forget(m, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev, const char *target)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node dir;
	struct fs_attr a;
	uint64_t lsn = 0;
	size_t len;
	int err;

	if (!dir_and_name(req, parent, name, &dir, &len))
		return;
	err = fs_mknod(m->fs, &ctx, dir, name, len, mode, rdev, target, &a, &lsn);
	if (err) {
		reply_err(req, err);
		return;
	}
	mnt_changed_names(m, lsn);
	reply_entry(req, dir, parent, name, &a);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, parent, name, mode, rdev, NULL);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, S_IFDIR | (mode & 07777), 0, NULL);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	if (strlen(target) > FS_SYMLINK_MAX)
		reply_err(req, -ENAMETOOLONG);
	else
		make(req, parent, name, S_IFLNK | 0777, 0, target);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node node, dir;
	struct fs_attr a;
	uint64_t lsn = 0;
	size_t len;
	int err;

	if (!dir_and_name(req, parent, name, &dir, &len))
		return;
	err = mnt_node(m, ino, &node);
	if (!err)
		err = fs_link(m->fs, &ctx, node, dir, name, len, &a, &lsn);
	if (err) {
		reply_err(req, err);
		return;
	}
	mnt_changed_names(m, lsn);
	reply_entry(req, dir, parent, name, &a);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool is_dir)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node dir;
	uint64_t lsn = 0;
	size_t len;
	int err;

	if (!dir_and_name(req, parent, name, &dir, &len))
		return;
	err = is_dir ? fs_rmdir(m->fs, &ctx, dir, name, len, NULL, &lsn)
		     : fs_unlink(m->fs, &ctx, dir, name, len, NULL, &lsn);
	if (!err)
		mnt_changed_names(m, lsn);
	reply_err(req, err);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, false);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, true);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
	       unsigned flags)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node from, to;
	size_t from_len, to_len;
	uint64_t lsn = 0;
	int err;

	if (!dir_and_name(req, parent, name, &from, &from_len))
		return;
	if (!dir_and_name(req, newparent, newname, &to, &to_len))
		return;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		reply_err(req, -EINVAL);
		return;
	}
	err = fs_rename(m->fs, &ctx, from, name, from_len, to, newname, to_len, flags, NULL, &lsn);
	if (!err)
		mnt_changed_names(m, lsn);
	reply_err(req, err);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct mnt *m = mnt_of(req);
	char buf[FS_SYMLINK_MAX + 1];
	struct fs_node node;
	int n = mnt_node(m, ino, &node);

	if (!n)
		n = fs_readlink(m->fs, node, buf, FS_SYMLINK_MAX);
	if (n < 0) {
		reply_err(req, n);
		return;
	}
	buf[n] = '\0';
	fuse_reply_readlink(req, buf);
}
