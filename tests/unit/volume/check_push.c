/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls that push out what mappings hold, while that takes its time: a hook that stands still until the test lets it go, and
 * then writes what a mapping held.  A call that waited for it would never come back.
 */
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;		/* the hook may go on */
	unsigned called;	/* times */
	struct fs_node file;	/* gets the text; vol 0: none */
	const char *text;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void hook(void *arg, const uint64_t *vols, unsigned n, bool drop)
{
	struct fs_node f;
	uint64_t lsn;
	bool mine = false;

	pthread_mutex_lock(&gate.lock);
	gate.called++;
	while (!gate.open)
		pthread_cond_wait(&gate.cond, &gate.lock);
	f = gate.file;
	pthread_mutex_unlock(&gate.lock);
	for (unsigned i = 0; i < n; i++)
		mine |= f.vol && f.vol == vols[i];
	if (!drop && mine)
		(void)!fs_write(test_fs, NULL, f, gate.text, strlen(gate.text), 0, 0, &lsn);
}

static void set_gate(bool open)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = open;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
}

static void wait_called(unsigned n)
{
	struct timespec nap = {.tv_nsec = 1000000};

	for (;;) {
		pthread_mutex_lock(&gate.lock);
		bool yes = gate.called >= n;
		pthread_mutex_unlock(&gate.lock);
		if (yes)
			return;
		nanosleep(&nap, NULL);
	}
}

static unsigned called(void)
{
	pthread_mutex_lock(&gate.lock);
	unsigned n = gate.called;
	pthread_mutex_unlock(&gate.lock);
	return n;
}

/* A file whose mapping holds `text`. */
static struct fs_node mapped(struct fs_node dir, const char *text)
{
	gate.file = make(dir, "mapped", S_IFREG | 0644);
	gate.text = text;
	put_text(gate.file, 0, "....");
	return gate.file;
}

static void setup_push(void)
{
	setup();
	ok(fs_close(test_fs));
	sim_unlock(test_io);
	gate.open = false;
	gate.called = 0;
	gate.file = (struct fs_node){0};
	test_open.push_out = hook;
	test_fs = NULL;
	ok(fs_open(test_io, &test_open, NULL, 0, &test_fs));
	test_root = fs_root(test_fs);
}

static struct kagefs_uuid uuid_of(uint8_t b)
{
	return (struct kagefs_uuid){{b}};
}

static uint32_t state_of(struct kagefs_uuid uuid)
{
	static struct kagefs_ioc_set_get g;

	memset(&g, 0, sizeof(g));
	g.uuid = uuid;
	return fs_ioc_set_get(test_fs, &g) ? 0 : g.info.state;
}

static uint32_t prepare(struct kagefs_uuid uuid, uint64_t vol, uint32_t wait_ms)
{
	static struct kagefs_ioc_set_prepare p;

	memset(&p, 0, sizeof(p));
	p.uuid = uuid;
	p.wait_ms = wait_ms;
	p.nvolumes = 1;
	p.volumes[0] = vol;
	strcpy(p.owner, "unit");
	ok(fs_ioc_set_prepare(test_fs, &p));
	return p.state;
}

static void prepare_all(struct kagefs_uuid uuid, uint64_t vol)
{
	while (prepare(uuid, vol, 1000) != KAGEFS_SET_PREPARED)
		;
}

static int commit_set(struct kagefs_uuid uuid, uint64_t vol, const char *name, uint32_t deadline_ms, uint32_t wait_ms)
{
	memset(&test_commit, 0, sizeof(test_commit));
	test_commit.flags = KAGEFS_SET_WRITABLE | KAGEFS_SET_ANY_WRITER;
	test_commit.uuid = uuid;
	test_commit.nvolumes = vol ? 1 : 0;
	test_commit.volumes[0] = vol;
	test_commit.deadline_ms = deadline_ms;
	test_commit.wait_ms = wait_ms;
	strcpy(test_commit.name, name);
	return fs_ioc_set_commit(test_fs, &test_commit);
}

static int commit_end(struct kagefs_uuid uuid)
{
	int r;

	do
		r = commit_set(uuid, 0, "", 60000, 1000);
	while (r == -EINPROGRESS);
	return r;
}

START_TEST(test_prepare_polls)
{
	struct kagefs_uuid uuid = uuid_of(1);
	struct fs_node f = mapped(test_root, "text");

	ck_assert_uint_eq(prepare(uuid, test_root.vol, 0), KAGEFS_SET_PREPARING);
	wait_called(1);
	ck_assert_uint_eq(prepare(uuid, test_root.vol, 20), KAGEFS_SET_PREPARING);
	ck_assert_uint_eq(state_of(uuid), KAGEFS_SET_PREPARING);
	ck_assert_uint_eq(called(), 1); /* joined, not started again */
	set_gate(true);
	prepare_all(uuid, test_root.vol);
	ck_assert_uint_eq(prepare(uuid, test_root.vol, 0), KAGEFS_SET_PREPARED); /* only asks */
	ck_assert_uint_eq(called(), 1);
	power_cut(); /* prepared: what the mapping held is durable */
	is_text(f, "text");
	ck_assert_uint_eq(state_of(uuid), 0);
}
END_TEST

