/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots and sets: one instant, deadline, writer, seal, deletion, rollback, nested volumes, names. */
#include <stdlib.h>

#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static struct fs_node in_snapshot(struct fs_node root, const char *name)
{
	return find(find(root, FS_SNAPSHOTS_NAME), name);
}

static ssize_t write_as(struct fs_node n, uint32_t uid)
{
	struct fs_ctx c = { .uid = uid };
	uint64_t lsn;

	return fs_write(test_fs, &c, n, "x", 1, 0, 0, &lsn);
}

static int commit_again(struct kagefs_uuid uuid, uint32_t deadline_ms)
{
	memset(&test_commit, 0, sizeof(test_commit));
	test_commit.uuid = uuid;
	test_commit.deadline_ms = deadline_ms;
	test_commit.wait_ms = 1000;
	return fs_ioc_set_commit(test_fs, &test_commit);
}

static int set_state(struct kagefs_uuid uuid, uint32_t *state)
{
	static struct kagefs_ioc_set_get g;
	int r;

	memset(&g, 0, sizeof(g));
	g.uuid = uuid;
	r = fs_ioc_set_get(test_fs, &g);
	*state = g.info.state;
	return r;
}

static unsigned count_volumes(void)
{
	static struct kagefs_ioc_volume_list l;

	memset(&l, 0, sizeof(l));
	ok(fs_ioc_volume_list(test_fs, &l));
	return l.count;
}

static struct kagefs_volume_info info(uint64_t vol)
{
	struct kagefs_ioc_volume_get g = { .volume = vol };

	ok(fs_ioc_volume_get(test_fs, &g));
	return g.info;
}

/* Loop as in check_file.c. */
START_TEST(test_snap_keeps_what_was)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), d = make(test_root, "d", S_IFDIR | 0755), s;
	uint64_t lsn;

	put_text(f, 0, "before");
	make(d, "inside", S_IFREG | 0600);
	ok(fs_setxattr(test_fs, NULL, f, "user.a", "1", 1, 0, &lsn));
	if (_i)
		drain();
	snapshot(test_root.vol, "s", 0);
	put_text(f, 0, "AFTER!");
	ok(fs_setxattr(test_fs, NULL, f, "user.a", "2", 1, 0, &lsn));
	del(d, "inside");
	ok(fs_rmdir(test_fs, NULL, test_root, "d", 1, NULL, &lsn));
	make(test_root, "new", S_IFREG | 0644);
	for (int round = 0; round < 3; round++) {
		char b[1];

		s = in_snapshot(test_root, "s");
		is_text(find(s, "f"), "before");
		ck_assert_int_eq(fs_getxattr(test_fs, find(s, "f"), "user.a", b, 1), 1);
		ck_assert_int_eq(b[0], '1');
		find(find(s, "d"), "inside");
		fails(look(s, "new"), ENOENT);
		is_text(f, "AFTER!");
		fails(look(test_root, "d"), ENOENT);
		fails(fs_write(test_fs, NULL, find(s, "f"), "x", 1, 0, 0, &lsn), EROFS);
		fails(fs_unlink(test_fs, NULL, s, "f", 1, NULL, &lsn), EROFS);
		if (round == 0)
			drain();
		else
			reopen();
	}
}
END_TEST

START_TEST(test_snap_of_snapshot)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), copy;
	uint64_t one, two;

	put_text(f, 0, "one");
	one = snapshot(test_root.vol, "s1", KAGEFS_SET_WRITABLE);
	put_text(find(root_of(one), "f"), 0, "two");
	two = snapshot(one, "s2", 0);
	copy = find(root_of(two), "f");
	put_text(find(root_of(one), "f"), 0, "xxx");
	if (_i)
		drain();
	is_text(copy, "two");
	is_text(f, "one");
	ck_assert_uint_eq(in_snapshot(root_of(one), "s2").vol, two);
	fails(look(find(test_root, FS_SNAPSHOTS_NAME), "s2"), ENOENT);
	ck_assert_uint_eq(info(two).origin, one);
	/* What it was copied from may go; it stays. */
	ok(delete_volume(one, KAGEFS_DELETE_FORCE));
	drain();
	is_text(copy, "two");
	reopen();
	is_text(copy, "two");
}
END_TEST

