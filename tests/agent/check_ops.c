/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The calls on the fake file system and with stand-ins for Samba's programs: whole sequences, every failure of the file
 * system, aborts in the middle, the timer, and what a new agent finds after the old one was killed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/fsrvp/dispatch.h"
#include "fs/base/endian.h"
#include "tests/agent/fake_backend.h"
#include "tests/agent/suites.h"

static char top[64], shares_file[128], smb_conf[128];
static struct agent_config cfg;
static struct samba samba;
static struct exposer exposer;
static struct backend *backend;
static struct agent *agent;
static struct agent *killed[8]; /* earlier ones, kept reachable: nobody gets to free them */
static unsigned nkilled;
static struct npa_token token;
static struct ops_call c;
static const struct guid client_id = { { 0xcc } };

static void put_file(const char *name, mode_t mode, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void make_dir(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

/* A new agent, as after a start of the program.  The old one is forgotten as if it had been killed. */
static void start_agent(void)
{
	if (agent)
		killed[nkilled++] = agent;
	agent = calloc(1, sizeof(*agent));
	ck_assert_ptr_nonnull(agent);
	ck_assert_int_eq(agent_init(agent, &cfg, &samba, &exposer, backend), 0);
	c.agent = agent;
	agent_reconcile(agent);
}

static void setup(void)
{
	char text[1024], path[512];

	strcpy(top, "/tmp/kagefs-ops.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(shares_file, sizeof(shares_file), "%s/shares.conf", top);
	snprintf(smb_conf, sizeof(smb_conf), "%s/smb.conf", top);
	make_dir("bin");
	make_dir("vol");
	make_dir("vol/v1");
	make_dir("vol/v1/sub");
	make_dir("vol/v2");
	make_dir("out");
	put_file("vol/v1/file", 0644, "one");
	put_file("vol/v2/file", 0644, "two");
	snprintf(text, sizeof(text), "#!/bin/sh\nfor f; do :; done\ncat \"$f\" %s 2>/dev/null\ntrue\n", shares_file);
	put_file("bin/testparm", 0755, text);
	put_file("bin/sharesec", 0755, "#!/bin/sh\necho 'D:(A;;0x001f01ff;;;WD)'\n");
	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$@\" >>%s/control.log\n", top);
	put_file("bin/smbcontrol", 0755, text);
	snprintf(text, sizeof(text),
		 "[global]\nnetbios name = FS\n[Alpha]\npath = %s/vol/v1\nvfs objects = shadow_copy2 acl_xattr\nguest ok = yes\n"
		 "[beta$]\npath = %s/vol/v2\n[sub]\npath = %s/vol/v1/sub\n[out]\npath = %s/out\n[gone]\npath = %s/gone\n"
		 "[macro]\npath = %s/vol/v1/%%U\n[off]\npath = %s/vol/v1\navailable = No\n",
		 top, top, top, top, top, top, top);
	put_file("smb.conf", 0644, text);
	snprintf(path, sizeof(path), "%s/bin:%s", top, getenv("PATH"));
	setenv("PATH", path, 1);
	snprintf(path, sizeof(path), "%s/vol", top);
	setenv("KAGEFS_FAKE_ROOT", path, 1);

	memset(&fake_faults, 0, sizeof(fake_faults));
	cfg = (struct agent_config){ .commit_limit_ms = 10000, .reconcile_s = 3600, .machine_name = "FS" };
	samba.smb_conf = smb_conf;
	ck_assert_int_eq(exposer_open(&exposer, &samba, EXPOSER_INCLUDE, shares_file), 0);
	ck_assert_int_eq(backend_open(&backend), 0);
	token = (struct npa_token){ .client_addr = (char *)"10.0.0.1", .account = (char *)"root", .domain = (char *)"FS",
				    .authenticated = true, .has_unix = true };
	c.token = &token;
	start_agent();
}

static void teardown(void)
{
	const char *argv[] = { "rm", "-rf", "--", top, NULL };

	agent_release(agent);
	free(agent);
	agent = NULL;
	nkilled = 0;
	exposer_close(&exposer);
	backend_close(backend);
	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
}

static unsigned count_in(const char *name, const char *without)
{
	char path[256];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' && !strstr(e->d_name, without);
	if (d)
		closedir(d);
	return n;
}

static unsigned nsnapshots(void)
{
	return count_in("vol/v1/.snapshots", "\n") + count_in("vol/v2/.snapshots", "\n");
}

static unsigned nsets(void)
{
	return count_in("vol/.sets", "keep");
}

static unsigned nshares(void)
{
	struct conf conf;
	unsigned n;

	ck_assert_int_eq(exposer_list(&exposer, &(struct patience){ patience_now_ms() + 10000, NULL, NULL }, &conf), 0);
	n = (unsigned)conf.nsections;
	conf_release(&conf);
	return n;
}

#define assert_left(shares, snapshots, sets)           \
	do {                                           \
		ck_assert_uint_eq(nshares(), shares);  \
		ck_assert_uint_eq(nsnapshots(), snapshots); \
		ck_assert_uint_eq(nsets(), sets);      \
	} while (0)

static struct guid set, copies[3];

/* Alpha and sub (volume v1) and beta$ (v2), up to and including the call that leads to the state. */
static void bring_to(enum set_status status, uint32_t context)
{
	ck_assert_uint_eq(ops_set_context(&c, context), 0);
	ck_assert_uint_eq(ops_start(&c, &client_id, &set), 0);
	if (status >= SET_ADDED) {
		ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\ALPHA\\", &copies[0]), 0);
		ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\sub", &copies[1]), 0);
		ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\beta$", &copies[2]), 0);
		ck_assert_uint_eq(ops_prepare(&c, &set, 10000), 0);
	}
	if (status >= SET_COMMITTED)
		ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0);
	if (status >= SET_EXPOSED)
		ck_assert_uint_eq(ops_expose(&c, &set, 60000), 0);
	if (status >= SET_RECOVERED)
		ck_assert_uint_eq(ops_recovery_complete(&c, &set), 0);
}

static uint32_t delete_mapping(int i, const char *unc)
{
	struct fsrvp_mapping_req r = { .set = set, .copy = copies[i], .share = (char *)unc };

	return ops_delete_share_mapping(&c, &r);
}

/* ---- sequences ---- */

START_TEST(test_ops_whole_sequence)
{
	struct fsrvp_mapping_req r;
	struct fsrvp_mapping_rsp rsp;
	uint32_t present = 9;

	bring_to(SET_EXPOSED, FSRVP_CTX_FILE_SHARE_BACKUP | FSRVP_ATTR_AUTO_RECOVERY);
	ck_assert(guid_equal(&copies[0], &copies[1])); /* one volume, one copy */
	ck_assert(!guid_equal(&copies[0], &copies[2]));
	assert_left(3, 2, 1);
	r = (struct fsrvp_mapping_req){ .set = set, .copy = copies[2], .share = (char *)"\\\\srv\\BETA$", .level = 1 };
	ck_assert_uint_eq(ops_get_share_mapping(&c, &r, &rsp), 0);
	ck_assert_str_eq(rsp.share_unc, "\\\\srv\\beta$");
	ck_assert(strncmp(rsp.shadow_share, "beta$@{", 7) == 0);
	ck_assert_str_eq(rsp.shadow_share + strlen(rsp.shadow_share) - 2, "}$");
	ck_assert(rsp.created_filetime > 130000000000000000ull);
	fsrvp_mapping_rsp_release(&rsp);
	r.level = 2;
	ck_assert_uint_eq(ops_get_share_mapping(&c, &r, &rsp), FSRVP_E_INVALIDARG);
	ck_assert_uint_eq(ops_is_path_shadow_copied(&c, "\\\\x\\sub", &present), 0);
	ck_assert_uint_eq(present, 1);
	ck_assert_uint_eq(ops_recovery_complete(&c, &set), 0);
	ck_assert_uint_eq(ops_recovery_complete(&c, &set), FSRVP_E_BAD_STATE);
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), 0);
	assert_left(2, 2, 1); /* sub still needs the copy */
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), FSRVP_E_INVALIDARG);
	ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
	assert_left(1, 1, 1);
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$\\"), 0);
	assert_left(0, 0, 0);
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), FSRVP_E_NOT_FOUND);
	ck_assert_uint_eq(ops_is_path_shadow_copied(&c, "\\\\x\\sub", &present), 0);
	ck_assert_uint_eq(present, 0);
}
END_TEST

