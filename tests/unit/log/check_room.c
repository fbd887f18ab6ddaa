/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reservations: what is promised holds whatever is appended, and who finds no room waits, in order, as long as he said. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/clock.h"
#include "fs/log/log_private.h"
#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

static struct io *io;
static struct log_config cfg;

static void setup(void)
{
	io = sim_new(9, 0);
	cfg = fix_config();
}
static void teardown(void)
{
	io_free(io);
}

/* Append up to the limit of what can be reserved without waiting; nothing is retired. */
static uint64_t fill(struct log *log, size_t len)
{
	uint64_t n = 0, next = 0;

	while (log_reserve(log, len + LOG_RECORD_OVERHEAD, 0) == 0) {
		log_unreserve(log, len + LOG_RECORD_OVERHEAD);
		fix_append(log, n++, len, NULL, &next);
		ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	}
	return next;
}

START_TEST(test_log_reserve_limits)
{
	struct log *log = fix_begin(io, &cfg);

	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes + 1, 0), -EINVAL);
	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes, 0), 0);
	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes / 2, 10), -ETIMEDOUT); /* memory */
	log_unreserve(log, cfg.buffer_bytes / 2);
	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes / 2, 0), 0);
	log_unreserve(log, cfg.buffer_bytes);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_reserve_full_times_out)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t next = fill(log, 3000);
	int64_t begin = clock_monotonic_ns();
	struct log_stats st;

	ck_assert_int_eq(log_reserve(log, 4000, 100), -ETIMEDOUT);
	ck_assert_int_ge(clock_monotonic_ns() - begin, 99000000);
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.used_bytes, st.capacity_bytes);
	ck_assert_uint_ge(next, 3 * 65536 + 30000); /* most of the capacity has been used */
	ck_assert_uint_ge(st.reserve_waits, 2);
	ck_assert_int_eq(st.poisoned, 0);
	log_retire(log, next);
	ck_assert_int_eq(log_reserve(log, 4000, 0), 0);
	log_unreserve(log, 4000);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

struct retirer {
	struct log *log;
	uint64_t lsn;
};
static void *retire_later(void *arg)
{
	struct retirer *r = arg;

	usleep(50000);
	log_retire(r->log, r->lsn);
	return NULL;
}

START_TEST(test_log_reserve_released_by_retire)
{
	struct log *log = fix_begin(io, &cfg);
	struct retirer r = {log, fill(log, 3000)};
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, retire_later, &r), 0);
	ck_assert_int_eq(log_reserve(log, 30000, 10000), 0);
	log_unreserve(log, 30000);
	pthread_join(t, NULL);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* Nobody asks for a flush, the buffer is smaller than what is written: who waits for memory has it flushed. */
