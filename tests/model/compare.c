/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything the engine shows beside everything the model holds. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/cleanup.h"
#include "tests/model/world.h"

struct compare {
	struct world *w;
	struct mstate *s;
	bool quiet;
	uint64_t learned[64]; /* inode keys whose number was found out here */
	unsigned nlearned;
	uint64_t learned_vols[16];
	unsigned nlearned_vols;
};

static bool differs(struct compare *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool differs(struct compare *c, const char *fmt, ...)
{
	va_list ap;

	if (!c->quiet) {
		va_start(ap, fmt);
		fputs("differs: ", stderr);
		vfprintf(stderr, fmt, ap);
		fputc('\n', stderr);
		va_end(ap);
	}
	return false;
}

#define NO(...) return differs(c, __VA_ARGS__)
typedef unsigned long long ull;

uint64_t dir_size_shown(const struct minode *i)
{
	return i->nents * 32ull + 64;
}

static bool same_attr(struct compare *c, struct mvol *v, struct minode *i, const struct fs_attr *a)
{
	bool dir = S_ISDIR(i->mode);
	uint64_t size = dir ? dir_size_shown(i) : i->size;

	if (a->mode != i->mode || a->uid != i->uid || a->gid != i->gid || a->nlink != i->nlink || a->size != size || a->rdev != i->rdev)
		NO("volume %llu inode %llu: mode %o uid %u gid %u nlink %u size %llu rdev %llu, want %o %u %u %u %llu %llu",
		   (ull)a->node.vol, (ull)a->node.ino, a->mode, a->uid, a->gid, a->nlink, (ull)a->size, (ull)a->rdev, i->mode, i->uid,
		   i->gid, i->nlink, (ull)size, (ull)i->rdev);
	if (a->atime_ns != i->atime || a->mtime_ns != i->mtime || a->ctime_ns != i->ctime || a->btime_ns != i->btime)
		NO("volume %llu inode %llu: atime %lld mtime %lld ctime %lld btime %lld, want %lld %lld %lld %lld", (ull)a->node.vol,
		   (ull)a->node.ino, (long long)a->atime_ns, (long long)a->mtime_ns, (long long)a->ctime_ns, (long long)a->btime_ns,
		   (long long)i->atime, (long long)i->mtime, (long long)i->ctime, (long long)i->btime);
	if (S_ISREG(i->mode) && a->blocks_512 > (i->size + 4095) / 4096 * 8)
		NO("volume %llu inode %llu: %llu sectors for %llu bytes", (ull)a->node.vol, (ull)a->node.ino, (ull)a->blocks_512, (ull)i->size);
	(void)v;
	return true;
}

void compare_attr(struct world *w, struct mstate *s, uint64_t vol, uint64_t ino, const struct fs_attr *a)
{
	struct compare c = { .w = w, .s = s };
	struct mvol *v = state_vol(s, vol);

	if (sim_is_off(w->io))
		return;
	if (!same_attr(&c, v, vol_inode(v, ino), a))
		world_fail(w, "attributes");
}

/* ---- content ---- */

static bool same_bytes(struct compare *c, struct minode *i, struct fs_node node, uint64_t off, size_t len)
{
	struct world *w = c->w;
	ssize_t n = fs_read(w->fs, node, w->buf, len, off);
	size_t want = off >= i->size ? 0 : (size_t)MIN((uint64_t)len, i->size - off);

	if (n != (ssize_t)want)
		NO("volume %llu inode %llu: read of %zu at %llu (size %llu) gives %zd", (ull)node.vol, (ull)node.ino, len, (ull)off,
		   (ull)i->size, n);
	file_read(i, off, w->buf2, want);
	if (memcmp(w->buf, w->buf2, want)) {
		size_t k = 0, e;

		while (w->buf[k] == w->buf2[k])
			k++;
		for (e = want; w->buf[e - 1] == w->buf2[e - 1]; e--)
			;
		NO("volume %llu inode %llu size %llu: bytes [%llu, %llu) are wrong, first %02x, want %02x", (ull)node.vol, (ull)node.ino,
		   (ull)i->size, (ull)(off + k), (ull)(off + e), w->buf[k], w->buf2[k]);
	}
	return true;
}

static bool same_content(struct compare *c, struct minode *i, struct fs_node node)
{
	struct world *w = c->w;

	if (i->size <= 512 << 10) {
		if (!same_bytes(c, i, node, 0, i->size + 10))
			return false;
	} else {
		for (unsigned n = 0; n < i->npages; n++) {
			uint64_t off = i->pages[n].idx * MODEL_PAGE, from = off > MODEL_PAGE ? off - MODEL_PAGE : 0;
			unsigned last = n;

			while (last + 1 < i->npages && i->pages[last + 1].idx == i->pages[last].idx + 1 && last - n < 64)
				last++;
			if (!same_bytes(c, i, node, from, i->pages[last].idx * MODEL_PAGE + 2 * MODEL_PAGE - from))
				return false;
			n = last;
		}
		for (unsigned n = 0; n < 3; n++)
			if (!same_bytes(c, i, node, look(w, i->size), 20000))
				return false;
		if (!same_bytes(c, i, node, i->size - 5000, 5100))
			return false;
	}
	return true;
}

void compare_file(struct world *w, struct mstate *s, uint64_t vol, uint64_t ino)
{
	struct compare c = { .w = w, .s = s };

	if (!same_content(&c, vol_inode(state_vol(s, vol), ino), node_of(w, vol, ino)) && !sim_is_off(w->io))
		world_fail(w, "content");
}

/* ---- extended attributes ---- */

static bool same_xattrs(struct compare *c, struct minode *i, struct fs_node node)
{
	static char list[8192], value[65536];
	ssize_t n = fs_listxattr(c->w->fs, node, list, sizeof(list));
	unsigned found = 0;

	if (n < 0)
		NO("volume %llu inode %llu: listxattr: %s", (ull)node.vol, (ull)node.ino, strerror((int)-n));
	for (char *p = list; p < list + n; p += strlen(p) + 1, found++) {
		unsigned k = 0;

		while (k < i->nxattrs && strcmp(model_xattr_names[i->xattrs[k].name], p))
			k++;
		if (k == i->nxattrs)
			NO("volume %llu inode %llu: xattr %s should not be there", (ull)node.vol, (ull)node.ino, p);
	}
	if (found != i->nxattrs)
		NO("volume %llu inode %llu: %u xattrs, want %u", (ull)node.vol, (ull)node.ino, found, i->nxattrs);
	for (unsigned k = 0; k < i->nxattrs; k++) {
		const char *name = model_xattr_names[i->xattrs[k].name];
		struct blob *v = i->xattrs[k].v;

		n = fs_getxattr(c->w->fs, node, name, value, sizeof(value));
		if (n != (ssize_t)v->len || memcmp(value, v->b, v->len))
			NO("volume %llu inode %llu xattr %s: %zd bytes, want %u, or other bytes", (ull)node.vol, (ull)node.ino, name, n, v->len);
	}
	return true;
}

/* ---- directories ---- */

struct listing {
	struct compare *c;
	struct mvol *v;
	struct minode *dir;
	unsigned next; /* index into dir->ents */
	unsigned given;
	bool bad;
};

static void learn(struct compare *c, uint64_t key, uint64_t ino)
{
	c->w->ino_of[key] = ino;
	if (c->nlearned < ARRAY_SIZE(c->learned))
		c->learned[c->nlearned++] = key;
}

static int on_name(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct listing *l = arg;
	struct compare *c = l->c;
	struct ment *e = l->next < l->dir->nents ? &l->dir->ents[l->next] : NULL;
	struct fs_node want;
	unsigned type = DT_DIR;

	l->given++;
	l->next++;
	if (!e || model_names[e->name].len != len || memcmp(model_names[e->name].s, name, len)) {
		l->bad = true;
		differs(c, "volume %llu directory %llu: name '%.*s', want '%s'", (ull)c->w->vol_of[l->v->key],
			(ull)c->w->ino_of[l->dir->key], (int)len, name, e ? model_names[e->name].s : "(end)");
		return 1;
	}
	if (e->vol) {
		struct mvol *t = state_resolve(c->s, l->v, e->key);

		want = t ? node_of(c->w, t->key, t->root) : (struct fs_node){ c->w->vol_of[l->v->key], (1ull << 43) | c->w->vol_of[e->key] };
		if (t && !want.ino)
			learn(c, t->root, want.ino = node.ino);
	} else {
		struct minode *i = vol_inode(l->v, e->key);

		want = node_of(c->w, l->v->key, e->key);
		if (!want.ino)
			learn(c, e->key, want.ino = node.ino);
		type = IFTODT(i->mode);
	}
	if (node.vol != want.vol || node.ino != want.ino || dtype != type) {
		l->bad = true;
		differs(c, "volume %llu directory %llu name '%.*s': leads to %llu/%llu type %u, want %llu/%llu type %u",
			(ull)c->w->vol_of[l->v->key], (ull)c->w->ino_of[l->dir->key], (int)len, name, (ull)node.vol, (ull)node.ino, dtype,
			(ull)want.vol, (ull)want.ino, type);
	}
	if (attr && !e->vol && !l->bad && !same_attr(c, l->v, vol_inode(l->v, e->key), attr))
		l->bad = true;
	return l->bad;
}

static bool same_names(struct compare *c, struct mvol *v, struct minode *dir, struct fs_node node)
{
	struct listing l = { .c = c, .v = v, .dir = dir };
	bool with_attr = (look(c->w, 4) == 0);

	do {
		unsigned max = 1 + (unsigned)look(c->w, 30);
		const struct mname *after = l.next ? &model_names[dir->ents[l.next - 1].name] : NULL;
		int r;

		l.given = 0;
		r = fs_readdir(c->w->fs, node, after ? after->s : NULL, after ? after->len : 0, max, with_attr, on_name, &l);
		if (l.bad)
			return false;
		if (r)
			NO("volume %llu directory %llu: readdir: %d", (ull)node.vol, (ull)node.ino, r);
		if (l.given > max)
			NO("volume %llu directory %llu: %u names, asked for %u", (ull)node.vol, (ull)node.ino, l.given, max);
		if (l.given < max)
			break;
	} while (1);
	if (l.next != dir->nents)
		NO("volume %llu directory %llu: '%s' is missing", (ull)node.vol, (ull)node.ino, model_names[dir->ents[l.next].name].s);
	/* By name, too: another path through the engine. */
	for (unsigned n = 0; n < dir->nents; n++) {
		struct ment *e = &dir->ents[n];
		struct fs_attr a;
		int r;

		if (!e->vol && !(look(c->w, 3) == 0))
			continue;
		r = fs_lookup(c->w->fs, node, model_names[e->name].s, model_names[e->name].len, &a);
		if (r)
			NO("volume %llu directory %llu: look-up of '%s': %d", (ull)node.vol, (ull)node.ino, model_names[e->name].s, r);
		if (!e->vol && a.node.ino != c->w->ino_of[e->key])
			NO("volume %llu directory %llu: look-up of '%s': inode %llu, want %llu", (ull)node.vol, (ull)node.ino,
			   model_names[e->name].s, (ull)a.node.ino, (ull)c->w->ino_of[e->key]);
		if (e->vol && !state_resolve(c->s, v, e->key) && (a.node.vol != node.vol || !S_ISDIR(a.mode) || (a.mode & 0222) || a.nlink != 2))
			NO("volume %llu directory %llu: '%s' is no empty directory", (ull)node.vol, (ull)node.ino, model_names[e->name].s);
	}
	return true;
}

/* ---- one inode, one volume ---- */

static bool same_inode(struct compare *c, struct mvol *v, struct minode *i)
{
	struct fs_node node = node_of(c->w, v->key, i->key);
	struct fs_attr a;
	int r;

	if (!node.ino) /* learned by name soon, or nameless */
		return true;
	r = fs_getattr(c->w->fs, node, &a);
	if (r)
		NO("volume %llu inode %llu (mode %o): getattr: %d", (ull)node.vol, (ull)node.ino, i->mode, r);
	if (!same_attr(c, v, i, &a) || !same_xattrs(c, i, node))
		return false;
	if (S_ISLNK(i->mode)) {
		char text[FS_SYMLINK_MAX + 1];

		r = fs_readlink(c->w->fs, node, text, sizeof(text));
		if (r != (int)i->target->len || memcmp(text, i->target->b, i->target->len))
			NO("volume %llu inode %llu: symbolic link is wrong", (ull)node.vol, (ull)node.ino);
	}
	if (S_ISDIR(i->mode))
		return same_names(c, v, i, node);
	return !S_ISREG(i->mode) || same_content(c, i, node);
}

struct snap_listing {
	struct compare *c;
	struct mvol *v;
	unsigned given;
	bool bad;
	char last[256];
};

static int on_snapshot(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct snap_listing *l = arg;
	struct mvol *s = state_snapshot(l->c->s, l->v, name);

	(void)attr;
	(void)dtype;
	l->given++;
	l->bad = !s || strlen(name) != len || node.vol != l->c->w->vol_of[s->key] || node.ino != l->c->w->ino_of[s->root] ||
		 (l->last[0] && strcmp(l->last, name) >= 0);
	if (l->bad)
		differs(l->c, "volume %llu: snapshot '%s' should not be there, or is another one", (ull)l->c->w->vol_of[l->v->key], name);
	memcpy(l->last, name, len + 1);
	return l->bad;
}

static bool same_snapshots(struct compare *c, struct mvol *v)
{
	struct fs_node dir = { c->w->vol_of[v->key], FS_INO_SNAPSHOTS };
	struct snap_listing l = { .c = c, .v = v };
	unsigned want = 0, before;

	for (unsigned n = 0; n < c->s->nvols; n++)
		want += vol_is_in(c->s->vols[n], v);
	do {
		int r;

		before = l.given;
		r = fs_readdir(c->w->fs, dir, l.last, strlen(l.last), 1 + (unsigned)look(c->w, 5), false, on_snapshot, &l);
		if (l.bad)
			return false;
		if (r)
			NO("volume %llu: listing .snapshots: %d", (ull)dir.vol, r);
	} while (l.given > before);
	if (l.given != want)
		NO("volume %llu: %u snapshots, want %u", (ull)dir.vol, l.given, want);
	return true;
}

static unsigned info_flags(const struct mvol *v)
{
	return (v->flags & MVOL_RO ? KAGEFS_VOL_READ_ONLY : 0) | (v->flags & MVOL_SNAPSHOT ? KAGEFS_VOL_SNAPSHOT : 0) |
	       (v->flags & MVOL_SEALED ? KAGEFS_VOL_SEALED : 0) | (v->flags & MVOL_RECOVERY ? KAGEFS_VOL_RECOVERY : 0);
}

static bool same_volume_info(struct compare *c, struct mvol *v, const struct kagefs_volume_info *i)
{
	struct mset *t = v->set ? state_set(c->s, v->set) : NULL;
	static const uint8_t none[16];
	struct fs_node n;

	if (i->id != c->w->vol_of[v->key])
		NO("volume %llu is listed, want %llu", (ull)i->id, (ull)c->w->vol_of[v->key]);
	if (i->flags != info_flags(v) || i->origin != (v->origin ? c->w->vol_of[v->origin] : 0) || i->created_ns != v->created ||
	    strcmp(i->name, v->name))
		NO("volume %llu: flags %x origin %llu created %llu name '%s', want %x %llu %llu '%s'", (ull)i->id, i->flags, (ull)i->origin,
		   (ull)i->created_ns, i->name, info_flags(v), (ull)(v->origin ? c->w->vol_of[v->origin] : 0), (ull)v->created, v->name);
	if (memcmp(i->set.b, t ? t->uuid : none, 16))
		NO("volume %llu: belongs to another set", (ull)i->id);
	if (fs_node_by_number(c->w->fs, i->root_ino, &n) || n.vol != i->id || (c->w->ino_of[v->root] && n.ino != c->w->ino_of[v->root]))
		NO("volume %llu: root number %llu leads elsewhere", (ull)i->id, (ull)i->root_ino);
	if (!c->w->ino_of[v->root])
		learn(c, v->root, n.ino);
	return true;
}

/* A volume that a call made which never came back: the engine's newest ones are the model's newest ones. */
static bool learn_volumes(struct compare *c)
{
	static struct kagefs_ioc_volume_list l;
	unsigned n = 0;

	l.after = 0;
	do {
		if (fs_ioc_volume_list(c->w->fs, &l))
			NO("listing volumes");
		for (unsigned k = 0; k < l.count; k++, n++) {
			if (n >= c->s->nvols)
				NO("volume %llu should not be there", (ull)l.volumes[k].id);
			if (!c->w->vol_of[c->s->vols[n]->key]) {
				c->w->vol_of[c->s->vols[n]->key] = l.volumes[k].id;
				if (c->nlearned_vols < ARRAY_SIZE(c->learned_vols))
					c->learned_vols[c->nlearned_vols++] = c->s->vols[n]->key;
			}
			l.after = l.volumes[k].id;
			if (!same_volume_info(c, c->s->vols[n], &l.volumes[k]))
				return false;
		}
	} while (l.count);
	if (n != c->s->nvols)
		NO("%u volumes, want %u", n, c->s->nvols);
	return true;
}

/* ---- sets ---- */

static bool same_set(struct compare *c, struct mset *t)
{
	static struct kagefs_ioc_set_get g;
	int r;

	memset(&g, 0, sizeof(g));
	memcpy(g.uuid.b, t->uuid, 16);
	r = fs_ioc_set_get(c->w->fs, &g);
	if (r)
		NO("set %llu: %d", (ull)t->key, r);
	if (g.info.flags != t->flags || g.info.state != t->state || strcmp(g.info.owner, "model") || g.info.created_ns != t->created ||
	    g.info.committed_ns != t->committed || g.info.writer_uid != t->writer || g.info.nvolumes != t->n ||
	    g.info.record_version != t->version || g.info.record_len != t->record_len)
		NO("set %llu: flags %x state %x created %llu committed %llu writer %u n %u version %llu record %u, want %x %x %llu %llu %u %u %llu %u",
		   (ull)t->key, g.info.flags, g.info.state, (ull)g.info.created_ns, (ull)g.info.committed_ns, g.info.writer_uid,
		   g.info.nvolumes, (ull)g.info.record_version, g.info.record_len, t->flags, t->state, (ull)t->created, (ull)t->committed,
		   t->writer, t->n, (ull)t->version, t->record_len);
	if (memcmp(g.record, t->record, t->record_len))
		NO("set %llu: record", (ull)t->key);
	for (unsigned i = 0; i < t->n; i++)
		if (g.members[i].volume != c->w->vol_of[t->volume[i]] || g.members[i].snapshot != (t->snapshot[i] ? c->w->vol_of[t->snapshot[i]] : 0))
			NO("set %llu: member %u", (ull)t->key, i);
	return true;
}

static bool same_sets(struct compare *c)
{
	static struct kagefs_ioc_set_list l;
	struct mset *all[64];
	unsigned n = 0, at = 0;

	/* In the order of creation; those only announced are sets too. */
	for (unsigned i = 0; i < c->s->nsets; i++)
		all[n++] = c->s->sets[i];
	for (unsigned i = 0; i < ARRAY_SIZE(c->w->prepared); i++) {
		struct mset *t = c->w->prepared[i];
		unsigned k = n;

		if (!t)
			continue;
		for (; k && all[k - 1]->key > t->key; k--)
			all[k] = all[k - 1];
		all[k] = t;
		n++;
	}
	memset(&l, 0, sizeof(l));
	do {
		if (fs_ioc_set_list(c->w->fs, &l))
			NO("listing sets");
		for (unsigned k = 0; k < l.count; k++, at++)
			if (at >= n || memcmp(l.sets[k].uuid.b, all[at]->uuid, 16))
				NO("set list, place %u of %u: another set", at, n);
		if (l.count)
			l.after = l.sets[l.count - 1].uuid;
	} while (l.count);
	if (at != n)
		NO("%u sets, want %u", at, n);
	for (unsigned i = 0; i < n; i++)
		if (!same_set(c, all[i]))
			return false;
	return true;
}

/* Inodes whose number is not known are learned by the name that leads to them; so a second round may have more to look at. */
static bool compare_inodes(struct compare *c)
{
	for (unsigned n = 0; n < c->s->nvols; n++) {
		struct mvol *v = c->s->vols[n];

		for (unsigned k = 0; k < v->ninodes; k++)
			if (!same_inode(c, v, v->inodes[k]))
				return false;
	}
	return true;
}

static bool compare_state(struct compare *c)
{
	struct mvol *root = state_vol(c->s, c->s->root);
	unsigned before;

	if (!learn_volumes(c))
		return false;
	if (fs_root(c->w->fs).vol != c->w->vol_of[root->key])
		NO("the mount's root is volume %llu", (ull)fs_root(c->w->fs).vol);
	for (unsigned n = 0; n < c->s->nvols; n++)
		if (!same_snapshots(c, c->s->vols[n]))
			return false;
	if (!same_sets(c))
		return false;
	do {
		before = c->nlearned;
		if (!compare_inodes(c))
			return false;
	} while (c->nlearned > before);
	return true;
}

bool compare_all(struct world *w, struct mstate *s, bool quiet)
{
	struct compare c = { .w = w, .s = s, .quiet = quiet };
	bool same = compare_state(&c);

	w->compares++;
	if (!same) {
		for (unsigned i = 0; i < c.nlearned; i++)
			w->ino_of[c.learned[i]] = 0;
		for (unsigned i = 0; i < c.nlearned_vols; i++)
			w->vol_of[c.learned_vols[i]] = 0;
	}
	return same;
}
