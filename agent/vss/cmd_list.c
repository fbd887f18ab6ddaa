/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list: the recorded sets and what their servers say about them.  probe: what an agent offers. */
#include "agent/vss/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/codes.h"
#include "agent/vss/record.h"

struct listing {
	struct session *s;
	struct json j;
	bool unanswered; /* some server could not be asked */
};

/* exposed | not-exposed | gone | unknown */
static const char *copy_state(struct listing *l, const struct set *set, struct copy *c)
{
	struct client_mapping m;
	int r;

	if (l->s->o->offline || !client_alive(&l->s->client))
		return "unknown";
	r = client_get_mapping(&l->s->client, &set->id, &c->id, &c->share, &m);
	if (r == 0) {
		memcpy(c->exposed, m.share, sizeof(c->exposed));
		c->created_filetime = m.created_filetime;
		return "exposed";
	}
	if (r == -EREMOTEIO && fsrvp_code_is_gone(l->s->client.code)) {
		c->gone = true;
		return "gone";
	}
	if (r == -EREMOTEIO && fsrvp_code_is_not_exposed(l->s->client.code))
		return "not-exposed";
	l->unanswered = true;
	return "unknown";
}

static void print_rows(const struct set *set, const char *const *states)
{
	char set_id[GUID_TEXT_SIZE], id[GUID_TEXT_SIZE], share[UNC_TEXT_SIZE], when[32] = "-";

	guid_format(&set->id, set_id);
	for (size_t i = 0; i < set->ncopies; i++) {
		const struct copy *c = &set->copies[i];
		time_t t = filetime_to_unix(c->created_filetime);
		struct tm tm;

		if (t && localtime_r(&t, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		guid_format(&c->id, id);
		copy_object(c, share);
		printf("%s  %s  %-11s  %-19s  %s\n", set_id, id, states[i], when, share);
	}
	if (!set->ncopies)
		printf("%s  %-36s  %-11s  %-19s  //%s\n", set_id, "-", set_stage_name(set->stage), when, set->server);
}

static int list_set(struct set *set, void *arg)
{
	struct listing *l = arg;
	CLEANUP_FREE const char **states = calloc(set->ncopies + 1, sizeof(*states));

	if (!states)
		return -ENOMEM;
	if (!l->s->o->offline && session_connect(l->s, set->server, set->port) < 0)
		l->unanswered = true;
	for (size_t i = 0; i < set->ncopies; i++)
		states[i] = copy_state(l, set, &set->copies[i]);
	if (l->s->o->json)
		set_to_json(set, &l->j, NULL, states);
	else
		print_rows(set, states);
	if (l->s->o->prune && !l->s->o->offline && set->ncopies && set_all_gone(set))
		record_remove(&set->id);
	return 0;
}

int cmd_list(struct session *s)
{
	struct listing l = {.s = s, .j = {.f = stdout}};

	if (s->o->json) {
		out_json_open(&l.j, NULL, '{');
		out_json_number(&l.j, "schema_version", OUT_SCHEMA_VERSION);
		out_json_open(&l.j, "sets", '[');
	} else {
		printf("%-36s  %-36s  %-11s  %-19s  %s\n", "SET", "COPY", "STATE", "CREATED", "SHARE");
	}
	int r = record_each(list_set, &l);
	if (s->o->json) {
		out_json_close(&l.j, ']');
		out_json_close(&l.j, '}');
		putchar('\n');
	}
	if (r < 0)
		out_error("records", "check KAGEFS_VSS_STATE_DIR", "%s", strerror(-r));
	return r < 0 ? EXIT_FAILED : l.unanswered ? EXIT_PARTIAL : EXIT_OK;
}

struct probe {
	bool supported;
	char owner[UNC_PART_SIZE];
	const char *copied; /* yes | no | unknown */
	uint32_t compatibility;
};

static int probe_share(struct session *s, const struct copy *c, struct probe *p)
{
	char object[UNC_TEXT_SIZE];
	bool present = false;

	*p = (struct probe){.copied = "unknown"};
	copy_object(c, object);
	int r = client_is_path_supported(&s->client, &c->share, &p->supported, p->owner);
	if (r == -EREMOTEIO && s->client.code == FSRVP_E_NOT_SUPPORTED)
		r = 0; /* an agent's other way to say no */
	if (r < 0) {
		out_error(object, NULL, "IsPathSupported: %s", client_why(&s->client));
		return r;
	}
	r = client_is_path_shadow_copied(&s->client, &c->share, &present, &p->compatibility);
	if (r == 0)
		p->copied = present ? "yes" : "no";
	/* Samba's own agent does not have this call. */
	if (r == -EREMOTEIO && s->client.code == FSRVP_E_NOT_SUPPORTED)
		r = 0;
	if (r < 0)
		out_error(object, NULL, "IsPathShadowCopied: %s", client_why(&s->client));
	return r;
}

static void print_probe(struct listing *l, const struct copy *c, const struct probe *p)
{
	char object[UNC_TEXT_SIZE];

	copy_object(c, object);
	if (!l->s->o->json) {
		printf("%s supported=%s owner=%s has-copies=%s compatibility=0x%x\n", object, p->supported ? "yes" : "no",
		       p->owner[0] ? p->owner : "-", p->copied, p->compatibility);
		return;
	}
	out_json_open(&l->j, NULL, '{');
	out_json_string(&l->j, "share", c->share.share);
	out_json_bool(&l->j, "supported", p->supported);
	out_json_string(&l->j, "owner", p->owner);
	out_json_string(&l->j, "has_copies", p->copied);
	out_json_number(&l->j, "compatibility", p->compatibility);
	out_json_close(&l->j, '}');
}

static int probe_all(struct listing *l, struct set *set)
{
	uint32_t min = 0, max = 0;
	struct session *s = l->s;
	bool all = true;
	int r = client_get_supported_version(&s->client, &min, &max);

	if (r < 0) {
		out_error(s->server, NULL, "GetSupportedVersion: %s", client_why(&s->client));
		return r;
	}
	if (s->o->json) {
		out_json_open(&l->j, NULL, '{');
		out_json_number(&l->j, "schema_version", OUT_SCHEMA_VERSION);
		out_json_string(&l->j, "server", s->server);
		out_json_number(&l->j, "fsrvp_min", min);
		out_json_number(&l->j, "fsrvp_max", max);
		out_json_open(&l->j, "shares", '[');
	} else {
		printf("//%s fsrvp=%u..%u\n", s->server, min, max);
	}
	for (size_t i = 0; i < set->ncopies; i++) {
		struct probe p;
		int e = probe_share(s, &set->copies[i], &p);

		if (e == 0)
			print_probe(l, &set->copies[i], &p);
		all = all && e == 0 && p.supported;
		r = r ? r : e;
	}
	if (s->o->json) {
		out_json_close(&l->j, ']');
		out_json_close(&l->j, '}');
		putchar('\n');
	}
	return r ? r : all ? 0 : -EOPNOTSUPP;
}

int cmd_probe(struct session *s)
{
	struct listing l = {.s = s, .j = {.f = stdout}};
	struct set set;

	set_init(&set);
	int r = session_parse_shares(s, &set);
	int code = r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	if (r == 0 && session_connect(s, set.server, 0) == 0 && probe_all(&l, &set) == 0)
		code = EXIT_OK;
	set_release(&set);
	return code;
}
