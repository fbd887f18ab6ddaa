/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE over io_uring: requests come and answers go through memory shared with the kernel, one queue for each CPU, instead of
 * read and write of /dev/fuse.  The kernel hands a request to the queue of the CPU that asks, and one thread there, bound to
 * that CPU, answers it with one system call and no wake-up of another CPU.
 *
 * libfuse decodes and encodes as ever: a message is put together as /dev/fuse would give it and fed to
 * fuse_session_process_buf; the answer comes back through the session's writev (wire.c).  So every handler, and every word of
 * wire.h, works on both ways, with every libfuse.
 *
 * One thread for a queue must not wait, or all requests of its CPU would.  It runs handlers under fs/base/nowait.h; a request
 * that would wait is refused with -NOWAIT_REFUSED and run again, from the same message, by a pool of threads.  Answers may come from any
 * thread (pool, flusher): they are put into the queue's submission ring, and the queue's thread is woken to submit them,
 * because the kernel delivers the next request to the thread that submitted.
 *
 * FORGET and INTERRUPT, and what comes before the queues are ready, still go through /dev/fuse.
 */
#ifndef FS_FUSE_RING_H
#define FS_FUSE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fs/base/cleanup.h"

struct json;
struct mnt;
struct ring;

/* What the queues take. */
struct ring_plan {
	unsigned queues; /* one for each CPU there can be */
	unsigned depth;	 /* requests at once in each */
	uint32_t payload; /* longest data of one request */
};

/* Does this kernel let anybody use it?  If not, why gets the reason and what to do. */
bool ring_allowed(char *why, size_t why_size);
/* Within `bytes`.  -ENOMEM: too little for so many CPUs. */
int ring_plan(uint64_t bytes, struct ring_plan *out) MUST_USE;
uint64_t ring_bytes(const struct ring_plan *p);

/* Memory and threads, which wait for ring_start.  -errno of io_uring_setup and others. */
int ring_new(struct mnt *m, const struct ring_plan *p, struct ring **out) MUST_USE;
/* After the answer to INIT that agreed on it. */
void ring_start(struct ring *r);
/* Ends the threads, after what they run.  Answers that come later have nowhere to go. */
void ring_stop(struct ring *r);
void ring_free(struct ring *r);

/* An answer on its way out, as writev gets it.  false: not to a request from here.  Else *n is what writev would return, with
 * errno. */
bool ring_reply(struct ring *r, const struct iovec *iov, int count, ssize_t *n);
/* Room for the answer to the READ or READDIR that this thread is handling, from which it need not be copied.  NULL: none. */
void *ring_room(size_t size);
/* Member "io_uring". */
void ring_stats(struct ring *r, struct json *j);

#endif
