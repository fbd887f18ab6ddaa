/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the power-cut simulator does beyond fs/base/io.h (see check_io.c for that). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/io.h"
#include "tests/sim/io_sim.h"
#include "tests/unit/base/suites.h"

#define SEEDS 200

static struct io *io;

static struct io_file *must_open(const char *path, int flags)
{
	struct io_file *f = NULL;

	ck_assert_int_eq(io_open(io, path, flags, &f), 0);
	return f;
}

static int try_open(const char *path, int flags)
{
	struct io_file *f = NULL;
	int r = io_open(io, path, flags, &f);

	io_close(f);
	return r;
}

static bool there(const char *path)
{
	int r = try_open(path, IO_RDONLY);

	ck_assert(r == 0 || r == -ENOENT);
	return r == 0;
}

static void put(const char *path, const char *text, bool sync)
{
	struct io_file *f = must_open(path, IO_CREATE);

	ck_assert_int_eq(io_pwrite(f, text, strlen(text), 0), 0);
	if (sync)
		ck_assert_int_eq(io_sync(f), 0);
	io_close(f);
}

/* The first character; 0: empty file; -1: no file. */
static int first_char(const char *path)
{
	struct io_file *f;
	unsigned char c;
	ssize_t n;

	if (!there(path))
		return -1;
	f = must_open(path, IO_RDONLY);
	n = io_pread(f, &c, 1, 0);
	io_close(f);
	ck_assert(n == 0 || n == 1);
	return n == 1 ? c : 0;
}

static void fill(const char *path, char c, size_t len, bool sync)
{
	struct io_file *f = must_open(path, IO_CREATE);
	char *buf = malloc(len);

	ck_assert_ptr_nonnull(buf);
	memset(buf, c, len);
	ck_assert_int_eq(io_pwrite(f, buf, len, 0), 0);
	if (sync)
		ck_assert_int_eq(io_sync(f), 0);
	io_close(f);
	free(buf);
}

static void cut(void)
{
	sim_cut_now(io);
	sim_power_on(io);
}

