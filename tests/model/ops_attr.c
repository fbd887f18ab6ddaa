/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes and extended attributes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fs/base/cleanup.h"
#include "fs/base/endian.h"
#include "fs/volume/acl.h"
#include "tests/model/world.h"

#define SIZE_MAX_TRIED (48u << 20)

static uint64_t pick_size(struct world *w, uint64_t now)
{
	switch (rnd(w, 6)) {
	case 0:
		return 0;
	case 1:
		return rnd(w, now + 1);
	case 2:
		return rnd(w, 20) * 4096;
	case 3:
		return one_in(w, 5) ? rnd(w, SIZE_MAX_TRIED) : rnd(w, 300 << 10);
	default:
		return rnd(w, 40000);
	}
}

static unsigned xattr_number(const char *name)
{
	unsigned n = 0;

	while (strcmp(model_xattr_names[n], name))
		n++;
	return n;
}

static void op_setattr(struct world *w)
{
	unsigned mask = (unsigned)rnd(w, 0x200) & (unsigned)rnd(w, 0x200);
	struct fs_attr a = { 0 }, out;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target t;
	uint64_t lsn = 0;
	int want, got;

	if (one_in(w, 3)) {
		pick_file(w, &t);
		mask = FS_SET_SIZE;
	} else {
		pick_inode(w, &t);
		if (!S_ISREG(t.i->mode) && !one_in(w, 10))
			mask &= ~(unsigned)FS_SET_SIZE;
	}
	a.mode = (uint32_t)rnd(w, 0200000);
	a.uid = (uint32_t)rnd(w, 3);
	a.gid = (uint32_t)rnd(w, 3);
	a.size = pick_size(w, t.i->size);
	a.atime_ns = (int64_t)rng_next(&w->rng) >> 8;
	a.mtime_ns = (int64_t)rng_next(&w->rng) >> 8;
	a.ctime_ns = (int64_t)(rng_next(&w->rng) >> 8);
	a.btime_ns = (int64_t)rng_next(&w->rng) >> 8;
	want = want_writable(w, t.v, c);
	if (!want && (mask & FS_SET_SIZE) && !S_ISREG(t.i->mode))
		want = S_ISDIR(t.i->mode) ? -EISDIR : -EINVAL;
	got = fs_setattr(w->fs, c, t.node, &a, mask, &out, &lsn);
	if (!want) {
		struct minode *i = touch(w, &t, false);
		struct mxattr *x = inode_xattr(i, xattr_number("system.posix_acl_access"));

		if (mask & FS_SET_UID)
			i->uid = a.uid;
		if (mask & FS_SET_GID)
			i->gid = a.gid;
		if (mask & FS_SET_KILL_SUID) {
			i->mode &= ~(uint32_t)S_ISUID;
			if ((i->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
				i->mode &= ~(uint32_t)S_ISGID;
		}
		if (mask & FS_SET_MODE) {
			i->mode = (i->mode & S_IFMT) | (a.mode & 07777);
			if (x) {
				uint8_t acl[1024];
				uint32_t len = x->v->len;

				memcpy(acl, x->v->b, len);
				acl_chmod(acl, len, i->mode);
				inode_xattr_set(i, x->name, acl, len);
			}
		}
		if (mask & FS_SET_SIZE) {
			file_resize(i, a.size);
			i->mtime = w->now;
		}
		if (mask & FS_SET_CTIME)
			i->ctime = a.ctime_ns;
		if (mask & FS_SET_ATIME)
			i->atime = a.atime_ns;
		if (mask & FS_SET_MTIME)
			i->mtime = a.mtime_ns;
		if (mask & FS_SET_BTIME)
			i->btime = a.btime_ns;
		remember(w, lsn, i->nlink ? WITNESS_CTIME : WITNESS_NONE, t.vk, t.ik);
	}
	expect(w, got, want, "setattr mask %x size %llu on %llu/%llu (mode %o)", mask, (unsigned long long)a.size, (unsigned long long)t.node.vol, (unsigned long long)t.node.ino,
	       t.i->mode);
	if (!got && !want) {
		compare_attr(w, w->state, t.vk, t.ik, &out);
		good(w);
	}
}

/* A valid ACL, now and then with nothing to say beyond the mode. */
static uint32_t make_acl(struct world *w, uint8_t *b)
{
	uint8_t *p = b + 4;
	bool named = !one_in(w, 4);

	put_le32(b, 2);
#define ENTRY(tag, id)                                    \
	do {                                              \
		put_le16(p, tag);                         \
		put_le16(p + 2, (uint16_t)rnd(w, 8));     \
		put_le32(p + 4, id);                      \
		p += 8;                                   \
	} while (0)
	ENTRY(1, UINT32_MAX);
	if (named)
		ENTRY(2, (uint32_t)(1 + rnd(w, 5)));
	ENTRY(4, UINT32_MAX);
	if (named)
		ENTRY(16, UINT32_MAX);
	ENTRY(32, UINT32_MAX);
#undef ENTRY
	return (uint32_t)(p - b);
}

static void op_setxattr(struct world *w)
{
	static uint8_t value[65537];
	unsigned name = (unsigned)rnd(w, model_nxattr_names);
	const char *s = model_xattr_names[name];
	bool access = !strcmp(s, "system.posix_acl_access"), dflt = !strcmp(s, "system.posix_acl_default"), store = true, had;
	int flags = one_in(w, 4) ? (one_in(w, 2) ? XATTR_CREATE : XATTR_REPLACE) : 0, want, got;
	uint32_t len, big = (uint32_t)MIN(65537u, w->max_write - 8192);
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target t;
	uint64_t lsn = 0;

	pick_inode(w, &t);
	if (access || dflt) {
		if (dflt && !S_ISDIR(t.i->mode))
			pick_dir(w, &t);
		len = make_acl(w, value);
	} else {
		len = (uint32_t)(one_in(w, 40) ? big : one_in(w, 10) ? rnd(w, big) : rnd(w, 100));
		random_bytes_into(w, value, len);
	}
	had = inode_xattr(t.i, name);
	want = len > 65536 ? -E2BIG : want_writable(w, t.v, c);
	if (!want && (flags & XATTR_CREATE) && had)
		want = -EEXIST;
	if (!want && (flags & XATTR_REPLACE) && !had)
		want = -ENODATA;
	if (!want && dflt && !S_ISDIR(t.i->mode))
		want = -EACCES;
	got = fs_setxattr(w->fs, c, t.node, s, value, len, flags, &lsn);
	if (!want) {
		touch(w, &t, false);
		if (access)
			store = !acl_to_mode(value, len, &t.i->mode);
		inode_xattr_set(t.i, name, store ? value : NULL, len);
		remember(w, lsn, t.i->nlink ? WITNESS_CTIME : WITNESS_NONE, t.vk, t.ik);
	}
	expect(w, got, want, "setxattr %s, %u bytes, flags %d", s, len, flags);
	if (!got && !want)
		good(w);
}

static void op_removexattr(struct world *w)
{
	unsigned name = (unsigned)rnd(w, model_nxattr_names);
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target t;
	uint64_t lsn = 0;
	int want, got;
	bool acl;

	pick_inode(w, &t);
	if (t.i->nxattrs && !one_in(w, 5))
		name = t.i->xattrs[rnd(w, t.i->nxattrs)].name;
	acl = !strncmp(model_xattr_names[name], "system.posix_acl_", 17);
	want = want_writable(w, t.v, c);
	if (!want && !inode_xattr(t.i, name) && !acl)
		want = -ENODATA;
	got = fs_removexattr(w->fs, c, t.node, model_xattr_names[name], &lsn);
	if (!want) {
		touch(w, &t, false);
		inode_xattr_set(t.i, name, NULL, 0);
		remember(w, lsn, t.i->nlink ? WITNESS_CTIME : WITNESS_NONE, t.vk, t.ik);
	}
	expect(w, got, want, "removexattr %s", model_xattr_names[name]);
	if (!got && !want)
		good(w);
}

struct op_kind ops_attr[] = {
	{ "setattr", op_setattr, 60, 0, 0 },
	{ "setxattr", op_setxattr, 35, 0, 0 },
	{ "removexattr", op_removexattr, 15, 0, 0 },
};
const unsigned n_ops_attr = ARRAY_SIZE(ops_attr);
