/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Power cuts at every sync of a busy workload: for each seed the cut falls at the 1st, 2nd, ... CUTS_PER_SEED-th sync after the
 * mount.  The workload goes through all kinds of operations in a fixed order (what exactly each does comes from the seed), and
 * syncs, applies, reclaims and checkpoints in between, so that the cuts fall into all of them.  After each: mount, the state is
 * one the model went through and holds all that was acknowledged; check is clean after a drain; work goes on; a clean restart.
 */
#include <stdio.h>
#include <unistd.h>

#include "fs/base/cleanup.h"
#include "fs/base/clock.h"
#include "tests/model/runs.h"

#define CUTS_PER_SEED 100
#define OPS_MAX 20000
#define OPS_AFTER 20

static const char *const script[] = {
	"mknod", "mknod", "write", "mknod", "write", "wait", "setxattr", "link", "mknod", "write", "background", "volume_create",
	"mknod", "write", "set_commit", "write", "rename", "background", "setattr", "fallocate", "wait", "clone", "unlink", "write",
	"mknod", "setattr", "sync", "hold", "unlink", "set_prepare", "write", "background", "drop", "set_commit", "tmpfile", "write",
	"link", "set_update", "rename", "background", "rmdir", "set_seal", "write", "volume_read_only", "removexattr", "rollback",
	"write", "background", "volume_read_only", "volume_delete", "write", "set_delete", "background", "sync", "fallocate",
};

static void one_cut(struct world *w, uint64_t nth)
{
	sim_cut_at(w->io, nth);
	for (w->op = 0; !sim_is_off(w->io); w->op++) {
		if (w->op == OPS_MAX)
			world_fail(w, "only %llu syncs in %u operations", (unsigned long long)sim_syncs(w->io), OPS_MAX);
		do_named_op(w, script[w->op % ARRAY_SIZE(script)]);
	}
	world_crash(w);
	w->doing = "check after the power cut";
	world_check(w, true);
	for (unsigned n = 0; n < OPS_AFTER; n++)
		do_named_op(w, script[(w->op + n) % ARRAY_SIZE(script)]);
	w->doing = "restart";
	world_close(w);
	world_open(w);
	w->doing = "compare";
	if (!compare_all(w, w->state, false))
		world_fail(w, "engine and model differ");
}

static bool try_cut(uint64_t c, const struct config *cfg)
{
	struct world *w = world_new(1000 + c / CUTS_PER_SEED, cfg);

	alarm(60);
	if (setjmp(w->fail)) {
		fprintf(stderr, "... at cut %llu, the %llu. sync\n", (unsigned long long)c, (unsigned long long)(c % CUTS_PER_SEED + 1));
		return false;
	}
	one_cut(w, c % CUTS_PER_SEED + 1);
	world_free(w);
	alarm(0);
	return true;
}

void run_cuts(uint64_t cuts, const struct config *cfg, unsigned *passed, unsigned *failed)
{
	int64_t start = clock_monotonic_ns();

	for (uint64_t c = 0; c < cuts; c++) {
		if (try_cut(c, cfg))
			++*passed;
		else
			++*failed;
	}
	printf("%llu power cuts in %.1f s\n", (unsigned long long)cuts, (double)(clock_monotonic_ns() - start) / 1e9);
}
