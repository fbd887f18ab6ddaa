/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The content of one simulated file, twice: as the program sees it now and as it is on the platter, with the list of
 * changes in between.  The two share pages; only pages touched since the last sync exist twice.  Not thread-safe.
 * Running out of memory aborts: this is test code.
 */
#ifndef TESTS_SIM_SIM_IMAGE_H
#define TESTS_SIM_SIM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define IMAGE_BLOCK_BYTES 4096 /* unit of space */
#define IMAGE_MAX_BYTES (UINT64_C(64) << 30)

enum image_side { NOW, DURABLE };

/* What happens to pending changes when the power comes back. */
enum fate_mode { FATE_ALL, FATE_NONE, FATE_PREFIX, FATE_SUBSET };
struct fate {
	enum fate_mode mode;
	uint64_t cut_seq; /* FATE_PREFIX: changes before it stay, the one with it may be torn */
	uint64_t *random; /* borrowed */
};
/* A number below n; n > 0. */
uint64_t sim_random(uint64_t *state, uint64_t n);

struct change;
struct image_slot {
	uint8_t *page[2];  /* per side; NULL reads as zeros; both may be the same page */
	uint8_t blocks[2]; /* bit per block that takes space */
	bool dirty;	   /* touched now since the last sync */
};
/* Bytes of a page behind size[side] are zero.  A zeroed struct is an empty image. */
struct image {
	uint64_t size[2];
	struct image_slot *slots;
	size_t nslots;
	size_t *dirty; /* indices of dirty slots */
	size_t ndirty, dirty_room;
	struct change *first, *last; /* pending, in order of issue */
	uint64_t nblocks;	     /* taken now */
};

void image_release(struct image *im);
size_t image_read(const struct image *im, void *buf, size_t len, uint64_t off);
/* The first len bytes of the pieces. */
void image_write(struct image *im, const struct iovec *iov, int n, size_t len, uint64_t off, uint64_t seq);
void image_punch(struct image *im, uint64_t off, uint64_t len, uint64_t seq);
void image_truncate(struct image *im, uint64_t size, uint64_t seq);
void image_allocate(struct image *im, uint64_t off, uint64_t len, uint64_t seq);
/* How many bytes from off on can be written with `room` more blocks, at most len. */
uint64_t image_fit(const struct image *im, uint64_t off, uint64_t len, uint64_t room);

/* What is now becomes durable. */
void image_sync(struct image *im);
/* A sync that failed: some sectors made it, none is dirty any more, and what is seen now stays as it was until the power
 * goes: what Linux does. */
void image_sync_failed(struct image *im, uint64_t *random);
/* Power loss: decide what became of pending changes; then now and durable are the same. */
void image_settle(struct image *im, const struct fate *fate);
/* Flip one bit on both sides.  off < size[DURABLE]. */
void image_flip(struct image *im, uint64_t off);

#endif
