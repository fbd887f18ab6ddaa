/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/meta/meta_test.h"

/* SQLite reads the head of the WAL index without a lock, on purpose, and checks a sum over it; it is not built for TSan.
 * Only calls made by the library itself are left out, not ours. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libsqlite3\n";
}

int main(void)
{
	SRunner *sr = srunner_create(make_db_suite());
	int failed;

	srunner_add_suite(sr, make_rules_suite());
	srunner_add_suite(sr, make_reader_suite());
	srunner_add_suite(sr, make_migrate_suite());
	srunner_add_suite(sr, make_check_suite());
	srunner_add_suite(sr, make_model_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
