/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk in memory whose power can be cut: implements fs/base/io.h.
 *
 * Every file keeps the bytes that are durable and, in order, the writes, truncates and punches since its last sync; the
 * same for names per directory.  sim_cut() decides for each pending change, by the seed, whether it is kept, lost or (for
 * writes) torn at sector borders, independently of order, and makes the result the new durable state.  Never simulates
 * more than a disk may do (see io.h): what was synced stays.
 *
 * Typical use: sim_new; format; run operations with sim_cut_at(n) set; when a call fails with -EIO because the power is
 * off, drop the engine without flushing (all handles still close cleanly), sim_cut, sim_power_on, open again, compare.
 */
#ifndef TESTS_SIM_IO_SIM_H
#define TESTS_SIM_IO_SIM_H

#include "fs/base/io.h"

enum sim_fault { SIM_FAULT_NONE, SIM_FAULT_SYNC_EIO, SIM_FAULT_WRITE_ENOSPC, SIM_FAULT_WRITE_EIO, SIM_FAULT_READ_EIO };

/* total_bytes: size of the disk (0: unlimited); writes beyond it get -ENOSPC unless the range was allocated. */
struct io *sim_new(uint64_t seed, uint64_t total_bytes);

/* Cut the power at the nth sync from now on (1 = the next; 0 = never).  The sync itself fails with -EIO and so does every
 * call after it, until sim_power_on.  Syncs of files and of directories count. */
void sim_cut_at(struct io *io, uint64_t nth_sync);
/* Cut the power now, from any thread. */
void sim_cut_now(struct io *io);
bool sim_is_off(struct io *io);
/* Decide the fate of everything pending (by seed), then switch on again.  No files may be open. */
void sim_power_on(struct io *io);
/* Number of syncs so far, for choosing cut points. */
uint64_t sim_syncs(struct io *io);

/* Let the nth matching operation from now fail once, with power on (1 = the next).  path_prefix NULL: any file. */
void sim_fault(struct io *io, enum sim_fault what, const char *path_prefix, uint64_t nth);
/* Silently ignore the sync of files whose path starts with prefix (NULL: none): the lie a mutation test needs. */
void sim_ignore_sync(struct io *io, const char *prefix);
/* Flip one bit of durable content: for corruption tests.  -ENOENT, -ERANGE. */
int sim_corrupt(struct io *io, const char *path, uint64_t off) MUST_USE;
/* Change the size of the disk, for full-disk tests. */
void sim_set_total(struct io *io, uint64_t total_bytes);

#endif
