/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <check.h>
#include <stdlib.h>

#include "fs/base/msg.h"
#include "tests/unit/volume/suites.h"

int main(void)
{
	SRunner *runner = srunner_create(make_acl_suite());
	int failed;

	msg_open("unit-volume", MSG_STDERR, 0); /* what is logged here is meant to happen */
	srunner_add_suite(runner, make_record_suite());
	srunner_add_suite(runner, make_names_suite());
	srunner_add_suite(runner, make_file_suite());
	srunner_add_suite(runner, make_apply_suite());
	srunner_add_suite(runner, make_snap_suite());
	srunner_add_suite(runner, make_push_suite());
	srunner_add_suite(runner, make_open_suite());
	srunner_add_suite(runner, make_memory_suite());
	srunner_add_suite(runner, make_repair_suite());
	srunner_add_suite(runner, make_nowait_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
