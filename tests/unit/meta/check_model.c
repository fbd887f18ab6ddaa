/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random operations against a model that keeps whole copies of everything.
 *
 * The model is plain data, so a transaction works on a copy of it: kept when meta_commit returns 0, thrown away when the
 * transaction is killed (the progress handler of SQLite stops it at a random instruction) and, after a power cut, chosen by
 * applied_lsn, which every transaction sets.  Reads go through a reader with chains built from the model's own volume table,
 * kept up from what meta.h returns, as fs/volume does it.
 *
 * UNIT_META_SEEDS=a:b  UNIT_META_OPS=n  for long runs.  META_MUTATE=rule in a build with -DKAGEFS_MUTATE must fail.
 */
#include "tests/unit/meta/meta_test.h"

#define NINO 8
#define NDIR 2
#define NNAME 6
#define NX 3
#define NIDX 3
#define NSLOT 4
#define NCONTENT 24
#define NVOL 64
#define DEFAULT_SEEDS 80
#define DEFAULT_OPS 1500

static const unsigned slot_pos[NSLOT] = {0, 1, 17, 63};

struct mino {
	bool there, orphan;
	uint32_t size, alloc;
	uint16_t x[NX], leaf[NIDX][NSLOT];
};
struct mvol {
	bool used, dead, ro;
	uint64_t id, line, parent, pin;
	uint64_t tails[16];
	unsigned ntails;
	struct mino ino[NINO];
	uint16_t ent[NDIR][NNAME];
};
struct model {
	struct mvol v[NVOL];
	uint64_t lsn;
};

struct run {
	struct io *io;
	struct meta *m;
	struct meta_reader *reader;
	struct model now, next; /* committed; and with the open transaction */
	uint64_t rng;
	unsigned seed, op, maxvol;
	uint64_t budget; /* VM instructions until the open transaction dies; 0: it lives */
	unsigned joins, kills, cuts, removed, refused;
};

static void broke(struct run *t, const char *what, uint64_t a, uint64_t b)
{
	ck_abort_msg("seed %u op %u: %s (%llu, %llu)", t->seed, t->op, what, (unsigned long long)a, (unsigned long long)b);
}

static uint64_t rnd(struct run *t)
{
	uint64_t z = (t->rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}
static unsigned below(struct run *t, unsigned n)
{
	return (unsigned)(rnd(t) % n);
}
static bool chance(struct run *t, unsigned percent)
{
	return below(t, 100) < percent;
}

/* ---- the model's volumes ---- */

static unsigned count_vols(const struct model *m, bool dead_too)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NVOL; i++)
		n += m->v[i].used && (dead_too || !m->v[i].dead);
	return n;
}
static struct mvol *pick_vol(struct run *t, bool writable)
{
	struct mvol *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < NVOL; i++) {
		struct mvol *v = &t->next.v[i];

		if (v->used && !v->dead && !(writable && v->ro) && below(t, ++n) == 0)
			found = v;
	}
	return found;
}
static struct mvol *vol_by_line(struct model *m, uint64_t line)
{
	for (unsigned i = 0; i < NVOL; i++)
		if (m->v[i].used && m->v[i].line == line)
			return &m->v[i];
	return NULL;
}
static struct mvol *vol_by_id(struct model *m, uint64_t id)
{
	for (unsigned i = 0; i < NVOL; i++)
		if (m->v[i].used && m->v[i].id == id)
			return &m->v[i];
	return NULL;
}
static struct mvol *free_vol(struct model *m)
{
	for (unsigned i = 0; i < NVOL; i++)
		if (!m->v[i].used)
			return &m->v[i];
	return NULL;
}

