/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Getting rid of a set, whatever state it is in and whatever happened to the connection. */
#ifndef AGENT_VSS_CLEANUP_H
#define AGENT_VSS_CLEANUP_H

#include "agent/vss/session.h"

enum cleanup_result {
	CLEANUP_DONE,	 /* we removed it, or it had nothing to remove */
	CLEANUP_MISSING, /* some of it was gone before we came */
	CLEANUP_LEFT,	 /* something may still be there; an error line says what and what to do */
};

/*
 * Remove the set from the server and, unless something is left, from our records.  A broken connection is made anew
 * until the limit of --timeout-cleanup.  Copies already marked gone are not touched.  Signals are no reason to stop.
 */
enum cleanup_result set_cleanup(struct session *s, struct set *set);

/* DeleteShareMapping of these copies only; the rest of their set stays.  0; 1: some were gone before; -errno after error
 * lines, the others are deleted nevertheless. */
MUST_USE int set_delete_copies(struct session *s, struct set *set);

#endif
