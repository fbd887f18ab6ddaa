/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From operation number and stub to call and answer. */
#ifndef AGENT_FSRVP_DISPATCH_H
#define AGENT_FSRVP_DISPATCH_H

#include "agent/fsrvp/ops.h"

/* Fills uuid, version and address of the interface; its call function is the connection's. */
void dispatch_describe(struct rpc_interface *iface);
/* One call: judge the caller, decode, do it, encode.  0, or a fault status.  Logs one line. */
uint32_t dispatch_call(struct agent *a, const struct npa_token *token, const struct rpc_caller *who, uint16_t opnum,
		       const uint8_t *stub, size_t stub_len, struct ndr_push *out);

#endif
