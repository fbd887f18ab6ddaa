/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Convert: bytes that lie in the log become blocks and leaves, inside the writer's open transaction.
 *
 * Per inode and epoch the extents to convert are collected, then worked off leaf by leaf.  A block that changes becomes a
 * job: its old content (unless all of it is new), patched, trailing zeros cut, hashed by the workers; then, in the writer's
 * thread, found in the block table or encoded (workers again) and appended.  All-zero blocks are holes.
 *
 * Jobs go in groups, two of them where memory allows: while the writer's thread looks up, appends and stores the rows of one,
 * the workers have the other.
 *
 * A block's stored content ends with its last non-zero byte; what lies beyond reads as zeros.  So the same file tail dedups
 * whatever the block's position, and a file's end needs no care when it grows.
 */
#include "fs/volume/backlog.h"
#include "fs/volume/internal.h"

/* Blocks worked on at once.  A leaf's jobs are in one group. */
#define GROUPS 2
#define GROUP_JOBS 128
#define GROUP_JOBS_LEAST META_LEAF_SLOTS
/* Jobs that one thread takes at once: their old blocks often lie side by side and are fetched by one request. */
#define RUN_JOBS 16

struct job {
	struct convert_leaf *leaf;
	unsigned slot;
	struct meta_block old; /* id 0: a hole, or all of the block is new */
	const struct collected *first; /* those that touch the block: first .. last */
	const struct collected *last;
	uint64_t off;		 /* of the block in the file */
	uint8_t *data;		 /* owned by the group, block_size bytes */
	bool fetched;		 /* data has the old content */
	uint32_t len;		 /* without trailing zeros */
	uint8_t hash[HASH_BYTES];
	bool encode;
	uint64_t lost; /* a block with bytes of which a part is needed here, and which are gone; 0: none */
	struct store_base base; /* what is stored of the old content */
	struct store_blob blob;
	int err;
};

struct convert_leaf {
	uint64_t idx;
	uint64_t map[META_LEAF_SLOTS];
};

struct touched {
	uint64_t vol, ino, idx;
};
struct allocs {
	uint64_t vol, ino, epoch;
	int64_t delta;
};

/* What the workers do with a group. */
enum phase { PHASE_NONE, PHASE_ASSEMBLE, PHASE_ENCODE };

struct group {
	struct job job[GROUP_JOBS];
	unsigned njobs;
	struct convert_leaf leaf[GROUP_JOBS];
	unsigned nleaves;
	/* Under convert.lock while there is a phase. */
	enum phase phase;
	unsigned next, busy;
};

struct convert {
	struct fs *fs;
	uint64_t vol, ino;
	struct group *group[GROUPS]; /* owned; [0] is the older of two that are worked on, the last is being planned */
	unsigned ngroups, max_jobs;  /* max_jobs: in a group */
	int64_t slots; /* of the inode at hand: blocks gained */
	uint64_t given_back; /* units of the space ledger, see convert_finish */
	struct touched *touched; /* owned */
	unsigned ntouched, cap_touched;
	struct allocs *allocs; /* owned */
	unsigned nallocs, cap_allocs;
	/* workers */
	pthread_mutex_t lock;
	pthread_cond_t start, finished;
	pthread_t *thread;
	unsigned nthreads;
	bool stop;
	bool keep; /* what blocks are stored as, for their new versions */
};

/* ---- phases of a job that run on any thread ---- */

static uint32_t trim_zeros(const uint8_t *p, uint32_t len)
{
	static const uint8_t zeros[256];

	while (len >= sizeof(zeros) && !memcmp(p + len - sizeof(zeros), zeros, sizeof(zeros)))
		len -= sizeof(zeros);
	while (len && !p[len - 1])
		len--;
	return len;
}

/* Waiting would not bring lost bytes back, and all that comes behind would wait too.  So the lost block, new here or not, takes
 * the whole place: nothing is made up for what was not written now, reads fail, and a write of the whole block heals it. */
