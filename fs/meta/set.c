/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shadow copy sets: two plain tables.  What the states mean is fs/volume's business. */
#include <errno.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

static bool set_valid(const struct meta_set *s)
{
	return s->id && s->nmembers <= META_SET_MEMBERS_MAX && s->record_len <= META_SET_RECORD_MAX &&
	       memchr(s->owner, '\0', sizeof(s->owner));
}

static int put_row(struct meta *m, const struct meta_set *set)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_SET_PUT);

	bind_u64(s, 1, set->id);
	bind_bytes(s, 2, set->uuid, sizeof(set->uuid));
	bind_u64(s, 3, set->state);
	bind_u64(s, 4, set->flags);
	sqlite3_bind_text(s, 5, set->owner, -1, SQLITE_STATIC);
	bind_u64(s, 6, set->created_ns);
	bind_u64(s, 7, set->committed_ns);
	bind_u64(s, 8, set->gate_ns);
	bind_u64(s, 9, set->commit_ns);
	bind_u64(s, 10, set->writer_uid);
	bind_u64(s, 11, set->record_version);
	bind_bytes(s, 12, set->record, set->record_len);
	return db_run(m->db, s);
}

static int drop_members(struct meta *m, uint64_t id)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_MEMBER_DELETE);

	bind_u64(s, 1, id);
	return db_run(m->db, s);
}

static int put_member(struct meta *m, uint64_t id, unsigned pos, const struct meta_set_member *member)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_MEMBER_INSERT);

	bind_u64(s, 1, id);
	bind_u64(s, 2, pos);
	bind_u64(s, 3, member->volume);
	bind_u64(s, 4, member->snapshot);
	bind_bytes(s, 5, member->snapshot_uuid, sizeof(member->snapshot_uuid));
	return db_run(m->db, s);
}

int meta_set_put(struct meta *m, const struct meta_set *s)
{
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!set_valid(s))
		return -EINVAL;
	r = put_row(m, s);
	if (r == 0)
		r = drop_members(m, s->id);
	for (unsigned i = 0; i < s->nmembers && r == 0; i++)
		r = put_member(m, s->id, i, &s->members[i]);
	return tx_leave(m, r);
}

int meta_set_delete(struct meta *m, uint64_t id)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_SET_DELETE);
	int r = tx_enter(m);

	if (r < 0)
		return r;
	r = drop_members(m, id);
	if (r < 0)
		return tx_leave(m, r);
	bind_u64(s, 1, id);
	r = db_run(m->db, s);
	if (r == 0 && sqlite3_changes(m->db->h) != 1)
		r = -ENOENT;
	return tx_leave(m, r);
}

static int decode_set(sqlite3_stmt *s, struct meta_set *set)
{
	int owner = sqlite3_column_bytes(s, 4), record = sqlite3_column_bytes(s, 11);

	memset(set, 0, sizeof(*set));
	set->id = col_u64(s, 0);
	if (sqlite3_column_bytes(s, 1) != sizeof(set->uuid) || owner >= (int)sizeof(set->owner) || record > META_SET_RECORD_MAX) {
		msg(LOG_ERR, "meta: table snapset: id=%llu has a field of wrong length", (unsigned long long)set->id);
		return -EUCLEAN;
	}
	memcpy(set->uuid, sqlite3_column_blob(s, 1), sizeof(set->uuid));
	set->state = (uint32_t)col_u64(s, 2);
	set->flags = (uint32_t)col_u64(s, 3);
	if (owner)
		memcpy(set->owner, sqlite3_column_blob(s, 4), (size_t)owner);
	set->created_ns = col_u64(s, 5);
	set->committed_ns = col_u64(s, 6);
	set->gate_ns = col_u64(s, 7);
	set->commit_ns = col_u64(s, 8);
	set->writer_uid = (uint32_t)col_u64(s, 9);
	set->record_version = col_u64(s, 10);
	set->record_len = (uint32_t)record;
	if (record)
		memcpy(set->record, sqlite3_column_blob(s, 11), (size_t)record);
	return 0;
}

static int load_members(struct meta *m, struct meta_set *set)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_MEMBER_LIST);
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, set->id);
	while ((r = db_step(m->db, s)) > 0) {
		struct meta_set_member *member = &set->members[set->nmembers];

		if (set->nmembers == META_SET_MEMBERS_MAX || sqlite3_column_bytes(s, 2) != sizeof(member->snapshot_uuid)) {
			msg(LOG_ERR, "meta: table setmember: set_id=%llu is damaged", (unsigned long long)set->id);
			return -EUCLEAN;
		}
		member->volume = col_u64(s, 0);
		member->snapshot = col_u64(s, 1);
		memcpy(member->snapshot_uuid, sqlite3_column_blob(s, 2), sizeof(member->snapshot_uuid));
		set->nmembers++;
	}
	return r;
}

int meta_set_list(struct meta *m, int (*cb)(void *arg, const struct meta_set *s), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_SET_LIST);
	CLEANUP_FREE struct meta_set *set = malloc(sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	while ((r = db_step(m->db, s)) > 0) {
		r = decode_set(s, set);
		if (r == 0)
			r = load_members(m, set);
		if (r == 0)
			r = cb(arg, set);
		if (r != 0)
			return r;
	}
	return r;
}
