/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Samba's own programs, one function each.  All block for as long as the program runs and the patience lasts.  -EIO: the
 * program failed, and the log says how. */
#ifndef AGENT_SAMBA_TOOLS_H
#define AGENT_SAMBA_TOOLS_H

#include "agent/patience.h"
#include "agent/samba/conf.h"

struct samba {
	const char *smb_conf; /* borrowed */
};

/* The whole configuration as testparm prints it, registry shares included. */
int samba_config(const struct samba *s, const struct patience *p, struct conf *out) MUST_USE;
/* One effective value of [global]; owned by the caller. */
int samba_global(const struct samba *s, const struct patience *p, const char *parameter, char **out) MUST_USE;
/* Share permissions as SDDL.  conf: a configuration that knows the share; NULL: Samba's own. */
int samba_sd_get(const struct samba *s, const struct patience *p, const char *conf, const char *share, char **sddl) MUST_USE;
int samba_sd_set(const struct samba *s, const struct patience *p, const char *conf, const char *share, const char *sddl) MUST_USE;
/* A descriptor that is not there is fine, one that stays is harmless. */
void samba_sd_delete(const struct samba *s, const struct patience *p, const char *conf, const char *share);
/* Make running servers read their configuration anew; disconnect everybody from a share.  Without a running smbd there
 * is nobody to tell; so failures are logged at LOG_DEBUG only. */
void samba_reload(const struct samba *s, const struct patience *p);
void samba_close_share(const struct samba *s, const struct patience *p, const char *share);
/* Registry shares.  Import takes a file of conf_format_registry, in one transaction: all of it is there at one instant, or
 * nothing of it.  (`net conf import` makes one transaction for each share.) */
int samba_registry_list(const struct samba *s, const struct patience *p, struct conf *out) MUST_USE;
int samba_registry_import(const struct samba *s, const struct patience *p, const char *file) MUST_USE;
int samba_registry_delete(const struct samba *s, const struct patience *p, const char *share) MUST_USE;

#endif
