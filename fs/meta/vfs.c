/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SQLite's file system over fs/base/io.h, one instance per struct meta.
 *
 * Locks and the WAL index live in memory: only one process opens a store (io_lock), so nothing of them needs a file, and
 * after a crash SQLite builds the index anew from the WAL.  All connections of an instance share one node, and one open
 * file, per path.  Every change of a file goes through io_* in the order SQLite makes it, so the power-cut simulator sees it.
 *
 * The reserve is a file of allocated space that is removed when a write finds the disk full, so that deleting, which
 * writes before it frees, goes on.
 *
 * Lock: mutex protects the list of nodes and everything in a node but `file`, which is set once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#define SHM_REGIONS_MAX 4096
#define RESERVE_BYTES (16u << 20)

struct file;

struct node {
	struct node *next;
	char path[IO_PATH_MAX + 1];
	struct io_file *file; /* owned */
	unsigned refs;
	bool unlinked;
	bool name_pending; /* created by us, directory not synced yet */

	unsigned nshared;
	struct file *writer; /* holds RESERVED or more */

	void **region;
	int nregions, region_bytes;
	unsigned shm_refs;
	unsigned shm_shared[SQLITE_SHM_NLOCK];
	struct file *shm_excl[SQLITE_SHM_NLOCK];
};

struct meta_vfs {
	sqlite3_vfs vfs;
	struct io *io; /* borrowed */
	char name[32];
	pthread_mutex_t mutex;
	struct node *nodes;
	atomic_bool abandoned;
	atomic_bool full;     /* the reserve is given up */
	atomic_bool reserved; /* the reserve is there */
	atomic_int last_errno;
};

struct file {
	sqlite3_file base;
	struct meta_vfs *v;
	struct node *node;
	int level; /* SQLITE_LOCK_* */
	bool shm;
	uint16_t shm_shared, shm_excl; /* bits of the slots held */
};

static struct meta_vfs *to_vfs(sqlite3_vfs *p)
{
	return CONTAINER_OF(p, struct meta_vfs, vfs);
}
static struct file *to_file(sqlite3_file *p)
{
	return CONTAINER_OF(p, struct file, base);
}

static int failed(struct meta_vfs *v, int err, int code)
{
	atomic_store(&v->last_errno, -err);
	if (err == -ENOSPC || err == -EDQUOT)
		return SQLITE_FULL;
	return err == -ENOMEM ? SQLITE_IOERR_NOMEM : code;
}

/* ---- the reserve ---- */

/* True if space was given back, so that it is worth trying again. */
static bool spend_reserve(struct meta_vfs *v)
{
	bool had = atomic_exchange(&v->reserved, false);

	if (!atomic_exchange(&v->full, true))
		msg(LOG_WARNING, "meta: disk full, reserve=%s", had ? "released" : "missing");
	return had && io_unlink(v->io, META_RESERVE_FILE) == 0;
}

void vfs_fill_reserve(struct meta_vfs *v)
{
	CLEANUP_IO struct io_file *f = NULL;
	struct io_space space;
	uint64_t want = RESERVE_BYTES;
	int r;

	if (atomic_load(&v->reserved) || io_space(v->io, &space) < 0)
		return;
	if (space.total_bytes)
		want = MIN(want, space.total_bytes / 64 & ~(uint64_t)4095);
	/* Taking the last bytes for the reserve would only make the next write spend it again. */
	if (atomic_load(&v->full) && space.free_bytes < 2 * want)
		return;
	r = io_open(v->io, META_RESERVE_FILE, IO_CREATE, &f);
	if (r == 0)
		r = io_allocate(f, 0, want);
	if (r == -EOPNOTSUPP) {
		msg(LOG_WARNING, "meta: this file system cannot reserve space; deleting may fail when it is full");
		return;
	}
	if (r < 0) {
		if (!atomic_exchange(&v->full, true))
			msg(LOG_WARNING, "meta: no space for the reserve, bytes=%llu errno=%d", (unsigned long long)want, -r);
		if (f) {
			io_close(f);
			f = NULL;
			ignore_result(io_unlink(v->io, META_RESERVE_FILE)); /* half of it is of no use */
		}
		return;
	}
	atomic_store(&v->reserved, true);
	if (atomic_exchange(&v->full, false))
		msg(LOG_NOTICE, "meta: space is back, reserve filled");
}

bool vfs_is_full(struct meta_vfs *v)
{
	return atomic_load(&v->full);
}

/* ---- nodes ---- */

static void node_unlink(struct meta_vfs *v, struct node *n)
{
	struct node **p = &v->nodes;

	while (*p && *p != n)
		p = &(*p)->next;
	if (*p)
		*p = n->next;
	n->unlinked = true;
}

static void shm_free(struct node *n)
{
	for (int i = 0; i < n->nregions; i++)
		free(n->region[i]);
	free(n->region);
	n->region = NULL;
	n->nregions = 0;
}