static int patch(struct fs *fs, struct job *j, const struct collected *e)
{
	uint64_t a = MAX(e->off, j->off), b = MIN(e->off + e->len, j->off + fs->block_size);
	uint8_t *to = j->data + (a - j->off);
	uint64_t id;
	int r;

	for (uint64_t i = (a - j->off) / STORE_CHUNK_BYTES; i <= (b - 1 - j->off) / STORE_CHUNK_BYTES; i++)
		j->base.changed[i / 64] |= 1ull << i % 64;
	switch (e->kind) {
	case EXTENT_LOG:
		return log_read(fs->log, e->pos + (a - e->off), to, b - a);
	case EXTENT_ZERO:
		memset(to, 0, b - a);
		return 0;
	default:
		id = e->ids->id[(a - e->pos) >> fs->block_shift];
		if (!id) {
			memset(to, 0, b - a);
			return 0;
		}
		r = bcache_read(fs, id, a & (fs->block_size - 1), b - a, to);
		if (r == -EUCLEAN)
			j->lost = id;
		return r == -EUCLEAN ? 0 : r;
	}
}

static int assemble(struct fs *fs, struct job *j)
{
	int r = 0;

	if (j->old.id && !j->fetched)
		r = bcache_read_at(fs, &j->old, j->data);
	else if (!j->old.id)
		memset(j->data, 0, fs->block_size);
	if (r == -EUCLEAN || r == -ENOENT) {
		j->lost = j->old.id;
		r = 0;
	}
	for (const struct collected *e = j->first; !r && e <= j->last; e++)
		r = patch(fs, j, e);
	if (r || j->lost)
		return r;
	j->len = trim_zeros(j->data, fs->block_size);
	return j->len ? store_hash(fs->store, j->data, j->len, j->hash) : 0;
}

/* Past the page cache: what is replaced is not read again, unless a snapshot has it.  After a failure they are read one by one. */
static void fetch_old(struct convert *c, struct job *j, unsigned n)
{
	struct store_want want[RUN_JOBS];
	struct job *of[RUN_JOBS];
	unsigned wanted = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct meta_block *b = &j[i].old;

		if (!b->id)
			continue;
		j[i].fetched = bcache_cached(c->fs, b->id, j[i].data);
		if (j[i].fetched)
			continue;
		of[wanted] = &j[i];
		want[wanted] = (struct store_want){ .loc = { b->pack, b->off, b->stored, b->len, b->codec }, .buf = j[i].data,
						      .keep = c->keep ? &j[i].base.blob : NULL };
		memcpy(want[wanted++].hash, b->hash, HASH_BYTES);
	}
	if (wanted && store_get_many(c->fs->store, want, wanted) == 0)
		for (unsigned i = 0; i < wanted; i++)
			of[i]->fetched = true;
}

static void work(struct convert *c, enum phase phase, struct job *j, unsigned n)
{
	if (phase == PHASE_ASSEMBLE)
		fetch_old(c, j, n);
	for (; n; n--, j++) {
		if (phase == PHASE_ASSEMBLE)
			j->err = assemble(c->fs, j);
		else if (j->encode && !j->err)
			j->err = store_encode(c->fs->store, j->data, j->len, j->hash, &j->base, &j->blob);
	}
}

/* ---- workers: the caller's thread works too ---- */

/* Some jobs of the oldest group that has some left. */
static bool work_some_locked(struct convert *c)
{
	struct group *g = NULL;
	enum phase phase;
	struct job *j;
	unsigned n;

	for (unsigned i = 0; i < c->ngroups && !g; i++)
		if (c->group[i]->phase && c->group[i]->next < c->group[i]->njobs)
			g = c->group[i];
	if (!g)
		return false;
	phase = g->phase;
	n = MIN(g->njobs - g->next, RUN_JOBS);
	j = &g->job[g->next];
	g->next += n;
	g->busy += n;
	pthread_mutex_unlock(&c->lock);
	work(c, phase, j, n);
	pthread_mutex_lock(&c->lock);
	g->busy -= n;
	if (!g->busy && g->next == g->njobs)
		pthread_cond_signal(&c->finished);
	return true;
}

