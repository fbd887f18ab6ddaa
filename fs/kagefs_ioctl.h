/* SPDX-License-Identifier: MIT */
/*
 * kagefs ioctl ABI, version 1: volumes, snapshots and shadow copy sets.
 *
 * The whole contract between the file system and programs that steer it (the kagefs command, kagefs-fsrvpd, yours).
 * This header stands alone; copy it.
 *
 * Rules for every command
 *   descriptor   any open file or directory of the mount, unless the command says "directory".  The calls act on the
 *                whole mount; only KAGEFS_IOC_WHERE and KAGEFS_IOC_VOLUME_CREATE look at which inode it is.
 *   who may      root, or the user who owns the root directory of every volume named by the call.  Otherwise -EPERM.
 *   flags        first word of each struct; unknown bits are refused with -EINVAL.
 *   reserved     must be zero on the way in (-EINVAL otherwise) and is zero on the way out.
 *   strings      NUL-terminated inside their array (-EINVAL otherwise).
 *   layout       fixed width, naturally aligned, no pointers: the same for 32-bit and 64-bit callers.  Native byte order.
 *   blocking     no command waits longer than its wait_ms (more than KAGEFS_WAIT_MS_MAX counts as that); the ones without answer
 *                after at most one flush of the log.
 *   durability   a command that changes something returns 0 only after the change is durable.
 *   errors       beside those listed: -EFAULT, -EPERM, -EINVAL, -EROFS (store is mounted read-only or is poisoned by a
 *                failed flush), -ENOTTY (descriptor is not on kagefs, or an unknown number).
 *
 * Volumes are named by id.  Ids are never reused within a store.  A snapshot is a volume; it appears at
 * <root of the volume it was taken of>/.snapshots/<name>, and after a rollback of that volume in the one that took its place.
 */
#ifndef KAGEFS_IOCTL_H
#define KAGEFS_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KAGEFS_ABI_VERSION 1

#define KAGEFS_NAME_MAX 255	    /* bytes in a name, without its NUL */
#define KAGEFS_SET_VOLUMES_MAX 64   /* volumes in one set, as in VSS */
#define KAGEFS_SET_RECORD_MAX 8192  /* bytes of the caller's opaque record */
#define KAGEFS_OWNER_MAX 31	    /* bytes in an owner tag, without its NUL */
#define KAGEFS_WAIT_MS_MAX 1000
#define KAGEFS_LIST_MAX 32	    /* entries one listing call returns at most */

struct kagefs_uuid {
	__u8 b[16]; /* RFC 4122 order, as printed */
};

/* ---- volumes ------------------------------------------------------------------------------------------------- */

/* struct kagefs_volume_info.flags */
#define KAGEFS_VOL_READ_ONLY (1u << 0)
#define KAGEFS_VOL_SNAPSHOT (1u << 1) /* lives in a .snapshots */
#define KAGEFS_VOL_SEALED (1u << 2)   /* read-only for good: the flag cannot be cleared any more */
#define KAGEFS_VOL_RECOVERY (1u << 3) /* only the set's writer_uid and root may write, until the set is sealed */

struct kagefs_volume_info {
	__u32 flags;
	__u32 reserved0;
	__u64 id;
	__u64 origin;	  /* id of the volume this one began as a copy of; 0: none.  May be gone */
	__u64 created_ns; /* CLOCK_REALTIME at birth, i.e. the instant a snapshot shows */
	__u64 root_ino;	  /* st_ino of its root directory in this mount */
	struct kagefs_uuid uuid;
	struct kagefs_uuid set; /* set it was committed in; zero: none */
	char name[KAGEFS_NAME_MAX + 1]; /* name in .snapshots, or the last known name of a bound volume */
	__u64 place_volume; /* where a volume is bound: in which other one; 0: the mount's root, or a snapshot */
	__u64 place_ino;    /* and in which of its directories, as st_ino */
	__u64 reserved[2];
};

/* KAGEFS_IOC_INFO: what is mounted.  Anyone may ask.  Read-only, idempotent. */
struct kagefs_ioc_info {
	__u32 flags;	   /* in: 0 */
	__u32 abi_version; /* out */
	__u32 block_size;  /* out, bytes */
	__u32 store_flags; /* out: KAGEFS_STORE_* */
	__u64 root_volume; /* out: id of the volume at the mount's root */
	__u64 epoch;	   /* out: grows by one with every snapshot or set commit */
	struct kagefs_uuid store_uuid;
	char version[32]; /* out: of the program that serves the mount */
	__u64 reserved[4];
};
#define KAGEFS_STORE_READ_ONLY (1u << 0) /* mounted read-only */
#define KAGEFS_STORE_POISONED (1u << 1)	 /* a flush failed: nothing is accepted any more; unmount and mount again */
#define KAGEFS_STORE_FULL (1u << 2)	 /* writes get ENOSPC; reading and deleting work */

