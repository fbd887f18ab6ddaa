/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiters, grouping, age, poisoning. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/cleanup.h"
#include "fs/base/clock.h"
#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

static struct io *io;
static struct log_config cfg;

static void setup(void)
{
	io = sim_new(11, 0);
	cfg = fix_config();
}
static void teardown(void)
{
	io_free(io);
}

struct waiter {
	struct log_waiter w;
	_Atomic int calls, err;
};
static void called(struct log_waiter *lw, int err)
{
	struct waiter *w = CONTAINER_OF(lw, struct waiter, w);

	w->err = err;
	w->calls++;
}
static void until_called(struct waiter *w)
{
	for (int i = 0; i < 10000 && w->calls == 0; i++)
		usleep(1000);
	ck_assert_int_eq(w->calls, 1);
}

#define PER_THREAD 300
struct writer {
	struct log *log;
	int id;
	bool by_callback;
	struct waiter waiters[PER_THREAD];
	uint64_t last;
};
static void *write_many(void *arg)
{
	struct writer *w = arg;
	uint64_t rnd = (uint64_t)w->id;

	for (int i = 0; i < PER_THREAD; i++) {
		uint64_t lsn = fix_append(w->log, 1, fix_random(&rnd) % 3000, NULL, NULL);

		ck_assert_uint_gt(lsn, w->last);
		w->last = lsn;
		if (w->by_callback || i % 5 == 0) {
			w->waiters[i].w.lsn = lsn;
			w->waiters[i].w.done = called;
			log_flush(w->log, &w->waiters[i].w);
			if (i % 3 == 0)
				until_called(&w->waiters[i]);
		} else {
			w->waiters[i].calls = 1;
			ck_assert_int_eq(log_wait(w->log, lsn), 0);
			ck_assert_uint_gt(log_durable(w->log), lsn);
		}
		if (i % 10 == 0)
			log_retire(w->log, log_durable(w->log));
	}
	return NULL;
}

