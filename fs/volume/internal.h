/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of fs/volume share.  docs/engine.md explains the machine; this header states its rules.
 *
 * One change, start to end: an operation (names.c, attr.c, file.c, clone.c, snap.c) runs under op_run: log space is
 * reserved, the gate is taken shared, the operation looks up what it needs in memory only (a miss ends the attempt, is
 * loaded without any lock, and the operation runs again), builds a record of items and commits it with change_commit: LSN
 * assigned, memory changed, record queued for apply.  apply.c later writes queued records to the database strictly in LSN
 * order, in batches; convert.c turns the bytes that lie in the log into blocks as part of the same batch.
 *
 * So at any time:  state = database (at applied_lsn) + records queued since, and memory shows exactly that sum:
 *   rows.c     versions of rows written since (dirty), and a cache of rows read (clean)
 *   content.c  ranges of file bytes written since, by epoch: where in the log they lie
 *   vtab.c     all volumes, as of now
 *
 * Invariants (docs/engine.md; `kagefs check` reports them by number)
 *   I1  no committed row names a block that is not durable: store_sync before meta_commit (apply.c)
 *   I2  what was waited for survives: log_wait; log retired only below a durable applied_lsn, and a record counts as
 *       applied only when all that has replaced it in memory is durable too (apply.c)
 *   I3  a pinned row never changes: fs/meta rule R2
 *   I4  all volumes of a set show one instant: one record, gate held exclusively (snap.c)
 *   I5  refs equal what a full walk counts: fs/meta rule R4
 *   I6  no reply, hook or completion is called with a lock held
 *   I7  a read returns verified bytes or an error: store_get
 *   I9  deleting and reclaiming work on a full disk: they take no store space; meta keeps a reserve
 *   I11 state = log applied in order: items are absolute, and skipping those below applied_lsn is exact
 *   I12 a dirty version or extent leaves memory only after the transaction that applied it is durable, older epochs first
 *       (a reader that finds nothing in a volume's overlay may then trust the database and the ancestors' overlays)
 *
 * Lock order (outer first; take only inwards):
 *   fs->gate            shared: every mutating operation; exclusive: an instant.  Nobody who holds it waits for memory, log
 *                       space, SQLite or the disk.
 *   vol->names          one per volume: everything that changes names or link counts
 *   vtab->chain         rwlock: parents, pins, lines, tails.  Shared during a database look-up; exclusive for memory only
 *   inode->lock         content and attributes of one inode; several: in (vol, ino) order
 *   vtab->lock, row shard, fs->pending.lock, inode table shard, known nodes shard, block cache, pushes: leaves; no other
 *                       lock is taken under them, except pending.lock > log (log_append)
 * writer_lock (the database writer: apply, reclaim, check) stands outside: it is taken with none of these held, and these
 * are taken for short times under it.
 */
#ifndef FS_VOLUME_INTERNAL_H
#define FS_VOLUME_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
/* A red-black tree whose functions are private to one file. */
#define TREE_GENERATE(name, type, field, cmp) RB_GENERATE_INTERNAL(name, type, field, cmp, static __attribute__((unused)))

#include "fs/base/clock.h"
#include "fs/base/endian.h"
#include "fs/base/histogram.h"
#include "fs/base/io.h"
#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/base/thread.h"
#include "fs/log/log.h"
#include "fs/meta/meta.h"
#include "fs/store/store.h"
#include "fs/volume/memory.h"
#include "fs/volume/nodes.h"
#include "fs/volume/record.h"
#include "fs/volume/volume.h"

#define PLACEHOLDER_BIT (1ull << 43) /* inode number of an empty directory shown for a nested volume without a copy */
#define NUMBER_SLOT_SHIFT 44
#define LOG_RECORD_MAX (FS_WRITE_MAX + 262144)

/* ---- volumes (vtab.c) ------------------------------------------------------------------------------------------ */

struct vol;
RB_HEAD(vol_ids, vol);
RB_HEAD(vol_names, vol);
RB_HEAD(vol_roles, vol);

