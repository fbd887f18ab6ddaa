/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file system without FUSE: everything a POSIX file system keeps, in volumes that can be copied at one instant.
 * The mount, the ioctls, the command and the tests all drive kagefs through this header.
 *
 * Objects are named by value, never by pointer: struct fs_node = (volume id, inode number).  A node named by a caller may
 * be gone by the time the call runs; then the answer is -ESTALE.
 *
 * Errors: 0 or a count, or -errno as the system call of the same name would give.  Beside those: -ESTALE (node or volume
 * gone), -EROFS (read-only volume, store or mount; or poisoned after a failed flush), -EIO (bytes that do not verify; failed
 * disk), -ENOSPC, -ENOMEM.  A failed call has changed nothing, unless its comment says otherwise.
 *
 * Durability: a mutating call changes memory and the log's buffer and answers.  *lsn (may be NULL) gets the log position to
 * wait for if the caller wants it durable: fs_wait / fs_wait_async.  Waiting for one makes everything before it durable.
 *
 * Threads: all functions may be called from any number of threads; none may be called with a lock of this layer held (the
 * callbacks say what they hold).  Mutating calls may wait for log space (backpressure); reading never waits for a mutating
 * call's disk writes.
 *
 * Locks, outer to inner, and what they protect:  gate (a set commit's instant) > inode locks (two: by address) > row cache
 * shard, volume table, log, writer's connection.  Details in fs/volume/internal.h.
 *
 * Permissions are the kernel's business (default_permissions, POSIX ACLs kept as xattrs); this layer only enforces
 * read-only volumes and the writer of a recovery set.
 */
#ifndef FS_VOLUME_VOLUME_H
#define FS_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/base/cleanup.h"
#include "fs/kagefs_ioctl.h"

struct fs;
struct histogram;
struct io;
struct json;

struct fs_node {
	uint64_t vol; /* volume id */
	uint64_t ino;
};

/* Inode numbers below FS_INO_FIRST have a meaning; they exist in every volume and are never stored. */
#define FS_INO_SNAPSHOTS 2 /* the directory .snapshots of the volume */
#define FS_INO_FIRST 16	   /* the first volume's root */
#define FS_NAME_MAX 255
#define FS_SYMLINK_MAX 4095
#define FS_SNAPSHOTS_NAME ".snapshots"

struct fs_attr {
	struct fs_node node;
	uint32_t mode; /* S_IFMT and permissions */
	uint32_t uid, gid, nlink;
	uint64_t size, rdev, blocks_512;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

/* On whose behalf.  NULL: the file system itself (tests, root). */
struct fs_ctx {
	uint32_t uid, gid;
	uint32_t umask; /* for mknod, mkdir, create; ignored where a default ACL decides */
};

/* ---- the store ------------------------------------------------------------------------------------------------ */

struct fs_format_options {
	uint32_t block_size; /* 0: default */
	int codec;	     /* enum store_codec; -1: default */
	int hash_algo;	     /* enum hash_algo; 0: default */
	uint64_t log_segment_bytes; /* 0: default */
	uint32_t root_uid, root_gid, root_mode; /* of the first volume's root; mode 0: 0755 */
	uint8_t uuid[16];	/* all zero: random */
};
#define FS_BLOCK_SIZE_DEFAULT 65536
#define FS_MEMORY_DEFAULT (512ull << 20)

/* What opening for repair found; see fs/volume/repair.c for what is mended. */
struct fs_repair {
	bool verify_blocks; /* read and verify every block, not only those that the rows show to be wrong */
	void (*report)(void *arg, const char *text); /* one line for each thing mended; may be NULL */
	void *arg;
	uint64_t mended, lost; /* out: things mended; blocks that files name and nothing holds any more */
};

struct fs_open_options {
	bool read_only;
	uint64_t memory_bytes;	 /* bound for all memory; 0: FS_MEMORY_DEFAULT */
	uint64_t front_bytes;	 /* of that, what the caller keeps for itself: request buffers */
	uint64_t log_bytes;	 /* most the log may take; 0: default (a sixteenth of the free space, 64 MiB to 4 GiB) */
	uint32_t dirty_age_ms;	 /* 0: default (5000); UINT32_MAX: never by itself */
	unsigned workers;	 /* hashing and compressing; 0: as many as CPUs */
	uint64_t pack_bytes;	 /* size of a pack; 0: default (256 MiB) */
	uint64_t compact_after;	 /* bytes of dead blocks after which sparse packs are searched for; 0: default (64 MiB) */
	struct fs_repair *repair; /* mend the store first; NULL: no.  The database as it was is kept as meta.db.before-repair */
	bool manual;		 /* tests: no apply, reclaim or checkpoint by itself, only through fs_run_background */
	/* Called from threads of this layer that hold no lock, and may take its time: the kernel's dirty pages of every inode of
	 * these n volumes with writable opens or mappings come in through fs_write; drop: and the kernel keeps no page of them.  May
	 * be NULL. */
	void (*push_out)(void *arg, const uint64_t *vols, unsigned n, bool drop);
	void *arg;
};

/* Make a store in an empty directory.  -EEXIST not empty or already a store. */
int fs_format(struct io *io, const struct fs_format_options *o) MUST_USE;
/* Lock, recover, replay.  io is borrowed.  -EBUSY locked (holder, if not NULL, gets who); -ENOENT no store here;
 * -EPROTONOSUPPORT newer format; -EUCLEAN damaged. */
int fs_open(struct io *io, const struct fs_open_options *o, char *holder, size_t holder_size, struct fs **out) MUST_USE;
/* Everything durable, store closed.  fs is freed in any case; the error says what was not made durable. */
int fs_close(struct fs *fs) MUST_USE;
/* Free without writing anything more: power-cut tests, and a store that was poisoned. */
void fs_abandon(struct fs *fs);

/* Everything done before is durable. */
int fs_sync(struct fs *fs) MUST_USE;
int fs_wait(struct fs *fs, uint64_t lsn) MUST_USE;
/* done is called once, no lock held, from any thread that waits so or from the log's flusher; it must not wait or call
 * fs_wait_async.  Hold no lock: this thread may do the flush itself. */
struct fs_waiter {
	uint64_t opaque[3];
	void (*done)(struct fs_waiter *w, int err);
};
void fs_wait_async(struct fs *fs, uint64_t lsn, struct fs_waiter *w);

/* ---- names ---------------------------------------------------------------------------------------------------- */

struct fs_node fs_root(struct fs *fs);
/* name: 1..255 bytes, no NUL or '/'; len in bytes.  "." and ".." are not understood here.  Crosses into volumes and finds
 * .snapshots.  -ENOENT. */
int fs_lookup(struct fs *fs, struct fs_node dir, const char *name, size_t len, struct fs_attr *out) MUST_USE;

/* mode: S_IFMT and permissions before umask.  S_IFLNK: target is the text; else NULL.  rdev for devices. */
int fs_mknod(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, uint32_t mode,
	     uint64_t rdev, const char *target, struct fs_attr *out, uint64_t *lsn) MUST_USE;
/* A file without a name (O_TMPFILE): nlink 0; gets a name by fs_link; reaped when the last hold goes. */
int fs_tmpfile(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, uint32_t mode, struct fs_attr *out, uint64_t *lsn) MUST_USE;
/* -EXDEV across volumes, -EPERM directories, -EMLINK. */
int fs_link(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, struct fs_node dir, const char *name, size_t len,
	    struct fs_attr *out, uint64_t *lsn) MUST_USE;
/* gone (may be NULL): the node that lost a name. */
int fs_unlink(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, struct fs_node *gone,
	      uint64_t *lsn) MUST_USE;
/* -ENOTEMPTY; -EBUSY the name of a volume (delete the volume instead). */
int fs_rmdir(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, struct fs_node *gone,
	     uint64_t *lsn) MUST_USE;
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE of linux/fs.h.  -EXDEV across volumes, -EINVAL into itself. */
int fs_rename(struct fs *fs, const struct fs_ctx *ctx, struct fs_node from_dir, const char *from, size_t from_len,
	      struct fs_node to_dir, const char *to, size_t to_len, unsigned flags, struct fs_node *replaced, uint64_t *lsn) MUST_USE;
/* buf gets at most size bytes, no NUL; returns the length. */
int fs_readlink(struct fs *fs, struct fs_node node, char *buf, size_t size) MUST_USE;

/* Names after `after` in byte order (after_len 0: from the start), at most max; "." and ".." are not given.  A non-zero
 * answer of cb stops and is returned.  attr is NULL unless with_attr.  cb holds no lock.  .snapshots of a volume's root is
 * not listed; listing {vol, FS_INO_SNAPSHOTS} gives the snapshots. */
int fs_readdir(struct fs *fs, struct fs_node dir, const char *after, size_t after_len, unsigned max, bool with_attr,
	       int (*cb)(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr),
	       void *arg) MUST_USE;

/* ---- attributes ------------------------------------------------------------------------------------------------ */

int fs_getattr(struct fs *fs, struct fs_node node, struct fs_attr *out) MUST_USE;
enum fs_set {
	FS_SET_MODE = 1 << 0, /* permission bits; updates a POSIX ACL's mask */
	FS_SET_UID = 1 << 1,
	FS_SET_GID = 1 << 2,
	FS_SET_SIZE = 1 << 3,
	FS_SET_ATIME = 1 << 4,
	FS_SET_MTIME = 1 << 5,
	FS_SET_CTIME = 1 << 6,
	FS_SET_BTIME = 1 << 7,
	FS_SET_KILL_SUID = 1 << 8, /* drop set-user-id and set-group-id as write and chown do */
};
int fs_setattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const struct fs_attr *a, unsigned mask,
	       struct fs_attr *out, uint64_t *lsn) MUST_USE;

/* Any namespace; value up to 64 KiB.  flags: XATTR_CREATE, XATTR_REPLACE.  system.posix_acl_*: validated, and the access
 * ACL changes the mode.  -ENODATA, -EEXIST, -E2BIG, -ERANGE. */
int fs_setxattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const char *name, const void *value, size_t len,
		int flags, uint64_t *lsn) MUST_USE;
