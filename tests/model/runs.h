/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_MODEL_RUNS_H
#define TESTS_MODEL_RUNS_H

#include "tests/model/world.h"

bool run_seed(uint64_t seed, const struct config *cfg);
void run_cuts(uint64_t cuts, const struct config *cfg, unsigned *passed, unsigned *failed);
void run_threads(uint64_t seconds, unsigned *passed, unsigned *failed);

#endif
