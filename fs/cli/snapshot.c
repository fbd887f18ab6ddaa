/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs snapshot create, list, delete.  A snapshot made here is a set of owner "cli", of one volume or of several. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fs/cli/cli.h"

#define OWNER "cli"
#define DEADLINE_MS 120000

/* ---- --recursive: which volumes lie below a directory ------------------------------------------------------------------- */

struct volumes {
	struct kagefs_volume_info *v; /* owned */
	size_t n, room;
};

static int volumes_add(void *arg, const struct kagefs_volume_info *v)
{
	struct volumes *all = arg;

	if (v->flags & KAGEFS_VOL_SNAPSHOT)
		return 0;
	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 32;
		void *p = realloc(all->v, room * sizeof(*all->v));

		if (!p)
			return -ENOMEM;
		all->v = p;
		all->room = room;
	}
	all->v[all->n++] = *v;
	return 0;
}

struct chosen {
	__u64 id[KAGEFS_SET_VOLUMES_MAX];
	unsigned n;
};

/* -E2BIG. */
static int choose(struct chosen *c, __u64 id)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->id[i] == id)
			return 0;
	if (c->n == KAGEFS_SET_VOLUMES_MAX)
		return -E2BIG;
	c->id[c->n++] = id;
	return 0;
}

/* Walk the directories, reading names and inode numbers only, until every volume has been met.  dfd is taken. */
static int find_below(int dfd, struct volumes *all, struct chosen *c, size_t *left)
{
	DIR *d = fdopendir(dfd);
	struct dirent *e;
	int err = 0;

	if (!d) {
		err = -errno;
		close(dfd);
		return err;
	}
	while (!err && *left > 0 && (e = readdir(d))) {
		int sub;

		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, ".snapshots") == 0)
			continue;
		for (size_t i = 0; i < all->n && !err; i++)
			if (all->v[i].root_ino == e->d_ino) {
				err = choose(c, all->v[i].id);
				--*left;
			}
		sub = err ? -1 : openat(dfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			err = find_below(sub, all, c, left);
		else if (!err && errno != ENOENT && errno != EACCES)
			err = -errno;
	}
	closedir(d);
	return err;
}

static int choose_path(const char *verb, const char *path, bool recursive, struct chosen *c, int *keep_fd)
{
	struct kagefs_volume_info v;
	struct volumes all = {0};
	CLEANUP_FD int fd = -1;
	int dfd, err, code = target_volume(verb, path, false, &fd, &v);

	if (code)
		return code;
	err = choose(c, v.id);
	if (!err && recursive) {
		err = target_each_volume(fd, 0, volumes_add, &all);
		size_t left = all.n;

		dfd = err ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dfd >= 0)
			err = find_below(dfd, &all, c, &left);
		free(all.v);
	}
	if (*keep_fd < 0)
		*keep_fd = steal_fd(&fd);
	if (err == -E2BIG)
		return cli_fail(EXIT_FAILED, verb, path, "there are more than 64 volumes", "take them in several snapshots");
	return err ? cli_fail_errno(EXIT_FAILED, verb, path, err, NULL) : 0;
}

static int commit(int fd, const char *name, bool read_only, const struct chosen *c, struct kagefs_ioc_set_commit *a)
{
	struct kagefs_uuid uuid;
	int err;

	if (getrandom(&uuid, sizeof(uuid), 0) != sizeof(uuid))
		return -EIO;
	uuid.b[6] = (uuid.b[6] & 0x0f) | 0x40;
	uuid.b[8] = (uuid.b[8] & 0x3f) | 0x80;
	memset(a, 0, sizeof(*a));
	a->flags = read_only ? 0 : KAGEFS_SET_WRITABLE | KAGEFS_SET_ANY_WRITER;
	a->uuid = uuid;
	strcpy(a->owner, OWNER);
	a->writer_uid = getuid();
	a->wait_ms = KAGEFS_WAIT_MS_MAX;
	a->deadline_ms = DEADLINE_MS;
	a->nvolumes = c->n;
	memcpy(a->volumes, c->id, c->n * sizeof(c->id[0]));
	strcpy(a->name, name);
	err = target_ioctl(fd, KAGEFS_IOC_SET_COMMIT, a);
	while (err == -EINPROGRESS) {
		memset(a, 0, sizeof(*a));
		a->uuid = uuid;
		a->wait_ms = KAGEFS_WAIT_MS_MAX;
		a->deadline_ms = DEADLINE_MS;
		err = target_ioctl(fd, KAGEFS_IOC_SET_COMMIT, a);
	}
	return err;
}

int verb_snapshot_create(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"name", required_argument, NULL, 'n'},
						{"read-only", no_argument, NULL, 'r'},
						{"recursive", no_argument, NULL, 'R'},
						{"json", no_argument, NULL, 'j'},
						{0}};
	CLEANUP_FREE struct kagefs_ioc_set_commit *a = malloc(sizeof(*a));
	struct chosen c = {.n = 0};
	const char *name = "";
	bool read_only = false, recursive = false, json = false;
	CLEANUP_FD int fd = -1;
	int o, err;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "n:r", options, NULL)) != -1) {
		if (o == '?')
			return cli_usage(v, EXIT_USAGE);
		if (o == 'n')
			name = optarg;
		read_only = read_only || o == 'r';
		recursive = recursive || o == 'R';
		json = json || o == 'j';
	}
	if (argc - optind < 1)
		return cli_usage(v, EXIT_USAGE);
	if (strlen(name) > KAGEFS_NAME_MAX)
		return cli_fail_errno(EXIT_FAILED, v->name, name, ENAMETOOLONG, NULL);
	if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return cli_fail(EXIT_FAILED, v->name, name, "is not a name", "use a name without '/'");
	if (!a)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], ENOMEM, NULL);
	for (int i = optind; i < argc; i++) {
		int code = choose_path(v->name, argv[i], recursive, &c, &fd);

		if (code)
			return code;
	}
	err = commit(fd, name, read_only, &c, a);
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, err == -EEXIST ? name : argv[optind], err, NULL);
	if (json) {
		printf(OUT_JSON_HEAD "\"name\":");
		out_json_string(a->name);
		putchar(',');
		out_json_uuid("set", &a->uuid);
		printf(",\"snapshots\":[");
		for (unsigned i = 0; i < c.n; i++)
			printf("%s{\"volume\":%llu,\"id\":%llu}", i ? "," : "", (unsigned long long)a->members[i].volume,
			       (unsigned long long)a->members[i].snapshot);
		printf("]}\n");
	} else {
		out_name(a->name);
		putchar('\n');
	}
	return out_end(v->name, EXIT_OK);
}

