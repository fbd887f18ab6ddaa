/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the agent needs from the file system.  Two implementations, one of them linked: agent/backend_ioctl.c speaks
 * fs/kagefs_ioctl.h to mounted stores, tests/agent/fake_backend.c copies directories.
 *
 * No call waits for the file system longer than the patience says, and at least once in PATIENCE_SLICE_MS that is asked, also when
 * the file system hangs: then -ETIMEDOUT or -ECANCELED.  What was asked may happen all the same, later, unless the call that
 * undoes it comes after.  While a file system hangs nothing more is asked of it.
 * All functions are thread-safe; the agent's lock is not held.
 * A store is named by its uuid.  -ENODEV: that store is not mounted; -ENOTCONN, -EIO ...: it is broken.
 */
#ifndef AGENT_BACKEND_H
#define AGENT_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/patience.h"
#include "agent/rpc/guid.h"

#define BACKEND_LATE_MS 1000 /* what prepare, commit and seal may take beyond their patience */
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
	/* Further volumes below the directory, at any depth.  Those below the volume of which it cannot be told are among them. */
	unsigned nnested;
	uint64_t *nested; /* owned */
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
/* Called, from some thread, when a call that was given up has ended after all: the file system answers again, and what it was
 * asked has happened.  NULL: not any more. */
void backend_set_answering(struct backend *b, void (*answering)(void *arg), void *arg);

/* The volume that holds the directory.  path is absolute.  -ENOTTY: not on kagefs; -EXDEV: something else is mounted
 * below it; -E2BIG: more than BACKEND_VOLUMES_MAX volumes, with those below; -ENOENT and others of open(2). */
int backend_locate(struct backend *b, const char *path, const struct patience *p, struct backend_place *out) MUST_USE;
void backend_place_release(struct backend_place *place);

/* 0: prepared; -EINPROGRESS: call again; other errors but -ETIMEDOUT and -ECANCELED: nothing is prepared. */
int backend_prepare(struct backend *b, const struct guid *store, const struct patience *p,
		    const struct backend_request *r) MUST_USE;
/* 0: committed and durable, out->... filled (record left empty) and name set; -EINPROGRESS: again with nvolumes 0;
 * -ETIME: deadline_ms (counted by the file system, from the first call) is over and nothing is left. */
int backend_commit(struct backend *b, const struct guid *store, const struct patience *p, const struct backend_request *r,
		   unsigned deadline_ms, struct backend_set *out, char name[BACKEND_NAME_SIZE]) MUST_USE;
/* Read-only for good, with a new record.  -EINPROGRESS. */
int backend_seal(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		 const uint8_t *record, size_t record_len) MUST_USE;
int backend_update(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		   const uint8_t *record, size_t record_len) MUST_USE;
/* -ENOENT; -EBUSY: held by the administrator. */
int backend_delete(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id) MUST_USE;
int backend_get(struct backend *b, const struct guid *store, const struct patience *p, const struct guid *id,
		struct backend_set *out) MUST_USE;
/* Name of a snapshot below its origin's .snapshots.  -ENOENT. */
int backend_snapshot_name(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot,
			  char name[BACKEND_NAME_SIZE]) MUST_USE;
/* One copy of a set, deleted alone (its last share is gone).  -ENOENT. */
int backend_delete_snapshot(struct backend *b, const struct guid *store, const struct patience *p, uint64_t snapshot) MUST_USE;

/* Stores mounted now that answer.  The array is owned by the caller. */
int backend_stores(struct backend *b, const struct patience *p, struct guid **out, size_t *n) MUST_USE;
/* Ids of all sets of ours in a store, likewise. */
int backend_list(struct backend *b, const struct guid *store, const struct patience *p, struct guid **out, size_t *n) MUST_USE;

#endif
