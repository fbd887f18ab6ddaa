/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `kagefs stats` shows: times of requests and of the engine, and the engine's counters. */
#ifndef FS_FUSE_STATS_H
#define FS_FUSE_STATS_H

#include "fs/base/cleanup.h"
#include "fs/kagefs_ioctl.h"

struct mnt;

/* As fs/kagefs_ioctl.h says. */
int stats_json(struct mnt *m, struct kagefs_ioc_stats *a) MUST_USE;
int stats_times(struct mnt *m, struct kagefs_ioc_times *a) MUST_USE;

#endif
