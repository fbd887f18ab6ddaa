/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls that lead to a committed set: SetContext, Start, Add, Prepare, Commit. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/fsrvp/errmap.h"
#include "agent/fsrvp/ops.h"
#include "agent/fsrvp/record.h"
#include "fs/base/msg.h"

/* How long after its own deadline the file system may still be asked whether the commit is revoked. */
#define REVOKE_GRACE_MS 5000
#define FORGET_MS 3000 /* more than one wait in the file system: a call that was given up may have to end first */
#define NOBODY UINT32_MAX

/* [MS-FSRVP] 3.1.4.2 */
uint32_t ops_set_context(const struct ops_call *c, uint32_t context)
{
	struct agent *a = c->agent;
	bool dropped = false;
	uint32_t result;

	pthread_mutex_lock(&a->lock);
	for (;;) { /* while a set is dropped the lock is free, so the check has to be made anew */
		result = machine_check_context(&a->machine, context, c->token->client_addr);
		if (result || !agent_drop_in_progress_locked(a, "its client set the context anew", AGENT_FS_MS))
			break;
		dropped = true;
	}
	if (!result) {
		machine_set_context(&a->machine, context, c->token->client_addr, dropped);
		agent_timer_locked(a, machine_timer_after(FSRVP_SET_CONTEXT, result));
	}
	pthread_mutex_unlock(&a->lock);
	return result;
}

static int name_creator(const struct npa_token *t, struct shadow_set *s)
{
	if (asprintf(&s->creator, "%s\\%s", t->domain ? t->domain : "", t->account ? t->account : "") < 0) {
		s->creator = NULL;
		return -ENOMEM;
	}
	s->writer_uid = t->has_unix && t->uid < NOBODY ? (uint32_t)t->uid : NOBODY;
	return 0;
}

/* [MS-FSRVP] 3.1.4.3 */
uint32_t ops_start(const struct ops_call *c, const struct guid *client_set, struct guid *set)
{
	struct agent *a = c->agent;
	struct shadow_set *s = NULL;
	uint32_t result;
	int err;

	memset(set, 0, sizeof(*set));
	pthread_mutex_lock(&a->lock);
	result = machine_check_start(&a->machine, client_set);
	if (!result) {
		struct guid id;

		err = guid_generate(&id);
		if (!err)
			err = shadow_set_new(&id, a->machine.context, &s);
		if (!err)
			err = name_creator(c->token, s);
		if (!err)
			err = machine_add_set(&a->machine, s);
		if (err) {
			shadow_set_free(s);
		} else {
			machine_started(&a->machine, s);
			*set = id;
		}
		result = errmap_result(err);
	}
	if (!result)
		agent_timer_locked(a, machine_timer_after(FSRVP_START, result));
	pthread_mutex_unlock(&a->lock);
	return result;
}

/* With "force user" everybody writes as one account: the file system must let that one write. */
static void take_force_user(struct shadow_set *s, const char *name)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (name && *name && getpwnam_r(name, &pw, buf, sizeof(buf), &found) == 0 && found)
		s->writer_uid = found->pw_uid;
}

/* Copy of the share's volume, new or the one that another share made already, and the mapping.  Undone on failure. */
static int add_share(struct shadow_set *s, const struct share_place *p, struct guid *id)
{
	struct shadow_copy *c = shadow_set_volume(s, p->place.volume);
	uint8_t record[RECORD_BYTES_MAX];
	bool is_new = !c;
	unsigned nnested;
	size_t len;
	int err = 0;

	if (is_new) {
		err = guid_generate(id);
		if (!err)
			err = shadow_set_add_copy(s, id, p->place.volume, p->place.root, &c);
		if (err)
			return err;
	}
	nnested = c->nnested;
	err = shadow_set_add_nested(s, c, p->place.nested, p->place.nnested);
	if (!err)
		err = shadow_set_add_mapping(s, c, p->share, p->place.rel);
	if (!err) {
		err = record_encode(s, SET_RECOVERED, record, &len);
		if (err)
			shadow_set_remove_mapping(s, c, &c->mappings[c->nmappings - 1]);
	}
	if (err)
		c->nnested = nnested;
	if (err && is_new)
		shadow_set_remove_copy(s, c);
	if (!err)
		*id = c->id;
	return err;
}