static size_t slurp(const char *path, char *buf, size_t room)
{
	struct io_file *f = must_open(path, IO_RDONLY);
	ssize_t n = io_pread(f, buf, room, 0);

	io_close(f);
	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

/* Whether bytes [from, to) are all a or b.  One assertion per byte would take minutes. */
static bool only(const char *buf, size_t from, size_t to, char a, char b)
{
	for (size_t i = from; i < to; i++)
		if (buf[i] != a && buf[i] != b)
			return false;
	return true;
}

START_TEST(test_sim_synced_stays)
{
	char buf[70000];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct io_file *f;

		io = sim_new(seed, 0);
		fill("f", 'a', sizeof(buf), true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		f = must_open("f", 0);
		ck_assert_int_eq(io_pwrite(f, "bbbb", 4, 512), 0);
		ck_assert_int_eq(io_pwrite(f, "bbbb", 4, 65536), 0);
		io_close(f);
		for (int i = 0; i < 3; i++) {
			cut();
			ck_assert_uint_eq(slurp("f", buf, sizeof(buf)), sizeof(buf));
			ck_assert(only(buf, 0, 512, 'a', 'a'));
			ck_assert(only(buf, 516, 65536, 'a', 'a'));
			ck_assert(only(buf, 65540, sizeof(buf), 'a', 'a'));
			ck_assert(memcmp(buf + 512, "aaaa", 4) == 0 || memcmp(buf + 512, "bbbb", 4) == 0);
			ck_assert(memcmp(buf + 65536, "aaaa", 4) == 0 || memcmp(buf + 65536, "bbbb", 4) == 0);
		}
		io_free(io);
	}
}
END_TEST

/* Overwrite 16 sectors at an odd place without sync: all, none and some of them must occur, each sector as a whole. */
START_TEST(test_sim_unsynced_is_kept_lost_or_torn)
{
	int kept = 0, lost = 0, torn = 0, out_of_order = 0;
	char buf[16 * 512];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		unsigned map = 0;

		io = sim_new(seed, 0);
		fill("f", 'a', sizeof(buf), true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		fill("f", 'b', sizeof(buf), false);
		cut();
		ck_assert_uint_eq(slurp("f", buf, sizeof(buf)), sizeof(buf));
		for (int s = 0; s < 16; s++) {
			ck_assert(only(buf, s * 512, s * 512 + 512, buf[s * 512], buf[s * 512]));
			ck_assert(only(buf, s * 512, s * 512 + 1, 'a', 'b'));
			map |= (buf[s * 512] == 'b') << s;
		}
		kept += map == 0xffff;
		lost += map == 0;
		torn += map != 0 && map != 0xffff;
		out_of_order += (map & (map + 1)) != 0; /* not a prefix */
		io_free(io);
	}
	ck_assert_int_gt(kept, SEEDS / 20);
	ck_assert_int_gt(lost, SEEDS / 20);
	ck_assert_int_gt(torn, SEEDS / 20);
	ck_assert_int_gt(out_of_order, SEEDS / 20);
}
END_TEST

START_TEST(test_sim_later_write_may_survive_alone)
{
	int seen[2][2] = {{0}};

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct io_file *f;
		char buf[8192];

		io = sim_new(seed, 0);
		fill("f", 'a', sizeof(buf), true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		f = must_open("f", 0);
		ck_assert_int_eq(io_pwrite(f, "b", 1, 0), 0);
		ck_assert_int_eq(io_pwrite(f, "b", 1, 4096), 0);
		io_close(f);
		cut();
		slurp("f", buf, sizeof(buf));
		seen[buf[0] == 'b'][buf[4096] == 'b']++;
		io_free(io);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(seen[i / 2][i % 2], 3);
}
END_TEST

START_TEST(test_sim_appended_size)
{
	int size_seen[3] = {0}, zeros = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		char buf[4096];
		size_t n;

		io = sim_new(seed, 0);
		fill("f", 'a', 1024, true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		fill("f", 'a', 4096, false);
		cut();
		n = slurp("f", buf, sizeof(buf));
		ck_assert_uint_ge(n, 1024);
		size_seen[n == 1024 ? 0 : n == 4096 ? 1 : 2]++;
		ck_assert(only(buf, 0, 1024, 'a', 'a'));
		ck_assert(only(buf, 1024, n, 'a', 0));
		zeros += memchr(buf, 0, n) != NULL;
		io_free(io);
	}
	ck_assert_int_gt(size_seen[0], 5);
	ck_assert_int_gt(size_seen[1], 5);
	ck_assert_int_gt(size_seen[2], 5);
	ck_assert_int_gt(zeros, 5);
}
END_TEST

START_TEST(test_sim_truncate_and_punch_kept_or_lost)
{
	int cut_short = 0, punched = 0, old = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		char buf[65536];
		struct io_file *f;
		size_t n;

		io = sim_new(seed, 0);
		fill("t", 'a', sizeof(buf), true);
		fill("p", 'a', sizeof(buf), true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		f = must_open("t", 0);
		ck_assert_int_eq(io_truncate(f, 100), 0);
		io_close(f);
		f = must_open("p", 0);
		ck_assert_int_eq(io_punch(f, 0, 32768), 0);
		io_close(f);
		cut();
		n = slurp("t", buf, sizeof(buf));
		ck_assert(n == 100 || n == sizeof(buf));
		cut_short += n == 100;
		ck_assert_uint_eq(slurp("p", buf, sizeof(buf)), sizeof(buf));
		ck_assert(only(buf, 0, 32768, 'a', 0));
		ck_assert(only(buf, 32768, sizeof(buf), 'a', 'a'));
		punched += !memchr(buf, 'a', 32768);
		old += !memchr(buf, 0, 32768);
		io_free(io);
	}
	ck_assert_int_gt(cut_short, 20);
	ck_assert_int_lt(cut_short, SEEDS - 20);
	ck_assert_int_gt(punched, 20);
	ck_assert_int_gt(old, 20);
}
END_TEST

/*
 * Random changes of one file against a history of images kept here.  After each cut every sector must be as it was at some
 * moment since the last sync, and the size must not exceed the greatest one since then.
 */
#define MODEL_BYTES (48 * 512)
#define MODEL_VERSIONS 40
static struct version {
	size_t size;
	char bytes[MODEL_BYTES];
} history[MODEL_VERSIONS];

static uint64_t model_random(uint64_t *state, uint64_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*state >> 33) % n;
}

static void model_change(struct io_file *f, struct version *v, uint64_t *random)
{
	size_t off = model_random(random, MODEL_BYTES), len = 1 + model_random(random, MODEL_BYTES - off);
	char data[MODEL_BYTES];

	if (model_random(random, 2))
		len = MIN(len, 300);
	switch (model_random(random, 8)) {
	case 0:
		ck_assert_int_eq(io_punch(f, off, len), 0);
		memset(v->bytes + off, 0, len);
		break;
	case 1:
		off -= off % 512; /* else the tail of its sector is no state that the sector had */
		ck_assert_int_eq(io_truncate(f, off), 0);
		memset(v->bytes + off, 0, MODEL_BYTES - off);
		v->size = off;
		break;
	case 2:
		ck_assert_int_eq(io_allocate(f, off, len), 0);
		break;
	default:
		memset(data, (int)(1 + model_random(random, 255)), len);
		ck_assert_int_eq(io_pwrite(f, data, len, off), 0);
		memcpy(v->bytes + off, data, len);
		v->size = MAX(v->size, off + len);
	}
}

static void model_compare(struct io_file *f, const struct version *v)
{
	char got[MODEL_BYTES];

	ck_assert_int_eq(io_pread(f, got, sizeof(got), 0), (ssize_t)v->size);
	ck_assert_mem_eq(got, v->bytes, v->size);
}

static void model_adopt(struct io_file *f, int nversions)
{
	struct version now = {0};
	size_t max = 0;
	ssize_t n = io_pread(f, now.bytes, MODEL_BYTES, 0);

	ck_assert_int_ge(n, 0);
	now.size = (size_t)n;
	for (int i = 0; i < nversions; i++)
		max = MAX(max, history[i].size);
	ck_assert_uint_le(now.size, max);
	for (size_t at = 0; at < now.size; at += 512) {
		bool found = false;

		for (int i = 0; i < nversions && !found; i++)
			found = memcmp(now.bytes + at, history[i].bytes + at, MIN(512, now.size - at)) == 0;
		ck_assert_msg(found, "sector %zu has a state it never had", at / 512);
	}
	history[0] = now;
}

START_TEST(test_sim_model)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		uint64_t random = seed;
		int n = 1;
		struct io_file *f;

		io = sim_new(seed, 0);
		memset(history, 0, sizeof(history));
		f = must_open("f", IO_CREATE);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		for (int step = 0; step < 300; step++) {
			uint64_t what = model_random(&random, 20);

			if (what == 0 || n == MODEL_VERSIONS) {
				ck_assert_int_eq(io_sync(f), 0);
				history[0] = history[n - 1];
				n = 1;
			} else if (what == 1) {
				io_close(f);
				cut();
				f = must_open("f", 0);
				model_adopt(f, n);
				n = 1;
			} else {
				history[n] = history[n - 1];
				model_change(f, &history[n++], &random);
			}
			model_compare(f, &history[n - 1]);
		}
		io_close(f);
		io_free(io);
	}
}
END_TEST

