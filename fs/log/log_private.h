/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the log: shared by its .c files only.
 *
 *   record.c   bytes of a record          segment.c  bytes of a header, segment files, who is live and who is ready
 *   ring.c     memory for unwritten bytes  reserve.c  room for appends, with the proof that they cannot fail
 *   append.c   log_append                 flush.c    waiters, the flush, the flusher thread, poisoning
 *   read.c     log_read, log_retire       replay.c   finding the end of the log, log_replay
 *   recover.c  making that end firm        log.c      open, start, close
 *   prepare.c  the preparer thread
 *
 * Words.  Position: place in the stream (an LSN).  mem: place in the endless sequence of ring bytes; mem % ring_bytes is the
 * address.  Each segment of this mount lies in the ring at ring_base, a multiple of LOG_PAGE, header page included; the
 * waste at a segment's end takes no ring memory.
 *
 * A slot is a segment file.  It is either live (holds a segment of the stream that is still needed), ready (may be begun at
 * once, whatever old bytes it holds) or, only between log_open and log_start, undecided.
 *
 * One lock, log->lock; it is a leaf and never held across I/O, a copy of payload, or a callback.  Fields without a remark
 * are protected by it.
 */
#ifndef FS_LOG_LOG_PRIVATE_H
#define FS_LOG_LOG_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/histogram.h"
#include "fs/base/io.h"
#include "fs/log/log.h"
#include "fs/log/log_format.h"

#define LOG_DIR "log"
/* Segments made by log_format: with fewer, the first seconds of a store would wait for the preparer. */
#define LOG_FIRST_SEGMENTS 4u
/* The preparer keeps this many ready while it may add files, and more, up to the most, when appends have had to wait for it. */
#define LOG_READY_TARGET 2u
#define LOG_READY_MOST 16u
/* What may be appended and not yet durable: what the disk takes in so many milliseconds, at least so many bytes.  From half of
 * it on a flush begins although nobody waits: whoever is the next to wait then finds little left to do. */
#define LOG_UNFLUSHED_MS 2
#define LOG_UNFLUSHED_LEAST ((uint64_t)1 << 20)
/* Shorter flushes say nothing of the disk's speed: most of their time is not spent on bytes. */
#define LOG_SPEED_BYTES (256u << 10)
/* How long after a flush the next one may wait, at most, for the writers of that flush to come back. */
#define LOG_LINGER_MOST_NS 300000

struct segment_header {
	uint8_t uuid[16];
	uint64_t segment_bytes, number, prev_end, durable, nonce;
};
void segment_header_encode(const struct segment_header *h, uint8_t out[LOG_PAGE]);
/* 0; -ENODATA: zeros, i.e. unused; -EUCLEAN; -EPROTONOSUPPORT. */
int segment_header_decode(const uint8_t in[LOG_HEADER_BYTES], struct segment_header *out) MUST_USE;

struct record_header {
	uint64_t checksum, lsn, durable;
	uint32_t len;
	uint16_t type, flags;
};
void record_header_encode(const struct record_header *h, uint8_t out[LOG_RECORD_HEADER]);
void record_header_decode(const uint8_t in[LOG_RECORD_HEADER], struct record_header *out);
static inline uint64_t record_bytes(uint64_t len)
{
	return (LOG_RECORD_HEADER + len + LOG_RECORD_ALIGN - 1) & ~(uint64_t)(LOG_RECORD_ALIGN - 1);
}
_Static_assert(LOG_RECORD_HEADER + LOG_RECORD_ALIGN - 1 <= LOG_RECORD_OVERHEAD, "the promised overhead covers the real one");

static inline uint64_t page_down(uint64_t x)
{
	return x & ~(uint64_t)(LOG_PAGE - 1);
}
static inline uint64_t page_up(uint64_t x)
{
	return page_down(x + LOG_PAGE - 1);
}

