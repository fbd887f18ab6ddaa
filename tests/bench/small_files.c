/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * small_files create DIR FILES   make FILES files of 4 KiB, 200 in a directory, one thread; prints the seconds it took
 * small_files verify DIR FILES   every file is there with the right content, and nothing else
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/cell.h"

#define PER_DIR 200

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void path_of(char *path, size_t size, const char *dir, long i)
{
	snprintf(path, size, "%s/d%05ld/f%07ld", dir, i / PER_DIR, i);
}

static void create(const char *dir, long files)
{
	_Alignas(8) char cell[CELL];
	char path[4096];

	for (long i = 0; i < files; i++) {
		if (i % PER_DIR == 0) {
			snprintf(path, sizeof(path), "%s/d%05ld", dir, i / PER_DIR);
			if (mkdir(path, 0755))
				err(1, "%s", path);
		}
		path_of(path, sizeof(path), dir, i);
		cell_fill(cell, (uint64_t)i, 0);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

		if (fd < 0 || write(fd, cell, CELL) != CELL || close(fd))
			err(1, "%s", path);
	}
}

/* Entries of `dir` beside . and .. */
static long count(const char *dir)
{
	DIR *d = opendir(dir);
	long n = 0;

	if (!d)
		err(1, "%s", dir);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void verify(const char *dir, long files)
{
	_Alignas(8) char cell[CELL + 1];
	char path[4096];

	if (count(dir) != (files + PER_DIR - 1) / PER_DIR)
		errx(1, "%s: wrong number of directories", dir);
	for (long i = 0; i < files; i++) {
		if (i % PER_DIR == 0) {
			long want = files - i < PER_DIR ? files - i : PER_DIR;

			snprintf(path, sizeof(path), "%s/d%05ld", dir, i / PER_DIR);
			if (count(path) != want)
				errx(1, "%s: wrong number of files", path);
		}
		path_of(path, sizeof(path), dir, i);
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			err(1, "%s", path);
		if (read(fd, cell, sizeof(cell)) != CELL || !cell_good(cell, (uint64_t)i))
			errx(1, "%s: wrong content", path);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	double begin = now();

	if (argc != 4)
		errx(2, "usage: small_files create|verify DIR FILES");
	if (strcmp(argv[1], "create") == 0) {
		create(argv[2], atol(argv[3]));
		printf("%.6f\n", now() - begin);
	} else {
		verify(argv[2], atol(argv[3]));
	}
	return 0;
}
