/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shadow copy sets: prepare, commit at one instant, seal, delete.  fs/kagefs_ioctl.h is the contract of every call.
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

/* ---- the sets in memory ---- */

void set_free(struct set *s)
{
	if (s)
		free(s->enc);
	free(s);
}

static int make_encoded(const struct meta_set *m, const uint8_t *enc, size_t len, struct set **out)
{
	struct set *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->enc = malloc(len);
	if (!s->enc) {
		free(s);
		return -ENOMEM;
	}
	memcpy(s->enc, enc, len);
	s->enc_len = (uint32_t)len;
	s->id = m->id;
	s->record_version = m->record_version;
	memcpy(s->uuid, m->uuid, 16);
	s->state = m->state;
	s->flags = m->flags;
	s->writer_uid = m->writer_uid;
	*out = s;
	return 0;
}

int set_make_item(const struct item *it, struct set **out)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	int r = m ? item_set(it, m) : -ENOMEM;

	*out = NULL;
	return r ? r : make_encoded(m, it->value, it->value_len, out);
}

int set_make(const struct meta_set *m, struct set **out)
{
	struct items it;
	struct item one;
	size_t pos = 0;
	int r;

	*out = NULL;
	items_init(&it);
	items_set_put(&it, m);
	r = it.err ? it.err : item_next(it.buf, it.len, &pos, &one);
	if (r > 0)
		r = make_encoded(m, one.value, one.value_len, out);
	items_release(&it);
	return r;
}

/* All of a set.  The lock of the sets is held; -ENOMEM cannot be, *m is the caller's. */
static void load(const struct set *s, struct meta_set *m)
{
	struct item it = { .kind = ITEM_SET_PUT, .value = s->enc, .value_len = s->enc_len };
	int r = item_set(&it, m);

	KAGEFS_ASSERT(!r); /* it was decoded when it was made */
}

static int set_cmp_id(struct set *a, struct set *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}
static int set_cmp_uuid(struct set *a, struct set *b)
{
	return memcmp(a->uuid, b->uuid, 16);
}
TREE_GENERATE(set_ids, set, by_id, set_cmp_id)
TREE_GENERATE(set_uuids, set, by_uuid, set_cmp_uuid)

static struct set *find_uuid_locked(struct fs *fs, const struct kagefs_uuid *u)
{
	struct set *s = RB_ROOT(&fs->sets.uuids);

	while (s) {
		int c = memcmp(u->b, s->uuid, 16);

		if (!c)
			break;
		s = c < 0 ? RB_LEFT(s, by_uuid) : RB_RIGHT(s, by_uuid);
	}
	return s;
}

static struct set *find_id_locked(struct fs *fs, uint64_t id)
{
	struct set *s = RB_ROOT(&fs->sets.ids);

	while (s && s->id != id)
		s = id < s->id ? RB_LEFT(s, by_id) : RB_RIGHT(s, by_id);
	return s;
}

static void append_locked(struct fs *fs, struct set *s)
{
	RB_INSERT(set_ids, &fs->sets.ids, s);
	RB_INSERT(set_uuids, &fs->sets.uuids, s);
}

static void unlink_locked(struct fs *fs, struct set *s)
{
	RB_REMOVE(set_ids, &fs->sets.ids, s);
	RB_REMOVE(set_uuids, &fs->sets.uuids, s);
}

/* s takes over what made says, and frees it.  The uuid is a set's for ever. */
static void replace_locked(struct set *s, struct set *made)
{
	uint8_t *old = s->enc;

	s->enc = made->enc;
	s->enc_len = made->enc_len;
	s->record_version = made->record_version;
	s->state = made->state;
	s->flags = made->flags;
	s->writer_uid = made->writer_uid;
	made->enc = old;
	set_free(made);
}

void set_put_item(struct fs *fs, struct set *made)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	fs->sets.next_id = MAX(fs->sets.next_id, made->id + 1);
	s = find_id_locked(fs, made->id);
	if (s)
		replace_locked(s, made);
	else
		append_locked(fs, made);
	pthread_mutex_unlock(&fs->sets.lock);
}

void set_del_item(struct fs *fs, uint64_t id)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, id);
	if (s) {
		unlink_locked(fs, s);
		set_free(s);
	}
	pthread_mutex_unlock(&fs->sets.lock);
}

void sets_release(struct fs *fs)
{
	struct set *s;

	while ((s = RB_ROOT(&fs->sets.ids))) {
		RB_REMOVE(set_ids, &fs->sets.ids, s);
		set_free(s);
	}
}

bool set_uuid(struct fs *fs, uint64_t set_id, uint8_t uuid[16])
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, set_id);
	if (s)
		memcpy(uuid, s->uuid, 16);
	pthread_mutex_unlock(&fs->sets.lock);
	return s != NULL;
}

