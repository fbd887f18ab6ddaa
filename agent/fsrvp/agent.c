/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Claiming, dropping, the timers and the clock of the reconciler. */
#include "agent/fsrvp/agent.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/base/msg.h"

#define KEEPER_MS 3600000 /* it is woken by what gives it something to do */

void agent_reconcile_soon(struct agent *a)
{
	pthread_mutex_lock(&a->lock);
	a->reconcile_now = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

/* A file system that hung has done what it was asked: what was given up meanwhile has to be looked after. */
static void fs_answers(void *arg)
{
	agent_reconcile_soon(arg);
}

int agent_init(struct agent *a, const struct agent_config *cfg, const struct samba *samba, struct exposer *exposer,
	       struct backend *backend)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	*a = (struct agent){ .cfg = cfg, .samba = *samba, .exposer = exposer, .backend = backend };
	if (err)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&a->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (err)
		return -err;
	pthread_mutex_init(&a->lock, NULL);
	machine_init(&a->machine, cfg->profile);
	backend_set_answering(backend, fs_answers, a);
	return 0;
}

void agent_release(struct agent *a)
{
	pthread_mutex_lock(&a->lock);
	(void)agent_drop_in_progress_locked(a, "agent stops", AGENT_FS_TIMER_MS);
	pthread_mutex_unlock(&a->lock);
	backend_set_answering(a->backend, NULL, NULL);
	machine_release(&a->machine);
	free(a->owed);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
}

void agent_timer_locked(struct agent *a, enum machine_timer t)
{
	int64_t seconds = t == MACHINE_TIMER_LONG ? FSRVP_TIMER_LONG_S : FSRVP_TIMER_SHORT_S;

	if (a->cfg->sequence_timeout_s)
		seconds = a->cfg->sequence_timeout_s;
	if (t == MACHINE_TIMER_STOP)
		a->sequence_end_ms = 0;
	else if (t != MACHINE_TIMER_KEEP)
		a->sequence_end_ms = patience_now_ms() + seconds * 1000;
	pthread_cond_broadcast(&a->changed);
}

void agent_claim_locked(struct agent *a, struct shadow_set *s)
{
	KAGEFS_ASSERT(!s->busy);
	s->busy = true;
	s->cancel = false;
	if (machine_is_current(&a->machine, s))
		agent_timer_locked(a, MACHINE_TIMER_STOP);
}

void agent_claim_by_keeper_locked(struct agent *a, struct shadow_set *s)
{
	KAGEFS_ASSERT(!s->busy);
	s->busy = s->by_keeper = true;
	s->cancel = false;
}

void agent_unclaim_locked(struct agent *a, struct shadow_set *s)
{
	KAGEFS_ASSERT(s->busy);
	s->busy = s->by_keeper = false;
	pthread_cond_broadcast(&a->changed);
}

struct shadow_set *agent_find_locked(struct agent *a, const struct guid *id)
{
	struct shadow_set *s = machine_find(&a->machine, id);

	while (s && s->by_keeper) {
		pthread_cond_wait(&a->changed, &a->lock);
		s = machine_find(&a->machine, id);
	}
	return s;
}

bool agent_is_cancelled(struct agent *a, struct shadow_set *s)
{
	bool cancel;

	pthread_mutex_lock(&a->lock);
	cancel = s->cancel || a->stopping;
	pthread_mutex_unlock(&a->lock);
	return cancel;
}

static bool is_claim_over(void *arg)
{
	struct agent_claim *claim = arg;

	return agent_is_cancelled(claim->agent, claim->set);
}

struct patience agent_patience(struct agent_claim *claim, int64_t ms)
{
	struct patience p = patience_ms(ms);

	p.is_over = is_claim_over;
	p.arg = claim;
	return p;
}

static bool is_stopping(void *arg)
{
	struct agent *a = arg;
	bool stopping;

	pthread_mutex_lock(&a->lock);
	stopping = a->stopping;
	pthread_mutex_unlock(&a->lock);
	return stopping;
}

struct patience agent_patience_unclaimed(struct agent *a, int64_t ms)
{
	struct patience p = patience_ms(ms);

	p.is_over = is_stopping;
	p.arg = a;
	return p;
}

struct patience agent_fs_patience(const struct patience *p)
{
	struct patience shorter = *p;