/* ---- list ---------------------------------------------------------------------------------------------------------------- */

struct listing {
	bool json;
	unsigned n;
};

static int list_one(void *arg, const struct kagefs_volume_info *v)
{
	struct listing *l = arg;
	char time[32];

	if (!(v->flags & KAGEFS_VOL_SNAPSHOT))
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
		out_name(v->name);
		putchar('\n');
	}
	l->n++;
	return 0;
}

int verb_snapshot_list(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
	struct kagefs_volume_info info;
	struct listing l = {0};
	CLEANUP_FD int fd = -1;
	int c, err, code;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		l.json = true;
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_volume(v->name, argv[optind], true, &fd, &info);
	if (code)
		return code;
	if (l.json)
		printf(OUT_JSON_HEAD "\"volume\":%llu,\"snapshots\":[", (unsigned long long)info.id);
	err = target_each_volume(fd, info.id, list_one, &l);
	if (l.json)
		printf("]}\n");
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);
	return out_end(v->name, EXIT_OK);
}

/* ---- delete --------------------------------------------------------------------------------------------------------------- */

/* Whether any copy of the set but `except` still exists. */
static bool others_live(int fd, const struct kagefs_ioc_set_get *g, __u64 except)
{
	for (__u32 i = 0; i < MIN(g->info.nvolumes, KAGEFS_SET_VOLUMES_MAX); i++) {
		struct kagefs_ioc_volume_get v = {.volume = g->members[i].snapshot};

		if (v.volume && v.volume != except && target_ioctl(fd, KAGEFS_IOC_VOLUME_GET, &v) == 0)
			return true;
	}
	return false;
}

static int delete_volume(int fd, __u64 id, __u32 flags)
{
	struct kagefs_ioc_volume_delete a = {.flags = flags, .volume = id};

	return target_ioctl(fd, KAGEFS_IOC_VOLUME_DELETE, &a);
}

int snapshot_delete(const char *verb, int fd, const struct kagefs_volume_info *v, bool force)
{
	CLEANUP_FREE struct kagefs_ioc_set_get *g = calloc(1, sizeof(*g));
	int err = g ? 0 : -ENOMEM;

	if (!err && !uuid_is_zero(&v->set)) {
		g->uuid = v->set;
		err = target_ioctl(fd, KAGEFS_IOC_SET_GET, g);
		if (err == -ENOENT)
			err = delete_volume(fd, v->id, KAGEFS_DELETE_FORCE);
		else if (!err && !force && strcmp(g->info.owner, OWNER) != 0)
			return cli_fail(EXIT_FAILED, verb, v->name, "belongs to a shadow copy set of another program", "let that delete it, or use --force");
		else if (!err && !force && (g->info.flags & KAGEFS_SET_KEEP))
			return cli_fail(EXIT_FAILED, verb, v->name, "is marked to be kept", "use --force");
		else if (!err && others_live(fd, g, v->id))
			err = delete_volume(fd, v->id, KAGEFS_DELETE_FORCE);
		else if (!err) { /* the last of its set: the set goes too */
			struct kagefs_ioc_set_delete a = {.flags = KAGEFS_DELETE_FORCE, .uuid = v->set};

			err = target_ioctl(fd, KAGEFS_IOC_SET_DELETE, &a);
		}
	} else if (!err) {
		err = delete_volume(fd, v->id, 0);
	}
	return err ? cli_fail_errno(EXIT_FAILED, verb, v->name, err, NULL) : EXIT_OK;
}

static int delete_one(const char *verb, int fd, __u64 container, const char *name, bool force)
{
	struct kagefs_volume_info v;
	int err = target_snapshot(fd, container, name, &v);

	if (err == -ENOENT)
		return cli_fail(EXIT_FAILED, verb, name, "there is no such snapshot", "see 'kagefs snapshot list'");
	return err ? cli_fail_errno(EXIT_FAILED, verb, name, err, NULL) : snapshot_delete(verb, fd, &v, force);
}

int verb_snapshot_delete(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
	struct kagefs_volume_info info;
	CLEANUP_FD int fd = -1;
	bool force = false;
	int c, code, worst = EXIT_OK, done = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		force = true;
	}
	if (argc - optind < 2)
		return cli_usage(v, EXIT_USAGE);
	code = target_volume(v->name, argv[optind], true, &fd, &info);
	if (code)
		return code;
	for (int i = optind + 1; i < argc; i++) {
		code = delete_one(v->name, fd, info.id, argv[i], force);
		if (code)
			worst = code;
		else
			done++;
	}
	return worst && done ? EXIT_PARTIAL : worst;
}
