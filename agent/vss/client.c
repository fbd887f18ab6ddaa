/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/fsrvp/wire.h"
#include "agent/vss/codes.h"

int client_connect(struct client *c)
{
	client_disconnect(c);
	return rpc_open(&c->rpc, &c->options, c->why);
}

void client_disconnect(struct client *c)
{
	rpc_close(c->rpc);
	c->rpc = NULL;
}

bool client_alive(const struct client *c)
{
	return rpc_alive(c->rpc);
}

const char *client_why(const struct client *c)
{
	return c->why;
}

static int fail(struct client *c, int err, const char *text)
{
	snprintf(c->why, sizeof(c->why), "%s", text);
	return err;
}

/* One call under way: the request being built, then the answer being read. */
struct exchange {
	struct ndr_push out;
	struct ndr_pull in;
	uint8_t *reply; /* owned */
};

static void exchange_release(struct exchange *x)
{
	ndr_push_release(&x->out);
	free(x->reply);
	x->reply = NULL;
}
#define CLEANUP_EXCHANGE CLEANUP(exchange_release)

static int send_request(struct client *c, struct exchange *x, enum fsrvp_op op)
{
	size_t size = 0;

	c->code = 0;
	if (x->out.err == -EILSEQ)
		return fail(c, -EINVAL, "the name is not valid UTF-8; check the share's name");
	if (x->out.err)
		return fail(c, x->out.err, "out of memory; try again");
	if (!c->rpc)
		return fail(c, -ENOTCONN, "not connected; try again");
	int r = rpc_call(c->rpc, (uint16_t)op, x->out.data, x->out.len, &c->limits, &x->reply, &size);
	if (r < 0)
		return fail(c, r, rpc_why(c->rpc));
	ndr_pull_init(&x->in, x->reply, size);
	return 0;
}

/* Judge an answer that has been pulled. */
static int judge(struct client *c, const struct exchange *x, uint32_t result)
{
	if (x->in.err)
		return fail(c, -EBADMSG, "the answer is not a valid one; is that an FSRVP version 1 agent?");
	c->code = result;
	if (result == 0)
		return 0;
	snprintf(c->why, sizeof(c->why), "%s (0x%08x); %s", fsrvp_code_reason(result), result, fsrvp_code_advice(result));
	return -EREMOTEIO;
}

/* The calls that only answer with a result. */
static int call_result(struct client *c, struct exchange *x, enum fsrvp_op op)
{
	struct fsrvp_result_rsp rsp;
	int r = send_request(c, x, op);

	if (r < 0)
		return r;
	fsrvp_pull_result_rsp(&x->in, &rsp);
	return judge(c, x, rsp.result);
}

static int call_id(struct client *c, struct exchange *x, enum fsrvp_op op, struct guid *id)
{
	struct fsrvp_id_rsp rsp;
	int r = send_request(c, x, op);

	if (r < 0)
		return r;
	fsrvp_pull_id_rsp(&x->in, &rsp);
	*id = rsp.id;
	return judge(c, x, rsp.result);
}

int client_get_supported_version(struct client *c, uint32_t *min, uint32_t *max)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	struct fsrvp_version_rsp rsp;
	int r = send_request(c, &x, FSRVP_GET_SUPPORTED_VERSION);

	if (r < 0)
		return r;
	fsrvp_pull_version_rsp(&x.in, &rsp);
	*min = rsp.min;
	*max = rsp.max;
	return judge(c, &x, rsp.result);
}

int client_set_context(struct client *c, uint32_t context)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	const struct fsrvp_context_req req = {.context = context};

	fsrvp_push_context_req(&x.out, &req);
	return call_result(c, &x, FSRVP_SET_CONTEXT);
}

/* Ids the client proposes.  Servers make their own (MS-FSRVP notes 7 and 8) but refuse zero. */
static int fresh_id(struct client *c, struct guid *id)
{
	int r = guid_generate(id);

	return r < 0 ? fail(c, r, "the system has no random bytes; try again") : 0;
}

int client_start(struct client *c, struct guid *set)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	struct fsrvp_set_req req;
	int r = fresh_id(c, &req.set);

	if (r < 0)
		return r;
	fsrvp_push_set_req(&x.out, &req);
	return call_id(c, &x, FSRVP_START, set);
}

int client_add(struct client *c, const struct guid *set, const struct share_name *share, struct guid *copy)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	char unc[UNC_TEXT_SIZE];
	struct fsrvp_add_req req = {.set = *set, .share = unc};
	int r = fresh_id(c, &req.client_copy);

	if (r < 0)
		return r;
	share_name_to_unc(share, unc);
	fsrvp_push_add_req(&x.out, &req);
	return call_id(c, &x, FSRVP_ADD, copy);
}

