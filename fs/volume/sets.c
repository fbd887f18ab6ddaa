/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shadow copy sets: prepare, commit at one instant, seal, delete.  fs/kagefs_ioctl.h is the contract of every call.
 *
 * States (struct set.m.state, the ABI's code words) and who moves them:
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

#include "fs/volume/internal.h"
#include "fs/volume/sets.h"

static const struct kagefs_uuid no_uuid;

static bool reserved_clear(const __u64 *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (r[i])
			return false;
	return true;
}

static bool text_ok(const char *s, size_t size)
{
	return memchr(s, 0, size) != NULL;
}

/* ---- the list ---- */

struct set *set_alloc(void)
{
	return calloc(1, sizeof(struct set));
}

static struct set *find_uuid_locked(struct fs *fs, const struct kagefs_uuid *u)
{
	struct set *s = fs->sets.head;

	while (s && memcmp(s->m.uuid, u->b, 16))
		s = s->link;
	return s;
}

static struct set *find_id_locked(struct fs *fs, uint64_t id)
{
	struct set *s = fs->sets.head;

	while (s && s->m.id != id)
		s = s->link;
	return s;
}

static void append_locked(struct fs *fs, struct set *s)
{
	struct set **p = &fs->sets.head;

	while (*p)
		p = &(*p)->link;
	s->link = NULL;
	*p = s;
}

static void unlink_locked(struct fs *fs, struct set *s)
{
	struct set **p = &fs->sets.head;

	while (*p != s)
		p = &(*p)->link;
	*p = s->link;
}

void set_put_item(struct fs *fs, const struct meta_set *m, struct set **spare)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, m->id);
	if (!s) {
		s = *spare;
		*spare = NULL;
		append_locked(fs, s);
	}
	s->m = *m;
	fs->sets.next_id = MAX(fs->sets.next_id, m->id + 1);
	pthread_mutex_unlock(&fs->sets.lock);
}

void set_del_item(struct fs *fs, uint64_t id)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, id);
	if (s) {
		unlink_locked(fs, s);
		free(s);
	}
	pthread_mutex_unlock(&fs->sets.lock);
}

void sets_release(struct fs *fs)
{
	struct set *s;

	while ((s = fs->sets.head)) {
		fs->sets.head = s->link;
		free(s);
	}
}

bool set_writer(struct fs *fs, uint64_t set_id, uint32_t *uid, bool *any)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, set_id);
	if (s) {
		*uid = s->m.writer_uid;
		*any = s->m.flags & KAGEFS_SET_ANY_WRITER;
	}
	pthread_mutex_unlock(&fs->sets.lock);
	return s != NULL;
}

static void describe(const struct meta_set *m, struct kagefs_set_info *out)
{
	memset(out, 0, sizeof(*out));
	out->flags = m->flags;
	out->state = m->state;
	memcpy(out->uuid.b, m->uuid, 16);
	strcpy(out->owner, m->owner);
	out->created_ns = m->created_ns;
	out->committed_ns = m->committed_ns;
	out->commit_gate_ns = m->gate_ns;
	out->commit_ns = m->commit_ns;
	out->writer_uid = m->writer_uid;
	out->nvolumes = m->nmembers;
	out->record_version = m->record_version;
	out->record_len = m->record_len;
}

static void members_out(const struct meta_set *m, struct kagefs_set_member *out)
{
	memset(out, 0, KAGEFS_SET_VOLUMES_MAX * sizeof(*out));
	for (uint32_t i = 0; i < m->nmembers; i++) {
		out[i].volume = m->members[i].volume;
		out[i].snapshot = m->members[i].snapshot;
		memcpy(out[i].snapshot_uuid.b, m->members[i].snapshot_uuid, 16);
	}
}

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

static void set_record(struct meta_set *m, const void *record, uint32_t len)
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

