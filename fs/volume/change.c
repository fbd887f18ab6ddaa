/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How every change happens: op_run prepares everything that may wait, runs the operation under the gate, and repeats it when
 * it missed something in memory; change_commit makes its record the next one in the log and gives its items their effect in
 * memory, in two steps so that nothing can fail once the LSN is assigned.  change_replay is the second step alone, for the
 * records that a mount finds in the log.
 */
#include "fs/volume/backlog.h"
#include "fs/volume/internal.h"

#define LOG_TIMEOUT_MS 1000
#define OP_UNBRAKED (OP_EXCLUSIVE | OP_PROMPT | OP_FREES)

/* ---- the running operation ---- */

int op_get(struct op *op, struct vol *v, const struct row_key *k, struct row_value *out)
{
	int r = rows_peek(op->fs, k, out);

	if (r == -EAGAIN && !op->miss_vol) {
		op->miss_vol = vol_get(&op->fs->vtab, v->id);
		op->miss = *k;
		if (!op->miss_vol)
			return -ESTALE;
	}
	return r;
}

int op_attr(struct op *op, struct vol *v, uint64_t ino, struct meta_attr *out)
{
	struct row_value val;
	struct row_key k;
	int r;

	row_key_set(&k, v->id, ROW_ATTR, ino, NULL, 0);
	r = op_get(op, v, &k, &val);
	if (!r)
		*out = val.attr;
	return r == -ENOENT ? -ESTALE : r;
}

int op_entry(struct op *op, struct vol *v, uint64_t dir, const void *name, size_t len, struct meta_entry *out)
{
	struct row_value val;
	struct row_key k;
	int r;

	row_key_set(&k, v->id, ROW_ENTRY, dir, name, len);
	r = op_get(op, v, &k, &val);
	if (!r)
		*out = val.entry;
	return r;
}

int op_xattr(struct op *op, struct vol *v, uint64_t ino, const char *name, void **value, uint32_t *len)
{
	struct row_value val;
	struct row_key k;
	int r;

	row_key_set(&k, v->id, ROW_XATTR, ino, name, strlen(name));
	r = op_get(op, v, &k, &val);
	if (!r) {
		*value = val.blob.data;
		*len = val.blob.len;
	}
	return r;
}

int op_writable(struct op *op, struct vol *v)
{
	uint32_t f = vol_flags(v), uid = 0;
	bool any = false;

	if (f & META_VOL_DEAD)
		return -ESTALE;
	if (f & META_VOL_READ_ONLY)
		return -EROFS;
	if ((f & META_VOL_RECOVERY) && op->ctx) {
		if (!set_writer(op->fs, v->set_id, &uid, &any))
			return -EROFS;
		/* Root too: smbd sets times, DOS attributes and NT ACLs of what its user writes as root. */
		if (!any && op->ctx->uid != uid && op->ctx->uid)
			return -EACCES;
	}
	return 0;
}

static int load_miss(struct op *op)
{
	struct row_value val;
	int r = rows_get(op->fs, op->miss_vol, &op->miss, &val);

	if (!r && op->miss.kind == ROW_XATTR)
		free(val.blob.data);
	vol_put(&op->fs->vtab, op->miss_vol);
	op->miss_vol = NULL;
	return r == -ENOENT ? 0 : r;
}

/* Log room may take a while to come back: apply is told, and we wait as long as it makes progress. */
static int reserve_log(struct fs *fs, uint64_t bytes)
{
	for (;;) {
		uint64_t before = atomic_load(&fs->pending.applied);
		int r = log_reserve(fs->log, bytes, fs->opt.manual ? 0 : LOG_TIMEOUT_MS);

		if (r != -ETIMEDOUT)
			return r;
		if (fs->opt.manual) { /* nobody else will */
			r = fs_run_background(fs, FS_BG_APPLY);
			if (r < 0)
				return r;
			if (!r && before == atomic_load(&fs->pending.applied))
				return -ENOSPC;
			continue;
		}
		apply_want(fs, before + 1);
		if (fs_check_poison(fs))
			return -EROFS;
	}
}

/* An exclusive operation is timed from when it asks: from then on no other can begin. */
static int run_exclusive(struct op *op, int (*fn)(struct op *op, void *arg), void *arg)
{
	int64_t begin = clock_monotonic_ns();
	int r;

	pthread_rwlock_wrlock(&op->fs->gate);
	r = fn(op, arg);
	pthread_rwlock_unlock(&op->fs->gate);
	histogram_add(&op->fs->times[FS_TIME_GATE], (uint64_t)(clock_monotonic_ns() - begin));
	return r;
}

