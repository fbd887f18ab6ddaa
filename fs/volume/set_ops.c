/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to sets after their commit: seal, delete, update, read; and at mount.  fs/kagefs_ioctl.h has the contracts. */
#include "fs/volume/sets.h"

static const struct kagefs_uuid no_uuid;

/* ---- delete ---- */

/* Items that delete every copy of a set and the set.  keep: leave the copies, sealed. */
static int drop_items(struct fs *fs, struct items *it, uint64_t id, bool keep)
{
	struct meta_set *set CLEANUP_FREE = malloc(sizeof(*set));
	struct set *s;

	if (!set)
		return -ENOMEM;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, id);
	if (s)
		set_load(s, set);
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	for (uint32_t i = 0; i < set->nmembers; i++) {
		struct vol *v = vol_live(&fs->vtab, set->members[i].snapshot);
		struct meta_volume m;

		if (!v)
			continue; /* deleted on its own */
		if (keep) {
			vol_describe(&fs->vtab, v, &m);
			m.flags = (m.flags & ~(uint32_t)META_VOL_RECOVERY) | META_VOL_READ_ONLY | META_VOL_SEALED;
			items_vol_set(it, &m);
		} else {
			items_vol_del(it, v->id);
		}
		vol_put(&fs->vtab, v);
	}
	items_set_del(it, id);
	return 0;
}

struct drop_arg {
	uint64_t id;
	bool keep;
	bool revoke; /* only while COMMITTING; decided under the gate, against confirm_fn */
};

static bool committing(struct fs *fs, uint64_t id)
{
	struct set *s;
	bool yes;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, id);
	yes = s && s->state == KAGEFS_SET_COMMITTING;
	pthread_mutex_unlock(&fs->sets.lock);
	return yes;
}

static int drop_fn(struct op *op, void *p)
{
	struct drop_arg *d = p;
	struct items it;
	int r;

	items_init(&it);
	r = d->revoke && !committing(op->fs, d->id) ? -EALREADY : drop_items(op->fs, &it, d->id, d->keep);
	if (!r)
		r = change_commit(op, &it, NULL, 0);
	items_release(&it);
	return r;
}


int set_drop(struct fs *fs, uint64_t id, bool keep, bool revoke)
{
	struct drop_arg d = { id, keep, revoke };
	uint64_t lsn;
	int r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, drop_fn, &d, &lsn);

	return r ? r : fs_wait(fs, lsn);
}

/* ---- seal ---- */

struct seal_arg {
	uint64_t id;
	const struct kagefs_ioc_set_seal *a;
};

static int seal_fn(struct op *op, void *p)
{
	struct seal_arg *a = p;
	struct meta_set *m = malloc(sizeof(*m));
	struct items it;
	struct set *s;
	int r = m ? 0 : -ENOMEM;

	items_init(&it);
	if (!r) {
		pthread_mutex_lock(&op->fs->sets.lock);
		s = set_by_id_locked(op->fs, a->id);
		if (s)
			set_load(s, m);
		pthread_mutex_unlock(&op->fs->sets.lock);
		r = s ? 0 : -ENOENT;
	}
	for (uint32_t i = 0; !r && i < m->nmembers; i++) {
		struct vol *v = vol_live(&op->fs->vtab, m->members[i].snapshot);
		struct meta_volume d;

		if (!v)
			continue; /* deleted on its own */
		vol_describe(&op->fs->vtab, v, &d);
		d.flags = (d.flags & ~(uint32_t)META_VOL_RECOVERY) | META_VOL_READ_ONLY | META_VOL_SEALED;
		items_vol_set(&it, &d);
		vol_put(&op->fs->vtab, v);
	}
	if (!r) {
		m->state = KAGEFS_SET_SEALED;
		set_record(m, a->a->record, a->a->record_len);
		items_set_put(&it, m);
		r = change_commit(op, &it, NULL, 0);
	}
	items_release(&it);
	free(m);
	return r;
}

