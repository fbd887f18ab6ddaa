/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pull and push of every stub, each pair side by side.  No meaning is judged here. */
#include "agent/fsrvp/wire.h"

/* Referent ids of the pointers in one answer: any non-zero numbers, all different (C706 14.3.12.2). */
#define REFERENT_1 0x00020000u
#define REFERENT_2 0x00020004u
#define REFERENT_3 0x00020008u

void fsrvp_pull_context_req(struct ndr_pull *p, struct fsrvp_context_req *r)
{
	r->context = ndr_pull_u32(p);
}
void fsrvp_push_context_req(struct ndr_push *p, const struct fsrvp_context_req *r)
{
	ndr_push_u32(p, r->context);
}

void fsrvp_pull_set_req(struct ndr_pull *p, struct fsrvp_set_req *r)
{
	ndr_pull_guid(p, &r->set);
}
void fsrvp_push_set_req(struct ndr_push *p, const struct fsrvp_set_req *r)
{
	ndr_push_guid(p, &r->set);
}

void fsrvp_pull_timed_req(struct ndr_pull *p, struct fsrvp_timed_req *r)
{
	ndr_pull_guid(p, &r->set);
	r->timeout_ms = ndr_pull_u32(p);
}
void fsrvp_push_timed_req(struct ndr_push *p, const struct fsrvp_timed_req *r)
{
	ndr_push_guid(p, &r->set);
	ndr_push_u32(p, r->timeout_ms);
}

void fsrvp_pull_add_req(struct ndr_pull *p, struct fsrvp_add_req *r)
{
	ndr_pull_guid(p, &r->client_copy);
	ndr_pull_guid(p, &r->set);
	r->share = ndr_pull_string(p);
}
void fsrvp_push_add_req(struct ndr_push *p, const struct fsrvp_add_req *r)
{
	ndr_push_guid(p, &r->client_copy);
	ndr_push_guid(p, &r->set);
	ndr_push_string(p, r->share);
}

void fsrvp_pull_share_req(struct ndr_pull *p, struct fsrvp_share_req *r)
{
	r->share = ndr_pull_string(p);
}
void fsrvp_push_share_req(struct ndr_push *p, const struct fsrvp_share_req *r)
{
	ndr_push_string(p, r->share);
}

void fsrvp_pull_get_mapping_req(struct ndr_pull *p, struct fsrvp_mapping_req *r)
{
	ndr_pull_guid(p, &r->copy);
	ndr_pull_guid(p, &r->set);
	r->share = ndr_pull_string(p);
	r->level = ndr_pull_u32(p);
}
void fsrvp_push_get_mapping_req(struct ndr_push *p, const struct fsrvp_mapping_req *r)
{
	ndr_push_guid(p, &r->copy);
	ndr_push_guid(p, &r->set);
	ndr_push_string(p, r->share);
	ndr_push_u32(p, r->level);
}

void fsrvp_pull_delete_mapping_req(struct ndr_pull *p, struct fsrvp_mapping_req *r)
{
	ndr_pull_guid(p, &r->set);
	ndr_pull_guid(p, &r->copy);
	r->share = ndr_pull_string(p);
	r->level = 0;
}
void fsrvp_push_delete_mapping_req(struct ndr_push *p, const struct fsrvp_mapping_req *r)
{
	ndr_push_guid(p, &r->set);
	ndr_push_guid(p, &r->copy);
	ndr_push_string(p, r->share);
}

