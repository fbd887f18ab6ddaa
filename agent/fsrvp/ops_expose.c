/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls on a committed set: Expose, RecoveryComplete, Abort, DeleteShareMapping. */
#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/errmap.h"
#include "agent/fsrvp/ops.h"
#include "agent/fsrvp/record.h"
#include "fs/base/msg.h"

static int store_record(struct agent *a, const struct patience *p, struct shadow_set *s, enum set_status status)
{
	struct patience fs = agent_fs_patience(p);
	uint8_t record[RECORD_BYTES_MAX];
	size_t len;
	int err = record_encode(s, status, record, &len);

	return err ? err : backend_update(a->backend, &s->store, &fs, &s->id, record, len);
}

static void log_set(int level, const char *what, const struct shadow_set *s, int err)
{
	char id[GUID_TEXT_SIZE];

	guid_format(&s->id, id);
	if (err)
		msg(level, "%s: set=%s shares=%u error=%s", what, id, s->nmappings, strerror(-err));
	else
		msg(level, "%s: set=%s shares=%u", what, id, s->nmappings);
}

/* Shares first, record after: a crash in between leaves shares without an exposed set, which the reconciler takes away. */
static int expose_claimed(struct agent *a, struct shadow_set *s, uint32_t timeout_ms)
{
	struct agent_claim claim = { a, s };
	struct patience p = agent_patience(&claim, MIN(timeout_ms, AGENT_CALL_MS_MAX));
	int err = agent_expose(a, &p, s);

	if (!err)
		err = patience_check(&p);
	if (!err)
		err = store_record(a, &p, s, SET_EXPOSED);
	if (err) {
		struct patience undo_patience = patience_ms(AGENT_UNDO_MS);
		int undo = agent_withdraw(a, &undo_patience, s);

		if (undo)
			log_set(LOG_ERR, "cannot withdraw shares, will be tried again", s, undo);
	}
	return err;
}

/* [MS-FSRVP] 3.1.4.6 */
uint32_t ops_expose(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms)
{
	struct agent *a = c->agent;
	struct shadow_set *s;
	uint32_t result = ops_begin(c, FSRVP_EXPOSE, set, &s);
	int err;

	if (result)
		return result;
	err = expose_claimed(a, s, timeout_ms);
	log_set(err ? LOG_ERR : LOG_INFO, err ? "expose failed" : "exposed", s, err);
	pthread_mutex_lock(&a->lock);
	if (!err) {
		machine_exposed(&a->machine, s);
		if (a->cfg->exposed_timeout_s)
			s->expires_ms = patience_now_ms() + (int64_t)a->cfg->exposed_timeout_s * 1000;
	}
	return ops_end_locked(c, FSRVP_EXPOSE, s, errmap_result(err));
}

static int seal_claimed(struct agent *a, const struct patience *p, struct shadow_set *s)
{
	uint8_t record[RECORD_BYTES_MAX];
	size_t len;
	int err = record_encode(s, SET_RECOVERED, record, &len);

	if (err)
		return err;
	for (;;) {
		struct patience fs = agent_fs_patience(p);

		err = backend_seal(a->backend, &s->store, &fs, &s->id, record, len);
		if (err != -EINPROGRESS)
			return err;
		err = patience_check(p);
		if (err)
			return err;
	}
}

/* [MS-FSRVP] 3.1.4.7.  The file system seals; that the share says read-only too is for politeness to clients. */
uint32_t ops_recovery_complete(const struct ops_call *c, const struct guid *set)
{
	struct agent *a = c->agent;
	struct shadow_set *s;
	uint32_t result = ops_begin(c, FSRVP_RECOVERY_COMPLETE, set, &s);
	struct agent_claim claim = { a, s };
	struct patience p = agent_patience(&claim, AGENT_CALL_MS_MAX);
	int err;

	if (result)
		return result;
	err = seal_claimed(a, &p, s);
	if (!err && shadow_set_is_writable(s)) {
		int restricted = agent_restrict(a, &p, s);

		if (restricted)
			log_set(LOG_WARNING, "cannot make shares read-only, the file system is", s, restricted);
	}
	log_set(err ? LOG_ERR : LOG_INFO, err ? "sealing failed" : "sealed", s, err);
	pthread_mutex_lock(&a->lock);
	if (!err) {
		if (machine_is_current(&a->machine, s))
			agent_timer_locked(a, MACHINE_TIMER_STOP);
		machine_recovered(&a->machine, s);
	}
	return ops_end_locked(c, FSRVP_RECOVERY_COMPLETE, s, errmap_result(err));
}

