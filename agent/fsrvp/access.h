/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may call ([MS-FSRVP] 3.1.4, note 4): judged from the token that smbd made of the client. */
#ifndef AGENT_FSRVP_ACCESS_H
#define AGENT_FSRVP_ACCESS_H

#include "agent/np/npa.h"
#include "agent/rpc/assoc.h"

#define ACCESS_ENTRIES_MAX 256

enum access_kind { ACCESS_SID, ACCESS_UID, ACCESS_GID, ACCESS_NAME };

struct access_entry {
	enum access_kind kind;
	struct sid sid;
	uint64_t id;
	char *name; /* user, or DOMAIN\user; owned */
};

struct access_list {
	size_t n;
	struct access_entry entries[ACCESS_ENTRIES_MAX];
};

/* who: a SID; "@group" for a local group; else a user, "DOMAIN\user" or a local one.  -EINVAL, -ENOENT no such group,
 * -ENOSPC, -ENOMEM.  Looks local names up once, here. */
int access_allow(struct access_list *l, const char *who) MUST_USE;
void access_release(struct access_list *l);

/* uid 0, Administrators, Backup Operators, SYSTEM, SeBackupPrivilege, or on the list.  Guests never. */
bool access_granted(const struct access_list *l, const struct npa_token *t);
/* The RPC level speaks for the same account as the SMB session. */
bool access_same_account(const struct npa_token *t, const struct rpc_caller *who);

#endif
