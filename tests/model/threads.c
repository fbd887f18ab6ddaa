/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/model/runs.h"
void run_threads(uint64_t seconds, unsigned *passed, unsigned *failed)
{
	(void)seconds; (void)passed; (void)failed;
}
