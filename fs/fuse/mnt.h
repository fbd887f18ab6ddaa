/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the handlers share.  They translate and nothing else: node ids to nodes, -errno to errors, structs to structs.
 *
 * Node id 1 is the mount's root; every other node id is fs_node_number().  Nothing here is a pointer that the kernel
 * could hand back wrongly: file handles carry two bits (opened.h), directory handles an index (dirs.c).
 *
 * Every entry given to the kernel holds its node once (fs_hold), until FORGET.  An open file pins its dentry and so its
 * look-up count, so open files need no holds of their own.
 *
 * No lock is held across fuse_reply_*, and notifications go out only from threads that serve no request of the kernel that
 * could hold an inode lock: the ioctl pool (an ioctl holds none) and the engine's push-out threads.
 */
#ifndef FS_FUSE_MNT_H
#define FS_FUSE_MNT_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fs/base/pool.h"
#include "fs/fuse/latency.h"
#include "fs/fuse/mount.h"
#include "fs/fuse/ring.h"
#include "fs/fuse/wire.h"
#include "fs/volume/volume.h"

struct loop;
struct opened_shard;
struct dirh;
struct root_seen;

struct mnt {
	struct fs *fs; /* owned */
	struct io *io; /* owned */
	struct fuse_session *se; /* owned */
	const struct mnt_options *opt; /* borrowed */
	struct loop *loop; /* owned; NULL before mnt_run */
	struct wire wire;
	struct pool pool;
	struct ring_plan plan; /* no queues: no ring is wanted or possible */
	struct ring *ring; /* owned; NULL: /dev/fuse alone */
	uint32_t blksize; /* st_blksize */

	struct opened_shard *opened; /* owned */
	_Atomic uint64_t dev;	     /* st_dev of the mount; 0: not looked at yet (writeback.c) */
	_Atomic unsigned opened_caps; /* inodes noted by opened_has_caps */

	pthread_mutex_t dirs_lock; /* protects dirs, ndirs, dirs_free */
	struct dirh **dirs; /* owned; by handle */
	size_t ndirs;

	pthread_mutex_t roots_lock; /* protects roots */
	struct root_seen **roots; /* owned; hash by volume */

	_Atomic uint64_t last_lsn;  /* greatest position of any change made through this mount */
	_Atomic uint64_t names_lsn; /* the same for names: fsync of a file covers its name */

	struct latency latency;

	void (*ready)(void *arg); /* called once */
	void *ready_arg;
	pthread_t stop_thread;
	atomic_bool running;
};

/* The daemon is the only writer, so what the kernel knows stays true until the daemon says otherwise. */
#define MNT_TIMEOUT_S 86400.0
#define MNT_INO_ROOT FUSE_ROOT_ID

static inline struct mnt *mnt_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}
static inline struct fs_ctx mnt_ctx(fuse_req_t req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	return (struct fs_ctx){.uid = c->uid, .gid = c->gid, .umask = c->umask};
}

/* -ESTALE. */
int mnt_node(struct mnt *m, fuse_ino_t ino, struct fs_node *out) MUST_USE;
fuse_ino_t mnt_ino(struct mnt *m, struct fs_node node);
/* 1..255 bytes: the length; else -ENAMETOOLONG or -ENOENT. */
int mnt_name(const char *name) MUST_USE;
void mnt_stat(struct mnt *m, const struct fs_attr *a, struct stat *st);
double mnt_attr_timeout(const struct fs_attr *a);
/* Remember that ino (0: names only) changed at lsn. */
void mnt_changed(struct mnt *m, fuse_ino_t ino, uint64_t lsn);
void mnt_changed_names(struct mnt *m, uint64_t lsn);

/* err: 0 or -errno. */
void reply_err(fuse_req_t req, int err);
/* Hold the node once and give the kernel its entry; parent and name are where it was seen. */
void reply_entry(fuse_req_t req, struct fs_node dir, fuse_ino_t parent, const char *name, const struct fs_attr *a);
/* Fill the entry and hold its node.  -ESTALE.  mnt_entry_undo when the kernel did not get it. */
int mnt_entry(struct mnt *m, struct fs_node dir, fuse_ino_t parent, const char *name, const struct fs_attr *a,
	      struct fuse_entry_param *e) MUST_USE;
void mnt_entry_undo(struct mnt *m, const struct fs_attr *a);
void reply_attr(fuse_req_t req, const struct fs_attr *a);
/* Answer when lsn is durable: with `written` bytes if it is >= 0, else with 0.  Does not wait. */
void reply_durable(fuse_req_t req, uint64_t lsn, ssize_t written);
/* At least size bytes of this thread's own; NULL: no memory. */
void *mnt_scratch(size_t size) MUST_USE;
/* The same, for the answer of a request that brought no data: where it need not be copied from, if possible. */
void *reply_room(size_t size) MUST_USE;

/* The handlers, by file. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
	       unsigned flags);
void op_readlink(fuse_req_t req, fuse_ino_t ino);

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int valid, struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#define XATTR_CAPS "security.capability"
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t out,
			off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void dirs_release(struct mnt *m);

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
	      const void *in, size_t in_size, size_t out_size);

#endif
