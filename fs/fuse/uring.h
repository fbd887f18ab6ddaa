/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One io_uring, as far as ring.c needs it.  Submissions are made under a lock of the caller's, by any thread; the one thread that
 * set it up hands them to the kernel and reads what completed.
 * By system calls: what a library would add is not needed, and its submission is not made for a queue that other threads fill.
 */
#ifndef FS_FUSE_URING_H
#define FS_FUSE_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct uring {
	int fd;
	uint32_t sq_mask, cq_mask;
	uint32_t tail; /* of submissions made; what the kernel sees is *sq_tail */
	uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail; /* shared with the kernel */
	struct io_uring_cqe *cqes;
	char *sqes;
	void *rings;
	size_t rings_bytes, sqes_bytes;
};

/* By the thread that will call uring_enter, and nobody else.  Room for `entries` submissions.  -errno of io_uring_setup. */
int uring_init(struct uring *u, unsigned entries) MUST_USE;
/* Cancels what is under way. */
void uring_release(struct uring *u);
/* A zeroed submission, NULL: no room.  */
struct io_uring_sqe *uring_sqe(struct uring *u);
/* Publish; returns how many the kernel has not taken yet, for uring_enter. */
unsigned uring_publish(struct uring *u);
/* Submit, and wait until something has completed if wait is 1.  -errno; -EINTR: again. */
int uring_enter(struct uring *u, unsigned to_submit, unsigned wait) MUST_USE;
/* The next completion.  false: none. */
bool uring_next(struct uring *u, uint64_t *data, int *res);

#endif