static uint32_t add_locked(struct shadow_set *s, const struct share_place *p, struct guid *copy)
{
	int err;

	if (s->ncopies && !guid_equal(&s->store, &p->place.store)) {
		msg(LOG_NOTICE, "share lies in another store than the set: share=%s", p->share);
		return FSRVP_E_NOT_SUPPORTED;
	}
	if (shadow_set_has_share(s, p->share))
		return FSRVP_E_ALREADY_EXISTS;
	err = add_share(s, p, copy);
	if (err)
		return errmap_result(err == -ENOSPC ? -EMSGSIZE : err);
	s->store = p->place.store;
	s->prepared = false; /* the file system has not heard of this volume yet */
	if (!s->created_ns) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		s->created_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	}
	take_force_user(s, p->force_user);
	machine_added(s);
	return FSRVP_OK;
}

/* [MS-FSRVP] 3.1.4.4 */
uint32_t ops_add(const struct ops_call *c, const struct guid *set, const char *unc, struct guid *copy)
{
	struct agent *a = c->agent;
	struct share_place p;
	struct shadow_set *s;
	uint32_t result;
	int err = share_find(a, unc, &p);

	memset(copy, 0, sizeof(*copy));
	if (err)
		return share_result(a, err);
	pthread_mutex_lock(&a->lock);
	s = agent_find_locked(a, set);
	result = machine_check_set(&a->machine, FSRVP_ADD, s);
	if (s && s->busy)
		result = FSRVP_E_BAD_STATE;
	if (!result)
		result = add_locked(s, &p, copy);
	if (result)
		memset(copy, 0, sizeof(*copy));
	if (s && !s->busy && machine_is_current(&a->machine, s))
		agent_timer_locked(a, machine_timer_after(FSRVP_ADD, result));
	pthread_mutex_unlock(&a->lock);
	share_place_release(&p);
	return result;
}

/* The request of a whole set; record is filled and must live as long as r. */
static int make_request(struct shadow_set *s, struct backend_request *r, uint8_t record[RECORD_BYTES_MAX])
{
	int err = record_encode(s, SET_COMMITTED, record, &r->record_len);

	r->id = s->id;
	r->writable = shadow_set_is_writable(s);
	r->writer_uid = s->writer_uid;
	r->nvolumes = shadow_set_volumes(s, r->volumes, ARRAY_SIZE(r->volumes));
	KAGEFS_ASSERT(r->nvolumes <= ARRAY_SIZE(r->volumes)); /* shadow_set_add_nested */
	r->record = record;
	return err;
}

static int prepare_claimed(struct agent *a, struct shadow_set *s, int64_t end_ms)
{
	struct agent_claim claim = { a, s };
	struct patience p = agent_patience(&claim, end_ms - patience_now_ms());
	uint8_t record[RECORD_BYTES_MAX];
	struct backend_request r;
	int err = make_request(s, &r, record);

	while (!err) {
		err = backend_prepare(a->backend, &s->store, &p, &r);
		if (err == 0 || err == -EINPROGRESS || err == -ETIMEDOUT || err == -ECANCELED)
			s->announced = true;
		if (err != -EINPROGRESS)
			break;
		err = patience_check(&p);
	}
	s->prepared = !err;
	return err;
}

/* [MS-FSRVP] 3.1.4.13.  What is flushed here need not be flushed while writers are frozen. */
uint32_t ops_prepare(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms)
{
	int64_t end_ms = patience_now_ms() + MIN(timeout_ms, AGENT_CALL_MS_MAX);
	struct shadow_set *s;
	uint32_t result = ops_begin(c, FSRVP_PREPARE, set, &s);

	if (result)
		return result;
	result = errmap_result(prepare_claimed(c->agent, s, end_ms));
	pthread_mutex_lock(&c->agent->lock);
	return ops_end_locked(c, FSRVP_PREPARE, s, result);
}

/* Make sure that nothing of the set is left in the file system.  While it is announced but not prepared, and nobody works on
 * it, the reconciler tries too. */
static void forget_announced(struct agent *a, struct shadow_set *s)
{
	struct patience p = patience_ms(FORGET_MS);
	int err = backend_delete(a->backend, &s->store, &p, &s->id);

	if (err && err != -ENOENT)
		msg(LOG_ERR, "cannot delete set, will be tried again: error=%s", strerror(-err));
	else
		s->announced = false;
	s->prepared = false;
}