START_TEST(test_prepare_other_volumes)
{
	struct kagefs_uuid uuid = uuid_of(1);
	uint64_t v = create_volume(test_root, "v");

	set_gate(true);
	prepare_all(uuid, test_root.vol);
	set_gate(false);
	ck_assert_uint_eq(prepare(uuid, v, 0), KAGEFS_SET_PREPARING);
	wait_called(2);
	ck_assert_uint_eq(prepare(uuid, test_root.vol, 0), KAGEFS_SET_PREPARING); /* and back, while the other goes on */
	set_gate(true);
	prepare_all(uuid, test_root.vol);
	ck_assert_uint_eq(called(), 3);
}
END_TEST

/* _i 0: on its own, 1: after PREPARE. */
START_TEST(test_commit_polls)
{
	struct kagefs_uuid uuid = uuid_of(2);
	struct fs_node f = mapped(test_root, "text"), copy;
	unsigned before;

	if (_i) {
		set_gate(true);
		prepare_all(uuid, test_root.vol);
		set_gate(false);
		gate.text = "more"; /* since then */
	}
	before = called();
	fails(commit_set(uuid, _i ? 0 : test_root.vol, "named", 60000, 0), EINPROGRESS);
	wait_called(before + 1);
	fails(commit_set(uuid, 0, "", 60000, 20), EINPROGRESS);
	ck_assert_uint_eq(called(), before + 1);
	ck_assert_uint_eq(test_commit.state, _i ? KAGEFS_SET_PREPARED : KAGEFS_SET_PREPARING);
	fails(commit_set(uuid, test_root.vol, "", 60000, 0), EEXIST);
	set_gate(true);
	ok(commit_end(uuid));
	ck_assert_uint_eq(test_commit.state, KAGEFS_SET_COMMITTED);
	ck_assert_str_eq(test_commit.name, "named"); /* of the first call */
	copy = find(root_of(test_commit.members[0].snapshot), "mapped");
	is_text(copy, gate.text);
	is_text(f, gate.text);
	ok(commit_end(uuid)); /* again: the same answer */
	ck_assert_str_eq(test_commit.name, "named");
}
END_TEST

/* Too late before the record: all is as before the first call.  _i 0: on its own, 1: after PREPARE. */
START_TEST(test_commit_deadline)
{
	struct kagefs_uuid uuid = uuid_of(3);
	int r;

	if (_i) {
		set_gate(true);
		prepare_all(uuid, test_root.vol);
		set_gate(false);
	}
	r = commit_set(uuid, _i ? 0 : test_root.vol, "late", 50, 0);
	while (r == -EINPROGRESS)
		r = commit_set(uuid, 0, "", 60000, 10);
	fails(r, ETIME);
	ck_assert_uint_eq(state_of(uuid), _i ? KAGEFS_SET_PREPARED : 0);
	fails(look(find(test_root, FS_SNAPSHOTS_NAME), "late"), ENOENT);
	set_gate(true);
	r = commit_set(uuid, _i ? 0 : test_root.vol, "late", 60000, 1000); /* as if it had never been */
	ok(r == -EINPROGRESS ? commit_end(uuid) : r);
	ok(look(find(test_root, FS_SNAPSHOTS_NAME), "late"));
}
END_TEST

/* The same when nobody asks again. */
START_TEST(test_commit_deadline_alone)
{
	struct timespec nap = {.tv_nsec = 10000000};
	struct kagefs_uuid uuid = uuid_of(4);

	ok(fs_close(test_fs));
	sim_unlock(test_io);
	test_open.manual = false;
	ok(fs_open(test_io, &test_open, NULL, 0, &test_fs));
	fails(commit_set(uuid, test_root.vol, "late", 20, 0), EINPROGRESS);
	while (state_of(uuid))
		nanosleep(&nap, NULL);
	set_gate(true);
}
END_TEST

START_TEST(test_delete_while_pushing)
{
	struct kagefs_uuid uuid = uuid_of(5);

	if (_i)
		fails(commit_set(uuid, test_root.vol, "gone", 60000, 0), EINPROGRESS);
	else
		ck_assert_uint_eq(prepare(uuid, test_root.vol, 0), KAGEFS_SET_PREPARING);
	ok(set_delete(uuid, 0));
	ck_assert_uint_eq(state_of(uuid), 0);
	fails(commit_set(uuid, 0, "", 60000, 0), ENOENT);
	set_gate(true);
	fails(look(find(test_root, FS_SNAPSHOTS_NAME), "gone"), ENOENT);
}
END_TEST

