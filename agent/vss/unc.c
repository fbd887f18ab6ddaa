/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/unc.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_slash(char c)
{
	return c == '/' || c == '\\';
}

/* Copy up to the next slash or the end.  Returns where it stopped, NULL if the part is empty, too long or has control
 * characters. */
static const char *take_part(char out[UNC_PART_SIZE], const char *s)
{
	size_t n = strcspn(s, "/\\");

	if (n == 0 || n >= UNC_PART_SIZE)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)s[i]))
			return NULL;
	memcpy(out, s, n);
	out[n] = 0;
	return s + n;
}

int server_name_parse(char out[UNC_PART_SIZE], const char *text)
{
	if (is_slash(text[0]) && is_slash(text[1]))
		text += 2;
	const char *end = take_part(out, text);
	if (end && is_slash(*end))
		end++;
	/* '[' would end the host in a binding string. */
	return end && !*end && !strchr(out, '[') ? 0 : -EINVAL;
}

int share_name_parse(struct share_name *out, const char *text)
{
	if (!is_slash(text[0]) || !is_slash(text[1]))
		return -EINVAL;
	const char *p = take_part(out->server, text + 2);
	if (!p || !is_slash(*p) || strchr(out->server, '['))
		return -EINVAL;
	p = take_part(out->share, p + 1);
	if (p && is_slash(*p))
		p++;
	return p && !*p ? 0 : -EINVAL;
}

int copy_name_parse(struct share_name *base, struct guid *copy, const char *text)
{
	int r = share_name_parse(base, text);

	if (r < 0)
		return r;
	char *at = strrchr(base->share, '@');
	if (!at || at == base->share || at[1] != '{')
		return -EINVAL;
	size_t n = strlen(at);
	if (at[n - 1] == '$' && at[-1] == '$')
		at[--n] = 0;
	if (at[n - 1] != '}')
		return -EINVAL;
	at[n - 1] = 0;
	*at = 0;
	return guid_parse(at + 2, copy);
}

void share_name_to_unc(const struct share_name *n, char unc[UNC_TEXT_SIZE])
{
	static_assert(2 * UNC_PART_SIZE + 4 <= UNC_TEXT_SIZE, "a UNC of the longest parts fits");
	snprintf(unc, UNC_TEXT_SIZE, "\\\\%s\\%s\\", n->server, n->share);
}

const char *unc_last_part(const char *unc)
{
	const char *last = unc;

	for (const char *p = unc; *p; p++)
		if (is_slash(*p) && p[1])
			last = p + 1;
	return last;
}
