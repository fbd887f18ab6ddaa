/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk in memory whose power can be cut: implements fs/base/io.h.
 *
 * Every file keeps the bytes that are durable and, in order, the writes, truncates and punches since its last sync; the
 * same for names per directory.  sim_power_on() decides for each pending change, by the seed, whether it is kept, lost or
 * (for writes and punches) torn at sector borders, independently of order, and makes the result the new durable state; some
 * cuts keep everything, some nothing, some a prefix of all changes.  Never simulates more than a disk may do (see io.h):
 * what was synced stays, a sector holds a state it really had, a rename happens as a whole or not at all.
 *
 * Typical use: sim_new; format; run operations with sim_cut_at(n) set; when a call fails with -EIO because the power is
 * off, drop the engine without flushing (all handles still close cleanly), sim_power_on, open again, compare.  The test
 * owns the struct io and ends with io_free; the engine borrows it, so its io_lock is released by sim_power_on or, after an
 * orderly close, by sim_unlock.
 *
 * Limits: directories cannot be renamed (-EOPNOTSUPP); files end at 64 GiB (-EFBIG).  Out of memory aborts.
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

/* Let the nth matching operation from now fail once, with power on (1 = the next; 0 = never).  path_prefix is compared with
 * the present path of the file; NULL: any.  One fault of each kind can be armed; SIM_FAULT_NONE disarms all.
 *   SYNC_EIO      io_sync, io_sync_dir.  As on Linux a random part of the file got to the disk, reads go on showing
 *                 everything, and the next sync succeeds without writing the rest.  Pending names stay pending.
 *   WRITE_ENOSPC  io_pwrite(v), io_allocate.  Some leading sectors of the data may have been written.
 *   WRITE_EIO     io_pwrite(v); likewise.
 *   READ_EIO      io_pread. */
void sim_fault(struct io *io, enum sim_fault what, const char *path_prefix, uint64_t nth);
/* Silently ignore the sync of files whose present path starts with prefix (NULL: none; "": all), and of no directory: the
 * lie a mutation test needs.  It still counts as a sync. */
void sim_ignore_sync(struct io *io, const char *prefix);
/* Flip one bit of durable content (and of what is read now): for corruption tests.  Also with the power off.
 * -ENOENT, -EISDIR, -ERANGE: behind the durable end of the file. */
int sim_corrupt(struct io *io, const char *path, uint64_t off) MUST_USE;
/* Change the size of the disk, for full-disk tests. */
void sim_set_total(struct io *io, uint64_t total_bytes);
/* Release what io_lock took, as the end of the process would.  sim_power_on does so too. */
void sim_unlock(struct io *io);

#endif
