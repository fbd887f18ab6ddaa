/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text form of SIDs. */
#include "agent/np/sid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool sid_equal(const struct sid *a, const struct sid *b)
{
	return a->revision == b->revision && a->authority == b->authority && a->nsub == b->nsub &&
	       memcmp(a->sub, b->sub, a->nsub * sizeof(a->sub[0])) == 0;
}

/* A decimal number up to max; *text moves behind it. */
static int parse_number(const char **text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > max)
			return -EINVAL;
	}
	*text = p;
	*out = v;
	return 0;
}

int sid_parse(const char *text, struct sid *out)
{
	struct sid s = { .revision = 1 };
	uint64_t v;

	if (strncmp(text, "S-1-", 4) != 0)
		return -EINVAL;
	text += 4;
	if (parse_number(&text, 0xffffffffffffu, &s.authority) < 0)
		return -EINVAL;
	while (*text == '-') {
		text++;
		if (s.nsub == SID_SUBAUTHS_MAX || parse_number(&text, UINT32_MAX, &v) < 0)
			return -EINVAL;
		s.sub[s.nsub++] = (uint32_t)v;
	}
	if (*text != '\0' || s.nsub == 0)
		return -EINVAL;
	*out = s;
	return 0;
}

void sid_format(const struct sid *s, char out[SID_TEXT_SIZE])
{
	int n = snprintf(out, SID_TEXT_SIZE, "S-%u-%" PRIu64, s->revision, s->authority);

	for (int i = 0; i < s->nsub; i++)
		n += snprintf(out + n, (size_t)(SID_TEXT_SIZE - n), "-%" PRIu32, s->sub[i]);
}
