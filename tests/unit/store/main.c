/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>
#include <syslog.h>

#include "fs/base/msg.h"
#include "tests/unit/store/suites.h"

int main(void)
{
	/* Thousands of damaged blocks are read on purpose. */
	msg_open("unit-store", MSG_STDERR, LOG_CRIT);
	SRunner *runner = srunner_create(make_record_suite());
	srunner_add_suite(runner, make_sums_suite());
	srunner_add_suite(runner, make_store_suite());
	srunner_add_suite(runner, make_damage_suite());
	srunner_add_suite(runner, make_space_suite());
	srunner_add_suite(runner, make_crash_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
