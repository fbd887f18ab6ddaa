/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NTLM message protection with extended session security ([MS-NLMP] 3.4): keys from the session key, signing and sealing.
 * The authentication itself is done elsewhere.  Pure.
 */
#ifndef AGENT_RPC_NTLM_H
#define AGENT_RPC_NTLM_H

#include "agent/rpc/rc4.h"
#include "fs/base/cleanup.h"

#define NTLM_KEY_BYTES 16
#define NTLM_SIGNATURE_BYTES 16

/* [MS-NLMP] 2.2.2.5 */
#define NTLM_FLAG_SIGN 0x00000010u
#define NTLM_FLAG_SEAL 0x00000020u
#define NTLM_FLAG_EXTENDED_SECURITY 0x00080000u
#define NTLM_FLAG_128 0x20000000u
#define NTLM_FLAG_KEY_EXCH 0x40000000u
#define NTLM_FLAG_56 0x80000000u

enum ntlm_direction { NTLM_TO_SERVER, NTLM_TO_CLIENT };

struct ntlm_session {
	uint32_t flags;
	struct ntlm_way { /* one per direction */
		uint8_t sign_key[NTLM_KEY_BYTES], seal_key[NTLM_KEY_BYTES];
		struct rc4 rc4;
		uint32_t seq;
	} way[2];
};

/* -EOPNOTSUPP without extended session security; -EIO when libcrypto refuses MD5. */
int ntlm_session_init(struct ntlm_session *s, uint32_t flags, const uint8_t key[NTLM_KEY_BYTES]) MUST_USE;
/* Start the key streams anew, keep the sequence numbers: after the SPNEGO mechListMIC ([MS-SPNG] 3.3.5.1). */
void ntlm_session_rekey(struct ntlm_session *s);
void ntlm_session_wipe(struct ntlm_session *s);

/* Signature over msg.  seal/unseal: `data` of data_len lies inside msg (or is NULL: sign only); it is encrypted in place
 * after, or decrypted in place before, the signature over the whole plain msg is computed. */
int ntlm_protect(struct ntlm_session *s, enum ntlm_direction d, uint8_t *data, size_t data_len, const uint8_t *msg,
		 size_t msg_len, uint8_t sig[NTLM_SIGNATURE_BYTES]) MUST_USE;
/* -EACCES: the signature does not fit; the session is of no use any more. */
int ntlm_unprotect(struct ntlm_session *s, enum ntlm_direction d, uint8_t *data, size_t data_len, const uint8_t *msg,
		   size_t msg_len, const uint8_t sig[NTLM_SIGNATURE_BYTES]) MUST_USE;

#endif