START_TEST(test_ops_exposed_section)
{
	struct conf conf;
	struct conf_section *s;

	bring_to(SET_EXPOSED, _i ? FSRVP_ATTR_AUTO_RECOVERY : 0);
	ck_assert_int_eq(exposer_list(&exposer, &(struct patience){ patience_now_ms() + 10000, NULL, NULL }, &conf), 0);
	s = &conf.sections[0];
	ck_assert(strncmp(s->name, "Alpha@{", 7) == 0);
	ck_assert_str_eq(conf_get(s, "guest ok"), "yes");
	ck_assert_str_eq(conf_get(s, "browseable"), "no");
	ck_assert_str_eq(conf_get(s, "read only"), _i ? "no" : "yes");
	ck_assert_str_eq(conf_get(s, "vfs objects"), "acl_xattr");
	ck_assert_ptr_nonnull(strstr(conf_get(s, "path"), "/vol/v1/.snapshots/@GMT-"));
	conf_release(&conf);
	ck_assert_uint_eq(ops_recovery_complete(&c, &set), 0);
	ck_assert_int_eq(exposer_list(&exposer, &(struct patience){ patience_now_ms() + 10000, NULL, NULL }, &conf), 0);
	for (size_t i = 0; i < conf.nsections; i++)
		ck_assert_str_eq(conf_get(&conf.sections[i], "read only"), "yes");
	conf_release(&conf);
}
END_TEST

