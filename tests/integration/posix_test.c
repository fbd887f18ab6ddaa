/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posix_test DIR: what everyday programs rely on and pjdfstest does not look at.  Run on a kagefs mount, and on any other
 * file system to check the test itself.  Prints the name of each case; stops at the first failure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *current;

#define CHECK(cond)                                                                                       \
	do {                                                                                              \
		if (!(cond)) {                                                                            \
			fprintf(stderr, "FAILED: %s: line %d: %s (errno %d: %s)\n", current, __LINE__, #cond, errno, \
				strerror(errno));                                                         \
			exit(1);                                                                          \
		}                                                                                         \
	} while (0)
#define CHECK_ERR(expr, e)                                                                                \
	do {                                                                                              \
		errno = 0;                                                                                \
		long long r_ = (long long)(expr);                                                         \
		if (r_ != -1 || errno != (e)) {                                                           \
			fprintf(stderr, "FAILED: %s: line %d: %s gave %lld, errno %d, wanted %s\n", current, __LINE__, #expr, r_, \
				errno, strerror(e));                                                      \
			exit(1);                                                                          \
		}                                                                                         \
	} while (0)

static int make(const char *name, int flags)
{
	int fd = open(name, flags | O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_size;
}

static bool all(const unsigned char *p, size_t n, unsigned char v)
{
	while (n--)
		if (*p++ != v)
			return false;
	return true;
}

static void fill(int fd, unsigned char v, size_t n, off_t off)
{
	unsigned char *b = malloc(n);

	CHECK(b);
	memset(b, v, n);
	CHECK(pwrite(fd, b, n, off) == (ssize_t)n);
	free(b);
}

static void is(int fd, unsigned char v, size_t n, off_t off)
{
	unsigned char *b = malloc(n);

	CHECK(b);
	CHECK(pread(fd, b, n, off) == (ssize_t)n);
	CHECK(all(b, n, v));
	free(b);
}

#define K 1024
#define M (1024 * K)

static void t_truncate(void)
{
	int fd = make("trunc", 0);

	fill(fd, 'a', 300 * K, 0);
	CHECK(ftruncate(fd, 100 * K + 7) == 0);
	CHECK(ftruncate(fd, 300 * K) == 0);
	is(fd, 'a', 100 * K + 7, 0);
	is(fd, 0, 200 * K - 7, 100 * K + 7);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK(truncate("trunc", 0) == 0);
	CHECK(size_of(fd) == 0);
	close(fd);
}

static void t_fallocate(void)
{
	int fd = make("falloc", 0);
	struct stat st;

	CHECK(fallocate(fd, 0, 0, 1 * M) == 0);
	CHECK(size_of(fd) == 1 * M);
	is(fd, 0, 1 * M, 0);
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * M) == 0);
	CHECK(size_of(fd) == 1 * M);
	fill(fd, 'x', 1 * M, 0);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100 * K + 1, 200 * K) == 0);
	CHECK(size_of(fd) == 1 * M);
	is(fd, 'x', 100 * K + 1, 0);
	is(fd, 0, 200 * K, 100 * K + 1);
	is(fd, 'x', 1 * M - 300 * K - 1, 300 * K + 1);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 500 * K, 10 * K) == 0);
	is(fd, 0, 10 * K, 500 * K);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 1 * M - 5, 105) == 0);
	CHECK(size_of(fd) == 1 * M + 100);
	is(fd, 0, 105, 1 * M - 5);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 2 * M, 100) == 0);
	CHECK(size_of(fd) == 1 * M + 100);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK(posix_fallocate(fd, 0, 3 * M) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 3 * M);
	close(fd);
}