START_TEST(test_sim_created_name)
{
	int kept = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		io = sim_new(seed, 0);
		put("stays", "s", true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		put("maybe", "m", true);
		cut();
		ck_assert_int_eq(first_char("stays"), 's');
		if (there("maybe")) {
			ck_assert_int_eq(first_char("maybe"), 'm');
			kept++;
		}
		io_free(io);
	}
	ck_assert_int_gt(kept, 20);
	ck_assert_int_lt(kept, SEEDS - 20);
}
END_TEST

START_TEST(test_sim_rename_is_atomic)
{
	int moved = 0, replaced = 0, only_second = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		bool first;

		io = sim_new(seed, 0);
		ck_assert_int_eq(io_mkdir(io, "d"), 0);
		put("a", "A", true);
		put("b", "B", true);
		put("d/c", "C", true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		ck_assert_int_eq(io_sync_dir(io, "d"), 0);
		ck_assert_int_eq(io_rename(io, "a", "d/a", IO_NOREPLACE), 0);
		ck_assert_int_eq(io_rename(io, "b", "d/c", 0), 0);
		cut();
		first = there("d/a");
		ck_assert(there("a") != first);
		ck_assert_int_eq(first_char(first ? "d/a" : "a"), 'A');
		moved += first;
		if (there("b")) {
			ck_assert_int_eq(first_char("b"), 'B');
			ck_assert_int_eq(first_char("d/c"), 'C');
		} else {
			ck_assert_int_eq(first_char("d/c"), 'B');
			replaced++;
			only_second += !first;
		}
		io_free(io);
	}
	ck_assert_int_gt(moved, 20);
	ck_assert_int_lt(moved, SEEDS - 20);
	ck_assert_int_gt(replaced, 20);
	ck_assert_int_lt(replaced, SEEDS - 20);
	ck_assert_int_gt(only_second, 5);
}
END_TEST

