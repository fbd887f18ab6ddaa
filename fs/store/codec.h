/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LZ4 and Zstandard behind one face, and the working memory that both directions need.  No I/O. */
#ifndef FS_STORE_CODEC_H
#define FS_STORE_CODEC_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/store/store.h"

/* Working memory of one call; lent by a pool, because a context and two block buffers per call would cost more than
 * compressing a small block. */
struct scratch {
	struct scratch *next;
	uint8_t *record; /* room for the largest record */
	uint8_t *block;	 /* room for a block */
	void *zc, *zd;	 /* ZSTD contexts, made at first use */
};
struct scratch_pool {
	pthread_mutex_t lock;
	struct scratch *free; /* protected by lock */
	unsigned nfree;	      /* protected by lock */
	uint32_t record_max, block_size;
};
void scratch_pool_init(struct scratch_pool *p, uint32_t record_max, uint32_t block_size);
void scratch_pool_release(struct scratch_pool *p);
struct scratch *scratch_get(struct scratch_pool *p) MUST_USE; /* NULL: no memory */
void scratch_put(struct scratch_pool *p, struct scratch *s);

/* Bytes written to out (at most cap), or 0 if the result does not fit: then the block is stored plain.  Never fails
 * otherwise: storing plain is always right. */
size_t codec_compress(struct scratch *s, enum store_codec codec, const void *in, size_t len, void *out, size_t cap) MUST_USE;
/* -EUCLEAN: not what codec_compress made of exactly len bytes.  Safe on any input. */
int codec_expand(struct scratch *s, enum store_codec codec, const void *in, size_t in_len, void *out, size_t len) MUST_USE;

#endif
