/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content of one simulated file; see sim_image.h.
 *
 * How a power cut is decided: the pending changes are replayed in order on side NOW, starting from what is durable.  After
 * each one, the sectors of it that the disk is said to have written are copied from NOW to DURABLE.  So a sector always
 * holds a state it really had at some moment (two writes into one sector cannot be lost in the wrong order), while
 * different sectors are independent of each other.
 */
#include "tests/sim/sim_image.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/io.h"
#include "fs/base/msg.h"

#define PAGE_BYTES (4 * IMAGE_BLOCK_BYTES)
#define BLOCKS_PER_PAGE (PAGE_BYTES / IMAGE_BLOCK_BYTES)

enum change_kind { CHANGE_WRITE, CHANGE_PUNCH, CHANGE_TRUNCATE, CHANGE_ALLOCATE };
struct change {
	struct change *next;
	enum change_kind kind;
	uint64_t seq, off, len; /* CHANGE_TRUNCATE: off is the new size */
	uint8_t data[];		/* CHANGE_WRITE */
};

/* splitmix64 */
uint64_t sim_random(uint64_t *state, uint64_t n)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

static void *need(void *p)
{
	KAGEFS_ASSERT(p);
	return p;
}

/* ---- one side -------------------------------------------------------------------------------------------------- */

static struct image_slot *slot_at(struct image *im, size_t idx)
{
	if (idx >= im->nslots) {
		size_t room = MAX(idx + 1, im->nslots * 2);

		im->slots = need(realloc(im->slots, room * sizeof(*im->slots)));
		memset(im->slots + im->nslots, 0, (room - im->nslots) * sizeof(*im->slots));
		im->nslots = room;
	}
	return &im->slots[idx];
}

static void mark_dirty(struct image *im, struct image_slot *s, enum image_side side)
{
	if (side != NOW || s->dirty)
		return;
	s->dirty = true;
	if (im->ndirty == im->dirty_room) {
		im->dirty_room = im->dirty_room ? im->dirty_room * 2 : 8;
		im->dirty = need(realloc(im->dirty, im->dirty_room * sizeof(*im->dirty)));
	}
	im->dirty[im->ndirty++] = (size_t)(s - im->slots);
}

static void set_page(struct image_slot *s, enum image_side side, uint8_t *page)
{
	if (s->page[side] != page && s->page[side] != s->page[!side])
		free(s->page[side]);
	s->page[side] = page;
}

static void set_blocks(struct image *im, struct image_slot *s, enum image_side side, unsigned mask)
{
	if (side == NOW) {
		im->nblocks -= (unsigned)__builtin_popcount(s->blocks[NOW]);
		im->nblocks += (unsigned)__builtin_popcount(mask);
	}
	s->blocks[side] = (uint8_t)mask;
}

/* A page of this side that the other does not see. */
static uint8_t *own_page(struct image_slot *s, enum image_side side)
{
	uint8_t *old = s->page[side];

	if (old && old != s->page[!side])
		return old;
	if (old) {
		s->page[side] = need(malloc(PAGE_BYTES));
		memcpy(s->page[side], old, PAGE_BYTES);
	} else {
		s->page[side] = need(calloc(1, PAGE_BYTES));
	}
	return s->page[side];
}

/* Blocks from byte `at` to `at + n` of a page. */
static unsigned mask_touched(size_t at, size_t n)
{
	size_t first = at / IMAGE_BLOCK_BYTES, end = (at + n + IMAGE_BLOCK_BYTES - 1) / IMAGE_BLOCK_BYTES;

	return ((1u << end) - 1) & ~((1u << first) - 1);
}
static unsigned mask_inside(size_t at, size_t n)
{
	size_t first = (at + IMAGE_BLOCK_BYTES - 1) / IMAGE_BLOCK_BYTES, end = (at + n) / IMAGE_BLOCK_BYTES;

	return end > first ? ((1u << end) - 1) & ~((1u << first) - 1) : 0;
}