/* [MS-FSRVP] 3.1.4.8 */
uint32_t ops_abort(const struct ops_call *c, const struct guid *set)
{
	struct agent *a = c->agent;
	struct shadow_set *s;
	uint32_t result;

	if (guid_is_zero(set))
		return FSRVP_E_INVALIDARG;
	pthread_mutex_lock(&a->lock);
	s = agent_wait_idle_locked(a, set);
	result = machine_check_set(&a->machine, FSRVP_ABORT, s);
	if (!result) {
		bool current = machine_is_current(&a->machine, s);

		machine_aborted(&a->machine, s);
		if (current)
			agent_timer_locked(a, MACHINE_TIMER_STOP);
		result = errmap_result(agent_drop_locked(a, set, "aborted by its client", AGENT_FS_MS));
	}
	pthread_mutex_unlock(&a->lock);
	return result;
}

/* The snapshots that no mapping wants any more, as the set in the file system knows them. */
static int delete_unwanted(struct agent *a, const struct patience *p, struct shadow_set *s)
{
	struct backend_set *found = calloc(1, sizeof(*found));
	struct patience fs = agent_fs_patience(p);
	int err = found ? backend_get(a->backend, &s->store, &fs, &s->id, found) : -ENOMEM;

	for (unsigned i = 0; !err && i < found->nmembers; i++)
		if (!shadow_set_wants(s, found->members[i].volume) && !found->keep) {
			err = backend_delete_snapshot(a->backend, &s->store, &fs, found->members[i].snapshot);
			if (err == -ENOENT)
				err = 0;
		}
	free(found);
	return err;
}

/* The share is withdrawn.  Forget the mapping; with its last one the copy goes, with its last copy the set.
 * *gone: the set is no more in the file system, or it is held there and has no share left. */
static int delete_mapping_claimed(struct agent *a, const struct patience *p, struct shadow_set *s, struct shadow_copy *copy,
				  struct shadow_mapping *map, bool *gone)
{
	struct patience fs = agent_fs_patience(p);
	bool last_of_copy = copy->nmappings == 1;
	int err;

	*gone = s->nmappings == 1;
	if (*gone) {
		err = backend_delete(a->backend, &s->store, &fs, &s->id);
		if (err == 0 || err == -ENOENT)
			return 0;
		if (err != -EBUSY)
			return err;
		log_set(LOG_NOTICE, "set is held by the administrator and stays, without shares", s, 0);
	}
	/* From here on the set in memory is changed before the record; a failure is made good by the reconciler. */
	pthread_mutex_lock(&a->lock);
	if (last_of_copy)
		shadow_set_remove_copy(s, copy);
	else
		shadow_set_remove_mapping(s, copy, map);
	pthread_mutex_unlock(&a->lock);
	err = store_record(a, p, s, s->status);
	if (!err && last_of_copy)
		err = delete_unwanted(a, p, s);
	return err;
}

/* [MS-FSRVP] 3.1.4.12 */
uint32_t ops_delete_share_mapping(const struct ops_call *c, const struct fsrvp_mapping_req *r)
{
	const enum fsrvp_op op = FSRVP_DELETE_SHARE_MAPPING;
	struct agent *a = c->agent;
	CLEANUP_FREE char *share = NULL;
	CLEANUP_FREE char *name = NULL;
	struct agent_claim claim = { .agent = a };
	struct shadow_mapping *map;
	struct shadow_copy *copy;
	struct shadow_set *s;
	struct patience p;
	bool gone = false;
	uint32_t result;
	int err = share_parse_unc(r->share, NULL, &share);

	if (err)
		return errmap_result(err);
	result = ops_begin(c, op, &r->set, &s);
	if (result)
		return result;
	pthread_mutex_lock(&a->lock);
	result = machine_check_mapping(&a->machine, op, s, &r->copy, share, &copy, &map);
	if (result)
		return ops_end_locked(c, op, s, result);
	pthread_mutex_unlock(&a->lock);

	name = shadow_share_name(copy, map);
	claim.set = s;
	p = agent_patience(&claim, AGENT_CALL_MS_MAX);
	err = name ? exposer_withdraw(a->exposer, &p, (const char *const[]){ name }, 1) : -ENOMEM;
	if (!err)
		err = delete_mapping_claimed(a, &p, s, copy, map, &gone);
	if (err)
		log_set(LOG_ERR, "cannot delete a share mapping", s, err);
	else
		msg(LOG_INFO, "share withdrawn: share=%s", name);

	pthread_mutex_lock(&a->lock);
	result = errmap_result(err);
	if (err || !gone)
		return ops_end_locked(c, op, s, result);
	machine_aborted(&a->machine, s);
	agent_unclaim_locked(a, s);
	machine_remove(&a->machine, s);
	pthread_mutex_unlock(&a->lock);
	return result;
}
