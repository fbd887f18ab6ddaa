/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/cleanup.h"

static char long_a[256], long_b[256];
const struct mname model_names[] = {
	{ "\x01\xff", 2 }, { " ", 1 }, { "...", 3 }, { ".snapshots", 10 }, { "A", 1 }, { "a", 1 }, { "a.", 2 }, { "aa", 2 },
	{ long_a, 255 },   { "b", 1 }, { "c", 1 },   { "d", 1 },	    { "dir", 3 }, { "e", 1 }, { "f", 1 },  { "file", 4 },
	{ "g", 1 },	   { long_b, 255 }, { "z", 1 }, { "\xc3\xa4", 2 }, { "\xff", 1 },
};
const unsigned model_nnames = ARRAY_SIZE(model_names);
const char *const model_xattr_names[] = {
	"security.capability", "system.posix_acl_access", "system.posix_acl_default", "trusted.t", "user.", "user.a", "user.b",
	"user.c.d",
};
const unsigned model_nxattr_names = ARRAY_SIZE(model_xattr_names);

void model_names_init(void)
{
	memset(long_a, 'a', 255);
	memset(long_b, 'm', 255);
}

void *xmalloc(size_t n)
{
	return xrealloc(NULL, n);
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		abort();
	return p;
}

/* Room for one more element of size `one` in an array of n with room for *cap. */
static void *grow(void *p, unsigned n, unsigned *cap, size_t one)
{
	if (n < *cap)
		return p;
	*cap = *cap ? *cap * 2 : 4;
	return xrealloc(p, *cap * one);
}

static void *dup_array(const void *p, unsigned n, size_t one)
{
	void *d;

	if (!n)
		return NULL;
	d = xmalloc(n * one);
	memcpy(d, p, n * one);
	return d;
}

/* ---- inodes ---- */

static struct blob *blob_make(const void *b, uint32_t len)
{
	struct blob *v = xmalloc(sizeof(*v) + len);

	v->refs = 1;
	v->len = len;
	if (len)
		memcpy(v->b, b, len);
	return v;
}

static void blob_unref(struct blob *b)
{
	if (b && !--b->refs)
		free(b);
}

static void page_unref(struct page *p)
{
	if (!--p->refs)
		free(p);
}

struct minode *inode_make(uint64_t key)
{
	struct minode *i = xmalloc(sizeof(*i));

	memset(i, 0, sizeof(*i));
	i->refs = 1;
	i->key = key;
	return i;
}

static void inode_unref(struct minode *i)
{
	if (--i->refs)
		return;
	for (unsigned n = 0; n < i->npages; n++)
		page_unref(i->pages[n].p);
	for (unsigned n = 0; n < i->nxattrs; n++)
		blob_unref(i->xattrs[n].v);
	blob_unref(i->target);
	free(i->pages);
	free(i->xattrs);
	free(i->ents);
	free(i);
}

static struct minode *inode_copy(const struct minode *i)
{
	struct minode *c = xmalloc(sizeof(*c));

	*c = *i;
	c->refs = 1;
	if (c->target)
		c->target->refs++;
	c->ents = dup_array(i->ents, i->nents, sizeof(*i->ents));
	c->xattrs = dup_array(i->xattrs, i->nxattrs, sizeof(*i->xattrs));
	c->pages = dup_array(i->pages, i->npages, sizeof(*i->pages));
	c->cap_ents = i->nents;
	c->cap_xattrs = i->nxattrs;
	c->cap_pages = i->npages;
	for (unsigned n = 0; n < c->npages; n++)
		c->pages[n].p->refs++;
	for (unsigned n = 0; n < c->nxattrs; n++)
		c->xattrs[n].v->refs++;
	return c;
}

struct ment *inode_ent(struct minode *dir, unsigned name)
{
	for (unsigned n = 0; n < dir->nents; n++)
		if (dir->ents[n].name == name)
			return &dir->ents[n];
	return NULL;
}

void inode_ent_set(struct minode *dir, unsigned name, bool vol, uint64_t key)
{
	unsigned at = 0;

	while (at < dir->nents && dir->ents[at].name < name)
		at++;
	if (at == dir->nents || dir->ents[at].name != name) {
		dir->ents = grow(dir->ents, dir->nents, &dir->cap_ents, sizeof(*dir->ents));
		memmove(dir->ents + at + 1, dir->ents + at, (dir->nents - at) * sizeof(*dir->ents));
		dir->nents++;
	}
	dir->ents[at] = (struct ment){ name, vol, key };
}