static void *worker(void *arg)
{
	struct convert *c = arg;

	thread_background();
	pthread_mutex_lock(&c->lock);
	while (!c->stop)
		if (!work_some_locked(c))
			pthread_cond_wait(&c->start, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void phase_begin(struct convert *c, struct group *g, enum phase phase)
{
	pthread_mutex_lock(&c->lock);
	g->phase = phase;
	g->next = 0;
	if (g->njobs > 1) /* of small files there is mostly one, not worth waking anybody */
		pthread_cond_broadcast(&c->start);
	pthread_mutex_unlock(&c->lock);
}

static void phase_end(struct convert *c, struct group *g)
{
	pthread_mutex_lock(&c->lock);
	while (g->busy || g->next < g->njobs)
		if (!work_some_locked(c))
			pthread_cond_wait(&c->finished, &c->lock);
	g->phase = PHASE_NONE;
	pthread_mutex_unlock(&c->lock);
}

/* Memory of a job: its content, what it will be stored as and, if there is enough for groups without it, what it was stored as. */
static unsigned job_blocks(uint64_t bytes, uint32_t block_size)
{
	return bytes >= 3ull * GROUPS * GROUP_JOBS_LEAST * block_size ? 3 : 2;
}

static unsigned jobs_for(uint64_t bytes, uint32_t block_size)
{
	return (unsigned)MAX(MIN(bytes / job_blocks(bytes, block_size) / block_size, GROUPS * GROUP_JOBS), GROUP_JOBS_LEAST);
}

uint64_t convert_bytes(uint64_t share, uint32_t block_size)
{
	return (uint64_t)jobs_for(share, block_size) * job_blocks(share, block_size) * block_size;
}

static void group_free(struct group *g)
{
	for (unsigned i = 0; g && i < GROUP_JOBS; i++)
		free(g->job[i].data);
	free(g);
}

static struct group *group_new(unsigned jobs, uint32_t block_size)
{
	struct group *g = calloc(1, sizeof(*g));

	for (unsigned i = 0; g && i < jobs; i++) {
		g->job[i].data = malloc(block_size);
		if (!g->job[i].data) {
			group_free(g);
			g = NULL;
		}
	}
	return g;
}

int convert_new(struct fs *fs, uint64_t bytes, struct convert **out)
{
	struct convert *c = calloc(1, sizeof(*c));
	unsigned groups, want = fs->opt.workers ? fs->opt.workers : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	if (!c)
		return -ENOMEM;
	c->fs = fs;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->start, NULL);
	pthread_cond_init(&c->finished, NULL);
	want = want ? want * 2 - 1 : 0; /* beside the caller's; twice as many as processors, because they also wait for the disk */
	c->thread = calloc(want + 1, sizeof(*c->thread));
	groups = jobs_for(bytes, fs->block_size) / GROUP_JOBS_LEAST >= GROUPS ? GROUPS : 1;
	c->keep = job_blocks(bytes, fs->block_size) == 3;
	c->max_jobs = MIN(jobs_for(bytes, fs->block_size) / groups, GROUP_JOBS);
	while (c->ngroups < groups && (c->group[c->ngroups] = group_new(c->max_jobs, fs->block_size)))
		c->ngroups++;
	if (!c->thread || c->ngroups < groups) {
		convert_free(c);
		return -ENOMEM;
	}
	while (c->nthreads < want && !pthread_create(&c->thread[c->nthreads], NULL, worker, c))
		c->nthreads++; /* fewer workers are slower, nothing else */
	*out = c;
	return 0;
}

void convert_free(struct convert *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->start);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->nthreads; i++)
		pthread_join(c->thread[i], NULL);
	for (unsigned i = 0; i < GROUPS; i++)
		group_free(c->group[i]);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->start);
	pthread_cond_destroy(&c->finished);
	free(c->thread);
	free(c->touched);
	free(c->allocs);
	free(c);
}

/* ---- the writer's part ---- */

/* -ENOENT: to be stored, as a new block (*id 0) or as a lost one whose bytes these are. */
static int find_block(struct convert *c, struct job *j, uint64_t *id)
{
	struct meta_block b;
	int r = meta_block_find(c->fs->meta, j->hash, &b);

	*id = r ? 0 : b.id;
	return !r && b.lost ? -ENOENT : r;
}

