/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NTLM: the messages go to ntlm_auth as they are (protocol squid-2.5-ntlmssp); it asks winbindd and hands back the session
 * key and the negotiated flags, from which agent/rpc/ntlm.c makes the keys.
 *
 *   -> SF features      <- OK
 *   -> YR base64        <- TT base64       NEGOTIATE, CHALLENGE
 *   -> KK base64        <- AF DOMAIN\user  AUTHENTICATE
 *   -> GK               <- GK base64       session key
 *   -> GF               <- GF 0xflags
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "agent/child.h"
#include "agent/rpc/mech.h"
#include "agent/rpc/ntlm.h"
#include "fs/base/msg.h"

#define ANSWER_BYTES_MAX (64u * 1024)
#define TOKEN_BYTES_MAX 16384u
#define ANSWER_MS 10000

struct mech_ntlm {
	struct mech mech;
	struct child helper;
	struct ntlm_session session;
	bool negotiated; /* the first leg is over */
	bool ready;	 /* session has keys */
};

static struct mech_ntlm *of(struct mech *m)
{
	return (struct mech_ntlm *)((char *)m - offsetof(struct mech_ntlm, mech));
}

/* Ask and check that the answer begins with `want`; rest points behind it.  answer is ANSWER_BYTES_MAX bytes. */
static int ask(struct mech_ntlm *n, const char *line, const char *want, char *answer, char **rest)
{
	int err = child_ask(&n->helper, line, answer, ANSWER_BYTES_MAX, ANSWER_MS);

	if (err) {
		msg(LOG_ERR, "ntlm_auth does not answer: question=%.2s error=%s", line, strerror(-err));
		return err;
	}
	if (strncmp(answer, want, 2) != 0) {
		/* BH: broken helper, i.e. no winbindd; NA: wrong password and the like. */
		msg(strncmp(answer, "NA", 2) == 0 ? LOG_NOTICE : LOG_ERR, "ntlm_auth refused: answer=%.200s", answer);
		return -EACCES;
	}
	*rest = answer[2] == ' ' ? answer + 3 : answer + 2;
	return 0;
}

/* Decodes in place of nothing: returns the number of bytes put into out, or -EPROTO. */
static int decode_base64(const char *text, uint8_t *out, size_t out_size)
{
	size_t len = strcspn(text, " \r\n");
	size_t pad = len && text[len - 1] == '=' ? (len > 1 && text[len - 2] == '=' ? 2 : 1) : 0;

	if (len == 0 || len % 4 || len / 4 * 3 > out_size || EVP_DecodeBlock(out, (const uint8_t *)text, (int)len) < 0)
		return -EPROTO;
	return (int)(len / 4 * 3 - pad);
}

static int send_token(struct mech_ntlm *n, const char *command, const uint8_t *in, size_t in_len, const char *want,
		      char *answer, char **rest)
{
	CLEANUP_FREE char *line = NULL;

	if (in_len == 0 || in_len > TOKEN_BYTES_MAX)
		return -EPROTO;
	line = malloc(4 + (in_len + 2) / 3 * 4 + 1);
	if (!line)
		return -ENOMEM;
	memcpy(line, command, 3);
	EVP_EncodeBlock((uint8_t *)line + 3, in, (int)in_len);
	return ask(n, line, want, answer, rest);
}

static int first_leg(struct mech_ntlm *n, const uint8_t *in, size_t in_len, struct ndr_push *out, char *answer)
{
	uint8_t *token;
	char *rest;
	int len, err = send_token(n, "YR ", in, in_len, "TT", answer, &rest);

	if (err)
		return err;
	token = malloc(strlen(rest) + 3);
	if (!token)
		return -ENOMEM;
	len = decode_base64(rest, token, strlen(rest) + 3);
	if (len > 0)
		ndr_push_bytes(out, token, (size_t)len);
	free(token);
	n->negotiated = true;
	return len < 0 ? len : out->err;
}

static int take_name(struct mech_ntlm *n, const char *name)
{
	const char *slash = strchr(name, '\\');

	n->mech.domain = slash ? strndup(name, (size_t)(slash - name)) : strdup("");
	n->mech.user = strdup(slash ? slash + 1 : name);
	return n->mech.domain && n->mech.user ? 0 : -ENOMEM;
}