static int run_shared(struct op *op, int (*fn)(struct op *op, void *arg), void *arg)
{
	int r;

	pthread_rwlock_rdlock(&op->fs->gate);
	r = fn(op, arg);
	pthread_rwlock_unlock(&op->fs->gate);
	return r;
}

/* What waits to be applied holds space for the worst case; applied it holds what it needs, which is mostly far less. */
static int reserve_space(struct fs *fs, uint64_t bytes)
{
	for (;;) {
		uint64_t before = atomic_load(&fs->pending.applied);
		int r;

		if (store_reserve_ready(fs->store, bytes))
			return 0;
		r = nowait_check();
		if (r)
			return r;
		r = store_reserve(fs->store, bytes);
		if (r != -ENOSPC || atomic_load(&fs->apply_stuck))
			return r;
		r = apply_some(fs, before);
		if (r <= 0)
			return r ? r : store_reserve(fs->store, bytes);
	}
}

void space_owed(struct fs *fs, uint64_t units)
{
	if (units && store_owe(fs->store, units * fs->space_unit) && !atomic_load(&fs->apply_stuck)) /* else it has been said */
		msg(LOG_WARNING, "disk is too full to convert what the log holds; free space on the store's file system");
}

int op_run(struct fs *fs, const struct fs_ctx *ctx, unsigned flags, uint64_t log_bytes, uint64_t space_bytes,
	   int (*fn)(struct op *op, void *arg), void *arg, uint64_t *lsn)
{
	struct op op = { .fs = fs, .ctx = ctx };
	int r;

	if (fs->opt.read_only)
		return -EROFS;
	atomic_fetch_add_explicit(&fs->stat.ops, 1, memory_order_relaxed);
	for (;;) {
		r = fs_check_poison(fs);
		if (r)
			return r;
		if (!(flags & OP_FREES) && meta_is_full(fs->meta))
			return -ENOSPC;
		r = flags & (OP_EXCLUSIVE | OP_PROMPT) ? 0 : memory_admit(fs, !(flags & OP_FREES));
		if (!r && !(flags & OP_UNBRAKED))
			r = backlog_admit(fs);
		if (!r && space_bytes)
			r = reserve_space(fs, space_bytes);
		if (r)
			return r;
		op.space_left = space_bytes;
		r = reserve_log(fs, log_bytes);
		if (r) {
			if (space_bytes)
				store_unreserve(fs->store, space_bytes);
			return r == -EIO ? -EROFS : r;
		}
		op.log_left = log_bytes;

		r = flags & OP_EXCLUSIVE ? run_exclusive(&op, fn, arg) : run_shared(&op, fn, arg);
		if (op.log_left)
			log_unreserve(fs->log, op.log_left);
		if (op.space_left)
			store_unreserve(fs->store, op.space_left);
		if (!op.miss_vol)
			break;
		if (r != -EAGAIN) {
			vol_put(&fs->vtab, op.miss_vol);
			op.miss_vol = NULL;
			break;
		}
		r = load_miss(&op);
		if (r)
			return r;
		atomic_fetch_add_explicit(&fs->stat.retries, 1, memory_order_relaxed);
	}
	if (!r && op.next && !(flags & OP_UNBRAKED))
		backlog_brake(fs, op.next, op.next - op.lsn);
	if (!r && lsn)
		*lsn = op.lsn;
	if (!r)
		nowait_lift(); /* it cannot be done again */
	return r;
}

/* ---- effect of a record in memory ---- */

/* What one item needs before the LSN is assigned. */
struct prep {
	struct item item;
	struct row_prep row;
	struct content_prep content;
	struct vol *vol;   /* VOL_NEW, VOL_COPY: the new one; VOL_SET, VOL_DEL: counted */
	struct vol *of;	   /* VOL_COPY: counted */
	char *name;	   /* VOL_SET */
	struct set *set;   /* SET_PUT */
};
struct preps {
	struct prep *v; /* owned unless it is `few` */
	unsigned n;
	struct prep few[6];
};

static void prep_release(struct fs *fs, struct prep *p)
{
	switch (p->item.kind) {
	case ITEM_ATTR:
	case ITEM_ENTRY:
	case ITEM_XATTR:
		rows_unprepare(fs, &p->row);
		break;
	case ITEM_WRITE:
	case ITEM_ZERO:
	case ITEM_BLOCKS:
		content_unprepare(fs, &p->content);
		break;
	case ITEM_VOL_NEW:
	case ITEM_VOL_COPY:
		vol_discard(&fs->vtab, p->vol);
		if (p->of)
			vol_put(&fs->vtab, p->of);
		break;
	case ITEM_VOL_SET:
	case ITEM_VOL_DEL:
		free(p->name);
		if (p->vol)
			vol_put(&fs->vtab, p->vol);
		break;
	case ITEM_SET_PUT:
		set_free(p->set);
		break;
	}
}

