/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Versioned metadata in SQLite: rows, lines, pins, references, reclaim.  Knows no block file, no log record and no cache.
 * The only layer that includes sqlite3.h; SQLite reaches the disk through a VFS over fs/base/io.
 *
 * The database always holds the state of the store at one log position (meta_state.applied_lsn): fs/volume applies log
 * records strictly in order, so rows are only ever written at the present epoch E, and the rules R1..R11 of
 * docs/metadata.md need no case for late data (R12 is met by the order of application).
 *
 * One writer: functions taking struct meta belong to one thread at a time (fs/volume's apply thread) and, unless said
 * otherwise, must run between meta_begin and meta_commit.  Readers: struct meta_reader, each used by one thread at a time,
 * any number; a reader sees what is committed and never blocks the writer.  Read transactions are kept short.
 *
 * Errors: 0 or count, or -errno; -ENOENT not there; -EUCLEAN the database contradicts itself (logged once, with the table and key);
 * -ENOSPC disk full; -EIO.  After an error of a writer call inside a transaction the caller must meta_rollback; nothing of
 * the transaction is kept.
 */
#ifndef FS_META_META_H
#define FS_META_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/base/hash.h"

struct io;
struct meta;
struct meta_reader;

#define META_LEAF_SLOTS 64
#define META_NAME_MAX 255
#define META_XATTR_MAX 65536
#define META_TYPE_VOLUME 0x20 /* entry.type: a volume is bound here */
#define META_EPOCH_MAX INT64_MAX

/* ---- open and close ------------------------------------------------------------------------------------------ */

struct meta_params {
	uint8_t uuid[16];
	uint32_t block_size;
	uint32_t hash_algo;
	uint32_t codec;
	uint64_t created_ns;
};
struct meta_state {
	uint64_t epoch, applied_lsn, next_ino, next_vol, next_block;
	uint64_t last_pack; /* highest that a block ever lay in: what is deleted later may still name it */
};

/* Create meta.db with all of schema/ in it, durable when it returns.  -EEXIST. */
int meta_format(struct io *io, const struct meta_params *p) MUST_USE;
/* Recover, migrate to the newest schema (one transaction per step), verify the pragmas took.  cache_bytes: page cache of
 * writer and readers together.  -EPROTONOSUPPORT: schema newer than this program; -EUCLEAN; -ENOENT. */
int meta_open(struct io *io, uint64_t cache_bytes, struct meta **out) MUST_USE;
/* Checkpoints and closes; readers must be closed before.  NULL is fine. */
void meta_close(struct meta *m);
/* Close without writing anything (a store that is given up, a test's power cut). */
void meta_abandon(struct meta *m);
const struct meta_params *meta_params(struct meta *m);

/* synchronous=FULL: durable when meta_commit returns 0.  On failure the transaction is gone (rolled back). */
int meta_begin(struct meta *m) MUST_USE;
int meta_commit(struct meta *m) MUST_USE;
void meta_rollback(struct meta *m);
/* The state as of the open transaction (or the last one).  Inside a transaction the caller may change applied_lsn, next_ino
 * and next_vol (only upwards); meta_commit stores them.  The others are moved by the functions below only. */
struct meta_state *meta_state(struct meta *m);
/* Copy WAL content into the database file as far as readers allow; own connection, may run on its own thread beside the
 * writer and never blocks it.  wal_bytes (may be NULL): bytes of WAL in use afterwards; 0 when all is copied, so that the
 * writer starts the file again as soon as no reader is inside it. */
int meta_checkpoint(struct meta *m, uint64_t *wal_bytes) MUST_USE;
/* A write found the disk full and the reserve (file meta.reserve) was spent: only what frees space should go on.  Ends by
 * itself when a commit or checkpoint finds room for the reserve again.  Any thread. */
bool meta_is_full(struct meta *m);

/* ---- rows ---------------------------------------------------------------------------------------------------- */

struct meta_attr {
	uint32_t mode, uid, gid, nlink;
	uint64_t size, rdev, alloc;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};
struct meta_entry {
	uint64_t ino;
	uint8_t type;
};
struct meta_block {
	uint64_t id;
	uint8_t hash[HASH_BYTES];
	uint32_t pack, stored, len;
	uint64_t off;
	uint8_t codec;
	bool lost; /* a repair found no bytes that verify, there (or anywhere: pack 0).  meta_block_move ends it */
};

/* ---- volumes ------------------------------------------------------------------------------------------------- */

enum meta_volume_flags {
	META_VOL_READ_ONLY = 1 << 0,
	META_VOL_DEAD = 1 << 1,	 /* deleted by the user, being reclaimed */
	META_VOL_BARE = 1 << 2,	 /* its line has no row of its own (kept right by this layer: the first put clears it without a
				  * word, so whoever leaves bare lines out of chains must watch what it writes) */
	META_VOL_SEALED = 1 << 3,
	META_VOL_RECOVERY = 1 << 4,
	META_VOL_SNAPSHOT = 1 << 5,
};
struct meta_volume {
	uint64_t id;
	uint32_t slot, generation;
	uint64_t line;
	uint64_t parent; /* line; 0: none */
	uint64_t pin;
	uint64_t root;
	uint32_t flags;
	uint8_t uuid[16];
	char name[META_NAME_MAX + 1]; /* bytes without NUL or '/' */
	uint64_t origin, alias, place_vol, place_dir, set_id;
	uint64_t created_ns;
};

/* A first volume (parent 0, line = id): row only; the caller puts the root inode. */
int meta_volume_insert(struct meta *m, const struct meta_volume *v) MUST_USE;
/* R6 for one member: v->line must equal v->id; parent/pin are computed here from `of` (the volume copied) by R6, including
 * "hang it one level higher if `of` has no row of its own", and returned in *v.  Copies orphan rows.  The epoch does not
 * move until meta_epoch_step, which must follow in the same transaction after the last member.  In between puts, reaping and
 * reclaim are refused with -EINVAL: their rows would be seen by the copy. */
int meta_volume_copy(struct meta *m, uint64_t of, struct meta_volume *v) MUST_USE;
int meta_epoch_step(struct meta *m) MUST_USE;
/* Replace flags (all but BARE and DEAD), name, place_vol, place_dir, set_id of v->id by those in v.  -ENOENT. */
int meta_volume_update(struct meta *m, const struct meta_volume *v) MUST_USE;
/* R7: O(1).  -ENOENT. */
int meta_volume_delete(struct meta *m, uint64_t id) MUST_USE;
/* All volumes, dead ones too, in id order; then all tails.  Works outside a transaction. */
int meta_volume_list(struct meta *m, int (*cb)(void *arg, const struct meta_volume *v), void *arg) MUST_USE;
int meta_tail_list(struct meta *m, int (*cb)(void *arg, uint64_t src, uint64_t line), void *arg) MUST_USE;

/* ---- writing rows (R2..R5), always at epoch E, in volume `vol` (by id) ---------------------------------------- */

/* NULL deletes.  alloc in *a is ignored when the row exists (kept) and taken for a new inode. */
int meta_put_attr(struct meta *m, uint64_t vol, uint64_t ino, const struct meta_attr *a) MUST_USE;
int meta_put_entry(struct meta *m, uint64_t vol, uint64_t dir, const void *name, size_t len, const struct meta_entry *e) MUST_USE;
int meta_put_xattr(struct meta *m, uint64_t vol, uint64_t ino, const void *name, size_t len, const void *value,
		   size_t value_len) MUST_USE;
/* map: block ids, 0 = hole; all holes deletes.  Every id must exist in the block table.  Counts references (R4). */
int meta_put_leaf(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]) MUST_USE;
/* Add to inode.alloc (bytes, may be negative) of the visible row; makes an own row as meta_put_attr does. */
int meta_add_alloc(struct meta *m, uint64_t vol, uint64_t ino, int64_t delta) MUST_USE;

