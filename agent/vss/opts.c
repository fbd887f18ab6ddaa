/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/opts.h"

#include <assert.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/out.h"

#define SECONDS_MAX 86400u /* a day: no wait is sensibly longer, and milliseconds of it fit in 32 bits */

static const struct verb_info {
	enum verb verb;
	const char *name, *args, *summary;
	int min_args;
} verbs[] = {
	{VERB_BACKUP, "backup", "[--recover CMD] --exec CMD //SERVER/SHARE...",
	 "make copies of the shares, run the commands on them, delete them", 1},
	{VERB_CREATE, "create", "[--expose] //SERVER/SHARE...", "make a set of copies and leave it", 1},
	{VERB_EXPOSE, "expose", "SET [//SERVER]", "make the copies of a created set reachable as shares", 1},
	{VERB_COMPLETE, "complete", "SET [//SERVER]", "end the recovery phase: the copies become read-only for good", 1},
	{VERB_DELETE, "delete", "SET [//SERVER/SHARE@{COPY}...]", "delete a set or some of its copies", 1},
	{VERB_ABORT, "abort", "SET [//SERVER]", "give up a set that is still in progress", 1},
	{VERB_LIST, "list", "", "show the sets made from here and ask the servers how they are", 0},
	{VERB_PROBE, "probe", "//SERVER/SHARE...", "ask what the server's agent can do for the shares", 1},
};

#define VERBS_SETS (VERB_BACKUP | VERB_CREATE)
#define VERBS_ALL 0xff

struct choice {
	const char *name;
	uint32_t value;
};
static const struct choice levels[] = {
	{"none", RPC_LEVEL_NONE}, {"sign", RPC_LEVEL_SIGN}, {"seal", RPC_LEVEL_SEAL}, {NULL, 0}};
static const struct choice mechs[] = {
	{"spnego", RPC_MECH_SPNEGO}, {"ntlm", RPC_MECH_NTLM}, {"krb5", RPC_MECH_KRB5}, {NULL, 0}};
static const struct choice encrypts[] = {
	{"default", RPC_ENCRYPT_DEFAULT}, {"off", RPC_ENCRYPT_OFF}, {"required", RPC_ENCRYPT_REQUIRED}, {NULL, 0}};
static const struct choice kerberoses[] = {
	{"no", KERBEROS_NO}, {"auto", KERBEROS_AUTO}, {"required", KERBEROS_REQUIRED}, {NULL, 0}};
static const struct choice contexts[] = {{"backup", FSRVP_CTX_BACKUP},
					 {"file-share-backup", FSRVP_CTX_FILE_SHARE_BACKUP},
					 {"nas-rollback", FSRVP_CTX_NAS_ROLLBACK},
					 {"app-rollback", FSRVP_CTX_APP_ROLLBACK},
					 {NULL, 0}};

enum kind { K_STRING, K_SECONDS, K_PORT, K_CHOICE, K_FLAG, K_RECOVERY, K_HELP, K_VERSION };