/* What fs/volume does after a step of reclaim. */
static void follow(struct run *t, const struct meta_reclaim *r)
{
	struct mvol *gone = r->gone_vol ? vol_by_id(&t->next, r->gone_vol) : NULL, *heir;
	uint64_t old;

	if (r->gone_vol && !gone)
		broke(t, "an unknown volume is gone", r->gone_vol, 0);
	if (gone && r->heir_vol) {
		heir = vol_by_id(&t->next, r->heir_vol);
		if (!heir)
			broke(t, "unknown heir", r->heir_vol, 0);
		old = heir->line;
		heir->line = gone->line;
		heir->parent = gone->parent;
		heir->pin = gone->pin;
		if (heir->ntails + gone->ntails + 1 > ARRAY_SIZE(heir->tails))
			broke(t, "too many tails for the test", heir->ntails, 0);
		for (unsigned i = 0; i < gone->ntails; i++)
			heir->tails[heir->ntails++] = gone->tails[i];
		heir->tails[heir->ntails++] = old;
		for (unsigned i = 0; i < NVOL; i++)
			if (t->next.v[i].used && t->next.v[i].parent == old)
				t->next.v[i].parent = heir->line;
		t->joins++;
	}
	if (gone)
		memset(gone, 0, sizeof(*gone));
	if (r->tail_src) {
		struct mvol *v = vol_by_line(&t->next, r->tail_line);
		unsigned i = 0;

		while (v && i < v->ntails && v->tails[i] != r->tail_src)
			i++;
		if (!v || i == v->ntails)
			broke(t, "unknown tail", r->tail_src, r->tail_line);
		v->tails[i] = v->tails[--v->ntails];
	}
}

struct chain {
	struct meta_link links[NVOL];
	struct meta_chain c;
};
static const struct meta_chain *chain_of(struct run *t, struct model *m, struct mvol *v, struct chain *out)
{
	uint64_t bound = META_EPOCH_MAX;

	out->c = (struct meta_chain){.links = out->links};
	while (v) {
		if (out->c.n == NVOL)
			broke(t, "endless chain", v->id, 0);
		out->links[out->c.n++] = (struct meta_link){v->line, bound, v->tails, v->ntails};
		bound = v->pin;
		v = v->parent ? vol_by_line(m, v->parent) : NULL;
	}
	return &out->c;
}

/* ---- content ---- */

static void hash_of(unsigned content, uint8_t out[HASH_BYTES])
{
	memset(out, 0, HASH_BYTES);
	out[content % 2 ? 20 : 0] = (uint8_t)content; /* the odd ones share a prefix */
	out[31] = 1;
}
static unsigned content_of(const uint8_t hash[HASH_BYTES])
{
	return hash[0] ? hash[0] : hash[20];
}
static int block_for(struct run *t, unsigned content, uint64_t *id)
{
	struct meta_block b;
	uint8_t hash[HASH_BYTES];
	int r;

	hash_of(content, hash);
	r = meta_block_find(t->m, hash, &b);
	if (r == -ENOENT) {
		b = (struct meta_block){.pack = 1 + content % 3, .off = meta_state(t->m)->next_block * 64, .stored = 50, .len = 64};
		memcpy(b.hash, hash, sizeof(hash));
		r = meta_block_add(t->m, &b);
	}
	*id = b.id;
	return r;
}
static unsigned name_of(unsigned i, char out[8])
{
	static const char *const names[NNAME] = {"a", "ab", "abc", "b", "bb", "c"}; /* some are prefixes of others */

	return (unsigned)snprintf(out, 8, "%s", names[i]);
}
static size_t value_of(unsigned n, unsigned char out[5000])
{
	size_t len = n % 11 == 0 ? 0 : n % 37 == 0 ? 4500 : n % 60;

	memset(out, (int)n, len);
	if (len >= 2)
		memcpy(out, &(uint16_t){(uint16_t)n}, 2);
	return len;
}
static void attr_for(const struct mino *x, struct meta_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->mode = 0100644;
	a->nlink = !x->orphan;
	a->size = x->size;
	a->alloc = x->alloc;
	a->ctime_ns = -(int64_t)x->size;
}

/* ---- operations: 0, 1 nothing to do, or -errno of the dying transaction ---- */

