/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs volume ..., rollback. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/cli/cli.h"

static const struct option json_option[] = {{"json", no_argument, NULL, 'j'}, {0}};

/* Options of which only --json is known; the rest is counted. */
static int only_json(const struct verb *v, int argc, char **argv, int least, int most, bool *json)
{
	int c;

	*json = false;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", json_option, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		*json = true;
	}
	if (argc - optind < least || argc - optind > most)
		return cli_usage(v, EXIT_USAGE);
	return 0;
}

static int create_one(const char *path)
{
	CLEANUP_FREE char *copy1 = strdup(path);
	CLEANUP_FREE char *copy2 = strdup(path);
	struct kagefs_ioc_volume_create a = {0};
	struct kagefs_ioc_where w;
	CLEANUP_FD int fd = -1;
	const char *name;
	mode_t mask = umask(0);
	int code, err;

	umask(mask);
	if (!copy1 || !copy2)
		return cli_fail_errno(EXIT_FAILED, "volume create", path, ENOMEM, NULL);
	name = basename(copy2);
	if (strlen(name) > KAGEFS_NAME_MAX)
		return cli_fail_errno(EXIT_FAILED, "volume create", path, ENAMETOOLONG, NULL);
	if (strcmp(name, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return cli_fail_errno(EXIT_FAILED, "volume create", path, EEXIST, NULL);
	code = target_open("volume create", dirname(copy1), &fd, &w);
	if (code)
		return code;
	strcpy(a.name, name);
	a.mode = 0777 & ~mask;
	err = target_ioctl(fd, KAGEFS_IOC_VOLUME_CREATE, &a);
	return err ? cli_fail_errno(EXIT_FAILED, "volume create", path, err, NULL) : EXIT_OK;
}

struct deletion {
	int fd;
	bool recursive;
	unsigned snapshots;
	int code;
};

/* Without its volume a snapshot has no path any more: it goes before. */
static int delete_snapshot(void *arg, const struct kagefs_volume_info *v)
{
	struct deletion *d = arg;

	d->snapshots++;
	if (d->recursive)
		d->code = snapshot_delete("volume delete", d->fd, v, false);
	return d->recursive ? d->code : 1;
}

static int delete_one(const char *path, bool recursive)
{
	struct kagefs_ioc_volume_delete a = {0};
	struct kagefs_volume_info v;
	CLEANUP_FD int fd = -1;
	CLEANUP_FD int parent = -1;
	int err, code = target_volume("volume delete", path, false, &fd, &v);

	if (code)
		return code;
	if (v.flags & KAGEFS_VOL_SNAPSHOT)
		return cli_fail(EXIT_FAILED, "volume delete", path, "is a snapshot", "use 'kagefs snapshot delete'");
	/* Through the directory above: the volume's own stops answering. */
	parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct kagefs_ioc_where up = {0};

	if (parent < 0 || target_ioctl(parent, KAGEFS_IOC_WHERE, &up) || up.volume.id == v.id)
		return cli_fail(EXIT_FAILED, "volume delete", path, "is the mount's root", "unmount, and remove the store");
	struct deletion d = {.fd = parent, .recursive = recursive};

	err = target_each_volume(parent, v.id, delete_snapshot, &d);
	if (d.code)
		return d.code;
	if (d.snapshots && !recursive)
		return cli_fail(EXIT_FAILED, "volume delete", path, "has snapshots", "delete those first, or use --recursive");
	a.volume = v.id;
	if (!err)
		err = target_ioctl(parent, KAGEFS_IOC_VOLUME_DELETE, &a);
	if (err == -EBUSY)
		return cli_fail(EXIT_FAILED, "volume delete", path, "has volumes below it", "delete those first");
	return err ? cli_fail_errno(EXIT_FAILED, "volume delete", path, err, NULL) : EXIT_OK;
}

int verb_volume_create(const struct verb *v, int argc, char **argv)
{
	int worst = EXIT_OK, done = 0;

	opterr = 0;
	if (getopt(argc, argv, "") != -1 || argc - optind < 1)
		return cli_usage(v, EXIT_USAGE);
	for (int i = optind; i < argc; i++) {
		int code = create_one(argv[i]);

		worst = code ? code : worst;
		done += !code;
	}
	return worst && done ? EXIT_PARTIAL : worst;
}

int verb_volume_delete(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"recursive", no_argument, NULL, 'R'}, {0}};
	int c, worst = EXIT_OK, done = 0;
	bool recursive = false;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		recursive = true;
	}
	if (argc - optind < 1)
		return cli_usage(v, EXIT_USAGE);
	for (int i = optind; i < argc; i++) {
		int code = delete_one(argv[i], recursive);

		worst = code ? code : worst;
		done += !code;
	}
	return worst && done ? EXIT_PARTIAL : worst;
}

