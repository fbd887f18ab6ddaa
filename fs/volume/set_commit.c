/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shadow copy sets: prepare, and commit at one instant (set_ops.c has the rest).  fs/kagefs_ioctl.h is the contract of every call.
 *
 * States (struct set.state, the ABI's code words) and who moves them:
 *   PREPARING   set_prepare; memory only          -> PREPARED when the log is durable up to prepare_lsn
 *   PREPARED    memory only                       -> COMMITTING by commit_fn
 *   COMMITTING  in the log since commit_fn's record -> COMMITTED by a second record once that is durable (confirm), or
 *               revoked (deadline, failure; at mount: sets_recover) by a record that deletes copies and set
 *   COMMITTED   -> SEALED by seal_fn
 *   SEALED      ends by deletion
 * The commit record alone never makes a set valid: only the confirming record does, so that a commit whose caller was told
 * "too late" is gone whatever dies when.
 *
 * A commit runs on the calling thread and waits at most wait_ms; when the flush takes longer the set is finished by the next
 * call for it, or by the background (sets_tick), whichever comes first.
 */
#include <time.h>

#include "fs/volume/sets.h"

static const struct kagefs_uuid no_uuid;

/* ---- prepare ---- */

#define SET_FLAGS (KAGEFS_SET_WRITABLE | KAGEFS_SET_KEEP | KAGEFS_SET_ANY_WRITER)

static int check_volumes(struct fs *fs, const __u64 *ids, uint32_t n)
{
	if (!n || n > KAGEFS_SET_VOLUMES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		struct vol *v;

		for (uint32_t k = 0; k < i; k++)
			if (ids[k] == ids[i])
				return -EINVAL;
		v = vol_live(&fs->vtab, ids[i]);
		if (!v)
			return -ENOENT;
		vol_put(&fs->vtab, v);
	}
	return 0;
}

static void fill_request(struct meta_set *m, const struct kagefs_uuid *uuid, const char *owner, uint32_t flags, uint32_t writer,
			 const __u64 *ids, uint32_t n)
{
	memcpy(m->uuid, uuid->b, 16);
	memset(m->owner, 0, sizeof(m->owner));
	memcpy(m->owner, owner, strnlen(owner, sizeof(m->owner) - 1));
	m->flags = flags;
	m->writer_uid = writer;
	m->nmembers = n;
	memset(m->members, 0, sizeof(m->members));
	for (uint32_t i = 0; i < n; i++)
		m->members[i].volume = ids[i];
}

void set_record(struct meta_set *m, const void *record, uint32_t len)
{
	if (!len)
		return;
	memcpy(m->record, record, len);
	m->record_len = len;
	m->record_version++;
}

/* Durable up to lsn within ms?  0, -EINPROGRESS, or the log's error. */
static int wait_durable(struct fs *fs, uint64_t lsn, uint32_t ms)
{
	int64_t until = clock_monotonic_ns() + (int64_t)MIN(ms, (uint32_t)KAGEFS_WAIT_MS_MAX) * 1000000;

	for (;;) {
		struct log_stats st;
		struct timespec nap = { 0, 200000 };

		if (log_durable(fs->log) > lsn)
			return 0;
		log_get_stats(fs->log, &st);
		if (st.poisoned)
			return -EROFS;
		if (clock_monotonic_ns() >= until)
			return -EINPROGRESS;
		if (fs->opt.manual)
			return log_wait(fs->log, lsn);
		nanosleep(&nap, NULL);
	}
}

/* Build the set as it is to be and put it in; sets.lock held. */
static int prepare_locked(struct fs *fs, const struct kagefs_ioc_set_prepare *a, struct meta_set *m, uint64_t *lsn)
{
	struct set *s = set_by_uuid_locked(fs, &a->uuid), *made;
	int r;

	if (s && s->state != KAGEFS_SET_PREPARING && s->state != KAGEFS_SET_PREPARED)
		return -EEXIST;
	if (s && s->busy)
		return -EINPROGRESS;
	if (s) {
		set_load(s, m);
	} else {
		memset(m, 0, sizeof(*m));
		m->id = fs->sets.next_id;
		m->created_ns = (uint64_t)clock_realtime_ns();
		m->state = KAGEFS_SET_PREPARING;
	}
	fill_request(m, &a->uuid, a->owner, a->flags, a->writer_uid, a->volumes, a->nvolumes);
	set_record(m, a->record, a->record_len);
	r = set_make(m, &made);
	if (r)
		return r;
	if (s) {
		set_replace_locked(fs, s, made);
	} else {
		s = made;
		s->prepare_lsn = *lsn;
		fs->sets.next_id++;
		set_append_locked(fs, s);
	}
	*lsn = s->prepare_lsn;
	return 0;
}

/* Change the state of a set that is not in the log yet; sets.lock held. */
static int set_state_locked(struct fs *fs, struct set *s, uint32_t state)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct set *made;
	int r;

	if (!m)
		return -ENOMEM;
	set_load(s, m);
	m->state = state;
	r = set_make(m, &made);
	if (!r)
		set_replace_locked(fs, s, made);
	return r;
}