static int second_leg(struct mech_ntlm *n, const uint8_t *in, size_t in_len, char *answer)
{
	uint8_t key[48];
	unsigned long flags;
	char *rest, *end;
	int err = send_token(n, "KK ", in, in_len, "AF", answer, &rest);

	if (!err)
		err = take_name(n, rest);
	if (!err)
		err = ask(n, "GK", "GK", answer, &rest);
	if (!err && decode_base64(rest, key, sizeof(key)) != NTLM_KEY_BYTES)
		err = -EPROTO;
	OPENSSL_cleanse(answer, ANSWER_BYTES_MAX);
	if (!err)
		err = ask(n, "GF", "GF", answer, &rest);
	if (!err) {
		flags = strtoul(rest, &end, 16);
		if (end == rest || flags > UINT32_MAX)
			err = -EPROTO;
		else
			err = ntlm_session_init(&n->session, (uint32_t)flags, key);
	}
	OPENSSL_cleanse(key, sizeof(key));
	n->ready = !err;
	child_stop(&n->helper);
	return err;
}

static int step(struct mech *m, const uint8_t *in, size_t in_len, struct ndr_push *out, bool *done)
{
	struct mech_ntlm *n = of(m);
	CLEANUP_FREE char *answer = malloc(ANSWER_BYTES_MAX);
	int err;

	*done = false;
	if (!answer)
		return -ENOMEM;
	if (n->ready)
		return -EPROTO;
	if (!n->negotiated)
		return first_leg(n, in, in_len, out, answer);
	err = second_leg(n, in, in_len, answer);
	*done = !err;
	return err;
}

static size_t signature_bytes(const struct mech *m, bool privacy)
{
	return NTLM_SIGNATURE_BYTES;
}

static int protect(struct mech *m, const struct mech_pdu *p, uint8_t *sig)
{
	return ntlm_protect(&of(m)->session, NTLM_TO_CLIENT, p->privacy ? p->pdu + p->data_off : NULL, p->data_len, p->pdu,
			    p->signed_len, sig);
}

static int unprotect(struct mech *m, const struct mech_pdu *p, const uint8_t *sig, size_t sig_len)
{
	if (sig_len != NTLM_SIGNATURE_BYTES)
		return -EACCES;
	return ntlm_unprotect(&of(m)->session, NTLM_TO_SERVER, p->privacy ? p->pdu + p->data_off : NULL, p->data_len,
			      p->pdu, p->signed_len, sig);
}

static int mic_make(struct mech *m, const uint8_t *data, size_t len, uint8_t mic[MECH_SIGNATURE_BYTES_MAX],
		    size_t *mic_len)
{
	*mic_len = NTLM_SIGNATURE_BYTES;
	return ntlm_protect(&of(m)->session, NTLM_TO_CLIENT, NULL, 0, data, len, mic);
}

static int mic_check(struct mech *m, const uint8_t *data, size_t len, const uint8_t *mic, size_t mic_len)
{
	if (mic_len != NTLM_SIGNATURE_BYTES)
		return -EACCES;
	return ntlm_unprotect(&of(m)->session, NTLM_TO_SERVER, NULL, 0, data, len, mic);
}

static void mic_done(struct mech *m)
{
	ntlm_session_rekey(&of(m)->session);
}

static void ntlm_free(struct mech *m)
{
	struct mech_ntlm *n = of(m);

	child_stop(&n->helper);
	ntlm_session_wipe(&n->session);
	free(n);
}

static const struct mech_ops ntlm_ops = {
	.name = "NTLM",
	.step = step,
	.signature_bytes = signature_bytes,
	.protect = protect,
	.unprotect = unprotect,
	.mic_make = mic_make,
	.mic_check = mic_check,
	.mic_done = mic_done,
	.free = ntlm_free,
};

int mech_ntlm_new(const struct mech_config *cfg, bool privacy, struct mech **out)
{
	const char *argv[] = { cfg->ntlm_auth, "--helper-protocol=squid-2.5-ntlmssp", NULL, NULL };
	CLEANUP_FREE char *conf = NULL;
	CLEANUP_FREE char *answer = malloc(ANSWER_BYTES_MAX);
	struct mech_ntlm *n = calloc(1, sizeof(*n));
	char *rest;
	int err = n && answer ? 0 : -ENOMEM;

	if (!err && cfg->smb_conf) {
		if (asprintf(&conf, "--configfile=%s", cfg->smb_conf) < 0)
			err = -ENOMEM, conf = NULL;
		argv[2] = conf;
	}
	if (!err) {
		n->mech.ops = &ntlm_ops;
		err = child_start(&n->helper, argv);
	}
	/* Asking for SEAL on behalf of a client that only signs makes ntlm_auth refuse the client. */
	if (!err)
		err = ask(n, privacy ? "SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN NTLMSSP_FEATURE_SEAL" :
				       "SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN",
			  "OK", answer, &rest);
	if (err) {
		if (n)
			child_stop(&n->helper);
		free(n);
		return err;
	}
	*out = &n->mech;
	return 0;
}
