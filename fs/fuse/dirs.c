/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listing.  Valid replies: open (opendir), buf (readdir, readdirplus), err.
 *
 * fs_readdir gives names in byte order after a name, so a listing is right however the directory changes meanwhile: what was
 * there all the time comes once.  The kernel wants numbers to come back with; a cookie here is the running number of the
 * entry in this open directory, and each handle keeps the name behind a cookie: all of the last RECENT/2 at least (the kernel
 * re-reads only from there), one in STEP of the older ones.  seekdir to an older cookie counts forward from the nearest one
 * kept; that is exact unless names between the two came or went since.  It bounds what one open directory can cost.
 *
 * The kernel keeps listings (FOPEN_CACHE_DIR) and forgets one when it changes the directory itself. What an ioctl changes is names
 * of volumes: those it has seen are dropped with their directory's listing (roots.h). .snapshots is not kept.
 *
 * Cookie 0: from the start, with everything forgotten (rewinddir).  1 and 2: "." and "..".  With snapdir=visible a volume's
 * root has .snapshots as 3.
 */
#include "fs/fuse/mnt.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/base/nowait.h"
#include "fs/fuse/roots.h"

#define RECENT 65536
#define STEP 512
#define COOKIE_FIRST 3 /* the last entry before the names of fs_readdir */

struct mark {
	uint64_t cookie;
	uint8_t len;
	char name[]; /* no NUL */
};
struct dirh {
	pthread_mutex_t lock; /* protects the rest; held over fs_readdir, never over a reply */
	struct mark **marks;  /* owned; by cookie, ascending */
	size_t n, room, old;  /* the first `old` are thinned out already */
};

static void marks_clear(struct dirh *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->marks[i]);
	d->n = d->old = 0;
}

static void dirh_free(struct dirh *d)
{
	if (!d)
		return;
	marks_clear(d);
	free(d->marks);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void thin(struct dirh *d)
{
	size_t keep = d->old, recent = d->n - RECENT / 2;

	for (size_t i = d->old; i < recent; i++) {
		if (d->marks[i]->cookie % STEP == 0)
			d->marks[keep++] = d->marks[i];
		else
			free(d->marks[i]);
	}
	memmove(d->marks + keep, d->marks + recent, (d->n - recent) * sizeof(*d->marks));
	d->n -= recent - keep;
	d->old = keep;
}

/* -ENOMEM. */
static int mark_add(struct dirh *d, uint64_t cookie, const char *name, size_t len)
{
	struct mark *k = malloc(sizeof(*k) + len);

	if (!k)
		return -ENOMEM;
	/* The kernel came back to an earlier place: what was handed out behind it is handed out anew. */
	while (d->n > 0 && d->marks[d->n - 1]->cookie >= cookie) {
		free(d->marks[--d->n]);
		d->old = MIN(d->old, d->n);
	}
	if (d->n - d->old > RECENT)
		thin(d);
	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		struct mark **p = realloc(d->marks, room * sizeof(*p));

		if (!p) {
			free(k);
			return -ENOMEM;
		}
		d->marks = p;
		d->room = room;
	}
	k->cookie = cookie;
	k->len = (uint8_t)len;
	memcpy(k->name, name, len);
	d->marks[d->n++] = k;
	return 0;
}

static struct dirh *dirh_get(struct mnt *m, uint64_t fh)
{
	struct dirh *d;

	pthread_mutex_lock(&m->dirs_lock);
	d = fh < m->ndirs ? m->dirs[fh] : NULL;
	pthread_mutex_unlock(&m->dirs_lock);
	return d; /* stays until RELEASEDIR, which the kernel sends after all READDIRs */
}

static struct dirh *take(struct mnt *m, uint64_t fh)
{
	struct dirh *d = NULL;

