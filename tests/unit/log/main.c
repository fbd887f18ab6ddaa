/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/log/suites.h"

int main(void)
{
	SRunner *runner = srunner_create(make_log_format_suite());
	int failed;

	srunner_add_suite(runner, make_log_suite());
	srunner_add_suite(runner, make_log_room_suite());
	srunner_add_suite(runner, make_log_flush_suite());
	srunner_add_suite(runner, make_log_replay_suite());
	srunner_add_suite(runner, make_log_crash_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
