/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Argument vectors. */
#include "agent/samba/tools.h"

#include <stdio.h>
#include <string.h>

#include "agent/child.h"
#include "fs/base/msg.h"

#define ARGS_MAX 8

/* program --configfile=CONF args...; NULL ends args.  0, -EIO when it fails, or -errno. */
static int run(const struct samba *s, const struct patience *p, const char *conf, enum child_flags flags, char **out,
	       const char *program, const char *const args[])
{
	const char *argv[ARGS_MAX + 3] = { program };
	CLEANUP_FREE char *conf_arg = NULL;
	size_t n = 2;
	int r;

	if (asprintf(&conf_arg, "--configfile=%s", conf ? conf : s->smb_conf) < 0) {
		conf_arg = NULL;
		return -ENOMEM;
	}
	argv[1] = conf_arg;
	while (*args) {
		KAGEFS_ASSERT(n < ARRAY_SIZE(argv) - 1);
		argv[n++] = *args++;
	}
	r = child_run(argv, *p, flags, out);
	if (r > 0) {
		if (out)
			free(steal_ptr(out));
		return -EIO;
	}
	return r;
}

#define RUN(conf, out, program, ...) run(s, p, conf, 0, out, program, (const char *const[]){ __VA_ARGS__, NULL })
#define TRY(conf, program, ...) run(s, p, conf, CHILD_MAY_FAIL, NULL, program, (const char *const[]){ __VA_ARGS__, NULL })

int samba_config(const struct samba *s, const struct patience *p, struct conf *out)
{
	const char *argv[] = { "testparm", "--suppress-prompt", s->smb_conf, NULL };
	CLEANUP_FREE char *text = NULL;
	/* The status is of no use: warnings about directories make it 1, the configuration is printed all the same. */
	int r = child_run(argv, *p, CHILD_OUTPUT_COUNTS, &text);

	if (r < 0)
		return r;
	r = conf_parse(text, out);
	if (!r && !conf_find(out, "global")) {
		msg(LOG_ERR, "testparm prints no configuration: file=%s", s->smb_conf);
		conf_release(out);
		return -EIO;
	}
	return r;
}

int samba_global(const struct samba *s, const struct patience *p, const char *parameter, char **out)
{
	const char *argv[] = { "testparm", "--suppress-prompt", "--parameter-name", parameter, s->smb_conf, NULL };
	int r = child_run(argv, *p, CHILD_OUTPUT_COUNTS, out);

	if (r < 0)
		return r;
	(*out)[strcspn(*out, "\r\n")] = '\0';
	return 0;
}

int samba_sd_get(const struct samba *s, const struct patience *p, const char *conf, const char *share, char **sddl)
{
	int err = RUN(conf, sddl, "sharesec", "--viewsddl", share);

	if (!err)
		(*sddl)[strcspn(*sddl, "\r\n")] = '\0';
	return err;
}

int samba_sd_set(const struct samba *s, const struct patience *p, const char *conf, const char *share, const char *sddl)
{
	CLEANUP_FREE char *arg = NULL;

	if (asprintf(&arg, "--setsddl=%s", sddl) < 0) {
		arg = NULL;
		return -ENOMEM;
	}
	return RUN(conf, NULL, "sharesec", arg, share);
}

void samba_sd_delete(const struct samba *s, const struct patience *p, const char *conf, const char *share)
{
	(void)TRY(conf, "sharesec", "--delete", share); /* see the header */
}

void samba_reload(const struct samba *s, const struct patience *p)
{
	(void)TRY(NULL, "smbcontrol", "all", "reload-config"); /* see the header */
}

void samba_close_share(const struct samba *s, const struct patience *p, const char *share)
{
	(void)TRY(NULL, "smbcontrol", "smbd", "close-share", share); /* see the header */
}

int samba_registry_list(const struct samba *s, const struct patience *p, struct conf *out)
{
	CLEANUP_FREE char *text = NULL;
	int err = RUN(NULL, &text, "net", "conf", "list");

	return err ? err : conf_parse(text, out);
}

int samba_registry_import(const struct samba *s, const struct patience *p, const char *file)
{
	return RUN(NULL, NULL, "net", "registry", "import", file);
}

int samba_registry_delete(const struct samba *s, const struct patience *p, const char *share)
{
	return RUN(NULL, NULL, "net", "conf", "delshare", share);
}
