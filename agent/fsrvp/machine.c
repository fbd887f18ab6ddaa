/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 *   state      entered by                       left by
 *   Started    StartShadowCopySet               machine_added
 *   Added      machine_added, _commit_failed    machine_commit_begun
 *   Creating   machine_commit_begun             machine_committed, machine_commit_failed
 *   Committed  machine_committed                machine_exposed
 *   Exposed    machine_exposed, at start        machine_recovered
 *   Recovered  machine_recovered, at start      (the set's end)
 *
 * Every state is also left by machine_remove: Abort, DeleteShareMapping of the last mapping, SetContext anew, the timer.
 */
#include "agent/fsrvp/machine.h"

#include <stdio.h>

#include "fs/base/msg.h"

#define IN(status) (1u << (status))
#define ANY_STATUS 0xffu

/* States each call may find its set in, and the answer in all others. */
static const struct rule {
	uint32_t states;
	uint32_t wrong_state[2]; /* per profile */
	uint32_t unknown_set[2];
} rules[FSRVP_NUM_OPS] = {
#define CODES(samba, spec) { [MACHINE_SAMBA] = (samba), [MACHINE_SPEC] = (spec) }
#define UNKNOWN CODES(FSRVP_E_INVALIDARG, FSRVP_E_SET_ID_MISMATCH)
#define BAD_STATE CODES(FSRVP_E_BAD_STATE, FSRVP_E_BAD_STATE)
	[FSRVP_ADD] = { IN(SET_STARTED) | IN(SET_ADDED), BAD_STATE, UNKNOWN },
	[FSRVP_PREPARE] = { IN(SET_ADDED), BAD_STATE, UNKNOWN },
	[FSRVP_COMMIT] = { IN(SET_ADDED), BAD_STATE, UNKNOWN },
	[FSRVP_EXPOSE] = { IN(SET_COMMITTED), BAD_STATE, UNKNOWN },
	[FSRVP_RECOVERY_COMPLETE] = { IN(SET_EXPOSED), BAD_STATE, UNKNOWN },
	[FSRVP_ABORT] = { ANY_STATUS, BAD_STATE, UNKNOWN },
	[FSRVP_GET_SHARE_MAPPING] = { IN(SET_EXPOSED) | IN(SET_RECOVERED),
				      CODES(FSRVP_E_NOT_EXPOSED_YET, FSRVP_E_BAD_STATE), UNKNOWN },
	[FSRVP_DELETE_SHARE_MAPPING] = { IN(SET_EXPOSED) | IN(SET_RECOVERED), BAD_STATE,
					 CODES(FSRVP_E_NOT_FOUND, FSRVP_E_NOT_FOUND) },
#undef BAD_STATE
#undef UNKNOWN
#undef CODES
};

void machine_init(struct machine *m, enum machine_profile profile)
{
	*m = (struct machine){ .profile = profile };
}

void machine_release(struct machine *m)
{
	while (m->sets)
		machine_remove(m, m->sets);
}

struct shadow_set *machine_find(struct machine *m, const struct guid *id)
{
	struct shadow_set *s = m->sets;

	while (s && !guid_equal(&s->id, id))
		s = s->next;
	return s;
}

bool machine_in_progress(const struct machine *m, const struct shadow_set *s)
{
	return s->status < (m->profile == MACHINE_SPEC ? SET_RECOVERED : SET_EXPOSED);
}

struct shadow_set *machine_any_in_progress(struct machine *m)
{
	struct shadow_set *s = m->sets;

	while (s && !machine_in_progress(m, s))
		s = s->next;
	return s;
}

/* [MS-FSRVP] 2.2.2.1: four bases, each alone or with one of the two recovery attributes. */
static bool context_exists(uint32_t context)
{
	uint32_t recovery = context & (FSRVP_ATTR_AUTO_RECOVERY | FSRVP_ATTR_NO_AUTO_RECOVERY);

	if (recovery == (FSRVP_ATTR_AUTO_RECOVERY | FSRVP_ATTR_NO_AUTO_RECOVERY))
		return false;
	switch (context & ~recovery) {
	case FSRVP_CTX_BACKUP:
	case FSRVP_CTX_FILE_SHARE_BACKUP:
	case FSRVP_CTX_NAS_ROLLBACK:
	case FSRVP_CTX_APP_ROLLBACK:
		return true;
	}
	return false;
}

uint32_t machine_check_context(struct machine *m, uint32_t context, const char *client)
{
	if (!context_exists(context))
		return m->profile == MACHINE_SPEC ? FSRVP_E_UNSUPPORTED_CONTEXT : FSRVP_E_INVALIDARG;
	if (!m->context_set)
		return FSRVP_OK;
	/* Between Expose and RecoveryComplete the SAMBA profile counts the sequence as over: nobody is in the way then. */
	if (m->profile == MACHINE_SAMBA && !machine_any_in_progress(m))
		return FSRVP_OK;
	if (strcmp(m->client, client) != 0 || m->retries >= FSRVP_CONTEXT_RETRIES_MAX)
		return FSRVP_E_SET_IN_PROGRESS;
	return FSRVP_OK;
}

void machine_set_context(struct machine *m, uint32_t context, const char *client, bool dropped)
{
	KAGEFS_ASSERT(!machine_any_in_progress(m));
	m->retries = m->context_set && (dropped || m->profile == MACHINE_SPEC) ? m->retries + 1 : 0;
	memset(&m->current, 0, sizeof(m->current));
	m->context_set = true;
	m->context = context;
	snprintf(m->client, sizeof(m->client), "%s", client);
}

static void clear_context(struct machine *m)
{
	m->context_set = false;
	m->retries = 0;
	m->client[0] = '\0';
	memset(&m->current, 0, sizeof(m->current));
}

bool machine_is_current(const struct machine *m, const struct shadow_set *s)
{
	return m->context_set && guid_equal(&m->current, &s->id);
}

uint32_t machine_check_start(struct machine *m, const struct guid *client_set)
{
	if (guid_is_zero(client_set))
		return FSRVP_E_INVALIDARG;
	if (!m->context_set)
		return FSRVP_E_BAD_STATE;
	if (machine_any_in_progress(m))
		return FSRVP_E_SET_IN_PROGRESS;
	return m->nsets >= MACHINE_SETS_MAX ? FSRVP_E_OUTOFMEMORY : FSRVP_OK;
}

int machine_add_set(struct machine *m, struct shadow_set *s)
{
	if (m->nsets >= MACHINE_SETS_MAX)
		return -ENOSPC;
	KAGEFS_ASSERT(!machine_find(m, &s->id));
	s->next = m->sets;
	m->sets = s;
	m->nsets++;
	return 0;
}

void machine_started(struct machine *m, const struct shadow_set *s)
{
	KAGEFS_ASSERT(m->context_set);
	m->current = s->id;
}

uint32_t machine_check_set(const struct machine *m, enum fsrvp_op op, const struct shadow_set *s)
{
	const struct rule *r = &rules[op];

	KAGEFS_ASSERT(r->states);
	if (!s)
		return r->unknown_set[m->profile];
	return r->states & IN(s->status) ? FSRVP_OK : r->wrong_state[m->profile];
}

uint32_t machine_check_mapping(const struct machine *m, enum fsrvp_op op, struct shadow_set *s, const struct guid *copy,
			       const char *share, struct shadow_copy **c, struct shadow_mapping **map)
{
	*c = shadow_set_copy(s, copy);
	*map = *c ? shadow_copy_mapping(*c, share) : NULL;
	if (*map)
		return FSRVP_OK;
	return op == FSRVP_DELETE_SHARE_MAPPING && m->profile == MACHINE_SPEC ? FSRVP_E_NOT_FOUND : FSRVP_E_INVALIDARG;
}

uint32_t machine_no_share(const struct machine *m)
{
	return m->profile == MACHINE_SPEC ? FSRVP_E_NOT_FOUND : FSRVP_E_INVALIDARG;
}

void machine_added(struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_STARTED || s->status == SET_ADDED);
	s->status = SET_ADDED;
}