/* KAGEFS_IOC_WHERE: in which volume the descriptor's inode lies.  Anyone may ask.  Read-only, idempotent.
 * A caller finds the volume's root path by walking up from the path it opened until is_root says 1. */
struct kagefs_ioc_where {
	__u32 flags;   /* in: 0 */
	__u32 is_root; /* out: 1 when the inode is the volume's root directory */
	__u64 ino;     /* out: st_ino */
	struct kagefs_volume_info volume; /* out */
	__u64 reserved[4];
};

/* KAGEFS_IOC_VOLUME_CREATE: make an empty volume `name` in the directory that the descriptor names.
 * -EEXIST, -ENOTDIR, -ENOSPC; -EROFS in a read-only volume; -EOPNOTSUPP inside .snapshots. */
struct kagefs_ioc_volume_create {
	__u32 flags; /* in: 0 */
	__u32 mode;  /* in: permission bits of the new root directory */
	char name[KAGEFS_NAME_MAX + 1];
	struct kagefs_volume_info volume; /* out */
	__u64 reserved[4];
};

/* KAGEFS_IOC_VOLUME_DELETE: delete a volume or snapshot and everything in it.  Answers at once, space returns later;
 * open files in it answer ESTALE from then on.  Living snapshots of it stay whole.
 * -ENOENT no such volume (so a repeated call may be treated as success); -EBUSY the mount's root, or it has volumes bound
 * below it that are not part of it; -EBUSY member of a set (delete the set, or give KAGEFS_DELETE_FORCE). */
struct kagefs_ioc_volume_delete {
	__u32 flags; /* in: KAGEFS_DELETE_* */
	__u32 reserved0;
	__u64 volume;
	__u64 reserved[4];
};
#define KAGEFS_DELETE_FORCE (1u << 0)

/* KAGEFS_IOC_VOLUME_GET: one volume by id.  -ENOENT. */
struct kagefs_ioc_volume_get {
	__u32 flags; /* in: 0 */
	__u32 reserved0;
	__u64 volume;
	struct kagefs_volume_info info; /* out */
	__u64 reserved[4];
};

/* KAGEFS_IOC_VOLUME_SET: set or clear KAGEFS_VOL_READ_ONLY.  Making it read-only also stops open writable handles and
 * shared mappings (-EROFS on their next write; what mappings held at the first call is in).  -EPERM to clear it on a sealed
 * volume; -EINPROGRESS: not done within wait_ms, call again.  Idempotent. */
struct kagefs_ioc_volume_set {
	__u32 flags; /* in: KAGEFS_VOL_READ_ONLY or 0: the new value */
	__u32 mask;  /* in: KAGEFS_VOL_READ_ONLY: which bits of flags count */
	__u64 volume;
	__u32 wait_ms;
	__u32 reserved0;
	__u64 reserved[4];
};

/* KAGEFS_IOC_VOLUME_LIST: volumes in id order, after `after` (0 at first; then the last id got).
 * container != 0: only what that volume's .snapshots shows; -ENOENT: there is no such volume.  count == 0: end. */
struct kagefs_ioc_volume_list {
	__u32 flags; /* in: KAGEFS_LIST_BOUND or 0 */
	__u32 count; /* out: entries filled */
	__u64 after;
	__u64 container;
	__u64 reserved[4];
	struct kagefs_volume_info volumes[KAGEFS_LIST_MAX]; /* out */
};
#define KAGEFS_LIST_BOUND (1u << 0) /* no snapshots */

/* KAGEFS_IOC_ROLLBACK: put a writable copy of `snapshot` where `volume` is bound.  What it replaced stays as a read-only
 * snapshot of the new volume, under the name returned; what mappings held at the first call is in it.  -ENOENT; -EINVAL
 * snapshot is not of this volume; -EINPROGRESS: nothing done within wait_ms, call again. */
struct kagefs_ioc_rollback {
	__u32 flags; /* in: 0 */
	__u32 wait_ms;
	__u64 volume;
	__u64 snapshot;
	__u64 new_volume;		      /* out: id now bound at the place */
	char kept_name[KAGEFS_NAME_MAX + 1]; /* out: name in .snapshots of what was replaced */
	__u64 reserved[4];
};

/* KAGEFS_IOC_SYNC: everything done before the call is durable when it returns.  Anyone may ask. */
struct kagefs_ioc_sync {
	__u32 flags; /* in: 0 */
	__u32 reserved0;
	__u64 reserved[4];
};