START_TEST(test_log_waiters_exactly_once)
{
	enum { THREADS = 6 };
	struct writer *w = calloc(THREADS, sizeof(*w));
	pthread_t t[THREADS];
	struct log_stats st;
	struct log *log;

	cfg.max_segments = 8;
	log = fix_begin(io, &cfg);
	for (int i = 0; i < THREADS; i++) {
		w[i].log = log;
		w[i].id = i;
		w[i].by_callback = i % 2;
		ck_assert_int_eq(pthread_create(&t[i], NULL, write_many, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.records, THREADS * PER_THREAD);
	ck_assert_uint_lt(st.flushes, st.waiters);
	ck_assert_int_eq(log_close(log), 0);
	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < PER_THREAD; j++) {
			ck_assert_int_eq(w[i].waiters[j].calls, 1);
			ck_assert_int_eq(w[i].waiters[j].err, 0);
		}
	free(w);
}
END_TEST

START_TEST(test_log_flush_when_durable_calls_at_once)
{
	struct log *log = fix_begin(io, &cfg);
	struct waiter w = {.w = {.lsn = 0, .done = called}};
	uint64_t lsn;

	log_flush(log, &w.w); /* nothing appended */
	ck_assert_int_eq(w.calls, 1);
	lsn = fix_append(log, 0, 10, NULL, NULL);
	ck_assert_int_eq(log_wait(log, lsn), 0);
	w = (struct waiter){.w = {.lsn = lsn, .done = called}};
	log_flush(log, &w.w);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_int_eq(w.err, 0);
	fix_append(log, 1, 10, NULL, NULL);
	w = (struct waiter){.w = {.lsn = UINT64_MAX, .done = called}};
	log_flush(log, &w.w);
	until_called(&w);
	ck_assert_uint_eq(log_durable(log), log_end(log));
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_wait_until)
{
	struct log *log;
	uint64_t lsn;

	log = fix_begin(io, &cfg);
	for (uint64_t n = 0; n < 50; n++) {
		lsn = fix_append(log, n, 10, NULL, NULL);
		ck_assert_int_eq(log_wait_until(log, lsn, clock_monotonic_ns() + 60000000000ll), 0);
		ck_assert_uint_gt(log_durable(log), lsn);
		ck_assert_int_eq(log_wait_until(log, lsn, 0), 0); /* durable: no matter how late */
	}
	/* Gives up and leaves nothing behind, also while others wait and are answered. */
	for (uint64_t n = 50; n < 300; n++) {
		struct waiter w = {.w = {.lsn = UINT64_MAX, .done = called}};
		int r;

		lsn = fix_append(log, n, 10, NULL, NULL);
		log_flush(log, &w.w);
		lsn = fix_append(log, n, 10, NULL, NULL);
		r = log_wait_until(log, lsn, clock_monotonic_ns() + (int64_t)(n % 5) * 20000);
		ck_assert_msg(r == 0 || r == -ETIMEDOUT, "%d", r);
		if (r == 0)
			ck_assert_uint_gt(log_durable(log), lsn);
		until_called(&w);
	}
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	sim_fault(io, SIM_FAULT_SYNC_EIO, "log/", 1);
	lsn = fix_append(log, 300, 10, NULL, NULL);
	ck_assert_int_eq(log_wait_until(log, lsn, clock_monotonic_ns() + 60000000000ll), -EIO);
	ck_assert_int_eq(log_close(log), -EIO);
}
END_TEST

static void until_durable(struct log *log, uint64_t end)
{
	for (int i = 0; i < 5000 && log_durable(log) < end; i++)
		usleep(1000);
	ck_assert_uint_ge(log_durable(log), end);
}

START_TEST(test_log_kick)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t next;

	for (uint64_t n = 0; n < 5; n++) {
		fix_append(log, n, 10, NULL, &next);
		log_kick(log);
		until_durable(log, next);
	}
	log_kick(log);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* A sync that stands still until the test lets it go. */
static pthread_mutex_t slow_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slow_cond = PTHREAD_COND_INITIALIZER;
static struct {
	struct io_ops ops;
	int (*sync)(struct io_file *f);
	bool begun, go_on;
} slow;

static int slow_sync(struct io_file *f)
{
	pthread_mutex_lock(&slow_lock);
	slow.begun = true;
	pthread_cond_broadcast(&slow_cond);
	while (!slow.go_on)
		pthread_cond_wait(&slow_cond, &slow_lock);
	pthread_mutex_unlock(&slow_lock);
	return slow.sync(f);
}

static void *wait_for_first(void *arg)
{
	return (void *)(intptr_t)log_wait(arg, 0);
}

/* ... while a thread in log_wait flushes, which ends with its own answer. */
START_TEST(test_log_kick_during_flush)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t next;
	pthread_t t;
	void *err;

	slow.ops = *io->ops;
	slow.sync = io->ops->sync;
	slow.ops.sync = slow_sync;
	slow.begun = slow.go_on = false;
	io->ops = &slow.ops;
	fix_append(log, 0, 10, NULL, NULL);
	ck_assert_int_eq(pthread_create(&t, NULL, wait_for_first, log), 0);
	pthread_mutex_lock(&slow_lock);
	while (!slow.begun)
		pthread_cond_wait(&slow_cond, &slow_lock);
	fix_append(log, 1, 10, NULL, &next);
	log_kick(log);
	slow.go_on = true;
	pthread_cond_broadcast(&slow_cond);
	pthread_mutex_unlock(&slow_lock);
	until_durable(log, next);
	pthread_join(t, &err);
	ck_assert_ptr_null(err);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_dirty_age)
{
	struct log_stats st;
	struct log *log;
	uint64_t next;
	int64_t begin;

	cfg.dirty_age_ms = 150;
	log = fix_begin(io, &cfg);
	for (uint64_t n = 0; n < 4; n++) {
		begin = clock_monotonic_ns();
		fix_append(log, n, 10, NULL, &next);
		usleep(30000);
		ck_assert_uint_lt(log_durable(log), next);
		until_durable(log, next);
		ck_assert_int_ge(clock_monotonic_ns() - begin, 149000000);
		ck_assert_int_le(clock_monotonic_ns() - begin, 1500000000);
		if (n == 1)
			usleep(400000); /* the flusher goes to sleep for good */
		if (n == 2)
			ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	}
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.flushes, 4);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_no_age_no_flush)
{
	struct log *log = fix_begin(io, &cfg);

	fix_append(log, 0, 10, NULL, NULL);
	usleep(100000);
	ck_assert_uint_eq(log_durable(log), 0);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

static void *wait_for_error(void *arg)
{
	struct log *log = arg;

	return (void *)(intptr_t)log_wait(log, UINT64_MAX);
}

static const struct {
	enum sim_fault fault;
	int err;
} poison_case[] = {{SIM_FAULT_SYNC_EIO, -EIO}, {SIM_FAULT_WRITE_EIO, -EIO}, {SIM_FAULT_WRITE_ENOSPC, -ENOSPC}};

START_TEST(test_log_poisoned)
{
	struct waiter early = {.w = {.done = called}}, late = {.w = {.done = called}};
	struct log *log = fix_begin(io, &cfg);
	uint64_t reserved = 164, ok, bad, pos, syncs;
	struct iovec iov = {(void *)"x", 1};
	struct fix_replay r = {.first = 0};
	int err = poison_case[_i].err;
	struct log_stats st;
	pthread_t t[3];
	uint8_t buf[200];

	ok = fix_append(log, 0, 100, NULL, NULL);
	ck_assert_int_eq(log_wait(log, ok), 0);
	ck_assert_int_eq(log_reserve(log, reserved, 0), 0);
	bad = fix_append(log, 1, 200, &pos, NULL);
	early.w.lsn = bad;
	sim_fault(io, poison_case[_i].fault, "log/", 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, wait_for_error, log), 0);
	log_flush(log, &early.w);
	for (int i = 0; i < 3; i++) {
		void *res;

		pthread_join(t[i], &res);
		ck_assert_int_eq((int)(intptr_t)res, err);
	}
	until_called(&early);
	ck_assert_int_eq(early.err, err);

	/* For good: the fault is over, but nothing is tried again, not even for what was durable. */
	syncs = sim_syncs(io);
	ck_assert_int_eq(log_wait(log, bad), err);
	ck_assert_int_eq(log_wait(log, ok), err);
	ck_assert_int_eq(log_reserve(log, 10, 1000), err);
	log_append(log, &reserved, 1, 0, &iov, 1, NULL, NULL); /* promised before */
	log_kick(log);
	late.w.lsn = bad;
	log_flush(log, &late.w);
	ck_assert_int_eq(late.calls, 1);
	ck_assert_int_eq(late.err, err);
	log_get_stats(log, &st);
	ck_assert_int_eq(st.poisoned, err);
	ck_assert_int_eq(log_read(log, pos, buf, 200), 0); /* still in memory */
	ck_assert(fix_is(buf, 200, 1));
	ck_assert_int_eq(log_close(log), err);
	ck_assert_uint_eq(sim_syncs(io), syncs);

	sim_cut_now(io);
	sim_power_on(io);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, 0, fix_replay_one, &r), 0);
	ck_assert_uint_ge(r.count, 1);
	ck_assert_uint_le(r.count, 2);
	log_abandon(log);
}
END_TEST