/* size 0: only the length is returned. */
ssize_t fs_getxattr(struct fs *fs, struct fs_node node, const char *name, void *buf, size_t size) MUST_USE;
ssize_t fs_listxattr(struct fs *fs, struct fs_node node, char *buf, size_t size) MUST_USE;
int fs_removexattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const char *name, uint64_t *lsn) MUST_USE;

/* ---- content ---------------------------------------------------------------------------------------------------- */

/* Keep a node that loses its last name (open file, kernel's look-up count).  -ESTALE.  Each hold is dropped once. */
int fs_hold(struct fs *fs, struct fs_node node) MUST_USE;
void fs_drop(struct fs *fs, struct fs_node node, uint64_t n);

/* Short only at the end of file.  -EISDIR, -EIO. */
ssize_t fs_read(struct fs *fs, struct fs_node node, void *buf, size_t len, uint64_t off) MUST_USE;
enum fs_write_flags { FS_WRITE_APPEND = 1 << 0, FS_WRITE_KILL_SUID = 1 << 1 };
/* len at most FS_WRITE_MAX.  All or nothing.  With FS_WRITE_APPEND off is ignored.  -EFBIG. */
#define FS_WRITE_MAX (1u << 20)
ssize_t fs_write(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const void *buf, size_t len, uint64_t off,
		 unsigned flags, uint64_t *lsn) MUST_USE;
