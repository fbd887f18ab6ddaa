/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One client's association with one interface (C706 chapter 12, [MS-RPCE] 3.3): bind, authentication, requests put
 * together from fragments, answers cut into fragments, faults.  Does no I/O itself: bytes are fed in, PDUs come out
 * through a callback.  Used by one thread at a time.
 */
#ifndef AGENT_RPC_ASSOC_H
#define AGENT_RPC_ASSOC_H

#include "agent/rpc/acceptor.h"
#include "agent/rpc/pdu.h"

#define ASSOC_STUB_BYTES_MAX (64u * 1024)

struct rpc_caller {
	enum rpc_auth_level level; /* RPC_LEVEL_NONE: the connection was bound without authentication */
	const char *user, *domain; /* of the RPC level; NULL without authentication */
};

struct rpc_interface {
	struct guid uuid;
	uint16_t version_major;
	const char *address; /* secondary address of the bind_ack: the pipe's name */
	/* One call.  Appends the answer's stub to out and returns 0, or returns a fault status. */
	uint32_t (*call)(void *arg, const struct rpc_caller *who, uint16_t opnum, const uint8_t *stub, size_t stub_len,
			 struct ndr_push *out);
};

struct assoc_config { /* all borrowed for the life of the association */
	const struct rpc_interface *iface;
	void *call_arg;
	/* Sends one whole PDU; 0 or -errno, which ends the association. */
	int (*send)(void *arg, const uint8_t *pdu, size_t len);
	void *send_arg;
	struct mech_config mech;
};

enum assoc_auth { ASSOC_AUTH_NONE, ASSOC_AUTH_PENDING, ASSOC_AUTH_DONE, ASSOC_AUTH_FAILED };

struct assoc {
	struct assoc_config cfg;
	uint8_t in[PDU_FRAG_BYTES_MAX]; /* the PDU being received */
	size_t in_len;
	bool bound;
	uint16_t frag_max; /* of PDUs we send */
	uint32_t group;
	unsigned ncontexts;
	uint16_t contexts[PDU_CONTEXTS_MAX]; /* accepted ids */

	enum assoc_auth auth;
	enum rpc_auth_level level;
	uint32_t auth_ctx;
	bool header_signing;
	struct acceptor acceptor;

	bool in_request; /* a first fragment has come, the last not yet */
	uint32_t call_id;
	uint16_t ctx, opnum;
	struct ndr_push stub;
};

void assoc_init(struct assoc *a, const struct assoc_config *cfg);
void assoc_release(struct assoc *a);
/* Any number of bytes of the stream.  0, or -errno: close the connection (-EPROTO malformed, -EACCES bad signature). */
int assoc_feed(struct assoc *a, const uint8_t *data, size_t len) MUST_USE;

#endif