/* write a temporary file, rename, sync one of the two directories: the rename is durable, with its creation. */
START_TEST(test_sim_sync_of_either_directory_keeps_rename)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		io = sim_new(seed, 0);
		ck_assert_int_eq(io_mkdir(io, "tmp"), 0);
		ck_assert_int_eq(io_mkdir(io, "d"), 0);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		put("tmp/f", "f", true);
		put("tmp/g", "g", true);
		ck_assert_int_eq(io_rename(io, "tmp/f", "d/f", IO_NOREPLACE), 0);
		ck_assert_int_eq(io_sync_dir(io, seed % 2 ? "d" : "tmp"), 0);
		cut();
		ck_assert_int_eq(first_char("d/f"), 'f');
		ck_assert(!there("tmp/f"));
		io_free(io);
	}
}
END_TEST

START_TEST(test_sim_unlinked_name)
{
	int back = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct io_file *f;
		char c;

		io = sim_new(seed, 0);
		put("a", "A", true);
		put("b", "B", true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		ck_assert_int_eq(io_unlink(io, "a"), 0);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		f = must_open("b", 0);
		ck_assert_int_eq(io_unlink(io, "b"), 0);
		ck_assert_int_eq(io_pread(f, &c, 1, 0), 1);
		put("b", "N", true); /* a new file in the place */
		io_close(f);
		cut();
		ck_assert(!there("a"));
		back += first_char("b") == 'B';
		ck_assert(first_char("b") == 'B' || first_char("b") == 'N' || !there("b"));
		io_free(io);
	}
	ck_assert_int_gt(back, 20);
	ck_assert_int_lt(back, SEEDS - 20);
}
END_TEST

START_TEST(test_sim_lost_directory_takes_its_files)
{
	int lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		io = sim_new(seed, 1 << 20);
		ck_assert_int_eq(io_mkdir(io, "d"), 0);
		put("d/f", "f", true);
		ck_assert_int_eq(io_sync_dir(io, "d"), 0);
		cut();
		if (there("d/f")) {
			ck_assert_int_eq(first_char("d/f"), 'f');
		} else {
			struct io_space space;

			lost++;
			ck_assert_int_eq(io_space(io, &space), 0);
			ck_assert_uint_eq(space.free_bytes, 1 << 20);
			ck_assert_int_eq(io_mkdir(io, "d"), 0);
			ck_assert(!there("d/f"));
		}
		io_free(io);
	}
	ck_assert_int_gt(lost, 20);
	ck_assert_int_lt(lost, SEEDS - 20);
}
END_TEST

static int nothing(void *arg, const char *name)
{
	return 0;
}