static const struct {
	const char *unc;
	uint32_t add, supported;
	uint32_t is; /* what IsPathSupported says, when it says OK */
} shares[] = {
	{ "\\\\x\\alpha", 0, 0, 1 },
	{ "\\\\x\\nosuch", FSRVP_E_INVALIDARG, FSRVP_E_INVALIDARG, 0 },
	{ "\\\\x\\global", FSRVP_E_INVALIDARG, FSRVP_E_INVALIDARG, 0 },
	{ "\\\\x\\off", FSRVP_E_INVALIDARG, FSRVP_E_INVALIDARG, 0 },
	{ "\\\\x\\out", FSRVP_E_NOT_SUPPORTED, 0, 0 },
	{ "\\\\x\\gone", FSRVP_E_NOT_SUPPORTED, 0, 0 },
	{ "\\\\x\\macro", FSRVP_E_NOT_SUPPORTED, 0, 0 },
	{ "alpha", FSRVP_E_INVALIDARG, FSRVP_E_INVALIDARG, 0 },
};

START_TEST(test_ops_shares)
{
	uint32_t supported;
	struct guid copy;
	char *owner;

	ck_assert_uint_eq(ops_is_path_supported(&c, shares[_i].unc, &supported, &owner), shares[_i].supported);
	ck_assert_uint_eq(supported, shares[_i].is);
	if (shares[_i].supported == 0)
		ck_assert_str_eq(owner, "FS");
	else
		ck_assert_ptr_null(owner);
	free(owner);
	bring_to(SET_STARTED, 0);
	ck_assert_uint_eq(ops_add(&c, &set, shares[_i].unc, &copy), shares[_i].add);
	ck_assert(guid_is_zero(&copy) == (shares[_i].add != 0));
	if (!shares[_i].add) {
		ck_assert_uint_eq(ops_add(&c, &set, shares[_i].unc, &copy), FSRVP_E_ALREADY_EXISTS);
		ck_assert(guid_is_zero(&copy));
	}
}
END_TEST

/* A copy of a copy's share is refused. */
START_TEST(test_ops_share_of_a_copy)
{
	char id[GUID_TEXT_SIZE], unc[128];
	struct guid second, copy;

	bring_to(SET_RECOVERED, FSRVP_CTX_NAS_ROLLBACK);
	guid_format(&copies[0], id);
	snprintf(unc, sizeof(unc), "\\\\x\\Alpha@{%s}", id);
	ck_assert_uint_eq(ops_set_context(&c, 0), 0);
	ck_assert_uint_eq(ops_start(&c, &client_id, &second), 0);
	ck_assert_uint_eq(ops_add(&c, &second, unc, &copy), FSRVP_E_NOT_SUPPORTED);
}
END_TEST

START_TEST(test_ops_abort_in_every_state)
{
	bring_to((enum set_status)_i, FSRVP_CTX_NAS_ROLLBACK);
	ck_assert_uint_eq(ops_abort(&c, &(struct guid){ { 0 } }), FSRVP_E_INVALIDARG);
	ck_assert_uint_eq(ops_abort(&c, &set), 0);
	assert_left(0, 0, 0);
	ck_assert_uint_eq(ops_abort(&c, &set), FSRVP_E_INVALIDARG);
	bring_to(SET_STARTED, 0); /* nothing is in the way */
}
END_TEST

START_TEST(test_ops_context_anew_drops_the_set)
{
	struct guid old;

	bring_to(SET_COMMITTED, 0);
	old = set;
	bring_to(SET_STARTED, 0);
	assert_left(0, 0, 0);
	ck_assert_uint_eq(ops_abort(&c, &old), FSRVP_E_INVALIDARG);
}
END_TEST

START_TEST(test_ops_other_client)
{
	bring_to(SET_COMMITTED, 0);
	token.client_addr = (char *)"10.0.0.2";
	ck_assert_uint_eq(ops_set_context(&c, 0), FSRVP_E_SET_IN_PROGRESS);
	assert_left(0, 2, 1);
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), 0); /* the set itself is anybody's who may call */
	ck_assert_uint_eq(ops_set_context(&c, 0), 0);
	assert_left(3, 2, 1);
}
END_TEST

/* ---- failures of the file system ---- */

