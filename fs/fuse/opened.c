/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/opened.h"

#include <fcntl.h>
#include <stdlib.h>

#include "fs/base/msg.h"
#include "fs/fuse/roots.h"
#include "fs/fuse/writeback.h"

#define SHARDS 64
#define BUCKETS 256

/* One fsync for each write raises the rhythm, one for two lowers it. */
#define RHYTHM_MAX 24u
#define RHYTHM_SURE 12u
#define RHYTHM_FSYNC 3u
#define RHYTHM_WRITE 2u

struct opened {
	struct opened *next;
	fuse_ino_t ino;
	uint64_t vol;
	uint32_t cached, direct, writable; /* open handles */
	bool caps;			   /* counted in mnt.opened_caps */
	bool paged;			   /* the kernel may have pages of it, and so dirty ones */
	unsigned rhythm;		   /* how surely each write is followed by an fsync; 0..RHYTHM_MAX */
	uint64_t lsn;			   /* of the last change, or what was last when it was opened; not of durable writes */
};
struct opened_shard {
	pthread_mutex_t lock; /* protects the rest */
	size_t n;	      /* inodes */
	struct opened *bucket[BUCKETS];
};

static struct opened_shard *shard_of(struct mnt *m, fuse_ino_t ino, struct opened ***bucket)
{
	uint64_t h = ino * 0x9e3779b97f4a7c15ull;
	struct opened_shard *s = &m->opened[h >> 58];

	*bucket = &s->bucket[(h >> 40) % BUCKETS];
	return s;
}

static struct opened **find_locked(struct opened **p, fuse_ino_t ino)
{
	while (*p && (*p)->ino != ino)
		p = &(*p)->next;
	return p;
}

int opened_init(struct mnt *m)
{
	m->opened = calloc(SHARDS, sizeof(*m->opened));
	if (!m->opened)
		return -ENOMEM;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&m->opened[i].lock, NULL);
	return 0;
}

void opened_release(struct mnt *m)
{
	for (int i = 0; m->opened && i < SHARDS; i++) {
		for (int b = 0; b < BUCKETS; b++)
			for (struct opened *o = m->opened[i].bucket[b], *next; o; o = next) {
				next = o->next;
				free(o);
			}
		pthread_mutex_destroy(&m->opened[i].lock);
	}
	free(m->opened);
}

static bool wants_direct(struct mnt *m, uint64_t size, int flags)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;

	if (m->opt->direct_bytes == UINT64_MAX || !wire_direct_mmap(&m->wire))
		return false;
	if (flags & O_DIRECT)
		return true;
	if (size == 0 && (flags & O_ACCMODE) == O_WRONLY)
		return true;
	return write && (size >= m->opt->direct_bytes || (flags & O_DSYNC));
}

int opened_get(struct mnt *m, fuse_ino_t ino, struct fs_node node, uint64_t size, int flags, uint64_t *fh)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	int err = -ENOMEM;

	pthread_mutex_lock(&s->lock);
	b = find_locked(b, ino);
	o = *b;
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			goto out;
		o->ino = ino;
		o->vol = node.vol;
		o->lsn = atomic_load(&m->last_lsn);
		*b = o;
		s->n++;
	}
	*fh = write ? OPENED_WRITABLE : 0;
	o->writable += write;
	if (o->direct || wants_direct(m, size, flags)) {
		o->direct++;
		*fh |= OPENED_DIRECT;
	} else {
		o->cached++;
		o->paged = true;
	}
	err = 0;
out:
	pthread_mutex_unlock(&s->lock);
	if (!err && size >= ROOTS_LARGE_BYTES && !(*fh & OPENED_DIRECT))
		roots_large(m, node.vol, ino);
	return err;
}

void opened_put(struct mnt *m, fuse_ino_t ino, uint64_t fh)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);

	pthread_mutex_lock(&s->lock);
	b = find_locked(b, ino);
	o = *b;
	if (o) {
		if (fh & OPENED_DIRECT)
			o->direct--;
		else
			o->cached--;
		if (fh & OPENED_WRITABLE)
			o->writable--;
		if (!o->direct && !o->cached) {
			*b = o->next;
			s->n--;
			if (o->caps)
				atomic_fetch_sub(&m->opened_caps, 1);
			free(o);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

void opened_has_caps(struct mnt *m, fuse_ino_t ino)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);

	pthread_mutex_lock(&s->lock);
	o = *find_locked(b, ino);
	if (o && o->direct && !o->caps) {
		o->caps = true;
		atomic_fetch_add(&m->opened_caps, 1);
	}
	pthread_mutex_unlock(&s->lock);
}

