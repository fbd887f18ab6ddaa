/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PDU layouts. */
#include "agent/rpc/pdu.h"

#include "fs/base/endian.h"

#define OFF_FRAG_LEN 8
#define OFF_AUTH_LEN 10

/* 8a885d04-1ceb-11c9-9fe8-08002b104860 version 2 */
static const struct guid ndr32_syntax = { { 0x8a, 0x88, 0x5d, 0x04, 0x1c, 0xeb, 0x11, 0xc9, 0x9f, 0xe8, 0x08, 0x00, 0x2b,
					    0x10, 0x48, 0x60 } };
#define NDR32_VERSION 2u

/* 6cb71c2c-9812-4540-xxxx-...: the first 8 printed bytes mark feature negotiation, the next two are the bits. */
static const uint8_t feature_prefix[8] = { 0x6c, 0xb7, 0x1c, 0x2c, 0x98, 0x12, 0x45, 0x40 };

int pdu_parse_header(const uint8_t *data, struct pdu_header *h)
{
	*h = (struct pdu_header){
		.type = data[2],
		.flags = data[3],
		.frag_len = get_le16(data + OFF_FRAG_LEN),
		.auth_len = get_le16(data + OFF_AUTH_LEN),
		.call_id = get_le32(data + 12),
	};
	if (data[0] != 5 || data[1] > 1 || data[4] != 0x10) /* version; integers little-endian, characters ASCII */
		return -EPROTO;
	if (h->frag_len < PDU_HEADER_BYTES || h->frag_len > PDU_FRAG_BYTES_MAX)
		return -EPROTO;
	if (h->auth_len && (size_t)h->auth_len + PDU_TRAILER_BYTES + PDU_HEADER_BYTES > h->frag_len)
		return -EPROTO;
	return 0;
}

int pdu_parse_trailer(const uint8_t *pdu, const struct pdu_header *h, size_t body_off, struct pdu_trailer *t)
{
	const uint8_t *at;

	memset(t, 0, sizeof(*t));
	if (!h->auth_len)
		return -EPROTO;
	t->off = (size_t)h->frag_len - h->auth_len - PDU_TRAILER_BYTES;
	at = pdu + t->off;
	t->type = at[0];
	t->level = at[1];
	t->pad = at[2];
	t->ctx_id = get_le32(at + 4);
	t->token = at + PDU_TRAILER_BYTES;
	t->token_len = h->auth_len;
	return t->off < body_off || t->pad > t->off - body_off ? -EPROTO : 0;
}

static void pull_context(struct ndr_pull *p, struct pdu_context *c)
{
	struct guid transfer;
	uint32_t version;
	unsigned nsyntaxes;

	c->id = ndr_pull_u16(p);
	nsyntaxes = ndr_pull_u8(p);
	(void)ndr_pull_u8(p); /* reserved */
	ndr_pull_guid(p, &c->abstract);
	c->abstract_version = ndr_pull_u32(p);
	if (nsyntaxes > PDU_SYNTAXES_MAX)
		ndr_pull_fail(p, -EPROTO);
	for (unsigned i = 0; i < nsyntaxes && !p->err; i++) {
		ndr_pull_guid(p, &transfer);
		version = ndr_pull_u32(p);
		if (guid_equal(&transfer, &ndr32_syntax) && version == NDR32_VERSION)
			c->ndr32 = true;
		if (memcmp(transfer.b, feature_prefix, sizeof(feature_prefix)) == 0) {
			c->features = true;
			c->feature_bits = get_le16(transfer.b + 8);
		}
	}
}

int pdu_parse_bind(const uint8_t *pdu, size_t end, struct pdu_bind *b)
{
	struct ndr_pull p;

	memset(b, 0, sizeof(*b));
	ndr_pull_init(&p, pdu, end);
	(void)ndr_pull_bytes(&p, PDU_HEADER_BYTES);
	b->max_xmit = ndr_pull_u16(&p);
	b->max_recv = ndr_pull_u16(&p);
	b->assoc_group = ndr_pull_u32(&p);
	b->ncontexts = ndr_pull_u8(&p);
	(void)ndr_pull_bytes(&p, 3); /* reserved */
	if (b->ncontexts < 1 || b->ncontexts > PDU_CONTEXTS_MAX)
		return -EPROTO;
	for (unsigned i = 0; i < b->ncontexts; i++)
		pull_context(&p, &b->contexts[i]);
	return p.err;
}

