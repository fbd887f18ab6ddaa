/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/log/fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

const uint8_t fix_uuid[16] = {0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf};

struct log_config fix_config(void)
{
	return (struct log_config){
		.segment_bytes = FIX_SEGMENT,
		.max_segments = 4,
		.max_record_bytes = FIX_MAX_RECORD,
		.buffer_bytes = 2 * FIX_MAX_RECORD,
	};
}

struct log *fix_begin(struct io *io, const struct log_config *cfg)
{
	ck_assert_int_eq(log_format(io, fix_uuid, cfg), 0);
	return fix_reopen(io, cfg, 0);
}

struct log *fix_reopen(struct io *io, const struct log_config *cfg, uint64_t from)
{
	struct log *log;

	ck_assert_int_eq(log_open(io, fix_uuid, cfg, &log), 0);
	ck_assert_int_eq(log_start(log, from), 0);
	return log;
}

uint64_t fix_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void fix_fill(uint8_t *out, size_t len, uint64_t n)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = fix_random(&n);

		memcpy(out + i, &v, len - i < 8 ? len - i : 8);
	}
}

bool fix_is(const uint8_t *data, size_t len, uint64_t n)
{
	uint8_t *want = malloc(len + 1);
	bool same;

	fix_fill(want, len, n);
	same = memcmp(want, data, len) == 0;
	free(want);
	return same;
}

uint64_t fix_append(struct log *log, uint64_t n, size_t len, uint64_t *data_pos, uint64_t *next)
{
	uint64_t reserved = len + LOG_RECORD_OVERHEAD, lsn;
	uint8_t *data = malloc(len + 1);
	struct iovec iov[2] = {{data, len / 3}, {data + len / 3, len - len / 3}};

	fix_fill(data, len, n);
	ck_assert_int_eq(log_reserve(log, reserved, 1000), 0);
	lsn = log_append(log, &reserved, (uint16_t)(1 + n % 1000), (uint16_t)n, iov, 2, data_pos, next);
	ck_assert_uint_eq(reserved, 0);
	free(data);
	return lsn;
}

int fix_replay_one(void *arg, const struct log_record *rec)
{
	struct fix_replay *r = arg;
	uint64_t n = r->first + r->count++;

	ck_assert_uint_eq(rec->type, 1 + n % 1000);
	ck_assert_uint_eq(rec->flags, (uint16_t)n);
	ck_assert(fix_is(rec->payload, rec->len, n));
	if (r->last_next && rec->lsn != r->last_next)
		ck_assert_uint_eq(rec->lsn, (r->last_next + FIX_SEGMENT - 1) / FIX_SEGMENT * FIX_SEGMENT + FIX_PAGE);
	ck_assert_uint_eq(rec->data_pos, rec->lsn + 32);
	r->last_next = rec->next;
	return 0;
}
