/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes.  Valid replies: xattr (length asked for), buf, err.  Who may touch which namespace is the kernel's
 * business, except that listing hides trusted.* from everybody but root, as other file systems do.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fs/fuse/opened.h"

#define XATTR_VALUE_MAX 65536
#define XATTR_FLAGS (XATTR_CREATE | XATTR_REPLACE)

enum access { READ, CHANGE };

/*
 * The kernel checks user, trusted and security, and ACLs; other names of system.* it leaves to the file system: they are the
 * owner's to change.  -EOPNOTSUPP for other namespaces, as every other file system says.
 */
static int name_allowed(fuse_req_t req, struct fs_node node, const char *name, enum access how)
{
	static const char *const spaces[] = {"user.", "security.", "trusted.", "system."};
	uint32_t uid = fuse_req_ctx(req)->uid;
	struct fs_attr a;
	size_t i = 0;
	int err;

	while (i < ARRAY_SIZE(spaces) && strncmp(name, spaces[i], strlen(spaces[i])) != 0)
		i++;
	if (i == ARRAY_SIZE(spaces) || !name[strlen(spaces[i])])
		return i == ARRAY_SIZE(spaces) ? -EOPNOTSUPP : -EINVAL;
	if (how == READ || uid == 0 || spaces[i][1] != 'y' || strncmp(name, "system.posix_acl_", 17) == 0)
		return 0;
	err = fs_getattr(mnt_of(req)->fs, node, &a);
	return err ? err : a.uid == uid ? 0 : -EPERM;
}

/* setfacl by somebody outside the file's group: the set-group-id bit goes. */
static int drop_sgid(struct mnt *m, const struct fs_ctx *ctx, struct fs_node node, uint64_t *lsn)
{
	struct fs_attr a, out;
	int err = fs_getattr(m->fs, node, &a);

	if (err || !(a.mode & S_ISGID))
		return err;
	a.mode &= 07777 & ~(uint32_t)S_ISGID;
	return fs_setattr(m->fs, ctx, node, &a, FS_SET_MODE, &out, lsn);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node node;
	uint64_t lsn = 0;
	int err = mnt_node(m, ino, &node);

	if (!*name) { /* libfuse read the short form of a long message, see wire.c */
		name += 8;
		value = name + strlen(name) + 1;
	}
	if (!err)
		err = name_allowed(req, node, name, CHANGE);
	if (!err)
		err = fs_setxattr(m->fs, &ctx, node, name, value, size, flags & XATTR_FLAGS, &lsn);
	if (!err && strcmp(name, XATTR_CAPS) == 0)
		opened_has_caps(m, ino);
	if (!err && (flags & WIRE_KILL))
		err = drop_sgid(m, &ctx, node, &lsn);
	if (!err)
		mnt_changed(m, ino, lsn);
	reply_err(req, err);
}

static void reply_value(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		reply_err(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else if ((size_t)n > size)
		reply_err(req, -ERANGE);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	char *buf = NULL;
	ssize_t n = mnt_node(m, ino, &node);

	if (!n)
		n = name_allowed(req, node, name, READ);
	if (!n && size > 0) {
		size = MIN(size, XATTR_VALUE_MAX);
		buf = mnt_scratch(size);
		n = buf ? 0 : -ENOMEM;
	}
	if (!n)
		n = fs_getxattr(m->fs, node, name, buf, size);
	reply_value(req, n, buf, size);
}

static ssize_t without_trusted(char *buf, ssize_t n)
{
	char *out = buf;

	for (char *p = buf, *end = buf + n; p < end;) {
		size_t len = strlen(p) + 1;

		if (strncmp(p, "trusted.", 8) != 0) {
			memmove(out, p, len);
			out += len;
		}
		p += len;
	}
	return out - buf;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	char *buf = mnt_scratch(XATTR_VALUE_MAX);
	ssize_t n = mnt_node(m, ino, &node);

	if (!n && !buf)
		n = -ENOMEM;
	if (!n)
		n = fs_listxattr(m->fs, node, buf, XATTR_VALUE_MAX);
	if (n == -ERANGE)
		n = -E2BIG;
	if (n > 0 && fuse_req_ctx(req)->uid != 0)
		n = without_trusted(buf, n);
	reply_value(req, n, buf, size);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct mnt *m = mnt_of(req);
	struct fs_ctx ctx = mnt_ctx(req);
	struct fs_node node;
	uint64_t lsn = 0;
	int err = mnt_node(m, ino, &node);

	if (!err)
		err = name_allowed(req, node, name, CHANGE);
	if (!err)
		err = fs_removexattr(m->fs, &ctx, node, name, &lsn);
	if (!err)
		mnt_changed(m, ino, lsn);
	reply_err(req, err);
}