static void t_seek_hole(void)
{
	int fd = make("holes", 0);

	fill(fd, 'd', 64 * K, 1 * M);
	fill(fd, 'd', 64 * K, 4 * M);
	CHECK(ftruncate(fd, 8 * M) == 0);
	CHECK(lseek(fd, 0, SEEK_DATA) <= 1 * M);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 0);
	off_t d = lseek(fd, 2 * M, SEEK_DATA);

	CHECK(d > 2 * M && d <= 4 * M);
	off_t h = lseek(fd, 4 * M, SEEK_HOLE);

	CHECK(h >= 4 * M + 64 * K && h <= 8 * M);
	CHECK_ERR(lseek(fd, 5 * M, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, 8 * M, SEEK_HOLE), ENXIO);
	CHECK_ERR(lseek(fd, 8 * M, SEEK_DATA), ENXIO);
	CHECK(lseek(fd, 7 * M, SEEK_HOLE) == 7 * M);
	close(fd);
}

static void t_copy_range(void)
{
	int a = make("copy-a", 0), b = make("copy-b", 0);
	off_t in, out;
	size_t left;

	for (int i = 0; i < 32; i++)
		fill(a, (unsigned char)('A' + i), 128 * K, (off_t)i * 128 * K);
	CHECK(ftruncate(a, 4 * M + 13) == 0);
	for (in = out = 0, left = 4 * M + 13; left > 0;) {
		ssize_t n = copy_file_range(a, &in, b, &out, left, 0);

		CHECK(n > 0);
		left -= (size_t)n;
	}
	CHECK(size_of(b) == 4 * M + 13);
	for (int i = 0; i < 32; i++)
		is(b, (unsigned char)('A' + i), 128 * K, (off_t)i * 128 * K);
	CHECK(copy_file_range(a, &in, b, &out, 100, 0) == 0); /* at the end */
	/* ragged: not on block borders */
	in = 100001;
	out = 777;
	CHECK(copy_file_range(a, &in, b, &out, 200000, 0) == 200000);
	unsigned char x[200000], y[200000];

	CHECK(pread(a, x, sizeof(x), 100001) == sizeof(x));
	CHECK(pread(b, y, sizeof(y), 777) == sizeof(y));
	CHECK(memcmp(x, y, sizeof(x)) == 0);
	is(b, 'A', 777, 0);
	/* within one file */
	in = 0;
	out = 2 * M;
	CHECK(copy_file_range(a, &in, a, &out, 128 * K, 0) == 128 * K);
	is(a, 'A', 128 * K, 2 * M);
	in = 0;
	out = 10;
	CHECK_ERR(copy_file_range(a, &in, a, &out, 1000, 0), EINVAL);
	/* behind what is cached: the copy must be seen through an existing mapping's pages */
	fill(b, 'q', 4096, 3 * M);
	is(b, 'q', 4096, 3 * M);
	in = 0;
	out = 3 * M;
	CHECK(copy_file_range(a, &in, b, &out, 4096, 0) == 4096);
	is(b, 'A', 4096, 3 * M);
	close(a);
	close(b);
}

static void t_mmap(const char *name, size_t size, int flags)
{
	int fd = make(name, 0), ro;
	unsigned char *m, *p;

	fill(fd, 'o', size, 0);
	close(fd);
	fd = open(name, O_RDWR | flags);
	CHECK(fd >= 0);
	m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK(all(m, size, 'o'));
	m[10] = 'm';
	m[size - 1] = 'z';
	CHECK(msync(m, size, MS_SYNC) == 0);
	ro = open(name, O_RDONLY);
	CHECK(ro >= 0);
	unsigned char c;

	CHECK(pread(ro, &c, 1, 10) == 1 && c == 'm');
	CHECK(pread(ro, &c, 1, (off_t)size - 1) == 1 && c == 'z');
	CHECK(pwrite(fd, "W", 1, 20) == 1);
	CHECK(m[20] == 'W');
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);
	CHECK(p != MAP_FAILED);
	CHECK(p[10] == 'm' && p[20] == 'W');
	p[10] = 'P';
	CHECK(pread(ro, &c, 1, 10) == 1 && c == 'm');
	CHECK(m[10] == 'm');
	CHECK(munmap(p, size) == 0);
	m[30] = 'U'; /* dirty when unmapped and closed */
	CHECK(munmap(m, size) == 0);
	close(fd);
	CHECK(fsync(ro) == 0);
	close(ro);
	ro = open(name, O_RDONLY);
	CHECK(pread(ro, &c, 1, 30) == 1 && c == 'U');
	close(ro);
}