	pthread_mutex_lock(&m->dirs_lock);
	if (fh < m->ndirs) {
		d = m->dirs[fh];
		m->dirs[fh] = NULL;
	}
	pthread_mutex_unlock(&m->dirs_lock);
	return d;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(req);
	struct fs_node node;
	struct dirh *d = NULL;
	int err = mnt_node(m, ino, &node);

	if (!err) {
		d = calloc(1, sizeof(*d));
		err = d ? 0 : -ENOMEM;
	}
	if (err) {
		reply_err(req, err);
		return;
	}
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_lock(&m->dirs_lock);
	size_t i = 0;

	while (i < m->ndirs && m->dirs[i])
		i++;
	if (i == m->ndirs) {
		size_t room = m->ndirs ? m->ndirs * 2 : 64;
		struct dirh **p = realloc(m->dirs, room * sizeof(*p));

		if (p) {
			memset(p + m->ndirs, 0, (room - m->ndirs) * sizeof(*p));
			m->dirs = p;
			m->ndirs = room;
		} else {
			err = -ENOMEM;
		}
	}
	if (!err)
		m->dirs[i] = d;
	pthread_mutex_unlock(&m->dirs_lock);
	if (err) {
		dirh_free(d);
		reply_err(req, err);
		return;
	}
	fi->fh = i;
	fi->cache_readdir = fi->keep_cache = node.ino != FS_INO_SNAPSHOTS;
	if (fuse_reply_open(req, fi))
		dirh_free(take(m, i)); /* interrupted: no RELEASEDIR will come */
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	dirh_free(take(mnt_of(req), fi->fh));
	reply_err(req, 0);
}

void dirs_release(struct mnt *m)
{
	for (size_t i = 0; i < m->ndirs; i++)
		dirh_free(m->dirs[i]);
	free(m->dirs);
	pthread_mutex_destroy(&m->dirs_lock);
}

/* ---- one READDIR --------------------------------------------------------------------------------------------- */

struct listing {
	fuse_req_t req;
	struct mnt *m;
	struct dirh *d;
	struct fs_node dir;
	fuse_ino_t ino;
	bool plus;
	char *buf;
	size_t size, used;
	uint64_t cookie; /* of the last entry put or skipped */
	uint64_t skip;	 /* names to pass over first */
	int err;
};

/* false: no room. */
static bool put(struct listing *l, const char *name, const struct stat *st, const struct fuse_entry_param *e)
{
	size_t room = l->size - l->used, need;
	off_t next = (off_t)(l->cookie + 1);

	need = l->plus ? fuse_add_direntry_plus(l->req, l->buf + l->used, room, name, e, next)
		       : fuse_add_direntry(l->req, l->buf + l->used, room, name, st, next);
	if (need > room)
		return false;
	l->used += need;
	l->cookie++;
	return true;
}

static bool put_plain(struct listing *l, const char *name, uint64_t number, uint8_t dtype)
{
	struct fuse_entry_param e = {.attr = {.st_ino = number, .st_mode = DTTOIF(dtype)}}; /* ino 0: no look-up */

	return put(l, name, &e.attr, &e);
}

static bool put_full(struct listing *l, const char *name, const struct fs_attr *a)
{
	struct fuse_entry_param e;

	if (mnt_entry(l->m, l->dir, l->ino, name, a, &e)) /* gone meanwhile: a name without attributes */
		return put_plain(l, name, fs_node_number(l->m->fs, a->node), IFTODT(a->mode));
	if (put(l, name, &e.attr, &e))
		return true;
	mnt_entry_undo(l->m, a);
	return false;
}

static int put_name(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct listing *l = arg;
	char z[FS_NAME_MAX + 1];
	bool done;

	if (l->skip > 0) {
		l->skip--;
		l->cookie++;
		return 0;
	}
	memcpy(z, name, len);
	z[len] = '\0';
	if (node.vol != l->dir.vol)
		roots_saw(l->m, node.vol, l->ino, z);
	done = l->plus && attr ? put_full(l, z, attr) : put_plain(l, z, fs_node_number(l->m->fs, node), dtype);
	if (!done)
		return 1;
	l->err = mark_add(l->d, l->cookie, name, len);
	return l->err ? 1 : 0;
}

