/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directories of the simulated disk: each name as it is now and as it is on the platter, and the list of changes in
 * between.  Not thread-safe.  Directories are never removed or renamed.
 */
#ifndef TESTS_SIM_SIM_NAMES_H
#define TESTS_SIM_SIM_NAMES_H

#include "fs/base/io.h"
#include "tests/sim/sim_image.h"

struct name_slot;
struct name_change;
struct sim_node {
	struct sim_node *prev, *next; /* all nodes, newest last */
	bool is_dir;
	bool locked;		   /* io_lock */
	int refs;		   /* names on both sides, pending changes, handles */
	int live;		   /* names now, and handles: while above 0 the content takes space */
	char path[IO_PATH_MAX + 1]; /* now; the last one if unlinked */
	struct image image;	   /* files */
	struct name_slot *slots;   /* directories; owned */
};
struct names {
	struct sim_node all; /* list head */
	struct sim_node *root;
	struct name_change *first, *last; /* pending, in order of issue */
	uint64_t nblocks;		  /* space taken by live files */
};

void names_init(struct names *t);
void names_release(struct names *t);
/* A reference for a handle: keeps an unlinked file alive. */
void names_hold(struct names *t, struct sim_node *node);
void names_drop(struct names *t, struct sim_node *node);

/* "." is the root.  -ENOENT, -ENOTDIR.  *out is borrowed. */
int names_find(struct names *t, const char *path, struct sim_node **out);
/* -EEXIST, -ENOENT, -ENOTDIR. */
int names_create(struct names *t, const char *path, bool is_dir, uint64_t seq, struct sim_node **out);
/* -ENOENT, -ENOTDIR, -EISDIR. */
int names_unlink(struct names *t, const char *path, uint64_t seq);
/* As renameat2; -EOPNOTSUPP for directories. */
int names_rename(struct names *t, const char *from, const char *to, bool replace, uint64_t seq);
/* An array of copies of the names, ending with NULL; to be freed one by one. */
char **names_list(const struct sim_node *dir);

/* Make durable what happened in the directory, and what that builds upon. */
void names_sync(struct names *t, const struct sim_node *dir);
/* Power loss: a change is atomic (a rename over two directories too), and is lost when one before it on the same name is. */
void names_settle(struct names *t, const struct fate *fate);

#endif