static void preps_release(struct fs *fs, struct preps *ps)
{
	for (unsigned i = 0; i < ps->n; i++)
		prep_release(fs, &ps->v[i]);
	if (ps->v != ps->few)
		free(ps->v);
}

static int prep_row(struct fs *fs, struct prep *p)
{
	const struct item *it = &p->item;
	struct row_key k;

	switch (it->kind) {
	case ITEM_ATTR:
		row_key_set(&k, it->vol, ROW_ATTR, it->obj, NULL, 0);
		return rows_prepare(fs, &k, it->del ? NULL : &it->attr, sizeof(it->attr), &p->row);
	case ITEM_ENTRY:
		row_key_set(&k, it->vol, ROW_ENTRY, it->obj, it->name, it->name_len);
		return rows_prepare(fs, &k, it->del ? NULL : &it->entry, sizeof(it->entry), &p->row);
	default:
		row_key_set(&k, it->vol, ROW_XATTR, it->obj, it->name, it->name_len);
		return rows_prepare(fs, &k, it->del ? NULL : it->value, it->value_len, &p->row);
	}
}

static int prep_one(struct fs *fs, struct prep *p)
{
	struct item *it = &p->item;
	int r;

	switch (it->kind) {
	case ITEM_ATTR:
	case ITEM_ENTRY:
	case ITEM_XATTR:
		return prep_row(fs, p);
	case ITEM_WRITE:
	case ITEM_ZERO:
	case ITEM_BLOCKS:
		return content_prepare(fs, it->vol, it->obj, it, &p->content);
	case ITEM_VOL_COPY:
		p->of = vol_get(&fs->vtab, it->vol);
		if (!p->of)
			return -EUCLEAN;
		/* fall through */
	case ITEM_VOL_NEW:
		it->volume.line = it->volume.id;
		r = vol_new(&fs->vtab, &it->volume, &p->vol);
		return r;
	case ITEM_VOL_SET:
		p->name = strdup(it->volume.name);
		if (!p->name)
			return -ENOMEM;
		/* fall through */
	case ITEM_VOL_DEL:
		/* A volume copied earlier in the same record is not in the table yet: publish finds it. */
		p->vol = vol_get(&fs->vtab, it->vol);
		return 0;
	case ITEM_SET_PUT:
		return set_make_item(it, &p->set);
	default:
		return 0;
	}
}

static int preps_make(struct fs *fs, const uint8_t *buf, size_t len, struct preps *ps)
{
	struct item probe;
	unsigned n = 0;
	size_t pos = 0;
	int r;

	ps->v = ps->few;
	ps->n = 0;
	while ((r = item_next(buf, len, &pos, &probe)) > 0) {
		n++;
		if (probe.kind == ITEM_WRITE) /* its bytes follow the items */
			break;
	}
	if (r < 0)
		return r;
	if (n > ARRAY_SIZE(ps->few)) {
		ps->v = malloc(n * sizeof(*ps->v));
		if (!ps->v) {
			ps->v = ps->few;
			return -ENOMEM;
		}
	}
	pos = 0;
	while (ps->n < n) {
		struct prep *p = &ps->v[ps->n];

		memset(p, 0, sizeof(*p));
		r = item_next(buf, len, &pos, &p->item);
		if (r <= 0)
			return r ? r : -EUCLEAN;
		ps->n++;
		r = prep_one(fs, p);
		if (r)
			return r;
	}
	return 0;
}

static void not_bare(struct fs *fs, uint64_t id)
{
	struct vol *v = vol_get(&fs->vtab, id);

	if (!v)
		return;
	if (vol_flags(v) & META_VOL_BARE)
		atomic_fetch_and(&v->flags, ~(uint32_t)META_VOL_BARE);
	vol_put(&fs->vtab, v);
}

static void raise_to(_Atomic uint64_t *what, uint64_t to)
{
	uint64_t now = atomic_load(what);

	while (now < to && !atomic_compare_exchange_weak(what, &now, to))
		;
}