struct vol {
	RB_ENTRY(vol) by_id;   /* vtab->ids */
	RB_ENTRY(vol) by_name; /* vtab->names, when shown in a .snapshots */
	RB_ENTRY(vol) by_role; /* vtab->roles: (0, alias) for a bound head, (set_id, alias) for a snapshot */
	uint64_t id, root, origin, alias, created_ns;
	uint32_t slot, generation;
	uint8_t uuid[16];
	_Atomic uint32_t flags; /* enum meta_volume_flags */
	_Atomic bool applied;	/* its birth is in the database, and with it all bytes its ancestors wrote before */
	unsigned refs;		/* vtab->lock; one is the table's, one per kid */
	unsigned nkids;		/* vtab->lock: volumes whose parent this is */
	bool gone;		/* vtab->lock: no longer in the table */
	uint64_t holds;		/* vtab->lock: what the mount's kernel knows of it.  Gone with holds: in vtab->lingering, in its slot */

	uint64_t line, pin;   /* vtab->chain */
	struct vol *parent;   /* vtab->chain; counted */
	uint64_t *tails;      /* vtab->chain; owned */
	unsigned ntails;

	char *name;		      /* vtab->lock; owned */
	uint64_t place_vol, place_dir; /* vtab->lock */
	uint64_t set_id;	      /* vtab->lock */
	bool in_names, in_roles;       /* vtab->lock: is in these trees */

	pthread_mutex_t names;
};

struct vtab {
	pthread_mutex_t lock;
	pthread_rwlock_t chain;
	struct vol_ids ids;
	struct vol_ids lingering; /* gone, but still held: their slots are not reused, or an old handle would reach a new volume */
	struct vol_roles roles;
	struct vol_names names; /* (place_dir, place_vol, name) of snapshots */
	struct vol **slots; /* by slot; NULL free */
	uint32_t nslots, cap_slots, free_hint;
	uint32_t *slot_generation;
	uint64_t count;
	struct vol *root; /* borrowed from ids */
};

/* A snapshot's place says in whose .snapshots it is shown: that of the bound head of an alias (so that a rollback takes the
 * snapshots along), or that of another snapshot. */
#define PLACE_OF_HEAD 1	    /* place_dir; place_vol is an alias */
#define PLACE_OF_SNAPSHOT 2 /* place_dir; place_vol is a volume id */
void vol_place_in(struct vol *container, struct meta_volume *m);

int vtab_init(struct vtab *t) MUST_USE;
void vtab_release(struct vtab *t);
/* Choose slot and generation for m; the slot is not chosen again until the volume in it is gone.  (If the change then fails
 * it stays unused until the next mount.)  -EMLINK: no slot free. */
#define SLOTS_MAX (1u << 19)
int slot_reserve(struct vtab *t, struct meta_volume *m) MUST_USE;
struct vol *vol_by_slot(struct vtab *t, uint32_t slot); /* counted, or NULL; may be gone */
/* The kernel learns of a node of v: the slot stays taken until as many holds are dropped.  -ESTALE: v is gone. */
int vol_hold(struct vtab *t, struct vol *v) MUST_USE;
void vol_unhold(struct vtab *t, uint64_t id, uint64_t count);
/* Allocate a volume for *m, in its slot but not in the table yet. */
int vol_new(struct vtab *t, const struct meta_volume *m, struct vol **out) MUST_USE;
/* One that never was in the table. */
void vol_discard(struct vtab *t, struct vol *v);
/* Put it in.  parent may be NULL; pin as of now.  Cannot fail. */
void vtab_insert(struct vtab *t, struct vol *v, struct vol *parent, uint64_t pin);
/* Counted reference.  vol_get: NULL when unknown; vol_live: NULL also when deleted. */
struct vol *vol_get(struct vtab *t, uint64_t id);
struct vol *vol_live(struct vtab *t, uint64_t id);
struct vol *vol_next(struct vtab *t, uint64_t after_id); /* least id above; counted; deleted ones too */
void vol_put(struct vtab *t, struct vol *v);
static inline uint32_t vol_flags(struct vol *v) { return atomic_load_explicit(&v->flags, memory_order_acquire); }
/* Name and place.  Copies under the lock. */
void vol_describe(struct vtab *t, struct vol *v, struct meta_volume *out);
/* Replace name, place, set_id and flags (all but DEAD and BARE). name is allocated before (strdup), owned from here. */
void vol_update(struct vtab *t, struct vol *v, const struct meta_volume *m, char *name);
void vol_mark_dead(struct vtab *t, struct vol *v);
/* Snapshot `name` of container; counted or NULL. */
struct vol *vol_snapshot(struct vtab *t, struct vol *container, const char *name, size_t len);
/* Snapshots of container after `after` in name order: up to max counted references.  Returns the number. */
unsigned vol_snapshots(struct vtab *t, struct vol *container, const char *after, size_t after_len, unsigned max, struct vol **out);
/* The volume an entry (type VOLUME, alias) in volume `in` stands for: its bound head; in a snapshot the member of the same
 * set; counted or NULL (placeholder). */
