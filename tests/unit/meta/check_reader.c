/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Readers: enumeration over several links, epochs reported, cost, and threads beside the writer. */
#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/clock.h"
#include "tests/unit/meta/meta_test.h"

static struct store s;
static uint64_t vol;
static atomic_bool stop;

static void setup(void)
{
	store_open(&s, false);
	vol = new_volume(s.m);
}
static void setup_posix(void)
{
	store_open(&s, true);
	vol = new_volume(s.m);
}
static pthread_t threads[4];
static unsigned nthreads;

/* Also after a failed assertion, which leaves the test with the threads running. */
static void stop_threads(void)
{
	atomic_store(&stop, true);
	while (nthreads)
		pthread_join(threads[--nthreads], NULL);
}

static void teardown(void)
{
	stop_threads();
	store_close(&s);
}

struct names {
	char text[200];
	unsigned n, stop;
};
static int on_name(void *arg, const void *name, size_t len, const struct meta_entry *e)
{
	struct names *x = arg;

	snprintf(x->text + strlen(x->text), sizeof(x->text) - strlen(x->text), "%.*s=%llu ", (int)len, (const char *)name,
		 (unsigned long long)e->ino);
	return ++x->n == x->stop ? 42 : 0;
}

static void expect_names(uint64_t v, const char *after, unsigned max, const char *want)
{
	const struct meta_chain *c;
	struct names x = {.n = 0};

	ck_zero(meta_chain(s.m, v, &c));
	ck_zero(meta_list_entries(meta_writer_view(s.m), c, 1, after, strlen(after), max, on_name, &x));
	ck_assert_str_eq(x.text, want);
}

START_TEST(test_merge_over_links)
{
	uint64_t mid, top;
	const struct meta_chain *c;
	struct names x = {.stop = 2};

	tx(s.m);
	put_name(s.m, vol, 1, "a", 1);
	put_name(s.m, vol, 1, "b", 2);
	put_name(s.m, vol, 1, "bb", 3);
	put_name(s.m, vol, 1, "d", 4);
	put_name(s.m, vol, 2, "other", 9);
	end(s.m);
	mid = snapshot(s.m, vol, 0);
	tx(s.m);
	put_name(s.m, vol, 1, "late", 99); /* after the pin: not for mid */
	put_name(s.m, mid, 1, "b", 0);
	put_name(s.m, mid, 1, "c", 5);
	put_name(s.m, mid, 1, "d", 6);
	end(s.m);
	top = snapshot(s.m, mid, 0);
	tx(s.m);
	put_name(s.m, top, 1, "a", 0);
	put_name(s.m, top, 1, "b", 7);
	end(s.m);
	expect_names(vol, "", 100, "a=1 b=2 bb=3 d=4 late=99 ");
	expect_names(mid, "", 100, "a=1 bb=3 c=5 d=6 ");
	expect_names(top, "", 100, "b=7 bb=3 c=5 d=6 ");
	expect_names(top, "b", 2, "bb=3 c=5 ");
	expect_names(top, "d", 2, "");
	ck_zero(meta_chain(s.m, top, &c));
	ck_assert_int_eq(meta_list_entries(meta_writer_view(s.m), c, 1, "", 0, 9, on_name, &x), 42);
	ck_assert_uint_eq(x.n, 2);
}
END_TEST

START_TEST(test_epoch_of_the_deciding_row)
{
	uint64_t snap, epoch;
	const struct meta_chain *c;
	struct meta_reader *r;
	struct meta_entry e;
	void *value;
	size_t len;

	tx(s.m);
	put_name(s.m, vol, 1, "a", 1);
	ck_zero(meta_put_xattr(s.m, vol, 1, "user.e", 6, "", 0));
	end(s.m);
	snap = snapshot(s.m, vol, 0);
	tx(s.m);
	put_name(s.m, vol, 1, "a", 0);
	end(s.m);
	ck_zero(meta_reader_open(s.m, &r));
	ck_zero(meta_chain(s.m, vol, &c));
	ck_assert_int_eq(meta_find_entry(r, c, 1, "a", 1, &e, &epoch), -ENOENT);
	ck_assert_uint_eq(epoch, 2);
	ck_assert_int_eq(meta_find_entry(r, c, 1, "none", 4, &e, &epoch), -ENOENT);
	ck_assert_uint_eq(epoch, 0);
	ck_zero(meta_find_xattr(r, c, 1, "user.e", 6, &value, &len, &epoch));
	ck_assert_ptr_nonnull(value);
	ck_assert_uint_eq(len, 0);
	free(value);
	ck_zero(meta_chain(s.m, snap, &c));
	ck_zero(meta_find_entry(r, c, 1, "a", 1, &e, &epoch));
	ck_assert_uint_eq(epoch, 1);
	/* Uncommitted changes are for the writer's view alone. */
	tx(s.m);
	put_name(s.m, vol, 1, "a", 5);
	ck_zero(meta_chain(s.m, vol, &c));
	ck_assert_int_eq(meta_find_entry(r, c, 1, "a", 1, &e, NULL), -ENOENT);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "a"), 5);
	end(s.m);
	ck_zero(meta_find_entry(r, c, 1, "a", 1, &e, NULL));
	meta_reader_close(r);
}
END_TEST

