/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Volumes: create, delete, describe, seal, roll back; and the numbers by which the kernel knows nodes. */
#include <dirent.h>

#include "fs/volume/internal.h"
#include "fs/volume/push.h"
#include "fs/volume/sets.h"

#define VOL_LOG_BYTES LOG_BYTES(8192)

static bool clear(const __u64 *r)
{
	return !r[0] && !r[1] && !r[2] && !r[3];
}

int random_uuid(uint8_t u[16])
{
	int r = random_bytes(u, 16);

	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 4122: version 4 */
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	return r;
}

/* ---- node numbers ---- */

uint64_t fs_node_number(struct fs *fs, struct fs_node node)
{
	struct vol *v = vol_get(&fs->vtab, node.vol);
	uint64_t n;

	if (!v)
		return 0;
	n = ((uint64_t)v->slot << NUMBER_SLOT_SHIFT) | node.ino;
	vol_put(&fs->vtab, v);
	return n;
}

int fs_node_by_number(struct fs *fs, uint64_t number, struct fs_node *out)
{
	struct vol *v = vol_by_slot(&fs->vtab, (uint32_t)(number >> NUMBER_SLOT_SHIFT));

	if (!v)
		return -ESTALE;
	out->vol = v->id;
	out->ino = number & ((1ull << NUMBER_SLOT_SHIFT) - 1);
	vol_put(&fs->vtab, v);
	return 0;
}

uint64_t fs_node_generation(struct fs *fs, struct fs_node node)
{
	struct vol *v = vol_get(&fs->vtab, node.vol);
	uint64_t g = v ? v->generation : 0;

	if (v)
		vol_put(&fs->vtab, v);
	return g;
}

/* ---- describe ---- */

static void info_of(struct fs *fs, struct vol *v, struct kagefs_volume_info *out)
{
	struct meta_volume m;

	memset(out, 0, sizeof(*out));
	vol_describe(&fs->vtab, v, &m);
	out->flags = (m.flags & META_VOL_READ_ONLY ? KAGEFS_VOL_READ_ONLY : 0) | (m.flags & META_VOL_SNAPSHOT ? KAGEFS_VOL_SNAPSHOT : 0) |
		     (m.flags & META_VOL_SEALED ? KAGEFS_VOL_SEALED : 0) | (m.flags & META_VOL_RECOVERY ? KAGEFS_VOL_RECOVERY : 0);
	out->id = m.id;
	out->origin = m.origin;
	out->created_ns = m.created_ns;
	out->root_ino = ((uint64_t)m.slot << NUMBER_SLOT_SHIFT) | m.root;
	memcpy(out->uuid.b, m.uuid, 16);
	strcpy(out->name, m.name);
	if (!(m.flags & META_VOL_SNAPSHOT) && m.place_vol) {
		struct vol *in = vol_head(&fs->vtab, m.place_vol);

		if (in) {
			out->place_volume = in->id;
			out->place_ino = ((uint64_t)in->slot << NUMBER_SLOT_SHIFT) | m.place_dir;
			vol_put(&fs->vtab, in);
		}
	}
	if (m.set_id)
		(void)set_uuid(fs, m.set_id, out->set.b); /* zero: none, or detached from it */
}

int fs_ioc_info(struct fs *fs, struct kagefs_ioc_info *a)
{
	const struct meta_params *p = meta_params(fs->meta);

	if (a->flags || !clear(a->reserved))
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	a->abi_version = KAGEFS_ABI_VERSION;
	a->block_size = fs->block_size;
	a->store_flags = (fs->opt.read_only ? KAGEFS_STORE_READ_ONLY : 0) | (atomic_load(&fs->poisoned) ? KAGEFS_STORE_POISONED : 0) |
			 (meta_is_full(fs->meta) ? KAGEFS_STORE_FULL : 0);
	a->root_volume = fs_root(fs).vol;
	pthread_rwlock_rdlock(&fs->gate);
	a->epoch = fs->epoch;
	pthread_rwlock_unlock(&fs->gate);
	memcpy(a->store_uuid.b, p->uuid, 16);
	strncpy(a->version, KAGEFS_VERSION, sizeof(a->version) - 1);
	return 0;
}

