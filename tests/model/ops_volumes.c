/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Volumes, snapshots, sets, rollback. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/base/cleanup.h"
#include "tests/model/world.h"

#define VOLS_MAX 22

static const char *const snap_names[] = { "s0", "s1", "s2", "s3", "nightly", "@GMT-2023.11.14-22.13.20" };

static void op_volume_create(struct world *w)
{
	static struct kagefs_ioc_volume_create a;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	unsigned name = (unsigned)rnd(w, model_nnames);
	struct minode *root;
	struct target d;
	struct mvol *v;
	int want, got;

	pick_dir(w, &d);
	if (w->state->nvols >= VOLS_MAX)
		return;
	memset(&a, 0, sizeof(a));
	a.mode = (uint32_t)rnd(w, 01000);
	strcpy(a.name, model_names[name].s);
	want = !strcmp(a.name, FS_SNAPSHOTS_NAME) ? -EEXIST : d.v->flags & MVOL_SNAPSHOT ? -EOPNOTSUPP : want_writable(w, d.v, c);
	if (!want)
		want = !S_ISDIR(d.i->mode) ? -ENOTDIR : !d.i->nlink ? -ENOENT : inode_ent(d.i, name) ? -EEXIST : 0;
	got = fs_ioc_volume_create(w->fs, c, d.node, &a);
	if (!want) {
		v = vol_make(vol_key_new(w, got ? 0 : a.volume.id));
		root = inode_make(ino_key_new(w, 0));
		v->role = v->key;
		v->root = root->key;
		v->created = (uint64_t)w->now;
		v->place = d.v->role;
		v->place_dir = d.ik;
		strcpy(v->name, a.name);
		root->mode = S_IFDIR | a.mode;
		root->uid = c ? c->uid : 0;
		root->gid = c ? c->gid : 0;
		root->nlink = 2;
		root->atime = root->mtime = root->ctime = root->btime = w->now;
		touch(w, &d, true);
		inode_ent_set(d.i, name, true, v->role);
		d.i->nlink++;
		vol_inode_add(v, root);
		state_vol_add(state_mut(&w->state), v);
		if (!got) {
			struct fs_node n;

			expect(w, fs_volume_root(w->fs, a.volume.id, &n), 0, "root of a new volume");
			w->ino_of[root->key] = n.ino;
		}
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "creating volume '%s'", a.name);
	if (!got && !want) {
		durable_now(w);
		good(w);
	}
}

static int want_delete(struct world *w, struct mvol *v, bool force)
{
	struct mvol *in;

	if (v->key == w->state->root)
		return -EBUSY;
	if (!(v->flags & MVOL_SNAPSHOT))
		for (unsigned n = 0; n < w->state->nvols; n++) {
			struct mvol *o = w->state->vols[n];

			if (!(o->flags & MVOL_SNAPSHOT) && o->place == v->role)
				return -EBUSY;
		}
	if (!force && v->set && state_set(w->state, v->set))
		return -EBUSY;
	in = v->flags & MVOL_SNAPSHOT ? NULL : state_head(w->state, v->place);
	return in && (in->flags & MVOL_RO) ? -EROFS : 0;
}

/* The model's part; also what deleting everything uses. */
static void delete_volume(struct world *w, uint64_t key)
{
	struct mvol *v = state_vol(w->state, key), *in;
	struct target d;
	unsigned name = 0;

	w->dead_vol = w->vol_of[key];
	in = v->flags & MVOL_SNAPSHOT ? NULL : state_head(w->state, v->place);
	if (in) {
		d = (struct target){ .vk = in->key, .ik = v->place_dir, .v = in };
		d.i = vol_inode(in, v->place_dir);
		while (strcmp(model_names[name].s, v->name))
			name++;
		/* After a rollback the name may not be there any more. */
		if (d.i && inode_ent(d.i, name) && inode_ent(d.i, name)->vol && inode_ent(d.i, name)->key == v->role) {
			touch(w, &d, true);
			inode_ent_del(d.i, name);
			d.i->nlink--;
		}
	}
	state_vol_del(state_mut(&w->state), key);
}

