/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ordered log: one append-only stream of records in preallocated, recycled segment files, with group commit.
 * Knows nothing of inodes: a record is a type, flags and bytes.  The layout on disk is in fs/log/log_format.h.
 *
 * LSN: position of a record's first byte in the stream, in bytes; grows for ever (segment number * segment size + offset
 * in the segment).  LSN order is the order of everything in a store.  A record never crosses a segment's end.
 *
 * Appending has three steps, so that nobody who holds a lock ever waits for memory, log space or the disk:
 *   log_reserve()  may wait (for buffer memory, a prepared segment, or for the log to be retired); hold no lock;
 *   log_append()   copies into the memory buffer, assigns the LSN, never waits and cannot fail: call it under your locks;
 *   log_flush() / log_wait()  makes everything up to an LSN durable: one write and one sync serve all who wait.
 *
 * A record is durable when a flush up to its LSN has succeeded, and then everything before it is too.  Records nobody waits
 * for are flushed at the latest dirty_age_ms after they were appended.
 *
 * When a flush fails the log is poisoned: that flush and every later one answer -EIO (or the error), for good, and
 * log_reserve answers the same.  Nothing is retried: the page cache no longer holds what failed.
 *
 * Thread-safe: every function between log_start and log_close may be called from any thread.
 */
#ifndef FS_LOG_LOG_H
#define FS_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fs/base/cleanup.h"

struct histogram;
struct io;
struct log;

struct log_config {
	uint64_t segment_bytes;	  /* power of two >= 64 KiB; fixed when the log is formatted */
	uint32_t max_segments;	  /* >= 4; may change from mount to mount */
	uint32_t max_record_bytes; /* longest payload; <= segment_bytes / 4 */
	size_t buffer_bytes;	  /* memory for records not yet written; >= 2 * max_record_bytes */
	uint32_t dirty_age_ms;	  /* see above; 0 = only when asked */
};
#define LOG_SEGMENT_BYTES_DEFAULT (16u << 20)
#define LOG_RECORD_OVERHEAD 64 /* upper bound of what one record costs beside its payload, padding included */

/* Create directory log/ and its first four segments, durable when it returns.  -EEXIST if log/ is there, -EINVAL for a
 * configuration outside the bounds above, -ENOSPC.  A fresh log has no headers, so nothing of store_uuid is written yet. */
int log_format(struct io *io, const uint8_t store_uuid[16], const struct log_config *cfg) MUST_USE;

/* Read the segment headers.  io is borrowed.  -ENOENT no log, -EUCLEAN not this store's, another segment_bytes, or damaged,
 * -EPROTONOSUPPORT newer format, -EINVAL as for log_format (*out is set only on success). */
int log_open(struct io *io, const uint8_t store_uuid[16], const struct log_config *cfg, struct log **out) MUST_USE;

struct log_record {
	uint64_t lsn;
	uint64_t next;	   /* LSN from which a replay would continue after this record */
	uint64_t data_pos; /* stream position of payload[0], for log_read */
	uint16_t type;
	uint16_t flags;
	uint32_t len;
	const uint8_t *payload; /* borrowed until the callback returns */
};
/* Call fn for every record from `from` (an LSN that was a record's lsn or next, or 0 for the very first) to the end of the
 * valid log, in order.  A non-zero answer of fn stops and is returned.  -EUCLEAN: `from` is not in the log any more or a
 * record that must be durable is damaged (as opposed to the torn end that a power cut leaves, which simply ends the log).
 * The second is known only at the end, after fn was called for what lies before the damage.  What fn is shown is durable.
 * fn may be NULL.  Only between log_open and log_start. */
int log_replay(struct log *log, uint64_t from, int (*fn)(void *arg, const struct log_record *rec), void *arg) MUST_USE;

/* Start flusher and segment preparation; appending begins in a fresh segment behind the end that log_replay found (calls
 * log_replay's scan itself if that was not done).  retained: LSN before which nothing is needed any more.  -EUCLEAN as
 * log_replay, also when the log ends before `retained`.  After an error only log_close or log_abandon may follow. */
int log_start(struct log *log, uint64_t retained) MUST_USE;

/* Flush everything and stop.  The answer is that of the flush; the log is freed in any case.  No other thread may be inside
 * a function of this log; the same for log_abandon. */
