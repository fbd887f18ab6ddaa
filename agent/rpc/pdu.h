/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connection-oriented DCE/RPC PDUs (C706 chapter 12, [MS-RPCE] 2.2.2), little-endian only: parse what a client sends,
 * build what a server answers.  Pure; knows nothing of security but where its bytes lie.
 */
#ifndef AGENT_RPC_PDU_H
#define AGENT_RPC_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/guid.h"
#include "agent/rpc/ndr.h"

#define PDU_HEADER_BYTES 16
#define PDU_TRAILER_BYTES 8
#define PDU_FRAG_BYTES_MAX 5840  /* we take and offer, as Windows does */
#define PDU_FRAG_BYTES_MIN 1024  /* a smaller offer of the client is refused */
#define PDU_CONTEXTS_MAX 16
#define PDU_SYNTAXES_MAX 16

enum pdu_type {
	PDU_REQUEST = 0,
	PDU_RESPONSE = 2,
	PDU_FAULT = 3,
	PDU_BIND = 11,
	PDU_BIND_ACK = 12,
	PDU_BIND_NAK = 13,
	PDU_ALTER = 14,
	PDU_ALTER_RESP = 15,
	PDU_AUTH3 = 16,
	PDU_CO_CANCEL = 18,
	PDU_ORPHANED = 19,
};

#define PDU_FIRST 0x01
#define PDU_LAST 0x02
#define PDU_HEADER_SIGNING 0x04 /* in bind, alter and their answers */
#define PDU_OBJECT_UUID 0x80

/* Fault status: C706 appendix E, and Windows error codes */
#define FAULT_ACCESS_DENIED 0x00000005u
#define FAULT_BAD_STUB 0x000006f7u
#define FAULT_OP_RANGE 0x1c010002u
#define FAULT_UNKNOWN_CONTEXT 0x1c010003u
#define FAULT_PROTOCOL 0x1c01000bu

/* bind_nak: C706 12.6.3.1, [MS-RPCE] 2.2.2.5 */
#define NAK_NOT_SPECIFIED 0
#define NAK_AUTH_TYPE 8
#define NAK_BAD_TOKEN 9

enum rpc_auth_type { RPC_AUTH_NONE = 0, RPC_AUTH_SPNEGO = 9, RPC_AUTH_NTLM = 10, RPC_AUTH_KERBEROS = 16 };
enum rpc_auth_level { RPC_LEVEL_NONE = 1, RPC_LEVEL_INTEGRITY = 5, RPC_LEVEL_PRIVACY = 6 };

struct pdu_header {
	uint8_t type, flags;
	uint16_t frag_len, auth_len;
	uint32_t call_id;
};

/* The security trailer; present when the header's auth_len is not zero. */
struct pdu_trailer {
	uint8_t type, level, pad;
	uint32_t ctx_id;
	size_t off;	      /* of the trailer in the PDU; the token follows it */
	const uint8_t *token; /* borrowed from the PDU */
	size_t token_len;
};

/* Answer to one offered presentation context: [MS-RPCE] 2.2.2.4 */
struct pdu_result {
	uint16_t result, reason;
};

struct pdu_context {
	uint16_t id;
	struct guid abstract;
	uint32_t abstract_version;
	bool ndr32;	       /* among the transfer syntaxes */
	bool features;	       /* bind time feature negotiation ([MS-RPCE] 2.2.2.14) */
	uint16_t feature_bits; /* asked for */
};

struct pdu_bind {
	uint16_t max_xmit, max_recv;
	uint32_t assoc_group;
	unsigned ncontexts;
	struct pdu_context contexts[PDU_CONTEXTS_MAX];
};

struct pdu_request {
	uint32_t alloc_hint;
	uint16_t ctx, opnum;
	size_t stub_off;
};

/* data holds at least PDU_HEADER_BYTES.  -EPROTO: not DCE/RPC 5, big-endian, or impossible lengths. */
int pdu_parse_header(const uint8_t *data, struct pdu_header *h) MUST_USE;
/* body_off: first byte after the fixed part of the PDU.  -EPROTO when the trailer or its padding overlaps that. */
int pdu_parse_trailer(const uint8_t *pdu, const struct pdu_header *h, size_t body_off, struct pdu_trailer *t) MUST_USE;
/* end: where the body ends, i.e. the trailer's offset or the PDU's length.  -EPROTO. */
int pdu_parse_bind(const uint8_t *pdu, size_t end, struct pdu_bind *b) MUST_USE;
int pdu_parse_request(const uint8_t *pdu, const struct pdu_header *h, struct pdu_request *r) MUST_USE;

/* Builders append a whole PDU to an empty p; lengths are set by pdu_finish. */
void pdu_begin(struct ndr_push *p, enum pdu_type type, uint8_t flags, uint32_t call_id);
/* type: PDU_BIND_ACK or PDU_ALTER_RESP (address is then empty). */
void pdu_push_bind_ack(struct ndr_push *p, uint16_t frag_max, uint32_t assoc_group, const char *address,
		       const struct pdu_bind *b, const struct pdu_result *results);
void pdu_push_bind_nak(struct ndr_push *p, uint32_t call_id, uint16_t reason);
void pdu_push_fault(struct ndr_push *p, uint32_t call_id, uint16_t ctx, uint32_t status);
/* Pads to 4 and appends the trailer head; the token is pushed after it. */
void pdu_push_trailer(struct ndr_push *p, uint8_t type, uint8_t level, uint8_t pad, uint32_t ctx_id);
void pdu_finish(struct ndr_push *p, size_t auth_len);

#endif