static void op_volume_delete(struct world *w)
{
	struct kagefs_ioc_volume_delete a = { .flags = one_in(w, 2) ? KAGEFS_DELETE_FORCE : 0 };
	struct mvol *v = w->state->vols[rnd(w, w->state->nvols)];
	int want, got;

	if (!(v->flags & MVOL_SNAPSHOT) && !one_in(w, 3))
		v = w->state->vols[rnd(w, w->state->nvols)];
	a.volume = w->vol_of[v->key];
	want = want_delete(w, v, a.flags);
	got = fs_ioc_volume_delete(w->fs, &a);
	if (!want) {
		delete_volume(w, v->key);
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "deleting volume %llu flags %x", (unsigned long long)a.volume, a.flags);
	if (!got && !want) {
		durable_now(w);
		good(w);
	}
}

static void op_volume_ro(struct world *w)
{
	struct kagefs_ioc_volume_set a = { .mask = KAGEFS_VOL_READ_ONLY };
	struct mvol *v = w->state->vols[rnd(w, w->state->nvols)];
	int want, got;

	/* Heads do not stay read-only for long. */
	for (unsigned n = 0; n < w->state->nvols; n++)
		if (!(w->state->vols[n]->flags & MVOL_SNAPSHOT) && (w->state->vols[n]->flags & MVOL_RO))
			v = w->state->vols[n];
	a.volume = w->vol_of[v->key];
	a.flags = v->flags & MVOL_RO ? 0 : KAGEFS_VOL_READ_ONLY;
	if (one_in(w, 10))
		a.flags ^= KAGEFS_VOL_READ_ONLY;
	want = !a.flags && (v->flags & MVOL_SEALED) ? -EPERM : 0;
	got = fs_ioc_volume_set(w->fs, &a);
	if (!want) {
		v = state_vol_mut(state_mut(&w->state), v->key);
		v->flags = (v->flags & ~(unsigned)MVOL_RO) | (a.flags ? MVOL_RO : 0);
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "volume %llu read-only %u", (unsigned long long)a.volume, a.flags);
	if (!got && !want) {
		durable_now(w);
		good(w);
	}
}

/* ---- sets ---- */

static void set_uuid(struct mset *t)
{
	memset(t->uuid, 0x5e, 16);
	memcpy(t->uuid, &t->key, 8);
}

static struct mset *make_set(struct world *w)
{
	struct mset *t = xmalloc(sizeof(*t));
	unsigned want = 1 + (unsigned)rnd(w, MODEL_SET_MEMBERS);

	memset(t, 0, sizeof(*t));
	t->refs = 1;
	t->key = w->next_set_key++;
	set_uuid(t);
	t->created = (uint64_t)w->now;
	t->flags = (uint32_t)rnd(w, 8) & (one_in(w, 2) ? 7u : 1u);
	t->writer = (uint32_t)rnd(w, 3);
	for (unsigned tries = 0; tries < 8 && t->n < want; tries++) {
		struct mvol *v = w->state->vols[rnd(w, w->state->nvols)];
		bool twice = false;

		if ((v->flags & MVOL_SNAPSHOT) && !one_in(w, 4))
			continue;
		for (unsigned i = 0; i < t->n; i++)
			twice |= t->volume[i] == v->key;
		if (!twice)
			t->volume[t->n++] = v->key;
	}
	if (!t->n)
		t->volume[t->n++] = w->state->root;
	return t;
}

static void new_record(struct world *w, struct mset *t, uint8_t *out, uint32_t *len)
{
	*len = one_in(w, 2) ? 0 : (uint32_t)rnd(w, MODEL_RECORD_MAX);
	memset(out, 'r' + (int)rnd(w, 5), *len);
	if (*len) {
		memcpy(t->record, out, *len);
		t->record_len = *len;
		t->version++;
	}
}

