/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * twin_test run MOUNTED REFERENCE KAGEFS SEED OPS: the model test through the mount.  The same random system calls on two
 * trees, one in a kagefs volume, one in a file system of the kernel's that is known to be right (tmpfs); both must answer
 * alike, and every so often the trees must be equal: names, types, modes, owners, link counts, sizes, contents, links,
 * extended attributes, and the content of unlinked files that are still open.
 *
 * Snapshots of the volume are taken by the command KAGEFS; their reference is a copy of the reference tree, REFERENCE.NAME.
 * They are written to as well, made read-only, rolled back to and deleted.
 *
 * twin_test compare MOUNTED REFERENCE: only compare, snapshots included (after a remount).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FILE_MAX_BYTES (300u << 10)
#define SNAPSHOTS_MAX 5
#define HELD_MAX 6
#define COMPARE_EVERY 400
#define PATHLEN 4096

extern char **environ;

enum { MOUNTED, REFERENCE, TWINS };
static const char *base[TWINS]; /* the live trees */
static const char *kagefs;
static char snapshot[SNAPSHOTS_MAX][32]; /* names; empty: none */
static bool sealed[SNAPSHOTS_MAX];
static int held[HELD_MAX][TWINS]; /* open files, perhaps without a name; -1: none */
static uint64_t seed;
static unsigned long op_no;
static char doing[PATHLEN * 2 + 200];

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "FAILED at operation %lu (%s): ", op_no, doing);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void __attribute__((format(printf, 1, 2))) now(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(doing, sizeof(doing), fmt, ap);
	va_end(ap);
}

/* What a call answered: a count or 0, or -errno. */
static long said(long r)
{
	return r < 0 ? -errno : r;
}

static void alike(const long r[TWINS])
{
	if (r[MOUNTED] != r[REFERENCE])
		fail("%ld (%s), the reference says %ld (%s)", r[MOUNTED], r[MOUNTED] < 0 ? strerror((int)-r[MOUNTED]) : "",
		     r[REFERENCE], r[REFERENCE] < 0 ? strerror((int)-r[REFERENCE]) : "");
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static void path_join(char out[PATHLEN], const char *dir, const char *name)
{
	if (snprintf(out, PATHLEN, "%s/%s", dir, name) >= PATHLEN)
		fail("path too long: %s/%s", dir, name);
}

static void compare_bytes(int a, int b, const char *what)
{
	static char x[1 << 17], y[1 << 17];
	off_t at = 0;
	ssize_t n, m;

	do {
		n = pread(a, x, sizeof(x), at);
		m = pread(b, y, sizeof(y), at);
		if (n < 0)
			fail("%s: reading at %lld: %s", what, (long long)at, strerror(errno));
		if (n != m)
			fail("%s: at %lld there are %zd bytes, wanted %zd", what, (long long)at, n, m);
		for (ssize_t i = 0; i < n; i++)
			if (x[i] != y[i])
				fail("%s: byte %lld differs", what, (long long)(at + i));
		at += n;
	} while (n > 0);
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names; the caller frees each and the array. */
static char **names_of(const char *dir, size_t *n)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char **v = NULL;
	size_t cap = 0;

	*n = 0;
	if (!d)
		fail("opendir %s: %s", dir, strerror(errno));
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (*n == cap) {
			cap = cap ? cap * 2 : 64;
			v = realloc(v, cap * sizeof(*v));
		}
		v[(*n)++] = strdup(e->d_name);
	}
	closedir(d);
	if (*n)
		qsort(v, *n, sizeof(*v), name_cmp);
	return v;
}

static void names_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

/* Names and values that the test set; others (security.*, ACLs of the mount) are not its business. */
static void compare_xattrs(const char *a, const char *b)
{
	for (unsigned i = 0; i < 4; i++) {
		char name[32], x[4096], y[4096];
		long n, m;

		snprintf(name, sizeof(name), "trusted.t%u", i);
		n = said(lgetxattr(a, name, x, sizeof(x)));
		m = said(lgetxattr(b, name, y, sizeof(y)));
		if (n != m || (n > 0 && memcmp(x, y, (size_t)n)))
			fail("%s: %s differs: %ld, wanted %ld", a, name, n, m);
	}
}

