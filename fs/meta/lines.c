/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The volume and tail tables in memory, for the writer: which line hangs where, the pins of a line (they are its kids),
 * and the chain by which a volume reads.  Without it every put would ask SQL for pins.
 *
 * Always equal to the tables as the writer's connection sees them: volume.c changes both, and a rollback loads anew.
 * The rows are few (one per volume), so plain sorted arrays do.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

static void vol_free(struct vol *v)
{
	free(v->kids);
	free(v->tails);
	free(v->chain.links);
	free(v);
}

void lines_release(struct lines *l)
{
	for (unsigned i = 0; i < l->n; i++)
		vol_free(l->by_id[i]);
	free(l->by_id);
	free(l->by_line);
	l->by_id = l->by_line = NULL;
	l->n = l->cap = 0;
	l->generation++;
}

static unsigned id_from(const struct lines *l, uint64_t id)
{
	unsigned lo = 0, hi = l->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (l->by_id[mid]->v.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static unsigned line_from(const struct lines *l, uint64_t line)
{
	unsigned lo = 0, hi = l->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (l->by_line[mid]->v.line < line)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct vol *lines_by_id(struct lines *l, uint64_t id)
{
	unsigned i = id_from(l, id);

	return i < l->n && l->by_id[i]->v.id == id ? l->by_id[i] : NULL;
}

struct vol *lines_by_line(struct lines *l, uint64_t line)
{
	unsigned i = line_from(l, line);

	return i < l->n && l->by_line[i]->v.line == line ? l->by_line[i] : NULL;
}

unsigned kids_from(const struct vol *v, uint64_t pin)
{
	unsigned lo = 0, hi = v->nkids;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (v->kids[mid]->v.pin < pin)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int kid_insert(struct vol *up, struct vol *kid)
{
	unsigned i;

	if (up->nkids == up->kids_cap) {
		unsigned cap = up->kids_cap ? up->kids_cap * 2 : 4;
		struct vol **kids = realloc(up->kids, cap * sizeof(struct vol *));

		if (!kids)
			return -ENOMEM;
		up->kids = kids;
		up->kids_cap = cap;
	}
	i = kids_from(up, kid->v.pin);
	while (i < up->nkids && up->kids[i]->v.pin == kid->v.pin && up->kids[i]->v.line < kid->v.line)
		i++;
	memmove(up->kids + i + 1, up->kids + i, (up->nkids - i) * sizeof(struct vol *));
	up->kids[i] = kid;
	up->nkids++;
	kid->up = up;
	return 0;
}

static void kid_remove(struct vol *up, struct vol *kid)
{
	for (unsigned i = kids_from(up, kid->v.pin); i < up->nkids; i++) {
		if (up->kids[i] != kid)
			continue;
		memmove(up->kids + i, up->kids + i + 1, (up->nkids - i - 1) * sizeof(struct vol *));
		up->nkids--;
		return;
	}
}

static int reserve_one(struct lines *l)
{
	unsigned cap = l->cap ? l->cap * 2 : 64;
	struct vol **p;

	if (l->n < l->cap)
		return 0;
	p = realloc(l->by_id, cap * sizeof(struct vol *));
	if (!p)
		return -ENOMEM;
	l->by_id = p;
	p = realloc(l->by_line, cap * sizeof(struct vol *));
	if (!p)
		return -ENOMEM;
	l->by_line = p;
	l->cap = cap;
	return 0;
}

/* Without hanging it below its parent. */
static int add_loose(struct lines *l, const struct meta_volume *v, struct vol **out)
{
	unsigned i = id_from(l, v->id), j = line_from(l, v->line);
	struct vol *new;
	int r;

	if (lines_by_id(l, v->id) || lines_by_line(l, v->line))
		return -EEXIST;
	r = reserve_one(l);
	if (r < 0)
		return r;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->v = *v;
	memmove(l->by_id + i + 1, l->by_id + i, (l->n - i) * sizeof(struct vol *));
	memmove(l->by_line + j + 1, l->by_line + j, (l->n - j) * sizeof(struct vol *));
	l->by_id[i] = l->by_line[j] = new;
	l->n++;
	l->generation++;
	*out = new;
	return 0;
}

void lines_remove(struct lines *l, struct vol *v)
{
	unsigned i = id_from(l, v->v.id), j = line_from(l, v->v.line);

	KAGEFS_ASSERT(v->nkids == 0);
	if (v->up)
		kid_remove(v->up, v);
	memmove(l->by_id + i, l->by_id + i + 1, (l->n - i - 1) * sizeof(struct vol *));
	memmove(l->by_line + j, l->by_line + j + 1, (l->n - j - 1) * sizeof(struct vol *));
	l->n--;
	l->generation++;
	vol_free(v);
}

static int hang(struct lines *l, struct vol *v)
{
	struct vol *up;

	if (!v->v.parent)
		return 0;
	up = lines_by_line(l, v->v.parent);
	if (!up) {
		msg(LOG_ERR, "meta: table volume: id=%llu has parent=%llu, which is no line", (unsigned long long)v->v.id,
		    (unsigned long long)v->v.parent);
		return -EUCLEAN;
	}
	return kid_insert(up, v);
}

int lines_add(struct lines *l, const struct meta_volume *v)
{
	struct vol *new;
	int r = add_loose(l, v, &new);

	if (r < 0)
		return r;
	r = hang(l, new);
	if (r < 0)
		lines_remove(l, new);
	return r;
}

/* ---- loading ---- */

static int decode_volume(sqlite3_stmt *s, struct meta_volume *v)
{
	int name_len = sqlite3_column_bytes(s, 9);

	memset(v, 0, sizeof(*v));
	v->id = col_u64(s, 0);
	v->slot = (uint32_t)col_u64(s, 1);
	v->generation = (uint32_t)col_u64(s, 2);
	v->line = col_u64(s, 3);
	v->parent = col_u64(s, 4);
	v->pin = col_u64(s, 5);
	v->root = col_u64(s, 6);
	v->flags = (uint32_t)col_u64(s, 7);
	if (sqlite3_column_bytes(s, 8) != sizeof(v->uuid) || name_len > META_NAME_MAX) {
		msg(LOG_ERR, "meta: table volume: id=%llu has a uuid or name of wrong length", (unsigned long long)v->id);
		return -EUCLEAN;
	}
	memcpy(v->uuid, sqlite3_column_blob(s, 8), sizeof(v->uuid));
	if (name_len)
		memcpy(v->name, sqlite3_column_blob(s, 9), (size_t)name_len);
	v->origin = col_u64(s, 10);
	v->alias = col_u64(s, 11);
	v->place_vol = col_u64(s, 12);
	v->place_dir = col_u64(s, 13);
	v->set_id = col_u64(s, 14);
	v->created_ns = col_u64(s, 15);
	return 0;
}

static int load_volumes(struct meta *m)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_VOLUME_LIST);
	struct meta_volume v;
	struct vol *new;
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		r = decode_volume(s, &v);
		if (r == 0)
			r = add_loose(&m->lines, &v, &new);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < m->lines.n && r == 0; i++)
		r = hang(&m->lines, m->lines.by_id[i]);
	return r;
}

static int load_tails(struct meta *m)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_TAIL_LIST);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		struct vol *v = lines_by_line(&m->lines, col_u64(s, 1));
		uint64_t *tails;

		if (!v) {
			msg(LOG_ERR, "meta: table tail: src=%llu points to no line", (unsigned long long)col_u64(s, 0));
			return -EUCLEAN;
		}
		tails = realloc(v->tails, (v->ntails + 1) * sizeof(*tails));
		if (!tails)
			return -ENOMEM;
		v->tails = tails;
		tails[v->ntails++] = col_u64(s, 0);
	}
	return r;
}

