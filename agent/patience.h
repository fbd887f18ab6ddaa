/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long somebody waits for slow work (a child program, the file system), and how the work learns that its result is not
 * wanted any more.  A busy machine may use all of it: no step has a limit of its own that is shorter.
 */
#ifndef AGENT_PATIENCE_H
#define AGENT_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

#define PATIENCE_SLICE_MS 1000 /* at least this often is_over is asked */

struct patience {
	int64_t end_ms;		    /* CLOCK_MONOTONIC */
	bool (*is_over)(void *arg); /* thread-safe; NULL: only the time counts */
	void *arg;		    /* borrowed */
};

int64_t patience_now_ms(void);
/* From now on, only time. */
struct patience patience_ms(int64_t ms);
/* 0: go on; -ETIMEDOUT; -ECANCELED. */
int patience_check(const struct patience *p) MUST_USE;
/* How long one wait may take before patience_check has its turn; 0: the time is over. */
int patience_slice_ms(const struct patience *p);

#endif
