/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A few threads for jobs that may wait for long, so that who must not wait hands them over. */
#ifndef FS_BASE_POOL_H
#define FS_BASE_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "fs/base/cleanup.h"

struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *job); /* frees the job */
};
struct pool {
	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t work, idle;
	struct pool_job *head, **tail;
	unsigned threads, waiting, max_threads;
	bool stop;
};

int pool_init(struct pool *p, unsigned max_threads) MUST_USE;
/* Threads start when they are needed.  -EAGAIN: no thread could be started and none is there; the job is still the
 * caller's. */
int pool_add(struct pool *p, struct pool_job *job) MUST_USE;
/* Runs what was added, then ends the threads. */
void pool_release(struct pool *p);

#endif
