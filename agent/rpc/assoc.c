/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * States: new --bind--> bound (auth NONE, or PENDING --last leg--> DONE / FAILED).  Requests are served in NONE and DONE;
 * in PENDING and FAILED they get a fault "access denied".  One call at a time: the next PDU is looked at when the
 * answer is out, so cancels and orphans come too late and are ignored.
 */
#include "agent/rpc/assoc.h"

#include <sys/random.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"

#define REQUEST_BODY_OFF (PDU_HEADER_BYTES + 8)
#define BIND_BODY_OFF (PDU_HEADER_BYTES + 12)
#define AUTH3_BODY_OFF (PDU_HEADER_BYTES + 4)
#define RESPONSE_PAD 16 /* sealed and signed stubs are padded to this, as Windows does */

/* [MS-RPCE] 2.2.2.4 and C706 12.6.3.1: results and reasons */
#define RESULT_ACCEPTED 0
#define RESULT_REJECTED 2
#define RESULT_FEATURES 3
#define REASON_NO_ABSTRACT 1
#define REASON_NO_TRANSFER 2
#define FEATURES_KNOWN 3 /* security context multiplexing, keep connection on orphan: harmless to agree to */

void assoc_init(struct assoc *a, const struct assoc_config *cfg)
{
	memset(a, 0, sizeof(*a));
	a->cfg = *cfg;
	a->level = RPC_LEVEL_NONE;
	ndr_push_init(&a->stub);
}

void assoc_release(struct assoc *a)
{
	acceptor_release(&a->acceptor);
	ndr_push_release(&a->stub);
}

static int send_and_release(struct assoc *a, struct ndr_push *p)
{
	int err = p->err ? p->err : a->cfg.send(a->cfg.send_arg, p->data, p->len);

	ndr_push_release(p);
	return err;
}

static int send_fault(struct assoc *a, uint32_t call_id, uint16_t ctx, uint32_t status)
{
	struct ndr_push p;

	ndr_push_init(&p);
	pdu_push_fault(&p, call_id, ctx, status);
	return send_and_release(a, &p);
}

static int send_nak(struct assoc *a, uint32_t call_id, uint16_t reason)
{
	struct ndr_push p;

	ndr_push_init(&p);
	pdu_push_bind_nak(&p, call_id, reason);
	return send_and_release(a, &p);
}

/* ---- bind and alter ------------------------------------------------------------------------------------------------ */

static bool context_known(const struct assoc *a, uint16_t id)
{
	for (unsigned i = 0; i < a->ncontexts; i++)
		if (a->contexts[i] == id)
			return true;
	return false;
}

static struct pdu_result judge_context(struct assoc *a, const struct pdu_context *c)
{
	if (c->features)
		return (struct pdu_result){ RESULT_FEATURES, c->feature_bits & FEATURES_KNOWN };
	if (!guid_equal(&c->abstract, &a->cfg.iface->uuid) || (c->abstract_version & 0xffff) != a->cfg.iface->version_major)
		return (struct pdu_result){ RESULT_REJECTED, REASON_NO_ABSTRACT };
	if (!c->ndr32)
		return (struct pdu_result){ RESULT_REJECTED, REASON_NO_TRANSFER };
	if (!context_known(a, c->id)) {
		if (a->ncontexts == PDU_CONTEXTS_MAX)
			return (struct pdu_result){ RESULT_REJECTED, REASON_NO_TRANSFER };
		a->contexts[a->ncontexts++] = c->id;
	}
	return (struct pdu_result){ RESULT_ACCEPTED, 0 };
}

/* Begin authentication at the bind's trailer.  Returns 0 or the reason of a bind_nak. */
static uint16_t begin_auth(struct assoc *a, const struct pdu_trailer *t)
{
	if (t->level != RPC_LEVEL_INTEGRITY && t->level != RPC_LEVEL_PRIVACY)
		return NAK_AUTH_TYPE;
	if (acceptor_init(&a->acceptor, t->type, &a->cfg.mech, t->level == RPC_LEVEL_PRIVACY) < 0)
		return NAK_AUTH_TYPE;
	a->auth = ASSOC_AUTH_PENDING;
	a->level = t->level;
	a->auth_ctx = t->ctx_id;
	return 0;
}

