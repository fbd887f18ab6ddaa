/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One engine over one simulated disk, and beside it the model with all states it went through since the last one known to be
 * durable.  After a power cut the engine has to be in one of them.
 */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <setjmp.h>

#include "fs/base/io.h"
#include "fs/volume/volume.h"
#include "tests/model/model.h"
#include "tests/model/rng.h"
#include "tests/sim/io_sim.h"

enum witness {
	WITNESS_NONE,  /* nothing of it can be seen after a restart */
	WITNESS_CTIME, /* the inode named has exactly this ctime if the operation is in */
	WITNESS_LOOK,  /* compare everything to know */
};
struct past {
	struct mstate *state; /* after the operation */
	uint64_t op, lsn;     /* lsn 0: durable when a later one is */
	enum witness witness;
	uint64_t vol, ino; /* keys */
	int64_t ctime;
};

struct hold {
	uint64_t vol, ino; /* keys */
	unsigned n;
};

struct config {
	uint64_t ops, check_every, compare_every;
	uint64_t watch_from; /* compare and check after each operation from here on */
	unsigned crash_in; /* about one power cut in so many operations; 0: none */
	bool verbose, trace; /* trace: print every operation */
};

struct world {
	struct io *io;
	struct fs *fs; /* NULL: closed */
	struct rng rng, look; /* look: of comparisons, so that these change nothing else */
	uint64_t seed, op;
	const char *doing, *last; /* what runs; the last operation */
	struct config cfg;
	struct fs_open_options open;
	uint64_t log_segment;
	uint32_t max_write; /* the longest write that this log takes */
	int64_t now;	    /* time of day */

	uint64_t next_ino_key, next_vol_key, next_set_key;
	uint64_t *ino_of, *vol_of; /* by key; 0: the engine's number is not known */
	uint64_t cap_ino, cap_vol;

	struct mstate *state; /* now */
	struct past *past;    /* past[0].state: known to be durable */
	unsigned npast, cap_past;
	struct hold *holds;
	unsigned nholds, cap_holds;
	struct mset *prepared[2]; /* announced sets: memory only */
	uint64_t dead_vol;	  /* engine's id of a volume that was deleted; 0: none yet */

	uint8_t *buf, *buf2; /* FS_WRITE_MAX each */
	unsigned reported; /* by the running check */
	uint64_t crashes, reopens, checks, compares;
	jmp_buf fail;
};

extern struct world *world_running; /* for the signal handlers */

/* A new store.  Never fails (aborts). */
struct world *world_new(uint64_t seed, const struct config *cfg);
void world_free(struct world *w);
/* Report and leave the run through w->fail. */
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

static inline uint64_t rnd(struct world *w, uint64_t n)
{
	return rng_below(&w->rng, n);
}
static inline bool one_in(struct world *w, uint64_t n)
{
	return rng_one_in(&w->rng, n);
}

static inline uint64_t look(struct world *w, uint64_t n)
{
	return rng_below(&w->look, n);
}

uint64_t ino_key_new(struct world *w, uint64_t ino);
uint64_t vol_key_new(struct world *w, uint64_t id);
struct fs_node node_of(struct world *w, uint64_t vol, uint64_t ino);

/* got must be want, unless the power is off. */
void expect(struct world *w, int64_t got, int64_t want, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The operation's effect is in w->state: remember it. */
void remember(struct world *w, uint64_t lsn, enum witness witness, uint64_t vol, uint64_t ino);
/* Everything up to now is durable. */
void durable_now(struct world *w);
void durable_lsn(struct world *w, uint64_t lsn);

unsigned held(struct world *w, uint64_t vol, uint64_t ino);
void hold_add(struct world *w, uint64_t vol, uint64_t ino);
/* One less; the last one lets a nameless inode go, in the model. */
void hold_del(struct world *w, unsigned n);
void holds_clear(struct world *w);

void world_open(struct world *w);  /* fails the run if the engine does not open and the power is on */
void world_close(struct world *w);
/* The power is off: restart, find the state the engine is in. */
void world_crash(struct world *w);
/* fs_check: nothing may be reported. */
void world_check(struct world *w, bool drain);

/* compare.c: everything in the engine is as in s.  Quiet: no report, no failing. */
bool compare_all(struct world *w, struct mstate *s, bool quiet);
void compare_file(struct world *w, struct mstate *s, uint64_t vol, uint64_t ino);
void compare_attr(struct world *w, struct mstate *s, uint64_t vol, uint64_t ino, const struct fs_attr *a);
uint64_t dir_size_shown(const struct minode *i);

/* ops_*.c: each does one random operation. */
struct op_kind {
	const char *name;
	void (*run)(struct world *w);
	unsigned weight;
	uint64_t done, good; /* how often; with what it wanted to do done */
};
extern struct op_kind ops_names[], ops_attr[], ops_content[], ops_volumes[], ops_look[];
extern const unsigned n_ops_names, n_ops_attr, n_ops_content, n_ops_volumes, n_ops_look;
void good(struct world *w);

/* What the operations share (ops.c). */
struct target {
	uint64_t vk, ik;
	struct mvol *v;
	struct minode *i;
	struct fs_node node;
};
bool pick_vol(struct world *w, struct target *t);
void pick_inode(struct world *w, struct target *t); /* any */
void pick_dir(struct world *w, struct target *t);
void pick_file(struct world *w, struct target *t);
void pick_root(struct world *w, struct target *t);
const struct fs_ctx *pick_ctx(struct world *w, struct fs_ctx *c);
int want_writable(struct world *w, struct mvol *v, const struct fs_ctx *c);
/* After a change of this inode: mtime and ctime. */
struct minode *touch(struct world *w, struct target *t, bool mtime);
void random_bytes_into(struct world *w, uint8_t *buf, size_t n);
void do_op(struct world *w);
void do_named_op(struct world *w, const char *name);
void ops_report(void);
/* At the end: delete everything in random order; nothing may be left. */
void delete_everything(struct world *w);

#endif