int fs_ioc_set_prepare(struct fs *fs, struct kagefs_ioc_set_prepare *a)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct set *s;
	uint64_t lsn;
	int r, e = 0;

	if (!m)
		return -ENOMEM;
	if ((a->flags & ~SET_FLAGS) || !reserved_clear(a->reserved, 4) || !text_ok(a->owner, sizeof(a->owner)) ||
	    a->record_len > KAGEFS_SET_RECORD_MAX || !memcmp(&a->uuid, &no_uuid, 16))
		return -EINVAL;
	r = check_volumes(fs, a->volumes, a->nvolumes);
	if (r)
		return r;
	/* What shared mappings have dirtied reaches us only when the kernel is told to let go of it. */
	for (uint32_t i = 0; i < a->nvolumes; i++)
		push_out(fs, a->volumes[i]);
	lsn = log_end(fs->log);
	pthread_mutex_lock(&fs->sets.lock);
	r = prepare_locked(fs, a, m, &lsn);
	pthread_mutex_unlock(&fs->sets.lock);
	if (r)
		return r;

	log_kick(fs->log);
	r = lsn ? wait_durable(fs, lsn - 1, a->wait_ms) : 0;
	if (r && r != -EINPROGRESS)
		return r;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_uuid_locked(fs, &a->uuid);
	if (s && !r && s->state == KAGEFS_SET_PREPARING)
		e = set_state_locked(fs, s, KAGEFS_SET_PREPARED);
	a->state = s ? s->state : 0;
	pthread_mutex_unlock(&fs->sets.lock);
	return s ? e : -ENOENT;
}

/* ---- commit ---- */

struct commit_arg {
	struct meta_set m; /* copied, filled in */
	char name[META_NAME_MAX + 1];
	bool auto_name;
	struct vol *vols[META_SET_MEMBERS_MAX];
	struct meta_volume copy[META_SET_MEMBERS_MAX];
	uint64_t lsn;
};

static void default_name(char *buf, size_t size, time_t t)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, size, "@GMT-%Y.%m.%d-%H.%M.%S", &tm);
}

static bool name_free(struct fs *fs, struct commit_arg *c, const char *name)
{
	for (uint32_t i = 0; i < c->m.nmembers; i++) {
		struct vol *s = vol_snapshot(&fs->vtab, c->vols[i], name, strlen(name));

		if (s) {
			vol_put(&fs->vtab, s);
			return false;
		}
	}
	return true;
}

static int choose_name(struct fs *fs, struct commit_arg *c, int64_t now)
{
	time_t t = (time_t)(now / 1000000000);

	if (!c->auto_name)
		return name_free(fs, c, c->name) ? 0 : -EEXIST;
	do
		default_name(c->name, sizeof(c->name), t++);
	while (!name_free(fs, c, c->name));
	return 0;
}

static uint32_t copy_flags(uint32_t set_flags)
{
	if (!(set_flags & KAGEFS_SET_WRITABLE))
		return META_VOL_READ_ONLY;
	return set_flags & KAGEFS_SET_ANY_WRITER ? 0 : META_VOL_RECOVERY;
}

/* The instant.  Gate held exclusively: nobody is inside an operation, so what every member shows is one moment (I4). */
static int commit_fn(struct op *op, void *p)
{
	struct commit_arg *c = p;
	struct fs *fs = op->fs;
	int64_t start = clock_monotonic_ns(), now = clock_realtime_ns();
	struct items it;
	int r;

	items_init(&it);
	r = choose_name(fs, c, now);
	for (uint32_t i = 0; !r && i < c->m.nmembers; i++) {
		struct meta_volume *v = &c->copy[i];
		struct meta_volume of;

		if (vol_flags(c->vols[i]) & META_VOL_DEAD) {
			r = -ENOENT;
			break;
		}
		vol_describe(&fs->vtab, c->vols[i], &of);
		v->id = v->line = atomic_fetch_add(&fs->next_vol, 1);
		v->slot = UINT32_MAX;
		v->root = of.root;
		v->flags = META_VOL_SNAPSHOT | copy_flags(c->m.flags);
		strcpy(v->name, c->name);
		v->origin = of.id;
		v->alias = of.alias;
		v->set_id = c->m.id;
		v->created_ns = (uint64_t)now;
		vol_place_in(c->vols[i], v);
		r = slot_reserve(&fs->vtab, v);
		if (r)
			break;
		items_vol_copy(&it, of.id, v);
		c->m.members[i].snapshot = v->id;
		memcpy(c->m.members[i].snapshot_uuid, v->uuid, 16);
	}
	if (!r) {
		c->m.state = KAGEFS_SET_COMMITTING;
		c->m.committed_ns = (uint64_t)now;
		c->m.gate_ns = (uint64_t)(clock_monotonic_ns() - start); /* so far; the rest is a memcpy */
		items_epoch(&it);
		items_set_put(&it, &c->m);
		r = change_commit(op, &it, NULL, 0);
	}
	items_release(&it);
	c->lsn = op->lsn;
	return r;
}