int pdu_parse_request(const uint8_t *pdu, const struct pdu_header *h, struct pdu_request *r)
{
	struct ndr_pull p;

	ndr_pull_init(&p, pdu, h->frag_len);
	(void)ndr_pull_bytes(&p, PDU_HEADER_BYTES);
	r->alloc_hint = ndr_pull_u32(&p);
	r->ctx = ndr_pull_u16(&p);
	r->opnum = ndr_pull_u16(&p);
	if (h->flags & PDU_OBJECT_UUID)
		(void)ndr_pull_bytes(&p, 16);
	r->stub_off = p.off;
	return p.err;
}

void pdu_begin(struct ndr_push *p, enum pdu_type type, uint8_t flags, uint32_t call_id)
{
	static const uint8_t little_endian[4] = { 0x10, 0, 0, 0 };

	ndr_push_u8(p, 5);
	ndr_push_u8(p, 0);
	ndr_push_u8(p, (uint8_t)type);
	ndr_push_u8(p, flags);
	ndr_push_bytes(p, little_endian, sizeof(little_endian));
	ndr_push_u16(p, 0); /* frag_len and auth_len: see pdu_finish */
	ndr_push_u16(p, 0);
	ndr_push_u32(p, call_id);
}

void pdu_push_bind_ack(struct ndr_push *p, uint16_t frag_max, uint32_t assoc_group, const char *address,
		       const struct pdu_bind *b, const struct pdu_result *results)
{
	static const struct guid no_syntax;
	size_t address_bytes = *address ? strlen(address) + 1 : 0;

	ndr_push_u16(p, frag_max);
	ndr_push_u16(p, frag_max);
	ndr_push_u32(p, assoc_group);
	ndr_push_u16(p, (uint16_t)address_bytes);
	ndr_push_bytes(p, address, address_bytes);
	ndr_push_align(p, 4);
	ndr_push_u8(p, (uint8_t)b->ncontexts);
	(void)ndr_push_room(p, 3); /* reserved */
	for (unsigned i = 0; i < b->ncontexts; i++) {
		bool accepted = results[i].result == 0;

		ndr_push_u16(p, results[i].result);
		ndr_push_u16(p, results[i].reason);
		ndr_push_guid(p, accepted ? &ndr32_syntax : &no_syntax);
		ndr_push_u32(p, accepted ? NDR32_VERSION : 0);
	}
}

void pdu_push_bind_nak(struct ndr_push *p, uint32_t call_id, uint16_t reason)
{
	pdu_begin(p, PDU_BIND_NAK, PDU_FIRST | PDU_LAST, call_id);
	ndr_push_u16(p, reason);
	ndr_push_u8(p, 1); /* one supported protocol version: 5.0 */
	ndr_push_u8(p, 5);
	ndr_push_u8(p, 0);
	pdu_finish(p, 0);
}

void pdu_push_fault(struct ndr_push *p, uint32_t call_id, uint16_t ctx, uint32_t status)
{
	pdu_begin(p, PDU_FAULT, PDU_FIRST | PDU_LAST, call_id);
	ndr_push_u32(p, 0); /* alloc_hint */
	ndr_push_u16(p, ctx);
	ndr_push_u16(p, 0); /* cancel count, reserved */
	ndr_push_u32(p, status);
	ndr_push_u32(p, 0); /* reserved */
	pdu_finish(p, 0);
}

void pdu_push_trailer(struct ndr_push *p, uint8_t type, uint8_t level, uint8_t pad, uint32_t ctx_id)
{
	ndr_push_align(p, 4);
	ndr_push_u8(p, type);
	ndr_push_u8(p, level);
	ndr_push_u8(p, pad);
	ndr_push_u8(p, 0);
	ndr_push_u32(p, ctx_id);
}

void pdu_finish(struct ndr_push *p, size_t auth_len)
{
	if (!p->err && (p->len > PDU_FRAG_BYTES_MAX || auth_len > p->len))
		p->err = -EMSGSIZE;
	if (p->err)
		return;
	put_le16(p->data + OFF_FRAG_LEN, (uint16_t)p->len);
	put_le16(p->data + OFF_AUTH_LEN, (uint16_t)auth_len);
}