START_TEST(test_set_one_instant)
{
	uint64_t v = create_volume(test_root, "v"), vols[2] = { test_root.vol, v };
	struct kagefs_volume_info inner;
	struct kagefs_uuid uuid;

	put_text(make(test_root, "a", S_IFREG | 0644), 0, "1");
	put_text(make(root_of(v), "b", S_IFREG | 0644), 0, "2");
	ok(commit(0, "both", 2, vols));
	uuid = test_commit.uuid;
	ck_assert_uint_eq(test_commit.nvolumes, 2);
	ck_assert_uint_eq(test_commit.members[0].volume, vols[0]);
	ck_assert_uint_eq(test_commit.members[1].volume, vols[1]);
	inner = info(test_commit.members[1].snapshot);
	ck_assert_mem_eq(&inner.set, &uuid, 16);
	/* The copy of the outer volume leads into the copy of the inner one. */
	ck_assert_uint_eq(find(in_snapshot(test_root, "both"), "v").vol, test_commit.members[1].snapshot);
	is_text(find(find(in_snapshot(test_root, "both"), "v"), "b"), "2");
	ck_assert_uint_eq(count_volumes(), 4);
	fails(delete_volume(test_commit.members[0].snapshot, 0), EBUSY);
	ok(set_delete(uuid, 0));
	fails(set_delete(uuid, 0), ENOENT);
	ck_assert_uint_eq(count_volumes(), 2);
}
END_TEST

START_TEST(test_set_refused)
{
	uint64_t v = create_volume(test_root, "v"), twice[2] = { v, v }, gone[2] = { test_root.vol, 999 }, one[1] = { v };
	struct kagefs_uuid uuid;

	fails(commit(0, "s", 2, twice), EINVAL);
	fails(commit(0, "s", 2, gone), ENOENT);
	fails(commit(1 << 10, "s", 1, one), EINVAL);
	fails(commit(0, "a/b", 1, one), EINVAL);
	fails(commit(0, "..", 1, one), EINVAL);
	fails(commit_again((struct kagefs_uuid){ { 1 } }, 1000), ENOENT);
	ok(commit(0, "s", 1, one));
	uuid = test_commit.uuid;
	fails(commit(0, "s", 1, one), EEXIST);
	/* A committed set again: the answer is what it was. */
	ok(commit_again(uuid, 1000));
	ck_assert_uint_eq(test_commit.state, KAGEFS_SET_COMMITTED);
	ck_assert_str_eq(test_commit.name, "s");
	fails(commit_again(uuid, 0), EINVAL);
	fails(commit_again(uuid, 180001), EINVAL);
	ck_assert_uint_eq(count_volumes(), 3);
}
END_TEST

START_TEST(test_set_default_names)
{
	uint64_t v[1] = { test_root.vol };
	char first[256];

	ok(commit(0, "", 1, v));
	strcpy(first, test_commit.name);
	ck_assert_int_eq(strncmp(first, "@GMT-20", 7), 0);
	ck_assert_uint_eq(strlen(first), strlen("@GMT-2026.01.01-00.00.00"));
	ok(commit(0, "", 1, v)); /* the same second, mostly: the next free one */
	ck_assert_int_gt(strcmp(test_commit.name, first), 0);
	in_snapshot(test_root, first);
	in_snapshot(test_root, test_commit.name);
}
END_TEST