static void side_write(struct image *im, enum image_side side, const uint8_t *buf, uint64_t len, uint64_t off)
{
	while (len > 0) {
		size_t at = off % PAGE_BYTES, n = MIN(len, PAGE_BYTES - at);
		struct image_slot *s = slot_at(im, off / PAGE_BYTES);

		mark_dirty(im, s, side);
		memcpy(own_page(s, side) + at, buf, n);
		set_blocks(im, s, side, s->blocks[side] | mask_touched(at, n));
		buf += n;
		off += n;
		len -= n;
		im->size[side] = MAX(im->size[side], off);
	}
}

static void side_zero(struct image *im, enum image_side side, uint64_t off, uint64_t len)
{
	uint64_t end = MIN(off + len, (uint64_t)im->nslots * PAGE_BYTES);

	while (off < end) {
		size_t at = off % PAGE_BYTES, n = MIN(end - off, PAGE_BYTES - at);
		struct image_slot *s = &im->slots[off / PAGE_BYTES];

		if (s->page[NOW] || s->page[DURABLE] || s->blocks[side])
			mark_dirty(im, s, side);
		if (n == PAGE_BYTES)
			set_page(s, side, NULL);
		else if (s->page[side])
			memset(own_page(s, side) + at, 0, n);
		set_blocks(im, s, side, s->blocks[side] & ~mask_inside(at, n));
		off += n;
	}
}

static void side_truncate(struct image *im, enum image_side side, uint64_t size)
{
	if (size <= im->size[side]) /* to the same size too: that gives back space kept behind the end */
		side_zero(im, side, size, IMAGE_MAX_BYTES);
	im->size[side] = size;
}

static void side_allocate(struct image *im, enum image_side side, uint64_t off, uint64_t len)
{
	while (len > 0) {
		size_t at = off % PAGE_BYTES, n = MIN(len, PAGE_BYTES - at);
		struct image_slot *s = slot_at(im, off / PAGE_BYTES);

		mark_dirty(im, s, side);
		set_blocks(im, s, side, s->blocks[side] | mask_touched(at, n));
		off += n;
		len -= n;
	}
}

static void side_apply(struct image *im, enum image_side side, const struct change *c)
{
	switch (c->kind) {
	case CHANGE_WRITE:
		side_write(im, side, c->data, c->len, c->off);
		break;
	case CHANGE_PUNCH:
		side_zero(im, side, c->off, c->len);
		break;
	case CHANGE_TRUNCATE:
		side_truncate(im, side, c->off);
		break;
	case CHANGE_ALLOCATE:
		side_allocate(im, side, c->off, c->len);
		break;
	}
}