int fs_ioc_set_prepare(struct fs *fs, struct kagefs_ioc_set_prepare *a)
{
	struct set *s, *spare;
	uint64_t lsn;
	int r;

	if ((a->flags & ~SET_FLAGS) || !reserved_clear(a->reserved, 4) || !text_ok(a->owner, sizeof(a->owner)) ||
	    a->record_len > KAGEFS_SET_RECORD_MAX || !memcmp(&a->uuid, &no_uuid, 16))
		return -EINVAL;
	r = check_volumes(fs, a->volumes, a->nvolumes);
	if (r)
		return r;
	spare = set_alloc();
	if (!spare)
		return -ENOMEM;
	lsn = log_end(fs->log);
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
	if (s && s->m.state != KAGEFS_SET_PREPARING && s->m.state != KAGEFS_SET_PREPARED) {
		r = -EEXIST;
	} else {
		if (!s) {
			s = spare;
			spare = NULL;
			s->m.id = fs->sets.next_id++;
			s->m.created_ns = (uint64_t)clock_realtime_ns();
			s->m.state = KAGEFS_SET_PREPARING;
			s->prepare_lsn = lsn;
			append_locked(fs, s);
		}
		fill_request(&s->m, &a->uuid, a->owner, a->flags, a->writer_uid, a->volumes, a->nvolumes);
		set_record(&s->m, a->record, a->record_len);
		lsn = s->prepare_lsn;
	}
	pthread_mutex_unlock(&fs->sets.lock);
	free(spare);
	if (r)
		return r;

	log_kick(fs->log);
	r = lsn ? wait_durable(fs, lsn - 1, a->wait_ms) : 0;
	if (r && r != -EINPROGRESS)
		return r;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
	if (s && !r && s->m.state == KAGEFS_SET_PREPARING)
		s->m.state = KAGEFS_SET_PREPARED;
	a->state = s ? s->m.state : 0;
	pthread_mutex_unlock(&fs->sets.lock);
	return s ? 0 : -ENOENT;
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
		v->flags = META_VOL_SNAPSHOT | (c->m.flags & KAGEFS_SET_WRITABLE ? META_VOL_RECOVERY : META_VOL_READ_ONLY);
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
	uint64_t held = (uint64_t)(clock_monotonic_ns() - start), max = atomic_load(&fs->stat.gate_ns_max);

	atomic_fetch_add(&fs->stat.gate_ns_sum, held);
	while (max < held && !atomic_compare_exchange_weak(&fs->stat.gate_ns_max, &max, held))
		;
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
		s = find_id_locked(op->fs, c->id);
		if (!s)
			r = -ENOENT; /* revoked meanwhile */
		else
			*m = s->m;
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

/* Items that delete every copy of a set and the set.  keep: leave the copies, sealed. */
static int drop_items(struct fs *fs, struct items *it, uint64_t id, bool keep)
{
	uint64_t snaps[META_SET_MEMBERS_MAX];
	uint32_t n = 0;
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, id);
	if (s)
		for (; n < s->m.nmembers; n++)
			snaps[n] = s->m.members[n].snapshot;
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	for (uint32_t i = 0; i < n; i++) {
		struct vol *v = snaps[i] ? vol_live(&fs->vtab, snaps[i]) : NULL;
		struct meta_volume m;

		if (!v)
			continue;
		if (keep) {
			vol_describe(&fs->vtab, v, &m);
			m.flags = (m.flags & ~(uint32_t)META_VOL_RECOVERY) | META_VOL_READ_ONLY | META_VOL_SEALED;
			items_vol_set(it, &m);
		} else {
			items_vol_del(it, snaps[i]);
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
	s = find_id_locked(fs, id);
	yes = s && s->m.state == KAGEFS_SET_COMMITTING;
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

#define SET_LOG_BYTES LOG_BYTES(64 * 512 + 16384)

static int drop_set(struct fs *fs, uint64_t id, bool keep, bool revoke)
{
	struct drop_arg d = { id, keep, revoke };
	uint64_t lsn;
	int r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, drop_fn, &d, &lsn);

	return r ? r : fs_wait(fs, lsn);
}

/* Bring a COMMITTING set to its end if it can be brought there within ms.  0 COMMITTED, -EINPROGRESS, -ETIME revoked. */
static int finish_commit(struct fs *fs, uint64_t id, uint64_t lsn, int64_t start_ns, int64_t deadline_ns, uint32_t ms)
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
		if (!r || r == -ENOENT)
			return r;
	}
	if (r == -EINPROGRESS && clock_monotonic_ns() < deadline_ns)
		return r;
	msg(LOG_WARNING, "event=4364 set=%llu not durable in time, revoked: %s", (unsigned long long)id,
	    r && r != -EINPROGRESS ? strerror(-r) : "deadline");
	/* If this fails too the log is poisoned, and the next mount revokes the set. */
	if (drop_set(fs, id, false, true) == -EALREADY)
		return fs_wait(fs, UINT64_MAX); /* confirmed by another call in time */
	return r && r != -EINPROGRESS ? r : -ETIME;
}

