/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_VSS_SUITES_H
#define TESTS_VSS_SUITES_H

#include <check.h>

Suite *make_wire_suite(void);
Suite *make_names_suite(void);
Suite *make_creds_suite(void);
Suite *make_record_suite(void);
Suite *make_run_suite(void);
Suite *make_cycle_suite(void);

#endif
