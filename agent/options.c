/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table for the command line, the configuration file and the help text. */
#include "agent/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "agent/samba/conf.h"

#define SECTION "fsrvpd"
#define DEFAULT_CONFIG "/etc/kagefs/fsrvpd.conf"
#define SECONDS_MAX 31536000ul

struct entry {
	const char *name;
	char letter;	      /* or 0 */
	const char *argument; /* NULL: none */
	const char *help;
	int (*set)(struct options *o, const char *value);
};

static int set_string(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int parse_seconds(const char *value, unsigned long min, uint32_t *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(value, &end, 10);
	if (errno || end == value || *end || v < min || v > SECONDS_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int parse_bool(const char *value, bool *out)
{
	if (strcmp(value, "yes") == 0)
		*out = true;
	else if (strcmp(value, "no") == 0)
		*out = false;
	else
		return -EINVAL;
	return 0;
}

static int set_foreground(struct options *o, const char *value)
{
	o->foreground = true;
	return 0;
}

static int set_debug(struct options *o, const char *value)
{
	o->debug = true;
	return 0;
}

static int set_config(struct options *o, const char *value)
{
	return 0; /* was read in a first pass */
}

static int set_smb_conf(struct options *o, const char *value)
{
	char *path = realpath(value, NULL); /* the daemon leaves this directory */

	if (!path)
		return -errno;
	free(o->smb_conf);
	o->smb_conf = path;
	return 0;
}

static int set_ncalrpc_dir(struct options *o, const char *value)
{
	return set_string(&o->ncalrpc_dir, value);
}

static int set_shares_file(struct options *o, const char *value)
{
	return value[0] == '/' ? set_string(&o->shares_file, value) : -EINVAL;
}

static int set_ntlm_auth(struct options *o, const char *value)
{
	return set_string(&o->ntlm_auth, value);
}

static int set_expose(struct options *o, const char *value)
{
	o->expose_auto = strcmp(value, "auto") == 0;
	if (o->expose_auto || strcmp(value, "include") == 0)
		o->expose = EXPOSER_INCLUDE;
	else if (strcmp(value, "registry") == 0)
		o->expose = EXPOSER_REGISTRY;
	else
		return -EINVAL;
	return 0;
}

static int set_profile(struct options *o, const char *value)
{
	if (strcmp(value, "samba") == 0)
		o->agent.profile = MACHINE_SAMBA;
	else if (strcmp(value, "spec") == 0)
		o->agent.profile = MACHINE_SPEC;
	else
		return -EINVAL;
	return 0;
}

static int set_require_rpc_auth(struct options *o, const char *value)
{
	return parse_bool(value, &o->agent.require_rpc_auth);
}

static int set_allow(struct options *o, const char *value)
{
	return access_allow(&o->agent.access, value);
}

static int set_sequence_timeout(struct options *o, const char *value)
{
	return parse_seconds(value, 0, &o->agent.sequence_timeout_s);
}

static int set_commit_limit(struct options *o, const char *value)
{
	uint32_t seconds;
	int err = parse_seconds(value, 1, &seconds);

	if (err || seconds > 170)
		return -EINVAL;
	o->agent.commit_limit_ms = seconds * 1000;
	return 0;
}

static int set_exposed_timeout(struct options *o, const char *value)
{
	return parse_seconds(value, 0, &o->agent.exposed_timeout_s);
}

static int set_reconcile(struct options *o, const char *value)
{
	return parse_seconds(value, 1, &o->agent.reconcile_s);
}

static const struct entry table[] = {
	{ "foreground", 'f', NULL, "stay in the foreground, log to standard error", set_foreground },
	{ "config", 0, "FILE", "options from section [" SECTION "] of FILE (" DEFAULT_CONFIG " if it is there)", set_config },
	{ "smb-conf", 0, "FILE", "Samba's configuration (/etc/samba/smb.conf)", set_smb_conf },
	{ "ncalrpc-dir", 0, "DIR", "serve the pipe in DIR/np (what smb.conf says)", set_ncalrpc_dir },
	{ "expose", 0, "auto|registry|include", "how Samba learns of shares (auto: registry if it has registry shares)",
	  set_expose },
	{ "shares-file", 0, "FILE", "file that smb.conf includes (/var/lib/kagefs/fsrvp-shares.conf)", set_shares_file },
	{ "require-rpc-auth", 0, "yes|no", "refuse calls that are not signed or sealed at the RPC level (yes)",
	  set_require_rpc_auth },
	{ "ntlm-auth", 0, "PROGRAM", "checks NTLM logons (ntlm_auth)", set_ntlm_auth },
	{ "allow", 0, "WHO", "a SID, a user, DOMAIN\\user or @group that may call; may be repeated", set_allow },
	{ "sequence-timeout", 0, "SECONDS", "silence after which a set in progress is deleted (0: 180 or 1800, by call)",
	  set_sequence_timeout },
	{ "commit-limit", 0, "SECONDS", "a commit not durable by then is revoked (10)", set_commit_limit },
	{ "exposed-timeout", 0, "SECONDS", "life of exposed sets that are not persistent (86400; 0: for ever)",
	  set_exposed_timeout },
	{ "reconcile-interval", 0, "SECONDS", "how often shares, sets and snapshots are compared (60)", set_reconcile },
	{ "profile", 0, "samba|spec", "result codes as Samba's clients or as the specification expect (samba)", set_profile },
	{ "debug", 0, NULL, "log every call", set_debug },
	{ "help", 'h', NULL, "print this", NULL },
	{ "version", 'V', NULL, "print the version", NULL },
};
#define NENTRIES ARRAY_SIZE(table)
#define LONG_BASE 256

static void print_help(void)
{
	printf("usage: kagefs-fsrvpd [OPTION]...\n"
	       "File Server Remote VSS agent: shadow copies of Samba shares that live on kagefs.\n\n");
	for (size_t i = 0; i < NENTRIES; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%c%s--%s%s%s", table[i].letter ? "-" : " ",
			 table[i].letter ? table[i].letter : ' ', table[i].letter ? ", " : "  ", table[i].name,
			 table[i].argument ? " " : "", table[i].argument ? table[i].argument : "");
		printf("  %-38s %s\n", left, table[i].help);
	}
}

static int apply(struct options *o, const struct entry *e, const char *value)
{
	int err = e->set(o, value);

	if (err)
		fprintf(stderr, "kagefs-fsrvpd: %s: bad value \"%s\": %s\n", e->name, value ? value : "", strerror(-err));
	return err ? -EINVAL : 0;
}

static int apply_config(struct options *o, const struct conf *c)
{
	const struct conf_section *s = conf_find(c, SECTION);
	int err = 0;

	for (size_t i = 0; s && i < s->nparams && !err; i++) {
		size_t e = 0;

		while (e < NENTRIES && (strcmp(table[e].name, s->params[i].key) != 0 || !table[e].argument))
			e++;
		if (e == NENTRIES || table[e].set == set_config) {
			fprintf(stderr, "kagefs-fsrvpd: unknown option in the configuration file: %s\n", s->params[i].key);
			return -EINVAL;
		}
		/* A key can stand only once; "allow" takes several names, separated by commas. */
		if (table[e].set == set_allow) {
			char *rest = s->params[i].value, *who;

			while (!err && (who = strsep(&rest, ","))) {
				size_t len;

				who += strspn(who, " \t");
				len = strlen(who);
				while (len && (who[len - 1] == ' ' || who[len - 1] == '\t'))
					who[--len] = '\0';
				err = apply(o, &table[e], who);
			}
		} else {
			err = apply(o, &table[e], s->params[i].value);
		}
	}
	return err;
}

static int read_config(struct options *o, const char *path)
{
	struct conf c;
	int err = conf_load(path, &c);

	if (err) {
		fprintf(stderr, "kagefs-fsrvpd: %s: %s\n", path, strerror(-err));
		return -EINVAL;
	}
	err = apply_config(o, &c);
	conf_release(&c);
	return err;
}

static int set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	o->expose_auto = true;
	o->agent.require_rpc_auth = true;
	o->agent.commit_limit_ms = 10000;
	o->agent.exposed_timeout_s = 86400;
	o->agent.reconcile_s = 60;
	if (set_string(&o->smb_conf, "/etc/samba/smb.conf") < 0 ||
	    set_string(&o->shares_file, "/var/lib/kagefs/fsrvp-shares.conf") < 0 || set_string(&o->ntlm_auth, "ntlm_auth") < 0)
		return -ENOMEM;
	return 0;
}

/* config_only: the first pass, which looks for --config and nothing else; the command line wins over the file. */
static int parse_line(struct options *o, int argc, char **argv, const struct option *longs, bool config_only)
{
	bool have_config = false;
	int c, err = 0;

	optind = 0;
	opterr = !config_only;
	while (!err && (c = getopt_long(argc, argv, "fhV", longs, NULL)) != -1) {
		size_t i = c >= LONG_BASE ? (size_t)(c - LONG_BASE) : 0;

		if (c == '?') {
			if (config_only)
				continue;
			return -EINVAL;
		}
		while (c < LONG_BASE && table[i].letter != c)
			i++;
		if (config_only) {
			if (table[i].set == set_config) {
				have_config = true;
				err = read_config(o, optarg);
			}
		} else if (table[i].set) {
			err = apply(o, &table[i], optarg);
		} else if (table[i].letter == 'h') {
			print_help();
			return 1;
		} else {
			printf("kagefs-fsrvpd %s\n", KAGEFS_VERSION);
			return 1;
		}
	}
	if (!err && config_only && !have_config && access(DEFAULT_CONFIG, F_OK) == 0)
		err = read_config(o, DEFAULT_CONFIG);
	if (!err && !config_only && optind < argc) {
		fprintf(stderr, "kagefs-fsrvpd: unexpected argument: %s\n", argv[optind]);
		return -EINVAL;
	}
	return err;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct option longs[NENTRIES + 1];
	int err = set_defaults(o);

	memset(longs, 0, sizeof(longs));
	for (size_t i = 0; i < NENTRIES; i++)
		longs[i] = (struct option){ table[i].name, table[i].argument ? required_argument : no_argument, NULL,
					    LONG_BASE + (int)i };
	if (!err)
		err = parse_line(o, argc, argv, longs, true);
	if (!err)
		err = parse_line(o, argc, argv, longs, false);
	if (err)
		options_release(o);
	return err;
}

void options_release(struct options *o)
{
	free(o->smb_conf);
	free(o->ncalrpc_dir);
	free(o->shares_file);
	free(o->ntlm_auth);
	access_release(&o->agent.access);
	memset(o, 0, sizeof(*o));
}
