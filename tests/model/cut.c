/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/model/runs.h"
void run_cuts(uint64_t cuts, const struct config *cfg, unsigned *passed, unsigned *failed)
{
	(void)cuts; (void)cfg; (void)passed; (void)failed;
}