void inode_ent_del(struct minode *dir, unsigned name)
{
	struct ment *e = inode_ent(dir, name);
	size_t at;

	if (!e)
		return;
	at = (size_t)(e - dir->ents);
	dir->nents--;
	memmove(dir->ents + at, dir->ents + at + 1, (dir->nents - at) * sizeof(*dir->ents));
}

struct mxattr *inode_xattr(struct minode *i, unsigned name)
{
	for (unsigned n = 0; n < i->nxattrs; n++)
		if (i->xattrs[n].name == name)
			return &i->xattrs[n];
	return NULL;
}

void inode_xattr_set(struct minode *i, unsigned name, const void *v, uint32_t len)
{
	struct mxattr *x = inode_xattr(i, name);
	unsigned at = 0;

	if (x)
		blob_unref(x->v);
	if (!v) {
		if (x) {
			at = (unsigned)(x - i->xattrs);
			i->nxattrs--;
			memmove(x, x + 1, (i->nxattrs - at) * sizeof(*x));
		}
		return;
	}
	if (!x) {
		while (at < i->nxattrs && i->xattrs[at].name < name)
			at++;
		i->xattrs = grow(i->xattrs, i->nxattrs, &i->cap_xattrs, sizeof(*i->xattrs));
		memmove(i->xattrs + at + 1, i->xattrs + at, (i->nxattrs - at) * sizeof(*x));
		i->nxattrs++;
		x = &i->xattrs[at];
		x->name = name;
	}
	x->v = blob_make(v, len);
}

/* ---- content ---- */

