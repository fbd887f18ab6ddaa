/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mount from beginning to end: store, session, kernel's greeting, signals, unmount.
 *
 * Threads: the main one waits for those of the loop (loop.h), which run the handlers (those of ring.h do with io_uring); the
 * pool runs ioctls that may wait; one waits for signals.  SIGTERM, SIGINT and SIGHUP unmount: properly if nothing is in use, so
 * that the kernel writes back what shared mappings dirtied; else that is written back first, and the mount point is detached.
 */
#include "fs/fuse/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/base/io.h"
#include "fs/base/msg.h"
#include "fs/base/thread.h"
#include "fs/base/ticks.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/loop.h"
#include "fs/fuse/opened.h"
#include "fs/fuse/roots.h"

#define THREADS_DEFAULT 64u /* at most; writers that wait for log space must not keep readers out */
#define THREADS_LEAST 4u
#define IOCTL_THREADS 16
#define WRITE_BYTES FS_WRITE_MAX
#define ARENAS 4
#define MMAP_THRESHOLD (128 << 10)

/* ---- libfuse speaks ------------------------------------------------------------------------------------------------ */

static char last_words[256]; /* while mounting, one thread */
static bool mounted;

static void on_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (mounted)
		msg((int)level, "%s", text);
	else
		snprintf(last_words, sizeof(last_words), "%s", text);
}

/* ---- the kernel's greeting ------------------------------------------------------------------------------------------ */

static void want(struct fuse_conn_info *conn, unsigned cap)
{
	conn->want |= conn->capable & cap;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mnt *m = userdata;

	want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK | FUSE_CAP_EXPORT_SUPPORT);
	want(conn, FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC);
	want(conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR);
	/* Pages are dropped when the daemon says so (opened.c), never because a time stamp moved. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
	conn->max_write = m->plan.queues ? m->plan.payload : WRITE_BYTES;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	m->ready(m->ready_arg);
}

/* ---- signals --------------------------------------------------------------------------------------------------------- */

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void on_wake(int sig)
{
	(void)sig; /* only to interrupt a wait */
}

static void write_back(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		if (syncfs(fd))
			msg(LOG_ERR, "writing back mapped files before the forced unmount failed: %s", strerror(errno));
		close(fd);
	}
}