struct vol *vol_resolve(struct vtab *t, struct vol *in, uint64_t alias);
struct vol *vol_head(struct vtab *t, uint64_t alias); /* the bound volume of this role; counted or NULL */
uint64_t vtab_bytes(struct vtab *t); /* about */
/* All volumes of the database; mount only. */
int vtab_load(struct vtab *t, struct meta *m) MUST_USE;
/* After a reclaim step: `gone` vanished, `heir` (may be NULL) took its line. */
void vtab_gone(struct vtab *t, uint64_t gone, uint64_t heir);
void vtab_tail_done(struct vtab *t, uint64_t src, uint64_t line);
/* Its birth has been applied: take parent and pin from the database's view. */
void vtab_applied(struct vtab *t, uint64_t id, uint64_t parent_line, uint64_t pin);

/* A chain on the stack for the database, valid while vtab->chain is held shared. */
#define CHAIN_INLINE 12
struct chain_buf {
	struct meta_chain c;
	struct meta_link space[CHAIN_INLINE];
};
int chain_build(struct vol *v, struct chain_buf *out) MUST_USE; /* vtab->chain held; -ENOMEM */
void chain_release(struct chain_buf *b);

struct cache_stats {
	uint64_t hits, misses, bytes;
};

/* ---- row cache (rows.c) ----------------------------------------------------------------------------------------- */

enum row_kind { ROW_ATTR = 1, ROW_ENTRY, ROW_XATTR, ROW_LEAF };
struct row_key {
	uint64_t vol, obj;
	uint8_t kind;
	uint16_t len; /* of name */
	uint8_t name[META_NAME_MAX + 1];
};
struct row_value {
	union {
		struct meta_attr attr;
		struct meta_entry entry;
		uint64_t map[META_LEAF_SLOTS];
		struct {
			void *data; /* xattr; owned by who asked, malloc'ed also for length 0 */
			uint32_t len;
		} blob;
	};
};
struct row;
struct row_ver;
struct row_set;
struct row_prep {
	struct row *row;
	struct row_ver *ver;
	struct row_set *set;
};
struct rows;
int rows_new(struct rows **out) MUST_USE; /* caches nothing until rows_limit */
void rows_free(struct rows *r);
void row_key_set(struct row_key *k, uint64_t vol, enum row_kind kind, uint64_t obj, const void *name, size_t len);
void row_key_leaf(struct row_key *k, uint64_t vol, uint64_t ino, uint64_t idx);

/* What volume k->vol sees now.  0, -ENOENT, or an error.  May read the database: hold no lock.  rows_peek: memory only; -EAGAIN when it does not know. */
int rows_get(struct fs *fs, struct vol *v, const struct row_key *k, struct row_value *out) MUST_USE;
int rows_peek(struct fs *fs, const struct row_key *k, struct row_value *out) MUST_USE;
/* Two steps so that the second cannot fail.  value NULL: delete (absent). */
int rows_prepare(struct fs *fs, const struct row_key *k, const void *value, size_t len, struct row_prep *p) MUST_USE;
void rows_publish(struct fs *fs, struct row_prep *p, uint64_t epoch, uint64_t lsn);
void rows_unprepare(struct fs *fs, struct row_prep *p);
/* Versions up to lsn are in the database now. */
void rows_applied(struct fs *fs, const struct row_key *k, uint64_t lsn);
/* The database's row changed without a record (leaves, reaping): forget what was read. */
void rows_forget(struct fs *fs, const struct row_key *k);
void rows_add_alloc(struct fs *fs, uint64_t vol, uint64_t ino, uint64_t epoch, int64_t delta);
/* True when a version not yet applied exists. */
bool rows_dirty(struct fs *fs, const struct row_key *k);
/* Names of (vol, kind, obj) with a version of epoch <= bound not yet applied, after `after` in byte order, at most max.
 * cb under the shard lock: copy and return. value NULL: deleted. */
