/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine should hold, in plain memory: volumes full of inodes, and sets.
 *
 * A state is never changed once somebody else holds it: every level (state, volume, inode, page) is counted, and the *_mut
 * functions copy what is shared.  So remembering the state after each operation costs a pointer, and a snapshot in the model
 * is what the word says.
 *
 * Keys are the model's own numbers for volumes and inodes, given in order of creation.  What the engine calls them is kept
 * apart (struct ids), because after a power cut the test may know that an inode can exist without knowing its number.
 * The "role" of a volume is the key of the first volume at its place: copies and what replaces it have the same.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_PAGE 4096u
#define MODEL_SET_MEMBERS 4
#define MODEL_RECORD_MAX 200

struct page {
	unsigned refs;
	uint8_t b[MODEL_PAGE];
};
struct blob {
	unsigned refs;
	uint32_t len;
	uint8_t b[];
};

/* Directory names come from one table in byte order, so a name is its number. */
struct mname {
	const char *s;
	size_t len;
};
extern const struct mname model_names[];
extern const unsigned model_nnames;
extern const char *const model_xattr_names[];
extern const unsigned model_nxattr_names;
void model_names_init(void);

struct ment {
	unsigned name;
	bool vol;     /* a volume is bound here */
	uint64_t key; /* inode; or role */
};
struct mpage {
	uint64_t idx;
	struct page *p;
};
struct mxattr {
	unsigned name;
	struct blob *v;
};
struct minode {
	unsigned refs;
	uint64_t key;
	uint32_t mode, uid, gid, nlink;
	uint64_t rdev, size;
	int64_t atime, mtime, ctime, btime;
	uint64_t parent; /* directories: key of the parent; 0 for a root */
	struct blob *target;
	struct ment *ents; /* in name order */
	unsigned nents, cap_ents;
	struct mxattr *xattrs; /* in name order */
	unsigned nxattrs, cap_xattrs;
	struct mpage *pages; /* in idx order; what is not there reads as zeros */
	unsigned npages, cap_pages;
};

enum mvol_flags { MVOL_RO = 1, MVOL_SNAPSHOT = 2, MVOL_SEALED = 4, MVOL_RECOVERY = 8 };
struct mvol {
	unsigned refs;
	uint64_t key, role, origin, root, set;
	unsigned flags;
	uint64_t created;
	/* head: role of the volume it is bound in (0: the mount's root) and the directory; snapshot: in whose .snapshots */
	bool place_snapshot; /* place is the key of a snapshot, not a role */
	uint64_t place, place_dir;
	char name[256];
	struct minode **inodes; /* in key order */
	unsigned ninodes, cap_inodes;
};

struct mset {
	unsigned refs;
	uint64_t key;
	uint8_t uuid[16];
	uint32_t state, flags, writer;
	uint64_t created, committed, version;
	unsigned n;
	uint64_t volume[MODEL_SET_MEMBERS], snapshot[MODEL_SET_MEMBERS]; /* keys; snapshot 0 before the commit */
	uint32_t record_len;
	uint8_t record[MODEL_RECORD_MAX];
};

struct mstate {
	unsigned refs;
	struct mvol **vols; /* in key order */
	unsigned nvols, cap_vols;
	struct mset **sets; /* in key order */
	unsigned nsets, cap_sets;
	uint64_t root; /* key of the volume at the mount's root */
};

void *xmalloc(size_t n);
void *xrealloc(void *p, size_t n);

struct mstate *state_new(void);
struct mstate *state_ref(struct mstate *s);
void state_unref(struct mstate *s);
/* *s is the caller's reference; it is exchanged for one that nobody shares. */
struct mstate *state_mut(struct mstate **s);

/* NULL: there is none. */
struct mvol *state_vol(struct mstate *s, uint64_t key);
struct mvol *state_head(struct mstate *s, uint64_t role);
struct mvol *state_vol_mut(struct mstate *s, uint64_t key);
void state_vol_add(struct mstate *s, struct mvol *v); /* takes the reference */
void state_vol_del(struct mstate *s, uint64_t key);
/* What an entry of type volume in `in` leads to; NULL: an empty directory stands in. */
struct mvol *state_resolve(struct mstate *s, struct mvol *in, uint64_t role);
/* The copy called `name` in container's .snapshots. */
struct mvol *state_snapshot(struct mstate *s, struct mvol *container, const char *name);
bool vol_is_in(const struct mvol *v, const struct mvol *container);
void vol_place_in_snapshots(struct mvol *v, const struct mvol *container);
struct mset *state_set(struct mstate *s, uint64_t key);
struct mset *state_set_mut(struct mstate *s, uint64_t key);
void state_set_add(struct mstate *s, struct mset *t);
void state_set_del(struct mstate *s, uint64_t key);
/* All inodes without a name go: what a restart does. */
void state_forget_nameless(struct mstate **s);

struct mvol *vol_make(uint64_t key);
struct mvol *vol_copy(const struct mvol *v); /* the inodes are shared; nameless ones left out */
struct minode *vol_inode(struct mvol *v, uint64_t key);
struct minode *vol_inode_mut(struct mvol *v, uint64_t key);
void vol_inode_add(struct mvol *v, struct minode *i); /* takes the reference */
void vol_inode_del(struct mvol *v, uint64_t key);

struct minode *inode_make(uint64_t key);
struct ment *inode_ent(struct minode *dir, unsigned name);
void inode_ent_set(struct minode *dir, unsigned name, bool vol, uint64_t key);
void inode_ent_del(struct minode *dir, unsigned name);
struct mxattr *inode_xattr(struct minode *i, unsigned name);
void inode_xattr_set(struct minode *i, unsigned name, const void *v, uint32_t len); /* v NULL: remove */

/* Content; the caller has made i its own.  Size is not touched except by file_resize. */
void file_write(struct minode *i, uint64_t off, const void *buf, size_t len);
void file_zero(struct minode *i, uint64_t off, uint64_t len);
void file_resize(struct minode *i, uint64_t size);
void file_read(const struct minode *i, uint64_t off, void *buf, size_t len);
bool file_is_zero(const struct minode *i, uint64_t off, uint64_t end);

#endif