START_TEST(test_sim_cut_at)
{
	struct io_file *f, *g;
	struct io_space space;
	uint64_t size;
	char c;

	io = sim_new(1, 0);
	f = must_open("f", IO_CREATE);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_uint_eq(sim_syncs(io), 1);
	sim_cut_at(io, 3);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_int_eq(io_sync_dir(io, "."), 0);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), 0);
	ck_assert(!sim_is_off(io));
	ck_assert_int_eq(io_sync(f), -EIO);
	ck_assert(sim_is_off(io));
	ck_assert_uint_eq(sim_syncs(io), 4);

	ck_assert_int_eq(io_sync(f), -EIO);
	ck_assert_int_eq(io_pread(f, &c, 1, 0), -EIO);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), -EIO);
	ck_assert_int_eq(io_allocate(f, 0, 1), -EIO);
	ck_assert_int_eq(io_punch(f, 0, 1), -EIO);
	ck_assert_int_eq(io_truncate(f, 0), -EIO);
	ck_assert_int_eq(io_size(f, &size), -EIO);
	ck_assert_int_eq(io_open(io, "f", 0, &g), -EIO);
	ck_assert_int_eq(io_mkdir(io, "d"), -EIO);
	ck_assert_int_eq(io_rename(io, "f", "g", 0), -EIO);
	ck_assert_int_eq(io_unlink(io, "f"), -EIO);
	ck_assert_int_eq(io_sync_dir(io, "."), -EIO);
	ck_assert_int_eq(io_list(io, ".", nothing, NULL), -EIO);
	ck_assert_int_eq(io_space(io, &space), -EIO);
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), -EIO);
	ck_assert_uint_eq(sim_syncs(io), 4);
	io_close(f);

	sim_power_on(io);
	ck_assert(!sim_is_off(io));
	f = must_open("f", 0);
	for (int i = 0; i < 5; i++) /* the cut is not armed any more */
		ck_assert_int_eq(io_sync(f), 0);
	io_close(f);
	io_free(io);
}
END_TEST

START_TEST(test_sim_same_seed_same_fate)
{
	static char first[65536], again[65536];

	for (uint64_t seed = 0; seed < 20; seed++) {
		size_t n[2];

		for (int i = 0; i < 2; i++) {
			io = sim_new(seed, 0);
			put("f", "f", true);
			ck_assert_int_eq(io_sync_dir(io, "."), 0);
			fill("f", 'b', sizeof(first), false);
			cut();
			n[i] = slurp("f", i ? again : first, sizeof(first));
			io_free(io);
		}
		ck_assert_uint_eq(n[0], n[1]);
		ck_assert_mem_eq(first, again, n[0]);
	}
}
END_TEST

START_TEST(test_sim_ignore_sync_lies)
{
	int lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		io = sim_new(seed, 0);
		ck_assert_int_eq(io_mkdir(io, "log"), 0);
		sim_ignore_sync(io, "log/");
		put("log/f", "L", true);
		put("other", "O", true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		ck_assert_int_eq(io_sync_dir(io, "log"), 0);
		ck_assert_uint_eq(sim_syncs(io), 4);
		cut();
		ck_assert_int_eq(first_char("other"), 'O');
		lost += first_char("log/f") == 0;
		sim_ignore_sync(io, NULL);
		put("log/f", "L", true);
		cut();
		ck_assert_int_eq(first_char("log/f"), 'L');
		io_free(io);
	}
	ck_assert_int_gt(lost, 20);
}
END_TEST

