/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Space ahead of the append position.
 *
 *   slot		a pack that can take records: the current one or a spare (made ahead, size 0, no records)
 *   room(slot)		alloc_end - pos - (record_max - PACK_ALIGN), or 0: what surely fits, however the records fall.  A
 *			record that does not fit goes to the next pack and leaves less than record_max unused
 *   ahead		the sum of room() over all slots
 *
 *  (S1) Nothing is written that was not allocated before.  So a buffered record cannot fail for lack of space later, and
 *	 -ENOSPC comes out of store_append, where nothing has happened yet.
 *  (S2) reserved <= ahead whenever a reservation has just succeeded, it included; a failed one leaves no trace, so a huge
 *	 one that fails cannot make a small one beside it fail.
 *  (S3) Who appends holds a reservation until after the append, so `ahead` shrinks by no more than `reserved` will.  Between
 *	 append and unreserve the bytes count twice; a reservation made just then may allocate more than needed.
 *	 What is owed (space_owe) may put `reserved` above `ahead`: appends can fail until the next reservation that succeeds,
 *	 which has to allocate what is owed as well.
 *  (S4) Spares are used in order of their numbers, and all are above the current pack's.
 *
 * Where the underlying file system cannot allocate, the free space it reports must do: better than nothing, and said once.
 */
#include "fs/store/space.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/store/pack_format.h"

/* With less than this many packs free, space is taken to the page instead of by the pack. */
#define PLENTY_PACKS 8
/* Growth of a pack that is appended to without reservations. */
#define GROW_BYTES (16u << 20)

static uint64_t page_up(uint64_t v)
{
	return (v + PACK_PAGE - 1) / PACK_PAGE * PACK_PAGE;
}

/* What of a slot a record may leave unused. */
static uint64_t waste(const struct space *sp)
{
	return sp->record_max - PACK_ALIGN;
}

static uint64_t room(const struct space *sp, const struct space_slot *s)
{
	return s && s->alloc_end > s->pos + waste(sp) ? s->alloc_end - s->pos - waste(sp) : 0;
}

void space_init(struct space *sp, struct packs *packs, uint64_t pack_bytes, uint32_t record_max, uint32_t next_num)
{
	memset(sp, 0, sizeof(*sp));
	sp->io = packs->io;
	sp->packs = packs;
	sp->pack_bytes = pack_bytes;
	sp->record_max = record_max;
	sp->next_num = next_num;
	pthread_mutex_init(&sp->lock, NULL);
}

static bool plenty(struct space *sp)
{
	struct io_space s;
	return io_space(sp->io, &s) == 0 && s.free_bytes / PLENTY_PACKS >= sp->pack_bytes;
}

/* The file system cannot allocate: is there at least room now? */
static int promise_locked(struct space *sp, uint64_t bytes)
{
	static atomic_bool said;
	struct io_space s;
	if (!atomic_exchange(&said, true))
		msg(LOG_WARNING, "store: the underlying file system cannot allocate ahead: reservations are estimates");
	int r = io_space(sp->io, &s);
	if (r < 0)
		return r;
	return s.free_bytes >= atomic_load(&sp->ahead) + bytes ? 0 : -ENOSPC;
}

/* Allocate up to `want` if there is plenty, else up to `need`. */
static int grow_locked(struct space *sp, struct space_slot *s, uint64_t need, uint64_t want)
{
	int r = -ENOSPC;
	for (int exact = plenty(sp) && want > need ? 0 : 1; r == -ENOSPC && exact < 2; exact++) {
		uint64_t end = exact ? need : want;
		if (end <= s->alloc_end)
			return 0;
		r = io_allocate(s->pack->file, s->alloc_end, end - s->alloc_end);
		if (r == -EOPNOTSUPP)
			r = promise_locked(sp, end - s->alloc_end);
		if (r == 0) {
			uint64_t before = room(sp, s);
			s->alloc_end = end;
			atomic_fetch_add(&sp->ahead, room(sp, s) - before);
		}
	}
	return r;
}

static struct space_slot **last_spare(struct space *sp)
{
	struct space_slot **at = &sp->spares;
	while (*at && (*at)->next)
		at = &(*at)->next;
	return at;
}

