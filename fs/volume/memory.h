/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One bound for all memory of a mount.  What is allocated once (log buffer, database pages, chunk sums, buffers of sequential
 * readers, work of the converter, the caller's request buffers) gets a fixed share when the store is opened.  The rest is
 * divided as things are:
 *
 *   tables   volumes, sets, nodes the kernel knows: as many as there are, nothing can be done about them
 *   dirty    changes not applied yet: at most three quarters of what tables leave.  Applying starts before that is used up,
 *            and changes are slowed down (backlog.h); at the limit changing operations wait (memory_admit)
 *   caches   rows and blocks read: what is left, shrinking while the others grow (memory_adjust)
 */
#ifndef FS_VOLUME_MEMORY_H
#define FS_VOLUME_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

#define ALLOC_BYTES 16 /* what malloc adds */

struct fs;
struct json;

struct memory {
	/* constant after memory_plan */
	uint64_t bound;
	uint64_t program; /* code, stacks, what the allocator loses between blocks */
	uint64_t front;	  /* the caller's, see fs_open_options */
	uint64_t log_buffer, database, chunk_sums, streams, convert;
	uint64_t rest;

	_Atomic uint64_t dirty_max; /* of memory_adjust */
	_Atomic uint64_t waits;	    /* operations that waited in memory_admit */
};

/* Divide the bound.  Shares have least sizes that work; a bound below their sum is exceeded. */
void memory_plan(struct memory *m, uint64_t bound, uint64_t front, uint32_t record_max);
/* The second step, when the database says what a block is. */
void memory_plan_blocks(struct memory *m, uint32_t block_size);
/* What changes not applied take. */
uint64_t memory_dirty(struct fs *fs);
/* Before a changing operation, no lock held: waits while the dirty share is used up.  patient: false if it must go on although
 * nothing can be applied, as deleting on a full disk.  -EROFS poisoned, or what applying says when there are no threads. */
int memory_admit(struct fs *fs, bool patient) MUST_USE;
/* Give the caches what is left, now and then.  No lock held. */
void memory_adjust(struct fs *fs);
/* Member "memory". */
void memory_stats(struct fs *fs, struct json *j);

#endif
