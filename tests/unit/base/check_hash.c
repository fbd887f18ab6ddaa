/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/clock.h"
#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "tests/unit/base/suites.h"

static void to_hex(const uint8_t hash[HASH_BYTES], char hex[2 * HASH_BYTES + 1])
{
	for (int i = 0; i < HASH_BYTES; i++)
		sprintf(hex + 2 * i, "%02x", hash[i]);
}

/* FIPS 180-4 examples, and the BLAKE3 authors' test vector for no input. */
static const struct {
	enum hash_algo algo;
	const char *input, *hex;
} vectors[] = {
	{HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{HASH_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{HASH_BLAKE3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
};

START_TEST(test_hash_vector)
{
	uint8_t hash[HASH_BYTES];
	char hex[2 * HASH_BYTES + 1];
	int r = hash_content(vectors[_i].algo, vectors[_i].input, strlen(vectors[_i].input), hash);

	if (!hash_available(vectors[_i].algo)) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
		return;
	}
	ck_assert_int_eq(r, 0);
	to_hex(hash, hex);
	ck_assert_str_eq(hex, vectors[_i].hex);
}
END_TEST

START_TEST(test_hash_unknown)
{
	uint8_t hash[HASH_BYTES];

	ck_assert(hash_available(HASH_SHA256));
	ck_assert(!hash_available((enum hash_algo)0));
	ck_assert(!hash_available((enum hash_algo)3));
	ck_assert_int_eq(hash_content((enum hash_algo)0, "", 0, hash), -EOPNOTSUPP);
}
END_TEST

static void *hash_many(void *arg)
{
	const char *input = arg;
	uint8_t first[HASH_BYTES], again[HASH_BYTES];

	if (hash_content(HASH_SHA256, input, strlen(input), first) != 0)
		return (void *)"failed";
	for (int i = 0; i < 2000; i++)
		if (hash_content(HASH_SHA256, input, strlen(input), again) != 0 || memcmp(first, again, HASH_BYTES) != 0)
			return (void *)"differs";
	return NULL;
}

START_TEST(test_hash_threads)
{
	static const char *const input[] = {"a", "bb", "ccc", "dddd"};
	pthread_t thread[ARRAY_SIZE(input)];
	void *result;

	for (size_t i = 0; i < ARRAY_SIZE(input); i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, hash_many, (void *)input[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(input); i++) {
		ck_assert_int_eq(pthread_join(thread[i], &result), 0);
		ck_assert_ptr_null(result);
	}
}
END_TEST

START_TEST(test_checksum64_vector)
{
	/* XXH3-64, seed 0, of no input: xxHash's own test. */
	ck_assert_uint_eq(checksum64("", 0), UINT64_C(0x2d06800538d394c2));
	ck_assert_uint_eq(checksum64_iov(NULL, 0), UINT64_C(0x2d06800538d394c2));
}
END_TEST

START_TEST(test_checksum64_pieces_equal_whole)
{
	static uint8_t buf[5000];
	static const size_t cut[] = {0, 1, 16, 200, 256, 257, 1024, 4096, 4999, 5000};
	uint64_t whole;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 31 + 7);
	whole = checksum64(buf, sizeof(buf));
	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		struct iovec iov[] = {{buf, cut[i]}, {NULL, 0}, {buf + cut[i], sizeof(buf) - cut[i]}};

		ck_assert_uint_eq(checksum64_iov(iov, 3), whole);
	}
	buf[4321] ^= 1;
	ck_assert_uint_ne(checksum64(buf, sizeof(buf)), whole);
}
END_TEST

START_TEST(test_endian_bytes)
{
	uint8_t b[9] = {0};

	put_le64(b + 1, UINT64_C(0x0807060504030201));
	for (int i = 1; i <= 8; i++)
		ck_assert_uint_eq(b[i], (unsigned)i);
	ck_assert_uint_eq(get_le64(b + 1), UINT64_C(0x0807060504030201));
	ck_assert_uint_eq(get_le32(b + 1), UINT32_C(0x04030201));
	ck_assert_uint_eq(get_le16(b + 1), 0x0201);
	put_le32(b, UINT32_C(0xddccbbaa));
	put_le16(b + 4, 0xffee);
	ck_assert_mem_eq(b, "\xaa\xbb\xcc\xdd\xee\xff\x06\x07\x08", 9);
}
END_TEST

START_TEST(test_clock_goes_forward)
{
	int64_t a = clock_monotonic_ns(), b = clock_monotonic_ns();

	ck_assert_int_ge(b, a);
	ck_assert_int_gt(clock_realtime_ns(), INT64_C(1600000000) * 1000000000);
}
END_TEST

Suite *make_hash_suite(void)
{
	Suite *suite = suite_create("hash");
	TCase *tc = tcase_create("hash");

	tcase_add_loop_test(tc, test_hash_vector, 0, (int)ARRAY_SIZE(vectors));
	tcase_add_test(tc, test_hash_unknown);
	tcase_add_test(tc, test_hash_threads);
	tcase_add_test(tc, test_checksum64_vector);
	tcase_add_test(tc, test_checksum64_pieces_equal_whole);
	tcase_add_test(tc, test_endian_bytes);
	tcase_add_test(tc, test_clock_goes_forward);
	suite_add_tcase(suite, tc);
	return suite;
}