/* ---- sets ---------------------------------------------------------------------------------------------------- */

/*
 * A set is one to 64 volumes copied at one instant, whole or nothing.  Code words, not small numbers: they license
 * deletion.
 *
 *   (none) --PREPARE--> PREPARING --flushed--> PREPARED --COMMIT--> COMMITTING --durable--> COMMITTED --SEAL--> SEALED
 *      \------------------------COMMIT with volumes--------------------^   \--deadline, failure--> PREPARED (or none)
 *
 * PREPARING, PREPARED and COMMITTING do not survive the file system's restart: after it the set is gone, whole.
 * COMMITTED and SEALED do.  DELETE works in every state.  A commit that is not durable at its deadline is revoked by a
 * record of its own, also when the file system dies in between: nothing of it is left.
 */
#define KAGEFS_SET_PREPARING 0x50524547u
#define KAGEFS_SET_PREPARED 0x50524544u
#define KAGEFS_SET_COMMITTING 0x434d4947u
#define KAGEFS_SET_COMMITTED 0x434d4944u
#define KAGEFS_SET_SEALED 0x5345414cu

/* struct kagefs_set_info.flags, and the flags a set is prepared or committed with */
#define KAGEFS_SET_WRITABLE (1u << 0) /* copies are writable until sealed (auto-recovery); else read-only from birth */
#define KAGEFS_SET_KEEP (1u << 1)     /* DELETE without KAGEFS_DELETE_FORCE answers -EBUSY; changed by UPDATE */
#define KAGEFS_SET_ANY_WRITER (1u << 2) /* with WRITABLE: not only writer_uid may write */

struct kagefs_set_info {
	__u32 flags;
	__u32 state;
	struct kagefs_uuid uuid;
	char owner[KAGEFS_OWNER_MAX + 1]; /* who made it, e.g. "fsrvp" or "cli"; programs touch only their own */
	__u64 created_ns;
	__u64 committed_ns;   /* 0 before */
	__u64 commit_gate_ns; /* how long writers were held at the instant; 0 before */
	__u64 commit_ns;      /* from the commit call until it was durable; 0 before */
	__u32 writer_uid;     /* who may write into the copies before the seal (beside root), see KAGEFS_SET_WRITABLE */
	__u32 nvolumes;
	__u64 record_version; /* +1 with each change of the record */
	__u32 record_len;
	__u32 reserved0;
	__u64 reserved[4];
};

struct kagefs_set_member {
	__u64 volume;	/* what was, or will be, copied */
	__u64 snapshot; /* its copy; 0 before the commit; stays when the copy was deleted on its own */
	struct kagefs_uuid snapshot_uuid;
	__u64 reserved;
};

/* KAGEFS_IOC_SET_PREPARE: announce a set (uuid chosen by the caller, not zero) and start flushing, so that the commit is
 * short: what shared mappings hold is written, and all of it made durable.  Called again with the same uuid: replaces volumes,
 * flags and record, and polls; other volumes are flushed anew.  Out: state PREPARING or PREPARED.  -EINPROGRESS its commit
 * goes on; -ENOENT a volume does not exist; -EEXIST the set is committed already; -EINVAL no or a doubled volume, or > 64. */
struct kagefs_ioc_set_prepare {
	__u32 flags; /* in: KAGEFS_SET_WRITABLE, _KEEP, _ANY_WRITER */
	__u32 state; /* out */
	struct kagefs_uuid uuid;
	char owner[KAGEFS_OWNER_MAX + 1];
	__u32 writer_uid;
	__u32 wait_ms;
	__u32 nvolumes;
	__u32 record_len;
	__u64 volumes[KAGEFS_SET_VOLUMES_MAX];
	__u64 reserved[4];
	__u8 record[KAGEFS_SET_RECORD_MAX];
};

/* KAGEFS_IOC_SET_COMMIT: copy all volumes of the set at one instant, with what shared mappings held at the first call.
 * Either after PREPARE (nvolumes 0: flags, owner, writer are those of PREPARE and ignored here), or on its own with
 * everything filled in.  name: of the copies in
 * .snapshots; empty: @GMT-YYYY.MM.DD-HH.MM.SS of the instant, or the next second that is free in every volume of the set.
 * deadline_ms: from the first call; not durable by then: revoked, -ETIME, state is as before the call.
 * Out: state COMMITTED, members, name; or -EINPROGRESS: not done and durable within wait_ms; call again with the same uuid and
 * nvolumes 0: name, record and deadline stay those of the first call (the answer for a set already COMMITTED is 0 again).
 * Until then it may be that nothing is copied yet, and without further calls nothing will be.
 * -ENOENT no such set or volume; -EEXIST name taken, or with nvolumes != 0 the uuid is in use; -ENOSPC. */
