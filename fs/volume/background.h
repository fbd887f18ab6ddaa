/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two background threads: apply + reclaim, and checkpoints. */
#ifndef FS_VOLUME_BACKGROUND_H
#define FS_VOLUME_BACKGROUND_H

#include "fs/volume/internal.h"

int background_start(struct fs *fs) MUST_USE;
void background_stop(struct fs *fs); /* harmless when not started */

#endif