START_TEST(test_sim_faults)
{
	struct io_file *f, *g;
	char c;

	io = sim_new(1, 0);
	f = must_open("f", IO_CREATE);
	g = must_open("g", IO_CREATE);
	sim_fault(io, SIM_FAULT_SYNC_EIO, "f", 2);
	ck_assert_int_eq(io_sync(g), 0);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_int_eq(io_sync(g), 0);
	ck_assert_int_eq(io_sync(f), -EIO);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert(!sim_is_off(io));

	sim_fault(io, SIM_FAULT_SYNC_EIO, NULL, 1);
	ck_assert_int_eq(io_sync_dir(io, "."), -EIO);
	ck_assert_int_eq(io_sync_dir(io, "."), 0);

	sim_fault(io, SIM_FAULT_WRITE_ENOSPC, NULL, 1);
	sim_fault(io, SIM_FAULT_WRITE_EIO, "g", 1);
	sim_fault(io, SIM_FAULT_READ_EIO, "f", 1);
	ck_assert_int_eq(io_pread(g, &c, 1, 0), 0);
	ck_assert_int_eq(io_pread(f, &c, 1, 0), -EIO);
	ck_assert_int_eq(io_pread(f, &c, 1, 0), 0);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), -ENOSPC);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), 0);
	ck_assert_int_eq(io_pwrite(g, "x", 1, 0), -EIO);
	ck_assert_int_eq(io_pwrite(g, "x", 1, 0), 0);
	sim_fault(io, SIM_FAULT_WRITE_ENOSPC, "g", 1);
	ck_assert_int_eq(io_allocate(g, 0, 4096), -ENOSPC);
	ck_assert_int_eq(io_allocate(g, 0, 4096), 0);

	sim_fault(io, SIM_FAULT_WRITE_EIO, NULL, 1);
	sim_fault(io, SIM_FAULT_NONE, NULL, 0);
	ck_assert_int_eq(io_pwrite(g, "x", 1, 0), 0);
	io_close(f);
	io_close(g);
	io_free(io);
}
END_TEST

/* After a failed write sectors in front may be new, none behind. */
START_TEST(test_sim_failed_write_may_leave_a_part)
{
	int part = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		char buf[8192];
		struct io_file *f;
		size_t n = 0;

		io = sim_new(seed, 0);
		fill("f", 'a', sizeof(buf), true);
		f = must_open("f", 0);
		memset(buf, 'b', sizeof(buf));
		sim_fault(io, SIM_FAULT_WRITE_EIO, NULL, 1);
		ck_assert_int_eq(io_pwrite(f, buf, sizeof(buf), 0), -EIO);
		io_close(f);
		slurp("f", buf, sizeof(buf));
		while (n < sizeof(buf) && buf[n] == 'b')
			n++;
		ck_assert_uint_eq(n % 512, 0);
		ck_assert(only(buf, n, sizeof(buf), 'a', 'a'));
		part += n > 0;
		io_free(io);
	}
	ck_assert_int_gt(part, 20);
}
END_TEST

/* Linux drops what a failed sync could not write: the next one succeeds and yet nothing is safe. */
START_TEST(test_sim_failed_sync_loses_data_for_good)
{
	int lost = 0, kept = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		char buf[65536];
		struct io_file *f;

		io = sim_new(seed, 0);
		fill("f", 'a', sizeof(buf), true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		fill("f", 'b', sizeof(buf), false);
		f = must_open("f", 0);
		sim_fault(io, SIM_FAULT_SYNC_EIO, "f", 1);
		ck_assert_int_eq(io_sync(f), -EIO);
		ck_assert_int_eq(io_sync(f), 0);
		slurp("f", buf, sizeof(buf));
		ck_assert_ptr_null(memchr(buf, 'a', sizeof(buf)));
		ck_assert_int_eq(io_pwrite(f, "c", 1, 0), 0);
		ck_assert_int_eq(io_sync(f), 0);
		io_close(f);
		cut();
		ck_assert_uint_eq(slurp("f", buf, sizeof(buf)), sizeof(buf));
		ck_assert_int_eq(buf[0], 'c');
		lost += memchr(buf, 'a', sizeof(buf)) != NULL;
		kept += memchr(buf + 32768, 'b', 32768) != NULL;
		io_free(io);
	}
	ck_assert_int_eq(lost, SEEDS); /* 96 sectors with a chance of one half each */
	ck_assert_int_eq(kept, SEEDS);
}
END_TEST

static uint64_t free_bytes(void)
{
	struct io_space space;

	ck_assert_int_eq(io_space(io, &space), 0);
	return space.free_bytes;
}

