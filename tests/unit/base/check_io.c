/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every implementation of fs/base/io.h must do alike: each case runs on the real file system and on the simulator. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/io.h"
#include "tests/sim/io_sim.h"
#include "tests/unit/base/suites.h"

static char temp_dir[64];
static struct io *io;

static void setup_posix(void)
{
	strcpy(temp_dir, "/tmp/check_io.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(temp_dir));
	ck_assert_int_eq(io_posix_new(temp_dir, &io), 0);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	return remove(path);
}

static void teardown_posix(void)
{
	io_free(io);
	nftw(temp_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void setup_sim(void)
{
	io = sim_new(1, 0);
	ck_assert_ptr_nonnull(io);
}

static void teardown_sim(void)
{
	io_free(io);
}

/* Only on the real file system there is a page cache. */
static void push_out_of_cache(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

static struct io_file *must_open(const char *path, int flags)
{
	struct io_file *f = NULL;

	ck_assert_int_eq(io_open(io, path, flags, &f), 0);
	ck_assert_ptr_nonnull(f);
	return f;
}

static int try_open(const char *path, int flags)
{
	struct io_file *f = NULL;
	int r = io_open(io, path, flags, &f);

	ck_assert((r == 0) == (f != NULL));
	io_close(f);
	return r;
}

static void make_file(const char *path, const char *text)
{
	struct io_file *f = must_open(path, IO_CREATE);

	ck_assert_int_eq(io_truncate(f, 0), 0);
	ck_assert_int_eq(io_pwrite(f, text, strlen(text), 0), 0);
	io_close(f);
}

static void assert_content(const char *path, const char *text)
{
	struct io_file *f = must_open(path, IO_RDONLY);
	char buf[256];
	ssize_t n = io_pread(f, buf, sizeof(buf), 0);

	ck_assert_int_eq(n, (ssize_t)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
	io_close(f);
}

static uint64_t size_of(struct io_file *f)
{
	uint64_t size = 0;

	ck_assert_int_eq(io_size(f, &size), 0);
	return size;
}

START_TEST(test_io_bad_paths)
{
	char longest[IO_PATH_MAX + 2];
	static const char *const bad[] = {"",	 "/",	 "/a",	  "a/",	 "a//b", "..",	"../a",
					  "a/..", "a/../b", "./a", "a/./b", "."};
	struct io_file *f;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(io_open(io, bad[i], IO_CREATE, &f), -EINVAL);
		ck_assert_int_eq(io_mkdir(io, bad[i]), -EINVAL);
		ck_assert_int_eq(io_unlink(io, bad[i]), -EINVAL);
		ck_assert_int_eq(io_rename(io, bad[i], "x", 0), -EINVAL);
		ck_assert_int_eq(io_rename(io, "x", bad[i], 0), -EINVAL);
		ck_assert_int_eq(io_lock(io, bad[i], NULL, 0), -EINVAL);
		if (strcmp(bad[i], ".") != 0)
			ck_assert_int_eq(io_sync_dir(io, bad[i]), -EINVAL);
	}
	memset(longest, 'a', sizeof(longest));
	longest[IO_PATH_MAX + 1] = '\0';
	ck_assert_int_eq(try_open(longest, IO_CREATE), -EINVAL);
	longest[IO_PATH_MAX] = '\0';
	ck_assert_int_eq(try_open(longest, IO_CREATE), 0);
	ck_assert_int_eq(try_open("..a", IO_CREATE), 0);
	ck_assert_int_eq(try_open("a...", IO_CREATE), 0);
}
END_TEST

START_TEST(test_io_bad_arguments)
{
	struct io_file *f = must_open("f", IO_CREATE);
	struct iovec iov[65] = {{0}};
	char c;

	ck_assert_int_eq(try_open("f", 1 << 10), -EINVAL);
	ck_assert_int_eq(try_open("f", IO_EXCL), -EINVAL);
	ck_assert_int_eq(try_open("f", IO_RDONLY | IO_CREATE), -EINVAL);
	ck_assert_int_eq(io_rename(io, "f", "g", 1 << 10), -EINVAL);
	ck_assert_int_eq(io_pread(f, &c, 1, INT64_MAX), -EINVAL);
	ck_assert_int_eq(io_pwrite(f, "x", 1, INT64_MAX), -EINVAL);
	ck_assert_int_eq(io_pwrite(f, "x", 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(io_pwritev(f, iov, 65, 0), -EINVAL);
	ck_assert_int_eq(io_pwritev(f, iov, -1, 0), -EINVAL);
	ck_assert_int_eq(io_punch(f, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(io_allocate(f, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(io_truncate(f, UINT64_MAX), -EINVAL);
	/* Nothing to do is no error. */
	ck_assert_int_eq(io_pwritev(f, iov, 64, 100), 0);
	ck_assert_int_eq(io_punch(f, 1, 0), 0);
	ck_assert_int_eq(io_allocate(f, 1, 0), 0);
	ck_assert_int_eq(io_pread(f, &c, 0, 0), 0);
	ck_assert_uint_eq(size_of(f), 0);
	io_close(f);
	io_close(NULL);
	io_free(NULL);
}
END_TEST

/* Also where the file system caches all the same, and with a buffer that it would have to refuse. */
START_TEST(test_io_uncached)
{
	struct io_file *f = must_open("f", IO_CREATE | IO_UNCACHED);
	char *page = NULL, seen[IO_ALIGN];

	ck_assert_int_eq(posix_memalign((void **)&page, IO_ALIGN, 2 * IO_ALIGN), 0);
	memset(page, 'a', IO_ALIGN + 1);
	ck_assert_int_eq(io_pwrite(f, page, IO_ALIGN, 0), 0);
	ck_assert_int_eq(io_pwrite(f, page + 1, IO_ALIGN, IO_ALIGN), 0);
	ck_assert_int_eq(io_pwrite(f, page, 10, 2 * IO_ALIGN), 0);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_uint_eq(size_of(f), 2 * IO_ALIGN + 10);
	io_close(f);
	f = must_open("f", IO_RDONLY);
	for (unsigned at = 0; at < 2; at++) {
		ck_assert_int_eq(io_pread(f, seen, sizeof(seen), at * IO_ALIGN), IO_ALIGN);
		ck_assert_mem_eq(seen, page, IO_ALIGN);
	}
	io_close(f);
	free(page);
}
END_TEST

START_TEST(test_io_open_errors)
{
	ck_assert_int_eq(try_open("f", 0), -ENOENT);
	ck_assert_int_eq(try_open("d/f", IO_CREATE), -ENOENT);
	ck_assert_int_eq(try_open("f", IO_CREATE | IO_EXCL), 0);
	ck_assert_int_eq(try_open("f", IO_CREATE | IO_EXCL), -EEXIST);
	ck_assert_int_eq(try_open("f", IO_CREATE), 0);
	ck_assert_int_eq(try_open("f", IO_RDONLY), 0);
	ck_assert_int_eq(try_open("f/g", IO_CREATE), -ENOTDIR);
	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	ck_assert_int_eq(io_mkdir(io, "d"), -EEXIST);
	ck_assert_int_eq(io_mkdir(io, "f"), -EEXIST);
	ck_assert_int_eq(io_mkdir(io, "x/y"), -ENOENT);
	ck_assert_int_eq(try_open("d", 0), -EISDIR);
	ck_assert_int_eq(try_open("d", IO_RDONLY), -EISDIR);
	ck_assert_int_eq(try_open("d", IO_CREATE), -EISDIR);
	ck_assert_int_eq(try_open("d", IO_CREATE | IO_EXCL), -EEXIST);
	ck_assert_int_eq(try_open("d/f", IO_CREATE), 0);
	ck_assert_int_eq(io_sync_dir(io, "d"), 0);
	ck_assert_int_eq(io_sync_dir(io, "."), 0);
	ck_assert_int_eq(io_sync_dir(io, "f"), -ENOTDIR);
	ck_assert_int_eq(io_sync_dir(io, "none"), -ENOENT);
}
END_TEST

START_TEST(test_io_read_write)
{
	struct io_file *f = must_open("f", IO_CREATE), *g;
	char buf[16];

	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(io_pwrite(f, "hello", 5, 3), 0);
	ck_assert_uint_eq(size_of(f), 8);
	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 0), 8);
	ck_assert_mem_eq(buf, "\0\0\0hello", 8);
	ck_assert_int_eq(io_pread(f, buf, 2, 4), 2);
	ck_assert_mem_eq(buf, "el", 2);
	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 8), 0);
	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 1000000), 0);
	g = must_open("f", IO_RDONLY);
	ck_assert_int_eq(io_pwrite(f, "J", 1, 3), 0);
	ck_assert_int_eq(io_pread(g, buf, 5, 3), 5);
	ck_assert_mem_eq(buf, "Jello", 5);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_int_eq(io_sync(g), 0);
	io_close(g);
	io_close(f);
}
END_TEST

/* What a stream reads is what was written, synced or not; and the last bytes of a file, though not a multiple of anything. */
START_TEST(test_io_read_stream)
{
	static uint8_t out[10 * IO_ALIGN + 77];
	struct io_file *f = must_open("f", IO_CREATE);
	uint8_t *in;

	ck_assert_int_eq(posix_memalign((void **)&in, IO_ALIGN, 12 * IO_ALIGN), 0);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	ck_assert_int_eq(io_pwrite(f, out, sizeof(out), 0), 0);
	for (int synced = 0; synced < 2; synced++) {
		memset(in, 0, 12 * IO_ALIGN);
		ck_assert_int_eq(io_pread_stream(f, in, 12 * IO_ALIGN, 0), (ssize_t)sizeof(out));
		ck_assert_mem_eq(in, out, sizeof(out));
		ck_assert_int_eq(io_pread_stream(f, in, 2 * IO_ALIGN, 3 * IO_ALIGN), 2 * IO_ALIGN);
		ck_assert_mem_eq(in, out + 3 * IO_ALIGN, 2 * IO_ALIGN);
		ck_assert_int_eq(io_pread_stream(f, in, 2 * IO_ALIGN, 9 * IO_ALIGN), IO_ALIGN + 77);
		ck_assert_mem_eq(in, out + 9 * IO_ALIGN, IO_ALIGN + 77);
		ck_assert_int_eq(io_pread_stream(f, in, IO_ALIGN, 11 * IO_ALIGN), 0);
		ck_assert_int_eq(io_sync(f), 0);
		push_out_of_cache("f");
	}
	ck_assert_int_eq(io_pread_stream(f, in + 1, IO_ALIGN, 0), -EINVAL);
	ck_assert_int_eq(io_pread_stream(f, in, IO_ALIGN - 1, 0), -EINVAL);
	ck_assert_int_eq(io_pread_stream(f, in, IO_ALIGN, 512), -EINVAL);
	free(in);
	io_close(f);
}
END_TEST

START_TEST(test_io_read_only)
{
	struct io_file *f;

	make_file("f", "x");
	f = must_open("f", IO_RDONLY);
	ck_assert_int_eq(io_pwrite(f, "x", 1, 0), -EBADF);
	ck_assert_int_eq(io_truncate(f, 0), -EBADF);
	ck_assert_int_eq(io_punch(f, 0, 1), -EBADF);
	ck_assert_int_eq(io_allocate(f, 0, 1), -EBADF);
	ck_assert_uint_eq(size_of(f), 1);
	io_close(f);
}
END_TEST

START_TEST(test_io_pwritev_pieces)
{
	static char whole[64 * 777], got[64 * 777 + 1];
	struct iovec iov[64];
	struct io_file *f = must_open("f", IO_CREATE);

	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (char)(i * 7 + i / 251);
	for (int i = 0; i < 64; i++)
		iov[i] = (struct iovec){whole + i * 777, 777};
	ck_assert_int_eq(io_pwritev(f, iov, 64, 12345), 0);
	ck_assert_uint_eq(size_of(f), 12345 + sizeof(whole));
	ck_assert_int_eq(io_pread(f, got, sizeof(got), 12345), (ssize_t)sizeof(whole));
	ck_assert_mem_eq(got, whole, sizeof(whole));
	/* empty pieces anywhere */
	iov[0] = iov[2] = iov[4] = (struct iovec){NULL, 0};
	iov[1] = (struct iovec){(void *)"ab", 2};
	iov[3] = (struct iovec){(void *)"c", 1};
	ck_assert_int_eq(io_pwritev(f, iov, 5, 12345 + sizeof(whole)), 0);
	ck_assert_int_eq(io_pread(f, got, sizeof(got), 12345 + sizeof(whole)), 3);
	ck_assert_mem_eq(got, "abc", 3);
	io_close(f);
}
END_TEST

START_TEST(test_io_truncate)
{
	struct io_file *f = must_open("f", IO_CREATE);
	char buf[8], zeros[8] = {0};

	ck_assert_int_eq(io_pwrite(f, "abcdefgh", 8, 100000), 0);
	ck_assert_int_eq(io_truncate(f, 100004), 0);
	ck_assert_uint_eq(size_of(f), 100004);
	ck_assert_int_eq(io_pread(f, buf, 8, 100000), 4);
	ck_assert_mem_eq(buf, "abcd", 4);
	ck_assert_int_eq(io_truncate(f, 200000), 0);
	ck_assert_int_eq(io_pread(f, buf, 8, 100000), 8);
	ck_assert_mem_eq(buf, "abcd\0\0\0\0", 8);
	ck_assert_int_eq(io_pread(f, buf, 8, 199992), 8);
	ck_assert_mem_eq(buf, zeros, 8);
	ck_assert_int_eq(io_truncate(f, 0), 0);
	ck_assert_int_eq(io_truncate(f, 100008), 0);
	ck_assert_int_eq(io_pread(f, buf, 8, 100000), 8);
	ck_assert_mem_eq(buf, zeros, 8);
	io_close(f);
}
END_TEST

START_TEST(test_io_punch)
{
	static char buf[40000], expected[40000];
	struct io_file *f = must_open("f", IO_CREATE);

	memset(buf, 'x', sizeof(buf));
	memset(expected, 'x', sizeof(expected));
	ck_assert_int_eq(io_pwrite(f, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(io_punch(f, 1000, 30000), 0);
	memset(expected + 1000, 0, 30000);
	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
	ck_assert_mem_eq(buf, expected, sizeof(buf));
	/* over the end and behind it: the size stays */
	ck_assert_int_eq(io_punch(f, 39999, 5000), 0);
	ck_assert_int_eq(io_punch(f, 1 << 20, 4096), 0);
	expected[39999] = 0;
	ck_assert_uint_eq(size_of(f), sizeof(buf));
	ck_assert_int_eq(io_pread(f, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
	ck_assert_mem_eq(buf, expected, sizeof(buf));
	io_close(f);
}
END_TEST

START_TEST(test_io_allocate_keeps_size_and_content)
{
	struct io_file *f = must_open("f", IO_CREATE);
	char buf[4];

	ck_assert_int_eq(io_pwrite(f, "abc", 3, 0), 0);
	ck_assert_int_eq(io_allocate(f, 0, 1 << 20), 0);
	ck_assert_uint_eq(size_of(f), 3);
	ck_assert_int_eq(io_pread(f, buf, 4, 0), 3);
	ck_assert_mem_eq(buf, "abc", 3);
	ck_assert_int_eq(io_pwrite(f, "d", 1, 70000), 0);
	ck_assert_int_eq(io_pread(f, buf, 4, 69998), 3);
	ck_assert_mem_eq(buf, "\0\0d", 3);
	io_close(f);
}
END_TEST

START_TEST(test_io_rename)
{
	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	make_file("a", "A");
	make_file("b", "B");
	ck_assert_int_eq(io_rename(io, "none", "x", 0), -ENOENT);
	ck_assert_int_eq(io_rename(io, "a", "none/x", 0), -ENOENT);
	ck_assert_int_eq(io_rename(io, "a", "b/x", 0), -ENOTDIR);
	ck_assert_int_eq(io_rename(io, "a", "d", 0), -EISDIR);
	ck_assert_int_eq(io_rename(io, "a", "b", IO_NOREPLACE), -EEXIST);
	ck_assert_int_eq(io_rename(io, "a", "d", IO_NOREPLACE), -EEXIST);
	assert_content("a", "A");
	assert_content("b", "B");
	ck_assert_int_eq(io_rename(io, "a", "a", 0), 0);
	ck_assert_int_eq(io_rename(io, "a", "b", 0), 0);
	ck_assert_int_eq(try_open("a", 0), -ENOENT);
	assert_content("b", "A");
	ck_assert_int_eq(io_rename(io, "b", "d/c", IO_NOREPLACE), 0);
	ck_assert_int_eq(try_open("b", 0), -ENOENT);
	assert_content("d/c", "A");
}
END_TEST

START_TEST(test_io_unlink)
{
	struct io_file *f;
	char c = 0;

	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	make_file("f", "old");
	f = must_open("f", 0);
	ck_assert_int_eq(io_unlink(io, "d"), -EISDIR);
	ck_assert_int_eq(io_unlink(io, "none"), -ENOENT);
	ck_assert_int_eq(io_unlink(io, "f"), 0);
	ck_assert_int_eq(io_unlink(io, "f"), -ENOENT);
	ck_assert_int_eq(try_open("f", 0), -ENOENT);
	/* open files live on, and a new one of the name is another */
	make_file("f", "new");
	ck_assert_int_eq(io_pread(f, &c, 1, 0), 1);
	ck_assert_int_eq(c, 'o');
	ck_assert_int_eq(io_pwrite(f, "O", 1, 0), 0);
	ck_assert_int_eq(io_sync(f), 0);
	io_close(f);
	assert_content("f", "new");
}
END_TEST

struct seen {
	int n, stop_at;
	bool a, b;
};

static int see(void *arg, const char *name)
{
	struct seen *seen = arg;

	/* The callback may use the io. */
	ck_assert_int_eq(io_sync_dir(io, "d"), 0);
	seen->a |= strcmp(name, "a") == 0;
	seen->b |= strcmp(name, "b") == 0;
	return ++seen->n == seen->stop_at ? 42 : 0;
}

START_TEST(test_io_list)
{
	struct seen seen = {0};

	ck_assert_int_eq(io_mkdir(io, "d"), 0);
	ck_assert_int_eq(io_list(io, "d", see, &seen), 0);
	ck_assert_int_eq(seen.n, 0);
	make_file("d/a", "");
	ck_assert_int_eq(io_mkdir(io, "d/b"), 0);
	make_file("d/gone", "");
	ck_assert_int_eq(io_unlink(io, "d/gone"), 0);
	ck_assert_int_eq(io_list(io, "d", see, &seen), 0);
	ck_assert_int_eq(seen.n, 2);
	ck_assert(seen.a && seen.b);
	seen = (struct seen){.stop_at = 1};
	ck_assert_int_eq(io_list(io, "d", see, &seen), 42);
	ck_assert_int_eq(seen.n, 1);
	seen = (struct seen){0};
	ck_assert_int_eq(io_list(io, ".", see, &seen), 0);
	ck_assert_int_eq(seen.n, 1);
	ck_assert_int_eq(io_list(io, "d/a", see, &seen), -ENOTDIR);
	ck_assert_int_eq(io_list(io, "none", see, &seen), -ENOENT);
}
END_TEST

START_TEST(test_io_space)
{
	struct io_space space = {0};

	ck_assert_int_eq(io_space(io, &space), 0);
	ck_assert_uint_gt(space.total_bytes, 0);
	ck_assert_uint_le(space.free_bytes, space.total_bytes);
}
END_TEST

START_TEST(test_io_lock_twice)
{
	char holder[300] = "untouched", text[300], *end;
	struct io_file *f;
	ssize_t n;

	ck_assert_int_eq(io_lock(io, "lock", holder, sizeof(holder)), 0);
	ck_assert_str_eq(holder, "untouched");
	ck_assert_int_eq(io_lock(io, "lock", holder, sizeof(holder)), -EBUSY);
	ck_assert_int_gt(strtol(holder, &end, 10), 0);
	ck_assert_int_eq(*end, ' ');
	f = must_open("lock", IO_RDONLY);
	n = io_pread(f, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 1);
	text[n] = '\0';
	ck_assert_int_eq(text[n - 1], '\n');
	text[n - 1] = '\0';
	ck_assert_str_eq(holder, text);
	io_close(f);
	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), -EBUSY);
	ck_assert_int_eq(io_lock(io, "lock", holder, 3), -EBUSY);
	ck_assert_uint_eq(strlen(holder), 2);
	ck_assert_int_eq(io_lock(io, "other", NULL, 0), 0);
}
END_TEST

struct stripe {
	struct io_file *f;
	uint64_t nr;
};

static void *write_stripe(void *arg)
{
	struct io_file *f = ((struct stripe *)arg)->f;
	uint64_t stripe = ((struct stripe *)arg)->nr;
	char buf[100], got[100];

	memset(buf, (int)('a' + stripe), sizeof(buf));
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t off = (i * 4 + stripe) * sizeof(buf);

		if (io_pwrite(f, buf, sizeof(buf), off) != 0 || (i % 50 == 0 && io_sync(f) != 0) ||
		    io_pread(f, got, sizeof(got), off) != sizeof(got) || memcmp(buf, got, sizeof(buf)) != 0)
			return (void *)"failed";
	}
	return NULL;
}

START_TEST(test_io_threads_on_one_file)
{
	struct io_file *f = must_open("f", IO_CREATE);
	struct stripe arg[4] = {{f, 0}, {f, 1}, {f, 2}, {f, 3}};
	pthread_t thread[4];
	void *result;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, write_stripe, &arg[i]), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(thread[i], &result), 0);
		ck_assert_ptr_null(result);
	}
	ck_assert_uint_eq(size_of(f), 4 * 200 * 100);
	io_close(f);
}
END_TEST

/* ---- the real one only ------------------------------------------------------------------------------------------- */

START_TEST(test_posix_new_errors)
{
	struct io *other;
	char path[128];

	ck_assert_int_eq(io_posix_new("/nonexistent/dir", &other), -ENOENT);
	make_file("f", "");
	snprintf(path, sizeof(path), "%s/f", temp_dir);
	ck_assert_int_eq(io_posix_new(path, &other), -ENOTDIR);
}
END_TEST

START_TEST(test_posix_lock_is_released_by_free)
{
	struct io *other;
	char holder[300], expected[300], host[256];

	ck_assert_int_eq(io_lock(io, "lock", NULL, 0), 0);
	ck_assert_int_eq(io_posix_new(temp_dir, &other), 0);
	ck_assert_int_eq(io_lock(other, "lock", holder, sizeof(holder)), -EBUSY);
	ck_assert_int_eq(gethostname(host, sizeof(host)), 0);
	snprintf(expected, sizeof(expected), "%ld %s", (long)getpid(), host);
	ck_assert_str_eq(holder, expected);
	io_free(io);
	io = other;
	ck_assert_int_eq(io_lock(other, "lock", NULL, 0), 0);
}
END_TEST

START_TEST(test_posix_refuses_odd_files)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/link", temp_dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(try_open("link", IO_RDONLY), -ELOOP);
	snprintf(path, sizeof(path), "%s/fifo", temp_dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(try_open("fifo", IO_RDONLY), -EINVAL);
}
END_TEST

START_TEST(test_posix_files_are_private)
{
	char path[128];
	struct stat st;

	make_file("f", "");
	snprintf(path, sizeof(path), "%s/f", temp_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 077, 0);
}
END_TEST

static void add_common(Suite *suite, const char *name, void (*setup)(void), void (*teardown)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_io_bad_paths);
	tcase_add_test(tc, test_io_bad_arguments);
	tcase_add_test(tc, test_io_uncached);
	tcase_add_test(tc, test_io_open_errors);
	tcase_add_test(tc, test_io_read_write);
	tcase_add_test(tc, test_io_read_stream);
	tcase_add_test(tc, test_io_read_only);
	tcase_add_test(tc, test_io_pwritev_pieces);
	tcase_add_test(tc, test_io_truncate);
	tcase_add_test(tc, test_io_punch);
	tcase_add_test(tc, test_io_allocate_keeps_size_and_content);
	tcase_add_test(tc, test_io_rename);
	tcase_add_test(tc, test_io_unlink);
	tcase_add_test(tc, test_io_list);
	tcase_add_test(tc, test_io_space);
	tcase_add_test(tc, test_io_lock_twice);
	tcase_add_test(tc, test_io_threads_on_one_file);
	suite_add_tcase(suite, tc);
}

Suite *make_io_suite(void)
{
	Suite *suite = suite_create("io");
	TCase *tc = tcase_create("posix only");

	add_common(suite, "posix", setup_posix, teardown_posix);
	add_common(suite, "sim", setup_sim, teardown_sim);
	tcase_add_checked_fixture(tc, setup_posix, teardown_posix);
	tcase_add_test(tc, test_posix_new_errors);
	tcase_add_test(tc, test_posix_lock_is_released_by_free);
	tcase_add_test(tc, test_posix_refuses_odd_files);
	tcase_add_test(tc, test_posix_files_are_private);
	suite_add_tcase(suite, tc);
	return suite;
}
