/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading many whole blocks.  Those whose records lie close together, as those of a file written in order do, are fetched with
 * one request past the page cache: a sequential reader is served at the disk's speed, without a second copy of everything in
 * memory and without pushing out what others need.  Each block is verified as store_get does it.
 */
#include "fs/store/stream.h"

#include <string.h>

#include "fs/store/store_priv.h"

#define STREAM_BYTES ((1u << 20) + (64u << 10)) /* a mebibyte of plain blocks with their headers */
#define STREAM_BUDGET_DEFAULT (8u << 20)
/* A gap this small is read along: cheaper than another request. */
#define GAP_BYTES (64u << 10)

void streams_init(struct streams *s, uint64_t budget_bytes, uint32_t record_max)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	s->bytes = (MAX(STREAM_BYTES, record_max + 2u * IO_ALIGN) + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
	s->max = (unsigned)MAX((budget_bytes ? budget_bytes : STREAM_BUDGET_DEFAULT) / s->bytes, 1);
}

void streams_release(struct streams *s)
{
	while (s->free) {
		struct stream *b = s->free;
		s->free = b->next;
		free(b->bytes);
		free(b);
	}
	pthread_mutex_destroy(&s->lock);
}

static struct stream *stream_new(size_t bytes)
{
	struct stream *b = calloc(1, sizeof(*b));
	void *p = NULL;
	if (!b || posix_memalign(&p, IO_ALIGN, bytes)) {
		free(b);
		return NULL;
	}
	b->bytes = p;
	return b;
}

/* NULL: all are in use, or no memory. */
static struct stream *stream_get(struct streams *s)
{
	pthread_mutex_lock(&s->lock);
	struct stream *b = s->free;
	bool make = !b && s->made < s->max;
	if (b)
		s->free = b->next;
	s->made += make;
	pthread_mutex_unlock(&s->lock);
	if (!make)
		return b;
	b = stream_new(s->bytes);
	if (!b) {
		pthread_mutex_lock(&s->lock);
		s->made--;
		pthread_mutex_unlock(&s->lock);
	}
	return b;
}

static void stream_put(struct streams *s, struct stream *b)
{
	pthread_mutex_lock(&s->lock);
	b->next = s->free;
	s->free = b;
	pthread_mutex_unlock(&s->lock);
}

static uint64_t align_down(uint64_t off)
{
	return off / IO_ALIGN * IO_ALIGN;
}
static uint64_t align_up(uint64_t off)
{
	return align_down(off + IO_ALIGN - 1);
}

/* How many of the blocks, from the first on, one request can fetch; 0: the first one only the usual way. */
static unsigned span(const struct store *st, const struct store_want *v, unsigned n)
{
	uint64_t from = v[0].loc.off, end = from;
	unsigned k = 0;
	/* The current pack's end is not in its file yet. */
	if (atomic_load(&st->tail.pack_num) == v[0].loc.pack)
		return 0;
	for (; k < n; k++) {
		const struct store_loc *l = &v[k].loc;
		if (!store_loc_valid(st, l) || l->pack != v[0].loc.pack || l->off < end || l->off - end > (k ? GAP_BYTES : 0) ||
		    align_up(l->off + l->stored) - align_down(from) > st->streams.bytes)
			break;
		end = l->off + l->stored;
	}
	return k;
}

static int get_span(struct store *st, struct pack *p, struct stream *b, struct scratch *s, const struct store_want *v, unsigned n)
{
	const struct store_loc *last = &v[n - 1].loc;
	uint64_t from = align_down(v[0].loc.off), end = last->off + last->stored;
	ssize_t got = io_pread_stream(p->file, b->bytes, align_up(end) - from, from);
	int r = got < 0 ? (int)got : (uint64_t)got < end - from ? -EUCLEAN : 0;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		const struct store_loc *l = &v[i].loc;
		r = store_unpack(st, l, v[i].hash, s, b->bytes + (l->off - from), v[i].buf, v[i].keep);
		if (r == 0) {
			memset((uint8_t *)v[i].buf + l->len, 0, st->cfg.block_size - l->len);
			stat_add(&st->stats.read_blocks, 1);
			stat_add(&st->stats.read_bytes, l->len);
		}
	}
	return r;
}

static int get_near(struct store *st, struct stream *b, const struct store_want *v, unsigned n)
{
	struct scratch *s = scratch_get(&st->scratch);
	struct pack *p;
	int r = s ? packs_get(&st->packs, v[0].loc.pack, &p) : -ENOMEM;
	if (r == 0) {
		r = get_span(st, p, b, s, v, n);
		packs_put(&st->packs, p);
	}
	if (s)
		scratch_put(&st->scratch, s);
	return r;
}

int store_get_many(struct store *st, const struct store_want *v, unsigned n)
{
	struct stream *b = stream_get(&st->streams);
	int r = 0;
	for (unsigned i = 0; r == 0 && i < n;) {
		unsigned k = b ? span(st, v + i, n - i) : 0;
		if (k)
			r = get_near(st, b, v + i, k);
		else
			r = store_get(st, &v[i].loc, v[i].hash, 0, st->cfg.block_size, v[i].buf);
		i += MAX(k, 1u);
	}
	if (b)
		stream_put(&st->streams, b);
	return r;
}
