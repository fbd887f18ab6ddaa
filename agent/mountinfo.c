/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See the header. */
#include "agent/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FSTYPE "fuse.kagefs"

/* Undo the octal escapes of mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Cuts the fields out of the line. */
static bool parse_mount(char *line, struct mount_line *out)
{
	char *separator = strstr(line, " - "), *fields[5] = { NULL }, *save;

	out->ours = separator && strncmp(separator + 3, FSTYPE " ", sizeof(FSTYPE)) == 0;
	for (int i = 0; i < 5; i++)
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
	if (!fields[4])
		return false;
	unescape(fields[4]);
	out->device = fields[2];
	out->point = fields[4];
	return true;
}

int mountinfo_each(int (*f)(void *arg, const struct mount_line *m), void *arg)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;
	int r = 0;

	if (!file)
		return -errno;
	while (!r && getline(&line, &cap, file) > 0) {
		struct mount_line m;

		if (parse_mount(line, &m))
			r = f(arg, &m);
	}
	fclose(file);
	return r;
}
