/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/pool.h"

#include <errno.h>

static void *worker(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_job *job;

		while (!p->head && !p->stop) {
			p->waiting++;
			pthread_cond_wait(&p->work, &p->lock);
			p->waiting--;
		}
		job = p->head;
		if (!job)
			break;
		p->head = job->next;
		if (!p->head)
			p->tail = &p->head;
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
	}
	p->threads--;
	pthread_cond_signal(&p->idle);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int pool_init(struct pool *p, unsigned max_threads)
{
	*p = (struct pool){.max_threads = max_threads};
	p->tail = &p->head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	return 0;
}

int pool_add(struct pool *p, struct pool_job *job)
{
	int err = 0;

	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	/* A queued job has a claim on a waiting thread too; one thread too many does no harm. */
	if ((p->waiting == 0 || p->head) && p->threads < p->max_threads) {
		pthread_t t;

		if (pthread_create(&t, NULL, worker, p) == 0) {
			pthread_detach(t);
			p->threads++;
		}
	}
	if (p->threads == 0) {
		err = -EAGAIN;
	} else {
		*p->tail = job;
		p->tail = &job->next;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

void pool_release(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	while (p->threads > 0)
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}
