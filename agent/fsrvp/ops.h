/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The thirteen calls: what they check, do and answer.  The caller is authorised already.  Every function returns the
 * result code of the call; out parameters are set (zero, NULL) also on failure.  Lock not held.
 */
#ifndef AGENT_FSRVP_OPS_H
#define AGENT_FSRVP_OPS_H

#include "agent/fsrvp/agent.h"
#include "agent/fsrvp/wire.h"

#define OPS_UNC_BYTES_MAX 2048

struct ops_call {
	struct agent *agent;
	const struct npa_token *token;
};

/* agent/fsrvp/ops_query.c */
uint32_t ops_is_path_supported(const struct ops_call *c, const char *unc, uint32_t *supported, char **owner_machine);
uint32_t ops_is_path_shadow_copied(const struct ops_call *c, const char *unc, uint32_t *present);
uint32_t ops_get_share_mapping(const struct ops_call *c, const struct fsrvp_mapping_req *r, struct fsrvp_mapping_rsp *out);

/* agent/fsrvp/ops_create.c */
uint32_t ops_set_context(const struct ops_call *c, uint32_t context);
uint32_t ops_start(const struct ops_call *c, const struct guid *client_set, struct guid *set);
uint32_t ops_add(const struct ops_call *c, const struct guid *set, const char *unc, struct guid *copy);
uint32_t ops_prepare(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms);
uint32_t ops_commit(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms);

/* agent/fsrvp/ops_expose.c */
uint32_t ops_expose(const struct ops_call *c, const struct guid *set, uint32_t timeout_ms);
uint32_t ops_recovery_complete(const struct ops_call *c, const struct guid *set);
uint32_t ops_abort(const struct ops_call *c, const struct guid *set);
uint32_t ops_delete_share_mapping(const struct ops_call *c, const struct fsrvp_mapping_req *r);

/* Shared by these files: begin a call that works on a claimed set with the lock released, and end it.  ops_begin returns
 * FSRVP_OK with *s claimed, or the code to answer.  ops_end is called with the lock held and releases it. */
uint32_t ops_begin(const struct ops_call *c, enum fsrvp_op op, const struct guid *set, struct shadow_set **s) MUST_USE;
uint32_t ops_end_locked(const struct ops_call *c, enum fsrvp_op op, struct shadow_set *s, uint32_t result);

/* agent/fsrvp/share.c: what a share name in a call stands for. */
struct share_place {
	char *share; /* as smb.conf spells it; owned */
	char *force_user; /* its "force user", or NULL; owned */
	struct backend_place place;
};
/* The share's part of \\server\share or \\server\share\; the server is not looked at.  -EINVAL, -ENAMETOOLONG, -ENOMEM.
 * server (may be NULL): its part, as written; both owned by the caller. */
int share_parse_unc(const char *unc, char **server, char **share) MUST_USE;
/* -EINVAL no UNC; -ENOENT no such share; -ENOTTY, -EXDEV ... not something we can copy (see backend_locate). */
int share_find(struct agent *a, const char *unc, struct share_place *out) MUST_USE;
void share_place_release(struct share_place *p);
/* Code for an error of share_find. */
uint32_t share_result(struct agent *a, int err);

#endif
