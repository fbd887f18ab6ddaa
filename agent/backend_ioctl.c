/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real file system: each call opens a directory of the store's mount, checks that it is still that store, asks, and
 * closes it again, so that the agent never keeps a mount busy.  Mounts are found in /proc/self/mountinfo and remembered.
 *
 * Every system call on a mount is made by a job of agent/workers.h, for a file system that is stopped holds whoever asks it.
 * Jobs own what they work on and know nothing of struct backend.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "agent/backend.h"
#include "agent/mountinfo.h"
#include "agent/place.h"
#include "agent/workers.h"
#include "fs/base/msg.h"
#include "fs/kagefs_ioctl.h"

#define MOUNTS_MAX 256
#define SCAN_MS 1000 /* for one mount, when it is not known yet which store it has */

struct mount {
	struct guid store;
	char *path; /* owned */
};

struct backend {
	struct workers *workers;
	pthread_mutex_t lock; /* protects the table; held across no system call on a mount */
	size_t nmounts;
	struct mount mounts[MOUNTS_MAX];
};

static void guid_to(struct kagefs_uuid *to, const struct guid *from)
{
	memcpy(to->b, from->b, sizeof(to->b));
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

/* ---- which store a mount has --------------------------------------------------------------------------------------- */

struct probe_job {
	struct worker_job job;
	struct guid store;
	char path[];
};

static void job_free(struct worker_job *job)
{
	free(job);
}

static int probe(struct worker_job *job)
{
	struct probe_job *j = (struct probe_job *)job;
	CLEANUP_FD int fd = place_open(j->path);

	return fd < 0 ? fd : place_store(fd, &j->store);
}

static void mount_key(const char *point, char key[WORKERS_KEY_SIZE])
{
	snprintf(key, WORKERS_KEY_SIZE, "mount %s", point);
}

static int probe_mount(struct backend *b, const char *point, const struct patience *p, struct guid *store)
{
	size_t size = strlen(point) + 1;
	struct probe_job *j = calloc(1, sizeof(*j) + size);
	struct patience mine = *p;
	char key[WORKERS_KEY_SIZE];
	int err;

	if (!j)
		return -ENOMEM;
	j->job = (struct worker_job){ probe, job_free };
	memcpy(j->path, point, size);
	mount_key(point, key);
	mine.end_ms = MIN(p->end_ms, patience_now_ms() + SCAN_MS);
	struct worker_job *job = &j->job;

	err = workers_run(b->workers, key, &job, &mine);
	if (job) {
		*store = j->store;
		job_free(job);
	}
	return err;
}

struct mount_list {
	char *points[MOUNTS_MAX]; /* owned; one of each device */
	char *devices[MOUNTS_MAX]; /* owned */
	size_t n;
};

static int add_mount(void *arg, const struct mount_line *m)
{
	struct mount_list *l = arg;

	if (!m->ours || l->n == MOUNTS_MAX)
		return 0;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->devices[i], m->device) == 0)
			return 0;
	l->points[l->n] = strdup(m->point);
	l->devices[l->n] = strdup(m->device);
	if (!l->points[l->n] || !l->devices[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

static void mount_list_free(struct mount_list *l)
{
	for (size_t i = 0; l && i < MOUNTS_MAX; i++) {
		free(l->points[i]);
		free(l->devices[i]);
	}
	free(l);
}

/* Remembers where each store is mounted that answers.  stores, n (may be NULL): which ones. */
static int scan(struct backend *b, const struct patience *p, struct guid *stores, size_t *n)
{
	struct mount_list *l = calloc(1, sizeof(*l));
	int err = l ? mountinfo_each(add_mount, l) : -ENOMEM;

	for (size_t i = 0; !err && i < l->n; i++) {
		struct guid store;

		if (probe_mount(b, l->points[i], p, &store) == 0) {
			remember(b, &store, l->points[i]);
			if (stores)
				stores[(*n)++] = store;
		}
		if (i + 1 < l->n) /* not for what the last one took */
			err = patience_check(p);
	}
	mount_list_free(l);
	return err;
}

int backend_stores(struct backend *b, const struct patience *p, struct guid **out, size_t *n)
{
	CLEANUP_FREE struct guid *stores = calloc(MOUNTS_MAX, sizeof(*stores));
	size_t count = 0;
	int err = stores ? scan(b, p, stores, &count) : -ENOMEM;

	if (err)
		return err;
	*out = steal_ptr(&stores);
	*n = count;
	return 0;
}

int backend_open(struct backend **out)
{
	struct backend *b = calloc(1, sizeof(*b));
	int err = b ? workers_new(&b->workers) : -ENOMEM;

	if (err) {
		free(b);
		return err;
	}
	pthread_mutex_init(&b->lock, NULL);
	*out = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	workers_free(b->workers);
	for (size_t i = 0; i < b->nmounts; i++)
		free(b->mounts[i].path);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void backend_set_answering(struct backend *b, void (*answering)(void *arg), void *arg)
{
	workers_set_returned(b->workers, answering, arg);
}

/* ---- calls to a store ---------------------------------------------------------------------------------------------- */

struct call_job {
	struct worker_job job;
	struct guid store;
	char *path; /* owned */
	unsigned long number;
	uint8_t arg[] __attribute__((aligned(8)));
};

static void call_free(struct worker_job *job)
{
	struct call_job *j = (struct call_job *)job;

	free(j->path);
	free(j);
}

static int call_store(struct worker_job *job)
{
	struct call_job *j = (struct call_job *)job;
	CLEANUP_FD int fd = place_open(j->path);
	struct guid found;
	int err = fd < 0 ? fd : place_store(fd, &found);

	if (fd == -ENOENT || fd == -ENOTDIR || err == -ENOTTY) /* unmounted: the directory below, or none */
		return -ENODEV;
	if (!err && !guid_equal(&found, &j->store))
		err = -ENODEV;
	return err ? err : place_call(fd, j->number, j->arg);
}

/* -ENODEV: it is not where it was. */
static int call_known(struct backend *b, const struct guid *store, unsigned long number, void *arg, const struct patience *p)
{
	size_t size = _IOC_SIZE(number);
	char *path = recall(b, store), key[WORKERS_KEY_SIZE];
	struct call_job *j = path ? malloc(sizeof(*j) + size) : NULL;
	struct worker_job *job = j ? &j->job : NULL;
	int err;

	if (!j) {
		err = path ? -ENOMEM : -ENODEV;
		free(path);
		return err;
	}
	*j = (struct call_job){ .job = { call_store, call_free }, .store = *store, .path = path, .number = number };
	memcpy(j->arg, arg, size);
	memcpy(key, "store ", 6);
	guid_format(store, key + 6);
	err = workers_run(b->workers, key, &job, p);
	if (job) {
		memcpy(arg, j->arg, size);
		call_free(job);
	}
	return err;
}

static int store_call(struct backend *b, const struct guid *store, unsigned long number, void *arg, const struct patience *p)
{
	int err = call_known(b, store, number, arg, p);

	if (err == -ENODEV) {
		err = scan(b, p, NULL, NULL);
		if (!err)
			err = call_known(b, store, number, arg, p);
	}
	return err;
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

struct locate_job {
	struct worker_job job;
	struct backend_place place; /* owned */
	char path[];
};

static void locate_free(struct worker_job *job)
{
	struct locate_job *j = (struct locate_job *)job;

	backend_place_release(&j->place);
	free(j);
}

static int locate(struct worker_job *job)
{
	struct locate_job *j = (struct locate_job *)job;

	return place_find(j->path, &j->place);
}

/* The last mount whose point the path begins with is what holds whoever walks the path, unless a symbolic link leads
 * elsewhere; then the key is not that of the mount that hangs, which is why only our mounts share one key. */
struct path_key {
	const char *path;
	size_t best;
	char *key;
};

static int choose_key(void *arg, const struct mount_line *m)
{
	struct path_key *k = arg;
	size_t len = strcmp(m->point, "/") == 0 ? 0 : strlen(m->point);

	if (len < k->best || strncmp(k->path, m->point, len) != 0 || (k->path[len] != '/' && k->path[len] != '\0'))
		return 0;
	k->best = len;
	if (m->ours)
		mount_key(m->point, k->key);
	else
		snprintf(k->key, WORKERS_KEY_SIZE, "path %s", k->path);
	return 0;
}

int backend_locate(struct backend *b, const char *path, const struct patience *p, struct backend_place *out)
{
	size_t size = strlen(path) + 1;
	struct locate_job *j = calloc(1, sizeof(*j) + size);
	struct worker_job *job = j ? &j->job : NULL;
	char key[WORKERS_KEY_SIZE] = "path";
	struct path_key k = { .path = path, .key = key };
	int err;

	memset(out, 0, sizeof(*out));
	if (!j)
		return -ENOMEM;
	j->job = (struct worker_job){ locate, locate_free };
	memcpy(j->path, path, size);
	err = mountinfo_each(choose_key, &k);
	if (!err)
		err = workers_run(b->workers, key, &job, p);
	if (!err) {
		*out = j->place;
		memset(&j->place, 0, sizeof(j->place));
		remember(b, &out->store, out->root);
	}
	if (job)
		locate_free(job);
	return err;
}

void backend_place_release(struct backend_place *p)
{
	free(p->root);
	free(p->rel);
	free(p->nested);
	memset(p, 0, sizeof(*p));
}

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

/* How long the file system may wait before it answers, and how long we wait for that answer. */
static uint32_t wait_ms(const struct patience *p)
{
	return (uint32_t)MAX(patience_slice_ms(p), 1);
}

static struct patience a_second_more(const struct patience *p)
{
	struct patience more = *p;

	more.end_ms += BACKEND_LATE_MS;
	return more;
}

int backend_prepare(struct backend *b, const struct guid *store, const struct patience *p, const struct backend_request *r)
{
	struct patience more = a_second_more(p);
	struct kagefs_ioc_set_prepare c = {
		.flags = r->writable ? KAGEFS_SET_WRITABLE : 0,
		.owner = BACKEND_OWNER,
		.writer_uid = r->writer_uid,
		.wait_ms = wait_ms(p),
		.nvolumes = r->nvolumes,
		.record_len = (__u32)r->record_len,
	};
	int err;

	guid_to(&c.uuid, &r->id);
	memcpy(c.volumes, r->volumes, r->nvolumes * sizeof(c.volumes[0]));
	memcpy(c.record, r->record, r->record_len);
	err = store_call(b, store, KAGEFS_IOC_SET_PREPARE, &c, &more);
	return !err && c.state == KAGEFS_SET_PREPARING ? -EINPROGRESS : err;
}

static void take_members(struct backend_set *out, const struct kagefs_set_member *members, uint32_t n)
{
	out->nmembers = MIN(n, BACKEND_VOLUMES_MAX);
	for (unsigned i = 0; i < out->nmembers; i++)
		out->members[i] = (struct backend_member){ members[i].volume, members[i].snapshot };
}

int backend_commit(struct backend *b, const struct guid *store, const struct patience *p, const struct backend_request *r,
		   unsigned deadline_ms, struct backend_set *out, char name[BACKEND_NAME_SIZE])
{
	struct patience more = a_second_more(p);
	struct kagefs_ioc_set_commit c = {
		.flags = r->nvolumes && r->writable ? KAGEFS_SET_WRITABLE : 0,
		.owner = BACKEND_OWNER,
		.writer_uid = r->writer_uid,
		.wait_ms = wait_ms(p),
		.deadline_ms = deadline_ms,
		.nvolumes = r->nvolumes,
		.record_len = (__u32)r->record_len,
	};
	int err;

	guid_to(&c.uuid, &r->id);
	memcpy(c.volumes, r->volumes, r->nvolumes * sizeof(c.volumes[0]));
	if (r->record_len)
		memcpy(c.record, r->record, r->record_len);
	err = store_call(b, store, KAGEFS_IOC_SET_COMMIT, &c, &more);
	if (err)
		return err;
	snprintf(name, BACKEND_NAME_SIZE, "%.*s", KAGEFS_NAME_MAX, c.name);
	return backend_get(b, store, p, &r->id, out);
}

int backend_seal(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		 const uint8_t *record, size_t record_len)
{
	struct patience more = a_second_more(p);
	struct kagefs_ioc_set_seal s = { .wait_ms = wait_ms(p), .record_len = (__u32)record_len };

	guid_to(&s.uuid, id);
	memcpy(s.record, record, record_len);
	return store_call(b, store, KAGEFS_IOC_SET_SEAL, &s, &more);
}

int backend_update(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		   const uint8_t *record, size_t record_len)
{
	struct kagefs_ioc_set_update u = { .record_len = (__u32)record_len };

	guid_to(&u.uuid, id);
	memcpy(u.record, record, record_len);
	return store_call(b, store, KAGEFS_IOC_SET_UPDATE, &u, p);
}

int backend_delete(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id)
{
	struct kagefs_ioc_set_delete d = { 0 };

	guid_to(&d.uuid, id);
	return store_call(b, store, KAGEFS_IOC_SET_DELETE, &d, p);
}

static enum backend_state state_of(uint32_t word)
{
	return word == KAGEFS_SET_COMMITTED ? BACKEND_COMMITTED : word == KAGEFS_SET_SEALED ? BACKEND_SEALED : BACKEND_VOLATILE;
}

int backend_get(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		struct backend_set *out)
{
	struct kagefs_ioc_set_get g = { 0 };
	int err;

	guid_to(&g.uuid, id);
	err = store_call(b, store, KAGEFS_IOC_SET_GET, &g, p);
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

int backend_snapshot_name(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot,
			  char name[BACKEND_NAME_SIZE])
{
	struct kagefs_ioc_volume_get v = { .volume = snapshot };
	int err = store_call(b, store, KAGEFS_IOC_VOLUME_GET, &v, p);

	if (!err)
		snprintf(name, BACKEND_NAME_SIZE, "%.*s", KAGEFS_NAME_MAX, v.info.name);
	return err;
}

int backend_delete_snapshot(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot)
{
	struct kagefs_ioc_volume_delete d = { .flags = KAGEFS_DELETE_FORCE, .volume = snapshot };

	return store_call(b, store, KAGEFS_IOC_VOLUME_DELETE, &d, p);
}

static int append_ours(const struct kagefs_ioc_set_list *l, struct guid **ids, size_t *n)
{
	struct guid *more = realloc(*ids, (*n + l->count) * sizeof(**ids));

	if (!more)
		return -ENOMEM;
	*ids = more;
	for (uint32_t i = 0; i < l->count; i++)
		if (strncmp(l->sets[i].owner, BACKEND_OWNER, sizeof(l->sets[i].owner)) == 0)
			memcpy(more[(*n)++].b, l->sets[i].uuid.b, sizeof(more->b));
	return 0;
}

int backend_list(struct backend *b, const struct guid *store, const struct patience *p, struct guid **out, size_t *n)
{
	CLEANUP_FREE struct guid *ids = NULL;
	struct kagefs_ioc_set_list l;
	struct kagefs_uuid after = { { 0 } };
	size_t count = 0;
	int err = 0;

	while (!err) {
		memset(&l, 0, sizeof(l));
		l.after = after;
		err = store_call(b, store, KAGEFS_IOC_SET_LIST, &l, p);
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
