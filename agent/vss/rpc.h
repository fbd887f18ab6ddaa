/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One authenticated DCE/RPC connection to the FssagentRpc pipe of a server, over SMB 2 or 3.  The only part that knows
 * Samba's libdcerpc.  Not thread-safe.
 */
#ifndef AGENT_VSS_RPC_H
#define AGENT_VSS_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/vss/creds.h"

enum rpc_level { RPC_LEVEL_NONE, RPC_LEVEL_SIGN, RPC_LEVEL_SEAL };
enum rpc_mech { RPC_MECH_SPNEGO, RPC_MECH_NTLM, RPC_MECH_KRB5 };
enum rpc_encrypt { RPC_ENCRYPT_DEFAULT, RPC_ENCRYPT_OFF, RPC_ENCRYPT_REQUIRED };

struct rpc_options {
	const char *host;
	unsigned port; /* 0: the usual 445 */
	enum rpc_level level;
	enum rpc_mech mech;
	enum rpc_encrypt smb_encrypt;
	const char *smb_conf; /* NULL: the system's, if there is one */
	const struct creds *creds;
	bool verbose; /* let the library's own messages through */
};

#define RPC_WHY_SIZE 256

struct rpc;

/*
 * Connect, log in and bind.  Blocks, for a minute at most per unanswered step.  On failure `why` holds the reason and
 * what to do, ready for an error line.  -EACCES login refused, -ENOENT no agent there, -ETIMEDOUT, -ECONNREFUSED,
 * -EHOSTUNREACH, -EIO otherwise, -EINVAL (options), -ENOMEM.
 */
MUST_USE int rpc_open(struct rpc **out, const struct rpc_options *o, char why[RPC_WHY_SIZE]);
void rpc_close(struct rpc *r);

/*
 * One call.  *reply is malloc'ed and owned by the caller.  A signal noted by stop.h shortens the wait to grace_s from
 * then on.  -ETIMEDOUT, -EINTR (the grace ran out) or another error: the connection is then no longer usable.
 * -EPROTO: the server answered with a fault; the connection lives on.  rpc_why tells more.
 */
struct rpc_limits {
	unsigned timeout_s, grace_s;
};
MUST_USE int rpc_call(struct rpc *r, uint16_t opnum, const void *request, size_t request_size,
		      const struct rpc_limits *limits, uint8_t **reply, size_t *reply_size);

bool rpc_alive(const struct rpc *r);
/* The reason of the last failed call.  Borrowed, until the next call. */
const char *rpc_why(const struct rpc *r);

#endif
