/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Giving space back: single records by punching, whole packs by removal. */
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/store_priv.h"

static bool zeros(struct pack *p, uint64_t off, size_t len)
{
	uint8_t buf[PACK_PAGE];
	ssize_t n = io_pread(p->file, buf, len, off);
	if (n < 0 || (size_t)n != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

/* A caller with a wrong idea of the place must not get living data zeroed.  Zeros and damage may be freed. */
static int check_place(struct pack *p, uint32_t pack, uint64_t off, uint32_t stored)
{
	uint8_t buf[RECORD_HEADER_BYTES];
	struct record rec;
	ssize_t n = io_pread(p->file, buf, sizeof(buf), off);
	if (n < 0)
		return (int)n;
	if ((size_t)n < sizeof(buf) || record_decode(&rec, buf) < 0 || rec.pack != pack || rec.off != off)
		return 0;
	if (rec.stored == stored)
		return 0;
	msg(LOG_ERR, "store: not freeing a record of another size: pack=%08x off=%llu stored=%u, found=%u", pack,
	    (unsigned long long)off, stored, rec.stored);
	return -EUCLEAN;
}

/* The next store_sync makes the pack's punched ranges durable: only then may the rows that remember them go, or a power cut
 * would bring back bytes that nobody knows of. */
static int mark_dirty(struct store *st, struct pack *p)
{
	struct pack *ref;
	int r;

	if (p == st->tail.pack) {
		st->tail.dirty = true;
		return 0;
	}
	for (size_t i = 0; i < st->ndirty; i++)
		if (st->dirty[i] == p)
			return 0;
	r = store_room_for_dirty(st);
	if (r == 0)
		r = packs_get(&st->packs, p->num, &ref);
	if (r == 0)
		st->dirty[st->ndirty++] = ref;
	return r;
}

static int punch(struct store *st, struct pack *p, uint64_t off, uint64_t stored)
{
	static atomic_bool said;
	uint64_t start = off, end = off + stored, size;
	int r = io_size(p->file, &size);
	if (r < 0)
		return r;
	end = MIN(end, size);
	if (start >= end)
		return 0;
	/* Take in what is left of the first and the last page when it is zeros; see pack_format.h.  Not beyond the end of
	 * what is written: there the pack goes on, in space that is promised. */
	uint64_t first = start / PACK_PAGE * PACK_PAGE, last = (end + PACK_PAGE - 1) / PACK_PAGE * PACK_PAGE;
	if (first < start && zeros(p, first, start - first))
		start = first;
	if (last > end && last <= size && zeros(p, end, last - end))
		end = last;
	r = io_punch(p->file, start, end - start);
	if (r == -EOPNOTSUPP) {
		if (!atomic_exchange(&said, true))
			msg(LOG_WARNING, "store: the underlying file system cannot punch: only whole packs are given back");
		r = 0;
	}
	if (r == 0)
		r = mark_dirty(st, p);
	return r;
}

bool store_place_ok(const struct store *st, uint32_t pack, uint64_t off, uint32_t stored)
{
	return pack && off >= PACK_HEADER_BYTES && off <= INT64_MAX / 2 && off % PACK_ALIGN == 0 && stored && stored % PACK_ALIGN == 0 &&
	       stored <= st->record_max;
}

static unsigned run_length(const struct store_place *v, unsigned n)
{
	unsigned run = 1;
	while (run < n && v[run].pack == v[0].pack && v[run].off == v[run - 1].off + v[run - 1].stored)
		run++;
	return run;
}

/* Every header is looked at before its record goes, and few of them are in memory. */
static void prefetch_run(struct store *st, const struct store_place *v, unsigned n)
{
	struct pack *p;
	if (packs_get(&st->packs, v[0].pack, &p) < 0)
		return; /* who frees it says why */
	for (unsigned i = 0; i < n; i++)
		io_prefetch(p->file, v[i].off, RECORD_HEADER_BYTES);
	packs_put(&st->packs, p);
}

/* Records that lie one behind the other. */
static int free_run(struct store *st, const struct store_place *v, unsigned n)
{
	uint32_t pack = v[0].pack;
	uint64_t off = v[0].off, len = v[n - 1].off + v[n - 1].stored - off, end;
	struct pack *p;
	if (store_tail_end(st, pack, &end) && off + len > st->tail.base) {
		int r = off + len > end ? -EINVAL : store_flush(st);
		if (r < 0)
			return r;
	}
	int r = packs_get(&st->packs, pack, &p);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = check_place(p, pack, v[i].off, v[i].stored);
	if (r == 0)
		r = punch(st, p, off, len);
	if (r == 0)
		store_tail_zero(st, pack, off, len);
	packs_put(&st->packs, p);
	return r;
}

int store_free_many(struct store *st, const struct store_place *v, unsigned n)
{
	int r = 0;
	for (unsigned i = 0; i < n; i++)
		if (!store_place_ok(st, v[i].pack, v[i].off, v[i].stored))
			return -EINVAL;
	for (unsigned i = 0, run; n > 1 && i < n; i += run) {
		run = run_length(v + i, n - i);
		prefetch_run(st, v + i, run);
	}
	for (unsigned i = 0, run; r == 0 && i < n; i += run) {
		run = run_length(v + i, n - i);
		r = free_run(st, v + i, run);
	}
	return r;
}

int store_free(struct store *st, uint32_t pack, uint64_t off, uint32_t stored)
{
	return store_free_many(st, &(struct store_place){ .pack = pack, .off = off, .stored = stored }, 1);
}

int store_drop_pack(struct store *st, uint32_t pack)
{
	uint64_t end;
	if (!pack)
		return -EINVAL;
	if (store_tail_end(st, pack, &end) || space_owns(&st->space, pack))
		return -EBUSY;
	int r = packs_remove(&st->packs, pack);
	if (r == 0)
		st->dir_dirty = true;
	if (r < 0 && r != -ENOENT)
		return r;
	/* No use making durable what is gone. */
	for (size_t i = 0; i < st->ndirty; i++) {
		if (st->dirty[i]->num == pack) {
			packs_put(&st->packs, st->dirty[i]);
			st->dirty[i] = st->dirty[--st->ndirty];
			break;
		}
	}
	return 0;
}
