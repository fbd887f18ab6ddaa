/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shadow copies as Samba shares.  Two ways to tell Samba: the registry, which all of its processes see at once, or a file
 * that smb.conf includes, replaced by rename; the process that answers NetShareGetInfo sees that one late.  Our sections carry "kagefs:set = <set id>"; nothing else is ever touched.
 *
 * Thread-safe; one operation at a time, others wait.  All but open and close run child programs: they may take
 * seconds, and on a busy machine all of the patience (then -ETIMEDOUT or -ECANCELED).  What was begun and failed is taken
 * back, which may take EXPOSER_UNDO_MS twice more.
 */
#ifndef AGENT_SAMBA_EXPOSER_H
#define AGENT_SAMBA_EXPOSER_H

#include <pthread.h>
#include <stdint.h>

#include "agent/rpc/guid.h"
#include "agent/samba/tools.h"

#define EXPOSER_SET_KEY "kagefs:set"
#define EXPOSER_UNDO_MS 15000 /* for taking back what failed, however much time there was */

enum exposer_mode { EXPOSER_INCLUDE, EXPOSER_REGISTRY };

struct exposer {
	struct samba samba;
	enum exposer_mode mode;
	const char *include_file; /* of EXPOSER_INCLUDE; borrowed */
	pthread_mutex_t lock;	  /* held across child programs */
};

struct exposure { /* all borrowed */
	const char *base; /* the share that was copied */
	const char *name; /* of the new share */
	const char *path;
	struct guid set;
	bool writable;
};

/* -EACCES, -ENOENT ...: the directory of the include file cannot be written. */
int exposer_open(struct exposer *e, const struct samba *samba, enum exposer_mode mode, const char *include_file) MUST_USE;
void exposer_close(struct exposer *e);

/* All of them or none: parameters and security descriptor of each base share as they are now.  They appear at one instant.
 * A share of that name that is there already is replaced.  -ENOENT: a base share is gone; -EINVAL: a name that smb.conf
 * cannot carry. */
int exposer_expose(struct exposer *e, const struct patience *p, const struct exposure *x, size_t n) MUST_USE;
/* Make them read-only for connections to come; open ones are stopped by the sealed file system. */
int exposer_restrict(struct exposer *e, const struct patience *p, const char *const *names, size_t n) MUST_USE;
/* Remove them and disconnect their users; names that are not there are fine. */
int exposer_withdraw(struct exposer *e, const struct patience *p, const char *const *names, size_t n) MUST_USE;
/* Our sections as Samba has them now. */
int exposer_list(struct exposer *e, const struct patience *p, struct conf *out) MUST_USE;

#endif