static void t_mmap_small(void)
{
	t_mmap("mmap-small", 3 * 4096 + 100, 0);
}
static void t_mmap_large(void)
{
	t_mmap("mmap-large", 20 * M, 0);
}
static void t_mmap_sync(void)
{
	t_mmap("mmap-sync", 64 * K, O_SYNC);
}

static void t_direct(void)
{
	int fd = make("direct", 0), d, e;
	unsigned char *buf = aligned_alloc(4096, 64 * K);

	CHECK(buf);
	fill(fd, 'n', 1 * M, 0);
	d = open("direct", O_RDWR | O_DIRECT);
	CHECK(d >= 0);
	memset(buf, 'D', 64 * K);
	CHECK(pwrite(d, buf, 64 * K, 128 * K) == 64 * K);
	is(fd, 'D', 64 * K, 128 * K); /* through the cached handle */
	fill(fd, 'c', 4096, 0);
	CHECK(pread(d, buf, 4096, 0) == 4096 && all(buf, 4096, 'c'));
	CHECK(pread(d, buf, 4096, 1 * M) == 0);
	close(fd);
	close(d);
	/* first direct, then cached: one truth */
	d = open("direct", O_RDWR | O_DIRECT | O_DSYNC);
	e = open("direct", O_RDWR);
	CHECK(d >= 0 && e >= 0);
	memset(buf, 'E', 4096);
	CHECK(pwrite(d, buf, 4096, 4096) == 4096);
	is(e, 'E', 4096, 4096);
	fill(e, 'F', 4096, 4096);
	CHECK(pread(d, buf, 4096, 4096) == 4096 && all(buf, 4096, 'F'));
	close(d);
	is(e, 'F', 4096, 4096);
	close(e);
	e = open("direct", O_RDONLY);
	is(e, 'F', 4096, 4096);
	close(e);
	free(buf);
}

static void t_append(void)
{
	enum { WRITERS = 4, LINES = 200, LEN = 64 };
	int fd = make("append", 0);
	char line[LEN];
	int seen[WRITERS] = {0};

	close(fd);
	for (int w = 0; w < WRITERS; w++)
		if (fork() == 0) {
			fd = open("append", O_WRONLY | O_APPEND | (w == 0 ? O_SYNC : 0));
			for (int i = 0; i < LINES; i++) {
				memset(line, 'a' + w, LEN);
				line[LEN - 1] = '\n';
				if (write(fd, line, LEN) != LEN)
					_exit(1);
			}
			_exit(0);
		}
	for (int w = 0, st; w < WRITERS; w++)
		CHECK(wait(&st) > 0 && st == 0);
	fd = open("append", O_RDONLY);
	CHECK(size_of(fd) == WRITERS * LINES * LEN);
	for (int i = 0; i < WRITERS * LINES; i++) {
		CHECK(read(fd, line, LEN) == LEN);
		CHECK(all((unsigned char *)line, LEN - 1, (unsigned char)line[0]) && line[LEN - 1] == '\n');
		seen[line[0] - 'a']++;
	}
	for (int w = 0; w < WRITERS; w++)
		CHECK(seen[w] == LINES);
	close(fd);
	/* pwrite on an O_APPEND handle appends, as Linux does */
	fd = open("append", O_RDWR | O_APPEND);
	CHECK(pwrite(fd, "tail", 4, 0) == 4);
	CHECK(size_of(fd) == WRITERS * LINES * LEN + 4);
	CHECK(pread(fd, line, 4, WRITERS * LINES * LEN) == 4 && memcmp(line, "tail", 4) == 0);
	close(fd);
}

