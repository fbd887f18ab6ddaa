/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RC4 as NTLM needs it.  Own code because libcrypto keeps it in a provider that is not always installed. */
#ifndef AGENT_RPC_RC4_H
#define AGENT_RPC_RC4_H

#include <stddef.h>
#include <stdint.h>

struct rc4 {
	uint8_t s[256], i, j;
};

void rc4_init(struct rc4 *r, const uint8_t *key, size_t key_len); /* 1 .. 256 bytes of key */
/* Encrypts or decrypts in place; the stream runs on from call to call. */
void rc4_crypt(struct rc4 *r, uint8_t *data, size_t len);

#endif
