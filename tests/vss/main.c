/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "tests/vss/suites.h"

int main(void)
{
	SRunner *runner = srunner_create(make_wire_suite());
	int failed;

	srunner_add_suite(runner, make_names_suite());
	srunner_add_suite(runner, make_creds_suite());
	srunner_add_suite(runner, make_record_suite());
	srunner_add_suite(runner, make_run_suite());
	srunner_add_suite(runner, make_cycle_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
