/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A store as a whole: made, opened (recovered and replayed), closed; and the small services every part uses.
 *
 * In the store's directory: format (text: who this store is; written last when a store is made), lock, meta.db and its
 * companions (fs/meta), packs/ (fs/store), log/ (fs/log).
 */
#include <stdio.h>
#include <sys/random.h>

#include "fs/volume/background.h"
#include "fs/volume/backlog.h"
#include "fs/volume/internal.h"
#include "fs/volume/sets.h"

#define FORMAT_FILE "format"
#define FORMAT_VERSION 1
/* Unless told otherwise the log may take this share of the free space, within these bounds. */
#define LOG_SPACE_SHARE 16
#define LOG_BYTES_LEAST (64ull << 20)
#define LOG_BYTES_MOST (4ull << 30)
#define COMPACT_AFTER_DEFAULT (64ull << 20)
#define ROOT_VOLUME 1
#define CLOSE_APPLY_NS 2000000000ll

int random_bytes(void *buf, size_t n)
{
	return getrandom(buf, n, 0) == (ssize_t)n ? 0 : -EIO;
}

/* ---- the format file ---- */

struct format {
	unsigned version;
	uint8_t uuid[16];
	uint64_t segment_bytes;
};

static void uuid_text(const uint8_t u[16], char out[33])
{
	for (unsigned i = 0; i < 16; i++)
		sprintf(out + 2 * i, "%02x", u[i]);
}

static int format_write(struct io *io, const struct format *f)
{
	struct io_file *file CLEANUP_IO = NULL;
	char text[256], uuid[33];
	int n, r;

	uuid_text(f->uuid, uuid);
	n = snprintf(text, sizeof(text), "kagefs store\nversion=%u\nuuid=%s\nlog_segment=%llu\n", f->version, uuid,
		     (unsigned long long)f->segment_bytes);
	r = io_open(io, FORMAT_FILE ".new", IO_CREATE, &file);
	if (!r)
		r = io_pwrite(file, text, (size_t)n, 0);
	if (!r)
		r = io_truncate(file, (uint64_t)n);
	if (!r)
		r = io_sync(file);
	if (!r)
		r = io_rename(io, FORMAT_FILE ".new", FORMAT_FILE, IO_NOREPLACE);
	return r ? r : io_sync_dir(io, ".");
}

