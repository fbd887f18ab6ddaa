/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bind a private name, publish it by link and rename, watch the directory.  The published name is a hard link to the
 * bound socket: connecting through it reaches the same listening descriptor, and replacing it needs no new bind.
 */
#include "agent/np/pipe.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fs/base/msg.h"

#define LISTEN_BACKLOG 128 /* smbd blocks its client's whole session in connect() */

/* Create dir with the mode if it is missing; refuse it when owner or mode are not what smbd checks for. */
static int check_dir(const char *dir, mode_t mode, bool exact)
{
	struct stat st;

	if (mkdir(dir, mode) == 0) {
		if (chmod(dir, mode) < 0) /* the umask may have cut it */
			return -errno;
	} else if (errno != EEXIST) {
		msg(LOG_ERR, "cannot create pipe directory: path=%s error=%m", dir);
		return -errno;
	}
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (exact ? (st.st_mode & 07777) != mode : (st.st_mode & 022))) {
		msg(LOG_ERR, "pipe directory has a wrong owner or mode, smbd would refuse it: path=%s uid=%u mode=%04o want=%04o",
		    dir, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777), (unsigned)mode);
		return -EPERM;
	}
	return 0;
}

static int take_lock(struct pipe_socket *p, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/.kagefs-%s.lock", p->dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock_fd < 0)
		return -errno;
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		msg(LOG_ERR, "another agent serves this pipe: lock=%s", path);
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	return 0;
}

static int bind_private(struct pipe_socket *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;

	if (strlen(p->private_path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, p->private_path, strlen(p->private_path));
	if (unlink(p->private_path) < 0 && errno != ENOENT)
		return -errno;
	p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->listen_fd < 0)
		return -errno;
	/* The directory is closed to all but root; no need for a umask dance around bind. */
	if (bind(p->listen_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || chmod(p->private_path, 0600) < 0 ||
	    listen(p->listen_fd, LISTEN_BACKLOG) < 0 || lstat(p->private_path, &st) < 0)
		return -errno;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	return 0;
}

static int watch_dir(struct pipe_socket *p)
{
	p->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->watch_fd < 0)
		return -errno;
	if (inotify_add_watch(p->watch_fd, p->dir, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |
						    IN_MOVE_SELF | IN_ONLYDIR) < 0)
		return -errno;
	return 0;
}

static bool name_is_ours(const struct pipe_socket *p, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino;
}

static int publish(struct pipe_socket *p)
{
	int err = 0;

	if (unlink(p->temp_path) < 0 && errno != ENOENT)
		return -errno;
	if (link(p->private_path, p->temp_path) < 0 || rename(p->temp_path, p->path) < 0)
		err = -errno;
	/* rename() of two links to one socket does nothing and leaves the first. */
	(void)unlink(p->temp_path);
	return err;
}

/* Everything that hangs on the directory: bound socket, published name, watch. */
static int settle(struct pipe_socket *p)
{
	int err = bind_private(p);

	if (!err)
		err = watch_dir(p);
	if (!err)
		err = publish(p);
	return err;
}

int pipe_socket_open(struct pipe_socket *p, const char *ncalrpc_dir, const char *name)
{
	int err;

	*p = (struct pipe_socket){ .listen_fd = -1, .watch_fd = -1, .lock_fd = -1 };
	if (asprintf(&p->dir, "%s/np", ncalrpc_dir) < 0)
		p->dir = NULL;
	if (p->dir && asprintf(&p->path, "%s/%s", p->dir, name) < 0)
		p->path = NULL;
	if (p->path && asprintf(&p->private_path, "%s/.kagefs-%s", p->dir, name) < 0)
		p->private_path = NULL;
	if (p->private_path && asprintf(&p->temp_path, "%s/.kagefs-%s.tmp", p->dir, name) < 0)
		p->temp_path = NULL;
	err = p->temp_path ? 0 : -ENOMEM;
	if (!err)
		err = check_dir(ncalrpc_dir, 0755, false);
	if (!err)
		err = check_dir(p->dir, 0700, true);
	if (!err)
		err = take_lock(p, name);
	if (!err)
		err = settle(p);
	if (err) {
		msg(LOG_ERR, "cannot serve the pipe: path=%s error=%s", p->path ? p->path : name, strerror(-err));
		pipe_socket_close(p);
	}
	return err;
}

/* Drop the events unread: what counts is what the name points at now. */
static void drain_watch(struct pipe_socket *p)
{
	char buf[4096] __attribute__((aligned(8)));

	while (read(p->watch_fd, buf, sizeof(buf)) > 0)
		;
}

int pipe_socket_check(struct pipe_socket *p)
{
	int err;

	drain_watch(p);
	if (name_is_ours(p, p->path))
		return 0;
	if (name_is_ours(p, p->private_path)) {
		err = publish(p);
	} else {
		/* The directory was emptied or replaced (a restart of Samba with a fresh /run): start anew. */
		cleanup_fd(&p->listen_fd);
		cleanup_fd(&p->watch_fd);
		p->listen_fd = p->watch_fd = -1;
		err = check_dir(p->dir, 0700, true);
		if (!err)
			err = settle(p);
	}
	if (err) {
		msg(LOG_ERR, "cannot take the pipe name back: path=%s error=%s", p->path, strerror(-err));
		return err;
	}
	p->takebacks++;
	msg(LOG_NOTICE, "took the pipe name back: path=%s count=%u", p->path, p->takebacks);
	return 0;
}

void pipe_socket_close(struct pipe_socket *p)
{
	if (p->ino && p->path && name_is_ours(p, p->path))
		(void)unlink(p->path); /* nothing better to do than to try */
	if (p->ino && p->private_path && name_is_ours(p, p->private_path))
		(void)unlink(p->private_path);
	cleanup_fd(&p->listen_fd);
	cleanup_fd(&p->watch_fd);
	cleanup_fd(&p->lock_fd);
	free(p->dir);
	free(p->path);
	free(p->private_path);
	free(p->temp_path);
	*p = (struct pipe_socket){ .listen_fd = -1, .watch_fd = -1, .lock_fd = -1 };
}
