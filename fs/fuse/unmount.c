/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking a mount away: directly, or through fusermount3 where the kernel asks for privilege. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/fuse/mount.h"

static int run_fusermount(const char *dir, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (lazy)
			execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", dir, NULL);
		else
			execlp("fusermount3", "fusermount3", "-u", "-q", "--", dir, NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -EPERM;
	return -EBUSY; /* it does not tell; not ours is the other case, and rarer */
}

int mnt_umount(const char *dir, bool lazy)
{
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(dir, lazy) : -errno;
}
