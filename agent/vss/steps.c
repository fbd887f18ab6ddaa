/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/steps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/codes.h"
#include "agent/vss/record.h"
#include "agent/vss/stop.h"

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Report one call: its duration, or why it failed.  A noted signal counts as a failure of the step. */
static int finish(struct session *s, const char *call, const char *object, double begun_ms, int r)
{
	out_step("%-32s %-40s %9.1f ms", call, object, now_ms() - begun_ms);
	if (r < 0) {
		out_error(object, NULL, "%s: %s", call, client_why(&s->client));
	} else if (stop_pending()) {
		out_error(object, "nothing is left behind unless told below", "stopped by %s after %s", stop_name(), call);
		r = -EINTR;
	}
	return r;
}

void step_record(struct session *s, const struct set *set)
{
	int r = record_save(set);

	if (r < 0 && !s->record_warned) {
		s->record_warned = true;
		out_warning("record", "set KAGEFS_VSS_STATE_DIR to a folder you may write; keep the ids shown to delete the set",
			    "not saved: %s", strerror(-r));
	}
}

static void enter(struct session *s, struct set *set, enum set_stage stage)
{
	set->stage = stage;
	step_record(s, set);
}

static int follow_owner(struct session *s, struct set *set, const char *owner)
{
	if (!owner[0] || strcasecmp(owner, s->server) == 0)
		return 0;
	out_step("the share's owner is %s, going there", owner);
	snprintf(set->server, sizeof(set->server), "%s", owner);
	for (size_t i = 0; i < set->ncopies; i++)
		snprintf(set->copies[i].share.server, sizeof(set->copies[i].share.server), "%s", owner);
	return session_connect(s, owner, 0);
}

static int check_version(struct session *s)
{
	double t = now_ms();
	uint32_t min = 0, max = 0;
	int r = client_get_supported_version(&s->client, &min, &max);

	r = finish(s, "GetSupportedVersion", s->server, t, r);
	if (!r && (min > FSRVP_RPC_VERSION_1 || max < FSRVP_RPC_VERSION_1)) {
		out_error(s->server, "this program speaks version 1", "the agent speaks FSRVP versions %u to %u", min, max);
		r = -EOPNOTSUPP;
	}
	return r;
}

int step_check(struct session *s, struct set *set)
{
	char first_owner[UNC_PART_SIZE] = "";
	int r = 0;

	for (size_t i = 0; !r && i < set->ncopies; i++) {
		char object[UNC_TEXT_SIZE], owner[UNC_PART_SIZE];
		bool supported = false;
		double t = now_ms();

		copy_object(&set->copies[i], object);
		r = client_is_path_supported(&s->client, &set->copies[i].share, &supported, owner);
		r = finish(s, "IsPathSupported", object, t, r);
		if (!r && !supported) {
			out_error(object, "put the share on a file system that can take snapshots",
				  "the server cannot make copies of it");
			r = -EOPNOTSUPP;
		}
		if (!r && i == 0)
			memcpy(first_owner, owner, sizeof(owner));
		if (!r && s->o->follow_owner && strcasecmp(owner, first_owner) != 0) {
			out_error(object, "run one command per owner", "owned by %s, but the first share by %s", owner,
				  first_owner);
			r = -EINVAL;
		}
	}
	if (!r && s->o->follow_owner)
		r = follow_owner(s, set, first_owner);
	return r ? r : check_version(s);
}

struct patience {
	double until_ms;
};

/* Sleep a little; false when the time of --wait is over or a signal came. */
static bool wait_more(const struct patience *p)
{
	if (now_ms() >= p->until_ms || stop_pending())
		return false;
	stop_sleep_ms(1000);
	return !stop_pending();
}

static int take_lock(struct session *s, const struct patience *p)
{
	int fd;

	while ((fd = record_lock(s->server)) == -EWOULDBLOCK && wait_more(p))
		;
	if (fd == -EWOULDBLOCK) {
		out_error(s->server, "wait for it, or give --wait", "another kagefs-vss on this machine has a set in progress");
		return -EBUSY;
	}
	if (fd < 0) /* no folder to write to: step_record warns of it */
		out_step("no lock on %s: %s", s->server, strerror(-fd));
	s->lock_fd = fd;
	return 0;
}

/*
 * SetContext and Start, again and again while another requester's set is in progress.  SetContext is repeated only when
 * the agent has lost it: it restarts the timer that would end an abandoned set.
 */
