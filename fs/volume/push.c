/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/volume/push.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/clock.h"
#include "fs/base/pool.h"

#define PUSH_THREADS 8

struct push {
	struct pool_job job;
	struct pushes *in;
	struct push *next;
	enum push_why why;
	uint64_t id;
	int64_t done_ns; /* in->lock; 0: goes on */
	bool forgotten;	 /* in->lock; no longer in the list: freed by its thread */
	unsigned n;
	uint64_t vols[];
};
struct pushes {
	void (*hook)(void *arg, const uint64_t *vols, unsigned n, bool drop);
	void *arg;
	struct pool pool;
	pthread_mutex_t lock; /* protects list */
	pthread_cond_t done;  /* monotonic clock */
	struct push *list;
};

int pushes_new(void (*hook)(void *arg, const uint64_t *vols, unsigned n, bool drop), void *arg, struct pushes **out)
{
	struct pushes *p = calloc(1, sizeof(*p));
	pthread_condattr_t a;
	int r;

	if (!p)
		return -ENOMEM;
	r = pool_init(&p->pool, PUSH_THREADS);
	if (r) {
		free(p);
		return r;
	}
	p->hook = hook;
	p->arg = arg;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&p->done, &a);
	pthread_condattr_destroy(&a);
	*out = p;
	return 0;
}

void pushes_free(struct pushes *p)
{
	if (!p)
		return;
	pool_release(&p->pool);
	for (struct push *w = p->list, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void run(struct pool_job *job)
{
	struct push *w = CONTAINER_OF(job, struct push, job);
	struct pushes *p = w->in;
	bool drop = w->why == PUSH_SEALED || w->why == PUSH_FROZEN;

	p->hook(p->arg, w->vols, w->n, drop);
	pthread_mutex_lock(&p->lock);
	if (w->forgotten)
		free(w);
	else
		w->done_ns = clock_monotonic_ns();
	pthread_cond_broadcast(&p->done);
	pthread_mutex_unlock(&p->lock);
}

static struct push **find_locked(struct pushes *p, enum push_why why, uint64_t id)
{
	struct push **w = &p->list;

	while (*w && ((*w)->why != why || (*w)->id != id))
		w = &(*w)->next;
	return w;
}

static void take_locked(struct push **at)
{
	struct push *w = *at;

	*at = w->next;
	if (w->done_ns)
		free(w);
	else
		w->forgotten = true;
}

/* Answers nobody came for. */
static void expire_locked(struct pushes *p)
{
	int64_t now = clock_monotonic_ns();

	for (struct push **w = &p->list; *w;)
		if ((*w)->done_ns && now - (*w)->done_ns > PUSH_KEPT_NS)
			take_locked(w);
		else
			w = &(*w)->next;
}

static int start_locked(struct pushes *p, enum push_why why, uint64_t id, const uint64_t *vols, unsigned n)
{
	struct push *w = calloc(1, sizeof(*w) + n * sizeof(*vols));
	int r;

	if (!w)
		return -ENOMEM;
	w->job.run = run;
	w->in = p;
	w->why = why;
	w->id = id;
	w->n = n;
	memcpy(w->vols, vols, n * sizeof(*vols));
	r = pool_add(&p->pool, &w->job);
	if (r) {
		free(w);
		return r;
	}
	w->next = p->list; /* its thread needs the lock before it touches the list */
	p->list = w;
	return 0;
}

int push_poll(struct pushes *p, enum push_why why, uint64_t id, const uint64_t *vols, unsigned n, int64_t until_ns)
{
	const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	bool late = false;
	struct push **w;
	int r = 0;

	if (!p->hook)
		return 0;
	pthread_mutex_lock(&p->lock);
	expire_locked(p);
	if (!*find_locked(p, why, id))
		r = start_locked(p, why, id, vols, n);
	while (!r) {
		w = find_locked(p, why, id);
		if (!*w) /* forgotten, or another call got the answer */
			break;
		if ((*w)->done_ns) {
			take_locked(w);
			break;
		}
		if (late)
			r = -EINPROGRESS;
		else
			late = pthread_cond_timedwait(&p->done, &p->lock, &until) == ETIMEDOUT;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

void push_forget(struct pushes *p, enum push_why why, uint64_t id)
{
	struct push **w;

	pthread_mutex_lock(&p->lock);
	w = find_locked(p, why, id);
	if (*w)
		take_locked(w);
	pthread_cond_broadcast(&p->done);
	pthread_mutex_unlock(&p->lock);
}
