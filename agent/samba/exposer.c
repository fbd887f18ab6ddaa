/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order of steps keeps two promises.  A share is never reachable with wider rights than its base: its security
 * descriptor is stored first, through a staging configuration that already knows the share, and only then does Samba
 * learn of it.  A share that is withdrawn cannot be reached any more before its users are disconnected.
 */
#include "agent/samba/exposer.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/base/msg.h"

#define FILE_HEAD "# Shadow copies exposed by kagefs-fsrvpd.  It rewrites this file; edit nothing here.\n\n"
/* What follows the include line in smb.conf must not become part of our last share. */
#define FILE_TAIL "\n[global]\n"

/* Parameters of the base share that its copy gets other values for, or that make no sense below a snapshot. */
static const char *const left_out[] = {
	"path",	       "comment",     "read only",     "browseable",   "available",	"write list", "copy",	 "include",
	"preexec",     "postexec",    "root preexec",  "root postexec", "preexec close", "root preexec close",
	"magic script", "magic output", "msdfs root",	"msdfs proxy", "vfs objects",	"printable",
};
static const char *const left_out_prefixes[] = { "shadow:", "shell_snap:", "snapper:", "recycle:", "btrfs:", "kagefs:" };
/* VFS modules that make, show or fill snapshots and bins. */
static const char *const left_out_modules[] = { "shadow_copy", "shadow_copy2", "shell_snap", "btrfs", "snapper", "recycle" };

int exposer_open(struct exposer *e, const struct samba *samba, enum exposer_mode mode, const char *include_file)
{
	CLEANUP_FREE char *copy = strdup(include_file);

	if (!copy)
		return -ENOMEM;
	*e = (struct exposer){ .samba = *samba, .mode = mode, .include_file = include_file };
	if (mode == EXPOSER_INCLUDE && access(dirname(copy), W_OK) < 0) {
		int err = -errno;

		msg(LOG_ERR, "cannot write exposed shares: file=%s error=%s", include_file, strerror(-err));
		return err;
	}
	pthread_mutex_init(&e->lock, NULL);
	return 0;
}