/* Its room must have left `ahead` already.  A file that cannot be removed stays empty, and the next open removes it. */
static void spare_remove_locked(struct space *sp, struct space_slot **at)
{
	struct space_slot *s = *at;
	KAGEFS_ASSERT(!s->next);
	uint32_t num = s->pack->num;
	packs_put(sp->packs, s->pack);
	(void)!packs_remove(sp->packs, num);
	free(s);
	*at = NULL;
}

/* A new spare at the end, allocated up to need (or want, if there is plenty). */
static int spare_add_locked(struct space *sp, uint64_t need, uint64_t want)
{
	if (sp->next_num == UINT32_MAX)
		return -ENOSPC;
	struct space_slot *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	int r = packs_create(sp->packs, sp->next_num, &s->pack);
	if (r < 0) {
		free(s);
		return r;
	}
	sp->next_num++;
	s->pos = PACK_HEADER_BYTES;
	struct space_slot **at = last_spare(sp);
	if (*at)
		at = &(*at)->next;
	*at = s;
	r = grow_locked(sp, s, need, want);
	if (r < 0)
		spare_remove_locked(sp, at); /* it had no room yet */
	return r;
}

/* Give back whole spares while `slack` bytes more than promised are left.  `ahead` shrinks before `reserved` is looked at,
 * and try_reserve does it the other way round: one of the two sees the other. */
static void trim_locked(struct space *sp, uint64_t slack)
{
	for (;;) {
		struct space_slot **at = last_spare(sp);
		if (!*at || (*at)->pinned)
			return;
		uint64_t r = room(sp, *at);
		uint64_t left = atomic_fetch_sub(&sp->ahead, r) - r;
		if (left < atomic_load(&sp->reserved) + slack) {
			atomic_fetch_add(&sp->ahead, r);
			return;
		}
		spare_remove_locked(sp, at);
	}
}

/* Add up to `missing` bytes of room, in one pack: the last, if it can grow, else a new one. */
static int extend_locked(struct space *sp, uint64_t missing)
{
	struct space_slot *s = sp->spares ? *last_spare(sp) : sp->cur;
	if (s && s->alloc_end < sp->pack_bytes) {
		uint64_t need = page_up(MAX(s->alloc_end, s->pos + waste(sp)) + missing);
		if (s->pos + sp->record_max <= sp->pack_bytes)
			return grow_locked(sp, s, MIN(need, sp->pack_bytes), sp->pack_bytes);
	}
	return spare_add_locked(sp, MIN(page_up(PACK_HEADER_BYTES + waste(sp) + missing), sp->pack_bytes), sp->pack_bytes);
}

/* Add to `reserved` if that keeps it within `ahead`.  Any thread, with or without the lock. */
static bool try_reserve(struct space *sp, uint64_t bytes)
{
	uint64_t old = atomic_load(&sp->reserved);
	do {
		if (old + bytes > atomic_load(&sp->ahead))
			return false;
	} while (!atomic_compare_exchange_weak(&sp->reserved, &old, old + bytes));
	if (old + bytes <= atomic_load(&sp->ahead))
		return true;
	atomic_fetch_sub(&sp->reserved, bytes);
	return false;
}

static int reserve_locked(struct space *sp, uint64_t bytes)
{
	while (!try_reserve(sp, bytes)) {
		uint64_t all = atomic_load(&sp->reserved) + bytes, ahead = atomic_load(&sp->ahead);
		struct io_space s;
		if (all <= ahead)
			continue;
		/* Do not fill the disk step by step only to find that it is too small. */
		int r = io_space(sp->io, &s);
		if (r == 0 && s.free_bytes < all - ahead)
			r = -ENOSPC;
		if (r == 0)
			r = extend_locked(sp, all - ahead);
		if (r < 0)
			return r;
	}
	return 0;
}

bool space_reserve_ready(struct space *sp, uint64_t bytes)
{
	return bytes <= INT64_MAX && try_reserve(sp, bytes);
}

