/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/roots.h"

#include <stdio.h>
#include <stdlib.h>

#include "fs/base/msg.h"

#define BUCKETS 4096

struct root_seen {
	struct root_seen *next;
	uint64_t vol;
	fuse_ino_t parent;
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

void roots_saw(struct mnt *m, uint64_t vol, fuse_ino_t parent, const char *name)
{
	struct root_seen **head = &m->roots[vol % BUCKETS], *r;

	pthread_mutex_lock(&m->roots_lock);
	for (r = *head; r && r->vol != vol; r = r->next)
		;
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (r) {
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
	if (r) {
		names_changed(m, r->parent, r->name);
		free(r);
	}
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
