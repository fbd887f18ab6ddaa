/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sets in memory: found by id and by uuid, kept as they are encoded in the log.  What the states mean and who moves them is
 * set_commit.c's.
 */
#include "fs/volume/sets.h"

void set_free(struct set *s)
{
	if (s) {
		free(s->enc);
		free(s->call);
	}
	free(s);
}

static int make_encoded(const struct meta_set *m, const uint8_t *enc, size_t len, struct set **out)
{
	struct set *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->enc = malloc(len);
	if (!s->enc) {
		free(s);
		return -ENOMEM;
	}
	memcpy(s->enc, enc, len);
	s->enc_len = (uint32_t)len;
	s->id = m->id;
	s->record_version = m->record_version;
	memcpy(s->uuid, m->uuid, 16);
	s->state = m->state;
	s->flags = m->flags;
	s->writer_uid = m->writer_uid;
	*out = s;
	return 0;
}

int set_make_item(const struct item *it, struct set **out)
{
	struct meta_set *m CLEANUP_FREE = malloc(sizeof(*m));
	int r = m ? item_set(it, m) : -ENOMEM;

	*out = NULL;
	return r ? r : make_encoded(m, it->value, it->value_len, out);
}

int set_make(const struct meta_set *m, struct set **out)
{
	struct items it;
	struct item one;
	size_t pos = 0;
	int r;

	*out = NULL;
	items_init(&it);
	items_set_put(&it, m);
	r = it.err ? it.err : item_next(it.buf, it.len, &pos, &one);
	if (r > 0)
		r = make_encoded(m, one.value, one.value_len, out);
	items_release(&it);
	return r;
}

/* All of a set.  The lock of the sets is held; -ENOMEM cannot be, *m is the caller's. */
void set_load(const struct set *s, struct meta_set *m)
{
	struct item it = { .kind = ITEM_SET_PUT, .value = s->enc, .value_len = s->enc_len };
	int r = item_set(&it, m);

	KAGEFS_ASSERT(!r); /* it was decoded when it was made */
}

static int set_cmp_id(struct set *a, struct set *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}
static int set_cmp_uuid(struct set *a, struct set *b)
{
	return memcmp(a->uuid, b->uuid, 16);
}
TREE_GENERATE(set_ids, set, by_id, set_cmp_id)
TREE_GENERATE(set_uuids, set, by_uuid, set_cmp_uuid)

struct set *set_by_uuid_locked(struct fs *fs, const struct kagefs_uuid *u)
{
	struct set *s = RB_ROOT(&fs->sets.uuids);

	while (s) {
		int c = memcmp(u->b, s->uuid, 16);

		if (!c)
			break;
		s = c < 0 ? RB_LEFT(s, by_uuid) : RB_RIGHT(s, by_uuid);
	}
	return s;
}

struct set *set_by_id_locked(struct fs *fs, uint64_t id)
{
	struct set *s = RB_ROOT(&fs->sets.ids);

	while (s && s->id != id)
		s = id < s->id ? RB_LEFT(s, by_id) : RB_RIGHT(s, by_id);
	return s;
}

struct set *set_next_locked(struct fs *fs, struct set *s)
{
	return s ? RB_NEXT(set_ids, &fs->sets.ids, s) : RB_MIN(set_ids, &fs->sets.ids);
}

static uint64_t set_bytes(const struct set *s)
{
	return sizeof(*s) + s->enc_len + 2 * 16; /* what malloc adds */
}

void set_append_locked(struct fs *fs, struct set *s)
{
	fs->sets.bytes += set_bytes(s);
	RB_INSERT(set_ids, &fs->sets.ids, s);
	RB_INSERT(set_uuids, &fs->sets.uuids, s);
}

void set_unlink_locked(struct fs *fs, struct set *s)
{
	fs->sets.bytes -= set_bytes(s);
	RB_REMOVE(set_ids, &fs->sets.ids, s);
	RB_REMOVE(set_uuids, &fs->sets.uuids, s);
}

void set_remove_locked(struct fs *fs, struct set *s)
{
	push_forget(fs->pushes, PUSH_PREPARE, s->id);
	push_forget(fs->pushes, PUSH_COMMIT, s->id);
	set_unlink_locked(fs, s);
	set_free(s);
}

/* s takes over what made says, and frees it.  The uuid is a set's for ever. */
void set_replace_locked(struct fs *fs, struct set *s, struct set *made)
{
	uint8_t *old = s->enc;

	fs->sets.bytes += (uint64_t)made->enc_len - s->enc_len;
	s->enc = made->enc;
	s->enc_len = made->enc_len;
	s->record_version = made->record_version;
	s->state = made->state;
	s->flags = made->flags;
	s->writer_uid = made->writer_uid;
	made->enc = old;
	set_free(made);
}

void set_put_item(struct fs *fs, struct set *made)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	fs->sets.next_id = MAX(fs->sets.next_id, made->id + 1);
	s = set_by_id_locked(fs, made->id);
	if (s)
		set_replace_locked(fs, s, made);
	else
		set_append_locked(fs, made);
	pthread_mutex_unlock(&fs->sets.lock);
}

void set_del_item(struct fs *fs, uint64_t id)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, id);
	if (s) {
		set_unlink_locked(fs, s);
		set_free(s);
	}
	pthread_mutex_unlock(&fs->sets.lock);
}

void sets_release(struct fs *fs)
{
	struct set *s;

	while ((s = RB_ROOT(&fs->sets.ids))) {
		RB_REMOVE(set_ids, &fs->sets.ids, s);
		set_free(s);
	}
}

bool set_uuid(struct fs *fs, uint64_t set_id, uint8_t uuid[16])
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, set_id);
	if (s)
		memcpy(uuid, s->uuid, 16);
	pthread_mutex_unlock(&fs->sets.lock);
	return s != NULL;
}

bool set_writer(struct fs *fs, uint64_t set_id, uint32_t *uid, bool *any)
{
	struct set *s;

	pthread_mutex_lock(&fs->sets.lock);
	s = set_by_id_locked(fs, set_id);
	if (s) {
		*uid = s->writer_uid;
		*any = s->flags & KAGEFS_SET_ANY_WRITER;
	}
	pthread_mutex_unlock(&fs->sets.lock);
	return s != NULL;
}

void set_describe(const struct meta_set *m, struct kagefs_set_info *out)
{
	memset(out, 0, sizeof(*out));
	out->flags = m->flags;
	out->state = m->state;
	memcpy(out->uuid.b, m->uuid, 16);
	strcpy(out->owner, m->owner);
	out->created_ns = m->created_ns;
	out->committed_ns = m->committed_ns;
	out->commit_gate_ns = m->gate_ns;
	out->commit_ns = m->commit_ns;
	out->writer_uid = m->writer_uid;
	out->nvolumes = m->nmembers;
	out->record_version = m->record_version;
	out->record_len = m->record_len;
}

void set_members(const struct meta_set *m, struct kagefs_set_member *out)
{
	memset(out, 0, KAGEFS_SET_VOLUMES_MAX * sizeof(*out));
	for (uint32_t i = 0; i < m->nmembers; i++) {
		out[i].volume = m->members[i].volume;
		out[i].snapshot = m->members[i].snapshot;
		memcpy(out[i].snapshot_uuid.b, m->members[i].snapshot_uuid, 16);
	}
}
