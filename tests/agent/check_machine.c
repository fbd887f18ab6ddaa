/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every call in every state, with the exact code, in both profiles; contexts, clients, retries, timers. */
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/machine.h"
#include "tests/agent/suites.h"

static struct machine m;
static const struct guid some_id = { { 1, 2, 3 } }, other_id = { { 9 } }, zero_id;

static void setup_samba(void)
{
	machine_init(&m, MACHINE_SAMBA);
}
static void setup_spec(void)
{
	machine_init(&m, MACHINE_SPEC);
}
static void teardown(void)
{
	machine_release(&m);
}

/* A set in the given state, brought there by the machine's own steps. */
static struct shadow_set *set_in(enum set_status status)
{
	struct shadow_copy *c;
	struct shadow_set *s;

	if (!m.context_set)
		machine_set_context(&m, FSRVP_CTX_BACKUP, "10.0.0.1", false);
	ck_assert_int_eq(shadow_set_new(&some_id, m.context, &s), 0);
	ck_assert_int_eq(machine_add_set(&m, s), 0);
	machine_started(&m, s);
	if (status >= SET_ADDED) {
		ck_assert_int_eq(shadow_set_add_copy(s, &other_id, 7, "/v", &c), 0);
		ck_assert_int_eq(shadow_set_add_mapping(s, c, "Data", ""), 0);
		machine_added(s);
	}
	if (status >= SET_CREATING)
		machine_commit_begun(s);
	if (status >= SET_COMMITTED)
		machine_committed(s);
	if (status >= SET_EXPOSED)
		machine_exposed(&m, s);
	if (status >= SET_RECOVERED)
		machine_recovered(&m, s);
	ck_assert_int_eq(s->status, status);
	return s;
}

#define BS FSRVP_E_BAD_STATE
#define NE FSRVP_E_NOT_EXPOSED_YET
#define IA FSRVP_E_INVALIDARG
#define MM FSRVP_E_SET_ID_MISMATCH
#define NF FSRVP_E_NOT_FOUND

/* Columns: no such set, Started, Added, Creating, Committed, Exposed, Recovered. */
static const struct {
	enum fsrvp_op op;
	uint32_t samba[7], spec[7];
} table[] = {
	{ FSRVP_ADD, { IA, 0, 0, BS, BS, BS, BS }, { MM, 0, 0, BS, BS, BS, BS } },
	{ FSRVP_PREPARE, { IA, BS, 0, BS, BS, BS, BS }, { MM, BS, 0, BS, BS, BS, BS } },
	{ FSRVP_COMMIT, { IA, BS, 0, BS, BS, BS, BS }, { MM, BS, 0, BS, BS, BS, BS } },
	{ FSRVP_EXPOSE, { IA, BS, BS, BS, 0, BS, BS }, { MM, BS, BS, BS, 0, BS, BS } },
	{ FSRVP_RECOVERY_COMPLETE, { IA, BS, BS, BS, BS, 0, BS }, { MM, BS, BS, BS, BS, 0, BS } },
	{ FSRVP_ABORT, { IA, 0, 0, 0, 0, 0, 0 }, { MM, 0, 0, 0, 0, 0, 0 } },
	{ FSRVP_GET_SHARE_MAPPING, { IA, NE, NE, NE, NE, 0, 0 }, { MM, BS, BS, BS, BS, 0, 0 } },
	{ FSRVP_DELETE_SHARE_MAPPING, { NF, BS, BS, BS, BS, 0, 0 }, { NF, BS, BS, BS, BS, 0, 0 } },
};
#define NTABLE (sizeof(table) / sizeof(table[0]))

static void check_table(const uint32_t *want, enum fsrvp_op op, int state)
{
	uint32_t got = machine_check_set(&m, op, state ? set_in((enum set_status)state) : NULL);

	ck_assert_msg(got == want[state], "call %d in state %d: 0x%08x instead of 0x%08x", (int)op, state, got, want[state]);
}

START_TEST(test_machine_table_samba)
{
	check_table(table[_i / 7].samba, table[_i / 7].op, _i % 7);
}
END_TEST

START_TEST(test_machine_table_spec)
{
	check_table(table[_i / 7].spec, table[_i / 7].op, _i % 7);
}
END_TEST

/* StartShadowCopySet while another set is in each state. */
static const uint32_t start_samba[7] = { 0, FSRVP_E_SET_IN_PROGRESS, FSRVP_E_SET_IN_PROGRESS, FSRVP_E_SET_IN_PROGRESS,
					 FSRVP_E_SET_IN_PROGRESS, 0, BS };
static const uint32_t start_spec[7] = { 0, FSRVP_E_SET_IN_PROGRESS, FSRVP_E_SET_IN_PROGRESS, FSRVP_E_SET_IN_PROGRESS,
					FSRVP_E_SET_IN_PROGRESS, FSRVP_E_SET_IN_PROGRESS, BS }; /* BS: the context went with Recovered */

