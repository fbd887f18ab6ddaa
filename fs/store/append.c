/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Appending: store_encode makes a record's payload on any thread, store_append lays records one after the other into the
 * tail buffer, store_sync writes the buffer and makes it durable.
 *
 * Whole pages go to the file past the page cache: they are seldom read soon, and what lies in the page cache has to be written
 * back by somebody, mostly by who waits for something else.  The page that is not full yet stays in the buffer, also when a sync
 * has written it, and is written again with what follows.  A pack's header is its first bytes in the buffer, so a pack without
 * records stays an empty file.  Space for all of it was allocated before (see space.c), so a flush has nothing
 * left to fail of but the disk, and then nothing written since the last sync can be trusted: the store is poisoned.
 */
#include <string.h>
#include <sys/random.h>

#include "fs/base/endian.h"
#include "fs/store/store_priv.h"

/* From 256 KiB to 4 MiB the disk made no difference (tests/bench/store_bench.c). */
#define FLUSH_BYTES (1u << 20)

int tail_init(struct tail *t, uint32_t record_max)
{
	memset(t, 0, sizeof(*t));
	void *buf;
	if (posix_memalign(&buf, IO_ALIGN, FLUSH_BYTES + PACK_HEADER_BYTES + record_max + IO_ALIGN))
		return -ENOMEM;
	t->buf = buf;
	pthread_mutex_init(&t->lock, NULL);
	return 0;
}

void tail_release(struct tail *t)
{
	if (!t->buf)
		return;
	free(t->buf);
	pthread_mutex_destroy(&t->lock);
}

ssize_t store_pread(struct store *st, struct pack *p, void *buf, size_t len, uint64_t off)
{
	struct tail *t = &st->tail;
	size_t from_file = len, from_tail = 0;
	if (atomic_load(&t->pack_num) == p->num) {
		pthread_mutex_lock(&t->lock);
		/* The pack may have been finished since; then all of it is in the file. */
		if (t->pack == p && off + len > t->base) {
			uint64_t start = MAX(off, t->base), end = MIN(off + len, t->base + t->fill);
			from_file = start - off;
			if (end > start) {
				from_tail = end - start;
				memcpy((uint8_t *)buf + from_file, t->buf + (start - t->base), from_tail);
			}
		}
		pthread_mutex_unlock(&t->lock);
	}
	ssize_t n = from_file ? io_pread(p->file, buf, from_file, off) : 0;
	if (n < 0 || (size_t)n < from_file)
		return n;
	return n + (ssize_t)from_tail;
}

bool store_tail_end(struct store *st, uint32_t pack, uint64_t *end)
{
	struct tail *t = &st->tail;
	pthread_mutex_lock(&t->lock);
	bool current = t->pack && t->pack->num == pack;
	if (current)
		*end = t->base + t->fill;
	pthread_mutex_unlock(&t->lock);
	return current;
}

void store_tail_zero(struct store *st, uint32_t pack, uint64_t off, uint64_t len)
{
	struct tail *t = &st->tail;
	uint64_t start = MAX(off, t->base), end = MIN(off + len, t->base + t->fill);
	if (!t->pack || t->pack->num != pack || start >= end)
		return;
	pthread_mutex_lock(&t->lock);
	memset(t->buf + (start - t->base), 0, end - start);
	pthread_mutex_unlock(&t->lock);
}

static int poison(struct store *st, const char *what, int error)
{
	if (!atomic_exchange(&st->poisoned, true))
		msg(LOG_ERR, "store: %s failed, no more appends: pack=%08x error=%d", what, st->tail.pack_num, -error);
	return error;
}

/* Whole pages leave the buffer, what remains moves to its front. */
static void forget_pages(struct tail *t, size_t whole)
{
	pthread_mutex_lock(&t->lock);
	memmove(t->buf, t->buf + whole, t->fill - whole);
	t->base += whole;
	t->fill -= whole;
	t->written -= MIN(t->written, whole);
	pthread_mutex_unlock(&t->lock);
}

/* all: also what does not fill a page. */
static int flush(struct store *st, bool all)
{
	struct tail *t = &st->tail;
	size_t whole = t->fill / IO_ALIGN * IO_ALIGN;
	int r = 0;
	if (atomic_load(&st->poisoned))
		return -EIO;
	if (t->written == t->fill)
		return 0;
	if (whole)
		r = io_pwrite(t->pack->file, t->buf, whole, t->base);
	if (r == 0 && all && t->fill > whole)
		r = io_pwrite(t->pack->file, t->buf + whole, t->fill - whole, t->base + whole);
	/* Only where space cannot be allocated ahead.  Nothing is lost, the bytes are still in the buffer. */
	if (r == -ENOSPC || r == -EDQUOT)
		return -ENOSPC;
	if (r < 0)
		return poison(st, "writing a pack", r);
	t->dirty = true;
	if (all)
		t->written = t->fill;
	if (whole)
		forget_pages(t, whole);
	return 0;
}

