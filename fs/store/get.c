/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading one block.  Two ways: the whole record, verified by the sum of its payload; or, for part of a block, only the chunks
 * that are touched, verified by the chunk table, which comes from memory or from the record's header.  (Many blocks: stream.c.)
 * The hash is recomputed only for who asks whether a block is what its name says.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/store_priv.h"

/* When the table must come from the disk, one request of up to this size fetches header and chunks together; two small
 * ones cost twice the latency. */
#define ONE_READ_BYTES (16u << 10)

static int damaged(struct store *st, const struct store_loc *loc, const char *what)
{
	stat_add(&st->stats.verify_failures, 1);
	msg(LOG_ERR, "store: damaged block: pack=%08x off=%llu stored=%u len=%u: %s", loc->pack, (unsigned long long)loc->off,
	    loc->stored, loc->len, what);
	return -EUCLEAN;
}

bool store_loc_valid(const struct store *st, const struct store_loc *loc)
{
	return loc->pack && loc->off >= PACK_HEADER_BYTES && loc->off <= INT64_MAX / 2 && loc->off % PACK_ALIGN == 0 &&
	       loc->len && loc->len <= st->cfg.block_size && loc->codec <= STORE_ZSTD && loc->stored % PACK_ALIGN == 0 &&
	       loc->stored >= record_stored(record_table_len(loc->codec, loc->len), 1) && loc->stored <= st->record_max;
}

static int read_exact(struct store *st, struct pack *p, const struct store_loc *loc, void *buf, size_t len, uint64_t off)
{
	ssize_t n = store_pread(st, p, buf, len, off);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : damaged(st, loc, "the pack ends before it");
}

/* buf holds at least header and chunk table. */
static int check_header(struct store *st, const struct store_loc *loc, const uint8_t *hash, const uint8_t *buf,
			struct record *rec)
{
	if (record_decode(rec, buf) < 0 || rec->stored != loc->stored || rec->len != loc->len || rec->codec != loc->codec)
		return damaged(st, loc, "no such record header");
	if (record_verify(rec, buf, buf + RECORD_HEADER_BYTES) < 0)
		return damaged(st, loc, "header checksum");
	if (rec->pack != loc->pack || rec->off != loc->off)
		return damaged(st, loc, "a record of another place");
	return memcmp(rec->hash, hash, HASH_BYTES) ? damaged(st, loc, "another block's record") : 0;
}

/* Chunks [first, end) of a block, from the payload's bytes that begin at `base`, into out.  table: the entries from chunk
 * `first` on.  -EUCLEAN: a chunk does not expand. */
static int expand_chunks(struct scratch *s, const struct store_loc *loc, const uint8_t *table, uint32_t first, uint32_t end,
			 const uint8_t *stored, uint32_t base, uint8_t *out)
{
	uint32_t start = 0;
	for (uint32_t i = first; i < end; i++) {
		uint32_t plain = chunk_plain(loc->len, i);
		uint32_t n = get_le32(table + (i - first) * CHUNK_ENTRY_BYTES_MAX + CHUNK_SUM_BYTES) - base - start;
		uint8_t *to = out + (size_t)(i - first) * CHUNK_BYTES;
		int r = 0;
		if (n == plain)
			memcpy(to, stored + start, plain);
		else
			r = codec_expand(s, loc->codec, stored + start, n, to, plain);
		if (r < 0)
			return r;
		start += n;
	}
	return 0;
}

/* Only what store_encode can take over: chunks compressed as this store does it. */
static void keep_stored(const struct store *st, const struct record *rec, const uint8_t *payload, struct store_blob *keep)
{
	if (rec->codec == STORE_NONE || rec->codec != st->cfg.codec || !rec->table_len)
		return;
	keep->payload = malloc(rec->payload_len + rec->table_len);
	if (!keep->payload)
		return;
	memcpy(keep->payload, payload, rec->payload_len);
	memcpy(keep->payload + rec->payload_len, payload - rec->table_len, rec->table_len);
	memcpy(keep->hash, rec->hash, HASH_BYTES);
	keep->len = rec->len;
	keep->payload_len = rec->payload_len;
	keep->payload_sum = rec->payload_sum;
	keep->codec = (uint8_t)rec->codec;
}

int store_unpack(struct store *st, const struct store_loc *loc, const uint8_t *hash, struct scratch *s, const uint8_t *record,
		 uint8_t *out, struct store_blob *keep)
{
	struct record rec;
	int r = check_header(st, loc, hash, record, &rec);
	if (r < 0)
		return r;
	const uint8_t *table = record + RECORD_HEADER_BYTES, *payload = table + rec.table_len;
	if (checksum64(payload, rec.payload_len) != rec.payload_sum)
		return damaged(st, loc, "checksum of the payload");
	if (rec.codec == STORE_NONE)
		memcpy(out, payload, rec.len);
	else if (rec.table_len)
		r = expand_chunks(s, loc, table, 0, chunk_count(rec.len), payload, 0, out);
	else
		r = codec_expand(s, rec.codec, payload, rec.payload_len, out, rec.len);
	if (r == -EUCLEAN)
		return damaged(st, loc, "does not decompress");
	if (r < 0)
		return r;
	if (rec.table_len)
		sums_insert(&st->sums, loc->pack, loc->off, hash, table, rec.table_len);
	if (keep)
		keep_stored(st, &rec, payload, keep);
	return 0;
}

/* The whole plain block into out (loc->len bytes). */
static int get_whole(struct store *st, struct pack *p, const struct store_loc *loc, const uint8_t *hash, struct scratch *s,
		     uint8_t *out)
{
	int r = read_exact(st, p, loc, s->record, loc->stored, loc->off);
	return r < 0 ? r : store_unpack(st, loc, hash, s, s->record, out, NULL);
}