unsigned rows_dirty_names(struct fs *fs, uint64_t vol, enum row_kind kind, uint64_t obj, uint64_t bound, const void *after,
			  size_t after_len, unsigned max, void (*cb)(void *arg, const void *name, size_t len, const void *value),
			  void *arg);
/* Most that rows with only clean versions may take. */
void rows_limit(struct rows *r, uint64_t bytes);
/* What others take: those with changes not applied, and those being loaded or changed.  Off by at most 256 KiB. */
uint64_t rows_dirty_bytes(struct rows *r);
void rows_get_stats(struct rows *r, struct cache_stats *out); /* bytes: of clean ones */

/* ---- inodes and their content since apply (content.c) ---------------------------------------------------------- */

enum extent_kind { EXTENT_LOG = 1, EXTENT_ZERO, EXTENT_BLOCKS };
struct block_ids { /* of one clone record */
	_Atomic unsigned refs;
	uint32_t n;
	uint64_t id[];
};
struct extent {
	RB_ENTRY(extent) link;
	TAILQ_ENTRY(extent) by_age;
	uint64_t off, len;
	uint64_t lsn : 56, kind : 8; /* in one word: there are hundreds of thousands of them */
	uint64_t pos;		/* LOG: stream position of byte off.  BLOCKS: file offset of ids->id[0] */
	struct block_ids *ids;	/* BLOCKS; counted */
};
RB_HEAD(extents, extent);
TAILQ_HEAD(extent_queue, extent);
struct layer {
	struct layer *older;
	uint64_t epoch;
	uint64_t units; /* of the space ledger */
	struct extents map;
	struct extent_queue age; /* the same extents in the order of their LSNs: apply takes a batch without looking at the rest */
	struct extent *collected; /* of age: the first that content_collect has not come to */
};
struct inode {
	RB_ENTRY(inode) link; /* table shard */
	uint64_t vol, ino;
	unsigned refs; /* shard lock */
	pthread_mutex_t lock;
	struct layer *layers; /* lock; newest first */
	unsigned nlayers;     /* lock */
	_Atomic uint64_t dirty_bytes; /* sum of LOG extents; changed under lock */
	uint64_t last_lsn;    /* lock; newest record about this inode's content */
};
#define INODE_SHARDS 64
RB_HEAD(inode_tree, inode);
struct inodes {
	struct {
		pthread_mutex_t lock;
		struct inode_tree tree;
	} shard[INODE_SHARDS];
	_Atomic uint64_t count, extents; /* in memory, for the bound */
	_Atomic uint64_t collected;	 /* bytes of collections */
	_Atomic uint64_t dirty_bytes;	 /* of files, in the log */
};
void inodes_init(struct inodes *t);
void inodes_release(struct inodes *t); /* frees everything left */
struct inode *inode_get(struct fs *fs, uint64_t vol, uint64_t ino);  /* makes it; NULL: -ENOMEM */
struct inode *inode_find(struct fs *fs, uint64_t vol, uint64_t ino); /* NULL: not in memory */
void inode_put(struct fs *fs, struct inode *i);
bool inode_busy(struct fs *fs, uint64_t vol, uint64_t ino); /* the kernel knows it, or an operation is at work on it */

/* A piece of a file range and where its bytes are. */
enum piece_kind { PIECE_LOG = 1, PIECE_ZERO, PIECE_BLOCK, PIECE_UNKNOWN };
struct piece {
	uint64_t off, len; /* file range */
	uint8_t kind;
	uint64_t pos; /* LOG: position; BLOCK: block id (the bytes at off % block_size) */
};
struct pieces {
	struct piece *v; /* owned */
	unsigned n, cap;
};
void pieces_release(struct pieces *p);
/* Overlay only: [off, off + len) of inode as volume v sees it; what no overlay knows is PIECE_UNKNOWN.  In offset order.
 * Takes inode locks itself (hold none). */
int content_overlay(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, uint64_t len, struct pieces *out) MUST_USE;

struct content_prep {
	struct inode *inode; /* counted */
	struct extent *spare[2];
	struct layer *layer;
	struct block_ids *ids;
};
int content_prepare(struct fs *fs, uint64_t vol, uint64_t ino, const struct item *it, struct content_prep *p) MUST_USE;
/* inode->lock held.  Returns how many blocks became dirty that were not (for the space ledger). */
uint64_t content_publish_locked(struct fs *fs, struct content_prep *p, const struct item *it, uint64_t epoch, uint64_t lsn,
				uint64_t data_pos);