static void op_set_prepare(struct world *w)
{
	static struct kagefs_ioc_set_prepare a;
	unsigned slot = (unsigned)rnd(w, ARRAY_SIZE(w->prepared));
	struct mset *t;
	int got;

	if (w->prepared[slot])
		return;
	t = make_set(w);
	memset(&a, 0, sizeof(a));
	memcpy(a.uuid.b, t->uuid, 16);
	a.flags = t->flags;
	a.writer_uid = t->writer;
	a.wait_ms = 1000;
	strcpy(a.owner, "model");
	a.nvolumes = t->n;
	for (unsigned i = 0; i < t->n; i++)
		a.volumes[i] = w->vol_of[t->volume[i]];
	new_record(w, t, a.record, &a.record_len);
	got = fs_ioc_set_prepare(w->fs, &a);
	t->state = a.state;
	expect(w, got, 0, "preparing set %llu", (unsigned long long)t->key);
	if (got)
		free(t);
	else
		w->prepared[slot] = t;
	expect(w, a.state, KAGEFS_SET_PREPARED, "state of the prepared set");
	good(w);
}

static void default_name(char *out, size_t size, const char *fmt, time_t t)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, size, fmt, &tm);
}

static bool name_is_free(struct world *w, struct mset *t, const char *name)
{
	for (unsigned i = 0; i < t->n; i++)
		if (state_snapshot(w->state, state_vol(w->state, t->volume[i]), name))
			return false;
	return true;
}

static int want_commit(struct world *w, struct mset *t, char *name, size_t size)
{
	time_t at = (time_t)(w->now / 1000000000);

	for (unsigned i = 0; i < t->n; i++)
		if (!state_vol(w->state, t->volume[i]))
			return -ENOENT;
	if (*name)
		return name_is_free(w, t, name) ? 0 : -EEXIST;
	do
		default_name(name, size, "@GMT-%Y.%m.%d-%H.%M.%S", at++);
	while (!name_is_free(w, t, name));
	return 0;
}

static void commit_effect(struct world *w, struct mset *t, const char *name, const struct kagefs_ioc_set_commit *a, bool known)
{
	struct mvol *copies[MODEL_SET_MEMBERS];

	for (unsigned i = 0; i < t->n; i++) {
		struct mvol *of = state_vol(w->state, t->volume[i]), *v = vol_copy(of);

		v->key = vol_key_new(w, known ? a->members[i].snapshot : 0);
		v->flags = MVOL_SNAPSHOT | (!(t->flags & KAGEFS_SET_WRITABLE) ? MVOL_RO : t->flags & KAGEFS_SET_ANY_WRITER ? 0 : MVOL_RECOVERY);
		v->origin = of->key;
		v->set = t->key;
		v->created = (uint64_t)w->now;
		strcpy(v->name, name);
		vol_place_in_snapshots(v, of);
		t->snapshot[i] = v->key;
		copies[i] = v;
	}
	state_mut(&w->state);
	for (unsigned i = 0; i < t->n; i++)
		state_vol_add(w->state, copies[i]);
	t->state = KAGEFS_SET_COMMITTED;
	t->committed = (uint64_t)w->now;
	state_set_add(w->state, t);
}

static void op_set_commit(struct world *w)
{
	static struct kagefs_ioc_set_commit a;
	unsigned slot = (unsigned)rnd(w, ARRAY_SIZE(w->prepared));
	bool announced = w->prepared[slot] != NULL;
	char name[256] = "";
	struct mset *t, changed;
	int want, got;

	if (w->state->nvols >= VOLS_MAX)
		return;
	t = announced ? w->prepared[slot] : make_set(w);
	memset(&a, 0, sizeof(a));
	memcpy(a.uuid.b, t->uuid, 16);
	a.wait_ms = 1000;
	a.deadline_ms = 180000;
	strcpy(a.owner, "model");
	if (one_in(w, 3))
		strcpy(name, snap_names[rnd(w, ARRAY_SIZE(snap_names))]);
	strcpy(a.name, name);
	if (!announced) {
		a.flags = t->flags;
		a.writer_uid = t->writer;
		a.nvolumes = t->n;
		for (unsigned i = 0; i < t->n; i++)
			a.volumes[i] = w->vol_of[t->volume[i]];
	}
	changed = *t;
	new_record(w, &changed, a.record, &a.record_len);
	want = want_commit(w, t, name, sizeof(name));
	got = fs_ioc_set_commit(w->fs, &a);
	if (!want) {
		*t = changed; /* a commit that fails leaves the record as it was */
		commit_effect(w, t, name, &a, !got);
		if (announced)
			w->prepared[slot] = NULL;
		remember(w, 0, WITNESS_LOOK, 0, 0);
	} else if (!announced) {
		free(t);
	}
	expect(w, got, want, "committing a set of %u, first %llu as %llu, called '%s'", a.nvolumes, (unsigned long long)a.members[0].volume,
	       (unsigned long long)a.members[0].snapshot, name);
	if (!got && !want && !sim_is_off(w->io)) {
		if (strcmp(a.name, name) || a.state != KAGEFS_SET_COMMITTED)
			world_fail(w, "committed as '%s' state %x, want '%s'", a.name, a.state, name);
		durable_now(w);
		good(w);
	}
}