struct confirm_arg {
	uint64_t id;
	uint32_t state;
	uint64_t commit_ns;
};

/* COMMITTING -> COMMITTED. */
static int confirm_fn(struct op *op, void *p)
{
	struct confirm_arg *c = p;
	struct meta_set *m = malloc(sizeof(*m));
	struct items it;
	struct set *s;
	int r = m ? 0 : -ENOMEM;

	items_init(&it);
	if (!r) {
		pthread_mutex_lock(&op->fs->sets.lock);
		s = set_by_id_locked(op->fs, c->id);
		if (!s)
			r = -ENOENT; /* revoked meanwhile */
		else
			set_load(s, m);
		pthread_mutex_unlock(&op->fs->sets.lock);
	}
	if (!r && m->state == KAGEFS_SET_COMMITTING) { /* else another call for the set was faster */
		m->state = KAGEFS_SET_COMMITTED;
		m->commit_ns = c->commit_ns;
		items_set_put(&it, m);
		r = change_commit(op, &it, NULL, 0);
	}
	items_release(&it);
	free(m);
	return r;
}

/* Bring a COMMITTING set to its end if it can be brought there within ms.  0 COMMITTED, -EINPROGRESS, -ETIME revoked. */
int set_finish_commit(struct fs *fs, uint64_t id, uint64_t lsn, int64_t start_ns, int64_t deadline_ns, uint32_t ms)
{
	int64_t left = (deadline_ns - clock_monotonic_ns()) / 1000000;
	struct confirm_arg c = { .id = id };
	uint64_t clsn = 0;
	int r;

	log_kick(fs->log);
	r = left > 0 ? wait_durable(fs, lsn, (uint32_t)MIN((int64_t)ms, left)) : wait_durable(fs, lsn, 0);
	if (!r && clock_monotonic_ns() < deadline_ns) {
		c.commit_ns = (uint64_t)(clock_monotonic_ns() - start_ns);
		r = op_run(fs, NULL, OP_FREES, SET_LOG_BYTES, 0, confirm_fn, &c, &clsn);
		if (!r) /* clsn 0: another call's record, somewhere before the end */
			r = fs_wait(fs, clsn ? clsn : UINT64_MAX);
		if (!r)
			histogram_add(&fs->times[FS_TIME_COMMIT], (uint64_t)(clock_monotonic_ns() - start_ns));
		if (!r || r == -ENOENT)
			return r;
	}
	if (r == -EINPROGRESS && clock_monotonic_ns() < deadline_ns)
		return r;
	msg(LOG_WARNING, "event=4364 set=%llu not durable in time, revoked: %s", (unsigned long long)id,
	    r && r != -EINPROGRESS ? strerror(-r) : "deadline");
	/* If this fails too the log is poisoned, and the next mount revokes the set. */
	if (set_drop(fs, id, false, true) == -EALREADY)
		return fs_wait(fs, UINT64_MAX); /* confirmed by another call in time */
	return r && r != -EINPROGRESS ? r : -ETIME;
}

static int claim(struct fs *fs, struct kagefs_ioc_set_commit *a, struct commit_arg *c, bool *again, int64_t *deadline, uint64_t *id)
{
	struct set *s;
	int r = 0;

	*again = false;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_uuid_locked(fs, &a->uuid);
	if (a->nvolumes) {
		if (s) {
			r = -EEXIST;
		} else {
			c->m.id = fs->sets.next_id++;
			c->m.created_ns = (uint64_t)clock_realtime_ns();
		}
	} else if (!s) {
		r = -ENOENT;
	} else if (s->busy) {
		r = -EINPROGRESS;
	} else if (s->state == KAGEFS_SET_COMMITTING || s->state == KAGEFS_SET_COMMITTED || s->state == KAGEFS_SET_SEALED) {
		*again = true;
		set_load(s, &c->m);
		c->lsn = s->prepare_lsn;
		*deadline = s->deadline_ns;
	} else {
		set_load(s, &c->m);
		set_record(&c->m, a->record, a->record_len);
		s->busy = true;
	}
	*id = c->m.id;
	pthread_mutex_unlock(&fs->sets.lock);
	return r;
}

