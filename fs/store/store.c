/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and closing, the list of packs, and the small change.  Appending is in append.c, reading in get.c. */
#include "fs/store/store.h"

#include <string.h>

#include "fs/store/store_priv.h"

#define PACK_BYTES_DEFAULT (256ull << 20)
#define OPEN_PACKS_MAX 256
/* Chunk tables of 13 GB of plain 64 KiB blocks. */
#define SUMS_BYTES_DEFAULT (32u << 20)
/* A crash leaves allocated space behind the pack it was appending to and the one finished before; later syncs have made the
 * truncation of older ones durable. */
#define PACKS_TO_TIDY 3

struct pack_list {
	uint32_t *nums; /* owned */
	size_t n, cap;
};

static int add_name(void *arg, const char *name)
{
	struct pack_list *l = arg;
	uint32_t num = pack_name_parse(name);
	if (!num)
		return 0; /* somebody else's file */
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint32_t *bigger = realloc(l->nums, cap * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		l->nums = bigger;
		l->cap = cap;
	}
	l->nums[l->n++] = num;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* l->nums is the caller's to free, also after a failure. */
static int list_packs(struct io *io, struct pack_list *l)
{
	*l = (struct pack_list){ 0 };
	int r = io_list(io, PACKS_DIR, add_name, l);
	if (r == 0 && l->n)
		qsort(l->nums, l->n, sizeof(*l->nums), ascending);
	return r;
}

static int pack_size(struct store *st, uint32_t num, uint64_t *size)
{
	struct pack *p;
	int r = packs_get(&st->packs, num, &p);
	if (r < 0)
		return r;
	r = io_size(p->file, size);
	packs_put(&st->packs, p);
	return r;
}

static void give_back_tail(struct store *st, uint32_t num, uint64_t size)
{
	struct pack *p;
	if (packs_get(&st->packs, num, &p) < 0)
		return;
	(void)!io_truncate(p->file, size); /* at worst the space stays allocated */
	packs_put(&st->packs, p);
}

/* The highest packs may be empty (made ahead) or have space allocated behind their end. */
static int tidy(struct store *st, const struct pack_list *l)
{
	int seen = 0;
	for (size_t i = l->n; i-- > 0 && seen < PACKS_TO_TIDY;) {
		uint64_t size;
		int r = pack_size(st, l->nums[i], &size);
		if (r < 0)
			return r;
		if (size) {
			give_back_tail(st, l->nums[i], size);
			seen++;
			continue;
		}
		r = packs_remove(&st->packs, l->nums[i]);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int store_format(struct io *io)
{
	int r = io_mkdir(io, PACKS_DIR);
	if (r == 0)
		r = io_sync_dir(io, PACKS_DIR);
	return r == 0 ? io_sync_dir(io, ".") : r;
}

static int config_check(const struct store_config *cfg)
{
	uint32_t b = cfg->block_size;
	if (b < BLOCK_BYTES_MIN || b > BLOCK_BYTES_MAX || (b & (b - 1)) || (unsigned)cfg->codec > STORE_ZSTD)
		return -EINVAL;
	return hash_available(cfg->hash_algo) ? 0 : -EOPNOTSUPP;
}

int store_open(struct io *io, const struct store_config *cfg, uint32_t last_pack, struct store **out)
{
	struct pack_list list;
	int r = config_check(cfg);
	if (r < 0)
		return r;
	struct store *st = calloc(1, sizeof(*st));
	if (!st)
		return -ENOMEM;
	st->io = io;
	st->cfg = *cfg;
	st->record_max = record_stored_max(cfg->block_size);
	if (!st->cfg.pack_bytes)
		st->cfg.pack_bytes = PACK_BYTES_DEFAULT;
	st->cfg.pack_bytes = MAX(st->cfg.pack_bytes, (uint64_t)PACK_HEADER_BYTES + 4 * st->record_max);
	st->cfg.pack_bytes = (st->cfg.pack_bytes + PACK_PAGE - 1) / PACK_PAGE * PACK_PAGE;
	packs_init(&st->packs, io, OPEN_PACKS_MAX);
	scratch_pool_init(&st->scratch, st->record_max, cfg->block_size);
	streams_init(&st->streams, st->cfg.stream_bytes, st->record_max);
	space_init(&st->space, &st->packs, st->cfg.pack_bytes, st->record_max, 0);
	r = sums_init(&st->sums, cfg->sums_bytes ? cfg->sums_bytes : SUMS_BYTES_DEFAULT, record_table_len(cfg->codec, cfg->block_size));
	if (r == 0)
		r = tail_init(&st->tail, st->record_max);
	if (r == 0) {
		r = list_packs(io, &list);
		uint32_t highest = MAX(last_pack, r == 0 && list.n ? list.nums[list.n - 1] : 0);
		if (r == 0 && highest == UINT32_MAX)
			r = -EINVAL;
		if (r == 0)
			r = tidy(st, &list);
		st->space.next_num = highest + 1;
		free(list.nums);
	}
	if (r < 0)
		store_close(st);
	else
		*out = st;
	return r;
}

void store_close(struct store *st)
{
	if (!st)
		return;
	struct pack *cur = space_release(&st->space);
	if (cur) {
		uint64_t end = st->tail.base + st->tail.written;
		uint32_t num = cur->num;
		if (end)
			(void)!io_truncate(cur->file, end); /* space behind it; the next open would do it too */
		packs_put(&st->packs, cur);
		if (!end)
			(void)!packs_remove(&st->packs, num);
	}
	for (size_t i = 0; i < st->ndirty; i++)
		packs_put(&st->packs, st->dirty[i]);
	free(st->dirty);
	tail_release(&st->tail);
	sums_release(&st->sums);
	streams_release(&st->streams);
	scratch_pool_release(&st->scratch);
	packs_release(&st->packs);
	free(st);
}

int store_hash(struct store *st, const void *data, size_t len, uint8_t hash[HASH_BYTES])
{
	return hash_content(st->cfg.hash_algo, data, len, hash);
}

uint32_t store_stored_max(const struct store *st, uint32_t len)
{
	(void)st;
	return record_stored_max(len);
}

int store_reserve(struct store *st, uint64_t bytes)
{
	return space_reserve(&st->space, bytes);
}

int store_owe(struct store *st, uint64_t bytes)
{
	return space_owe(&st->space, bytes);
}

bool store_reserve_ready(struct store *st, uint64_t bytes)
{
	return space_reserve_ready(&st->space, bytes);
}

void store_unreserve(struct store *st, uint64_t bytes)
{
	space_unreserve(&st->space, bytes);
}

int store_list_packs(struct store *st, int (*cb)(void *arg, const struct store_pack_info *info), void *arg)
{
	struct pack_list list;
	int r = list_packs(st->io, &list);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		struct store_pack_info info = { .pack = list.nums[i] };
		info.current = store_tail_end(st, info.pack, &info.bytes);
		if (!info.current)
			r = pack_size(st, info.pack, &info.bytes);
		if (r == -ENOENT || (r == 0 && !info.bytes)) {
			r = 0; /* a spare, perhaps just given back */
			continue;
		}
		if (r == 0)
			r = cb(arg, &info);
	}
	free(list.nums);
	return r;
}

void store_get_stats(struct store *st, struct store_stats *out)
{
	out->appended_blocks = atomic_load(&st->stats.appended_blocks);
	out->appended_plain_bytes = atomic_load(&st->stats.appended_plain_bytes);
	out->appended_stored_bytes = atomic_load(&st->stats.appended_stored_bytes);
	out->read_blocks = atomic_load(&st->stats.read_blocks);
	out->read_bytes = atomic_load(&st->stats.read_bytes);
	out->verify_failures = atomic_load(&st->stats.verify_failures);
	out->reserved_bytes = atomic_load(&st->space.reserved);
	out->allocated_ahead_bytes = atomic_load(&st->space.ahead);
	out->syncs = atomic_load(&st->stats.syncs);
	sums_count(&st->sums, &out->sums_hits, &out->sums_misses);
	out->sums_bytes = st->sums.slots ? st->sums.nsets * SUMS_WAYS * st->sums.slot_bytes : 0;
}
