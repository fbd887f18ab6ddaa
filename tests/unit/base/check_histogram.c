/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/histogram.h"
#include "fs/base/json.h"
#include "fs/base/ticks.h"
#include "tests/unit/base/suites.h"

/* Every bucket begins where the one before ends, and is at most a quarter of its values wide. */
START_TEST(test_histogram_buckets_adjoin)
{
	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		uint64_t low = histogram_low(b);

		ck_assert_uint_eq(histogram_bucket(low), b);
		if (b)
			ck_assert_uint_eq(histogram_bucket(low - 1), b - 1);
		if (b >= 4 && b + 1 < HISTOGRAM_BUCKETS)
			ck_assert_uint_le(histogram_low(b + 1) - low, low / 4);
	}
	ck_assert_uint_eq(histogram_low(HISTOGRAM_BUCKETS - 1), 7ull << 30);
	ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(test_histogram_sum)
{
	struct histogram *h = calloc(1, sizeof(*h));
	struct histogram_sum s;

	ck_assert_ptr_nonnull(h);
	histogram_read(h, &s);
	ck_assert_uint_eq(s.count, 0);
	ck_assert_uint_eq(histogram_quantile(&s, 0.99), 0);
	histogram_add(h, 0);
	histogram_add(h, 3);
	histogram_add(h, 1000);
	histogram_add(h, 1001);
	histogram_add(h, UINT64_C(60000000000)); /* a minute, beyond the last bucket's start */
	histogram_read(h, &s);
	ck_assert_uint_eq(s.count, 5);
	ck_assert_uint_eq(s.sum, UINT64_C(60000002004));
	ck_assert_uint_eq(s.max, UINT64_C(60000000000));
	ck_assert_uint_eq(s.bucket[0], 1);
	ck_assert_uint_eq(s.bucket[3], 1);
	ck_assert_uint_eq(s.bucket[histogram_bucket(1000)], 2);
	ck_assert_uint_eq(s.bucket[HISTOGRAM_BUCKETS - 1], 1);
	ck_assert_uint_eq(histogram_quantile(&s, 1), s.max);
	free(h);
}
END_TEST

/* 1 to 100,000 once each: the quantiles are known. */
START_TEST(test_histogram_quantile)
{
	static const double q[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999};
	struct histogram *h = calloc(1, sizeof(*h));
	struct histogram_sum s;

	for (uint64_t v = 1; v <= 100000; v++)
		histogram_add(h, v);
	histogram_read(h, &s);
	ck_assert_uint_eq(s.count, 100000);
	ck_assert_uint_eq(s.sum, 5000050000);
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		double got = (double)histogram_quantile(&s, q[i]), want = q[i] * 100000;

		/* Even inside a bucket, so the interpolation is nearly exact. */
		ck_assert_double_ge(got, want * 0.98);
		ck_assert_double_le(got, want * 1.02);
	}
	ck_assert_uint_eq(histogram_quantile(&s, 1), 100000);
	free(h);
}
END_TEST

/* One value: every quantile is it, not its bucket's end. */
START_TEST(test_histogram_quantile_never_above_max)
{
	struct histogram *h = calloc(1, sizeof(*h));
	struct histogram_sum s;

	histogram_add(h, 1025);
	histogram_read(h, &s);
	ck_assert_uint_le(histogram_quantile(&s, 0.99), 1025);
	ck_assert_uint_ge(histogram_quantile(&s, 0.99), 1024);
	free(h);
}
END_TEST

START_TEST(test_histogram_since)
{
	struct histogram *h = calloc(1, sizeof(*h));
	struct histogram_sum a, b, d;

	histogram_add(h, 5000000);
	histogram_read(h, &a);
	histogram_since(&a, &a, &d);
	ck_assert_uint_eq(d.count, 0);
	ck_assert_uint_eq(d.max, 0);
	for (int i = 0; i < 10; i++)
		histogram_add(h, 100);
	histogram_read(h, &b);
	histogram_since(&b, &a, &d);
	ck_assert_uint_eq(d.count, 10);
	ck_assert_uint_eq(d.sum, 1000);
	ck_assert_uint_eq(d.max, histogram_low(histogram_bucket(100) + 1) - 1); /* not the 5 ms of before */
	ck_assert_uint_le(histogram_quantile(&d, 0.5), d.max);
	free(h);
}
END_TEST

