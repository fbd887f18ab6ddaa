/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys ([MS-NLMP] 3.4.5), signatures and sealing (3.4.4, 3.4.3). */
#include "agent/rpc/ntlm.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "fs/base/endian.h"

#define MAC_BYTES 8

/* The constants go into the digest with their NUL: [MS-NLMP] 3.4.5.2, 3.4.5.3. */
static const char *const sign_magic[2] = {
	"session key to client-to-server signing key magic constant",
	"session key to server-to-client signing key magic constant",
};
static const char *const seal_magic[2] = {
	"session key to client-to-server sealing key magic constant",
	"session key to server-to-client sealing key magic constant",
};

static int derive(const uint8_t *key, size_t key_len, const char *magic, uint8_t out[NTLM_KEY_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) && EVP_DigestUpdate(ctx, key, key_len) &&
		 EVP_DigestUpdate(ctx, magic, strlen(magic) + 1) && EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int ntlm_session_init(struct ntlm_session *s, uint32_t flags, const uint8_t key[NTLM_KEY_BYTES])
{
	size_t seal_bytes = flags & NTLM_FLAG_128 ? 16 : flags & NTLM_FLAG_56 ? 7 : 5;

	memset(s, 0, sizeof(*s));
	s->flags = flags;
	if (!(flags & NTLM_FLAG_EXTENDED_SECURITY))
		return -EOPNOTSUPP;
	for (int d = 0; d < 2; d++) {
		if (derive(key, NTLM_KEY_BYTES, sign_magic[d], s->way[d].sign_key) < 0 ||
		    derive(key, seal_bytes, seal_magic[d], s->way[d].seal_key) < 0)
			return -EIO;
	}
	ntlm_session_rekey(s);
	return 0;
}

void ntlm_session_rekey(struct ntlm_session *s)
{
	for (int d = 0; d < 2; d++)
		rc4_init(&s->way[d].rc4, s->way[d].seal_key, NTLM_KEY_BYTES);
}

void ntlm_session_wipe(struct ntlm_session *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

/* version 1 | 8 bytes of MAC, encrypted with the stream when keys were exchanged | sequence number */
static int make_signature(struct ntlm_session *s, enum ntlm_direction d, const uint8_t *msg, size_t len,
			  uint8_t sig[NTLM_SIGNATURE_BYTES])
{
	struct ntlm_way *w = &s->way[d];
	uint8_t seq[4], digest[EVP_MAX_MD_SIZE];
	size_t digest_len = 0;
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	char md5[] = "MD5";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", md5, 0), OSSL_PARAM_construct_end() };
	int ok;

	put_le32(seq, w->seq);
	ok = ctx && EVP_MAC_init(ctx, w->sign_key, NTLM_KEY_BYTES, params) && EVP_MAC_update(ctx, seq, sizeof(seq)) &&
	     EVP_MAC_update(ctx, msg, len) && EVP_MAC_final(ctx, digest, &digest_len, sizeof(digest)) &&
	     digest_len >= MAC_BYTES;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	if (!ok)
		return -EIO;
	if (s->flags & NTLM_FLAG_KEY_EXCH)
		rc4_crypt(&w->rc4, digest, MAC_BYTES);
	put_le32(sig, 1);
	memcpy(sig + 4, digest, MAC_BYTES);
	put_le32(sig + 12, w->seq);
	w->seq++;
	return 0;
}

/* The stream goes over the data first and over the MAC next; the MAC is over the plain text. */
int ntlm_protect(struct ntlm_session *s, enum ntlm_direction d, uint8_t *data, size_t data_len, const uint8_t *msg,
		 size_t msg_len, uint8_t sig[NTLM_SIGNATURE_BYTES])
{
	struct rc4 data_stream = s->way[d].rc4;
	uint8_t skipped[256] = { 0 };
	int err;

	if (data) /* let the stream pass the data's length, so that the MAC gets the bytes after it */
		for (size_t left = data_len; left; left -= MIN(left, sizeof(skipped)))
			rc4_crypt(&s->way[d].rc4, skipped, MIN(left, sizeof(skipped)));
	err = make_signature(s, d, msg, msg_len, sig);
	if (data && !err)
		rc4_crypt(&data_stream, data, data_len);
	return err;
}

int ntlm_unprotect(struct ntlm_session *s, enum ntlm_direction d, uint8_t *data, size_t data_len, const uint8_t *msg,
		   size_t msg_len, const uint8_t sig[NTLM_SIGNATURE_BYTES])
{
	uint8_t expected[NTLM_SIGNATURE_BYTES];
	int err;

	if (data)
		rc4_crypt(&s->way[d].rc4, data, data_len);
	err = make_signature(s, d, msg, msg_len, expected);
	if (err)
		return err;
	return CRYPTO_memcmp(expected, sig, sizeof(expected)) == 0 ? 0 : -EACCES;
}