int log_close(struct log *log) MUST_USE;
/* Stop and free without beginning another write: for a store that is given up (poisoned, or a test's power cut).  Waiters of
 * log_flush that are left are called with -EIO. */
void log_abandon(struct log *log);

/* Make sure that one or more appends of together at most `bytes` (payloads plus LOG_RECORD_OVERHEAD each) will succeed at
 * once.  Waits up to timeout_ms for room; -ETIMEDOUT (log full and nobody retires), -ENOSPC (no room for a new segment on
 * the disk and none to recycle), or the poison error.  Hold no lock.  Reserved bytes are given back by log_append (what it
 * used) and log_unreserve (the rest).  -EINVAL: more than buffer_bytes, or than the segments can ever hold free.
 * First come, first served: a long reservation is not overtaken by short ones.  Who waits has the log flushed.
 * -NOWAIT_REFUSED where this thread must not wait (nowait.h); log_read answers it instead of reading the disk. */
int log_reserve(struct log *log, uint64_t bytes, uint32_t timeout_ms) MUST_USE;
void log_unreserve(struct log *log, uint64_t bytes);

/* Append one record made of n <= 8 pieces, type not 0; returns its LSN.  *reserved is what the caller still holds of its
 * reservation and is lowered by the payload plus LOG_RECORD_OVERHEAD.  data_pos and next (each may be NULL): as in struct
 * log_record.  Works on a poisoned log too.  Never blocks beyond a short mutex. */
uint64_t log_append(struct log *log, uint64_t *reserved, uint16_t type, uint16_t flags, const struct iovec *iov, int n,
		    uint64_t *data_pos, uint64_t *next);

/* Somebody who waits for durability.  Owned by the caller, untouched until done is called, exactly once, with no lock held,
 * from the flusher or from any thread inside log_flush, also this one; err is 0 or the poison error.  done should be short,
 * must not wait, and must not call log_flush. */
struct log_waiter {
	uint64_t lsn; /* in: wait for this record; UINT64_MAX: all appended so far (then lowered to the last one's) */
	void (*done)(struct log_waiter *w, int err);
	struct log_waiter *link; /* private */
};
/* Hold no lock.  This thread may flush and call others' done as well, and so be busy for some time; one that must not
 * (nowait_thread) leaves that to others. */
void log_flush(struct log *log, struct log_waiter *w);
/* The same, waiting here; the thread may do the flush itself, but calls nobody else's done.  lsn UINT64_MAX: everything
 * appended so far. */
int log_wait(struct log *log, uint64_t lsn) MUST_USE;
/* The same, until a time of CLOCK_MONOTONIC at most: -ETIMEDOUT, and the record may or may not become durable later.  Others do
 * the flush, so this thread comes back also when the disk does not. */
int log_wait_until(struct log *log, uint64_t lsn, int64_t deadline_ns) MUST_USE;
/* Start a flush of everything appended so far, do not wait. */
void log_kick(struct log *log);

/* Everything before this LSN is durable. */
uint64_t log_durable(struct log *log);
/* Everything appended lies before this LSN. */
uint64_t log_end(struct log *log);

/* Read payload bytes by stream position, from memory if not yet written.  -ESTALE: retired meanwhile (look the bytes up
 * again: they have moved to where the retirer put them); -EIO; -EINVAL: nothing was ever appended there.  The range must lie
 * inside one record's payload.  No checksum is verified: replay did, or memory was written. */
int log_read(struct log *log, uint64_t pos, void *buf, size_t len) MUST_USE;

/* Nothing before lsn is needed any more: whole segments before it may be recycled.  Must not exceed log_durable. */
void log_retire(struct log *log, uint64_t lsn);

struct log_stats {
	uint64_t end, durable, retired; /* LSNs */
	uint64_t capacity_bytes;	/* max_segments * segment size */
	uint64_t used_bytes;		/* end - retired, whole segments counted */
	uint64_t flushes, records, flushed_bytes, waiters;
	uint64_t reserve_waits;		/* log_reserve calls that had to wait */
	int poisoned;			/* 0 or -errno */
};
void log_get_stats(struct log *log, struct log_stats *out);
/* Nanoseconds from the first write of a flush until its last sync. */
const struct histogram *log_flush_times(const struct log *log);

#endif