START_TEST(test_set_prepare)
{
	static struct kagefs_ioc_set_prepare p;
	struct kagefs_uuid uuid = { { 7 } };
	uint32_t state;

	memset(&p, 0, sizeof(p));
	p.uuid = uuid;
	p.nvolumes = 1;
	p.volumes[0] = test_root.vol;
	p.wait_ms = 1000;
	strcpy(p.owner, "unit");
	ok(fs_ioc_set_prepare(test_fs, &p));
	ck_assert_uint_eq(p.state, KAGEFS_SET_PREPARED);
	ok(set_state(uuid, &state));
	ck_assert_uint_eq(state, KAGEFS_SET_PREPARED);
	if (_i == 0) { /* a restart forgets it */
		reopen();
		fails(set_state(uuid, &state), ENOENT);
		return;
	}
	ok(commit_again(uuid, 60000));
	ck_assert_uint_eq(test_commit.state, KAGEFS_SET_COMMITTED);
	fails(fs_ioc_set_prepare(test_fs, &p), EEXIST);
	power_cut();
	ok(set_state(uuid, &state));
	ck_assert_uint_eq(state, KAGEFS_SET_COMMITTED);
}
END_TEST

/* Not durable by the deadline: revoked, as if it had never been; also when the power goes right after. */
START_TEST(test_set_deadline)
{
	uint64_t v[1] = { test_root.vol };
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct kagefs_uuid uuid = { { 9 } };
	uint32_t state;
	int r;

	put_text(f, 0, "text");
	memset(&test_commit, 0, sizeof(test_commit));
	test_commit.uuid = uuid;
	test_commit.nvolumes = 1;
	test_commit.volumes[0] = v[0];
	test_commit.wait_ms = 1000;
	test_commit.deadline_ms = 5;
	strcpy(test_commit.name, "late");
	test_clock_step(4000000);
	r = fs_ioc_set_commit(test_fs, &test_commit);
	test_clock_step(0);
	fails(r, ETIME);
	fails(set_state(uuid, &state), ENOENT);
	fails(look(find(test_root, FS_SNAPSHOTS_NAME), "late"), ENOENT);
	ck_assert_uint_eq(count_volumes(), 1);
	if (_i)
		power_cut();
	else
		reopen();
	fails(set_state(uuid, &state), ENOENT);
	ck_assert_uint_eq(count_volumes(), 1);
	is_text(f, "text");
	ok(commit(0, "late", 1, v));
}
END_TEST

/* The power goes at each sync of a commit: afterwards the set is there whole or not at all. */
START_TEST(test_set_power_cut)
{
	bool there = false;

	for (uint64_t n = 1; !there && n < 20; n++) {
		uint64_t v = create_volume(test_root, "v"), vols[2] = { test_root.vol, v };
		struct kagefs_uuid uuid;
		uint32_t state;
		int r, found;

		sim_cut_at(test_io, n);
		r = commit(0, "s", 2, vols);
		uuid = test_commit.uuid;
		power_cut();
		found = set_state(uuid, &state);
		if (!r)
			ok(found);
		if (!found) {
			ck_assert_uint_eq(state, KAGEFS_SET_COMMITTED);
			ck_assert_uint_eq(count_volumes(), 4);
			ok(set_delete(uuid, 0));
		}
		ck_assert_uint_eq(count_volumes(), 2);
		there = !r;
		ok(delete_volume(v, 0));
		check_clean();
	}
	ck_assert(there);
}
END_TEST

START_TEST(test_set_writer_and_seal)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0666), copy;
	uint64_t v[1] = { test_root.vol }, id;
	struct kagefs_uuid uuid;
	struct kagefs_ioc_volume_set rw = { .mask = KAGEFS_VOL_READ_ONLY };

	put_text(f, 0, "text");
	memset(&test_commit, 0, sizeof(test_commit));
	test_commit.flags = KAGEFS_SET_WRITABLE;
	test_commit.nvolumes = 1;
	test_commit.volumes[0] = v[0];
	test_commit.writer_uid = 42;
	test_commit.wait_ms = test_commit.deadline_ms = 1000;
	ok(fs_ioc_set_commit(test_fs, &test_commit));
	uuid = test_commit.uuid;
	id = test_commit.members[0].snapshot;
	copy = find(root_of(id), "f");
	ck_assert_uint_eq(info(id).flags, KAGEFS_VOL_SNAPSHOT | KAGEFS_VOL_RECOVERY);
	fails(write_as(copy, 41), EACCES);
	ck_assert(write_as(copy, 0) > 0); /* root: smbd does a part of the creator's work as root */
	ck_assert_int_eq(write_as(copy, 42), 1);
	is_text(copy, "xext");
	is_text(f, "text");
	ok(set_seal(uuid));
	fails(write_as(copy, 42), EROFS);
	ck_assert_uint_eq(info(id).flags, KAGEFS_VOL_SNAPSHOT | KAGEFS_VOL_READ_ONLY | KAGEFS_VOL_SEALED);
	rw.volume = id;
	fails(fs_ioc_volume_set(test_fs, &rw), EPERM);
	ok(set_seal(uuid)); /* idempotent */
	power_cut();
	fails(write_as(copy, 42), EROFS);
	is_text(copy, "xext");
}
END_TEST

