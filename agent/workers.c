/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table of runs under one lock.  A run is shared by its thread and its caller; whoever lets go of it last frees it and,
 * unless the caller took it back, its job.
 *
 *   waiting for a place   the caller alone; in no list
 *   running               in the list, with a caller
 *   overdue               in the list, the caller has left (abandoned)
 *   done                  out of the list, the caller takes the result
 */
#include "agent/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/base/msg.h"

#define STACK_BYTES (512 * 1024)

struct run {
	struct run *next;
	struct workers *workers; /* holds a reference */
	struct worker_job *job;	 /* owned while abandoned or done is false */
	char key[WORKERS_KEY_SIZE];
	int64_t began_ms;
	int result;
	bool done, abandoned;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a run has ended; CLOCK_MONOTONIC */
	struct run *runs;	/* all fields protected by lock */
	unsigned nruns;
	bool closed; /* freed when the last run ends */
	bool calling;	 /* `returned` is being called */
	void (*returned)(void *arg);
	void *returned_arg;
};

int workers_new(struct workers **out)
{
	struct workers *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int err = w ? pthread_condattr_init(&attr) : ENOMEM;

	if (err) {
		free(w);
		return -err;
	}
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (err) {
		free(w);
		return -err;
	}
	pthread_mutex_init(&w->lock, NULL);
	*out = w;
	return 0;
}

static void destroy(struct workers *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void workers_free(struct workers *w)
{
	bool last;

	if (!w)
		return;
	workers_set_returned(w, NULL, NULL);
	pthread_mutex_lock(&w->lock);
	w->closed = true;
	last = w->nruns == 0;
	pthread_mutex_unlock(&w->lock);
	if (last)
		destroy(w);
}

void workers_set_returned(struct workers *w, void (*returned)(void *arg), void *arg)
{
	pthread_mutex_lock(&w->lock);
	while (w->calling)
		pthread_cond_wait(&w->changed, &w->lock);
	w->returned = returned;
	w->returned_arg = arg;
	pthread_mutex_unlock(&w->lock);
}

static unsigned count_locked(const struct workers *w, const char *key, unsigned *overdue)
{
	unsigned n = 0;

	*overdue = 0;
	for (const struct run *r = w->runs; r; r = r->next) {
		if (key && strcmp(r->key, key) != 0)
			continue;
		n++;
		*overdue += r->abandoned;
	}
	return n;
}

void workers_count(struct workers *w, unsigned *running, unsigned *overdue)
{
	pthread_mutex_lock(&w->lock);
	*running = count_locked(w, NULL, overdue);
	pthread_mutex_unlock(&w->lock);
}

static void run_free(struct run *r)
{
	if (r->job)
		r->job->release(r->job);
	free(r);
}

/* The last overdue job of a key has ended: tell it. */
static void call_returned_locked(struct workers *w)
{
	void (*returned)(void *arg) = w->returned;

	while (w->calling)
		pthread_cond_wait(&w->changed, &w->lock);
	if (!returned || !w->returned)
		return;
	w->calling = true;
	pthread_mutex_unlock(&w->lock);
	returned(w->returned_arg);
	pthread_mutex_lock(&w->lock);
	w->calling = false;
	pthread_cond_broadcast(&w->changed);
}

static void end_run(struct run *r)
{
	struct workers *w = r->workers;
	bool abandoned, last;
	unsigned overdue;

	pthread_mutex_lock(&w->lock);
	for (struct run **at = &w->runs; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	abandoned = r->abandoned;
	r->done = true;
	pthread_cond_broadcast(&w->changed);
	if (abandoned) {
		msg(LOG_NOTICE, "a call that had hung has ended: on=\"%s\" took_ms=%lld", r->key,
		    (long long)(patience_now_ms() - r->began_ms));
		(void)count_locked(w, r->key, &overdue);
		if (!overdue)
			call_returned_locked(w);
	}
	w->nruns--;
	last = w->closed && w->nruns == 0;
	pthread_mutex_unlock(&w->lock);
	if (abandoned)
		run_free(r);
	if (last)
		destroy(w);
}

static void *run_main(void *arg)
{
	struct run *r = arg;

	r->result = r->job->work(r->job);
	end_run(r);
	return NULL;
}

static int start_thread(struct run *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (err)
		return -EAGAIN;
	err = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!err)
		err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!err)
		err = pthread_create(&thread, &attr, run_main, r);
	pthread_attr_destroy(&attr);
	return err ? -EAGAIN : 0;
}

static void wait_slice_locked(struct workers *w, const struct patience *p)
{
	int64_t until_ms = patience_now_ms() + patience_slice_ms(p);
	struct timespec ts = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

	(void)pthread_cond_timedwait(&w->changed, &w->lock, &ts); /* the caller looks at what has changed */
}

/* The patience may ask others under locks of theirs. */
static int check_unlocked(struct workers *w, const struct patience *p)
{
	int err;

	pthread_mutex_unlock(&w->lock);
	err = patience_check(p);
	pthread_mutex_lock(&w->lock);
	return err;
}

static bool has_place_locked(const struct workers *w, const char *key)
{
	unsigned overdue, running = count_locked(w, key, &overdue);

	return w->nruns < WORKERS_MAX && running < WORKERS_KEY_MAX && !overdue;
}

static int begin_locked(struct workers *w, struct run *r, const struct patience *p)
{
	int err = 0;

	while (!has_place_locked(w, r->key)) {
		wait_slice_locked(w, p);
		if (has_place_locked(w, r->key))
			break;
		err = check_unlocked(w, p);
		if (err)
			return err;
	}
	r->began_ms = patience_now_ms();
	err = start_thread(r);
	if (err)
		return err;
	r->next = w->runs;
	w->runs = r;
	w->nruns++;
	return 0;
}

static int wait_locked(struct workers *w, struct run *r, const struct patience *p)
{
	while (!r->done) {
		int err;

		wait_slice_locked(w, p);
		if (r->done)
			break;
		err = check_unlocked(w, p);
		if (r->done)
			break;
		if (err) {
			r->abandoned = true;
			msg(LOG_WARNING, "a call hangs and is given up: on=\"%s\" waited_ms=%lld", r->key,
			    (long long)(patience_now_ms() - r->began_ms));
			return err;
		}
	}
	return 0;
}

int workers_run(struct workers *w, const char *key, struct worker_job **job, const struct patience *p)
{
	struct run *r = calloc(1, sizeof(*r));
	int err, result;

	if (!r) {
		(*job)->release(*job);
		*job = NULL;
		return -EAGAIN;
	}
	r->workers = w;
	r->job = *job;
	*job = NULL;
	snprintf(r->key, sizeof(r->key), "%s", key);
	pthread_mutex_lock(&w->lock);
	err = begin_locked(w, r, p);
	if (err) {
		pthread_mutex_unlock(&w->lock);
		run_free(r);
		return err;
	}
	err = wait_locked(w, r, p);
	pthread_mutex_unlock(&w->lock);
	if (err)
		return err; /* the thread frees it */
	*job = r->job;
	result = r->result;
	free(r);
	return result;
}
