/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of fs/meta share.  Words (line, label, pin, below, above, settle) as in docs/metadata.md.
 *
 * vfs.c       SQLite's file system over fs/base/io           db.c       connections, statements, transactions, open, close
 * migrate.c   schema steps                                    translate.c SQLite's codes as -errno
 * lines.c     the volume table in memory                      rows.c     typed access to the four versioned tables
 * version.c   R1..R5                                          volume.c   R6, R7, R9 b and c
 * reclaim.c   R8, R9 a and d, R10, R11                        block.c    the block table
 * reader.c    reading and enumeration                         set.c, check.c, repair.c
 */
#ifndef FS_META_INTERNAL_H
#define FS_META_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "fs/base/io.h"
#include "fs/meta/meta.h"
#include "fs/meta/schema_gen.h"
#include "fs/meta/stmt.h"

#define META_FILE "meta.db"
#define META_FILE_NEW "meta.db.new"
#define META_COPY_FILE "meta.db.before-repair"
#define META_RESERVE_FILE "meta.reserve"

/* In block.codec, beside the codec: a repair found no bytes that verify. */
#define CODEC_LOST 0x80

/* ---- translate.c ---- */

/* SQLite result code, extended or not, as 0 or -errno.  Unknown codes are logged and become -EIO. */
int sql_errno(int code) MUST_USE;
/* The same for a failed call on h: also logs what SQLite says about it, once, at the place where it is handled. */
int sql_failed(sqlite3 *h, int code, const char *what) MUST_USE;

/* For results that change nothing; the place says why. */
static inline void ignore_result(int r)
{
}

/* ---- vfs.c ---- */

struct meta_vfs;

/* io: borrowed.  The name under which it is registered is unique in the process. */
int vfs_new(struct io *io, struct meta_vfs **out) MUST_USE;
void vfs_free(struct meta_vfs *v); /* all connections closed; NULL is fine */
const char *vfs_name(struct meta_vfs *v);
/* From now on every write, sync and removal fails: what meta_abandon needs. */
void vfs_abandon(struct meta_vfs *v);
/* Allocate the reserve, if it is not there and the disk has room to spare.  Failing is not an error: see vfs_is_full. */
void vfs_fill_reserve(struct meta_vfs *v);
/* The reserve was given up because a write found the disk full, and is not back yet.  Any thread. */
bool vfs_is_full(struct meta_vfs *v);

/* ---- db.c ---- */

struct db {
	sqlite3 *h;
	sqlite3_stmt *st[ST_COUNT]; /* prepared at open or on first use */
};

enum db_role { DB_WRITER, DB_READER, DB_CHECKPOINT, DB_FORMAT, DB_CHECK };
int db_open(struct meta_vfs *v, const char *file, enum db_role role, uint64_t cache_bytes, struct db **out) MUST_USE;
void db_close(struct db *db); /* NULL is fine; writes nothing */
static inline void cleanup_db(struct db **db)
{
	db_close(*db);
}
#define CLEANUP_DB CLEANUP(cleanup_db)

/* The prepared statement, reset; NULL after an error, which db_step(db, NULL) then reports. */
sqlite3_stmt *db_stmt(struct db *db, enum stmt_id id);
/* A further instance of a statement, for cursors open at the same time; the caller finalizes it. */
int db_prepare(struct db *db, enum stmt_id id, sqlite3_stmt **out) MUST_USE;
/* 1: a row, 0: done, or -errno.  After 0 and errors the statement is reset. */
int db_step(struct db *db, sqlite3_stmt *s) MUST_USE;
/* For statements without rows: steps once and resets. */
int db_run(struct db *db, sqlite3_stmt *s) MUST_USE;
int db_run_id(struct db *db, enum stmt_id id) MUST_USE;
static inline void cleanup_stmt(sqlite3_stmt **s)
{
	if (*s)
		sqlite3_reset(*s); /* repeats the error of the last step, which db_step reported */
}
#define CLEANUP_STMT CLEANUP(cleanup_stmt)

static inline void bind_u64(sqlite3_stmt *s, int n, uint64_t v)
{
	sqlite3_bind_int64(s, n, (sqlite3_int64)v);
}
static inline uint64_t col_u64(sqlite3_stmt *s, int n)
{
	return (uint64_t)sqlite3_column_int64(s, n);
}
/* Borrowed until the statement is reset; never the NULL that would mean SQL NULL. */
static inline void bind_bytes(sqlite3_stmt *s, int n, const void *p, size_t len)
{
	sqlite3_bind_blob64(s, n, len ? p : "", len, SQLITE_STATIC);
}