static bool put_dots(struct listing *l)
{
	struct fs_node root;

	if (l->cookie == 0 && !put_plain(l, ".", fs_node_number(l->m->fs, l->dir), DT_DIR))
		return false;
	if (l->cookie == 1 &&
	    !put_plain(l, "..", l->ino == MNT_INO_ROOT ? fs_node_number(l->m->fs, l->dir) : UINT32_MAX, DT_DIR))
		return false;
	if (l->cookie == 2) {
		if (l->m->opt->snapdir_visible && fs_volume_root(l->m->fs, l->dir.vol, &root) == 0 &&
		    root.ino == l->dir.ino) {
			struct fs_node snaps = {.vol = l->dir.vol, .ino = FS_INO_SNAPSHOTS};

			return put_plain(l, FS_SNAPSHOTS_NAME, fs_node_number(l->m->fs, snaps), DT_DIR);
		}
		l->cookie = COOKIE_FIRST;
	}
	return true;
}

/* Where to go on: the name to list after, and how many to skip behind it. */
static void find_place(struct dirh *d, uint64_t off, struct listing *l, char after[FS_NAME_MAX], size_t *after_len)
{
	size_t lo = 0, hi = d->n;

	*after_len = 0;
	l->cookie = off;
	if (off <= COOKIE_FIRST)
		return;
	while (lo < hi) { /* first mark behind off */
		size_t mid = (lo + hi) / 2;

		if (d->marks[mid]->cookie <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	l->cookie = COOKIE_FIRST;
	if (lo > 0) {
		const struct mark *k = d->marks[lo - 1];

		memcpy(after, k->name, k->len);
		*after_len = k->len;
		l->cookie = k->cookie;
	}
	l->skip = off - l->cookie;
}

/* The kernel did not take the answer: its entries hold nothing. */
static void undo_plus(struct mnt *m, const char *buf, size_t used)
{
	for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS < used;) {
		const struct fuse_direntplus *p = (const struct fuse_direntplus *)(buf + at);
		struct fs_node node;

		if (p->entry_out.nodeid > MNT_INO_ROOT && mnt_node(m, p->entry_out.nodeid, &node) == 0)
			fs_drop(m->fs, node, 1);
		at += FUSE_DIRENTPLUS_SIZE(p);
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct mnt *m = mnt_of(req);
	struct listing l = {.req = req, .m = m, .ino = ino, .plus = plus, .size = size, .buf = reply_room(size)};
	char after[FS_NAME_MAX];
	size_t after_len;
	int err = mnt_node(m, ino, &l.dir);

	l.d = dirh_get(m, fi->fh);
	if (!err)
		err = nowait_check(); /* the names need the database; "." and ".." alone would be an answer, and a poor one */
	if (!err && !l.buf)
		err = -ENOMEM;
	if (!err && !l.d)
		err = -EBADF;
	if (err) {
		reply_err(req, err);
		return;
	}
	pthread_mutex_lock(&l.d->lock);
	if (off == 0)
		marks_clear(l.d);
	find_place(l.d, (uint64_t)off, &l, after, &after_len);
	if (put_dots(&l)) {
		size_t least = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET; /* of one entry */
		unsigned most = (unsigned)MIN(size / least + 1 + l.skip, UINT32_MAX);

		err = fs_readdir(m->fs, l.dir, after, after_len, most, plus, put_name, &l);
	}
	pthread_mutex_unlock(&l.d->lock);
	if (l.err)
		err = l.err;
	/* What is in the buffer holds nodes already; an error behind it comes with the next call. */
	if (err < 0 && l.used == 0)
		reply_err(req, err);
	else if (fuse_reply_buf(req, l.buf, l.used) && plus)
		undo_plus(m, l.buf, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}
