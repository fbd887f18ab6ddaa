/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Three views of one truth: sets in the file system (with their records), sets in memory, shares in Samba.  After a crash
 * of any of the three programs, and once in a while, each is compared with the others:
 *
 *   in the file system, not in memory   persistent or held, and exposed: adopted.  Everything else: deleted, its client's
 *                                       sequence cannot go on.  A record that cannot be read is left alone and reported.
 *   in memory, not in the file system   shares withdrawn, forgotten.
 *   a copy of a set is gone             its shares are withdrawn; with the last one the set goes.
 *   a copy that no mapping wants        deleted, unless the set is held.
 *   forgotten in memory, but owed        deleted.
 *   not committed, but perhaps in the file system   deleted (a Commit or Prepare that was given up).
 *   share without set                   withdrawn.
 *   mapping without share               exposed again.
 */
#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/agent.h"
#include "agent/fsrvp/record.h"
#include "agent/rpc/utf16.h"
#include "fs/base/msg.h"

#define SILENT_MAX 64

struct pass {
	struct agent *agent;
	struct backend_set found; /* scratch: the set being looked at, as the file system has it */
	struct guid silent[SILENT_MAX]; /* stores that did not answer in this pass: they are not waited for again */
	size_t nsilent;
};

/* How long the store is waited for. */
static struct patience fs_patience(struct pass *p, const struct guid *store)
{
	for (size_t i = 0; i < p->nsilent; i++)
		if (guid_equal(&p->silent[i], store))
			return patience_ms(0);
	return agent_patience_unclaimed(p->agent, AGENT_FS_TIMER_MS);
}

static int noted(struct pass *p, const struct guid *store, int err)
{
	if (err == -ETIMEDOUT && p->nsilent < SILENT_MAX)
		p->silent[p->nsilent++] = *store;
	return err;
}

static int delete_set(struct pass *p, const struct guid *store, const struct guid *id)
{
	struct patience fs = fs_patience(p, store);

	return noted(p, store, backend_delete(p->agent->backend, store, &fs, id));
}

static int get_set(struct pass *p, const struct guid *store, const struct guid *id)
{
	struct patience fs = fs_patience(p, store);

	return noted(p, store, backend_get(p->agent->backend, store, &fs, id, &p->found));
}

static int snapshot_name(struct pass *p, const struct guid *store, uint64_t snapshot, char name[BACKEND_NAME_SIZE])
{
	struct patience fs = fs_patience(p, store);

	return noted(p, store, backend_snapshot_name(p->agent->backend, store, &fs, snapshot, name));
}

static void log_store_error(const char *what, const struct guid *id, int err)
{
	char text[GUID_TEXT_SIZE];

	guid_format(id, text);
	msg(LOG_WARNING, "%s: id=%s error=%s", what, text, strerror(-err));
}

static uint64_t snapshot_of(const struct backend_set *found, uint64_t volume)
{
	for (unsigned i = 0; i < found->nmembers; i++)
		if (found->members[i].volume == volume)
			return found->members[i].snapshot;
	return 0;
}

/* ---- sets the agent does not know ---------------------------------------------------------------------------------- */

static void delete_stray(struct pass *p, const struct guid *store, const char *why)
{
	char text[GUID_TEXT_SIZE];
	int err = delete_set(p, store, &p->found.id);

	guid_format(&p->found.id, text);
	if (err && err != -ENOENT)
		log_store_error("cannot delete a set that nobody uses", &p->found.id, err);
	else
		msg(LOG_NOTICE, "set is deleted: set=%s reason=\"%s\"", text, why);
}

/* Names of the snapshots.  Copies that are gone are taken out; -EAGAIN: cannot be told now. */
static int resolve_copies(struct pass *p, struct shadow_set *s)
{
	char name[BACKEND_NAME_SIZE];

	for (unsigned i = s->ncopies; i-- > 0;) {
		struct shadow_copy *c = &s->copies[i];
		uint64_t snapshot = snapshot_of(&p->found, c->volume);
		int err = snapshot ? snapshot_name(p, &s->store, snapshot, name) : -ENOENT;

		if (err == -ENOENT) {
			shadow_set_remove_copy(s, c);
			continue;
		}
		if (err)
			return -EAGAIN;
		free(c->snapshot);
		c->snapshot = strdup(name);
		if (!c->snapshot)
			return -ENOMEM;
	}
	return 0;
}

