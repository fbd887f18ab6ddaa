/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kagefs mount, mount.kagefs, and "kagefs STORE DIR -o ..." as mount.fuse calls it.
 *
 * The program forks before it has threads.  The child opens the store and mounts, with the caller's stderr, so that what
 * goes wrong until then is said there, in one line; when the kernel gets answers it lets go of the terminal and the parent
 * returns 0.  Details go to syslog, or with -f to stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/cli/cli.h"
#include "fs/fuse/mount.h"

#define WAIT_HOLDER_MS 30000
#define WAIT_STEP_MS 100
#define SAY_AFTER_MS 1000

static const char verb[] = "mount";

struct start {
	int pipe;	 /* -1: foreground */
	const struct mnt_options *o;
};

static int refuse(const char *object, const char *reason, const char *todo)
{
	return cli_fail(MOUNT_FAILED, verb, object, reason, todo);
}

/* An ordinary user's allow_other is the administrator's to allow. */
static bool allow_other_allowed(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256];
	bool yes = false;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\r\n")] = '\0';
		yes = yes || strcmp(line, "user_allow_other") == 0;
	}
	if (f)
		fclose(f);
	return yes;
}

/* The mount of a killed daemon is in the way. */
static int clear_dead_mount(const struct mnt_options *o)
{
	struct mount_entry e;
	int err = mount_find_dir(o->dir, &e);
	bool ours = !err && strcmp(e.type, "fuse.kagefs") == 0 && strcmp(e.source, o->store) == 0;

	mount_entry_release(&e);
	if (!ours)
		return refuse(o->dir, "a dead mount of something else lies there", "unmount that first");
	err = mnt_umount(o->dir, true);
	if (err)
		return cli_fail_errno(MOUNT_FAILED, verb, o->dir, err, "unmount the dead mount first");
	return 0;
}

static int check_places(struct mnt_options *o, const char *store, const char *dir)
{
	struct mount_entry e;
	struct statfs sfs;
	struct stat st;
	size_t n;

	o->store = realpath(store, NULL);
	if (!o->store)
		return cli_fail_errno(MOUNT_FAILED, verb, store, errno, errno == ENOENT ? "make one with 'kagefs mkfs STORE'" : NULL);
	o->dir = mount_abspath(dir);
	if (!o->dir)
		return cli_fail_errno(MOUNT_FAILED, verb, dir, errno, errno == ENOENT ? "make the mount point with mkdir" : NULL);
	/* Attributes of a dead mount's root may still be cached; statfs always asks. */
	if (statfs(o->dir, &sfs) && errno == ENOTCONN) {
		int code = clear_dead_mount(o);

		if (code)
			return code;
	}
	if (stat(o->dir, &st))
		return cli_fail_errno(MOUNT_FAILED, verb, o->dir, errno, NULL);
	if (!S_ISDIR(st.st_mode))
		return refuse(o->dir, "is not a directory", "name a directory to mount on");
	n = strlen(o->dir);
	if (strncmp(o->store, o->dir, n) == 0 && (o->store[n] == '\0' || o->store[n] == '/'))
		return refuse(o->dir, "the store lies in the mount point and would be hidden", "mount somewhere else");
	n = strlen(o->store);
	if (strncmp(o->dir, o->store, n) == 0 && o->dir[n] == '/')
		return refuse(o->dir, "the mount point lies in the store", "mount somewhere else");
	if (mount_find_dir(o->dir, &e) == 0) {
		bool same = strcmp(e.type, "fuse.kagefs") == 0 && strcmp(e.source, o->store) == 0;

		mount_entry_release(&e);
		if (same)
			return refuse(o->store, "is mounted there already", NULL);
	}
	return 0;
}

static int fail_open(const struct mnt_options *o, int err, const char *why)
{
	char reason[MNT_WHY_MAX + 64];
	struct mount_entry e;

	switch (err) {
	case -EBUSY:
		if (mount_find_store(o->store, &e) == 0)
			snprintf(reason, sizeof(reason), "is mounted on %.200s (process %.200s)", e.dir, why);
		else
			snprintf(reason, sizeof(reason), "is open in process %.200s", why[0] ? why : "unknown");
		mount_entry_release(&e);
		return refuse(o->store, reason, "unmount it there, or end that process");
	case -ENOENT:
		return refuse(o->store, "holds no store", "make one with 'kagefs mkfs STORE'");
	case -EACCES:
		return refuse(o->store, "permission denied", "mount as the user who owns the store, or as root");
	default:
		break;
	}
	if (why[0]) {
		snprintf(reason, sizeof(reason), "%s", why);
		return refuse(o->dir, reason, geteuid() ? "check that you own the mount point and that /dev/fuse may be opened" :
							  "check that /dev/fuse is there");
	}
	return cli_fail_errno(MOUNT_FAILED, verb, o->store, err, NULL);
}

/* Open and mount; a holder that no longer has the store mounted is closing it, and is waited for. */
static int open_waiting(const struct mnt_options *o, struct mnt **m)
{
	const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
	int64_t begin = clock_monotonic_ns();
	char why[MNT_WHY_MAX];
	bool said = false;

	for (;;) {
		int err = mnt_new(o, m, why, sizeof(why));
		int64_t ms = (clock_monotonic_ns() - begin) / 1000000;
		struct mount_entry e;

		why[strcspn(why, "\n")] = '\0';
		if (!err && *why)
			fprintf(stderr, "kagefs: %s: %s: %s\n", verb, o->store, why);
		if (!err)
			return 0;
		if (err != -EBUSY)
			return fail_open(o, err, why);
		err = mount_find_store(o->store, &e);
		mount_entry_release(&e);
		if (err == 0 || ms > WAIT_HOLDER_MS)
			return fail_open(o, -EBUSY, why);
		if (!said && ms > SAY_AFTER_MS) {
			fprintf(stderr, "kagefs: %s: %s: waiting for process %s, which is closing the store\n", verb, o->store, why);
			said = true;
		}
		nanosleep(&step, NULL);
	}
}

