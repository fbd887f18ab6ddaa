/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shadow copy sets: prepare, and commit at one instant (set_ops.c has the rest).  fs/kagefs_ioctl.h is the contract of every call.
 *
 * States (struct set.state, the ABI's code words) and who moves them:
 *   PREPARING   set_prepare; memory only          -> PREPARED when what mappings dirtied is pushed out (pushed) and the log
 *               is durable up to prepare_lsn
 *   PREPARED    memory only                       -> COMMITTING by commit_fn
 *   COMMITTING  in the log since commit_fn's record -> COMMITTED by a second record once that is durable (confirm), or
 *               revoked (deadline, failure; at mount: sets_recover) by a record that deletes copies and set
 *   COMMITTED   -> SEALED by seal_fn
 *   SEALED      ends by deletion
 * The commit record alone never makes a set valid: only the confirming record does, so that a commit whose caller was told
 * "too late" is gone whatever dies when.
 *
 * A commit first pushes out once more, also after a PREPARE: its copies hold what a mapping held when it was called.  While
 * that goes on it is a struct set_call of its set; one without a PREPARE makes a set of its own for that (alone), which goes
 * when the commit fails.
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

/* Durable up to lsn by then?  0, -EINPROGRESS, or the log's error. */
static int wait_durable(struct fs *fs, uint64_t lsn, int64_t until_ns)
{
	int r;

	if (fs->opt.manual)
		return log_wait(fs->log, lsn);
	r = log_wait_until(fs->log, lsn, until_ns);
	return r == -ETIMEDOUT ? -EINPROGRESS : r ? -EROFS : 0;
}

/* A new set of what m asks for, in memory only. */
static int add_locked(struct fs *fs, struct meta_set *m, struct set **out)
{
	int r;

	m->id = fs->sets.next_id;
	m->created_ns = (uint64_t)clock_realtime_ns();
	m->state = KAGEFS_SET_PREPARING;
	r = set_make(m, out);
	if (r)
		return r;
	fs->sets.next_id++;
	set_append_locked(fs, *out);
	return 0;
}

static bool copies_same(const struct meta_set *m, const __u64 *ids, uint32_t n)
{
	bool same = m->nmembers == n;

	for (uint32_t i = 0; same && i < n; i++)
		same = m->members[i].volume == ids[i];
	return same;
}

/* Build the set as it is to be and put it in; sets.lock held.  What was pushed out counts as long as the volumes are the same. */
static int prepare_locked(struct fs *fs, const struct kagefs_ioc_set_prepare *a, struct meta_set *m, struct set **out)
{
	struct set *s = set_by_uuid_locked(fs, &a->uuid), *made;
	bool same;
	int r;

	if (s && s->state != KAGEFS_SET_PREPARING && s->state != KAGEFS_SET_PREPARED)
		return -EEXIST;
	if (s && (s->busy || s->call))
		return -EINPROGRESS;
	if (s)
		set_load(s, m);
	else
		memset(m, 0, sizeof(*m));
	same = s && copies_same(m, a->volumes, a->nvolumes);
	fill_request(m, &a->uuid, a->owner, a->flags, a->writer_uid, a->volumes, a->nvolumes);
	set_record(m, a->record, a->record_len);
	if (!s)
		return add_locked(fs, m, out);
	if (!same)
		m->state = KAGEFS_SET_PREPARING;
	r = set_make(m, &made);
	if (r)
		return r;
	set_replace_locked(fs, s, made);
	if (!same) {
		s->pushed = false;
		push_forget(fs->pushes, PUSH_PREPARE, s->id);
	}
	*out = s;
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

/* All was pushed out: what has to be durable now ends here.  False: the set is gone or another by now. */
static bool pushed_until(struct fs *fs, const struct kagefs_ioc_set_prepare *a, uint64_t id, uint64_t *lsn)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	uint64_t end = log_end(fs->log);
	bool mine = false;
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = m ? set_by_id_locked(fs, id) : NULL;
	if (s) {
		set_load(s, m);
		mine = copies_same(m, a->volumes, a->nvolumes);
	}
	if (mine && !s->pushed) {
		s->pushed = true;
		s->prepare_lsn = end;
	}
	if (mine)
		*lsn = s->prepare_lsn;
	pthread_mutex_unlock(&fs->sets.lock);
	return mine;
}

static int prepare_wait(struct fs *fs, const struct kagefs_ioc_set_prepare *a, uint64_t id, bool pushed, int64_t until_ns)
{
	uint64_t lsn;
	int r = pushed ? 0 : push_poll(fs->pushes, PUSH_PREPARE, id, (const uint64_t *)a->volumes, a->nvolumes, until_ns);

	if (r)
		return r;
	if (!pushed_until(fs, a, id, &lsn))
		return -EINPROGRESS;
	log_kick(fs->log);
	return lsn ? wait_durable(fs, lsn - 1, until_ns) : 0;
}

int fs_ioc_set_prepare(struct fs *fs, struct kagefs_ioc_set_prepare *a)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	int64_t until = wait_until_ns(a->wait_ms);
	struct set *s = NULL;
	bool pushed = false;
	uint64_t id = 0;
	int r, e = 0;

	if (!m)
		return -ENOMEM;
	if ((a->flags & ~SET_FLAGS) || !reserved_clear(a->reserved, 4) || !text_ok(a->owner, sizeof(a->owner)) ||
	    a->record_len > KAGEFS_SET_RECORD_MAX || !memcmp(&a->uuid, &no_uuid, 16))
		return -EINVAL;
	r = check_volumes(fs, a->volumes, a->nvolumes);
	if (r)
		return r;
	pthread_mutex_lock(&fs->sets.lock);
	r = prepare_locked(fs, a, m, &s);
	if (!r) {
		id = s->id;
		pushed = s->pushed;
	}
	pthread_mutex_unlock(&fs->sets.lock);
	if (!r)
		r = prepare_wait(fs, a, id, pushed, until);
	if (r && (r != -EINPROGRESS || !id))
		return r;
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, id);
	if (s && !r && s->pushed && s->state == KAGEFS_SET_PREPARING)
		e = set_state_locked(fs, s, KAGEFS_SET_PREPARED);
	a->state = s ? s->state : 0;
	pthread_mutex_unlock(&fs->sets.lock);
	return s ? e : -ENOENT;
}

