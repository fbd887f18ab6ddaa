/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rewrite_load FILE MIB WRITES: WRITES direct writes of 4 KiB by four threads, without a pause and at random places of a file
 * of MIB mebibytes; then the whole file is read and has to hold the last of them.  Each thread has its own places.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL 4096
#define THREADS 4

static int fd;
static uint64_t cells;
static uint32_t *last; /* number of the last write of each cell; 0: none */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Neither compresses nor repeats. */
static void fill(uint64_t *w, uint64_t cell, uint32_t number)
{
	uint64_t x = mix(cell << 32 | number);

	for (int i = 0; i < CELL / 8; i++)
		w[i] = x = x * 6364136223846793005ull + 1442695040888963407ull;
}

struct writer {
	pthread_t thread;
	uint64_t id, writes;
	int error;
};

static void *write_all(void *arg)
{
	struct writer *me = arg;
	uint64_t random = mix(me->id + 1), *buf = aligned_alloc(CELL, CELL);

	for (uint32_t n = 1; buf && n <= me->writes; n++) {
		uint64_t cell;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		cell = (random >> 33) % (cells / THREADS) * THREADS + me->id;
		fill(buf, cell, n);
		if (pwrite(fd, buf, CELL, (off_t)(cell * CELL)) != CELL) {
			me->error = errno;
			break;
		}
		last[cell] = n;
	}
	if (!buf)
		me->error = ENOMEM;
	free(buf);
	return NULL;
}

static int verify(void)
{
	static _Alignas(CELL) uint64_t found[CELL / 8], want[CELL / 8];

	for (uint64_t cell = 0; cell < cells; cell++) {
		memset(want, 0, CELL);
		if (last[cell])
			fill(want, cell, last[cell]);
		if (pread(fd, found, CELL, (off_t)(cell * CELL)) != CELL || memcmp(found, want, CELL)) {
			fprintf(stderr, "rewrite_load: cell %llu does not hold write %u\n", (unsigned long long)cell, last[cell]);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct writer w[THREADS] = {{0}};
	int error = 0;

	if (argc != 4)
		return 2;
	cells = strtoull(argv[2], NULL, 10) << 20 >> 12;
	last = calloc(cells, sizeof(*last));
	fd = open(argv[1], O_RDWR | O_CREAT | O_DIRECT, 0644);
	if (!last || fd < 0 || ftruncate(fd, (off_t)(cells * CELL))) {
		perror("rewrite_load");
		return 1;
	}
	for (uint64_t i = 0; i < THREADS; i++) {
		w[i].id = i;
		w[i].writes = strtoull(argv[3], NULL, 10) / THREADS;
		if (pthread_create(&w[i].thread, NULL, write_all, &w[i]))
			return 1;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		error = error ? error : w[i].error;
	}
	if (error) {
		fprintf(stderr, "rewrite_load: write: %s\n", strerror(error));
		return 1;
	}
	return verify() || fsync(fd);
}
