/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "agent/fsrvp/access.h"
#include "agent/fsrvp/errmap.h"
#include "agent/fsrvp/fsrvp_abi.h"
#include "tests/agent/suites.h"

static struct access_list list;
static struct npa_token token;
static struct sid sids[2];
static uint64_t gids[2];

static void setup(void)
{
	memset(&list, 0, sizeof(list));
	token = (struct npa_token){ .account = (char *)"Anna", .domain = (char *)"CORP", .authenticated = true,
				    .has_unix = true, .uid = 1000, .gid = 100, .gids = gids, .ngids = 2, .sids = sids, .nsids = 2 };
	gids[0] = 100, gids[1] = 200;
	ck_assert_int_eq(sid_parse("S-1-5-21-1-2-3-1104", &sids[0]), 0);
	ck_assert_int_eq(sid_parse("S-1-1-0", &sids[1]), 0);
}

START_TEST(test_access_nobody_by_default)
{
	ck_assert(!access_granted(&list, &token));
}
END_TEST

START_TEST(test_access_built_in)
{
	static const struct {
		const char *sid;
		bool granted;
	} cases[] = {
		{ "S-1-5-32-544", true },  { "S-1-5-32-551", true },  { "S-1-5-18", true },
		{ "S-1-5-32-545", false }, { "S-1-5-32-5440", false }, { "S-1-5-21-32-544", false },
	};

	ck_assert_int_eq(sid_parse(cases[_i].sid, &sids[1]), 0);
	ck_assert_msg(access_granted(&list, &token) == cases[_i].granted, "%s", cases[_i].sid);
}
END_TEST

START_TEST(test_access_root_and_privilege)
{
	token.uid = 0;
	ck_assert(access_granted(&list, &token));
	token.has_unix = false; /* then uid says nothing */
	ck_assert(!access_granted(&list, &token));
	token.privileges = NPA_PRIV_BACKUP;
	ck_assert(access_granted(&list, &token));
	token.privileges = ~NPA_PRIV_BACKUP;
	ck_assert(!access_granted(&list, &token));
}
END_TEST

START_TEST(test_access_guest_never)
{
	token.uid = 0;
	token.authenticated = false;
	ck_assert(!access_granted(&list, &token));
	token.authenticated = true;
	token.account = NULL;
	ck_assert(!access_granted(&list, &token));
}
END_TEST

static const struct {
	const char *who;
	bool granted;
} entries[] = {
	{ "S-1-5-21-1-2-3-1104", true }, { "S-1-5-21-1-2-3-1105", false }, { "CORP\\anna", true }, { "corp\\ANNA", true },
	{ "OTHER\\anna", false },	 { "anna", true },		    { "ann", false },	    { "CORP\\ann", false },
};

START_TEST(test_access_entries)
{
	ck_assert_int_eq(access_allow(&list, entries[_i].who), 0);
	ck_assert_msg(access_granted(&list, &token) == entries[_i].granted, "%s", entries[_i].who);
	access_release(&list);
}
END_TEST

START_TEST(test_access_local)
{
	ck_assert_int_eq(access_allow(&list, "root"), 0); /* by uid: the name in the token does not matter */
	token.uid = 0, token.has_unix = true;
	ck_assert(access_granted(&list, &token));
	token.uid = 1000;
	ck_assert(!access_granted(&list, &token));
	ck_assert_int_eq(access_allow(&list, "@root"), 0);
	ck_assert(!access_granted(&list, &token));
	gids[1] = 0;
	ck_assert(access_granted(&list, &token));
	ck_assert_int_eq(access_allow(&list, "@no-such-group-here"), -ENOENT);
	ck_assert_int_eq(access_allow(&list, ""), -EINVAL);
	ck_assert_int_eq(access_allow(&list, "S-1-x"), -EINVAL);
	access_release(&list);
}
END_TEST

START_TEST(test_access_same_account)
{
	static const struct {
		const char *user, *domain;
		bool same;
	} cases[] = {
		{ "anna", "corp", true }, { "anna", "", true },	  { "anna", NULL, true },
		{ "anna", "x", false },	  { "bert", "corp", false }, { NULL, NULL, false },
	};
	struct rpc_caller who = { RPC_LEVEL_PRIVACY, cases[_i].user, cases[_i].domain };

	ck_assert(access_same_account(&token, &who) == cases[_i].same);
}
END_TEST

START_TEST(test_errmap)
{
	ck_assert_uint_eq(errmap_result(0), FSRVP_OK);
	ck_assert_uint_eq(errmap_result(-ENOENT), FSRVP_E_NOT_FOUND);
	ck_assert_uint_eq(errmap_result(-ENOTTY), FSRVP_E_NOT_SUPPORTED);
	ck_assert_uint_eq(errmap_result(-ETIMEDOUT), FSRVP_E_WAIT_TIMEOUT);
	ck_assert_uint_eq(errmap_result(-ETIME), FSRVP_E_TIMEOUT);
	ck_assert_uint_eq(errmap_result(-ENOMEM), FSRVP_E_OUTOFMEMORY);
	ck_assert_uint_eq(errmap_result(-EXDEV), FSRVP_E_NOT_SUPPORTED);
	ck_assert_uint_eq(errmap_result(-ENOTBLK), FSRVP_E_FAIL); /* not in the table */
}
END_TEST

Suite *make_access_suite(void)
{
	Suite *s = suite_create("access");
	TCase *t = tcase_create("access");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, test_access_nobody_by_default);
	tcase_add_loop_test(t, test_access_built_in, 0, 6);
	tcase_add_test(t, test_access_root_and_privilege);
	tcase_add_test(t, test_access_guest_never);
	tcase_add_loop_test(t, test_access_entries, 0, sizeof(entries) / sizeof(entries[0]));
	tcase_add_test(t, test_access_local);
	tcase_add_loop_test(t, test_access_same_account, 0, 6);
	tcase_add_test(t, test_errmap);
	suite_add_tcase(s, t);
	return s;
}