START_TEST(test_ops_prepare_waits)
{
	bring_to(SET_STARTED, 0);
	ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\alpha", &copies[0]), 0);
	fake_faults.prepare_polls = 3;
	ck_assert_uint_eq(ops_prepare(&c, &set, 10000), 0);
	ck_assert_uint_eq(fake_faults.prepares, 4);
	fake_faults.prepare_polls = 1;
	ck_assert_uint_eq(ops_prepare(&c, &set, 0), FSRVP_E_WAIT_TIMEOUT);
	fake_faults.prepare_err = -EIO;
	ck_assert_uint_eq(ops_prepare(&c, &set, 1000), FSRVP_E_FAIL);
	ck_assert_uint_eq(ops_commit(&c, &set, 1000), 0); /* all the same */
	assert_left(0, 1, 1);
}
END_TEST

START_TEST(test_ops_add_after_prepare)
{
	bring_to(SET_STARTED, 0);
	ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\alpha", &copies[0]), 0);
	ck_assert_uint_eq(ops_prepare(&c, &set, 10000), 0);
	ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\beta$", &copies[2]), 0);
	ck_assert_uint_eq(ops_commit(&c, &set, 1000), 0);
	assert_left(0, 2, 1); /* both volumes */
}
END_TEST

static const struct {
	int err;
	uint32_t timeout_ms, result;
} commits[] = {
	{ -ETIME, 60000, FSRVP_E_TIMEOUT },    /* the agent's limit */
	{ -ETIME, 500, FSRVP_E_WAIT_TIMEOUT }, /* the client's */
	{ -ENOSPC, 60000, FSRVP_E_FAIL },
	{ -EIO, 60000, FSRVP_E_FAIL },
	{ -EROFS, 60000, FSRVP_E_NOT_SUPPORTED },
	{ -ENOMEM, 60000, FSRVP_E_OUTOFMEMORY },
};

START_TEST(test_ops_commit_fails)
{
	bring_to(SET_ADDED, 0);
	fake_faults.commit_err = commits[_i].err;
	ck_assert_uint_eq(ops_commit(&c, &set, commits[_i].timeout_ms), commits[_i].result);
	ck_assert_uint_eq(nsnapshots(), 0);
	ck_assert_uint_eq(ops_expose(&c, &set, 1000), FSRVP_E_BAD_STATE);
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0); /* back in Added */
	assert_left(0, 2, 1);
}
END_TEST

/* The file system was restarted between Prepare and Commit: the prepared set is gone, the commit brings everything. */
/* One set is made at a time; exposed ones do not count. */
START_TEST(test_ops_many_exposed)
{
	struct guid sets[12], ids[12][3];

	for (unsigned i = 0; i < 12; i++) {
		bring_to(i % 2 ? SET_EXPOSED : SET_RECOVERED, FSRVP_CTX_NAS_ROLLBACK);
		sets[i] = set;
		memcpy(ids[i], copies, sizeof(copies));
	}
	assert_left(36, 24, 12);
	for (unsigned i = 12; i-- > 0;) {
		set = sets[i];
		memcpy(copies, ids[i], sizeof(copies));
		ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), 0);
		ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
		ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
		assert_left(3 * i, 2 * i, i);
	}
}
END_TEST

/* A volume below a share is copied with it, once, and goes with the last copy that shows it. */
START_TEST(test_ops_nested_volume)
{
	fake_faults.nested = true;
	ck_assert_uint_eq(ops_set_context(&c, FSRVP_CTX_NAS_ROLLBACK), 0);
	ck_assert_uint_eq(ops_start(&c, &client_id, &set), 0);
	ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\Alpha", &copies[0]), 0);
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0);
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), 0);
	assert_left(1, 2, 1);
	agent_reconcile(agent);
	assert_left(1, 2, 1);
	start_agent();
	assert_left(1, 2, 1);
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), 0);
	assert_left(0, 0, 0);
}
END_TEST

START_TEST(test_ops_nested_volume_with_a_share)
{
	fake_faults.nested = true;
	bring_to(SET_EXPOSED, FSRVP_CTX_NAS_ROLLBACK);
	assert_left(3, 2, 1);
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
	assert_left(2, 2, 1); /* still shown in the copy of Alpha and sub */
	agent_reconcile(agent);
	assert_left(2, 2, 1);
	ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), 0);
	assert_left(0, 0, 0);
}
END_TEST

START_TEST(test_ops_nested_volume_outlives_its_share)
{
	fake_faults.nested = true;
	bring_to(SET_EXPOSED, FSRVP_CTX_NAS_ROLLBACK);
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\Alpha"), 0);
	ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
	assert_left(1, 1, 1); /* beta$ has its own copy of it */
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
	assert_left(0, 0, 0);
}
END_TEST