static struct mset *pick_set(struct world *w)
{
	return w->state->nsets ? w->state->sets[rnd(w, w->state->nsets)] : NULL;
}

static void op_set_seal(struct world *w)
{
	static struct kagefs_ioc_set_seal a;
	struct mset *t = pick_set(w), changed;
	int got;

	if (!t)
		return;
	memset(&a, 0, sizeof(a));
	memcpy(a.uuid.b, t->uuid, 16);
	a.wait_ms = 1000;
	changed = *t;
	new_record(w, &changed, a.record, &a.record_len);
	got = fs_ioc_set_seal(w->fs, &a);
	t = state_set_mut(state_mut(&w->state), t->key);
	changed.refs = t->refs;
	*t = changed;
	t->state = KAGEFS_SET_SEALED;
	for (unsigned i = 0; i < t->n; i++)
		if (state_vol(w->state, t->snapshot[i])) {
			struct mvol *v = state_vol_mut(w->state, t->snapshot[i]);

			v->flags = (v->flags & ~(unsigned)MVOL_RECOVERY) | MVOL_RO | MVOL_SEALED;
		}
	remember(w, 0, WITNESS_LOOK, 0, 0);
	expect(w, got, 0, "sealing set %llu", (unsigned long long)t->key);
	if (!got) {
		durable_now(w);
		good(w);
	}
}

static void op_set_delete(struct world *w)
{
	static const uint32_t flag_sets[] = { 0, 0, KAGEFS_DELETE_FORCE, KAGEFS_DELETE_DETACH };
	struct kagefs_ioc_set_delete a = { .flags = flag_sets[rnd(w, ARRAY_SIZE(flag_sets))] };
	struct mset *t = pick_set(w);
	int want, got;

	if (one_in(w, 3)) { /* one that was only announced */
		unsigned slot = (unsigned)rnd(w, ARRAY_SIZE(w->prepared));

		if (!w->prepared[slot])
			return;
		memcpy(a.uuid.b, w->prepared[slot]->uuid, 16);
		got = fs_ioc_set_delete(w->fs, &a);
		free(w->prepared[slot]);
		w->prepared[slot] = NULL;
		expect(w, got, 0, "deleting a prepared set");
		return;
	}
	if (!t)
		return;
	memcpy(a.uuid.b, t->uuid, 16);
	want = (t->flags & KAGEFS_SET_KEEP) && !a.flags ? -EBUSY : 0;
	got = fs_ioc_set_delete(w->fs, &a);
	if (!want) {
		struct mset was = *t;

		state_set_del(state_mut(&w->state), was.key);
		for (unsigned i = 0; i < was.n; i++) {
			if (!state_vol(w->state, was.snapshot[i]))
				continue;
			if (a.flags & KAGEFS_DELETE_DETACH) {
				struct mvol *v = state_vol_mut(w->state, was.snapshot[i]);

				v->flags = (v->flags & ~(unsigned)MVOL_RECOVERY) | MVOL_RO | MVOL_SEALED;
			} else {
				delete_volume(w, was.snapshot[i]);
			}
		}
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "deleting a set, flags %x", a.flags);
	if (!got && !want) {
		durable_now(w);
		good(w);
	}
}

