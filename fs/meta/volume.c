/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Volumes: rules R6 (copy), R7 (delete) and the two ends of R9 (a dead volume vanishes, or an heir takes its line).
 * Changes the tables and their mirror (lines.c) together; m->lines_changed makes a rollback load the mirror again.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

static void bind_parent(sqlite3_stmt *s, int n, uint64_t parent, uint64_t pin)
{
	if (parent) {
		bind_u64(s, n, parent);
		bind_u64(s, n + 1, pin);
	} else {
		sqlite3_bind_null(s, n);
		sqlite3_bind_null(s, n + 1);
	}
}

static int insert_row(struct meta *m, const struct meta_volume *v)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_VOLUME_INSERT);

	bind_u64(s, 1, v->id);
	bind_u64(s, 2, v->slot);
	bind_u64(s, 3, v->generation);
	bind_u64(s, 4, v->line);
	bind_parent(s, 5, v->parent, v->pin);
	bind_u64(s, 7, v->root);
	bind_u64(s, 8, v->flags);
	bind_bytes(s, 9, v->uuid, sizeof(v->uuid));
	sqlite3_bind_text(s, 10, v->name, -1, SQLITE_STATIC);
	bind_u64(s, 11, v->origin);
	bind_u64(s, 12, v->alias);
	bind_u64(s, 13, v->place_vol);
	bind_u64(s, 14, v->place_dir);
	bind_u64(s, 15, v->set_id);
	bind_u64(s, 16, v->created_ns);
	return db_run(m->db, s);
}

static int add_volume(struct meta *m, const struct meta_volume *v)
{
	int r;

	if (lines_by_id(&m->lines, v->id) || lines_by_line(&m->lines, v->line))
		return -EINVAL;
	m->lines_changed = true;
	r = insert_row(m, v);
	return r < 0 ? r : lines_add(&m->lines, v);
}

static bool volume_valid(const struct meta_volume *v)
{
	return v->id && v->id <= INT64_MAX && v->line == v->id && memchr(v->name, '\0', sizeof(v->name));
}

int meta_volume_insert(struct meta *m, const struct meta_volume *v)
{
	struct meta_volume new = *v;
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!volume_valid(v) || v->parent || v->pin)
		return -EINVAL;
	new.flags = (v->flags & ~(uint32_t)META_VOL_DEAD) | META_VOL_BARE;
	return tx_leave(m, add_volume(m, &new));
}

static int copy_orphans(struct meta *m, uint64_t from, uint64_t to)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_ORPHAN_COPY);

	if (MUTATED("no_orphan_copy"))
		return 0;
	bind_u64(s, 1, from);
	bind_u64(s, 2, to);
	return db_run(m->db, s);
}

/* Where a copy of `of` hangs: at its line, or, when it has no row of its own to share, beside it.  So snapshots of an
 * untouched snapshot do not make chains longer. */
static int place_copy(struct meta *m, struct vol *of, struct meta_volume *v)
{
	int any = 1;

	if (of->up)
		any = (of->v.flags & META_VOL_BARE) ? 0 : rows_any(m, of);
	if (any < 0)
		return any;
	v->parent = any ? of->v.line : of->v.parent;
	v->pin = any ? m->state.epoch : of->v.pin;
	return 0;
}

int meta_volume_copy(struct meta *m, uint64_t of, struct meta_volume *v)
{
	struct vol *src;
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!volume_valid(v))
		return -EINVAL;
	r = vol_writable(m, of, &src);
	if (r < 0)
		return r;
	r = place_copy(m, src, v);
	v->flags = (v->flags & ~(uint32_t)META_VOL_DEAD) | META_VOL_BARE;
	if (r == 0)
		r = add_volume(m, v);
	if (r == 0)
		r = copy_orphans(m, of, v->id);
	if (r == 0)
		m->copied = true;
	return tx_leave(m, r);
}

int meta_epoch_step(struct meta *m)
{
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!MUTATED("no_epoch_step"))
		m->state.epoch++;
	m->copied = false;
	return 0;
}

static int update_row(struct meta *m, const struct meta_volume *v)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_VOLUME_UPDATE);
	int r;

	bind_u64(s, 1, v->id);
	bind_u64(s, 2, v->flags);
	sqlite3_bind_text(s, 3, v->name, -1, SQLITE_STATIC);
	bind_u64(s, 4, v->place_vol);
	bind_u64(s, 5, v->place_dir);
	bind_u64(s, 6, v->set_id);
	r = db_run(m->db, s);
	return r;
}