struct listing {
	bool json;
	unsigned n;
};

static int list_one(void *arg, const struct kagefs_volume_info *v)
{
	struct listing *l = arg;
	char time[32];

	if (v->flags & KAGEFS_VOL_SNAPSHOT)
		return 0;
	if (l->json) {
		if (l->n)
			putchar(',');
		out_volume_json(v);
	} else {
		if (!l->n)
			printf("%-10s %-20s %-11s %s\n", "ID", "CREATED", "ACCESS", "NAME");
		out_time(v->created_ns, time);
		printf("%-10llu %-20s %-11s ", (unsigned long long)v->id, time, out_access(v));
		out_name(v->name[0] ? v->name : "/");
		putchar('\n');
	}
	l->n++;
	return 0;
}

int verb_volume_list(const struct verb *v, int argc, char **argv)
{
	struct kagefs_volume_info info;
	struct listing l = {0};
	CLEANUP_FD int fd = -1;
	int err, code = only_json(v, argc, argv, 1, 1, &l.json);

	if (!code)
		code = target_volume(v->name, argv[optind], true, &fd, &info);
	if (code)
		return code;
	if (l.json)
		printf(OUT_JSON_HEAD "\"volumes\":[");
	err = target_each_volume(fd, 0, list_one, &l);
	if (l.json)
		printf("]}\n");
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);
	return out_end(v->name, EXIT_OK);
}

static void show(const struct kagefs_volume_info *v, bool json, const char *key)
{
	char time[32], uuid[37];

	if (json) {
		printf(OUT_JSON_HEAD "\"%s\":", key);
		out_volume_json(v);
		printf("}\n");
		return;
	}
	out_time(v->created_ns, time);
	out_uuid(&v->uuid, uuid);
	printf("name      ");
	out_name(v->name[0] ? v->name : "/");
	printf("\nid        %llu\nuuid      %s\ncreated   %s\naccess    %s\n", (unsigned long long)v->id, uuid, time, out_access(v));
	if (v->origin)
		printf("origin    %llu\n", (unsigned long long)v->origin);
	if (!uuid_is_zero(&v->set)) {
		out_uuid(&v->set, uuid);
		printf("set       %s\n", uuid);
	}
}

int verb_volume_show(const struct verb *v, int argc, char **argv)
{
	struct kagefs_volume_info info;
	CLEANUP_FD int fd = -1;
	bool json;
	int code = only_json(v, argc, argv, 1, 1, &json);

	if (!code)
		code = target_volume(v->name, argv[optind], true, &fd, &info);
	if (code)
		return code;
	show(&info, json, "volume");
	return out_end(v->name, EXIT_OK);
}

/* A snapshot named by its volume and its name. */
static int find_snapshot(const char *verb, const char *path, const char *name, int *fd, struct kagefs_volume_info *snap)
{
	struct kagefs_volume_info v;
	int err, code = target_volume(verb, path, true, fd, &v);

	if (code)
		return code;
	err = target_snapshot(*fd, v.id, name, snap);
	if (err == -ENOENT)
		return cli_fail(EXIT_FAILED, verb, name, "there is no such snapshot", "see 'kagefs snapshot list'");
	return err ? cli_fail_errno(EXIT_FAILED, verb, name, err, NULL) : 0;
}