START_TEST(test_set_keep_detach_update)
{
	static struct kagefs_ioc_set_update u;
	uint64_t v[1] = { test_root.vol }, id;
	struct kagefs_uuid uuid;

	ok(commit(KAGEFS_SET_KEEP, "s", 1, v));
	uuid = test_commit.uuid;
	id = test_commit.members[0].snapshot;
	fails(set_delete(uuid, 0), EBUSY);
	memset(&u, 0, sizeof(u));
	u.uuid = uuid;
	u.expect_version = 5;
	fails(fs_ioc_set_update(test_fs, &u), EAGAIN);
	u.expect_version = 0;
	u.mask = KAGEFS_SET_KEEP;
	u.record_len = 3;
	ok(fs_ioc_set_update(test_fs, &u));
	u.expect_version = 1;
	ok(fs_ioc_set_update(test_fs, &u));
	u.flags = KAGEFS_SET_WRITABLE;
	fails(fs_ioc_set_update(test_fs, &u), EINVAL);
	ok(set_delete(uuid, KAGEFS_DELETE_DETACH));
	fails(set_delete(uuid, 0), ENOENT);
	ck_assert_uint_eq(info(id).flags, KAGEFS_VOL_SNAPSHOT | KAGEFS_VOL_READ_ONLY | KAGEFS_VOL_SEALED);
	in_snapshot(test_root, "s");
	ok(delete_volume(id, 0));
	fails(delete_volume(id, 0), ENOENT);
	fails(look(find(test_root, FS_SNAPSHOTS_NAME), "s"), ENOENT);
}
END_TEST

START_TEST(test_rollback)
{
	struct kagefs_ioc_rollback r = { 0 };
	uint64_t v = create_volume(test_root, "v"), snap;
	struct fs_node f = make(root_of(v), "f", S_IFREG | 0644), now;

	put_text(f, 0, "old");
	snap = snapshot(v, "s", 0);
	put_text(f, 0, "new");
	if (_i)
		drain();
	r.volume = v;
	r.snapshot = snap;
	ok(fs_ioc_rollback(test_fs, &r));
	now = find(test_root, "v");
	ck_assert_uint_eq(now.vol, r.new_volume);
	is_text(find(now, "f"), "old");
	put_text(find(now, "f"), 0, "won");
	/* What it replaced, and the older snapshot, are its snapshots now. */
	is_text(find(in_snapshot(now, r.kept_name), "f"), "new");
	is_text(find(in_snapshot(now, "s"), "f"), "old");
	power_cut();
	now = find(test_root, "v");
	is_text(find(in_snapshot(now, r.kept_name), "f"), "new");
	r.volume = test_root.vol;
	r.snapshot = snap;
	fails(fs_ioc_rollback(test_fs, &r), EINVAL); /* not of this volume */
	r.volume = v; /* it is a snapshot now */
	fails(fs_ioc_rollback(test_fs, &r), EINVAL);
	r.volume = 999;
	fails(fs_ioc_rollback(test_fs, &r), ENOENT);
}
END_TEST

