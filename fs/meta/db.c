/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections, prepared statements, transactions; opening and closing.  Knows no rule and no row.
 *
 * Three kinds of connection: the writer's, one for checkpoints (so that copying the WAL never waits for the writer nor the
 * writer for it), and one per reader.  SQLite's own mutexes are off: each connection is used by one thread at a time.
 *
 * A transaction that met an error takes nothing but meta_rollback.  What mirrors rows in memory (state, lines) is saved at
 * meta_begin or loaded again after a rollback, so memory never runs ahead of the database.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#define WAL_SIZE_LIMIT "67108864"
#define PAGE_BYTES 4096
#define WAL_HEADER_BYTES 32
#define WAL_FRAME_BYTES (PAGE_BYTES + 24)
#define BUSY_YIELDS 1000
#define BUSY_SLEEPS 10000 /* ms: then something is wrong */
#define CACHE_MIN_BYTES (1u << 20)

const struct stmt_def stmt_defs[ST_COUNT] = {
#define X(id, flags, sql) [ST_##id] = {#id, sql, flags},
	STATEMENTS(X)
#undef X
};

#ifdef KAGEFS_MUTATE
const char *meta_mutate;

bool meta_mutated(const char *name)
{
	return meta_mutate && strcmp(meta_mutate, name) == 0;
}
#endif

/* ---- connections ---- */

static int one_text(sqlite3 *h, const char *sql, char *out, size_t size)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(h, sql, -1, &s, NULL);

	out[0] = '\0';
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW) {
			const unsigned char *t = sqlite3_column_text(s, 0);

			snprintf(out, size, "%s", t ? (const char *)t : "");
			rc = SQLITE_OK;
		} else if (rc == SQLITE_DONE) {
			rc = SQLITE_OK;
		}
	}
	if (rc != SQLITE_OK) {
		int r = sql_failed(h, rc, sql);

		sqlite3_finalize(s);
		return r;
	}
	sqlite3_finalize(s);
	return 0;
}

struct pragma {
	const char *set, *get, *want;
	unsigned roles; /* bits of enum db_role; 0: all */
};
/* SQLite ignores pragmas it does not know or cannot follow: only reading them back tells. */
static const struct pragma pragmas[] = {
	{"PRAGMA page_size=4096", "PRAGMA page_size", "4096", 1u << DB_FORMAT},
	{"PRAGMA application_id=1801545573", "PRAGMA application_id", "1801545573", 1u << DB_FORMAT}, /* "kage" */
	{"PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal", 0},
	{"PRAGMA synchronous=FULL", "PRAGMA synchronous", "2", 0},
	{"PRAGMA wal_autocheckpoint=0", "PRAGMA wal_autocheckpoint", "0", 0},
	{"PRAGMA journal_size_limit=" WAL_SIZE_LIMIT, "PRAGMA journal_size_limit", WAL_SIZE_LIMIT, 0},
	{"PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", "1", 0},
	{"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0", 0},
	{"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2", 0},
	{"PRAGMA mmap_size=0", NULL, NULL, 0},			      /* every read goes through io */
	{"PRAGMA secure_delete=OFF", "PRAGMA secure_delete", "0", 0}, /* some builds write zeros over freed pages */
	{NULL, "PRAGMA page_size", "4096", 0},
	{"PRAGMA query_only=ON", "PRAGMA query_only", "1", 1u << DB_READER | 1u << DB_CHECK},
};

static int run_pragmas(sqlite3 *h, enum db_role role, uint64_t cache_bytes)
{
	char text[64];

	for (unsigned i = 0; i < ARRAY_SIZE(pragmas); i++) {
		const struct pragma *p = &pragmas[i];
		int r = 0;

		if (p->roles && !(p->roles & 1u << role))
			continue;
		if (p->set)
			r = one_text(h, p->set, text, sizeof(text));
		if (r == 0 && p->get)
			r = one_text(h, p->get, text, sizeof(text));
		if (r < 0)
			return r;
		if (p->get && strcmp(text, p->want) != 0) {
			msg(LOG_ERR, "meta: %s is %s, want=%s", p->get, text, p->want);
			return -EOPNOTSUPP;
		}
	}
	/* The one statement with a number in it; pragmas take no parameters. */
	snprintf(text, sizeof(text), "PRAGMA cache_size=-%llu", (unsigned long long)(MAX(cache_bytes, CACHE_MIN_BYTES) / 1024));
	return one_text(h, text, text, sizeof(text));
}

