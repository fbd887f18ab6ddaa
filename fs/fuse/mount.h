/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A store as a mounted file system.  The command line uses this; everything else in fs/fuse is private to it.
 *
 * Life of a mount: mnt_options_parse, mnt_new (opens the store and mounts), mnt_run (serves until somebody unmounts),
 * mnt_close (everything durable, store closed).
 */
#ifndef FS_FUSE_MOUNT_H
#define FS_FUSE_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct mnt_options {
	char *store;	/* owned; absolute path */
	char *dir;	/* owned; absolute path */
	char *kernel;	/* owned; options for the kernel, comma separated, may be NULL */
	int allow_other;
	int read_only;
	int snapdir_visible;
	int debug;
	int io_uring;	      /* use it if the kernel has it */
	int suid_dev;	      /* 1: neither suid nor dev was asked for or forbidden */
	unsigned threads;     /* 0: default */
	uint64_t memory_bytes; /* bound for all memory of the daemon; 0: default */
	uint64_t log_bytes;    /* 0: default */
	uint64_t direct_bytes; /* regular files this large are opened for writing with direct I/O; UINT64_MAX: none */
};
#define MNT_DIRECT_BYTES_DEFAULT (16u << 20)
#define MNT_MEMORY_LEAST (64u << 20)
#define MNT_THREAD_BYTES (2u << 20) /* a request as it comes, and the answer of a large read */
#define MNT_WHY_MAX 512

void mnt_options_init(struct mnt_options *o);
void mnt_options_release(struct mnt_options *o);
/* Add what `-o list` says.  -EINVAL: why gets "unknown option 'x'" or the like. */
int mnt_options_parse(struct mnt_options *o, const char *list, char *why, size_t why_size) MUST_USE;
/* One line per option, for the help text. */
extern const char mnt_options_help[];

struct mnt;
/*
 * Open the store and mount it on o->dir.  o is borrowed until mnt_close.  SIGTERM, SIGINT and SIGHUP are blocked in all
 * threads afterwards and handled by one of them (clean unmount).  On failure why says what happened, in words; on success it is
 * empty or a remark for the user (io_uring was asked for and is not to be had).
 * -EBUSY the store is open elsewhere: why is its holder ("pid host").  Others as fs_open and mount(2).
 */
int mnt_new(const struct mnt_options *o, struct mnt **out, char *why, size_t why_size) MUST_USE;
/* Serve.  ready(arg) is called once, when the kernel has been greeted and gets answers.  Returns when unmounted. */
int mnt_run(struct mnt *m, void (*ready)(void *arg), void *arg) MUST_USE;
/* Close the store and free m in any case.  The error says that something could not be made durable. */
int mnt_close(struct mnt *m) MUST_USE;

/* Unmount dir, whoever mounted it.  -EBUSY in use, -EINVAL nothing mounted there, -EPERM. */
int mnt_umount(const char *dir, bool lazy) MUST_USE;

#endif
