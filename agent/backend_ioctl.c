/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real file system: each call opens a directory of the store's mount, checks that it is still that store, asks, and
 * closes it again, so that the agent never keeps a mount busy.  Mounts are found in /proc/self/mountinfo and remembered.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/backend.h"
#include "fs/base/msg.h"
#include "fs/kagefs_ioctl.h"

#define MOUNTS_MAX 256
#define FSTYPE "fuse.kagefs"

struct mount {
	struct guid store;
	char *path; /* owned */
};

struct backend {
	pthread_mutex_t lock; /* protects the table; held across no system call on a mount */
	size_t nmounts;
	struct mount mounts[MOUNTS_MAX];
};

static void guid_from(struct guid *to, const struct kagefs_uuid *from)
{
	memcpy(to->b, from->b, sizeof(to->b));
}

static void guid_to(struct kagefs_uuid *to, const struct guid *from)
{
	memcpy(to->b, from->b, sizeof(to->b));
}

static int call(int fd, unsigned long number, void *arg)
{
	return ioctl(fd, number, arg) < 0 ? -errno : 0;
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int store_of(int fd, struct guid *store)
{
	struct kagefs_ioc_info info = { 0 };
	int err = call(fd, KAGEFS_IOC_INFO, &info);

	if (err == -EINVAL || err == -ENOSYS) /* answers of other file systems to an unknown ioctl */
		err = -ENOTTY;
	if (!err && info.abi_version != KAGEFS_ABI_VERSION) {
		msg(LOG_ERR, "file system speaks another ABI: version=%u want=%u", info.abi_version, KAGEFS_ABI_VERSION);
		err = -ENOTTY;
	}
	guid_from(store, &info.store_uuid);
	return err;
}

/* ---- table of mounts ----------------------------------------------------------------------------------------------- */

static void remember(struct backend *b, const struct guid *store, const char *path)
{
	char *copy = strdup(path);
	size_t i = 0;

	if (!copy)
		return; /* it will be looked for again */
	pthread_mutex_lock(&b->lock);
	while (i < b->nmounts && !guid_equal(&b->mounts[i].store, store))
		i++;
	if (i < MOUNTS_MAX) {
		if (i == b->nmounts)
			b->mounts[b->nmounts++] = (struct mount){ .store = *store };
		free(b->mounts[i].path);
		b->mounts[i].path = steal_ptr(&copy);
	}
	pthread_mutex_unlock(&b->lock);
	free(copy);
}

static char *recall(struct backend *b, const struct guid *store)
{
	char *path = NULL;

	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < b->nmounts && !path; i++)
		if (guid_equal(&b->mounts[i].store, store))
			path = strdup(b->mounts[i].path);
	pthread_mutex_unlock(&b->lock);
	return path;
}

/* Undo the octal escapes of mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Mount point of a line of mountinfo, cut out of the line; NULL: not such a line. */
static char *mount_point(char *line, bool *ours)
{
	char *separator = strstr(line, " - "), *field, *save;

	*ours = separator && strncmp(separator + 3, FSTYPE " ", sizeof(FSTYPE)) == 0;
	field = strtok_r(line, " ", &save);
	for (int i = 0; field && i < 4; i++)
		field = strtok_r(NULL, " ", &save);
	if (field)
		unescape(field);
	return field;
}

/* Calls f for every mount, or every mounted store, until it returns non-zero. */
static int each_mount(bool all, int (*f)(void *arg, const char *path), void *arg)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;
	int r = 0;

	if (!file)
		return -errno;
	while (!r && getline(&line, &cap, file) > 0) {
		bool ours;
		char *path = mount_point(line, &ours);

		if (path && (all || ours))
			r = f(arg, path);
	}
	fclose(file);
	return r;
}

static int remember_mount(void *arg, const char *path)
{
	CLEANUP_FD int fd = open_dir(path);
	struct guid store;

	if (fd >= 0 && store_of(fd, &store) == 0)
		remember(arg, &store, path);
	return 0;
}

static int open_known(struct backend *b, const struct guid *store)
{
	CLEANUP_FREE char *path = recall(b, store);
	struct guid found;
	int fd, err;

	if (!path)
		return -ENODEV;
	fd = open_dir(path);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ENODEV : fd;
	err = store_of(fd, &found);
	if (!err && !guid_equal(&found, store))
		err = -ENODEV;
	if (err == -ENOTTY) /* unmounted: the directory below */
		err = -ENODEV;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* A descriptor on the store's mount, or -errno. */
static int open_store(struct backend *b, const struct guid *store)
{
	int fd = open_known(b, store);

	if (fd == -ENODEV) {
		int err = each_mount(false, remember_mount, b);

		fd = err ? err : open_known(b, store);
	}
	return fd;
}

static int store_call(struct backend *b, const struct guid *store, unsigned long number, void *arg)
{
	CLEANUP_FD int fd = open_store(b, store);

	return fd < 0 ? fd : call(fd, number, arg);
}

int backend_open(struct backend **out)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	*out = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->nmounts; i++)
		free(b->mounts[i].path);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