/* Nobody waits for a lock by design.  But a reader or checkpoint that reads the head of the WAL index while the writer writes
 * it takes the write lock for a moment to look again, and that moment may be the writer's BEGIN. */
static int on_busy(void *arg, int tries)
{
	if (tries < BUSY_YIELDS)
		sched_yield();
	else
		sqlite3_sleep(1);
	return tries < BUSY_YIELDS + BUSY_SLEEPS;
}

int db_open(struct meta_vfs *v, const char *file, enum db_role role, uint64_t cache_bytes, struct db **out)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (role == DB_FORMAT ? SQLITE_OPEN_CREATE : 0);
	CLEANUP_DB struct db *db = calloc(1, sizeof(*db));
	int r;

	if (!db)
		return -ENOMEM;
	r = sqlite3_open_v2(file, &db->h, flags, vfs_name(v));
	if (r != SQLITE_OK)
		return sql_failed(db->h, r, "open");
	sqlite3_extended_result_codes(db->h, 1);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	/* Closing must not write: a store that is given up is closed too. */
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_busy_handler(db->h, on_busy, NULL);
	r = run_pragmas(db->h, role, cache_bytes);
	if (r < 0)
		return r;
	*out = steal_ptr(&db);
	return 0;
}

void db_close(struct db *db)
{
	int rc;

	if (!db)
		return;
	for (unsigned i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(db->st[i]);
	rc = sqlite3_close(db->h);
	if (rc != SQLITE_OK)
		msg(LOG_ERR, "meta: close: %s", sqlite3_errstr(rc));
	free(db);
}

int db_prepare(struct db *db, enum stmt_id id, sqlite3_stmt **out)
{
	int rc = sqlite3_prepare_v3(db->h, stmt_defs[id].sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return rc == SQLITE_OK ? 0 : sql_failed(db->h, rc, stmt_defs[id].name);
}

static int prepare_all(struct db *db, bool reader)
{
	for (unsigned i = 0; i < ST_COUNT; i++) {
		unsigned flags = stmt_defs[i].flags;
		int r;

		if ((flags & STMT_CHECK) || (reader && !(flags & STMT_READ)) || db->st[i])
			continue;
		r = db_prepare(db, i, &db->st[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

sqlite3_stmt *db_stmt(struct db *db, enum stmt_id id)
{
	if (!db->st[id] && db_prepare(db, id, &db->st[id]) < 0)
		return NULL;
	return db->st[id];
}

int db_step(struct db *db, sqlite3_stmt *s)
{
	int rc, r;

	if (!s)
		return -EIO; /* db_stmt failed and said why */
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : sql_failed(db->h, rc, sqlite3_sql(s));
	sqlite3_reset(s);
	return r;
}

int db_run(struct db *db, sqlite3_stmt *s)
{
	int r = db_step(db, s);

	if (r > 0) {
		sqlite3_reset(s);
		return 0;
	}
	return r;
}

int db_run_id(struct db *db, enum stmt_id id)
{
	return db_run(db, db_stmt(db, id));
}

/* ---- format ---- */

static int insert_store(struct db *db, const struct meta_params *p)
{
	static const char sql[] = "INSERT INTO store(one, uuid, block_size, hash_algo, codec, epoch, applied_lsn, next_ino, next_vol,"
				  " next_block, last_pack, created_ns) VALUES(1, ?1, ?2, ?3, ?4, 1, 0, 1, 1, 1, 0, ?5)";
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db->h, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		bind_bytes(s, 1, p->uuid, sizeof(p->uuid));
		bind_u64(s, 2, p->block_size);
		bind_u64(s, 3, p->hash_algo);
		bind_u64(s, 4, p->codec);
		bind_u64(s, 5, p->created_ns);
		rc = sqlite3_step(s);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : sql_failed(db->h, rc, "format");
}

static int format_file(struct meta_vfs *v, const struct meta_params *p)
{
	CLEANUP_DB struct db *db = NULL;
	int rc, r = db_open(v, META_FILE_NEW, DB_FORMAT, 0, &db);

	if (r < 0)
		return r;
	r = migrate(db, schema_steps, schema_nsteps);
	if (r == 0)
		r = insert_store(db, p);
	if (r < 0)
		return r;
	/* All into the one file that is renamed. */
	rc = sqlite3_wal_checkpoint_v2(db->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sql_failed(db->h, rc, "format");
}

static int unlink_if_there(struct io *io, const char *path)
{
	int r = io_unlink(io, path);

	return r == -ENOENT ? 0 : r;
}

static int remove_leftovers(struct io *io)
{
	static const char *const names[] = {META_FILE_NEW, META_FILE_NEW "-wal", META_FILE_NEW "-journal"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		int r = unlink_if_there(io, names[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int file_exists(struct io *io, const char *path)
{
	CLEANUP_IO struct io_file *f = NULL;
	int r = io_open(io, path, IO_RDONLY, &f);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int meta_format(struct io *io, const struct meta_params *p)
{
	struct meta_vfs *v = NULL;
	int r = file_exists(io, META_FILE);

	if (r != 0)
		return r < 0 ? r : -EEXIST;
	/* A WAL without its database is another, older database's: it must not meet the new one. */
	r = unlink_if_there(io, META_FILE "-wal");
	if (r == 0)
		r = remove_leftovers(io);
	if (r == 0)
		r = vfs_new(io, &v);
	if (r < 0)
		return r;
	r = format_file(v, p);
	vfs_free(v);
	if (r == 0)
		r = unlink_if_there(io, META_FILE_NEW "-wal"); /* empty since the checkpoint */
	if (r == 0)
		r = io_rename(io, META_FILE_NEW, META_FILE, IO_NOREPLACE);
	if (r == 0)
		return io_sync_dir(io, ".");
	ignore_result(remove_leftovers(io)); /* the next meta_format does it again */
	return r;
}

/* ---- open and close ---- */

static int load_store(struct meta *m)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_STORE_GET);
	int r = db_step(m->db, s);

	if (r <= 0) {
		if (r == 0)
			msg(LOG_ERR, "meta: table store is empty");
		return r < 0 ? r : -EUCLEAN;
	}
	if (sqlite3_column_bytes(s, 0) != sizeof(m->params.uuid)) {
		msg(LOG_ERR, "meta: table store: uuid has %d bytes", sqlite3_column_bytes(s, 0));
		return -EUCLEAN;
	}
	memcpy(m->params.uuid, sqlite3_column_blob(s, 0), sizeof(m->params.uuid));
	m->params.block_size = (uint32_t)col_u64(s, 1);
	m->params.hash_algo = (uint32_t)col_u64(s, 2);
	m->params.codec = (uint32_t)col_u64(s, 3);
	m->params.created_ns = col_u64(s, 4);
	m->state.epoch = col_u64(s, 5);
	m->state.applied_lsn = col_u64(s, 6);
	m->state.next_ino = col_u64(s, 7);
	m->state.next_vol = col_u64(s, 8);
	m->state.next_block = col_u64(s, 9);
	m->state.last_pack = col_u64(s, 10);
	return 0;
}

static void meta_free(struct meta *m)
{
	reader_view_free(m->view);
	lines_release(&m->lines);
	db_close(m->checkpoint_db);
	db_close(m->db);
	vfs_free(m->vfs);
	pthread_mutex_destroy(&m->checkpoint_lock);
	free(m);
}

static int open_all(struct meta *m)
{
	int r = vfs_new(m->io, &m->vfs);

	if (r == 0)
		r = db_open(m->vfs, META_FILE, DB_WRITER, m->cache_bytes / 2, &m->db);
	if (r == 0)
		r = migrate(m->db, schema_steps, schema_nsteps);
	if (r == 0)
		r = prepare_all(m->db, false);
	if (r == 0)
		r = db_open(m->vfs, META_FILE, DB_CHECKPOINT, 0, &m->checkpoint_db);
	if (r == 0)
		r = reader_view_new(m->db, &m->view);
	if (r == 0)
		r = load_store(m);
	if (r == 0)
		r = lines_load(m);
	return r;
}

int meta_open(struct io *io, uint64_t cache_bytes, struct meta **out)
{
	struct meta *m;
	int r = file_exists(io, META_FILE);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
#ifdef KAGEFS_MUTATE
	meta_mutate = getenv("META_MUTATE");
#endif
	m->io = io;
	m->cache_bytes = cache_bytes;
	pthread_mutex_init(&m->checkpoint_lock, NULL);
	r = open_all(m);
	if (r < 0) {
		meta_free(m);
		return r;
	}
	vfs_fill_reserve(m->vfs);
	*out = m;
	return 0;
}

void meta_close(struct meta *m)
{
	int rc;

	if (!m)
		return;
	meta_rollback(m);
	/* Failing loses nothing: the WAL stays and the next meta_open reads it. */
	rc = sqlite3_wal_checkpoint_v2(m->db->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (rc != SQLITE_OK)
		ignore_result(sql_failed(m->db->h, rc, "checkpoint at close"));
	meta_free(m);
}

void meta_abandon(struct meta *m)
{
	if (!m)
		return;
	vfs_abandon(m->vfs);
	if (m->in_tx)
		ignore_result(db_run_id(m->db, ST_ROLLBACK)); /* writes nothing in WAL mode */
	meta_free(m);
}

const struct meta_params *meta_params(struct meta *m)
{
	return &m->params;
}

struct meta_state *meta_state(struct meta *m)
{
	return &m->state;
}

bool meta_is_full(struct meta *m)
{
	return vfs_is_full(m->vfs);
}

struct meta_reader *meta_writer_view(struct meta *m)
{
	return m->view;
}

/* ---- transactions ---- */

int meta_begin(struct meta *m)
{
	int r;

	if (m->broken)
		return m->broken;
	if (m->in_tx)
		return -EINVAL;
	r = db_run_id(m->db, ST_BEGIN_WRITE);
	if (r < 0)
		return r;
	m->in_tx = true;
	m->tx_error = 0;
	m->lines_changed = m->copied = false;
	m->saved = m->state;
	return 0;
}

void meta_rollback(struct meta *m)
{
	int r = 0;

	if (!m->in_tx)
		return;
	/* After a full disk or an I/O error SQLite may have rolled back by itself. */
	if (!sqlite3_get_autocommit(m->db->h))
		r = db_run_id(m->db, ST_ROLLBACK);
	m->in_tx = false;
	m->ids_burnt = m->ids_burnt || m->state.next_block != m->saved.next_block;
	m->saved.next_block = m->state.next_block; /* packs may hold records that carry these ids */
	m->state = m->saved;
	m->reap_vol = 0;
	m->dead_next = 0;
	m->block_changes++;
	if (r == 0 && m->lines_changed)
		r = lines_load(m);
	if (r < 0) {
		msg(LOG_ERR, "meta: rollback failed, the store must be opened again, errno=%d", -r);
		m->broken = r;
	}
}

static int store_state(struct meta *m)
{
	sqlite3_stmt *s;

	if (!m->ids_burnt && memcmp(&m->state, &m->saved, sizeof(m->state)) == 0)
		return 0;
	s = db_stmt(m->db, ST_STORE_SET);
	bind_u64(s, 1, m->state.epoch);
	bind_u64(s, 2, m->state.applied_lsn);
	bind_u64(s, 3, m->state.next_ino);
	bind_u64(s, 4, m->state.next_vol);
	bind_u64(s, 5, m->state.next_block);
	bind_u64(s, 6, m->state.last_pack);
	return db_run(m->db, s);
}

static bool state_went_back(const struct meta_state *now, const struct meta_state *before)
{
	return now->epoch < before->epoch || now->applied_lsn < before->applied_lsn || now->next_ino < before->next_ino ||
	       now->next_vol < before->next_vol || now->next_block < before->next_block ||
	       now->last_pack < before->last_pack;
}

int meta_commit(struct meta *m)
{
	int r = m->tx_error;

	if (!m->in_tx)
		return -EINVAL;
	/* A copy whose pin is the present epoch would see what is written next. */
	if (r == 0 && (m->copied || state_went_back(&m->state, &m->saved)))
		r = -EINVAL;
	if (r == 0)
		r = store_state(m);
	if (r == 0)
		r = db_run_id(m->db, ST_COMMIT);
	if (r < 0) {
		meta_rollback(m);
		return r;
	}
	m->in_tx = m->ids_burnt = false;
	if (vfs_is_full(m->vfs))
		vfs_fill_reserve(m->vfs);
	return 0;
}

int tx_enter(struct meta *m)
{
	if (!m->in_tx)
		return -EINVAL;
	return m->tx_error;
}

int tx_leave(struct meta *m, int r)
{
	/* -ENOENT is an answer, and -EINVAL a refusal before anything was changed. */
	if (r < 0 && r != -ENOENT && r != -EINVAL && !m->tx_error)
		m->tx_error = r;
	return r;
}

int meta_checkpoint(struct meta *m, uint64_t *wal_bytes)
{
	int frames = 0, done = 0, rc, r = 0;

	pthread_mutex_lock(&m->checkpoint_lock);
	/* SQLite asks no busy handler for passive checkpoints. */
	for (int tries = 0;; tries++) {
		rc = sqlite3_wal_checkpoint_v2(m->checkpoint_db->h, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
		if (rc != SQLITE_BUSY || !on_busy(NULL, tries))
			break;
	}
	if (rc != SQLITE_OK)
		r = sql_failed(m->checkpoint_db->h, rc, "checkpoint");
	pthread_mutex_unlock(&m->checkpoint_lock);
	if (r == 0 && wal_bytes)
		*wal_bytes = frames <= done ? 0 : WAL_HEADER_BYTES + (uint64_t)frames * WAL_FRAME_BYTES;
	if (r == 0 && vfs_is_full(m->vfs))
		vfs_fill_reserve(m->vfs);
	return r;
}

/* ---- statistics ---- */

static int count(struct meta *m, enum stmt_id id, uint64_t *out)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, id);
	int r = db_step(m->db, s);

	if (r > 0)
		*out = col_u64(s, 0);
	return r < 0 ? r : 0;
}

static int file_bytes(struct io *io, const char *path, uint64_t *out)
{
	CLEANUP_IO struct io_file *f = NULL;
	int r = io_open(io, path, IO_RDONLY, &f);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : io_size(f, out);
}

int meta_get_stats(struct meta *m, struct meta_stats *out)
{
	int r;

	memset(out, 0, sizeof(*out));
	out->volumes = m->lines.n;
	r = file_bytes(m->io, META_FILE, &out->db_bytes);
	if (r == 0)
		r = file_bytes(m->io, META_FILE "-wal", &out->wal_bytes);
	if (r == 0)
		r = count(m, ST_WALK_COUNT, &out->walks);
	if (r == 0)
		r = count(m, ST_ORPHAN_COUNT, &out->orphans);
	if (r == 0)
		r = count(m, ST_FREED_COUNT, &out->freed);
	if (r == 0)
		r = count(m, ST_BLOCK_DEAD_COUNT, &out->blocks_dead);
	return r;
}
