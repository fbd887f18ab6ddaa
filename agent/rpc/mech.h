/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A security mechanism of one connection, seen from the RPC layer: authenticate in legs, then protect PDUs.
 * NTLM is the one there is; Kerberos would be a second implementation of this table (GSS_C_DCE_STYLE, gss_wrap_iov) and
 * one line in mech_new.
 */
#ifndef AGENT_RPC_MECH_H
#define AGENT_RPC_MECH_H

#include <stdbool.h>

#include "agent/rpc/ndr.h"
#include "agent/rpc/spnego.h"

#define MECH_SIGNATURE_BYTES_MAX 128

struct mech;

struct mech_config {
	const char *ntlm_auth; /* program; borrowed */
	const char *smb_conf;  /* for it; borrowed, NULL: its default */
};

/* A PDU being protected.  data is the stub with its padding and lies inside the signed part. */
struct mech_pdu {
	uint8_t *pdu;
	size_t signed_len; /* from the first byte of the PDU up to the token */
	size_t data_off, data_len;
	bool privacy; /* encrypt data; else sign only */
};

struct mech_ops {
	const char *name;
	/* One leg; out gets the answer, possibly empty.  -EACCES: refused.  Other errors mean the same to the client. */
	int (*step)(struct mech *m, const uint8_t *in, size_t in_len, struct ndr_push *out, bool *done);
	size_t (*signature_bytes)(const struct mech *m, bool privacy);
	int (*protect)(struct mech *m, const struct mech_pdu *p, uint8_t *sig);
	int (*unprotect)(struct mech *m, const struct mech_pdu *p, const uint8_t *sig, size_t sig_len);
	/* The MICs of the SPNEGO exchange, over bytes; mic_done: both were exchanged. */
	int (*mic_make)(struct mech *m, const uint8_t *data, size_t len, uint8_t mic[MECH_SIGNATURE_BYTES_MAX],
			size_t *mic_len);
	int (*mic_check)(struct mech *m, const uint8_t *data, size_t len, const uint8_t *mic, size_t mic_len);
	void (*mic_done)(struct mech *m);
	void (*free)(struct mech *m);
};

struct mech {
	const struct mech_ops *ops;
	char *user;   /* who it is, after the last leg; owned */
	char *domain; /* owned; "" when the mechanism does not say */
};

/* -EOPNOTSUPP: not built in.  privacy: the connection will be sealed. */
int mech_new(enum spnego_mech kind, const struct mech_config *cfg, bool privacy, struct mech **out) MUST_USE;
void mech_free(struct mech *m);

/* agent/rpc/mech_ntlm.c: the password is checked by Samba's ntlm_auth (a child process per connection) and winbindd. */
int mech_ntlm_new(const struct mech_config *cfg, bool privacy, struct mech **out) MUST_USE;

#endif
