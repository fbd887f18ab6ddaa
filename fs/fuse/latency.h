/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long requests take, from the handler's entry until its answer has gone out.  handlers.c calls latency_begin and
 * latency_end around each handler.  A handler whose answer comes later, from another thread, takes the ticket along and
 * finishes it after the answer; for those the handler's own return means nothing.
 *
 * One request at a time per thread: handlers do not nest.
 */
#ifndef FS_FUSE_LATENCY_H
#define FS_FUSE_LATENCY_H

#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/base/histogram.h"

/* In the order in which they are shown.  write_sync: a WRITE answered when durable. */
#define LATENCY_OPS(X) \
	X(lookup) X(forget) X(forget_multi) X(getattr) X(setattr) X(readlink) X(mknod) X(mkdir) X(unlink) X(rmdir) X(symlink) \
	X(rename) X(link) X(create) X(open) X(release) X(read) X(write) X(write_sync) X(fsync) X(fsyncdir) X(fallocate) X(lseek) \
	X(copy_file_range) X(opendir) X(readdir) X(readdirplus) X(releasedir) X(statfs) X(setxattr) X(getxattr) X(listxattr) \
	X(removexattr) X(ioctl)

enum latency_op {
#define LATENCY_ENUM(name) LATENCY_##name,
	LATENCY_OPS(LATENCY_ENUM)
#undef LATENCY_ENUM
	LATENCY_COUNT
};

struct latency {
	struct histogram op[LATENCY_COUNT]; /* nanoseconds */
};
struct latency_ticket {
	struct histogram *h; /* NULL: not measured */
	uint64_t begin;	     /* ticks */
};

const char *latency_name(enum latency_op op);

void latency_begin(struct latency *l, enum latency_op op);
/* Nothing if the ticket was taken. */
void latency_end(void);
/* The request this thread is handling. */
struct latency_ticket latency_take(void);
/* Count it under another name from here on. */
void latency_rename(struct latency_ticket *t, struct latency *l, enum latency_op op);
void latency_finish(struct latency_ticket t);

#endif