int fs_ioc_where(struct fs *fs, struct fs_node node, struct kagefs_ioc_where *a)
{
	struct vol *v;

	if (a->flags || !clear(a->reserved))
		return -EINVAL;
	v = vol_live(&fs->vtab, node.vol);
	if (!v)
		return -ESTALE;
	a->is_root = node.ino == v->root;
	a->ino = ((uint64_t)v->slot << NUMBER_SLOT_SHIFT) | node.ino;
	info_of(fs, v, &a->volume);
	vol_put(&fs->vtab, v);
	return 0;
}

int fs_ioc_volume_get(struct fs *fs, struct kagefs_ioc_volume_get *a)
{
	struct vol *v;

	if (a->flags || a->reserved0 || !clear(a->reserved))
		return -EINVAL;
	v = vol_live(&fs->vtab, a->volume);
	if (!v)
		return -ENOENT;
	info_of(fs, v, &a->info);
	vol_put(&fs->vtab, v);
	return 0;
}

/* Is v a snapshot at this place?  (Its origin does not tell: a rollback takes the snapshots along to another volume.) */
static bool snapshot_at(struct fs *fs, struct vol *v, const struct meta_volume *place)
{
	struct meta_volume m;

	if (!(vol_flags(v) & META_VOL_SNAPSHOT))
		return false;
	vol_describe(&fs->vtab, v, &m);
	return m.place_vol == place->place_vol && m.place_dir == place->place_dir;
}

int fs_ioc_volume_list(struct fs *fs, struct kagefs_ioc_volume_list *a)
{
	uint64_t after = a->after;
	struct meta_volume place;
	struct vol *v;

	if ((a->flags & ~KAGEFS_LIST_BOUND) || !clear(a->reserved))
		return -EINVAL;
	a->count = 0;
	memset(a->volumes, 0, sizeof(a->volumes));
	if (a->container) {
		v = vol_live(&fs->vtab, a->container);
		if (!v)
			return -ENOENT;
		vol_place_in(v, &place);
		vol_put(&fs->vtab, v);
	}
	while (a->count < KAGEFS_LIST_MAX && (v = vol_next(&fs->vtab, after))) {
		uint32_t flags = vol_flags(v);
		bool skip = (flags & META_VOL_DEAD) || ((a->flags & KAGEFS_LIST_BOUND) && (flags & META_VOL_SNAPSHOT));

		after = v->id;
		if (!skip && (!a->container || snapshot_at(fs, v, &place)))
			info_of(fs, v, &a->volumes[a->count++]);
		vol_put(&fs->vtab, v);
	}
	return 0;
}

int fs_volume_root(struct fs *fs, uint64_t vol, struct fs_node *out)
{
	struct vol *v = vol_live(&fs->vtab, vol);

	if (!v)
		return -ESTALE;
	*out = (struct fs_node){ v->id, v->root };
	vol_put(&fs->vtab, v);
	return 0;
}

int fs_volume_owner(struct fs *fs, uint64_t vol, uint32_t *uid)
{
	struct fs_node root;
	struct fs_attr a;
	int r = fs_volume_root(fs, vol, &root);

	if (!r)
		r = fs_getattr(fs, root, &a);
	if (!r)
		*uid = a.uid;
	return r;
}

/* ---- create ---- */

struct create_arg {
	struct vol *v;
	uint64_t dir;
	struct kagefs_ioc_volume_create *a;
	struct meta_volume made;
};

