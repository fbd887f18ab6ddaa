/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A time of day that stands still until the test moves it: the model then knows every time stamp the engine gives.  Works by
 * defining clock_gettime in the program; the monotonic clock stays the real one.
 */
#ifndef TESTS_MODEL_CLOCK_H
#define TESTS_MODEL_CLOCK_H

#include <stdint.h>

/* 0: the real time of day (the default). */
void test_clock_set(int64_t realtime_ns);

#endif