/* *id as find_block left it. */
static int store_block(struct convert *c, struct job *j, uint64_t *id)
{
	struct meta *m = c->fs->meta;
	struct store_loc loc;
	struct meta_block b = { .len = j->len };
	int r;

	j->blob.id = *id ? *id : meta_block_next(m);
	r = store_append(c->fs->store, &j->blob, &loc);
	if (r)
		return r;
	/* The reservation has become bytes: held any longer it would claim the space twice. */
	store_unreserve(c->fs->store, c->fs->space_unit);
	c->given_back++;
	atomic_fetch_add_explicit(&c->fs->stat.stored_blocks, 1, memory_order_relaxed);
	if (*id)
		return meta_block_move(m, *id, loc.pack, loc.off, loc.stored, loc.codec);
	memcpy(b.hash, j->hash, HASH_BYTES);
	b.pack = loc.pack;
	b.off = loc.off;
	b.stored = loc.stored;
	b.codec = loc.codec;
	r = meta_block_add(m, &b);
	KAGEFS_ASSERT(r || b.id == j->blob.id);
	*id = b.id;
	return r;
}

static void set_slot(struct convert *c, struct convert_leaf *l, unsigned slot, uint64_t id)
{
	c->slots += (id != 0) - (l->map[slot] != 0);
	l->map[slot] = id;
}

static int touch(struct convert *c, uint64_t idx)
{
	if (c->ntouched == c->cap_touched) {
		unsigned cap = c->cap_touched ? c->cap_touched * 2 : 64;
		struct touched *t = realloc(c->touched, cap * sizeof(*t));

		if (!t)
			return -ENOMEM;
		c->touched = t;
		c->cap_touched = cap;
	}
	c->touched[c->ntouched++] = (struct touched){ c->vol, c->ino, idx };
	return 0;
}

