/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * crash_load write DIR JOURNAL SEED: work in DIR until the file system dies, and note in JOURNAL (elsewhere) what was
 * promised: after each fsync that returned 0, one line for the file and what it then held.
 * crash_load verify DIR JOURNAL: everything promised is there.  A later, unpromised change of the same file is allowed: the
 * content must then be one that was written, never a mixture.
 *
 * crash_load map FILE MIB: dirty a shared mapping of FILE over and over; says "mapped" after the first time.
 *
 * Files are replaced as editors do, by a new one and a rename.  Each holds whole records of REC bytes, every one naming its file and version, so that a torn or foreign record shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/param.h>
#include <unistd.h>

#define FILES 40
#define REC 1000
#define RECS_MAX 60

static unsigned long seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(seed >> 33) % n;
}

static void record(char *b, int file, long version, int index)
{
	int n = snprintf(b, REC, "file=%d version=%ld index=%d ", file, version, index);

	for (int i = n; i < REC; i++)
		b[i] = (char)('a' + (file + version + index + i) % 26);
}

static int save(int file, long version, int recs, bool by_rename, bool osync)
{
	static char b[REC * RECS_MAX];
	char name[64], tmp[64];
	int fd;

	snprintf(name, sizeof(name), "d%d/f%d", file % 5, file);
	snprintf(tmp, sizeof(tmp), "d%d/.f%d.new", file % 5, file);
	for (int i = 0; i < recs; i++)
		record(b + i * REC, file, version, i);

	fd = open(by_rename ? tmp : name, O_WRONLY | O_CREAT | (by_rename ? O_TRUNC : 0) | (osync ? O_SYNC : 0), 0644);
	if (fd < 0)
		return -1;
	for (int off = 0; off < recs * REC;) {
		int n = 1 + (int)rnd(20000);

		n = MIN(n, recs * REC - off); /* the macro would draw twice */
		if (pwrite(fd, b + off, (size_t)n, off) != n)
			goto bad;
		off += n;
	}
	if (ftruncate(fd, recs * REC))
		goto bad;
	if (by_rename && (fsync(fd) || rename(tmp, name)))
		goto bad;
	if (fsync(fd))
		goto bad;
	return close(fd);
bad:
	close(fd);
	return -1;
}

static int work(const char *dir, const char *journal)
{
	FILE *j = fopen(journal, "a");

	if (!j || chdir(dir))
		return 2;
	for (int i = 0; i < 5; i++) {
		char d[16];

		snprintf(d, sizeof(d), "d%d", i);
		if (mkdir(d, 0755) && errno != EEXIST)
			return 2;
	}
	for (long n = 0;; n++) {
		int file = (int)rnd(FILES), recs = 1 + (int)rnd(RECS_MAX);
		long v = ((long)getpid() << 20) + n;

		/* begin: from now on either version may be found; end: only this one */
		fprintf(j, "begin %d %ld %d\n", file, v, recs);
		fflush(j);
		if (save(file, v, recs, true, rnd(4) == 0)) {
			fprintf(stderr, "  stopped after %ld saves: %s\n", n, strerror(errno));
			return 0;
		}
		fprintf(j, "end %d %ld %d\n", file, v, recs);
		fflush(j);
	}
}

struct state {
	long version, other; /* promised; begun, not promised */
	int recs, other_recs;
};

static int verify(const char *dir, const char *journal)
{
	static struct state s[FILES];
	FILE *j = fopen(journal, "r");
	char word[16], want[REC], got[REC];
	int file, recs, bad = 0, promised = 0;
	long v;

	if (!j || chdir(dir))
		return 2;
	while (fscanf(j, "%15s %d %ld %d\n", word, &file, &v, &recs) == 4) {
		if (word[0] == 'b') {
			s[file].other = v;
			s[file].other_recs = recs;
		} else {
			s[file].version = v;
			s[file].recs = recs;
			s[file].other = 0;
		}
	}
	for (file = 0; file < FILES; file++) {
		char name[64];
		int fd, n;
		struct stat st;

		if (!s[file].version)
			continue;
		promised++;
		snprintf(name, sizeof(name), "d%d/f%d", file % 5, file);
		fd = open(name, O_RDONLY);
		if (fd < 0 || fstat(fd, &st)) {
			printf("LOST: %s: %s\n", name, strerror(errno));
			bad++;
			continue;
		}
		n = (int)read(fd, got, REC);
		v = -1;
		if (n == REC)
			sscanf(got, "file=%*d version=%ld", &v);
		recs = v == s[file].version ? s[file].recs : v && v == s[file].other ? s[file].other_recs : -1;
		if (recs < 0 || st.st_size != (off_t)recs * REC) {
			printf("WRONG: %s: version %ld size %lld, promised %ld (%d records) or %ld\n", name, v, (long long)st.st_size,
			       s[file].version, s[file].recs, s[file].other);
			bad++;
		}
		for (int i = 0; i < recs; i++) {
			record(want, file, v, i);
			if (pread(fd, got, REC, (off_t)i * REC) != REC || memcmp(want, got, REC) != 0) {
				printf("TORN: %s record %d of version %ld\n", name, i, v);
				bad++;
				break;
			}
		}
		close(fd);
	}
	printf("  %d files were promised, %d are wrong\n", promised, bad);
	return bad ? 1 : 0;
}

static int map(const char *file, size_t size)
{
	int fd = open(file, O_RDWR | O_CREAT, 0644);
	char *p = fd < 0 || ftruncate(fd, (off_t)size) ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return 2;
	for (unsigned n = 1;; n++) {
		for (size_t i = 0; i < size; i += 4096)
			memset(p + i, (int)(n + i / 4096), 100);
		if (n == 1) {
			puts("mapped");
			fflush(stdout);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "write") == 0) {
		seed = strtoul(argv[4], NULL, 10);
		return work(argv[2], argv[3]);
	}
	if (argc == 4 && strcmp(argv[1], "verify") == 0)
		return verify(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "map") == 0)
		return map(argv[2], (size_t)atoi(argv[3]) << 20);
	fprintf(stderr, "usage: crash_load write DIR JOURNAL SEED | verify DIR JOURNAL | map FILE MIB\n");
	return 2;
}
