/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SPNEGO tokens (RFC 4178, [MS-SPNG]), as far as an acceptor needs them.  Pure DER, no mechanism inside.
 * Own code: the acceptor of MIT Kerberos treats Samba clients' mechListMIC differently from release to release.
 */
#ifndef AGENT_RPC_SPNEGO_H
#define AGENT_RPC_SPNEGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/ndr.h"

#define SPNEGO_MECHS_MAX 16

struct spnego_bytes {
	const uint8_t *data; /* borrowed from the token; NULL: absent */
	size_t len;
};

enum spnego_mech { SPNEGO_MECH_OTHER, SPNEGO_MECH_NTLM, SPNEGO_MECH_KERBEROS };
enum spnego_state { SPNEGO_COMPLETED = 0, SPNEGO_INCOMPLETE = 1, SPNEGO_REJECT = 2, SPNEGO_REQUEST_MIC = 3 };

/* What a client sends: first NegTokenInit, later NegTokenResp. */
struct spnego_token {
	bool init;
	struct spnego_bytes mech_list; /* the MechTypeList as encoded, tag included: what the MIC is over; init only */
	unsigned nmechs;
	enum spnego_mech mechs[SPNEGO_MECHS_MAX]; /* in the client's order; init only */
	struct spnego_bytes mech_token;		  /* mechToken or responseToken */
	struct spnego_bytes mic;
};

/* -EPROTO malformed. */
int spnego_parse(const uint8_t *data, size_t len, struct spnego_token *out) MUST_USE;
/* NegTokenResp appended to out; mech: SPNEGO_MECH_OTHER leaves supportedMech away; NULL data leaves a field away. */
void spnego_push_response(struct ndr_push *out, enum spnego_state state, enum spnego_mech mech,
			  const struct spnego_bytes *mech_token, const struct spnego_bytes *mic);

#endif
