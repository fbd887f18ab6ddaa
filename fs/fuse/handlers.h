/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table for libfuse: each handler of mnt.h, with its time measured (latency.h). */
#ifndef FS_FUSE_HANDLERS_H
#define FS_FUSE_HANDLERS_H

#include "fs/fuse/mnt.h"

/* All but init, which is the session's. */
void handlers_fill(struct fuse_lowlevel_ops *ops);

#endif