static int format_read(struct io *io, struct format *f)
{
	struct io_file *file CLEANUP_IO = NULL;
	char text[256], uuid[33] = "";
	unsigned long long seg;
	ssize_t n;
	int r = io_open(io, FORMAT_FILE, IO_RDONLY, &file);

	if (r)
		return r;
	n = io_pread(file, text, sizeof(text) - 1, 0);
	if (n < 0)
		return (int)n;
	text[n] = 0;
	if (sscanf(text, "kagefs store\nversion=%u\n", &f->version) != 1)
		return -EUCLEAN;
	if (f->version > FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	if (sscanf(text, "kagefs store\nversion=%u\nuuid=%32[0-9a-f]\nlog_segment=%llu\n", &f->version, uuid, &seg) != 3)
		return -EUCLEAN;
	for (unsigned i = 0; i < 16; i++) {
		unsigned b;

		if (sscanf(uuid + 2 * i, "%2x", &b) != 1)
			return -EUCLEAN;
		f->uuid[i] = (uint8_t)b;
	}
	f->segment_bytes = seg;
	return 0;
}

static int any_name(void *arg, const char *name)
{
	return strcmp(name, "lost+found") && strcmp(name, "lock") ? -EEXIST : 0;
}

static uint32_t record_max(uint64_t segment_bytes)
{
	return (uint32_t)MIN((uint64_t)LOG_RECORD_MAX, segment_bytes / 4);
}

static struct log_config log_config(uint64_t segment_bytes, uint64_t log_bytes, uint64_t buffer_bytes, uint32_t dirty_age_ms)
{
	struct log_config c = { .segment_bytes = segment_bytes, .dirty_age_ms = dirty_age_ms };

	c.max_record_bytes = record_max(segment_bytes);
	c.max_segments = (uint32_t)MAX(log_bytes / segment_bytes, 4ull);
	c.buffer_bytes = buffer_bytes;
	return c;
}

static uint64_t log_bytes_default(struct io *io)
{
	struct io_space s;

	if (io_space(io, &s))
		return LOG_BYTES_LEAST;
	return MIN(MAX(s.free_bytes / LOG_SPACE_SHARE, LOG_BYTES_LEAST), LOG_BYTES_MOST);
}

static int first_volume(struct io *io, const struct fs_format_options *o)
{
	struct meta_volume v = { .id = ROOT_VOLUME, .line = ROOT_VOLUME, .alias = ROOT_VOLUME, .root = FS_INO_FIRST };
	struct meta_attr a = { .nlink = 2 };
	struct meta *m;
	int r = meta_open(io, 8 << 20, &m);

	if (r)
		return r;
	a.mode = S_IFDIR | (o->root_mode ? o->root_mode & 07777 : 0755);
	a.uid = o->root_uid;
	a.gid = o->root_gid;
	a.atime_ns = a.mtime_ns = a.ctime_ns = a.btime_ns = clock_realtime_ns();
	v.created_ns = (uint64_t)a.btime_ns;
	r = random_uuid(v.uuid);
	if (!r)
		r = meta_begin(m);
	if (!r) {
		r = meta_volume_insert(m, &v);
		if (!r)
			r = meta_put_attr(m, v.id, v.root, &a);
		if (!r) {
			meta_state(m)->next_ino = FS_INO_FIRST + 1;
			meta_state(m)->next_vol = ROOT_VOLUME + 1;
			r = meta_commit(m);
		} else {
			meta_rollback(m);
		}
	}
	meta_close(m);
	return r;
}

int fs_format(struct io *io, const struct fs_format_options *o)
{
	struct meta_params p = { .block_size = o->block_size ? o->block_size : FS_BLOCK_SIZE_DEFAULT };
	struct format f = { .version = FORMAT_VERSION };
	static const uint8_t none[16];
	struct log_config lc;
	int r = io_list(io, ".", any_name, NULL);

	if (r)
		return r;
	if (p.block_size < 4096 || p.block_size > 1 << 20 || (p.block_size & (p.block_size - 1)))
		return -EINVAL;
	p.hash_algo = o->hash_algo ? (uint32_t)o->hash_algo : hash_available(HASH_BLAKE3) ? HASH_BLAKE3 : HASH_SHA256;
	p.codec = o->codec < 0 ? STORE_LZ4 : (uint32_t)o->codec;
	p.created_ns = (uint64_t)clock_realtime_ns();
	memcpy(p.uuid, o->uuid, 16);
	if (!memcmp(p.uuid, none, 16))
		r = random_uuid(p.uuid);
	memcpy(f.uuid, p.uuid, 16);
	f.segment_bytes = o->log_segment_bytes ? o->log_segment_bytes : LOG_SEGMENT_BYTES_DEFAULT;
	lc = log_config(f.segment_bytes, LOG_BYTES_LEAST, 4ull * record_max(f.segment_bytes), 0);
	if (!r)
		r = store_format(io);
	if (!r)
		r = log_format(io, p.uuid, &lc);
	if (!r)
		r = meta_format(io, &p);
	if (!r)
		r = first_volume(io, o);
	return r ? r : format_write(io, &f);
}

/* ---- readers ---- */

struct meta_reader *reader_take(struct fs *fs)
{
	struct meta_reader *r = NULL;

	pthread_mutex_lock(&fs->readers.lock);
	while (!fs->readers.n) {
		if (fs->readers.made < ARRAY_SIZE(fs->readers.v)) {
			fs->readers.made++;
			pthread_mutex_unlock(&fs->readers.lock);
			if (!meta_reader_open(fs->meta, &r))
				return r;
			pthread_mutex_lock(&fs->readers.lock);
			fs->readers.made--;
			if (!fs->readers.made) {
				pthread_mutex_unlock(&fs->readers.lock);
				return NULL;
			}
			continue;
		}
		pthread_cond_wait(&fs->readers.cond, &fs->readers.lock);
	}
	r = fs->readers.v[--fs->readers.n];
	pthread_mutex_unlock(&fs->readers.lock);
	return r;
}

void reader_give(struct fs *fs, struct meta_reader *r)
{
	pthread_mutex_lock(&fs->readers.lock);
	fs->readers.v[fs->readers.n++] = r;
	pthread_cond_signal(&fs->readers.cond);
	pthread_mutex_unlock(&fs->readers.lock);
}

/* ---- open ---- */

static int load_set(void *arg, const struct meta_set *m)
{
	struct set *s;
	int r = set_make(m, &s);

	if (!r)
		set_put_item(arg, s);
	return r;
}

static int replay_record(void *arg, const struct log_record *rec)
{
	return change_replay(arg, rec);
}

static void init_memory(struct fs *fs)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fs->gate, &a);
	pthread_rwlockattr_destroy(&a);
	pthread_mutex_init(&fs->sets.lock, NULL);
	RB_INIT(&fs->sets.ids);
	RB_INIT(&fs->sets.uuids);
	fs->sets.next_id = 1;
	pthread_mutex_init(&fs->pending.lock, NULL);
	pthread_cond_init(&fs->pending.cond, NULL);
	fs->pending.tail = &fs->pending.head;
	pthread_mutex_init(&fs->readers.lock, NULL);
	pthread_cond_init(&fs->readers.cond, NULL);
	pthread_mutex_init(&fs->writer_lock, NULL);
	inodes_init(&fs->inodes);
	nodes_init(&fs->nodes);
}

