/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pack files by number: names, and a bounded set of open files shared by all threads. */
#ifndef FS_STORE_PACKS_H
#define FS_STORE_PACKS_H

#include <pthread.h>
#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/base/io.h"

#define PACKS_DIR "packs"
#define PACK_NAME_BYTES 32

/* An open pack.  Stays usable until the last reference is put, even if the name is removed meanwhile. */
struct pack {
	struct pack *hash_next;	      /* protected by packs->lock */
	struct pack *lru_prev, *lru_next; /* protected by packs->lock; only linked while refs = 0 */
	unsigned refs;		      /* protected by packs->lock */
	bool gone;		      /* not to be found any more; protected by packs->lock */
	uint32_t num;
	struct io_file *file; /* owned */
};

#define PACKS_BUCKETS 256
struct packs {
	struct io *io; /* borrowed */
	pthread_mutex_t lock;
	struct pack *buckets[PACKS_BUCKETS]; /* protected by lock */
	struct pack idle;		     /* ring of unreferenced packs, oldest first; protected by lock */
	unsigned nidle, max_idle;
};

void packs_init(struct packs *ps, struct io *io, unsigned max_idle);
void packs_release(struct packs *ps); /* no reference may be left */

void pack_name(uint32_t num, char name[PACK_NAME_BYTES]);
/* The number in a name inside packs/, 0 if it is none. */
uint32_t pack_name_parse(const char *name);

/* Take a reference.  -ENOENT and what io_open may say. */
int packs_get(struct packs *ps, uint32_t num, struct pack **out) MUST_USE;
/* Make the file; it must not exist.  The name is not durable before io_sync_dir. */
int packs_create(struct packs *ps, uint32_t num, struct pack **out) MUST_USE;
void packs_put(struct packs *ps, struct pack *p); /* NULL is fine */
/* Remove the name.  Who holds a reference may go on reading.  -ENOENT. */
int packs_remove(struct packs *ps, uint32_t num) MUST_USE;

#endif