START_TEST(test_sim_space)
{
	const uint64_t total = 64 * 4096;
	struct io_file *f, *g;
	static char buf[32 * 4096];

	io = sim_new(1, total);
	ck_assert_uint_eq(free_bytes(), total);
	f = must_open("f", IO_CREATE);
	g = must_open("g", IO_CREATE);
	ck_assert_int_eq(io_truncate(f, 1 << 30), 0); /* sparse */
	ck_assert_uint_eq(free_bytes(), total);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 4095), 0);
	ck_assert_int_eq(io_pwrite(f, "xx", 2, 4095), 0);
	ck_assert_uint_eq(free_bytes(), total - 2 * 4096);
	ck_assert_int_eq(io_allocate(g, 0, sizeof(buf)), 0);
	ck_assert_uint_eq(free_bytes(), total - 34 * 4096);
	ck_assert_int_eq(io_allocate(g, 0, 63 * 4096), -ENOSPC);
	ck_assert_uint_eq(free_bytes(), total - 34 * 4096);
	ck_assert_int_eq(io_pwrite(f, buf, sizeof(buf), 2 * 4096), -ENOSPC);
	ck_assert_int_eq(io_pwrite(f, buf, 30 * 4096, 2 * 4096), 0);
	ck_assert_uint_eq(free_bytes(), 0);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 1 << 20), -ENOSPC);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), 0); /* it has that block */
	ck_assert_int_eq(io_pwrite(g, buf, sizeof(buf), 0), 0); /* reserved */
	ck_assert_int_eq(io_sync(g), 0);

	ck_assert_int_eq(io_punch(f, 100, 2 * 4096), 0); /* one whole block */
	ck_assert_uint_eq(free_bytes(), 4096);
	ck_assert_int_eq(io_truncate(f, 4097), 0);
	ck_assert_uint_eq(free_bytes(), 31 * 4096);
	ck_assert_int_eq(io_unlink(io, "g"), 0);
	ck_assert_uint_eq(free_bytes(), 31 * 4096);
	io_close(g);
	ck_assert_uint_eq(free_bytes(), 63 * 4096);
	put("h", "h", false);
	ck_assert_int_eq(io_rename(io, "h", "f", 0), 0);
	ck_assert_uint_eq(free_bytes(), 62 * 4096); /* f is open still */
	io_close(f);
	ck_assert_uint_eq(free_bytes(), 63 * 4096);

	sim_set_total(io, 4096);
	ck_assert_uint_eq(free_bytes(), 0);
	ck_assert_int_eq(io_sync_dir(io, "."), 0);
	f = must_open("f", 0);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 4096), -ENOSPC);
	sim_set_total(io, 8192);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 4096), 0);
	ck_assert_int_eq(io_sync(f), 0);
	io_close(f);
	cut();
	ck_assert_uint_eq(free_bytes(), 0);
	io_free(io);
}
END_TEST

START_TEST(test_sim_corrupt)
{
	struct io_file *f;
	char c;

	io = sim_new(1, 0);
	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	put("f", "abc", true);
	ck_assert_int_eq(io_sync_dir(io, "."), 0);
	ck_assert_int_eq(sim_corrupt(io, "none", 0), -ENOENT);
	ck_assert_int_eq(sim_corrupt(io, "d", 0), -EISDIR);
	ck_assert_int_eq(sim_corrupt(io, "f", 3), -ERANGE);
	ck_assert_int_eq(sim_corrupt(io, "f", 1), 0);
	for (int i = 0; i < 2; i++) {
		f = must_open("f", IO_RDONLY);
		ck_assert_int_eq(io_pread(f, &c, 1, 1), 1);
		ck_assert_int_eq(__builtin_popcount((unsigned)(c ^ 'b')), 1);
		io_close(f);
		ck_assert_int_eq(first_char("f"), 'a');
		cut();
	}
	sim_cut_now(io);
	ck_assert_int_eq(sim_corrupt(io, "f", 1), 0); /* and back */
	sim_power_on(io);
	f = must_open("f", IO_RDONLY);
	ck_assert_int_eq(io_pread(f, &c, 1, 1), 1);
	ck_assert_int_eq(c, 'b');
	io_close(f);
	io_free(io);
}
END_TEST