static int op_attr(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned i = below(t, NINO);
	struct meta_attr a;
	struct mino *x;
	bool is_new;

	if (!v)
		return 1;
	x = &v->ino[i];
	is_new = !x->there;
	if (is_new) {
		memset(x, 0, sizeof(*x));
		x->there = true;
		x->alloc = below(t, 3) * 512;
	}
	x->size = (uint32_t)rnd(t);
	attr_for(x, &a);
	if (!is_new)
		a.alloc = 12345; /* ignored for a row that exists: see op_alloc */
	return meta_put_attr(t->m, v->id, i + 1, &a);
}
static int op_alloc(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned i = below(t, NINO), by = below(t, 5) * 512;

	if (!v || !v->ino[i].there)
		return 1;
	v->ino[i].alloc += by;
	return meta_add_alloc(t->m, v->id, i + 1, by);
}
static int op_entry(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned d = below(t, NDIR), n = below(t, NNAME), len;
	struct meta_entry e = {.ino = 1 + below(t, 60000), .type = 8};
	char name[8];
	bool drop = chance(t, 40);

	if (!v)
		return 1;
	len = name_of(n, name);
	v->ent[d][n] = drop ? 0 : (uint16_t)e.ino;
	return meta_put_entry(t->m, v->id, 100 + d, name, len, drop ? NULL : &e);
}
static int op_xattr(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned i = below(t, NINO), n = below(t, NX), val = 1 + below(t, 60000);
	static const char *const names[NX] = {"", "user.a", "user.ab"};
	unsigned char buf[5000];
	bool drop = chance(t, 40);
	size_t len;

	if (!v || !v->ino[i].there || v->ino[i].orphan)
		return 1;
	len = value_of(val, buf);
	v->ino[i].x[n] = drop ? 0 : (uint16_t)val;
	return meta_put_xattr(t->m, v->id, i + 1, names[n], strlen(names[n]), drop ? NULL : buf, len);
}
static int op_leaf(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned i = below(t, NINO), idx = below(t, NIDX);
	uint64_t map[META_LEAF_SLOTS] = {0};
	uint16_t *leaf;
	unsigned how = below(t, 10);

	if (!v || !v->ino[i].there || v->ino[i].orphan)
		return 1;
	leaf = v->ino[i].leaf[idx];
	for (unsigned s = 0; s < NSLOT; s++) {
		if (how == 0)
			leaf[s] = 0; /* truncate */
		else if (how == 1)
			leaf[s] = (uint16_t)(1 + idx); /* the same block in all slots */
		else if (chance(t, 60))
			leaf[s] = (uint16_t)(chance(t, 20) ? 0 : 1 + below(t, NCONTENT));
	}
	if (how == 2) { /* copy of another leaf, anywhere */
		struct mvol *w = pick_vol(t, false);
		const struct mino *from = &w->ino[below(t, NINO)];

		if (from->there && !from->orphan)
			memmove(leaf, from->leaf[below(t, NIDX)], sizeof(from->leaf[0]));
	}
	for (unsigned s = 0; s < NSLOT; s++)
		if (leaf[s]) {
			int r = block_for(t, leaf[s], &map[slot_pos[s]]);

			if (r < 0)
				return r;
		}
	return meta_put_leaf(t->m, v->id, i + 1, idx * 1000, map);
}
static int op_unlink(struct run *t)
{
	struct mvol *v = pick_vol(t, true);
	unsigned i = below(t, NINO);
	struct meta_attr a;
	int r;

	if (!v || !v->ino[i].there || v->ino[i].orphan)
		return 1;
	v->ino[i].orphan = true;
	attr_for(&v->ino[i], &a);
	r = meta_put_attr(t->m, v->id, i + 1, &a);
	return r < 0 ? r : meta_orphan_add(t->m, v->id, i + 1);
}
static int op_reap(struct run *t)
{
	struct meta_orphan o[40];
	int n = meta_orphan_list(t->m, below(t, 3), 0, o, ARRAY_SIZE(o)), r, k;
	struct mvol *v;

	if (n <= 0)
		return n < 0 ? n : 1;
	k = (int)below(t, (unsigned)n);
	v = vol_by_id(&t->next, o[k].vol);
	if (!v || !v->ino[o[k].ino - 1].orphan)
		broke(t, "orphan that should not be", o[k].vol, o[k].ino);
	r = meta_reap(t->m, o[k].vol, o[k].ino, 1 + below(t, 4));
	if (r == 0)
		memset(&v->ino[o[k].ino - 1], 0, sizeof(v->ino[0]));
	return r < 0 ? r : 0;
}
static int op_snapshot(struct run *t)
{
	unsigned want = chance(t, 60) ? 1 : 1 + below(t, 3), n = 0;
	struct mvol *of[3];
	bool ro = chance(t, 40);

	for (; n < want; n++) {
		struct mvol *v = pick_vol(t, false);

		if (!v || (n > 0 && v == of[0]) || (n > 1 && v == of[1]))
			break;
		of[n] = v;
	}
	if (count_vols(&t->next, false) + n > t->maxvol || count_vols(&t->next, true) + n > NVOL)
		return 1;
	for (unsigned i = 0; i < n; i++) {
		struct meta_volume v = {.flags = ro ? META_VOL_READ_ONLY : 0, .origin = of[i]->id};
		struct mvol *x = free_vol(&t->next);
		int r;

		v.id = v.line = meta_state(t->m)->next_vol++;
		r = meta_volume_copy(t->m, of[i]->id, &v);
		if (r < 0)
			return r;
		*x = *of[i];
		x->ro = ro;
		x->id = x->line = v.id;
		x->parent = v.parent;
		x->pin = v.pin;
		x->ntails = 0;
	}
	return meta_epoch_step(t->m);
}
static int op_update(struct run *t)
{
	struct mvol *v = pick_vol(t, false);
	struct meta_volume new = {.id = v->id};

	v->ro = chance(t, 40);
	new.flags = v->ro ? META_VOL_READ_ONLY : 0;
	snprintf(new.name, sizeof(new.name), "n%u", below(t, 1000));
	return meta_volume_update(t->m, &new);
}
static int op_delete(struct run *t)
{
	struct mvol *v = pick_vol(t, false);

	if (count_vols(&t->next, false) < 2)
		return 1;
	v->dead = true;
	return meta_volume_delete(t->m, v->id);
}
static bool some_pinned(void *arg, uint64_t id)
{
	return id % 3 == *(unsigned *)arg;
}
static int op_reclaim(struct run *t)
{
	unsigned third = below(t, 6);
	struct meta_reclaim r = {.budget = 1 + below(t, chance(t, 20) ? 200 : 6), .pinned = some_pinned, .arg = &third};
	int n = meta_reclaim_step(t->m, &r);

	if (n < 0)
		return n;
	t->removed += (unsigned)r.rows_removed;
	follow(t, &r);
	return 0;
}
static int op_move(struct run *t)
{
	struct meta_freed f[4];
	struct meta_block b;
	uint8_t hash[HASH_BYTES];
	int n, r;

	hash_of(1 + below(t, NCONTENT), hash);
	r = meta_block_find(t->m, hash, &b);
	if (r == 0)
		r = meta_block_move(t->m, b.id, 9, (b.id << 20) + (t->op & 0xfffff), 40, 0);
	if (r < 0 && r != -ENOENT && r != -EINVAL)
		return r;
	n = meta_freed_list(t->m, f, ARRAY_SIZE(f));
	for (int i = 0; i < n; i++) {
		r = meta_freed_done(t->m, &f[i]);
		if (r < 0)
			return r;
	}
	return n < 0 ? n : 0;
}