static int create_fn(struct op *op, void *p)
{
	struct create_arg *c = p;
	struct fs *fs = op->fs;
	struct inode *i = inode_get(fs, c->v->id, c->dir);
	size_t len = strlen(c->a->name);
	struct meta_attr dir, root = { 0 };
	struct meta_entry e;
	struct items it;
	int r;

	if (!i)
		return -ENOMEM;
	items_init(&it);
	pthread_mutex_lock(&c->v->names);
	pthread_mutex_lock(&i->lock);
	r = op_writable(op, c->v);
	if (!r)
		r = op_attr(op, c->v, c->dir, &dir);
	if (!r)
		r = !S_ISDIR(dir.mode) ? -ENOTDIR : dir.nlink ? 0 : -ENOENT;
	if (!r) {
		r = op_entry(op, c->v, c->dir, c->a->name, len, &e);
		r = r == -ENOENT ? 0 : r ? r : -EEXIST;
	}
	if (!r && !c->made.id) {
		c->made.id = c->made.line = c->made.alias = atomic_fetch_add(&fs->next_vol, 1);
		c->made.root = atomic_fetch_add(&fs->next_ino, 1);
		c->made.place_vol = c->v->alias;
		c->made.place_dir = c->dir;
		c->made.created_ns = (uint64_t)clock_realtime_ns();
		strcpy(c->made.name, c->a->name);
		r = slot_reserve(&fs->vtab, &c->made);
		if (!r)
			r = random_uuid(c->made.uuid);
	}
	if (!r) {
		root.mode = S_IFDIR | (c->a->mode & 07777);
		root.uid = op->ctx ? op->ctx->uid : 0;
		root.gid = op->ctx ? op->ctx->gid : 0;
		root.nlink = 2;
		root.atime_ns = root.mtime_ns = root.ctime_ns = root.btime_ns = (int64_t)c->made.created_ns;
		e = (struct meta_entry){ c->made.alias, META_TYPE_VOLUME };
		dir.size++;
		dir.nlink++;
		dir.mtime_ns = dir.ctime_ns = root.btime_ns;
		items_vol_new(&it, &c->made);
		items_attr(&it, c->made.id, c->made.root, &root);
		items_entry(&it, c->v->id, c->dir, c->a->name, len, &e);
		items_attr(&it, c->v->id, c->dir, &dir);
		r = change_commit(op, &it, NULL, 0);
	}
	pthread_mutex_unlock(&i->lock);
	pthread_mutex_unlock(&c->v->names);
	inode_put(fs, i);
	items_release(&it);
	return r;
}

int fs_ioc_volume_create(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, struct kagefs_ioc_volume_create *a)
{
	struct create_arg c = { .dir = dir.ino, .a = a };
	struct vol *made;
	uint64_t lsn;
	int r;

	if (a->flags || !clear(a->reserved) || !memchr(a->name, 0, sizeof(a->name)) || (a->mode & ~07777u))
		return -EINVAL;
	if (!a->name[0] || strchr(a->name, '/') || !strcmp(a->name, ".") || !strcmp(a->name, ".."))
		return -EINVAL;
	if (!strcmp(a->name, FS_SNAPSHOTS_NAME))
		return -EEXIST;
	if (ino_virtual(dir.ino))
		return -EOPNOTSUPP;
	c.v = vol_live(&fs->vtab, dir.vol);
	if (!c.v)
		return -ESTALE;
	r = vol_flags(c.v) & META_VOL_SNAPSHOT ? -EOPNOTSUPP : op_run(fs, ctx, 0, VOL_LOG_BYTES, 0, create_fn, &c, &lsn);
	vol_put(&fs->vtab, c.v);
	if (!r)
		r = fs_wait(fs, lsn);
	if (r)
		return r;
	made = vol_get(&fs->vtab, c.made.id);
	if (!made)
		return -ESTALE;
	info_of(fs, made, &a->volume);
	vol_put(&fs->vtab, made);
	return 0;
}

/* ---- delete ---- */

struct delete_arg {
	struct vol *v;
	bool force;
};

/* Any volume bound inside this one? */
static bool has_nested(struct fs *fs, uint64_t alias)
{
	struct vol *v;
	uint64_t after = 0;
	bool found = false;

	while (!found && (v = vol_next(&fs->vtab, after))) {
		struct meta_volume m;

		after = v->id;
		vol_describe(&fs->vtab, v, &m);
		found = !(m.flags & (META_VOL_DEAD | META_VOL_SNAPSHOT)) && m.place_vol == alias;
		vol_put(&fs->vtab, v);
	}
	return found;
}

