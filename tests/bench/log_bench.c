/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How fast is the log on a real disk: 4 KiB append + wait per second, by 1 and 8 threads, with log_wait and with callbacks,
 * against pwrite + fdatasync of 4 KiB pages of a preallocated, once written file.  Runs alternate, medians are printed.
 *
 *   log_bench DIR [SECONDS [ROUNDS]]      DIR is created and left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/cleanup.h"
#include "fs/base/clock.h"
#include "fs/base/io.h"
#include "fs/log/log.h"

#define THREADS_MAX 8
#define FILE_BYTES (64u << 20)

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "log_bench: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

struct run {
	struct log *log; /* NULL: the plain file */
	int fd;
	bool by_callback;
	int64_t until_ns;
};
struct thread {
	pthread_t id;
	const struct run *run;
	int number;
	uint64_t count;
	uint32_t *lat_us; /* owned */
};
#define LAT_MAX 2000000

struct answer {
	struct log_waiter w;
	sem_t sem;
	int err;
};
static void answered(struct log_waiter *w, int err)
{
	struct answer *a = CONTAINER_OF(w, struct answer, w);

	a->err = err;
	sem_post(&a->sem);
}

static void append_and_wait(const struct run *run, char *buf)
{
	uint64_t reserved = 4096 + LOG_RECORD_OVERHEAD, lsn;
	struct iovec iov = {buf, 4096};
	struct answer a = {.w = {.done = answered}};

	check(log_reserve(run->log, reserved, 10000), "log_reserve");
	lsn = log_append(run->log, &reserved, 1, 0, &iov, 1, NULL, NULL);
	if (!run->by_callback) {
		check(log_wait(run->log, lsn), "log_wait");
		return;
	}
	sem_init(&a.sem, 0, 0);
	a.w.lsn = lsn;
	log_flush(run->log, &a.w);
	while (sem_wait(&a.sem) < 0)
		;
	check(a.err, "log_flush");
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	const struct run *run = t->run;
	char buf[4096];
	int64_t now = clock_monotonic_ns(), begin;

	memset(buf, 'a' + t->number, sizeof(buf));
	while (now < run->until_ns && t->count < LAT_MAX) {
		begin = now;
		if (run->log) {
			append_and_wait(run, buf);
			if (t->count % 1024 == 0)
				log_retire(run->log, log_durable(run->log));
		} else {
			off_t slot = (off_t)((t->count * THREADS_MAX + (uint64_t)t->number) % (FILE_BYTES / 4096));

			if (pwrite(run->fd, buf, sizeof(buf), slot * 4096) != 4096 || fdatasync(run->fd) < 0)
				check(-errno, "pwrite");
		}
		now = clock_monotonic_ns();
		t->lat_us[t->count++] = (uint32_t)((now - begin) / 1000);
	}
	return NULL;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct result {
	double per_s, group;
	uint32_t p50_us, p99_us;
};
static int compare_results(const void *a, const void *b)
{
	double x = ((const struct result *)a)->per_s, y = ((const struct result *)b)->per_s;

	return x < y ? -1 : x > y;
}

static struct result measure(struct run *run, int nthreads, double seconds)
{
	struct thread t[THREADS_MAX];
	struct log_stats before = {0}, after = {0};
	struct result res = {0};
	uint64_t total = 0;
	uint32_t *all;

	if (run->log)
		log_get_stats(run->log, &before);
	run->until_ns = clock_monotonic_ns() + (int64_t)(seconds * 1e9);
	for (int i = 0; i < nthreads; i++) {
		t[i] = (struct thread){.run = run, .number = i, .lat_us = calloc(LAT_MAX, sizeof(uint32_t))};
		check(-pthread_create(&t[i].id, NULL, thread_main, &t[i]), "pthread_create");
	}
	for (int i = 0; i < nthreads; i++) {
		pthread_join(t[i].id, NULL);
		total += t[i].count;
	}
	all = calloc(total + 1, sizeof(*all));
	for (int i = 0, at = 0; i < nthreads; at += (int)t[i++].count) {
		memcpy(all + at, t[i].lat_us, t[i].count * sizeof(*all));
		free(t[i].lat_us);
	}
	qsort(all, total, sizeof(*all), compare_u32);
	res.per_s = (double)total / seconds;
	res.p50_us = all[total / 2];
	res.p99_us = all[total * 99 / 100];
	free(all);
	if (run->log) {
		log_get_stats(run->log, &after);
		if (after.flushes > before.flushes)
			res.group = (double)total / (double)(after.flushes - before.flushes);
	}
	return res;
}

static int plain_file(const char *dir)
{
	char *path, *mib = malloc(1 << 20);
	int fd;

	memset(mib, 'z', 1 << 20); /* not zeros: some disks do not write those */
	if (asprintf(&path, "%s/plain", dir) < 0)
		abort();
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, FILE_BYTES) != 0)
		check(-errno, path);
	for (off_t off = 0; off < FILE_BYTES; off += 1 << 20)
		if (pwrite(fd, mib, 1 << 20, off) != 1 << 20)
			check(-errno, path);
	if (fsync(fd) < 0)
		check(-errno, path);
	free(path);
	free(mib);
	return fd;
}

