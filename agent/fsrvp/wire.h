/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stubs of the thirteen calls, both directions ([MS-FSRVP] 3.1.4, NDR32).  Calls with the same shape share a struct.
 * Pulls leave errors in the cursor; bytes after the last parameter are ignored, they may be a verification trailer.
 * Strings are UTF-8 and owned by the struct after a pull (release with fsrvp_x_release), borrowed for a push.
 */
#ifndef AGENT_FSRVP_WIRE_H
#define AGENT_FSRVP_WIRE_H

#include "agent/rpc/ndr.h"

/* ---- requests ---- */

struct fsrvp_context_req { /* SetContext */
	uint32_t context;
};
struct fsrvp_set_req { /* Start (the client's own id), RecoveryComplete, Abort */
	struct guid set;
};
struct fsrvp_timed_req { /* Prepare, Commit, Expose */
	struct guid set;
	uint32_t timeout_ms;
};
struct fsrvp_add_req { /* AddToShadowCopySet */
	struct guid client_copy;
	struct guid set;
	char *share; /* owned */
};
struct fsrvp_share_req { /* IsPathSupported, IsPathShadowCopied */
	char *share; /* owned */
};
struct fsrvp_mapping_req { /* GetShareMapping: copy, set, share, level.  DeleteShareMapping: SET, COPY, share */
	struct guid set;
	struct guid copy;
	char *share; /* owned */
	uint32_t level; /* GetShareMapping only */
};

void fsrvp_pull_context_req(struct ndr_pull *p, struct fsrvp_context_req *r);
void fsrvp_push_context_req(struct ndr_push *p, const struct fsrvp_context_req *r);
void fsrvp_pull_set_req(struct ndr_pull *p, struct fsrvp_set_req *r);
void fsrvp_push_set_req(struct ndr_push *p, const struct fsrvp_set_req *r);
void fsrvp_pull_timed_req(struct ndr_pull *p, struct fsrvp_timed_req *r);
void fsrvp_push_timed_req(struct ndr_push *p, const struct fsrvp_timed_req *r);
void fsrvp_pull_add_req(struct ndr_pull *p, struct fsrvp_add_req *r);
void fsrvp_push_add_req(struct ndr_push *p, const struct fsrvp_add_req *r);
void fsrvp_pull_share_req(struct ndr_pull *p, struct fsrvp_share_req *r);
void fsrvp_push_share_req(struct ndr_push *p, const struct fsrvp_share_req *r);
void fsrvp_pull_get_mapping_req(struct ndr_pull *p, struct fsrvp_mapping_req *r);
void fsrvp_push_get_mapping_req(struct ndr_push *p, const struct fsrvp_mapping_req *r);
void fsrvp_pull_delete_mapping_req(struct ndr_pull *p, struct fsrvp_mapping_req *r);
void fsrvp_push_delete_mapping_req(struct ndr_push *p, const struct fsrvp_mapping_req *r);

/* ---- answers: result is always last, the other fields are sent also when it is an error ---- */

struct fsrvp_version_rsp { /* GetSupportedVersion */
	uint32_t min, max, result;
};
struct fsrvp_id_rsp { /* Start, Add: the id the server made */
	struct guid id;
	uint32_t result;
};
struct fsrvp_result_rsp { /* calls without out parameters */
	uint32_t result;
};
struct fsrvp_supported_rsp { /* IsPathSupported */
	uint32_t supported;
	char *owner_machine; /* NULL: absent */
	uint32_t result;
};
struct fsrvp_copied_rsp { /* IsPathShadowCopied */
	uint32_t present;
	uint32_t compatibility;
	uint32_t result;
};
struct fsrvp_mapping_rsp { /* GetShareMapping, level 1 */
	uint32_t level;
	struct guid set;
	struct guid copy;
	char *share_unc;	/* NULL: no mapping in the answer */
	char *shadow_share;	/* NULL together with share_unc */
	uint64_t created_filetime; /* 100 ns since 1601-01-01 UTC */
	uint32_t result;
};

void fsrvp_pull_version_rsp(struct ndr_pull *p, struct fsrvp_version_rsp *r);
void fsrvp_push_version_rsp(struct ndr_push *p, const struct fsrvp_version_rsp *r);
void fsrvp_pull_id_rsp(struct ndr_pull *p, struct fsrvp_id_rsp *r);
void fsrvp_push_id_rsp(struct ndr_push *p, const struct fsrvp_id_rsp *r);
void fsrvp_pull_result_rsp(struct ndr_pull *p, struct fsrvp_result_rsp *r);
void fsrvp_push_result_rsp(struct ndr_push *p, const struct fsrvp_result_rsp *r);
void fsrvp_pull_supported_rsp(struct ndr_pull *p, struct fsrvp_supported_rsp *r);
void fsrvp_push_supported_rsp(struct ndr_push *p, const struct fsrvp_supported_rsp *r);
void fsrvp_pull_copied_rsp(struct ndr_pull *p, struct fsrvp_copied_rsp *r);
void fsrvp_push_copied_rsp(struct ndr_push *p, const struct fsrvp_copied_rsp *r);
void fsrvp_pull_mapping_rsp(struct ndr_pull *p, struct fsrvp_mapping_rsp *r);
void fsrvp_push_mapping_rsp(struct ndr_push *p, const struct fsrvp_mapping_rsp *r);

/* Free what a pull allocated; fine on a zeroed struct. */
void fsrvp_add_req_release(struct fsrvp_add_req *r);
void fsrvp_share_req_release(struct fsrvp_share_req *r);
void fsrvp_mapping_req_release(struct fsrvp_mapping_req *r);
void fsrvp_supported_rsp_release(struct fsrvp_supported_rsp *r);
void fsrvp_mapping_rsp_release(struct fsrvp_mapping_rsp *r);

#endif