static const struct option_info {
	const char *name;
	enum kind kind;
	size_t offset;	 /* in struct opts */
	const void *data; /* K_CHOICE: the choices */
	uint32_t value;	 /* K_RECOVERY */
	int verbs;
	const char *arg, *help;
} options[] = {
#define AT(member) offsetof(struct opts, member)
	{"recover", K_STRING, AT(recover), NULL, 0, VERB_BACKUP, "CMD",
	 "run while the copies are writable; implies --auto-recover"},
	{"exec", K_STRING, AT(exec), NULL, 0, VERB_BACKUP, "CMD", "run on the finished, read-only copies"},
	{"keep", K_FLAG, AT(keep), NULL, 0, VERB_BACKUP, NULL, "leave the copies (persistent contexts only)"},
	{"expose", K_FLAG, AT(expose), NULL, 0, VERB_CREATE, NULL, "expose the copies at once"},
	{"context", K_CHOICE, AT(context), contexts, 0, VERBS_SETS, "NAME",
	 "backup, file-share-backup (both end with their user), nas-rollback, app-rollback (persistent)"},
	{"auto-recover", K_RECOVERY, 0, NULL, FSRVP_ATTR_AUTO_RECOVERY, VERBS_SETS, NULL,
	 "copies are writable until completed"},
	{"read-only", K_RECOVERY, 0, NULL, 0, VERBS_SETS, NULL, "copies are read-only from the start (default)"},
	{"no-auto-recover", K_RECOVERY, 0, NULL, FSRVP_ATTR_NO_AUTO_RECOVERY, VERBS_SETS, NULL,
	 "the same, said with the protocol's own attribute (Samba's agent refuses it)"},
	{"wait", K_SECONDS, AT(wait_s), NULL, 0, VERBS_SETS, "SECONDS", "wait for another requester's set to end (0)"},
	{"keepalive", K_SECONDS, AT(keepalive_s), NULL, 0, VERB_BACKUP, "SECONDS",
	 "touch the set while the recovery command runs (300)"},
	{"follow-owner", K_FLAG, AT(follow_owner), NULL, 0, VERBS_SETS, NULL,
	 "go to the machine the server names as the share's owner (clusters)"},
	{"timeout-prepare", K_SECONDS, AT(prepare_s), NULL, 0, VERBS_SETS, "SECONDS", "limit told to the agent (1800)"},
	{"timeout-commit", K_SECONDS, AT(commit_s), NULL, 0, VERBS_SETS, "SECONDS", "limit told to the agent (60)"},
	{"timeout-expose", K_SECONDS, AT(expose_s), NULL, 0, VERBS_SETS | VERB_EXPOSE | VERB_DELETE | VERB_ABORT,
	 "SECONDS", "limit told to the agent (1800)"},
	{"timeout-call", K_SECONDS, AT(call_s), NULL, 0, VERBS_ALL, "SECONDS", "wait for one answer (180)"},
	{"timeout-cleanup", K_SECONDS, AT(cleanup_s), NULL, 0, VERBS_SETS | VERB_DELETE | VERB_ABORT, "SECONDS",
	 "keep trying to remove a set when the connection is broken (60)"},
	{"user", K_STRING, AT(creds.user), NULL, 0, VERBS_ALL, "NAME", "[DOMAIN\\]NAME or NAME@REALM, without password"},
	{"authfile", K_STRING, AT(creds.authfile), NULL, 0, VERBS_ALL, "FILE",
	 "lines username=, password=, domain=; also from the environment: USER, PASSWD, PASSWD_FILE, PASSWD_FD"},
	{"kerberos", K_CHOICE, AT(creds.kerberos), kerberoses, 0, VERBS_ALL, "HOW", "no (default), auto, required"},
	{"keytab", K_STRING, AT(creds.keytab), NULL, 0, VERBS_ALL, "FILE", "get a ticket for --user with it"},
	{"ccache", K_STRING, AT(creds.ccache), NULL, 0, VERBS_ALL, "NAME", "use the tickets in it"},
	{"auth", K_CHOICE, AT(level), levels, 0, VERBS_ALL, "LEVEL", "protection of the calls: none, sign (default), seal"},
	{"auth-type", K_CHOICE, AT(mech), mechs, 0, VERBS_ALL, "TYPE", "spnego (default), ntlm, krb5"},
	{"smb-encrypt", K_CHOICE, AT(smb_encrypt), encrypts, 0, VERBS_ALL, "HOW", "default, off, required"},
	{"smb-conf", K_STRING, AT(smb_conf), NULL, 0, VERBS_ALL, "FILE", "settings of the SMB client; the system's otherwise"},
	{"port", K_PORT, AT(port), NULL, 0, VERBS_ALL, "N", "TCP port of the server (445)"},
	{"offline", K_FLAG, AT(offline), NULL, 0, VERB_LIST, NULL, "do not ask the servers"},
	{"prune", K_FLAG, AT(prune), NULL, 0, VERB_LIST, NULL, "forget the sets whose copies are all gone"},
	{"json", K_FLAG, AT(json), NULL, 0, VERBS_ALL, NULL, "machine-readable output on stdout"},
	{"verbose", K_FLAG, AT(verbose), NULL, 0, VERBS_ALL, NULL, "tell each step with its duration on stderr"},
	{"help", K_HELP, 0, NULL, 0, VERBS_ALL, NULL, NULL},
	{"version", K_VERSION, 0, NULL, 0, VERBS_ALL, NULL, NULL},
#undef AT
};

const char *verb_name(enum verb v)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].verb == v)
			return verbs[i].name;
	return "?";
}

static void print_help(int verb_mask)
{
	printf("Shadow copies of SMB shares through the server's FSRVP agent.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].verb & verb_mask)
			printf("kagefs-vss %s%s%s\n    %s\n", verbs[i].name, verbs[i].args[0] ? " " : "", verbs[i].args,
			       verbs[i].summary);
	printf("\nOptions:\n");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if ((options[i].verbs & verb_mask) && options[i].help)
			printf("  --%s%s%s\n        %s\n", options[i].name, options[i].arg ? " " : "",
			       options[i].arg ? options[i].arg : "", options[i].help);
	printf("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 done but something was left or missing.\n");
}

static int usage(const char *object, const char *reason)
{
	out_error(object, "see kagefs-vss --help", "%s", reason);
	return EXIT_USAGE;
}

static int read_unsigned(unsigned *out, const char *text, unsigned max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || v > max)
		return -EINVAL;
	*out = (unsigned)v;
	return 0;
}