void exposer_close(struct exposer *e)
{
	pthread_mutex_destroy(&e->lock);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text)
{
	for (size_t len = strlen(text); len;) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A configuration for one of Samba's programs alone, in memory: no other agent can take it for its own, and no crash
 * leaves it behind.  The programs read it below our /proc entry. */
struct scratch {
	int fd;
	char path[64];
};

static int scratch_open(struct scratch *f, const char *head, const char *text)
{
	char self[32] = ""; /* our number as /proc counts, which may be in another process namespace */
	int err;

	f->fd = memfd_create("kagefs-fsrvpd", MFD_CLOEXEC);
	if (f->fd < 0 || readlink("/proc/self", self, sizeof(self) - 1) < 0)
		return -errno;
	snprintf(f->path, sizeof(f->path), "/proc/%s/fd/%d", self, f->fd);
	err = write_all(f->fd, head);
	return err ? err : write_all(f->fd, text);
}

static void scratch_close(struct scratch *f)
{
	cleanup_fd(&f->fd);
	f->fd = -1;
}

/* Replaces path by way of path.tmp. */
static int write_file(const char *path, const char *head, const char *text, const char *tail)
{
	CLEANUP_FREE char *temp = NULL;
	CLEANUP_FD int fd = -1;
	int err;

	if (asprintf(&temp, "%s.tmp", path) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	err = write_all(fd, head);
	if (!err)
		err = write_all(fd, text);
	if (!err)
		err = write_all(fd, tail);
	if (!err && (fsync(fd) < 0 || rename(temp, path) < 0))
		err = -errno;
	if (err)
		(void)unlink(temp); /* nothing better to do than to try */
	return err;
}

static int read_include(struct exposer *e, struct conf *out)
{
	int err = conf_load(e->include_file, out);

	if (err == -ENOENT)
		return 0;
	if (!err && conf_find(out, "global"))
		conf_remove(out, conf_find(out, "global")); /* FILE_TAIL */
	return err;
}

static int write_include(struct exposer *e, const struct conf *c)
{
	CLEANUP_FREE char *text = NULL;
	int err = conf_format(c, &text);

	return err ? err : write_file(e->include_file, FILE_HEAD, text, FILE_TAIL);
}

/* A configuration that has Samba's own and these sections: for sharesec, which wants to know the share. */
static int write_staging(struct exposer *e, const struct conf *sections, struct scratch *staging)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *head = NULL;
	int err = conf_format(sections, &text);

	if (!err && asprintf(&head, "[global]\n\tinclude = %s\n\n", e->samba.smb_conf) < 0) {
		head = NULL;
		err = -ENOMEM;
	}
	return err ? err : scratch_open(staging, head, text);
}

/* ---- sections ------------------------------------------------------------------------------------------------------ */

static bool is_left_out(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (strcasecmp(key, left_out[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(left_out_prefixes); i++)
		if (strncasecmp(key, left_out_prefixes[i], strlen(left_out_prefixes[i])) == 0)
			return true;
	return false;
}

static bool is_module_left_out(const char *module)
{
	size_t len = strcspn(module, ":"); /* "name:instance" */

	for (size_t i = 0; i < ARRAY_SIZE(left_out_modules); i++)
		if (strlen(left_out_modules[i]) == len && strncasecmp(module, left_out_modules[i], len) == 0)
			return true;
	return false;
}

/* The list without the modules that do not apply; possibly empty, which overrides a list in [global]. */
static int set_modules(struct conf_section *s, const char *list)
{
	CLEANUP_FREE char *copy = strdup(list);
	CLEANUP_FREE char *kept = calloc(1, strlen(list) + 2);
	char *rest = copy, *module;

	if (!copy || !kept)
		return -ENOMEM;
	while ((module = strsep(&rest, " ,;\t"))) {
		if (*module && !is_module_left_out(module)) {
			if (*kept)
				strcat(kept, " ");
			strcat(kept, module);
		}
	}
	return conf_set(s, "vfs objects", kept);
}

static int make_section(struct conf *all, const struct conf *samba, const struct exposure *x)
{
	const struct conf_section *base = conf_find(samba, x->base), *global = conf_find(samba, "global");
	struct conf_section *s = conf_find(all, x->name);
	CLEANUP_FREE char *comment = NULL;
	char set[GUID_TEXT_SIZE];
	const char *modules;
	int err;

	if (!base)
		return -ENOENT;
	if (asprintf(&comment, "shadow copy of %s", x->base) < 0) {
		comment = NULL;
		return -ENOMEM;
	}
	guid_format(&x->set, set);
	if (s)
		conf_remove(all, s);
	err = conf_add(all, x->name, &s);
	if (!err)
		err = conf_set(s, "path", x->path);
	if (!err)
		err = conf_set(s, "comment", comment);
	if (!err)
		err = conf_set(s, "browseable", "no");
	if (!err)
		err = conf_set(s, "read only", x->writable ? "no" : "yes");
	if (!err)
		err = conf_set(s, EXPOSER_SET_KEY, set);
	modules = conf_get(base, "vfs objects");
	if (!modules)
		modules = conf_get(global, "vfs objects");
	if (!err && modules)
		err = set_modules(s, modules);
	for (size_t i = 0; i < base->nparams && !err; i++)
		if (!is_left_out(base->params[i].key))
			err = conf_set(s, base->params[i].key, base->params[i].value);
	return err;
}

/* Of a configuration only what is ours. */
static void keep_ours(struct conf *c)
{
	for (size_t i = c->nsections; i-- > 0;)
		if (!conf_get(&c->sections[i], EXPOSER_SET_KEY))
			conf_remove(c, &c->sections[i]);
}

static int list_locked(struct exposer *e, const struct patience *p, struct conf *out)
{
	int err = e->mode == EXPOSER_INCLUDE ? read_include(e, out) : samba_registry_list(&e->samba, p, out);

	if (!err)
		keep_ours(out);
	return err;
}

/* After a failure: an import that was given up may have come through. */
static void take_back(struct exposer *e, const struct conf *add)
{
	struct patience p = patience_ms(EXPOSER_UNDO_MS);
	struct conf there = { 0, NULL };
	int err = samba_registry_list(&e->samba, &p, &there);

	for (size_t i = 0; i < add->nsections; i++)
		if (err || (conf_find(&there, add->sections[i].name) && samba_registry_delete(&e->samba, &p, add->sections[i].name)))
			msg(LOG_NOTICE, "share may stay until the next comparison: share=%s", add->sections[i].name);
	conf_release(&there);
}

static int publish_registry(struct exposer *e, const struct patience *p, const struct conf *add)
{
	CLEANUP_FREE char *text = NULL;
	struct scratch file = { .fd = -1 };
	struct conf there = { 0, NULL };
	int err = samba_registry_list(&e->samba, p, &there);

	if (!err)
		err = conf_format_registry(add, &there, &text);
	conf_release(&there);
	if (!err)
		err = scratch_open(&file, "", text);
	if (err)
		return err;
	err = samba_registry_import(&e->samba, p, file.path);
	if (err)
		take_back(e, add);
	scratch_close(&file);
	return err;
}

static int publish_include(struct exposer *e, const struct conf *add)
{
	struct conf all = { 0, NULL };
	int err = read_include(e, &all);

	for (size_t i = 0; i < add->nsections && !err; i++) {
		const struct conf_section *from = &add->sections[i];
		struct conf_section *to = conf_find(&all, from->name);

		if (to)
			conf_remove(&all, to);
		err = conf_add(&all, from->name, &to);
		for (size_t j = 0; j < from->nparams && !err; j++)
			err = conf_set(to, from->params[j].key, from->params[j].value);
	}
	if (!err)
		err = write_include(e, &all);
	conf_release(&all);
	return err;
}

/* Add the sections, or replace those that are there. */
static int publish(struct exposer *e, const struct patience *p, const struct conf *add)
{
	return e->mode == EXPOSER_INCLUDE ? publish_include(e, add) : publish_registry(e, p, add);
}

static int unpublish_registry(struct exposer *e, const struct patience *p, const struct conf *picked)
{
	int err = 0;

	for (size_t i = 0; i < picked->nsections && !err; i++)
		err = samba_registry_delete(&e->samba, p, picked->sections[i].name);
	return err;
}

static int unpublish_include(struct exposer *e, const struct conf *picked)
{
	struct conf all = { 0, NULL };
	int err = read_include(e, &all);

	for (size_t i = 0; i < picked->nsections && !err; i++) {
		struct conf_section *s = conf_find(&all, picked->sections[i].name);

		if (s)
			conf_remove(&all, s);
	}
	if (!err)
		err = write_include(e, &all);
	conf_release(&all);
	return err;
}

static int unpublish(struct exposer *e, const struct patience *p, const struct conf *picked)
{
	return e->mode == EXPOSER_INCLUDE ? unpublish_include(e, picked) : unpublish_registry(e, p, picked);
}

/* ---- operations ---------------------------------------------------------------------------------------------------- */

/* 0 with the lock held; -ETIMEDOUT, -ECANCELED. */
static int lock(struct exposer *e, const struct patience *p)
{
	int err = 0;

	do {
		int64_t until_ms = patience_now_ms() + patience_slice_ms(p);
		struct timespec ts = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

		if (pthread_mutex_clocklock(&e->lock, CLOCK_MONOTONIC, &ts) == 0)
			return 0;
		err = patience_check(p);
	} while (!err);
	return err;
}

static int clone_descriptors(struct exposer *e, const struct patience *p, const char *staging, const struct exposure *x, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		CLEANUP_FREE char *sddl = NULL;

		err = samba_sd_get(&e->samba, p, NULL, x[i].base, &sddl);
		if (!err)
			err = samba_sd_set(&e->samba, p, staging, x[i].name, sddl);
	}
	return err;
}

/* Descriptors that nobody needs any more. */
static void delete_descriptors(struct exposer *e, const char *staging, const struct conf *sections)
{
	struct patience p = patience_ms(EXPOSER_UNDO_MS);

	for (size_t i = 0; i < sections->nsections; i++)
		samba_sd_delete(&e->samba, &p, staging, sections->sections[i].name);
}

int exposer_expose(struct exposer *e, const struct patience *p, const struct exposure *x, size_t n)
{
	struct conf samba = { 0, NULL }, add = { 0, NULL };
	struct scratch staging = { .fd = -1 };
	int err = lock(e, p);

	if (err)
		return err;
	err = samba_config(&e->samba, p, &samba);
	for (size_t i = 0; i < n && !err; i++)
		err = make_section(&add, &samba, &x[i]);
	if (!err)
		err = write_staging(e, &add, &staging);
	if (!err)
		err = clone_descriptors(e, p, staging.path, x, n);
	if (!err)
		err = publish(e, p, &add);
	if (!err)
		samba_reload(&e->samba, p);
	if (err && staging.fd >= 0)
		delete_descriptors(e, staging.path, &add);
	scratch_close(&staging);
	conf_release(&add);
	conf_release(&samba);
	pthread_mutex_unlock(&e->lock);
	return err;
}

static bool is_named(const struct conf_section *s, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(s->name, names[i]) == 0)
			return true;
	return false;
}

/* Out of our sections, those that are named. */
static int pick(struct exposer *e, const struct patience *p, const char *const *names, size_t n, struct conf *out)
{
	int err = list_locked(e, p, out);

	for (size_t i = err ? 0 : out->nsections; i-- > 0;)
		if (!is_named(&out->sections[i], names, n))
			conf_remove(out, &out->sections[i]);
	return err;
}

int exposer_restrict(struct exposer *e, const struct patience *p, const char *const *names, size_t n)
{
	struct conf picked = { 0, NULL };
	int err = lock(e, p);

	if (err)
		return err;
	err = pick(e, p, names, n, &picked);
	for (size_t i = 0; i < picked.nsections && !err; i++)
		err = conf_set(&picked.sections[i], "read only", "yes");
	if (!err && picked.nsections)
		err = publish(e, p, &picked);
	if (!err)
		samba_reload(&e->samba, p);
	conf_release(&picked);
	pthread_mutex_unlock(&e->lock);
	return err;
}

int exposer_withdraw(struct exposer *e, const struct patience *p, const char *const *names, size_t n)
{
	struct conf picked = { 0, NULL };
	struct scratch staging = { .fd = -1 };
	int err = lock(e, p);

	if (err)
		return err;
	err = pick(e, p, names, n, &picked);
	if (!err && picked.nsections)
		err = unpublish(e, p, &picked);
	if (!err && picked.nsections) {
		samba_reload(&e->samba, p);
		for (size_t i = 0; i < picked.nsections; i++)
			samba_close_share(&e->samba, p, picked.sections[i].name);
		if (write_staging(e, &picked, &staging) == 0)
			delete_descriptors(e, staging.path, &picked);
	}
	scratch_close(&staging);
	conf_release(&picked);
	pthread_mutex_unlock(&e->lock);
	return err;
}

int exposer_list(struct exposer *e, const struct patience *p, struct conf *out)
{
	int err = lock(e, p);

	if (err)
		return err;
	err = list_locked(e, p, out);
	pthread_mutex_unlock(&e->lock);
	return err;
}
