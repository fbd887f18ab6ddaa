/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How often the kernel knows each node: look-ups it was answered and has not forgotten.  There may be millions, and for most of
 * them nothing else is in memory, so an entry takes 24 bytes in an open-addressed table.
 *
 * Sharded; the shard lock is a leaf.
 */
#ifndef FS_VOLUME_NODES_H
#define FS_VOLUME_NODES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

#define NODES_SHARDS 64
struct node_count {
	uint64_t vol, ino;
	uint64_t n; /* 0: empty */
};
struct nodes {
	struct nodes_shard {
		pthread_mutex_t lock;
		struct node_count *v; /* owned; NULL while cap is 0 */
		uint32_t n, cap;      /* cap: power of two */
	} shard[NODES_SHARDS];
};

void nodes_init(struct nodes *t);
void nodes_release(struct nodes *t);
/* One more; *first (may be NULL): it was not known.  -ENOMEM. */
int nodes_add(struct nodes *t, uint64_t vol, uint64_t ino, bool *first) MUST_USE;
/* Less by count, at most down to none. */
void nodes_drop(struct nodes *t, uint64_t vol, uint64_t ino, uint64_t count);
bool nodes_known(struct nodes *t, uint64_t vol, uint64_t ino);
uint64_t nodes_bytes(struct nodes *t);

#endif
