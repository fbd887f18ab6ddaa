/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repair: the block table made right from the packs and the rows, at a mount, before anything else looks at it.
 *
 * What is believed, in this order: bytes that match a hash; then the leaves; then the block table, which both others can give
 * back.  A record in a pack says which block it is (id) and what it holds (hash); block ids are never used twice, so a record
 * whose bytes verify *is* the block of that id.  What no record holds is lost: its row stays, or is made with pack 0, and is
 * marked, so that leaves can go on naming it, reads fail with EIO, and deleting the file deletes it.  When the same bytes are
 * written again, by whatever name, convert.c gives them to the lost block, and all files and snapshots that name it are whole.
 *
 * First everything is looked at, then one transaction changes it; a crash before its commit leaves the damage, one after it a
 * repaired store.  The database as it was is kept beside when there was something to change.
 *
 * Not mended: rows that contradict each other (M1, M5, M6), a volume table that hangs together wrongly, a file that SQLite
 * itself finds damaged.  What reclaim does anyway (M8..M12) is left to it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "fs/volume/internal.h"

enum evidence {
	NOTHING,
	ROTTEN, /* a record of that id, whose bytes do not verify */
	ID,	/* a verified record of that id, with another hash than the row: the row's is damaged */
	HASH,	/* the same bytes under another id: to be copied */
	BOTH,
};

/* A block whose row is missing or leads to nothing that verifies. */
struct bad {
	struct meta_block b; /* as the row has it */
	bool row, sound;     /* there is a row; its hash may be right */
	uint64_t refs;
	enum evidence found;
	bool torn; /* records of equal rank contradict each other */
	struct store_loc loc;
	uint8_t hash[HASH_BYTES]; /* of the record found */
};

struct wrong_refs {
	uint64_t id, refs;
};

struct repair {
	struct fs *fs;
	struct fs_repair *o;
	uint8_t *buf; /* block_size; owned */
	struct bad *bad; /* by id; owned */
	size_t nbad, cap_bad;
	size_t *by_hash; /* indices of those with a sound hash; owned */
	size_t nby_hash;
	struct wrong_refs *refs; /* owned */
	size_t nrefs, cap_refs;
	uint64_t next_block; /* ids from here on were never committed */
	/* the pack at hand */
	struct store_record *rec; /* owned */
	size_t nrec, cap_rec;
	struct meta_freed *freed; /* owned */
	size_t nfreed, cap_freed;
};

static void mended(struct repair *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void mended(struct repair *r, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->o->mended++;
	if (r->o->report)
		r->o->report(r->o->arg, text);
}

#define U(x) ((unsigned long long)(x))

static int verify(struct repair *r, const struct store_loc *loc, const uint8_t hash[HASH_BYTES])
{
	return store_prove(r->fs->store, loc, hash, r->buf);
}

/* Bytes are wrong or not there, as opposed to: could not look. */
static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -ENOENT || err == -EIO || err == -EINVAL;
}

/* ---- what is wrong ---- */

static int add_bad(struct repair *r, const struct bad *b)
{
	int err = array_room((void **)&r->bad, r->nbad, &r->cap_bad, sizeof(*r->bad));

	if (!err)
		r->bad[r->nbad++] = *b;
	return err;
}

static int on_block(void *arg, const struct meta_block *b, uint64_t refs, bool sound)
{
	struct repair *r = arg;
	struct bad bad = { .b = *b, .row = true, .sound = sound, .refs = refs };
	struct store_loc loc = { b->pack, b->off, b->stored, b->len, b->codec };
	int err = !sound ? -EUCLEAN : r->o->verify_blocks || b->lost || !b->pack ? verify(r, &loc, b->hash) : 0;

	if (!err && b->lost) { /* it reads again */
		bad.found = BOTH;
		bad.loc = loc;
		memcpy(bad.hash, b->hash, HASH_BYTES);
		return add_bad(r, &bad);
	}
	return !err ? 0 : is_damage(err) ? add_bad(r, &bad) : err;
}

static int on_count(void *arg, uint64_t id, bool row, uint64_t refs)
{
	struct repair *r = arg;
	struct bad bad = { .b.id = id, .refs = refs };
	int err;

	if (!row)
		return add_bad(r, &bad);
	err = array_room((void **)&r->refs, r->nrefs, &r->cap_refs, sizeof(*r->refs));
	if (!err)
		r->refs[r->nrefs++] = (struct wrong_refs){ id, refs };
	return err;
}

