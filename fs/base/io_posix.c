/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real file system below a directory, by system calls relative to its descriptor.  Arguments were checked by io.c.
 *
 * Interrupted and short reads and writes are continued.  A sync is never repeated, not even after -EINTR: the kernel may
 * have reported, and thereby forgotten, a write error together with the interruption.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fs/base/io.h"

#define FILE_MODE 0600
#define DIR_MODE 0700

/* Younger than the headers of some systems; the number is the same on all architectures that Debian has. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct cache_range {
	uint64_t off, len;
};
struct cache_pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* So much of a file is written at most before it is synced.  Disks give what one program wrote no precedence over what
 * another did: who waits for a few bytes to be durable waits for all the bytes before them, of any file. */
#define UNSYNCED_MAX (1u << 20)

#define DIRECT_UNKNOWN (-1)
#define DIRECT_NONE (-2)

struct held_lock {
	struct held_lock *next;
	int fd; /* owned */
};
struct posix_io {
	struct io io;
	int dir_fd;		/* owned */
	pthread_mutex_t mutex;	/* protects locks */
	struct held_lock *locks; /* owned */
};
struct posix_file {
	struct io_file f;
	int fd; /* owned */
	_Atomic int direct_fd; /* owned; O_DIRECT, opened at first use; DIRECT_* */
	bool writable;
	_Atomic bool uncached; /* writes that may go by direct_fd */
	_Atomic uint64_t unsynced; /* bytes written since the last sync began */
};

static struct posix_io *to_posix(struct io *io)
{
	return CONTAINER_OF(io, struct posix_io, io);
}
static struct posix_file *to_file(struct io_file *f)
{
	return CONTAINER_OF(f, struct posix_file, f);
}

static int open_at(int dir_fd, const char *path, int flags)
{
	int fd;

	do
		fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, FILE_MODE);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int posix_open(struct io *io, const char *path, int flags, struct io_file **out)
{
	int how = (flags & IO_RDONLY) ? O_RDONLY : O_RDWR;
	CLEANUP_FREE struct posix_file *f = calloc(1, sizeof(*f));
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (!f)
		return -ENOMEM;
	if (flags & IO_CREATE)
		how |= O_CREAT;
	if (flags & IO_EXCL)
		how |= O_EXCL;
	fd = open_at(to_posix(io)->dir_fd, path, how | O_NONBLOCK); /* do not hang on a FIFO */
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	f->f.io = io;
	f->fd = steal_fd(&fd);
	atomic_init(&f->direct_fd, DIRECT_UNKNOWN);
	f->writable = !(flags & IO_RDONLY);
	atomic_init(&f->uncached, flags & IO_UNCACHED);
	*out = &steal_ptr(&f)->f;
	return 0;
}

static void posix_close(struct io_file *file)
{
	struct posix_file *f = to_file(file);

	close(f->fd); /* nothing to check: what matters was synced before */
	if (atomic_load(&f->direct_fd) >= 0)
		close(atomic_load(&f->direct_fd));
	free(f);
}

