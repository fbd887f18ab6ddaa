/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The io_* functions: check the arguments, so that every implementation may rely on them, and pass the call on.
 * Bad arguments get -EINVAL.  Does no input or output itself; see io_posix.c.
 */
#include "fs/base/io.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define IO_IOV_MAX 64

/* Relative, not too long, and no component that is empty, "." or "..".  So no two paths name one file, and none leaves
 * the store. */
static bool path_valid(const char *path)
{
	const char *part = path;

	if (!path || strnlen(path, IO_PATH_MAX + 1) > IO_PATH_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(part, "/");

		if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[len])
			return true;
		part += len + 1;
	}
}

static bool dir_valid(const char *path)
{
	return path && (strcmp(path, ".") == 0 || path_valid(path));
}

static bool range_valid(uint64_t off, uint64_t len)
{
	return off <= INT64_MAX && len <= INT64_MAX - off;
}

void io_free(struct io *io)
{
	if (io)
		io->ops->destroy(io);
}

int io_open(struct io *io, const char *path, int flags, struct io_file **out)
{
	if (!path_valid(path) || (flags & ~(IO_CREATE | IO_EXCL | IO_RDONLY | IO_UNCACHED)))
		return -EINVAL;
	if (((flags & IO_EXCL) && !(flags & IO_CREATE)) || ((flags & IO_RDONLY) && (flags & IO_CREATE)))
		return -EINVAL;
	return io->ops->open(io, path, flags, out);
}

void io_close(struct io_file *f)
{
	if (f)
		f->io->ops->close(f);
}

ssize_t io_pread(struct io_file *f, void *buf, size_t len, uint64_t off)
{
	if (len > SSIZE_MAX || !range_valid(off, len))
		return -EINVAL;
	return f->io->ops->pread(f, buf, len, off);
}

ssize_t io_pread_stream(struct io_file *f, void *buf, size_t len, uint64_t off)
{
	const struct io_ops *ops = f->io->ops;

	if (((uintptr_t)buf | len | off) % IO_ALIGN)
		return -EINVAL;
	if (!ops->pread_stream)
		return io_pread(f, buf, len, off);
	return len > SSIZE_MAX || !range_valid(off, len) ? -EINVAL : ops->pread_stream(f, buf, len, off);
}

void io_prefetch(struct io_file *f, uint64_t off, uint64_t len)
{
	if (f->io->ops->prefetch && range_valid(off, len))
		f->io->ops->prefetch(f, off, len);
}

int io_pwrite(struct io_file *f, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

	return io_pwritev(f, &iov, 1, off);
}

int io_pwritev(struct io_file *f, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t total = 0;

	if (n < 0 || n > IO_IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	if (!range_valid(off, total))
		return -EINVAL;
	return f->io->ops->pwritev(f, iov, n, off);
}

int io_sync(struct io_file *f)
{
	return f->io->ops->sync(f);
}

int io_allocate(struct io_file *f, uint64_t off, uint64_t len)
{
	if (!range_valid(off, len))
		return -EINVAL;
	return len ? f->io->ops->allocate(f, off, len) : 0;
}

int io_punch(struct io_file *f, uint64_t off, uint64_t len)
{
	if (!range_valid(off, len))
		return -EINVAL;
	return len ? f->io->ops->punch(f, off, len) : 0;
}

int io_truncate(struct io_file *f, uint64_t size)
{
	return range_valid(0, size) ? f->io->ops->truncate(f, size) : -EINVAL;
}

int io_size(struct io_file *f, uint64_t *out)
{
	return f->io->ops->size(f, out);
}

int io_mkdir(struct io *io, const char *path)
{
	return path_valid(path) ? io->ops->mkdir(io, path) : -EINVAL;
}

int io_rename(struct io *io, const char *from, const char *to, int flags)
{
	if (!path_valid(from) || !path_valid(to) || (flags & ~IO_NOREPLACE))
		return -EINVAL;
	return io->ops->rename(io, from, to, flags);
}

int io_unlink(struct io *io, const char *path)
{
	return path_valid(path) ? io->ops->unlink(io, path) : -EINVAL;
}

int io_sync_dir(struct io *io, const char *path)
{
	return dir_valid(path) ? io->ops->sync_dir(io, path) : -EINVAL;
}

int io_list(struct io *io, const char *path, int (*cb)(void *arg, const char *name), void *arg)
{
	return dir_valid(path) ? io->ops->list(io, path, cb, arg) : -EINVAL;
}

int io_space(struct io *io, struct io_space *out)
{
	return io->ops->space(io, out);
}

int io_lock(struct io *io, const char *path, char *holder, size_t holder_size)
{
	return path_valid(path) ? io->ops->lock(io, path, holder, holder_size) : -EINVAL;
}
