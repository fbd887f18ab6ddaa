/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Translation that all handlers share: ids, attributes, entries, and answers. */
#include "fs/fuse/mnt.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "fs/fuse/opened.h"
#include "fs/fuse/roots.h"

int mnt_node(struct mnt *m, fuse_ino_t ino, struct fs_node *out)
{
	if (ino == MNT_INO_ROOT) {
		*out = fs_root(m->fs);
		return 0;
	}
	return fs_node_by_number(m->fs, ino, out);
}

fuse_ino_t mnt_ino(struct mnt *m, struct fs_node node)
{
	struct fs_node root = fs_root(m->fs);

	if (node.vol == root.vol && node.ino == root.ino)
		return MNT_INO_ROOT;
	return fs_node_number(m->fs, node);
}

int mnt_name(const char *name)
{
	size_t len = strnlen(name, FS_NAME_MAX + 1);

	if (len == 0)
		return -ENOENT;
	return len > FS_NAME_MAX ? -ENAMETOOLONG : (int)len;
}

static struct timespec ts_of(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	if (ts.tv_nsec < 0) {
		ts.tv_nsec += 1000000000;
		ts.tv_sec--;
	}
	return ts;
}

void mnt_stat(struct mnt *m, const struct fs_attr *a, struct stat *st)
{
	*st = (struct stat){
		.st_ino = fs_node_number(m->fs, a->node),
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blocks = (blkcnt_t)a->blocks_512,
		.st_blksize = m->blksize,
		.st_atim = ts_of(a->atime_ns),
		.st_mtim = ts_of(a->mtime_ns),
		.st_ctim = ts_of(a->ctime_ns),
	};
}

double mnt_attr_timeout(const struct fs_attr *a)
{
	if (a->node.ino == FS_INO_SNAPSHOTS) /* snapshots come and go by ioctl, from any process */
		return 0;
	if (!S_ISDIR(a->mode) && (a->mode & (S_ISUID | S_ISGID))) /* a WRITE may take them away; the kernel does not ask then */
		return 0;
	return MNT_TIMEOUT_S;
}

static void raise_to(_Atomic uint64_t *p, uint64_t v)
{
	uint64_t old = atomic_load_explicit(p, memory_order_relaxed);

	while (old < v && !atomic_compare_exchange_weak(p, &old, v))
		;
}

void mnt_changed(struct mnt *m, fuse_ino_t ino, uint64_t lsn)
{
	raise_to(&m->last_lsn, lsn);
	if (ino)
		opened_changed(m, ino, lsn);
}

void mnt_changed_names(struct mnt *m, uint64_t lsn)
{
	raise_to(&m->last_lsn, lsn);
	raise_to(&m->names_lsn, lsn);
}

void reply_err(fuse_req_t req, int err)
{
	fuse_reply_err(req, err < 0 ? -err : 0);
}

int mnt_entry(struct mnt *m, struct fs_node dir, fuse_ino_t parent, const char *name, const struct fs_attr *a,
	      struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = mnt_ino(m, a->node),
		.generation = fs_node_generation(m->fs, a->node),
		.entry_timeout = MNT_TIMEOUT_S,
		.attr_timeout = mnt_attr_timeout(a),
	};
	if (e->ino != MNT_INO_ROOT) {
		int err = fs_hold(m->fs, a->node);

		if (err)
			return err;
	}
	mnt_stat(m, a, &e->attr);
	if (a->node.vol != dir.vol)
		roots_saw(m, a->node.vol, parent, name);
	return 0;
}

void mnt_entry_undo(struct mnt *m, const struct fs_attr *a)
{
	if (mnt_ino(m, a->node) != MNT_INO_ROOT)
		fs_drop(m->fs, a->node, 1);
}

void reply_entry(fuse_req_t req, struct fs_node dir, fuse_ino_t parent, const char *name, const struct fs_attr *a)
{
	struct mnt *m = mnt_of(req);
	struct fuse_entry_param e;
	int err = mnt_entry(m, dir, parent, name, a, &e);

	if (err)
		reply_err(req, err);
	else if (fuse_reply_entry(req, &e))
		mnt_entry_undo(m, a);
}

void reply_attr(fuse_req_t req, const struct fs_attr *a)
{
	struct stat st;

	mnt_stat(mnt_of(req), a, &st);
	fuse_reply_attr(req, &st, mnt_attr_timeout(a));
}

struct durable {
	struct fs_waiter w;
	fuse_req_t req;
	ssize_t written;
	struct latency_ticket latency;
};

static void answer_durable(fuse_req_t req, ssize_t written, int err)
{
	if (err || written < 0)
		reply_err(req, err);
	else
		fuse_reply_write(req, (size_t)written);
}

static void durable_done(struct fs_waiter *w, int err)
{
	struct durable *d = CONTAINER_OF(w, struct durable, w);

	answer_durable(d->req, d->written, err);
	latency_finish(d->latency);
	free(d);
}

void reply_durable(fuse_req_t req, uint64_t lsn, ssize_t written)
{
	struct mnt *m = mnt_of(req);
	struct durable *d = malloc(sizeof(*d));

	if (!d) { /* slow, but right */
		answer_durable(req, written, fs_wait(m->fs, lsn));
		return;
	}
	*d = (struct durable){.w.done = durable_done, .req = req, .written = written, .latency = latency_take()};
	if (written >= 0)
		latency_rename(&d->latency, &m->latency, LATENCY_write_sync);
	fs_wait_async(m->fs, lsn, &d->w);
}

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static _Thread_local void *scratch_buf; /* owned; freed by the key's destructor */
static _Thread_local size_t scratch_size;

static void scratch_init(void)
{
	(void)pthread_key_create(&scratch_key, free); /* without a key the last buffer of a thread is lost, nothing else */
}

void *mnt_scratch(size_t size)
{
	if (size > scratch_size || !scratch_buf) {
		void *p = malloc(size ? size : 1);

		if (!p)
			return NULL;
		pthread_once(&scratch_once, scratch_init);
		free(scratch_buf);
		scratch_buf = p;
		scratch_size = size;
		pthread_setspecific(scratch_key, p);
	}
	return scratch_buf;
}

void *reply_room(size_t size)
{
	void *p = ring_room(size);

	return p ? p : mnt_scratch(size);
}