static int push_copies(struct fs *fs, enum push_why why, const struct meta_set *m, int64_t until_ns)
{
	uint64_t ids[META_SET_MEMBERS_MAX];

	for (uint32_t i = 0; i < m->nmembers; i++)
		ids[i] = m->members[i].snapshot;
	return push_poll(fs->pushes, why, m->id, ids, m->nmembers, until_ns);
}

int fs_ioc_set_seal(struct fs *fs, struct kagefs_ioc_set_seal *a)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct seal_arg arg = { .a = a };
	int64_t until = wait_until_ns(a->wait_ms);
	uint64_t lsn;
	struct set *s;
	int r;

	if (!m)
		return -ENOMEM;

	if (a->flags || a->reserved0 || !reserved_clear(a->reserved, 4) || a->record_len > KAGEFS_SET_RECORD_MAX)
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_uuid_locked(fs, &a->uuid);
	if (s)
		set_load(s, m);
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	arg.id = m->id;
	if (m->state != KAGEFS_SET_COMMITTED && m->state != KAGEFS_SET_SEALED)
		return -EINVAL;
	/* First what mappings have dirtied comes in, while it may; then nothing may; then stale pages go. */
	r = m->state == KAGEFS_SET_COMMITTED ? push_copies(fs, PUSH_SEAL, m, until) : 0;
	if (r)
		return r;
	r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, seal_fn, &arg, &lsn);
	if (!r)
		r = fs_wait(fs, lsn);
	return r ? r : push_copies(fs, PUSH_SEALED, m, until);
}

/* ---- delete, update, read ---- */

int fs_ioc_set_delete(struct fs *fs, struct kagefs_ioc_set_delete *a)
{
	uint32_t state = 0, flags = 0;
	uint64_t id = 0;
	struct set *s;

	if ((a->flags & ~(KAGEFS_DELETE_FORCE | KAGEFS_DELETE_DETACH)) || a->reserved0 || !reserved_clear(a->reserved, 4))
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_uuid_locked(fs, &a->uuid);
	if (s) {
		id = s->id;
		state = s->state;
		flags = s->flags;
		if (state == KAGEFS_SET_PREPARING || state == KAGEFS_SET_PREPARED) {
			if (s->busy) {
				state = KAGEFS_SET_COMMITTING;
			} else {
				set_remove_locked(fs, s);
			}
		}
	}
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	if (state == KAGEFS_SET_PREPARING || state == KAGEFS_SET_PREPARED)
		return 0;
	if ((flags & KAGEFS_SET_KEEP) && !(a->flags & (KAGEFS_DELETE_FORCE | KAGEFS_DELETE_DETACH)))
		return -EBUSY;
	return set_drop(fs, id, a->flags & KAGEFS_DELETE_DETACH, false);
}

struct update_arg {
	const struct kagefs_ioc_set_update *a;
	bool volatile_done;
};

static int update_fn(struct op *op, void *p)
{
	struct update_arg *u = p;
	const struct kagefs_ioc_set_update *a = u->a;
	struct meta_set *m = malloc(sizeof(*m));
	struct set *s, *made;
	struct items it;
	int r = m ? 0 : -ENOMEM;

	items_init(&it);
	if (!r) {
		pthread_mutex_lock(&op->fs->sets.lock);
		s = set_by_uuid_locked(op->fs, &a->uuid);
		if (!s || s->state == KAGEFS_SET_COMMITTING)
			r = s ? -EINPROGRESS : -ENOENT;
		else if (a->expect_version && a->expect_version != s->record_version)
			r = -EAGAIN;
		if (!r) {
			set_load(s, m);
			m->flags = (m->flags & ~a->mask) | (a->flags & a->mask);
			set_record(m, a->record, a->record_len);
			/* Not committed yet: memory is all there is of it. */
			u->volatile_done = m->state == KAGEFS_SET_PREPARING || m->state == KAGEFS_SET_PREPARED;
			if (u->volatile_done) {
				r = set_make(m, &made);
				if (!r)
					set_replace_locked(op->fs, s, made);
			}
		}
		pthread_mutex_unlock(&op->fs->sets.lock);
	}
	if (!r && !u->volatile_done) {
		items_set_put(&it, m);
		r = change_commit(op, &it, NULL, 0);
	}
	items_release(&it);
	free(m);
	return r;
}