static void check_start(const uint32_t *want, int state)
{
	ck_assert_uint_eq(machine_check_start(&m, &zero_id), IA);
	ck_assert_uint_eq(machine_check_start(&m, &some_id), BS); /* no context */
	if (state)
		set_in((enum set_status)state);
	else
		machine_set_context(&m, 0, "c", false);
	ck_assert_uint_eq(machine_check_start(&m, &some_id), want[state]);
}

START_TEST(test_machine_start_samba)
{
	check_start(start_samba, _i);
}
END_TEST

START_TEST(test_machine_start_spec)
{
	check_start(start_spec, _i);
}
END_TEST

static const struct {
	uint32_t context;
	bool exists;
} contexts[] = {
	{ 0, true },	      { 0x10, true },	    { 0x19, true },	  { 0x09, true },	{ 0x400000, true },
	{ 0x400010, true },   { 0x400019, true },   { 0x400009, true },	  { 0x02, true },	{ 0x12, true },
	{ 0x1b, true },	      { 0x0b, true },	    { 0x400002, false },  { 0x40001b, false },	{ 1, false },
	{ 8, false },	      { 0x11, false },	    { 0x18, false },	  { 0x4000000, false }, { 0x20, false },
	{ 0xffffffff, false }, { 0x80000000, false }, { 0x4400000, false },
};
#define NCONTEXTS (sizeof(contexts) / sizeof(contexts[0]))

START_TEST(test_machine_contexts_samba)
{
	ck_assert_uint_eq(machine_check_context(&m, contexts[_i].context, "c"), contexts[_i].exists ? 0 : IA);
}
END_TEST

START_TEST(test_machine_contexts_spec)
{
	ck_assert_uint_eq(machine_check_context(&m, contexts[_i].context, "c"),
			  contexts[_i].exists ? 0 : FSRVP_E_UNSUPPORTED_CONTEXT);
}
END_TEST

START_TEST(test_machine_other_client)
{
	machine_set_context(&m, 0, "10.0.0.1", false);
	ck_assert_uint_eq(machine_check_context(&m, 0, "10.0.0.2"),
			  m.profile == MACHINE_SPEC ? FSRVP_E_SET_IN_PROGRESS : FSRVP_OK);
	set_in(SET_ADDED);
	ck_assert_uint_eq(machine_check_context(&m, 0, "10.0.0.2"), FSRVP_E_SET_IN_PROGRESS);
	ck_assert_uint_eq(machine_check_context(&m, 0, "10.0.0.1"), FSRVP_OK);
	machine_remove(&m, m.sets);
	machine_expired(&m);
	ck_assert_uint_eq(machine_check_context(&m, 0, "10.0.0.2"), FSRVP_OK);
}
END_TEST

/* The first SetContext and five more, then no more until the sequence is over. */
START_TEST(test_machine_retries)
{
	machine_set_context(&m, 0, "c", false);
	for (int i = 0; i < 5; i++) {
		set_in(SET_ADDED);
		ck_assert_uint_eq(machine_check_context(&m, 0, "c"), FSRVP_OK);
		machine_remove(&m, m.sets);
		machine_set_context(&m, 0, "c", true);
	}
	set_in(SET_ADDED);
	ck_assert_uint_eq(machine_check_context(&m, 0, "c"), FSRVP_E_SET_IN_PROGRESS);
	machine_aborted(&m, m.sets);
	machine_remove(&m, m.sets);
	ck_assert_uint_eq(machine_check_context(&m, 0, "c"), FSRVP_OK);
}
END_TEST

START_TEST(test_machine_commit_failure)
{
	struct shadow_set *s = set_in(SET_CREATING);

	machine_commit_failed(s);
	ck_assert_int_eq(s->status, SET_ADDED);
	ck_assert_uint_eq(machine_check_set(&m, FSRVP_COMMIT, s), FSRVP_OK);
}
END_TEST

/* RecoveryComplete of one set leaves the context of the next one alone. */
START_TEST(test_machine_two_sequences)
{
	struct shadow_set *first = set_in(SET_EXPOSED), *second;

	ck_assert_uint_eq(machine_check_context(&m, 0, "other"), FSRVP_OK);
	machine_set_context(&m, 0, "other", false);
	machine_recovered(&m, first);
	ck_assert(m.context_set);
	ck_assert_str_eq(m.client, "other");
	ck_assert_int_eq(shadow_set_new(&other_id, 0, &second), 0);
	ck_assert_int_eq(machine_add_set(&m, second), 0);
	machine_started(&m, second);
	ck_assert(machine_is_current(&m, second));
	ck_assert(!machine_is_current(&m, first));
	machine_aborted(&m, first);
	ck_assert(m.context_set);
	machine_aborted(&m, second);
	ck_assert(!m.context_set);
}
END_TEST

