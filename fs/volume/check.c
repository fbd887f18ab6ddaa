/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs check: recompute the numbered invariants from nothing.  The database's own (M1..M12) are fs/meta's; here the ones that
 * span parts: memory against database, block table against packs, the space ledger. */
#include <stdarg.h>
#include <stdio.h>

#include "fs/volume/internal.h"

struct checker {
	struct fs *fs;
	const struct fs_check_options *o;
	uint64_t bad;
	uint8_t *buf; /* block_size */
	uint64_t volumes;
	uint64_t *lost; /* ids of blocks that cannot be read; owned */
	size_t nlost, cap_lost;
};

static void report(struct checker *c, const char *number, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void report(struct checker *c, const char *number, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->bad++;
	if (c->o->report)
		c->o->report(c->o->arg, number, text);
}

static void forward(void *arg, const char *number, const char *text)
{
	struct checker *c = arg;

	if (c->o->report)
		c->o->report(c->o->arg, number, text);
}

static int add_lost(struct checker *c, uint64_t id)
{
	int r = array_room((void **)&c->lost, c->nlost, &c->cap_lost, sizeof(*c->lost));

	if (!r)
		c->lost[c->nlost++] = id;
	return r;
}

static const char *block_state(struct checker *c, const struct meta_block *b, bool sound)
{
	struct store_loc loc = { b->pack, b->off, b->stored, b->len, b->codec };
	int r;

	if (!sound)
		return "its hash is damaged";
	if (!b->pack)
		return "lost";
	r = store_prove(c->fs->store, &loc, b->hash, c->buf);
	return !r ? NULL : r == -EUCLEAN ? "bytes do not verify" : r == -ENOENT ? "its pack is gone" : strerror(-r);
}

/* I7: every block verifies. */
static int check_block(void *arg, const struct meta_block *b, uint64_t refs, bool sound)
{
	struct checker *c = arg;
	const char *state = block_state(c, b, sound);

	if (!state)
		return 0;
	report(c, "I7", "block=%llu refs=%llu pack=%u off=%llu: %s", (unsigned long long)b->id, (unsigned long long)refs, b->pack,
	       (unsigned long long)b->off, state);
	return add_lost(c, b->id);
}

static int on_missing(void *arg, uint64_t id, bool row, uint64_t refs)
{
	return row ? 0 : add_lost(arg, id);
}

static void on_file(void *arg, const char *text)
{
	forward(arg, "lost", text); /* no violation more, but what it comes to: not counted */
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What people need to know of blocks that are gone: the files. */
static int name_files(struct checker *c)
{
	if (!c->nlost)
		return 0;
	qsort(c->lost, c->nlost, sizeof(*c->lost), compare_ids);
	return damage_files(c->fs, c->lost, c->nlost, on_file, c);
}

/* I1 the other way round, when idle: nothing in the packs that no row names.  (The pack being written may hold what a
 * transaction that failed left behind; a mount or compaction takes it.) */
static int count_garbage(void *arg, const struct store_record *rec)
{
	struct checker *c = arg;
	int used = meta_place_used(c->fs->meta, rec->hash, rec->loc.pack, rec->loc.off);

	if (used < 0)
		return used;
	if (!used)
		report(c, "M10", "pack=%u off=%llu holds a block that no row names", rec->loc.pack, (unsigned long long)rec->loc.off);
	return 0;
}

static int check_pack(void *arg, const struct store_pack_info *info)
{
	struct checker *c = arg;

	return store_scan(c->fs->store, info->pack, count_garbage, c);
}

/* I8, the file system's half, and the table's agreement with the database (records all applied). */
static int check_volume(void *arg, const struct meta_volume *m)
{
	struct checker *c = arg;
	struct vol *v = vol_get(&c->fs->vtab, m->id);
	struct meta_volume d;

	c->volumes++;
	if (!v) {
		report(c, "I11", "volume=%llu is in the database, not in memory", (unsigned long long)m->id);
		return 0;
	}
	vol_describe(&c->fs->vtab, v, &d);
	pthread_rwlock_rdlock(&c->fs->vtab.chain);
	if (v->line != m->line || (v->parent ? v->parent->line : 0) != m->parent || (v->parent && v->pin != m->pin))
		report(c, "I11", "volume=%llu line=%llu parent=%llu pin=%llu in the database, line=%llu parent=%llu pin=%llu in memory",
		       (unsigned long long)m->id, (unsigned long long)m->line, (unsigned long long)m->parent, (unsigned long long)m->pin,
		       (unsigned long long)v->line, (unsigned long long)(v->parent ? v->parent->line : 0), (unsigned long long)v->pin);
	pthread_rwlock_unlock(&c->fs->vtab.chain);
	if (((d.flags ^ m->flags) & ~(uint32_t)META_VOL_BARE) || d.root != m->root || strcmp(d.name, m->name) || d.set_id != m->set_id ||
	    d.slot != m->slot || d.place_vol != m->place_vol || d.place_dir != m->place_dir || d.alias != m->alias)
		report(c, "I11", "volume=%llu: memory and database describe it differently", (unsigned long long)m->id);
	vol_put(&c->fs->vtab, v);
	return 0;
}

static int check_locked(struct checker *c, bool idle)
{
	struct fs *fs = c->fs;
	struct store_stats st;
	int r = meta_check(fs->meta, idle, forward, c);

	if (r < 0)
		return r;
	c->bad += (uint64_t)r;
	if (r)
		r = meta_recount(fs->meta, on_missing, c);
	if (r == -EUCLEAN) /* reported above */
		r = 0;
	if (r)
		return r;
	if (!fs->pending.head) {
		r = meta_volume_list(fs->meta, check_volume, c);
		if (!r && c->volumes != fs->vtab.count)
			report(c, "I11", "%llu volumes in the database, %llu in memory", (unsigned long long)c->volumes,
			       (unsigned long long)fs->vtab.count);
		store_get_stats(fs->store, &st);
		if (st.reserved_bytes && !atomic_load(&fs->inodes.extents))
			report(c, "I13", "%llu bytes of space still reserved with nothing to convert", (unsigned long long)st.reserved_bytes);
	}
	if (!r && c->o->verify_blocks)
		r = meta_every_block(fs->meta, check_block, c);
	if (!r)
		r = name_files(c);
	if (!r && idle)
		r = store_list_packs(fs->store, check_pack, c);
	return r;
}

int fs_check(struct fs *fs, const struct fs_check_options *o)
{
	struct checker c = { .fs = fs, .o = o };
	int r = o->drain ? fs_drain(fs) : 0;

	if (r)
		return r;
	c.buf = malloc(fs->block_size);
	if (!c.buf)
		return -ENOMEM;
	pthread_mutex_lock(&fs->writer_lock);
	r = check_locked(&c, o->drain && !fs->pending.head);
	pthread_mutex_unlock(&fs->writer_lock);
	free(c.buf);
	free(c.lost);
	return r ? r : (int)MIN(c.bad, (uint64_t)INT32_MAX);
}
