/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_UNIT_VOLUME_SUITES_H
#define TESTS_UNIT_VOLUME_SUITES_H

#include <check.h>

Suite *make_acl_suite(void);
Suite *make_record_suite(void);
Suite *make_names_suite(void);
Suite *make_file_suite(void);
Suite *make_apply_suite(void);
Suite *make_snap_suite(void);
Suite *make_push_suite(void);
Suite *make_open_suite(void);
Suite *make_memory_suite(void);
Suite *make_repair_suite(void);
Suite *make_nowait_suite(void);

#endif