void content_unprepare(struct fs *fs, struct content_prep *p);
/* What convert needs of extents: fields as there. */
struct collected {
	uint64_t off, pos;
	uint64_t len : 56, kind : 8;
	struct block_ids *ids; /* counted */
};
struct collection {
	struct collected *v; /* owned; in the order of their offsets */
	size_t n, cap;
};
/* Copies of the extents of exactly this epoch with lsn <= upto. */
int content_collect(struct fs *fs, struct inode *i, uint64_t epoch, uint64_t upto, struct collection *out) MUST_USE;
void collection_free(struct fs *fs, struct collection *c);
/* Those extents are in the database: remove what is left of them.  Returns the units they held in the space ledger. */
uint64_t content_applied(struct fs *fs, struct inode *i, uint64_t epoch, uint64_t upto);
bool content_clean_range(struct inode *i, uint64_t off, uint64_t len); /* lock held: no extent touches it */

/* Blocks that unapplied clone records name: reclaim leaves them alone. */
struct pins;
int pins_new(struct pins **out) MUST_USE;
void pins_free(struct pins *p);
int pins_add(struct pins *p, const uint64_t *ids, uint32_t n) MUST_USE; /* all or nothing; zeros skipped */
void pins_del(struct pins *p, const uint64_t *ids, uint32_t n);
bool pins_has(struct pins *p, uint64_t id);

/* ---- block cache (bcache.c) -------------------------------------------------------------------------------------- */

struct bcache;
int bcache_new(uint32_t block_size, struct bcache **out) MUST_USE; /* caches nothing until bcache_limit */
void bcache_free(struct bcache *c);
/* Bytes [off, off + n) of block id, verified.  -EUCLEAN: they are damaged or lost, as opposed to -EIO; -ENOENT: no such block. */
int bcache_read(struct fs *fs, uint64_t id, size_t off, size_t n, void *buf) MUST_USE;
/* n whole blocks one after the other into buf, for a reader of long stretches: nothing is kept. */
#define BCACHE_RUN_MAX META_LEAF_SLOTS
int bcache_read_run(struct fs *fs, const uint64_t *id, unsigned n, void *buf) MUST_USE;
/* All of a block if memory has it. */
bool bcache_cached(struct fs *fs, uint64_t id, void *buf) MUST_USE;
/* All of a block (zeros beyond its length) from the place the caller knows; nothing is kept.  For ids of an open transaction. */
int bcache_read_at(struct fs *fs, const struct meta_block *b, void *buf) MUST_USE;
void bcache_forget(struct bcache *c, uint64_t id); /* moved or gone */
/* Most it may take; at least a block for each of a few shards. */
void bcache_limit(struct bcache *c, uint64_t bytes);
void bcache_get_stats(struct bcache *c, struct cache_stats *out);

/* ---- changes (change.c) -------------------------------------------------------------------------------------------- */

/* A running mutating operation. */
struct op {
	struct fs *fs;
	const struct fs_ctx *ctx;
	uint64_t log_left;   /* reserved log bytes */
	uint64_t space_left; /* reserved store bytes */
	uint64_t lsn, next;  /* of the last committed record */
	struct vol *miss_vol; /* counted: what op_get did not find in memory */
	struct row_key miss;
};
enum op_flags {
	OP_EXCLUSIVE = 1 << 0, /* gate exclusively; small, and does not wait for the backlog */
	OP_FREES = 1 << 1,     /* allowed on a full store */
	OP_PROMPT = 1 << 2,    /* belongs to an instant: does not wait for the backlog either */
};
/* Run fn under the gate with log_bytes and space_bytes reserved, again and again while it answers -EAGAIN after a miss. */
int op_run(struct fs *fs, const struct fs_ctx *ctx, unsigned flags, uint64_t log_bytes, uint64_t space_bytes,
	   int (*fn)(struct op *op, void *arg), void *arg, uint64_t *lsn) MUST_USE;
/* Blocks' worth of space that acknowledged bytes need (again): promised also when the disk cannot back it now.  Then the bytes
 * wait in the log, as any do that cannot be converted yet. */