/* First page with an index >= idx. */
static unsigned page_at(const struct minode *i, uint64_t idx)
{
	unsigned lo = 0, hi = i->npages;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (i->pages[mid].idx < idx)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct page *page_mut(struct minode *i, uint64_t idx)
{
	unsigned at = page_at(i, idx);
	struct page *p;

	if (at == i->npages || i->pages[at].idx != idx) {
		i->pages = grow(i->pages, i->npages, &i->cap_pages, sizeof(*i->pages));
		memmove(i->pages + at + 1, i->pages + at, (i->npages - at) * sizeof(*i->pages));
		i->npages++;
		p = xmalloc(sizeof(*p));
		memset(p, 0, sizeof(*p));
		p->refs = 1;
		i->pages[at] = (struct mpage){ idx, p };
		return p;
	}
	p = i->pages[at].p;
	if (p->refs > 1) {
		p->refs--;
		p = dup_array(p, 1, sizeof(*p));
		p->refs = 1;
		i->pages[at].p = p;
	}
	return p;
}

void file_write(struct minode *i, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *b = buf;

	while (len) {
		size_t in = off % MODEL_PAGE, n = MIN(len, MODEL_PAGE - in);

		memcpy(page_mut(i, off / MODEL_PAGE)->b + in, b, n);
		b += n;
		off += n;
		len -= n;
	}
}

void file_zero(struct minode *i, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	unsigned to;

	for (unsigned n = page_at(i, off / MODEL_PAGE); n < i->npages && i->pages[n].idx * MODEL_PAGE < end; n++) {
		uint64_t start = i->pages[n].idx * MODEL_PAGE, a = MAX(start, off), b = MIN(start + MODEL_PAGE, end);

		if (b - a < MODEL_PAGE) {
			memset(page_mut(i, i->pages[n].idx)->b + (a - start), 0, b - a);
		} else {
			page_unref(i->pages[n].p);
			i->pages[n].p = NULL;
		}
	}
	to = 0;
	for (unsigned n = 0; n < i->npages; n++)
		if (i->pages[n].p)
			i->pages[to++] = i->pages[n];
	i->npages = to;
}

void file_resize(struct minode *i, uint64_t size)
{
	if (size < i->size)
		file_zero(i, size, i->size - size);
	i->size = size;
}

void file_read(const struct minode *i, uint64_t off, void *buf, size_t len)
{
	uint8_t *b = buf;

	while (len) {
		size_t in = off % MODEL_PAGE, n = MIN(len, MODEL_PAGE - in);
		unsigned at = page_at(i, off / MODEL_PAGE);

		if (at < i->npages && i->pages[at].idx == off / MODEL_PAGE)
			memcpy(b, i->pages[at].p->b + in, n);
		else
			memset(b, 0, n);
		b += n;
		off += n;
		len -= n;
	}
}

bool file_is_zero(const struct minode *i, uint64_t off, uint64_t end)
{
	for (unsigned n = page_at(i, off / MODEL_PAGE); n < i->npages && i->pages[n].idx * MODEL_PAGE < end; n++) {
		uint64_t start = i->pages[n].idx * MODEL_PAGE;

		for (uint64_t at = MAX(start, off); at < MIN(start + MODEL_PAGE, end); at++)
			if (i->pages[n].p->b[at - start])
				return false;
	}
	return true;
}

/* ---- volumes ---- */

struct mvol *vol_make(uint64_t key)
{
	struct mvol *v = xmalloc(sizeof(*v));

	memset(v, 0, sizeof(*v));
	v->refs = 1;
	v->key = key;
	return v;
}

static void vol_unref(struct mvol *v)
{
	if (--v->refs)
		return;
	for (unsigned n = 0; n < v->ninodes; n++)
		inode_unref(v->inodes[n]);
	free(v->inodes);
	free(v);
}

static struct mvol *vol_dup(const struct mvol *v, bool nameless)
{
	struct mvol *c = xmalloc(sizeof(*c));

	*c = *v;
	c->refs = 1;
	c->cap_inodes = v->ninodes + 1;
	c->inodes = xmalloc(c->cap_inodes * sizeof(*c->inodes));
	c->ninodes = 0;
	for (unsigned n = 0; n < v->ninodes; n++) {
		if (!nameless && !v->inodes[n]->nlink)
			continue;
		c->inodes[c->ninodes++] = v->inodes[n];
		v->inodes[n]->refs++;
	}
	return c;
}

struct mvol *vol_copy(const struct mvol *v)
{
	return vol_dup(v, false);
}

static unsigned inode_at(const struct mvol *v, uint64_t key)
{
	unsigned lo = 0, hi = v->ninodes;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (v->inodes[mid]->key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct minode *vol_inode(struct mvol *v, uint64_t key)
{
	unsigned at = inode_at(v, key);

	return at < v->ninodes && v->inodes[at]->key == key ? v->inodes[at] : NULL;
}

struct minode *vol_inode_mut(struct mvol *v, uint64_t key)
{
	unsigned at = inode_at(v, key);
	struct minode *i = v->inodes[at];

	if (i->refs > 1) {
		v->inodes[at] = inode_copy(i);
		inode_unref(i);
	}
	return v->inodes[at];
}

void vol_inode_add(struct mvol *v, struct minode *i)
{
	unsigned at = inode_at(v, i->key);

	v->inodes = grow(v->inodes, v->ninodes, &v->cap_inodes, sizeof(*v->inodes));
	memmove(v->inodes + at + 1, v->inodes + at, (v->ninodes - at) * sizeof(*v->inodes));
	v->inodes[at] = i;
	v->ninodes++;
}

void vol_inode_del(struct mvol *v, uint64_t key)
{
	unsigned at = inode_at(v, key);

	inode_unref(v->inodes[at]);
	v->ninodes--;
	memmove(v->inodes + at, v->inodes + at + 1, (v->ninodes - at) * sizeof(*v->inodes));
}

bool vol_is_in(const struct mvol *v, const struct mvol *c)
{
	if (!(v->flags & MVOL_SNAPSHOT))
		return false;
	return c->flags & MVOL_SNAPSHOT ? v->place_snapshot && v->place == c->key : !v->place_snapshot && v->place == c->role;
}

void vol_place_in_snapshots(struct mvol *v, const struct mvol *c)
{
	v->place_snapshot = c->flags & MVOL_SNAPSHOT;
	v->place = v->place_snapshot ? c->key : c->role;
	v->place_dir = 0;
}

/* ---- states ---- */

struct mstate *state_new(void)
{
	struct mstate *s = xmalloc(sizeof(*s));

	memset(s, 0, sizeof(*s));
	s->refs = 1;
	return s;
}

struct mstate *state_ref(struct mstate *s)
{
	s->refs++;
	return s;
}

static void set_unref(struct mset *t)
{
	if (!--t->refs)
		free(t);
}

void state_unref(struct mstate *s)
{
	if (!s || --s->refs)
		return;
	for (unsigned n = 0; n < s->nvols; n++)
		vol_unref(s->vols[n]);
	for (unsigned n = 0; n < s->nsets; n++)
		set_unref(s->sets[n]);
	free(s->vols);
	free(s->sets);
	free(s);
}

struct mstate *state_mut(struct mstate **ps)
{
	struct mstate *s = *ps, *c;

	if (s->refs == 1)
		return s;
	c = xmalloc(sizeof(*c));
	*c = *s;
	c->refs = 1;
	c->vols = dup_array(s->vols, s->nvols, sizeof(*s->vols));
	c->sets = dup_array(s->sets, s->nsets, sizeof(*s->sets));
	c->cap_vols = s->nvols;
	c->cap_sets = s->nsets;
	for (unsigned n = 0; n < c->nvols; n++)
		c->vols[n]->refs++;
	for (unsigned n = 0; n < c->nsets; n++)
		c->sets[n]->refs++;
	state_unref(s);
	*ps = c;
	return c;
}

static unsigned vol_at(const struct mstate *s, uint64_t key)
{
	unsigned n = 0;

	while (n < s->nvols && s->vols[n]->key < key)
		n++;
	return n;
}

struct mvol *state_vol(struct mstate *s, uint64_t key)
{
	unsigned at = vol_at(s, key);

	return at < s->nvols && s->vols[at]->key == key ? s->vols[at] : NULL;
}

struct mvol *state_head(struct mstate *s, uint64_t role)
{
	for (unsigned n = 0; n < s->nvols; n++)
		if (s->vols[n]->role == role && !(s->vols[n]->flags & MVOL_SNAPSHOT))
			return s->vols[n];
	return NULL;
}

struct mvol *state_vol_mut(struct mstate *s, uint64_t key)
{
	unsigned at = vol_at(s, key);
	struct mvol *v = s->vols[at];

	if (v->refs > 1) {
		s->vols[at] = vol_dup(v, true);
		vol_unref(v);
	}
	return s->vols[at];
}

void state_vol_add(struct mstate *s, struct mvol *v)
{
	unsigned at = vol_at(s, v->key);

	s->vols = grow(s->vols, s->nvols, &s->cap_vols, sizeof(*s->vols));
	memmove(s->vols + at + 1, s->vols + at, (s->nvols - at) * sizeof(*s->vols));
	s->vols[at] = v;
	s->nvols++;
}

void state_vol_del(struct mstate *s, uint64_t key)
{
	unsigned at = vol_at(s, key);

	vol_unref(s->vols[at]);
	s->nvols--;
	memmove(s->vols + at, s->vols + at + 1, (s->nvols - at) * sizeof(*s->vols));
}

struct mvol *state_resolve(struct mstate *s, struct mvol *in, uint64_t role)
{
	if (!(in->flags & MVOL_SNAPSHOT))
		return state_head(s, role);
	for (unsigned n = 0; n < s->nvols; n++) {
		struct mvol *v = s->vols[n];

		if ((v->flags & MVOL_SNAPSHOT) && v->set == in->set && v->role == role)
			return v;
	}
	return NULL;
}

struct mvol *state_snapshot(struct mstate *s, struct mvol *container, const char *name)
{
	for (unsigned n = 0; n < s->nvols; n++)
		if (vol_is_in(s->vols[n], container) && !strcmp(s->vols[n]->name, name))
			return s->vols[n];
	return NULL;
}

static unsigned set_at(const struct mstate *s, uint64_t key)
{
	unsigned n = 0;

	while (n < s->nsets && s->sets[n]->key < key)
		n++;
	return n;
}

struct mset *state_set(struct mstate *s, uint64_t key)
{
	unsigned at = set_at(s, key);

	return at < s->nsets && s->sets[at]->key == key ? s->sets[at] : NULL;
}

struct mset *state_set_mut(struct mstate *s, uint64_t key)
{
	unsigned at = set_at(s, key);
	struct mset *t = s->sets[at];

	if (t->refs > 1) {
		s->sets[at] = dup_array(t, 1, sizeof(*t));
		s->sets[at]->refs = 1;
		set_unref(t);
	}
	return s->sets[at];
}

void state_set_add(struct mstate *s, struct mset *t)
{
	unsigned at = set_at(s, t->key);

	s->sets = grow(s->sets, s->nsets, &s->cap_sets, sizeof(*s->sets));
	memmove(s->sets + at + 1, s->sets + at, (s->nsets - at) * sizeof(*s->sets));
	s->sets[at] = t;
	s->nsets++;
}

void state_set_del(struct mstate *s, uint64_t key)
{
	unsigned at = set_at(s, key);

	set_unref(s->sets[at]);
	s->nsets--;
	memmove(s->sets + at, s->sets + at + 1, (s->nsets - at) * sizeof(*s->sets));
}

void state_forget_nameless(struct mstate **ps)
{
	for (unsigned n = 0; n < (*ps)->nvols; n++)
		for (unsigned k = 0; k < (*ps)->vols[n]->ninodes; k++) {
			struct minode *i = (*ps)->vols[n]->inodes[k];

			if (i->nlink)
				continue;
			vol_inode_del(state_vol_mut(state_mut(ps), (*ps)->vols[n]->key), i->key);
			k--;
		}
}