/* One leg.  The state says how it went. */
static void auth_leg(struct assoc *a, const struct pdu_trailer *t, struct ndr_push *token)
{
	int err = -EPROTO;

	if (a->auth == ASSOC_AUTH_PENDING && t->type == (uint8_t)a->acceptor.type && t->level == (uint8_t)a->level &&
	    t->ctx_id == a->auth_ctx)
		err = acceptor_step(&a->acceptor, t->token, t->token_len, token);
	if (err) {
		msg(LOG_NOTICE, "rpc authentication failed: type=%u level=%u error=%s", t->type, t->level, strerror(-err));
		a->auth = ASSOC_AUTH_FAILED;
	} else if (a->acceptor.done) {
		a->auth = ASSOC_AUTH_DONE;
		msg(LOG_DEBUG, "rpc authentication done: mechanism=%s level=%u domain=%s user=%s",
		    a->acceptor.mech->ops->name, (unsigned)a->level, a->acceptor.mech->domain, a->acceptor.mech->user);
	}
}

static int send_ack(struct assoc *a, const struct pdu_header *h, const struct pdu_bind *b,
		    const struct pdu_trailer *t, const struct ndr_push *token)
{
	bool alter = h->type == PDU_ALTER;
	struct pdu_result results[PDU_CONTEXTS_MAX];
	struct ndr_push p;

	for (unsigned i = 0; i < b->ncontexts; i++)
		results[i] = judge_context(a, &b->contexts[i]);
	ndr_push_init(&p);
	pdu_begin(&p, alter ? PDU_ALTER_RESP : PDU_BIND_ACK,
		  PDU_FIRST | PDU_LAST | (a->header_signing ? PDU_HEADER_SIGNING : 0), h->call_id);
	pdu_push_bind_ack(&p, a->frag_max, a->group, alter ? "" : a->cfg.iface->address, b, results);
	if (token->len) {
		pdu_push_trailer(&p, t->type, t->level, 0, t->ctx_id);
		ndr_push_bytes(&p, token->data, token->len);
	}
	pdu_finish(&p, token->len);
	return send_and_release(a, &p);
}

/* Bind when new, alter when bound.  `body` and `t` are parsed already. */
static int answer_bind(struct assoc *a, const struct pdu_header *h, const struct pdu_bind *b,
		       const struct pdu_trailer *t)
{
	struct ndr_push token;
	uint16_t nak = 0;
	int err;

	ndr_push_init(&token);
	if (h->auth_len) {
		if (a->auth == ASSOC_AUTH_NONE && h->type == PDU_BIND)
			nak = begin_auth(a, t);
		if (!nak)
			auth_leg(a, t, &token);
		if (!nak && a->auth == ASSOC_AUTH_FAILED)
			nak = NAK_BAD_TOKEN;
	}
	if (!nak)
		err = send_ack(a, h, b, t, &token);
	else if (h->type == PDU_BIND)
		err = send_nak(a, h->call_id, nak);
	else
		err = send_fault(a, h->call_id, 0, FAULT_ACCESS_DENIED);
	a->bound = a->bound || !nak;
	ndr_push_release(&token);
	return err;
}

static int on_bind(struct assoc *a, const struct pdu_header *h)
{
	struct pdu_trailer t = { 0 };
	struct pdu_bind b;
	int err = h->auth_len ? pdu_parse_trailer(a->in, h, BIND_BODY_OFF, &t) : 0;

	if (!err)
		err = pdu_parse_bind(a->in, h->auth_len ? t.off - t.pad : h->frag_len, &b);
	if (err || a->bound != (h->type == PDU_ALTER))
		return -EPROTO;
	if (h->type == PDU_BIND) {
		a->frag_max = MIN(MIN(b.max_xmit, b.max_recv), PDU_FRAG_BYTES_MAX);
		if (a->frag_max < PDU_FRAG_BYTES_MIN)
			return send_nak(a, h->call_id, NAK_NOT_SPECIFIED);
		a->header_signing = (h->flags & PDU_HEADER_SIGNING) && h->auth_len;
		a->group = b.assoc_group;
		while (!a->group)
			if (getrandom(&a->group, sizeof(a->group), 0) < 0)
				return -errno;
	}
	return answer_bind(a, h, &b, &t);
}