static void compare_file(const char *a, const char *b, const struct stat *s)
{
	char x[PATHLEN], y[PATHLEN];
	ssize_t n, m;
	int fd[TWINS];

	if (S_ISLNK(s->st_mode)) {
		n = readlink(a, x, sizeof(x));
		m = readlink(b, y, sizeof(y));
		if (n != m || n < 0 || memcmp(x, y, (size_t)n))
			fail("%s: the link differs", a);
	}
	if (!S_ISREG(s->st_mode))
		return;
	fd[MOUNTED] = open(a, O_RDONLY);
	fd[REFERENCE] = open(b, O_RDONLY);
	if (fd[MOUNTED] < 0 || fd[REFERENCE] < 0)
		fail("%s: cannot be opened: %s", a, strerror(errno));
	compare_bytes(fd[MOUNTED], fd[REFERENCE], a);
	close(fd[MOUNTED]);
	close(fd[REFERENCE]);
}

static void compare_tree(const char *a, const char *b)
{
	size_t n, m;
	char **x = names_of(a, &n), **y = names_of(b, &m);

	for (size_t i = 0; i < n || i < m; i++) {
		char pa[PATHLEN], pb[PATHLEN];
		struct stat s, t;

		if (i == n || (i < m && strcmp(x[i], y[i]) > 0))
			fail("%s/%s is missing", a, y[i]);
		if (i == m || strcmp(x[i], y[i]) < 0)
			fail("%s/%s must not be there", a, x[i]);
		path_join(pa, a, x[i]);
		path_join(pb, b, y[i]);
		if (lstat(pa, &s) || lstat(pb, &t))
			fail("%s: lstat: %s", pa, strerror(errno));
		if (s.st_mode != t.st_mode || s.st_uid != t.st_uid || s.st_gid != t.st_gid)
			fail("%s: mode %o owner %u:%u, wanted %o %u:%u", pa, s.st_mode, s.st_uid, s.st_gid, t.st_mode, t.st_uid,
			     t.st_gid);
		if (!S_ISDIR(s.st_mode) && (s.st_size != t.st_size || s.st_nlink != t.st_nlink || s.st_rdev != t.st_rdev))
			fail("%s: size %lld links %lu, wanted %lld %lu", pa, (long long)s.st_size, (unsigned long)s.st_nlink,
			     (long long)t.st_size, (unsigned long)t.st_nlink);
		compare_xattrs(pa, pb);
		if (S_ISDIR(s.st_mode))
			compare_tree(pa, pb);
		else
			compare_file(pa, pb, &s);
	}
	names_free(x, n);
	names_free(y, m);
}

/* The trees of snapshot k. */
static void snapshot_paths(unsigned k, char out[TWINS][PATHLEN])
{
	snprintf(out[MOUNTED], PATHLEN, "%s/.snapshots/%s", base[MOUNTED], snapshot[k]);
	snprintf(out[REFERENCE], PATHLEN, "%s.%s", base[REFERENCE], snapshot[k]);
}

static void compare_all(void)
{
	compare_tree(base[MOUNTED], base[REFERENCE]);
	for (unsigned k = 0; k < SNAPSHOTS_MAX; k++) {
		char t[TWINS][PATHLEN];

		if (!snapshot[k][0])
			continue;
		snapshot_paths(k, t);
		compare_tree(t[MOUNTED], t[REFERENCE]);
	}
	for (unsigned i = 0; i < HELD_MAX; i++)
		if (held[i][MOUNTED] >= 0)
			compare_bytes(held[i][MOUNTED], held[i][REFERENCE], "an open file");
}

/* ---- operations (O_NONBLOCK: a path may be a FIFO) ------------------------------------------------------------------------------------------------------- */

/* Two trees to work in: mostly the live ones, sometimes those of a writable snapshot. */
static void choose_trees(char out[TWINS][PATHLEN])
{
	unsigned k = rnd(SNAPSHOTS_MAX * 3);

	if (k < SNAPSHOTS_MAX && snapshot[k][0] && !sealed[k]) {
		snapshot_paths(k, out);
		return;
	}
	for (int t = 0; t < TWINS; t++)
		snprintf(out[t], PATHLEN, "%s", base[t]);
}