int main(int argc, char **argv)
{
	static const uint8_t uuid[16] = {1};
	struct log_config cfg = {
		.segment_bytes = LOG_SEGMENT_BYTES_DEFAULT,
		.max_segments = 4,
		.max_record_bytes = 1 << 20,
		.buffer_bytes = 16 << 20,
		.dirty_age_ms = 5000,
	};
	struct {
		const char *name;
		int threads;
		struct run run;
		struct result res[99];
	} test[] = {
		{.name = "plain file", .threads = 1},
		{.name = "log, log_wait", .threads = 1},
		{.name = "log, callback", .threads = 1, .run.by_callback = true},
		{.name = "plain file", .threads = 8},
		{.name = "log, log_wait", .threads = 8},
		{.name = "log, callback", .threads = 8, .run.by_callback = true},
	};
	double seconds = argc > 2 ? atof(argv[2]) : 2;
	int rounds = argc > 3 ? atoi(argv[3]) : 3;
	struct log *log;
	struct io *io;
	int fd, r;

	if (argc < 2 || seconds <= 0 || rounds < 1 || rounds > 99) {
		fprintf(stderr, "usage: log_bench DIR [SECONDS [ROUNDS]]\n");
		return 2;
	}
	if (mkdir(argv[1], 0700) < 0 && errno != EEXIST)
		check(-errno, argv[1]);
	check(io_posix_new(argv[1], &io), argv[1]);
	r = log_format(io, uuid, &cfg);
	check(r == -EEXIST ? 0 : r, "log_format");
	check(log_open(io, uuid, &cfg, &log), "log_open");
	check(log_start(log, 0), "log_start (give a fresh directory)");
	fd = plain_file(argv[1]);
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(test); i++) {
			if (i % 3)
				test[i].run.log = log;
			test[i].run.fd = fd;
			test[i].res[round] = measure(&test[i].run, test[i].threads, seconds);
		}
	for (size_t i = 0; i < ARRAY_SIZE(test); i++) {
		const struct result *m = &test[i].res[rounds / 2];

		qsort(test[i].res, (size_t)rounds, sizeof(test[i].res[0]), compare_results);
		printf("%d threads  %-14s %8.0f /s  (%.0f .. %.0f)  p50 %u us  p99 %u us", test[i].threads, test[i].name,
		       m->per_s, test[i].res[0].per_s, test[i].res[rounds - 1].per_s, m->p50_us, m->p99_us);
		if (m->group > 0)
			printf("  %.2f a flush", m->group);
		printf("\n");
	}
	check(log_close(log), "log_close");
	io_free(io);
	close(fd);
	return 0;
}