	shorter.end_ms = MIN(p->end_ms, patience_now_ms() + AGENT_FS_MS);
	return shorter;
}

struct shadow_set *agent_wait_idle_locked(struct agent *a, const struct guid *id)
{
	struct guid key = *id; /* the set that id may point into can be freed while we wait */
	struct shadow_set *s = machine_find(&a->machine, &key);

	while (s && s->busy) {
		s->cancel = true;
		pthread_cond_wait(&a->changed, &a->lock);
		s = machine_find(&a->machine, &key);
	}
	return s;
}

/* ---- shares of a set ----------------------------------------------------------------------------------------------- */

struct share_list {
	struct exposure x[SET_MAPPINGS_MAX];
	const char *names[SET_MAPPINGS_MAX];
	size_t n;
};

static void share_list_free(struct share_list *l)
{
	for (size_t i = 0; l && i < l->n; i++) {
		free((char *)l->x[i].name);
		free((char *)l->x[i].path);
	}
	free(l);
}

/* with_paths: every copy has its snapshot's name. */
static int share_list_new(struct shadow_set *s, bool with_paths, struct share_list **out)
{
	struct share_list *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	for (unsigned i = 0; i < s->ncopies; i++) {
		struct shadow_copy *c = &s->copies[i];

		for (unsigned j = 0; j < c->nmappings; j++) {
			struct exposure *x = &l->x[l->n++];

			x->base = c->mappings[j].share;
			x->set = s->id;
			x->writable = shadow_set_is_writable(s) && s->status < SET_RECOVERED;
			x->name = shadow_share_name(c, &c->mappings[j]);
			x->path = with_paths ? shadow_share_path(c, &c->mappings[j]) : NULL;
			l->names[l->n - 1] = x->name;
			if (!x->name || (with_paths && !x->path)) {
				share_list_free(l);
				return -ENOMEM;
			}
		}
	}
	*out = l;
	return 0;
}

int agent_withdraw(struct agent *a, const struct patience *p, struct shadow_set *s)
{
	struct share_list *l;
	int err = share_list_new(s, false, &l);

	if (err)
		return err;
	err = exposer_withdraw(a->exposer, p, l->names, l->n);
	share_list_free(l);
	return err;
}

int agent_expose(struct agent *a, const struct patience *p, struct shadow_set *s)
{
	struct share_list *l;
	int err = share_list_new(s, true, &l);

	if (err)
		return err;
	err = exposer_expose(a->exposer, p, l->x, l->n);
	share_list_free(l);
	return err;
}

