/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/writeback.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/cleanup.h"

#define FIRST_OWN_FD 3	       /* messages go to the ones below */
#define FILEID_INO64_GEN 0x81 /* the kernel's include/linux/exportfs.h: two words of inode number, one of generation */
#define HANDLE_WORDS 3

struct work {
	struct mnt *m;
	fuse_ino_t *inos;
	size_t n, left;
};

static bool is_ours(struct mnt *m, int fd)
{
	struct kagefs_ioc_info ours = {0}, there = {0};

	return fs_ioc_info(m->fs, &ours) == 0 && ioctl(fd, KAGEFS_IOC_INFO, &there) == 0 &&
	       memcmp(&ours.store_uuid, &there.store_uuid, sizeof(ours.store_uuid)) == 0;
}

/* The mount's root, unless something else lies over it.  Asking what it is takes a request; the number of the device does not,
 * and no other mount has it as long as this one is there. */
static int open_root(struct mnt *m)
{
	CLEANUP_FD int fd = open(m->opt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	if (atomic_load(&m->dev) != st.st_dev) {
		if (!is_ours(m, fd))
			return -1;
		atomic_store(&m->dev, st.st_dev);
	}
	return steal_fd(&fd);
}

static int open_inode(struct mnt *m, int root, fuse_ino_t ino)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HANDLE_WORDS * sizeof(uint32_t)];
	} u = {.h = {.handle_bytes = HANDLE_WORDS * sizeof(uint32_t), .handle_type = FILEID_INO64_GEN}};
	uint32_t words[HANDLE_WORDS] = {(uint32_t)(ino >> 32), (uint32_t)ino, 0};
	struct fs_node node;
	int fd = mnt_node(m, ino, &node);

	if (fd < 0)
		return fd;
	words[2] = (uint32_t)fs_node_generation(m->fs, node);
	memcpy(u.h.f_handle, words, sizeof(words));
	fd = open_by_handle_at(root, &u.h, WRITEBACK_OPEN_FLAGS | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void *run(void *arg)
{
	struct work *w = arg;
	int root, fd;

	w->left = w->n;
	if (close_range(FIRST_OWN_FD, ~0u, CLOSE_RANGE_UNSHARE))
		return NULL;
	root = open_root(w->m);
	if (root < 0)
		return NULL;
	w->left = 0;
	for (size_t i = 0; i < w->n; i++) {
		fd = open_inode(w->m, root, w->inos[i]);
		if (fd >= 0)
			close(fd); /* here it is written back; an error is the mapping's owner's to see */
		else if (fd != -ESTALE)
			w->inos[w->left++] = w->inos[i];
	}
	close(root);
	return NULL;
}

size_t writeback_inodes(struct mnt *m, fuse_ino_t *inos, size_t n)
{
	struct work w = {.m = m, .inos = inos, .n = n};
	pthread_t t;

	if (!n)
		return 0;
	if (pthread_create(&t, NULL, run, &w))
		return n;
	pthread_join(t, NULL);
	return w.left;
}
