/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that must not wait, and threads that say so before they do.
 *
 * A thread that serves one of the kernel's queues (fs/fuse/ring.c) does what memory alone can answer; what would wait for the
 * disk, or for room, is refused and done again by another thread.  A thread of the loop (fs/fuse/loop.c) may wait, but lets
 * another take its place first.
 *
 * Whoever is about to wait asks nowait_check first and returns its error, leaving everything as it was.  Once an operation has
 * changed something it cannot be done again, so op_run lifts the ban there, and the rest of the request may wait.
 */
#ifndef FS_BASE_NOWAIT_H
#define FS_BASE_NOWAIT_H

#include <errno.h>
#include <stdbool.h>

#include "fs/base/cleanup.h"

#define NOWAIT_REFUSED ERESTART /* no file operation fails with it */

void nowait_begin(void);
void nowait_end(void);
/* Between the two: from here on waiting is allowed. */
void nowait_lift(void);
/* Have fn called once, in this thread, before it waits the next time; NULL: no longer.  The caller of nowait_check may hold
 * locks, so fn takes only such that are never held across anything else. */
void nowait_tell(void (*fn)(void *arg), void *arg);
/* 0: go on and wait, who is to be told has been.  -NOWAIT_REFUSED: this thread must not. */
int nowait_check(void) MUST_USE;
/* The same for a wait that cannot be refused. */
void nowait_announce(void);
/* Between begin and end, lifted or not: what others can do as well should be left to them. */
bool nowait_thread(void);

#endif