/* mode: FALLOC_FL_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE of linux/falloc.h in their legal combinations; 0 allocates (stays a
 * hole: space is reserved when bytes arrive).  -EOPNOTSUPP for the others. */
int fs_fallocate(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, int mode, uint64_t off, uint64_t len,
		 uint64_t *lsn) MUST_USE;
/* whence: SEEK_DATA or SEEK_HOLE.  -ENXIO.  Returns the offset. */
int64_t fs_seek(struct fs *fs, struct fs_node node, uint64_t off, int whence) MUST_USE;
/* copy_file_range: shares whole blocks, copies ragged ends.  May copy less than asked; returns the bytes, 0 at the source's
 * end.  -EINVAL overlapping ranges of one file. */
int64_t fs_clone_range(struct fs *fs, const struct fs_ctx *ctx, struct fs_node src, uint64_t src_off, struct fs_node dst,
		       uint64_t dst_off, uint64_t len, uint64_t *lsn) MUST_USE;
struct fs_statfs {
	uint64_t block_size, blocks, blocks_free, blocks_avail, files, files_free, name_max;
};
int fs_statfs(struct fs *fs, struct fs_statfs *out) MUST_USE;

/* ---- node ids: numbers for st_ino and the kernel ------------------------------------------------------------------ */

/* Unique in the mount; stable while the volume lives. */
uint64_t fs_node_number(struct fs *fs, struct fs_node node);
/* -ESTALE unknown. */
int fs_node_by_number(struct fs *fs, uint64_t number, struct fs_node *out) MUST_USE;
/* Changes when a number's slot is reused by another volume. */
uint64_t fs_node_generation(struct fs *fs, struct fs_node node);

