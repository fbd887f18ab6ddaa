/* SPDX-License-Identifier: GPL-3.0-or-later */
/* posix_spawn, deadlines by poll, reaping by pidfd.  No state of its own. */
#include "agent/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "fs/base/msg.h"

#define STDERR_KEPT 512
#define REAP_MS 2000 /* for a child that has closed its output or was killed */

static char *const child_env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				   (char *)"LC_ALL=C.UTF-8", NULL };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int left_ms(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	return left < 0 ? 0 : (int)left;
}

/* fds[i] becomes descriptor i of the child; -1: /dev/null. */
static int spawn(const char *const argv[], const int fds[3], pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err) {
		posix_spawn_file_actions_destroy(&actions);
		return -err;
	}
	sigemptyset(&none);
	sigfillset(&all);
	for (int i = 0; i < 3 && !err; i++)
		err = fds[i] < 0 ? posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0) :
				   posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (!err)
		err = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!err)
		err = posix_spawnattr_setsigmask(&attr, &none);
	if (!err)
		err = posix_spawnattr_setsigdefault(&attr, &all);
	if (!err)
		err = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)argv, child_env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

/* The status as waitpid gives it, or -errno.  Kills the child at the deadline. */
static int reap(pid_t pid, int64_t deadline)
{
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int status, err = 0;

	if (pidfd < 0 || poll(&pfd, 1, left_ms(deadline)) == 0) {
		kill(pid, SIGKILL);
		err = -ETIMEDOUT;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return err ? err : status;
}

struct output {
	char *data; /* owned */
	size_t len, cap;
};

/* Appends what one read gives: > 0, 0 at the end, or -errno. */
static int output_read(struct output *o, int fd)
{
	ssize_t n;

	if (o->cap - o->len < 4096) {
		size_t cap = o->cap ? o->cap * 2 : 16384;
		char *data = cap > CHILD_OUTPUT_BYTES_MAX ? NULL : realloc(o->data, cap);

		if (!data)
			return cap > CHILD_OUTPUT_BYTES_MAX ? -EFBIG : -ENOMEM;
		o->data = data;
		o->cap = cap;
	}
	n = read(fd, o->data + o->len, o->cap - o->len - 1);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	o->len += (size_t)n;
	o->data[o->len] = '\0';
	return n > 0;
}

/* Both streams to their ends.  Of standard error only the last STDERR_KEPT bytes stay. */
static int collect(int out_fd, int err_fd, int64_t deadline, struct output *out, struct output *errors)
{
	struct pollfd pfd[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
	struct output *streams[2] = { out, errors };

	while (pfd[0].fd >= 0 || pfd[1].fd >= 0) {
		int n = poll(pfd, 2, left_ms(deadline));

		if (n == 0)
			return -ETIMEDOUT;
		for (int i = 0; n > 0 && i < 2; i++) {
			int got = pfd[i].revents ? output_read(streams[i], pfd[i].fd) : 1;

			if (got < 0)
				return got;
			if (got == 0)
				pfd[i].fd = -1; /* poll ignores it */
		}
		if (errors->len > 2 * STDERR_KEPT) {
			memmove(errors->data, errors->data + errors->len - STDERR_KEPT, STDERR_KEPT + 1);
			errors->len = STDERR_KEPT;
		}
	}
	return 0;
}

static void log_failure(const char *const argv[], int status, struct output *errors)
{
	char *text = errors->data ? errors->data : (char *)"";

	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	msg(LOG_DEBUG, "program failed: program=%s status=%d stderr=%s", argv[0], status, text);
}

int child_run(const char *const argv[], int timeout_ms, char **out)
{
	int out_pipe[2] = { -1, -1 }, err_pipe[2] = { -1, -1 };
	struct output output = { NULL, 0, 0 }, errors = { NULL, 0, 0 };
	int64_t deadline = now_ms() + timeout_ms;
	pid_t pid = 0;
	int err = 0, status = 0;

	if (pipe2(out_pipe, O_CLOEXEC) < 0 || pipe2(err_pipe, O_CLOEXEC) < 0)
		err = -errno;
	if (!err)
		err = spawn(argv, (int[3]){ -1, out_pipe[1], err_pipe[1] }, &pid);
	if (err)
		goto out;
	close(out_pipe[1]);
	close(err_pipe[1]);
	out_pipe[1] = err_pipe[1] = -1;
	err = collect(out_pipe[0], err_pipe[0], deadline, &output, &errors);
	if (err)
		kill(pid, SIGKILL);
	status = reap(pid, err ? now_ms() + REAP_MS : MAX(deadline, now_ms() + REAP_MS));
	if (err)
		goto out;
	err = status < 0 ? status : WIFEXITED(status) ? WEXITSTATUS(status) : -EPROTO;
	if (err != 0)
		log_failure(argv, err, &errors);
	if (err >= 0 && out) {
		*out = output.data ? steal_ptr(&output.data) : strdup("");
		if (!*out)
			err = -ENOMEM;
	}
out:
	if (err < 0)
		msg(LOG_WARNING, "cannot run program: program=%s error=%s", argv[0], strerror(-err));
	for (int i = 0; i < 2; i++) {
		cleanup_fd(&out_pipe[i]);
		cleanup_fd(&err_pipe[i]);
	}
	free(output.data);
	free(errors.data);
	return err;
}

int child_start(struct child *c, const char *const argv[])
{
	CLEANUP_FD int in_read = -1;
	CLEANUP_FD int in_write = -1;
	CLEANUP_FD int out_read = -1;
	CLEANUP_FD int out_write = -1;
	int p[2], err;

	*c = (struct child){ .to_fd = -1, .from_fd = -1 };
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	in_read = p[0], in_write = p[1];
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	out_read = p[0], out_write = p[1];
	err = spawn(argv, (int[3]){ in_read, out_write, -1 }, &c->pid);
	if (err) {
		c->pid = 0;
		msg(LOG_WARNING, "cannot run program: program=%s error=%s", argv[0], strerror(-err));
		return err;
	}
	c->to_fd = steal_fd(&in_write);
	c->from_fd = steal_fd(&out_read);
	return 0;
}

/* The pipe's capacity (64 KiB) is above any line we send; a child that does not read is caught by the answer's deadline.
 * SIGPIPE is ignored in the whole agent. */
static int send_line(struct child *c, const char *line)
{
	size_t len = strlen(line), done = 0;
	char *text = malloc(len + 1);

	if (!text)
		return -ENOMEM;
	memcpy(text, line, len);
	text[len] = '\n';
	while (done <= len) {
		ssize_t n = write(c->to_fd, text + done, len + 1 - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(text);
			return -errno;
		}
		done += (size_t)n;
	}
	free(text);
	return 0;
}

int child_ask(struct child *c, const char *line, char *answer, size_t answer_size, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	size_t len = 0;
	int err;

	if (!c->pid)
		return -EPIPE;
	err = send_line(c, line);
	if (err)
		return err;
	for (;;) {
		struct pollfd pfd = { .fd = c->from_fd, .events = POLLIN };
		ssize_t n;

		if (len == answer_size)
			return -EMSGSIZE;
		if (poll(&pfd, 1, left_ms(deadline)) == 0)
			return -ETIMEDOUT;
		n = read(c->from_fd, answer + len, answer_size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		len += (size_t)n;
		if (answer[len - 1] == '\n') { /* strictly one line per question: nothing can follow it */
			answer[len - 1] = '\0';
			return 0;
		}
	}
}

void child_stop(struct child *c)
{
	if (c->pid) {
		cleanup_fd(&c->to_fd);
		cleanup_fd(&c->from_fd);
		kill(c->pid, SIGKILL);
		(void)reap(c->pid, now_ms() + REAP_MS); /* killed: the status says nothing */
	}
	*c = (struct child){ .to_fd = -1, .from_fd = -1 };
}
