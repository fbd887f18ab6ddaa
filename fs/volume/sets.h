/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What set_*.c and volumes.c share beyond internal.h. */
#ifndef FS_VOLUME_SETS_H
#define FS_VOLUME_SETS_H

#include "fs/base/clock.h"
#include "fs/volume/internal.h"
#include "fs/volume/push.h"

/* Most log bytes a record about one set can take. */
#define SET_LOG_BYTES LOG_BYTES(64 * 512 + 16384)

static inline bool reserved_clear(const __u64 *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (r[i])
			return false;
	return true;
}

static inline bool text_ok(const char *s, size_t size)
{
	return memchr(s, 0, size) != NULL;
}

/* sets.lock held for all *_locked. */
struct set *set_by_uuid_locked(struct fs *fs, const struct kagefs_uuid *u);
struct set *set_by_id_locked(struct fs *fs, uint64_t id);
struct set *set_next_locked(struct fs *fs, struct set *s); /* in creation order; NULL: the first */
void set_append_locked(struct fs *fs, struct set *s);
void set_unlink_locked(struct fs *fs, struct set *s);
void set_remove_locked(struct fs *fs, struct set *s); /* one that is not in the log: unlinked, freed, its push-outs forgotten */
void set_replace_locked(struct fs *fs, struct set *s, struct set *made); /* s takes over what made says; frees made */
void set_load(const struct set *s, struct meta_set *m);	  /* all of it, decoded; sets.lock held */
void set_record(struct meta_set *m, const void *record, uint32_t len); /* len 0: leave it */
void set_describe(const struct meta_set *m, struct kagefs_set_info *out);
void set_members(const struct meta_set *m, struct kagefs_set_member *out);
/* Delete a set and its copies (keep: leave them as sealed snapshots), durably.  revoke: only while it is COMMITTING, else
 * -EALREADY. */
int set_drop(struct fs *fs, uint64_t id, bool keep, bool revoke) MUST_USE;
/* Bring a COMMITTING set to its end if it can be brought there until then.  0 COMMITTED, -EINPROGRESS, -ETIME revoked. */
int set_finish_commit(struct fs *fs, uint64_t id, uint64_t lsn, int64_t start_ns, int64_t deadline_ns, int64_t until_ns) MUST_USE;

int random_uuid(uint8_t uuid[16]) MUST_USE;
/* Until when a call that may take wait_ms waits; monotonic. */
static inline int64_t wait_until_ns(uint32_t wait_ms)
{
	return clock_monotonic_ns() + (int64_t)MIN(wait_ms, (uint32_t)KAGEFS_WAIT_MS_MAX) * 1000000;
}
/* If a commit of s waits for its push-out and its deadline has passed: end it, so that all is as before its first call (which
 * may free s).  false: no such commit. */
bool set_call_overdue_locked(struct fs *fs, struct set *s, int64_t now_ns);
/* Revoke a commit whose deadline has passed and whose caller no longer asks. */
void sets_tick(struct fs *fs);

#endif