/* A path below, up to three deep; it may exist or not, and its directories as well. */
static void choose_path(char rel[100])
{
	unsigned depth = rnd(3);
	int n = 0;

	for (unsigned i = 0; i < depth; i++)
		n += snprintf(rel + n, 100 - (size_t)n, "d%u/", rnd(3));
	snprintf(rel + n, 100 - (size_t)n, rnd(6) ? "f%u" : "d%u", rnd(5));
}

struct place {
	char tree[TWINS][PATHLEN];
	char rel[100], rel2[100];
	char path[TWINS][PATHLEN], path2[TWINS][PATHLEN];
};

static void choose_place(struct place *p)
{
	choose_trees(p->tree);
	choose_path(p->rel);
	choose_path(p->rel2);
	for (int t = 0; t < TWINS; t++) {
		path_join(p->path[t], p->tree[t], p->rel);
		path_join(p->path2[t], p->tree[t], p->rel2);
	}
}

static void fill(char *buf, size_t len)
{
	unsigned kind = rnd(8);

	for (size_t i = 0; i < len; i++)
		buf[i] = kind == 0 ? 0 : kind == 1 ? (char)(i / 4096) : (char)(rnd(256));
}

static void op_write(struct place *p)
{
	static char buf[FILE_MAX_BYTES];
	size_t len = rnd(4) ? 1 + rnd(9000) : 1 + rnd(130000);
	off_t off = rnd(3) ? rnd(FILE_MAX_BYTES - 130000) : (off_t)rnd(32) * 4096;
	int flags = O_RDWR | O_NONBLOCK | (rnd(3) ? O_CREAT : 0) | (rnd(8) ? 0 : O_TRUNC) | (rnd(6) ? 0 : O_SYNC) | (rnd(10) ? 0 : O_APPEND);
	long r[TWINS];

	now("write %s off=%lld len=%zu flags=%o", p->path[MOUNTED], (long long)off, len, flags);
	fill(buf, len);
	for (int t = 0; t < TWINS; t++) {
		int fd = open(p->path[t], flags, 0640);

		r[t] = said(fd);
		if (fd < 0)
			continue;
		r[t] = said(flags & O_APPEND ? write(fd, buf, len) : pwrite(fd, buf, len, off));
		close(fd);
	}
	alike(r);
}

/* Through a shared mapping; msync only half of the time. */
static void op_map(struct place *p)
{
	unsigned at = rnd(1u << 16), len = 1 + rnd(5000), value = rnd(256);
	bool sync = rnd(2);
	long r[TWINS];

	now("map %s at=%u len=%u", p->path[MOUNTED], at, len);
	for (int t = 0; t < TWINS; t++) {
		int fd = open(p->path[t], O_RDWR | O_NONBLOCK);
		struct stat s;
		char *m;

		r[t] = said(fd);
		if (fd < 0)
			continue;
		if (fstat(fd, &s))
			fail("fstat: %s", strerror(errno));
		if (S_ISREG(s.st_mode) && s.st_size > at + len) {
			m = mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			if (m == MAP_FAILED)
				fail("mmap: %s", strerror(errno));
			memset(m + at, (int)value, len);
			if (sync && msync(m, (size_t)s.st_size, MS_SYNC))
				fail("msync: %s", strerror(errno));
			munmap(m, (size_t)s.st_size);
		}
		r[t] = s.st_size > at + len;
		close(fd);
	}
	alike(r);
}

static void op_truncate(struct place *p)
{
	off_t size = rnd(FILE_MAX_BYTES);
	long r[TWINS];

	now("truncate %s to %lld", p->path[MOUNTED], (long long)size);
	for (int t = 0; t < TWINS; t++)
		r[t] = said(truncate(p->path[t], size));
	alike(r);
}

