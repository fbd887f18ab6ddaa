/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads that read requests from /dev/fuse and run their handlers.
 *
 * Only so many of them compute at once: each needs a seat to read and to serve.  Whose handler is about to wait (for the disk,
 * for room; fs/base/nowait.h) gives the seat up, and another thread takes it; afterwards it finishes its request, and needs a
 * seat again for the next.  So many writers may wait without keeping readers out, and still a busy daemon does not use all of its
 * threads in turn: one that has answered is mostly preempted by whom it answered, and the next request went to the next thread,
 * until all of them stood in the queue of the processor (8 direct writers, libfuse's loop: p99.9 2 to 4 ms, with this one half of it).
 *
 * Threads are made when they are needed.  Those without a seat sleep, the last to fall asleep wakes first, and only a few are kept.
 *
 * loop.lock is taken inside any other lock (nowait_tell) and nothing is taken inside it.
 */
#ifndef FS_FUSE_LOOP_H
#define FS_FUSE_LOOP_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/base/cleanup.h"

struct loop;

/* At most max threads; on max 0, as few as work. */
int loop_new(struct fuse_session *se, unsigned max, struct loop **out) MUST_USE;
/* Serve until the session has ended: unmounted, or loop_stop.  0, or the error that ended it (-errno).  All its threads are gone
 * when it returns. */
int loop_run(struct loop *l) MUST_USE;
/* End it although the mount is in use; requests that are being served are still answered.  Any thread, any time before loop_free. */
void loop_stop(struct loop *l);
void loop_free(struct loop *l); /* NULL is fine */

#endif
