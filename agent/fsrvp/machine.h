/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of [MS-FSRVP] 3.1: which call is allowed when, what it changes, how long the client may then be silent.
 * Pure: no sockets, no clock, no file system, no memory but the sets it owns.  A call is made in three steps:
 *
 *   code = machine_check_x(...)    first failing rule wins; nothing has changed
 *   ... the work ...               agent/fsrvp/ops_*.c
 *   machine_x(...)                 the state after success
 *
 * Profiles: SPEC is the document; SAMBA (default) differs exactly where smbtorture asserts something else.
 *
 *   case                                   SPEC                 SAMBA
 *   unknown set in calls 3 - 7, 10, 12     SET_ID_MISMATCH      INVALIDARG
 *   unknown share in calls 3, 8, 9         NOT_FOUND            INVALIDARG
 *   context that does not exist            UNSUPPORTED_CONTEXT  INVALIDARG
 *   unknown copy or share in call 11       NOT_FOUND            INVALIDARG
 *   call 10 before Expose                  BAD_STATE            0x80042311
 *   "in progress" means not yet            Recovered            Exposed
 */
#ifndef AGENT_FSRVP_MACHINE_H
#define AGENT_FSRVP_MACHINE_H

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/fsrvp/set.h"

#define MACHINE_CLIENT_SIZE 64	/* text IP address */
#define MACHINE_SETS_MAX 16384u /* known at a time */

enum machine_profile { MACHINE_SAMBA, MACHINE_SPEC };

struct machine {
	enum machine_profile profile;
	bool context_set;
	uint32_t context;
	char client[MACHINE_CLIENT_SIZE]; /* who set it */
	unsigned retries;		  /* contexts set anew while a sequence was under way */
	struct guid current;		  /* the set started under this context; zero: none yet */
	struct shadow_set *sets;	  /* owned list */
	unsigned nsets;
};

/* What a call does to the message sequence timer. */
enum machine_timer { MACHINE_TIMER_KEEP, MACHINE_TIMER_STOP, MACHINE_TIMER_SHORT, MACHINE_TIMER_LONG };

void machine_init(struct machine *m, enum machine_profile profile);
void machine_release(struct machine *m);

struct shadow_set *machine_find(struct machine *m, const struct guid *id);
/* Still in progress in the sense of the profile. */
bool machine_in_progress(const struct machine *m, const struct shadow_set *s);
struct shadow_set *machine_any_in_progress(struct machine *m);

/* SetContext.  After FSRVP_OK the caller drops every set in progress, then calls machine_set_context. */
uint32_t machine_check_context(struct machine *m, uint32_t context, const char *client);
void machine_set_context(struct machine *m, uint32_t context, const char *client, bool dropped);
/* StartShadowCopySet.  machine_add_set takes over the set; on its own it is for sets found at start.  -ENOSPC. */
uint32_t machine_check_start(struct machine *m, const struct guid *client_set);
int machine_add_set(struct machine *m, struct shadow_set *s) MUST_USE;
void machine_started(struct machine *m, const struct shadow_set *s);
/* The set that the context, its client and the message sequence timer are about. */
bool machine_is_current(const struct machine *m, const struct shadow_set *s);
/* Calls 3 - 7, 10, 11 and 12 on a set (NULL: unknown id). */
uint32_t machine_check_set(const struct machine *m, enum fsrvp_op op, const struct shadow_set *s);
/* Calls 10 and 11: find copy and mapping in a set that passed machine_check_set. */
uint32_t machine_check_mapping(const struct machine *m, enum fsrvp_op op, struct shadow_set *s, const struct guid *copy,
			       const char *share, struct shadow_copy **c, struct shadow_mapping **map);
/* Code for a share that does not exist (calls 3, 8, 9). */
uint32_t machine_no_share(const struct machine *m);

/* State after a successful step.  Each asserts the state it starts from. */
void machine_added(struct shadow_set *s);
void machine_commit_begun(struct shadow_set *s);
void machine_commit_failed(struct shadow_set *s); /* back to Added */
void machine_committed(struct shadow_set *s);
void machine_exposed(struct machine *m, struct shadow_set *s);
void machine_recovered(struct machine *m, struct shadow_set *s);
/* Abort: when it was the current one, the context is free again.  The caller removes the set. */
void machine_aborted(struct machine *m, const struct shadow_set *s);
/* Take the set out and free it. */
void machine_remove(struct machine *m, struct shadow_set *s);
/* The client has been silent for too long.  The caller first drops every set in progress. */
void machine_expired(struct machine *m);

/* Only for calls on the current set, and for calls 1 and 2. */
enum machine_timer machine_timer_after(enum fsrvp_op op, uint32_t result);

#endif
