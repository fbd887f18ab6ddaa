/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the log share: a small log on a simulated disk, and records whose content follows from a number. */
#ifndef TESTS_UNIT_LOG_FIXTURE_H
#define TESTS_UNIT_LOG_FIXTURE_H

#include "fs/log/log.h"
#include "tests/sim/io_sim.h"

extern const uint8_t fix_uuid[16];
#define FIX_SEGMENT 65536u
#define FIX_MAX_RECORD (FIX_SEGMENT / 4)
#define FIX_PAGE 4096u

struct log_config fix_config(void); /* 64 KiB segments, 4 of them, longest records, no age */

/* Format and start an empty log on io. */
struct log *fix_begin(struct io *io, const struct log_config *cfg);
/* Open, replay from 0 without looking and start with `retained`. */
struct log *fix_reopen(struct io *io, const struct log_config *cfg, uint64_t from);

/* len bytes that follow from n. */
void fix_fill(uint8_t *out, size_t len, uint64_t n);
bool fix_is(const uint8_t *data, size_t len, uint64_t n);
/* Reserve (1 s) and append record n of len bytes, type 1 + n % 1000, flags n. */
uint64_t fix_append(struct log *log, uint64_t n, size_t len, uint64_t *data_pos, uint64_t *next);

/* Replays and counts, checking that contents are those of fix_append with numbers first, first + 1, ... */
struct fix_replay {
	uint64_t first, count;
	uint64_t last_next; /* 0: none yet */
};
int fix_replay_one(void *arg, const struct log_record *rec);

uint64_t fix_random(uint64_t *state); /* splitmix64 */

#endif