static int on_auth3(struct assoc *a, const struct pdu_header *h)
{
	struct ndr_push token;
	struct pdu_trailer t;

	if (!a->bound || pdu_parse_trailer(a->in, h, AUTH3_BODY_OFF, &t) < 0)
		return -EPROTO;
	ndr_push_init(&token);
	auth_leg(a, &t, &token); /* has no answer; a failure shows as fault on the next request */
	ndr_push_release(&token);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static int send_response_fragment(struct assoc *a, const uint8_t *stub, size_t len, size_t left, uint8_t flags)
{
	bool secure = a->auth == ASSOC_AUTH_DONE;
	bool privacy = a->level == RPC_LEVEL_PRIVACY;
	size_t sig_len = secure ? a->acceptor.mech->ops->signature_bytes(a->acceptor.mech, privacy) : 0;
	size_t pad = secure ? -len & (RESPONSE_PAD - 1) : 0;
	struct ndr_push p;

	ndr_push_init(&p);
	pdu_begin(&p, PDU_RESPONSE, flags, a->call_id);
	ndr_push_u32(&p, (uint32_t)left); /* alloc_hint: bytes from here to the end */
	ndr_push_u16(&p, a->ctx);
	ndr_push_u16(&p, 0); /* cancel count, reserved */
	ndr_push_bytes(&p, stub, len);
	(void)ndr_push_room(&p, pad);
	if (secure) {
		pdu_push_trailer(&p, (uint8_t)a->acceptor.type, (uint8_t)a->level, (uint8_t)pad, a->auth_ctx);
		(void)ndr_push_room(&p, sig_len);
	}
	pdu_finish(&p, sig_len); /* before signing: the lengths are signed too */
	if (secure && !p.err) {
		struct mech_pdu mp = { p.data, p.len - sig_len, REQUEST_BODY_OFF, len + pad, privacy };

		p.err = a->acceptor.mech->ops->protect(a->acceptor.mech, &mp, p.data + p.len - sig_len);
	}
	return send_and_release(a, &p);
}

static int send_response(struct assoc *a, const struct ndr_push *out)
{
	bool secure = a->auth == ASSOC_AUTH_DONE;
	size_t room = a->frag_max - REQUEST_BODY_OFF, done = 0;
	int err;

	if (secure)
		room -= PDU_TRAILER_BYTES +
			a->acceptor.mech->ops->signature_bytes(a->acceptor.mech, a->level == RPC_LEVEL_PRIVACY);
	room &= ~(size_t)(RESPONSE_PAD - 1);
	do {
		size_t left = out->len - done, len = MIN(left, room);

		err = send_response_fragment(a, out->data + done, len, left,
					     (uint8_t)((done ? 0 : PDU_FIRST) | (len == left ? PDU_LAST : 0)));
		done += len;
	} while (!err && done < out->len);
	return err;
}

static int serve(struct assoc *a)
{
	struct rpc_caller who = { .level = RPC_LEVEL_NONE };
	struct ndr_push out;
	uint32_t fault;
	int err;

	if (a->auth == ASSOC_AUTH_DONE)
		who = (struct rpc_caller){ a->level, a->acceptor.mech->user, a->acceptor.mech->domain };
	ndr_push_init(&out);
	fault = a->cfg.iface->call(a->cfg.call_arg, &who, a->opnum, a->stub.data, a->stub.len, &out);
	if (out.err) {
		msg(LOG_ERR, "cannot build an answer: opnum=%u error=%s", a->opnum, strerror(-out.err));
		fault = FAULT_PROTOCOL;
	}
	err = fault ? send_fault(a, a->call_id, a->ctx, fault) : send_response(a, &out);
	ndr_push_release(&out);
	ndr_push_release(&a->stub);
	return err;
}

/* Check and decrypt one fragment; stub_len without padding. */
static int open_fragment(struct assoc *a, const struct pdu_header *h, size_t stub_off, size_t *stub_len)
{
	struct pdu_trailer t;
	struct mech_pdu mp;
	int err;

	if (a->auth == ASSOC_AUTH_NONE) {
		*stub_len = h->frag_len - stub_off;
		return h->auth_len ? -EPROTO : 0;
	}
	if (!h->auth_len)
		return -EACCES;
	err = pdu_parse_trailer(a->in, h, stub_off, &t);
	if (err)
		return err;
	if (t.type != (uint8_t)a->acceptor.type || t.level != (uint8_t)a->level || t.ctx_id != a->auth_ctx)
		return -EACCES;
	mp = (struct mech_pdu){ a->in, t.off + PDU_TRAILER_BYTES, stub_off, t.off - stub_off, a->level == RPC_LEVEL_PRIVACY };
	*stub_len = t.off - stub_off - t.pad;
	return a->acceptor.mech->ops->unprotect(a->acceptor.mech, &mp, t.token, t.token_len);
}

static int on_request(struct assoc *a, const struct pdu_header *h)
{
	struct pdu_request r;
	size_t stub_len = 0;
	int err = pdu_parse_request(a->in, h, &r);

	if (err || !a->bound)
		return -EPROTO;
	if (a->auth == ASSOC_AUTH_PENDING || a->auth == ASSOC_AUTH_FAILED)
		return send_fault(a, h->call_id, r.ctx, FAULT_ACCESS_DENIED);
	err = open_fragment(a, h, r.stub_off, &stub_len);
	if (err == -EACCES) {
		msg(LOG_WARNING, "rpc request with a bad signature: call_id=%u", h->call_id);
		(void)send_fault(a, h->call_id, r.ctx, FAULT_ACCESS_DENIED); /* the connection ends anyway */
	}
	if (err)
		return err;
	if (h->flags & PDU_FIRST) {
		if (a->in_request)
			return -EPROTO;
		a->in_request = true;
		a->call_id = h->call_id;
		a->ctx = r.ctx;
		a->opnum = r.opnum;
	} else if (!a->in_request || h->call_id != a->call_id) {
		return -EPROTO;
	}
	if (stub_len > ASSOC_STUB_BYTES_MAX - a->stub.len) {
		(void)send_fault(a, h->call_id, r.ctx, FAULT_BAD_STUB); /* the connection ends anyway */
		return -EMSGSIZE;
	}
	ndr_push_bytes(&a->stub, a->in + r.stub_off, stub_len);
	if (a->stub.err)
		return a->stub.err;
	if (!(h->flags & PDU_LAST))
		return 0;
	a->in_request = false;
	if (!context_known(a, a->ctx)) {
		ndr_push_release(&a->stub);
		return send_fault(a, a->call_id, a->ctx, FAULT_UNKNOWN_CONTEXT);
	}
	return serve(a);
}

static int on_pdu(struct assoc *a, const struct pdu_header *h)
{
	switch (h->type) {
	case PDU_BIND:
	case PDU_ALTER:
		return on_bind(a, h);
	case PDU_AUTH3:
		return on_auth3(a, h);
	case PDU_REQUEST:
		return on_request(a, h);
	case PDU_CO_CANCEL:
	case PDU_ORPHANED:
		return 0;
	default:
		return -EPROTO;
	}
}

int assoc_feed(struct assoc *a, const uint8_t *data, size_t len)
{
	while (len) {
		struct pdu_header h = { .frag_len = PDU_HEADER_BYTES };
		bool have_header = a->in_len >= PDU_HEADER_BYTES;
		size_t n;
		int err = have_header ? pdu_parse_header(a->in, &h) : 0;

		if (err)
			return err;
		n = MIN(len, h.frag_len - a->in_len);
		memcpy(a->in + a->in_len, data, n);
		a->in_len += n;
		data += n;
		len -= n;
		if (a->in_len < PDU_HEADER_BYTES)
			continue;
		err = pdu_parse_header(a->in, &h);
		if (!err && a->in_len == h.frag_len) {
			err = on_pdu(a, &h);
			a->in_len = 0;
		}
		if (err)
			return err;
	}
	return 0;
}