struct kagefs_ioc_set_commit {
	__u32 flags; /* in: as PREPARE */
	__u32 state; /* out */
	struct kagefs_uuid uuid; /* in: zero with nvolumes != 0: chosen by the file system; out */
	char owner[KAGEFS_OWNER_MAX + 1];
	__u32 writer_uid;
	__u32 wait_ms;
	__u32 deadline_ms; /* 1 .. 180,000 */
	__u32 nvolumes;
	__u32 record_len; /* with nvolumes 0: replaces PREPARE's record unless 0 */
	__u32 reserved0;
	char name[KAGEFS_NAME_MAX + 1]; /* in, out */
	__u64 reserved[4];
	union {
		__u64 volumes[KAGEFS_SET_VOLUMES_MAX];			 /* in */
		struct kagefs_set_member members[KAGEFS_SET_VOLUMES_MAX]; /* out */
	};
	__u8 record[KAGEFS_SET_RECORD_MAX];
};

/* KAGEFS_IOC_SET_SEAL: make all copies read-only for good; open handles and mappings included (-EROFS on their next
 * write; what they wrote before is in).  record_len != 0 replaces the record in the same log record.
 * -EINPROGRESS as above; -ENOENT; -EINVAL not COMMITTED or SEALED.  Idempotent. */
struct kagefs_ioc_set_seal {
	__u32 flags; /* in: 0 */
	__u32 wait_ms;
	struct kagefs_uuid uuid;
	__u32 record_len;
	__u32 reserved0;
	__u64 reserved[4];
	__u8 record[KAGEFS_SET_RECORD_MAX];
};

/* KAGEFS_IOC_SET_DELETE: delete the set and all its copies in one record.  -ENOENT (a repeated call may be treated as
 * success); -EBUSY it has KAGEFS_SET_KEEP and KAGEFS_DELETE_FORCE is not given. */
struct kagefs_ioc_set_delete {
	__u32 flags; /* in: KAGEFS_DELETE_* , KAGEFS_DELETE_DETACH */
	__u32 reserved0;
	struct kagefs_uuid uuid;
	__u64 reserved[4];
};
#define KAGEFS_DELETE_DETACH (1u << 1) /* forget the set but keep the copies as ordinary snapshots (sealed) */

/* KAGEFS_IOC_SET_UPDATE: replace the record and the KEEP flag.  expect_version: record_version the caller saw, 0 = any;
 * -EAGAIN when it has changed since.  -ENOENT.  Works in PREPARED, COMMITTED and SEALED. */
struct kagefs_ioc_set_update {
	__u32 flags; /* in: new value of KAGEFS_SET_KEEP */
	__u32 mask;  /* in: KAGEFS_SET_KEEP or 0 */
	struct kagefs_uuid uuid;
	__u64 expect_version;
	__u32 record_len; /* 0: leave the record */
	__u32 reserved0;
	__u64 reserved[4];
	__u8 record[KAGEFS_SET_RECORD_MAX];
};

/* KAGEFS_IOC_SET_GET: one set with members and record.  -ENOENT. */
struct kagefs_ioc_set_get {
	__u32 flags; /* in: 0 */
	__u32 reserved0;
	struct kagefs_uuid uuid;
	struct kagefs_set_info info;				  /* out */
	struct kagefs_set_member members[KAGEFS_SET_VOLUMES_MAX]; /* out: info.nvolumes of them */
	__u8 record[KAGEFS_SET_RECORD_MAX];			  /* out: info.record_len bytes */
	__u64 reserved[4];
};

/* KAGEFS_IOC_SET_LIST: sets in creation order; after: zero at first, then the last uuid got (-ENOENT when that set is
 * gone meanwhile: start again).  count == 0: end. */
struct kagefs_ioc_set_list {
	__u32 flags; /* in: 0 */
	__u32 count; /* out */
	struct kagefs_uuid after;
	__u64 reserved[4];
	struct kagefs_set_info sets[KAGEFS_LIST_MAX]; /* out */
};

/* KAGEFS_IOC_STATS: counters and times as one JSON object ("schema_version": 2), NUL-terminated.  Anyone may ask.
 * A higher schema_version may give a member another meaning; the same one only adds members. */
struct kagefs_ioc_stats {
	__u32 flags; /* in: 0 */
	__u32 len;   /* out: bytes without the NUL */
	__u64 reserved[3];
	char json[12288]; /* out */
};