/* tmpfs cannot ZERO_RANGE: there the same is said with zeros. */
static long zero_range(int fd, bool native, off_t off, off_t len)
{
	static const char zeros[70000];
	struct stat s;

	if (fstat(fd, &s))
		return said(-1);
	if (native || !S_ISREG(s.st_mode))
		return said(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len));
	if (off < s.st_size && pwrite(fd, zeros, (size_t)(s.st_size - off < len ? s.st_size - off : len), off) < 0)
		return said(-1);
	return 0;
}

static void op_fallocate(struct place *p)
{
	off_t off = rnd(FILE_MAX_BYTES - 70000), len = 1 + rnd(65000);
	unsigned kind = rnd(3);
	long r[TWINS];

	now("fallocate %s kind=%u off=%lld len=%lld", p->path[MOUNTED], kind, (long long)off, (long long)len);
	for (int t = 0; t < TWINS; t++) {
		int fd = open(p->path[t], O_RDWR | O_NONBLOCK);

		r[t] = said(fd);
		if (fd < 0)
			continue;
		if (kind == 0)
			r[t] = said(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len));
		else if (kind == 1)
			r[t] = said(fallocate(fd, 0, off, len));
		else
			r[t] = zero_range(fd, t == MOUNTED, off, len);
		close(fd);
	}
	alike(r);
}

static long copy_plain(int in, off_t from, int out, off_t to, size_t len)
{
	static char buf[FILE_MAX_BYTES];
	ssize_t n = pread(in, buf, len, from);

	return said(n < 0 ? -1 : pwrite(out, buf, (size_t)n, to));
}

static void op_copy_range(struct place *p)
{
	off_t from = rnd(2) ? (off_t)rnd(20) * 4096 : rnd(100000), to = rnd(2) ? from : (off_t)rnd(20) * 4096;
	size_t len = rnd(2) ? (1 + rnd(20)) * 4096 : 1 + rnd(100000);
	struct stat s, d;
	long r[TWINS];

	now("copy_file_range %s at %lld to %s at %lld len=%zu", p->path[MOUNTED], (long long)from, p->path2[MOUNTED],
	    (long long)to, len);
	if (!stat(p->path[REFERENCE], &s) && !stat(p->path2[REFERENCE], &d) && s.st_ino == d.st_ino)
		return; /* ranges of one file may not overlap: its own rule */
	for (int t = 0; t < TWINS; t++) {
		int in = open(p->path[t], O_RDONLY | O_NONBLOCK), out = in < 0 ? -1 : open(p->path2[t], O_RDWR | O_NONBLOCK);
		off_t a = from, b = to;
		struct stat is, os;

		r[t] = said(in < 0 ? in : out);
		if (out >= 0 && !fstat(in, &is) && !fstat(out, &os) && S_ISREG(is.st_mode) && S_ISREG(os.st_mode)) {
			if (t == REFERENCE) {
				r[t] = copy_plain(in, from, out, to, len);
			} else {
				long n, done = 0;

				while ((n = copy_file_range(in, &a, out, &b, len - (size_t)done, 0)) > 0)
					done += n;
				r[t] = n < 0 ? said(n) : done;
			}
		} else if (out >= 0) {
			r[t] = 0;
		}
		if (in >= 0)
			close(in);
		if (out >= 0)
			close(out);
	}
	alike(r);
}

static void op_names(struct place *p)
{
	unsigned kind = rnd(10), flags = rnd(3) ? 0 : rnd(2) ? RENAME_NOREPLACE : RENAME_EXCHANGE;
	long r[TWINS];

	now("name operation %u (flags %u) %s %s", kind, flags, p->path[MOUNTED], p->path2[MOUNTED]);
	for (int t = 0; t < TWINS; t++) {
		const char *a = p->path[t], *b = p->path2[t];

		switch (kind) {
		case 0:
		case 1: r[t] = said(mkdir(a, 0750)); break;
		case 2: r[t] = said(rmdir(a)); break;
		case 3:
		case 4: r[t] = said(unlink(a)); break;
		case 5: r[t] = said(link(a, b)); break;
		case 6: r[t] = said(symlink(p->rel2, a)); break;
		case 7: r[t] = said(mknod(a, S_IFIFO | 0600, 0)); break;
		default: r[t] = said(renameat2(AT_FDCWD, a, AT_FDCWD, b, flags)); break;
		}
	}
	/* Which of two true reasons is given when both hold is each file system's own affair. */
	if (r[MOUNTED] != r[REFERENCE] && r[MOUNTED] < 0 && r[REFERENCE] < 0 && kind >= 8)
		return;
	alike(r);
}