/* Make one side of a slot like the other. */
static void slot_copy(struct image *im, struct image_slot *s, enum image_side from)
{
	set_page(s, !from, s->page[from]);
	set_blocks(im, s, !from, s->blocks[from]);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static void drop_changes(struct image *im)
{
	while (im->first) {
		struct change *c = im->first;

		im->first = c->next;
		free(c);
	}
	im->last = NULL;
}

static void clean(struct image *im)
{
	for (size_t i = 0; i < im->ndirty; i++)
		im->slots[im->dirty[i]].dirty = false;
	im->ndirty = 0;
}

void image_release(struct image *im)
{
	drop_changes(im);
	for (size_t i = 0; i < im->nslots; i++) {
		set_page(&im->slots[i], NOW, im->slots[i].page[DURABLE]);
		free(im->slots[i].page[DURABLE]);
	}
	free(im->slots);
	free(im->dirty);
	memset(im, 0, sizeof(*im));
}

size_t image_read(const struct image *im, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	if (off >= im->size[NOW])
		return 0;
	len = MIN(len, im->size[NOW] - off);
	while (done < len) {
		size_t at = (off + done) % PAGE_BYTES, n = MIN(len - done, PAGE_BYTES - at);
		uint64_t idx = (off + done) / PAGE_BYTES;
		const uint8_t *page = idx < im->nslots ? im->slots[idx].page[NOW] : NULL;

		if (page)
			memcpy((uint8_t *)buf + done, page + at, n);
		else
			memset((uint8_t *)buf + done, 0, n);
		done += n;
	}
	return len;
}

static struct change *add_change(struct image *im, enum change_kind kind, uint64_t off, uint64_t len, size_t data_len,
				 uint64_t seq)
{
	struct change *c = need(malloc(sizeof(*c) + data_len));

	*c = (struct change){.kind = kind, .off = off, .len = len, .seq = seq};
	if (im->last)
		im->last->next = c;
	else
		im->first = c;
	im->last = c;
	return c;
}

void image_write(struct image *im, const struct iovec *iov, int n, size_t len, uint64_t off, uint64_t seq)
{
	struct change *c;
	size_t done = 0;

	if (len == 0)
		return;
	c = add_change(im, CHANGE_WRITE, off, len, len, seq);
	for (int i = 0; i < n && done < len; i++) {
		size_t step = MIN(iov[i].iov_len, len - done);

		if (step > 0)
			memcpy(c->data + done, iov[i].iov_base, step);
		done += step;
	}
	side_apply(im, NOW, c);
}

void image_punch(struct image *im, uint64_t off, uint64_t len, uint64_t seq)
{
	side_apply(im, NOW, add_change(im, CHANGE_PUNCH, off, len, 0, seq));
}

void image_truncate(struct image *im, uint64_t size, uint64_t seq)
{
	side_apply(im, NOW, add_change(im, CHANGE_TRUNCATE, size, 0, 0, seq));
}

void image_allocate(struct image *im, uint64_t off, uint64_t len, uint64_t seq)
{
	side_apply(im, NOW, add_change(im, CHANGE_ALLOCATE, off, len, 0, seq));
}

uint64_t image_fit(const struct image *im, uint64_t off, uint64_t len, uint64_t room)
{
	uint64_t end = off + len;

	for (uint64_t at = off - off % IMAGE_BLOCK_BYTES; at < end; at += IMAGE_BLOCK_BYTES) {
		uint64_t idx = at / PAGE_BYTES;
		unsigned bit = 1u << (at % PAGE_BYTES / IMAGE_BLOCK_BYTES);

		if (idx < im->nslots && (im->slots[idx].blocks[NOW] & bit))
			continue;
		if (room == 0)
			return at > off ? at - off : 0;
		room--;
	}
	return len;
}

void image_sync(struct image *im)
{
	for (size_t i = 0; i < im->ndirty; i++)
		slot_copy(im, &im->slots[im->dirty[i]], NOW);
	im->size[DURABLE] = im->size[NOW];
	clean(im);
	drop_changes(im);
}

/* The disk wrote the sector at `off` as it is NOW.  Does not change the size, so nothing may stay behind it. */
static void copy_sector(struct image *im, uint64_t off)
{
	struct image_slot *s = slot_at(im, off / PAGE_BYTES);
	size_t at = off % PAGE_BYTES;

	if (s->page[NOW] == s->page[DURABLE])
		return;
	own_page(s, DURABLE);
	if (s->page[NOW])
		memcpy(s->page[DURABLE] + at, s->page[NOW] + at, IO_SECTOR_BYTES);
	else
		memset(s->page[DURABLE] + at, 0, IO_SECTOR_BYTES);
	if (off + IO_SECTOR_BYTES > im->size[DURABLE]) {
		size_t stay = off < im->size[DURABLE] ? im->size[DURABLE] - off : 0;

		memset(s->page[DURABLE] + at + stay, 0, IO_SECTOR_BYTES - stay);
	}
	set_blocks(im, s, DURABLE, s->blocks[DURABLE] | mask_touched(at, IO_SECTOR_BYTES));
}

void image_sync_failed(struct image *im, uint64_t *random)
{
	if (sim_random(random, 2))
		side_truncate(im, DURABLE, im->size[NOW]);
	for (size_t i = 0; i < im->ndirty; i++) {
		uint64_t off = (uint64_t)im->dirty[i] * PAGE_BYTES;

		for (size_t at = 0; at < PAGE_BYTES; at += IO_SECTOR_BYTES)
			if (off + at < im->size[DURABLE] && sim_random(random, 2))
				copy_sector(im, off + at);
	}
	clean(im);
	drop_changes(im);
}

enum verdict { LOST, TORN, KEPT };

static enum verdict judge(const struct change *c, const struct fate *fate)
{
	switch (fate->mode) {
	case FATE_ALL:
		return KEPT;
	case FATE_NONE:
		return LOST;
	case FATE_PREFIX:
		return c->seq < fate->cut_seq ? KEPT : c->seq == fate->cut_seq ? TORN : LOST;
	default:
		return (enum verdict)sim_random(fate->random, 3);
	}
}

/* Write back the sectors of a change that was replayed on NOW: all, or each with its own chance. */
static void write_back(struct image *im, const struct change *c, enum verdict verdict, uint64_t *random)
{
	uint64_t end = c->off + c->len;
	uint64_t chance = 1 + sim_random(random, 7);

	if (c->kind == CHANGE_PUNCH)
		end = MIN(end, im->size[DURABLE]);
	for (uint64_t at = c->off - c->off % IO_SECTOR_BYTES; at < end; at += IO_SECTOR_BYTES) {
		if (verdict == TORN && sim_random(random, 8) >= chance)
			continue;
		if (c->kind == CHANGE_WRITE)
			im->size[DURABLE] = MAX(im->size[DURABLE], MIN(im->size[NOW], at + IO_SECTOR_BYTES));
		copy_sector(im, at);
	}
}

static void settle_change(struct image *im, const struct change *c, const struct fate *fate)
{
	enum verdict verdict = judge(c, fate);

	side_apply(im, NOW, c);
	if (c->kind == CHANGE_TRUNCATE || c->kind == CHANGE_ALLOCATE) {
		if (verdict == KEPT || (verdict == TORN && sim_random(fate->random, 2)))
			side_apply(im, DURABLE, c);
		return;
	}
	if (verdict != LOST)
		write_back(im, c, verdict, fate->random);
	if (verdict == KEPT && c->kind == CHANGE_PUNCH) {
		/* Whole sectors are zero already; this gives the space back. */
		uint64_t from = (c->off + IO_SECTOR_BYTES - 1) / IO_SECTOR_BYTES * IO_SECTOR_BYTES;
		uint64_t to = (c->off + c->len) / IO_SECTOR_BYTES * IO_SECTOR_BYTES;

		if (to > from)
			side_zero(im, DURABLE, from, to - from);
	}
	/* The new size may reach the disk without the data. */
	if (verdict != KEPT && c->kind == CHANGE_WRITE && fate->mode == FATE_SUBSET && sim_random(fate->random, 4) == 0)
		im->size[DURABLE] = MAX(im->size[DURABLE], c->off + c->len);
}

void image_settle(struct image *im, const struct fate *fate)
{
	for (size_t i = 0; i < im->nslots; i++)
		slot_copy(im, &im->slots[i], DURABLE);
	im->size[NOW] = im->size[DURABLE];
	clean(im);
	for (const struct change *c = im->first; c; c = c->next)
		settle_change(im, c, fate);
	drop_changes(im);
	for (size_t i = 0; i < im->nslots; i++)
		slot_copy(im, &im->slots[i], DURABLE);
	im->size[NOW] = im->size[DURABLE];
	clean(im);
}

void image_flip(struct image *im, uint64_t off)
{
	struct image_slot *s = slot_at(im, off / PAGE_BYTES);
	bool shared = s->page[NOW] == s->page[DURABLE];

	own_page(s, DURABLE)[off % PAGE_BYTES] ^= (uint8_t)(1u << (off & 7));
	set_blocks(im, s, DURABLE, s->blocks[DURABLE] | mask_touched(off % PAGE_BYTES, 1));
	if (shared)
		slot_copy(im, s, DURABLE);
	else if (off < im->size[NOW])
		own_page(s, NOW)[off % PAGE_BYTES] ^= (uint8_t)(1u << (off & 7));
}
