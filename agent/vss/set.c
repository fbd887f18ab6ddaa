/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/cleanup.h"

static const char *const stage_names[SET_NUM_STAGES] = {
	[SET_NONE] = "none",		 [SET_STARTED] = "started",   [SET_ADDED] = "added",
	[SET_COMMITTING] = "committing", [SET_COMMITTED] = "committed", [SET_EXPOSING] = "exposing",
	[SET_EXPOSED] = "exposed",	 [SET_RECOVERED] = "recovered", [SET_GONE] = "gone",
};

void set_init(struct set *s)
{
	*s = (struct set){.stage = SET_NONE};
}

void set_release(struct set *s)
{
	free(s->copies);
	set_init(s);
}

struct copy *set_append(struct set *s, const struct share_name *share)
{
	struct copy *copies = reallocarray(s->copies, s->ncopies + 1, sizeof(*copies));

	if (!copies)
		return NULL;
	s->copies = copies;
	copies[s->ncopies] = (struct copy){.share = *share};
	return &copies[s->ncopies++];
}

const char *set_stage_name(enum set_stage stage)
{
	return stage_names[stage];
}

int set_stage_parse(enum set_stage *out, const char *name)
{
	for (int i = 0; i < SET_NUM_STAGES; i++)
		if (strcmp(stage_names[i], name) == 0) {
			*out = (enum set_stage)i;
			return 0;
		}
	return -EINVAL;
}

bool set_all_gone(const struct set *s)
{
	for (size_t i = 0; i < s->ncopies; i++)
		if (!s->copies[i].gone)
			return false;
	return true;
}

void copy_path(const struct copy *c, char out[UNC_TEXT_SIZE])
{
	out[0] = 0;
	if (c->exposed[0])
		snprintf(out, UNC_TEXT_SIZE, "//%s/%s", c->share.server, c->exposed);
}

time_t filetime_to_unix(uint64_t filetime)
{
	const uint64_t epoch_s = 11644473600u; /* 1970 counted from 1601 */

	return filetime / 10000000 < epoch_s ? 0 : (time_t)(filetime / 10000000 - epoch_s);
}

static void json_time(struct json *j, const char *key, time_t t)
{
	char text[32];
	struct tm tm;

	if (t && gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		out_json_string(j, key, text);
	else
		out_json_null(j, key);
}

void set_to_json(const struct set *s, struct json *j, const char *key, const char *const *states)
{
	char text[UNC_TEXT_SIZE];

	out_json_open(j, key, '{');
	guid_format(&s->id, text);
	out_json_string(j, "set_id", text);
	out_json_string(j, "server", s->server);
	out_json_number(j, "context", s->context);
	out_json_string(j, "stage", set_stage_name(s->stage));
	json_time(j, "begun", s->begun);
	out_json_open(j, "copies", '[');
	for (size_t i = 0; i < s->ncopies; i++) {
		const struct copy *c = &s->copies[i];

		out_json_open(j, NULL, '{');
		out_json_string(j, "share", c->share.share);
		guid_format(&c->id, text);
		out_json_string(j, "copy_id", text);
		copy_path(c, text);
		if (text[0])
			out_json_string(j, "path", text);
		else
			out_json_null(j, "path");
		json_time(j, "created", filetime_to_unix(c->created_filetime));
		if (states)
			out_json_string(j, "state", states[i]);
		out_json_close(j, '}');
	}
	out_json_close(j, ']');
	out_json_close(j, '}');
}