/* The file system hung: what it may have done of the commit is deleted when it answers again, without its client. */
START_TEST(test_ops_commit_hangs)
{
	bring_to(SET_ADDED, FSRVP_CTX_NAS_ROLLBACK);
	fake_faults.commit_err = fake_faults.delete_err = -ETIMEDOUT;
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), FSRVP_E_TIMEOUT);
	assert_left(0, 0, 1);
	agent_reconcile(agent);
	assert_left(0, 0, 0);
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0); /* the client may try again */
	assert_left(0, 2, 1);
	ck_assert_uint_eq(ops_abort(&c, &set), 0);
	assert_left(0, 0, 0);
}
END_TEST

/* So is a set that was given up meanwhile; it is not taken over as one that nobody knows. */
START_TEST(test_ops_abort_hangs)
{
	bring_to(SET_RECOVERED, FSRVP_CTX_NAS_ROLLBACK);
	fake_faults.delete_err = -ETIMEDOUT;
	ck_assert_uint_eq(ops_abort(&c, &set), FSRVP_E_WAIT_TIMEOUT);
	assert_left(0, 2, 1);
	fake_faults.delete_err = -ETIMEDOUT;
	agent_reconcile(agent);
	assert_left(0, 2, 1);
	agent_reconcile(agent);
	assert_left(0, 0, 0);
	ck_assert_uint_eq(ops_abort(&c, &set), FSRVP_E_INVALIDARG);
}
END_TEST

START_TEST(test_ops_commit_after_restart_of_fs)
{
	bring_to(SET_ADDED, 0);
	fake_faults.commit_err = -ENOENT;
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0);
	ck_assert_uint_eq(fake_faults.commits, 2);
	assert_left(0, 2, 1);
}
END_TEST

START_TEST(test_ops_commit_polls)
{
	bring_to(SET_ADDED, 0);
	fake_faults.commit_polls = 2;
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0);
	ck_assert_uint_eq(fake_faults.commits, 3);
}
END_TEST

static void *abort_soon(void *arg)
{
	usleep(200000);
	ck_assert_uint_eq(ops_abort(&c, &set), 0);
	return NULL;
}

START_TEST(test_ops_abort_during_commit)
{
	pthread_t thread;
	int64_t begin = patience_now_ms();

	bring_to(SET_ADDED, 0);
	fake_faults.commit_polls = 100;
	ck_assert_int_eq(pthread_create(&thread, NULL, abort_soon, NULL), 0);
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), FSRVP_E_BAD_STATE);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(patience_now_ms() - begin < 5000);
	assert_left(0, 0, 0);
}
END_TEST

static void *commit_now(void *arg)
{
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), 0);
	return NULL;
}

START_TEST(test_ops_calls_on_a_busy_set)
{
	struct guid copy;
	pthread_t thread;

	bring_to(SET_ADDED, 0);
	fake_faults.commit_polls = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, commit_now, NULL), 0);
	usleep(200000);
	ck_assert_uint_eq(ops_commit(&c, &set, 60000), FSRVP_E_BAD_STATE);
	ck_assert_uint_eq(ops_prepare(&c, &set, 60000), FSRVP_E_BAD_STATE);
	ck_assert_uint_eq(ops_add(&c, &set, "\\\\x\\alpha", &copy), FSRVP_E_BAD_STATE);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_left(0, 2, 1);
}
END_TEST

START_TEST(test_ops_expose_fails)
{
	bring_to(SET_COMMITTED, 0);
	if (_i == 0)
		fake_faults.update_err = -EIO; /* the record cannot be stored: no shares may stay */
	else
		put_file("bin/sharesec", 0755, "#!/bin/sh\nexit 1\n");
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), FSRVP_E_FAIL);
	assert_left(0, 2, 1);
	put_file("bin/sharesec", 0755, "#!/bin/sh\necho 'D:'\n");
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), 0);
	assert_left(3, 2, 1);
}
END_TEST

/* A program as slow as on a busy machine: time is all it takes, up to the method's own limit. */
START_TEST(test_ops_expose_slow_programs)
{
	bring_to(SET_COMMITTED, 0);
	put_file("bin/sharesec", 0755, "#!/bin/sh\nsleep 0.5\necho 'D:'\n");
	ck_assert_uint_eq(ops_expose(&c, &set, 700), FSRVP_E_WAIT_TIMEOUT);
	assert_left(0, 2, 1);
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), 0);
	assert_left(3, 2, 1);
}
END_TEST

START_TEST(test_ops_abort_during_expose)
{
	pthread_t thread;

	bring_to(SET_COMMITTED, 0);
	put_file("bin/sharesec", 0755, "#!/bin/sh\ncase $2 in --view*) exec sleep 1000;; esac\n");
	ck_assert_int_eq(pthread_create(&thread, NULL, abort_soon, NULL), 0);
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), FSRVP_E_BAD_STATE);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_left(0, 0, 0);
}
END_TEST