static void t_sync(void)
{
	int fd = make("sync", O_SYNC), dir = open(".", O_RDONLY | O_DIRECTORY);
	struct iovec v[3] = {{"one", 3}, {"two", 3}, {"three", 5}};

	CHECK(writev(fd, v, 3) == 11);
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK(fsync(dir) == 0 && fdatasync(dir) == 0);
	close(fd);
	fd = open("sync", O_WRONLY | O_DSYNC);
	CHECK(pwrite(fd, "TWO", 3, 3) == 3);
	CHECK(sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE) == 0);
	CHECK(syncfs(fd) == 0);
	close(fd);
	fd = open("sync", O_RDONLY);
	char b[12] = "";

	CHECK(read(fd, b, 11) == 11 && strcmp(b, "oneTWOthree") == 0);
	CHECK(fsync(fd) == 0);
	close(fd);
	close(dir);
}

static void put(const char *name, const char *text)
{
	int fd = make(name, 0);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void holds(const char *name, const char *text)
{
	char b[64] = "";
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, b, sizeof(b) - 1) == (ssize_t)strlen(text));
	CHECK(strcmp(b, text) == 0);
	close(fd);
}

static void t_rename(void)
{
	put("r1", "one");
	put("r2", "two");
	CHECK_ERR(renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_NOREPLACE), EEXIST);
	holds("r2", "two");
	CHECK(renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_EXCHANGE) == 0);
	holds("r1", "two");
	holds("r2", "one");
	CHECK(mkdir("rd", 0755) == 0);
	CHECK(renameat2(AT_FDCWD, "r1", AT_FDCWD, "rd", RENAME_EXCHANGE) == 0);
	holds("rd", "two");
	CHECK(rmdir("r1") == 0);
	CHECK(renameat2(AT_FDCWD, "rd", AT_FDCWD, "r3", RENAME_NOREPLACE) == 0);
	CHECK_ERR(renameat2(AT_FDCWD, "none", AT_FDCWD, "r3", RENAME_EXCHANGE), ENOENT);
	CHECK_ERR(renameat2(AT_FDCWD, "r3", AT_FDCWD, "r4", RENAME_WHITEOUT), EINVAL);
	CHECK_ERR(renameat2(AT_FDCWD, "r3", AT_FDCWD, "r2", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	/* over an open file: the old one lives on */
	int fd = open("r2", O_RDONLY);
	char b[4] = "";

	CHECK(rename("r3", "r2") == 0);
	holds("r2", "two");
	CHECK(read(fd, b, 3) == 3 && strcmp(b, "one") == 0);
	close(fd);
	CHECK(mkdir("rp", 0755) == 0 && mkdir("rp/q", 0755) == 0);
	CHECK_ERR(rename("rp", "rp/q/x"), EINVAL);
	CHECK_ERR(renameat2(AT_FDCWD, "rp", AT_FDCWD, "rp/q", RENAME_EXCHANGE), EINVAL);
	/* one inode under two names: nothing happens */
	CHECK(link("r2", "r2b") == 0);
	CHECK(rename("r2", "r2b") == 0);
	holds("r2", "two");
	holds("r2b", "two");
}

static void t_names(void)
{
	char name[258];
	struct stat st;

	memset(name, 'n', 256);
	name[255] = '\0';
	put(name, "long");
	holds(name, "long");
	name[255] = 'n';
	name[256] = '\0';
	CHECK_ERR(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	CHECK_ERR(stat(name, &st), ENAMETOOLONG);
	CHECK_ERR(mkdir(name, 0755), ENAMETOOLONG);
	/* every byte but NUL and '/' */
	CHECK(mkdir("bytes", 0755) == 0);
	int n = 0;

	for (int c = 1; c < 256; c++) {
		char one[16];

		if (c == '/')
			continue;
		snprintf(one, sizeof(one), "bytes/x%c", c);
		put(one, "b");
		n++;
	}
	DIR *d = opendir("bytes");
	struct dirent *e;
	bool seen[256] = {false};

	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] == 'x') {
			CHECK(strlen(e->d_name) == 2 && !seen[(unsigned char)e->d_name[1]]);
			seen[(unsigned char)e->d_name[1]] = true;
			n--;
		}
	closedir(d);
	CHECK(n == 0);
	char target[4096];

	memset(target, 't', 4095);
	target[4095] = '\0';
	CHECK(symlink(target, "sym") == 0);
	char back[4200];

	CHECK(readlink("sym", back, sizeof(back)) == 4095 && memcmp(back, target, 4095) == 0);
}

