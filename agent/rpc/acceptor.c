/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPNEGO acceptor (RFC 4178 section 5, [MS-SPNG] 3.2.5) and its trivial sibling, raw NTLM. */
#include "agent/rpc/acceptor.h"

int acceptor_init(struct acceptor *a, enum rpc_auth_type type, const struct mech_config *cfg, bool privacy)
{
	memset(a, 0, sizeof(*a));
	if (type != RPC_AUTH_SPNEGO && type != RPC_AUTH_NTLM)
		return -EOPNOTSUPP;
	a->type = type;
	a->cfg = cfg;
	a->privacy = privacy;
	return 0;
}

void acceptor_release(struct acceptor *a)
{
	mech_free(a->mech);
	free(a->mech_list);
	memset(a, 0, sizeof(*a));
}

static int raw_step(struct acceptor *a, const uint8_t *in, size_t in_len, struct ndr_push *out)
{
	int err = a->mech ? 0 : mech_new(SPNEGO_MECH_NTLM, a->cfg, a->privacy, &a->mech);

	return err ? err : a->mech->ops->step(a->mech, in, in_len, out, &a->done);
}

/* First leg: take the first mechanism of the client's list that we have, and its token if it was made for that one. */
static int begin(struct acceptor *a, const struct spnego_token *t, enum spnego_mech *chosen)
{
	int err = -EOPNOTSUPP;
	unsigned i;

	for (i = 0; i < t->nmechs && err == -EOPNOTSUPP; i++)
		err = mech_new(t->mechs[i], a->cfg, a->privacy, &a->mech);
	if (err)
		return err;
	*chosen = t->mechs[i - 1];
	a->mic_required = i != 1;
	a->mech_list = malloc(t->mech_list.len);
	if (!a->mech_list)
		return -ENOMEM;
	memcpy(a->mech_list, t->mech_list.data, t->mech_list.len);
	a->mech_list_len = t->mech_list.len;
	return 0;
}

/* Check the client's MIC over its mechanism list and make ours.  mic stays absent when the client sent none. */
static int exchange_mics(struct acceptor *a, const struct spnego_token *t, uint8_t *mic, struct spnego_bytes *out)
{
	const struct mech_ops *ops = a->mech->ops;
	int err;

	if (!t->mic.data)
		return a->mic_required ? -EACCES : 0;
	err = ops->mic_check(a->mech, a->mech_list, a->mech_list_len, t->mic.data, t->mic.len);
	if (!err)
		err = ops->mic_make(a->mech, a->mech_list, a->mech_list_len, mic, &out->len);
	if (err)
		return err;
	out->data = mic;
	ops->mic_done(a->mech);
	return 0;
}

static int spnego_step(struct acceptor *a, const uint8_t *in, size_t in_len, struct ndr_push *out)
{
	enum spnego_mech chosen = SPNEGO_MECH_OTHER;
	uint8_t mic[MECH_SIGNATURE_BYTES_MAX];
	struct spnego_bytes mic_out = { NULL, 0 }, token_out = { NULL, 0 };
	struct spnego_token t;
	struct ndr_push inner;
	bool done = false;
	int err = spnego_parse(in, in_len, &t);

	if (!err && t.init != !a->mech)
		err = -EPROTO;
	if (!err && t.init)
		err = begin(a, &t, &chosen);
	if (err)
		return err;
	ndr_push_init(&inner);
	if (t.mech_token.data && !(t.init && a->mic_required))
		err = a->mech->ops->step(a->mech, t.mech_token.data, t.mech_token.len, &inner, &done);
	else if (!t.init)
		err = -EPROTO;
	if (!err && done)
		err = exchange_mics(a, &t, mic, &mic_out);
	if (!err && inner.len)
		token_out = (struct spnego_bytes){ inner.data, inner.len };
	if (!err) {
		spnego_push_response(out,
				     done ? SPNEGO_COMPLETED : t.init && a->mic_required ? SPNEGO_REQUEST_MIC : SPNEGO_INCOMPLETE,
				     chosen, &token_out, &mic_out);
		err = out->err;
	}
	a->done = done && !err;
	ndr_push_release(&inner);
	return err;
}

int acceptor_step(struct acceptor *a, const uint8_t *in, size_t in_len, struct ndr_push *out)
{
	if (a->done)
		return -EPROTO;
	return a->type == RPC_AUTH_SPNEGO ? spnego_step(a, in, in_len, out) : raw_step(a, in, in_len, out);
}
