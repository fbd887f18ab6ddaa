/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A DER reader that only goes forward and only inside what it was given, and a writer for one message. */
#include "agent/rpc/spnego.h"

#define TAG_APPLICATION_0 0x60
#define TAG_CONTEXT(n) (0xa0 | (n))
#define TAG_SEQUENCE 0x30
#define TAG_OID 0x06
#define TAG_OCTETS 0x04
#define TAG_ENUMERATED 0x0a

static const uint8_t oid_spnego[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02 };		      /* 1.3.6.1.5.5.2 */
static const uint8_t oid_ntlm[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a }; /* 1.3.6.1.4.1.311.2.2.10 */
static const uint8_t oid_krb5[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02 };  /* 1.2.840.113554.1.2.2 */
static const uint8_t oid_ms_krb5[] = { 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02 }; /* 1.2.840.48018.1.2.2 */

/* Take the next element: its tag, contents, and optionally the whole encoding.  in moves behind it. */
static int next(struct spnego_bytes *in, uint8_t *tag, struct spnego_bytes *contents, struct spnego_bytes *whole)
{
	size_t header = 2, len;

	if (in->len < 2)
		return -EPROTO;
	*tag = in->data[0];
	len = in->data[1];
	if (len & 0x80) {
		size_t n = len & 0x7f;

		if (n < 1 || n > 3 || in->len < 2 + n) /* no token of ours reaches 16 MiB */
			return -EPROTO;
		len = 0;
		for (size_t i = 0; i < n; i++)
			len = len << 8 | in->data[2 + i];
		header += n;
	}
	if (len > in->len - header)
		return -EPROTO;
	*contents = (struct spnego_bytes){ in->data + header, len };
	if (whole)
		*whole = (struct spnego_bytes){ in->data, header + len };
	in->data += header + len;
	in->len -= header + len;
	return 0;
}

static int expect(struct spnego_bytes *in, uint8_t want, struct spnego_bytes *contents)
{
	uint8_t tag;
	int err = next(in, &tag, contents, NULL);

	return err ? err : tag == want ? 0 : -EPROTO;
}

static bool is_oid(const struct spnego_bytes *b, const uint8_t *oid, size_t len)
{
	return b->len == len && memcmp(b->data, oid, len) == 0;
}

static enum spnego_mech mech_of(const struct spnego_bytes *oid)
{
	if (is_oid(oid, oid_ntlm, sizeof(oid_ntlm)))
		return SPNEGO_MECH_NTLM;
	if (is_oid(oid, oid_krb5, sizeof(oid_krb5)) || is_oid(oid, oid_ms_krb5, sizeof(oid_ms_krb5)))
		return SPNEGO_MECH_KERBEROS;
	return SPNEGO_MECH_OTHER;
}

static int parse_mech_list(struct spnego_bytes field, struct spnego_token *out)
{
	struct spnego_bytes list, oid;
	uint8_t tag;
	int err = next(&field, &tag, &list, &out->mech_list);

	if (err || tag != TAG_SEQUENCE)
		return -EPROTO;
	while (list.len) {
		if (out->nmechs == SPNEGO_MECHS_MAX || expect(&list, TAG_OID, &oid) < 0)
			return -EPROTO;
		out->mechs[out->nmechs++] = mech_of(&oid);
	}
	return 0;
}

/* Fields of NegTokenInit and NegTokenResp: [2] is the token and [3] the MIC in both; Samba and Windows send no
 * NegHints in a client's token.  [1] (flags, supportedMech) and [0] of a response carry nothing an acceptor needs. */
static int parse_fields(struct spnego_bytes seq, struct spnego_token *out)
{
	struct spnego_bytes field;
	uint8_t tag;
	int err = 0;

	while (seq.len && !err) {
		err = next(&seq, &tag, &field, NULL);
		if (err)
			break;
		if (tag == TAG_CONTEXT(0) && out->init)
			err = parse_mech_list(field, out);
		else if (tag == TAG_CONTEXT(2))
			err = expect(&field, TAG_OCTETS, &out->mech_token);
		else if (tag == TAG_CONTEXT(3))
			err = expect(&field, TAG_OCTETS, &out->mic);
	}
	return err;
}

int spnego_parse(const uint8_t *data, size_t len, struct spnego_token *out)
{
	struct spnego_bytes in = { data, len }, body, oid, choice, seq;
	uint8_t tag;

	memset(out, 0, sizeof(*out));
	if (next(&in, &tag, &body, NULL) < 0)
		return -EPROTO;
	if (tag == TAG_APPLICATION_0) { /* initial context token: RFC 2743 3.1 */
		out->init = true;
		if (expect(&body, TAG_OID, &oid) < 0 || !is_oid(&oid, oid_spnego, sizeof(oid_spnego)) ||
		    expect(&body, TAG_CONTEXT(0), &choice) < 0)
			return -EPROTO;
	} else if (tag == TAG_CONTEXT(1)) {
		choice = body;
	} else {
		return -EPROTO;
	}
	if (expect(&choice, TAG_SEQUENCE, &seq) < 0 || parse_fields(seq, out) < 0)
		return -EPROTO;
	return out->init && !out->nmechs ? -EPROTO : 0;
}

static size_t header_bytes(size_t len)
{
	return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static void push_header(struct ndr_push *out, uint8_t tag, size_t len)
{
	ndr_push_u8(out, tag);
	if (len >= 0x100) {
		ndr_push_u8(out, 0x82);
		ndr_push_u8(out, (uint8_t)(len >> 8));
	} else if (len >= 0x80) {
		ndr_push_u8(out, 0x81);
	}
	ndr_push_u8(out, (uint8_t)len);
}

/* [n] { tag contents } */
static size_t field_bytes(size_t len)
{
	size_t inner = header_bytes(len) + len;

	return header_bytes(inner) + inner;
}

static void push_field(struct ndr_push *out, int n, uint8_t tag, const uint8_t *data, size_t len)
{
	push_header(out, (uint8_t)TAG_CONTEXT(n), header_bytes(len) + len);
	push_header(out, tag, len);
	ndr_push_bytes(out, data, len);
}

void spnego_push_response(struct ndr_push *out, enum spnego_state state, enum spnego_mech mech,
			  const struct spnego_bytes *mech_token, const struct spnego_bytes *mic)
{
	const uint8_t *oid = mech == SPNEGO_MECH_NTLM ? oid_ntlm : mech == SPNEGO_MECH_KERBEROS ? oid_krb5 : NULL;
	size_t oid_len = mech == SPNEGO_MECH_NTLM ? sizeof(oid_ntlm) : sizeof(oid_krb5);
	uint8_t state_byte = (uint8_t)state;
	size_t len = field_bytes(1);

	if (oid)
		len += field_bytes(oid_len);
	if (mech_token->data)
		len += field_bytes(mech_token->len);
	if (mic->data)
		len += field_bytes(mic->len);
	if (len > 0xff00 && !out->err) /* lengths are written with two bytes at most */
		out->err = -EMSGSIZE;
	push_header(out, TAG_CONTEXT(1), header_bytes(len) + len);
	push_header(out, TAG_SEQUENCE, len);
	push_field(out, 0, TAG_ENUMERATED, &state_byte, 1);
	if (oid)
		push_field(out, 1, TAG_OID, oid, oid_len);
	if (mech_token->data)
		push_field(out, 2, TAG_OCTETS, mech_token->data, mech_token->len);
	if (mic->data)
		push_field(out, 3, TAG_OCTETS, mic->data, mic->len);
}
