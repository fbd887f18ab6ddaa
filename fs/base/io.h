/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one door to the underlying file system.  Packs, log and SQLite (through fs/meta/vfs.c) reach the disk only through
 * this interface, so that a test can put the power-cut simulator (tests/sim/io_sim.c) under all of them at once.
 *
 * Paths are relative to the store's directory, at most IO_PATH_MAX bytes, no "..".  All functions are thread-safe; two
 * threads may use one file at once.  Results: 0 or a count, or -errno.  Nothing here retries a failed sync: after a failed
 * io_sync the caller must treat the file's unsynced bytes as lost (Linux drops them).
 *
 * What a power cut may do, and therefore what callers rely on:
 *   - bytes written and io_sync'ed before stay; unsynced bytes may be kept, lost, or kept in part, in units of
 *     IO_SECTOR_BYTES, in any order;
 *   - a created, renamed or removed name is durable after io_sync_dir of its directory, and may or may not be before;
 *   - io_sync makes the file's size durable as well.
 */
#ifndef FS_BASE_IO_H
#define FS_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "fs/base/cleanup.h"

#define IO_PATH_MAX 255
#define IO_SECTOR_BYTES 512
#define IO_ALIGN 4096 /* of io_pread_stream, and of writes that IO_UNCACHED is for */

struct io;	/* a directory on some file system */
struct io_file; /* an open file below it */

enum io_open_flags {
	IO_CREATE = 1 << 0, /* make it if missing */
	IO_EXCL = 1 << 1,   /* with IO_CREATE: -EEXIST if there */
	IO_RDONLY = 1 << 2,
	/* Writes go past the page cache where that can be done: for much that is not read soon.  Those whose buffers, lengths and
	 * offset are not all multiples of IO_ALIGN are ordinary ones. */
	IO_UNCACHED = 1 << 3,
};
enum io_rename_flags { IO_NOREPLACE = 1 << 0 };

struct io_space {
	uint64_t free_bytes; /* for root, i.e. f_bfree */
	uint64_t total_bytes;
};

/* Implementations fill this; callers use the io_* functions below. */
struct io_ops {
	int (*open)(struct io *io, const char *path, int flags, struct io_file **out);
	void (*close)(struct io_file *f);
	ssize_t (*pread)(struct io_file *f, void *buf, size_t len, uint64_t off);
	ssize_t (*pread_stream)(struct io_file *f, void *buf, size_t len, uint64_t off); /* NULL: as pread */
	void (*prefetch)(struct io_file *f, uint64_t off, uint64_t len); /* NULL: does nothing */
	int (*pwritev)(struct io_file *f, const struct iovec *iov, int n, uint64_t off);
	int (*sync)(struct io_file *f);
	int (*allocate)(struct io_file *f, uint64_t off, uint64_t len);
	int (*punch)(struct io_file *f, uint64_t off, uint64_t len);
	int (*truncate)(struct io_file *f, uint64_t size);
	int (*size)(struct io_file *f, uint64_t *out);
	int (*mkdir)(struct io *io, const char *path);
	int (*rename)(struct io *io, const char *from, const char *to, int flags);
	int (*unlink)(struct io *io, const char *path);
	int (*sync_dir)(struct io *io, const char *path);
	int (*list)(struct io *io, const char *path, int (*cb)(void *arg, const char *name), void *arg);
	int (*space)(struct io *io, struct io_space *out);
	int (*lock)(struct io *io, const char *path, char *holder, size_t holder_size);
	void (*destroy)(struct io *io);
};
struct io {
	const struct io_ops *ops;
};
struct io_file {
	struct io *io; /* borrowed; outlives the file */
};

/* The real thing, on directory `dir` (opened, not created).  -ENOENT, -ENOTDIR, -EACCES. */
int io_posix_new(const char *dir, struct io **out) MUST_USE;
/* All files must be closed.  Releases the lock taken by io_lock.  NULL is fine. */
void io_free(struct io *io);

/* -ENOENT, -EEXIST, ... *out is set only on success and owned by the caller. */
int io_open(struct io *io, const char *path, int flags, struct io_file **out) MUST_USE;
void io_close(struct io_file *f); /* NULL is fine */
/* Reads all of len unless the file ends before: returns the bytes read. */
ssize_t io_pread(struct io_file *f, void *buf, size_t len, uint64_t off) MUST_USE;
/* The same for bytes that nobody will ask for again soon: read past the page cache, unless they are in it or that cannot be
 * done.  buf, len and off are multiples of IO_ALIGN. */
ssize_t io_pread_stream(struct io_file *f, void *buf, size_t len, uint64_t off) MUST_USE;
/* These bytes will be asked for by io_pread soon: have them read meanwhile.  Only a hint. */
void io_prefetch(struct io_file *f, uint64_t off, uint64_t len);
/* Writes everything or fails; after a failure any part may have been written.  May sync what was written to the file so far, so
 * that a later sync has little left; if that fails: -EIO. */
int io_pwrite(struct io_file *f, const void *buf, size_t len, uint64_t off) MUST_USE;
/* n <= 64 pieces written one after the other from off on. */
int io_pwritev(struct io_file *f, const struct iovec *iov, int n, uint64_t off) MUST_USE;
/* Make the file's bytes and size durable (fdatasync). */
int io_sync(struct io_file *f) MUST_USE;
/* Reserve space so that later writes into the range cannot fail with -ENOSPC; does not change the size. */
int io_allocate(struct io_file *f, uint64_t off, uint64_t len) MUST_USE;
/* Give the range back to the underlying file system; it reads as zeros.  -EOPNOTSUPP where that cannot be done.
 * Not durable before the next io_sync; a power cut before it leaves old bytes or zeros. */
int io_punch(struct io_file *f, uint64_t off, uint64_t len) MUST_USE;
int io_truncate(struct io_file *f, uint64_t size) MUST_USE;
int io_size(struct io_file *f, uint64_t *out) MUST_USE;

int io_mkdir(struct io *io, const char *path) MUST_USE;
int io_rename(struct io *io, const char *from, const char *to, int flags) MUST_USE;
int io_unlink(struct io *io, const char *path) MUST_USE;
/* Make names in directory `path` ("." is the store) durable. */
int io_sync_dir(struct io *io, const char *path) MUST_USE;
/* Calls cb for each name except "." and ".." in no order; a non-zero answer stops and is returned. */
int io_list(struct io *io, const char *path, int (*cb)(void *arg, const char *name), void *arg) MUST_USE;
int io_space(struct io *io, struct io_space *out) MUST_USE;
/* Take the exclusive lock file (created if missing) and write "pid hostname\n" into it.  -EBUSY: somebody holds it, and
 * holder (may be NULL) gets that text.  Held until io_free or the process ends. */
int io_lock(struct io *io, const char *path, char *holder, size_t holder_size) MUST_USE;

static inline void cleanup_io_close(struct io_file **f)
{
	io_close(*f);
}
#define CLEANUP_IO CLEANUP(cleanup_io_close)

#endif
