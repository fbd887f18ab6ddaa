/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the agent by smbd-crash.sh: kills somebody at the agent's Nth call that changes something outside of it or
 * tells somebody of it (rename, unlink, ioctl, a child program, bytes to a client).
 *
 *   KILL_AT=N        count down from N; unset or 0: never
 *   KILL_AFTER=1     let the Nth call happen first
 *   KILL_WHOM=WHO    a process id, or the name of programs; unset: the agent itself
 *   KILL_SIGNAL=9    with what
 *   KILL_UNLESS=FILE not any more once that file exists
 *   KILL_MARK=FILE   is made when it has been done
 *   KILL_LOG=FILE    the number of calls made is written there at a clean exit
 */
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static int kill_after, kill_signal = SIGKILL;
static const char *kill_whom;

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("KILL_AT"), *after = getenv("KILL_AFTER"), *number = getenv("KILL_SIGNAL");

	kill_at = at ? atol(at) : 0;
	kill_after = after && *after == '1';
	kill_whom = getenv("KILL_WHOM");
	if (number)
		kill_signal = atoi(number);
}

__attribute__((destructor)) static void end(void)
{
	const char *name = getenv("KILL_LOG");
	FILE *f = name ? fopen(name, "w") : NULL;

	if (f) {
		fprintf(f, "%ld\n", atomic_load(&calls));
		fclose(f);
	}
}

static void kill_name(const char *name)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], comm[32] = "";
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (f && fgets(comm, sizeof(comm), f)) {
			comm[strcspn(comm, "\n")] = '\0';
			if (strcmp(comm, name) == 0)
				kill(atoi(e->d_name), kill_signal);
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void strike(void)
{
	const char *unless = getenv("KILL_UNLESS"), *mark = getenv("KILL_MARK");
	FILE *f;

	if (unless && access(unless, F_OK) == 0)
		return;
	f = mark ? fopen(mark, "w") : NULL;
	if (f)
		fclose(f);
	if (!kill_whom) {
		kill(getpid(), kill_signal);
		for (;;)
			pause();
	}
	if (isdigit((unsigned char)*kill_whom))
		kill(atoi(kill_whom), kill_signal);
	else
		kill_name(kill_whom);
}

static long count(void)
{
	long n = atomic_fetch_add(&calls, 1) + 1;

	if (n == kill_at && !kill_after)
		strike();
	return n;
}

#define WRAP(type, name, params, args)                                   \
	type name params;                                                \
	type name params                                                 \
	{                                                                \
		type(*real) params = (type(*) params)dlsym(RTLD_NEXT, #name); \
		long n = count();                                        \
		type r = real args;                                      \
                                                                         \
		if (n == kill_at)                                        \
			strike();                                           \
		return r;                                                \
	}

WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))
WRAP(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags))
WRAP(int, posix_spawnp,
     (pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
      char *const argv[], char *const envp[]),
     (pid, file, actions, attr, argv, envp))

int ioctl(int fd, unsigned long number, ...)
{
	int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	va_list ap;
	void *arg;
	long n = count();
	int r;

	va_start(ap, number);
	arg = va_arg(ap, void *);
	va_end(ap);
	r = real(fd, number, arg);
	if (n == kill_at)
		strike();
	return r;
}