void machine_commit_begun(struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_ADDED);
	s->status = SET_CREATING;
}

void machine_commit_failed(struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_CREATING);
	s->status = SET_ADDED;
}

void machine_committed(struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_CREATING);
	s->status = SET_COMMITTED;
}

void machine_exposed(struct machine *m, struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_COMMITTED);
	s->status = SET_EXPOSED;
	if (m->profile == MACHINE_SAMBA)
		m->retries = 0;
}

void machine_recovered(struct machine *m, struct shadow_set *s)
{
	KAGEFS_ASSERT(s->status == SET_EXPOSED);
	s->status = SET_RECOVERED;
	/* With the SAMBA profile another set may be on its way: its context stays. */
	if (machine_is_current(m, s))
		clear_context(m);
}

void machine_aborted(struct machine *m, const struct shadow_set *s)
{
	if (machine_is_current(m, s))
		clear_context(m);
}

void machine_remove(struct machine *m, struct shadow_set *s)
{
	struct shadow_set **at = &m->sets;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	m->nsets--;
	shadow_set_free(s);
}

void machine_expired(struct machine *m)
{
	KAGEFS_ASSERT(!machine_any_in_progress(m));
	clear_context(m);
}

/* [MS-FSRVP] 3.1.4, each call's last paragraphs. */
enum machine_timer machine_timer_after(enum fsrvp_op op, uint32_t result)
{
	switch (op) {
	case FSRVP_SET_CONTEXT:
	case FSRVP_START:
		return result == FSRVP_OK ? MACHINE_TIMER_SHORT : MACHINE_TIMER_KEEP;
	case FSRVP_ADD:
		return result == FSRVP_OK ? MACHINE_TIMER_LONG :
		       result == FSRVP_E_ALREADY_EXISTS ? MACHINE_TIMER_SHORT : MACHINE_TIMER_KEEP;
	case FSRVP_PREPARE:
		return result == FSRVP_OK ? MACHINE_TIMER_LONG : MACHINE_TIMER_SHORT;
	case FSRVP_COMMIT:
	case FSRVP_EXPOSE:
		return MACHINE_TIMER_SHORT;
	case FSRVP_GET_SHARE_MAPPING:
		return result == FSRVP_OK ? MACHINE_TIMER_LONG : MACHINE_TIMER_KEEP;
	case FSRVP_RECOVERY_COMPLETE:
		return result == FSRVP_OK ? MACHINE_TIMER_STOP : MACHINE_TIMER_KEEP;
	case FSRVP_ABORT:
	case FSRVP_GET_SUPPORTED_VERSION:
	case FSRVP_IS_PATH_SUPPORTED:
	case FSRVP_IS_PATH_SHADOW_COPIED:
	case FSRVP_DELETE_SHARE_MAPPING:
	case FSRVP_NUM_OPS:
		break;
	}
	return MACHINE_TIMER_KEEP;
}