int store_flush(struct store *st)
{
	return flush(st, true);
}

static int new_nonce(uint64_t *out)
{
	do {
		if (getrandom(out, sizeof(*out), 0) != sizeof(*out))
			return -EIO;
	} while (!*out);
	return 0;
}

int store_room_for_dirty(struct store *st)
{
	if (st->ndirty < st->dirty_cap)
		return 0;
	size_t cap = st->dirty_cap ? st->dirty_cap * 2 : 8;
	struct pack **bigger = realloc(st->dirty, cap * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	st->dirty = bigger;
	st->dirty_cap = cap;
	return 0;
}

/* Finish the current pack and begin the next.  A failure leaves things as they were. */
static int next_pack(struct store *st, uint32_t bytes)
{
	struct tail *t = &st->tail;
	uint64_t nonce, old_end;
	struct pack *old;
	int r = new_nonce(&nonce);
	if (r == 0)
		r = store_room_for_dirty(st);
	if (r == 0)
		r = space_prepare_next(&st->space, bytes);
	if (r == 0)
		r = store_flush(st);
	if (r < 0)
		return r;
	struct pack *now = space_switch(&st->space, &old, &old_end);
	struct pack_header h = { .version = PACK_VERSION, .pack = now->num, .block_size = st->cfg.block_size,
				 .hash_algo = (uint8_t)st->cfg.hash_algo, .nonce = nonce };
	memcpy(h.store_id, st->cfg.store_id, sizeof(h.store_id));
	pthread_mutex_lock(&t->lock);
	t->pack = now;
	atomic_store(&t->pack_num, now->num);
	t->base = 0;
	t->written = 0;
	t->fill = PACK_HEADER_BYTES;
	pack_header_encode(&h, t->buf);
	pthread_mutex_unlock(&t->lock);
	t->nonce = nonce;
	st->dir_dirty = true;
	if (old) {
		/* Unused space that cannot be given back is lost until the pack is dropped, not worth failing for. */
		(void)!io_truncate(old->file, old_end);
		if (t->dirty)
			st->dirty[st->ndirty++] = old;
		else
			packs_put(&st->packs, old);
	}
	t->dirty = false;
	return 0;
}

/* ---- encode ---- */

_Static_assert(CHUNKS_MAX == STORE_CHUNKS_MAX && CHUNK_BYTES == STORE_CHUNK_BYTES, "struct store_base speaks of these chunks");

/* The bytes at *at of base's payload that are chunk i of `plain` bytes as it is stored; 0: there are none. */
static uint32_t base_chunk(const struct store_base *base, uint32_t i, uint32_t plain, uint32_t *at)
{
	if (!base || !base->blob.payload || (base->changed[i / 64] >> i % 64 & 1) || i >= chunk_count(base->blob.len) ||
	    chunk_plain(base->blob.len, i) != plain)
		return 0;
	const uint8_t *table = base->blob.payload + base->blob.payload_len;
	*at = i ? get_le32(table + (i - 1) * CHUNK_ENTRY_BYTES_MAX + CHUNK_SUM_BYTES) : 0;
	return get_le32(table + i * CHUNK_ENTRY_BYTES_MAX + CHUNK_SUM_BYTES) - *at;
}

/* Compress each chunk by itself into s->block, and say where each ends there.  The payload's length, or 0 if compressing
 * does not pay: the whole must shrink by 1/8, and a chunk that does not is put in plain.  The limit makes both codecs give up
 * early on such data: measured 1.3 to 8 GiB/s. */
static uint32_t compress_chunks(struct scratch *s, enum store_codec codec, const uint8_t *data, uint32_t len,
				const struct store_base *base, uint32_t *ends)
{
	uint32_t fill = 0, limit = len - len / 8;
	for (uint32_t i = 0; i < chunk_count(len); i++) {
		const uint8_t *chunk = data + i * CHUNK_BYTES;
		uint32_t plain = chunk_plain(len, i), at, kept = base_chunk(base, i, plain, &at);
		if (kept) {
			memcpy(s->block + fill, base->blob.payload + at, kept);
			fill += kept;
			ends[i] = fill;
			continue;
		}
		size_t n = codec_compress(s, codec, chunk, plain, s->block + fill, plain - plain / 8);
		if (!n || n >= plain) {
			memcpy(s->block + fill, chunk, plain);
			n = plain;
		}
		fill += (uint32_t)n;
		ends[i] = fill;
	}
	return fill < len && fill <= limit ? fill : 0;
}

/* Layout of a blob's memory: payload, then the chunk table.  ends: of the chunks in the payload, if there is a codec. */
static int blob_fill(struct store_blob *b, const uint8_t *data, const uint8_t *payload, uint32_t payload_len, uint8_t codec,
		     const uint32_t *ends)
{
	uint32_t table_len = record_table_len(codec, b->len), entry = chunk_entry_bytes(codec);
	uint8_t *p = malloc(payload_len + table_len);
	if (!p)
		return -ENOMEM;
	memcpy(p, payload, payload_len);
	for (uint32_t i = 0; i < table_len / entry; i++) {
		uint8_t *e = p + payload_len + i * entry;
		put_le32(e, chunk_sum(data + i * CHUNK_BYTES, chunk_plain(b->len, i)));
		if (codec != STORE_NONE)
			put_le32(e + CHUNK_SUM_BYTES, ends[i]);
	}
	b->payload = p;
	b->payload_len = payload_len;
	b->payload_sum = checksum64(p, payload_len);
	b->codec = codec;
	return 0;
}

int store_encode(struct store *st, const void *data, size_t len, const uint8_t hash[HASH_BYTES], const struct store_base *base,
		 struct store_blob *out)
{
	struct scratch *s = NULL;
	uint32_t ends[CHUNKS_MAX], packed = 0;
	memset(out, 0, sizeof(*out));
	if (!len || len > st->cfg.block_size)
		return -EINVAL;
	if (st->cfg.codec != STORE_NONE) {
		s = scratch_get(&st->scratch);
		if (!s)
			return -ENOMEM;
		packed = compress_chunks(s, st->cfg.codec, data, (uint32_t)len, base, ends);
	}
	memcpy(out->hash, hash, HASH_BYTES);
	out->len = (uint32_t)len;
	int r = packed ? blob_fill(out, data, s->block, packed, (uint8_t)st->cfg.codec, ends)
		       : blob_fill(out, data, data, (uint32_t)len, STORE_NONE, NULL);
	scratch_put(&st->scratch, s);
	return r;
}

void store_blob_release(struct store_blob *b)
{
	free(b->payload);
	b->payload = NULL;
}

/* ---- append and sync ---- */

int store_append(struct store *st, const struct store_blob *b, struct store_loc *loc)
{
	struct tail *t = &st->tail;
	uint64_t off;
	if (atomic_load(&st->poisoned))
		return -EIO;
	if (!b->payload || !b->len || b->len > st->cfg.block_size || !b->payload_len || b->payload_len > b->len)
		return -EINVAL;
	uint32_t table_len = record_table_len(b->codec, b->len);
	uint32_t stored = record_stored(table_len, b->payload_len);
	if (t->fill >= FLUSH_BYTES) {
		int r = flush(st, false);
		if (r < 0)
			return r;
	}
	int r = space_take(&st->space, stored, &off);
	if (r == -EAGAIN) {
		r = next_pack(st, stored);
		if (r == 0)
			r = space_take(&st->space, stored, &off);
	}
	if (r < 0)
		return r;
	KAGEFS_ASSERT(off == t->base + t->fill);

	const uint8_t *table = b->payload + b->payload_len;
	struct record rec = { .hash_algo = (uint8_t)st->cfg.hash_algo, .codec = b->codec, .len = b->len,
			      .payload_len = b->payload_len, .stored = stored, .pack = t->pack->num, .off = off,
			      .nonce = t->nonce, .id = b->id, .payload_sum = b->payload_sum, .table_len = table_len };
	memcpy(rec.hash, b->hash, HASH_BYTES);
	/* Beyond `fill` nobody reads, so the copy needs no lock. */
	uint8_t *p = t->buf + t->fill;
	record_encode(&rec, table, p);
	p += RECORD_HEADER_BYTES;
	memcpy(p, table, table_len);
	p += table_len;
	memcpy(p, b->payload, b->payload_len);
	p += b->payload_len;
	memset(p, 0, (size_t)(t->buf + t->fill + stored - p));
	pthread_mutex_lock(&t->lock);
	t->fill += stored;
	pthread_mutex_unlock(&t->lock);

	if (table_len)
		sums_insert(&st->sums, rec.pack, off, b->hash, table, table_len);
	stat_add(&st->stats.appended_blocks, 1);
	stat_add(&st->stats.appended_plain_bytes, b->len);
	stat_add(&st->stats.appended_stored_bytes, stored);
	*loc = (struct store_loc){ .pack = rec.pack, .off = off, .stored = stored, .len = b->len, .codec = b->codec };
	return 0;
}

int store_sync(struct store *st)
{
	struct tail *t = &st->tail;
	int r = store_flush(st);
	if (r < 0)
		return r;
	stat_add(&st->stats.syncs, 1);
	while (st->ndirty) {
		struct pack *p = st->dirty[st->ndirty - 1];
		r = io_sync(p->file);
		if (r < 0)
			return poison(st, "flushing a pack", r);
		st->ndirty--;
		packs_put(&st->packs, p);
	}
	if (t->dirty) {
		r = io_sync(t->pack->file);
		if (r < 0)
			return poison(st, "flushing a pack", r);
		t->dirty = false;
	}
	if (st->dir_dirty) {
		r = io_sync_dir(st->io, PACKS_DIR);
		if (r < 0)
			return poison(st, "flushing the directory of packs", r);
		st->dir_dirty = false;
	}
	return 0;
}
