/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Apply: durable log records go to the database strictly in LSN order, in batches of one transaction, which also stores how
 * far it got (applied_lsn).  After a crash the mount replays what comes behind that into memory, so a batch counts whole or
 * not at all (I11).
 *
 * Within a batch attributes are coalesced and bytes are converted once per inode, but never across an epoch: before a copy of
 * a volume is recorded, everything older is flushed to rows, so that the pin holds exactly what the copy may see.
 *
 * Order at the end of a batch (I1, I2, I12): packs synced; transaction durable; caches told; overlays shrunk, oldest first;
 * log retired.
 */
#include "fs/volume/internal.h"

/* Blocks that conversion may have to read and store, and records: they bound how long the writer is held. */
#define BATCH_RECORDS 16384u
#define BATCH_BLOCKS 4096u
#define LARGE_BATCH_RECORDS (1u << 20)
#define LARGE_BATCH_BYTES (8ull << 30) /* of blocks */
/* What a batch holds is free only when it is done: its share of what changes may take. */
#define BATCH_SHARE 8
#define LARGE_BATCH_SHARE 4
#define ATTRS_AT_ONCE 16384u
#define TAKE_RECORDS 512u /* under one hold of pending.lock */

struct attr_slot {
	uint64_t vol, ino;
	struct meta_attr attr;
	bool used, del;
};
struct file {
	uint64_t vol, ino, epoch;
};
struct born { /* a volume, and where the database hung it */
	uint64_t id, parent, pin;
};

struct batch {
	struct fs *fs;
	struct attr_slot *attrs; /* owned; open addressing */
	unsigned nattrs, cap_attrs; /* power of two */
	struct file *files; /* owned; with content to convert, in the order of their epochs */
	unsigned nfiles, cap_files, flushed_files;
	uint64_t epoch, upto; /* LSN of the last record */
	const struct pending_write *last; /* the newest of a row of writes to one file, whose attributes have not been looked at */
	struct born *born; /* owned */
	unsigned nborn, cap_born;
};

static void batch_release(struct batch *b)
{
	free(b->attrs);
	free(b->files);
	free(b->born);
}

/* ---- coalescing ---- */

static struct attr_slot *attr_slot(struct attr_slot *v, unsigned cap, uint64_t vol, uint64_t ino)
{
	unsigned i = (unsigned)((ino * 0x9e3779b97f4a7c15ull ^ vol * 0xc2b2ae3d27d4eb4full) >> 32) & (cap - 1);

