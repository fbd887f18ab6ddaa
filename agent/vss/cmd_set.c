/* SPDX-License-Identifier: GPL-3.0-or-later */
/* expose, complete, delete, abort: later steps on a set that a former run, or another program, has made. */
#include "agent/vss/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/vss/cleanup.h"
#include "agent/vss/record.h"
#include "agent/vss/steps.h"

static int parse_id(const char *text, struct guid *id)
{
	if (guid_parse(text, id) == 0)
		return 0;
	out_error(text, "`kagefs-vss list` shows the ids", "not the id of a set");
	return -EINVAL;
}

/*
 * The set named by the first argument: from its record, or with only its id when it was made elsewhere and the second
 * argument names the server.  *recorded tells which.  -EINVAL for wrong usage.
 */
static int find_set(struct session *s, struct set *set, bool *recorded)
{
	const char *server = s->o->nargs > 1 ? s->o->args[1] : NULL;
	struct guid id;
	int r = parse_id(s->o->args[0], &id);

	*recorded = false;
	if (r < 0)
		return r;
	r = record_load(set, &id);
	*recorded = r == 0;
	if (r == 0)
		return 0;
	if (r != -ENOENT) {
		out_error(s->o->args[0], "remove it if it is damaged", "its record cannot be read: %s", strerror(-r));
		return r;
	}
	if (!server) {
		out_error(s->o->args[0], "name its server as the second argument", "no record of this set here");
		return -EINVAL;
	}
	if (server_name_parse(set->server, server) < 0) {
		out_error(server, "write //SERVER", "not the name of a server");
		return -EINVAL;
	}
	set->id = id;
	return 0;
}

static int find_and_connect(struct session *s, struct set *set, bool *recorded)
{
	int r;

	set_init(set);
	r = find_set(s, set, recorded);
	return r ? r : session_connect(s, set->server, set->port);
}

static int exit_code(int r)
{
	return r == 0 ? EXIT_OK : r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static void print_paths(const struct session *s, const struct set *set)
{
	struct json j = {.f = stdout};
	char path[UNC_TEXT_SIZE];

	if (s->o->json) {
		out_json_open(&j, NULL, '{');
		out_json_number(&j, "schema_version", OUT_SCHEMA_VERSION);
		set_to_json(set, &j, "set", NULL);
		out_json_close(&j, '}');
		putchar('\n');
		return;
	}
	for (size_t i = 0; i < set->ncopies; i++) {
		copy_path(&set->copies[i], path);
		if (path[0])
			puts(path);
	}
}

/* Without a record the record of step_expose would have no copies in it; so there is none. */
static int expose_unrecorded(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];
	int r = client_expose(&s->client, &set->id, s->o->expose_s);

	set_object(set, object);
	if (r < 0)
		out_error(object, NULL, "ExposeShadowCopySet: %s", client_why(&s->client));
	return r;
}

int cmd_expose(struct session *s)
{
	bool recorded;
	struct set set;
	int r = find_and_connect(s, &set, &recorded);

	if (!r)
		r = recorded ? step_expose(s, &set) : expose_unrecorded(s, &set);
	if (!r)
		print_paths(s, &set);
	set_release(&set);
	return exit_code(r);
}

int cmd_complete(struct session *s)
{
	bool recorded;
	struct set set;
	char object[SET_OBJECT_SIZE];
	int r = find_and_connect(s, &set, &recorded);

	if (!r && recorded) {
		r = step_complete(s, &set);
	} else if (!r) {
		r = client_recovery_complete(&s->client, &set.id);
		set_object(&set, object);
		if (r < 0)
			out_error(object, NULL, "RecoveryCompleteShadowCopySet: %s", client_why(&s->client));
	}
	set_release(&set);
	return exit_code(r);
}

int cmd_abort(struct session *s)
{
	bool recorded;
	struct set set;
	char object[SET_OBJECT_SIZE];
	int r = find_and_connect(s, &set, &recorded);

	set_object(&set, object);
	if (!r && recorded && set.stage >= SET_EXPOSED) {
		out_error(object, "use `kagefs-vss delete`", "it is exposed already, so there is nothing to abort");
		r = -EBUSY;
	} else if (!r && recorded) {
		r = set_cleanup(s, &set) == CLEANUP_LEFT ? -EBUSY : 0;
	} else if (!r) {
		r = client_abort(&s->client, &set.id);
		if (r < 0)
			out_error(object, NULL, "AbortShadowCopySet: %s", client_why(&s->client));
	}
	set_release(&set);
	return exit_code(r);
}

/* The copies named in the command. */
static int parse_copies(const struct session *s, struct set *set)
{
	int r = parse_id(s->o->args[0], &set->id);

	for (int i = 1; !r && i < s->o->nargs; i++) {
		struct share_name base;
		struct guid id;

		if (copy_name_parse(&base, &id, s->o->args[i]) < 0 ||
		    (set->ncopies && strcasecmp(base.server, set->server) != 0)) {
			out_error(s->o->args[i], "write //SERVER/SHARE@{COPY}, all of one server", "not the name of a copy");
			return -EINVAL;
		}
		memcpy(set->server, base.server, sizeof(set->server));
		struct copy *c = set_append(set, &base);
		if (!c)
			return -ENOMEM;
		c->id = id;
	}
	return r;
}

/* Shares of one volume have one copy and thus one id between them. */
static bool same_mapping(const struct copy *a, const struct copy *b)
{
	return guid_equal(&a->id, &b->id) && strcasecmp(a->share.share, b->share.share) == 0;
}

/* Take the deleted copies out of the set's record, if there is one. */
static void forget_copies(struct session *s, const struct set *deleted)
{
	struct set set;

	if (record_load(&set, &deleted->id) < 0)
		return;
	for (size_t i = 0; i < set.ncopies; i++)
		for (size_t k = 0; k < deleted->ncopies; k++)
			if (deleted->copies[k].gone && same_mapping(&set.copies[i], &deleted->copies[k]))
				set.copies[i].gone = true;
	if (set_all_gone(&set))
		set.stage = SET_GONE;
	step_record(s, &set);
	set_release(&set);
}

static int delete_named(struct session *s)
{
	struct set set;
	int r;

	set_init(&set);
	r = parse_copies(s, &set);
	if (!r)
		r = session_connect(s, set.server, 0);
	if (!r) {
		r = set_delete_copies(s, &set);
		forget_copies(s, &set);
		if (r == 1)
			out_warning(s->o->args[0], "nothing is left to do", "some of the copies were gone already");
	}
	set_release(&set);
	return r == 1 ? EXIT_PARTIAL : exit_code(r);
}

int cmd_delete(struct session *s)
{
	enum cleanup_result result;
	struct set set;
	struct guid id;

	if (s->o->nargs > 1)
		return delete_named(s);
	int r = parse_id(s->o->args[0], &id);
	if (r < 0)
		return exit_code(r);
	r = record_load(&set, &id);
	if (r < 0) {
		out_error(s->o->args[0], "name its copies too, as //SERVER/SHARE@{COPY}", "no record of this set here: %s",
			  strerror(-r));
		return EXIT_FAILED;
	}
	r = session_connect(s, set.server, set.port);
	if (r == 0) {
		result = set_cleanup(s, &set);
		r = result == CLEANUP_LEFT ? -EBUSY : 0;
		if (result == CLEANUP_MISSING)
			out_warning(s->o->args[0], "its record is removed", "some of its copies were gone already");
	}
	set_release(&set);
	return r == 0 && result == CLEANUP_MISSING ? EXIT_PARTIAL : exit_code(r);
}