static void t_huge(void)
{
	int fd = make("huge", 0);
	const off_t far = 30LL << 40;
	struct stat st;

	CHECK(pwrite(fd, "far", 3, far) == 3);
	CHECK(pwrite(fd, "mid", 3, 5LL << 40) == 3);
	CHECK(fstat(fd, &st) == 0 && st.st_size == far + 3);
	CHECK(st.st_blocks < 4096);
	char b[4] = "";

	CHECK(pread(fd, b, 3, far) == 3 && strcmp(b, "far") == 0);
	is(fd, 0, 64 * K, 7LL << 40);
	off_t d = lseek(fd, 6LL << 40, SEEK_DATA);

	CHECK(d > (6LL << 40) && d <= far);
	CHECK(ftruncate(fd, 4LL << 40) == 0);
	CHECK_ERR(lseek(fd, 0, SEEK_DATA), ENXIO);
	close(fd);
	CHECK(unlink("huge") == 0);
}

static void t_tmpfile(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	char path[64];
	struct stat st;

	if (fd < 0 && errno == EOPNOTSUPP) {
		printf("  (no O_TMPFILE on this kernel)\n");
		return;
	}
	CHECK(fd >= 0);
	CHECK(write(fd, "tmp", 3) == 3);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "from-tmpfile", AT_SYMLINK_FOLLOW) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 1);
	holds("from-tmpfile", "tmp");
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK(write(fd, "gone", 4) == 4);
	close(fd);
}