static int open_parts(struct fs *fs)
{
	struct store_config sc = { 0 };
	struct log_config lc;
	struct format f;
	const struct meta_params *p;
	struct meta_state *st;
	int r = format_read(fs->io, &f);

	if (r)
		return r;
	memory_plan(&fs->memory, fs->opt.memory_bytes, fs->opt.front_bytes, record_max(f.segment_bytes));
	r = meta_open(fs->io, fs->memory.database, &fs->meta);
	if (r)
		return r;
	p = meta_params(fs->meta);
	if (memcmp(p->uuid, f.uuid, 16))
		return -EUCLEAN;
	fs->block_size = sc.block_size = p->block_size;
	fs->block_shift = (unsigned)__builtin_ctz(p->block_size);
	fs->space_unit = p->block_size + 4096;
	sc.hash_algo = (enum hash_algo)p->hash_algo;
	sc.codec = (enum store_codec)p->codec;
	sc.pack_bytes = fs->opt.pack_bytes;
	memory_plan_blocks(&fs->memory, p->block_size);
	sc.sums_bytes = fs->memory.chunk_sums;
	sc.stream_bytes = fs->memory.streams;
	r = store_open(fs->io, &sc, (uint32_t)meta_state(fs->meta)->last_pack, &fs->store);
	if (!r)
		r = vtab_load(&fs->vtab, fs->meta);
	if (!r && fs->opt.repair) /* behind the volumes: where they do not hang together, whose rows are nobody's is not known */
		r = repair_store(fs, fs->opt.repair);
	if (!r)
		r = reclaim_garbage_at_mount(fs);
	if (!r)
		r = rows_new(&fs->rows);
	if (!r)
		r = bcache_new(fs->block_size, &fs->bcache);
	if (!r)
		r = pins_new(&fs->pins);
	if (!r)
		r = meta_set_list(fs->meta, load_set, fs);
	if (r)
		return r;
	st = meta_state(fs->meta);
	fs->epoch = st->epoch;
	atomic_store(&fs->next_ino, st->next_ino);
	atomic_store(&fs->stored_ino, st->next_ino);
	atomic_store(&fs->next_vol, st->next_vol);
	atomic_store(&fs->pending.applied, st->applied_lsn);
	for (struct vol *v = vol_next(&fs->vtab, 0), *next; v; v = next) { /* set ids live in volumes too */
		fs->sets.next_id = MAX(fs->sets.next_id, v->set_id + 1);
		next = vol_next(&fs->vtab, v->id);
		vol_put(&fs->vtab, v);
	}
	memory_adjust(fs);
	if (!fs->opt.log_bytes)
		fs->opt.log_bytes = log_bytes_default(fs->io);
	lc = log_config(f.segment_bytes, fs->opt.log_bytes, fs->memory.log_buffer, fs->opt.dirty_age_ms);
	fs->record_max = lc.max_record_bytes;
	backlog_init(fs, &lc);
	r = log_open(fs->io, f.uuid, &lc, &fs->log);
	if (!r)
		r = log_replay(fs->log, st->applied_lsn, replay_record, fs);
	if (!r)
		r = log_start(fs->log, st->applied_lsn);
	if (!r)
		r = convert_new(fs, fs->memory.convert, &fs->convert);
	if (!r)
		r = compact_new(&fs->compact);
	return r;
}