/* Which of a group's blocks have to be stored. */
static int find_blocks(struct convert *c, struct group *g, bool *encode)
{
	uint64_t id;
	int r = 0;

	*encode = false;
	for (unsigned i = 0; !r && i < g->njobs; i++) {
		struct job *j = &g->job[i];

		r = j->err;
		if (r || !j->len)
			continue;
		r = find_block(c, j, &id);
		j->encode = r == -ENOENT;
		*encode = *encode || j->encode;
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* The block's place in its leaf, and the block if it is new. */
static int finish_job(struct convert *c, struct job *j)
{
	uint64_t id = 0;
	int r = j->err;

	if (!r && j->len) {
		/* Once more: an equal block may have been stored by an earlier job. */
		r = find_block(c, j, &id);
		if (r == -ENOENT && j->encode)
			r = store_block(c, j, &id);
		else if (!r)
			atomic_fetch_add_explicit(&c->fs->stat.dedup_hits, 1, memory_order_relaxed);
	}
	if (!r && j->lost) {
		msg(LOG_ERR, "volume=%llu inode=%llu offset=%llu: block=%llu cannot be read, so what was written to a part of it is lost",
		    (unsigned long long)c->vol, (unsigned long long)c->ino, (unsigned long long)j->off, (unsigned long long)j->lost);
		id = j->lost;
	}
	if (!r) {
		set_slot(c, j->leaf, j->slot, id);
		atomic_fetch_add_explicit(&c->fs->stat.converted_blocks, 1, memory_order_relaxed);
	}
	return r;
}

/* All that is left to do for a group whose jobs are being assembled.  after: what came before it; then it is only emptied. */
static int finish_group(struct convert *c, struct group *g, int after)
{
	bool encode = false;
	int r;

	phase_end(c, g);
	r = after ? after : find_blocks(c, g, &encode);
	if (!r && encode) {
		phase_begin(c, g, PHASE_ENCODE);
		phase_end(c, g);
	}
	for (unsigned i = 0; !r && i < g->njobs; i++)
		r = finish_job(c, &g->job[i]);
	for (unsigned i = 0; i < g->njobs; i++) {
		store_blob_release(&g->job[i].blob);
		store_blob_release(&g->job[i].base.blob);
	}
	for (unsigned i = 0; !r && i < g->nleaves; i++) {
		r = touch(c, g->leaf[i].idx);
		if (!r)
			r = meta_put_leaf(c->fs->meta, c->vol, c->ino, g->leaf[i].idx, g->leaf[i].map);
	}
	g->njobs = g->nleaves = 0;
	return r;
}

static struct group *planned(struct convert *c)
{
	return c->group[c->ngroups - 1];
}

/* The planned group goes to the workers, the oldest is finished and becomes the one to plan. */
static int next_group(struct convert *c, int after)
{
	struct group *oldest = c->group[0];
	int r;

	phase_begin(c, planned(c), PHASE_ASSEMBLE);
	r = finish_group(c, oldest, after);
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i + 1 < c->ngroups; i++)
		c->group[i] = c->group[i + 1];
	c->group[c->ngroups - 1] = oldest;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Also after a failure, so that nothing is under way any more. */
static int finish_all(struct convert *c, int r)
{
	for (unsigned i = 0; i < c->ngroups; i++)
		r = next_group(c, r);
	return r;
}

static int add_job(struct convert *c, struct convert_leaf *l, uint64_t block, const struct collected *first, const struct collected *last)
{
	struct group *g = planned(c);
	struct job *j = &g->job[g->njobs++];
	uint8_t *data = j->data;
	uint64_t covered = 0;

	memset(j, 0, sizeof(*j));
	j->data = data;
	j->leaf = l;
	j->slot = (unsigned)(block % META_LEAF_SLOTS);
	j->first = first;
	j->last = last;
	j->off = block << c->fs->block_shift;
	for (const struct collected *e = first; e <= last; e++)
		covered += MIN(e->off + e->len, j->off + c->fs->block_size) - MAX(e->off, j->off);
	/* The old block may have been added by this very transaction, which only the writer can see: look it up here. */
	if (covered < c->fs->block_size && l->map[j->slot])
		return meta_find_block(meta_writer_view(c->fs->meta), l->map[j->slot], &j->old);
	return 0;
}

/* One block of a leaf: nothing to do, a hole, a name, or a job. */
static int plan_block(struct convert *c, struct convert_leaf *l, uint64_t block, const struct collected *e, const struct collected *end)
{
	uint64_t a = block << c->fs->block_shift, b = a + c->fs->block_size;
	const struct collected *last;
	unsigned slot = (unsigned)(block % META_LEAF_SLOTS);

	while (e < end && e->off + e->len <= a)
		e++;
	if (e == end || e->off >= b)
		return 0;
	for (last = e; last + 1 < end && last[1].off < b; last++)
		;
	if (e == last && e->off <= a && e->off + e->len >= b) {
		if (e->kind == EXTENT_ZERO) {
			set_slot(c, l, slot, 0);
			return 0;
		}
		if (e->kind == EXTENT_BLOCKS) {
			set_slot(c, l, slot, e->ids->id[(a - e->pos) >> c->fs->block_shift]);
			return 0;
		}
	}
	/* Zeros over a hole change nothing. */
	if (!l->map[slot]) {
		const struct collected *x = e;

		while (x <= last && x->kind == EXTENT_ZERO)
			x++;
		if (x > last)
			return 0;
	}
	return add_job(c, l, block, e, last);
}

static int plan_leaf(struct convert *c, uint64_t idx, const struct collected *e, const struct collected *end)
{
	const struct meta_chain *chain;
	struct convert_leaf *l;
	uint64_t epoch, first = idx * META_LEAF_SLOTS, bs = c->fs->block_shift;
	uint64_t leaf_end = (first + META_LEAF_SLOTS) << bs;
	int r = 0;

	if (planned(c)->njobs + META_LEAF_SLOTS > c->max_jobs || planned(c)->nleaves == GROUP_JOBS)
		r = next_group(c, 0);
	if (!r)
		r = meta_chain(c->fs->meta, c->vol, &chain);
	if (r)
		return r;
	l = &planned(c)->leaf[planned(c)->nleaves++];
	l->idx = idx;
	r = meta_find_leaf(meta_writer_view(c->fs->meta), chain, c->ino, idx, l->map, &epoch);
	if (r == -ENOENT) {
		memset(l->map, 0, sizeof(l->map));
		r = 0;
	}
	while (e < end && e->off + e->len <= first << bs)
		e++;
	for (unsigned s = 0; !r && s < META_LEAF_SLOTS; s++) {
		uint64_t a = (first + s) << bs;

		while (e < end && e->off + e->len <= a)
			e++;
		if (e == end || e->off >= leaf_end)
			break;
		if (e->off < a + c->fs->block_size)
			r = plan_block(c, l, first + s, e, end);
	}
	return r;
}

struct idx_list {
	uint64_t *v; /* owned */
	size_t n, cap;
};

static int idx_add(struct idx_list *l, uint64_t idx)
{
	if (l->n && l->v[l->n - 1] == idx)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint64_t *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = idx;
	return 0;
}

static int idx_cb(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	return idx_add(arg, idx);
}

static int idx_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Which leaves the extents touch.  A long stretch of zeros only those that exist. */
static int leaves_of(struct convert *c, const struct collected *e, size_t n, struct idx_list *out)
{
	unsigned shift = c->fs->block_shift + 6; /* META_LEAF_SLOTS == 64 */
	const struct meta_chain *chain;
	int r = 0;

	_Static_assert(META_LEAF_SLOTS == 64, "shift above");
	for (unsigned i = 0; !r && i < n; i++) {
		uint64_t a = e[i].off >> shift, b = (e[i].off + e[i].len - 1) >> shift;

		if (e[i].kind == EXTENT_ZERO && b - a > 2) {
			r = meta_chain(c->fs->meta, c->vol, &chain);
			if (!r)
				r = meta_list_leaves(meta_writer_view(c->fs->meta), chain, c->ino, a, b, idx_cb, out);
			continue;
		}
		for (; !r && a <= b; a++)
			r = idx_add(out, a);
	}
	if (!r && out->n) {
		size_t to = 1;

		qsort(out->v, out->n, sizeof(*out->v), idx_cmp);
		for (size_t i = 1; i < out->n; i++)
			if (out->v[i] != out->v[to - 1])
				out->v[to++] = out->v[i];
		out->n = to;
	}
	return r;
}

static int add_alloc(struct convert *c, uint64_t epoch)
{
	int64_t bytes = c->slots * (int64_t)c->fs->block_size;
	int r;

	if (!c->slots)
		return 0;
	if (c->nallocs == c->cap_allocs) {
		unsigned cap = c->cap_allocs ? c->cap_allocs * 2 : 64;
		struct allocs *a = realloc(c->allocs, cap * sizeof(*a));

		if (!a)
			return -ENOMEM;
		c->allocs = a;
		c->cap_allocs = cap;
	}
	r = meta_add_alloc(c->fs->meta, c->vol, c->ino, bytes);
	if (!r)
		c->allocs[c->nallocs++] = (struct allocs){ c->vol, c->ino, epoch, bytes };
	return r == -ENOENT ? 0 : r;
}

int convert_inode(struct convert *c, uint64_t vol, uint64_t ino, uint64_t epoch, uint64_t upto)
{
	struct inode *i = inode_find(c->fs, vol, ino);
	struct idx_list leaves = { 0 };
	struct collection e;
	int r;

	if (!i)
		return 0;
	r = content_collect(c->fs, i, epoch, upto, &e);
	inode_put(c->fs, i);
	if (r)
		return r;
	c->vol = vol;
	c->ino = ino;
	c->slots = 0;
	r = leaves_of(c, e.v, e.n, &leaves);
	for (size_t k = 0; !r && k < leaves.n; k++) {
		/* First extent that reaches into the leaf, by bisection: files have many leaves. */
		uint64_t start = (leaves.v[k] * META_LEAF_SLOTS) << c->fs->block_shift;
		size_t lo = 0, hi = e.n;

		if (c->fs->large_batch && atomic_load(&c->fs->closing)) {
			r = -ECANCELED;
			break;
		}
		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (e.v[mid].off + e.v[mid].len <= start)
				lo = mid + 1;
			else
				hi = mid;
		}
		r = plan_leaf(c, leaves.v[k], e.v + lo, e.v + e.n);
	}
	r = finish_all(c, r);
	if (!r)
		r = add_alloc(c, epoch);
	free(leaves.v);
	collection_free(c->fs, &e);
	return r;
}

uint64_t convert_finish(struct convert *c, bool committed)
{
	uint64_t units = c->given_back;
	struct row_key k;

	for (unsigned i = 0; committed && i < c->ntouched; i++) {
		row_key_leaf(&k, c->touched[i].vol, c->touched[i].ino, c->touched[i].idx);
		rows_forget(c->fs, &k);
	}
	for (unsigned i = 0; committed && i < c->nallocs; i++)
		rows_add_alloc(c->fs, c->allocs[i].vol, c->allocs[i].ino, c->allocs[i].epoch, c->allocs[i].delta);
	c->ntouched = c->nallocs = 0;
	c->given_back = 0;
	/* Rolled back: the bytes appended are garbage and the blocks will be appended again. */
	if (!committed)
		space_owed(c->fs, units);
	return units;
}
