/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GUID text form and generation. */
#include "agent/rpc/guid.h"

#include <stdio.h>
#include <sys/random.h>

bool guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return guid_equal(g, &zero);
}

int guid_generate(struct guid *out)
{
	if (getrandom(out->b, sizeof(out->b), 0) != (ssize_t)sizeof(out->b))
		return -EIO;
	out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
	out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
	return 0;
}

/* Bytes after which the printed form has a dash. */
static bool dash_after(int i)
{
	return i == 3 || i == 5 || i == 7 || i == 9;
}

void guid_format(const struct guid *g, char out[GUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		*p++ = digits[g->b[i] >> 4];
		*p++ = digits[g->b[i] & 15];
		if (dash_after(i))
			*p++ = '-';
	}
	*p = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int guid_parse(const char *text, struct guid *out)
{
	struct guid g;

	for (int i = 0; i < 16; i++) {
		int hi = hex_digit(text[0]);
		int lo = hi < 0 ? -1 : hex_digit(text[1]);

		if (lo < 0)
			return -EINVAL;
		g.b[i] = (uint8_t)(hi << 4 | lo);
		text += 2;
		if (dash_after(i) && *text++ != '-')
			return -EINVAL;
	}
	if (*text != '\0')
		return -EINVAL;
	*out = g;
	return 0;
}