static void free_memory(struct fs *fs)
{
	convert_free(fs->convert);
	compact_free(fs->compact);
	for (struct pending *q = fs->pending.head, *next; q; q = next) {
		next = q->link;
		pending_free(q);
	}
	inodes_release(&fs->inodes);
	nodes_release(&fs->nodes);
	rows_free(fs->rows);
	bcache_free(fs->bcache);
	pins_free(fs->pins);
	sets_release(fs);
	vtab_release(&fs->vtab);
	while (fs->readers.n)
		meta_reader_close(fs->readers.v[--fs->readers.n]);
	pthread_rwlock_destroy(&fs->gate);
	pthread_mutex_destroy(&fs->writer_lock);
	pthread_mutex_destroy(&fs->readers.lock);
	pthread_cond_destroy(&fs->readers.cond);
	pthread_mutex_destroy(&fs->pending.lock);
	pthread_cond_destroy(&fs->pending.cond);
	pthread_mutex_destroy(&fs->sets.lock);
}

int fs_open(struct io *io, const struct fs_open_options *o, char *holder, size_t holder_size, struct fs **out)
{
	struct io_file *format;
	struct fs *fs;
	int r = io_open(io, FORMAT_FILE, IO_RDONLY, &format); /* first: the lock file must not be left in a directory that is no store */

	if (r)
		return r;
	io_close(format);
	r = io_lock(io, "lock", holder, holder_size);
	if (r)
		return r;
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->io = io;
	fs->opt = *o;
	if (!fs->opt.memory_bytes)
		fs->opt.memory_bytes = FS_MEMORY_DEFAULT;
	if (!fs->opt.compact_after)
		fs->opt.compact_after = COMPACT_AFTER_DEFAULT;
	fs->opt.dirty_age_ms = o->dirty_age_ms == UINT32_MAX ? 0 : o->dirty_age_ms ? o->dirty_age_ms : 5000;
	init_memory(fs);
	r = vtab_init(&fs->vtab);
	if (!r)
		r = pushes_new(fs->opt.push_out, fs->opt.arg, &fs->pushes);
	if (!r)
		r = open_parts(fs);
	if (!r && !o->manual)
		r = background_start(fs);
	if (!r)
		r = sets_recover(fs); /* may need log room, so after the one who makes it */
	if (r) {
		fs_abandon(fs);
		return r;
	}
	*out = fs;
	return 0;
}

static void stop_pushing(struct fs *fs)
{
	pushes_free(fs->pushes);
	fs->pushes = NULL;
}

