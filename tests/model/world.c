/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/model/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/cleanup.h"
#include "tests/model/clock.h"

#define PAST_MAX 1500 /* then a sync */

struct world *world_running;

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "FAILED seed=%llu op=%llu (%s, last %s): ", (unsigned long long)w->seed, (unsigned long long)w->op, w->doing,
		w->last);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	longjmp(w->fail, 1);
}

static void ok(struct world *w, int r, const char *what)
{
	if (r)
		world_fail(w, "%s: %s", what, strerror(-r));
}

struct world *world_new(uint64_t seed, const struct config *cfg)
{
	static const uint64_t segments[] = { 256 << 10, 512 << 10, 1 << 20, 1 << 20, 8 << 20 };
	struct world *w = xmalloc(sizeof(*w));
	struct fs_format_options fo = { .block_size = 4096 };
	struct minode *root;
	struct fs_attr a;
	struct mvol *v;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->cfg = *cfg;
	w->rng.s = seed * 0x2545f4914f6cdd1dull + 1;
	w->doing = "format";
	w->now = 1700000000ll * 1000000000;
	w->next_ino_key = w->next_vol_key = w->next_set_key = 1;
	w->buf = xmalloc(FS_WRITE_MAX + 8192);
	w->buf2 = xmalloc(FS_WRITE_MAX + 8192);
	world_running = w;
	test_clock_set(w->now);
	if (setjmp(w->fail))
		abort();
	w->io = sim_new(seed, 0);
	w->log_segment = segments[rnd(w, ARRAY_SIZE(segments))];
	w->max_write = (uint32_t)MIN(FS_WRITE_MAX, w->log_segment / 4 - 4096);
	fo.log_segment_bytes = w->log_segment;
	fo.codec = (int)rnd(w, 4) - 1;
	fo.root_mode = 0755;
	w->open = (struct fs_open_options){ .manual = true, .dirty_age_ms = UINT32_MAX, .workers = 1 };
	/* Small packs and an early look, so that packs are rewritten and dropped all the time. */
	w->open.pack_bytes = 256 << 10;
	w->open.compact_after = 16 << 10;
	w->open.memory_bytes = (1ull << 20) << rnd(w, 6);
	w->open.log_bytes = w->log_segment * (4 + rnd(w, 5));
	ok(w, fs_format(w->io, &fo), "fs_format");
	world_open(w);

	w->state = state_new();
	v = vol_make(vol_key_new(w, fs_root(w->fs).vol));
	v->role = v->key;
	ok(w, fs_getattr(w->fs, fs_root(w->fs), &a), "getattr of the root");
	root = inode_make(ino_key_new(w, a.node.ino));
	root->mode = a.mode;
	root->nlink = 2;
	root->atime = root->mtime = root->ctime = root->btime = w->now;
	v->root = root->key;
	v->created = (uint64_t)w->now;
	vol_inode_add(v, root);
	state_vol_add(w->state, v);
	w->state->root = v->key;
	remember(w, 0, WITNESS_NONE, 0, 0);
	return w;
}

static void forget_past(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		state_unref(w->past[i].state);
	w->npast -= n;
	memmove(w->past, w->past + n, w->npast * sizeof(*w->past));
}

void world_free(struct world *w)
{
	if (w->fs)
		fs_abandon(w->fs);
	sim_unlock(w->io);
	io_free(w->io);
	forget_past(w, w->npast);
	state_unref(w->state);
	for (unsigned i = 0; i < ARRAY_SIZE(w->prepared); i++)
		free(w->prepared[i]);
	free(w->past);
	free(w->holds);
	free(w->ino_of);
	free(w->vol_of);
	free(w->buf);
	free(w->buf2);
	free(w);
	world_running = NULL;
}

/* ---- keys ---- */

static uint64_t key_new(uint64_t **map, uint64_t *cap, uint64_t *next, uint64_t value)
{
	uint64_t k = (*next)++;

	if (k >= *cap) {
		uint64_t n = *cap ? *cap * 2 : 1024;

		*map = xrealloc(*map, n * sizeof(**map));
		memset(*map + *cap, 0, (n - *cap) * sizeof(**map));
		*cap = n;
	}
	(*map)[k] = value;
	return k;
}

