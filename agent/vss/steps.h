/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The steps of a shadow copy set's life, in order (MS-FSRVP 3.2.4).  Each makes its calls, moves set->stage, keeps the
 * record up to date, tells its duration with --verbose, and writes the error line when it fails.  After a failure the
 * caller runs set_cleanup; none of them does it itself.
 *
 * Results: 0, -EREMOTEIO (the agent refused), -EINTR (a signal came), or another error of client.h.
 */
#ifndef AGENT_VSS_STEPS_H
#define AGENT_VSS_STEPS_H

#include "agent/vss/session.h"

/* Version and IsPathSupported of every share; with --follow-owner also the change to the owner's machine. */
MUST_USE int step_check(struct session *s, struct set *set);
/* The lock of record_lock, SetContext and Start.  From here on signals only leave a note.  With --wait it waits while
 * another set is in progress, here or elsewhere; -EBUSY when it still is. */
MUST_USE int step_begin(struct session *s, struct set *set);
MUST_USE int step_add(struct session *s, struct set *set);
MUST_USE int step_prepare(struct session *s, struct set *set);
MUST_USE int step_commit(struct session *s, struct set *set);
/* Expose, then GetShareMapping of every copy. */
MUST_USE int step_expose(struct session *s, struct set *set);
MUST_USE int step_map(struct session *s, struct set *set);
MUST_USE int step_complete(struct session *s, struct set *set);
/* GetShareMapping of the first copy, which restarts the agent's timer.  -ENOENT: the copy is gone. */
MUST_USE int step_keepalive(struct session *s, struct set *set);

/* Write the set's record; a failure is warned of once and otherwise ignored: the backup matters more. */
void step_record(struct session *s, const struct set *set);

#endif
