/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See the header.  One lock around everything; ids are inode numbers. */
#include "tests/agent/fake_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/backend.h"
#include "agent/child.h"

struct fake_faults fake_faults;

struct backend {
	char root[4096];
	pthread_mutex_t lock;
};

static const struct guid fake_store = { { 0xfa, 0x4e, 1, 2, 3, 4, 0x45, 6, 0x87, 8, 9, 10, 11, 12, 13, 14 } };

int backend_open(struct backend **out)
{
	const char *root = getenv("KAGEFS_FAKE_ROOT"), *polls = getenv("KAGEFS_FAKE_COMMIT_POLLS");
	struct backend *b = calloc(1, sizeof(*b));
	char path[4200], *real;

	if (!b || !root || !(real = realpath(root, NULL))) {
		free(b);
		return -ENOENT;
	}
	snprintf(b->root, sizeof(b->root), "%s", real);
	free(real);
	snprintf(path, sizeof(path), "%s/.sets", b->root);
	mkdir(path, 0700);
	if (polls)
		fake_faults.commit_polls = (unsigned)atoi(polls);
	pthread_mutex_init(&b->lock, NULL);
	*out = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (b)
		pthread_mutex_destroy(&b->lock);
	free(b);
}

void backend_set_answering(struct backend *b, void (*answering)(void *arg), void *arg)
{
	/* It never hangs. */
}

static uint64_t inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

int backend_locate(struct backend *b, const char *path, const struct patience *p, struct backend_place *out)
{
	CLEANUP_FREE char *real = realpath(path, NULL);
	size_t len = strlen(b->root);
	char *rest, *slash, below[4200];

	memset(out, 0, sizeof(*out));
	if (!real)
		return -errno;
	if (strncmp(real, b->root, len) != 0 || real[len] != '/' || real[len + 1] == '.')
		return -ENOTTY;
	rest = real + len + 1;
	slash = strchr(rest, '/');
	out->rel = strdup(slash ? slash + 1 : "");
	out->snapshot = strncmp(out->rel, ".snapshots/", 11) == 0;
	if (slash)
		*slash = '\0';
	out->root = strdup(real);
	out->store = fake_store;
	out->volume = inode(real);
	if (fake_faults.nested && strcmp(rest, "v1") == 0) {
		snprintf(below, sizeof(below), "%s/v2", b->root);
		out->nested = malloc(sizeof(*out->nested));
		if (out->nested)
			out->nested[out->nnested++] = inode(below);
	}
	return out->rel && out->root ? 0 : -ENOMEM;
}

void backend_place_release(struct backend_place *p)
{
	free(p->root);
	free(p->rel);
	free(p->nested);
	memset(p, 0, sizeof(*p));
}

/* Path of the volume with that id.  depth 1: volumes; 2: snapshots, with their name. */
static int find_volume(struct backend *b, uint64_t id, char path[4096])
{
	DIR *d = opendir(b->root);
	struct dirent *e;
	int err = -ENOENT;

	while (d && err && (e = readdir(d))) {
		snprintf(path, 4096, "%.2000s/%.200s", b->root, e->d_name);
		if (e->d_name[0] != '.' && inode(path) == id)
			err = 0;
	}
	if (d)
		closedir(d);
	return err;
}

static int find_snapshot(struct backend *b, uint64_t id, char path[4096], char name[BACKEND_NAME_SIZE])
{
	DIR *d = opendir(b->root);
	struct dirent *e, *f;
	int err = -ENOENT;

	while (d && err && (e = readdir(d))) {
		char dir[4096];
		DIR *snaps;

		snprintf(dir, sizeof(dir), "%.2000s/%.200s/.snapshots", b->root, e->d_name);
		snaps = e->d_name[0] == '.' ? NULL : opendir(dir);
		while (snaps && err && (f = readdir(snaps))) {
			snprintf(path, 4096, "%.3000s/%.200s", dir, f->d_name);
			if (f->d_name[0] != '.' && inode(path) == id) {
				snprintf(name, BACKEND_NAME_SIZE, "%s", f->d_name);
				err = 0;
			}
		}
		if (snaps)
			closedir(snaps);
	}
	if (d)
		closedir(d);
	return err;
}

/* ---- set files ----------------------------------------------------------------------------------------------------- */

static void set_path(struct backend *b, const struct guid *id, char path[4200])
{
	char text[GUID_TEXT_SIZE];

	guid_format(id, text);
	snprintf(path, 4200, "%s/.sets/%s", b->root, text);
}