static const struct {
	int (*run)(struct run *t);
	unsigned weight;
	bool write; /* may follow other writes in one transaction */
} ops[] = {
	{op_attr, 10, true}, {op_alloc, 4, true},     {op_entry, 16, true}, {op_xattr, 8, true},   {op_leaf, 24, true}, {op_unlink, 5, true},
	{op_reap, 5, true},  {op_snapshot, 8, false}, {op_update, 2, true}, {op_delete, 6, false}, {op_move, 2, true},	{op_reclaim, 24, false},
};

/* ---- transactions ---- */

static int die(void *arg)
{
	struct run *t = arg;

	return t->budget && --t->budget == 0;
}

static void open_store(struct run *t)
{
	int r = meta_open(t->io, 1 << 20, &t->m);

	if (r == -EIO && sim_is_off(t->io)) { /* the power may go here as well */
		sim_power_on(t->io);
		r = meta_open(t->io, 1 << 20, &t->m);
	}
	ck_zero(r);
	ck_zero(meta_reader_open(t->m, &t->reader));
	sqlite3_progress_handler(t->m->db->h, 1, die, t);
}

/* After a power cut: everything meta_commit returned 0 for is there, the one that failed wholly or not at all. */
static void recover(struct run *t)
{
	uint64_t lsn;

	t->cuts++;
	meta_reader_close(t->reader);
	meta_abandon(t->m);
	sim_power_on(t->io);
	open_store(t);
	lsn = meta_state(t->m)->applied_lsn;
	if (lsn == t->next.lsn)
		t->now = t->next;
	else if (lsn != t->now.lsn)
		broke(t, "lost a commit", lsn, t->now.lsn);
	t->next = t->now;
}

