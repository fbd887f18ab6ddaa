/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing what to do and to what. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/cleanup.h"
#include "tests/model/clock.h"
#include "tests/model/world.h"

bool pick_vol(struct world *w, struct target *t)
{
	struct mstate *s = w->state;

	t->v = s->vols[rnd(w, s->nvols)];
	for (unsigned n = 0; n < 4 && (t->v->flags & (MVOL_SNAPSHOT | MVOL_RO)) && !one_in(w, 8); n++)
		t->v = s->vols[rnd(w, s->nvols)];
	t->vk = t->v->key;
	return true;
}

static void aim(struct world *w, struct target *t, struct minode *i)
{
	t->i = i;
	t->ik = i->key;
	t->node = node_of(w, t->vk, t->ik);
}

void pick_root(struct world *w, struct target *t)
{
	pick_vol(w, t);
	aim(w, t, vol_inode(t->v, t->v->root));
}

void pick_inode(struct world *w, struct target *t)
{
	pick_vol(w, t);
	aim(w, t, t->v->inodes[rnd(w, t->v->ninodes)]);
}

static void pick_type(struct world *w, struct target *t, mode_t type)
{
	pick_vol(w, t);
	for (unsigned n = 0; n < 12; n++) {
		aim(w, t, t->v->inodes[rnd(w, t->v->ninodes)]);
		if ((t->i->mode & S_IFMT) == type || one_in(w, 60))
			return;
	}
}

void pick_dir(struct world *w, struct target *t)
{
	pick_type(w, t, S_IFDIR);
}

void pick_file(struct world *w, struct target *t)
{
	pick_type(w, t, S_IFREG);
}

const struct fs_ctx *pick_ctx(struct world *w, struct fs_ctx *c)
{
	static const uint32_t masks[] = { 0, 022, 077, 0777 };

	if (one_in(w, 2))
		return NULL;
	c->uid = (uint32_t)rnd(w, 3);
	c->gid = (uint32_t)rnd(w, 3);
	c->umask = masks[rnd(w, 4)];
	return c;
}

int want_writable(struct world *w, struct mvol *v, const struct fs_ctx *c)
{
	struct mset *t;

	if (v->flags & MVOL_RO)
		return -EROFS;
	if (!(v->flags & MVOL_RECOVERY) || !c)
		return 0;
	t = state_set(w->state, v->set);
	if (!t)
		return -EROFS;
	return (t->flags & KAGEFS_SET_ANY_WRITER) || t->writer == c->uid || !c->uid ? 0 : -EACCES;
}

struct minode *touch(struct world *w, struct target *t, bool mtime)
{
	t->v = state_vol_mut(state_mut(&w->state), t->vk);
	t->i = vol_inode_mut(t->v, t->ik);
	t->i->ctime = w->now;
	if (mtime)
		t->i->mtime = w->now;
	return t->i;
}

/* What files are made of: zeros, blocks seen before, text that compresses, noise. */
void random_bytes_into(struct world *w, uint8_t *buf, size_t n)
{
	struct rng same = { rnd(w, 6) };

	switch (rnd(w, 5)) {
	case 0:
		memset(buf, one_in(w, 2) ? 0 : (int)rnd(w, 256), n);
		break;
	case 1: /* the same for the same seed: whole blocks turn up again */
		for (size_t i = 0; i < n; i += 8) {
			uint64_t x = i % 4096 ? rng_next(&same) : (same.s = (same.s & 7) + 1, same.s);

			memcpy(buf + i, &x, MIN((size_t)8, n - i));
		}
		break;
	case 2:
		for (size_t i = 0; i < n; i++)
			buf[i] = "the quick brown fox jumps over the lazy dog"[(i + same.s) % 43];
		break;
	default:
		for (size_t i = 0; i < n; i += 8) {
			uint64_t x = rng_next(&w->rng);

			memcpy(buf + i, &x, MIN((size_t)8, n - i));
		}
	}
}

/* ---- which operation ---- */

static struct {
	struct op_kind *v;
	const unsigned *n;
} groups[] = {
	{ ops_names, &n_ops_names },     { ops_attr, &n_ops_attr }, { ops_content, &n_ops_content },
	{ ops_volumes, &n_ops_volumes }, { ops_look, &n_ops_look },
};
static struct op_kind *running;

void good(struct world *w)
{
	if (running && !sim_is_off(w->io))
		__atomic_fetch_add(&running->good, 1, __ATOMIC_RELAXED);
}

static void run(struct world *w, struct op_kind *k)
{
	running = k;
	w->doing = w->last = k->name;
	w->now += 1 + (int64_t)rnd(w, 300000000);
	test_clock_set(w->now);
	k->done++;
	k->run(w);
	running = NULL;
}

void do_op(struct world *w)
{
	static unsigned total;
	unsigned at;

	if (!total)
		for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
			for (unsigned n = 0; n < *groups[g].n; n++)
				total += groups[g].v[n].weight;
	at = (unsigned)rnd(w, total);
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
		for (unsigned n = 0; n < *groups[g].n; n++) {
			struct op_kind *k = &groups[g].v[n];

			if (at < k->weight) {
				run(w, k);
				return;
			}
			at -= k->weight;
		}
}

void do_named_op(struct world *w, const char *name)
{
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
		for (unsigned n = 0; n < *groups[g].n; n++)
			if (!strcmp(groups[g].v[n].name, name)) {
				run(w, &groups[g].v[n]);
				return;
			}
	world_fail(w, "no operation is called %s", name);
}

void ops_report(void)
{
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
		for (unsigned n = 0; n < *groups[g].n; n++)
			printf("%s%s %llu/%llu", n ? ", " : "", groups[g].v[n].name, (unsigned long long)groups[g].v[n].good,
			       (unsigned long long)groups[g].v[n].done);
		putchar('\n');
	}
}