static ssize_t posix_pread(struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct posix_file *f = to_file(file);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(f->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* The same file once more, because O_DIRECT belongs to the open file.  Negative: cannot be done here. */
static int direct_fd(struct posix_file *f)
{
	int fd = atomic_load(&f->direct_fd), known = DIRECT_UNKNOWN;
	char path[64];

	if (fd != DIRECT_UNKNOWN)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	fd = open(path, (f->writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		fd = DIRECT_NONE;
	if (atomic_compare_exchange_strong(&f->direct_fd, &known, fd))
		return fd;
	if (fd >= 0)
		close(fd); /* another thread was faster */
	return known;
}

/* Is at least half of the range in the page cache?  Kernels before 6.5 do not say: then no. */
static bool mostly_cached(int fd, size_t len, uint64_t off)
{
	struct cache_range range = { off, len };
	struct cache_pages pages = { 0 };

	return syscall(SYS_cachestat, fd, &range, &pages, 0) == 0 && pages.cached * 2 * IO_ALIGN >= len;
}

static ssize_t posix_pread_stream(struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct posix_file *f = to_file(file);
	int fd = mostly_cached(f->fd, len, off) ? DIRECT_NONE : direct_fd(f);
	ssize_t done = fd >= 0 ? pread(fd, buf, len, (off_t)off) : 0, rest;

	if (done < 0)
		done = 0; /* the other way says why, or can */
	if ((size_t)done == len)
		return done;
	rest = posix_pread(file, (char *)buf + done, len - (size_t)done, off + (uint64_t)done);
	return rest < 0 ? rest : done + rest;
}

static void posix_prefetch(struct io_file *file, uint64_t off, uint64_t len)
{
	(void)!posix_fadvise(to_file(file)->fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

static bool is_aligned(const struct iovec *iov, int n, uint64_t off)
{
	uint64_t bits = off;

	for (int i = 0; i < n; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return bits % IO_ALIGN == 0;
}

/* What to write by: past the page cache if that is wanted and can be. */
static int write_fd(struct posix_file *f, const struct iovec *iov, int n, uint64_t off)
{
	int fd = atomic_load(&f->uncached) && is_aligned(iov, n, off) ? direct_fd(f) : DIRECT_NONE;

	return fd >= 0 ? fd : f->fd;
}

static int write_all(struct posix_file *f, const struct iovec *iov, int n, uint64_t off)
{
	struct iovec rest[64]; /* io.c allows no more */
	int first = 0, fd = write_fd(f, iov, n, off);

	for (int i = 0; i < n; i++)
		rest[i] = iov[i];
	for (;;) {
		ssize_t done;

		while (first < n && rest[first].iov_len == 0)
			first++;
		if (first == n)
			return 0;
		done = pwritev(fd, rest + first, n - first, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EINVAL && fd != f->fd) { /* sectors larger than a page */
			atomic_store(&f->uncached, false);
			fd = f->fd;
			continue;
		}
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		off += (uint64_t)done;
		for (; done > 0; first++) {
			size_t step = MIN((size_t)done, rest[first].iov_len);

			rest[first].iov_base = (char *)rest[first].iov_base + step;
			rest[first].iov_len -= step;
			done -= (ssize_t)step;
			if (rest[first].iov_len > 0)
				break;
		}
		fd = f->fd; /* what came out short need not end where a sector does */
	}
}

static int posix_sync(struct io_file *file)
{
	struct posix_file *f = to_file(file);

	atomic_store(&f->unsynced, 0);
	return fdatasync(f->fd) < 0 ? -errno : 0;
}

static int posix_pwritev(struct io_file *file, const struct iovec *iov, int n, uint64_t off)
{
	struct posix_file *f = to_file(file);
	uint64_t bytes = 0;
	int r;

	if (!f->writable)
		return -EBADF;
	r = write_all(f, iov, n, off);
	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	if (r || atomic_fetch_add(&f->unsynced, bytes) + bytes < UNSYNCED_MAX)
		return r;
	/* Not the error itself: -ENOSPC would mean that nothing was lost. */
	return posix_sync(file) ? -EIO : 0;
}

static int do_fallocate(struct posix_file *f, int mode, uint64_t off, uint64_t len)
{
	int r;

	if (!f->writable)
		return -EBADF;
	do
		r = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 0;
}

static int posix_allocate(struct io_file *f, uint64_t off, uint64_t len)
{
	return do_fallocate(to_file(f), 0, off, len);
}

static int posix_punch(struct io_file *f, uint64_t off, uint64_t len)
{
	return do_fallocate(to_file(f), FALLOC_FL_PUNCH_HOLE, off, len);
}

static int posix_truncate(struct io_file *file, uint64_t size)
{
	struct posix_file *f = to_file(file);
	int r;

	if (!f->writable)
		return -EBADF;
	do
		r = ftruncate(f->fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int posix_size(struct io_file *f, uint64_t *out)
{
	struct stat st;

	if (fstat(to_file(f)->fd, &st) < 0)
		return -errno;
	*out = (uint64_t)st.st_size;
	return 0;
}

static int posix_mkdir(struct io *io, const char *path)
{
	return mkdirat(to_posix(io)->dir_fd, path, DIR_MODE) < 0 ? -errno : 0;
}

static int posix_rename(struct io *io, const char *from, const char *to, int flags)
{
	int dir = to_posix(io)->dir_fd;

	return renameat2(dir, from, dir, to, (flags & IO_NOREPLACE) ? RENAME_NOREPLACE : 0) < 0 ? -errno : 0;
}

static int posix_unlink(struct io *io, const char *path)
{
	return unlinkat(to_posix(io)->dir_fd, path, 0) < 0 ? -errno : 0;
}

static int posix_sync_dir(struct io *io, const char *path)
{
	CLEANUP_FD int fd = open_at(to_posix(io)->dir_fd, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

static int posix_list(struct io *io, const char *path, int (*cb)(void *arg, const char *name), void *arg)
{
	CLEANUP_FD int fd = open_at(to_posix(io)->dir_fd, path, O_RDONLY | O_DIRECTORY);
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	steal_fd(&fd); /* dir owns it now */
	while (r == 0) {
		struct dirent *e;

		errno = 0;
		e = readdir(dir);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = cb(arg, e->d_name);
	}
	closedir(dir);
	return r;
}

static int posix_space(struct io *io, struct io_space *out)
{
	struct statvfs sv;

	if (fstatvfs(to_posix(io)->dir_fd, &sv) < 0)
		return -errno;
	out->free_bytes = (uint64_t)sv.f_bfree * sv.f_frsize;
	out->total_bytes = (uint64_t)sv.f_blocks * sv.f_frsize;
	return 0;
}

static void read_holder(int fd, char *holder, size_t holder_size)
{
	ssize_t n;

	if (!holder || holder_size == 0)
		return;
	n = pread(fd, holder, holder_size - 1, 0);
	holder[MAX(n, 0)] = '\0';
	holder[strcspn(holder, "\n")] = '\0';
}

static int write_holder(int fd)
{
	struct utsname host;
	char text[sizeof(host.nodename) + 32];
	int len;

	if (uname(&host) < 0)
		return -errno;
	len = snprintf(text, sizeof(text), "%ld %s\n", (long)getpid(), host.nodename);
	if (ftruncate(fd, 0) < 0)
		return -errno;
	if (pwrite(fd, text, (size_t)len, 0) != len)
		return -EIO;
	return 0;
}

/* flock, not fcntl: it belongs to the open file, so it survives the fork of a program that goes to the background, and
 * another descriptor for the file in this process cannot drop it. */
static int posix_lock(struct io *io, const char *path, char *holder, size_t holder_size)
{
	struct posix_io *pio = to_posix(io);
	CLEANUP_FREE struct held_lock *held = calloc(1, sizeof(*held));
	CLEANUP_FD int fd = -1;
	int r;

	if (!held)
		return -ENOMEM;
	fd = open_at(pio->dir_fd, path, O_RDWR | O_CREAT | O_NONBLOCK);
	if (fd < 0)
		return fd;
	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		read_holder(fd, holder, holder_size);
		return -EBUSY;
	}
	r = write_holder(fd);
	if (r < 0)
		return r;
	held->fd = steal_fd(&fd);
	pthread_mutex_lock(&pio->mutex);
	held->next = pio->locks;
	pio->locks = held;
	pthread_mutex_unlock(&pio->mutex);
	held = NULL; /* the list owns it */
	return 0;
}

static void posix_destroy(struct io *io)
{
	struct posix_io *pio = to_posix(io);

	while (pio->locks) {
		struct held_lock *held = pio->locks;

		pio->locks = held->next;
		close(held->fd);
		free(held);
	}
	close(pio->dir_fd);
	pthread_mutex_destroy(&pio->mutex);
	free(pio);
}

static const struct io_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pread_stream = posix_pread_stream,
	.prefetch = posix_prefetch,
	.pwritev = posix_pwritev,
	.sync = posix_sync,
	.allocate = posix_allocate,
	.punch = posix_punch,
	.truncate = posix_truncate,
	.size = posix_size,
	.mkdir = posix_mkdir,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.sync_dir = posix_sync_dir,
	.list = posix_list,
	.space = posix_space,
	.lock = posix_lock,
	.destroy = posix_destroy,
};

int io_posix_new(const char *dir, struct io **out)
{
	struct posix_io *pio = calloc(1, sizeof(*pio));

	if (!pio)
		return -ENOMEM;
	pio->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pio->dir_fd < 0) {
		int e = errno;

		free(pio);
		return -e;
	}
	pthread_mutex_init(&pio->mutex, NULL);
	pio->io.ops = &posix_ops;
	*out = &pio->io;
	return 0;
}