uint64_t ino_key_new(struct world *w, uint64_t ino)
{
	return key_new(&w->ino_of, &w->cap_ino, &w->next_ino_key, ino);
}

uint64_t vol_key_new(struct world *w, uint64_t id)
{
	return key_new(&w->vol_of, &w->cap_vol, &w->next_vol_key, id);
}

struct fs_node node_of(struct world *w, uint64_t vol, uint64_t ino)
{
	return (struct fs_node){ w->vol_of[vol], w->ino_of[ino] };
}

/* ---- holds ---- */

unsigned held(struct world *w, uint64_t vol, uint64_t ino)
{
	for (unsigned i = 0; i < w->nholds; i++)
		if (w->holds[i].vol == vol && w->holds[i].ino == ino)
			return w->holds[i].n;
	return 0;
}

void hold_add(struct world *w, uint64_t vol, uint64_t ino)
{
	for (unsigned i = 0; i < w->nholds; i++)
		if (w->holds[i].vol == vol && w->holds[i].ino == ino) {
			w->holds[i].n++;
			return;
		}
	if (w->nholds == w->cap_holds) {
		w->cap_holds = w->cap_holds ? w->cap_holds * 2 : 16;
		w->holds = xrealloc(w->holds, w->cap_holds * sizeof(*w->holds));
	}
	w->holds[w->nholds++] = (struct hold){ vol, ino, 1 };
}

void hold_del(struct world *w, unsigned n)
{
	struct hold h = w->holds[n];
	struct minode *i;
	struct mvol *v;

	fs_drop(w->fs, node_of(w, h.vol, h.ino), 1);
	if (--w->holds[n].n)
		return;
	w->holds[n] = w->holds[--w->nholds];
	v = state_vol(w->state, h.vol);
	i = v ? vol_inode(v, h.ino) : NULL;
	if (i && !i->nlink) {
		vol_inode_del(state_vol_mut(state_mut(&w->state), h.vol), h.ino);
		remember(w, 0, WITNESS_NONE, 0, 0);
	}
}

void holds_clear(struct world *w)
{
	while (w->nholds)
		hold_del(w, w->nholds - 1);
}

/* ---- the states gone through ---- */

void expect(struct world *w, int64_t got, int64_t want, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if ((got == want || sim_is_off(w->io)) && !w->cfg.trace)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->cfg.trace)
		printf("%llu %s: %lld\n", (unsigned long long)w->op, text, (long long)got);
	if (got == want || sim_is_off(w->io))
		return;
	world_fail(w, "%s: got %lld (%s), want %lld (%s)", text, (long long)got, got < 0 ? strerror((int)-got) : "", (long long)want,
		   want < 0 ? strerror((int)-want) : "");
}

void remember(struct world *w, uint64_t lsn, enum witness witness, uint64_t vol, uint64_t ino)
{
	int64_t ctime = 0;

	if (w->npast && w->past[w->npast - 1].state == w->state)
		return; /* nothing changed */
	if (witness == WITNESS_CTIME)
		ctime = vol_inode(state_vol(w->state, vol), ino)->ctime;
	if (w->npast == w->cap_past) {
		w->cap_past = w->cap_past ? w->cap_past * 2 : 64;
		w->past = xrealloc(w->past, w->cap_past * sizeof(*w->past));
	}
	w->past[w->npast++] = (struct past){ state_ref(w->state), w->op, lsn, witness, vol, ino, ctime };
	if (w->npast > PAST_MAX && !sim_is_off(w->io)) {
		expect(w, fs_sync(w->fs), 0, "sync");
		durable_now(w);
	}
}

void durable_now(struct world *w)
{
	if (!sim_is_off(w->io))
		forget_past(w, w->npast - 1);
}

void durable_lsn(struct world *w, uint64_t lsn)
{
	unsigned n = w->npast - 1;

	if (sim_is_off(w->io))
		return;
	while (n && (!w->past[n].lsn || w->past[n].lsn > lsn))
		n--;
	forget_past(w, n);
}

/* ---- open, close, crash, check ---- */

void world_open(struct world *w)
{
	char holder[100];
	int r = fs_open(w->io, &w->open, holder, sizeof(holder), &w->fs);

	if (!r)
		return;
	w->fs = NULL;
	if (!sim_is_off(w->io))
		world_fail(w, "fs_open: %s", strerror(-r));
}