int space_reserve(struct space *sp, uint64_t bytes)
{
	if (bytes > INT64_MAX)
		return -ENOSPC;
	if (try_reserve(sp, bytes))
		return 0;
	pthread_mutex_lock(&sp->lock);
	int r = reserve_locked(sp, bytes);
	if (r < 0)
		trim_locked(sp, 0);
	pthread_mutex_unlock(&sp->lock);
	return r;
}

int space_owe(struct space *sp, uint64_t bytes)
{
	int r = space_reserve(sp, bytes);
	if (r < 0)
		atomic_fetch_add(&sp->reserved, bytes);
	return r;
}

void space_unreserve(struct space *sp, uint64_t bytes)
{
	uint64_t before = atomic_fetch_sub(&sp->reserved, bytes);
	KAGEFS_ASSERT(before >= bytes);
	if (atomic_load(&sp->ahead) < before - bytes + 2 * sp->pack_bytes)
		return;
	/* Nobody needs to wait for giving space back; who holds the lock now will not be the last.  Nor who must not wait: what it
	 * reserves is given back by apply. */
	if (nowait_thread() || pthread_mutex_trylock(&sp->lock))
		return;
	nowait_announce();
	trim_locked(sp, sp->pack_bytes);
	pthread_mutex_unlock(&sp->lock);
}

int space_take(struct space *sp, uint32_t bytes, uint64_t *off)
{
	int r = -EAGAIN;
	pthread_mutex_lock(&sp->lock);
	struct space_slot *s = sp->cur;
	if (s && s->pos + bytes <= sp->pack_bytes) {
		uint64_t need = page_up(s->pos + bytes);
		r = 0;
		if (need > s->alloc_end)
			r = grow_locked(sp, s, need, MIN(need + GROW_BYTES, sp->pack_bytes));
		if (r == -ENOSPC)
			r = -EAGAIN; /* a spare may have room; else preparing it says so */
		if (r == 0) {
			uint64_t before = room(sp, s);
			*off = s->pos;
			s->pos += bytes;
			atomic_fetch_sub(&sp->ahead, before - room(sp, s));
		}
	}
	pthread_mutex_unlock(&sp->lock);
	return r;
}

int space_prepare_next(struct space *sp, uint32_t bytes)
{
	int r = 0;
	uint64_t need = page_up(PACK_HEADER_BYTES + bytes);
	uint64_t want = MIN(need + GROW_BYTES, sp->pack_bytes);
	pthread_mutex_lock(&sp->lock);
	if (!sp->spares)
		r = spare_add_locked(sp, need, want);
	else if (sp->spares->alloc_end < need)
		r = grow_locked(sp, sp->spares, need, want);
	if (r == 0)
		sp->spares->pinned = true;
	pthread_mutex_unlock(&sp->lock);
	return r;
}

struct pack *space_switch(struct space *sp, struct pack **old, uint64_t *old_end)
{
	pthread_mutex_lock(&sp->lock);
	struct space_slot *s = sp->cur;
	KAGEFS_ASSERT(sp->spares && sp->spares->pinned);
	sp->cur = sp->spares;
	sp->spares = sp->cur->next;
	sp->cur->next = NULL;
	struct pack *now = sp->cur->pack;
	*old = NULL;
	*old_end = 0;
	if (s) {
		atomic_fetch_sub(&sp->ahead, room(sp, s));
		*old = s->pack;
		*old_end = s->pos;
		free(s);
	}
	pthread_mutex_unlock(&sp->lock);
	return now;
}

bool space_owns(struct space *sp, uint32_t pack)
{
	pthread_mutex_lock(&sp->lock);
	bool owns = sp->cur && sp->cur->pack->num == pack;
	for (struct space_slot *s = sp->spares; s && !owns; s = s->next)
		owns = s->pack->num == pack;
	pthread_mutex_unlock(&sp->lock);
	return owns;
}

struct pack *space_release(struct space *sp)
{
	struct pack *cur = sp->cur ? sp->cur->pack : NULL;
	while (sp->spares)
		spare_remove_locked(sp, last_spare(sp));
	free(sp->cur);
	pthread_mutex_destroy(&sp->lock);
	return cur;
}
