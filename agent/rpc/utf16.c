/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-8 and UTF-16LE, both checked strictly (RFC 3629, Unicode 3.9). */
#include "agent/rpc/utf16.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <wctype.h>

#include "fs/base/endian.h"

static size_t put_utf8(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* One code point from *s, which moves on; 0 at the end, UINT32_MAX for anything malformed. */
static uint32_t get_utf8(const char **s)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)*s;
	uint32_t c = p[0];
	int more;

	if (c < 0x80)
		more = 0;
	else if (c >= 0xc2 && c < 0xe0)
		more = 1, c &= 0x1f;
	else if (c >= 0xe0 && c < 0xf0)
		more = 2, c &= 0x0f;
	else if (c >= 0xf0 && c < 0xf5)
		more = 3, c &= 0x07;
	else
		return UINT32_MAX;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return UINT32_MAX;
	*s += c ? more + 1 : 0;
	return c;
}

int utf16_to_utf8(const uint8_t *units, size_t n, char **out)
{
	char *s, *p;

	if (n > (SIZE_MAX - 1) / 3)
		return -ENOMEM;
	s = p = malloc(n * 3 + 1);
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t c = get_le16(units + 2 * i);

		if (c >= 0xd800 && c < 0xdc00 && i + 1 < n) {
			uint32_t low = get_le16(units + 2 * ++i);

			c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = 0;
		}
		if (c == 0) {
			free(s);
			return -EILSEQ;
		}
		p += put_utf8(c, p);
	}
	*p = '\0';
	*out = s;
	return 0;
}

int utf8_utf16_length(const char *s, size_t *units)
{
	size_t n = 0;

	for (;;) {
		uint32_t c = get_utf8(&s);

		if (c == UINT32_MAX)
			return -EILSEQ;
		if (c == 0)
			break;
		n += c >= 0x10000 ? 2 : 1;
	}
	*units = n;
	return 0;
}

void utf8_to_utf16(const char *s, uint8_t *out)
{
	uint32_t c;

	while ((c = get_utf8(&s)) != 0 && c != UINT32_MAX) {
		if (c >= 0x10000) {
			put_le16(out, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
			put_le16(out + 2, (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff)));
			out += 4;
		} else {
			put_le16(out, (uint16_t)c);
			out += 2;
		}
	}
}

static locale_t fold_locale;

static void fold_locale_open(void)
{
	fold_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t fold(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	return fold_locale ? (uint32_t)towlower_l((wint_t)c, fold_locale) : c;
}

int utf8_casecmp(const char *a, const char *b)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fold_locale_open); /* cannot fail with a valid once */
	for (;;) {
		uint32_t ca = get_utf8(&a), cb = get_utf8(&b);

		if (ca == UINT32_MAX || cb == UINT32_MAX) /* not text: only the same bytes are equal */
			return strcmp(a, b);
		if (fold(ca) != fold(cb))
			return fold(ca) < fold(cb) ? -1 : 1;
		if (ca == 0)
			return 0;
	}
}
