/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What sets.c and volumes.c share beyond internal.h. */
#ifndef FS_VOLUME_SETS_H
#define FS_VOLUME_SETS_H

#include "fs/volume/internal.h"

int random_uuid(uint8_t uuid[16]) MUST_USE;
/* Call the mount's hook; no lock held. */
void push_out(struct fs *fs, uint64_t vol);
/* Revoke a commit whose deadline has passed and whose caller no longer asks. */
void sets_tick(struct fs *fs);

#endif