struct store_list {
	struct guid *ids;
	size_t n;
};

static int add_store(void *arg, const char *path)
{
	struct store_list *l = arg;
	CLEANUP_FD int fd = open_dir(path);
	struct guid store, *ids;

	if (fd < 0 || store_of(fd, &store) < 0)
		return 0;
	for (size_t i = 0; i < l->n; i++)
		if (guid_equal(&l->ids[i], &store))
			return 0;
	ids = l->n < MOUNTS_MAX ? realloc(l->ids, (l->n + 1) * sizeof(*ids)) : NULL;
	if (!ids)
		return -ENOMEM;
	l->ids = ids;
	ids[l->n++] = store;
	return 0;
}

int backend_stores(struct backend *b, struct guid **out, size_t *n)
{
	struct store_list l = { NULL, 0 };
	int err = each_mount(false, add_store, &l);

	if (err) {
		free(l.ids);
		return err;
	}
	*out = l.ids;
	*n = l.n;
	return 0;
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

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
static int refuse_below(void *arg, const char *mounted)
{
	const char *dir = arg;
	size_t len = strlen(dir);

	if (strncmp(mounted, dir, len) != 0 || mounted[len] != '/')
		return 0;
	msg(LOG_NOTICE, "share has another mount below it: path=%s mount=%s", dir, mounted);
	return -EXDEV;
}

int backend_locate(struct backend *b, const char *path, struct backend_place *out)
{
	CLEANUP_FREE char *root = realpath(path, NULL);
	CLEANUP_FREE char *rel = strdup("");
	struct kagefs_ioc_where where;
	int err;

	memset(out, 0, sizeof(*out));
	if (!root)
		return -errno;
	if (!rel)
		return -ENOMEM;
	err = each_mount(true, refuse_below, root);
	if (err)
		return err;
	for (;;) {
		CLEANUP_FD int fd = open_dir(root);

		if (fd < 0)
			return fd;
		err = *rel ? 0 : store_of(fd, &out->store);
		memset(&where, 0, sizeof(where));
		if (!err)
			err = call(fd, KAGEFS_IOC_WHERE, &where);
		if (!err && where.is_root)
			break;
		if (!err)
			err = step_up(root, &rel);
		if (err)
			return err;
	}
	out->volume = where.volume.id;
	out->snapshot = where.volume.flags & KAGEFS_VOL_SNAPSHOT;
	remember(b, &out->store, root);
	out->root = steal_ptr(&root);
	out->rel = steal_ptr(&rel);
	return 0;
}

void backend_place_release(struct backend_place *p)
{
	free(p->root);
	free(p->rel);
	memset(p, 0, sizeof(*p));
}

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

int backend_prepare(struct backend *b, const struct guid *store, const struct backend_request *r, unsigned wait_ms)
{
	struct kagefs_ioc_set_prepare p = {
		.flags = r->writable ? KAGEFS_SET_WRITABLE : 0,
		.owner = BACKEND_OWNER,
		.writer_uid = r->writer_uid,
		.wait_ms = wait_ms,
		.nvolumes = r->nvolumes,
		.record_len = (__u32)r->record_len,
	};
	int err;

	guid_to(&p.uuid, &r->id);
	memcpy(p.volumes, r->volumes, r->nvolumes * sizeof(p.volumes[0]));
	memcpy(p.record, r->record, r->record_len);
	err = store_call(b, store, KAGEFS_IOC_SET_PREPARE, &p);
	return !err && p.state == KAGEFS_SET_PREPARING ? -EINPROGRESS : err;
}

static void take_members(struct backend_set *out, const struct kagefs_set_member *members, uint32_t n)
{
	out->nmembers = MIN(n, BACKEND_VOLUMES_MAX);
	for (unsigned i = 0; i < out->nmembers; i++)
		out->members[i] = (struct backend_member){ members[i].volume, members[i].snapshot };
}

int backend_commit(struct backend *b, const struct guid *store, const struct backend_request *r, unsigned deadline_ms,
		   unsigned wait_ms, struct backend_set *out, char name[BACKEND_NAME_SIZE])
{
	struct kagefs_ioc_set_commit c = {
		.flags = r->nvolumes && r->writable ? KAGEFS_SET_WRITABLE : 0,
		.owner = BACKEND_OWNER,
		.writer_uid = r->writer_uid,
		.wait_ms = wait_ms,
		.deadline_ms = deadline_ms,
		.nvolumes = r->nvolumes,
		.record_len = (__u32)r->record_len,
	};
	int err;

	guid_to(&c.uuid, &r->id);
	memcpy(c.volumes, r->volumes, r->nvolumes * sizeof(c.volumes[0]));
	if (r->record_len)
		memcpy(c.record, r->record, r->record_len);
	err = store_call(b, store, KAGEFS_IOC_SET_COMMIT, &c);
	if (err)
		return err;
	snprintf(name, BACKEND_NAME_SIZE, "%.*s", KAGEFS_NAME_MAX, c.name);
	return backend_get(b, store, &r->id, out);
}

int backend_seal(struct backend *b, const struct guid *store, const struct guid *id, const uint8_t *record,
		 size_t record_len, unsigned wait_ms)
{
	struct kagefs_ioc_set_seal s = { .wait_ms = wait_ms, .record_len = (__u32)record_len };

	guid_to(&s.uuid, id);
	memcpy(s.record, record, record_len);
	return store_call(b, store, KAGEFS_IOC_SET_SEAL, &s);
}

int backend_update(struct backend *b, const struct guid *store, const struct guid *id, const uint8_t *record,
		   size_t record_len)
{
	struct kagefs_ioc_set_update u = { .record_len = (__u32)record_len };

	guid_to(&u.uuid, id);
	memcpy(u.record, record, record_len);
	return store_call(b, store, KAGEFS_IOC_SET_UPDATE, &u);
}

int backend_delete(struct backend *b, const struct guid *store, const struct guid *id)
{
	struct kagefs_ioc_set_delete d = { 0 };

	guid_to(&d.uuid, id);
	return store_call(b, store, KAGEFS_IOC_SET_DELETE, &d);
}

static enum backend_state state_of(uint32_t word)
{
	return word == KAGEFS_SET_COMMITTED ? BACKEND_COMMITTED : word == KAGEFS_SET_SEALED ? BACKEND_SEALED : BACKEND_VOLATILE;
}

int backend_get(struct backend *b, const struct guid *store, const struct guid *id, struct backend_set *out)
{
	struct kagefs_ioc_set_get g = { 0 };
	int err;

	guid_to(&g.uuid, id);
	err = store_call(b, store, KAGEFS_IOC_SET_GET, &g);
	if (err)
		return err;
	if (strncmp(g.info.owner, BACKEND_OWNER, sizeof(g.info.owner)) != 0)
		return -ENOENT;
	out->id = *id;
	out->state = state_of(g.info.state);
	out->keep = g.info.flags & KAGEFS_SET_KEEP;
	out->committed_ns = g.info.committed_ns;
	take_members(out, g.members, g.info.nvolumes);
	out->record_len = MIN(g.info.record_len, BACKEND_RECORD_MAX);
	memcpy(out->record, g.record, out->record_len);
	return 0;
}

int backend_snapshot_name(struct backend *b, const struct guid *store, uint64_t snapshot, char name[BACKEND_NAME_SIZE])
{
	struct kagefs_ioc_volume_get v = { .volume = snapshot };
	int err = store_call(b, store, KAGEFS_IOC_VOLUME_GET, &v);

	if (!err)
		snprintf(name, BACKEND_NAME_SIZE, "%.*s", KAGEFS_NAME_MAX, v.info.name);
	return err;
}

int backend_delete_snapshot(struct backend *b, const struct guid *store, uint64_t snapshot)
{
	struct kagefs_ioc_volume_delete d = { .flags = KAGEFS_DELETE_FORCE, .volume = snapshot };

	return store_call(b, store, KAGEFS_IOC_VOLUME_DELETE, &d);
}

static int append_ours(const struct kagefs_ioc_set_list *l, struct guid **ids, size_t *n)
{
	struct guid *more = realloc(*ids, (*n + l->count) * sizeof(**ids));

	if (!more)
		return -ENOMEM;
	*ids = more;
	for (uint32_t i = 0; i < l->count; i++)
		if (strncmp(l->sets[i].owner, BACKEND_OWNER, sizeof(l->sets[i].owner)) == 0)
			guid_from(&more[(*n)++], &l->sets[i].uuid);
	return 0;
}

int backend_list(struct backend *b, const struct guid *store, struct guid **out, size_t *n)
{
	CLEANUP_FD int fd = open_store(b, store);
	CLEANUP_FREE struct guid *ids = NULL;
	struct kagefs_ioc_set_list l;
	struct kagefs_uuid after = { { 0 } };
	size_t count = 0;
	int err = fd < 0 ? fd : 0;

	while (!err) {
		memset(&l, 0, sizeof(l));
		l.after = after;
		err = call(fd, KAGEFS_IOC_SET_LIST, &l);
		if (err || l.count == 0 || l.count > KAGEFS_LIST_MAX)
			break;
		after = l.sets[l.count - 1].uuid;
		err = append_ours(&l, &ids, &count);
	}
	if (err == -ENOENT) /* the set we stood at was deleted; the caller looks again later */
		err = -EAGAIN;
	if (err)
		return err;
	*out = steal_ptr(&ids);
	*n = count;
	return 0;
}
