/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pushing out.  What shared mappings have dirtied reaches the engine only when the kernel is told to let go of its pages
 * (fs_open_options.push_out), and that takes as long as writing them does.  So it goes on in threads of its own, and the calls
 * that need it (prepare, commit, seal, read-only, rollback) poll it: no ioctl waits longer than it was asked to.
 *
 * A push-out is found by why it goes on and for what.  All functions are thread-safe; the lock is a leaf, not held over the hook.
 */
#ifndef FS_VOLUME_PUSH_H
#define FS_VOLUME_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct pushes;

enum push_why {
	PUSH_PREPARE = 1, /* id: set */
	PUSH_COMMIT,	  /* set */
	PUSH_SEAL,	  /* set; while its copies may still be written */
	PUSH_SEALED,	  /* set; the pages that are stale now */
	PUSH_FREEZE,	  /* volume; before it becomes read-only or is rolled back */
	PUSH_FROZEN,	  /* volume; after that */
};

/* hook NULL: there is nothing to push out, ever. */
int pushes_new(void (*hook)(void *arg, const uint64_t *vols, unsigned n, bool drop), void *arg, struct pushes **out) MUST_USE;
/* Waits for what goes on.  NULL is fine. */
void pushes_free(struct pushes *p);
/*
 * Start the push-out of n volumes, or join the one of this name that goes on, and wait until the monotonic clock shows until_ns.
 * 0: done; the answer is given once, and kept for PUSH_KEPT_NS for who asks late.  -EINPROGRESS; -ENOMEM, -EAGAIN no thread.
 */
int push_poll(struct pushes *p, enum push_why why, uint64_t id, const uint64_t *vols, unsigned n, int64_t until_ns) MUST_USE;
#define PUSH_KEPT_NS 60000000000ll
/* Nobody will ask for this one any more; who waits for it is let go with 0. */
void push_forget(struct pushes *p, enum push_why why, uint64_t id);

#endif
