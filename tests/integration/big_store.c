/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * big_store DIR SETS GIB: fills the empty mount DIR with 64 volumes v00 .. v63, each with an `image` of GIB GiB (sparse, 64 KiB
 * of data in each of 64 places; the first is written, the others are clones), a directory tree of 100 files, and SETS sets of
 * all 64 volumes: 64 snapshots each, named sNNNNN.  Between two sets a `counter` in one volume is written: the set's number.
 * Prints how long the parts took.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/kagefs_ioctl.h"

#define VOLUMES KAGEFS_SET_VOLUMES_MAX
#define PLACES 64
#define FILES 100

static __u64 id[VOLUMES];
static int root, dir[VOLUMES];

static void die(const char *what)
{
	fprintf(stderr, "big_store: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_volumes(void)
{
	for (int v = 0; v < VOLUMES; v++) {
		struct kagefs_ioc_volume_create a = {.mode = 0755};

		snprintf(a.name, sizeof(a.name), "v%02d", v);
		if (ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &a))
			die("volume create");
		id[v] = a.volume.id;
		dir[v] = openat(root, a.name, O_RDONLY | O_DIRECTORY);
		if (dir[v] < 0)
			die(a.name);
	}
}

static int make_image(int v, off_t size)
{
	int fd = openat(dir[v], "image", O_CREAT | O_EXCL | O_RDWR, 0644);

	if (fd < 0 || ftruncate(fd, size))
		die("image");
	return fd;
}

static void make_images(off_t size)
{
	static char buf[65536];
	int first = make_image(0, size);

	for (int p = 0; p < PLACES; p++) {
		memset(buf, 'a' + p % 26, sizeof(buf));
		memcpy(buf, &p, sizeof(p)); /* no two alike */
		if (pwrite(first, buf, sizeof(buf), size / PLACES * p) != (ssize_t)sizeof(buf))
			die("write");
	}
	if (fsync(first))
		die("fsync");
	for (int v = 1; v < VOLUMES; v++) {
		int fd = make_image(v, size);

		for (off_t at = 0, n; at < size; at += n) {
			off_t from = at, to = at;

			n = copy_file_range(first, &from, fd, &to, (size_t)(size - at), 0);
			if (n <= 0)
				die("copy_file_range");
		}
		close(fd);
	}
	close(first);
}

static void make_trees(void)
{
	for (int v = 0; v < VOLUMES; v++) {
		if (mkdirat(dir[v], "tree", 0755))
			die("tree");
		for (int i = 0; i < FILES; i++) {
			char name[32];
			int fd;

			snprintf(name, sizeof(name), "tree/f%03d", i);
			fd = openat(dir[v], name, O_CREAT | O_EXCL | O_WRONLY, 0644);
			if (fd < 0 || write(fd, name, strlen(name)) < 0 || close(fd))
				die(name);
		}
	}
}

static void write_counter(int v, int n)
{
	char text[16];
	int fd = openat(dir[v], "counter", O_CREAT | O_WRONLY | O_TRUNC, 0644);

	snprintf(text, sizeof(text), "%d\n", n);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd))
		die("counter");
}

static void commit(int n)
{
	static struct kagefs_ioc_set_commit a;

	memset(&a, 0, sizeof(a));
	a.wait_ms = 1000;
	a.deadline_ms = 60000;
	a.nvolumes = VOLUMES;
	strcpy(a.owner, "test");
	snprintf(a.name, sizeof(a.name), "s%05d", n);
	memcpy(a.volumes, id, sizeof(id));
	while (ioctl(root, KAGEFS_IOC_SET_COMMIT, &a)) {
		if (errno != EINPROGRESS)
			die("commit");
		a.nvolumes = 0;
	}
}

int main(int argc, char **argv)
{
	int sets = argc == 4 ? atoi(argv[2]) : 0;
	off_t size = argc == 4 ? (off_t)atoi(argv[3]) << 30 : 0;
	double begin = seconds(), images;

	root = argc == 4 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
	if (root < 0 || sets <= 0 || size <= 0) {
		fprintf(stderr, "usage: big_store DIR SETS GIB\n");
		return 2;
	}
	make_volumes();
	make_images(size);
	images = seconds();
	printf("%d volumes with images of %s GiB in %.1f s\n", VOLUMES, argv[3], images - begin);
	make_trees();
	begin = seconds();
	for (int n = 1; n <= sets; n++) {
		write_counter(n % VOLUMES, n);
		commit(n);
	}
	printf("%d sets, %d snapshots in %.1f s\n", sets, sets * VOLUMES, seconds() - begin);
	return 0;
}
