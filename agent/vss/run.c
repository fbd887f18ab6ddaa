/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/vss/stop.h"

#define KILL_AFTER_S 10

static void set_env(const char *name, const char *value)
{
	if (setenv(name, value, 1) < 0)
		_exit(126);
}

static void set_env_n(const char *name, size_t n, const char *value)
{
	char full[64];

	snprintf(full, sizeof(full), "KAGEFS_VSS_%s_%zu", name, n);
	set_env(full, value);
}

/* In the child. */
static void fill_environment(const struct run_options *o, const struct set *s)
{
	char text[UNC_TEXT_SIZE];

	set_env("KAGEFS_VSS_PHASE", o->phase);
	guid_format(&s->id, text);
	set_env("KAGEFS_VSS_SET", text);
	set_env("KAGEFS_VSS_SERVER", s->server);
	snprintf(text, sizeof(text), "%u", s->port ? s->port : 445);
	set_env("KAGEFS_VSS_PORT", text);
	snprintf(text, sizeof(text), "%zu", s->ncopies);
	set_env("KAGEFS_VSS_COUNT", text);
	for (size_t i = 0; i < s->ncopies; i++) {
		const struct copy *c = &s->copies[i];

		copy_path(c, text);
		set_env_n("COPY", i + 1, text);
		snprintf(text, sizeof(text), "//%s/%s", c->share.server, c->share.share);
		set_env_n("SHARE", i + 1, text);
		guid_format(&c->id, text);
		set_env_n("ID", i + 1, text);
		snprintf(text, sizeof(text), "%" PRId64, (int64_t)filetime_to_unix(c->created_filetime));
		set_env_n("CREATED", i + 1, text);
	}
}

static void child(const struct run_options *o, const struct set *s) __attribute__((noreturn));
static void child(const struct run_options *o, const struct set *s)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	int null = open("/dev/null", O_RDONLY);

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL);
	if (setpgid(0, 0) < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)
		_exit(126);
	if (null > STDERR_FILENO)
		close(null);
	if (o->stdout_to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(126);
	fill_environment(o, s);
	execl("/bin/sh", "sh", "-c", o->command, (char *)NULL);
	_exit(127);
}

/* Wait for the end at most `ms` (-1: for ever), less if a signal comes and `stoppable`.  True: it has ended. */
static bool ended_within(int pidfd, int ms, bool stoppable)
{
	struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = stoppable ? stop_fd() : -1, .events = POLLIN}};

	return poll(p, ARRAY_SIZE(p), ms) > 0 && (p[0].revents & POLLIN);
}

static void end_group(pid_t pid, int pidfd)
{
	/* The group may be gone already; nothing to do then. */
	(void)kill(-pid, SIGTERM);
	if (!ended_within(pidfd, KILL_AFTER_S * 1000, false))
		(void)kill(-pid, SIGKILL);
	(void)ended_within(pidfd, -1, false);
	(void)kill(-pid, SIGKILL); /* what the shell has left behind */
}

int run_command(const struct run_options *o, const struct set *s, int *status)
{
	int r = 0;

	*status = 0;
	(void)fflush(NULL); /* the child must not write our buffers a second time */
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(o, s);
	(void)setpgid(pid, pid); /* in both, so that it is done before either goes on */
	CLEANUP_FD int pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		r = -errno;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, status, 0);
		return r;
	}
	int tick_ms = o->tick_s ? (int)MIN(o->tick_s, 86400u) * 1000 : -1;
	while (!r && !ended_within(pidfd, tick_ms, true)) {
		if (stop_pending())
			r = -EINTR;
		else if (o->tick)
			r = o->tick(o->arg);
	}
	if (r < 0)
		end_group(pid, pidfd);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!r && *status != 0)
		r = -ECHILD;
	return r;
}