void space_owed(struct fs *fs, uint64_t units);
/* Memory-only look-up; a miss is remembered for op_run. */
int op_get(struct op *op, struct vol *v, const struct row_key *k, struct row_value *out) MUST_USE;
int op_attr(struct op *op, struct vol *v, uint64_t ino, struct meta_attr *out) MUST_USE;
int op_entry(struct op *op, struct vol *v, uint64_t dir, const void *name, size_t len, struct meta_entry *out) MUST_USE;
int op_xattr(struct op *op, struct vol *v, uint64_t ino, const char *name, void **value, uint32_t *len) MUST_USE;
/* May this volume be written on behalf of op->ctx?  -EROFS, -EACCES, -ESTALE. */
int op_writable(struct op *op, struct vol *v) MUST_USE;
/* Append the record, change memory, queue for apply.  The inodes that the items write content of must be locked by the
 * caller.  data: bytes of an ITEM_WRITE, appended behind the items. */
int change_commit(struct op *op, struct items *it, const void *data, size_t len) MUST_USE;
/* The same effect in memory for a record read back from the log.  Mount only, one thread. */
int change_replay(struct fs *fs, const struct log_record *rec) MUST_USE;
#define LOG_BYTES(payload) ((payload) + LOG_RECORD_OVERHEAD + 1024)

/* ---- applying (apply.c, convert.c) ----------------------------------------------------------------------------------- */

/* A record that is one write and the attributes it left behind, the commonest by far: instead of its items the queue keeps whose
 * they are.  The items are the in_log bytes of the log before data_pos, and apply reads those of the last of several in a row. */
struct pending_write {
	uint64_t vol, ino, data_pos;
	uint32_t in_log;
};
#define PENDING_IN_LOG_MAX 256
/* What is queued: one record, or a run of such writes, to a few files and with nothing between: the more writes memory can hold,
 * the more of them meet in one block. */
struct pending {
	struct pending *link;
	uint64_t lsn, next;	   /* of the (last) record */
	uint64_t epoch;		   /* in which its items were made */
	int64_t at_ns;		   /* monotonic; of the first record */
	struct pending_write *more; /* owned; of a run: its other files */
	_Atomic uint32_t unready;  /* records whose effect in memory is not complete; 0: apply may take it */
	_Atomic uint32_t units;	   /* blocks that were not dirty before: what converting it costs.  Added before it is ready */
	uint32_t span;		   /* lsn - that of the first record */
	uint32_t len;		   /* of items */
	uint16_t writes;	   /* not 0: a run, and items is a struct pending_write */
	uint16_t nmore;
	_Alignas(8) uint8_t items[];
};
#define RUN_WRITES 128
#define RUN_FILES 8
_Static_assert(RUN_WRITES * (1ull << 20) < UINT32_MAX / 2, "span is long enough");
static inline unsigned pending_files(const struct pending *q)
{
	return q->writes ? 1u + q->nmore : 0;
}
static inline const struct pending_write *pending_file(const struct pending *q, unsigned i)
{
	return i ? &q->more[i - 1] : (const struct pending_write *)q->items;
}
static inline uint64_t pending_records(const struct pending *q)
{
	return MAX(q->writes, 1);
}
static inline void pending_free(struct pending *q)
{
	free(q->more);
	free(q);
}
/* Of memory. */
static inline uint64_t pending_bytes(const struct pending *q)
{
	return sizeof(*q) + q->len + ALLOC_BYTES + (q->more ? RUN_FILES * sizeof(*q->more) + ALLOC_BYTES : 0);
}
struct pending_queue {
	pthread_mutex_t lock;
	pthread_cond_t cond; /* something to do, or applied_lsn moved */
	struct pending *head, **tail;
	struct pending *run; /* the last one, if it is a run that can go on */
	bool taken; /* the front is with apply: not in the list, but counted */
	uint64_t count;
	_Atomic uint64_t bytes; /* of these and of the batch being applied */
	int64_t last_ns; /* monotonic; when the newest was queued */
	_Atomic uint64_t applied; /* LSN: everything before is in the database, durably */
	_Atomic uint64_t wanted;  /* LSN: somebody wants everything before applied without delay */
};
/* writer_lock held; 1 something was applied, 0 nothing to do.  A large batch converts a block once for many writes, but takes
 * seconds: it is given up when the store is closed (-ECANCELED, nothing is applied). */