static void release_claim(struct fs *fs, uint64_t id, uint64_t lsn, int64_t deadline)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, id);
	if (s) {
		s->busy = false;
		if (lsn) {
			s->prepare_lsn = lsn;
			s->deadline_ns = deadline;
		}
	}
	pthread_mutex_unlock(&fs->sets.lock);
}

static int commit_out(struct fs *fs, struct kagefs_ioc_set_commit *a, uint64_t id)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct meta_volume v;
	struct vol *s = NULL;
	struct set *set;

	if (!m)
		return -ENOMEM;
	pthread_mutex_lock(&fs->sets.lock);
	set = set_by_id_locked(fs, id);
	if (set) {
		set_load(set, m);
		a->state = m->state;
		memcpy(a->uuid.b, m->uuid, 16);
		a->nvolumes = m->nmembers;
		set_members(m, a->members);
	}
	pthread_mutex_unlock(&fs->sets.lock);
	if (!set)
		return -ENOENT;
	for (unsigned i = 0; i < KAGEFS_SET_VOLUMES_MAX && !s; i++)
		s = a->members[i].snapshot ? vol_get(&fs->vtab, a->members[i].snapshot) : NULL;
	if (s) {
		vol_describe(&fs->vtab, s, &v);
		memset(a->name, 0, sizeof(a->name));
		strcpy(a->name, v.name);
		vol_put(&fs->vtab, s);
	}
	return 0;
}

static int commit_start(struct fs *fs, struct commit_arg *c, uint64_t *lsn)
{
	uint32_t n = 0;
	int r = 0;

	for (; !r && n < c->m.nmembers; n++) {
		c->vols[n] = vol_live(&fs->vtab, c->m.members[n].volume);
		r = c->vols[n] ? random_bytes(c->copy[n].uuid, 16) : -ENOENT;
	}
	if (!r)
		r = op_run(fs, NULL, OP_EXCLUSIVE, SET_LOG_BYTES, 0, commit_fn, c, lsn);
	for (uint32_t i = 0; i < n; i++)
		if (c->vols[i])
			vol_put(&fs->vtab, c->vols[i]);
	return r;
}

static bool plain_name(const char *s)
{
	return !strchr(s, '/') && strcmp(s, ".") && strcmp(s, "..");
}

int fs_ioc_set_commit(struct fs *fs, struct kagefs_ioc_set_commit *a)
{
	struct commit_arg *c CLEANUP_FREE = calloc(1, sizeof(*c));
	int64_t start = clock_monotonic_ns(), deadline;
	uint64_t lsn = 0, id;
	bool again;
	int r;

	if (!c)
		return -ENOMEM;
	if ((a->flags & ~SET_FLAGS) || !reserved_clear(a->reserved, 4) || a->reserved0 || !text_ok(a->owner, sizeof(a->owner)) ||
	    !text_ok(a->name, sizeof(a->name)) || !plain_name(a->name) || a->record_len > KAGEFS_SET_RECORD_MAX || !a->deadline_ms ||
	    a->deadline_ms > 180000)
		return -EINVAL;
	deadline = start + (int64_t)a->deadline_ms * 1000000;
	if (a->nvolumes) {
		r = check_volumes(fs, a->volumes, a->nvolumes);
		if (!r && !memcmp(&a->uuid, &no_uuid, 16))
			r = random_uuid(a->uuid.b);
		if (r)
			return r;
		fill_request(&c->m, &a->uuid, a->owner, a->flags, a->writer_uid, a->volumes, a->nvolumes);
		set_record(&c->m, a->record, a->record_len);
	}
	r = claim(fs, a, c, &again, &deadline, &id);
	if (r)
		return r;
	if (!again) {
		for (uint32_t i = 0; i < c->m.nmembers && a->nvolumes; i++) /* else PREPARE did it */
			push_out(fs, c->m.members[i].volume);
		strcpy(c->name, a->name);
		c->auto_name = !a->name[0];
		r = commit_start(fs, c, &lsn);
		release_claim(fs, id, r ? 0 : lsn, deadline);
		if (r)
			return r;
		atomic_fetch_add(&fs->stat.commits, 1);
	} else {
		lsn = c->lsn;
	}
	if (!again || c->m.state == KAGEFS_SET_COMMITTING)
		r = set_finish_commit(fs, id, lsn, start, deadline, a->wait_ms);
	if (r == -EINPROGRESS)
		a->state = KAGEFS_SET_COMMITTING;
	return r ? r : commit_out(fs, a, id);
}
