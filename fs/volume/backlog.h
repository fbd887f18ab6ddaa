/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The backlog: what is in the log and in memory but not yet in the database.
 *
 * It is worth something: a block that is written again before it is applied is converted once for all its writes, and while
 * nothing is applied the writers have the machine.  So it may grow to three eighths of what log and memory (memory.h) allow
 * before apply begins; what comes in while that batch runs fits into the next three; and from there on writers are slowed down,
 * by more and more, so that they meet the applier's pace before the log is full and everybody would have to stop.
 */
#ifndef FS_VOLUME_BACKLOG_H
#define FS_VOLUME_BACKLOG_H

#include "fs/volume/internal.h"

void backlog_init(struct fs *fs, const struct log_config *lc);
/* Large enough to be applied, without regard to age. */
bool backlog_due(struct fs *fs);
/* Before a change that will be braked.  -NOWAIT_REFUSED: its maker would have to wait, and this thread must not. */
int backlog_admit(struct fs *fs) MUST_USE;
/* A change of so many log bytes, which ended at `end`, has been made: its maker may have to wait a little.  Hold no lock. */
void backlog_brake(struct fs *fs, uint64_t end, uint64_t bytes);

#endif
