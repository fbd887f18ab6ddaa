/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writers at work while copies are made: what the copy takes, and what the writers notice.
 *
 *   snapshot_load layout FILE MIB          write FILE in full
 *   snapshot_load verify FILE              every cell of FILE is whole and at its place
 *   snapshot_load load SECONDS THREADS METHOD COUNT GAP_MS [ARGUMENT...] -- FILE...
 *        THREADS writers do 4 KiB O_DIRECT writes at random places of the FILEs (0: none) for SECONDS, or until COUNT copies
 *        are made, GAP_MS apart.  METHOD:
 *          none                       no copies
 *          kagefs PREFIX VOLUME...    one set of the volumes; the copies are called PREFIX0, PREFIX1, ...
 *          btrfs SUBVOLUME DIRECTORY  snapshots in DIRECTORY
 *        Prints JSON: commit_p50, _p99, _worst (ms), copies, iops, write_p50, _p99, _p999, _worst (ms).
 *   snapshot_load delete THREADS VOLUME    delete all kagefs snapshots of VOLUME, with the sets they were made in, by THREADS
 *        threads
 *        Prints JSON: deleted, seconds, answer_p50, _p99, _worst (ms).
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/kagefs_ioctl.h"
#include "tests/bench/cell.h"

#define MIB (1 << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void pause_ms(double ms)
{
	struct timespec t = {(time_t)(ms / 1e3), (long)((ms - 1e3 * (time_t)(ms / 1e3)) * 1e6)};

	nanosleep(&t, NULL);
}

static void *must_alloc(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) / 4096 * 4096);

	if (!p)
		err(1, "memory");
	memset(p, 0, size);
	return p;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

struct times {
	double *s;
	size_t n, room;
};

static void times_add(struct times *t, double s)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 4096;
		t->s = realloc(t->s, t->room * sizeof(*t->s));
		if (!t->s)
			err(1, "memory");
	}
	t->s[t->n++] = s;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The time, in ms, that `per_mille` of the sorted times do not exceed. */
static double quantile_ms(const struct times *t, size_t per_mille)
{
	return t->n ? t->s[(t->n * per_mille + 999) / 1000 - 1] * 1e3 : 0;
}

