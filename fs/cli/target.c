/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Talking to a mounted file system. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fs/cli/cli.h"

bool uuid_is_zero(const struct kagefs_uuid *u)
{
	static const struct kagefs_uuid zero;

	return uuid_equal(u, &zero);
}

bool uuid_equal(const struct kagefs_uuid *a, const struct kagefs_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int target_ioctl(int fd, unsigned long nr, void *arg)
{
	int r;

	do
		r = ioctl(fd, nr, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int target_open(const char *verb, const char *path, int *fd, struct kagefs_ioc_where *w)
{
	int err;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return cli_fail_errno(EXIT_FAILED, verb, path, errno, NULL);
	memset(w, 0, sizeof(*w));
	err = target_ioctl(*fd, KAGEFS_IOC_WHERE, w);
	if (err == -EINVAL || err == -EOPNOTSUPP || err == -ENOSYS) /* what some other file systems say */
		err = -ENOTTY;
	if (!err)
		return 0;
	close(steal_fd(fd));
	return cli_fail_errno(EXIT_FAILED, verb, path, err, NULL);
}

int target_volume(const char *verb, const char *path, bool any, int *fd, struct kagefs_volume_info *v)
{
	struct kagefs_ioc_where w;
	int code = target_open(verb, path, fd, &w);

	if (code)
		return code;
	if (!w.is_root && !any) {
		close(steal_fd(fd));
		return cli_fail(EXIT_FAILED, verb, path, "is not the root of a volume", "'kagefs volume show' tells what it lies in");
	}
	*v = w.volume;
	return 0;
}

int target_each_volume(int fd, uint64_t container, int (*cb)(void *arg, const struct kagefs_volume_info *v), void *arg)
{
	CLEANUP_FREE struct kagefs_ioc_volume_list *l = malloc(sizeof(*l));
	uint64_t after = 0;

	if (!l)
		return -ENOMEM;
	for (;;) {
		int err;

		memset(l, 0, sizeof(*l));
		l->after = after;
		l->container = container;
		err = target_ioctl(fd, KAGEFS_IOC_VOLUME_LIST, l);
		if (err || l->count == 0)
			return err;
		for (uint32_t i = 0; i < MIN(l->count, KAGEFS_LIST_MAX); i++) {
			err = cb(arg, &l->volumes[i]);
			if (err)
				return err;
			after = l->volumes[i].id;
		}
	}
}

struct by_name {
	const char *name;
	struct kagefs_volume_info *v;
};

static int match_name(void *arg, const struct kagefs_volume_info *v)
{
	struct by_name *b = arg;

	if (!(v->flags & KAGEFS_VOL_SNAPSHOT) || strcmp(v->name, b->name) != 0)
		return 0;
	*b->v = *v;
	return 1;
}

int target_snapshot(int fd, uint64_t container, const char *name, struct kagefs_volume_info *v)
{
	struct by_name b = {.name = name, .v = v};
	struct kagefs_ioc_where w = {0};
	struct stat st;
	char path[KAGEFS_NAME_MAX + 16];
	int err;

	if (!*name || strlen(name) > KAGEFS_NAME_MAX || strchr(name, '/'))
		return -ENOENT;
	/* Straight when fd is the volume's root; else through the list. */
	snprintf(path, sizeof(path), ".snapshots/%s", name);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		CLEANUP_FD int sfd = openat(fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (sfd >= 0 && target_ioctl(sfd, KAGEFS_IOC_WHERE, &w) == 0 && w.is_root &&
		    (w.volume.flags & KAGEFS_VOL_SNAPSHOT)) {
			*v = w.volume;
			return 0;
		}
	}
	err = target_each_volume(fd, container, match_name, &b);
	return err == 1 ? 0 : err ? err : -ENOENT;
}
