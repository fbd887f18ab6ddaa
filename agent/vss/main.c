/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs-vss, a File Server Remote VSS requester (MS-FSRVP 3.2): takes, uses and deletes shadow copies of SMB shares. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "agent/vss/cmd.h"

static int run_verb(struct session *s)
{
	static int (*const handlers[])(struct session *) = {cmd_backup, cmd_create, cmd_expose, cmd_complete,
							    cmd_delete, cmd_abort,  cmd_list,	cmd_probe};

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) /* in the order of enum verb's bits */
		if (s->o->verb == 1u << i)
			return handlers[i](s);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct session s;
	struct opts o;
	bool done;

	out_init("usage", false);
	int code = opts_parse(&o, argc, argv, &done);
	if (code != EXIT_OK || done)
		return code;
	out_init(verb_name(o.verb), o.verbose);
	signal(SIGPIPE, SIG_IGN);
	int r = session_init(&s, &o);
	if (r < 0)
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	code = run_verb(&s);
	session_release(&s);
	if (fflush(stdout) != 0 && code == EXIT_OK) {
		out_error("output", "check where stdout goes", "could not be written");
		code = EXIT_FAILED;
	}
	return code;
}
