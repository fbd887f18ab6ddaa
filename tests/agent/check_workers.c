/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs that hang: who waits for them, who may begin meanwhile, who frees what. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agent/workers.h"
#include "tests/agent/suites.h"

static struct workers *workers;
static sem_t begun, go_on, released, returned;
static atomic_int nbegun;

struct test_job {
	struct worker_job job;
	int answer;
};

static void release(struct worker_job *job)
{
	free(job);
	sem_post(&released);
}

static int answer(struct worker_job *job)
{
	struct test_job *j = (struct test_job *)job;

	j->answer = 42;
	return 7;
}

static int hang(struct worker_job *job)
{
	atomic_fetch_add(&nbegun, 1);
	sem_post(&begun);
	while (sem_wait(&go_on) < 0)
		;
	return 0;
}

static struct worker_job *new_job(int (*work)(struct worker_job *))
{
	struct test_job *j = calloc(1, sizeof(*j));

	ck_assert_ptr_nonnull(j);
	j->job = (struct worker_job){ work, release };
	return &j->job;
}

static int run(const char *key, int (*work)(struct worker_job *), int64_t ms)
{
	struct worker_job *job = new_job(work);
	struct patience p = patience_ms(ms);
	int err = workers_run(workers, key, &job, &p);

	if (job)
		job->release(job);
	return err;
}

static void note_return(void *arg)
{
	sem_post(arg);
}

static void setup(void)
{
	ck_assert_int_eq(workers_new(&workers), 0);
	workers_set_returned(workers, note_return, &returned);
	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&released, 0, 0);
	sem_init(&returned, 0, 0);
	nbegun = 0;
}

static void teardown(void)
{
	workers_free(workers);
}

static void assert_count(unsigned running, unsigned overdue)
{
	unsigned r, o;

	workers_count(workers, &r, &o);
	ck_assert_uint_eq(r, running);
	ck_assert_uint_eq(o, overdue);
}

static void wait_until_idle(void)
{
	unsigned r, o;

	do
		workers_count(workers, &r, &o);
	while (r);
}

START_TEST(test_workers_result)
{
	struct worker_job *job = new_job(answer);
	struct patience p = patience_ms(60000);

	ck_assert_int_eq(workers_run(workers, "a", &job, &p), 7);
	ck_assert_ptr_nonnull(job);
	ck_assert_int_eq(((struct test_job *)job)->answer, 42);
	job->release(job);
	wait_until_idle();
	ck_assert_int_eq(sem_trywait(&returned), -1); /* nobody gave it up */
}
END_TEST

START_TEST(test_workers_hang)
{
	ck_assert_int_eq(run("a", hang, 10), -ETIMEDOUT);
	assert_count(1, 1);
	ck_assert_int_eq(run("b", answer, 60000), 7);
	/* The same key does not begin, and never will. */
	ck_assert_int_eq(run("a", hang, 10), -ETIMEDOUT);
	ck_assert_int_eq(sem_wait(&released), 0);
	ck_assert_int_eq(nbegun, 1);
	sem_post(&go_on);
	ck_assert_int_eq(sem_wait(&returned), 0);
	ck_assert_int_eq(sem_wait(&released), 0); /* freed by its thread */
	ck_assert_int_eq(run("a", answer, 60000), 7);
	wait_until_idle();
	ck_assert_int_eq(sem_trywait(&returned), -1);
	ck_assert_int_eq(nbegun, 1);
}
END_TEST

static void *run_answer(void *arg)
{
	return (void *)(intptr_t)run(arg, answer, 60000);
}

/* Whoever comes while a job is overdue waits for it, and is not lost. */
START_TEST(test_workers_wait_for_overdue)
{
	pthread_t thread;
	void *result;

	ck_assert_int_eq(run("a", hang, 10), -ETIMEDOUT);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_answer, (void *)"a"), 0);
	sem_post(&go_on);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, 7);
}
END_TEST

static bool is_over(void *arg)
{
	return true;
}

START_TEST(test_workers_cancelled)
{
	struct worker_job *job = new_job(hang);
	struct patience p = patience_ms(60000);

	p.is_over = is_over;
	ck_assert_int_eq(workers_run(workers, "a", &job, &p), -ECANCELED);
	ck_assert_ptr_null(job);
	sem_post(&go_on);
	ck_assert_int_eq(sem_wait(&returned), 0);
}
END_TEST

static void *run_hang(void *arg)
{
	return (void *)(intptr_t)run(arg, hang, 60000);
}

START_TEST(test_workers_bound)
{
	pthread_t threads[WORKERS_KEY_MAX];
	void *result;

	for (int i = 0; i < WORKERS_KEY_MAX; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_hang, (void *)"a"), 0);
	for (int i = 0; i < WORKERS_KEY_MAX; i++)
		ck_assert_int_eq(sem_wait(&begun), 0);
	ck_assert_int_eq(run("a", hang, 10), -ETIMEDOUT);
	ck_assert_int_eq(nbegun, WORKERS_KEY_MAX);
	assert_count(WORKERS_KEY_MAX, 0);
	ck_assert_int_eq(run("b", answer, 60000), 7);
	for (int i = 0; i < WORKERS_KEY_MAX; i++)
		sem_post(&go_on);
	for (int i = 0; i < WORKERS_KEY_MAX; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_int_eq((int)(intptr_t)result, 0);
	}
}
END_TEST

START_TEST(test_workers_free_while_one_hangs)
{
	ck_assert_int_eq(run("a", hang, 10), -ETIMEDOUT);
	workers_free(workers);
	workers = NULL;
	sem_post(&go_on);
	ck_assert_int_eq(sem_wait(&released), 0);
	ck_assert_int_eq(sem_trywait(&returned), -1);
}
END_TEST

Suite *make_workers_suite(void)
{
	Suite *s = suite_create("workers");
	TCase *t = tcase_create("workers");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_workers_result);
	tcase_add_test(t, test_workers_hang);
	tcase_add_test(t, test_workers_wait_for_overdue);
	tcase_add_test(t, test_workers_cancelled);
	tcase_add_test(t, test_workers_bound);
	tcase_add_test(t, test_workers_free_while_one_hangs);
	suite_add_tcase(s, t);
	return s;
}