static void op_attributes(struct place *p)
{
	unsigned kind = rnd(4), mode = rnd(010000), owner = rnd(3) * 1000, which = rnd(4), len = rnd(2) ? rnd(60) : rnd(4000);
	char name[32], value[4096];
	long r[TWINS];

	now("attributes %u of %s", kind, p->path[MOUNTED]);
	snprintf(name, sizeof(name), "trusted.t%u", which);
	fill(value, len);
	for (int t = 0; t < TWINS; t++) {
		const char *a = p->path[t];

		switch (kind) {
		case 0: r[t] = said(chmod(a, mode)); break;
		case 1: r[t] = said(lchown(a, owner, owner)); break;
		case 2: r[t] = said(lsetxattr(a, name, value, len, 0)); break;
		default: r[t] = said(lremovexattr(a, name)); break;
		}
	}
	alike(r);
}

/* Keep a file open: it may lose its name and must keep its bytes. */
static void op_hold(struct place *p)
{
	unsigned i = rnd(HELD_MAX);
	char c = (char)rnd(256);
	off_t off = rnd(100000);
	long r[TWINS];

	now("hold %s", p->path[MOUNTED]);
	for (int t = 0; t < TWINS; t++) {
		if (held[i][t] >= 0) {
			r[t] = said(pwrite(held[i][t], &c, 1, off));
			if (c & 1)
				continue;
			close(held[i][t]);
			held[i][t] = -1;
			continue;
		}
		/* Only of the live tree: a handle of a snapshot that is deleted is stale, of its reference it is not. */
		path_join(p->path[t], base[t], p->rel);
		held[i][t] = open(p->path[t], O_RDWR | O_NONBLOCK);
		r[t] = held[i][t] < 0 ? said(-1) : 0;
		if (held[i][t] >= 0) {
			struct stat s;

			if (fstat(held[i][t], &s) || !S_ISREG(s.st_mode)) {
				close(held[i][t]);
				held[i][t] = -1;
			}
		}
	}
	alike(r);
}

/* ---- snapshots -------------------------------------------------------------------------------------------------------- */

static void run(char *const argv[])
{
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ))
		fail("cannot run %s", argv[0]);
	posix_spawn_file_actions_destroy(&quiet);
	if (waitpid(pid, &status, 0) != pid || status)
		fail("%s %s %s: status %d", argv[0], argv[1], argv[2], status);
}
#define RUN(...) run((char *const[]){__VA_ARGS__, NULL})

static void snapshot_make(unsigned k)
{
	char t[TWINS][PATHLEN];

	snprintf(snapshot[k], sizeof(snapshot[k]), "s%lu", op_no);
	sealed[k] = !rnd(3);
	now("snapshot create %s%s", snapshot[k], sealed[k] ? " --read-only" : "");
	if (sealed[k])
		RUN((char *)kagefs, "snapshot", "create", "--read-only", "--name", snapshot[k], (char *)base[MOUNTED]);
	else
		RUN((char *)kagefs, "snapshot", "create", "--name", snapshot[k], (char *)base[MOUNTED]);
	snapshot_paths(k, t);
	RUN("cp", "-a", (char *)base[REFERENCE], t[REFERENCE]);
}

static void snapshot_delete(unsigned k)
{
	char t[TWINS][PATHLEN];

	now("snapshot delete %s", snapshot[k]);
	snapshot_paths(k, t);
	RUN((char *)kagefs, "snapshot", "delete", (char *)base[MOUNTED], snapshot[k]);
	RUN("rm", "-rf", t[REFERENCE]);
	snapshot[k][0] = '\0';
}

