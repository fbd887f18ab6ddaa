/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stream cipher; see RFC 6229 for test vectors. */
#include "agent/rpc/rc4.h"

static void swap(uint8_t *a, uint8_t *b)
{
	uint8_t t = *a;

	*a = *b;
	*b = t;
}

void rc4_init(struct rc4 *r, const uint8_t *key, size_t key_len)
{
	uint8_t j = 0;

	for (int i = 0; i < 256; i++)
		r->s[i] = (uint8_t)i;
	for (int i = 0; i < 256; i++) {
		j = (uint8_t)(j + r->s[i] + key[(size_t)i % key_len]);
		swap(&r->s[i], &r->s[j]);
	}
	r->i = r->j = 0;
}

void rc4_crypt(struct rc4 *r, uint8_t *data, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		r->i++;
		r->j = (uint8_t)(r->j + r->s[r->i]);
		swap(&r->s[r->i], &r->s[r->j]);
		data[n] ^= r->s[(uint8_t)(r->s[r->i] + r->s[r->j])];
	}
}