START_TEST(test_machine_mapping)
{
	struct shadow_set *s = set_in(SET_EXPOSED);
	struct shadow_mapping *map;
	struct shadow_copy *c;
	bool spec = m.profile == MACHINE_SPEC;

	ck_assert_uint_eq(machine_check_mapping(&m, FSRVP_GET_SHARE_MAPPING, s, &other_id, "dATA", &c, &map), 0);
	ck_assert_str_eq(map->share, "Data");
	ck_assert_uint_eq(machine_check_mapping(&m, FSRVP_GET_SHARE_MAPPING, s, &some_id, "Data", &c, &map), IA);
	ck_assert_uint_eq(machine_check_mapping(&m, FSRVP_GET_SHARE_MAPPING, s, &other_id, "Dat", &c, &map), IA);
	ck_assert_uint_eq(machine_check_mapping(&m, FSRVP_DELETE_SHARE_MAPPING, s, &some_id, "Data", &c, &map), spec ? NF : IA);
	ck_assert_uint_eq(machine_check_mapping(&m, FSRVP_DELETE_SHARE_MAPPING, s, &other_id, "x", &c, &map), spec ? NF : IA);
	ck_assert_uint_eq(machine_no_share(&m), spec ? NF : IA);
}
END_TEST

static const struct {
	enum fsrvp_op op;
	uint32_t result;
	enum machine_timer timer;
} timers[] = {
	{ FSRVP_SET_CONTEXT, 0, MACHINE_TIMER_SHORT },
	{ FSRVP_SET_CONTEXT, FSRVP_E_SET_IN_PROGRESS, MACHINE_TIMER_KEEP },
	{ FSRVP_START, 0, MACHINE_TIMER_SHORT },
	{ FSRVP_ADD, 0, MACHINE_TIMER_LONG },
	{ FSRVP_ADD, FSRVP_E_ALREADY_EXISTS, MACHINE_TIMER_SHORT },
	{ FSRVP_ADD, NF, MACHINE_TIMER_KEEP },
	{ FSRVP_PREPARE, 0, MACHINE_TIMER_LONG },
	{ FSRVP_PREPARE, FSRVP_E_WAIT_TIMEOUT, MACHINE_TIMER_SHORT },
	{ FSRVP_COMMIT, 0, MACHINE_TIMER_SHORT },
	{ FSRVP_COMMIT, FSRVP_E_TIMEOUT, MACHINE_TIMER_SHORT },
	{ FSRVP_EXPOSE, 0, MACHINE_TIMER_SHORT },
	{ FSRVP_EXPOSE, FSRVP_E_FAIL, MACHINE_TIMER_SHORT },
	{ FSRVP_GET_SHARE_MAPPING, 0, MACHINE_TIMER_LONG },
	{ FSRVP_GET_SHARE_MAPPING, IA, MACHINE_TIMER_KEEP },
	{ FSRVP_RECOVERY_COMPLETE, 0, MACHINE_TIMER_STOP },
	{ FSRVP_RECOVERY_COMPLETE, FSRVP_E_FAIL, MACHINE_TIMER_KEEP },
	{ FSRVP_ABORT, 0, MACHINE_TIMER_KEEP },
	{ FSRVP_DELETE_SHARE_MAPPING, 0, MACHINE_TIMER_KEEP },
	{ FSRVP_IS_PATH_SUPPORTED, 0, MACHINE_TIMER_KEEP },
	{ FSRVP_IS_PATH_SHADOW_COPIED, 0, MACHINE_TIMER_KEEP },
	{ FSRVP_GET_SUPPORTED_VERSION, 0, MACHINE_TIMER_KEEP },
};

START_TEST(test_machine_timers)
{
	ck_assert_int_eq(machine_timer_after(timers[_i].op, timers[_i].result), timers[_i].timer);
}
END_TEST

static TCase *both(const char *name, void (*setup)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_machine_other_client);
	tcase_add_test(t, test_machine_retries);
	tcase_add_test(t, test_machine_commit_failure);
	tcase_add_test(t, test_machine_mapping);
	tcase_add_loop_test(t, test_machine_timers, 0, sizeof(timers) / sizeof(timers[0]));
	return t;
}

Suite *make_machine_suite(void)
{
	Suite *s = suite_create("machine");
	TCase *samba = both("samba", setup_samba), *spec = both("spec", setup_spec);

	tcase_add_loop_test(samba, test_machine_table_samba, 0, NTABLE * 7);
	tcase_add_loop_test(spec, test_machine_table_spec, 0, NTABLE * 7);
	tcase_add_loop_test(samba, test_machine_start_samba, 0, 7);
	tcase_add_loop_test(spec, test_machine_start_spec, 0, 7);
	tcase_add_loop_test(samba, test_machine_contexts_samba, 0, NCONTEXTS);
	tcase_add_loop_test(spec, test_machine_contexts_spec, 0, NCONTEXTS);
	tcase_add_test(samba, test_machine_two_sequences);
	suite_add_tcase(s, samba);
	suite_add_tcase(s, spec);
	return s;
}