/* KAGEFS_IOC_TIMES: how long things took since the mount, as distributions: each kind of request, then set commits, how long
 * they held writers, applying and so on.  Asked for by index, from 0 on; -ENOENT: there are no more.  Anyone may ask.
 * bucket[b] counts those whose nanoseconds lie in [low(b), low(b + 1)), low(b) = b < 4 ? b : (4 + b % 4) << (b / 4 - 1); the
 * last bucket all that took longer. */
#define KAGEFS_TIMES_BUCKETS 128
struct kagefs_ioc_times {
	__u32 flags; /* in: 0 */
	__u32 index; /* in */
	char name[32]; /* out */
	__u64 sum_ns, max_ns; /* out */
	__u64 bucket[KAGEFS_TIMES_BUCKETS]; /* out */
	__u64 reserved[4];
};

/* ---- numbers: one table, none reused ------------------------------------------------------------------------- */

#define KAGEFS_IOC_MAGIC 0xCA

#define KAGEFS_IOC_INFO _IOWR(KAGEFS_IOC_MAGIC, 1, struct kagefs_ioc_info)
#define KAGEFS_IOC_WHERE _IOWR(KAGEFS_IOC_MAGIC, 2, struct kagefs_ioc_where)
#define KAGEFS_IOC_SYNC _IOWR(KAGEFS_IOC_MAGIC, 3, struct kagefs_ioc_sync)
#define KAGEFS_IOC_STATS _IOWR(KAGEFS_IOC_MAGIC, 4, struct kagefs_ioc_stats)
#define KAGEFS_IOC_TIMES _IOWR(KAGEFS_IOC_MAGIC, 5, struct kagefs_ioc_times)
#define KAGEFS_IOC_VOLUME_CREATE _IOWR(KAGEFS_IOC_MAGIC, 16, struct kagefs_ioc_volume_create)
#define KAGEFS_IOC_VOLUME_DELETE _IOWR(KAGEFS_IOC_MAGIC, 17, struct kagefs_ioc_volume_delete)
#define KAGEFS_IOC_VOLUME_GET _IOWR(KAGEFS_IOC_MAGIC, 18, struct kagefs_ioc_volume_get)
#define KAGEFS_IOC_VOLUME_SET _IOWR(KAGEFS_IOC_MAGIC, 19, struct kagefs_ioc_volume_set)
#define KAGEFS_IOC_VOLUME_LIST _IOWR(KAGEFS_IOC_MAGIC, 20, struct kagefs_ioc_volume_list)
#define KAGEFS_IOC_ROLLBACK _IOWR(KAGEFS_IOC_MAGIC, 21, struct kagefs_ioc_rollback)
#define KAGEFS_IOC_SET_PREPARE _IOWR(KAGEFS_IOC_MAGIC, 32, struct kagefs_ioc_set_prepare)
#define KAGEFS_IOC_SET_COMMIT _IOWR(KAGEFS_IOC_MAGIC, 33, struct kagefs_ioc_set_commit)
#define KAGEFS_IOC_SET_SEAL _IOWR(KAGEFS_IOC_MAGIC, 34, struct kagefs_ioc_set_seal)
#define KAGEFS_IOC_SET_DELETE _IOWR(KAGEFS_IOC_MAGIC, 35, struct kagefs_ioc_set_delete)
#define KAGEFS_IOC_SET_UPDATE _IOWR(KAGEFS_IOC_MAGIC, 36, struct kagefs_ioc_set_update)
#define KAGEFS_IOC_SET_GET _IOWR(KAGEFS_IOC_MAGIC, 37, struct kagefs_ioc_set_get)
#define KAGEFS_IOC_SET_LIST _IOWR(KAGEFS_IOC_MAGIC, 38, struct kagefs_ioc_set_list)

/* An ioctl number carries 14 bits of size, and FUSE moves no more: every struct stays below 16,384 bytes. */
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(struct kagefs_volume_info) == 360, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_info) == 112, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_where) == 408, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_sync) == 40, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_stats) == 12320, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_times) == 1112, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_volume_create) == 656, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_volume_delete) == 48, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_volume_get) == 408, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_volume_set) == 56, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_volume_list) == 11576, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_rollback) == 320, "ABI");
_Static_assert(sizeof(struct kagefs_set_info) == 144, "ABI");
_Static_assert(sizeof(struct kagefs_set_member) == 40, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_prepare) == 8808, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_commit) == 11120, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_seal) == 8256, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_delete) == 56, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_update) == 8264, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_get) == 10952, "ABI");
_Static_assert(sizeof(struct kagefs_ioc_set_list) == 4664, "ABI");
#endif

#endif
