/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of volumes in memory: who there is, whose rows each one sees, where it is shown.  Holds all volumes, deleted ones
 * too while copies of them live.  It is ahead of the database by the records not yet applied.
 *
 * Two locks: `lock` for membership, names and places (short); `chain` for what database look-ups walk (line, parent, pin,
 * tails), shared during a look-up, exclusive only to change memory.  lock may be taken under chain, not the other way round.
 */
#include "fs/volume/internal.h"

static int vol_cmp_id(struct vol *a, struct vol *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}
static int vol_cmp_name(struct vol *a, struct vol *b)
{
	if (a->place_dir != b->place_dir)
		return a->place_dir < b->place_dir ? -1 : 1;
	if (a->place_vol != b->place_vol)
		return a->place_vol < b->place_vol ? -1 : 1;
	return strcmp(a->name, b->name);
}
static uint64_t role_set(const struct vol *v)
{
	return atomic_load(&v->flags) & META_VOL_SNAPSHOT ? v->set_id : 0;
}
static int vol_cmp_role(struct vol *a, struct vol *b)
{
	uint64_t sa = role_set(a), sb = role_set(b);

	if (sa != sb)
		return sa < sb ? -1 : 1;
	if (a->alias != b->alias)
		return a->alias < b->alias ? -1 : 1;
	/* Two of one role in one set (a volume and a snapshot of it): the older one counts, the other when that is gone. */
	return vol_cmp_id(a, b);
}
TREE_GENERATE(vol_ids, vol, by_id, vol_cmp_id)
TREE_GENERATE(vol_names, vol, by_name, vol_cmp_name)
TREE_GENERATE(vol_roles, vol, by_role, vol_cmp_role)

int vtab_init(struct vtab *t)
{
	pthread_rwlockattr_t a;

	pthread_mutex_init(&t->lock, NULL);
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&t->chain, &a);
	pthread_rwlockattr_destroy(&a);
	RB_INIT(&t->ids);
	RB_INIT(&t->roles);
	RB_INIT(&t->names);
	RB_INIT(&t->lingering);
	return 0;
}

static void vol_free(struct vol *v)
{
	if (!v)
		return;
	pthread_mutex_destroy(&v->names);
	free(v->tails);
	free(v->name);
	free(v);
}

void vol_discard(struct vtab *t, struct vol *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&t->lock);
	if (t->slots[v->slot] == v) {
		t->slots[v->slot] = NULL;
		t->free_hint = MIN(t->free_hint, v->slot);
	}
	pthread_mutex_unlock(&t->lock);
	vol_free(v);
}

void vtab_release(struct vtab *t)
{
	struct vol *v, *next;

	for (v = RB_MIN(vol_ids, &t->ids); v; v = next) {
		next = RB_NEXT(vol_ids, &t->ids, v);
		RB_REMOVE(vol_ids, &t->ids, v);
		vol_free(v);
	}
	for (v = RB_MIN(vol_ids, &t->lingering); v; v = next) {
		next = RB_NEXT(vol_ids, &t->lingering, v);
		RB_REMOVE(vol_ids, &t->lingering, v);
		vol_free(v);
	}
	free(t->slots);
	free(t->slot_generation);
	pthread_mutex_destroy(&t->lock);
	pthread_rwlock_destroy(&t->chain);
}

/* Room for slot number n.  lock held. */
static int slots_grow_locked(struct vtab *t, uint32_t n)
{
	uint32_t cap = t->cap_slots ? t->cap_slots : 64;
	struct vol **s;
	uint32_t *g;

	if (n < t->cap_slots)
		return 0;
	while (cap <= n)
		cap *= 2;
	s = realloc(t->slots, cap * sizeof(*s));
	if (!s)
		return -ENOMEM;
	t->slots = s;
	g = realloc(t->slot_generation, cap * sizeof(*g));
	if (!g)
		return -ENOMEM;
	t->slot_generation = g;
	memset(s + t->cap_slots, 0, (cap - t->cap_slots) * sizeof(*s));
	memset(g + t->cap_slots, 0, (cap - t->cap_slots) * sizeof(*g));
	t->cap_slots = cap;
	return 0;
}