static void *expose_by_another_agent(void *arg)
{
	const struct exposure x = { .base = "Alpha", .name = arg, .path = "/x" };
	struct patience p = patience_ms(20000);
	struct exposer other;
	intptr_t err = exposer_open(&other, &samba, EXPOSER_REGISTRY, shares_file);

	if (!err) {
		err = exposer_expose(&other, &p, &x, 1);
		exposer_close(&other);
	}
	return (void *)err;
}

/* Two agents for two smbds of one machine, both with the default place for the shares file. */
START_TEST(test_exposer_two_agents)
{
	/* Each finds what it was given, and finds it unchanged a while later. */
	static const char sharesec[] = "#!/bin/sh\nfor name; do :; done\nfile=${1#--configfile=}\n"
				       "case $* in *--viewsddl*) echo D:; exit;; esac\n"
				       "sleep 0.$(($$ % 4))\ngrep -qF \"[$name]\" $file || { echo no $name in $file >&2; exit 1; }\n";
	static const char net[] = "#!/bin/sh\n[ $2 = registry ] || exit 0\nbefore=$(cat $4)\nsleep 0.$(($$ % 4))\n"
				  "case $before in *Alpha@*) [ \"$before\" = \"$(cat $4)\" ] && exit;; esac\n"
				  "echo another file >&2\nexit 1\n";
	pthread_t threads[2];
	void *result;

	put_file("bin/sharesec", 0755, sharesec);
	put_file("bin/net", 0755, net);
	for (int round = 0; round < 5; round++) {
		ck_assert_int_eq(pthread_create(&threads[0], NULL, expose_by_another_agent, (void *)"Alpha@{1}"), 0);
		ck_assert_int_eq(pthread_create(&threads[1], NULL, expose_by_another_agent, (void *)"Alpha@{2}"), 0);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(pthread_join(threads[i], &result), 0);
			ck_assert_int_eq((intptr_t)result, 0);
		}
	}
}
END_TEST

START_TEST(test_ops_seal_fails)
{
	bring_to(SET_EXPOSED, FSRVP_ATTR_AUTO_RECOVERY);
	fake_faults.seal_err = -EIO;
	ck_assert_uint_eq(ops_recovery_complete(&c, &set), FSRVP_E_FAIL);
	fake_faults.seal_polls = 3;
	ck_assert_uint_eq(ops_recovery_complete(&c, &set), 0);
}
END_TEST

START_TEST(test_ops_delete_fails)
{
	bring_to(SET_RECOVERED, 0);
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\alpha"), 0);
	ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
	fake_faults.delete_err = -EIO;
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), FSRVP_E_FAIL);
	assert_left(0, 1, 1);
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
	assert_left(0, 0, 0);
}
END_TEST

static void hold_set(void)
{
	char id[GUID_TEXT_SIZE], name[128];

	guid_format(&set, id);
	snprintf(name, sizeof(name), "vol/.sets/%s.keep", id);
	put_file(name, 0600, "");
}

START_TEST(test_ops_held_set_stays)
{
	bring_to(SET_RECOVERED, 0);
	hold_set();
	ck_assert_uint_eq(delete_mapping(0, "\\\\x\\alpha"), 0);
	ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
	ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
	assert_left(0, 2, 1);
	start_agent(); /* and it is not exposed again */
	assert_left(0, 2, 1);
}
END_TEST

/* ---- time, and a new agent ---- */

START_TEST(test_ops_sequence_timer)
{
	pthread_t keeper;

	cfg.sequence_timeout_s = 1;
	ck_assert_int_eq(pthread_create(&keeper, NULL, agent_keeper, agent), 0);
	bring_to(SET_COMMITTED, FSRVP_CTX_NAS_ROLLBACK);
	assert_left(0, 2, 1);
	usleep(1600000);
	ck_assert_uint_eq(ops_expose(&c, &set, 60000), FSRVP_E_INVALIDARG);
	assert_left(0, 0, 0);
	agent_stop(agent);
	ck_assert_int_eq(pthread_join(keeper, NULL), 0);
}
END_TEST

START_TEST(test_ops_exposed_timeout)
{
	pthread_t keeper;

	cfg.exposed_timeout_s = 1;
	ck_assert_int_eq(pthread_create(&keeper, NULL, agent_keeper, agent), 0);
	bring_to(SET_RECOVERED, _i ? FSRVP_CTX_APP_ROLLBACK : 0);
	usleep(1800000);
	if (_i)
		assert_left(3, 2, 1); /* persistent */
	else
		assert_left(0, 0, 0);
	agent_stop(agent);
	ck_assert_int_eq(pthread_join(keeper, NULL), 0);
}
END_TEST