static int set_write(struct backend *b, const struct backend_set *s)
{
	char path[4200];
	FILE *f;

	set_path(b, &s->id, path);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fwrite(s, sizeof(*s), 1, f);
	return fclose(f) ? -EIO : 0;
}

static int set_read(struct backend *b, const struct guid *id, struct backend_set *s)
{
	char path[4200], keep[4300];
	FILE *f;
	size_t n;

	set_path(b, id, path);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fread(s, sizeof(*s), 1, f);
	fclose(f);
	snprintf(keep, sizeof(keep), "%s.keep", path); /* the test's way to hold a set */
	if (access(keep, F_OK) == 0)
		s->keep = true;
	return n == 1 ? 0 : -EIO;
}

static int faulty(int *err)
{
	int e = *err;

	*err = 0;
	return e;
}

int backend_prepare(struct backend *b, const struct guid *store, const struct patience *p, const struct backend_request *r)
{
	struct backend_set s = { .id = r->id, .nmembers = r->nvolumes, .record_len = r->record_len };
	int err;

	pthread_mutex_lock(&b->lock);
	fake_faults.prepares++;
	err = faulty(&fake_faults.prepare_err);
	memcpy(s.record, r->record, r->record_len);
	for (unsigned i = 0; i < r->nvolumes; i++)
		s.members[i].volume = r->volumes[i];
	if (!err)
		err = set_write(b, &s);
	if (!err && fake_faults.prepare_polls) {
		fake_faults.prepare_polls--;
		err = -EINPROGRESS;
	}
	pthread_mutex_unlock(&b->lock);
	return err;
}

static int copy_tree(const char *from, const char *to)
{
	const char *argv[1024] = { "cp", "-a", "--" };
	char *owned[1024] = { NULL };
	DIR *d = opendir(from);
	struct dirent *e;
	size_t n = 3;
	int r = 0;

	if (!d || mkdir(to, 0755) < 0) {
		r = -errno;
		if (d)
			closedir(d);
		return r;
	}
	while ((e = readdir(d)) && n < 1000) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, ".snapshots") == 0)
			continue;
		if (asprintf(&owned[n], "%s/%s", from, e->d_name) < 0)
			abort();
		argv[n] = owned[n];
		n++;
	}
	closedir(d);
	argv[n] = to;
	if (n > 3)
		r = child_run(argv, patience_ms(60000), 0, NULL);
	for (size_t i = 0; i < 1024; i++)
		free(owned[i]);
	return r > 0 ? -EIO : r;
}

static int remove_tree(const char *path)
{
	const char *argv[] = { "rm", "-rf", "--", path, NULL };
	int r = child_run(argv, patience_ms(60000), 0, NULL);

	return r > 0 ? -EIO : r;
}

/* The next second that is free in every volume of the set. */
static void choose_name(struct backend *b, const struct backend_set *s, time_t *when, char name[BACKEND_NAME_SIZE])
{
	bool taken = true;

	for (; taken; (*when)++) {
		struct tm tm;

		gmtime_r(when, &tm);
		strftime(name, BACKEND_NAME_SIZE, "@GMT-%Y.%m.%d-%H.%M.%S", &tm);
		taken = false;
		for (unsigned i = 0; i < s->nmembers; i++) {
			char root[4096], path[4400];

			if (find_volume(b, s->members[i].volume, root) == 0) {
				snprintf(path, sizeof(path), "%s/.snapshots/%s", root, name);
				taken = taken || access(path, F_OK) == 0;
			}
		}
	}
}

static int make_snapshots(struct backend *b, struct backend_set *s, char name[BACKEND_NAME_SIZE])
{
	time_t when = time(NULL);
	int err = 0;

	choose_name(b, s, &when, name);
	for (unsigned i = 0; i < s->nmembers && !err; i++) {
		char root[4096], path[4400];

		err = find_volume(b, s->members[i].volume, root);
		if (err)
			break;
		snprintf(path, sizeof(path), "%s/.snapshots", root);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/.snapshots/%s", root, name);
		err = copy_tree(root, path);
		s->members[i].snapshot = inode(path);
	}
	s->committed_ns = (uint64_t)time(NULL) * 1000000000u;
	return err;
}

