/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The entry of fs/kagefs_ioctl.h: sizes, rights, and which thread.  What the commands do is in fs/volume.
 *
 * Valid replies: ioctl (the struct is copied out with 0, -EINPROGRESS and -ETIME), err.
 *
 * All structs have one layout for 32-bit and 64-bit callers, so a compat call needs nothing.  Calls that may wait for a
 * flush run on the pool.  An ioctl holds no inode lock in the kernel, so that names can be taken out of its cache before
 * the answer: the caller never sees what it just deleted.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/nowait.h"
#include "fs/fuse/opened.h"
#include "fs/fuse/roots.h"
#include "fs/fuse/stats.h"

struct call;
struct command {
	unsigned nr; /* whole ioctl number */
	int (*may)(struct call *c); /* 0 or -EPERM */
	int (*run)(struct call *c);
	bool waits; /* may wait for a flush: pool */
};
struct call {
	struct pool_job job;
	const struct command *cmd;
	fuse_req_t req;
	struct mnt *m;
	fuse_ino_t ino;
	struct fs_node node;
	struct fs_ctx ctx;
	struct latency_ticket latency;
	size_t size;
	union {
		char bytes[1];
		struct kagefs_ioc_info info;
		struct kagefs_ioc_where where;
		struct kagefs_ioc_sync sync;
		struct kagefs_ioc_stats stats;
		struct kagefs_ioc_times times;
		struct kagefs_ioc_volume_create volume_create;
		struct kagefs_ioc_volume_delete volume_delete;
		struct kagefs_ioc_volume_get volume_get;
		struct kagefs_ioc_volume_set volume_set;
		struct kagefs_ioc_volume_list volume_list;
		struct kagefs_ioc_rollback rollback;
		struct kagefs_ioc_set_prepare set_prepare;
		struct kagefs_ioc_set_commit set_commit;
		struct kagefs_ioc_set_seal set_seal;
		struct kagefs_ioc_set_delete set_delete;
		struct kagefs_ioc_set_update set_update;
		struct kagefs_ioc_set_get set_get;
		struct kagefs_ioc_set_list set_list;
	} a;
};

/* ---- rights ---------------------------------------------------------------------------------------------------- */

static int may_any(struct call *c)
{
	return 0;
}

/* A volume that is gone is for the command to report. */
static int owns(struct call *c, uint64_t vol)
{
	uint32_t uid;

	if (c->ctx.uid == 0 || fs_volume_owner(c->m->fs, vol, &uid) != 0)
		return 0;
	return uid == c->ctx.uid ? 0 : -EPERM;
}

static int owns_all(struct call *c, const __u64 *vols, uint32_t n)
{
	for (uint32_t i = 0; i < MIN(n, KAGEFS_SET_VOLUMES_MAX); i++)
		if (owns(c, vols[i]))
			return -EPERM;
	return 0;
}

/* The volumes a set copies, and the copies: both, as the copied ones may be deleted.  A set with nothing left is root's. */
static int owns_set(struct call *c, const struct kagefs_uuid *uuid)
{
	CLEANUP_FREE struct kagefs_ioc_set_get *g = NULL;
	bool living = false;
	uint32_t uid;

	if (c->ctx.uid == 0)
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->uuid = *uuid;
	if (fs_ioc_set_get(c->m->fs, g))
		return 0; /* no such set: for the command to report */
	for (uint32_t i = 0; i < MIN(g->info.nvolumes, KAGEFS_SET_VOLUMES_MAX); i++) {
		const uint64_t both[2] = {g->members[i].volume, g->members[i].snapshot};

		for (int k = 0; k < 2; k++) {
			if (!both[k] || fs_volume_owner(c->m->fs, both[k], &uid))
				continue;
			if (uid != c->ctx.uid)
				return -EPERM;
			living = true;
		}
	}
	return living ? 0 : -EPERM;
}