START_TEST(test_listing_does_not_depend_on_directory_size)
{
	const struct meta_chain *c;
	struct names x = {.n = 0};
	uint64_t snap;
	int before, after;

	tx(s.m);
	for (unsigned i = 0; i < 20000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%05u", i);
		put_name(s.m, vol, 1, name, i + 1);
	}
	end(s.m);
	snap = snapshot(s.m, vol, 0);
	tx(s.m);
	put_name(s.m, snap, 1, "10000x", 7);
	end(s.m);
	ck_zero(meta_chain(s.m, snap, &c));
	sqlite3_db_status(s.m->db->h, SQLITE_DBSTATUS_CACHE_HIT, &before, &after, 1);
	ck_zero(meta_list_entries(meta_writer_view(s.m), c, 1, "10000", 5, 3, on_name, &x));
	sqlite3_db_status(s.m->db->h, SQLITE_DBSTATUS_CACHE_HIT, &before, &after, 1);
	ck_assert_str_eq(x.text, "10000x=7 10001=10002 10002=10003 ");
	ck_assert_int_lt(before, 40); /* pages touched */
}
END_TEST

/* ---- threads ---- */

#define NAMES 50
#define READERS 3

/* The writer moves one number through all names in each transaction; a reader that sees two numbers saw half of one. */
struct shared {
	pthread_rwlock_t lock; /* protects the published chains, as fs/volume's table lock does */
	struct meta_link links[3][4];
	uint64_t tails[3][4][4];
	struct meta_chain chain[3];
	atomic_uint reads;
	atomic_int failed;
};
static struct shared sh;

static void publish(unsigned slot, uint64_t v)
{
	const struct meta_chain *c;

	ck_zero(meta_chain(s.m, v, &c));
	ck_assert_uint_le(c->n, 4);
	sh.chain[slot] = (struct meta_chain){.links = sh.links[slot], .n = c->n};
	for (unsigned i = 0; i < c->n; i++) {
		ck_assert_uint_le(c->links[i].ntails, 4);
		sh.links[slot][i] = c->links[i];
		if (c->links[i].ntails)
			memcpy(sh.tails[slot][i], c->links[i].tails, c->links[i].ntails * sizeof(uint64_t));
		sh.links[slot][i].tails = sh.tails[slot][i];
	}
}

struct view {
	uint64_t value;
	unsigned n;
	bool mixed;
};
static int on_value(void *arg, const void *name, size_t len, const struct meta_entry *e)
{
	struct view *v = arg;

	if (v->n++ && v->value != e->ino)
		v->mixed = true;
	v->value = e->ino;
	return 0;
}

static void *reader_thread(void *arg)
{
	struct meta_reader *r;

	if (meta_reader_open(s.m, &r) < 0) {
		atomic_store(&sh.failed, 1);
		return NULL;
	}
	while (!atomic_load(&stop)) {
		unsigned slot = atomic_fetch_add(&sh.reads, 1) % 2;
		struct view v = {.n = 0};
		struct meta_entry e;
		uint64_t map[META_LEAF_SLOTS];
		int bad = 0;

		pthread_rwlock_rdlock(&sh.lock);
		if (meta_list_entries(r, &sh.chain[slot], 1, "", 0, 1000, on_value, &v) != 0)
			bad = 2;
		else if (v.mixed || v.n != NAMES || (slot == 1 && v.value != 1000000))
			bad = 3;
		if (!bad && meta_find_entry(r, &sh.chain[slot], 1, "n07", 3, &e, NULL) != 0)
			bad = 4;
		if (!bad && slot == 1 && meta_find_leaf(r, &sh.chain[1], 5, 0, map, NULL) != 0)
			bad = 5;
		pthread_rwlock_unlock(&sh.lock);
		if (bad)
			atomic_store(&sh.failed, bad);
	}
	meta_reader_close(r);
	return NULL;
}