static int compare_bad(const void *a, const void *b)
{
	const struct bad *x = a, *y = b;

	return x->b.id < y->b.id ? -1 : x->b.id > y->b.id;
}

static struct bad *bad_by_id(struct repair *r, uint64_t id)
{
	struct bad key = { .b.id = id };

	return r->nbad ? bsearch(&key, r->bad, r->nbad, sizeof(*r->bad), compare_bad) : NULL;
}

static int compare_hash(const void *a, const void *b, void *arg)
{
	const struct bad *bad = arg;

	return memcmp(bad[*(const size_t *)a].b.hash, bad[*(const size_t *)b].b.hash, HASH_BYTES);
}

static int index_bad(struct repair *r)
{
	r->by_hash = malloc((r->nbad + 1) * sizeof(*r->by_hash));
	if (!r->by_hash)
		return -ENOMEM;
	if (r->nbad)
		qsort(r->bad, r->nbad, sizeof(*r->bad), compare_bad);
	for (size_t i = 0; i < r->nrefs; i++) {
		struct bad *b = bad_by_id(r, r->refs[i].id);

		if (b)
			b->refs = r->refs[i].refs;
	}
	for (size_t i = 0; i < r->nbad; i++)
		if (r->bad[i].row && r->bad[i].sound && r->bad[i].b.pack)
			r->by_hash[r->nby_hash++] = i;
	qsort_r(r->by_hash, r->nby_hash, sizeof(*r->by_hash), compare_hash, r->bad);
	return 0;
}

/* ---- what the packs hold of it ---- */

static void weigh(struct bad *b, const struct store_record *rec, enum evidence e)
{
	if (e == b->found && (e == ID || (e == BOTH && !b->row)) && memcmp(b->hash, rec->hash, HASH_BYTES))
		b->torn = true;
	if (e < b->found)
		return;
	if (e > b->found)
		b->torn = false;
	b->found = e;
	b->loc = rec->loc;
	memcpy(b->hash, rec->hash, HASH_BYTES);
}

static bool same_hash(const struct bad *b, const struct store_record *rec)
{
	return b->row && b->sound && b->b.pack && !memcmp(b->b.hash, rec->hash, HASH_BYTES);
}