void fs_abandon(struct fs *fs)
{
	if (!fs)
		return;
	stop_pushing(fs);
	background_stop(fs);
	if (fs->log)
		log_abandon(fs->log);
	store_close(fs->store);
	while (fs->readers.n)
		meta_reader_close(fs->readers.v[--fs->readers.n]);
	if (fs->meta)
		meta_abandon(fs->meta);
	free_memory(fs);
	free(fs);
}

int fs_close(struct fs *fs)
{
	int64_t until = clock_monotonic_ns() + CLOSE_APPLY_NS;
	int r, e;

	stop_pushing(fs);
	background_stop(fs);
	r = log_wait(fs->log, UINT64_MAX);
	pthread_mutex_lock(&fs->writer_lock);
	/* Durable is what closing promises.  A little is applied so that a quiet store closes with an empty log; a busy one leaves
	 * the rest to the next mount, which reads it back in the time a sequential read takes. */
	while (!r && !atomic_load(&fs->poisoned) && (fs->opt.manual || clock_monotonic_ns() < until)) {
		r = apply_step(fs, APPLY_SMALL);
		if (r <= 0)
			break;
		r = 0;
	}
	pthread_mutex_unlock(&fs->writer_lock);
	if (r == -ENOSPC)
		r = 0; /* the log keeps it; the next mount goes on */
	if (r) {
		fs_abandon(fs);
		return r;
	}
	e = log_close(fs->log);
	fs->log = NULL;
	store_close(fs->store);
	while (fs->readers.n)
		meta_reader_close(fs->readers.v[--fs->readers.n]);
	meta_close(fs->meta);
	free_memory(fs);
	free(fs);
	return e;
}

/* ---- durability ---- */

void fs_poison(struct fs *fs, int err, const char *what)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&fs->poisoned, &none, err))
		msg(LOG_CRIT, "%s failed: %s; the store accepts no more changes, unmount it and mount it again", what, strerror(-err));
	pthread_mutex_lock(&fs->pending.lock);
	pthread_cond_broadcast(&fs->pending.cond);
	pthread_mutex_unlock(&fs->pending.lock);
}

int fs_wait(struct fs *fs, uint64_t lsn)
{
	int r = log_wait(fs->log, lsn);

	if (r)
		fs_poison(fs, r, "flushing the log");
	return r;
}

int fs_sync(struct fs *fs)
{
	return fs_wait(fs, UINT64_MAX);
}

_Static_assert(sizeof(struct log_waiter) <= sizeof(((struct fs_waiter *)0)->opaque), "fs_waiter holds a log_waiter");

static void waiter_done(struct log_waiter *w, int err)
{
	struct fs_waiter *f = (struct fs_waiter *)(void *)w;

	f->done(f, err);
}

void fs_wait_async(struct fs *fs, uint64_t lsn, struct fs_waiter *w)
{
	struct log_waiter *l = (struct log_waiter *)(void *)w->opaque;

	l->lsn = lsn;
	l->done = waiter_done;
	log_flush(fs->log, l);
}

/* ---- statfs ---- */

int fs_statfs(struct fs *fs, struct fs_statfs *out)
{
	int64_t now = clock_monotonic_ns();
	struct io_space sp;

	/* Asked at most once a second, so that df in a loop costs nothing. */
	if (!atomic_load(&fs->space_at_ns) || now - atomic_load(&fs->space_at_ns) > 1000000000) {
		int r = io_space(fs->io, &sp);

		if (r)
			return r;
		atomic_store(&fs->space_free, sp.free_bytes);
		atomic_store(&fs->space_total, sp.total_bytes);
		atomic_store(&fs->space_at_ns, now);
	}
	memset(out, 0, sizeof(*out));
	out->block_size = 4096;
	out->blocks = atomic_load(&fs->space_total) / 4096;
	out->blocks_free = out->blocks_avail = atomic_load(&fs->space_free) / 4096;
	out->files = 1ull << 40;
	out->files_free = (1ull << 40) - atomic_load(&fs->next_ino);
	out->name_max = FS_NAME_MAX;
	return 0;
}
