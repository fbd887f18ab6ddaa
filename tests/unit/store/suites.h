/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_UNIT_STORE_SUITES_H
#define TESTS_UNIT_STORE_SUITES_H

#include <check.h>

Suite *make_record_suite(void);
Suite *make_sums_suite(void);
Suite *make_store_suite(void);
Suite *make_damage_suite(void);
Suite *make_space_suite(void);
Suite *make_crash_suite(void);

#endif