bool opened_take_caps(struct mnt *m, fuse_ino_t ino)
{
	struct opened **b, *o;
	struct opened_shard *s;
	bool caps;

	if (!atomic_load(&m->opened_caps)) /* nearly always */
		return false;
	s = shard_of(m, ino, &b);
	pthread_mutex_lock(&s->lock);
	o = *find_locked(b, ino);
	caps = o && o->caps;
	if (caps) {
		o->caps = false;
		atomic_fetch_sub(&m->opened_caps, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return caps;
}

void opened_paged(struct mnt *m, fuse_ino_t ino)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);

	pthread_mutex_lock(&s->lock);
	o = *find_locked(b, ino);
	if (o)
		o->paged = true;
	pthread_mutex_unlock(&s->lock);
}

void opened_changed(struct mnt *m, fuse_ino_t ino, uint64_t lsn)
{
	struct opened **b;
	struct opened_shard *s = shard_of(m, ino, &b);

	pthread_mutex_lock(&s->lock);
	b = find_locked(b, ino);
	if (*b && (*b)->lsn < lsn)
		(*b)->lsn = lsn;
	pthread_mutex_unlock(&s->lock);
}

bool opened_wrote(struct mnt *m, fuse_ino_t ino, uint64_t lsn)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);
	bool sure;

	pthread_mutex_lock(&s->lock);
	o = *find_locked(b, ino);
	sure = o && o->direct && o->rhythm >= RHYTHM_SURE;
	if (o && !sure)
		o->lsn = MAX(o->lsn, lsn);
	if (o)
		o->rhythm -= MIN(o->rhythm, RHYTHM_WRITE);
	pthread_mutex_unlock(&s->lock);
	return sure;
}

uint64_t opened_fsync(struct mnt *m, fuse_ino_t ino)
{
	struct opened **b, *o;
	struct opened_shard *s = shard_of(m, ino, &b);
	uint64_t lsn;

	pthread_mutex_lock(&s->lock);
	o = *find_locked(b, ino);
	lsn = o ? o->lsn : atomic_load(&m->last_lsn);
	if (o)
		o->rhythm = MIN(o->rhythm + RHYTHM_FSYNC, RHYTHM_MAX);
	pthread_mutex_unlock(&s->lock);
	return lsn;
}

/* Outside the lock: writing dirty pages back comes in as WRITE, which takes it.  Dropping writes back first, so that the
 * notification, in which the daemon must not be killed (writeback.h), finds hardly anything to write. */
static void let_go(struct mnt *m, fuse_ino_t *inos, size_t n, bool drop)
{
	size_t left = writeback_inodes(m, inos, n);

	for (size_t k = 0; k < (drop ? n : left); k++)
		(void)fuse_lowlevel_notify_inval_inode(m->se, inos[k], 0, 0); /* -ENOENT: forgotten meanwhile */
}

struct inodes {
	fuse_ino_t *v; /* owned */
	size_t n, room;
	bool lost; /* no memory for all */
};

static void add(struct inodes *l, fuse_ino_t ino)
{
	if (l->n == l->room) {
		size_t more = l->room ? l->room * 2 : 64;
		fuse_ino_t *p = realloc(l->v, more * sizeof(*p));

		if (!p) {
			l->lost = true;
			return;
		}
		l->v = p;
		l->room = more;
	}
	l->v[l->n++] = ino;
}

static bool contains(const uint64_t *vols, unsigned n, uint64_t vol)
{
	for (unsigned i = 0; i < n; i++)
		if (vols[i] == vol)
			return true;
	return false;
}

/* One list for all the volumes: reaching the inodes has a cost for each list (writeback.c). */
static void push(struct mnt *m, const uint64_t *vols, unsigned n, bool all, bool drop)
{
	struct inodes list = {.n = 0};

	for (int i = 0; i < SHARDS; i++) {
		struct opened_shard *s = &m->opened[i];

		pthread_mutex_lock(&s->lock);
		for (int b = 0; s->n && b < BUCKETS; b++)
			for (struct opened *o = s->bucket[b]; o; o = o->next)
				if ((all || (o->writable && (o->paged || drop))) && contains(vols, n, o->vol))
					add(&list, o->ino);
		pthread_mutex_unlock(&s->lock);
	}
	let_go(m, list.v, list.n, drop);
	free(list.v);
	if (list.lost)
		msg(LOG_ERR, "no memory to push out cached pages: volume=%llu and %u more", (unsigned long long)vols[0], n - 1);
}

void opened_push_out(void *arg, const uint64_t *vols, unsigned n, bool drop)
{
	struct mnt *m = arg;

	if (m->se && atomic_load(&m->running))
		push(m, vols, n, false, drop);
}

void opened_drop(struct mnt *m, uint64_t vol)
{
	push(m, &vol, 1, true, true);
}