static int claim(struct fs *fs, struct kagefs_ioc_set_commit *a, struct commit_arg *c, struct set **made, bool *again,
		 int64_t *deadline, uint64_t *id)
{
	struct set *s;
	int r = 0;

	*made = NULL;
	*again = false;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
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
	} else if (s->m.state == KAGEFS_SET_COMMITTING || s->m.state == KAGEFS_SET_COMMITTED || s->m.state == KAGEFS_SET_SEALED) {
		*again = true;
		c->m = s->m;
		c->lsn = s->prepare_lsn;
		*deadline = s->deadline_ns;
	} else {
		set_record(&s->m, a->record, a->record_len);
		c->m = s->m;
		s->busy = true;
		*made = s;
	}
	*id = c->m.id;
	pthread_mutex_unlock(&fs->sets.lock);
	return r;
}

static void release_claim(struct fs *fs, uint64_t id, uint64_t lsn, int64_t deadline)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, id);
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
	struct meta_volume v;
	struct vol *s = NULL;
	struct set *set;

	pthread_mutex_lock(&fs->sets.lock);
	set = find_id_locked(fs, id);
	if (set) {
		a->state = set->m.state;
		memcpy(a->uuid.b, set->m.uuid, 16);
		a->nvolumes = set->m.nmembers;
		members_out(&set->m, a->members);
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
	struct set *made;
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
	r = claim(fs, a, c, &made, &again, &deadline, &id);
	if (r)
		return r;
	if (!again) {
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
		r = finish_commit(fs, id, lsn, start, deadline, a->wait_ms);
	if (r == -EINPROGRESS)
		a->state = KAGEFS_SET_COMMITTING;
	return r ? r : commit_out(fs, a, id);
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
		s = find_id_locked(op->fs, a->id);
		if (s)
			*m = s->m;
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

void push_out(struct fs *fs, uint64_t vol)
{
	if (fs->opt.push_out)
		fs->opt.push_out(fs->opt.arg, vol);
}

int fs_ioc_set_seal(struct fs *fs, struct kagefs_ioc_set_seal *a)
{
	uint64_t snaps[META_SET_MEMBERS_MAX], lsn;
	struct seal_arg arg = { .a = a };
	uint32_t n = 0, state = 0;
	struct set *s;
	int r;

	if (a->flags || a->reserved0 || !reserved_clear(a->reserved, 4) || a->record_len > KAGEFS_SET_RECORD_MAX)
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
	if (s) {
		arg.id = s->m.id;
		state = s->m.state;
		for (; n < s->m.nmembers; n++)
			snaps[n] = s->m.members[n].snapshot;
	}
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	if (state != KAGEFS_SET_COMMITTED && state != KAGEFS_SET_SEALED)
		return -EINVAL;
	/* First what mappings have dirtied comes in, while it may; then nothing may; then stale pages go. */
	if (state == KAGEFS_SET_COMMITTED)
		for (uint32_t i = 0; i < n; i++)
			push_out(fs, snaps[i]);
	r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, seal_fn, &arg, &lsn);
	if (!r)
		r = fs_wait(fs, lsn);
	if (!r && state == KAGEFS_SET_COMMITTED)
		for (uint32_t i = 0; i < n; i++)
			push_out(fs, snaps[i]);
	return r;
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
	s = find_uuid_locked(fs, &a->uuid);
	if (s) {
		id = s->m.id;
		state = s->m.state;
		flags = s->m.flags;
		if (state == KAGEFS_SET_PREPARING || state == KAGEFS_SET_PREPARED) {
			if (s->busy) {
				state = KAGEFS_SET_COMMITTING;
			} else {
				unlink_locked(fs, s);
				free(s);
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
	return drop_set(fs, id, a->flags & KAGEFS_DELETE_DETACH, false);
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
	struct items it;
	struct set *s;
	int r = m ? 0 : -ENOMEM;

	items_init(&it);
	if (!r) {
		pthread_mutex_lock(&op->fs->sets.lock);
		s = find_uuid_locked(op->fs, &a->uuid);
		if (!s || s->m.state == KAGEFS_SET_COMMITTING)
			r = s ? -EINPROGRESS : -ENOENT;
		else if (a->expect_version && a->expect_version != s->m.record_version)
			r = -EAGAIN;
		if (!r) {
			*m = s->m;
			m->flags = (m->flags & ~a->mask) | (a->flags & a->mask);
			set_record(m, a->record, a->record_len);
			/* Not committed yet: memory is all there is of it. */
			u->volatile_done = m->state == KAGEFS_SET_PREPARING || m->state == KAGEFS_SET_PREPARED;
			if (u->volatile_done)
				s->m = *m;
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
	struct set *s;

	if (a->flags || a->reserved0 || !reserved_clear(a->reserved, 4))
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
	if (s) {
		describe(&s->m, &a->info);
		members_out(&s->m, a->members);
		memset(a->record, 0, sizeof(a->record));
		memcpy(a->record, s->m.record, s->m.record_len);
	}
	pthread_mutex_unlock(&fs->sets.lock);
	return s ? 0 : -ENOENT;
}

int fs_ioc_set_list(struct fs *fs, struct kagefs_ioc_set_list *a)
{
	struct set *s;
	int r = 0;

	if (a->flags || !reserved_clear(a->reserved, 4))
		return -EINVAL;
	a->count = 0;
	memset(a->sets, 0, sizeof(a->sets));
	pthread_mutex_lock(&fs->sets.lock);
	s = fs->sets.head;
	if (memcmp(&a->after, &no_uuid, 16)) {
		s = find_uuid_locked(fs, &a->after);
		if (!s)
			r = -ENOENT;
		else
			s = s->link;
	}
	for (; !r && s && a->count < KAGEFS_LIST_MAX; s = s->link)
		describe(&s->m, &a->sets[a->count++]);
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
	for (s = fs->sets.head; s; s = s->link)
		if (s->m.state == KAGEFS_SET_COMMITTING && !s->busy && s->deadline_ns && now >= s->deadline_ns) {
			id = s->m.id;
			lsn = s->prepare_lsn;
			deadline = s->deadline_ns;
			break;
		}
	pthread_mutex_unlock(&fs->sets.lock);
	if (id)
		(void)finish_commit(fs, id, lsn, deadline, deadline, 0); /* past the deadline: revokes */
}

int sets_recover(struct fs *fs)
{
	for (;;) {
		uint64_t id = 0;
		int r;

		pthread_mutex_lock(&fs->sets.lock);
		for (struct set *s = fs->sets.head; s; s = s->link)
			if (s->m.state == KAGEFS_SET_COMMITTING)
				id = s->m.id;
		pthread_mutex_unlock(&fs->sets.lock);
		if (!id)
			return 0;
		if (fs->opt.read_only)
			return 0; /* shown as COMMITTING; a writable mount revokes it */
		msg(LOG_INFO, "set=%llu was not confirmed before the last stop: revoked", (unsigned long long)id);
		r = drop_set(fs, id, false, true);
		if (r)
			return r;
	}
}