/* Exclusively under the gate: nothing may be logged for a volume behind the record that deletes it. */
static int delete_fn(struct op *op, void *p)
{
	struct delete_arg *d = p;
	struct fs *fs = op->fs;
	struct vol *in = NULL;
	struct meta_volume m;
	struct meta_attr dir;
	struct meta_entry e;
	struct items it;
	uint32_t uid;
	bool any, named = false;
	int r = 0;

	items_init(&it);
	vol_describe(&fs->vtab, d->v, &m);
	if (m.flags & META_VOL_DEAD)
		r = -ENOENT;
	else if (d->v == fs->vtab.root || (!(m.flags & META_VOL_SNAPSHOT) && has_nested(fs, m.alias)))
		r = -EBUSY;
	else if (!d->force && m.set_id && set_writer(fs, m.set_id, &uid, &any))
		r = -EBUSY;
	if (!r && m.place_vol && !(m.flags & META_VOL_SNAPSHOT)) {
		in = vol_head(&fs->vtab, m.place_vol);
		r = in ? op_writable(op, in) : 0;
		/* After a rollback of `in` the name may be another's, or nobody's. */
		if (!r && in) {
			r = op_entry(op, in, m.place_dir, m.name, strlen(m.name), &e);
			named = !r && e.type == META_TYPE_VOLUME && e.ino == m.alias;
			r = r == -ENOENT ? 0 : r;
		}
		if (!r && named)
			r = op_attr(op, in, m.place_dir, &dir);
		if (!r && named) {
			dir.size--;
			dir.nlink--;
			dir.mtime_ns = dir.ctime_ns = clock_realtime_ns();
			items_entry(&it, in->id, m.place_dir, m.name, strlen(m.name), NULL);
			items_attr(&it, in->id, m.place_dir, &dir);
		}
	}
	if (!r) {
		items_vol_del(&it, m.id);
		r = change_commit(op, &it, NULL, 0);
	}
	if (in)
		vol_put(&fs->vtab, in);
	items_release(&it);
	return r;
}

int fs_ioc_volume_delete(struct fs *fs, struct kagefs_ioc_volume_delete *a)
{
	struct delete_arg d = { .force = a->flags & KAGEFS_DELETE_FORCE };
	uint64_t lsn;
	int r;

	if ((a->flags & ~KAGEFS_DELETE_FORCE) || a->reserved0 || !clear(a->reserved))
		return -EINVAL;
	d.v = vol_live(&fs->vtab, a->volume);
	if (!d.v)
		return -ENOENT;
	r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, VOL_LOG_BYTES, 0, delete_fn, &d, &lsn);
	vol_put(&fs->vtab, d.v);
	return r ? r : fs_wait(fs, lsn);
}

/* ---- read-only ---- */

struct ro_arg {
	struct vol *v;
	bool ro;
};

static int ro_fn(struct op *op, void *p)
{
	struct ro_arg *a = p;
	struct meta_volume m;
	struct items it;
	int r;

	vol_describe(&op->fs->vtab, a->v, &m);
	if (m.flags & META_VOL_DEAD)
		return -ENOENT;
	if (!a->ro && (m.flags & META_VOL_SEALED))
		return -EPERM;
	items_init(&it);
	m.flags = (m.flags & ~(uint32_t)META_VOL_READ_ONLY) | (a->ro ? META_VOL_READ_ONLY : 0);
	items_vol_set(&it, &m);
	r = change_commit(op, &it, NULL, 0);
	items_release(&it);
	return r;
}

int fs_ioc_volume_set(struct fs *fs, struct kagefs_ioc_volume_set *a)
{
	struct ro_arg arg = { .ro = a->flags & KAGEFS_VOL_READ_ONLY };
	int64_t until = wait_until_ns(a->wait_ms);
	uint64_t lsn;
	int r;

	if ((a->mask & ~KAGEFS_VOL_READ_ONLY) || (a->flags & ~a->mask) || a->reserved0 || !clear(a->reserved))
		return -EINVAL;
	arg.v = vol_live(&fs->vtab, a->volume);
	if (!arg.v)
		return -ENOENT;
	/* What mappings have dirtied comes in while it may; then nothing may; then stale pages go. */
	r = arg.ro && !(vol_flags(arg.v) & META_VOL_READ_ONLY) ? push_poll(fs->pushes, PUSH_FREEZE, arg.v->id, &arg.v->id, 1, until) : 0;
	if (!r && a->mask) {
		r = op_run(fs, NULL, OP_EXCLUSIVE | OP_FREES, VOL_LOG_BYTES, 0, ro_fn, &arg, &lsn);
		if (!r)
			r = fs_wait(fs, lsn);
	}
	if (!r && arg.ro)
		r = push_poll(fs->pushes, PUSH_FROZEN, arg.v->id, &arg.v->id, 1, until);
	vol_put(&fs->vtab, arg.v);
	return r;
}

/* ---- rollback ---- */

struct rollback_arg {
	struct vol *v, *s;
	struct meta_volume made, kept;
	uint8_t uuid[16];
	uint64_t set_id;
};