static int may_here(struct call *c)
{
	return owns(c, c->node.vol);
}
static int may_volume_delete(struct call *c)
{
	return owns(c, c->a.volume_delete.volume);
}
static int may_volume_get(struct call *c)
{
	return owns(c, c->a.volume_get.volume);
}
static int may_volume_set(struct call *c)
{
	return owns(c, c->a.volume_set.volume);
}
static int may_volume_list(struct call *c)
{
	return c->a.volume_list.container ? owns(c, c->a.volume_list.container) : 0; /* else: filtered */
}
static int may_rollback(struct call *c)
{
	int err = owns(c, c->a.rollback.volume);

	return err ? err : owns(c, c->a.rollback.snapshot);
}
static int may_set_prepare(struct call *c)
{
	int err = owns_all(c, c->a.set_prepare.volumes, c->a.set_prepare.nvolumes);

	return err ? err : owns_set(c, &c->a.set_prepare.uuid);
}
static int may_set_commit(struct call *c)
{
	int err = owns_all(c, c->a.set_commit.volumes, c->a.set_commit.nvolumes);

	return err ? err : owns_set(c, &c->a.set_commit.uuid);
}
static int may_set_seal(struct call *c)
{
	return owns_set(c, &c->a.set_seal.uuid);
}
static int may_set_delete(struct call *c)
{
	return owns_set(c, &c->a.set_delete.uuid);
}
static int may_set_update(struct call *c)
{
	return owns_set(c, &c->a.set_update.uuid);
}
static int may_set_get(struct call *c)
{
	return owns_set(c, &c->a.set_get.uuid);
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static bool all_zero(const __u64 *p, size_t n)
{
	while (n-- > 0)
		if (p[n])
			return false;
	return true;
}

static int run_info(struct call *c)
{
	return fs_ioc_info(c->m->fs, &c->a.info);
}
static int run_where(struct call *c)
{
	return fs_ioc_where(c->m->fs, c->node, &c->a.where);
}
static int run_sync(struct call *c)
{
	if (c->a.sync.flags || c->a.sync.reserved0 || !all_zero(c->a.sync.reserved, 4))
		return -EINVAL;
	return fs_sync(c->m->fs);
}
static int run_stats(struct call *c)
{
	return stats_json(c->m, &c->a.stats);
}
static int run_times(struct call *c)
{
	return stats_times(c->m, &c->a.times);
}

static int run_volume_create(struct call *c)
{
	int err = fs_ioc_volume_create(c->m->fs, &c->ctx, c->node, &c->a.volume_create);

	if (!err)
		names_changed(c->m, c->ino, c->a.volume_create.name);
	return err;
}

static void gone(struct mnt *m, uint64_t vol)
{
	roots_drop(m, vol);
	opened_drop(m, vol);
}

static int run_volume_delete(struct call *c)
{
	uint64_t vol = c->a.volume_delete.volume;
	int err = fs_ioc_volume_delete(c->m->fs, &c->a.volume_delete);

	if (!err)
		gone(c->m, vol);
	return err;
}
static int run_volume_get(struct call *c)
{
	return fs_ioc_volume_get(c->m->fs, &c->a.volume_get);
}
static int run_volume_set(struct call *c)
{
	return fs_ioc_volume_set(c->m->fs, &c->a.volume_set);
}

/* Users see their own.  A page that is empty after that must not look like the end. */
static int run_volume_list(struct call *c)
{
	struct kagefs_ioc_volume_list *a = &c->a.volume_list;

	for (;;) {
		uint32_t kept = 0;
		int err = fs_ioc_volume_list(c->m->fs, a);

		if (err || c->ctx.uid == 0 || a->count == 0)
			return err;
		uint64_t last = a->volumes[a->count - 1].id;

		for (uint32_t i = 0; i < a->count; i++)
			if (owns(c, a->volumes[i].id) == 0)
				a->volumes[kept++] = a->volumes[i];
		memset(&a->volumes[kept], 0, (a->count - kept) * sizeof(a->volumes[0]));
		a->count = kept;
		if (kept > 0)
			return 0;
		a->after = last;
	}
}

static int run_rollback(struct call *c)
{
	uint64_t vol = c->a.rollback.volume, root = fs_root(c->m->fs).vol;
	int err = fs_ioc_rollback(c->m->fs, &c->a.rollback);

	if (!err && vol == root)
		roots_drop_all(c->m);
	else if (!err)
		roots_drop(c->m, vol);
	return err;
}

static int run_set_prepare(struct call *c)
{
	return fs_ioc_set_prepare(c->m->fs, &c->a.set_prepare);
}
static int run_set_commit(struct call *c)
{
	return fs_ioc_set_commit(c->m->fs, &c->a.set_commit);
}
static int run_set_seal(struct call *c)
{
	return fs_ioc_set_seal(c->m->fs, &c->a.set_seal);
}

static int run_set_delete(struct call *c)
{
	CLEANUP_FREE struct kagefs_ioc_set_get *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	g->uuid = c->a.set_delete.uuid;
	err = fs_ioc_set_get(c->m->fs, g);
	if (err)
		g->info.nvolumes = 0; /* the command says why */
	err = fs_ioc_set_delete(c->m->fs, &c->a.set_delete);
	if (!err && !(c->a.set_delete.flags & KAGEFS_DELETE_DETACH))
		for (uint32_t i = 0; i < MIN(g->info.nvolumes, KAGEFS_SET_VOLUMES_MAX); i++)
			if (g->members[i].snapshot)
				gone(c->m, g->members[i].snapshot);
	return err;
}

static int run_set_update(struct call *c)
{
	return fs_ioc_set_update(c->m->fs, &c->a.set_update);
}
static int run_set_get(struct call *c)
{
	return fs_ioc_set_get(c->m->fs, &c->a.set_get);
}

static int run_set_list(struct call *c)
{
	struct kagefs_ioc_set_list *a = &c->a.set_list;

	for (;;) {
		uint32_t kept = 0;
		int err = fs_ioc_set_list(c->m->fs, a);

		if (err || c->ctx.uid == 0 || a->count == 0)
			return err;
		struct kagefs_uuid last = a->sets[a->count - 1].uuid;

		for (uint32_t i = 0; i < a->count; i++)
			if (owns_set(c, &a->sets[i].uuid) == 0)
				a->sets[kept++] = a->sets[i];
		memset(&a->sets[kept], 0, (a->count - kept) * sizeof(a->sets[0]));
		a->count = kept;
		if (kept > 0)
			return 0;
		a->after = last;
	}
}

static const struct command commands[] = {
	{KAGEFS_IOC_INFO, may_any, run_info, false},
	{KAGEFS_IOC_WHERE, may_any, run_where, false},
	{KAGEFS_IOC_SYNC, may_any, run_sync, true},
	{KAGEFS_IOC_STATS, may_any, run_stats, false},
	{KAGEFS_IOC_TIMES, may_any, run_times, false},
	{KAGEFS_IOC_VOLUME_CREATE, may_here, run_volume_create, true},
	{KAGEFS_IOC_VOLUME_DELETE, may_volume_delete, run_volume_delete, true},
	{KAGEFS_IOC_VOLUME_GET, may_volume_get, run_volume_get, false},
	{KAGEFS_IOC_VOLUME_SET, may_volume_set, run_volume_set, true},
	{KAGEFS_IOC_VOLUME_LIST, may_volume_list, run_volume_list, false},
	{KAGEFS_IOC_ROLLBACK, may_rollback, run_rollback, true},
	{KAGEFS_IOC_SET_PREPARE, may_set_prepare, run_set_prepare, true},
	{KAGEFS_IOC_SET_COMMIT, may_set_commit, run_set_commit, true},
	{KAGEFS_IOC_SET_SEAL, may_set_seal, run_set_seal, true},
	{KAGEFS_IOC_SET_DELETE, may_set_delete, run_set_delete, true},
	{KAGEFS_IOC_SET_UPDATE, may_set_update, run_set_update, true},
	{KAGEFS_IOC_SET_GET, may_set_get, run_set_get, false},
	{KAGEFS_IOC_SET_LIST, may_any, run_set_list, false}, /* filtered */
};

static void run(struct pool_job *job)
{
	struct call *c = CONTAINER_OF(job, struct call, job);
	int err = c->cmd->may(c);

	if (!err)
		err = c->cmd->run(c);
	if (err == 0 || err == -EINPROGRESS || err == -ETIME)
		fuse_reply_ioctl(c->req, err, c->a.bytes, c->size);
	else
		reply_err(c->req, err);
	latency_finish(c->latency);
	free(c);
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
	      const void *in, size_t in_size, size_t out_size)
{
	struct mnt *m = mnt_of(req);
	const struct command *k = NULL;
	struct call *c;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(commands) && !k; i++)
		if (commands[i].nr == cmd)
			k = &commands[i];
	if (!k || in_size != _IOC_SIZE(cmd) || out_size != _IOC_SIZE(cmd)) {
		reply_err(req, -ENOTTY);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		reply_err(req, -ENOMEM);
		return;
	}
	c->job.run = run;
	c->cmd = k;
	c->req = req;
	c->m = m;
	c->ino = ino;
	c->ctx = mnt_ctx(req);
	c->size = in_size;
	memcpy(c->a.bytes, in, in_size);
	c->latency = latency_take();
	err = mnt_node(m, ino, &c->node);
	if (!err && (k->waits || nowait_check()))
		err = pool_add(&m->pool, &c->job);
	else if (!err)
		run(&c->job);
	if (err) {
		reply_err(req, err);
		latency_finish(c->latency);
		free(c);
	}
}
