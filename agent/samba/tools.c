/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Argument vectors. */
#include "agent/samba/tools.h"

#include <stdio.h>
#include <string.h>

#include "agent/child.h"
#include "fs/base/msg.h"

#define ARGS_MAX 8

/* program --configfile=CONF args...; NULL ends args.  0, -EIO when it fails, or -errno. */
static int run(const char *conf, char **out, const char *program, const char *const args[])
{
	const char *argv[ARGS_MAX + 3] = { program };
	CLEANUP_FREE char *conf_arg = NULL;
	size_t n = 2;
	int r;

	if (asprintf(&conf_arg, "--configfile=%s", conf) < 0) {
		conf_arg = NULL;
		return -ENOMEM;
	}
	argv[1] = conf_arg;
	while (*args) {
		KAGEFS_ASSERT(n < ARRAY_SIZE(argv) - 1);
		argv[n++] = *args++;
	}
	r = child_run(argv, TOOLS_TIMEOUT_MS, out);
	if (r > 0) {
		if (out)
			free(steal_ptr(out));
		return -EIO;
	}
	return r;
}

#define RUN(conf, out, program, ...) run(conf, out, program, (const char *const[]){ __VA_ARGS__, NULL })

int samba_config(const struct samba *s, struct conf *out)
{
	const char *argv[] = { "testparm", "--suppress-prompt", s->smb_conf, NULL };
	CLEANUP_FREE char *text = NULL;
	/* The status is of no use: warnings about directories make it 1, the configuration is printed all the same. */
	int r = child_run(argv, TOOLS_TIMEOUT_MS, &text);

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

int samba_global(const struct samba *s, const char *parameter, char **out)
{
	const char *argv[] = { "testparm", "--suppress-prompt", "--parameter-name", parameter, s->smb_conf, NULL };
	int r = child_run(argv, TOOLS_TIMEOUT_MS, out);

	if (r < 0)
		return r;
	(*out)[strcspn(*out, "\r\n")] = '\0';
	return 0;
}

int samba_sd_get(const struct samba *s, const char *conf, const char *share, char **sddl)
{
	int err = RUN(conf ? conf : s->smb_conf, sddl, "sharesec", "--viewsddl", share);

	if (!err)
		(*sddl)[strcspn(*sddl, "\r\n")] = '\0';
	return err;
}

int samba_sd_set(const struct samba *s, const char *conf, const char *share, const char *sddl)
{
	CLEANUP_FREE char *arg = NULL;

	if (asprintf(&arg, "--setsddl=%s", sddl) < 0) {
		arg = NULL;
		return -ENOMEM;
	}
	return RUN(conf ? conf : s->smb_conf, NULL, "sharesec", arg, share);
}

int samba_sd_delete(const struct samba *s, const char *conf, const char *share)
{
	return RUN(conf ? conf : s->smb_conf, NULL, "sharesec", "--delete", share);
}

void samba_reload(const struct samba *s)
{
	(void)RUN(s->smb_conf, NULL, "smbcontrol", "all", "reload-config"); /* see the header */
}

void samba_close_share(const struct samba *s, const char *share)
{
	(void)RUN(s->smb_conf, NULL, "smbcontrol", "smbd", "close-share", share); /* see the header */
}

int samba_registry_list(const struct samba *s, struct conf *out)
{
	CLEANUP_FREE char *text = NULL;
	int err = RUN(s->smb_conf, &text, "net", "conf", "list");

	return err ? err : conf_parse(text, out);
}

int samba_registry_import(const struct samba *s, const char *file, const char *share)
{
	return RUN(s->smb_conf, NULL, "net", "conf", "import", file, share);
}

int samba_registry_delete(const struct samba *s, const char *share)
{
	return RUN(s->smb_conf, NULL, "net", "conf", "delshare", share);
}