START_TEST(test_sim_lock_is_released)
{
	io = sim_new(1, 0);
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), 0);
	sim_unlock(io);
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), 0);
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), -EBUSY);
	cut();
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), 0);
	io_free(io);
}
END_TEST

START_TEST(test_sim_limits)
{
	struct io_file *f;

	io = sim_new(1, 0);
	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	ck_assert_int_eq(io_rename(io, "d", "e", 0), -EOPNOTSUPP);
	f = must_open("f", IO_CREATE);
	ck_assert_int_eq(io_truncate(f, UINT64_C(64) << 30), 0);
	ck_assert_int_eq(io_truncate(f, (UINT64_C(64) << 30) + 1), -EFBIG);
	ck_assert_int_eq(io_pwrite(f, "x", 1, UINT64_C(64) << 30), -EFBIG);
	io_close(f);
	io_free(io);
}
END_TEST

/* Names under churn: nothing is left behind (the leak checker looks), nothing durable is lost. */
START_TEST(test_sim_churn)
{
	char name[32];

	for (uint64_t seed = 0; seed < 20; seed++) {
		io = sim_new(seed, 0);
		ck_assert_int_eq(io_mkdir(io, "d"), 0);
		put("d/keep", "k", true);
		ck_assert_int_eq(io_sync_dir(io, "."), 0);
		ck_assert_int_eq(io_sync_dir(io, "d"), 0);
		for (int i = 0; i < 500; i++) {
			snprintf(name, sizeof(name), "d/%d", i % 7);
			put("tmp", "t", i % 3 == 0);
			ck_assert_int_eq(io_rename(io, "tmp", name, 0), 0);
			if (i % 5 == 0)
				ck_assert_int_eq(io_unlink(io, name), 0);
			if (i % 50 == 49)
				ck_assert_int_eq(io_sync_dir(io, "d"), 0);
			if (i % 80 == 79)
				cut();
		}
		ck_assert_int_eq(first_char("d/keep"), 'k');
		io_free(io);
	}
}
END_TEST

Suite *make_sim_suite(void)
{
	Suite *suite = suite_create("sim");
	TCase *tc = tcase_create("power cut");

	tcase_set_timeout(tc, 120); /* sanitizers, valgrind */
	tcase_add_test(tc, test_sim_synced_stays);
	tcase_add_test(tc, test_sim_unsynced_is_kept_lost_or_torn);
	tcase_add_test(tc, test_sim_later_write_may_survive_alone);
	tcase_add_test(tc, test_sim_appended_size);
	tcase_add_test(tc, test_sim_truncate_and_punch_kept_or_lost);
	tcase_add_test(tc, test_sim_model);
	tcase_add_test(tc, test_sim_created_name);
	tcase_add_test(tc, test_sim_rename_is_atomic);
	tcase_add_test(tc, test_sim_sync_of_either_directory_keeps_rename);
	tcase_add_test(tc, test_sim_unlinked_name);
	tcase_add_test(tc, test_sim_lost_directory_takes_its_files);
	tcase_add_test(tc, test_sim_churn);
	tcase_add_test(tc, test_sim_cut_at);
	tcase_add_test(tc, test_sim_same_seed_same_fate);
	suite_add_tcase(suite, tc);
	tc = tcase_create("faults");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_sim_ignore_sync_lies);
	tcase_add_test(tc, test_sim_faults);
	tcase_add_test(tc, test_sim_failed_write_may_leave_a_part);
	tcase_add_test(tc, test_sim_failed_sync_loses_data_for_good);
	tcase_add_test(tc, test_sim_space);
	tcase_add_test(tc, test_sim_corrupt);
	tcase_add_test(tc, test_sim_lock_is_released);
	tcase_add_test(tc, test_sim_limits);
	suite_add_tcase(suite, tc);
	return suite;
}