enum apply_size { APPLY_SMALL, APPLY_LARGE };
int apply_step(struct fs *fs, enum apply_size size) MUST_USE;
/* Apply the records before lsn without delay, and wake who does it.  _locked: pending.lock held. */
void apply_want(struct fs *fs, uint64_t lsn);
void apply_want_locked(struct fs *fs, uint64_t lsn);
/* Wait until more than `before` is applied: 1, or 0 when nothing waits to be.  -ENOSPC as below. */
int apply_some(struct fs *fs, uint64_t before) MUST_USE;
/* Wait until everything before lsn is applied.  -ENOSPC: the disk is too full for that. */
int apply_wait(struct fs *fs, uint64_t lsn) MUST_USE;

/* Convert what inode (vol, ino) wrote in this epoch up to lsn: blocks appended, leaves put, in the open transaction.
 * -ECANCELED: the store is being closed during a large batch. */
struct convert;
/* What it takes for work on blocks of this size, if it shall be about `share`. */
uint64_t convert_bytes(uint64_t share, uint32_t block_size);
int convert_new(struct fs *fs, uint64_t bytes, struct convert **out) MUST_USE;
void convert_free(struct convert *c);
int convert_inode(struct convert *c, uint64_t vol, uint64_t ino, uint64_t epoch, uint64_t upto) MUST_USE;
/* The transaction is over: tell the caches (committed), forget what was noted.  Returns the units of the space ledger that the
 * appends since the last call gave back: each as soon as its bytes had taken the space (committed: the caller returns so much
 * less; else they have been taken again). */
uint64_t convert_finish(struct convert *c, bool committed);

/* ---- reclaim (reclaim.c): one step each, writer_lock held; 1 something done ------------------------------------------- */

int reclaim_step(struct fs *fs) MUST_USE;
int reclaim_garbage_at_mount(struct fs *fs) MUST_USE;

/* compact.c: writer_lock held.  look: search for sparse packs if none is at hand (walks the block table; only when nothing is in
 * `freed`).  1 something was done. */
struct compact;
int compact_new(struct compact **out) MUST_USE;
void compact_free(struct compact *c);
int compact_step(struct fs *fs, bool look) MUST_USE;

/* ---- sets in memory (set_table.c, set_commit.c, set_ops.c) ------------------------------------------------------------------------------------------- */

struct set {
	RB_ENTRY(set) by_id;   /* ids grow: creation order */
	RB_ENTRY(set) by_uuid;
	uint64_t id, record_version;
	uint8_t uuid[16];
	uint32_t state, flags, writer_uid;
	uint8_t *enc; /* owned; all of it, as in a SET_PUT item: a set decoded takes 10 KiB, and there may be 100,000 */
	uint32_t enc_len;
	int64_t deadline_ns;  /* monotonic; COMMITTING */
	uint64_t prepare_lsn; /* durable up to here: PREPARED */
	bool busy;	      /* a call works on it; others wait */
	bool pushed;	      /* PREPARING: pushed out, and all of it lies before prepare_lsn */
	struct set_call *call; /* owned; a commit that waits for its push-out (set_commit.c); NULL: none */
};
RB_HEAD(set_ids, set);
RB_HEAD(set_uuids, set);
struct sets {
	pthread_mutex_t lock;
	struct set_ids ids;
	struct set_uuids uuids;
	uint64_t next_id;
	_Atomic uint64_t bytes; /* in memory; changed under lock */
};
/* Effect of SET_PUT / SET_DEL items; the first in two steps, so that the second cannot fail. */
int set_make(const struct meta_set *m, struct set **out) MUST_USE;
int set_make_item(const struct item *it, struct set **out) MUST_USE;
void set_free(struct set *s);
void set_put_item(struct fs *fs, struct set *made); /* owns made from here */
void set_del_item(struct fs *fs, uint64_t id);
void sets_release(struct fs *fs);
/* uuid of a set; false: there is none of that id. */
bool set_uuid(struct fs *fs, uint64_t set_id, uint8_t uuid[16]);
/* Writer allowed into a recovery set's copies; false: nobody. */
bool set_writer(struct fs *fs, uint64_t set_id, uint32_t *uid, bool *any);
/* After replay: sets caught in COMMITTING are revoked. */
int sets_recover(struct fs *fs) MUST_USE;

/* ---- the file system ------------------------------------------------------------------------------------------------------ */

