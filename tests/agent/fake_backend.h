/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stand-in for the file system, for tests of the agent: volumes are the directories directly below a root, a snapshot is
 * a copy made with cp(1), sets are small files below ROOT/.sets.  Nothing is durable, nothing is read-only.
 * The root is taken from KAGEFS_FAKE_ROOT when the backend is opened.
 */
#ifndef TESTS_AGENT_FAKE_BACKEND_H
#define TESTS_AGENT_FAKE_BACKEND_H

#include <stdbool.h>

/* What the next calls do instead of succeeding; all zero: succeed.  Polls: how often -EINPROGRESS is answered first. */
struct fake_faults {
	unsigned prepare_polls, commit_polls, seal_polls;
	int prepare_err, commit_err, seal_err, update_err, delete_err;
	bool nested; /* the volume v2 lies below v1 */
	unsigned commits, prepares, deletes; /* counted */
};
extern struct fake_faults fake_faults;

#endif
