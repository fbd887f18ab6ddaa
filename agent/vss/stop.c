/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/stop.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

static volatile sig_atomic_t pending;
static int wake[2] = {-1, -1};

static void on_signal(int sig)
{
	int saved = errno;

	if (!pending)
		pending = sig;
	/* A full pipe is as good as a written one. */
	ssize_t n = write(wake[1], "", 1);
	(void)n;
	errno = saved;
}

int stop_install(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	if (wake[0] >= 0)
		return 0;
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction old;

		if (sigaction(signals[i], NULL, &old) < 0)
			return -errno;
		if (old.sa_handler == SIG_IGN) /* nohup, or started by `&` in a script */
			continue;
		if (sigaction(signals[i], &sa, NULL) < 0)
			return -errno;
	}
	return 0;
}

int stop_pending(void)
{
	return pending;
}

const char *stop_name(void)
{
	return pending == SIGINT ? "SIGINT" : pending == SIGTERM ? "SIGTERM" : pending == SIGHUP ? "SIGHUP" : "no signal";
}

int stop_fd(void)
{
	return wake[0];
}

void stop_sleep_ms(int ms)
{
	struct pollfd p = {.fd = wake[0], .events = POLLIN};

	(void)poll(&p, 1, ms); /* an early end is allowed */
}
