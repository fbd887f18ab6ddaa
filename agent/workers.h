/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls that can hang (all system calls on a mount) run in threads of their own, so that nobody who waits for one is held
 * longer than his patience.  A job whose caller has left runs on to its end; then it is "overdue".
 *
 * Jobs carry a key that names what they can hang on.  While a job of a key is overdue, no other of that key begins: its
 * callers wait for the overdue ones, and leave when their patience ends.  So what is hung holds at most
 * WORKERS_KEY_MAX threads however often it is asked, a call that was given up before it began never happens, and one that was
 * given up later cannot be overtaken by the call that shall undo it.
 *
 * Thread-safe.  A job may itself call workers_run with another key.
 */
#ifndef AGENT_WORKERS_H
#define AGENT_WORKERS_H

#include <stddef.h>

#include "agent/patience.h"

#define WORKERS_MAX 64 /* threads at a time */
#define WORKERS_KEY_MAX 8 /* of one key */
#define WORKERS_KEY_SIZE 256 /* longer keys are cut */

struct workers;

/* What the job works on: allocated by malloc(), no pointers that the caller might free. */
struct worker_job {
	int (*work)(struct worker_job *job); /* its result is that of workers_run */
	void (*release)(struct worker_job *job); /* frees it, and what it holds */
};

int workers_new(struct workers **out) MUST_USE;
/* Overdue jobs run on; what belongs to them is freed by the last one. */
void workers_free(struct workers *w);

/* When a job that was given up has ended, and none of its key is overdue any more.  Called from that job's thread, without
 * a lock of ours; not after workers_set_returned(w, NULL, NULL). */
void workers_set_returned(struct workers *w, void (*returned)(void *arg), void *arg);

/* Runs job->work in a thread and waits for it.  Its result, with *job still the caller's; or, with *job released by us now
 * or later and set to NULL: -ETIMEDOUT or -ECANCELED when the patience ended, -EAGAIN when no thread can be started. */
int workers_run(struct workers *w, const char *key, struct worker_job **job, const struct patience *p) MUST_USE;

/* Threads that run, and those of them that nobody waits for. */
void workers_count(struct workers *w, unsigned *running, unsigned *overdue);

#endif
