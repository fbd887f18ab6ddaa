/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See the header. */
#include "agent/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/mountinfo.h"
#include "fs/base/msg.h"

int place_call(int fd, unsigned long number, void *arg)
{
	return ioctl(fd, number, arg) < 0 ? -errno : 0;
}

int place_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int place_store(int fd, struct guid *store)
{
	struct kagefs_ioc_info info = { 0 };
	int err = place_call(fd, KAGEFS_IOC_INFO, &info);

	if (err == -EINVAL || err == -ENOSYS) /* answers of other file systems to an unknown ioctl */
		err = -ENOTTY;
	if (!err && info.abi_version != KAGEFS_ABI_VERSION) {
		msg(LOG_ERR, "file system speaks another ABI: version=%u want=%u", info.abi_version, KAGEFS_ABI_VERSION);
		err = -ENOTTY;
	}
	memcpy(store->b, info.store_uuid.b, sizeof(store->b));
	return err;
}

/* Cut the last component off path; it goes in front of rel. */
static int step_up(char *path, char **rel)
{
	char *slash = strrchr(path, '/'), *longer;

	if (!slash || !slash[1])
		return -ENOTTY;
	if (asprintf(&longer, "%s%s%s", slash + 1, **rel ? "/" : "", *rel) < 0)
		return -ENOMEM;
	free(*rel);
	*rel = longer;
	slash[slash == path] = '\0';
	return 0;
}

/* A copy of the volume would show an empty directory there. */
static int refuse_below(void *arg, const struct mount_line *m)
{
	const char *dir = arg;
	size_t len = strlen(dir);

	if (strncmp(m->point, dir, len) != 0 || m->point[len] != '/')
		return 0;
	msg(LOG_NOTICE, "share has another mount below it: path=%s mount=%s", dir, m->point);
	return -EXDEV;
}

/* ---- volumes below a directory ---- */

#define ANCESTORS_MAX 128 /* of a path deeper than that some volumes are thought to be below it that are not */

/* The directories from the share's up to, and with, its volume's root: what is bound in one of them, but the share's own
 * directory, lies beside the path. */
struct ancestors {
	unsigned n;
	uint64_t ino[ANCESTORS_MAX];
};

static bool is_beside(const struct ancestors *a, const struct kagefs_volume_info *v)
{
	for (unsigned i = 1; i < a->n; i++)
		if (a->ino[i] == v->place_ino)
			return true;
	return false;
}

static int add_nested(struct backend_place *out, uint64_t volume)
{
	uint64_t *more;

	for (unsigned i = 0; i < out->nnested; i++)
		if (out->nested[i] == volume)
			return 0;
	if (out->nnested + 1 >= BACKEND_VOLUMES_MAX)
		return -E2BIG;
	more = realloc(out->nested, (out->nnested + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	out->nested = more;
	more[out->nnested++] = volume;
	return 1;
}

static bool is_nested(const struct backend_place *out, uint64_t volume)
{
	for (unsigned i = 0; i < out->nnested; i++)
		if (out->nested[i] == volume)
			return true;
	return false;
}

/* One look at all volumes.  1: something was added, whose own volumes may have been passed by already. */
static int find_nested_once(int fd, const struct ancestors *a, struct backend_place *out)
{
	CLEANUP_FREE struct kagefs_ioc_volume_list *l = malloc(sizeof(*l));
	uint64_t after = 0;
	int err = l ? 0 : -ENOMEM, added = 0;

	while (!err) {
		memset(l, 0, sizeof(*l));
		l->flags = KAGEFS_LIST_BOUND;
		l->after = after;
		err = place_call(fd, KAGEFS_IOC_VOLUME_LIST, l);
		if (err || l->count == 0 || l->count > KAGEFS_LIST_MAX)
			break;
		after = l->volumes[l->count - 1].id;
		for (unsigned i = 0; i < l->count && err >= 0; i++) {
			const struct kagefs_volume_info *v = &l->volumes[i];

			if ((v->place_volume == out->volume && !is_beside(a, v)) || is_nested(out, v->place_volume)) {
				err = add_nested(out, v->id);
				added |= err > 0;
			}
		}
		err = MIN(err, 0);
	}
	return err ? err : added;
}

static int find_nested(int fd, const struct ancestors *a, const char *path, struct backend_place *out)
{
	int r;

	do
		r = find_nested_once(fd, a, out);
	while (r > 0);
	if (r == -E2BIG)
		msg(LOG_NOTICE, "share has too many volumes below it, or beside it in its volume: path=%s max=%u", path,
		    BACKEND_VOLUMES_MAX);
	return r;
}

/* Walk up from the directory to its volume's root. */
int place_find(const char *path, struct backend_place *out)
{
	struct ancestors ancestors = { 0 };
	CLEANUP_FREE char *root = realpath(path, NULL);
	CLEANUP_FREE char *rel = strdup("");
	struct kagefs_ioc_where where;
	int err;

	if (!root)
		return -errno;
	if (!rel)
		return -ENOMEM;
	err = mountinfo_each(refuse_below, root);
	if (err)
		return err;
	for (;;) {
		CLEANUP_FD int fd = place_open(root);

		if (fd < 0)
			return fd;
		err = *rel ? 0 : place_store(fd, &out->store);
		memset(&where, 0, sizeof(where));
		if (!err)
			err = place_call(fd, KAGEFS_IOC_WHERE, &where);
		if (!err && ancestors.n < ANCESTORS_MAX)
			ancestors.ino[ancestors.n++] = where.ino;
		if (!err && where.is_root) {
			out->volume = where.volume.id;
			out->snapshot = where.volume.flags & KAGEFS_VOL_SNAPSHOT;
			err = out->snapshot ? 0 : find_nested(fd, &ancestors, path, out);
			if (!err)
				break;
		}
		if (!err)
			err = step_up(root, &rel);
		if (err)
			return err;
	}
	out->root = steal_ptr(&root);
	out->rel = steal_ptr(&rel);
	return 0;
}