/* A volume bound inside the one rolled back, at a place that the snapshot does not have. */
START_TEST(test_rollback_before_nested)
{
	struct kagefs_ioc_rollback r = { .volume = test_root.vol };
	uint64_t inner;

	make(test_root, "d", S_IFDIR | 0755);
	r.snapshot = snapshot(test_root.vol, "s", 0);
	inner = create_volume(find(test_root, "d"), "inner");
	ok(fs_ioc_rollback(test_fs, &r));
	test_root = fs_root(test_fs);
	ck_assert_uint_eq(test_root.vol, r.new_volume);
	fails(look(find(test_root, "d"), "inner"), ENOENT);
	make(find(test_root, "d"), "inner", S_IFREG | 0644); /* its old name, another thing */
	ok(delete_volume(inner, 0));
	find(find(test_root, "d"), "inner");
	ck_assert_uint_eq(attr(find(test_root, "d")).nlink, 2);
}
END_TEST

START_TEST(test_nested_placeholder)
{
	uint64_t v = create_volume(test_root, "v"), snap, lsn;
	struct fs_node p;

	make(root_of(v), "f", S_IFREG | 0644);
	snap = snapshot(test_root.vol, "s", KAGEFS_SET_WRITABLE);
	/* v is no member: an empty directory stands in, in the copy only. */
	p = find(root_of(snap), "v");
	ck_assert_uint_eq(p.vol, snap);
	ck_assert_uint_eq(attr(p).mode, S_IFDIR | 0555);
	ck_assert_uint_eq(attr(p).nlink, 2);
	fails(look(p, "f"), ENOENT);
	find(find(test_root, "v"), "f");
	fails(fs_rmdir(test_fs, NULL, test_root, "v", 1, NULL, &lsn), EBUSY);
	fails(fs_unlink(test_fs, NULL, test_root, "v", 1, NULL, &lsn), EBUSY);
	fails(fs_unlink(test_fs, NULL, root_of(snap), "v", 1, NULL, &lsn), EBUSY);
	ok(fs_rmdir(test_fs, NULL, root_of(snap), "v", 1, NULL, &lsn));
	fails(look(root_of(snap), "v"), ENOENT);
}
END_TEST

START_TEST(test_volume_refused)
{
	struct kagefs_ioc_volume_create c = { .mode = 0755, .name = "v" };
	uint64_t v = create_volume(test_root, "v"), snap;
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fails(fs_ioc_volume_create(test_fs, NULL, test_root, &c), EEXIST);
	fails(fs_ioc_volume_create(test_fs, NULL, f, &c), ENOTDIR);
	snap = snapshot(test_root.vol, "s", KAGEFS_SET_WRITABLE);
	strcpy(c.name, "w");
	fails(fs_ioc_volume_create(test_fs, NULL, root_of(snap), &c), EOPNOTSUPP);
	fails(fs_ioc_volume_create(test_fs, NULL, (struct fs_node){ test_root.vol, FS_INO_SNAPSHOTS }, &c), EOPNOTSUPP);
	strcpy(c.name, FS_SNAPSHOTS_NAME);
	fails(fs_ioc_volume_create(test_fs, NULL, test_root, &c), EEXIST);
	create_volume(root_of(v), "inner");
	fails(delete_volume(v, 0), EBUSY);
	fails(delete_volume(test_root.vol, KAGEFS_DELETE_FORCE), EBUSY);
	fails(delete_volume(999, 0), ENOENT);
	fails(delete_volume(snap, 1 << 7), EINVAL);
}
END_TEST

START_TEST(test_volume_read_only)
{
	struct kagefs_ioc_volume_set s = { .flags = KAGEFS_VOL_READ_ONLY, .mask = KAGEFS_VOL_READ_ONLY, .volume = test_root.vol };
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct fs_attr a;
	uint64_t lsn;

	ok(fs_ioc_volume_set(test_fs, &s));
	fails(fs_write(test_fs, NULL, f, "x", 1, 0, 0, &lsn), EROFS);
	fails(fs_mknod(test_fs, NULL, test_root, "g", 1, S_IFREG, 0, NULL, &a, &lsn), EROFS);
	fails(fs_setxattr(test_fs, NULL, f, "user.a", "", 0, 0, &lsn), EROFS);
	power_cut();
	fails(fs_write(test_fs, NULL, f, "x", 1, 0, 0, &lsn), EROFS);
	s.flags = 0;
	ok(fs_ioc_volume_set(test_fs, &s));
	put_text(f, 0, "x");
}
END_TEST

