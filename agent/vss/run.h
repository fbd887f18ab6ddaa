/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Run the user's commands on the copies. */
#ifndef AGENT_VSS_RUN_H
#define AGENT_VSS_RUN_H

#include "agent/vss/set.h"

struct run_options {
	const char *command; /* for /bin/sh -c */
	const char *phase;   /* "recover" or "exec" */
	bool stdout_to_stderr; /* our stdout is wanted for something else */
	/* Called every `tick_s` seconds (0: never) while the command runs; a negative result ends the command. */
	int (*tick)(void *arg);
	void *arg;
	unsigned tick_s;
};

/*
 * Run the command with the set in its environment:
 *   KAGEFS_VSS_PHASE, KAGEFS_VSS_SET (id), KAGEFS_VSS_SERVER, KAGEFS_VSS_PORT, KAGEFS_VSS_COUNT and, for n = 1..COUNT,
 *   KAGEFS_VSS_COPY_n (//SERVER/SHARE@{ID}), KAGEFS_VSS_SHARE_n (//SERVER/SHARE), KAGEFS_VSS_ID_n,
 *   KAGEFS_VSS_CREATED_n (seconds since 1970)
 * It has its own process group and no terminal input, so that nothing of it is left when it has to be stopped: a signal
 * noted by stop.h is passed on as SIGTERM and, ten seconds later, SIGKILL.
 *
 * 0: it ended with status 0.  -ECHILD: with another status or by a signal, *status as from waitpid.  -EINTR: we stopped
 * it because of a signal.  The tick's error.  -errno if it could not be run.
 */
MUST_USE int run_command(const struct run_options *o, const struct set *s, int *status);

#endif
