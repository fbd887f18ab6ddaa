/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is on the server is not known for sure when this runs: the last call may have been done although its answer was
 * lost.  So the code asks rather than believes:
 *
 *  1. if Expose may have been sent, DeleteShareMapping of every copy;
 *  2. if that left anything, AbortShadowCopySet;
 *  3. if Commit may have been sent, ask for every mapping.  Samba's own agent answers an abort of a committed set
 *     with success and keeps the snapshots: such a set is exposed first and then deleted, the only way it knows.
 *
 * "Not found" is a fine answer in all steps.
 */
#include "agent/vss/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/vss/codes.h"
#include "agent/vss/record.h"
#include "agent/vss/steps.h"

struct sweep {
	struct session *s;
	struct set *set;
	bool missing, again; /* again: a lost answer may have been a success, so nothing counts as missing */
	bool unknown; /* the agent answered with "no such set", or copy */
	const char *failed_call; /* NULL: none */
	char why[RPC_WHY_SIZE + 64];
};

static bool refused_as_gone(const struct sweep *w, int r)
{
	return r == -EREMOTEIO && fsrvp_code_is_gone(w->s->client.code);
}

static bool refused_as_not_exposed(const struct sweep *w, int r)
{
	return r == -EREMOTEIO && fsrvp_code_is_not_exposed(w->s->client.code);
}

/* Remember the last refusal that is not an answer we expect. */
static int note(struct sweep *w, const char *call, int r)
{
	w->failed_call = call;
	snprintf(w->why, sizeof(w->why), "%s", client_why(&w->s->client));
	return r;
}

/* 0: deleted, gone, or not exposed. */
static int delete_copy(struct sweep *w, struct copy *c)
{
	int r = client_delete_mapping(&w->s->client, &w->set->id, &c->id, &c->share);

	if (r == 0) {
		out_step("%-32s //%s/%s", "DeleteShareMapping", c->share.server,
			 c->exposed[0] ? c->exposed : c->share.share);
		c->gone = true;
	} else if (refused_as_gone(w, r)) {
		c->gone = w->unknown = true;
		w->missing |= !w->again;
		r = 0;
	} else if (refused_as_not_exposed(w, r)) {
		r = 0;
	}
	return r ? note(w, "DeleteShareMapping", r) : 0;
}

static int delete_copies(struct sweep *w)
{
	int first = 0;

	for (size_t i = 0; i < w->set->ncopies; i++) {
		if (w->set->copies[i].gone)
			continue;
		int r = delete_copy(w, &w->set->copies[i]);
		if (r < 0 && !client_alive(&w->s->client))
			return r;
		if (r < 0 && !first)
			first = r; /* the others may still go */
	}
	return first;
}

static int abort_set(struct sweep *w)
{
	int r = client_abort(&w->s->client, &w->set->id);

	if (r == 0) {
		out_step("AbortShadowCopySet");
	} else if (refused_as_gone(w, r) || refused_as_not_exposed(w, r)) { /* the survivors are looked for next */
		w->unknown |= refused_as_gone(w, r);
		r = 0;
	}
	return r ? note(w, "AbortShadowCopySet", r) : 0;
}

/* Mark the copies the agent does not know any more.  *committed: it knows one that is not exposed. */
static int look_for_survivors(struct sweep *w, bool *committed)
{
	*committed = false;
	for (size_t i = 0; i < w->set->ncopies; i++) {
		struct copy *c = &w->set->copies[i];
		struct client_mapping m;

		if (c->gone)
			continue;
		int r = client_get_mapping(&w->s->client, &w->set->id, &c->id, &c->share, &m);
		if (refused_as_gone(w, r))
			c->gone = true;
		else if (refused_as_not_exposed(w, r))
			*committed = true;
		else if (r < 0)
			return note(w, "GetShareMapping", r);
	}
	return 0;
}