int agent_restrict(struct agent *a, const struct patience *p, struct shadow_set *s)
{
	struct share_list *l;
	int err = share_list_new(s, false, &l);

	if (err)
		return err;
	err = exposer_restrict(a->exposer, p, l->names, l->n);
	share_list_free(l);
	return err;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------ */

bool agent_owes_locked(const struct agent *a, const struct guid *id)
{
	for (size_t i = 0; i < a->nowed; i++)
		if (guid_equal(&a->owed[i].id, id))
			return true;
	return false;
}

/* Lock released.  Without memory the set stays until the next start, if then. */
static void owe(struct agent *a, const struct shadow_set *s)
{
	struct agent_owed *more;

	pthread_mutex_lock(&a->lock);
	more = a->nowed < MACHINE_SETS_MAX ? realloc(a->owed, (a->nowed + 1) * sizeof(*more)) : NULL;
	if (more) {
		a->owed = more;
		more[a->nowed++] = (struct agent_owed){ s->store, s->id };
	}
	pthread_mutex_unlock(&a->lock);
}

/* Set claimed, lock released. */
static int take_apart(struct agent *a, struct shadow_set *s, const char *text, int64_t fs_ms)
{
	struct patience p = patience_ms(AGENT_UNDO_MS);
	int err = 0;

	if (s->status >= SET_COMMITTED) /* also when an Expose failed half-way */
		err = agent_withdraw(a, &p, s);
	if (err)
		msg(LOG_ERR, "cannot withdraw shares, will be tried again: set=%s error=%s", text, strerror(-err));
	if (!s->announced && s->status < SET_COMMITTED)
		return 0;
	p = patience_ms(fs_ms);
	err = backend_delete(a->backend, &s->store, &p, &s->id);
	if (err == -EBUSY)
		msg(LOG_NOTICE, "set is held by the administrator and stays, without shares: set=%s", text);
	if (!err || err == -EBUSY || err == -ENOENT)
		return 0;
	msg(LOG_ERR, "cannot delete set, will be tried again: set=%s error=%s", text, strerror(-err));
	owe(a, s);
	return err;
}

int agent_drop_locked(struct agent *a, const struct guid *id, const char *why, int64_t fs_ms)
{
	struct shadow_set *s = agent_wait_idle_locked(a, id);
	char text[GUID_TEXT_SIZE];
	int err;

	if (!s)
		return 0;
	guid_format(&s->id, text);
	msg(LOG_NOTICE, "set is deleted: set=%s reason=\"%s\"", text, why);
	agent_claim_locked(a, s);
	pthread_mutex_unlock(&a->lock);
	err = take_apart(a, s, text, fs_ms);
	pthread_mutex_lock(&a->lock);
	agent_unclaim_locked(a, s);
	machine_remove(&a->machine, s);
	return err;
}

bool agent_drop_in_progress_locked(struct agent *a, const char *why, int64_t fs_ms)
{
	struct shadow_set *s;
	bool any = false;

	while ((s = machine_any_in_progress(&a->machine))) {
		(void)agent_drop_locked(a, &s->id, why, fs_ms); /* owed */
		any = true;
	}
	return any;
}

/* ---- keeper -------------------------------------------------------------------------------------------------------- */

static struct shadow_set *find_expired(struct agent *a, int64_t now)
{
	struct shadow_set *s = a->machine.sets;

	while (s && !(s->expires_ms && s->expires_ms <= now && !s->busy && !shadow_set_is_persistent(s)))
		s = s->next;
	return s;
}

static int64_t next_expiry(struct agent *a, int64_t next)
{
	for (struct shadow_set *s = a->machine.sets; s; s = s->next)
		if (s->expires_ms && !s->busy && !shadow_set_is_persistent(s))
			next = MIN(next, s->expires_ms);
	return next;
}

static void expire_sequence_locked(struct agent *a)
{
	struct shadow_set *s;

	a->sequence_end_ms = 0;
	/* While a set is being dropped the lock is free: a new sequence may have begun, which its timer tells. */
	while (!a->sequence_end_ms && (s = machine_any_in_progress(&a->machine)))
		(void)agent_drop_locked(a, &s->id, "message sequence timer", AGENT_FS_TIMER_MS); /* owed */
	if (!a->sequence_end_ms)
		machine_expired(&a->machine);
}

static void wait_until_locked(struct agent *a, int64_t when_ms)
{
	struct timespec ts = { .tv_sec = when_ms / 1000, .tv_nsec = when_ms % 1000 * 1000000 };

	(void)pthread_cond_timedwait(&a->changed, &a->lock, &ts); /* a timeout is what we wait for */
}

void *agent_keeper(void *agent)
{
	struct agent *a = agent;

	pthread_mutex_lock(&a->lock);
	while (!a->stopping) {
		int64_t now = patience_now_ms(), next = next_expiry(a, now + KEEPER_MS);
		struct shadow_set *s = find_expired(a, now);

		if (a->sequence_end_ms && a->sequence_end_ms <= now)
			expire_sequence_locked(a);
		else if (s)
			(void)agent_drop_locked(a, &s->id, "not persistent, and not used any more", AGENT_FS_TIMER_MS); /* owed */
		else
			wait_until_locked(a, a->sequence_end_ms ? MIN(next, a->sequence_end_ms) : next);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

void *agent_reconciler(void *agent)
{
	struct agent *a = agent;
	int64_t next_ms = patience_now_ms() + (int64_t)a->cfg->reconcile_s * 1000;

	pthread_mutex_lock(&a->lock);
	while (!a->stopping) {
		if (!a->reconcile_now && patience_now_ms() < next_ms) {
			wait_until_locked(a, next_ms);
			continue;
		}
		a->reconcile_now = false;
		pthread_mutex_unlock(&a->lock);
		agent_reconcile(a);
		pthread_mutex_lock(&a->lock);
		next_ms = patience_now_ms() + (int64_t)a->cfg->reconcile_s * 1000;
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

void agent_stop(struct agent *a)
{
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}