/* Nothing that lives loses anything when what it came from goes, in any order. */
START_TEST(test_delete_any_order)
{
	static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	uint64_t v = create_volume(test_root, "v"), id[3];
	struct fs_node f = make(root_of(v), "f", S_IFREG | 0644);
	const char *texts[] = { "0", "1", "2" };
	bool gone[3] = { false };

	for (unsigned n = 0; n < 3; n++) {
		char name[2] = { (char)('a' + n), 0 };

		fill(f, BS * (n + 1), BS, (uint8_t)(n * 20));
		put_text(f, 0, texts[n]);
		id[n] = snapshot(n == 2 ? id[0] : v, name, KAGEFS_SET_WRITABLE);
		if (n == 2)
			texts[2] = "0";
	}
	for (unsigned k = 0; k < 3; k++) {
		ok(delete_volume(id[orders[_i][k]], KAGEFS_DELETE_FORCE));
		gone[orders[_i][k]] = true;
		drain();
		check_clean();
		for (unsigned n = 0; n < 3; n++) {
			struct fs_node root, file;
			char b[1];

			if (gone[n]) {
				fails(fs_volume_root(test_fs, id[n], &root), ESTALE);
				continue;
			}
			file = find(root_of(id[n]), "f");
			ck_assert_int_eq(fs_read(test_fs, file, b, 1, 0), 1);
			ck_assert_int_eq(b[0], texts[n][0]);
			is_filled(file, BS, BS, 0);
		}
	}
	is_filled(f, BS, BS, 0);
	ok(delete_volume(v, 0));
	ck_assert_int_eq(count_blocks(), 0);
}
END_TEST

START_TEST(test_node_numbers)
{
	uint64_t snap, number, generation;
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), c, back;

	snap = snapshot(test_root.vol, "s", 0);
	c = find(root_of(snap), "f");
	ck_assert_uint_eq(c.ino, f.ino);
	number = fs_node_number(test_fs, c);
	generation = fs_node_generation(test_fs, c);
	ck_assert_uint_ne(number, fs_node_number(test_fs, f));
	ok(fs_node_by_number(test_fs, number, &back));
	ck_assert(back.vol == c.vol && back.ino == c.ino);
	reopen();
	ck_assert_uint_eq(fs_node_number(test_fs, c), number);
	ok(delete_volume(snap, KAGEFS_DELETE_FORCE));
	drain();
	fails(fs_node_by_number(test_fs, number, &back), ESTALE);
	snap = snapshot(test_root.vol, "t", 0);
	c = find(root_of(snap), "f");
	if (fs_node_number(test_fs, c) == number) /* the slot is used again */
		ck_assert_uint_ne(fs_node_generation(test_fs, c), generation);
}
END_TEST

Suite *make_snap_suite(void)
{
	Suite *s = suite_create("snap");
	TCase *tc = tcase_create("sets");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_snap_keeps_what_was, 0, 2);
	tcase_add_loop_test(tc, test_snap_of_snapshot, 0, 2);
	tcase_add_test(tc, test_set_one_instant);
	tcase_add_test(tc, test_set_refused);
	tcase_add_test(tc, test_set_default_names);
	tcase_add_loop_test(tc, test_set_prepare, 0, 2);
	tcase_add_loop_test(tc, test_set_deadline, 0, 2);
	tcase_add_test(tc, test_set_power_cut);
	tcase_add_test(tc, test_set_writer_and_seal);
	tcase_add_test(tc, test_set_keep_detach_update);
	tcase_add_loop_test(tc, test_rollback, 0, 2);
	tcase_add_test(tc, test_rollback_before_nested);
	tcase_add_test(tc, test_nested_placeholder);
	tcase_add_test(tc, test_volume_refused);
	tcase_add_test(tc, test_volume_read_only);
	tcase_add_loop_test(tc, test_delete_any_order, 0, 6);
	tcase_add_test(tc, test_node_numbers);
	suite_add_tcase(s, tc);
	return s;
}