static void t_unlinked(void)
{
	int fd = make("unlinked", 0);
	struct stat st;

	fill(fd, 'u', 100 * K, 0);
	CHECK(unlink("unlinked") == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	is(fd, 'u', 100 * K, 0);
	fill(fd, 'v', 100 * K, 100 * K);
	CHECK(ftruncate(fd, 150 * K) == 0);
	is(fd, 'v', 50 * K, 100 * K);
	CHECK(fchmod(fd, 0600) == 0);
	CHECK(fsetxattr(fd, "user.a", "b", 1, 0) == 0);
	CHECK(fsync(fd) == 0);
	close(fd);
	CHECK_ERR(open("unlinked", O_RDONLY), ENOENT);
	/* a directory that is somebody's working directory */
	CHECK(mkdir("wd", 0755) == 0);
	int here = open(".", O_RDONLY | O_DIRECTORY);

	CHECK(chdir("wd") == 0);
	CHECK(rmdir("../wd") == 0);
	CHECK_ERR(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
	CHECK(fchdir(here) == 0);
	close(here);
}

static void t_times(void)
{
	struct timespec ts[2] = {{-86400LL * 365 * 10, 123456789}, {7258118400LL /* year 2200 */, 999999999}};
	struct stat st, later;
	struct statx sx;

	put("times", "x");
	CHECK(utimensat(AT_FDCWD, "times", ts, 0) == 0);
	CHECK(stat("times", &st) == 0);
	CHECK(st.st_atim.tv_sec == ts[0].tv_sec && st.st_atim.tv_nsec == 123456789);
	CHECK(st.st_mtim.tv_sec == ts[1].tv_sec && st.st_mtim.tv_nsec == 999999999);
	CHECK(statx(AT_FDCWD, "times", 0, STATX_BASIC_STATS | STATX_BTIME, &sx) == 0);
	if (sx.stx_mask & STATX_BTIME) {
		CHECK(sx.stx_btime.tv_sec > 1700000000);
		CHECK(sx.stx_mtime.tv_sec == ts[1].tv_sec && sx.stx_size == 1);
	} else {
		printf("  (no birth time on this kernel)\n");
	}
	int fd = open("times", O_WRONLY);

	CHECK(write(fd, "yy", 2) == 2);
	CHECK(fstat(fd, &later) == 0 && later.st_mtim.tv_sec < ts[1].tv_sec && later.st_size == 2);
	CHECK(later.st_ctim.tv_sec > st.st_ctim.tv_sec || later.st_ctim.tv_nsec != st.st_ctim.tv_nsec);
	close(fd);
}

static void t_readdir(void)
{
	enum { N = 20000 };
	static bool seen[N];
	char name[32];
	DIR *d;
	struct dirent *e;
	long at[3] = {0};
	char behind[3][256];
	int n = 0, marks = 0;

	CHECK(mkdir("many", 0755) == 0);
	CHECK(chdir("many") == 0);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%05d", i);
		CHECK(mknod(name, S_IFREG | 0644, 0) == 0);
	}
	/* while it changes: names there all the time come exactly once */
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		int i;

		if (e->d_name[0] != 'f')
			continue;
		i = atoi(e->d_name + 1);
		if (i < N) {
			CHECK(!seen[i]);
			seen[i] = true;
			n++;
		}
		if (n % 7000 == 100 && marks < 3 && i < N) {
			at[marks] = telldir(d);
			e = readdir(d);
			CHECK(e);
			strcpy(behind[marks++], e->d_name);
			seen[atoi(e->d_name + 1)] = true;
			n++;
		}
		if (n % 50 == 0 && i < N) { /* remove what was seen, add elsewhere */
			snprintf(name, sizeof(name), "g%05d", n);
			CHECK(mknod(name, S_IFREG | 0644, 0) == 0);
			snprintf(name, sizeof(name), "f%05d", i);
			CHECK(unlink(name) == 0);
		}
	}
	CHECK(n == N);
	CHECK(marks == 3);
	/* back to places, newest first, without changes in between */
	seekdir(d, at[2]);
	CHECK((e = readdir(d)) && strcmp(e->d_name, behind[2]) == 0);
	/* rewind sees what is new and only what is left */
	rewinddir(d);
	int files = 0, others = 0;

	while ((e = readdir(d))) {
		files += e->d_name[0] == 'f';
		others += e->d_name[0] == 'g';
	}
	CHECK(files + others == N);
	CHECK(others == n / 50 || others > 0);
	closedir(d);
	/* rm -r while listing */
	d = opendir(".");
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			CHECK(unlink(e->d_name) == 0);
	closedir(d);
	CHECK(chdir("..") == 0);
	CHECK(rmdir("many") == 0);
}

static void t_locks(void)
{
	int a = make("locked", 0), b = open("locked", O_RDWR), st;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};

	CHECK(flock(a, LOCK_EX) == 0);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(flock(a, LOCK_UN) == 0);
	CHECK(flock(b, LOCK_EX | LOCK_NB) == 0);
	CHECK(fcntl(a, F_SETLK, &l) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		int c = open("locked", O_RDWR);

		if (fcntl(c, F_SETLK, &l) != -1 || (errno != EAGAIN && errno != EACCES))
			_exit(1);
		l.l_start = 10;
		_exit(fcntl(c, F_SETLK, &l) == 0 ? 0 : 2);
	}
	CHECK(waitpid(pid, &st, 0) == pid && st == 0);
	close(a);
	close(b);
}

static void t_statvfs(void)
{
	struct statvfs v;

	CHECK(statvfs(".", &v) == 0);
	CHECK(v.f_namemax == 255 && v.f_frsize >= 512 && v.f_blocks > 0 && v.f_bfree <= v.f_blocks && v.f_bavail <= v.f_bfree);
}

