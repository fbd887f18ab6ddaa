/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_UNIT_LOG_SUITES_H
#define TESTS_UNIT_LOG_SUITES_H

#include <check.h>

Suite *make_log_format_suite(void);
Suite *make_log_suite(void);
Suite *make_log_room_suite(void);
Suite *make_log_flush_suite(void);
Suite *make_log_replay_suite(void);
Suite *make_log_crash_suite(void);

#endif
