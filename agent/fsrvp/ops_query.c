/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that change nothing: IsPathSupported, IsPathShadowCopied, GetShareMapping; and the frame of those that do. */
#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/errmap.h"
#include "agent/fsrvp/ops.h"

#define FILETIME_UNIX_EPOCH 116444736000000000ull /* 100 ns from 1601 to 1970 */

uint32_t ops_begin(const struct ops_call *c, enum fsrvp_op op, const struct guid *set, struct shadow_set **s)
{
	struct agent *a = c->agent;
	uint32_t result;

	pthread_mutex_lock(&a->lock);
	*s = agent_find_locked(a, set);
	result = machine_check_set(&a->machine, op, *s);
	if (*s && (*s)->busy)
		result = FSRVP_E_BAD_STATE;
	else if (*s && result != FSRVP_OK && machine_is_current(&a->machine, *s))
		agent_timer_locked(a, machine_timer_after(op, result));
	if (result == FSRVP_OK)
		agent_claim_locked(a, *s);
	pthread_mutex_unlock(&a->lock);
	return result;
}

uint32_t ops_end_locked(const struct ops_call *c, enum fsrvp_op op, struct shadow_set *s, uint32_t result)
{
	struct agent *a = c->agent;
	enum machine_timer t = machine_timer_after(op, result);

	if (machine_is_current(&a->machine, s)) /* claiming stopped the timer: it must run again, whatever the call says */
		agent_timer_locked(a, t == MACHINE_TIMER_KEEP ? MACHINE_TIMER_SHORT : t);
	agent_unclaim_locked(a, s);
	pthread_mutex_unlock(&a->lock);
	return result;
}

/* [MS-FSRVP] 3.1.4.9 */
uint32_t ops_is_path_supported(const struct ops_call *c, const char *unc, uint32_t *supported, char **owner_machine)
{
	struct share_place p;
	int err = share_find(c->agent, unc, &p);

	*supported = err == 0;
	*owner_machine = NULL;
	if (err == -ENOTTY || err == -EOPNOTSUPP || err == -EXDEV || err == -E2BIG || err == -ENOTDIR) /* an answer, not a failure */
		err = 0;
	if (!err) {
		*owner_machine = strdup(c->agent->cfg->machine_name);
		err = *owner_machine ? 0 : -ENOMEM;
	}
	share_place_release(&p);
	return share_result(c->agent, err);
}

static bool is_copied(struct machine *m, const struct backend_place *p)
{
	for (struct shadow_set *s = m->sets; s; s = s->next)
		if (s->status >= SET_COMMITTED && guid_equal(&s->store, &p->store) && shadow_set_wants(s, p->volume))
			return true;
	return false;
}

/* [MS-FSRVP] 3.1.4.10 */
uint32_t ops_is_path_shadow_copied(const struct ops_call *c, const char *unc, uint32_t *present)
{
	struct share_place p;
	int err = share_find(c->agent, unc, &p);

	*present = 0;
	if (!err) {
		pthread_mutex_lock(&c->agent->lock);
		*present = is_copied(&c->agent->machine, &p.place);
		pthread_mutex_unlock(&c->agent->lock);
	}
	share_place_release(&p);
	return share_result(c->agent, err);
}

/* The client gets back the server name it uses itself; the copy's name goes without one, as Samba's clients expect. */
static uint32_t fill_mapping(const struct shadow_set *s, const struct shadow_copy *c, const struct shadow_mapping *m,
			     const char *server, struct fsrvp_mapping_rsp *out)
{
	out->set = s->id;
	out->copy = c->id;
	out->created_filetime = s->created_ns / 100 + FILETIME_UNIX_EPOCH;
	out->shadow_share = shadow_share_name(c, m);
	if (asprintf(&out->share_unc, "\\\\%s\\%s", server, m->share) < 0)
		out->share_unc = NULL;
	if (out->share_unc && out->shadow_share)
		return FSRVP_OK;
	fsrvp_mapping_rsp_release(out);
	return FSRVP_E_OUTOFMEMORY;
}

/* [MS-FSRVP] 3.1.4.11 */
uint32_t ops_get_share_mapping(const struct ops_call *c, const struct fsrvp_mapping_req *r, struct fsrvp_mapping_rsp *out)
{
	const enum fsrvp_op op = FSRVP_GET_SHARE_MAPPING;
	struct agent *a = c->agent;
	CLEANUP_FREE char *server = NULL;
	CLEANUP_FREE char *share = NULL;
	struct shadow_mapping *map;
	struct shadow_copy *copy;
	struct shadow_set *s;
	uint32_t result;
	int err;

	memset(out, 0, sizeof(*out));
	out->level = r->level;
	if (r->level != FSRVP_MAPPING_LEVEL_1)
		return FSRVP_E_INVALIDARG;
	err = share_parse_unc(r->share, &server, &share);
	if (err)
		return errmap_result(err);
	pthread_mutex_lock(&a->lock);
	s = agent_find_locked(a, &r->set);
	result = machine_check_set(&a->machine, op, s);
	if (!result && s->busy && s->cancel) /* on its way out */
		result = FSRVP_E_BAD_STATE;
	if (!result)
		result = machine_check_mapping(&a->machine, op, s, &r->copy, share, &copy, &map);
	if (!result)
		result = fill_mapping(s, copy, map, server, out);
	if (s && !s->busy && machine_is_current(&a->machine, s))
		agent_timer_locked(a, machine_timer_after(op, result));
	if (!result && s->expires_ms)
		s->expires_ms = patience_now_ms() + (int64_t)a->cfg->exposed_timeout_s * 1000;
	pthread_mutex_unlock(&a->lock);
	return result;
}