static int on_record(void *arg, const struct store_record *rec)
{
	struct repair *r = arg;
	struct bad *own = rec->id ? bad_by_id(r, rec->id) : NULL;
	size_t lo = 0, hi = r->nby_hash;
	int err;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (memcmp(r->bad[r->by_hash[mid]].b.hash, rec->hash, HASH_BYTES) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	hi = lo < r->nby_hash && same_hash(&r->bad[r->by_hash[lo]], rec);
	if (!own && !hi)
		return 0;
	err = verify(r, &rec->loc, rec->hash);
	if (err && !is_damage(err))
		return err;
	if (own)
		weigh(own, rec, err ? ROTTEN : !own->row || same_hash(own, rec) ? BOTH : ID);
	for (; !err && lo < r->nby_hash && same_hash(&r->bad[r->by_hash[lo]], rec); lo++)
		if (&r->bad[r->by_hash[lo]] != own)
			weigh(&r->bad[r->by_hash[lo]], rec, HASH);
	return 0;
}

static int search_pack(void *arg, const struct store_pack_info *info)
{
	struct repair *r = arg;

	return store_scan(r->fs->store, info->pack, on_record, r);
}

static int look(struct repair *r)
{
	int err = meta_recount(r->fs->meta, on_count, r);

	if (!err)
		err = meta_every_block(r->fs->meta, on_block, r);
	if (!err)
		err = index_bad(r);
	if (!err && r->nbad)
		err = store_list_packs(r->fs->store, search_pack, r);
	return err;
}

/* ---- mending, inside the transaction ---- */

/* The bytes at `from` once more, as a record of this block. */
static int copy_block(struct repair *r, const struct bad *bad, struct meta_block *to)
{
	struct store *st = r->fs->store;
	struct store_blob blob = { 0 };
	struct store_loc loc;
	int err = verify(r, &bad->loc, bad->hash);

	if (!err)
		err = store_reserve(st, r->fs->space_unit);
	if (err)
		return err;
	err = store_encode(st, r->buf, bad->loc.len, bad->hash, NULL, &blob);
	blob.id = bad->b.id;
	if (!err)
		err = store_append(st, &blob, &loc);
	store_unreserve(st, r->fs->space_unit);
	store_blob_release(&blob);
	if (err)
		return err;
	*to = (struct meta_block){ .id = bad->b.id, .pack = loc.pack, .off = loc.off, .stored = loc.stored, .len = loc.len, .codec = loc.codec };
	memcpy(to->hash, bad->hash, HASH_BYTES);
	return 0;
}

static int forget_freed(struct repair *r, uint32_t pack, uint64_t off)
{
	struct meta_freed f = { .pack = pack, .off = off };
	int err = meta_freed_done(r->fs->meta, &f);

	return err == -ENOENT ? 0 : err;
}

static int use_record(struct repair *r, const struct bad *bad)
{
	struct meta_block to = { .id = bad->b.id, .pack = bad->loc.pack, .off = bad->loc.off, .stored = bad->loc.stored,
				 .len = bad->loc.len, .codec = bad->loc.codec };
	int err = 0;

	memcpy(to.hash, bad->hash, HASH_BYTES);
	if (bad->found == HASH)
		err = copy_block(r, bad, &to);
	else
		err = forget_freed(r, to.pack, to.off); /* a place moved from, not given back yet */
	if (!err)
		err = meta_repair_block(r->fs->meta, &to, bad->refs);
	if (!err)
		mended(r, "block %llu: %s pack %u offset %llu", U(to.id), bad->row ? "its row now leads to verified bytes in" : "its row was missing, made again from",
		       to.pack, U(to.off));
	return err;
}

/* No bytes.  A record of the block that does not verify may still hold chunks that do: its place is kept. */
static int keep_lost(struct repair *r, const struct bad *bad)
{
	struct meta_block to = { .id = bad->b.id, .len = r->fs->block_size };
	int err = 0;

	if (!bad->refs || bad->b.lost) { /* nobody's, or known */
		r->o->lost += bad->refs != 0;
		return 0;
	}
	r->o->lost++;
	if (bad->row && bad->sound) {
		to = bad->b;
	} else if (bad->found == ROTTEN) {
		to = (struct meta_block){ .id = bad->b.id, .pack = bad->loc.pack, .off = bad->loc.off, .stored = bad->loc.stored,
					  .len = bad->loc.len, .codec = bad->loc.codec };
		memcpy(to.hash, bad->hash, HASH_BYTES);
		err = forget_freed(r, to.pack, to.off);
	}
	to.lost = true;
	if (!err)
		err = meta_repair_block(r->fs->meta, &to, bad->refs);
	if (!err)
		mended(r, "block %llu: lost, its row is marked so", U(to.id));
	return err;
}

static bool is_lost(const struct bad *b)
{
	return b->found <= ROTTEN || b->torn;
}

static int mend_blocks(struct repair *r)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->nbad; i++) {
		struct bad *b = &r->bad[i];

		err = is_lost(b) ? keep_lost(r, b) : use_record(r, b);
	}
	for (size_t i = 0; !err && i < r->nrefs; i++) {
		err = meta_repair_refs(r->fs->meta, r->refs[i].id, r->refs[i].refs);
		if (!err)
			mended(r, "block %llu: its count of references is %llu", U(r->refs[i].id), U(r->refs[i].refs));
	}
	return err;
}

static void on_rows(void *arg, const char *table, uint64_t rows)
{
	mended(arg, "table %s: %llu rows belonged to no volume and were removed", table, U(rows));
}

/* ---- places: nothing is both used and to be given back, nothing is neither ---- */

static int take_record(void *arg, const struct store_record *rec)
{
	struct repair *r = arg;
	int err = array_room((void **)&r->rec, r->nrec, &r->cap_rec, sizeof(*r->rec));

	if (!err)
		r->rec[r->nrec++] = *rec;
	return err;
}

static int take_freed(void *arg, const struct meta_freed *f)
{
	struct repair *r = arg;
	int err = array_room((void **)&r->freed, r->nfreed, &r->cap_freed, sizeof(*r->freed));

	if (!err)
		r->freed[r->nfreed++] = *f;
	return err;
}

