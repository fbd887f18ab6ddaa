/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/vss/fake_rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/fsrvp/wire.h"
#include "agent/vss/rpc.h"

struct fake_agent fake;

struct rpc {
	bool dead;
};

void fake_reset(void)
{
	fake = (struct fake_agent){.fault_op = -1};
}

int fake_left(void)
{
	int n = 0;

	for (int i = 0; i < fake.ncopies; i++)
		n += fake.present[i];
	return n;
}

static void trace(char c)
{
	size_t n = strlen(fake.trace);

	if (n + 1 < sizeof(fake.trace))
		fake.trace[n] = c;
}

int rpc_open(struct rpc **out, const struct rpc_options *o, char why[RPC_WHY_SIZE])
{
	trace('.');
	if (fake.lost && fake.refuse_connects > 0) {
		fake.refuse_connects--;
		snprintf(why, RPC_WHY_SIZE, "nobody listens there; wait");
		return -ECONNREFUSED;
	}
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void rpc_close(struct rpc *r)
{
	free(r);
}

bool rpc_alive(const struct rpc *r)
{
	return r && !r->dead;
}

const char *rpc_why(const struct rpc *r)
{
	return "the connection was closed; check";
}

static void forget_set(void)
{
	fake.state = FAKE_NONE;
	fake.ncopies = 0;
	memset(fake.present, 0, sizeof(fake.present));
}

static bool known(const struct guid *set)
{
	return fake.state != FAKE_NONE && guid_equal(set, &fake.set);
}

static int copy_index(const struct guid *copy)
{
	for (int i = 0; i < fake.ncopies; i++)
		if (fake.present[i] && guid_equal(copy, &fake.copies[i]))
			return i;
	return -1;
}

static uint32_t do_start(struct ndr_pull *in, struct fsrvp_id_rsp *rsp)
{
	struct fsrvp_set_req req;

	fsrvp_pull_set_req(in, &req);
	if (guid_is_zero(&req.set))
		return FSRVP_E_INVALIDARG;
	if (fake.busy > 0) {
		fake.busy--;
		return FSRVP_E_SET_IN_PROGRESS;
	}
	if (fake.state != FAKE_NONE && fake.state != FAKE_RECOVERED)
		return FSRVP_E_SET_IN_PROGRESS;
	forget_set();
	if (guid_generate(&fake.set) < 0)
		return FSRVP_E_FAIL;
	fake.state = FAKE_STARTED;
	rsp->id = fake.set;
	return 0;
}

static uint32_t do_add(struct ndr_pull *in, struct fsrvp_id_rsp *rsp)
{
	struct fsrvp_add_req req;

	fsrvp_pull_add_req(in, &req);
	fsrvp_add_req_release(&req);
	if (!known(&req.set))
		return FSRVP_E_SET_ID_MISMATCH;
	if (fake.state > FAKE_ADDED || fake.ncopies == FAKE_COPIES_MAX)
		return FSRVP_E_BAD_STATE;
	if (guid_generate(&rsp->id) < 0)
		return FSRVP_E_FAIL;
	if (fake.one_volume && fake.ncopies)
		rsp->id = fake.copies[0];
	fake.copies[fake.ncopies] = rsp->id;
	fake.present[fake.ncopies++] = true;
	fake.state = FAKE_ADDED;
	return 0;
}

/* Prepare, Commit, Expose, RecoveryComplete: a state to be in and the one to reach. */
static uint32_t do_move(const struct guid *set, enum fake_state from, enum fake_state to)
{
	if (!known(set))
		return FSRVP_E_SET_ID_MISMATCH;
	if (fake.state != from)
		return FSRVP_E_BAD_STATE;
	fake.state = to;
	return 0;
}

static uint32_t do_abort(const struct guid *set)
{
	if (!known(set))
		return FSRVP_E_SET_ID_MISMATCH;
	if (fake.state < FAKE_COMMITTED || !fake.abort_is_a_lie)
		forget_set();
	return 0;
}

static uint32_t do_delete(struct ndr_pull *in)
{
	struct fsrvp_mapping_req req;

	fsrvp_pull_delete_mapping_req(in, &req);
	fsrvp_mapping_req_release(&req);
	if (!known(&req.set) || copy_index(&req.copy) < 0)
		return FSRVP_E_NOT_FOUND;
	if (fake.state < FAKE_EXPOSED)
		return FSRVP_E_BAD_STATE;
	fake.present[copy_index(&req.copy)] = false;
	if (!fake_left())
		forget_set();
	return 0;
}

static void do_mapping(struct ndr_pull *in, struct ndr_push *out)
{
	char unc[] = "\\\\srv\\x\\", share[64] = "x@{", id[GUID_TEXT_SIZE];
	struct fsrvp_mapping_rsp rsp = {.level = 1};
	struct fsrvp_mapping_req req;

	fsrvp_pull_get_mapping_req(in, &req);
	fsrvp_mapping_req_release(&req);
	if (!known(&req.set))
		rsp.result = FSRVP_E_SET_ID_MISMATCH;
	else if (copy_index(&req.copy) < 0)
		rsp.result = FSRVP_E_INVALIDARG;
	else if (fake.state < FAKE_EXPOSED)
		rsp.result = FSRVP_E_BAD_STATE;
	if (!rsp.result) {
		guid_format(&req.copy, id);
		strcat(strcat(share, id), "}");
		rsp.set = req.set;
		rsp.copy = req.copy;
		rsp.share_unc = unc;
		rsp.shadow_share = share;
		rsp.created_filetime = 134398302090000000;
	}
	fsrvp_push_mapping_rsp(out, &rsp);
}

static void push_result(struct ndr_push *out, uint32_t result)
{
	const struct fsrvp_result_rsp rsp = {.result = result};

	fsrvp_push_result_rsp(out, &rsp);
}

/* The out parameters before the result are sent all the same, as zeroes. */
static void push_refusal(uint16_t op, struct ndr_push *out)
{
	const struct fsrvp_version_rsp version = {.result = fake.refusal};
	const struct fsrvp_supported_rsp supported = {.result = fake.refusal};
	const struct fsrvp_id_rsp id = {.result = fake.refusal};
	const struct fsrvp_mapping_rsp mapping = {.level = 1, .result = fake.refusal};

	if (op == FSRVP_GET_SUPPORTED_VERSION)
		fsrvp_push_version_rsp(out, &version);
	else if (op == FSRVP_IS_PATH_SUPPORTED)
		fsrvp_push_supported_rsp(out, &supported);
	else if (op == FSRVP_START || op == FSRVP_ADD)
		fsrvp_push_id_rsp(out, &id);
	else if (op == FSRVP_GET_SHARE_MAPPING)
		fsrvp_push_mapping_rsp(out, &mapping);
	else
		push_result(out, fake.refusal);
}

static void do_call(uint16_t op, struct ndr_pull *in, struct ndr_push *out)
{
	const struct fsrvp_version_rsp version = {.min = 1, .max = 1};
	const struct fsrvp_supported_rsp supported = {.supported = 1};
	struct fsrvp_id_rsp id = {.result = 0};
	struct fsrvp_context_req context;
	struct fsrvp_timed_req timed;
	struct fsrvp_set_req set;

	switch (op) {
	case FSRVP_GET_SUPPORTED_VERSION:
		fsrvp_push_version_rsp(out, &version);
		break;
	case FSRVP_SET_CONTEXT:
		fsrvp_pull_context_req(in, &context);
		fake.context = context.context;
		push_result(out, 0);
		break;
	case FSRVP_START:
		id.result = do_start(in, &id);
		fsrvp_push_id_rsp(out, &id);
		break;
	case FSRVP_ADD:
		id.result = do_add(in, &id);
		fsrvp_push_id_rsp(out, &id);
		break;
	case FSRVP_PREPARE:
		fsrvp_pull_timed_req(in, &timed);
		push_result(out, do_move(&timed.set, FAKE_ADDED, FAKE_ADDED));
		break;
	case FSRVP_COMMIT:
		fsrvp_pull_timed_req(in, &timed);
		push_result(out, do_move(&timed.set, FAKE_ADDED, FAKE_COMMITTED));
		break;
	case FSRVP_EXPOSE:
		fsrvp_pull_timed_req(in, &timed);
		push_result(out, do_move(&timed.set, FAKE_COMMITTED, FAKE_EXPOSED));
		if (fake.drop_on_expose)
			forget_set();
		break;
	case FSRVP_RECOVERY_COMPLETE:
		fsrvp_pull_set_req(in, &set);
		push_result(out, do_move(&set.set, FAKE_EXPOSED, FAKE_RECOVERED));
		break;
	case FSRVP_ABORT:
		fsrvp_pull_set_req(in, &set);
		push_result(out, do_abort(&set.set));
		break;
	case FSRVP_IS_PATH_SUPPORTED:
		fsrvp_push_supported_rsp(out, &supported);
		break;
	case FSRVP_GET_SHARE_MAPPING:
		do_mapping(in, out);
		break;
	case FSRVP_DELETE_SHARE_MAPPING:
		push_result(out, do_delete(in));
		break;
	default:
		push_result(out, FSRVP_E_NOT_SUPPORTED);
	}
}

int rpc_call(struct rpc *r, uint16_t opnum, const void *request, size_t request_size, const struct rpc_limits *limits,
	     uint8_t **reply, size_t *reply_size)
{
	enum fake_fault fault = fake.fault_op == opnum && fake.fault_skip-- <= 0 ? fake.fault : FAULT_NONE;
	struct ndr_push out = {.data = NULL};
	struct ndr_pull in;

	if (fault != FAULT_NONE) {
		fake.fault_op = -1;
		trace('!');
	}
	trace((char)('a' + opnum));
	ndr_pull_init(&in, request, request_size);
	if (fault == FAULT_REFUSED)
		push_refusal(opnum, &out);
	else if (fault != FAULT_LOST_BEFORE)
		do_call(opnum, &in, &out);
	if (in.err)
		abort();
	if (fault == FAULT_LOST_BEFORE || fault == FAULT_LOST_AFTER) {
		ndr_push_release(&out);
		r->dead = fake.lost = true;
		*reply = NULL;
		*reply_size = 0;
		return -ECONNRESET;
	}
	*reply = out.data;
	*reply_size = out.len;
	return out.err;
}
