/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What we know of one shadow copy set.  No I/O. */
#ifndef AGENT_VSS_SET_H
#define AGENT_VSS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "agent/rpc/guid.h"
#include "agent/vss/out.h"
#include "agent/vss/unc.h"

/*
 * How far the set has come, as far as we can know: the -ING stages are entered before the call is sent, so that after a
 * lost answer the set is treated as if the call had been done.
 *
 *   NONE -> STARTED -> ADDED -> COMMITTING -> COMMITTED -> EXPOSING -> EXPOSED -> RECOVERED
 *   any but NONE -> GONE, by set_cleanup or when its last copy is deleted
 */
enum set_stage {
	SET_NONE,
	SET_STARTED,
	SET_ADDED,
	SET_COMMITTING,
	SET_COMMITTED,
	SET_EXPOSING,
	SET_EXPOSED,
	SET_RECOVERED,
	SET_GONE,
	SET_NUM_STAGES
};

struct copy {
	struct share_name share; /* the base share */
	struct guid id;		 /* zero: not in the set yet */
	char exposed[UNC_PART_SIZE]; /* name of the copy's share; "": not known */
	uint64_t created_filetime;   /* 100 ns since 1601; 0: not known */
	bool gone;
};

struct set {
	struct guid id;
	char server[UNC_PART_SIZE];
	unsigned port; /* 0: the usual one */
	uint32_t context;
	enum set_stage stage;
	time_t begun;
	struct copy *copies; /* owned */
	size_t ncopies;
};

void set_init(struct set *s);
void set_release(struct set *s);

/* Append a copy of `share` that has no id yet.  The result is valid until the next append.  NULL: out of memory. */
struct copy *set_append(struct set *s, const struct share_name *share);

const char *set_stage_name(enum set_stage stage);
MUST_USE int set_stage_parse(enum set_stage *out, const char *name);

bool set_all_gone(const struct set *s);

/* //SERVER/NAME of the exposed copy, "" if not exposed as far as we know. */
void copy_path(const struct copy *c, char out[UNC_TEXT_SIZE]);

/* Seconds since 1970, 0 for an unknown time. */
time_t filetime_to_unix(uint64_t filetime);

/* The set as a JSON object; `state` of each copy comes from `states` unless that is NULL. */
void set_to_json(const struct set *s, struct json *j, const char *key, const char *const *states);

#endif