/* The first record that ends behind off. */
static size_t record_after(const struct repair *r, uint64_t off)
{
	size_t lo = 0, hi = r->nrec;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r->rec[mid].loc.off + r->rec[mid].loc.stored <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A row of `freed` may name a place without a valid record (punched already, damaged), or exactly one that no block has. */
static int freed_is_right(struct repair *r, const struct meta_freed *f)
{
	size_t i = record_after(r, f->off);
	int used;

	if (!store_place_ok(r->fs->store, f->pack, f->off, f->stored))
		return 0;
	if (i == r->nrec || r->rec[i].loc.off >= f->off + f->stored)
		return 1;
	if (r->rec[i].loc.off != f->off || r->rec[i].loc.stored != f->stored)
		return 0;
	used = meta_block_at(r->fs->meta, r->rec[i].hash, f->pack, f->off);
	return used < 0 ? used : !used;
}

static int mend_freed(struct repair *r)
{
	int err = 0;

	for (size_t i = 0; err >= 0 && i < r->nfreed; i++) {
		const struct meta_freed *f = &r->freed[i];

		err = freed_is_right(r, f);
		if (err)
			continue;
		err = meta_freed_done(r->fs->meta, f);
		if (!err)
			mended(r, "pack %u offset %llu: is in use, or no place at all, and was to be given back", f->pack, U(f->off));
	}
	return MIN(err, 0);
}

/* A row that stays without verified bytes keeps its place. */
static bool kept_for_lost(const struct repair *r, const struct store_record *rec)
{
	for (size_t i = 0; i < r->nbad; i++) {
		const struct bad *b = &r->bad[i];

		if (is_lost(b) && ((b->row && b->b.pack == rec->loc.pack && b->b.off == rec->loc.off) ||
				   (b->loc.pack == rec->loc.pack && b->loc.off == rec->loc.off)))
			return true;
	}
	return false;
}

static int give_back(struct repair *r, uint64_t *n)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->nrec; i++) {
		const struct store_record *rec = &r->rec[i];
		struct meta_freed f = { .pack = rec->loc.pack, .off = rec->loc.off, .stored = rec->loc.stored };

		if (rec->id >= r->next_block) /* stored, never committed: the mount takes it back */
			continue;
		err = meta_place_used(r->fs->meta, rec->hash, f.pack, f.off);
		if (err || kept_for_lost(r, rec)) {
			err = MIN(err, 0);
			continue;
		}
		err = meta_repair_free(r->fs->meta, &f);
		(*n)++;
	}
	return err;
}

static int mend_pack(void *arg, const struct store_pack_info *info)
{
	struct repair *r = arg;
	uint64_t n = 0;
	int err;

	if (info->current)
		return 0; /* what copy_block has just written */
	r->nrec = r->nfreed = 0;
	err = store_scan(r->fs->store, info->pack, take_record, r);
	if (!err)
		err = meta_repair_freed(r->fs->meta, info->pack, take_freed, r);
	if (!err)
		err = mend_freed(r);
	if (!err)
		err = give_back(r, &n);
	if (!err && n)
		mended(r, "pack %u: %llu stored blocks that nothing names are given back", info->pack, U(n));
	return err;
}

/* ---- all of it ---- */

static int change(struct repair *r)
{
	struct meta *m = r->fs->meta;
	int err = meta_begin(m);

	if (err)
		return err;
	err = mend_blocks(r);
	if (!err)
		err = meta_repair_rows(m, on_rows, r);
	if (!err)
		err = store_list_packs(r->fs->store, mend_pack, r);
	if (!err)
		err = store_sync(r->fs->store); /* I1 */
	if (!err && r->o->mended)
		err = meta_keep_copy(m);
	if (err || !r->o->mended) {
		meta_rollback(m);
		return err;
	}
	return meta_commit(m);
}

static void repair_release(struct repair *r)
{
	free(r->buf);
	free(r->bad);
	free(r->by_hash);
	free(r->refs);
	free(r->rec);
	free(r->freed);
}

int repair_store(struct fs *fs, struct fs_repair *o)
{
	struct repair r = { .fs = fs, .o = o, .buf = malloc(fs->block_size), .next_block = meta_block_next(fs->meta) };
	uint64_t wal = 0;
	int err;

	o->mended = o->lost = 0;
	err = r.buf ? look(&r) : -ENOMEM;
	if (!err)
		err = meta_checkpoint(fs->meta, &wal); /* for the copy */
	if (!err && wal)
		err = -EBUSY;
	if (!err)
		err = change(&r);
	repair_release(&r);
	return err;
}
