/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A shadow copy set in memory ([MS-FSRVP] 3.1.1): copies, one per volume, each with one mapping per share.
 * Plain data; who may change it when is the state machine's business (agent/fsrvp/machine.h).
 */
#ifndef AGENT_FSRVP_SET_H
#define AGENT_FSRVP_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/guid.h"

#define SET_COPIES_MAX 64   /* volumes in one ioctl */
#define SET_MAPPINGS_MAX 256 /* shares in one set */

enum set_status {
	SET_STARTED = 1,
	SET_ADDED,
	SET_CREATING, /* the commit is being waited for */
	SET_COMMITTED,
	SET_EXPOSED,
	SET_RECOVERED,
};

struct shadow_mapping {
	char *share; /* as smb.conf spells it; owned */
	char *rel;   /* its path below the volume's root, "" for the root itself; owned */
};

struct shadow_copy {
	struct guid id;
	uint64_t volume;
	char *root;	/* path of the volume's root directory; owned */
	char *snapshot; /* name below root/.snapshots; NULL before the commit; owned */
	unsigned nnested;
	uint64_t *nested; /* volumes below its shares, copied with it and shown in its copy; owned */
	unsigned nmappings;
	struct shadow_mapping *mappings; /* owned */
};

struct shadow_set {
	struct shadow_set *next;
	struct guid id;
	struct guid store; /* which store its volumes are in; valid with the first copy */
	enum set_status status;
	uint32_t context;
	uint64_t created_ns; /* CLOCK_REALTIME; of the commit once there is one */
	uint32_t writer_uid; /* who may write before the set is sealed */
	char *creator;	     /* "DOMAIN\\user", for the log; owned */
	unsigned ncopies, nmappings;
	struct shadow_copy *copies; /* owned */
	bool announced;		    /* the file system knows the set */
	bool prepared;		    /* and has flushed its volumes, as they are now */
	bool keep;		    /* the administrator holds it: KAGEFS_SET_KEEP */
	/* Run-time state of the agent, see agent/fsrvp/agent.h. */
	bool busy;	  /* a call works on it with the lock released */
	bool by_keeper;	  /* the reconciler is it that made it busy: not for long */
	bool cancel;	  /* asks that call to give up */
	int64_t expires_ms; /* non-persistent and exposed: when it is released; 0: never */
};

/* -ENOMEM. */
int shadow_set_new(const struct guid *id, uint32_t context, struct shadow_set **out) MUST_USE;
void shadow_set_free(struct shadow_set *s);

/* Survives its client: a persistent context, or held by the administrator. */
bool shadow_set_is_persistent(const struct shadow_set *s);
/* Copies may be written to before they are sealed. */
bool shadow_set_is_writable(const struct shadow_set *s);

struct shadow_copy *shadow_set_copy(struct shadow_set *s, const struct guid *id);
struct shadow_copy *shadow_set_volume(struct shadow_set *s, uint64_t volume);
/* The volume has a copy of its own, or one below that of another. */
bool shadow_set_wants(struct shadow_set *s, uint64_t volume);
/* All that it wants, each once; returns their number, at most max are written. */
unsigned shadow_set_volumes(struct shadow_set *s, uint64_t *volumes, unsigned max);
struct shadow_mapping *shadow_copy_mapping(struct shadow_copy *c, const char *share);
/* A share anywhere in the set. */
bool shadow_set_has_share(struct shadow_set *s, const char *share);

/* New copy without mappings.  -ENOSPC above SET_COPIES_MAX, -ENOMEM; the set is then as before. */
int shadow_set_add_copy(struct shadow_set *s, const struct guid *id, uint64_t volume, const char *root,
			struct shadow_copy **out) MUST_USE;
/* -ENOSPC: the set has more than SET_COPIES_MAX volumes then. */
int shadow_set_add_nested(struct shadow_set *s, struct shadow_copy *c, const uint64_t *volumes, unsigned n) MUST_USE;
int shadow_set_add_mapping(struct shadow_set *s, struct shadow_copy *c, const char *share, const char *rel) MUST_USE;
void shadow_set_remove_mapping(struct shadow_set *s, struct shadow_copy *c, struct shadow_mapping *m);
void shadow_set_remove_copy(struct shadow_set *s, struct shadow_copy *c);

/* SHARE@{copy id}, with a "$" after it when SHARE ends in one; owned by the caller, NULL: no memory. */
char *shadow_share_name(const struct shadow_copy *c, const struct shadow_mapping *m);
/* root/.snapshots/name[/rel]; likewise. */
char *shadow_share_path(const struct shadow_copy *c, const struct shadow_mapping *m);

#endif