struct meta_orphan {
	uint64_t vol, ino;
};
int meta_orphan_add(struct meta *m, uint64_t vol, uint64_t ino) MUST_USE; /* idempotent */
int meta_orphan_del(struct meta *m, uint64_t vol, uint64_t ino) MUST_USE; /* -ENOENT is success */
/* Up to max orphans of living volumes after (vol, ino), in key order.  Returns the number. */
int meta_orphan_list(struct meta *m, uint64_t after_vol, uint64_t after_ino, struct meta_orphan *out, int max) MUST_USE;
/* R8 reap: at most budget leaves and xattrs removed per call, the inode and the orphan row last.  1: more to do, 0: gone. */
int meta_reap(struct meta *m, uint64_t vol, uint64_t ino, unsigned budget) MUST_USE;

/* ---- blocks (R11) --------------------------------------------------------------------------------------------- */

/* Find by hash (a block with refs 0 is a hit).  -ENOENT. */
int meta_block_find(struct meta *m, const uint8_t hash[HASH_BYTES], struct meta_block *out) MUST_USE;
/* Insert with refs 0; id is assigned here: the one that meta_block_next told before.  An id is never used twice, nor after a
 * rollback, for a record in a pack may carry it (pack_format.h) and a repair goes by it. */
uint64_t meta_block_next(struct meta *m);
int meta_block_add(struct meta *m, struct meta_block *b) MUST_USE;
/* The block lies elsewhere now (compaction, or the bytes of a lost one came back); the old place goes to `freed`. */
int meta_block_move(struct meta *m, uint64_t id, uint32_t pack, uint64_t off, uint32_t stored, uint8_t codec) MUST_USE;
/* Live stored bytes per pack, in pack order (a full scan: for compaction and check). */
int meta_pack_usage(struct meta *m, int (*cb)(void *arg, uint32_t pack, uint64_t live_bytes, uint64_t blocks), void *arg) MUST_USE;
struct meta_freed {
	uint32_t pack, stored;
	uint64_t off;
};
int meta_freed_list(struct meta *m, struct meta_freed *out, int max) MUST_USE; /* returns the number */
int meta_freed_done(struct meta *m, const struct meta_freed *f) MUST_USE;
/* Is it named by the row of a block with this hash?  1 / 0. */
int meta_block_at(struct meta *m, const uint8_t hash[HASH_BYTES], uint32_t pack, uint64_t off) MUST_USE;
/* Is this place named by a block or freed row?  For finding garbage in packs after a crash.  1 / 0. */
int meta_place_used(struct meta *m, const uint8_t hash[HASH_BYTES], uint32_t pack, uint64_t off) MUST_USE;

