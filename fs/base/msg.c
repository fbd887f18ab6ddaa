/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where messages go.  What they say, and when, is the caller's business. */
#include "fs/base/msg.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define MSG_MAX 2048

/* All protected by lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *msg_ident = "kagefs";
static enum msg_sink msg_sink = MSG_STDERR;
static int msg_max_level = LOG_DEBUG;

static const char *const level_name[] = {
	[LOG_EMERG] = "emergency", [LOG_ALERT] = "alert",   [LOG_CRIT] = "critical", [LOG_ERR] = "error",
	[LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info",     [LOG_DEBUG] = "debug",
};

void msg_open(const char *ident, enum msg_sink sink, int max_level)
{
	pthread_mutex_lock(&lock);
	msg_ident = ident;
	msg_sink = sink;
	msg_max_level = max_level;
	if (sink == MSG_SYSLOG)
		openlog(ident, LOG_PID, LOG_DAEMON);
	pthread_mutex_unlock(&lock);
}

void msg(int level, const char *fmt, ...)
{
	char text[MSG_MAX];
	int saved_errno = errno;
	va_list ap;

	level &= LOG_PRIMASK;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	/* One event, one line: a file name with a newline must not look like a second message. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';

	pthread_mutex_lock(&lock);
	if (level <= msg_max_level) {
		if (msg_sink == MSG_SYSLOG)
			syslog(level, "%s", text);
		else
			fprintf(stderr, "%s: %s: %s\n", msg_ident, level_name[level], text);
	}
	pthread_mutex_unlock(&lock);
	errno = saved_errno;
}