static void finish_tx(struct run *t, int r)
{
	t->budget = 0; /* SQLite also asks after COMMIT has done its work: too late to die */
	if (r >= 0) {
		meta_state(t->m)->applied_lsn = t->next.lsn;
		r = meta_commit(t->m);
	} else {
		meta_rollback(t->m);
	}
	if (r >= 0) {
		t->now = t->next;
		return;
	}
	if (sim_is_off(t->io)) {
		recover(t);
		return;
	}
	if (r != -ECANCELED)
		broke(t, "unexpected error", (uint64_t)-r, 0);
	t->kills++;
	t->next = t->now;
}

static unsigned pick_op(struct run *t)
{
	unsigned sum = 0, x, i = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(ops); k++)
		sum += ops[k].weight;
	for (x = below(t, sum); x >= ops[i].weight; i++)
		x -= ops[i].weight;
	return i;
}

static void one_tx(struct run *t)
{
	unsigned first = pick_op(t), more = ops[first].write ? below(t, 4) : 0;
	int r;

	t->next = t->now;
	t->next.lsn = t->now.lsn + 1;
	if (chance(t, 1))
		sim_cut_at(t->io, 1 + below(t, 2));
	r = meta_begin(t->m);
	if (r < 0) {
		if (!sim_is_off(t->io))
			broke(t, "begin", (uint64_t)-r, 0);
		t->next.lsn = 0;
		recover(t);
		return;
	}
	if (chance(t, ops[first].run == op_reclaim ? 20 : 4))
		t->budget = 1 + below(t, chance(t, 50) ? 300 : 6000);
	r = ops[first].run(t);
	t->op++;
	t->refused += r > 0;
	while (r >= 0 && more--) {
		unsigned i = pick_op(t);

		if (!ops[i].write)
			continue;
		r = ops[i].run(t);
		t->op++;
		t->refused += r > 0;
	}
	finish_tx(t, r);
}

/* ---- comparison ---- */

struct seen {
	struct run *t;
	struct mvol *v;
	unsigned mask, i;
	unsigned char last[8];
	size_t last_len;
};