static void *checkpoint_thread(void *arg)
{
	while (!atomic_load(&stop))
		if (meta_checkpoint(s.m, NULL) < 0)
			atomic_store(&sh.failed, 6);
	return NULL;
}

static void write_all(uint64_t v, uint64_t value)
{
	tx(s.m);
	for (unsigned i = 0; i < NAMES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%02u", i);
		put_name(s.m, v, 1, name, value);
	}
	end(s.m);
}

static void reclaim_all(uint64_t live, uint64_t fixed)
{
	for (int n = 1; n;) {
		struct meta_reclaim r = {.budget = 7};

		tx(s.m);
		n = meta_reclaim_step(s.m, &r);
		ck_assert_int_ge(n, 0);
		/* Readers must not run between the commit of a join or relabelling and the new chain: fs/volume may take
		 * longer, as long as no further step runs.  Here the lock makes both one. */
		end(s.m);
		if (r.gone_vol || r.tail_src) {
			pthread_rwlock_wrlock(&sh.lock);
			publish(0, live);
			publish(1, fixed);
			pthread_rwlock_unlock(&sh.lock);
		}
	}
}

START_TEST(test_readers_beside_writer_with_joins)
{
	int64_t until = clock_monotonic_ns() + (int64_t)(getenv("UNIT_META_THREAD_MS") ? atoi(getenv("UNIT_META_THREAD_MS")) : 1500) * 1000000;
	uint64_t live = vol, fixed, b, rounds = 0;
	pthread_rwlockattr_t kind;

	memset(&sh, 0, sizeof(sh));
	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sh.lock, &kind);
	write_all(live, 1000000);
	tx(s.m);
	b = add_block(s.m, 1);
	put_blocks(s.m, live, 5, 0, &b, 1);
	ck_zero(meta_put_attr(s.m, live, 5, &(struct meta_attr){.nlink = 1}));
	end(s.m);
	fixed = snapshot(s.m, live, 0); /* writable, with a row of its own: its relabelling has work */
	tx(s.m);
	put_name(s.m, fixed, 2, "own", 1);
	end(s.m);
	publish(0, live);
	publish(1, fixed);
	atomic_store(&stop, false);
	while (nthreads <= READERS) {
		void *(*run)(void *) = nthreads < READERS ? reader_thread : checkpoint_thread;

		ck_assert_int_eq(pthread_create(&threads[nthreads], NULL, run, NULL), 0);
		nthreads++;
	}
	for (uint64_t value = 1; clock_monotonic_ns() < until && !atomic_load(&sh.failed); value++) {
		write_all(live, value);
		if (value % 5 == 0) {
			/* live goes, its copy goes on; deleting it joins lines and relabels while readers read. */
			uint64_t next = snapshot(s.m, live, 0);

			write_all(next, value);
			pthread_rwlock_wrlock(&sh.lock);
			publish(0, next);
			pthread_rwlock_unlock(&sh.lock);
			delete_volume(s.m, live);
			live = next;
			reclaim_all(live, fixed);
			rounds++;
		}
	}
	stop_threads();
	ck_assert_int_eq(atomic_load(&sh.failed), 0);
	ck_assert_uint_gt(rounds, 0);
	ck_assert_uint_gt(atomic_load(&sh.reads), 10);
	reclaim_all(live, fixed);
	store_check(&s, true);
	pthread_rwlock_destroy(&sh.lock);
}
END_TEST

Suite *make_reader_suite(void)
{
	Suite *suite = suite_create("reader");
	TCase *sim = tcase_create("sim"), *posix = tcase_create("posix");

	tcase_add_checked_fixture(sim, setup, teardown);
	tcase_add_checked_fixture(posix, setup_posix, teardown);
	tcase_add_test(sim, test_merge_over_links);
	tcase_add_test(sim, test_epoch_of_the_deciding_row);
	tcase_add_test(sim, test_listing_does_not_depend_on_directory_size);
	tcase_add_test(sim, test_readers_beside_writer_with_joins);
	tcase_add_test(posix, test_merge_over_links);
	tcase_add_test(posix, test_readers_beside_writer_with_joins);
	tcase_set_timeout(sim, 120);
	tcase_set_timeout(posix, 120);
	suite_add_tcase(suite, sim);
	suite_add_tcase(suite, posix);
	return suite;
}