static void on_ready(void *arg)
{
	struct start *s = arg;
	int null;

	if (s->pipe < 0)
		return;
	(void)!chdir("/");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	(void)!write(s->pipe, "", 1);
	close(s->pipe);
}

static int serve(const struct mnt_options *o, int pipe_fd)
{
	struct start s = {.pipe = pipe_fd, .o = o};
	struct mnt *m;
	int err, code = open_waiting(o, &m);

	if (code)
		return code;
	err = mnt_run(m, on_ready, &s);
	if (err)
		msg(LOG_ERR, "serving ended: store=%s: %s", o->store, cli_reason(err));
	code = err ? MOUNT_FAILED : MOUNT_OK;
	err = mnt_close(m);
	if (err) {
		msg(LOG_ERR, "not everything could be made durable: store=%s: %s", o->store, cli_reason(err));
		code = MOUNT_FAILED;
	}
	return code;
}

static int in_background(const struct mnt_options *o)
{
	int p[2], status, fd;
	struct statfs sfs;
	ssize_t n;
	pid_t pid;
	char c;

	/* 0, 1 and 2 must be something before other descriptors are opened. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	if (pipe2(p, O_CLOEXEC))
		return cli_fail_errno(MOUNT_SYSTEM, verb, o->store, errno, NULL);
	pid = fork();
	if (pid < 0)
		return cli_fail_errno(MOUNT_SYSTEM, verb, o->store, errno, NULL);
	if (pid == 0) {
		close(p[0]);
		setsid();
		msg_open("kagefs", MSG_SYSLOG, o->debug ? LOG_DEBUG : LOG_INFO);
		_exit(serve(o, p[1]));
	}
	close(p[1]);
	do
		n = read(p[0], &c, 1);
	while (n < 0 && errno == EINTR);
	close(p[0]);
	if (n == 1 && (statfs(o->dir, &sfs) == 0 || errno != ENOTCONN))
		return MOUNT_OK;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cli_fail_errno(MOUNT_SYSTEM, verb, o->store, errno, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status); /* it said why */
	return refuse(o->store, "the program that was to serve it ended at once", "see the system's messages, or use -f");
}

static int mount_with(struct mnt_options *o, const char *store, const char *dir, bool foreground)
{
	int code = check_places(o, store, dir);

	if (!code && o->allow_other && geteuid() != 0 && !allow_other_allowed())
		code = refuse("allow_other", "is for root only here", "put user_allow_other into /etc/fuse.conf");
	if (code)
		return code;
	if (foreground) {
		msg_open("kagefs", MSG_STDERR, o->debug ? LOG_DEBUG : LOG_INFO);
		return serve(o, -1);
	}
	return in_background(o);
}

struct form {
	const char *getopt; /* short options */
	bool helper;	    /* mount.kagefs: -f pretends, -s -n -v -N -t are mount(8)'s */
};

static int parse_and_mount(const struct verb *v, int argc, char **argv, const struct form *form)
{
	static const struct option options[] = {{"foreground", no_argument, NULL, 'f'}, {0}};
	bool flag_f = false, sloppy = false;
	char why[MNT_WHY_MAX];
	struct mnt_options o;
	int c, code;

	mnt_options_init(&o);
	opterr = 0;
	while ((c = getopt_long(argc, argv, form->getopt, options, NULL)) != -1) {
		switch (c) {
		case 'f':
			flag_f = true;
			break;
		case 's':
			sloppy = true;
			break;
		case 'o':
			if (mnt_options_parse(&o, optarg, why, sizeof(why)) && !sloppy) {
				code = cli_fail(MOUNT_USAGE, verb, NULL, why, "see 'kagefs help mount'");
				goto out;
			}
			break;
		case 'r':
			if (mnt_options_parse(&o, "ro", why, sizeof(why))) {
				code = cli_fail(MOUNT_USAGE, verb, NULL, why, NULL);
				goto out;
			}
			break;
		case '?':
			code = v ? cli_usage(v, MOUNT_USAGE) : cli_fail(MOUNT_USAGE, verb, argv[optind - 1], "is no option here", "see 'kagefs help mount'");
			goto out;
		default:
			break;
		}
	}
	if (argc - optind != 2)
		code = v ? cli_usage(v, MOUNT_USAGE)
			 : cli_fail(MOUNT_USAGE, verb, NULL, "a store and a mount point are wanted", "see 'kagefs help mount'");
	else if (form->helper && flag_f)
		code = MOUNT_OK; /* mount -f: do everything but mount */
	else
		code = mount_with(&o, argv[optind], argv[optind + 1], flag_f);
out:
	mnt_options_release(&o);
	return code;
}

int verb_mount(const struct verb *v, int argc, char **argv)
{
	static const struct form form = {.getopt = "fo:r"};

	return parse_and_mount(v, argc, argv, &form);
}

int verb_mount_helper(int argc, char **argv)
{
	static const struct form form = {.getopt = "fo:rsnvwN:t:", .helper = true};

	return parse_and_mount(NULL, argc, argv, &form);
}