static void print_times(const char *name, struct times *t)
{
	qsort(t->s, t->n, sizeof(*t->s), by_value);
	printf(",\"%s_p50\":%.4f,\"%s_p99\":%.4f,\"%s_p999\":%.4f,\"%s_worst\":%.4f", name, quantile_ms(t, 500), name,
	       quantile_ms(t, 990), name, quantile_ms(t, 999), name, quantile_ms(t, 1000));
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static atomic_bool stop;

struct writer {
	pthread_t thread;
	const char *path;
	uint64_t seed;
	struct times times;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	char *cell = must_alloc(CELL);
	int fd = open(w->path, O_WRONLY | O_DIRECT);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", w->path);
	for (uint64_t n = 0; !atomic_load_explicit(&stop, memory_order_relaxed); n++) {
		uint64_t at = cell_mix(w->seed + n) % (uint64_t)(st.st_size / CELL);

		cell_fill(cell, at, w->seed + n);
		double begin = now();

		if (pwrite(fd, cell, CELL, (off_t)at * CELL) != CELL)
			err(1, "%s", w->path);
		times_add(&w->times, now() - begin);
	}
	close(fd);
	free(cell);
	return NULL;
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

struct copier {
	void (*copy)(struct copier *, int i);
	const char *prefix;	 /* kagefs */
	int fd;			 /* of the kagefs mount, or of the directory for btrfs snapshots */
	int subvolume;		 /* btrfs */
	uint32_t nvolumes;
	uint64_t volumes[KAGEFS_SET_VOLUMES_MAX];
};

static uint64_t volume_id(int fd, const char *path)
{
	struct kagefs_ioc_where where = {0};

	if (ioctl(fd, KAGEFS_IOC_WHERE, &where) || !where.is_root)
		err(1, "%s: not the root of a volume", path);
	return where.volume.id;
}

static void copy_kagefs(struct copier *c, int i)
{
	static struct kagefs_ioc_set_commit commit;

	memset(&commit, 0, sizeof(commit));
	snprintf(commit.owner, sizeof(commit.owner), "bench");
	snprintf(commit.name, sizeof(commit.name), "%s%d", c->prefix, i);
	commit.wait_ms = KAGEFS_WAIT_MS_MAX;
	commit.deadline_ms = 60000;
	commit.nvolumes = c->nvolumes;
	memcpy(commit.volumes, c->volumes, sizeof(commit.volumes));
	while (ioctl(c->fd, KAGEFS_IOC_SET_COMMIT, &commit)) {
		if (errno != EINPROGRESS)
			err(1, "set commit %d", i);
		commit.nvolumes = 0;
	}
}

static void copy_btrfs(struct copier *c, int i)
{
	struct btrfs_ioctl_vol_args_v2 a = {.fd = c->subvolume};

	snprintf(a.name, sizeof(a.name), "s%d", i);
	if (ioctl(c->fd, BTRFS_IOC_SNAP_CREATE_V2, &a))
		err(1, "btrfs snapshot %d", i);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void copier_setup(struct copier *c, const char *method, char **args, int n)
{
	if (strcmp(method, "kagefs") == 0 && n >= 2 && n - 1 <= KAGEFS_SET_VOLUMES_MAX) {
		c->copy = copy_kagefs;
		c->prefix = args[0];
		c->fd = open_dir(args[1]);
		for (int i = 1; i < n; i++) {
			int fd = open_dir(args[i]);

			c->volumes[c->nvolumes++] = volume_id(fd, args[i]);
			close(fd);
		}
	} else if (strcmp(method, "btrfs") == 0 && n == 2) {
		c->copy = copy_btrfs;
		c->subvolume = open_dir(args[0]);
		c->fd = open_dir(args[1]);
	} else if (strcmp(method, "none") != 0 || n != 0) {
		errx(2, "method %s: unknown, or wrong arguments", method);
	}
}

static void load(double seconds, int threads, struct copier *c, int count, double gap_ms, char **files, int nfiles)
{
	struct writer *w = must_alloc(sizeof(*w) * (size_t)(threads + 1));
	struct times commits = {0}, writes = {0};
	double begin = now();
	int copies = 0;

	for (int i = 0; i < threads; i++) {
		w[i].path = files[i % nfiles];
		w[i].seed = cell_mix((uint64_t)time(NULL) * 64 + (uint64_t)i);
		if (pthread_create(&w[i].thread, NULL, write_on, &w[i]))
			errx(1, "thread");
	}
	while (now() - begin < seconds && (!c->copy || copies < count)) {
		pause_ms(gap_ms);
		if (!c->copy)
			continue;
		double t = now();

		c->copy(c, copies++);
		times_add(&commits, now() - t);
	}
	atomic_store(&stop, true);
	double took = now() - begin;

	for (int i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		for (size_t k = 0; k < w[i].times.n; k++)
			times_add(&writes, w[i].times.s[k]);
	}
	printf("{\"copies\":%d,\"iops\":%.1f", copies, (double)writes.n / took);
	print_times("commit", &commits);
	print_times("write", &writes);
	printf("}\n");
}

/* ---- deleting ---------------------------------------------------------------------------------------------------- */

struct deleter {
	pthread_t thread;
	int fd;
	const struct kagefs_uuid *sets;
	size_t n;
	atomic_size_t *next;
	struct times times;
};

static void *delete_on(void *arg)
{
	struct deleter *d = arg;

	for (size_t i; (i = atomic_fetch_add(d->next, 1)) < d->n;) {
		struct kagefs_ioc_set_delete del = {.uuid = d->sets[i]};
		double begin = now();

		if (ioctl(d->fd, KAGEFS_IOC_SET_DELETE, &del))
			err(1, "delete of snapshot %zu", i);
		times_add(&d->times, now() - begin);
	}
	return NULL;
}

/* The sets in which the snapshots at the place of `volume` were made, in *sets; each has one snapshot of it. */
static size_t list_sets(int fd, uint64_t volume, struct kagefs_uuid **sets)
{
	static struct kagefs_ioc_volume_list list;
	uint64_t after = 0;
	size_t n = 0;

	*sets = NULL;
	do {
		memset(&list, 0, sizeof(list));
		list.after = after;
		list.container = volume;
		if (ioctl(fd, KAGEFS_IOC_VOLUME_LIST, &list))
			err(1, "list of snapshots");
		*sets = realloc(*sets, (n + list.count + 1) * sizeof(**sets));
		if (!*sets)
			err(1, "memory");
		for (uint32_t i = 0; i < list.count; i++) {
			(*sets)[n++] = list.volumes[i].set;
			after = list.volumes[i].id;
		}
	} while (list.count);
	return n;
}

static void delete_all(int threads, const char *volume)
{
	struct deleter *d = must_alloc(sizeof(*d) * (size_t)threads);
	int fd = open_dir(volume);
	struct times all = {0};
	atomic_size_t next = 0;
	struct kagefs_uuid *sets;
	size_t n = list_sets(fd, volume_id(fd, volume), &sets);
	double begin = now();

	for (int i = 0; i < threads; i++) {
		d[i] = (struct deleter){.fd = fd, .sets = sets, .n = n, .next = &next};
		if (pthread_create(&d[i].thread, NULL, delete_on, &d[i]))
			errx(1, "thread");
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(d[i].thread, NULL);
		for (size_t k = 0; k < d[i].times.n; k++)
			times_add(&all, d[i].times.s[k]);
	}
	printf("{\"deleted\":%zu,\"seconds\":%.4f", n, now() - begin);
	print_times("answer", &all);
	printf("}\n");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void layout(const char *path, long mib)
{
	char *buf = must_alloc(MIB);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		err(1, "%s", path);
	for (long m = 0; m < mib; m++) {
		for (int i = 0; i < MIB / CELL; i++)
			cell_fill(buf + i * CELL, (uint64_t)m * (MIB / CELL) + (uint64_t)i, 0);
		if (write(fd, buf, MIB) != MIB)
			err(1, "%s", path);
	}
	if (fsync(fd) || close(fd))
		err(1, "%s", path);
	free(buf);
}

static void verify(const char *path)
{
	char *buf = must_alloc(MIB);
	int fd = open(path, O_RDONLY);
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		err(1, "%s", path);
	while ((n = read(fd, buf, MIB)) > 0)
		for (ssize_t i = 0; i < n; i += CELL, at++)
			if (n - i < CELL || !cell_good(buf + i, at))
				errx(1, "%s: wrong content at %llu", path, (unsigned long long)at * CELL);
	if (n < 0 || !at)
		err(1, "%s", path);
	close(fd);
	free(buf);
}

int main(int argc, char **argv)
{
	struct copier copier = {0};
	int sep = 7;

	if (argc == 4 && strcmp(argv[1], "layout") == 0) {
		layout(argv[2], atol(argv[3]));
	} else if (argc == 3 && strcmp(argv[1], "verify") == 0) {
		verify(argv[2]);
	} else if (argc == 4 && strcmp(argv[1], "delete") == 0) {
		delete_all(atoi(argv[2]), argv[3]);
	} else if (argc >= 9 && strcmp(argv[1], "load") == 0) {
		while (sep < argc - 1 && strcmp(argv[sep], "--") != 0)
			sep++;
		if (sep == argc - 1)
			errx(2, "no files");
		copier_setup(&copier, argv[4], argv + 7, sep - 7);
		load(atof(argv[2]), atoi(argv[3]), &copier, atoi(argv[5]), atof(argv[6]), argv + sep + 1, argc - sep - 1);
	} else {
		errx(2, "see the head of snapshot_load.c");
	}
	return 0;
}