/* ---- commit ---- */

/* A commit from its first call until it makes its record or fails. */
struct set_call {
	int64_t deadline_ns;
	bool alone; /* without PREPARE: the set is there for this commit only */
	char name[META_NAME_MAX + 1];
	uint32_t record_len; /* 0: the set's own */
	uint8_t record[];
};

struct commit_arg {
	struct meta_set m; /* copied, filled in */
	int64_t start_ns, until_ns, deadline_ns;
	bool again; /* the record is made already */
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
	pthread_mutex_lock(&fs->sets.lock);
	r = set_by_id_locked(fs, c->m.id) ? 0 : -ENOENT; /* deleted since it was claimed */
	pthread_mutex_unlock(&fs->sets.lock);
	if (!r)
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

int set_finish_commit(struct fs *fs, uint64_t id, uint64_t lsn, int64_t start_ns, int64_t deadline_ns, int64_t until_ns)
{
	struct confirm_arg c = { .id = id };
	uint64_t clsn = 0;
	int r;

	log_kick(fs->log);
	r = wait_durable(fs, lsn, MIN(until_ns, deadline_ns));
	if (!r && clock_monotonic_ns() < deadline_ns) {
		c.commit_ns = (uint64_t)(clock_monotonic_ns() - start_ns);
		r = op_run(fs, NULL, OP_PROMPT | OP_FREES, SET_LOG_BYTES, 0, confirm_fn, &c, &clsn);
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

/* End the call of a commit that failed before its record, or made it. */
static void end_call_locked(struct fs *fs, struct set *s, bool failed)
{
	bool alone = s->call && s->call->alone;

	free(s->call);
	s->call = NULL;
	push_forget(fs->pushes, PUSH_COMMIT, s->id);
	if (failed && alone)
		set_remove_locked(fs, s);
}

bool set_call_overdue_locked(struct fs *fs, struct set *s, int64_t now_ns)
{
	if (!s->call || s->busy || now_ns < s->call->deadline_ns)
		return false;
	msg(LOG_WARNING, "event=4364 set=%llu not pushed out in time: deadline", (unsigned long long)s->id);
	end_call_locked(fs, s, true);
	return true;
}

static int begin_call_locked(struct set *s, const struct kagefs_ioc_set_commit *a, int64_t start_ns)
{
	uint32_t record_len = a->nvolumes ? 0 : a->record_len;
	struct set_call *call = calloc(1, sizeof(*call) + record_len);

	if (!call)
		return -ENOMEM;
	call->record_len = record_len;
	memcpy(call->record, a->record, record_len);
	call->deadline_ns = start_ns + (int64_t)a->deadline_ms * 1000000;
	call->alone = a->nvolumes;
	strcpy(call->name, a->name);
	s->call = call;
	return 0;
}

static bool committed(const struct set *s)
{
	return s->state != KAGEFS_SET_PREPARING && s->state != KAGEFS_SET_PREPARED;
}

/* What the set says, and where its commit stands. */
static void load_locked(const struct set *s, struct commit_arg *c)
{
	set_load(s, &c->m);
	if (s->call)
		set_record(&c->m, s->call->record, s->call->record_len);
	c->again = committed(s);
	c->lsn = s->prepare_lsn;
	c->deadline_ns = s->call ? s->call->deadline_ns : s->deadline_ns;
	strcpy(c->name, s->call ? s->call->name : "");
	c->auto_name = !c->name[0];
}

/* With nvolumes: a set of c->m.  Else the one that is there. */
static int begin_locked(struct fs *fs, const struct kagefs_ioc_set_commit *a, struct commit_arg *c)
{
	struct set *s = set_by_uuid_locked(fs, &a->uuid);
	int r = 0;

	if (a->nvolumes)
		r = s ? -EEXIST : add_locked(fs, &c->m, &s);
	else if (!s)
		r = -ENOENT;
	else if (s->busy)
		r = -EINPROGRESS;
	if (r)
		return r;
	if (!committed(s) && !s->call) {
		r = begin_call_locked(s, a, c->start_ns);
		if (r && a->nvolumes)
			set_remove_locked(fs, s);
		if (r)
			return r;
	}
	load_locked(s, c);
	return 0;
}

/* What mappings have dirtied is to be in the copies.  -ETIME: all is as before the first call. */
static int push_before(struct fs *fs, struct commit_arg *c)
{
	uint64_t ids[META_SET_MEMBERS_MAX];
	int64_t now;
	struct set *s;
	int r;

	for (uint32_t i = 0; i < c->m.nmembers; i++)
		ids[i] = c->m.members[i].volume;
	r = push_poll(fs->pushes, PUSH_COMMIT, c->m.id, ids, c->m.nmembers, MIN(c->until_ns, c->deadline_ns));
	if (!r)
		return 0;
	now = clock_monotonic_ns();
	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, c->m.id);
	if (!s)
		r = -ENOENT;
	else if (set_call_overdue_locked(fs, s, now))
		r = -ETIME;
	else if (r != -EINPROGRESS && s->call && !s->busy)
		end_call_locked(fs, s, true);
	pthread_mutex_unlock(&fs->sets.lock);
	return r;
}

/* From here on this call alone makes the record. */
static int claim(struct fs *fs, struct commit_arg *c)
{
	struct set *s;
	int r = 0;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, c->m.id);
	if (!s)
		r = -ENOENT; /* deleted meanwhile */
	else if (s->busy)
		r = -EINPROGRESS;
	else if (!committed(s) && !s->call)
		r = -ETIME; /* ended by its deadline */
	else
		load_locked(s, c);
	if (!r && !c->again)
		s->busy = true;
	pthread_mutex_unlock(&fs->sets.lock);
	return r;
}

static void release_claim(struct fs *fs, const struct commit_arg *c, uint64_t lsn, bool failed)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, c->m.id);
	if (s) {
		s->busy = false;
		if (!failed) {
			s->prepare_lsn = lsn;
			s->deadline_ns = c->deadline_ns;
		}
		end_call_locked(fs, s, failed);
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

/* Push out, and make the record, unless an earlier call did. */
static int commit_record(struct fs *fs, struct commit_arg *c)
{
	uint64_t lsn = 0;
	int r = push_before(fs, c);

	if (!r)
		r = claim(fs, c);
	if (r || c->again)
		return r;
	r = commit_start(fs, c, &lsn);
	release_claim(fs, c, lsn, r != 0);
	if (r)
		return r;
	c->lsn = lsn;
	atomic_fetch_add(&fs->stat.commits, 1);
	return 0;
}

int fs_ioc_set_commit(struct fs *fs, struct kagefs_ioc_set_commit *a)
{
	struct commit_arg *c CLEANUP_FREE = calloc(1, sizeof(*c));
	uint64_t id;
	int r;

	if (!c)
		return -ENOMEM;
	if ((a->flags & ~SET_FLAGS) || !reserved_clear(a->reserved, 4) || a->reserved0 || !text_ok(a->owner, sizeof(a->owner)) ||
	    !text_ok(a->name, sizeof(a->name)) || !plain_name(a->name) || a->record_len > KAGEFS_SET_RECORD_MAX || !a->deadline_ms ||
	    a->deadline_ms > 180000)
		return -EINVAL;
	c->start_ns = clock_monotonic_ns();
	c->until_ns = c->start_ns + (int64_t)MIN(a->wait_ms, (uint32_t)KAGEFS_WAIT_MS_MAX) * 1000000;
	if (a->nvolumes) {
		r = check_volumes(fs, a->volumes, a->nvolumes);
		if (!r && !memcmp(&a->uuid, &no_uuid, 16))
			r = random_uuid(a->uuid.b);
		if (r)
			return r;
		fill_request(&c->m, &a->uuid, a->owner, a->flags, a->writer_uid, a->volumes, a->nvolumes);
		set_record(&c->m, a->record, a->record_len);
	}
	pthread_mutex_lock(&fs->sets.lock);
	r = begin_locked(fs, a, c);
	pthread_mutex_unlock(&fs->sets.lock);
	if (r)
		return r;
	id = c->m.id;
	a->state = c->m.state;
	if (!c->again)
		r = commit_record(fs, c);
	if (!r) {
		a->state = KAGEFS_SET_COMMITTING;
		if (c->m.state != KAGEFS_SET_COMMITTED && c->m.state != KAGEFS_SET_SEALED)
			r = set_finish_commit(fs, id, c->lsn, c->start_ns, c->deadline_ns, c->until_ns);
	}
	return r ? r : commit_out(fs, a, id);
}