static bool chunks_fit(const struct store_loc *loc, const uint8_t *table, uint32_t first, uint32_t end, const uint8_t *bytes)
{
	for (uint32_t i = first; i < end; i++) {
		uint32_t sum = chunk_sum(bytes + (size_t)(i - first) * CHUNK_BYTES, chunk_plain(loc->len, i));
		if (sum != get_le32(table + (i - first) * chunk_entry_bytes(loc->codec)))
			return false;
	}
	return true;
}

/* Where chunk i begins in the payload.  table: its entries from chunk `first` on, first < i or i = 0 or no codec. */
static uint32_t chunk_start(const struct store_loc *loc, const uint8_t *table, uint32_t first, uint32_t i)
{
	if (loc->codec == STORE_NONE)
		return MIN(i * CHUNK_BYTES, loc->len);
	return i ? get_le32(table + (i - 1 - first) * CHUNK_ENTRY_BYTES_MAX + CHUNK_SUM_BYTES) : 0;
}

/* Bytes [off, off + n), inside a block with a chunk table.  s->record takes what is stored; the plain chunks go straight to
 * the caller when they are whole, else through s->block. */
static int get_part(struct store *st, struct pack *p, const struct store_loc *loc, const uint8_t *hash, struct scratch *s,
		    uint32_t off, uint32_t n, uint8_t *out)
{
	uint32_t table_len = record_table_len(loc->codec, loc->len), entry = chunk_entry_bytes(loc->codec);
	uint32_t first = off / CHUNK_BYTES, end = (off + n - 1) / CHUNK_BYTES + 1;
	uint32_t from = first * CHUNK_BYTES, to = MIN(end * CHUNK_BYTES, loc->len);
	uint32_t data = RECORD_HEADER_BYTES + table_len;
	/* A compressed chunk begins where the one before ends: that entry is needed too. */
	uint32_t known = loc->codec != STORE_NONE && first ? first - 1 : first;
	uint8_t entries[CHUNK_TABLE_BYTES_MAX], *table = entries;
	uint8_t *plain = from == off && to == off + n ? out : s->block;
	uint8_t *stored = loc->codec == STORE_NONE ? plain : s->record;
	uint32_t have = 0; /* bytes of the record that are in s->record */
	int r = 0;

	if (!sums_find(&st->sums, loc->pack, loc->off, hash, known * entry, (end - known) * entry, entries)) {
		struct record rec;
		/* No stored chunk is longer than its plain bytes, so they end before data + to. */
		have = data + to <= ONE_READ_BYTES ? MIN(data + to, loc->stored) : data;
		r = read_exact(st, p, loc, s->record, have, loc->off);
		if (r == 0)
			r = check_header(st, loc, hash, s->record, &rec);
		if (r < 0)
			return r;
		memcpy(entries, s->record + RECORD_HEADER_BYTES + known * entry, (end - known) * entry);
		sums_insert(&st->sums, loc->pack, loc->off, hash, s->record + RECORD_HEADER_BYTES, table_len);
	}
	uint32_t lo = chunk_start(loc, entries, known, first), hi = chunk_start(loc, entries, known, end);
	table += (first - known) * entry;
	if (have >= data + hi)
		stored = s->record + data + lo;
	else
		r = read_exact(st, p, loc, stored, hi - lo, loc->off + data + lo);
	if (r == 0 && loc->codec != STORE_NONE) {
		r = expand_chunks(s, loc, table, first, end, stored, lo, plain);
		if (r == -EUCLEAN)
			return damaged(st, loc, "does not decompress");
	} else {
		plain = stored;
	}
	if (r < 0)
		return r;
	if (!chunks_fit(loc, table, first, end, plain))
		return damaged(st, loc, "chunk checksum");
	if (plain != out)
		memcpy(out, plain + (off - from), n);
	return 0;
}

int store_get(struct store *st, const struct store_loc *loc, const uint8_t hash[HASH_BYTES], size_t off, size_t n, void *buf)
{
	struct pack *p;
	if (!store_loc_valid(st, loc))
		return damaged(st, loc, "no such place can be");
	size_t have = off >= loc->len ? 0 : MIN(n, loc->len - off);
	memset((uint8_t *)buf + have, 0, n - have);
	if (!have)
		return 0;
	int r = packs_get(&st->packs, loc->pack, &p);
	if (r < 0)
		return r;
	struct scratch *s = scratch_get(&st->scratch);
	if (!s) {
		packs_put(&st->packs, p);
		return -ENOMEM;
	}
	if (have == loc->len) {
		r = get_whole(st, p, loc, hash, s, buf);
	} else if (record_table_len(loc->codec, loc->len)) {
		r = get_part(st, p, loc, hash, s, (uint32_t)off, (uint32_t)have, buf);
	} else {
		r = get_whole(st, p, loc, hash, s, s->block);
		if (r == 0)
			memcpy(buf, s->block + off, have);
	}
	scratch_put(&st->scratch, s);
	packs_put(&st->packs, p);
	if (r == 0) {
		stat_add(&st->stats.read_blocks, 1);
		stat_add(&st->stats.read_bytes, have);
	}
	return r;
}

int store_prove(struct store *st, const struct store_loc *loc, const uint8_t hash[HASH_BYTES], void *buf)
{
	uint8_t found[HASH_BYTES];
	int r = store_get(st, loc, hash, 0, st->cfg.block_size, buf);
	if (r == 0)
		r = store_hash(st, buf, loc->len, found);
	if (r == 0 && memcmp(found, hash, HASH_BYTES))
		r = damaged(st, loc, "hash, though the bytes are those that were written");
	return r;
}