/* ---- migrate.c ---- */

int migrate(struct db *db, const struct schema_step *steps, unsigned n) MUST_USE;

/* ---- the writer ---- */

enum kind { KIND_INODE, KIND_ENTRY, KIND_XATTR, KIND_LEAF };
#define KINDS 4

struct vol;
struct lines {
	struct vol **by_id, **by_line; /* sorted */
	unsigned n, cap;
	uint64_t generation; /* moves with every change: old chains are void */
};

struct meta {
	struct io *io; /* borrowed */
	struct meta_vfs *vfs;
	struct db *db;
	struct meta_reader *view; /* reads through db */
	uint64_t cache_bytes;
	struct meta_params params;

	bool in_tx;
	bool ids_burnt; /* a rollback kept next_block up: the next commit stores it */
	int tx_error;	    /* first failure inside the transaction: nothing but meta_rollback helps */
	bool lines_changed; /* a rollback must load the lines again */
	bool copied;	    /* meta_volume_copy without meta_epoch_step */
	int broken;	    /* lines could not be loaded after a rollback */
	struct meta_state state, saved;
	struct lines lines;

	/* Hints, all rebuilt for free when lost. */
	uint64_t reap_vol, reap_ino, reap_idx; /* leaves before reap_idx are gone */
	uint64_t dead_next;		       /* where the round over dead blocks goes on; 0: a new round */
	bool dead_round_idle;		       /* nothing was freed in the round so far */
	bool dead_round_skipped;	       /* something was passed because it was pinned */
	uint64_t dead_round_changes;	       /* block_changes when the round began */
	uint64_t block_changes;		       /* moves when a block may have become dead */
	unsigned turn;			       /* kind of reclaim to try first */

	pthread_mutex_t checkpoint_lock;
	struct db *checkpoint_db; /* protected by checkpoint_lock */
};

/* Entry and exit of every public function of the writer: refuses outside a transaction and after a failure. */
int tx_enter(struct meta *m) MUST_USE;
int tx_leave(struct meta *m, int r);

#ifdef KAGEFS_MUTATE
extern const char *meta_mutate; /* name of the rule to leave out; from META_MUTATE in the environment */
bool meta_mutated(const char *name);
#define MUTATED(name) meta_mutated(name)
#else
#define MUTATED(name) false
#endif

/* ---- lines.c ---- */

struct vol {
	struct meta_volume v;
	struct vol *up;	   /* owner of line v.parent, NULL: none */
	struct vol **kids; /* by (pin, line) */
	unsigned nkids, kids_cap;
	uint64_t *tails;
	unsigned ntails;

	struct meta_chain chain; /* owned; right while chain_generation is the lines' */
	uint64_t chain_generation;
};

static inline bool vol_alive(const struct vol *v)
{
	return !(v->v.flags & META_VOL_DEAD);
}
int lines_load(struct meta *m) MUST_USE;
void lines_release(struct lines *l);
struct vol *lines_by_id(struct lines *l, uint64_t id); /* dead ones too; NULL */
struct vol *lines_by_line(struct lines *l, uint64_t line);
int lines_add(struct lines *l, const struct meta_volume *v) MUST_USE; /* -EEXIST, -EUCLEAN: no such parent */
void lines_remove(struct lines *l, struct vol *v);			/* without kids */
/* Index of the first kid with pin >= pin. */
unsigned kids_from(const struct vol *v, uint64_t pin);
/* A kid with lo <= pin < hi exists. */
static inline bool kids_any(const struct vol *v, uint64_t lo, uint64_t hi)
{
	unsigned i = kids_from(v, lo);

	return i < v->nkids && v->kids[i]->v.pin < hi;
}
int vol_chain(struct meta *m, struct vol *v, const struct meta_chain **out) MUST_USE;
/* The volume by id for a writer: -ENOENT if gone or dead. */
int vol_writable(struct meta *m, uint64_t id, struct vol **out) MUST_USE;
/* The labels of a line: 0 is the line itself. */
static inline uint64_t vol_label(const struct vol *v, unsigned i)
{
	return i == 0 ? v->v.line : v->tails[i - 1];
}