enum fs_time {
	FS_TIME_COMMIT, /* of a set: from the call until it is durable */
	FS_TIME_GATE,	/* writers held: from asking for the gate exclusively until it is open again */
	FS_TIME_APPLY,	/* one batch */
	FS_TIME_CHECKPOINT,
	FS_TIME_COUNT
};

struct fs {
	struct io *io; /* borrowed */
	struct fs_open_options opt;
	struct meta *meta;
	struct store *store;
	struct log *log;
	uint32_t block_size;
	unsigned block_shift;
	uint64_t space_unit; /* store bytes one dirty block may cost */
	uint32_t record_max; /* longest log record */
	_Atomic int poisoned; /* -errno: nothing is accepted any more */
	_Atomic bool closing;

	pthread_rwlock_t gate;
	uint64_t epoch; /* gate */
	_Atomic uint64_t next_ino, next_vol;
	_Atomic uint64_t stored_ino; /* no row of this inode number or a greater one is in the database */

	struct memory memory;
	struct vtab vtab;
	struct nodes nodes;
	struct rows *rows;
	struct inodes inodes;
	struct pins *pins;
	struct bcache *bcache;
	struct sets sets;
	struct pushes *pushes; /* push.h */
	struct pending_queue pending;

	struct {
		pthread_mutex_t lock;
		pthread_cond_t cond;
		struct meta_reader *v[8];
		unsigned n, made;
	} readers;

	pthread_mutex_t writer_lock;
	struct convert *convert; /* writer_lock */
	struct compact *compact; /* writer_lock */
	uint64_t punched_bytes;	 /* writer_lock; since packs were last searched for sparse ones */
	uint64_t reap_vol, reap_ino; /* writer_lock: cursor */
	pthread_t apply_thread, checkpoint_thread;
	bool threads;
	_Atomic bool apply_stuck; /* the disk under the store is full */
	bool large_batch;	  /* writer_lock */
	struct {
		uint64_t log_bytes;	  /* what it may take; constant */
		_Atomic int64_t turn_ns; /* when the next one braked may go on */
	} backlog;

	_Atomic int64_t space_at_ns; /* statfs cache */
	_Atomic uint64_t space_free, space_total;

	struct { /* counters */
		_Atomic uint64_t ops, reads, read_bytes, writes, write_bytes, retries, commits, applied_records, batches, converted_blocks,
			stored_blocks, dedup_hits, compacted_blocks, dropped_packs, reclaim_steps, verify_errors;
	} stat;
	struct histogram times[FS_TIME_COUNT];
};

struct meta_reader *reader_take(struct fs *fs);
void reader_give(struct fs *fs, struct meta_reader *r);
void fs_poison(struct fs *fs, int err, const char *what);
static inline int fs_check_poison(struct fs *fs)
{
	return atomic_load_explicit(&fs->poisoned, memory_order_relaxed) ? -EROFS : 0;
}
int random_bytes(void *buf, size_t n) MUST_USE;
/* Room for one more element in an array of n with room for *cap; *v may move. */
static inline int array_room(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = more;
	return 0;
}

/* Where the last block of a file ends: behind its size it holds zeros, so that zeros up to there need nothing of the old block. */
static inline uint64_t file_end(const struct fs *fs, uint64_t size)
{
	return MIN((size + fs->block_size - 1) & ~(uint64_t)(fs->block_size - 1), (uint64_t)INT64_MAX);
}

/* repair.c; at a mount, before anything else looks at blocks. */
int repair_store(struct fs *fs, struct fs_repair *o) MUST_USE;
/* damage.c; a line for each file in each living volume that names one of these blocks (sorted).  Writer's thread. */
int damage_files(struct fs *fs, const uint64_t *ids, size_t n, void (*cb)(void *arg, const char *text), void *arg) MUST_USE;

/* attr.c */
#define ACL_ACCESS_NAME "system.posix_acl_access"
#define ACL_DEFAULT_NAME "system.posix_acl_default"
void attr_fill(struct fs *fs, struct vol *v, uint64_t ino, const struct meta_attr *a, struct fs_attr *out);
/* Attributes of a node that may be .snapshots or a placeholder. */
int node_attr(struct fs *fs, struct vol *v, uint64_t ino, struct fs_attr *out) MUST_USE;
static inline bool ino_virtual(uint64_t ino)
{
	return ino < FS_INO_FIRST || (ino & PLACEHOLDER_BIT);
}

#endif