static int on_entry(void *arg, const void *name, size_t len, const struct meta_entry *e)
{
	struct seen *s = arg;
	char want[8];

	if (s->last_len && (memcmp(s->last, name, MIN(len, s->last_len)) > 0 ||
			    (memcmp(s->last, name, MIN(len, s->last_len)) == 0 && len <= s->last_len)))
		broke(s->t, "names out of order", s->v->id, len);
	memcpy(s->last, name, len);
	s->last_len = len;
	for (unsigned n = 0; n < NNAME; n++)
		if (name_of(n, want) == len && memcmp(want, name, len) == 0 && s->v->ent[s->i][n] == e->ino) {
			s->mask |= 1u << n;
			return 0;
		}
	broke(s->t, "unexpected name", s->v->id, e->ino);
	return 0;
}
static int on_xattr(void *arg, const void *name, size_t len, size_t value_len)
{
	struct seen *s = arg;
	unsigned n = len == 0 ? 0 : len == 6 ? 1 : 2;
	unsigned char buf[5000];

	if (!s->v->ino[s->i].x[n] || value_of(s->v->ino[s->i].x[n], buf) != value_len)
		broke(s->t, "unexpected xattr", s->v->id, s->i + 1);
	s->mask |= 1u << n;
	return 0;
}
static int on_leaf(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	struct seen *s = arg;
	uint64_t sum = 0;

	s->mask |= 1u << idx / 1000;
	for (unsigned k = 0; k < META_LEAF_SLOTS; k++)
		sum += map[k] != 0;
	for (unsigned k = 0; k < NSLOT; k++) {
		uint16_t want = s->v->ino[s->i].leaf[idx / 1000][k];
		struct meta_block b = {0};

		if (!want != !map[slot_pos[k]])
			broke(s->t, "slot", s->v->id, idx);
		if (!want)
			continue;
		sum--;
		if (meta_find_block(meta_writer_view(s->t->m), map[slot_pos[k]], &b) != 0 || content_of(b.hash) != want)
			broke(s->t, "content", content_of(b.hash), want);
	}
	if (sum)
		broke(s->t, "slots that nobody wrote", s->v->id, idx);
	return 0;
}

static void compare_inode(struct run *t, struct meta_reader *r, const struct meta_chain *c, struct mvol *v, unsigned i)
{
	const struct mino *x = &v->ino[i];
	struct seen s = {.t = t, .v = v, .i = i};
	struct meta_attr a, want;
	unsigned char buf[5000];
	unsigned xmask = 0, lmask = 0;
	int n = meta_find_attr(r, c, i + 1, &a, NULL);

	if (n != (x->there ? 0 : -ENOENT))
		broke(t, "inode there or not", v->id, i + 1);
	attr_for(x, &want);
	if (x->there && memcmp(&a, &want, sizeof(a)) != 0)
		broke(t, "attributes", v->id, i + 1);
	for (unsigned k = 0; k < NX; k++)
		xmask |= x->x[k] ? 1u << k : 0;
	for (unsigned k = 0; k < NIDX; k++)
		for (unsigned sl = 0; sl < NSLOT; sl++)
			lmask |= x->leaf[k][sl] ? 1u << k : 0;
	ck_zero(meta_list_xattrs(r, c, i + 1, on_xattr, &s));
	if (x->orphan ? s.mask & ~xmask : s.mask != xmask) /* an orphan may be reaped in part */
		broke(t, "xattrs", s.mask, xmask);
	if (x->x[1] && !x->orphan) {
		void *value;
		size_t len, want_len = value_of(x->x[1], buf);

		ck_zero(meta_find_xattr(r, c, i + 1, "user.a", 6, &value, &len, NULL));
		if (len != want_len || memcmp(value, buf, len) != 0)
			broke(t, "xattr value", v->id, i + 1);
		free(value);
	}
	s.mask = 0;
	ck_zero(meta_list_leaves(r, c, i + 1, 0, UINT64_MAX, on_leaf, &s));
	if (x->orphan ? s.mask & ~lmask : s.mask != lmask)
		broke(t, "leaves", s.mask, lmask);
	s.mask = 0;
	ck_zero(meta_list_leaves(r, c, i + 1, 1000, 1999, on_leaf, &s));
	if (x->orphan ? s.mask & ~(lmask & 2) : s.mask != (lmask & 2))
		broke(t, "leaves of a range", s.mask, lmask);
}