/* Fills kept and made with what is there. */
static int rollback_describe(struct fs *fs, struct rollback_arg *a)
{
	vol_describe(&fs->vtab, a->v, &a->kept);
	vol_describe(&fs->vtab, a->s, &a->made);
	if ((a->kept.flags & META_VOL_DEAD) || (a->made.flags & META_VOL_DEAD))
		return -ENOENT;
	if ((a->kept.flags & META_VOL_SNAPSHOT) || a->made.alias != a->kept.alias || a->v == a->s)
		return -EINVAL;
	return 0;
}

/* One record: a writable copy of the snapshot takes the volume's role and place; the volume becomes a read-only snapshot of it.
 * Directory entries name the role (alias), so none changes. */
static int rollback_fn(struct op *op, void *p)
{
	struct rollback_arg *a = p;
	struct fs *fs = op->fs;
	int64_t now = clock_realtime_ns();
	struct items it;
	struct vol *taken;
	struct tm tm;
	time_t t = (time_t)(now / 1000000000);
	int r = rollback_describe(fs, a);

	if (r)
		return r;
	a->made.origin = a->made.id;
	a->made.id = a->made.line = atomic_fetch_add(&fs->next_vol, 1);
	a->made.flags = 0;
	memcpy(a->made.uuid, a->uuid, 16);
	a->made.place_vol = a->kept.place_vol;
	a->made.place_dir = a->kept.place_dir;
	a->made.set_id = a->set_id;
	a->made.created_ns = (uint64_t)now;
	strcpy(a->made.name, a->kept.name);
	r = slot_reserve(&fs->vtab, &a->made);
	if (r)
		return r;
	do {
		gmtime_r(&t, &tm);
		strftime(a->kept.name, sizeof(a->kept.name), "before-rollback-%Y.%m.%d-%H.%M.%S", &tm);
		taken = vol_snapshot(&fs->vtab, a->v, a->kept.name, strlen(a->kept.name));
		if (taken)
			vol_put(&fs->vtab, taken);
		t++;
	} while (taken);
	vol_place_in(a->v, &a->kept);
	a->kept.flags = (a->kept.flags & ~(uint32_t)META_VOL_RECOVERY) | META_VOL_SNAPSHOT | META_VOL_READ_ONLY;
	a->kept.set_id = a->set_id;
	items_init(&it);
	items_vol_copy(&it, a->s->id, &a->made);
	items_epoch(&it);
	items_vol_set(&it, &a->kept);
	items_vol_set(&it, &a->made); /* again: only now is the role free for it */
	r = change_commit(op, &it, NULL, 0);
	items_release(&it);
	return r;
}

int fs_ioc_rollback(struct fs *fs, struct kagefs_ioc_rollback *a)
{
	struct rollback_arg arg = { .set_id = 0 };
	int64_t until = wait_until_ns(a->wait_ms);
	uint64_t lsn;
	int r;

	if (a->flags || !clear(a->reserved))
		return -EINVAL;
	arg.v = vol_live(&fs->vtab, a->volume);
	arg.s = vol_live(&fs->vtab, a->snapshot);
	r = arg.v && arg.s ? random_uuid(arg.uuid) : -ENOENT;
	if (!r)
		r = rollback_describe(fs, &arg); /* refused before anything is pushed out; looked at again at the instant */
	if (!r) /* what mappings have dirtied is in what is kept */
		r = push_poll(fs->pushes, PUSH_FREEZE, arg.v->id, &arg.v->id, 1, until);
	if (!r) {
		pthread_mutex_lock(&fs->sets.lock);
		arg.set_id = fs->sets.next_id++; /* its own: a copy's nested volumes are found by (set, role) */
		pthread_mutex_unlock(&fs->sets.lock);
		r = op_run(fs, NULL, OP_EXCLUSIVE, VOL_LOG_BYTES, 0, rollback_fn, &arg, &lsn);
	}
	if (!r)
		r = fs_wait(fs, lsn);
	if (!r) {
		/* It is done: dropping the stale pages of the old volume's open files is waited for, but may go on behind the answer. */
		if (push_poll(fs->pushes, PUSH_FROZEN, arg.v->id, &arg.v->id, 1, until))
			push_forget(fs->pushes, PUSH_FROZEN, arg.v->id);
		a->new_volume = arg.made.id;
		memset(a->kept_name, 0, sizeof(a->kept_name));
		strcpy(a->kept_name, arg.kept.name);
	}
	if (arg.v)
		vol_put(&fs->vtab, arg.v);
	if (arg.s)
		vol_put(&fs->vtab, arg.s);
	return r;
}