static int adopt(struct pass *p, const struct guid *store, struct shadow_set **set)
{
	struct shadow_set *s = *set;
	char text[GUID_TEXT_SIZE];
	int err;

	s->id = p->found.id;
	s->store = *store;
	s->keep = p->found.keep;
	s->announced = true;
	if (p->found.state == BACKEND_SEALED)
		s->status = SET_RECOVERED;
	err = resolve_copies(p, s);
	if (err)
		return err;
	if (s->nmappings == 0) {
		if (!s->keep)
			delete_stray(p, store, "all of its copies are gone");
		return 0;
	}
	guid_format(&s->id, text);
	pthread_mutex_lock(&p->agent->lock);
	err = machine_add_set(&p->agent->machine, s);
	pthread_mutex_unlock(&p->agent->lock);
	if (err)
		return err;
	*set = NULL;
	msg(LOG_NOTICE, "set is taken over: set=%s", text);
	return 0;
}

static void judge_unknown(struct pass *p, const struct guid *store)
{
	struct shadow_set *s = NULL;
	int err;

	if (p->found.state == BACKEND_VOLATILE) {
		delete_stray(p, store, "was never committed");
		return;
	}
	err = record_decode(p->found.record, p->found.record_len, &s);
	if (err) {
		log_store_error("cannot read the record of a set, it is left alone", &p->found.id, err);
		return;
	}
	s->keep = p->found.keep;
	if (s->status < SET_EXPOSED && !s->keep)
		delete_stray(p, store, "was never exposed");
	else if (!shadow_set_is_persistent(s))
		delete_stray(p, store, "is not persistent and its agent is gone");
	else if (s->status >= SET_EXPOSED)
		err = adopt(p, store, &s);
	if (err)
		log_store_error("cannot take over a set, will be tried again", &p->found.id, err);
	shadow_set_free(s);
}

/* ---- sets the agent knows ------------------------------------------------------------------------------------------ */

/* Copies that were deleted behind our back.  True: one is gone. */
static bool copy_is_gone(struct pass *p, const struct shadow_set *s)
{
	char name[BACKEND_NAME_SIZE];

	for (unsigned i = 0; i < s->ncopies; i++) {
		uint64_t snapshot = snapshot_of(&p->found, s->copies[i].volume);

		if (!snapshot || snapshot_name(p, &s->store, snapshot, name) == -ENOENT)
			return true;
	}
	return false;
}

/* The snapshots of a set that no mapping wants any more: a DeleteShareMapping did not get to its end. */
static void delete_unwanted_copies(struct pass *p, struct shadow_set *s)
{
	for (unsigned i = 0; i < p->found.nmembers && !p->found.keep; i++) {
		const struct backend_member *m = &p->found.members[i];
		char name[BACKEND_NAME_SIZE];

		if (shadow_set_wants(s, m->volume) || snapshot_name(p, &s->store, m->snapshot, name))
			continue;
		struct patience fs = fs_patience(p, &s->store);
		int err = noted(p, &s->store, backend_delete_snapshot(p->agent->backend, &s->store, &fs, m->snapshot));

		if (err && err != -ENOENT)
			log_store_error("cannot delete a copy without shares", &s->id, err);
	}
}

/* An exposed set that was not looked at yet, claimed; NULL: no more. */
static struct shadow_set *claim_next(struct agent *a, const struct guid *seen, size_t nseen)
{
	struct shadow_set *s;

	pthread_mutex_lock(&a->lock);
	for (s = a->machine.sets; s; s = s->next) {
		size_t i = 0;

		while (i < nseen && !guid_equal(&seen[i], &s->id))
			i++;
		if (i == nseen && !s->busy && s->status >= SET_EXPOSED)
			break;
	}
	if (s)
		agent_claim_by_keeper_locked(a, s);
	pthread_mutex_unlock(&a->lock);
	return s;
}

static void unclaim(struct agent *a, struct shadow_set *s)
{
	pthread_mutex_lock(&a->lock);
	agent_unclaim_locked(a, s);
	pthread_mutex_unlock(&a->lock);
}