START_TEST(test_log_reserve_flushes_for_memory)
{
	struct log *log = fix_begin(io, &cfg);

	for (uint64_t n = 0; n < 11; n++)
		fix_append(log, n, FIX_MAX_RECORD, NULL, NULL);
	ck_assert_uint_gt(log_durable(log), 65536);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* Whatever mixture of sizes is appended out of full reservations, nothing is ever missing (asserts in the log would stop
 * the program), at each fill level of segment and ring. */
START_TEST(test_log_reserve_keeps_promise)
{
	struct log *log;
	uint64_t rnd = 77 + (uint64_t)_i, n = 0, next = 0;
	static uint8_t data[FIX_MAX_RECORD];

	cfg.max_record_bytes = _i % 2 ? FIX_MAX_RECORD : 5000;
	cfg.buffer_bytes = _i % 3 ? 90000 : 2 * FIX_MAX_RECORD;
	log = fix_begin(io, &cfg);
	for (int round = 0; round < 400; round++) {
		uint64_t held = 1 + fix_random(&rnd) % MIN(cfg.buffer_bytes, (size_t)90000);

		int r = log_reserve(log, held, 0);

		if (r == -EINVAL) /* more than the log can ever promise */
			continue;
		if (r == -ETIMEDOUT) {
			ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
			log_retire(log, log_durable(log));
			r = log_reserve(log, held, 1000);
		}
		ck_assert_int_eq(r, 0);
		while (held >= LOG_RECORD_OVERHEAD && fix_random(&rnd) % 50) {
			uint64_t most = MIN(held - LOG_RECORD_OVERHEAD, cfg.max_record_bytes);
			uint64_t len = fix_random(&rnd) % 3 ? fix_random(&rnd) % (most + 1) : most;
			struct iovec iov = {data, len};

			if (fix_random(&rnd) % 4 == 0)
				len = iov.iov_len = 0;
			log_append(log, &held, 1, 0, &iov, 1, NULL, &next);
			n++;
			if (fix_random(&rnd) % 20 == 0)
				log_kick(log);
		}
		log_unreserve(log, held);
		if (fix_random(&rnd) % 3 == 0)
			ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
		log_retire(log, log_durable(log));
	}
	ck_assert_uint_gt(n, 400);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_reserve_disk_full)
{
	struct log *log;
	uint64_t next;

	cfg.max_segments = 8;
	ck_assert_int_eq(log_format(io, fix_uuid, &cfg), 0);
	sim_set_total(io, 4 * 65536 + 30000);
	log = fix_reopen(io, &cfg, 0);
	next = fill(log, 3000);
	ck_assert_uint_lt(next, 4 * 65536);
	ck_assert_int_eq(log_reserve(log, 4000, 300), -ENOSPC); /* three could be retired, so it waited for that */
	log_retire(log, next);
	ck_assert_int_eq(log_reserve(log, 4000, 0), 0);
	log_unreserve(log, 4000);
	next = fill(log, 3000);
	sim_set_total(io, 0); /* space comes back: the preparer asks again */
	ck_assert_int_eq(log_reserve(log, 4000, 5000), 0);
	log_unreserve(log, 4000);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* Ring bytes that a log_read is copying are not given away, durable or not.  The read is held still by its span. */
START_TEST(test_log_reserve_spares_reader)
{
	struct log *log = fix_begin(io, &cfg);
	struct span span;

	fix_append(log, 0, 10000, NULL, NULL);
	pthread_mutex_lock(&log->lock);
	span.at = log->mem_released;
	span_add_last(&log->reading, &span);
	pthread_mutex_unlock(&log->lock);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes, 20), -ETIMEDOUT);
	pthread_mutex_lock(&log->lock);
	span_remove(&span);
	ring_release_locked(log);
	pthread_mutex_unlock(&log->lock);
	ck_assert_int_eq(log_reserve(log, cfg.buffer_bytes, 0), 0);
	log_unreserve(log, cfg.buffer_bytes);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

struct taker {
	struct log *log;
	uint64_t bytes;
	int result;
	_Atomic int *order, mine;
};
static void *take(void *arg)
{
	struct taker *t = arg;

	t->result = log_reserve(t->log, t->bytes, 5000);
	t->mine = (*t->order)++;
	return NULL;
}

/* A long reservation that waits is not overtaken by short ones that would fit. */
/* Appends are held up while much is not durable.  The flush that ends that may be a short one, of a record that came while a
 * long one was under way. */
START_TEST(test_log_reserve_after_flood)
{
	enum { LONG = 1100 << 10 }; /* more than may be unflushed */
	struct log *log;

	cfg.segment_bytes = 8 << 20;
	cfg.max_record_bytes = 2 << 20;
	cfg.buffer_bytes = 8 << 20;
	log = fix_begin(io, &cfg);
	for (uint64_t n = 0; n < 100; n++) {
		fix_append(log, n, LONG, NULL, NULL);
		if (n % 4)
			usleep(n % 4 * 100);
		fix_append(log, n, 10, NULL, NULL);
		ck_assert_int_eq(log_reserve(log, LONG, 20000), 0);
		log_unreserve(log, LONG);
		log_retire(log, log_durable(log));
	}
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_reserve_in_order)
{
	struct log *log = fix_begin(io, &cfg);
	_Atomic int order = 0;
	struct taker big = {log, 30000, 1, &order, -1}, small = {log, 100, 1, &order, -1};
	pthread_t a, b;

	ck_assert_int_eq(log_reserve(log, 20000, 0), 0);
	ck_assert_int_eq(pthread_create(&a, NULL, take, &big), 0);
	usleep(50000);
	ck_assert_int_eq(pthread_create(&b, NULL, take, &small), 0);
	usleep(50000);
	ck_assert_int_eq(order, 0);
	log_unreserve(log, 20000);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	ck_assert_int_eq(big.result, 0);
	ck_assert_int_eq(small.result, 0);
	log_unreserve(log, 30100);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

Suite *make_log_room_suite(void)
{
	Suite *s = suite_create("log_room");
	TCase *tc = tcase_create("reserve");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_log_reserve_limits);
	tcase_add_test(tc, test_log_reserve_full_times_out);
	tcase_add_test(tc, test_log_reserve_released_by_retire);
	tcase_add_test(tc, test_log_reserve_flushes_for_memory);
	tcase_add_loop_test(tc, test_log_reserve_keeps_promise, 0, 12);
	tcase_add_test(tc, test_log_reserve_disk_full);
	tcase_add_test(tc, test_log_reserve_after_flood);
	tcase_add_test(tc, test_log_reserve_in_order);
	tcase_add_test(tc, test_log_reserve_spares_reader);
	suite_add_tcase(s, tc);
	return s;
}