static void op_set_update(struct world *w)
{
	static struct kagefs_ioc_set_update a;
	struct mset *t = pick_set(w), changed;
	int want = 0, got;

	if (!t)
		return;
	memset(&a, 0, sizeof(a));
	memcpy(a.uuid.b, t->uuid, 16);
	if (one_in(w, 2)) {
		a.expect_version = t->version;
		if (one_in(w, 3)) {
			a.expect_version += 1;
			want = -EAGAIN;
		}
	}
	a.mask = one_in(w, 2) ? KAGEFS_SET_KEEP : 0;
	a.flags = one_in(w, 2) ? a.mask : 0;
	changed = *t;
	new_record(w, &changed, a.record, &a.record_len);
	changed.flags = (changed.flags & ~a.mask) | a.flags;
	got = fs_ioc_set_update(w->fs, &a);
	if (!want) {
		t = state_set_mut(state_mut(&w->state), t->key);
		changed.refs = t->refs;
		*t = changed;
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "updating set %llu", (unsigned long long)t->key);
	if (!got && !want) {
		durable_now(w);
		good(w);
	}
}

/* ---- rollback ---- */

static void op_rollback(struct world *w)
{
	static struct kagefs_ioc_rollback a;
	struct mvol *s = w->state->vols[rnd(w, w->state->nvols)], *v, *made, *kept;
	char name[256];
	time_t at = (time_t)(w->now / 1000000000);
	int want = 0, got;

	v = state_head(w->state, s->role);
	if (!v || one_in(w, 10))
		v = w->state->vols[rnd(w, w->state->nvols)];
	if (w->state->nvols >= VOLS_MAX)
		return;
	if ((v->flags & MVOL_SNAPSHOT) || v->role != s->role || v == s)
		want = -EINVAL;
	memset(&a, 0, sizeof(a));
	a.volume = w->vol_of[v->key];
	a.snapshot = w->vol_of[s->key];
	got = fs_ioc_rollback(w->fs, &a);
	if (!want) {
		uint64_t set = w->next_set_key++;
		struct mstate *st = state_mut(&w->state);

		do
			default_name(name, sizeof(name), "before-rollback-%Y.%m.%d-%H.%M.%S", at++);
		while (state_snapshot(st, v, name));
		made = vol_copy(s);
		made->key = vol_key_new(w, got ? 0 : a.new_volume);
		made->origin = s->key;
		made->flags = 0;
		made->place_snapshot = false;
		made->place = v->place;
		made->place_dir = v->place_dir;
		made->set = set;
		made->created = (uint64_t)w->now;
		strcpy(made->name, v->name);
		kept = state_vol_mut(st, v->key);
		vol_place_in_snapshots(kept, kept);
		kept->flags = (kept->flags & ~(unsigned)MVOL_RECOVERY) | MVOL_SNAPSHOT | MVOL_RO;
		kept->set = set;
		strcpy(kept->name, name);
		state_vol_add(st, made);
		if (st->root == kept->key)
			st->root = made->key;
		remember(w, 0, WITNESS_LOOK, 0, 0);
	}
	expect(w, got, want, "rollback of %llu to %llu", (unsigned long long)a.volume, (unsigned long long)a.snapshot);
	if (!got && !want && !sim_is_off(w->io)) {
		if (strcmp(a.kept_name, name))
			world_fail(w, "kept as '%s', want '%s'", a.kept_name, name);
		durable_now(w);
		good(w);
	}
}

/* ---- the end ---- */

static bool delete_one_name(struct world *w)
{
	for (unsigned tries = 0; tries < 200; tries++) {
		struct target d;
		struct ment *e;
		struct fs_node gone;
		uint64_t lsn;
		bool rmdir;
		int r;

		pick_vol(w, &d);
		d.i = d.v->inodes[rnd(w, d.v->ninodes)];
		if (!d.i->nents || (d.v->flags & MVOL_RO))
			continue;
		e = &d.i->ents[rnd(w, d.i->nents)];
		if (e->vol && state_resolve(w->state, d.v, e->key))
			continue;
		rmdir = e->vol || S_ISDIR(vol_inode(d.v, e->key)->mode);
		if (rmdir && !e->vol && vol_inode(d.v, e->key)->nents)
			continue;
		d.ik = d.i->key;
		d.node = node_of(w, d.vk, d.ik);
		r = rmdir ? fs_rmdir(w->fs, NULL, d.node, model_names[e->name].s, model_names[e->name].len, &gone, &lsn)
			  : fs_unlink(w->fs, NULL, d.node, model_names[e->name].s, model_names[e->name].len, &gone, &lsn);
		expect(w, r, 0, "removing '%s' at the end", model_names[e->name].s);
		if (!e->vol) {
			struct minode *i = vol_inode_mut(state_vol_mut(state_mut(&w->state), d.vk), e->key);

			d.v = state_vol(w->state, d.vk);
			i->nlink = rmdir ? 0 : i->nlink - 1;
			if (!i->nlink)
				vol_inode_del(d.v, e->key);
		}
		touch(w, &d, true);
		d.i->nlink -= rmdir;
		inode_ent_del(d.i, e->name);
		return true;
	}
	return false;
}