/* s is claimed.  True: it has to go. */
static bool check_known(struct pass *p, struct shadow_set *s)
{
	int err = get_set(p, &s->store, &s->id);

	if (err == -ENOENT)
		return true;
	if (err) { /* not mounted, or it does not answer: nothing can be told */
		log_store_error("cannot ask for a set", &s->id, err);
		return false;
	}
	s->keep = p->found.keep;
	if (copy_is_gone(p, s)) {
		struct patience patience = patience_ms(AGENT_UNDO_MS);
		int withdrawn = agent_withdraw(p->agent, &patience, s);

		if (withdrawn) {
			log_store_error("cannot withdraw shares", &s->id, withdrawn);
			return false;
		}
		if (resolve_copies(p, s) == 0 && s->nmappings == 0)
			return true;
	}
	delete_unwanted_copies(p, s);
	return false;
}

static void check_known_sets(struct pass *p)
{
	struct agent *a = p->agent;
	CLEANUP_FREE struct guid *seen = NULL;
	struct shadow_set *s;
	size_t nseen = 0;

	while ((s = claim_next(a, seen, nseen))) {
		struct guid *more = realloc(seen, (nseen + 1) * sizeof(*seen));
		struct guid id = s->id;
		bool go = more && check_known(p, s);

		unclaim(a, s);
		if (!more)
			return;
		seen = more;
		seen[nseen++] = id;
		if (go) {
			pthread_mutex_lock(&a->lock);
			(void)agent_drop_locked(a, &id, "it is gone from the file system", AGENT_FS_TIMER_MS); /* owed */
			pthread_mutex_unlock(&a->lock);
		}
	}
}

/* ---- shares -------------------------------------------------------------------------------------------------------- */

static bool set_has_share_named(struct shadow_set *s, const char *name)
{
	for (unsigned i = 0; i < s->ncopies; i++) {
		for (unsigned j = 0; j < s->copies[i].nmappings; j++) {
			CLEANUP_FREE char *mine = shadow_share_name(&s->copies[i], &s->copies[i].mappings[j]);

			if (!mine || utf8_casecmp(mine, name) == 0) /* no memory: rather keep a share too long */
				return true;
		}
	}
	return false;
}

/* Anybody's share, or about to be. */
static bool is_wanted_locked(struct agent *a, const char *name)
{
	for (struct shadow_set *s = a->machine.sets; s; s = s->next)
		if (s->status >= SET_COMMITTED && set_has_share_named(s, name))
			return true;
	return false;
}

static void withdraw_strays(struct agent *a, const struct conf *shares)
{
	for (size_t i = 0; i < shares->nsections; i++) {
		const char *name = shares->sections[i].name;
		struct patience p;
		bool wanted;
		int err;

		pthread_mutex_lock(&a->lock);
		wanted = is_wanted_locked(a, name);
		pthread_mutex_unlock(&a->lock);
		if (wanted)
			continue;
		p = patience_ms(AGENT_UNDO_MS);
		err = exposer_withdraw(a->exposer, &p, &name, 1);
		if (err)
			msg(LOG_ERR, "cannot withdraw a share that has no set: share=%s error=%s", name, strerror(-err));
		else
			msg(LOG_NOTICE, "withdrew a share that had no set: share=%s", name);
	}
}

static bool lacks_a_share(struct shadow_set *s, const struct conf *shares)
{
	for (unsigned i = 0; i < s->ncopies; i++) {
		for (unsigned j = 0; j < s->copies[i].nmappings; j++) {
			CLEANUP_FREE char *name = shadow_share_name(&s->copies[i], &s->copies[i].mappings[j]);

			if (name && !conf_find(shares, name))
				return true;
		}
	}
	return false;
}

static struct shadow_set *claim_lacking(struct agent *a, const struct conf *shares, const struct guid *after)
{
	bool passed = guid_is_zero(after);
	struct shadow_set *s;

	pthread_mutex_lock(&a->lock);
	for (s = a->machine.sets; s; s = s->next) {
		if (passed && !s->busy && s->status >= SET_EXPOSED && lacks_a_share(s, shares))
			break;
		passed = passed || guid_equal(&s->id, after);
	}
	if (s)
		agent_claim_by_keeper_locked(a, s);
	pthread_mutex_unlock(&a->lock);
	return s;
}

static void expose_lacking(struct agent *a, const struct conf *shares)
{
	struct guid after = { { 0 } };
	struct shadow_set *s;

	while ((s = claim_lacking(a, shares, &after))) {
		struct patience p = patience_ms(AGENT_UNDO_MS);
		int err = agent_expose(a, &p, s);

		if (err)
			log_store_error("cannot expose a set again, will be tried again", &s->id, err);
		else
			msg(LOG_NOTICE, "exposed the shares of a set again: shares=%u", s->nmappings);
		after = s->id;
		unclaim(a, s);
	}
}

