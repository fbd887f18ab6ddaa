/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Child processes: Samba's own programs, started by exec with an argument vector, never through a shell.  A child gets
 * none of our descriptors, an environment of its own and default signal handling.  Thread-safe.
 */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "agent/patience.h"
#include "fs/base/cleanup.h"

#define CHILD_OUTPUT_BYTES_MAX (16u * 1024 * 1024)

enum child_flags {
	CHILD_MAY_FAIL = 1 << 0,      /* a status other than 0 is nothing to report */
	CHILD_OUTPUT_COUNTS = 1 << 1, /* nor is it when something was printed on standard output */
};

/* Run to the end.  Returns its exit status (0 .. 255), or -errno: -ETIMEDOUT or -ECANCELED when the patience is
 * over (the child is killed), -EPROTO it died by a signal, -ENOENT no such program, -EFBIG more output than CHILD_OUTPUT_BYTES_MAX.
 * out (may be NULL): its standard output, NUL-terminated, owned by the caller; set only when the result is >= 0.
 * Whatever is not status 0 is logged: the whole command, how it ended, how long it took, the ends of both its streams; at
 * LOG_WARNING, or at LOG_DEBUG a status that the flags allow; so is, at LOG_NOTICE, what took seconds.  So nothing secret belongs
 * into argv. */
int child_run(const char *const argv[], struct patience p, enum child_flags flags, char **out) MUST_USE;

/* A child to talk with, line by line. */
struct child {
	pid_t pid; /* 0: none */
	int to_fd, from_fd;
};
int child_start(struct child *c, const char *const argv[]) MUST_USE;
/* Sends line and a newline, waits for one line back (without its newline).  -ETIMEDOUT, -EPIPE, -EMSGSIZE. */
int child_ask(struct child *c, const char *line, char *answer, size_t answer_size, int timeout_ms) MUST_USE;
/* Kill and reap; fine for a zeroed or never started one. */
void child_stop(struct child *c);

#endif
