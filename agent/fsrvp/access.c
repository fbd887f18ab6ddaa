/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Token against list. */
#include "agent/fsrvp/access.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "agent/rpc/utf16.h"

static const struct sid built_in[] = {
	{ .authority = 5, .revision = 1, .nsub = 2, .sub = { 32, 544 } }, /* Administrators */
	{ .authority = 5, .revision = 1, .nsub = 2, .sub = { 32, 551 } }, /* Backup Operators */
	{ .authority = 5, .revision = 1, .nsub = 1, .sub = { 18 } },	  /* SYSTEM */
};

int access_allow(struct access_list *l, const char *who)
{
	struct access_entry *e = &l->entries[l->n];
	struct passwd *pw;
	struct group *gr;

	if (l->n == ACCESS_ENTRIES_MAX)
		return -ENOSPC;
	if (strncmp(who, "S-", 2) == 0) {
		if (sid_parse(who, &e->sid) < 0)
			return -EINVAL;
		e->kind = ACCESS_SID;
	} else if (who[0] == '@') {
		gr = getgrnam(who + 1);
		if (!gr)
			return -ENOENT;
		e->kind = ACCESS_GID;
		e->id = gr->gr_gid;
	} else if (!strchr(who, '\\') && (pw = getpwnam(who))) {
		e->kind = ACCESS_UID;
		e->id = pw->pw_uid;
	} else if (*who) {
		e->kind = ACCESS_NAME;
		e->name = strdup(who);
		if (!e->name)
			return -ENOMEM;
	} else {
		return -EINVAL;
	}
	l->n++;
	return 0;
}

void access_release(struct access_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].name);
	memset(l, 0, sizeof(*l));
}

static bool has_sid(const struct npa_token *t, const struct sid *s)
{
	for (uint32_t i = 0; i < t->nsids; i++)
		if (sid_equal(&t->sids[i], s))
			return true;
	return false;
}

static bool has_gid(const struct npa_token *t, uint64_t gid)
{
	if (!t->has_unix)
		return false;
	for (uint32_t i = 0; i < t->ngids; i++)
		if (t->gids[i] == gid)
			return true;
	return t->gid == gid;
}

static bool same(const char *a, const char *b)
{
	return a && b && utf8_casecmp(a, b) == 0;
}

/* name: user or DOMAIN\user. */
static bool is_named(const struct npa_token *t, const char *name)
{
	const char *slash = strchr(name, '\\');
	size_t len = slash ? (size_t)(slash - name) : 0;
	CLEANUP_FREE char *domain = slash ? strndup(name, len) : NULL;

	if (!slash)
		return same(t->account, name);
	return same(t->domain, domain) && same(t->account, slash + 1);
}

static bool matches(const struct access_entry *e, const struct npa_token *t)
{
	switch (e->kind) {
	case ACCESS_SID:
		return has_sid(t, &e->sid);
	case ACCESS_UID:
		return t->has_unix && t->uid == e->id;
	case ACCESS_GID:
		return has_gid(t, e->id);
	case ACCESS_NAME:
		return is_named(t, e->name);
	}
	return false;
}

bool access_granted(const struct access_list *l, const struct npa_token *t)
{
	if (!t->authenticated || !t->account || !*t->account)
		return false;
	if ((t->has_unix && t->uid == 0) || (t->privileges & NPA_PRIV_BACKUP))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (has_sid(t, &built_in[i]))
			return true;
	for (size_t i = 0; i < l->n; i++)
		if (matches(&l->entries[i], t))
			return true;
	return false;
}

bool access_same_account(const struct npa_token *t, const struct rpc_caller *who)
{
	if (!same(t->account, who->user))
		return false;
	/* "winbind use default domain" makes ntlm_auth leave the domain away. */
	return !who->domain || !*who->domain || same(t->domain, who->domain);
}