static void reconcile_shares(struct agent *a)
{
	struct conf shares = { 0, NULL };
	struct patience p = patience_ms(AGENT_UNDO_MS);
	int err = exposer_list(a->exposer, &p, &shares);

	if (err) {
		msg(LOG_ERR, "cannot list exposed shares: error=%s", strerror(-err));
		return;
	}
	withdraw_strays(a, &shares);
	expose_lacking(a, &shares);
	conf_release(&shares);
}

/* ---- what is owed -------------------------------------------------------------------------------------------------- */

static bool next_owed(struct agent *a, size_t i, struct agent_owed *out)
{
	bool any;

	pthread_mutex_lock(&a->lock);
	any = i < a->nowed;
	if (any)
		*out = a->owed[i];
	pthread_mutex_unlock(&a->lock);
	return any;
}

/* Others only append to the list. */
static void delete_owed(struct pass *p)
{
	struct agent *a = p->agent;
	char text[GUID_TEXT_SIZE];
	struct agent_owed o;

	for (size_t i = 0; next_owed(a, i, &o);) {
		int err = delete_set(p, &o.store, &o.id);

		if (err && err != -ENOENT && err != -EBUSY) {
			log_store_error("cannot delete a set that was given up, will be tried again", &o.id, err);
			i++;
			continue;
		}
		guid_format(&o.id, text);
		msg(LOG_NOTICE, "deleted a set that was given up: set=%s", text);
		pthread_mutex_lock(&a->lock);
		memmove(&a->owed[i], &a->owed[i + 1], (--a->nowed - i) * sizeof(*a->owed));
		pthread_mutex_unlock(&a->lock);
	}
}

/* A set that is not committed, and that the file system has been told of in calls whose end nobody saw. */
static struct shadow_set *claim_uncertain(struct agent *a, const struct guid *after)
{
	bool passed = guid_is_zero(after);
	struct shadow_set *s;

	pthread_mutex_lock(&a->lock);
	for (s = a->machine.sets; s; s = s->next) {
		if (passed && !s->busy && s->status == SET_ADDED && s->announced && !s->prepared)
			break;
		passed = passed || guid_equal(&s->id, after);
	}
	if (s)
		agent_claim_by_keeper_locked(a, s);
	pthread_mutex_unlock(&a->lock);
	return s;
}

static void delete_uncertain(struct pass *p)
{
	struct guid after = { { 0 } };
	struct shadow_set *s;

	while ((s = claim_uncertain(p->agent, &after))) {
		int err = delete_set(p, &s->store, &s->id);

		if (!err || err == -ENOENT)
			s->announced = false;
		after = s->id;
		unclaim(p->agent, s);
	}
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

static void reconcile_store(struct pass *p, const struct guid *store)
{
	struct agent *a = p->agent;
	CLEANUP_FREE struct guid *ids = NULL;
	size_t n = 0;
	struct patience fs = fs_patience(p, store);
	int err = noted(p, store, backend_list(a->backend, store, &fs, &ids, &n));

	if (err) {
		log_store_error("cannot list the sets of a store", store, err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		bool known;

		pthread_mutex_lock(&a->lock);
		known = machine_find(&a->machine, &ids[i]) != NULL || agent_owes_locked(a, &ids[i]);
		pthread_mutex_unlock(&a->lock);
		if (known)
			continue;
		err = get_set(p, store, &ids[i]);
		if (err == 0)
			judge_unknown(p, store);
		else if (err != -ENOENT)
			log_store_error("cannot ask for a set", &ids[i], err);
	}
}

void agent_reconcile(struct agent *a)
{
	struct pass *p = calloc(1, sizeof(*p));
	CLEANUP_FREE struct guid *stores = NULL;
	size_t n = 0;
	struct patience fs = agent_patience_unclaimed(a, AGENT_UNDO_MS);
	int err = p ? backend_stores(a->backend, &fs, &stores, &n) : -ENOMEM;

	if (err) {
		msg(LOG_ERR, "cannot look for stores: error=%s", strerror(-err));
	} else {
		p->agent = a;
		delete_owed(p);
		delete_uncertain(p);
		for (size_t i = 0; i < n; i++)
			reconcile_store(p, &stores[i]);
		check_known_sets(p);
		reconcile_shares(a);
	}
	free(p);
}