int verb_snapshot_show(const struct verb *v, int argc, char **argv)
{
	struct kagefs_volume_info info;
	CLEANUP_FD int fd = -1;
	bool json;
	int code = only_json(v, argc, argv, 2, 2, &json);

	if (!code)
		code = find_snapshot(v->name, argv[optind], argv[optind + 1], &fd, &info);
	if (code)
		return code;
	show(&info, json, "snapshot");
	return out_end(v->name, EXIT_OK);
}

static int parse_access(const struct verb *v, int argc, char **argv, int want, __u32 *flags)
{
	static const struct option options[] = {{"read-only", no_argument, NULL, 'r'}, {"read-write", no_argument, NULL, 'w'}, {0}};
	int c, seen = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "rw", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		*flags = c == 'r' ? KAGEFS_VOL_READ_ONLY : 0;
		seen++;
	}
	return seen == 1 && argc - optind == want ? 0 : cli_usage(v, EXIT_USAGE);
}

static int set_access(const char *verb, const char *object, int fd, __u64 volume, __u32 flags)
{
	struct kagefs_ioc_volume_set a;
	int err;

	do {
		a = (struct kagefs_ioc_volume_set){
			.flags = flags, .mask = KAGEFS_VOL_READ_ONLY, .volume = volume, .wait_ms = KAGEFS_WAIT_MS_MAX};
		err = target_ioctl(fd, KAGEFS_IOC_VOLUME_SET, &a);
	} while (err == -EINPROGRESS);
	return err ? cli_fail_errno(EXIT_FAILED, verb, object, err,
				    err == -EPERM && !flags ? "a sealed snapshot stays read-only; else be root or its owner" : NULL)
		   : EXIT_OK;
}

int verb_volume_set(const struct verb *v, int argc, char **argv)
{
	struct kagefs_volume_info info;
	CLEANUP_FD int fd = -1;
	__u32 flags = 0;
	int code = parse_access(v, argc, argv, 1, &flags);

	if (!code)
		code = target_volume(v->name, argv[optind], false, &fd, &info);
	return code ? code : set_access(v->name, argv[optind], fd, info.id, flags);
}

int verb_snapshot_set(const struct verb *v, int argc, char **argv)
{
	struct kagefs_volume_info info;
	CLEANUP_FD int fd = -1;
	__u32 flags = 0;
	int code = parse_access(v, argc, argv, 2, &flags);

	if (!code)
		code = find_snapshot(v->name, argv[optind], argv[optind + 1], &fd, &info);
	return code ? code : set_access(v->name, argv[optind + 1], fd, info.id, flags);
}

int verb_rollback(const struct verb *v, int argc, char **argv)
{
	struct kagefs_ioc_rollback a;
	struct kagefs_volume_info vol, snap;
	CLEANUP_FD int fd = -1;
	int err, code;

	opterr = 0;
	if (getopt(argc, argv, "") != -1 || argc - optind != 2)
		return cli_usage(v, EXIT_USAGE);
	code = target_volume(v->name, argv[optind], false, &fd, &vol);
	if (code)
		return code;
	err = target_snapshot(fd, vol.id, argv[optind + 1], &snap);
	if (err == -ENOENT)
		return cli_fail(EXIT_FAILED, v->name, argv[optind + 1], "there is no such snapshot", "see 'kagefs snapshot list'");
	while (!err) {
		a = (struct kagefs_ioc_rollback){.volume = vol.id, .snapshot = snap.id, .wait_ms = KAGEFS_WAIT_MS_MAX};
		err = target_ioctl(fd, KAGEFS_IOC_ROLLBACK, &a);
		if (err != -EINPROGRESS)
			break;
		err = 0;
	}
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);
	printf("kept as ");
	out_name(a.kept_name);
	putchar('\n');
	return out_end(v->name, EXIT_OK);
}
