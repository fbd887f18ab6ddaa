/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of methods.  Each handler pulls its request, does the call unless the caller was denied, and pushes the answer:
 * out parameters are sent also when the result is an error.
 */
#include "agent/fsrvp/dispatch.h"

#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"

struct method {
	const char *name;
	/* denied: 0, or the result to give without doing anything.  *result is for the log.  0 or a fault status. */
	uint32_t (*handle)(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
			   uint32_t *result);
};

static uint32_t stub_status(const struct ndr_pull *in)
{
	return in->err ? FAULT_BAD_STUB : 0;
}

static uint32_t get_supported_version(const struct ops_call *c, uint32_t denied, struct ndr_pull *in,
				      struct ndr_push *out, uint32_t *result)
{
	struct fsrvp_version_rsp rsp = { 0, 0, denied };

	if (!denied)
		rsp.min = rsp.max = FSRVP_RPC_VERSION_1;
	*result = rsp.result;
	fsrvp_push_version_rsp(out, &rsp);
	return 0;
}

static uint32_t push_result(struct ndr_push *out, uint32_t result)
{
	struct fsrvp_result_rsp rsp = { result };

	fsrvp_push_result_rsp(out, &rsp);
	return 0;
}

static uint32_t set_context(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
			    uint32_t *result)
{
	struct fsrvp_context_req req;

	fsrvp_pull_context_req(in, &req);
	if (in->err)
		return stub_status(in);
	*result = denied ? denied : ops_set_context(c, req.context);
	return push_result(out, *result);
}

static uint32_t start(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
		      uint32_t *result)
{
	struct fsrvp_set_req req;
	struct fsrvp_id_rsp rsp = { .result = denied };

	fsrvp_pull_set_req(in, &req);
	if (in->err)
		return stub_status(in);
	if (!denied)
		rsp.result = ops_start(c, &req.set, &rsp.id);
	*result = rsp.result;
	fsrvp_push_id_rsp(out, &rsp);
	return 0;
}

static uint32_t add(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
		    uint32_t *result)
{
	struct fsrvp_add_req req;
	struct fsrvp_id_rsp rsp = { .result = denied };
	uint32_t fault;

	fsrvp_pull_add_req(in, &req);
	fault = stub_status(in);
	if (!fault && !denied)
		rsp.result = ops_add(c, &req.set, req.share, &rsp.id);
	*result = rsp.result;
	if (!fault)
		fsrvp_push_id_rsp(out, &rsp);
	fsrvp_add_req_release(&req);
	return fault;
}

static uint32_t timed(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
		      uint32_t *result, uint32_t (*op)(const struct ops_call *, const struct guid *, uint32_t))
{
	struct fsrvp_timed_req req;

	fsrvp_pull_timed_req(in, &req);
	if (in->err)
		return stub_status(in);
	*result = denied ? denied : op(c, &req.set, req.timeout_ms);
	return push_result(out, *result);
}

static uint32_t prepare(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
			uint32_t *result)
{
	return timed(c, denied, in, out, result, ops_prepare);
}

static uint32_t commit(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
		       uint32_t *result)
{
	return timed(c, denied, in, out, result, ops_commit);
}

static uint32_t expose(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
		       uint32_t *result)
{
	return timed(c, denied, in, out, result, ops_expose);
}

static uint32_t set_only(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
			 uint32_t *result, uint32_t (*op)(const struct ops_call *, const struct guid *))
{
	struct fsrvp_set_req req;

	fsrvp_pull_set_req(in, &req);
	if (in->err)
		return stub_status(in);
	*result = denied ? denied : op(c, &req.set);
	return push_result(out, *result);
}

static uint32_t recovery_complete(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
				  uint32_t *result)
{
	return set_only(c, denied, in, out, result, ops_recovery_complete);
}

static uint32_t abort_set(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
			  uint32_t *result)
{
	return set_only(c, denied, in, out, result, ops_abort);
}

static uint32_t is_path_supported(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
				  uint32_t *result)
{
	struct fsrvp_supported_rsp rsp = { .result = denied };
	struct fsrvp_share_req req;
	uint32_t fault;

	fsrvp_pull_share_req(in, &req);
	fault = stub_status(in);
	if (!fault && !denied)
		rsp.result = ops_is_path_supported(c, req.share, &rsp.supported, &rsp.owner_machine);
	*result = rsp.result;
	if (!fault)
		fsrvp_push_supported_rsp(out, &rsp);
	fsrvp_supported_rsp_release(&rsp);
	fsrvp_share_req_release(&req);
	return fault;
}

static uint32_t is_path_shadow_copied(const struct ops_call *c, uint32_t denied, struct ndr_pull *in,
				      struct ndr_push *out, uint32_t *result)
{
	struct fsrvp_copied_rsp rsp = { .result = denied };
	struct fsrvp_share_req req;
	uint32_t fault;

	fsrvp_pull_share_req(in, &req);
	fault = stub_status(in);
	/* Compatibility 0: neither defragmentation nor indexing harms our copies. */
	if (!fault && !denied)
		rsp.result = ops_is_path_shadow_copied(c, req.share, &rsp.present);
	*result = rsp.result;
	if (!fault)
		fsrvp_push_copied_rsp(out, &rsp);
	fsrvp_share_req_release(&req);
	return fault;
}