static void compare_dir(struct run *t, struct meta_reader *r, const struct meta_chain *c, struct mvol *v, unsigned d)
{
	struct seen s = {.t = t, .v = v, .i = d};
	unsigned mask = 0, page = 1 + below(t, 4);
	char name[8];

	for (unsigned n = 0; n < NNAME; n++) {
		struct meta_entry e = {0};
		int got = meta_find_entry(r, c, 100 + d, name, name_of(n, name), &e, NULL);

		if (got != (v->ent[d][n] ? 0 : -ENOENT) || e.ino != v->ent[d][n])
			broke(t, "name", v->id, n);
		mask |= v->ent[d][n] ? 1u << n : 0;
	}
	for (;;) { /* page by page */
		unsigned before = s.mask;
		unsigned char after[8];
		size_t after_len = s.last_len;

		memcpy(after, s.last, after_len);
		ck_zero(meta_list_entries(r, c, 100 + d, after, after_len, page, on_entry, &s));
		if (s.mask == before)
			break;
	}
	if (s.mask != mask)
		broke(t, "names of a directory", s.mask, mask);
}

static int count_vol(void *arg, const struct meta_volume *v)
{
	struct run *t = arg;
	struct mvol *x = vol_by_id(&t->now, v->id);

	if (!x || x->line != v->line || x->parent != v->parent || (x->parent && x->pin != v->pin) ||
	    x->dead != !!(v->flags & META_VOL_DEAD) || x->ro != !!(v->flags & META_VOL_READ_ONLY))
		broke(t, "volume row", v->id, v->line);
	return 0;
}

static void verify(struct run *t, bool idle)
{
	struct meta_reader *r = chance(t, 50) ? t->reader : meta_writer_view(t->m);

	ck_zero(meta_volume_list(t->m, count_vol, t));
	for (unsigned i = 0; i < NVOL; i++) {
		struct mvol *v = &t->now.v[i];
		const struct meta_chain *c;
		struct chain own;

		if (!v->used || v->dead)
			continue;
		if (chance(t, 80))
			c = chain_of(t, &t->now, v, &own);
		else
			ck_zero(meta_chain(t->m, v->id, &c));
		for (unsigned k = 0; k < NINO; k++)
			compare_inode(t, r, c, v, k);
		for (unsigned d = 0; d < NDIR; d++)
			compare_dir(t, r, c, v, d);
	}
	if (count_check(t->m, idle, true) != 0)
		broke(t, "meta_check", idle, 0);
}

static void finish(struct run *t)
{
	for (int n = 1; n;) {
		struct meta_reclaim r = {.budget = 1 + below(t, 40)};
		struct meta_freed f[8];
		int k;

		t->next = t->now;
		t->next.lsn++;
		ck_zero(meta_begin(t->m));
		n = meta_reclaim_step(t->m, &r);
		if (n < 0)
			broke(t, "reclaim", (uint64_t)-n, 0);
		t->removed += (unsigned)r.rows_removed;
		follow(t, &r);
		k = meta_freed_list(t->m, f, ARRAY_SIZE(f));
		for (int i = 0; i < k; i++)
			ck_zero(meta_freed_done(t->m, &f[i]));
		n |= k;
		finish_tx(t, 0);
	}
}

static void seldom(struct run *t)
{
	int r = 0;

	switch (below(t, 6)) {
	case 0:
		r = meta_checkpoint(t->m, NULL);
		break;
	case 1: /* a clean restart */
		meta_reader_close(t->reader);
		meta_close(t->m);
		if (sim_is_off(t->io))
			sim_power_on(t->io);
		open_store(t);
		if (meta_state(t->m)->applied_lsn != t->now.lsn)
			broke(t, "restart lost a commit", meta_state(t->m)->applied_lsn, t->now.lsn);
		break;
	case 2: /* the power goes between two transactions */
		sim_cut_now(t->io);
		t->next = t->now;
		recover(t);
		break;
	}
	if (r < 0) {
		if (!sim_is_off(t->io))
			broke(t, "checkpoint", (uint64_t)-r, 0);
		t->next = t->now;
		recover(t);
	}
}