bool set_writer(struct fs *fs, uint64_t set_id, uint32_t *uid, bool *any)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, set_id);
	if (s) {
		*uid = s->writer_uid;
		*any = s->flags & KAGEFS_SET_ANY_WRITER;
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

/* Build the set as it is to be and put it in; sets.lock held. */
static int prepare_locked(struct fs *fs, const struct kagefs_ioc_set_prepare *a, struct meta_set *m, uint64_t *lsn)
{
	struct set *s = find_uuid_locked(fs, &a->uuid), *made;
	int r;

	if (s && s->state != KAGEFS_SET_PREPARING && s->state != KAGEFS_SET_PREPARED)
		return -EEXIST;
	if (s && s->busy)
		return -EINPROGRESS;
	if (s) {
		load(s, m);
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
		replace_locked(s, made);
	} else {
		s = made;
		s->prepare_lsn = *lsn;
		fs->sets.next_id++;
		append_locked(fs, s);
	}
	*lsn = s->prepare_lsn;
	return 0;
}

/* Change the state of a set that is not in the log yet; sets.lock held. */
static int set_state_locked(struct set *s, uint32_t state)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct set *made;
	int r;

	if (!m)
		return -ENOMEM;
	load(s, m);
	m->state = state;
	r = set_make(m, &made);
	if (!r)
		replace_locked(s, made);
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
	s = find_uuid_locked(fs, &a->uuid);
	if (s && !r && s->state == KAGEFS_SET_PREPARING)
		e = set_state_locked(s, KAGEFS_SET_PREPARED);
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
			load(s, m);
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
	struct meta_set *set CLEANUP_FREE = malloc(sizeof(*set));
	struct set *s;

	if (!set)
		return -ENOMEM;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_id_locked(fs, id);
	if (s)
		load(s, set);
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
	s = find_id_locked(fs, id);
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

static int claim(struct fs *fs, struct kagefs_ioc_set_commit *a, struct commit_arg *c, bool *again, int64_t *deadline, uint64_t *id)
{
	struct set *s;
	int r = 0;

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
	} else if (s->state == KAGEFS_SET_COMMITTING || s->state == KAGEFS_SET_COMMITTED || s->state == KAGEFS_SET_SEALED) {
		*again = true;
		load(s, &c->m);
		c->lsn = s->prepare_lsn;
		*deadline = s->deadline_ns;
	} else {
		load(s, &c->m);
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
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct meta_volume v;
	struct vol *s = NULL;
	struct set *set;

	if (!m)
		return -ENOMEM;
	pthread_mutex_lock(&fs->sets.lock);
	set = find_id_locked(fs, id);
	if (set) {
		load(set, m);
		a->state = m->state;
		memcpy(a->uuid.b, m->uuid, 16);
		a->nvolumes = m->nmembers;
		members_out(m, a->members);
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
			load(s, m);
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
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	struct seal_arg arg = { .a = a };
	uint32_t state;
	uint64_t lsn;
	struct set *s;
	int r;

	if (!m)
		return -ENOMEM;

	if (a->flags || a->reserved0 || !reserved_clear(a->reserved, 4) || a->record_len > KAGEFS_SET_RECORD_MAX)
		return -EINVAL;
	pthread_mutex_lock(&fs->sets.lock);
	s = find_uuid_locked(fs, &a->uuid);
	if (s)
		load(s, m);
	pthread_mutex_unlock(&fs->sets.lock);
	if (!s)
		return -ENOENT;
	arg.id = m->id;
	state = m->state;
	if (state != KAGEFS_SET_COMMITTED && state != KAGEFS_SET_SEALED)
		return -EINVAL;
	/* First what mappings have dirtied comes in, while it may; then nothing may; then stale pages go. */
	if (state == KAGEFS_SET_COMMITTED)
		for (uint32_t i = 0; i < m->nmembers; i++)
			push_out(fs, m->members[i].snapshot);
	r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, SET_LOG_BYTES, 0, seal_fn, &arg, &lsn);
	if (!r)
		r = fs_wait(fs, lsn);
	if (!r && state == KAGEFS_SET_COMMITTED)
		for (uint32_t i = 0; i < m->nmembers; i++)
			push_out(fs, m->members[i].snapshot);
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
		id = s->id;
		state = s->state;
		flags = s->flags;
		if (state == KAGEFS_SET_PREPARING || state == KAGEFS_SET_PREPARED) {
			if (s->busy) {
				state = KAGEFS_SET_COMMITTING;
			} else {
				unlink_locked(fs, s);
				set_free(s);
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
	struct set *s, *made;
	struct items it;
	int r = m ? 0 : -ENOMEM;

	items_init(&it);
	if (!r) {
		pthread_mutex_lock(&op->fs->sets.lock);
		s = find_uuid_locked(op->fs, &a->uuid);
		if (!s || s->state == KAGEFS_SET_COMMITTING)
			r = s ? -EINPROGRESS : -ENOENT;
		else if (a->expect_version && a->expect_version != s->record_version)
			r = -EAGAIN;
		if (!r) {
			load(s, m);
			m->flags = (m->flags & ~a->mask) | (a->flags & a->mask);
			set_record(m, a->record, a->record_len);
			/* Not committed yet: memory is all there is of it. */
			u->volatile_done = m->state == KAGEFS_SET_PREPARING || m->state == KAGEFS_SET_PREPARED;
			if (u->volatile_done) {
				r = set_make(m, &made);
				if (!r)
					replace_locked(s, made);
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
	s = find_uuid_locked(fs, &a->uuid);
	if (s) {
		load(s, m);
		describe(m, &a->info);
		members_out(m, a->members);
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
	s = RB_MIN(set_ids, &fs->sets.ids);
	if (memcmp(&a->after, &no_uuid, 16)) {
		s = find_uuid_locked(fs, &a->after);
		if (!s)
			r = -ENOENT;
		else
			s = RB_NEXT(set_ids, &fs->sets.ids, s);
	}
	for (; !r && s && a->count < KAGEFS_LIST_MAX; s = RB_NEXT(set_ids, &fs->sets.ids, s)) {
		load(s, m);
		describe(m, &a->sets[a->count++]);
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
	for (s = RB_MIN(set_ids, &fs->sets.ids); s; s = RB_NEXT(set_ids, &fs->sets.ids, s))
		if (s->state == KAGEFS_SET_COMMITTING && !s->busy && s->deadline_ns && now >= s->deadline_ns) {
			id = s->id;
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
		for (struct set *s = RB_MIN(set_ids, &fs->sets.ids); s; s = RB_NEXT(set_ids, &fs->sets.ids, s))
			if (s->state == KAGEFS_SET_COMMITTING)
				id = s->id;
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
