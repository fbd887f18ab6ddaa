/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /proc/self/mountinfo.  Reading it touches no file system that is mounted, so it never hangs. */
#ifndef AGENT_MOUNTINFO_H
#define AGENT_MOUNTINFO_H

#include <stdbool.h>

#include "fs/base/cleanup.h"

struct mount_line { /* all borrowed */
	const char *device; /* "0:52" */
	const char *point;
	bool ours; /* a kagefs */
};

/* Calls f for every mount, in the order they were made, until it returns non-zero; that is the result.  Or -errno. */
int mountinfo_each(int (*f)(void *arg, const struct mount_line *m), void *arg) MUST_USE;

#endif