#define THREADS 8
#define ADDS 20000

static void *add_many(void *arg)
{
	for (int i = 0; i < ADDS; i++)
		histogram_add(arg, (uint64_t)i);
	return NULL;
}

START_TEST(test_histogram_threads_lose_nothing)
{
	struct histogram *h = calloc(1, sizeof(*h));
	struct histogram_sum s;
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, add_many, h), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	histogram_read(h, &s);
	ck_assert_uint_eq(s.count, THREADS * ADDS);
	ck_assert_uint_eq(s.sum, (uint64_t)THREADS * ADDS * (ADDS - 1) / 2);
	ck_assert_uint_eq(s.max, ADDS - 1);
	free(h);
}
END_TEST

/* Both before ticks_start (no counter yet) and after it, readings agree with the monotonic clock. */
START_TEST(test_ticks_follow_the_clock)
{
	for (int started = 0; started < 2; started++) {
		struct timespec pause = {.tv_nsec = 20000000};
		int64_t outer, inner;
		uint64_t begin, got;

		outer = clock_monotonic_ns();
		begin = ticks_now();
		inner = clock_monotonic_ns();
		nanosleep(&pause, NULL);
		inner = clock_monotonic_ns() - inner;
		got = ticks_ns_since(begin);
		outer = clock_monotonic_ns() - outer;
		ck_assert_int_ge(inner, 20000000);
		ck_assert_double_ge((double)got, (double)inner * 0.999);
		ck_assert_double_le((double)got, (double)outer * 1.001);
		ticks_start();
	}
}
END_TEST

START_TEST(test_json)
{
	struct histogram_sum s = {.count = 2, .sum = 7, .max = 5, .bucket = {[2] = 1, [5] = 1}};
	char buf[256];
	struct json j;

	json_begin(&j, buf, sizeof(buf));
	json_open(&j, NULL);
	json_u64(&j, "a", UINT64_MAX);
	json_open(&j, "o");
	json_close(&j);
	json_number(&j, "r", 1.5);
	json_number(&j, "n", 1.0 / 0.0);
	json_times(&j, "t", &s);
	json_close(&j);
	ck_assert_int_eq(json_end(&j), (int)strlen(buf));
	ck_assert_str_eq(buf, "{\"a\":18446744073709551615,\"o\":{},\"r\":1.500,\"n\":null,"
			      "\"t\":{\"count\":2,\"mean\":3,\"p50\":2,\"p99\":5,\"p999\":5,\"max\":5}}");
}
END_TEST

START_TEST(test_json_cut)
{
	char buf[8];
	struct json j;

	json_begin(&j, buf, sizeof(buf));
	json_open(&j, NULL);
	json_u64(&j, "a", 1); /* {"a":1 and the NUL are 7 */
	ck_assert_int_eq(json_end(&j), 6);
	json_close(&j);
	ck_assert_int_eq(json_end(&j), 7);
	json_u64(&j, "b", 1);
	ck_assert_int_eq(json_end(&j), -ENOSPC);
	json_begin(&j, buf, 0);
	json_open(&j, NULL);
	ck_assert_int_eq(json_end(&j), -ENOSPC);
}
END_TEST

Suite *make_histogram_suite(void)
{
	Suite *s = suite_create("histogram");
	TCase *c = tcase_create("histogram");

	tcase_add_test(c, test_histogram_buckets_adjoin);
	tcase_add_test(c, test_histogram_sum);
	tcase_add_test(c, test_histogram_quantile);
	tcase_add_test(c, test_histogram_quantile_never_above_max);
	tcase_add_test(c, test_histogram_since);
	tcase_add_test(c, test_histogram_threads_lose_nothing);
	tcase_add_test(c, test_ticks_follow_the_clock);
	tcase_add_test(c, test_json);
	tcase_add_test(c, test_json_cut);
	suite_add_tcase(s, c);
	return s;
}