static int read_choice(void *out, const struct choice *c, const char *text)
{
	for (; c->name; c++)
		if (strcmp(c->name, text) == 0) {
			memcpy(out, &c->value, sizeof(c->value)); /* an enum or a u32, both 4 bytes */
			return 0;
		}
	return -EINVAL;
}
static_assert(sizeof(enum rpc_level) == sizeof(uint32_t), "read_choice writes 4 bytes");

static int apply(struct opts *o, const struct option_info *i, const char *value)
{
	void *member = (char *)o + i->offset;

	switch (i->kind) {
	case K_STRING:
		*(const char **)member = value;
		return 0;
	case K_SECONDS:
		return read_unsigned(member, value, SECONDS_MAX);
	case K_PORT:
		return read_unsigned(member, value, 65535);
	case K_CHOICE:
		return read_choice(member, i->data, value);
	case K_FLAG:
		*(bool *)member = true;
		return 0;
	case K_RECOVERY:
		if (o->recovery_given && o->recovery != i->value)
			return -EEXIST;
		o->recovery = i->value;
		o->recovery_given = true;
		return 0;
	case K_HELP:
	case K_VERSION:
		return 0;
	}
	return -EINVAL;
}

/* Rules that bind several options. */
static int check_rules(struct opts *o, const struct verb_info *v)
{
	if (o->nargs < v->min_args)
		return usage(v->name, "too few arguments");
	if (v->args[0] == 0 && o->nargs)
		return usage(o->args[0], "unexpected argument");
	if (o->verb == VERB_BACKUP && !o->exec && !o->recover)
		return usage("--exec", "nothing to do with the copies");
	if (o->recover && o->recovery_given && o->recovery != FSRVP_ATTR_AUTO_RECOVERY)
		return usage("--recover", "the recovery command needs writable copies, so no read-only option");
	if (o->recover)
		o->recovery = FSRVP_ATTR_AUTO_RECOVERY;
	if (o->keep && !(o->context & FSRVP_ATTR_PERSISTENT))
		return usage("--keep", "copies of this context do not stay; use nas-rollback or app-rollback");
	if (o->mech == RPC_MECH_KRB5 && o->creds.kerberos == KERBEROS_NO)
		o->creds.kerberos = KERBEROS_REQUIRED;
	return EXIT_OK;
}

static int parse_options(struct opts *o, const struct verb_info *v, int argc, char **argv, bool *done)
{
	struct option longs[ARRAY_SIZE(options) + 1] = {{0}};
	int index, c;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		longs[i] = (struct option){options[i].name, options[i].arg ? required_argument : no_argument, NULL, 1};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, &index)) != -1) {
		if (c == ':')
			return usage(argv[optind - 1], "needs a value");
		if (c != 1)
			return usage(argv[optind - 1], "unknown option");
		const struct option_info *i = &options[index];
		if (i->kind == K_HELP) {
			print_help(v ? (int)v->verb : VERBS_ALL);
			*done = true;
			return EXIT_OK;
		}
		if (i->kind == K_VERSION) {
			printf("kagefs-vss %s\n", KAGEFS_VERSION);
			*done = true;
			return EXIT_OK;
		}
		if (!v || !(i->verbs & (int)v->verb))
			return usage(argv[optind - 1], "not an option of this command");
		int r = apply(o, i, optarg);
		if (r == -EEXIST)
			return usage(i->name, "contradicts an earlier option");
		if (r < 0)
			return usage(i->name, "not a valid value");
	}
	return EXIT_OK;
}

int opts_parse(struct opts *o, int argc, char **argv, bool *done)
{
	const struct verb_info *v = NULL;

	*done = false;
	*o = (struct opts){.level = RPC_LEVEL_SIGN,
			   .prepare_s = 1800, /* what Windows' requesters send (MS-FSRVP notes 11 to 13) */
			   .commit_s = 60,
			   .expose_s = 1800,
			   .call_s = 180,
			   .cleanup_s = 60,
			   .keepalive_s = 300};
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			v = &verbs[i];
	if (argc > 1 && strcmp(argv[1], "help") == 0)
		argv[1] = (char *)"--help";
	if (argc < 2)
		return usage("command", "missing");
	if (!v && argv[1][0] != '-')
		return usage(argv[1], "unknown command");
	if (v)
		out_init(v->name, false);
	int r = parse_options(o, v, argc - (v ? 1 : 0), argv + (v ? 1 : 0), done);
	if (r != EXIT_OK || *done)
		return r;
	if (!v)
		return usage("command", "missing");
	o->verb = v->verb;
	o->args = argv + 1 + optind;
	o->nargs = argc - 1 - optind;
	return check_rules(o, v);
}