int backend_commit(struct backend *b, const struct guid *store, const struct patience *p, const struct backend_request *r,
		   unsigned deadline_ms, struct backend_set *out, char name[BACKEND_NAME_SIZE])
{
	struct backend_set *s = calloc(1, sizeof(*s));
	int err;

	pthread_mutex_lock(&b->lock);
	fake_faults.commits++;
	err = faulty(&fake_faults.commit_err);
	if (!err && r->nvolumes) {
		s->id = r->id;
		s->nmembers = r->nvolumes;
		for (unsigned i = 0; i < r->nvolumes; i++)
			s->members[i].volume = r->volumes[i];
		err = set_write(b, s);
	} else if (!err) {
		err = set_read(b, &r->id, s);
	}
	if (!err && r->record_len) {
		memcpy(s->record, r->record, r->record_len);
		s->record_len = r->record_len;
		err = set_write(b, s);
	}
	if (!err && fake_faults.commit_polls) {
		fake_faults.commit_polls--;
		usleep((useconds_t)patience_slice_ms(p) * 1000);
		err = -EINPROGRESS;
	}
	if (!err)
		err = make_snapshots(b, s, name);
	if (!err) {
		s->state = BACKEND_COMMITTED;
		err = set_write(b, s);
		*out = *s;
	}
	pthread_mutex_unlock(&b->lock);
	free(s);
	return err;
}

static int change(struct backend *b, const struct guid *id, const uint8_t *record, size_t len, bool seal)
{
	struct backend_set s;
	int err = set_read(b, id, &s);

	if (err)
		return err;
	if (seal)
		s.state = BACKEND_SEALED;
	s.record_len = len;
	memcpy(s.record, record, len);
	return set_write(b, &s);
}

int backend_seal(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id, const uint8_t *record,
		 size_t record_len)
{
	int err;

	pthread_mutex_lock(&b->lock);
	err = faulty(&fake_faults.seal_err);
	if (!err && fake_faults.seal_polls) {
		fake_faults.seal_polls--;
		err = -EINPROGRESS;
	}
	if (!err)
		err = change(b, id, record, record_len, true);
	pthread_mutex_unlock(&b->lock);
	return err;
}

int backend_update(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id, const uint8_t *record,
		   size_t record_len)
{
	int err;

	pthread_mutex_lock(&b->lock);
	err = faulty(&fake_faults.update_err);
	if (!err)
		err = change(b, id, record, record_len, false);
	pthread_mutex_unlock(&b->lock);
	return err;
}

static int delete_snapshot(struct backend *b, uint64_t snapshot)
{
	char path[4096], name[BACKEND_NAME_SIZE];
	int err = find_snapshot(b, snapshot, path, name);

	return err ? err : remove_tree(path);
}

int backend_delete(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id)
{
	struct backend_set s;
	char path[4200];
	int err;

	pthread_mutex_lock(&b->lock);
	fake_faults.deletes++;
	err = faulty(&fake_faults.delete_err);
	if (!err)
		err = set_read(b, id, &s);
	if (!err && s.keep)
		err = -EBUSY;
	if (!err) {
		for (unsigned i = 0; i < s.nmembers; i++)
			if (s.members[i].snapshot)
				(void)delete_snapshot(b, s.members[i].snapshot); /* may be gone already */
		set_path(b, id, path);
		err = unlink(path) < 0 ? -errno : 0;
	}
	pthread_mutex_unlock(&b->lock);
	return err;
}

int backend_get(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id, struct backend_set *out)
{
	int err;

	pthread_mutex_lock(&b->lock);
	err = set_read(b, id, out);
	pthread_mutex_unlock(&b->lock);
	return err;
}

int backend_snapshot_name(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot, char name[BACKEND_NAME_SIZE])
{
	char path[4096];

	return find_snapshot(b, snapshot, path, name);
}

int backend_delete_snapshot(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot)
{
	return delete_snapshot(b, snapshot);
}

int backend_stores(struct backend *b, const struct patience *p, struct guid **out, size_t *n)
{
	*out = malloc(sizeof(**out));
	if (!*out)
		return -ENOMEM;
	**out = fake_store;
	*n = 1;
	return 0;
}

int backend_list(struct backend *b, const struct guid *store, const struct patience *p, struct guid **out, size_t *n)
{
	struct guid *ids = calloc(4096, sizeof(*ids));
	char path[4200];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/.sets", b->root);
	d = opendir(path);
	*n = 0;
	while (ids && d && (e = readdir(d)) && *n < 4096)
		if (guid_parse(e->d_name, &ids[*n]) == 0)
			++*n;
	if (d)
		closedir(d);
	*out = ids;
	return ids ? 0 : -ENOMEM;
}
