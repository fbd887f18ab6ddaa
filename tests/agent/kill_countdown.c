/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the agent by smbd-crash.sh: kills the process, as SIGKILL does, at its Nth call that changes something
 * outside of it or tells somebody of it (rename, unlink, ioctl, a child program, bytes to a client).
 *
 *   KILL_AT=N        count down from N; unset or 0: never
 *   KILL_AFTER=1     let the Nth call happen first
 *   KILL_LOG=FILE    the number of calls made is written there at a clean exit
 */
#include <dlfcn.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static int kill_after;

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("KILL_AT"), *after = getenv("KILL_AFTER");

	kill_at = at ? atol(at) : 0;
	kill_after = after && *after == '1';
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

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static long count(void)
{
	long n = atomic_fetch_add(&calls, 1) + 1;

	if (n == kill_at && !kill_after)
		die();
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
			die();                                           \
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
		die();
	return r;
}
