/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What threads ask of the scheduler, read back from the kernel. */
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/base/thread.h"
#include "tests/unit/base/suites.h"

static struct sched_attr attributes(void)
{
	struct sched_attr a = { .size = sizeof(a) };

	ck_assert_int_eq(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
	return a;
}

START_TEST(test_thread_attributes)
{
	struct sched_attr before = attributes(), a;

	thread_prompt();
	a = attributes();
	ck_assert_uint_eq(a.sched_policy, 0); /* SCHED_OTHER */
	ck_assert_int_eq(a.sched_nice, before.sched_nice); /* what the user chose */
	/* Kernels before 6.12 say 0 whatever was asked for. */
	ck_assert_msg(a.sched_runtime == before.sched_runtime || a.sched_runtime == 100000, "%llu", (unsigned long long)a.sched_runtime);
	thread_background(); /* a test has a process of its own */
	a = attributes();
	ck_assert_int_eq(a.sched_nice, 10);
	ck_assert_uint_eq(a.sched_runtime, before.sched_runtime);
}
END_TEST

Suite *make_thread_suite(void)
{
	Suite *s = suite_create("thread");
	TCase *tc = tcase_create("thread");

	tcase_add_test(tc, test_thread_attributes);
	suite_add_tcase(s, tc);
	return s;
}