int fs_ioc_set_update(struct fs *fs, struct kagefs_ioc_set_update *a)
{
	struct update_arg u = { .a = a };
	uint64_t lsn = 0;
	int r;

	if ((a->mask & ~KAGEFS_SET_KEEP) || (a->flags & ~a->mask) || a->reserved0 || !reserved_clear(a->reserved, 4) ||
	    a->record_len > KAGEFS_SET_RECORD_MAX)
		return -EINVAL;
	/* Exclusively: two updates of one set must not both start from the same version. */
	r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, update_fn, &u, &lsn);
	return r || u.volatile_done ? r : fs_wait(fs, lsn);
}

int fs_ioc_set_get(struct fs *fs, struct kagefs_ioc_set_get *a)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct set *s;

	if (!m)
		return -ENOMEM;
	if (a->flags || a->reserved0 || !reserved_clear(a->reserved, 4))
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_uuid_locked(fs, &a->uuid);
	if (s) {
		set_load(s, m);
		set_describe(m, &a->info);
		set_members(m, a->members);
		memset(a->record, 0, sizeof(a->record));
		memcpy(a->record, m->record, m->record_len);
	}
	pthread_mutex_unlock(&fs->sets.lock);
	return s ? 0 : -ENOENT;
}

int fs_ioc_set_list(struct fs *fs, struct kagefs_ioc_set_list *a)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct set *s;
	int r = 0;

	if (!m)
		return -ENOMEM;
	if (a->flags || !reserved_clear(a->reserved, 4))
		return -EINVAL;
	a->count = 0;
	memset(a->sets, 0, sizeof(a->sets));
	pthread_mutex_lock(&fs->sets.lock);
	s = set_next_locked(fs, NULL);
	if (memcmp(&a->after, &no_uuid, 16)) {
		s = set_by_uuid_locked(fs, &a->after);
		if (!s)
			r = -ENOENT;
		else
			s = set_next_locked(fs, s);
	}
	for (; !r && s && a->count < KAGEFS_LIST_MAX; s = set_next_locked(fs, s)) {
		set_load(s, m);
		set_describe(m, &a->sets[a->count++]);
	}
	pthread_mutex_unlock(&fs->sets.lock);
	return r;
}

/* ---- time and mount ---- */

void sets_tick(struct fs *fs)
{
	uint64_t id = 0, lsn = 0;
	int64_t deadline = 0, now = clock_monotonic_ns();
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	for (struct set *next = s = set_next_locked(fs, NULL); s; s = next) {
		next = set_next_locked(fs, s);
		if (set_call_overdue_locked(fs, s, now))
			continue;
		if (s->state == KAGEFS_SET_COMMITTING && !s->busy && s->deadline_ns && now >= s->deadline_ns) {
			id = s->id;
			lsn = s->prepare_lsn;
			deadline = s->deadline_ns;
			break;
		}
	}
	pthread_mutex_unlock(&fs->sets.lock);
	if (id && set_finish_commit(fs, id, lsn, deadline, deadline, deadline) != -ETIME) /* past the deadline: revokes, and says so */
		msg(LOG_NOTICE, "set=%llu ended by a call while its deadline passed", (unsigned long long)id);
}

int sets_recover(struct fs *fs)
{
	for (;;) {
		uint64_t id = 0;
		int r;

		pthread_mutex_lock(&fs->sets.lock);
		for (struct set *s = set_next_locked(fs, NULL); s; s = set_next_locked(fs, s))
			if (s->state == KAGEFS_SET_COMMITTING)
				id = s->id;
		pthread_mutex_unlock(&fs->sets.lock);
		if (!id)
			return 0;
		if (fs->opt.read_only)
			return 0; /* shown as COMMITTING; a writable mount revokes it */
		msg(LOG_INFO, "set=%llu was not confirmed before the last stop: revoked", (unsigned long long)id);
		r = set_drop(fs, id, false, true);
		if (r)
			return r;
	}
}
