/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of fs/store share.
 *
 * Locks: each of the parts below has its own and calls none of the others while holding it, except space, which opens and
 * removes packs: space.lock > packs.lock.  The tail's lock, the scratch pool's and those of the chunk tables are innermost.
 */
#ifndef FS_STORE_STORE_PRIV_H
#define FS_STORE_STORE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/io.h"
#include "fs/base/msg.h"
#include "fs/store/codec.h"
#include "fs/store/pack_format.h"
#include "fs/store/packs.h"
#include "fs/store/record.h"
#include "fs/store/space.h"
#include "fs/store/store.h"
#include "fs/store/stream.h"
#include "fs/store/sums.h"

/* The end of the current pack: bytes appended and not yet written, and before them the written ones of the same page.  Changed
 * by the writer only, under lock; readers take the lock, the writer need not. */
struct tail {
	pthread_mutex_t lock;
	uint8_t *buf;	    /* owned; aligned to IO_ALIGN */
	size_t fill;	    /* bytes in buf; protected by lock */
	uint64_t base;	    /* offset of buf[0] in the pack, a multiple of IO_ALIGN; protected by lock */
	struct pack *pack;  /* borrowed from space->cur; NULL before the first append; protected by lock */
	_Atomic uint32_t pack_num; /* of pack, 0 for none */
	/* The writer's own. */
	size_t written; /* bytes of buf that are in the file */
	uint64_t nonce;
	bool dirty; /* pack has bytes written since its last sync */
};

struct store {
	struct io *io; /* borrowed */
	struct store_config cfg;
	uint32_t record_max;
	struct packs packs;
	struct space space;
	struct sums sums;
	struct scratch_pool scratch;
	struct streams streams;
	struct tail tail;
	/* The writer's own. */
	struct pack **dirty; /* finished packs not synced yet; references, owned */
	size_t ndirty, dirty_cap;
	atomic_bool poisoned; /* set by the writer, for good */
	bool dir_dirty;	      /* names in packs/ not durable yet */
	struct {
		_Atomic uint64_t appended_blocks, appended_plain_bytes, appended_stored_bytes, read_blocks, read_bytes,
			verify_failures, syncs;
	} stats;
};

/* append.c */
int tail_init(struct tail *t, uint32_t record_max) MUST_USE;
void tail_release(struct tail *t);
/* Like io_pread, with the current pack's unwritten bytes.  Any thread. */
ssize_t store_pread(struct store *st, struct pack *p, void *buf, size_t len, uint64_t off) MUST_USE;
/* Bytes of the current pack including those not yet written; false if `pack` is another. */
bool store_tail_end(struct store *st, uint32_t pack, uint64_t *end) MUST_USE;
/* What of the range is still in the buffer reads as zeros, and will be written so again.  The writer only. */
void store_tail_zero(struct store *st, uint32_t pack, uint64_t off, uint64_t len);
/* Write what is buffered.  The writer only. */
int store_flush(struct store *st) MUST_USE;

/* get.c */
/* Could store_append have made this place?  Guards all arithmetic with it. */
bool store_loc_valid(const struct store *st, const struct store_loc *loc);
/* A whole block into out (loc->len bytes) from its record in memory (loc->stored bytes), verified as by store_get; keep as in
 * struct store_want.  -EUCLEAN. */
int store_unpack(struct store *st, const struct store_loc *loc, const uint8_t *hash, struct scratch *s, const uint8_t *record,
		 uint8_t *out, struct store_blob *keep) MUST_USE;

static inline uint64_t stat_add(_Atomic uint64_t *counter, uint64_t n)
{
	return atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Room in st->dirty for one more pack.  -ENOMEM. */
int store_room_for_dirty(struct store *st) MUST_USE;

#endif
