/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the next record goes, and disk space held ahead of it.  Knows no record. */
#ifndef FS_STORE_SPACE_H
#define FS_STORE_SPACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/store/packs.h"

/* A pack that can still take records: the current one, or a spare made ahead. */
struct space_slot {
	struct space_slot *next;
	struct pack *pack; /* a reference, owned */
	uint64_t pos;	   /* where the next record goes */
	uint64_t alloc_end; /* allocated up to here */
	bool pinned;	   /* about to become current: not to be given back */
};

struct space {
	struct io *io;	     /* borrowed */
	struct packs *packs; /* borrowed */
	uint64_t pack_bytes;
	uint32_t record_max;
	/* Bytes promised, and bytes that can be appended whatever happens.  Changed under lock except `reserved` in the fast
	 * path; see space.c. */
	_Atomic uint64_t reserved, ahead;
	pthread_mutex_t lock; /* the rest; held across io_allocate, io_open and io_unlink */
	struct space_slot *cur;	   /* NULL before the first append */
	struct space_slot *spares; /* ascending numbers */
	uint32_t next_num;
};

void space_init(struct space *sp, struct packs *packs, uint64_t pack_bytes, uint32_t record_max, uint32_t next_num);
/* Removes the spares.  The current pack, or NULL, goes to the caller with its reference. */
struct pack *space_release(struct space *sp);

int space_reserve(struct space *sp, uint64_t bytes) MUST_USE;
bool space_reserve_ready(struct space *sp, uint64_t bytes) MUST_USE;
void space_unreserve(struct space *sp, uint64_t bytes);
/* Reserve, backed by the disk if it can be: what it answers is what space_reserve said. */
int space_owe(struct space *sp, uint64_t bytes) MUST_USE;

/* The place of the next `bytes` bytes in the current pack, allocated.  -EAGAIN: it is full, go on to the next pack. */
int space_take(struct space *sp, uint32_t bytes, uint64_t *off) MUST_USE;
/* Have the next pack ready for a record of `bytes`; it stays ready.  -ENOSPC and what making a file may say. */
int space_prepare_next(struct space *sp, uint32_t bytes) MUST_USE;
/* Make the prepared pack current.  *old (NULL if there was none) goes to the caller with its reference; its records end at
 * *old_end.  The new one is borrowed from the slot. */
struct pack *space_switch(struct space *sp, struct pack **old, uint64_t *old_end);

/* Is it the current pack or a spare? */
bool space_owns(struct space *sp, uint32_t pack) MUST_USE;

#endif