/* ---- volumes, snapshots and sets: the ioctls, without the ioctl ---------------------------------------------------- */

/* Each takes and fills the ABI struct as fs/kagefs_ioctl.h says, and answers with its errors.  Rights are the caller's
 * business (fs_volume_owner helps); reserved words and unknown flags are checked here. */
int fs_ioc_info(struct fs *fs, struct kagefs_ioc_info *a) MUST_USE;
int fs_ioc_where(struct fs *fs, struct fs_node node, struct kagefs_ioc_where *a) MUST_USE;
int fs_ioc_volume_create(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, struct kagefs_ioc_volume_create *a) MUST_USE;
int fs_ioc_volume_delete(struct fs *fs, struct kagefs_ioc_volume_delete *a) MUST_USE;
int fs_ioc_volume_get(struct fs *fs, struct kagefs_ioc_volume_get *a) MUST_USE;
int fs_ioc_volume_set(struct fs *fs, struct kagefs_ioc_volume_set *a) MUST_USE;
int fs_ioc_volume_list(struct fs *fs, struct kagefs_ioc_volume_list *a) MUST_USE;
int fs_ioc_rollback(struct fs *fs, struct kagefs_ioc_rollback *a) MUST_USE;
int fs_ioc_set_prepare(struct fs *fs, struct kagefs_ioc_set_prepare *a) MUST_USE;
int fs_ioc_set_commit(struct fs *fs, struct kagefs_ioc_set_commit *a) MUST_USE;
int fs_ioc_set_seal(struct fs *fs, struct kagefs_ioc_set_seal *a) MUST_USE;
int fs_ioc_set_delete(struct fs *fs, struct kagefs_ioc_set_delete *a) MUST_USE;
int fs_ioc_set_update(struct fs *fs, struct kagefs_ioc_set_update *a) MUST_USE;
int fs_ioc_set_get(struct fs *fs, struct kagefs_ioc_set_get *a) MUST_USE;
int fs_ioc_set_list(struct fs *fs, struct kagefs_ioc_set_list *a) MUST_USE;
/* Counters, as members of the JSON object that is open. */
void fs_stats(struct fs *fs, struct json *j);
/* How long things of the engine took, in nanoseconds, i from 0 on; NULL: there are no more. */
const struct histogram *fs_times(struct fs *fs, unsigned i, const char **name);
/* uid of the volume's root directory.  -ESTALE. */
int fs_volume_owner(struct fs *fs, uint64_t vol, uint32_t *uid) MUST_USE;
/* Root node of a volume.  -ESTALE. */
int fs_volume_root(struct fs *fs, uint64_t vol, struct fs_node *out) MUST_USE;

/* ---- check and background ------------------------------------------------------------------------------------------ */

struct fs_check_options {
	bool verify_blocks; /* read and verify every block */
	bool drain;	    /* apply everything and finish reclaim first, then check the idle invariants too */
	void (*report)(void *arg, const char *number, const char *text);
	void *arg;
};
/* Returns the number of violations, or -errno. */
int fs_check(struct fs *fs, const struct fs_check_options *o) MUST_USE;

enum fs_background { FS_BG_APPLY = 1, FS_BG_RECLAIM = 2, FS_BG_CHECKPOINT = 4 };
/* Do one step of each kind asked for (apply: everything durable or at most a batch).  1: something was done.  For tests with
 * `manual`, and for draining. */
int fs_run_background(struct fs *fs, unsigned what) MUST_USE;
/* Apply and reclaim until nothing is left to do. */
int fs_drain(struct fs *fs) MUST_USE;

#endif
