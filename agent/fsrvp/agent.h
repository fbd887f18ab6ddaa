/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent's state: one state machine under one lock, and what the calls share.
 *
 * The lock is never held while waiting for the file system or for a child program; both are waited for with a patience.  A call that has such work to do
 * claims its set (busy), releases the lock, works, takes the lock again and releases the set.  A busy set is changed and
 * freed by nobody else; other calls on it are answered BAD_STATE, but for Abort, SetContext and the timer, which ask the
 * call to give up (cancel) and wait for it.  A working call looks at cancel at least once a second.  The reconciler
 * claims sets too (by_keeper): for that one all calls just wait.
 *
 * Lock order: agent.lock, then nothing.  The exposer has a lock of its own that is taken without agent.lock.
 */
#ifndef AGENT_FSRVP_AGENT_H
#define AGENT_FSRVP_AGENT_H

#include <pthread.h>

#include "agent/backend.h"
#include "agent/fsrvp/access.h"
#include "agent/fsrvp/machine.h"
#include "agent/samba/exposer.h"

/* Clients give up a call after 180 s ([MS-FSRVP] 3.2.2): whatever timeout they name, we are through before.  Beyond that
 * time there is some more for taking back what could not be finished. */
#define AGENT_CALL_MS_MAX 120000
#define AGENT_UNDO_MS 25000
#define AGENT_FS_MS 10000 /* for a file system that is asked by a call without a timeout of its own */
#define AGENT_FS_TIMER_MS 1000 /* by the thread of the timers, and once per store by the reconciler: what hangs is left for later */

struct agent_config { /* everything borrowed for the life of the agent */
	enum machine_profile profile;
	bool require_rpc_auth;
	uint32_t sequence_timeout_s; /* 0: the specification's two values */
	uint32_t commit_limit_ms;
	uint32_t exposed_timeout_s; /* of sets that are not persistent; 0: none */
	uint32_t reconcile_s;
	const char *machine_name; /* answer of IsPathSupported */
	struct access_list access;
};

struct agent {
	const struct agent_config *cfg;
	struct samba samba;
	struct exposer *exposer; /* borrowed */
	struct backend *backend; /* borrowed */
	pthread_mutex_t lock;
	pthread_cond_t changed;	 /* a set is no longer busy, the timer was set, or stopping; CLOCK_MONOTONIC */
	struct machine machine;	 /* protected by lock */
	int64_t sequence_end_ms; /* protected by lock; 0: the timer is stopped */
	bool stopping;		 /* protected by lock */
	bool reconcile_now;	 /* protected by lock */
	/* Sets that are forgotten here but could not be deleted in the file system: the reconciler owes it.  Protected by lock. */
	struct agent_owed {
		struct guid store, id;
	} *owed; /* owned */
	size_t nowed;
};

int agent_init(struct agent *a, const struct agent_config *cfg, const struct samba *samba, struct exposer *exposer,
	       struct backend *backend) MUST_USE;
/* All calls are over.  Sets in progress are deleted; exposed ones stay for the next start. */
void agent_release(struct agent *a);

/* lock held: put the message sequence timer as the call wants it. */
void agent_timer_locked(struct agent *a, enum machine_timer t);
/* lock held: the set is ours / anybody's again.  Claiming stops the timer when it is about this set. */
void agent_claim_locked(struct agent *a, struct shadow_set *s);
void agent_claim_by_keeper_locked(struct agent *a, struct shadow_set *s); /* leaves the timer alone */
void agent_unclaim_locked(struct agent *a, struct shadow_set *s);
/* lock held; it is released while the reconciler has the set.  NULL: no such set. */
struct shadow_set *agent_find_locked(struct agent *a, const struct guid *id);
/* lock not held, set claimed: somebody waits for us. */
bool agent_is_cancelled(struct agent *a, struct shadow_set *s);
/* The same as a patience; the claim lives as long as that. */
struct agent_claim {
	struct agent *agent;
	struct shadow_set *set;
};
struct patience agent_patience(struct agent_claim *claim, int64_t ms);
/* Of a call that has no set claimed: over when the agent stops. */
struct patience agent_patience_unclaimed(struct agent *a, int64_t ms);
/* The same for one call to the file system: no longer than AGENT_FS_MS of it. */
struct patience agent_fs_patience(const struct patience *p);
/* lock held; it is released meanwhile.  Ask a busy set's call to give up and wait; NULL: the set is gone now. */
struct shadow_set *agent_wait_idle_locked(struct agent *a, const struct guid *id);
/* lock held; it is released meanwhile.  Withdraw the shares, delete set and copies, forget it.  What cannot be deleted
 * within fs_ms is left to the reconciler, and is the result; it is 0 too when the set is gone meanwhile, or held by the
 * administrator.  why: for the log. */
int agent_drop_locked(struct agent *a, const struct guid *id, const char *why, int64_t fs_ms);
/* The same for all sets in progress; true when there was one. */
bool agent_drop_in_progress_locked(struct agent *a, const char *why, int64_t fs_ms);
/* lock held. */
bool agent_owes_locked(const struct agent *a, const struct guid *id);

/* Withdraw every share of a set; the caller has claimed it.  Lock not held. */
int agent_withdraw(struct agent *a, const struct patience *p, struct shadow_set *s) MUST_USE;
/* Make every mapping of the set a share; likewise. */
int agent_expose(struct agent *a, const struct patience *p, struct shadow_set *s) MUST_USE;
int agent_restrict(struct agent *a, const struct patience *p, struct shadow_set *s) MUST_USE;

/* agent/fsrvp/reconcile.c: bring sets of the file system, sets in memory and shares together, in both directions.
 * Lock not held.  Errors are logged; what could not be done is tried again next time. */
void agent_reconcile(struct agent *a);

/* Thread bodies: the message sequence timer and the expiry of exposed sets; reconciliation, once in a while and when a file
 * system that hung answers again.  They return when agent_stop was called. */
void *agent_keeper(void *agent);
void *agent_reconciler(void *agent);
void agent_stop(struct agent *a);
/* Wake the reconciler. */
void agent_reconcile_soon(struct agent *a);

#endif