void delete_everything(struct world *w)
{
	unsigned left;

	w->doing = "deleting everything";
	holds_clear(w);
	for (unsigned n = 0; n < ARRAY_SIZE(w->prepared); n++) {
		struct kagefs_ioc_set_delete a = { 0 };

		if (!w->prepared[n])
			continue;
		memcpy(a.uuid.b, w->prepared[n]->uuid, 16);
		expect(w, fs_ioc_set_delete(w->fs, &a), 0, "deleting a prepared set at the end");
		free(w->prepared[n]);
		w->prepared[n] = NULL;
	}
	for (unsigned n = 0; n < w->state->nvols; n++) { /* writable, so that names may go */
		struct mvol *v = w->state->vols[n];
		struct kagefs_ioc_volume_set a = { .mask = KAGEFS_VOL_READ_ONLY, .volume = w->vol_of[v->key] };

		if (!(v->flags & MVOL_RO) || (v->flags & MVOL_SEALED))
			continue;
		expect(w, fs_ioc_volume_set(w->fs, &a), 0, "making a volume writable at the end");
		state_vol_mut(state_mut(&w->state), v->key)->flags &= ~(unsigned)MVOL_RO;
	}
	do {
		for (unsigned n = 0; n < rnd(w, 20); n++)
			delete_one_name(w);
		left = 0;
		for (unsigned n = 0; n < w->state->nvols; n++) {
			struct mvol *v = w->state->vols[n];
			struct kagefs_ioc_volume_delete a = { .flags = KAGEFS_DELETE_FORCE, .volume = w->vol_of[v->key] };

			if (v->key == w->state->root)
				continue;
			left++;
			if (want_delete(w, v, true) || one_in(w, 2))
				continue;
			expect(w, fs_ioc_volume_delete(w->fs, &a), 0, "deleting volume %llu at the end", (unsigned long long)a.volume);
			delete_volume(w, v->key);
			n--;
		}
		if (one_in(w, 2))
			expect(w, MIN(fs_run_background(w->fs, 7), 0), 0, "background");
	} while (left);
	while (w->state->nsets) {
		struct kagefs_ioc_set_delete a = { .flags = KAGEFS_DELETE_FORCE };

		memcpy(a.uuid.b, w->state->sets[0]->uuid, 16);
		expect(w, fs_ioc_set_delete(w->fs, &a), 0, "deleting a set at the end");
		state_set_del(state_mut(&w->state), w->state->sets[0]->key);
	}
	while (state_vol(w->state, w->state->root)->ninodes > 1 || vol_inode(state_vol(w->state, w->state->root), state_vol(w->state, w->state->root)->root)->nents)
		delete_one_name(w);
	expect(w, fs_sync(w->fs), 0, "sync at the end");
	remember(w, 0, WITNESS_LOOK, 0, 0);
	durable_now(w);
}

struct op_kind ops_volumes[] = {
	{ "volume_create", op_volume_create, 4, 0, 0 }, { "volume_delete", op_volume_delete, 6, 0, 0 },
	{ "volume_read_only", op_volume_ro, 4, 0, 0 },	{ "set_prepare", op_set_prepare, 2, 0, 0 },
	{ "set_commit", op_set_commit, 9, 0, 0 },	{ "set_seal", op_set_seal, 3, 0, 0 },
	{ "set_delete", op_set_delete, 4, 0, 0 },	{ "set_update", op_set_update, 2, 0, 0 },
	{ "rollback", op_rollback, 2, 0, 0 },
};
const unsigned n_ops_volumes = ARRAY_SIZE(ops_volumes);