static void delete_all(struct run *t)
{
	while (count_vols(&t->now, false)) {
		struct mvol *v;

		t->next = t->now;
		t->next.lsn++;
		v = pick_vol(t, false);
		v->dead = true;
		ck_zero(meta_begin(t->m));
		ck_zero(meta_volume_delete(t->m, v->id));
		finish_tx(t, 0);
		if (chance(t, 50)) {
			finish(t);
			verify(t, true);
		} else if (chance(t, 50)) {
			t->next = t->now;
			t->next.lsn++;
			ck_zero(meta_begin(t->m));
			finish_tx(t, op_reclaim(t));
		}
	}
	finish(t);
	verify(t, true);
}

static const char *const all_tables =
	"SELECT (SELECT count(*) FROM volume) + (SELECT count(*) FROM inode) + (SELECT count(*) FROM entry) + (SELECT count(*) FROM xattr)"
	" + (SELECT count(*) FROM leaf) + (SELECT count(*) FROM block) + (SELECT count(*) FROM freed) + (SELECT count(*) FROM orphan)"
	" + (SELECT count(*) FROM tail) + (SELECT count(*) FROM walk)";

static unsigned env_range(unsigned *from)
{
	const char *e = getenv("UNIT_META_SEEDS");
	unsigned a = 0, b = DEFAULT_SEEDS;

	if (e && sscanf(e, "%u:%u", &a, &b) != 2)
		b = a + 1;
	*from = a;
	return b;
}

START_TEST(test_random)
{
	const char *env = getenv("UNIT_META_OPS");
	unsigned want = env ? (unsigned)strtoul(env, NULL, 10) : DEFAULT_OPS;
	struct run *t = calloc(1, sizeof(*t));
	struct meta_params p = {.block_size = 4096};
	unsigned verified = 0;

	t->seed = (unsigned)_i;
	t->rng = t->seed * 7919u + 13;
	t->maxvol = (unsigned[]){4, 7, 10, 14}[below(t, 4)];
	t->io = sim_new(t->seed, 0);
	ck_zero(meta_format(t->io, &p));
	open_store(t);
	for (unsigned k = 1 + below(t, 2); k > 0; k--) {
		struct mvol *v = free_vol(&t->now);

		tx(t->m);
		*v = (struct mvol){.used = true, .id = meta_state(t->m)->next_vol++};
		v->line = v->id;
		ck_zero(meta_volume_insert(t->m, &(struct meta_volume){.id = v->id, .line = v->id}));
		end(t->m);
	}
	while (t->op < want) {
		one_tx(t);
		if (chance(t, 1))
			seldom(t);
		if (t->op / 40 != verified) {
			verified = t->op / 40;
			sim_cut_at(t->io, 0);
			if (verified % 4 == 0)
				finish(t);
			verify(t, verified % 4 == 0);
		}
	}
	sim_cut_at(t->io, 0);
	delete_all(t);
	if (number(t->m, all_tables) != 0)
		broke(t, "not empty at the end", (uint64_t)number(t->m, all_tables), 0);
	if (getenv("UNIT_META_SEEDS"))
		printf("seed %u: ops %u refused %u kills %u cuts %u joins %u rows settled away %u\n", t->seed, t->op, t->refused, t->kills,
		       t->cuts, t->joins, t->removed);
	meta_reader_close(t->reader);
	meta_close(t->m);
	io_free(t->io);
	free(t);
}
END_TEST

Suite *make_model_suite(void)
{
	Suite *suite = suite_create("model");
	TCase *tc = tcase_create("random");
	unsigned from, to = env_range(&from);

	tcase_add_loop_test(tc, test_random, (int)from, (int)to);
	tcase_set_timeout(tc, 3600);
	suite_add_tcase(suite, tc);
	return suite;
}
