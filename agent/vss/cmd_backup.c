/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backup: the whole cycle, and its end in every case.  create: the first half of it. */
#include "agent/vss/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/vss/cleanup.h"
#include "agent/vss/run.h"
#include "agent/vss/steps.h"
#include "agent/vss/stop.h"

static int connect_and_check(struct session *s, struct set *set)
{
	int r = session_connect(s, set->server, 0);

	return r ? r : step_check(s, set);
}

/* SetContext to Commit. */
static int make_copies(struct session *s, struct set *set)
{
	int r = step_begin(s, set);

	if (!r)
		r = step_add(s, set);
	if (!r)
		r = step_prepare(s, set);
	return r ? r : step_commit(s, set);
}

struct keepalive {
	struct session *s;
	struct set *set;
	bool warned;
};

static int on_tick(void *arg)
{
	struct keepalive *k = arg;
	int r = step_keepalive(k->s, k->set);

	if (r == -ENOENT)
		return r;
	if (r < 0 && !k->warned) { /* the server may be back in time */
		k->warned = true;
		out_warning(k->set->server, NULL, "no sign of life: %s", client_why(&k->s->client));
	}
	return 0;
}

/* Run a command of the user.  Error lines are written here. */
static int run_phase(struct session *s, struct set *set, const char *phase, const char *command, bool keepalive)
{
	struct keepalive k = {.s = s, .set = set};
	const struct run_options o = {
		.command = command,
		.phase = phase,
		.stdout_to_stderr = s->o->json,
		.tick = keepalive ? on_tick : NULL,
		.arg = &k,
		.tick_s = keepalive ? s->o->keepalive_s : 0,
	};
	int status = 0;
	int r = run_command(&o, set, &status);

	if (r == -ECHILD && WIFSIGNALED(status))
		out_error(phase, "look at its messages", "the command was ended by signal %d", WTERMSIG(status));
	else if (r == -ECHILD)
		out_error(phase, "look at its messages", "the command ended with status %d", WEXITSTATUS(status));
	else if (r == -EINTR)
		out_error(phase, "nothing is left behind unless told below", "stopped by %s", stop_name());
	else if (r == -ENOENT)
		out_error(phase, "the agent dropped the set; see its log", "the copies are gone, the command was ended");
	else if (r < 0)
		out_error(phase, "try again", "the command could not be run: %s", strerror(-r));
	return r;
}

/* After a command: a connection that broke meanwhile shows only when it is used, so use it for something harmless. */
static int revive(struct session *s, struct set *set)
{
	int r = step_keepalive(s, set);

	if (r < 0 && !client_alive(&s->client))
		r = step_keepalive(s, set);
	if (r < 0)
		out_error(set->server, NULL, "after the recovery command: %s", client_why(&s->client));
	return r;
}

/* From the finished copies to the end of the exec command. */
static int use_copies(struct session *s, struct set *set)
{
	int r = step_expose(s, set);

	if (!r && s->o->recover)
		r = run_phase(s, set, "recover", s->o->recover, true);
	if (!r && s->o->recover)
		r = revive(s, set);
	if (!r)
		r = step_complete(s, set);
	/* After RecoveryComplete the agent has no timer for the set any more (3.1.4.7), so nothing to keep alive. */
	if (!r && s->o->exec)
		r = run_phase(s, set, "exec", s->o->exec, false);
	return r;
}

static const char *exit_word(int code)
{
	return code == EXIT_OK ? "done" : code == EXIT_PARTIAL ? "partial" : "failed";
}

static void print_result(const struct session *s, const struct set *set, int code)
{
	struct json j = {.f = stdout};

	if (!s->o->json)
		return;
	out_json_open(&j, NULL, '{');
	out_json_number(&j, "schema_version", OUT_SCHEMA_VERSION);
	out_json_string(&j, "result", exit_word(code));
	if (set->stage != SET_NONE)
		set_to_json(set, &j, "set", NULL);
	else
		out_json_null(&j, "set");
	out_json_close(&j, '}');
	putchar('\n');
}

/* The end of a run that got as far as `r` says. */
static int conclude_backup(struct session *s, struct set *set, int r)
{
	char object[SET_OBJECT_SIZE];

	set_object(set, object);
	if (r == 0 && s->o->keep)
		return EXIT_OK;
	switch (set_cleanup(s, set)) {
	case CLEANUP_DONE:
		return r == 0 ? EXIT_OK : EXIT_FAILED;
	case CLEANUP_MISSING:
		if (r != 0)
			return EXIT_FAILED;
		out_warning(object, "check that the backup read all it should",
			    "some copies were gone before we deleted them");
		return EXIT_PARTIAL;
	case CLEANUP_LEFT:
		return r == 0 ? EXIT_PARTIAL : EXIT_FAILED;
	}
	return EXIT_FAILED;
}

int cmd_backup(struct session *s)
{
	struct set set;
	int code = EXIT_FAILED;

	set_init(&set);
	int r = session_parse_shares(s, &set);
	if (r < 0) {
		code = r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
		goto out;
	}
	r = connect_and_check(s, &set);
	if (!r)
		r = make_copies(s, &set);
	if (!r)
		r = use_copies(s, &set);
	code = conclude_backup(s, &set, r);
	print_result(s, &set, code);
out:
	set_release(&set);
	return code;
}

static void print_set(const struct set *set)
{
	char text[UNC_TEXT_SIZE], id[GUID_TEXT_SIZE];

	guid_format(&set->id, id);
	printf("set %s\n", id);
	for (size_t i = 0; i < set->ncopies; i++) {
		const struct copy *c = &set->copies[i];

		guid_format(&c->id, id);
		printf("copy %s %s", id, c->share.share);
		copy_path(c, text);
		printf(text[0] ? " %s\n" : "%s\n", text);
	}
}

int cmd_create(struct session *s)
{
	struct set set;
	int code = EXIT_FAILED;

	set_init(&set);
	int r = session_parse_shares(s, &set);
	if (r < 0) {
		code = r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
		goto out;
	}
	r = connect_and_check(s, &set);
	if (!r)
		r = make_copies(s, &set);
	if (!r && s->o->expose)
		r = step_expose(s, &set);
	if (r < 0)
		(void)set_cleanup(s, &set); /* we fail in any case, and it tells what it could not remove */
	code = r == 0 ? EXIT_OK : EXIT_FAILED;
	if (code == EXIT_OK && !s->o->json)
		print_set(&set);
	print_result(s, &set, code);
out:
	set_release(&set);
	return code;
}