static void let_go(void)
{
	for (unsigned i = 0; i < HELD_MAX; i++)
		for (int t = 0; t < TWINS; t++)
			if (held[i][t] >= 0) {
				close(held[i][t]);
				held[i][t] = -1;
			}
}

/* The tree becomes the snapshot's.  What it held before is kept by kagefs as one more snapshot, which the test lets be. */
static void rollback(unsigned k)
{
	char t[TWINS][PATHLEN];

	now("rollback to %s", snapshot[k]);
	let_go();
	snapshot_paths(k, t);
	RUN((char *)kagefs, "rollback", (char *)base[MOUNTED], snapshot[k]);
	RUN("rm", "-rf", (char *)base[REFERENCE]);
	RUN("cp", "-a", t[REFERENCE], (char *)base[REFERENCE]);
}

/* Nothing may be changed in a read-only one. */
static void try_sealed(unsigned k)
{
	char t[TWINS][PATHLEN], path[PATHLEN];

	now("writing into read-only %s", snapshot[k]);
	snapshot_paths(k, t);
	path_join(path, t[MOUNTED], "intruder");
	if (open(path, O_CREAT | O_WRONLY, 0600) >= 0 || errno != EROFS)
		fail("a file was made, or not EROFS: %s", strerror(errno));
}

static void op_snapshot(void)
{
	unsigned k = rnd(SNAPSHOTS_MAX);

	if (!snapshot[k][0])
		snapshot_make(k);
	else if (sealed[k] && rnd(2))
		try_sealed(k);
	else if (!rnd(4))
		rollback(k);
	else
		snapshot_delete(k);
}

static void one(void)
{
	struct place p;
	unsigned kind = rnd(100);

	choose_place(&p);
	if (kind < 30)
		op_write(&p);
	else if (kind < 55)
		op_names(&p);
	else if (kind < 63)
		op_truncate(&p);
	else if (kind < 71)
		op_fallocate(&p);
	else if (kind < 79)
		op_copy_range(&p);
	else if (kind < 88)
		op_attributes(&p);
	else if (kind < 94)
		op_hold(&p);
	else if (kind < 99)
		op_map(&p);
	else
		op_snapshot();
}

/* The snapshots whose references stand beside, and which of them are read-only. */
static void find_snapshots(void)
{
	char dir[PATHLEN], probe[PATHLEN];
	unsigned k = 0;
	size_t n;
	char **v;

	path_join(dir, base[MOUNTED], ".snapshots");
	v = names_of(dir, &n);
	for (size_t i = 0; i < n && k < SNAPSHOTS_MAX; i++) {
		char t[TWINS][PATHLEN];

		snprintf(snapshot[k], sizeof(snapshot[k]), "%.31s", v[i]);
		snapshot_paths(k, t);
		if (access(t[REFERENCE], F_OK) != 0) {
			snapshot[k][0] = '\0';
			continue;
		}
		path_join(probe, t[MOUNTED], "probe");
		sealed[k] = mkdir(probe, 0700) != 0;
		if (!sealed[k] && rmdir(probe))
			fail("rmdir %s: %s", probe, strerror(errno));
		k++;
	}
	names_free(v, n);
}

int main(int argc, char **argv)
{
	bool compare = argc == 4 && !strcmp(argv[1], "compare");

	if (!compare && (argc != 7 || strcmp(argv[1], "run"))) {
		fprintf(stderr, "usage: twin_test run MOUNTED REFERENCE KAGEFS SEED OPS | compare MOUNTED REFERENCE\n");
		return 2;
	}
	umask(0);
	base[MOUNTED] = argv[2];
	base[REFERENCE] = argv[3];
	for (unsigned i = 0; i < HELD_MAX; i++)
		held[i][MOUNTED] = held[i][REFERENCE] = -1;
	find_snapshots();
	if (!compare) {
		kagefs = argv[4];
		seed = strtoull(argv[5], NULL, 0) * 2654435761u + 1;
		for (op_no = 1; op_no <= strtoul(argv[6], NULL, 0); op_no++) {
			one();
			if (op_no % COMPARE_EVERY == 0)
				compare_all();
		}
		let_go();
	}
	now("the last comparison");
	compare_all();
	return 0;
}
