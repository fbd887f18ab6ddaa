/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/base/suites.h"

int main(void)
{
	SRunner *runner = srunner_create(make_msg_suite());
	int failed;

	srunner_add_suite(runner, make_hash_suite());
	srunner_add_suite(runner, make_io_suite());
	srunner_add_suite(runner, make_sim_suite());
	srunner_add_suite(runner, make_histogram_suite());
	srunner_add_suite(runner, make_thread_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