void fsrvp_pull_version_rsp(struct ndr_pull *p, struct fsrvp_version_rsp *r)
{
	r->min = ndr_pull_u32(p);
	r->max = ndr_pull_u32(p);
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_version_rsp(struct ndr_push *p, const struct fsrvp_version_rsp *r)
{
	ndr_push_u32(p, r->min);
	ndr_push_u32(p, r->max);
	ndr_push_u32(p, r->result);
}

void fsrvp_pull_id_rsp(struct ndr_pull *p, struct fsrvp_id_rsp *r)
{
	ndr_pull_guid(p, &r->id);
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_id_rsp(struct ndr_push *p, const struct fsrvp_id_rsp *r)
{
	ndr_push_guid(p, &r->id);
	ndr_push_u32(p, r->result);
}

void fsrvp_pull_result_rsp(struct ndr_pull *p, struct fsrvp_result_rsp *r)
{
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_result_rsp(struct ndr_push *p, const struct fsrvp_result_rsp *r)
{
	ndr_push_u32(p, r->result);
}

void fsrvp_pull_supported_rsp(struct ndr_pull *p, struct fsrvp_supported_rsp *r)
{
	r->supported = ndr_pull_u32(p);
	r->owner_machine = ndr_pull_u32(p) ? ndr_pull_string(p) : NULL;
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_supported_rsp(struct ndr_push *p, const struct fsrvp_supported_rsp *r)
{
	ndr_push_u32(p, r->supported);
	ndr_push_u32(p, r->owner_machine ? REFERENT_1 : 0);
	if (r->owner_machine)
		ndr_push_string(p, r->owner_machine);
	ndr_push_u32(p, r->result);
}

void fsrvp_pull_copied_rsp(struct ndr_pull *p, struct fsrvp_copied_rsp *r)
{
	r->present = ndr_pull_u32(p);
	r->compatibility = ndr_pull_u32(p);
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_copied_rsp(struct ndr_push *p, const struct fsrvp_copied_rsp *r)
{
	ndr_push_u32(p, r->present);
	ndr_push_u32(p, r->compatibility);
	ndr_push_u32(p, r->result);
}

/* The union of 2.2.4.1: the level again as discriminant, one arm, a unique pointer to the struct of 2.2.3.1. */
void fsrvp_pull_mapping_rsp(struct ndr_pull *p, struct fsrvp_mapping_rsp *r)
{
	uint32_t unc, share;

	memset(r, 0, sizeof(*r));
	r->level = ndr_pull_u32(p);
	if (r->level == 1 && ndr_pull_u32(p) != 0) {
		ndr_pull_align(p, 8);
		ndr_pull_guid(p, &r->set);
		ndr_pull_guid(p, &r->copy);
		unc = ndr_pull_u32(p);
		share = ndr_pull_u32(p);
		r->created_filetime = ndr_pull_u64(p);
		if (unc)
			r->share_unc = ndr_pull_string(p);
		if (share)
			r->shadow_share = ndr_pull_string(p);
	}
	r->result = ndr_pull_u32(p);
}
void fsrvp_push_mapping_rsp(struct ndr_push *p, const struct fsrvp_mapping_rsp *r)
{
	ndr_push_u32(p, r->level);
	if (r->level == 1) {
		ndr_push_u32(p, r->share_unc ? REFERENT_1 : 0);
		if (r->share_unc) {
			ndr_push_align(p, 8);
			ndr_push_guid(p, &r->set);
			ndr_push_guid(p, &r->copy);
			ndr_push_u32(p, REFERENT_2);
			ndr_push_u32(p, REFERENT_3);
			ndr_push_u64(p, r->created_filetime);
			ndr_push_string(p, r->share_unc);
			ndr_push_string(p, r->shadow_share);
		}
	}
	ndr_push_u32(p, r->result);
}

static void free_string(char **s)
{
	free(*s);
	*s = NULL;
}

void fsrvp_add_req_release(struct fsrvp_add_req *r)
{
	free_string(&r->share);
}
void fsrvp_share_req_release(struct fsrvp_share_req *r)
{
	free_string(&r->share);
}
void fsrvp_mapping_req_release(struct fsrvp_mapping_req *r)
{
	free_string(&r->share);
}
void fsrvp_supported_rsp_release(struct fsrvp_supported_rsp *r)
{
	free_string(&r->owner_machine);
}
void fsrvp_mapping_rsp_release(struct fsrvp_mapping_rsp *r)
{
	free_string(&r->share_unc);
	free_string(&r->shadow_share);
}