static uint32_t get_share_mapping(const struct ops_call *c, uint32_t denied, struct ndr_pull *in, struct ndr_push *out,
				  uint32_t *result)
{
	struct fsrvp_mapping_rsp rsp = { .result = denied };
	struct fsrvp_mapping_req req;
	uint32_t fault;

	fsrvp_pull_get_mapping_req(in, &req);
	fault = stub_status(in);
	rsp.level = req.level;
	if (!fault && !denied)
		rsp.result = ops_get_share_mapping(c, &req, &rsp);
	*result = rsp.result;
	if (!fault)
		fsrvp_push_mapping_rsp(out, &rsp);
	fsrvp_mapping_rsp_release(&rsp);
	fsrvp_mapping_req_release(&req);
	return fault;
}

static uint32_t delete_share_mapping(const struct ops_call *c, uint32_t denied, struct ndr_pull *in,
				     struct ndr_push *out, uint32_t *result)
{
	struct fsrvp_mapping_req req;
	uint32_t fault;

	fsrvp_pull_delete_mapping_req(in, &req);
	fault = stub_status(in);
	if (!fault) {
		*result = denied ? denied : ops_delete_share_mapping(c, &req);
		push_result(out, *result);
	}
	fsrvp_mapping_req_release(&req);
	return fault;
}

static const struct method methods[FSRVP_NUM_OPS] = {
	[FSRVP_GET_SUPPORTED_VERSION] = { "GetSupportedVersion", get_supported_version },
	[FSRVP_SET_CONTEXT] = { "SetContext", set_context },
	[FSRVP_START] = { "StartShadowCopySet", start },
	[FSRVP_ADD] = { "AddToShadowCopySet", add },
	[FSRVP_COMMIT] = { "CommitShadowCopySet", commit },
	[FSRVP_EXPOSE] = { "ExposeShadowCopySet", expose },
	[FSRVP_RECOVERY_COMPLETE] = { "RecoveryCompleteShadowCopySet", recovery_complete },
	[FSRVP_ABORT] = { "AbortShadowCopySet", abort_set },
	[FSRVP_IS_PATH_SUPPORTED] = { "IsPathSupported", is_path_supported },
	[FSRVP_IS_PATH_SHADOW_COPIED] = { "IsPathShadowCopied", is_path_shadow_copied },
	[FSRVP_GET_SHARE_MAPPING] = { "GetShareMapping", get_share_mapping },
	[FSRVP_DELETE_SHARE_MAPPING] = { "DeleteShareMapping", delete_share_mapping },
	[FSRVP_PREPARE] = { "PrepareShadowCopySet", prepare },
};

void dispatch_describe(struct rpc_interface *iface)
{
	int err = guid_parse(FSRVP_UUID, &iface->uuid);

	KAGEFS_ASSERT(err == 0);
	iface->version_major = FSRVP_VERSION_MAJOR;
	iface->address = "\\PIPE\\FssagentRpc";
}

/* [MS-FSRVP] 3.1.4: the access check comes before all others. */
static uint32_t judge(const struct agent *a, const struct npa_token *t, const struct rpc_caller *who, const char **why)
{
	*why = "";
	if (!access_granted(&a->cfg->access, t))
		*why = "not in Administrators, Backup Operators or the allowed users";
	else if (who->level == RPC_LEVEL_NONE && a->cfg->require_rpc_auth)
		*why = "no authentication at the RPC level";
	else if (who->level != RPC_LEVEL_NONE && !access_same_account(t, who))
		*why = "RPC level and SMB session have different accounts";
	return **why ? FSRVP_E_ACCESSDENIED : FSRVP_OK;
}

uint32_t dispatch_call(struct agent *a, const struct npa_token *token, const struct rpc_caller *who, uint16_t opnum,
		       const uint8_t *stub, size_t stub_len, struct ndr_push *out)
{
	struct ops_call c = { .agent = a, .token = token };
	int64_t began_ms = patience_now_ms();
	uint32_t denied, fault, result = 0;
	struct ndr_pull in;
	const char *why;

	if (opnum >= FSRVP_NUM_OPS) {
		msg(LOG_NOTICE, "call with an unknown number: client=%s opnum=%u", token->client_addr, opnum);
		return FAULT_OP_RANGE;
	}
	denied = judge(a, token, who, &why);
	ndr_pull_init(&in, stub, stub_len);
	fault = methods[opnum].handle(&c, denied, &in, out, &result);
	if (denied)
		msg(LOG_WARNING, "call denied: call=%s client=%s user=%s\\%s reason=\"%s\"", methods[opnum].name,
		    token->client_addr, token->domain ? token->domain : "", token->account ? token->account : "", why);
	else
		msg(result || fault ? LOG_NOTICE : LOG_DEBUG, "call: call=%s client=%s user=%s\\%s result=0x%08x fault=0x%08x took_ms=%lld",
		    methods[opnum].name, token->client_addr, token->domain ? token->domain : "",
		    token->account ? token->account : "", result, fault,
		    (long long)(patience_now_ms() - began_ms));
	return fault;
}
