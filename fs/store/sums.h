/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verified chunk tables in memory, so that a random 4 KiB read costs one request and not two.  Bounded: a set-associative
 * array of fixed slots; nothing is allocated per entry, and untouched parts of it take no memory.  Thread-safe.
 */
#ifndef FS_STORE_SUMS_H
#define FS_STORE_SUMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

#define SUMS_LOCKS 64
#define SUMS_WAYS 8
struct sums {
	uint8_t *slots;	   /* owned; NULL: caches nothing */
	size_t slot_bytes;
	size_t nsets;	   /* power of two, at least SUMS_LOCKS */
	uint32_t table_max; /* bytes */
	struct sums_lock {
		pthread_mutex_t lock; /* the sets whose number modulo SUMS_LOCKS is this one's */
		uint32_t clock;	      /* last use; wraps, which only makes a poorer choice */
		uint64_t hits, misses;
	} __attribute__((aligned(64))) locks[SUMS_LOCKS];
};

/* table_max = 0 (blocks of one chunk): an empty cache.  -ENOMEM. */
int sums_init(struct sums *c, size_t budget_bytes, uint32_t table_max) MUST_USE;
void sums_release(struct sums *c);

/* Copy bytes [from, from + n) of the table of the record at (pack, off) with this hash.  False: not here. */
bool sums_find(struct sums *c, uint32_t pack, uint64_t off, const uint8_t *hash, uint32_t from, uint32_t n, uint8_t *out);
void sums_count(struct sums *c, uint64_t *hits, uint64_t *misses);
void sums_insert(struct sums *c, uint32_t pack, uint64_t off, const uint8_t *hash, const uint8_t *table, uint32_t table_len);

#endif
