/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/roots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/msg.h"

#define BUCKETS 4096
#define LARGE_MAX 16

struct root_seen {
	struct root_seen *next;
	struct pool_job job; /* see roots_drop */
	struct mnt *m;
	uint64_t vol;
	fuse_ino_t parent;
	fuse_ino_t large[LARGE_MAX]; /* the large files opened last, cached */
	unsigned nlarge;	     /* ever added */
	char name[FS_NAME_MAX + 1];
};

int roots_init(struct mnt *m)
{
	m->roots = calloc(BUCKETS, sizeof(*m->roots));
	pthread_mutex_init(&m->roots_lock, NULL);
	return m->roots ? 0 : -ENOMEM;
}

void roots_release(struct mnt *m)
{
	for (size_t i = 0; m->roots && i < BUCKETS; i++)
		for (struct root_seen *r = m->roots[i], *next; r; r = next) {
			next = r->next;
			free(r);
		}
	free(m->roots);
	pthread_mutex_destroy(&m->roots_lock);
}

static struct root_seen *find_locked(struct mnt *m, uint64_t vol)
{
	struct root_seen *r = m->roots[vol % BUCKETS];

	while (r && r->vol != vol)
		r = r->next;
	return r;
}

void roots_large(struct mnt *m, uint64_t vol, fuse_ino_t ino)
{
	struct root_seen *r;

	pthread_mutex_lock(&m->roots_lock);
	r = find_locked(m, vol);
	if (r && (!r->nlarge || r->large[(r->nlarge - 1) % LARGE_MAX] != ino))
		r->large[r->nlarge++ % LARGE_MAX] = ino;
	pthread_mutex_unlock(&m->roots_lock);
}

void roots_saw(struct mnt *m, uint64_t vol, fuse_ino_t parent, const char *name)
{
	struct root_seen **head = &m->roots[vol % BUCKETS], *r;

	pthread_mutex_lock(&m->roots_lock);
	r = find_locked(m, vol);
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (r) {
			r->m = m;
			r->vol = vol;
			r->next = *head;
			*head = r;
		}
	}
	if (r) {
		r->parent = parent;
		snprintf(r->name, sizeof(r->name), "%s", name);
	}
	pthread_mutex_unlock(&m->roots_lock);
}

void names_changed(struct mnt *m, fuse_ino_t dir, const char *name)
{
	/* The first waits for a listing under way, so the second drops its pages.  -ENOENT: the kernel has forgotten it already. */
	(void)fuse_lowlevel_notify_inval_entry(m->se, dir, name, strlen(name));
	(void)fuse_lowlevel_notify_inval_inode(m->se, dir, 0, 0);
}

/* From now on the kernel asks before it follows the name; its listing is gone, too.  False: it cannot do that (before 6.2). */
static bool name_expires(struct mnt *m, fuse_ino_t dir, const char *name)
{
	int r = wire_expire_name(&m->wire, m->se, dir, name);

	if (r && r != -ENOENT)
		return false;
	(void)fuse_lowlevel_notify_inval_inode(m->se, dir, 0, 0);
	return true;
}

static void drop_root(struct pool_job *job)
{
	struct root_seen *r = CONTAINER_OF(job, struct root_seen, job);

	/* While the name goes, nobody else gets at its directory, so the pages go before. */
	for (unsigned i = 0; i < MIN(r->nlarge, LARGE_MAX); i++)
		(void)fuse_lowlevel_notify_inval_inode(r->m->se, r->large[i], 0, 0); /* -ENOENT: forgotten meanwhile */
	names_changed(r->m, r->parent, r->name);
	free(r);
}

/* Dropping the name drops all that the kernel has of what is below, which takes 100 ms for the pages of 512 MiB.  Nobody has to
 * wait for that. */
void roots_drop(struct mnt *m, uint64_t vol)
{
	struct root_seen **p = &m->roots[vol % BUCKETS], *r = NULL;

	pthread_mutex_lock(&m->roots_lock);
	for (; *p; p = &(*p)->next)
		if ((*p)->vol == vol) {
			r = *p;
			*p = r->next;
			break;
		}
	pthread_mutex_unlock(&m->roots_lock);
	if (!r)
		return;
	r->job.run = drop_root;
	if (!name_expires(m, r->parent, r->name) || pool_add(&m->pool, &r->job))
		drop_root(&r->job);
}

static int drop_name(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct mnt *m = arg;

	(void)fuse_lowlevel_notify_inval_entry(m->se, MNT_INO_ROOT, name, len);
	return 0;
}

void roots_drop_all(struct mnt *m)
{
	if (wire_drop_names(&m->wire, m->se)) {
		/* Older kernel: the names of the new root are those of the old one, nearly always.  A name only the old one
		 * has stays until it expires; below it everything answers as the volume that was replaced. */
		int err = fs_readdir(m->fs, fs_root(m->fs), "", 0, UINT32_MAX, false, drop_name, m);

		if (err)
			msg(LOG_WARNING, "names of the replaced root volume may still be seen: error %d", -err);
		(void)fuse_lowlevel_notify_inval_entry(m->se, MNT_INO_ROOT, FS_SNAPSHOTS_NAME, strlen(FS_SNAPSHOTS_NAME));
	}
	(void)fuse_lowlevel_notify_inval_inode(m->se, MNT_INO_ROOT, 0, 0);
}