struct slot {
	struct io_file *file; /* owned; open as long as the log is, so that a read never races with a close */
	uint32_t id;	      /* in the file's name */
	bool has_header;      /* what log_open found; not kept up to date after log_start */
	struct segment_header head;
	uint64_t nonce; /* for the next segment begun here */
};

struct segment {
	struct slot *slot; /* borrowed */
	uint64_t number;
	uint64_t prev_end;
	uint64_t end; /* where its records end */
	uint64_t ring_base;
	uint64_t nonce;
};

/* Node of a list of things going on in the ring, on the stack of whoever does them. */
struct span {
	uint64_t at;
	struct span *prev, *next;
};

struct room_waiter {
	pthread_cond_t cond;
	uint64_t bytes;
	struct room_waiter *next;
};

struct log {
	struct io *io;	       /* borrowed; constant */
	struct log_config cfg; /* constant */
	uint8_t uuid[16];      /* constant */

	pthread_mutex_t lock;

	/* Files.  slots[] grows only by the preparer; an element's address and file never change. */
	struct slot **slots; /* owned; slots_max elements */
	uint32_t nslots, slots_max;
	uint32_t next_slot_id; /* of the preparer (log_start before it runs) */
	struct slot **ready;   /* owned array; FIFO of borrowed slots: ready[(ready_first + i) % slots_max] */
	uint32_t ready_first, nready;
	/* Live segments have consecutive numbers: live[number % slots_max]. */
	struct segment *live; /* owned */
	uint64_t live_first;
	uint32_t nlive;
	bool begun;	      /* the last live segment was begun by this mount, i.e. takes appends and is in the ring */
	uint64_t next_number; /* of the next segment */

	/* What replay found; used by log_start only. */
	bool scanned;
	uint64_t scan_from, scan_end;
	uint64_t scan_first, scan_last; /* segment numbers of the chain */
	uint64_t scan_proven;		/* everything before is known to be durable */
	bool scan_empty; /* no segment at all */

	/* Stream. */
	uint64_t end;	  /* behind the last record */
	uint64_t durable; /* behind the last durable record; always some record's end, or where the mount began */
	uint64_t retired;

	/* Ring. */
	uint8_t *ring; /* owned; bytes protected by the spans, see ring.c */
	uint64_t ring_bytes;
	uint64_t mem_end;      /* behind the last record */
	uint64_t mem_durable;  /* page that holds the end of what is durable: must be written again, so it stays */
	uint64_t mem_released; /* <= mem_durable; below it ring bytes may be overwritten */
	struct span copying;   /* appends whose bytes are not complete; at: log end before that record; sorted */
	struct span reading;   /* log_reads; at: mem */

	/* Room. */
	uint64_t reserved;
	struct room_waiter *room_first, **room_last; /* FIFO; only the first may take room */
	uint32_t ready_wanted;			     /* by the first of them */
	uint32_t ready_target;			     /* LOG_READY_TARGET .. LOG_READY_MOST */
	int prepare_error;			     /* of the last try to add a segment file; 0 after a good one */
	uint64_t prepare_tries;
	bool prepare_retry;

	/* Flushing. */
	bool flushing;	      /* somebody is in flush_locked */
	bool want_copied;     /* he waits on `copied` */
	bool flusher_untimed; /* the flusher sleeps without a deadline */
	bool stop;
	int poisoned;		 /* 0 or -errno, for good */
	uint64_t kick;		 /* flush up to here even if nobody waits */
	int64_t dirty_since_ns;	 /* not later than the oldest append that is not durable; 0: none */
	int64_t last_flush_ns;	 /* when the last flush ended */
	uint32_t recent_writers; /* served by the last flush or queued behind it */
	int64_t typical_flush_ns; /* moving average */
	uint64_t bytes_per_ms;	  /* the same, of flushes of LOG_SPEED_BYTES and more */
	uint32_t answering;	  /* threads that call waiters back and lead on, or wake who does, afterwards */
	bool lingering;		  /* somebody sleeps until a flush is ripe */
	struct log_waiter *waiting, **waiting_last;
	_Atomic uint32_t nwaiting;
	uint8_t bounce[LOG_PAGE]; /* of who is flushing */