static int seal(struct kagefs_uuid uuid, uint32_t wait_ms)
{
	static struct kagefs_ioc_set_seal a;

	memset(&a, 0, sizeof(a));
	a.uuid = uuid;
	a.wait_ms = wait_ms;
	return fs_ioc_set_seal(test_fs, &a);
}

START_TEST(test_seal_polls)
{
	struct kagefs_uuid uuid = uuid_of(6);
	struct fs_node f = mapped(test_root, "text");
	uint64_t lsn;
	int r;

	set_gate(true);
	r = commit_set(uuid, test_root.vol, "s", 60000, 1000);
	ok(r == -EINPROGRESS ? commit_end(uuid) : r);
	f.vol = test_commit.members[0].snapshot;
	gate.file = f;
	gate.text = "mend";
	set_gate(false);
	fails(seal(uuid, 0), EINPROGRESS);
	ck_assert_int_eq(fs_write(test_fs, NULL, f, "1", 1, 4, 0, &lsn), 1); /* not yet */
	set_gate(true);
	while ((r = seal(uuid, 1000)) == -EINPROGRESS)
		;
	ok(r);
	ck_assert_uint_eq(state_of(uuid), KAGEFS_SET_SEALED);
	fails(fs_write(test_fs, NULL, f, "2", 1, 4, 0, &lsn), EROFS);
	is_text(f, "mend1");
}
END_TEST

static int set_read_only(uint64_t vol, uint32_t wait_ms)
{
	struct kagefs_ioc_volume_set a = {
		.flags = KAGEFS_VOL_READ_ONLY, .mask = KAGEFS_VOL_READ_ONLY, .volume = vol, .wait_ms = wait_ms};

	return fs_ioc_volume_set(test_fs, &a);
}

START_TEST(test_read_only_polls)
{
	struct fs_node f = mapped(test_root, "text");
	uint64_t lsn;
	int r;

	fails(set_read_only(test_root.vol, 0), EINPROGRESS);
	ck_assert_int_eq(fs_write(test_fs, NULL, f, "1", 1, 4, 0, &lsn), 1);
	set_gate(true);
	while ((r = set_read_only(test_root.vol, 1000)) == -EINPROGRESS)
		;
	ok(r);
	fails(fs_write(test_fs, NULL, f, "2", 1, 4, 0, &lsn), EROFS);
	is_text(f, "text1");
}
END_TEST

START_TEST(test_rollback_polls)
{
	struct kagefs_ioc_rollback a;
	struct kagefs_uuid uuid = uuid_of(7);
	uint64_t v = create_volume(test_root, "v");
	struct fs_node f = mapped(root_of(v), "text"), kept;
	int r;

	set_gate(true);
	r = commit_set(uuid, v, "base", 60000, 1000);
	ok(r == -EINPROGRESS ? commit_end(uuid) : r);
	set_gate(false);
	gate.text = "last";
	a = (struct kagefs_ioc_rollback){.volume = v, .snapshot = test_commit.members[0].snapshot};
	fails(fs_ioc_rollback(test_fs, &a), EINPROGRESS);
	ck_assert_uint_eq(find(test_root, "v").vol, v); /* not yet */
	set_gate(true);
	do {
		a = (struct kagefs_ioc_rollback){.volume = v, .snapshot = test_commit.members[0].snapshot, .wait_ms = 1000};
		r = fs_ioc_rollback(test_fs, &a);
	} while (r == -EINPROGRESS);
	ok(r);
	kept = find(find(find(find(test_root, "v"), FS_SNAPSHOTS_NAME), a.kept_name), "mapped");
	ck_assert_uint_eq(kept.vol, f.vol);
	is_text(kept, "last");
	is_text(find(root_of(a.new_volume), "mapped"), "text");
}
END_TEST

Suite *make_push_suite(void)
{
	Suite *s = suite_create("push");
	TCase *tc = tcase_create("calls");

	tcase_add_checked_fixture(tc, setup_push, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_prepare_polls);
	tcase_add_test(tc, test_prepare_other_volumes);
	tcase_add_loop_test(tc, test_commit_polls, 0, 2);
	tcase_add_loop_test(tc, test_commit_deadline, 0, 2);
	tcase_add_test(tc, test_commit_deadline_alone);
	tcase_add_loop_test(tc, test_delete_while_pushing, 0, 2);
	tcase_add_test(tc, test_seal_polls);
	tcase_add_test(tc, test_read_only_polls);
	tcase_add_test(tc, test_rollback_polls);
	suite_add_tcase(s, tc);
	return s;
}
