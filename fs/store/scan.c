/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walking a pack.  Where a valid record lies, the next begins at its end; anywhere else every multiple of PACK_ALIGN is
 * tried.  What makes that safe is said in pack_format.h.
 */
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/store_priv.h"

/* The largest header with its chunk table. */
#define HEADER_MAX (RECORD_HEADER_BYTES + CHUNK_TABLE_BYTES_MAX)
#define WINDOW_BYTES (256u << 10)

struct walk {
	struct store *st;
	struct pack *pack;
	uint64_t size;
	uint64_t nonce; /* 0: the pack header is damaged, the first valid record tells */
	uint8_t *buf;
	uint64_t buf_off;
	size_t buf_len;
};

/* At least HEADER_MAX bytes at pos, or all up to the end. */
static int window(struct walk *w, uint64_t pos)
{
	uint64_t want = MIN(pos + HEADER_MAX, w->size);
	if (pos >= w->buf_off && want <= w->buf_off + w->buf_len)
		return 0;
	ssize_t n = store_pread(w->st, w->pack, w->buf, (size_t)MIN((uint64_t)WINDOW_BYTES, w->size - pos), pos);
	if (n < 0)
		return (int)n;
	w->buf_off = pos;
	w->buf_len = (size_t)n;
	if (pos + (uint64_t)n < want)
		w->size = pos + (uint64_t)n; /* shorter than it said */
	return 0;
}

static bool record_at(struct walk *w, uint64_t pos, struct record *rec)
{
	size_t at = pos - w->buf_off, have = w->buf_len - at;
	const uint8_t *p = w->buf + at;
	if (have < RECORD_HEADER_BYTES || get_le32(p) != RECORD_MAGIC || record_decode(rec, p) < 0)
		return false;
	if (rec->pack != w->pack->num || rec->off != pos || rec->stored > w->size - pos || !rec->nonce)
		return false;
	if (w->nonce && rec->nonce != w->nonce)
		return false;
	return have >= RECORD_HEADER_BYTES + rec->table_len && record_verify(rec, p, p + RECORD_HEADER_BYTES) == 0;
}

/* The next position at or after pos, inside the window, where a record could begin. */
static uint64_t skip(const struct walk *w, uint64_t pos)
{
	uint64_t end = w->buf_off + w->buf_len;
	while (pos + 4 <= end && get_le32(w->buf + (pos - w->buf_off)) != RECORD_MAGIC)
		pos += PACK_ALIGN;
	return pos;
}

static int walk_records(struct walk *w, int (*cb)(void *arg, const struct store_record *rec), void *arg)
{
	struct record rec;
	uint64_t pos = PACK_HEADER_BYTES;
	while (pos + RECORD_HEADER_BYTES < w->size) {
		int r = window(w, pos);
		if (r < 0)
			return r;
		if (pos + RECORD_HEADER_BYTES >= w->size)
			break;
		if (!record_at(w, pos, &rec)) {
			pos = skip(w, pos + PACK_ALIGN);
			continue;
		}
		w->nonce = rec.nonce;
		struct store_record out = { .loc = { .pack = rec.pack, .off = pos, .stored = rec.stored, .len = rec.len,
						     .codec = rec.codec },
					    .id = rec.id, .hash_algo = rec.hash_algo };
		memcpy(out.hash, rec.hash, HASH_BYTES);
		r = cb(arg, &out);
		if (r)
			return r;
		pos += rec.stored;
	}
	return 0;
}

static int read_header(struct walk *w)
{
	struct pack_header h;
	ssize_t n = store_pread(w->st, w->pack, w->buf, PACK_HEADER_BYTES, 0);
	if (n < 0)
		return (int)n;
	int r = n == PACK_HEADER_BYTES ? pack_header_decode(&h, w->buf) : -EUCLEAN;
	if (r == 0 && h.pack != w->pack->num)
		r = -EUCLEAN;
	if (r == 0)
		w->nonce = h.nonce;
	else if (r == -EUCLEAN && w->size)
		msg(LOG_WARNING, "store: damaged pack header: pack=%08x", w->pack->num);
	return r == -EUCLEAN ? 0 : r;
}

int store_scan(struct store *st, uint32_t pack, int (*cb)(void *arg, const struct store_record *rec), void *arg)
{
	struct walk w = { .st = st };
	int r = packs_get(&st->packs, pack, &w.pack);
	if (r < 0)
		return r;
	w.buf = malloc(WINDOW_BYTES);
	r = w.buf ? 0 : -ENOMEM;
	if (r == 0 && !store_tail_end(st, pack, &w.size))
		r = io_size(w.pack->file, &w.size);
	if (r == 0)
		r = read_header(&w);
	if (r == 0)
		r = walk_records(&w, cb, arg);
	free(w.buf);
	packs_put(&st->packs, w.pack);
	return r;
}
