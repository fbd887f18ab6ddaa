/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The 13 methods as functions, over a connection that can be made anew.  The stubs are those of agent/fsrvp/wire.h.
 *
 * Each call returns 0 when the agent did it, -EREMOTEIO when the agent refused (client->code says why), -EPROTO for a
 * fault of the RPC layer, -EBADMSG for an answer that is not FSRVP, or an error of rpc_call; after the latter
 * client_alive is false.  client_why gives the reason and the advice in words in all cases.
 */
#ifndef AGENT_VSS_CLIENT_H
#define AGENT_VSS_CLIENT_H

#include "agent/rpc/guid.h"
#include "agent/vss/rpc.h"
#include "agent/vss/unc.h"

struct client {
	struct rpc_options options; /* what it points to is borrowed */
	struct rpc_limits limits;   /* of each call, also of those that carry a limit for the agent */
	struct rpc *rpc;	    /* owned; NULL: not connected */
	uint32_t code;		    /* the last answer's status */
	char why[RPC_WHY_SIZE + 64];
};

/* Connect, dropping the old connection if there is one. */
MUST_USE int client_connect(struct client *c);
void client_disconnect(struct client *c);
bool client_alive(const struct client *c);
/* "REASON; WHAT TO DO" of the last failure. */
const char *client_why(const struct client *c);

struct client_mapping {
	char share[UNC_PART_SIZE]; /* the copy's share, without the server */
	uint64_t created_filetime; /* 100 ns since 1601, UTC */
};

MUST_USE int client_get_supported_version(struct client *c, uint32_t *min, uint32_t *max);
MUST_USE int client_set_context(struct client *c, uint32_t context);
MUST_USE int client_start(struct client *c, struct guid *set);
MUST_USE int client_add(struct client *c, const struct guid *set, const struct share_name *share, struct guid *copy);
MUST_USE int client_prepare(struct client *c, const struct guid *set, unsigned timeout_s);
MUST_USE int client_commit(struct client *c, const struct guid *set, unsigned timeout_s);
MUST_USE int client_expose(struct client *c, const struct guid *set, unsigned timeout_s);
MUST_USE int client_recovery_complete(struct client *c, const struct guid *set);
MUST_USE int client_abort(struct client *c, const struct guid *set);
/* owner: the machine that holds the share, "" if the agent names none. */
MUST_USE int client_is_path_supported(struct client *c, const struct share_name *share, bool *supported,
				      char owner[UNC_PART_SIZE]);
MUST_USE int client_is_path_shadow_copied(struct client *c, const struct share_name *share, bool *present,
					  uint32_t *compatibility);
MUST_USE int client_get_mapping(struct client *c, const struct guid *set, const struct guid *copy,
				const struct share_name *share, struct client_mapping *mapping);
MUST_USE int client_delete_mapping(struct client *c, const struct guid *set, const struct guid *copy,
				   const struct share_name *share);

#endif