	pthread_cond_t flusher_cond, linger_cond, copied_cond, preparer_cond;
	bool flusher_running, preparer_running; /* of log_start and log_close */
	pthread_t flusher, preparer;
	_Atomic bool preparer_stop;

	struct histogram flush_ns;
	uint64_t n_flushes, n_records, n_flushed_bytes, n_waiters, n_reserve_waits;
};

void cond_init_monotonic(pthread_cond_t *cond);
/* Returns false when the deadline (CLOCK_MONOTONIC ns) has passed. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);

/* prepare.c */
void *preparer_main(void *log);

/* segment.c */
int log_config_check(const struct log_config *cfg) MUST_USE;
uint64_t nonce_new(void);
#define SLOT_PATH_BYTES 32
void slot_path(char out[SLOT_PATH_BYTES], uint32_t id, const char *suffix);
/* Make file `id`, complete and durable under its name.  -ECANCELED when *stop (may be NULL) becomes true. */
int slot_create(struct io *io, const struct log_config *cfg, uint32_t id, _Atomic bool *stop, struct slot **out) MUST_USE;
void slot_free(struct slot *s); /* NULL is fine */
int slot_name_parse(const char *name, uint32_t *id) MUST_USE; /* -EINVAL: not a segment's */
int slot_remove(struct io *io, uint32_t id) MUST_USE;
struct segment *segment_find_locked(struct log *log, uint64_t number); /* NULL: not live */
struct segment *segment_last_locked(struct log *log);		       /* NULL: none */
struct segment *segment_append_locked(struct log *log, struct slot *slot, uint64_t number);
void ready_push_locked(struct log *log, struct slot *slot);
struct slot *ready_pop_locked(struct log *log); /* NULL: none */
/* Turn live segments nobody needs into ready ones. */
void segments_recycle_locked(struct log *log);
static inline uint64_t segment_start(const struct log *log, uint64_t number)
{
	return number * log->cfg.segment_bytes;
}
/* The number of the segment in which records that end at pos lie; pos > 0. */
static inline uint64_t number_before(const struct log *log, uint64_t pos)
{
	return (pos - 1) / log->cfg.segment_bytes;
}

/* ring.c */
void ring_put(struct log *log, uint64_t mem, const void *data, size_t len);
void ring_get(const struct log *log, uint64_t mem, void *out, size_t len);
/* iov[2] for len bytes at mem; returns how many are used. */
int ring_iov(const struct log *log, uint64_t mem, size_t len, struct iovec *iov);
void span_add_last(struct span *list, struct span *s);
void span_remove(struct span *s);
/* Behind the last record before which all bytes are in place. */
uint64_t ring_complete_locked(const struct log *log);
void ring_release_locked(struct log *log);

/* reserve.c */
uint64_t ring_bytes_for(const struct log_config *cfg);
uint64_t unflushed_most_locked(const struct log *log);
/* Wake who waits for room: because something he decides by has changed, or because there may be room enough now. */
void room_changed_locked(struct log *log);
void room_grew_locked(struct log *log);

/* flush.c */
void *flusher_main(void *log);
void poison_locked(struct log *log, int err);
/* An append has made the log longer, or somebody lacks room: wake the flusher if that changes what he has to do. */
void flusher_nudge_locked(struct log *log);

/* replay.c */
int log_scan(struct log *log, uint64_t from, int (*fn)(void *arg, const struct log_record *rec), void *arg) MUST_USE;

/* recover.c: what log_start does to the disk, and the decision about every slot. */
int log_recover(struct log *log, uint64_t retained) MUST_USE;

#endif
