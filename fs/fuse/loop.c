/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/base/nowait.h"

#define SEATS_LEAST 8u
#define SEATS_PER_CPU 2u
#define SPARE_MOST 16u /* threads kept that have no seat */
#define KICK_NS 10000000
#define PAUSE_NS 10000000
#define WAKE_SIGNAL SIGUSR2 /* session.c handles it: it interrupts a read */

struct worker {
	struct loop *loop;
	pthread_t thread;
	pthread_cond_t seat_cond;
	bool seated, reads, ended; /* protected by loop.lock */
	struct worker *next;	   /* of all; protected by loop.lock */
	struct worker *next_spare; /* protected by loop.lock */
};

struct loop {
	struct fuse_session *se; /* borrowed */
	unsigned seats, max;
	pthread_mutex_t lock; /* protects the rest */
	pthread_cond_t changed; /* a thread has ended, or the session has */
	struct worker *all;   /* owned */
	struct worker *spare; /* without a seat and a request; the last one first */
	unsigned threads, nspare, seated;
	unsigned reading; /* of the seated: idle */
	bool stop;
	int err; /* of the session */
};

static void *worker_main(void *arg);

/* ---- seats ---- */

static void start_locked(struct loop *l)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return; /* those that are there serve */
	w->loop = l;
	w->seated = true;
	pthread_cond_init(&w->seat_cond, NULL);
	if (pthread_create(&w->thread, NULL, worker_main, w)) {
		pthread_cond_destroy(&w->seat_cond);
		free(w);
		return;
	}
	w->next = l->all;
	l->all = w;
	l->threads++;
	l->seated++;
}

/* Somebody has to read while the caller does not. */
static void call_reader_locked(struct loop *l)
{
	struct worker *w = l->spare;

	if (l->reading || l->seated >= l->seats || l->stop)
		return;
	if (!w) {
		if (l->threads < l->max)
			start_locked(l);
		return;
	}
	l->spare = w->next_spare;
	l->nspare--;
	w->seated = true;
	l->seated++;
	pthread_cond_signal(&w->seat_cond);
}

static void give_up_seat(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;

	pthread_mutex_lock(&l->lock);
	w->seated = false;
	l->seated--;
	call_reader_locked(l);
	pthread_mutex_unlock(&l->lock);
}

/* False: this thread is not needed any more. */
static bool take_seat_locked(struct loop *l, struct worker *w)
{
	if (!w->seated && !l->stop && l->seated < l->seats) {
		w->seated = true;
		l->seated++;
	}
	if (w->seated || l->stop || l->nspare >= SPARE_MOST)
		return w->seated && !l->stop;
	w->next_spare = l->spare;
	l->spare = w;
	l->nspare++;
	while (!w->seated && !l->stop)
		pthread_cond_wait(&w->seat_cond, &l->lock);
	return !l->stop;
}

/* ---- a thread ---- */

/* > 0: a request.  0: the session has ended, or this thread is to look why it was woken.  -errno. */
static int receive(struct loop *l, struct fuse_buf *buf)
{
	int r;

	do
		r = fuse_session_receive_buf(l->se, buf);
	while (r == -EAGAIN || r == -ENOENT); /* -ENOENT: it was interrupted before it was read */
	return r == -EINTR ? 0 : r;
}

static void pause_unlocked(struct loop *l)
{
	struct timespec ts = {.tv_nsec = PAUSE_NS};

	pthread_mutex_unlock(&l->lock);
	nanosleep(&ts, NULL);
	pthread_mutex_lock(&l->lock);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;
	struct fuse_buf buf = {.mem = NULL};
	int r = 0;

	pthread_mutex_lock(&l->lock);
	while (r >= 0 && !fuse_session_exited(l->se) && take_seat_locked(l, w)) {
		w->reads = true;
		l->reading++;
		pthread_mutex_unlock(&l->lock);
		r = receive(l, &buf);
		pthread_mutex_lock(&l->lock);
		w->reads = false;
		l->reading--;
		if (r == -ENOMEM) { /* for the buffer: one thread less, but for the last */
			r = 0;
			if (l->seated > 1)
				break;
			pause_unlocked(l);
		}
		if (r <= 0)
			continue;
		call_reader_locked(l);
		pthread_mutex_unlock(&l->lock);
		nowait_tell(give_up_seat, w);
		fuse_session_process_buf(l->se, &buf);
		nowait_tell(NULL, NULL);
		pthread_mutex_lock(&l->lock);
	}
	if (r < 0 && !l->err)
		l->err = r;
	l->stop = l->stop || r < 0 || fuse_session_exited(l->se);
	if (w->seated) {
		w->seated = false;
		l->seated--;
		call_reader_locked(l);
	}
	w->ended = true;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	free(buf.mem);
	return NULL;
}

/* ---- the loop ---- */

int loop_new(struct fuse_session *se, unsigned max, struct loop **out)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct loop *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return -ENOMEM;
	l->se = se;
	l->max = MAX(max, 1u);
	l->seats = MIN(MAX(SEATS_LEAST, SEATS_PER_CPU * (unsigned)MAX(cpus, 1)), l->max);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	*out = l;
	return 0;
}

/* Those that have ended are joined; true: there are others. */
static bool reap_locked(struct loop *l)
{
	struct worker **p = &l->all;

	while (*p) {
		struct worker *w = *p;

		if (!w->ended) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		l->threads--;
		pthread_mutex_unlock(&l->lock);
		pthread_join(w->thread, NULL);
		pthread_cond_destroy(&w->seat_cond);
		free(w);
		pthread_mutex_lock(&l->lock);
		p = &l->all; /* the list may be another */
	}
	return l->all;
}

/* A read may begin right after the signal for it, so who stops signals again until all have left.  Who serves is not disturbed:
 * it looks at `stop` before it reads again. */
static void kick_locked(struct loop *l)
{
	struct timespec until = ns_to_timespec(clock_monotonic_ns() + KICK_NS);

	for (struct worker *w = l->all; w; w = w->next) {
		if (w->ended)
			continue;
		pthread_cond_signal(&w->seat_cond);
		if (w->reads)
			pthread_kill(w->thread, WAKE_SIGNAL);
	}
	pthread_cond_timedwait(&l->changed, &l->lock, &until);
}

int loop_run(struct loop *l)
{
	int err;

	pthread_mutex_lock(&l->lock);
	start_locked(l);
	if (!l->all)
		l->err = -EAGAIN;
	while (reap_locked(l)) {
		if (l->stop)
			kick_locked(l);
		else
			pthread_cond_wait(&l->changed, &l->lock);
	}
	err = l->err;
	pthread_mutex_unlock(&l->lock);
	return err;
}

void loop_stop(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	fuse_session_exit(l->se);
	l->stop = true;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
