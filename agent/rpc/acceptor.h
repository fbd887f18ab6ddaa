/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The legs of one connection's authentication: raw NTLM, or SPNEGO around a mechanism. */
#ifndef AGENT_RPC_ACCEPTOR_H
#define AGENT_RPC_ACCEPTOR_H

#include "agent/rpc/mech.h"
#include "agent/rpc/pdu.h"

struct acceptor {
	enum rpc_auth_type type;
	const struct mech_config *cfg; /* borrowed */
	bool privacy;
	bool done;
	struct mech *mech; /* owned; NULL before the first leg */
	/* SPNEGO only */
	uint8_t *mech_list; /* owned */
	size_t mech_list_len;
	bool mic_required; /* we did not take the mechanism the client preferred */
};

/* -EOPNOTSUPP: this auth type is not served. */
int acceptor_init(struct acceptor *a, enum rpc_auth_type type, const struct mech_config *cfg, bool privacy) MUST_USE;
/* One leg: in from the client, out for it.  After a failure (-EACCES, -EPROTO, ...) the acceptor is of no use. */
int acceptor_step(struct acceptor *a, const uint8_t *in, size_t in_len, struct ndr_push *out) MUST_USE;
void acceptor_release(struct acceptor *a);

#endif