int meta_volume_update(struct meta *m, const struct meta_volume *v)
{
	const uint32_t ours = META_VOL_BARE | META_VOL_DEAD;
	struct meta_volume new;
	struct vol *x;
	int r = tx_enter(m);

	if (r < 0)
		return r;
	x = lines_by_id(&m->lines, v->id);
	if (!x)
		return -ENOENT;
	if (!memchr(v->name, '\0', sizeof(v->name)))
		return -EINVAL;
	new = x->v;
	new.flags = (new.flags & ours) | (v->flags & ~ours);
	memcpy(new.name, v->name, sizeof(new.name));
	new.place_vol = v->place_vol;
	new.place_dir = v->place_dir;
	new.set_id = v->set_id;
	m->lines_changed = true;
	r = update_row(m, &new);
	if (r == 0)
		x->v = new;
	return tx_leave(m, r);
}

int meta_volume_delete(struct meta *m, uint64_t id)
{
	sqlite3_stmt *s;
	struct vol *v;
	int r = tx_enter(m);

	if (r == 0)
		r = vol_writable(m, id, &v);
	if (r < 0)
		return r;
	m->lines_changed = true;
	s = db_stmt(m->db, ST_VOLUME_FLAGS);
	bind_u64(s, 1, id);
	bind_u64(s, 2, v->v.flags | META_VOL_DEAD);
	r = db_run(m->db, s);
	if (r == 0) {
		v->v.flags |= META_VOL_DEAD;
		s = db_stmt(m->db, ST_ORPHAN_DROP);
		bind_u64(s, 1, id);
		r = db_run(m->db, s);
	}
	return tx_leave(m, r);
}

int meta_volume_list(struct meta *m, int (*cb)(void *arg, const struct meta_volume *v), void *arg)
{
	for (unsigned i = 0; i < m->lines.n; i++) {
		int r = cb(arg, &m->lines.by_id[i]->v);

		if (r)
			return r;
	}
	return 0;
}

int meta_tail_list(struct meta *m, int (*cb)(void *arg, uint64_t src, uint64_t line), void *arg)
{
	for (unsigned i = 0; i < m->lines.n; i++) {
		const struct vol *v = m->lines.by_id[i];

		for (unsigned t = 0; t < v->ntails; t++) {
			int r = cb(arg, v->tails[t], v->v.line);

			if (r)
				return r;
		}
	}
	return 0;
}

/* ---- R9 b and c ---- */

static int run2(struct meta *m, enum stmt_id id, uint64_t a, uint64_t b)
{
	sqlite3_stmt *s = db_stmt(m->db, id);

	bind_u64(s, 1, a);
	if (sqlite3_bind_parameter_count(s) > 1)
		bind_u64(s, 2, b);
	return db_run(m->db, s);
}

int volume_vanish(struct meta *m, struct vol *v)
{
	uint64_t line = v->v.line, parent = v->v.parent, pin = v->v.pin;
	int r;

	m->lines_changed = true;
	r = run2(m, ST_VOLUME_DELETE, v->v.id, 0);
	if (r == 0)
		r = run2(m, ST_WALK_DROP, line, 0);
	if (r == 0)
		r = run2(m, ST_TAIL_DROP, line, 0);
	if (r == 0 && parent)
		r = run2(m, ST_WALK_INSERT, parent, pin);
	if (r == 0)
		lines_remove(&m->lines, v);
	return r;
}

static int join_row(struct meta *m, const struct vol *v, const struct vol *heir, uint32_t flags)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_VOLUME_JOIN);

	bind_u64(s, 1, heir->v.id);
	bind_u64(s, 2, v->v.line);
	bind_parent(s, 3, v->v.parent, v->v.pin);
	bind_u64(s, 5, flags);
	return db_run(m->db, s);
}

/* v's own rows are all <= its greatest pin p, the heir's all newer: as one line they stay in order. */
int volume_join(struct meta *m, struct vol *v, struct vol *heir)
{
	uint64_t line = v->v.line, old = heir->v.line, pin = heir->v.pin;
	uint32_t flags = heir->v.flags;
	int r = rows_any(m, v);

	if (r < 0)
		return r;
	if (r > 0)
		flags &= ~(uint32_t)META_VOL_BARE;
	m->lines_changed = true;
	r = run2(m, ST_VOLUME_DELETE, v->v.id, 0);
	if (r == 0)
		r = join_row(m, v, heir, flags);
	if (r == 0)
		r = run2(m, ST_VOLUME_REPARENT, old, line);
	if (r == 0)
		r = run2(m, ST_TAIL_MOVE, old, line);
	if (r == 0)
		r = run2(m, ST_TAIL_INSERT, old, line);
	if (r == 0)
		r = run2(m, ST_WALK_MOVE, old, line);
	if (r == 0 && !MUTATED("no_join_walk"))
		r = run2(m, ST_WALK_INSERT, line, pin);
	return r < 0 ? r : lines_load(m);
}
