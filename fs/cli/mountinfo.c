/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is mounted where, from /proc/PID/mountinfo. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cli/cli.h"

void mount_entry_release(struct mount_entry *e)
{
	free(e->source);
	free(e->dir);
	free(e->type);
	*e = (struct mount_entry){0};
}

/* \040 and the like, in place. */
static void unescape(char *s)
{
	char *o = s;

	for (; *s; s++)
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*o++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*o++ = *s;
		}
	*o = '\0';
}

/* "36 35 0:52 / /mnt rw,... shared:1 - fuse.kagefs /store rw,..." */
static int parse_line(char *line, struct mount_entry *e)
{
	char *field[6], *rest = line, *dash = strstr(line, " - ");
	char *type, *source;

	if (!dash)
		return -EINVAL;
	*dash = '\0';
	for (int i = 0; i < 5; i++) {
		field[i] = strsep(&rest, " ");
		if (!field[i])
			return -EINVAL;
	}
	rest = dash + 3;
	type = strsep(&rest, " ");
	source = rest ? strsep(&rest, " ") : NULL;
	if (!source || sscanf(field[2], "%u:%u", &e->major, &e->minor) != 2)
		return -EINVAL;
	unescape(field[4]);
	unescape(source);
	e->dir = strdup(field[4]);
	e->type = strdup(type);
	e->source = strdup(source);
	return e->dir && e->type && e->source ? 0 : -ENOMEM;
}

/* The last line of a mountinfo file that fits: later mounts lie on top. */
static int find(const char *file, const char *dir, const char *source, struct mount_entry *out)
{
	FILE *f = fopen(file, "re");
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	bool found = false;

	*out = (struct mount_entry){0};
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		struct mount_entry e = {0};

		if (parse_line(line, &e) == 0 && (!dir || strcmp(e.dir, dir) == 0) &&
		    (!source || (strcmp(e.source, source) == 0 && strcmp(e.type, "fuse.kagefs") == 0))) {
			mount_entry_release(out);
			*out = e;
			found = true;
		} else {
			mount_entry_release(&e);
		}
	}
	fclose(f);
	return found ? 0 : -ENOENT;
}

int mount_find_dir(const char *dir, struct mount_entry *e)
{
	return find("/proc/self/mountinfo", dir, NULL, e);
}

int mount_find_store(const char *store, struct mount_entry *e)
{
	return find("/proc/self/mountinfo", NULL, store, e);
}

pid_t mount_find_elsewhere(const struct mount_entry *e)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t pid = 0;

	while (proc && !pid && (d = readdir(proc))) {
		char file[sizeof(d->d_name) + sizeof("/proc//mountinfo")];
		struct mount_entry found;

		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(file, sizeof(file), "/proc/%s/mountinfo", d->d_name);
		if (find(file, NULL, e->source, &found) == 0 && found.major == e->major && found.minor == e->minor)
			pid = (pid_t)atoi(d->d_name);
		mount_entry_release(&found);
	}
	if (proc)
		closedir(proc);
	return pid;
}

char *mount_abspath(const char *path)
{
	char parent[PATH_MAX], real[PATH_MAX], out[2 * PATH_MAX + 2], *slash, *whole;
	size_t len = strlen(path);

	whole = realpath(path, NULL);
	if (whole || (errno != ENOTCONN && errno != EACCES && errno != EIO))
		return whole;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	memcpy(parent, path, len);
	parent[len] = '\0';
	slash = strrchr(parent, '/');
	if (!slash) {
		if (!realpath(".", real))
			return NULL;
		snprintf(out, sizeof(out), "%s/%s", strcmp(real, "/") ? real : "", parent);
	} else {
		*slash = '\0';
		if (!realpath(parent[0] ? parent : "/", real))
			return NULL;
		snprintf(out, sizeof(out), "%s/%s", strcmp(real, "/") ? real : "", slash + 1);
	}
	return strdup(out);
}
