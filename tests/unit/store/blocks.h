/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks whose content follows from a number, so that a test need not keep what it wrote. */
#ifndef TESTS_UNIT_STORE_BLOCKS_H
#define TESTS_UNIT_STORE_BLOCKS_H

#include "fs/base/io.h"
#include "fs/store/store.h"

struct block {
	uint32_t seed, len;
	struct store_loc loc;
	uint8_t hash[HASH_BYTES];
};

uint64_t block_random(uint64_t *state);
/* Odd seeds do not compress, even ones do. */
void block_content(uint32_t seed, void *buf, uint32_t len);
/* Encode and append.  What store_append says. */
int block_put(struct store *st, struct block *b, uint32_t seed, uint32_t len) MUST_USE;
/* Read all of it and a part; 0 if both are right, what store_get says, or -EBADMSG for wrong bytes. */
int block_check(struct store *st, const struct block *b) MUST_USE;
int block_check_part(struct store *st, const struct block *b, uint32_t off, uint32_t n) MUST_USE;

/* Count the scanned records; those of the n given blocks are marked in found. */
struct block_census {
	const struct block *blocks;
	bool *found;
	size_t n, total;
};
int block_census(void *arg, const struct store_record *rec);

#endif