/* ---- reclaim (R5, R9, R10, R11.3): one step, in the caller's transaction ---------------------------------------- */

struct meta_reclaim {
	/* in */
	unsigned budget;			   /* rows looked at, about 1000 */
	bool (*pinned)(void *arg, uint64_t block_id); /* blocks that unapplied log records name; may be NULL */
	void *arg;
	/* out; what fs/volume must do in memory after the commit (at most one of them per step) */
	uint64_t gone_vol;	    /* a dead volume's row was removed; 0: none */
	uint64_t heir_vol;	    /* ... and this volume took its line (else 0) */
	uint64_t tail_src, tail_line; /* relabelling finished: src is no label of line any more */
	uint64_t rows_looked, rows_removed, blocks_freed;
};
/* 1: something was done, or was not looked at yet: call again some time; 0: nothing to reclaim now (but what `pinned` held
 * back, and whatever is deleted later).  Resumable at any step.
 * After a step with heir_vol != 0 the caller must not run further steps before it has told its readers' chains. */
int meta_reclaim_step(struct meta *m, struct meta_reclaim *r) MUST_USE;

/* ---- sets ------------------------------------------------------------------------------------------------------ */

#define META_SET_MEMBERS_MAX 64
#define META_SET_RECORD_MAX 8192
struct meta_set_member {
	uint64_t volume, snapshot;
	uint8_t snapshot_uuid[16];
};
struct meta_set {
	uint64_t id;
	uint8_t uuid[16];
	uint32_t state, flags;
	char owner[32];
	uint64_t created_ns, committed_ns, gate_ns, commit_ns;
	uint32_t writer_uid;
	uint64_t record_version;
	uint32_t record_len;
	uint32_t nmembers;
	struct meta_set_member members[META_SET_MEMBERS_MAX];
	uint8_t record[META_SET_RECORD_MAX];
};
int meta_set_put(struct meta *m, const struct meta_set *s) MUST_USE; /* insert or replace, by id */
int meta_set_delete(struct meta *m, uint64_t id) MUST_USE;
int meta_set_list(struct meta *m, int (*cb)(void *arg, const struct meta_set *s), void *arg) MUST_USE; /* in id order; outside too */

/* ---- reading (R1) ---------------------------------------------------------------------------------------------- */

/* How a volume sees rows: its own line first, then its ancestors up to their pins.  Built by fs/volume from its volume
 * table (which may be ahead of the database), or for the writer's own use by meta_chain. */
struct meta_link {
	uint64_t line;
	uint64_t bound;	       /* greatest visible epoch; META_EPOCH_MAX for the volume itself */
	const uint64_t *tails; /* further labels of this line; borrowed */
	unsigned ntails;
};
struct meta_chain {
	struct meta_link *links;
	unsigned n;
};
/* For writer-side reading.  *out is valid until the next volume change or reclaim step; do not free. */
int meta_chain(struct meta *m, uint64_t vol, const struct meta_chain **out) MUST_USE;

int meta_reader_open(struct meta *m, struct meta_reader **out) MUST_USE;
void meta_reader_close(struct meta_reader *r);
/* The writer's own view, uncommitted changes included; writer's thread only, do not close. */
struct meta_reader *meta_writer_view(struct meta *m);

/* A callback must not use the reader it was called by (-EBUSY; the writer's view has no such guard).
 * Each: 0, or -ENOENT when no head sees the key.  *epoch (may be NULL): epoch of the row that decided, a tombstone's too;
 * 0 when no row was found at all.  When a link has tails its labels are probed in one read transaction. */
int meta_find_attr(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, struct meta_attr *out, uint64_t *epoch) MUST_USE;
int meta_find_entry(struct meta_reader *r, const struct meta_chain *c, uint64_t dir, const void *name, size_t len,
		    struct meta_entry *out, uint64_t *epoch) MUST_USE;