static void publish_volume(struct fs *fs, struct prep *p)
{
	struct item *it = &p->item;
	struct vol *v;

	switch (it->kind) {
	case ITEM_VOL_NEW:
		vtab_insert(&fs->vtab, p->vol, NULL, 0);
		p->vol = NULL;
		break;
	case ITEM_VOL_COPY:
		atomic_fetch_or(&p->vol->flags, META_VOL_BARE);
		vtab_insert(&fs->vtab, p->vol, p->of, fs->epoch);
		p->vol = NULL;
		break;
	case ITEM_VOL_SET:
		v = p->vol ? p->vol : vol_get(&fs->vtab, it->vol);
		p->vol = v;
		if (v) {
			vol_update(&fs->vtab, v, &it->volume, p->name);
			p->name = NULL;
		}
		break;
	case ITEM_VOL_DEL:
		v = p->vol ? p->vol : vol_get(&fs->vtab, it->vol);
		p->vol = v;
		if (v)
			vol_mark_dead(&fs->vtab, v);
		break;
	}
	raise_to(&fs->next_vol, it->volume.id + 1);
	pthread_mutex_lock(&fs->sets.lock); /* a rollback's copies bear a set id that no set has */
	fs->sets.next_id = MAX(fs->sets.next_id, it->volume.set_id + 1);
	pthread_mutex_unlock(&fs->sets.lock);
}

/* Returns space units used.  replay: inode locks are taken here. */
static uint64_t preps_publish(struct fs *fs, struct preps *ps, uint64_t lsn, uint64_t data_pos, bool replay)
{
	uint64_t units = 0, bare_done = 0;

	for (unsigned i = 0; i < ps->n; i++) {
		struct prep *p = &ps->v[i];
		struct item *it = &p->item;

		switch (it->kind) {
		case ITEM_ATTR:
			raise_to(&fs->next_ino, it->obj + 1);
			/* fall through */
		case ITEM_ENTRY:
		case ITEM_XATTR:
			rows_publish(fs, &p->row, fs->epoch, lsn);
			if (bare_done != it->vol)
				not_bare(fs, it->vol);
			bare_done = it->vol;
			break;
		case ITEM_WRITE:
		case ITEM_ZERO:
		case ITEM_BLOCKS:
			if (replay)
				pthread_mutex_lock(&p->content.inode->lock);
			units += content_publish_locked(fs, &p->content, it, fs->epoch, lsn, data_pos);
			if (replay)
				pthread_mutex_unlock(&p->content.inode->lock);
			if (bare_done != it->vol)
				not_bare(fs, it->vol);
			bare_done = it->vol;
			break;
		case ITEM_EPOCH:
			fs->epoch++;
			break;
		case ITEM_VOL_NEW:
		case ITEM_VOL_COPY:
		case ITEM_VOL_SET:
		case ITEM_VOL_DEL:
			publish_volume(fs, p);
			break;
		case ITEM_SET_PUT:
			set_put_item(fs, p->set);
			p->set = NULL;
			break;
		case ITEM_SET_DEL:
			set_del_item(fs, it->vol);
			break;
		}
	}
	return units;
}

/* Are these items what struct pending_write is for? */
static bool is_plain_write(const struct items *it, struct pending_write *w)
{
	struct item attr, write;
	size_t pos = 0;

	if (it->len > PENDING_IN_LOG_MAX || item_next(it->buf, it->len, &pos, &attr) != 1 || attr.kind != ITEM_ATTR || attr.del ||
	    item_next(it->buf, it->len, &pos, &write) != 1 || write.kind != ITEM_WRITE || pos != it->len)
		return false;
	*w = (struct pending_write){ .vol = write.vol, .ino = write.obj, .in_log = (uint32_t)it->len };
	return attr.vol == write.vol && attr.obj == write.obj;
}

static struct pending *pending_new(const struct items *it)
{
	struct pending_write w;
	bool plain = is_plain_write(it, &w);
	size_t len = plain ? sizeof(w) : it->len;
	struct pending *q = malloc(sizeof(*q) + len);

	if (!q)
		return NULL;
	memset(q, 0, sizeof(*q));
	atomic_init(&q->unready, 1);
	q->len = (uint32_t)len;
	q->writes = plain;
	memcpy(q->items, plain ? (const void *)&w : it->buf, len);
	return q;
}

/* Where a run keeps the file's last write; NULL: it has no place for another. */
static struct pending_write *run_place(struct pending_queue *p, struct pending *run, const struct pending_write *w)
{
	for (unsigned i = 0; i < pending_files(run); i++) {
		struct pending_write *have = (struct pending_write *)pending_file(run, i);

		if (have->ino == w->ino && have->vol == w->vol)
			return have;
	}
	if (pending_files(run) == RUN_FILES)
		return NULL;
	if (!run->more) {
		uint64_t before = pending_bytes(run);

		run->more = malloc(RUN_FILES * sizeof(*run->more));
		if (!run->more)
			return NULL;
		atomic_fetch_add_explicit(&p->bytes, pending_bytes(run) - before, memory_order_relaxed);
	}
	return &run->more[run->nmore++];
}