/* From the first ioctl to the durable end, or to the certainty that nothing is left. */
static int commit_request(struct agent *a, struct shadow_set *s, struct backend_request *r, int64_t end_ms,
			  struct backend_set *out, char *name)
{
	struct agent_claim claim = { a, s };
	unsigned deadline_ms = (unsigned)MAX(end_ms - patience_now_ms(), 1);
	struct patience p = agent_patience(&claim, end_ms - patience_now_ms());
	int err;

	s->announced = true;
	for (;;) {
		err = backend_commit(a->backend, &s->store, &p, r, deadline_ms, out, name);
		if (err != -EINPROGRESS)
			return err == 0 && patience_now_ms() > end_ms ? -ETIMEDOUT : err; /* it hung: it began to count late */
		if (agent_is_cancelled(a, s))
			return -ECANCELED;
		if (patience_now_ms() >= end_ms + REVOKE_GRACE_MS)
			return -ETIME;
		r->nvolumes = 0;
		r->record_len = 0;
	}
}

static int commit_claimed(struct agent *a, struct shadow_set *s, int64_t end_ms, struct backend_set *out, char *name)
{
	uint8_t record[RECORD_BYTES_MAX];
	struct backend_request r;
	bool was_prepared = s->prepared;
	int err = make_request(s, &r, record);

	if (err)
		return err;
	if (was_prepared)
		r.nvolumes = 0;
	else if (s->announced)
		forget_announced(a, s);
	err = commit_request(a, s, &r, end_ms, out, name);
	if (err == -ENOENT && was_prepared) { /* the file system was restarted since Prepare */
		err = make_request(s, &r, record);
		if (!err)
			err = commit_request(a, s, &r, end_ms, out, name);
	}
	/* -ETIME: revoked, and a prepared set is prepared again.  All else: be sure. */
	if (err && !(err == -ETIME && was_prepared))
		forget_announced(a, s);
	return err == -ETIMEDOUT ? -ETIME : err;
}

static int take_snapshot_names(struct shadow_set *s, const char *name)
{
	for (unsigned i = 0; i < s->ncopies; i++) {
		free(s->copies[i].snapshot);
		s->copies[i].snapshot = strdup(name);
		if (!s->copies[i].snapshot)
			return -ENOMEM;
	}
	return 0;
}

static void log_commit(const struct shadow_set *s, int err, int64_t took_ms)
{
	char id[GUID_TEXT_SIZE];

	guid_format(&s->id, id);
	if (err)
		msg(LOG_ERR, "commit failed, nothing of it is left: set=%s volumes=%u shares=%u took_ms=%" PRId64 " error=%s", id,
		    s->ncopies, s->nmappings, took_ms, strerror(-err));
	else
		msg(LOG_INFO, "committed: set=%s creator=%s volumes=%u shares=%u took_ms=%" PRId64, id, s->creator, s->ncopies,
		    s->nmappings, took_ms);
}

/* [MS-FSRVP] 3.1.4.5.  Writers are frozen meanwhile: the limit is ours, shorter than the client's. */
uint32_t ops_commit(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms)
{
	struct agent *a = c->agent;
	int64_t begin_ms = patience_now_ms(), end_ms = begin_ms + MIN(timeout_ms, a->cfg->commit_limit_ms);
	struct backend_set *out = calloc(1, sizeof(*out));
	char name[BACKEND_NAME_SIZE] = "";
	struct shadow_set *s;
	uint32_t result = out ? ops_begin(c, FSRVP_COMMIT, set, &s) : FSRVP_E_OUTOFMEMORY;
	int err;

	if (result) {
		free(out);
		return result;
	}
	pthread_mutex_lock(&a->lock);
	machine_commit_begun(s);
	pthread_mutex_unlock(&a->lock);

	err = commit_claimed(a, s, end_ms, out, name);
	if (!err) {
		s->created_ns = out->committed_ns;
		err = take_snapshot_names(s, name);
		if (err)
			forget_announced(a, s);
	}
	if (err == -ETIME && timeout_ms < a->cfg->commit_limit_ms)
		err = -ETIMEDOUT;
	log_commit(s, err, patience_now_ms() - begin_ms);
	free(out);

	pthread_mutex_lock(&a->lock);
	if (err)
		machine_commit_failed(s);
	else
		machine_committed(s);
	return ops_end_locked(c, FSRVP_COMMIT, s, errmap_result(err));
}
