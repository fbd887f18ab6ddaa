/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The random run of one seed. */
#include <stdio.h>
#include <unistd.h>

#include "fs/base/clock.h"
#include "fs/volume/internal.h"
#include "tests/model/runs.h"

#define HANG_SECONDS 120

static void compare_now(struct world *w)
{
	bool again;

	w->doing = "compare";
	if (compare_all(w, w->state, false) || sim_is_off(w->io))
		return;
	/* In the database, or only in memory? */
	world_close(w);
	world_open(w);
	again = compare_all(w, w->state, true);
	world_fail(w, "engine and model differ; after a restart they %s", again ? "agree" : "still differ");
}

static void arm_cut(struct world *w)
{
	/* At once or at one of the next syncs, so that it falls into the middle of things. */
	if (one_in(w, 4))
		sim_cut_now(w->io);
	else
		sim_cut_at(w->io, 1 + rnd(w, 12));
}

static void steps(struct world *w)
{
	const struct config *c = &w->cfg;

	for (w->op = 1; w->op <= c->ops; w->op++) {
		if (w->op % 256 == 0)
			alarm(HANG_SECONDS);
		do_op(w);
		if (c->crash_in && one_in(w, c->crash_in))
			arm_cut(w);
		if (c->watch_from && w->op >= c->watch_from && !sim_is_off(w->io)) {
			compare_now(w);
			world_check(w, false);
		}
		if (!sim_is_off(w->io) && c->compare_every && w->op % c->compare_every == 0)
			compare_now(w);
		if (!sim_is_off(w->io) && c->check_every && w->op % c->check_every == 0) {
			w->doing = "check";
			world_check(w, !one_in(w, 3));
		}
		if (sim_is_off(w->io)) {
			world_crash(w);
			if (one_in(w, 4)) {
				w->doing = "check after a power cut";
				world_check(w, one_in(w, 2));
			}
		}
	}
	sim_cut_at(w->io, 0);
}

static int count_block(void *arg, const struct meta_block *b, uint64_t refs)
{
	(void)b;
	(void)refs;
	++*(uint64_t *)arg;
	return 0;
}

/* With everything deleted and reclaimed there is no block left, in the tables or in the packs. */
static void nothing_left(struct world *w)
{
	uint64_t blocks = 0;
	struct meta_stats st;

	delete_everything(w);
	compare_now(w);
	w->doing = "check of the empty store";
	world_check(w, true);
	if (meta_block_list(w->fs->meta, count_block, &blocks) || meta_get_stats(w->fs->meta, &st))
		world_fail(w, "statistics");
	if (blocks || st.freed || st.orphans || st.volumes != 1)
		world_fail(w, "left over: %llu blocks, %llu freed ranges, %llu orphans, %llu volumes", (unsigned long long)blocks,
			   (unsigned long long)st.freed, (unsigned long long)st.orphans, (unsigned long long)st.volumes);
	world_close(w);
	w->doing = "reopen the empty store";
	world_open(w);
	compare_now(w);
}

bool run_seed(uint64_t seed, const struct config *cfg)
{
	int64_t start = clock_monotonic_ns();
	struct world *w = world_new(seed, cfg);
	double s;

	alarm(HANG_SECONDS);
	if (setjmp(w->fail)) {
		alarm(0);
		return false; /* what is left stays as it is, for a debugger */
	}
	steps(w);
	w->doing = "last compare";
	compare_now(w);
	nothing_left(w);
	alarm(0);
	s = (double)(clock_monotonic_ns() - start) / 1e9;
	printf("seed %llu: %llu operations, %llu power cuts, %llu restarts, %llu checks, %llu comparisons, %.1f s, %.0f/s\n",
	       (unsigned long long)seed, (unsigned long long)cfg->ops, (unsigned long long)w->crashes, (unsigned long long)w->reopens,
	       (unsigned long long)w->checks, (unsigned long long)w->compares, s, (double)cfg->ops / s);
	world_free(w);
	return true;
}