/* ---- rows.c ---- */

struct key {
	enum kind kind;
	uint64_t k1;  /* inode or directory */
	uint64_t idx; /* leaf */
	const void *name;
	size_t len;
};
/* A key with room for its name. */
struct keybuf {
	uint64_t epoch;
	struct key key; /* key.name points to name: use keybuf_key */
	unsigned char name[META_NAME_MAX];
};
static inline struct key keybuf_key(const struct keybuf *b)
{
	struct key k = b->key;

	k.name = b->name;
	return k;
}

struct row {
	struct vol *vol; /* owner of the line the row belongs to */
	uint64_t label;	 /* what it is labelled now */
	uint64_t epoch;
	bool dead;
	union {
		struct meta_attr attr;
		struct meta_entry entry;
		struct {
			const void *value;
			size_t value_len;
		} xattr; /* for writing only */
		uint64_t map[META_LEAF_SLOTS];
	};
};

/* Bits of a row of `kind` from columns 2.. of s; -EUCLEAN if they cannot be. */
int row_decode(sqlite3_stmt *s, enum kind kind, struct row *r) MUST_USE;
int map_decode(const void *blob, int bytes, uint64_t map[META_LEAF_SLOTS]) MUST_USE;
/* Row of key in this label with the greatest epoch <= bound (last) or smallest >= bound.  1: found, 0: none. */
int row_probe(struct db *db, uint64_t label, const struct key *k, uint64_t bound, bool last, struct row *r) MUST_USE;
/* The same over all labels of v's line; sets r->vol. */
int row_own(struct meta *m, struct vol *v, const struct key *k, uint64_t bound, bool last, struct row *r) MUST_USE;
int row_insert(struct meta *m, const struct key *k, const struct row *r) MUST_USE;
int row_update(struct meta *m, const struct key *k, const struct row *r) MUST_USE;
int row_delete(struct meta *m, const struct key *k, const struct row *r) MUST_USE;
int row_relabel(struct meta *m, const struct key *k, uint64_t from, uint64_t epoch, uint64_t to) MUST_USE;
/* Keys of rows of one label with epoch > after, newest first.  Returns the number. */
int rows_newer(struct meta *m, enum kind kind, uint64_t label, uint64_t after, bool all, struct keybuf *out, unsigned max) MUST_USE;
/* The smallest epoch > after of any row of the label.  1: found. */
int rows_next_epoch(struct meta *m, uint64_t label, int64_t after, uint64_t *epoch) MUST_USE;
/* Keys of one kind and epoch after `from` (NULL: from the start), in order.  Returns the number. */
int rows_keys(struct meta *m, enum kind kind, uint64_t label, uint64_t epoch, const struct keybuf *from, struct keybuf *out,
	      unsigned max) MUST_USE;
/* 1: some row carries a label of the line. */
int rows_any(struct meta *m, struct vol *v) MUST_USE;
/* Log a contradiction and return -EUCLEAN. */
int row_corrupt(const struct key *k, uint64_t label, const char *text);

/* ---- version.c ---- */

/* What a put does with inode.alloc. */
enum alloc_rule { ALLOC_KEEP, ALLOC_ADD };
/* R2.  val: what to write (dead: delete); its alloc is adapted. */
int version_put(struct meta *m, struct vol *v, const struct key *k, struct row *val, enum alloc_rule rule, int64_t delta) MUST_USE;
/* The row below (label-resolved) r: 1, or 0. */
int version_below(struct meta *m, const struct key *k, const struct row *r, struct row *out) MUST_USE;
/* R5; r must exist.  *removed (may be NULL) counts rows. */
int version_settle(struct meta *m, const struct key *k, const struct row *r, uint64_t *removed) MUST_USE;

/* ---- block.c ---- */

int block_get(struct db *db, uint64_t id, struct meta_block *out) MUST_USE; /* -ENOENT */
int freed_add(struct meta *m, const struct meta_block *b) MUST_USE;

/* ---- volume.c, for reclaim.c ---- */

int volume_vanish(struct meta *m, struct vol *v) MUST_USE; /* R9 b */
int volume_join(struct meta *m, struct vol *v, struct vol *heir) MUST_USE; /* R9 c */

/* ---- reader.c ---- */

int reader_view_new(struct db *db, struct meta_reader **out) MUST_USE;
void reader_view_free(struct meta_reader *r);

#endif
