/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/sums.h"
#include "tests/unit/store/blocks.h"
#include "tests/unit/store/suites.h"

static void entry(uint32_t i, uint8_t hash[HASH_BYTES], uint8_t table[64])
{
	memset(hash, 0, HASH_BYTES);
	uint64_t state = i, h = block_random(&state); /* spread as a hash is */
	memcpy(hash, &h, 8);
	for (int k = 0; k < 64; k++)
		table[k] = (uint8_t)(i + (uint32_t)k);
}

START_TEST(test_sums_finds_what_was_inserted_or_nothing)
{
	struct sums c;
	uint8_t hash[HASH_BYTES], table[64], got[64];
	uint32_t found = 0;
	ck_assert_int_eq(sums_init(&c, 1 << 20, 64), 0);
	for (uint32_t i = 1; i <= 100000; i++) {
		entry(i, hash, table);
		ck_assert(!sums_find(&c, i, i * 16, hash, 0, 64, got));
		sums_insert(&c, i, i * 16, hash, table, 64);
		ck_assert(sums_find(&c, i, i * 16, hash, 0, 64, got));
		ck_assert_mem_eq(got, table, 64);
	}
	for (uint32_t i = 1; i <= 100000; i++) {
		entry(i, hash, table);
		if (!sums_find(&c, i, i * 16, hash, 8, 16, got))
			continue;
		found++;
		ck_assert_mem_eq(got, table + 8, 16);
		ck_assert(!sums_find(&c, i + 1, i * 16, hash, 0, 4, got));
		ck_assert(!sums_find(&c, i, i * 16 + 16, hash, 0, 4, got));
		hash[31] ^= 1;
		ck_assert(!sums_find(&c, i, i * 16, hash, 0, 4, got));
	}
	/* Bounded by its budget, and the budget is used. */
	ck_assert_uint_ge(found, (1 << 20) / 128 / 4);
	ck_assert_uint_le(found, (1 << 20) / 64);
	sums_release(&c);
}
END_TEST

START_TEST(test_sums_range_outside_the_table)
{
	struct sums c;
	uint8_t hash[HASH_BYTES], table[64], got[64];
	ck_assert_int_eq(sums_init(&c, 1 << 16, 64), 0);
	entry(1, hash, table);
	sums_insert(&c, 1, 16, hash, table, 8);
	ck_assert(sums_find(&c, 1, 16, hash, 4, 4, got));
	ck_assert(!sums_find(&c, 1, 16, hash, 4, 8, got));
	ck_assert(!sums_find(&c, 1, 16, hash, 12, 4, got));
	sums_release(&c);
	/* Blocks of one chunk: nothing to keep. */
	ck_assert_int_eq(sums_init(&c, 1 << 16, 0), 0);
	sums_insert(&c, 1, 16, hash, table, 0);
	ck_assert(!sums_find(&c, 1, 16, hash, 0, 0, got));
	sums_release(&c);
}
END_TEST

Suite *make_sums_suite(void)
{
	Suite *suite = suite_create("sums");
	TCase *tc = tcase_create("cache");
	tcase_add_test(tc, test_sums_finds_what_was_inserted_or_nothing);
	tcase_add_test(tc, test_sums_range_outside_the_table);
	suite_add_tcase(suite, tc);
	return suite;
}