/* A reservation that waits is told. */
START_TEST(test_log_poison_wakes_reserve)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t held = cfg.buffer_bytes - 2000;

	ck_assert_int_eq(log_reserve(log, held, 0), 0);
	fix_append(log, 0, 1500, NULL, NULL);
	sim_fault(io, SIM_FAULT_SYNC_EIO, "log/", 1);
	ck_assert_int_eq(log_reserve(log, 1000 + cfg.buffer_bytes / 2, 10000), -EIO);
	log_abandon(log);
}
END_TEST

START_TEST(test_log_abandon_answers_waiters)
{
	struct waiter w = {.w = {.lsn = UINT64_MAX, .done = called}};
	struct log *log = fix_begin(io, &cfg);

	fix_append(log, 0, 1500, NULL, NULL);
	sim_cut_now(io);
	log_flush(log, &w.w);
	log_abandon(log);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_int_eq(w.err, -EIO);
	sim_power_on(io);
}
END_TEST

Suite *make_log_flush_suite(void)
{
	Suite *s = suite_create("log_flush");
	TCase *tc = tcase_create("flush");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_log_waiters_exactly_once);
	tcase_add_test(tc, test_log_flush_when_durable_calls_at_once);
	tcase_add_test(tc, test_log_wait_until);
	tcase_add_test(tc, test_log_kick);
	tcase_add_test(tc, test_log_kick_during_flush);
	tcase_add_test(tc, test_log_dirty_age);
	tcase_add_test(tc, test_log_no_age_no_flush);
	tcase_add_loop_test(tc, test_log_poisoned, 0, 3);
	tcase_add_test(tc, test_log_poison_wakes_reserve);
	tcase_add_test(tc, test_log_abandon_answers_waiters);
	suite_add_tcase(s, tc);
	return s;
}
