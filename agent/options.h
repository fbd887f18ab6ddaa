/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the administrator chose: defaults, then the configuration file, then the command line. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include "agent/fsrvp/agent.h"

struct options {
	bool foreground;
	bool debug;
	char *smb_conf;	   /* owned, as all strings here */
	char *ncalrpc_dir; /* NULL: ask testparm */
	char *shares_file;
	char *ntlm_auth;
	bool expose_auto; /* registry if smb.conf says "registry shares = yes", else include */
	enum exposer_mode expose;
	struct agent_config agent; /* machine_name is left NULL */
};

/* 0; 1: help or version was printed, nothing is to be done; -EINVAL: reason is on stderr. */
int options_parse(struct options *o, int argc, char **argv) MUST_USE;
void options_release(struct options *o);

#endif