/* The agent is killed in each state, with each kind of context. */
START_TEST(test_ops_new_agent)
{
	enum set_status status = (enum set_status)(_i / 2 + 1);
	bool persistent = _i % 2;

	if (status == SET_CREATING)
		return;
	bring_to(status, persistent ? FSRVP_CTX_NAS_ROLLBACK : 0);
	start_agent();
	if (persistent && status >= SET_EXPOSED) {
		assert_left(3, 2, 1);
		ck_assert_uint_eq(delete_mapping(0, "\\\\x\\alpha"), 0);
		ck_assert_uint_eq(delete_mapping(1, "\\\\x\\sub"), 0);
		ck_assert_uint_eq(delete_mapping(2, "\\\\x\\beta$"), 0);
	}
	assert_left(0, 0, 0);
	bring_to(SET_ADDED, 0); /* and nothing is in the way of the next */
}
END_TEST

START_TEST(test_ops_shares_come_back)
{
	bring_to(SET_RECOVERED, FSRVP_CTX_NAS_ROLLBACK);
	put_file("shares.conf", 0644, "[Alpha@{stray}]\npath = /x\nkagefs:set = 1\n[other]\npath = /y\n");
	agent_reconcile(agent); /* without a restart, too */
	assert_left(3, 2, 1);
	put_file("shares.conf", 0644, "");
	start_agent();
	assert_left(3, 2, 1);
}
END_TEST

START_TEST(test_ops_snapshots_deleted_behind_our_back)
{
	char path[128];
	const char *argv[] = { "rm", "-rf", "--", path, NULL };

	bring_to(SET_RECOVERED, FSRVP_CTX_NAS_ROLLBACK);
	snprintf(path, sizeof(path), "%s/vol/v1/.snapshots", top);
	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
	agent_reconcile(agent);
	assert_left(1, 1, 1);
	snprintf(path, sizeof(path), "%s/vol/v2/.snapshots", top);
	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
	if (_i == 0)
		agent_reconcile(agent);
	else
		start_agent();
	assert_left(0, 0, 0);
}
END_TEST

START_TEST(test_ops_unreadable_record_is_left_alone)
{
	char id[GUID_TEXT_SIZE], path[160];
	FILE *f;

	bring_to(SET_EXPOSED, 0);
	guid_format(&set, id);
	snprintf(path, sizeof(path), "%s/vol/.sets/%s", top, id);
	f = fopen(path, "r+");
	ck_assert_ptr_nonnull(f);
	fseek(f, (long)offsetof(struct backend_set, record) + 4, SEEK_SET);
	fputc(9, f); /* version */
	fclose(f);
	start_agent();
	assert_left(0, 2, 1);
}
END_TEST

/* ---- dispatch ---- */

static uint32_t dispatch(const struct rpc_caller *who, uint16_t opnum, const char *hex, struct ndr_push *out)
{
	uint8_t stub[256];
	size_t len = from_hex(hex, stub, sizeof(stub));

	ndr_push_init(out);
	return dispatch_call(agent, &token, who, opnum, stub, len, out);
}

static const struct {
	const char *stub;
	size_t answer_bytes;
} calls[FSRVP_NUM_OPS] = {
#define GUID_1 "01020304 0506 0708 090a 0b0c0d0e0f10 "
#define UNC_X "06000000 00000000 06000000 5c00 5c00 7300 5c00 6100 0000 "
	{ "", 12 },
	{ "00000000", 4 },
	{ GUID_1, 20 },
	{ GUID_1 GUID_1 UNC_X, 20 },
	{ GUID_1 "e8030000", 4 },
	{ GUID_1 "e8030000", 4 },
	{ GUID_1, 4 },
	{ GUID_1, 4 },
	{ UNC_X, 12 },
	{ UNC_X, 12 },
	{ GUID_1 GUID_1 UNC_X "01000000", 12 },
	{ GUID_1 GUID_1 UNC_X, 4 },
	{ GUID_1 "e8030000", 4 },
};

