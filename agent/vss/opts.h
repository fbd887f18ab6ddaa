/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line.  One table holds every option with the verbs that take it; help is printed from it. */
#ifndef AGENT_VSS_OPTS_H
#define AGENT_VSS_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/vss/creds.h"
#include "agent/vss/rpc.h"

enum verb {
	VERB_BACKUP = 1 << 0,
	VERB_CREATE = 1 << 1,
	VERB_EXPOSE = 1 << 2,
	VERB_COMPLETE = 1 << 3,
	VERB_DELETE = 1 << 4,
	VERB_ABORT = 1 << 5,
	VERB_LIST = 1 << 6,
	VERB_PROBE = 1 << 7,
};

struct opts {
	enum verb verb;
	char **args; /* what follows the options; borrowed from argv */
	int nargs;

	struct creds_options creds;
	const char *smb_conf;
	unsigned port;
	enum rpc_level level;
	enum rpc_mech mech;
	enum rpc_encrypt smb_encrypt;

	uint32_t context;  /* base value of 2.2.2.1 */
	uint32_t recovery; /* 0 or one of the two recovery attributes */
	bool recovery_given;
	const char *recover, *exec;
	bool keep, expose, follow_owner;

	unsigned prepare_s, commit_s, expose_s, call_s, cleanup_s; /* time limits */
	unsigned wait_s, keepalive_s;

	bool offline, prune;
	bool json, verbose;
};

/* Parse.  The result is an exit code: EXIT_OK, or EXIT_USAGE after an error line.  *done: help or version was printed
 * and there is nothing to do. */
int opts_parse(struct opts *o, int argc, char **argv, bool *done);

const char *verb_name(enum verb v);

#endif
