/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a UNC to a directory of the file system.  The server's name is never resolved or contacted: whoever reached this
 * pipe means this server, and a foreign name must not make us call anybody. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/fsrvp/errmap.h"
#include "agent/fsrvp/ops.h"
#include "fs/base/msg.h"

int share_parse_unc(const char *unc, char **server, char **share)
{
	size_t len = strlen(unc), server_len, share_len;

	*share = NULL;
	if (server)
		*server = NULL;
	if (len > OPS_UNC_BYTES_MAX)
		return -ENAMETOOLONG;
	if (strncmp(unc, "\\\\", 2) != 0)
		return -EINVAL;
	unc += 2;
	server_len = strcspn(unc, "\\");
	if (server_len == 0 || unc[server_len] == '\0')
		return -EINVAL;
	share_len = strcspn(unc + server_len + 1, "\\");
	/* At most one backslash after the share: diskshadow adds it. */
	if (share_len == 0 || strlen(unc + server_len + 1 + share_len) > 1)
		return -EINVAL;
	*share = strndup(unc + server_len + 1, share_len);
	if (server && *share)
		*server = strndup(unc, server_len);
	if (!*share || (server && !*server)) {
		free(steal_ptr(share));
		return -ENOMEM;
	}
	return 0;
}

/* A section that is a share somebody can connect to, and whose path is fixed. */
static int check_section(const struct conf_section *s)
{
	const char *available = conf_get(s, "available"), *path = conf_get(s, "path");

	if (strcasecmp(s->name, "global") == 0 || (available && strcasecmp(available, "no") == 0))
		return -ENOENT;
	if (conf_get(s, EXPOSER_SET_KEY)) /* a shadow copy itself */
		return -EOPNOTSUPP;
	if (!path || path[0] != '/' || strchr(path, '%') || !conf_value_ok(path))
		return -EOPNOTSUPP;
	return 0;
}

int share_find(struct agent *a, const char *unc, struct share_place *out)
{
	CLEANUP_FREE char *name = NULL;
	const struct conf_section *s;
	struct patience p = agent_patience_unclaimed(a, AGENT_CALL_MS_MAX);
	struct conf conf = { 0, NULL };
	const char *force_user;
	int err;

	memset(out, 0, sizeof(*out));
	err = share_parse_unc(unc, NULL, &name);
	if (!err)
		err = samba_config(&a->samba, &p, &conf);
	if (err)
		return err;
	s = conf_find(&conf, name);
	err = s ? check_section(s) : -ENOENT;
	if (!err) {
		force_user = conf_get(s, "force user");
		out->share = strdup(s->name);
		out->force_user = force_user ? strdup(force_user) : NULL;
		if (!out->share || (force_user && !out->force_user))
			err = -ENOMEM;
	}
	if (!err) {
		p = agent_patience_unclaimed(a, AGENT_FS_MS);
		err = backend_locate(a->backend, conf_get(s, "path"), &p, &out->place);
		if (err == -ENOENT) /* the share is there, its directory is not */
			err = -EOPNOTSUPP;
	}
	/* '%' would be expanded by Samba in the path of the exposed share. */
	if (!err && (out->place.snapshot || strchr(out->place.root, '%') || strchr(out->place.rel, '%')))
		err = -EOPNOTSUPP;
	conf_release(&conf);
	if (err)
		share_place_release(out);
	return err;
}

void share_place_release(struct share_place *p)
{
	free(p->share);
	free(p->force_user);
	backend_place_release(&p->place);
	memset(p, 0, sizeof(*p));
}

uint32_t share_result(struct agent *a, int err)
{
	return err == -ENOENT ? machine_no_share(&a->machine) : errmap_result(err);
}
