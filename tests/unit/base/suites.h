/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_UNIT_BASE_SUITES_H
#define TESTS_UNIT_BASE_SUITES_H

#include <check.h>

Suite *make_msg_suite(void);
Suite *make_hash_suite(void);
Suite *make_io_suite(void);
Suite *make_sim_suite(void);
Suite *make_histogram_suite(void);
Suite *make_thread_suite(void);

#endif