	while (v[i].used && (v[i].vol != vol || v[i].ino != ino))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int attr_cmp(const void *x, const void *y)
{
	const struct attr_slot *a = x, *b = y;

	if (a->used != b->used)
		return a->used ? -1 : 1;
	if (a->vol != b->vol)
		return a->vol < b->vol ? -1 : 1;
	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static int flush_attrs(struct batch *b)
{
	int r = 0;

	if (!b->nattrs)
		return 0;
	qsort(b->attrs, b->cap_attrs, sizeof(*b->attrs), attr_cmp); /* key order: fewer pages touched */
	for (unsigned i = 0; !r && i < b->nattrs; i++) {
		struct attr_slot *s = &b->attrs[i];

		r = meta_put_attr(b->fs->meta, s->vol, s->ino, s->del ? NULL : &s->attr);
	}
	memset(b->attrs, 0, b->cap_attrs * sizeof(*b->attrs));
	b->nattrs = 0;
	return r;
}

static int batch_attr(struct batch *b, const struct item *it)
{
	struct attr_slot *s;
	int r = b->nattrs < ATTRS_AT_ONCE ? 0 : flush_attrs(b);

	if (r)
		return r;
	if (b->nattrs * 2 >= b->cap_attrs) {
		unsigned cap = b->cap_attrs ? b->cap_attrs * 2 : 256;
		struct attr_slot *v = calloc(cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		for (unsigned i = 0; i < b->cap_attrs; i++)
			if (b->attrs[i].used)
				*attr_slot(v, cap, b->attrs[i].vol, b->attrs[i].ino) = b->attrs[i];
		free(b->attrs);
		b->attrs = v;
		b->cap_attrs = cap;
	}
	s = attr_slot(b->attrs, b->cap_attrs, it->vol, it->obj);
	b->nattrs += !s->used;
	*s = (struct attr_slot){ it->vol, it->obj, it->attr, true, it->del };
	return 0;
}

static int batch_file(struct batch *b, uint64_t vol, uint64_t ino)
{
	if (b->nfiles > b->flushed_files && b->files[b->nfiles - 1].vol == vol && b->files[b->nfiles - 1].ino == ino)
		return 0;
	if (b->nfiles == b->cap_files) {
		unsigned cap = b->cap_files ? b->cap_files * 2 : 256;
		struct file *v = realloc(b->files, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		b->files = v;
		b->cap_files = cap;
	}
	b->files[b->nfiles++] = (struct file){ vol, ino, b->epoch };
	return 0;
}

/* The attributes after a row of writes to one file: those that the last one recorded. */
static int batch_last(struct batch *b)
{
	const struct pending_write *w = b->last;
	uint8_t items[PENDING_IN_LOG_MAX];
	struct item it;
	size_t pos = 0;
	int r;

	b->last = NULL;
	if (!w)
		return 0;
	r = log_read(b->fs->log, w->data_pos - w->in_log, items, w->in_log);
	if (!r)
		r = item_next(items, w->in_log, &pos, &it);
	if (r == 1 && it.kind == ITEM_ATTR)
		return batch_attr(b, &it);
	return r < 0 ? r : -EUCLEAN;
}

static int batch_write(struct batch *b, const struct pending_write *w)
{
	int r = b->last && (b->last->vol != w->vol || b->last->ino != w->ino) ? batch_last(b) : 0;

	b->last = w;
	return r ? r : batch_file(b, w->vol, w->ino);
}

static int file_cmp(const void *x, const void *y)
{
	const struct file *a = x, *b = y;

	if (a->vol != b->vol)
		return a->vol < b->vol ? -1 : 1;
	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

/* Everything gathered becomes rows of the present epoch. */
static int batch_flush(struct batch *b)
{
	unsigned to;
	int r = batch_last(b);

	if (!r)
		r = flush_attrs(b);
	if (!r && b->nfiles > b->flushed_files) {
		qsort(b->files + b->flushed_files, b->nfiles - b->flushed_files, sizeof(*b->files), file_cmp);
		to = b->flushed_files;
		for (unsigned i = b->flushed_files; i < b->nfiles; i++)
			if (i == b->flushed_files || file_cmp(&b->files[i], &b->files[to - 1]))
				b->files[to++] = b->files[i];
		for (unsigned i = b->flushed_files; !r && i < to; i++)
			r = convert_inode(b->fs->convert, b->files[i].vol, b->files[i].ino, b->epoch, b->upto);
		b->nfiles = b->flushed_files = to;
	}
	return r;
}

/* ---- one item ---- */

/* Told to the volume table after the commit. */
static int batch_born(struct batch *b, const struct meta_volume *v)
{
	if (b->nborn == b->cap_born) {
		unsigned cap = b->cap_born ? b->cap_born * 2 : 64;
		struct born *n = realloc(b->born, cap * sizeof(*n));

		if (!n)
			return -ENOMEM;
		b->born = n;
		b->cap_born = cap;
	}
	b->born[b->nborn++] = (struct born){ v->id, v->parent, v->pin };
	return 0;
}

static int apply_copy(struct batch *b, struct item *it)
{
	int r = batch_flush(b);

	if (!r)
		r = meta_volume_copy(b->fs->meta, it->vol, &it->volume);
	return r ? r : batch_born(b, &it->volume);
}

static int apply_set(struct meta *m, const struct item *it)
{
	struct meta_set *s = malloc(sizeof(*s));
	int r = s ? item_set(it, s) : -ENOMEM;

	if (!r)
		r = meta_set_put(m, s);
	free(s);
	return r;
}

static int apply_item(struct batch *b, struct item *it)
{
	struct meta *m = b->fs->meta;
	int r;

	switch (it->kind) {
	case ITEM_ATTR:
		return batch_attr(b, it);
	case ITEM_ENTRY:
		return meta_put_entry(m, it->vol, it->obj, it->name, it->name_len, it->del ? NULL : &it->entry);
	case ITEM_XATTR:
		return meta_put_xattr(m, it->vol, it->obj, it->name, it->name_len, it->del ? NULL : it->value, it->value_len);
	case ITEM_ORPHAN:
		return it->del ? meta_orphan_del(m, it->vol, it->obj) : meta_orphan_add(m, it->vol, it->obj);
	case ITEM_WRITE:
	case ITEM_ZERO:
	case ITEM_BLOCKS:
		return batch_file(b, it->vol, it->obj);
	case ITEM_VOL_NEW:
		r = meta_volume_insert(m, &it->volume);
		return r ? r : batch_born(b, &it->volume);
	case ITEM_VOL_COPY:
		return apply_copy(b, it);
	case ITEM_EPOCH:
		r = batch_flush(b);
		if (!r)
			r = meta_epoch_step(m);
		b->epoch = meta_state(m)->epoch;
		return r;
	case ITEM_VOL_SET:
		r = meta_volume_update(m, &it->volume);
		return r == -ENOENT ? 0 : r; /* deleted and reclaimed: cannot be while a record names it, and would not matter */
	case ITEM_VOL_DEL:
		r = batch_flush(b);
		if (!r)
			r = meta_volume_delete(m, it->vol);
		return r == -ENOENT ? 0 : r;
	case ITEM_SET_PUT:
		return apply_set(m, it);
	case ITEM_SET_DEL:
		r = meta_set_delete(m, it->vol);
		return r == -ENOENT ? 0 : r;
	default:
		return -EUCLEAN;
	}
}

static int apply_record(struct batch *b, const struct pending *q)
{
	struct item it;
	size_t pos = 0;
	int r = 0;

	KAGEFS_ASSERT(q->epoch == b->epoch);
	for (unsigned i = 0; !r && i < pending_files(q); i++)
		r = batch_write(b, pending_file(q, i));
	if (r || q->writes)
		return r;
	r = batch_last(b);
	if (r)
		return r;
	while ((r = item_next(q->items, q->len, &pos, &it)) > 0) {
		r = apply_item(b, &it);
		if (r)
			return r;
	}
	return r;
}

/* ---- after the commit ---- */

/* done: the write that was settled last, if nothing came between. */
static void settle_rows(struct fs *fs, const struct pending *q, uint64_t upto, struct pending_write *done)
{
	struct row_key k;
	struct item it;
	size_t pos = 0;

	for (unsigned i = 0; i < pending_files(q); i++) {
		const struct pending_write *w = pending_file(q, i);

		if (w->vol == done->vol && w->ino == done->ino)
			continue;
		*done = *w;
		row_key_set(&k, w->vol, ROW_ATTR, w->ino, NULL, 0);
		rows_applied(fs, &k, upto);
	}
	if (q->writes)
		return;
	while (item_next(q->items, q->len, &pos, &it) > 0) {
		switch (it.kind) {
		case ITEM_ATTR:
			row_key_set(&k, it.vol, ROW_ATTR, it.obj, NULL, 0);
			break;
		case ITEM_ENTRY:
			row_key_set(&k, it.vol, ROW_ENTRY, it.obj, it.name, it.name_len);
			break;
		case ITEM_XATTR:
			row_key_set(&k, it.vol, ROW_XATTR, it.obj, it.name, it.name_len);
			break;
		case ITEM_BLOCKS:
			for (uint64_t i = 0; i < it.len; i++) {
				uint64_t id = get_le64(it.ids + i * 8);

				pins_del(fs->pins, &id, 1);
			}
			continue;
		default:
			continue;
		}
		rows_applied(fs, &k, upto);
	}
}

static void batch_done(struct batch *b, struct pending *head, uint64_t next)
{
	struct fs *fs = b->fs;
	struct pending_write settled = { 0 };
	struct pending *q;
	uint64_t given_back = convert_finish(fs->convert, true), units = 0, bytes = 0, records = 0;

	for (unsigned i = 0; i < b->nfiles; i++) {
		struct inode *n = inode_find(fs, b->files[i].vol, b->files[i].ino);

		if (n)
			units += content_applied(fs, n, b->files[i].epoch, b->upto);
		inode_put(fs, n);
	}
	/* A block with older bytes in this batch and newer ones behind it held one unit, which the append has used: take another. */
	if (units >= given_back)
		store_unreserve(fs->store, (units - given_back) * fs->space_unit);
	else
		space_owed(fs, given_back - units);
	for (unsigned i = 0; i < b->nborn; i++)
		vtab_applied(&fs->vtab, b->born[i].id, b->born[i].parent, b->born[i].pin);
	while ((q = head)) {
		head = q->link;
		settle_rows(fs, q, b->upto, &settled);
		bytes += pending_bytes(q);
		records += pending_records(q);
		pending_free(q);
	}
	atomic_fetch_add_explicit(&fs->stat.applied_records, records, memory_order_relaxed);
	atomic_fetch_add_explicit(&fs->stat.batches, 1, memory_order_relaxed);
	log_retire(fs->log, next);
	pthread_mutex_lock(&fs->pending.lock);
	fs->pending.taken = false;
	fs->pending.count -= records;
	atomic_fetch_sub(&fs->pending.bytes, bytes);
	atomic_store(&fs->pending.applied, next);
	pthread_cond_broadcast(&fs->pending.cond);
	pthread_mutex_unlock(&fs->pending.lock);
}

/* The most that is taken into one batch. */
struct batch_bound {
	unsigned records;
	uint64_t blocks, bytes;
};

/* Unhook some more of the front of the queue, what is durable and complete, and add it to the list that ends at *end.  False:
 * that was all. */
static bool take_some(struct fs *fs, uint64_t durable, struct batch_bound *left, struct pending ***end)
{
	struct pending_queue *p = &fs->pending;
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	while (n < TAKE_RECORDS && left->records && left->blocks && left->bytes) {
		struct pending *q = p->head;

		if (!q || q->next > durable || atomic_load_explicit(&q->unready, memory_order_acquire))
			break;
		left->records -= (unsigned)MIN(left->records, pending_records(q));
		left->blocks -= MIN(left->blocks, atomic_load_explicit(&q->units, memory_order_relaxed));
		left->bytes -= MIN(left->bytes, pending_bytes(q));
		p->head = q->link;
		if (!p->head)
			p->tail = &p->head;
		if (p->run == q)
			p->run = NULL;
		q->link = NULL;
		**end = q;
		*end = &q->link;
		p->taken = true;
		n++;
	}
	pthread_mutex_unlock(&p->lock);
	return n == TAKE_RECORDS;
}

static struct pending *batch_take(struct fs *fs, enum apply_size size)
{
	uint64_t durable = log_durable(fs->log), bytes = atomic_load(&fs->memory.dirty_max);
	struct batch_bound left = { BATCH_RECORDS, BATCH_BLOCKS, bytes / BATCH_SHARE };
	struct pending *head = NULL, **end = &head;

	if (size == APPLY_LARGE)
		left = (struct batch_bound){ LARGE_BATCH_RECORDS, LARGE_BATCH_BYTES >> fs->block_shift, bytes / LARGE_BATCH_SHARE };
	while (take_some(fs, durable, &left, &end))
		;
	return head;
}

/* The transaction failed: the records go back to the front. */
static void batch_return(struct fs *fs, struct pending *head)
{
	struct pending **end = &head;

	while (*end)
		end = &(*end)->link;
	pthread_mutex_lock(&fs->pending.lock);
	if (!fs->pending.head)
		fs->pending.tail = end;
	*end = fs->pending.head;
	fs->pending.head = head;
	fs->pending.taken = false;
	pthread_mutex_unlock(&fs->pending.lock);
}

int apply_step(struct fs *fs, enum apply_size size)
{
	struct batch b = { .fs = fs };
	struct pending *head = batch_take(fs, size), *last = head;
	struct meta_state *st;
	int r;

	if (!head)
		return 0;
	while (last->link)
		last = last->link;
	fs->large_batch = size == APPLY_LARGE;
	r = meta_begin(fs->meta);
	if (r) {
		batch_return(fs, head);
		return r;
	}
	st = meta_state(fs->meta);
	b.epoch = st->epoch;
	b.upto = last->lsn;
	for (struct pending *q = head; !r && q; q = q->link)
		r = fs->large_batch && atomic_load(&fs->closing) ? -ECANCELED : apply_record(&b, q);
	if (!r)
		r = batch_flush(&b);
	if (!r)
		r = store_sync(fs->store); /* I1 */
	if (!r)
		r = log_wait(fs->log, UINT64_MAX); /* I2: what was not collected because something newer covers it */
	if (!r) {
		st->applied_lsn = last->next;
		st->next_ino = MAX(st->next_ino, atomic_load(&fs->next_ino));
		st->next_vol = MAX(st->next_vol, atomic_load(&fs->next_vol));
		atomic_store(&fs->stored_ino, st->next_ino); /* before a reader can see the rows: rows.c */
		r = meta_commit(fs->meta);
	} else {
		meta_rollback(fs->meta);
	}
	if (r) {
		(void)convert_finish(fs->convert, false);
		batch_return(fs, head);
	} else {
		batch_done(&b, head, last->next);
	}
	batch_release(&b);
	return r ? r : 1;
}

void apply_want_locked(struct fs *fs, uint64_t lsn)
{
	if (atomic_load(&fs->pending.wanted) >= lsn)
		return; /* said before: waking who waits for the same would have all of them wake each other for ever */
	atomic_store(&fs->pending.wanted, lsn);
	pthread_cond_broadcast(&fs->pending.cond);
}

void apply_want(struct fs *fs, uint64_t lsn)
{
	pthread_mutex_lock(&fs->pending.lock);
	apply_want_locked(fs, lsn);
	pthread_mutex_unlock(&fs->pending.lock);
}

static bool idle_locked(struct fs *fs)
{
	return !fs->pending.head && !fs->pending.taken;
}

/* Until a batch on the way to lsn is done or cannot be. */
static int wait_for_batch_locked(struct fs *fs, uint64_t lsn)
{
	if (atomic_load(&fs->poisoned))
		return -EROFS;
	if (atomic_load(&fs->apply_stuck))
		return -ENOSPC;
	apply_want_locked(fs, lsn);
	nowait_announce();
	pthread_cond_wait(&fs->pending.cond, &fs->pending.lock);
	return 0;
}

int apply_some(struct fs *fs, uint64_t before)
{
	int r = 0;

	if (fs->opt.manual)
		return fs_run_background(fs, FS_BG_APPLY);
	pthread_mutex_lock(&fs->pending.lock);
	while (!r && !idle_locked(fs) && atomic_load(&fs->pending.applied) <= before)
		r = wait_for_batch_locked(fs, before + 1);
	if (!r)
		r = atomic_load(&fs->pending.applied) > before;
	pthread_mutex_unlock(&fs->pending.lock);
	return r;
}

int apply_wait(struct fs *fs, uint64_t lsn)
{
	int r = 0;

	if (fs->opt.manual) {
		while (!r && atomic_load(&fs->pending.applied) < lsn) {
			r = fs_run_background(fs, FS_BG_APPLY);
			if (!r)
				return 0; /* nothing durable is left to apply */
			r = r < 0 ? r : 0;
		}
		return r;
	}
	pthread_mutex_lock(&fs->pending.lock);
	while (!r && !idle_locked(fs) && atomic_load(&fs->pending.applied) < lsn)
		r = wait_for_batch_locked(fs, lsn);
	pthread_mutex_unlock(&fs->pending.lock);
	return r;
}