static void *wait_for_stop(void *arg)
{
	struct mnt *m = arg;
	sigset_t set;
	int sig;

	stop_signals(&set);
	if (sigwait(&set, &sig))
		return NULL;
	if (!atomic_load(&m->running))
		return NULL; /* mnt_run wakes this thread to end it */
	msg(LOG_NOTICE, "unmounting on signal %d: dir=%s", sig, m->opt->dir);
	if (mnt_umount(m->opt->dir, false) == 0)
		return NULL; /* the loop ends by itself */
	write_back(m->opt->dir);
	msg(LOG_WARNING, "files are open, detaching: dir=%s", m->opt->dir);
	loop_stop(m->loop);
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static int add_option(char **opts, const char *name, const char *value)
{
	char buf[PATH_MAX + 32];

	snprintf(buf, sizeof(buf), "%s%s", name, value);
	return fuse_opt_add_opt_escaped(opts, buf);
}

static int session_options(const struct mnt_options *o, struct fuse_args *args)
{
	char *opts = NULL;
	int err = 0;

	err |= add_option(&opts, "fsname=", o->store);
	err |= add_option(&opts, "subtype=", "kagefs");
	err |= fuse_opt_add_opt(&opts, "default_permissions");
	if (o->allow_other)
		err |= fuse_opt_add_opt(&opts, "allow_other");
	if (o->debug)
		err |= fuse_opt_add_opt(&opts, "debug");
	if (geteuid() == 0 && o->suid_dev) /* like any file system root mounts; libfuse would forbid both */
		err |= fuse_opt_add_opt(&opts, "suid,dev");
	if (o->kernel)
		err |= fuse_opt_add_opt(&opts, o->kernel);
	if (!err)
		err = fuse_opt_add_arg(args, "kagefs") | fuse_opt_add_arg(args, "-o") | fuse_opt_add_arg(args, opts);
	free(opts);
	return err ? -ENOMEM : 0;
}

/* fusermount3 complains on its own stderr: catch it, so that the caller can print one line. */
static int mount_session(struct mnt *m, char *why, size_t why_size)
{
	int saved = dup(STDERR_FILENO), err;
	FILE *said = tmpfile();

	if (said && saved >= 0)
		dup2(fileno(said), STDERR_FILENO);
	err = fuse_session_mount(m->se, m->opt->dir) ? -EPERM : 0;
	if (said && saved >= 0)
		dup2(saved, STDERR_FILENO);
	if (saved >= 0)
		close(saved);
	if (err && said) {
		char line[MNT_WHY_MAX] = "";

		rewind(said);
		if (fgets(line, sizeof(line), said))
			line[strcspn(line, "\n")] = '\0';
		snprintf(why, why_size, "%s", line[0] ? line : last_words);
	}
	if (said)
		fclose(said);
	return err;
}

static uint64_t memory_bytes(const struct mnt_options *o)
{
	return o->memory_bytes ? o->memory_bytes : FS_MEMORY_DEFAULT;
}

/* How many requests of /dev/fuse are served at once: their buffers may take a quarter of the memory. */
static unsigned threads(const struct mnt *m)
{
	const struct mnt_options *o = m->opt;
	uint64_t memory = memory_bytes(o);

	if (m->plan.queues && !o->threads) /* little is left for them */
		return THREADS_LEAST;
	return o->threads ? o->threads : (unsigned)MAX(MIN(memory / 4 / MNT_THREAD_BYTES, THREADS_DEFAULT), THREADS_LEAST);
}

/* What was freed shall be free: few heaps, because each keeps its own holes; large buffers outside of them. */
static void tune_allocator(void)
{
	(void)mallopt(M_ARENA_MAX, ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
}

static int open_store(struct mnt *m, char *why, size_t why_size)
{
	struct fs_open_options oo = {
		.read_only = m->opt->read_only,
		.memory_bytes = m->opt->memory_bytes,
		.front_bytes = (uint64_t)threads(m) * MNT_THREAD_BYTES + ring_bytes(&m->plan),
		.log_bytes = m->opt->log_bytes,
		.push_out = opened_push_out,
		.arg = m,
	};
	int err = io_posix_new(m->opt->store, &m->io);

	return err ? err : fs_open(m->io, &oo, why, why_size, &m->fs);
}

/* Queues of io_uring take an eighth of the memory.  What stands against them is no reason not to mount. */
static void plan_ring(struct mnt *m, char *remark, size_t size)
{
	char reason[MNT_WHY_MAX / 2] = "the memory is too small for so many CPUs (-o memory=SIZE)";

	if (!m->opt->io_uring)
		return;
	if (!ring_allowed(reason, sizeof(reason)) || ring_plan(memory_bytes(m->opt) / 8, &m->plan))
		snprintf(remark, size, "io_uring: %s; requests go through /dev/fuse", reason);
}

static void start_ring(struct mnt *m, char *remark, size_t size)
{
	int err = m->plan.queues ? ring_new(m, &m->plan, &m->ring) : 0;

	if (err)
		snprintf(remark, size, "io_uring: %s; requests go through /dev/fuse", strerror(-err));
}

static int start_session(struct mnt *m, char *why, size_t why_size)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct kagefs_ioc_info info = {0};
	struct fuse_lowlevel_ops ops;
	int err = fs_ioc_info(m->fs, &info);

	if (err)
		return err;
	m->blksize = MIN(info.block_size, 65536);
	handlers_fill(&ops);
	ops.init = op_init;
	err = session_options(m->opt, &args);
	if (!err) {
		m->se = fuse_session_new(&args, &ops, sizeof(ops), m);
		err = m->se ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (err) {
		snprintf(why, why_size, "%s", last_words);
		return err;
	}
	err = mount_session(m, why, why_size);
	if (!err) {
		start_ring(m, why, why_size);
		err = wire_attach(m->se);
		if (err == -EOPNOTSUPP)
			snprintf(why, why_size, "libfuse was built without enable-custom-io; scripts/build-libfuse builds one that has it");
		if (err)
			fuse_session_unmount(m->se);
	}
	return err;
}

int mnt_new(const struct mnt_options *o, struct mnt **out, char *why, size_t why_size)
{
	char remark[MNT_WHY_MAX] = "";
	struct mnt *m = calloc(1, sizeof(*m));
	sigset_t set;
	int err;

	*why = '\0';
	if (!m)
		return -ENOMEM;
	m->opt = o;
	ticks_start();
	thread_prompt();
	tune_allocator();
	fuse_set_log_func(on_log);
	stop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread from here on */
	signal(SIGPIPE, SIG_IGN);
	pthread_mutex_init(&m->dirs_lock, NULL);
	err = pool_init(&m->pool, IOCTL_THREADS);
	err = roots_init(m) ? -ENOMEM : err;
	err = opened_init(m) ? -ENOMEM : err;
	plan_ring(m, remark, sizeof(remark));
	if (!err)
		err = open_store(m, why, why_size);
	if (!err)
		err = start_session(m, why, why_size);
	if (!err && *remark)
		snprintf(why, why_size, "%s", remark);
	if (err) {
		int close_err = mnt_close(m);

		return close_err && err == 0 ? close_err : err;
	}
	mounted = true;
	*out = m;
	return 0;
}

int mnt_run(struct mnt *m, void (*ready)(void *arg), void *arg)
{
	struct sigaction wake = {.sa_handler = on_wake};
	int err = loop_new(m->se, threads(m), &m->loop);

	if (err)
		return err;
	m->ready = ready;
	m->ready_arg = arg;
	sigaction(SIGUSR2, &wake, NULL);
	atomic_store(&m->running, true);
	err = -pthread_create(&m->stop_thread, NULL, wait_for_stop, m);
	if (!err) {
		err = loop_run(m->loop);
		atomic_store(&m->running, false);
		pthread_kill(m->stop_thread, SIGTERM);
		pthread_join(m->stop_thread, NULL);
	}
	ring_stop(m->ring);
	fuse_session_exit(m->se); /* late replies have nowhere to go; no words about it */
	fuse_session_unmount(m->se);
	return err;
}

int mnt_close(struct mnt *m)
{
	int err = 0;

	atomic_store(&m->running, false);
	ring_stop(m->ring);
	pool_release(&m->pool); /* runs what was accepted */
	/* Then the store: requests that wait for a flush are answered, and need the session. */
	if (m->fs)
		err = fs_close(m->fs);
	io_free(m->io);
	if (m->se)
		fuse_session_destroy(m->se);
	ring_free(m->ring);
	loop_free(m->loop);
	dirs_release(m);
	roots_release(m);
	opened_release(m);
	free(m);
	return err;
}
