/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the agent needs from the file system.  Two implementations, one of them linked: agent/backend_ioctl.c speaks
 * fs/kagefs_ioctl.h to mounted stores, tests/agent/fake_backend.c copies directories.
 *
 * No call waits for the file system longer than wait_ms (at most BACKEND_WAIT_MS_MAX); -EINPROGRESS then says: call again.
 * All functions are thread-safe and may be called with or without the agent's lock; keep it released where wait_ms is used.
 * A store is named by its uuid.  -ENODEV: that store is not mounted; -ENOTCONN, -EIO ...: it does not answer.
 */
#ifndef AGENT_BACKEND_H
#define AGENT_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/guid.h"

#define BACKEND_WAIT_MS_MAX 1000u
#define BACKEND_VOLUMES_MAX 64u
#define BACKEND_RECORD_MAX 8192u
#define BACKEND_NAME_SIZE 256
#define BACKEND_OWNER "fsrvp" /* our sets; others are never listed or touched */

struct backend;

/* Where a path lies. */
struct backend_place {
	struct guid store;
	uint64_t volume;
	bool snapshot; /* the volume is a snapshot itself */
	char *root;    /* path of the volume's root; owned */
	char *rel;     /* the rest of the path, "" for the root itself; owned */
};

struct backend_request {
	struct guid id;
	bool writable; /* the copies, until sealed, by writer_uid only */
	uint32_t writer_uid;
	unsigned nvolumes; /* 0 in commit: go on with what was prepared, or with the commit under way */
	uint64_t volumes[BACKEND_VOLUMES_MAX];
	const uint8_t *record; /* borrowed */
	size_t record_len;     /* 0 in commit, seal: leave the record */
};

enum backend_state { BACKEND_VOLATILE, BACKEND_COMMITTED, BACKEND_SEALED }; /* volatile: prepared or committing */

struct backend_member {
	uint64_t volume, snapshot;
};

/* A set as the file system has it. */
struct backend_set {
	struct guid id;
	enum backend_state state;
	bool keep;
	uint64_t committed_ns;
	unsigned nmembers;
	struct backend_member members[BACKEND_VOLUMES_MAX];
	size_t record_len;
	uint8_t record[BACKEND_RECORD_MAX];
};

int backend_open(struct backend **out) MUST_USE;
void backend_close(struct backend *b);

/* The volume that holds the directory.  path is absolute.  -ENOTTY: not on kagefs; -EXDEV: something else is mounted
 * below it; -ENOENT and others of open(2). */
int backend_locate(struct backend *b, const char *path, struct backend_place *out) MUST_USE;
void backend_place_release(struct backend_place *p);

/* 0: prepared; -EINPROGRESS; other errors: nothing is prepared. */
int backend_prepare(struct backend *b, const struct guid *store, const struct backend_request *r, unsigned wait_ms) MUST_USE;
/* 0: committed and durable, out->... filled (record left empty) and name set; -EINPROGRESS: again with nvolumes 0;
 * -ETIME: deadline_ms (counted from the first call) is over and nothing is left. */
int backend_commit(struct backend *b, const struct guid *store, const struct backend_request *r, unsigned deadline_ms,
		   unsigned wait_ms, struct backend_set *out, char name[BACKEND_NAME_SIZE]) MUST_USE;
/* Read-only for good, with a new record.  -EINPROGRESS. */
int backend_seal(struct backend *b, const struct guid *store, const struct guid *id, const uint8_t *record,
		 size_t record_len, unsigned wait_ms) MUST_USE;
int backend_update(struct backend *b, const struct guid *store, const struct guid *id, const uint8_t *record,
		   size_t record_len) MUST_USE;
/* -ENOENT; -EBUSY: held by the administrator. */
int backend_delete(struct backend *b, const struct guid *store, const struct guid *id) MUST_USE;
int backend_get(struct backend *b, const struct guid *store, const struct guid *id, struct backend_set *out) MUST_USE;
/* Name of a snapshot below its origin's .snapshots.  -ENOENT. */
int backend_snapshot_name(struct backend *b, const struct guid *store, uint64_t snapshot,
			  char name[BACKEND_NAME_SIZE]) MUST_USE;
/* One copy of a set, deleted alone (its last share is gone).  -ENOENT. */
int backend_delete_snapshot(struct backend *b, const struct guid *store, uint64_t snapshot) MUST_USE;

/* Stores mounted now.  The array is owned by the caller. */
int backend_stores(struct backend *b, struct guid **out, size_t *n) MUST_USE;
/* Ids of all sets of ours in a store, likewise. */
int backend_list(struct backend *b, const struct guid *store, struct guid **out, size_t *n) MUST_USE;

#endif