/* A chain that bites its tail would make every search endless. */
static int refuse_cycles(struct lines *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		unsigned depth = 0;

		for (struct vol *v = l->by_id[i]; v; v = v->up)
			if (++depth > l->n) {
				msg(LOG_ERR, "meta: table volume: id=%llu descends from itself",
				    (unsigned long long)l->by_id[i]->v.id);
				return -EUCLEAN;
			}
	}
	return 0;
}

int lines_load(struct meta *m)
{
	int r;

	lines_release(&m->lines);
	r = load_volumes(m);
	if (r == 0)
		r = load_tails(m);
	if (r == 0)
		r = refuse_cycles(&m->lines);
	m->lines.generation++;
	return r;
}

/* ---- chains ---- */

int vol_chain(struct meta *m, struct vol *v, const struct meta_chain **out)
{
	unsigned n = 0;
	uint64_t bound = META_EPOCH_MAX;
	struct meta_link *links;

	*out = &v->chain;
	if (v->chain_generation == m->lines.generation && v->chain.n)
		return 0;
	for (struct vol *x = v; x; x = x->up)
		n++;
	links = realloc(v->chain.links, n * sizeof(*links));
	if (!links)
		return -ENOMEM;
	v->chain.links = links;
	v->chain.n = n;
	for (struct vol *x = v; x; x = x->up) {
		*links++ = (struct meta_link){.line = x->v.line, .bound = bound, .tails = x->tails, .ntails = x->ntails};
		bound = x->v.pin;
	}
	v->chain_generation = m->lines.generation;
	return 0;
}

int vol_writable(struct meta *m, uint64_t id, struct vol **out)
{
	struct vol *v = lines_by_id(&m->lines, id);

	if (!v || !vol_alive(v))
		return -ENOENT;
	*out = v;
	return 0;
}

int meta_chain(struct meta *m, uint64_t vol, const struct meta_chain **out)
{
	struct vol *v = lines_by_id(&m->lines, vol);

	return v ? vol_chain(m, v, out) : -ENOENT;
}
