/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pack files by number.
 *
 * A pack is in the table from packs_get/packs_create until it is evicted or removed.  Evicted are only packs without
 * references, the one unused for longest first.  packs->lock is held across opening a file: two readers that miss the same
 * pack at once must not open it twice, and opening is rare.
 */
#include "fs/store/packs.h"

#include <stdio.h>
#include <string.h>

void packs_init(struct packs *ps, struct io *io, unsigned max_idle)
{
	memset(ps, 0, sizeof(*ps));
	ps->io = io;
	ps->max_idle = max_idle;
	ps->idle.lru_next = ps->idle.lru_prev = &ps->idle;
	pthread_mutex_init(&ps->lock, NULL);
}

void pack_name(uint32_t num, char name[PACK_NAME_BYTES])
{
	snprintf(name, PACK_NAME_BYTES, PACKS_DIR "/%08x", num);
}

uint32_t pack_name_parse(const char *name)
{
	uint32_t num = 0;
	if (strlen(name) != 8)
		return 0;
	for (int i = 0; i < 8; i++) {
		const char *digit = memchr("0123456789abcdef", name[i], 16);
		if (!digit)
			return 0;
		num = num << 4 | (uint32_t)(digit - "0123456789abcdef");
	}
	return num;
}

static struct pack **bucket(struct packs *ps, uint32_t num)
{
	return &ps->buckets[num % PACKS_BUCKETS];
}

static struct pack *find_locked(struct packs *ps, uint32_t num)
{
	struct pack *p = *bucket(ps, num);
	while (p && p->num != num)
		p = p->hash_next;
	return p;
}

static void unhash_locked(struct packs *ps, struct pack *p)
{
	struct pack **at = bucket(ps, p->num);
	while (*at != p)
		at = &(*at)->hash_next;
	*at = p->hash_next;
	p->gone = true;
}

static void idle_remove_locked(struct packs *ps, struct pack *p)
{
	p->lru_prev->lru_next = p->lru_next;
	p->lru_next->lru_prev = p->lru_prev;
	p->lru_prev = p->lru_next = NULL;
	ps->nidle--;
}

static void pack_free(struct pack *p)
{
	io_close(p->file);
	free(p);
}

static int open_locked(struct packs *ps, uint32_t num, int flags, struct pack **out)
{
	char name[PACK_NAME_BYTES];
	pack_name(num, name);
	struct pack *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	int r = io_open(ps->io, name, flags, &p->file);
	if (r < 0) {
		free(p);
		return r;
	}
	p->num = num;
	p->refs = 1;
	p->hash_next = *bucket(ps, num);
	*bucket(ps, num) = p;
	*out = p;
	return 0;
}

int packs_get(struct packs *ps, uint32_t num, struct pack **out)
{
	int r = 0;
	pthread_mutex_lock(&ps->lock);
	struct pack *p = find_locked(ps, num);
	if (p) {
		if (p->refs++ == 0)
			idle_remove_locked(ps, p);
		*out = p;
	} else {
		r = open_locked(ps, num, 0, out);
	}
	pthread_mutex_unlock(&ps->lock);
	return r;
}

int packs_create(struct packs *ps, uint32_t num, struct pack **out)
{
	pthread_mutex_lock(&ps->lock);
	int r = open_locked(ps, num, IO_CREATE | IO_EXCL | IO_UNCACHED, out);
	pthread_mutex_unlock(&ps->lock);
	return r;
}

void packs_put(struct packs *ps, struct pack *p)
{
	struct pack *victim = NULL;
	if (!p)
		return;
	pthread_mutex_lock(&ps->lock);
	if (--p->refs == 0) {
		if (p->gone) {
			victim = p;
		} else {
			p->lru_prev = ps->idle.lru_prev;
			p->lru_next = &ps->idle;
			p->lru_prev->lru_next = p->lru_next->lru_prev = p;
			if (++ps->nidle > ps->max_idle) {
				victim = ps->idle.lru_next;
				idle_remove_locked(ps, victim);
				unhash_locked(ps, victim);
			}
		}
	}
	pthread_mutex_unlock(&ps->lock);
	if (victim)
		pack_free(victim);
}

int packs_remove(struct packs *ps, uint32_t num)
{
	char name[PACK_NAME_BYTES];
	struct pack *victim = NULL;
	pack_name(num, name);
	pthread_mutex_lock(&ps->lock);
	int r = io_unlink(ps->io, name);
	struct pack *p = r == 0 || r == -ENOENT ? find_locked(ps, num) : NULL;
	if (p) {
		unhash_locked(ps, p);
		if (p->refs == 0) {
			idle_remove_locked(ps, p);
			victim = p;
		}
	}
	pthread_mutex_unlock(&ps->lock);
	if (victim)
		pack_free(victim);
	return r;
}

void packs_release(struct packs *ps)
{
	while (ps->idle.lru_next != &ps->idle) {
		struct pack *p = ps->idle.lru_next;
		idle_remove_locked(ps, p);
		unhash_locked(ps, p);
		pack_free(p);
	}
	pthread_mutex_destroy(&ps->lock);
}
