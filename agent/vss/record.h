/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our own notes of the sets we made: FSRVP has no call that lists sets, and a later `delete` needs ids, copies and
 * shares.  One small text file per set; no secrets in it.  The folder is $KAGEFS_VSS_STATE_DIR, or /var/lib/kagefs-vss
 * for root, or kagefs-vss below $XDG_STATE_HOME or ~/.local/state.
 *
 * Lines of a record, "KEY VALUE", in this order; unknown keys are refused:
 *   kagefs-vss-set 1        format version (1: the first)
 *   set, server, port, context (hex), stage, begun (seconds since 1970)
 *   copy ID                 begins a copy; then for it: share NAME, exposed NAME (may be missing), created FILETIME
 *   end
 */
#ifndef AGENT_VSS_RECORD_H
#define AGENT_VSS_RECORD_H

#include <stdio.h>

#include "agent/vss/set.h"

/* Write or replace the set's record, durably; a set that is GONE loses its record.  -errno of the file system. */
MUST_USE int record_save(const struct set *s);
void record_remove(const struct guid *id);

/* -ENOENT: no such record.  -EBADMSG: the file is not a record. */
MUST_USE int record_load(struct set *s, const struct guid *id);

/* Call fn for each readable record, oldest name first; stops at and returns fn's first non-zero result.  A file that is
 * not a record is reported and passed over. */
MUST_USE int record_each(int (*fn)(struct set *s, void *arg), void *arg);

/*
 * One kagefs-vss at a time may have a set in progress on a server: the agent takes a second SetContext from the same
 * machine for a retry and drops the first one's set (MS-FSRVP 3.1.4.2).  Gives a descriptor that holds the lock until it
 * is closed; -EWOULDBLOCK if another process has it.
 */
MUST_USE int record_lock(const char *server);

/* The format, for record_save and the tests.  record_read expects an initialised set. */
MUST_USE int record_write(const struct set *s, FILE *f);
MUST_USE int record_read(struct set *s, FILE *f);

#endif
