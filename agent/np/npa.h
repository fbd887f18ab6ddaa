/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hand-over that smbd sends before it passes a client's pipe traffic on: who the client is, as smbd authenticated it.
 * Levels 5 (Samba 4.16 .. 4.17.8, 4.18.0 .. 4.18.2), 7 (4.17.9 and later, 4.18.3, 4.19) and 8 (4.20 and later) differ.
 * Pure: bytes in, struct out.
 */
#ifndef AGENT_NP_NPA_H
#define AGENT_NP_NPA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/np/sid.h"

#define NPA_PREFIX_BYTES 4	      /* big-endian length, not counting itself */
#define NPA_BYTES_MAX (1024u * 1024u) /* we take; smbd could send 16 MiB, a token of 1000 groups needs 40 KiB */
#define NPA_REPLY_BYTES 36
#define NPA_SIDS_MAX 4096u
#define NPA_GIDS_MAX 65536u

#define NPA_PRIV_BACKUP 0x200ull /* SeBackupPrivilege in privilege_mask; Samba's own numbering, not the LUID */

struct npa_token {
	unsigned level;
	char *client_addr; /* owned, never NULL; text IP address */
	char *client_name; /* owned, or NULL */
	char *server_name; /* owned, or NULL */
	char *account;	   /* owned, or NULL, as all names below */
	char *domain;
	char *unix_name;
	bool authenticated; /* not a guest, not anonymous */
	bool has_unix;
	uint64_t uid, gid;
	uint64_t *gids; /* owned */
	uint32_t ngids;
	struct sid *sids; /* owned; sids[0] is the user */
	uint32_t nsids;
	uint64_t privileges;
};

/* blob starts with the four length bytes.  -EPROTO malformed, -EPROTONOSUPPORT a level we do not know (out->level tells),
 * -ENOMEM.  After a failure out is released.  The session key in the blob is not kept; the caller wipes the blob. */
int npa_parse(const uint8_t *blob, size_t len, struct npa_token *out) MUST_USE;
void npa_token_release(struct npa_token *t);
void npa_reply(unsigned level, uint8_t out[NPA_REPLY_BYTES]);

#endif