static void node_unref_locked(struct meta_vfs *v, struct node *n)
{
	if (--n->refs)
		return;
	if (!n->unlinked)
		node_unlink(v, n);
	shm_free(n);
	io_close(n->file);
	free(n);
}

static struct node *node_find(struct meta_vfs *v, const char *path)
{
	for (struct node *n = v->nodes; n; n = n->next)
		if (strcmp(n->path, path) == 0)
			return n;
	return NULL;
}

static int node_open_locked(struct meta_vfs *v, const char *path, bool create, struct node **out)
{
	struct node *n = node_find(v, path);
	int r;

	if (n) {
		n->refs++;
		*out = n;
		return 0;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	r = io_open(v->io, path, 0, &n->file);
	if (r == -ENOENT && create) {
		r = io_open(v->io, path, IO_CREATE, &n->file);
		n->name_pending = true;
	}
	if (r < 0) {
		free(n);
		return r;
	}
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->refs = 1;
	n->next = v->nodes;
	v->nodes = n;
	*out = n;
	return 0;
}

/* ---- file methods ---- */

static int file_close(sqlite3_file *p)
{
	struct file *f = to_file(p);

	pthread_mutex_lock(&f->v->mutex);
	node_unref_locked(f->v, f->node);
	pthread_mutex_unlock(&f->v->mutex);
	return SQLITE_OK;
}

static int file_read(sqlite3_file *p, void *buf, int len, sqlite3_int64 off)
{
	struct file *f = to_file(p);
	ssize_t n = io_pread(f->node->file, buf, (size_t)len, (uint64_t)off);

	if (n < 0)
		return failed(f->v, (int)n, SQLITE_IOERR_READ);
	if (n == len)
		return SQLITE_OK;
	memset((char *)buf + n, 0, (size_t)(len - n)); /* SQLite relies on the zeros */
	return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *p, const void *buf, int len, sqlite3_int64 off)
{
	struct file *f = to_file(p);
	int r;

	if (atomic_load(&f->v->abandoned))
		return SQLITE_IOERR_WRITE;
	r = io_pwrite(f->node->file, buf, (size_t)len, (uint64_t)off);
	if ((r == -ENOSPC || r == -EDQUOT) && spend_reserve(f->v))
		r = io_pwrite(f->node->file, buf, (size_t)len, (uint64_t)off);
	return r < 0 ? failed(f->v, r, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int file_truncate(sqlite3_file *p, sqlite3_int64 size)
{
	struct file *f = to_file(p);
	int r;

	if (atomic_load(&f->v->abandoned))
		return SQLITE_IOERR_TRUNCATE;
	r = io_truncate(f->node->file, (uint64_t)size);
	return r < 0 ? failed(f->v, r, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int file_sync(sqlite3_file *p, int flags)
{
	struct file *f = to_file(p);
	bool name;
	int r;

	if (atomic_load(&f->v->abandoned))
		return SQLITE_IOERR_FSYNC;
	r = io_sync(f->node->file);
	if (r < 0)
		return failed(f->v, r, SQLITE_IOERR_FSYNC);
	pthread_mutex_lock(&f->v->mutex);
	name = f->node->name_pending;
	pthread_mutex_unlock(&f->v->mutex);
	if (!name)
		return SQLITE_OK;
	/* A commit in a WAL whose name is lost would be lost with it. */
	r = io_sync_dir(f->v->io, ".");
	if (r < 0)
		return failed(f->v, r, SQLITE_IOERR_DIR_FSYNC);
	pthread_mutex_lock(&f->v->mutex);
	f->node->name_pending = false;
	pthread_mutex_unlock(&f->v->mutex);
	return SQLITE_OK;
}

static int file_size(sqlite3_file *p, sqlite3_int64 *out)
{
	struct file *f = to_file(p);
	uint64_t size;
	int r = io_size(f->node->file, &size);

	if (r < 0)
		return failed(f->v, r, SQLITE_IOERR_FSTAT);
	*out = (sqlite3_int64)size;
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *p, int level)
{
	struct file *f = to_file(p);
	struct node *n = f->node;
	int r = SQLITE_OK;

	if (f->level >= level)
		return SQLITE_OK;
	pthread_mutex_lock(&f->v->mutex);
	if (level == SQLITE_LOCK_SHARED) {
		if (n->writer && n->writer->level >= SQLITE_LOCK_PENDING)
			r = SQLITE_BUSY;
		else
			n->nshared++;
	} else if (n->writer && n->writer != f) {
		r = SQLITE_BUSY;
	} else {
		n->writer = f;
		if (level == SQLITE_LOCK_EXCLUSIVE && n->nshared > 1) {
			f->level = SQLITE_LOCK_PENDING; /* no new readers; SQLite tries again */
			r = SQLITE_BUSY;
		}
	}
	if (r == SQLITE_OK)
		f->level = level;
	pthread_mutex_unlock(&f->v->mutex);
	return r;
}

static int file_unlock(sqlite3_file *p, int level)
{
	struct file *f = to_file(p);
	struct node *n = f->node;

	if (f->level <= level)
		return SQLITE_OK;
	pthread_mutex_lock(&f->v->mutex);
	if (n->writer == f)
		n->writer = NULL;
	if (level == SQLITE_LOCK_NONE)
		n->nshared--;
	f->level = level;
	pthread_mutex_unlock(&f->v->mutex);
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *p, int *out)
{
	struct file *f = to_file(p);

	pthread_mutex_lock(&f->v->mutex);
	*out = f->node->writer != NULL;
	pthread_mutex_unlock(&f->v->mutex);
	return SQLITE_OK;
}

static int file_control(sqlite3_file *p, int op, void *arg)
{
	struct file *f = to_file(p);

	switch (op) {
	case SQLITE_FCNTL_LOCKSTATE:
		*(int *)arg = f->level;
		return SQLITE_OK;
	case SQLITE_FCNTL_VFSNAME:
		*(char **)arg = sqlite3_mprintf("%s", f->v->name);
		return SQLITE_OK;
	}
	return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *p)
{
	return 4096;
}

static int file_device(sqlite3_file *p)
{
	/* A torn write leaves bytes outside its range alone: io.h promises it. */
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory ---- */

static int grow_regions(struct node *n, int upto, int bytes)
{
	void **list;

	if (upto >= SHM_REGIONS_MAX)
		return SQLITE_IOERR_SHMSIZE;
	list = realloc(n->region, (size_t)(upto + 1) * sizeof(*list));
	if (!list)
		return SQLITE_IOERR_NOMEM;
	n->region = list;
	n->region_bytes = bytes;
	for (; n->nregions <= upto; n->nregions++) {
		n->region[n->nregions] = calloc(1, (size_t)bytes);
		if (!n->region[n->nregions])
			return SQLITE_IOERR_NOMEM;
	}
	return SQLITE_OK;
}

static int shm_map(sqlite3_file *p, int page, int bytes, int extend, void volatile **out)
{
	struct file *f = to_file(p);
	struct node *n = f->node;
	int r = SQLITE_OK;

	*out = NULL;
	pthread_mutex_lock(&f->v->mutex);
	if (!f->shm) {
		f->shm = true;
		n->shm_refs++;
	}
	if (n->nregions && bytes != n->region_bytes)
		r = SQLITE_IOERR_SHMSIZE;
	else if (page >= n->nregions && extend)
		r = grow_regions(n, page, bytes);
	if (r == SQLITE_OK && page < n->nregions)
		*out = n->region[page];
	pthread_mutex_unlock(&f->v->mutex);
	return r;
}

static void shm_unlock_locked(struct file *f, int slot)
{
	struct node *n = f->node;
	uint16_t bit = (uint16_t)(1u << slot);

	if (f->shm_shared & bit)
		n->shm_shared[slot]--;
	if (f->shm_excl & bit)
		n->shm_excl[slot] = NULL;
	f->shm_shared &= (uint16_t)~bit;
	f->shm_excl &= (uint16_t)~bit;
}

static int shm_lock(sqlite3_file *p, int first, int count, int flags)
{
	struct file *f = to_file(p);
	struct node *n = f->node;
	int r = SQLITE_OK;

	pthread_mutex_lock(&f->v->mutex);
	if (flags & SQLITE_SHM_UNLOCK) {
		for (int i = first; i < first + count; i++)
			shm_unlock_locked(f, i);
	} else if (flags & SQLITE_SHM_SHARED) {
		uint16_t bit = (uint16_t)(1u << first);

		if (!(f->shm_shared & bit)) {
			if (n->shm_excl[first]) {
				r = SQLITE_BUSY;
			} else {
				n->shm_shared[first]++;
				f->shm_shared |= bit;
			}
		}
	} else {
		for (int i = first; i < first + count && r == SQLITE_OK; i++) {
			bool mine = f->shm_shared & (1u << i);

			if ((n->shm_excl[i] && n->shm_excl[i] != f) || n->shm_shared[i] > (mine ? 1u : 0u))
				r = SQLITE_BUSY;
		}
		for (int i = first; i < first + count && r == SQLITE_OK; i++) {
			n->shm_excl[i] = f;
			f->shm_excl |= (uint16_t)(1u << i);
		}
	}
	pthread_mutex_unlock(&f->v->mutex);
	return r;
}

static void shm_barrier(sqlite3_file *p)
{
	struct file *f = to_file(p);

	atomic_thread_fence(memory_order_seq_cst);
	pthread_mutex_lock(&f->v->mutex); /* as SQLite's own VFS does: a fence alone is not known to be enough everywhere */
	pthread_mutex_unlock(&f->v->mutex);
}

static int shm_unmap(sqlite3_file *p, int delete_it)
{
	struct file *f = to_file(p);

	pthread_mutex_lock(&f->v->mutex);
	if (f->shm) {
		for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
			shm_unlock_locked(f, i);
		f->shm = false;
		if (--f->node->shm_refs == 0)
			shm_free(f->node);
	}
	pthread_mutex_unlock(&f->v->mutex);
	return SQLITE_OK;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_device,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* ---- file system methods ---- */

static int vfs_open(sqlite3_vfs *p, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
	struct meta_vfs *v = to_vfs(p);
	struct file *f = to_file(out);
	bool create = flags & SQLITE_OPEN_CREATE;
	int r;

	memset(f, 0, sizeof(*f));
	if (!name) /* a temporary file: temp_store=memory leaves no reason for one */
		return SQLITE_CANTOPEN;
	pthread_mutex_lock(&v->mutex);
	if (create && atomic_load(&v->abandoned))
		r = -EIO;
	else
		r = node_open_locked(v, name, create, &f->node);
	pthread_mutex_unlock(&v->mutex);
	if (r < 0) {
		failed(v, r, 0);
		return r == -ENOMEM ? SQLITE_NOMEM : r == -ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
	}
	f->v = v;
	f->base.pMethods = &file_methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *p, const char *name, int sync_dir)
{
	struct meta_vfs *v = to_vfs(p);
	struct node *n;
	int r;

	if (atomic_load(&v->abandoned))
		return SQLITE_IOERR_DELETE;
	r = io_unlink(v->io, name);
	if (r == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (r < 0)
		return failed(v, r, SQLITE_IOERR_DELETE);
	pthread_mutex_lock(&v->mutex);
	n = node_find(v, name);
	if (n)
		node_unlink(v, n);
	pthread_mutex_unlock(&v->mutex);
	if (sync_dir) {
		r = io_sync_dir(v->io, ".");
		if (r < 0)
			return failed(v, r, SQLITE_IOERR_DIR_FSYNC);
	}
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *p, const char *name, int flags, int *out)
{
	struct meta_vfs *v = to_vfs(p);
	CLEANUP_IO struct io_file *f = NULL;
	uint64_t size = 0;
	int r = io_open(v->io, name, IO_RDONLY, &f);

	*out = 0;
	if (r == -ENOENT)
		return SQLITE_OK;
	if (r == 0)
		r = io_size(f, &size);
	if (r < 0)
		return failed(v, r, SQLITE_IOERR_ACCESS);
	*out = flags != SQLITE_ACCESS_EXISTS || size > 0; /* an empty journal is none */
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *p, const char *name, int size, char *out)
{
	int n = snprintf(out, (size_t)size, "%s", name);

	return n < 0 || n >= size ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *p, int bytes, char *out)
{
	sqlite3_vfs *sys = sqlite3_vfs_find(NULL);

	return sys->xRandomness(sys, bytes, out);
}

static int vfs_sleep(sqlite3_vfs *p, int us)
{
	sqlite3_vfs *sys = sqlite3_vfs_find(NULL);

	return sys->xSleep(sys, us);
}

static int vfs_time(sqlite3_vfs *p, double *out)
{
	sqlite3_vfs *sys = sqlite3_vfs_find(NULL);

	return sys->xCurrentTime(sys, out);
}

static int vfs_last_error(sqlite3_vfs *p, int size, char *out)
{
	return atomic_load(&to_vfs(p)->last_errno);
}

int vfs_new(struct io *io, struct meta_vfs **out)
{
	static atomic_uint count;
	struct meta_vfs *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->io = io;
	snprintf(v->name, sizeof(v->name), "kagefs-%u", atomic_fetch_add(&count, 1));
	v->vfs = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = sizeof(struct file),
		.mxPathname = IO_PATH_MAX,
		.zName = v->name,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_time,
		.xGetLastError = vfs_last_error,
	};
	pthread_mutex_init(&v->mutex, NULL);
	r = sqlite3_vfs_register(&v->vfs, 0);
	if (r != SQLITE_OK) {
		pthread_mutex_destroy(&v->mutex);
		free(v);
		return sql_errno(r);
	}
	*out = v;
	return 0;
}

void vfs_free(struct meta_vfs *v)
{
	if (!v)
		return;
	sqlite3_vfs_unregister(&v->vfs);
	KAGEFS_ASSERT(!v->nodes);
	pthread_mutex_destroy(&v->mutex);
	free(v);
}

const char *vfs_name(struct meta_vfs *v)
{
	return v->name;
}

void vfs_abandon(struct meta_vfs *v)
{
	atomic_store(&v->abandoned, true);
}
