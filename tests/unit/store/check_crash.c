/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Power cuts.  A random workload runs until the power goes at the nth sync; then: every block synced before and not freed
 * since reads back, is found by a scan, and the store goes on.  Several cuts in a row on one disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/io_sim.h"
#include "tests/unit/store/blocks.h"
#include "tests/unit/store/suites.h"

enum { MAX_BLOCKS = 1200, CUTS_PER_DISK = 6, DISKS = 80 };

struct history {
	struct block b[MAX_BLOCKS];
	enum { LOST, SYNCED, FREED } state[MAX_BLOCKS];
	bool found[MAX_BLOCKS];
	size_t n;
	uint64_t random;
};

static uint64_t below(struct history *h, uint64_t n)
{
	return block_random(&h->random) % n;
}

/* Until the power goes.  Blocks from `first` on are of this run; those synced become SYNCED. */
static void work(struct io *io, struct store *st, struct history *h)
{
	size_t unsynced = h->n;
	while (!sim_is_off(io) && h->n < MAX_BLOCKS) {
		uint64_t what = below(h, 100);
		int r = 0;
		if (what < 70) {
			h->state[h->n] = LOST;
			r = block_put(st, &h->b[h->n], (uint32_t)below(h, 1000), 1 + (uint32_t)below(h, below(h, 4) ? 5000 : 16384));
			if (r == 0)
				h->n++;
		} else if (what < 85) {
			r = store_sync(st);
			if (r == 0)
				while (unsynced < h->n)
					h->state[unsynced++] = SYNCED;
		} else if (what < 95 && h->n) {
			size_t i = below(h, h->n);
			if (h->state[i] == SYNCED) {
				h->state[i] = FREED;
				r = store_free(st, h->b[i].loc.pack, h->b[i].loc.off, h->b[i].loc.stored);
			}
		} else {
			uint64_t bytes = below(h, 300000);
			r = store_reserve(st, bytes);
			if (r == 0)
				store_unreserve(st, bytes);
		}
		ck_assert(r == 0 || r == -EIO);
	}
	ck_assert(sim_is_off(io));
}

static int census_pack(void *arg, const struct store_pack_info *info)
{
	void **a = arg;
	ck_assert_int_eq(store_scan(a[0], info->pack, block_census, a[1]), 0);
	return 0;
}

static void check_history(struct store *st, struct history *h)
{
	struct block_census c = { .blocks = h->b, .found = h->found, .n = h->n };
	void *arg[2] = { st, &c };
	memset(h->found, 0, sizeof(h->found));
	ck_assert_int_eq(store_list_packs(st, census_pack, arg), 0);
	for (size_t i = 0; i < h->n; i++) {
		int r = block_check(st, &h->b[i]);
		if (h->state[i] == SYNCED) {
			ck_assert_int_eq(r, 0);
			ck_assert(h->found[i]);
		} else {
			/* Gone, half there or whole, but never wrong. */
			ck_assert(r == 0 || r == -EUCLEAN || r == -ENOENT);
		}
	}
}

START_TEST(test_crash_synced_blocks_survive)
{
	struct history *h = calloc(1, sizeof(*h));
	struct io *io = sim_new((uint64_t)_i, 0);
	struct store_config cfg = { .block_size = 16384, .hash_algo = HASH_SHA256, .codec = (enum store_codec)(_i % 3),
				    .pack_bytes = 1 << 18 };
	struct store *st;
	h->random = (uint64_t)_i * 77;
	ck_assert_int_eq(store_format(io), 0);
	for (int cut = 0; cut < CUTS_PER_DISK; cut++) {
		ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
		check_history(st, h);
		if (below(h, 5))
			sim_cut_at(io, 1 + below(h, 16));
		else
			sim_cut_at(io, 1);
		work(io, st, h);
		store_close(st);
		sim_power_on(io);
		/* Numbers of this run's lost blocks are used again by the next: not ours any more. */
		for (size_t i = 0; i < h->n; i++)
			if (h->state[i] == LOST) {
				h->n--;
				h->b[i] = h->b[h->n];
				h->state[i--] = h->state[h->n];
			}
	}
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
	check_history(st, h);
	store_close(st);
	io_free(io);
	free(h);
}
END_TEST

/* The test must be able to fail: with a disk that lies about syncs it does. */
START_TEST(test_crash_lying_disk_is_noticed)
{
	struct store_config cfg = { .block_size = 4096, .hash_algo = HASH_SHA256 };
	int lost = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct io *io = sim_new(seed, 0);
		struct store *st;
		struct block b;
		ck_assert_int_eq(store_format(io), 0);
		ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
		sim_ignore_sync(io, "packs/");
		ck_assert_int_eq(block_put(st, &b, 1, 4096), 0);
		ck_assert_int_eq(store_sync(st), 0);
		sim_cut_now(io);
		store_close(st);
		sim_power_on(io);
		ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
		int r = block_check(st, &b);
		ck_assert(r == 0 || r == -EUCLEAN || r == -ENOENT);
		lost += r != 0;
		store_close(st);
		io_free(io);
	}
	ck_assert_int_gt(lost, 0);
}
END_TEST

Suite *make_crash_suite(void)
{
	Suite *suite = suite_create("crash");
	TCase *tc = tcase_create("crash");
	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, test_crash_synced_blocks_survive, 0, DISKS);
	tcase_add_test(tc, test_crash_lying_disk_is_noticed);
	suite_add_tcase(suite, tc);
	return suite;
}
