/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages for the administrator: one event, one line, key=value ids.  Levels are syslog's; user errors are not LOG_ERR.
 * Thread-safe.  Before msg_open they go to stderr.
 */
#ifndef FS_BASE_MSG_H
#define FS_BASE_MSG_H

#include <stdarg.h>
#include <stdlib.h>
#include <syslog.h>

enum msg_sink { MSG_STDERR, MSG_SYSLOG };

/* ident is borrowed for ever.  max_level: messages above it are dropped. */
void msg_open(const char *ident, enum msg_sink sink, int max_level);
void msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For bugs, never for bad input.  Stays on in release builds: stopping is better than writing wrong data. */
#define KAGEFS_ASSERT(cond)                                                                          \
	do {                                                                                         \
		if (__builtin_expect(!(cond), 0)) {                                                  \
			msg(LOG_CRIT, "bug: %s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
			abort();                                                                     \
		}                                                                                    \
	} while (0)

#endif