/* *value is malloc'ed (also for length 0) and owned by the caller. */
int meta_find_xattr(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, const void *name, size_t len,
		    void **value, size_t *value_len, uint64_t *epoch) MUST_USE;
int meta_find_leaf(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, uint64_t idx,
		   uint64_t map[META_LEAF_SLOTS], uint64_t *epoch) MUST_USE;
int meta_find_block(struct meta_reader *r, uint64_t id, struct meta_block *out) MUST_USE;

/* Visible names in byte order after `after` (after_len 0: from the start), at most max.  A non-zero answer of cb stops and
 * is returned.  name is borrowed during the call.  The cost depends on max and on dead rows passed, not on the size of the
 * directory.  Returns 0. */
int meta_list_entries(struct meta_reader *r, const struct meta_chain *c, uint64_t dir, const void *after, size_t after_len,
		      unsigned max, int (*cb)(void *arg, const void *name, size_t len, const struct meta_entry *e), void *arg) MUST_USE;
/* All names in byte order, the empty one (a symbolic link's target) too. */
int meta_list_xattrs(struct meta_reader *r, const struct meta_chain *c, uint64_t ino,
		     int (*cb)(void *arg, const void *name, size_t len, size_t value_len), void *arg) MUST_USE;
/* Visible leaves with first <= idx <= last, in order. */
int meta_list_leaves(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, uint64_t first, uint64_t last,
		     int (*cb)(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]), void *arg) MUST_USE;

/* ---- check ----------------------------------------------------------------------------------------------------- */

/* Recount everything from the rows alone, by code that shares nothing with the rules' code.  Reports each violation by
 * number ("M2", see docs/metadata.md) through cb.  idle: reclaim has nothing left to do, so M8..M12 must hold as well.
 * Returns the number of violations, or -errno.  Outside a transaction. */
int meta_check(struct meta *m, bool idle, void (*cb)(void *arg, const char *number, const char *text), void *arg) MUST_USE;
/* References counted from the rows, where the block table says otherwise: cb for each block whose refs is another number, and,
 * with row = false, for each that is named and not there.  Not inside a transaction (it would not see it).  -EUCLEAN: the file or
 * the volume table is damaged, so that counting makes no sense. */
int meta_recount(struct meta *m, int (*cb)(void *arg, uint64_t id, bool row, uint64_t refs), void *arg) MUST_USE;

/* ---- repair: of a store that nobody uses, by one who knows the packs (fs/volume/repair.c) ----------------------- */

/* Keep the database, as it was at the last meta_checkpoint that copied all, as meta.db.before-repair (replaced); durable.  May be
 * called inside a transaction, of which the copy shows nothing. */
int meta_keep_copy(struct meta *m) MUST_USE;
/* Every row of the block table, whatever it holds.  sound: hash and prefix are what they must be.  cb must not write. */
int meta_every_block(struct meta *m, int (*cb)(void *arg, const struct meta_block *b, uint64_t refs, bool sound), void *arg) MUST_USE;
/* Set a block's row, there or not.  With pack 0 it lies nowhere, and can be released as any other. */
int meta_repair_block(struct meta *m, const struct meta_block *b, uint64_t refs) MUST_USE;
int meta_repair_refs(struct meta *m, uint64_t id, uint64_t refs) MUST_USE;
/* A pack's places to give back, by offset; and one more of them. */
int meta_repair_freed(struct meta *m, uint32_t pack, int (*cb)(void *arg, const struct meta_freed *f), void *arg) MUST_USE;
int meta_repair_free(struct meta *m, const struct meta_freed *f) MUST_USE;
/* Remove rows of lines that are none, orphans of volumes that are dead or gone, walks over nothing; cb says how many of a table. */
int meta_repair_rows(struct meta *m, void (*cb)(void *arg, const char *table, uint64_t rows), void *arg) MUST_USE;
/* All leaves / all names of all lines and epochs, tombstones left out: for finding the files that damage concerns. */
int meta_every_leaf(struct meta *m, int (*cb)(void *arg, uint64_t ino, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]), void *arg) MUST_USE;
int meta_every_entry(struct meta *m, int (*cb)(void *arg, uint64_t dir, const void *name, size_t len, uint64_t ino), void *arg) MUST_USE;
/* Every block row, in id order: for verifying content.  Outside a transaction. */
int meta_block_list(struct meta *m, int (*cb)(void *arg, const struct meta_block *b, uint64_t refs), void *arg) MUST_USE;

struct meta_stats {
	uint64_t db_bytes, wal_bytes, volumes, walks, orphans, freed, blocks_dead;
};
int meta_get_stats(struct meta *m, struct meta_stats *out) MUST_USE;

#endif