static void forget_memory(struct world *w)
{
	w->nholds = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(w->prepared); i++) {
		free(w->prepared[i]);
		w->prepared[i] = NULL;
	}
}

void world_close(struct world *w)
{
	int r = fs_close(w->fs);

	w->fs = NULL;
	if (r && !sim_is_off(w->io))
		world_fail(w, "fs_close: %s", strerror(-r));
	sim_unlock(w->io);
	forget_memory(w);
	if (!r) {
		/* It says so, even if the power went while it tidied up.  Nameless inodes are reaped by the next mount. */
		forget_past(w, w->npast - 1);
		state_forget_nameless(&w->state);
		state_unref(w->past[0].state);
		w->past[0].state = state_ref(w->state);
	}
}

static bool witness_there(struct world *w, const struct past *p)
{
	struct fs_attr a;

	switch (p->witness) {
	case WITNESS_NONE:
		return false; /* the state before looks the same */
	case WITNESS_CTIME:
		if (!w->ino_of[p->ino] || !w->vol_of[p->vol])
			return true; /* unknown: look */
		return !fs_getattr(w->fs, node_of(w, p->vol, p->ino), &a) && a.ctime_ns == p->ctime;
	default:
		return true;
	}
}

static void adopt(struct world *w, unsigned n)
{
	struct mstate *s = state_ref(w->past[n].state);

	forget_past(w, w->npast);
	state_unref(w->state);
	w->state = s;
	w->past[w->npast++] = (struct past){ state_ref(s), w->op, 0, WITNESS_NONE, 0, 0, 0 };
}

/* Which of the states is it?  The latest whose last operation left its mark; it has to match in everything. */
static void find_state(struct world *w)
{
	unsigned first = UINT32_MAX;

	for (unsigned n = w->npast; n--;) {
		if (n && !witness_there(w, &w->past[n]))
			continue;
		state_forget_nameless(&w->past[n].state);
		if (compare_all(w, w->past[n].state, true)) {
			if (w->cfg.verbose)
				printf("seed %llu op %llu: %u of %u operations survived\n", (unsigned long long)w->seed,
				       (unsigned long long)w->op, n, w->npast - 1);
			adopt(w, n);
			return;
		}
		if (first == UINT32_MAX)
			first = n;
		if (sim_is_off(w->io))
			return;
		/* Steps of one operation bear the same mark, and what only a look can tell may be absent. */
		if (w->past[n].witness == WITNESS_CTIME && n && w->past[n - 1].op != w->past[n].op && w->ino_of[w->past[n].ino])
			break;
	}
	fprintf(stderr, "no state matches; the nearest (operation %llu, %u of %u):\n", (unsigned long long)w->past[first].op, first,
		w->npast - 1);
	compare_all(w, w->past[first].state, false);
	world_fail(w, "after the power cut the engine shows no state it went through");
}

void world_crash(struct world *w)
{
	w->crashes++;
	w->dead_vol = 0; /* its deletion may be undone */
	for (;;) {
		if (w->fs) {
			w->doing = "abandon";
			fs_abandon(w->fs);
			w->fs = NULL;
		}
		forget_memory(w);
		w->doing = "power on";
		sim_power_on(w->io);
		/* Sometimes the power goes again while recovering. */
		sim_cut_at(w->io, one_in(w, 4) ? 1 + rnd(w, 12) : 0);
		w->doing = "recover";
		world_open(w);
		if (!w->fs)
			continue;
		if (sim_is_off(w->io))
			continue;
		sim_cut_at(w->io, 0);
		w->doing = "compare after a power cut";
		find_state(w);
		return;
	}
}

static void print_report(void *arg, const char *number, const char *text)
{
	struct world *w = arg;

	if (++w->reported <= 10)
		fprintf(stderr, "check: %s %s\n", number, text);
}

void world_check(struct world *w, bool drain)
{
	struct fs_check_options o = { .verify_blocks = true, .drain = drain, .report = print_report, .arg = w };
	int r;

	w->checks++;
	w->reported = 0;
	r = fs_check(w->fs, &o);
	if (r && !sim_is_off(w->io))
		world_fail(w, "fs_check%s: %d %s", drain ? " after a drain" : "", r, r < 0 ? strerror(-r) : "violations");
	if (!r && drain)
		durable_now(w);
}