/* Each call: denied without rights, denied without RPC authentication, fault on a cut stub, answered otherwise. */
START_TEST(test_dispatch_every_call)
{
	struct rpc_caller none = { .level = RPC_LEVEL_NONE }, sealed = { RPC_LEVEL_PRIVACY, "root", "FS" };
	struct rpc_caller other = { RPC_LEVEL_PRIVACY, "anna", "FS" };
	size_t cut = strlen(calls[_i].stub);
	struct ndr_push out;
	char shorter[512];

	for (int round = 0; round < 3; round++) {
		cfg.require_rpc_auth = round == 1;
		token.uid = round == 0 ? 1000 : 0;
		ck_assert_uint_eq(dispatch(round == 2 ? &other : &none, (uint16_t)_i, calls[_i].stub, &out), 0);
		ck_assert_uint_eq(out.len, calls[_i].answer_bytes);
		for (size_t i = 0; i + 4 < out.len; i++)
			ck_assert_msg(out.data[i] == 0 || (_i == FSRVP_GET_SHARE_MAPPING && i == 0), "byte %zu of the answer", i);
		ck_assert_uint_eq(get_le32(out.data + out.len - 4), FSRVP_E_ACCESSDENIED);
		ndr_push_release(&out);
	}
	cfg.require_rpc_auth = true;
	ck_assert_uint_eq(dispatch(&sealed, (uint16_t)_i, calls[_i].stub, &out), 0);
	ck_assert_uint_ge(out.len, 4);
	ck_assert_uint_ne(get_le32(out.data + out.len - 4), FSRVP_E_ACCESSDENIED);
	ndr_push_release(&out);
	if (cut) {
		snprintf(shorter, sizeof(shorter), "%s", calls[_i].stub);
		while (cut && shorter[cut - 1] == ' ')
			cut--;
		shorter[cut - 2] = '\0'; /* one byte less */
		ck_assert_uint_eq(dispatch(&sealed, (uint16_t)_i, shorter, &out), FAULT_BAD_STUB);
		ck_assert_uint_eq(out.len, 0);
		ndr_push_release(&out);
	}
	snprintf(shorter, sizeof(shorter), "%s 8ae3137102f43671", calls[_i].stub); /* a verification trailer follows */
	ck_assert_uint_eq(dispatch(&sealed, (uint16_t)_i, shorter, &out), 0);
	ndr_push_release(&out);
}
END_TEST

START_TEST(test_dispatch_unknown_call)
{
	struct rpc_caller none = { .level = RPC_LEVEL_NONE };
	struct ndr_push out;

	ck_assert_uint_eq(dispatch(&none, 13, "", &out), FAULT_OP_RANGE);
	ck_assert_uint_eq(dispatch(&none, 0xffff, "", &out), FAULT_OP_RANGE);
}
END_TEST

Suite *make_ops_suite(void)
{
	Suite *s = suite_create("ops");
	TCase *t = tcase_create("ops");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_ops_whole_sequence);
	tcase_add_loop_test(t, test_ops_exposed_section, 0, 2);
	tcase_add_loop_test(t, test_ops_shares, 0, sizeof(shares) / sizeof(shares[0]));
	tcase_add_test(t, test_ops_share_of_a_copy);
	tcase_add_loop_test(t, test_ops_abort_in_every_state, SET_STARTED, SET_STARTED + 1);
	tcase_add_loop_test(t, test_ops_abort_in_every_state, SET_ADDED, SET_ADDED + 1);
	tcase_add_loop_test(t, test_ops_abort_in_every_state, SET_COMMITTED, SET_RECOVERED + 1);
	tcase_add_test(t, test_ops_context_anew_drops_the_set);
	tcase_add_test(t, test_ops_other_client);
	tcase_add_test(t, test_ops_prepare_waits);
	tcase_add_test(t, test_ops_add_after_prepare);
	tcase_add_loop_test(t, test_ops_commit_fails, 0, sizeof(commits) / sizeof(commits[0]));
	tcase_add_test(t, test_ops_many_exposed);
	tcase_add_test(t, test_ops_nested_volume);
	tcase_add_test(t, test_ops_nested_volume_with_a_share);
	tcase_add_test(t, test_ops_nested_volume_outlives_its_share);
	tcase_add_test(t, test_ops_commit_hangs);
	tcase_add_test(t, test_ops_abort_hangs);
	tcase_add_test(t, test_ops_commit_after_restart_of_fs);
	tcase_add_test(t, test_ops_commit_polls);
	tcase_add_test(t, test_ops_abort_during_commit);
	tcase_add_test(t, test_ops_calls_on_a_busy_set);
	tcase_add_loop_test(t, test_ops_expose_fails, 0, 2);
	tcase_add_test(t, test_ops_expose_slow_programs);
	tcase_add_test(t, test_ops_abort_during_expose);
	tcase_add_test(t, test_exposer_two_agents);
	tcase_add_test(t, test_ops_seal_fails);
	tcase_add_test(t, test_ops_delete_fails);
	tcase_add_test(t, test_ops_held_set_stays);
	tcase_add_test(t, test_ops_sequence_timer);
	tcase_add_loop_test(t, test_ops_exposed_timeout, 0, 2);
	tcase_add_loop_test(t, test_ops_new_agent, 0, 12);
	tcase_add_test(t, test_ops_shares_come_back);
	tcase_add_loop_test(t, test_ops_snapshots_deleted_behind_our_back, 0, 2);
	tcase_add_test(t, test_ops_unreadable_record_is_left_alone);
	tcase_add_loop_test(t, test_dispatch_every_call, 0, FSRVP_NUM_OPS);
	tcase_add_test(t, test_dispatch_unknown_call);
	suite_add_tcase(s, t);
	return s;
}
