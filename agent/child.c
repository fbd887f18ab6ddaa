/* SPDX-License-Identifier: GPL-3.0-or-later */
/* posix_spawn, limits by poll, reaping by pidfd.  No state of its own. */
#include "agent/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fs/base/msg.h"

#define STDERR_KEPT 512
#define REAP_MS 2000 /* for a child that has closed its output or was killed */

static char *const child_env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				   (char *)"LC_ALL=C.UTF-8", NULL };

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

/* Until the child has ended: 0; kills it when the patience is over.  *status as waitpid gives it. */
static int reap(pid_t pid, struct patience p, int *status)
{
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int err = pidfd < 0 ? -errno : 0, got;

	while (!err && poll(&pfd, 1, patience_slice_ms(&p)) <= 0)
		err = patience_check(&p);
	if (err) {
		kill(pid, SIGKILL);
		(void)poll(&pfd, 1, REAP_MS); /* what counts is what waitpid says */
	}
	do
		got = waitpid(pid, status, err ? WNOHANG : 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		msg(LOG_ERR, "a killed program does not end, its process is left behind: pid=%d", (int)pid);
	return err ? err : got < 0 ? -errno : 0;
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
static int collect(int out_fd, int err_fd, const struct patience *p, struct output *out, struct output *errors)
{
	struct pollfd pfd[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
	struct output *streams[2] = { out, errors };

	while (pfd[0].fd >= 0 || pfd[1].fd >= 0) {
		int n = poll(pfd, 2, patience_slice_ms(p)), over = n > 0 ? 0 : patience_check(p);

		if (over)
			return over;
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

#define COMMAND_KEPT 256
#define SLOW_MS 2000

/* The end of what was said, in one line; of a stream that was read in part only. */
static const char *last_words(struct output *o)
{
	if (!o->data)
		return "";
	if (o->len > STDERR_KEPT) {
		memmove(o->data, o->data + o->len - STDERR_KEPT, STDERR_KEPT + 1);
		o->len = STDERR_KEPT;
	}
	for (size_t i = 0; i < o->len; i++)
		if ((unsigned char)o->data[i] < ' ')
			o->data[i] = ' ';
	while (o->len && o->data[o->len - 1] == ' ')
		o->data[--o->len] = '\0';
	return o->data;
}

/* How a child ended that did not end well: exit status, signal, or why it could not be waited for. */
static void format_end(int err, int status, char text[64])
{
	if (err)
		snprintf(text, 64, "error=\"%s\"", strerror(-err));
	else if (WIFSIGNALED(status))
		snprintf(text, 64, "signal=%d", WTERMSIG(status));
	else
		snprintf(text, 64, "status=%d", WEXITSTATUS(status));
}

struct run {
	const char *const *argv;
	int64_t began_ms;
	struct output out, errors;
};

static void format_command(const char *const argv[], char text[COMMAND_KEPT])
{
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; argv[i] && len < COMMAND_KEPT; i++)
		len += (size_t)snprintf(text + len, COMMAND_KEPT - len, "%s%s", i ? " " : "", argv[i]);
}

static void log_failure(struct run *r, int level, int err, int status)
{
	char command[COMMAND_KEPT], end[64];

	format_command(r->argv, command);
	format_end(err, status, end);
	/* Some of Samba's programs complain on standard output. */
	msg(level, "program failed: command=\"%s\" %s took_ms=%lld stderr=\"%s\" stdout=\"%s\"", command, end,
	    (long long)(patience_now_ms() - r->began_ms), last_words(&r->errors), last_words(&r->out));
}

/* Clients give up on a call that takes long (rpcclient after 10 s), so what made it long should be found in the log. */
static void log_slowness(const struct run *r)
{
	int64_t took_ms = patience_now_ms() - r->began_ms;
	char command[COMMAND_KEPT];

	if (took_ms < SLOW_MS)
		return;
	format_command(r->argv, command);
	msg(LOG_NOTICE, "program was slow: command=\"%s\" took_ms=%lld", command, (long long)took_ms);
}

static bool is_allowed(const struct run *r, enum child_flags flags)
{
	return (flags & CHILD_MAY_FAIL) || ((flags & CHILD_OUTPUT_COUNTS) && r->out.len);
}

/* Start, collect, reap.  0 with *status as of waitpid, or -errno. */
static int run_to_end(struct run *r, const struct patience *patience, int *status)
{
	CLEANUP_FD int out_read = -1;
	CLEANUP_FD int err_read = -1;
	int p[2], q[2], err, reaped;
	pid_t pid = 0;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	out_read = p[0];
	if (pipe2(q, O_CLOEXEC) < 0) {
		err = -errno;
		close(p[1]);
		return err;
	}
	err_read = q[0];
	err = spawn(r->argv, (int[3]){ -1, p[1], q[1] }, &pid);
	close(p[1]);
	close(q[1]);
	if (err)
		return err;
	err = collect(out_read, err_read, patience, &r->out, &r->errors);
	if (err)
		kill(pid, SIGKILL);
	/* It has closed its output, or it was killed: a moment more, whatever the time. */
	reaped = reap(pid, patience_ms(REAP_MS), status);
	return err ? err : reaped;
}

int child_run(const char *const argv[], struct patience p, enum child_flags flags, char **out)
{
	struct run r = { .argv = argv, .began_ms = patience_now_ms() };
	int status = 0, err = run_to_end(&r, &p, &status);
	int result = err ? err : WIFEXITED(status) ? WEXITSTATUS(status) : -EPROTO;

	if (result >= 0 && out) {
		*out = r.out.data ? strdup(r.out.data) : strdup("");
		if (!*out)
			result = -ENOMEM;
	}
	if (result != 0)
		log_failure(&r, result > 0 && is_allowed(&r, flags) ? LOG_DEBUG : LOG_WARNING, err, status);
	log_slowness(&r);
	free(r.out.data);
	free(r.errors.data);
	return result;
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
	struct patience p = patience_ms(timeout_ms);
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
		if (poll(&pfd, 1, patience_slice_ms(&p)) <= 0) {
			err = patience_check(&p);
			if (err)
				return err;
			continue;
		}
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
		int status;

		kill(c->pid, SIGKILL);
		(void)reap(c->pid, patience_ms(REAP_MS), &status); /* killed: the status says nothing */
	}
	*c = (struct child){ .to_fd = -1, .from_fd = -1 };
}