/* Stands in a slot that is chosen but whose volume is not made yet. */
static struct vol reserved;

#define VOL_BYTES (sizeof(struct vol) + 2 * 16 + 32) /* what malloc adds, and a name */

uint64_t vtab_bytes(struct vtab *t)
{
	uint64_t bytes;

	pthread_mutex_lock(&t->lock);
	bytes = t->count * VOL_BYTES + t->cap_slots * (sizeof(*t->slots) + sizeof(*t->slot_generation));
	pthread_mutex_unlock(&t->lock);
	return bytes;
}

int slot_reserve(struct vtab *t, struct meta_volume *m)
{
	uint32_t s;
	int r;

	pthread_mutex_lock(&t->lock);
	for (s = t->free_hint; s < t->cap_slots && t->slots[s]; s++)
		;
	r = s >= SLOTS_MAX ? -EMLINK : slots_grow_locked(t, s);
	if (!r) {
		t->slots[s] = &reserved;
		t->free_hint = s + 1;
		m->slot = s;
		m->generation = t->slot_generation[s];
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

struct vol *vol_by_slot(struct vtab *t, uint32_t slot)
{
	struct vol *v = NULL;

	pthread_mutex_lock(&t->lock);
	if (slot < t->cap_slots && t->slots[slot] != &reserved)
		v = t->slots[slot];
	if (v && v->refs) /* 0: still being made */
		v->refs++;
	else
		v = NULL;
	pthread_mutex_unlock(&t->lock);
	return v;
}

int vol_new(struct vtab *t, const struct meta_volume *m, struct vol **out)
{
	struct vol *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	pthread_mutex_init(&v->names, NULL);
	v->name = strdup(m->name);
	if (!v->name) {
		vol_free(v);
		return -ENOMEM;
	}
	pthread_mutex_lock(&t->lock);
	r = slots_grow_locked(t, m->slot);
	if (!r)
		t->slots[m->slot] = v;
	pthread_mutex_unlock(&t->lock);
	if (r) {
		vol_free(v);
		return r;
	}
	v->id = m->id;
	v->line = m->line;
	v->root = m->root;
	v->origin = m->origin;
	v->alias = m->alias;
	v->created_ns = m->created_ns;
	v->slot = m->slot;
	v->generation = m->generation;
	memcpy(v->uuid, m->uuid, 16);
	atomic_store(&v->flags, m->flags);
	v->place_vol = m->place_vol;
	v->place_dir = m->place_dir;
	v->set_id = m->set_id;
	*out = v;
	return 0;
}

/* One more kid; it counts as a reference. */
static void adopt_locked(struct vol *parent)
{
	if (parent) {
		parent->refs++;
		parent->nkids++;
	}
}

static struct vol *find_locked(struct vtab *t, uint64_t id)
{
	struct vol key = { .id = id };

	return RB_FIND(vol_ids, &t->ids, &key);
}

/* Enter the trees that show v, as its flags and place say.  lock held. */
static void show_locked(struct vtab *t, struct vol *v)
{
	uint32_t f = atomic_load(&v->flags);

	if (f & META_VOL_DEAD)
		return;
	v->in_roles = !RB_INSERT(vol_roles, &t->roles, v);
	if (f & META_VOL_SNAPSHOT)
		v->in_names = !RB_INSERT(vol_names, &t->names, v);
	else if (!v->place_vol)
		t->root = v; /* the only head without a place is the mount's root */
}

static void hide_locked(struct vtab *t, struct vol *v)
{
	if (v->in_roles)
		RB_REMOVE(vol_roles, &t->roles, v);
	if (v->in_names)
		RB_REMOVE(vol_names, &t->names, v);
	v->in_roles = v->in_names = false;
}

void vtab_insert(struct vtab *t, struct vol *v, struct vol *parent, uint64_t pin)
{
	pthread_mutex_lock(&t->lock);
	v->refs = 1;
	v->parent = parent;
	v->pin = pin;
	adopt_locked(parent);
	KAGEFS_ASSERT(!RB_INSERT(vol_ids, &t->ids, v));
	t->slots[v->slot] = v;
	if (t->slot_generation[v->slot] < v->generation)
		t->slot_generation[v->slot] = v->generation;
	t->count++;
	show_locked(t, v);
	pthread_mutex_unlock(&t->lock);
}

struct vol *vol_get(struct vtab *t, uint64_t id)
{
	struct vol *v;

	pthread_mutex_lock(&t->lock);
	v = find_locked(t, id);
	if (v)
		v->refs++;
	pthread_mutex_unlock(&t->lock);
	return v;
}

struct vol *vol_live(struct vtab *t, uint64_t id)
{
	struct vol *v = vol_get(t, id);

	if (v && (vol_flags(v) & META_VOL_DEAD)) {
		vol_put(t, v);
		return NULL;
	}
	return v;
}

struct vol *vol_next(struct vtab *t, uint64_t after_id)
{
	struct vol key = { .id = after_id + 1 }, *v;

	pthread_mutex_lock(&t->lock);
	v = RB_NFIND(vol_ids, &t->ids, &key);
	if (v)
		v->refs++;
	pthread_mutex_unlock(&t->lock);
	return v;
}

void vol_put(struct vtab *t, struct vol *v)
{
	while (v) {
		struct vol *parent;

		pthread_mutex_lock(&t->lock);
		if (--v->refs) {
			pthread_mutex_unlock(&t->lock);
			return;
		}
		parent = v->parent; /* the kid's count on it goes with the kid */
		if (parent)
			parent->nkids--;
		pthread_mutex_unlock(&t->lock);
		vol_free(v);
		v = parent;
	}
}

void vol_describe(struct vtab *t, struct vol *v, struct meta_volume *out)
{
	memset(out, 0, sizeof(*out));
	out->id = v->id;
	out->slot = v->slot;
	out->generation = v->generation;
	out->root = v->root;
	out->origin = v->origin;
	out->alias = v->alias;
	out->created_ns = v->created_ns;
	memcpy(out->uuid, v->uuid, 16);
	out->line = v->id; /* at birth; later ones are the database's business */
	pthread_mutex_lock(&t->lock);
	out->flags = vol_flags(v);
	strcpy(out->name, v->name);
	out->place_vol = v->place_vol;
	out->place_dir = v->place_dir;
	out->set_id = v->set_id;
	pthread_mutex_unlock(&t->lock);
}

void vol_update(struct vtab *t, struct vol *v, const struct meta_volume *m, char *name)
{
	char *old;
	uint32_t keep;

	pthread_mutex_lock(&t->lock);
	hide_locked(t, v);
	old = v->name;
	v->name = name;
	v->place_vol = m->place_vol;
	v->place_dir = m->place_dir;
	v->set_id = m->set_id;
	keep = atomic_load(&v->flags) & (META_VOL_DEAD | META_VOL_BARE);
	atomic_store(&v->flags, keep | (m->flags & ~(uint32_t)(META_VOL_DEAD | META_VOL_BARE)));
	show_locked(t, v);
	pthread_mutex_unlock(&t->lock);
	free(old);
}

void vol_mark_dead(struct vtab *t, struct vol *v)
{
	pthread_mutex_lock(&t->lock);
	hide_locked(t, v);
	atomic_fetch_or(&v->flags, META_VOL_DEAD);
	pthread_mutex_unlock(&t->lock);
}

void vol_place_in(struct vol *container, struct meta_volume *m)
{
	bool snap = vol_flags(container) & META_VOL_SNAPSHOT;

	m->place_dir = snap ? PLACE_OF_SNAPSHOT : PLACE_OF_HEAD;
	m->place_vol = snap ? container->id : container->alias;
}

/* A search key for names in container's .snapshots; buf holds the name. */
static void names_key(struct vol *container, char buf[META_NAME_MAX + 1], const char *name, size_t len, struct vol *key)
{
	struct meta_volume m;

	vol_place_in(container, &m);
	memcpy(buf, name, len);
	buf[len] = 0;
	key->name = buf;
	key->place_vol = m.place_vol;
	key->place_dir = m.place_dir;
}

struct vol *vol_snapshot(struct vtab *t, struct vol *container, const char *name, size_t len)
{
	char buf[META_NAME_MAX + 1];
	struct vol key = { 0 }, *v;

	if (len > META_NAME_MAX)
		return NULL;
	names_key(container, buf, name, len, &key);
	pthread_mutex_lock(&t->lock);
	v = RB_FIND(vol_names, &t->names, &key);
	if (v)
		v->refs++;
	pthread_mutex_unlock(&t->lock);
	return v;
}

unsigned vol_snapshots(struct vtab *t, struct vol *container, const char *after, size_t after_len, unsigned max, struct vol **out)
{
	char buf[META_NAME_MAX + 1];
	struct vol key = { 0 }, *v;
	unsigned n = 0;

	names_key(container, buf, after ? after : "", MIN(after_len, (size_t)META_NAME_MAX), &key);
	pthread_mutex_lock(&t->lock);
	v = RB_NFIND(vol_names, &t->names, &key);
	if (v && !vol_cmp_name(v, &key))
		v = RB_NEXT(vol_names, &t->names, v);
	for (; v && n < max; v = RB_NEXT(vol_names, &t->names, v)) {
		if (v->place_vol != key.place_vol || v->place_dir != key.place_dir)
			break;
		v->refs++;
		out[n++] = v;
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}

struct vol *vol_resolve(struct vtab *t, struct vol *in, uint64_t alias)
{
	struct vol key = { .alias = alias }, *v;

	pthread_mutex_lock(&t->lock);
	atomic_store(&key.flags, atomic_load(&in->flags) & META_VOL_SNAPSHOT);
	key.set_id = in->set_id;
	v = RB_NFIND(vol_roles, &t->roles, &key);
	if (v && (v->alias != alias || role_set(v) != role_set(&key)))
		v = NULL;
	if (v)
		v->refs++;
	pthread_mutex_unlock(&t->lock);
	return v;
}

/* chain held exclusively.  Labels of h become: its new line, plus all old labels as tails. */
static int take_line(struct vol *h, struct vol *from)
{
	unsigned n = h->ntails + from->ntails + 1;
	uint64_t *tails = malloc(n * sizeof(*tails));

	if (!tails)
		return -ENOMEM;
	if (h->ntails)
		memcpy(tails, h->tails, h->ntails * sizeof(*tails));
	if (from->ntails)
		memcpy(tails + h->ntails, from->tails, from->ntails * sizeof(*tails));
	tails[n - 1] = h->line;
	free(h->tails);
	h->tails = tails;
	h->ntails = n;
	h->line = from->line;
	return 0;
}

static void slot_free_locked(struct vtab *t, struct vol *g)
{
	if (t->slots[g->slot] != g)
		return;
	t->slots[g->slot] = NULL;
	t->slot_generation[g->slot] = g->generation + 1;
	t->free_hint = MIN(t->free_hint, g->slot);
}

int vol_hold(struct vtab *t, struct vol *v)
{
	int r = -ESTALE;

	pthread_mutex_lock(&t->lock);
	if (!v->gone) {
		v->holds++;
		r = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void vol_unhold(struct vtab *t, uint64_t id, uint64_t count)
{
	struct vol key = { .id = id }, *v, *drop = NULL;

	pthread_mutex_lock(&t->lock);
	v = find_locked(t, id);
	if (!v)
		v = RB_FIND(vol_ids, &t->lingering, &key);
	if (v) {
		v->holds -= MIN(v->holds, count);
		if (v->gone && !v->holds) {
			RB_REMOVE(vol_ids, &t->lingering, v);
			slot_free_locked(t, v);
			drop = v;
		}
	}
	pthread_mutex_unlock(&t->lock);
	vol_put(t, drop);
}

void vtab_gone(struct vtab *t, uint64_t gone, uint64_t heir)
{
	struct vol *g = vol_get(t, gone), *h = heir ? vol_get(t, heir) : NULL, *v, *drop = NULL;
	unsigned moved = 0;

	if (!g)
		return;
	pthread_rwlock_wrlock(&t->chain);
	if (h) {
		if (!(vol_flags(g) & META_VOL_BARE)) /* its line has rows from now on */
			atomic_fetch_and(&h->flags, ~(uint32_t)META_VOL_BARE);
		/* Small and rare; without it the heir's look-ups would be wrong, so there is no going on. */
		KAGEFS_ASSERT(!take_line(h, g));
	}
	pthread_mutex_lock(&t->lock);
	/* The heir takes the dead one's place in the chain; other kids (their pins are older) hang on the heir from now on.
	 * Without an heir nobody can see rows of it any more: kids in memory skip it. */
	for (v = RB_MIN(vol_ids, &t->ids); v && g->nkids; v = RB_NEXT(vol_ids, &t->ids, v)) {
		if (v->parent != g)
			continue;
		if (v == h || !h) {
			v->parent = g->parent;
			v->pin = v == h ? g->pin : MIN(v->pin, g->pin);
		} else {
			v->parent = h;
		}
		adopt_locked(v->parent);
		g->nkids--;
		moved++;
	}
	RB_REMOVE(vol_ids, &t->ids, g);
	g->gone = true;
	hide_locked(t, g);
	t->count--;
	g->refs -= moved; /* the kids' counts; ours is still there */
	drop = g;
	if (g->holds) { /* the table's count goes to lingering */
		RB_INSERT(vol_ids, &t->lingering, g);
	} else {
		slot_free_locked(t, g);
		g->refs--; /* the table's */
	}
	pthread_mutex_unlock(&t->lock);
	pthread_rwlock_unlock(&t->chain);
	vol_put(t, drop);
	if (h)
		vol_put(t, h);
}

void vtab_tail_done(struct vtab *t, uint64_t src, uint64_t line)
{
	struct vol *v;

	pthread_rwlock_wrlock(&t->chain);
	pthread_mutex_lock(&t->lock);
	RB_FOREACH(v, vol_ids, &t->ids) {
		if (v->line != line)
			continue;
		for (unsigned i = 0; i < v->ntails; i++)
			if (v->tails[i] == src)
				v->tails[i--] = v->tails[--v->ntails];
	}
	pthread_mutex_unlock(&t->lock);
	pthread_rwlock_unlock(&t->chain);
}

void vtab_applied(struct vtab *t, uint64_t id, uint64_t parent_line, uint64_t pin)
{
	struct vol *v = vol_get(t, id), *p = NULL, *old = NULL, *i;

	if (!v)
		return;
	pthread_rwlock_wrlock(&t->chain);
	if (v->parent && v->parent->line == parent_line) {
		v->pin = pin;
	} else {
		pthread_mutex_lock(&t->lock);
		RB_FOREACH(i, vol_ids, &t->ids)
			if (parent_line && i->line == parent_line)
				p = i;
		if (p) {
			adopt_locked(p);
			old = v->parent;
			if (old)
				old->nkids--;
			v->parent = p;
			v->pin = pin;
		}
		pthread_mutex_unlock(&t->lock);
	}
	pthread_rwlock_unlock(&t->chain);
	atomic_store(&v->applied, true);
	if (old)
		vol_put(t, old);
	vol_put(t, v);
}

int chain_build(struct vol *v, struct chain_buf *out)
{
	unsigned n = 0;
	uint64_t bound = META_EPOCH_MAX;

	for (struct vol *p = v; p; p = p->parent)
		n++;
	out->c.links = out->space;
	if (n > CHAIN_INLINE) {
		out->c.links = malloc(n * sizeof(*out->c.links));
		if (!out->c.links)
			return -ENOMEM;
	}
	out->c.n = n;
	n = 0;
	for (struct vol *p = v; p; bound = p->pin, p = p->parent)
		out->c.links[n++] = (struct meta_link){ p->line, bound, p->tails, p->ntails };
	return 0;
}

void chain_release(struct chain_buf *b)
{
	if (b->c.links != b->space)
		free(b->c.links);
}

struct vol *vol_head(struct vtab *t, uint64_t alias)
{
	struct vol in = { .set_id = 0 };

	return vol_resolve(t, &in, alias);
}

/* ---- loading at mount ---- */

struct load {
	struct vtab *t;
	struct vol **v; /* owned; in id order */
	struct { uint64_t parent, pin; } *at; /* owned; beside v */
	size_t n, cap;
};

static int load_one(void *arg, const struct meta_volume *m)
{
	struct load *l = arg;
	int r;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		void *v = realloc(l->v, cap * sizeof(*l->v)), *at;

		if (!v)
			return -ENOMEM;
		l->v = v;
		at = realloc(l->at, cap * sizeof(*l->at));
		if (!at)
			return -ENOMEM;
		l->at = at;
		l->cap = cap;
	}
	if (m->slot >= SLOTS_MAX)
		return -EUCLEAN;
	r = vol_new(l->t, m, &l->v[l->n]);
	if (r)
		return r;
	l->at[l->n].parent = m->parent;
	l->at[l->n].pin = m->pin;
	atomic_store(&l->v[l->n]->applied, true);
	vtab_insert(l->t, l->v[l->n++], NULL, 0);
	return 0;
}

static int line_cmp(const void *x, const void *y)
{
	const struct vol *a = *(struct vol *const *)x, *b = *(struct vol *const *)y;

	return a->line < b->line ? -1 : a->line > b->line;
}

static struct vol *by_line(struct vol **sorted, size_t n, uint64_t line)
{
	struct vol key = { .line = line }, *k = &key, **hit;

	hit = bsearch(&k, sorted, n, sizeof(*sorted), line_cmp);
	return hit ? *hit : NULL;
}

struct tail_load {
	struct vol **sorted;
	size_t n;
};

static int load_tail(void *arg, uint64_t src, uint64_t line)
{
	struct tail_load *l = arg;
	struct vol *v = by_line(l->sorted, l->n, line);
	uint64_t *t;

	if (!v)
		return -EUCLEAN;
	t = realloc(v->tails, (v->ntails + 1) * sizeof(*t));
	if (!t)
		return -ENOMEM;
	v->tails = t;
	v->tails[v->ntails++] = src;
	return 0;
}

int vtab_load(struct vtab *t, struct meta *m)
{
	struct load l = { .t = t };
	struct tail_load tl = { 0 };
	int r = meta_volume_list(m, load_one, &l);

	if (!r && l.n) {
		tl.n = l.n;
		tl.sorted = malloc(l.n * sizeof(*tl.sorted));
		r = tl.sorted ? 0 : -ENOMEM;
	}
	if (!r && l.n) {
		memcpy(tl.sorted, l.v, l.n * sizeof(*l.v));
		qsort(tl.sorted, l.n, sizeof(*tl.sorted), line_cmp);
	}
	for (size_t i = 0; !r && i < l.n; i++) {
		if (!l.at[i].parent)
			continue;
		l.v[i]->parent = by_line(tl.sorted, l.n, l.at[i].parent);
		l.v[i]->pin = l.at[i].pin;
		if (!l.v[i]->parent)
			r = -EUCLEAN;
		adopt_locked(l.v[i]->parent);
	}
	if (!r && l.n)
		r = meta_tail_list(m, load_tail, &tl);
	if (!r && !t->root)
		r = -EUCLEAN;
	free(tl.sorted);
	free(l.v);
	free(l.at);
	return r;
}