static void t_xattr(void)
{
	char big[60000], back[65536], list[4096];
	ssize_t n;

	put("xattr", "x");
	memset(big, 'b', sizeof(big));
	CHECK(setxattr("xattr", "user.big", big, sizeof(big), 0) == 0);
	CHECK(getxattr("xattr", "user.big", NULL, 0) == sizeof(big));
	CHECK_ERR(getxattr("xattr", "user.big", back, 100), ERANGE);
	CHECK(getxattr("xattr", "user.big", back, sizeof(back)) == sizeof(big) && memcmp(big, back, sizeof(big)) == 0);
	CHECK_ERR(setxattr("xattr", "user.big", "x", 1, XATTR_CREATE), EEXIST);
	CHECK_ERR(setxattr("xattr", "user.none", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK(setxattr("xattr", "user.empty", "", 0, XATTR_CREATE) == 0);
	CHECK(getxattr("xattr", "user.empty", back, 10) == 0);
	n = listxattr("xattr", list, sizeof(list));
	CHECK(n == sizeof("user.big") + sizeof("user.empty"));
	CHECK(removexattr("xattr", "user.big") == 0);
	CHECK_ERR(removexattr("xattr", "user.big"), ENODATA);
	CHECK_ERR(getxattr("xattr", "user.big", back, 10), ENODATA);
	CHECK_ERR(setxattr("xattr", "nonsense.x", "x", 1, 0), EOPNOTSUPP);
}

static void t_io_edges(void)
{
	int fd = make("edges", 0);
	char b[16];

	CHECK(pread(fd, b, sizeof(b), 0) == 0);
	CHECK(pwrite(fd, "", 0, 100) == 0);
	CHECK(size_of(fd) == 0);
	CHECK(pwrite(fd, "end", 3, 1 * M - 1) == 3); /* across a block border */
	CHECK(pread(fd, b, sizeof(b), 1 * M - 1) == 3 && memcmp(b, "end", 3) == 0);
	is(fd, 0, 1 * M - 1, 0);
	CHECK_ERR(pread(fd, b, 1, -1), EINVAL);
	fill(fd, 'L', 5 * M + 123, 77); /* several requests */
	is(fd, 'L', 5 * M + 123, 77);
	close(fd);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	CHECK_ERR(read(fd, b, 1), EISDIR);
	CHECK_ERR(open("edges/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(open(".", O_WRONLY), EISDIR);
	CHECK_ERR(open("edges", O_RDONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	close(fd);
	for (int i = 0; i < 500; i++) {
		snprintf(b, sizeof(b), "hl%d", i);
		CHECK(link("edges", b) == 0);
	}
	struct stat st;

	CHECK(stat("edges", &st) == 0 && st.st_nlink == 501);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"truncate", t_truncate},	{"fallocate", t_fallocate},   {"seek-hole", t_seek_hole}, {"copy-file-range", t_copy_range},
	{"mmap-small", t_mmap_small},	{"mmap-large", t_mmap_large}, {"mmap-sync", t_mmap_sync}, {"o-direct", t_direct},
	{"o-append", t_append},		{"o-sync", t_sync},	      {"rename", t_rename},	  {"names", t_names},
	{"huge", t_huge},		{"o-tmpfile", t_tmpfile},     {"unlinked", t_unlinked},	  {"times", t_times},
	{"readdir", t_readdir},		{"locks", t_locks},	      {"statvfs", t_statvfs},	  {"xattr", t_xattr},
	{"io-edges", t_io_edges},
};

int main(int argc, char **argv)
{
	int ran = 0;

	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: posix_test DIR [CASE]\n");
		return 2;
	}
	umask(022);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 2 && strcmp(argv[2], cases[i].name) != 0)
			continue;
		current = cases[i].name;
		cases[i].run();
		ran++;
	}
	printf("  posix_test: %d cases\n", ran);
	return ran ? 0 : 2;
}