/* The record goes to the end of the queue: as q, or into the run that is there; then q is freed.  Which one it is, is returned. */
static struct pending *enqueue_locked(struct pending_queue *p, struct pending *q, uint64_t lsn, uint64_t next, uint64_t data_pos)
{
	struct pending_write *w = q->writes ? (struct pending_write *)q->items : NULL, *place = NULL;
	struct pending *run = p->run;

	if (w)
		w->data_pos = data_pos;
	p->count++;
	p->last_ns = clock_monotonic_ns();
	if (w && run && run->epoch == q->epoch)
		place = run_place(p, run, w);
	if (place) {
		*place = *w;
		free(q);
		atomic_fetch_add_explicit(&run->unready, 1, memory_order_relaxed);
		run->writes++;
		run->span += (uint32_t)(lsn - run->lsn);
	} else {
		run = q;
		q->at_ns = p->last_ns;
		*p->tail = q;
		p->tail = &q->link;
		atomic_fetch_add_explicit(&p->bytes, pending_bytes(q), memory_order_relaxed);
	}
	run->lsn = lsn;
	run->next = next;
	p->run = run->writes && run->writes < RUN_WRITES ? run : NULL;
	return run;
}

/* What is queued with q has its effect in memory. */
static void enqueue_done(struct pending *q, uint64_t units)
{
	atomic_fetch_add_explicit(&q->units, (uint32_t)units, memory_order_relaxed);
	atomic_fetch_sub_explicit(&q->unready, 1, memory_order_release);
}

int change_commit(struct op *op, struct items *it, const void *data, size_t len)
{
	struct fs *fs = op->fs;
	struct iovec iov[2] = { { it->buf, it->len }, { (void *)data, len } };
	struct pending *q;
	struct preps ps;
	uint64_t pos, units;
	int r;

	if (it->err)
		return it->err;
	if (it->len + len > fs->record_max) /* only in a store made with very small log segments */
		return -EFBIG;
	q = pending_new(it);
	if (!q)
		return -ENOMEM;
	/* Decoded from what is recorded: what apply and a later mount will read is what takes effect now. */
	r = preps_make(fs, it->buf, it->len, &ps);
	if (r) {
		preps_release(fs, &ps);
		free(q);
		return r;
	}
	q->epoch = fs->epoch;
	pthread_mutex_lock(&fs->pending.lock);
	op->lsn = log_append(fs->log, &op->log_left, RECORD_CHANGE, 0, iov, len ? 2 : 1, &pos, &op->next);
	pos += it->len;
	q = enqueue_locked(&fs->pending, q, op->lsn, op->next, pos);
	pthread_mutex_unlock(&fs->pending.lock);
	units = preps_publish(fs, &ps, op->lsn, pos, false);
	enqueue_done(q, units);
	KAGEFS_ASSERT(units * fs->space_unit <= op->space_left);
	op->space_left -= units * fs->space_unit;
	preps_release(fs, &ps);
	return 0;
}

int change_replay(struct fs *fs, const struct log_record *rec)
{
	struct items view;
	struct pending *q;
	struct preps ps;
	struct item probe;
	size_t pos = 0;
	uint64_t units;
	int r;

	if (rec->type != RECORD_CHANGE)
		return -EPROTONOSUPPORT;
	/* The items end before a WRITE's bytes. */
	while ((r = item_next(rec->payload, rec->len, &pos, &probe)) > 0)
		if (probe.kind == ITEM_WRITE) {
			if (rec->len - pos != probe.len)
				return -EUCLEAN;
			break;
		}
	if (r < 0)
		return r;
	view.buf = (uint8_t *)rec->payload;
	view.len = pos;
	q = pending_new(&view);
	if (!q)
		return -ENOMEM;
	r = preps_make(fs, view.buf, view.len, &ps);
	if (r) {
		preps_release(fs, &ps);
		free(q);
		return r;
	}
	q->epoch = fs->epoch;
	q = enqueue_locked(&fs->pending, q, rec->lsn, rec->next, rec->data_pos + pos);
	units = preps_publish(fs, &ps, rec->lsn, rec->data_pos + pos, true);
	enqueue_done(q, units);
	preps_release(fs, &ps);
	/* Acknowledged before the crash, so space was reserved then; the disk may have been filled since. */
	space_owed(fs, units);
	return 0;
}