static int start_set(struct session *s, struct set *set, const struct patience *p, const char **call)
{
	bool have_context = false;
	int r;

	do {
		*call = "SetContext";
		r = have_context ? 0 : client_set_context(&s->client, set->context);
		if (r == 0) {
			have_context = true;
			*call = "StartShadowCopySet";
			r = client_start(&s->client, &set->id);
		}
		if (r == -EREMOTEIO && s->client.code == FSRVP_E_BAD_STATE && have_context && p->until_ms > now_ms())
			have_context = false;
		else if (r != -EREMOTEIO || s->client.code != FSRVP_E_SET_IN_PROGRESS)
			break;
	} while (wait_more(p));
	return r;
}

int step_begin(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];
	const char *call = "SetContext";
	double t = now_ms();
	const struct patience p = {.until_ms = t + s->o->wait_s * 1e3};
	int r;

	set->context = s->o->context | s->o->recovery;
	r = stop_install();
	if (r < 0) {
		out_error("signals", "try again", "%s", strerror(-r));
		return r;
	}
	r = take_lock(s, &p);
	if (r < 0)
		return r;
	r = start_set(s, set, &p, &call);
	if (r < 0) {
		if (!client_alive(&s->client) && strcmp(call, "StartShadowCopySet") == 0)
			out_warning(s->server, "the agent's timer drops it within 180 seconds",
				    "a set may have been started whose id never reached us");
		return finish(s, call, s->server, t, r);
	}
	set->begun = time(NULL);
	enter(s, set, SET_STARTED);
	set_object(set, object);
	return finish(s, "SetContext, StartShadowCopySet", object, t, 0);
}

int step_add(struct session *s, struct set *set)
{
	for (size_t i = 0; i < set->ncopies; i++) {
		struct copy *c = &set->copies[i];
		char object[UNC_TEXT_SIZE];
		double t = now_ms();
		struct guid id;
		int r = client_add(&s->client, &set->id, &c->share, &id);

		if (!r) {
			c->id = id;
			enter(s, set, SET_ADDED);
		}
		copy_object(c, object);
		r = finish(s, "AddToShadowCopySet", object, t, r);
		if (r < 0)
			return r;
	}
	return 0;
}

int step_prepare(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];
	double t = now_ms();

	set_object(set, object);
	int r = client_prepare(&s->client, &set->id, s->o->prepare_s);
	return finish(s, "PrepareShadowCopySet", object, t, r);
}

int step_commit(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];

	set_object(set, object);
	enter(s, set, SET_COMMITTING);
	double t = now_ms();
	int r = client_commit(&s->client, &set->id, s->o->commit_s);
	if (!r)
		enter(s, set, SET_COMMITTED);
	return finish(s, "CommitShadowCopySet", object, t, r);
}

int step_map(struct session *s, struct set *set)
{
	for (size_t i = 0; i < set->ncopies; i++) {
		struct copy *c = &set->copies[i];
		struct client_mapping m;
		char object[UNC_TEXT_SIZE];
		double t = now_ms();
		int r = client_get_mapping(&s->client, &set->id, &c->id, &c->share, &m);

		if (!r) {
			memcpy(c->exposed, m.share, sizeof(c->exposed));
			c->created_filetime = m.created_filetime;
		}
		copy_object(c, object);
		r = finish(s, "GetShareMapping", object, t, r);
		if (r < 0)
			return r;
	}
	step_record(s, set);
	return 0;
}

int step_expose(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];

	set_object(set, object);
	enter(s, set, SET_EXPOSING);
	double t = now_ms();
	int r = client_expose(&s->client, &set->id, s->o->expose_s);
	if (!r)
		enter(s, set, SET_EXPOSED);
	r = finish(s, "ExposeShadowCopySet", object, t, r);
	return r ? r : step_map(s, set);
}

int step_complete(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];
	double t = now_ms();

	set_object(set, object);
	int r = client_recovery_complete(&s->client, &set->id);
	if (!r) {
		enter(s, set, SET_RECOVERED);
		cleanup_fd(&s->lock_fd); /* others may begin now */
		s->lock_fd = -1;
	}
	return finish(s, "RecoveryCompleteShadowCopySet", object, t, r);
}

int step_keepalive(struct session *s, struct set *set)
{
	const struct copy *c = &set->copies[0];
	struct client_mapping m;
	int r = client_alive(&s->client) ? 0 : client_connect(&s->client);

	if (!r)
		r = client_get_mapping(&s->client, &set->id, &c->id, &c->share, &m);
	if (r == -EREMOTEIO && fsrvp_code_is_gone(s->client.code))
		return -ENOENT;
	return r;
}