static int sweep_once(struct sweep *w)
{
	struct set *set = w->set;
	bool committed = false;
	int r = 0;

	w->failed_call = NULL;
	if (set->stage >= SET_EXPOSING)
		r = delete_copies(w);
	if (r < 0 || (set->stage >= SET_EXPOSING && set_all_gone(set)))
		return r;
	r = abort_set(w);
	if (r < 0)
		return r;
	if (set->stage < SET_COMMITTING) {
		for (size_t i = 0; i < set->ncopies; i++)
			set->copies[i].gone = true;
		return 0;
	}
	r = look_for_survivors(w, &committed);
	if (!r && committed) {
		out_step("the agent kept the set after the abort: exposing it to delete it");
		r = client_expose(&w->s->client, &set->id, w->s->o->expose_s);
		if (r < 0)
			return note(w, "ExposeShadowCopySet", r);
	}
	return r || set_all_gone(set) ? r : delete_copies(w);
}

/* Shares named in the command that never came into the set. */
static void drop_unadded(struct set *set)
{
	for (size_t i = 0; i < set->ncopies; i++)
		if (guid_is_zero(&set->copies[i].id))
			set->copies[i].gone = true;
}

/*
 * The connection broke during Commit or Expose, and the agent now says that there is no such set.  An agent that keeps
 * its sets in several processes, as Samba's own does, may be wrong, so the record stays for a later try.
 */
static void keep_in_doubt(struct session *s, struct set *set)
{
	char object[SET_OBJECT_SIZE];

	for (size_t i = 0; i < set->ncopies; i++)
		set->copies[i].gone = guid_is_zero(&set->copies[i].id);
	step_record(s, set);
	set_object(set, object);
	out_warning(object, NULL,
		    "the connection broke while the set was being made and the agent does not know it now, which is final "
		    "for kagefs-fsrvpd but not for Samba's own agent; try `kagefs-vss delete %s` in some minutes, and "
		    "`kagefs-vss list --prune` to forget it", object + 4);
}

static void report_left(const struct sweep *w)
{
	char object[SET_OBJECT_SIZE];

	set_object(w->set, object);
	out_error(object, NULL, "may still be on %s, %s: %s; then run `kagefs-vss delete %s`", w->set->server,
		  w->failed_call ? w->failed_call : "it does not go away", w->failed_call ? w->why : "look into its log",
		  object + 4);
}

int set_delete_copies(struct session *s, struct set *set)
{
	struct sweep w = {.s = s, .set = set};
	int r = delete_copies(&w);

	for (size_t i = 0; i < set->ncopies; i++) {
		const struct copy *c = &set->copies[i];
		char object[UNC_TEXT_SIZE];

		copy_object(c, object);
		if (!c->gone)
			out_error(object, NULL, "not deleted: %s",
				  w.failed_call ? w.why : "the set is not exposed; run `kagefs-vss abort` with its id");
	}
	if (!r && !set_all_gone(set))
		r = -EBUSY;
	return r ? r : w.missing;
}

enum cleanup_result set_cleanup(struct session *s, struct set *set)
{
	struct sweep w = {.s = s, .set = set};
	const bool lost_answer =
		!client_alive(&s->client) && (set->stage == SET_COMMITTING || set->stage == SET_EXPOSING);
	time_t deadline = time(NULL) + s->o->cleanup_s;
	unsigned pause_s = 1;
	int r = 0;

	if (set->stage == SET_NONE || set->stage == SET_GONE)
		return CLEANUP_DONE;
	drop_unadded(set);
	for (;;) {
		if (!client_alive(&s->client)) {
			r = client_connect(&s->client);
			if (r < 0)
				note(&w, "connecting again", r);
		}
		if (client_alive(&s->client)) {
			r = sweep_once(&w);
			if (r == 0 || client_alive(&s->client))
				break;
		}
		/* No connection.  Wrong credentials do not get better by waiting. */
		if (r == -EACCES || r == -EINVAL || time(NULL) + pause_s > deadline)
			break;
		w.again = true;
		sleep(pause_s);
		pause_s = MIN(pause_s * 2, 10u);
	}
	if (r < 0 || !set_all_gone(set)) {
		report_left(&w);
		step_record(s, set);
		return CLEANUP_LEFT;
	}
	if (lost_answer && w.unknown) {
		keep_in_doubt(s, set);
		return CLEANUP_LEFT;
	}
	set->stage = SET_GONE;
	record_remove(&set->id);
	return w.missing ? CLEANUP_MISSING : CLEANUP_DONE;
}