/* The limit is the agent's; ours for the call is the same as for any other, as with Windows' requesters (3.2.2). */
static int call_timed(struct client *c, enum fsrvp_op op, const struct guid *set, unsigned timeout_s)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	const struct fsrvp_timed_req req = {.set = *set, .timeout_ms = timeout_s * 1000};

	fsrvp_push_timed_req(&x.out, &req);
	return call_result(c, &x, op);
}

int client_prepare(struct client *c, const struct guid *set, unsigned timeout_s)
{
	return call_timed(c, FSRVP_PREPARE, set, timeout_s);
}

int client_commit(struct client *c, const struct guid *set, unsigned timeout_s)
{
	return call_timed(c, FSRVP_COMMIT, set, timeout_s);
}

int client_expose(struct client *c, const struct guid *set, unsigned timeout_s)
{
	return call_timed(c, FSRVP_EXPOSE, set, timeout_s);
}

static int call_set(struct client *c, enum fsrvp_op op, const struct guid *set)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	const struct fsrvp_set_req req = {.set = *set};

	fsrvp_push_set_req(&x.out, &req);
	return call_result(c, &x, op);
}

int client_recovery_complete(struct client *c, const struct guid *set)
{
	return call_set(c, FSRVP_RECOVERY_COMPLETE, set);
}

int client_abort(struct client *c, const struct guid *set)
{
	return call_set(c, FSRVP_ABORT, set);
}

static int send_path(struct client *c, struct exchange *x, enum fsrvp_op op, const struct share_name *share)
{
	char unc[UNC_TEXT_SIZE];
	const struct fsrvp_share_req req = {.share = unc};

	share_name_to_unc(share, unc);
	fsrvp_push_share_req(&x->out, &req);
	return send_request(c, x, op);
}

int client_is_path_supported(struct client *c, const struct share_name *share, bool *supported, char owner[UNC_PART_SIZE])
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	struct fsrvp_supported_rsp rsp;
	int r = send_path(c, &x, FSRVP_IS_PATH_SUPPORTED, share);

	if (r < 0)
		return r;
	fsrvp_pull_supported_rsp(&x.in, &rsp);
	*supported = rsp.supported != 0;
	snprintf(owner, UNC_PART_SIZE, "%s", rsp.owner_machine ? rsp.owner_machine : "");
	fsrvp_supported_rsp_release(&rsp);
	return judge(c, &x, rsp.result);
}

int client_is_path_shadow_copied(struct client *c, const struct share_name *share, bool *present,
				 uint32_t *compatibility)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	struct fsrvp_copied_rsp rsp;
	int r = send_path(c, &x, FSRVP_IS_PATH_SHADOW_COPIED, share);

	if (r < 0)
		return r;
	fsrvp_pull_copied_rsp(&x.in, &rsp);
	*present = rsp.present != 0;
	*compatibility = rsp.compatibility;
	return judge(c, &x, rsp.result);
}

int client_get_mapping(struct client *c, const struct guid *set, const struct guid *copy, const struct share_name *share,
		       struct client_mapping *mapping)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	char unc[UNC_TEXT_SIZE];
	const struct fsrvp_mapping_req req = {.copy = *copy, .set = *set, .share = unc, .level = FSRVP_MAPPING_LEVEL_1};
	struct fsrvp_mapping_rsp rsp;

	share_name_to_unc(share, unc);
	fsrvp_push_get_mapping_req(&x.out, &req);
	int r = send_request(c, &x, FSRVP_GET_SHARE_MAPPING);
	if (r < 0)
		return r;
	fsrvp_pull_mapping_rsp(&x.in, &rsp);
	r = judge(c, &x, rsp.result);
	/* Agents name the copy's share bare or as a UNC (3.1.4.11). */
	const char *name = rsp.shadow_share ? unc_last_part(rsp.shadow_share) : "";
	if (r == 0 && (!name[0] || strlen(name) >= sizeof(mapping->share)))
		r = fail(c, -EBADMSG, "the answer has no mapping in it; look into the server's log");
	if (r == 0) {
		snprintf(mapping->share, sizeof(mapping->share), "%s", name);
		mapping->share[strcspn(mapping->share, "\\/")] = 0;
		mapping->created_filetime = rsp.created_filetime;
	}
	fsrvp_mapping_rsp_release(&rsp);
	return r;
}

int client_delete_mapping(struct client *c, const struct guid *set, const struct guid *copy,
			  const struct share_name *share)
{
	CLEANUP_EXCHANGE struct exchange x = {.reply = NULL};
	char unc[UNC_TEXT_SIZE];
	const struct fsrvp_mapping_req req = {.set = *set, .copy = *copy, .share = unc};

	share_name_to_unc(share, unc);
	fsrvp_push_delete_mapping_req(&x.out, &req);
	return call_result(c, &x, FSRVP_DELETE_SHARE_MAPPING);
}
