/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What newer kernels say that libfuse 3.14 (the oldest one supported) does not hand on.  It sits between libfuse and
 * /dev/fuse, sees each message once, and dresses what libfuse does not know as something it does:
 *
 *   INIT       asks the kernel for HANDLE_KILLPRIV_V2, SETXATTR_EXT and DIRECT_IO_ALLOW_MMAP too, where offered,
 *              and for OVER_IO_URING where the mount has a ring (ring.h)
 *   TMPFILE    arrives as CREATE of the name "/", which no real name can be; the answers have one shape
 *   STATX      arrives as GETATTR with the handle WIRE_STATX_FH; answered by hand (attrs.c)
 *   WRITE, OPEN, CREATE, SETXATTR with "drop set-user-id": WIRE_KILL in their flags
 */
#ifndef FS_FUSE_WIRE_H
#define FS_FUSE_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct fuse_session;

#define WIRE_TMPFILE_NAME "/"
#define WIRE_STATX_FH 0xfffffffffffffff5ull
#define WIRE_KILL (1 << 30)

struct wire {
	uint64_t init_unique; /* written before init_done by one thread */
	uint64_t offered;     /* INIT flags of the kernel, flags2 in the upper half */
	uint64_t agreed;
	uint32_t minor;
	bool ring; /* requests come through ring.h */
	atomic_bool init_done;
};

/* Put it in front of the mounted session, before the loop starts. */
int wire_attach(struct fuse_session *se) MUST_USE;
/* Dress one message, of len bytes in a buffer with room for more; returns by how many bytes it grew. */
size_t wire_see(struct wire *w, char *buf, size_t len, size_t room);
/* After INIT: whether shared mappings of files with direct I/O work. */
bool wire_direct_mmap(const struct wire *w);

/* STATX, linux/fuse.h 7.39. */
struct wire_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};
struct wire_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct wire_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
struct wire_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct wire_statx stat;
};
_Static_assert(sizeof(struct wire_statx) == 256 && sizeof(struct wire_statx_out) == 288, "linux/fuse.h");

/* Have the kernel ask before it follows this name the next time, without taking anything out of its caches now (7.38; libfuse has
 * it with other arguments in each version).  -EOPNOTSUPP on an older one, -ENOENT not known. */
int wire_expire_name(struct wire *w, struct fuse_session *se, uint64_t dir, const char *name) MUST_USE;
/* Drop every name the kernel knows (7.44).  -EOPNOTSUPP on an older one. */
int wire_drop_names(struct wire *w, struct fuse_session *se) MUST_USE;

#endif
