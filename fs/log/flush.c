/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making records durable: waiters, the flush, the flusher thread, poisoning.
 *
 * One flush is in flight at a time (log->flushing).  It is run by a thread that waits anyway: the one in log_flush whose waiter
 * makes the flush worth beginning leads, i.e. flushes and then answers everybody the flush has covered.  While it answers, those
 * it has answered come back and the next of them leads the next flush, so that disk and processors work at the same time, and
 * nobody has to be woken for it.  The flusher leads for who must not (nowait.h), and for what nobody waits for.  A thread in
 * log_wait leads, too, but leaves the answers to callbacks to the flusher, because it may hold its caller's locks.
 *
 * Waiters stay in log->waiting until a flush has covered them; whoever ended the flush takes out those he may answer.
 */
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/log/log_private.h"

void poison_locked(struct log *log, int err)
{
	if (log->poisoned)
		return;
	log->poisoned = err;
	room_changed_locked(log);
}

/* ---- the flush ---- */

struct piece {
	struct slot *slot;
	uint64_t file_off, mem; /* both at a page's start */
	uint64_t len;
};

/* The next piece of [at, to) that lies in one segment; to lies behind a record.  False: nothing is left. */
static bool piece_next_locked(struct log *log, uint64_t *at, uint64_t to, struct piece *out)
{
	for (uint64_t number = *at / log->cfg.segment_bytes; segment_start(log, number) < to; number++) {
		uint64_t start = segment_start(log, number), lo, hi;
		const struct segment *seg = segment_find_locked(log, number);

		KAGEFS_ASSERT(seg);
		lo = MAX(*at, start); /* a segment's first piece has its header page */
		hi = MIN(to, seg->end);
		if (lo >= hi)
			continue;
		lo = page_down(lo - start);
		*out = (struct piece){seg->slot, lo, seg->ring_base + lo, hi - start - lo};
		*at = hi;
		return true;
	}
	return false;
}

/* Whole pages go out of the ring; of the last one, to which appends may be adding, a copy of what is complete. */
static int piece_write(struct log *log, const struct piece *p)
{
	uint64_t whole = page_down(p->len);
	struct iovec iov[3];
	int n = ring_iov(log, p->mem, whole, iov);

	if (p->len > whole) {
		ring_get(log, p->mem + whole, log->bounce, p->len - whole);
		memset(log->bounce + (p->len - whole), 0, LOG_PAGE - (p->len - whole));
		iov[n++] = (struct iovec){log->bounce, LOG_PAGE};
	}
	return io_pwritev(p->slot->file, iov, n, p->file_off);
}

/* Write, then sync, [from, to).  The lock is held on entry and exit, not across I/O.  The segments stay live: they hold
 * records that are not durable. */
static int write_out_locked(struct log *log, uint64_t from, uint64_t to)
{
	struct piece p;
	int r = 0;

	for (int pass = 0; pass < 2; pass++) {
		uint64_t at = from;

		while (r == 0 && piece_next_locked(log, &at, to, &p)) {
			pthread_mutex_unlock(&log->lock);
			r = pass == 0 ? piece_write(log, &p) : io_sync(p.slot->file);
			pthread_mutex_lock(&log->lock);
		}
	}
	return r;
}

static bool is_large_locked(const struct log *log)
{
	return log->mem_end - log->mem_durable >= MIN(log->ring_bytes, unflushed_most_locked(log)) / 2;
}

static bool is_due_locked(const struct log *log)
{
	return log->dirty_since_ns &&
	       clock_monotonic_ns() - log->dirty_since_ns >= (int64_t)log->cfg.dirty_age_ms * 1000000;
}

/* Where a flush begun now must end at least; <= durable: there is no reason for one. */
static uint64_t goal_locked(const struct log *log)
{
	uint64_t goal = log->kick;

	if (log->end <= log->durable)
		return 0;
	for (const struct log_waiter *w = log->waiting; w; w = w->link)
		goal = MAX(goal, w->lsn + 1);
	if (log->room_first || log->stop || is_large_locked(log) || is_due_locked(log))
		goal = log->end;
	return goal;
}

/* From when on a flush may begin for those who wait now; 0: at once.  Writers that were just served are about to come back, and
 * one flush for all of them is worth a wait of half a flush.  If they do not come, recent_writers falls and nobody waits next
 * time. */
static int64_t ripe_at_locked(const struct log *log)
{
	if (atomic_load(&log->nwaiting) >= log->recent_writers || log->kick > log->durable || log->room_first || log->stop ||
	    is_large_locked(log) || is_due_locked(log))
		return 0;
	return log->last_flush_ns + MIN(log->typical_flush_ns / 2, LOG_LINGER_MOST_NS);
}

static void note_speed_locked(struct log *log, uint64_t bytes, int64_t ns)
{
	log->typical_flush_ns += (ns - log->typical_flush_ns) / 8;
	if (bytes >= LOG_SPEED_BYTES && ns > 0)
		log->bytes_per_ms = (log->bytes_per_ms * 7 + bytes * 1000000 / (uint64_t)ns) / 8;
}

/* Lock held on entry and exit; nobody is flushing and the log is not poisoned. */
static void flush_locked(struct log *log)
{
	uint64_t from = log->durable, to, goal;
	int64_t begin_ns;
	int r;

	log->flushing = true;
	goal = goal_locked(log);
	while ((to = ring_complete_locked(log)) < goal) {
		log->want_copied = true;
		pthread_cond_wait(&log->copied_cond, &log->lock);
		log->want_copied = false;
	}
	begin_ns = clock_monotonic_ns();
	r = write_out_locked(log, from, to);
	if (r < 0) {
		msg(LOG_CRIT, "log flush failed from=%llu to=%llu error=%d: nothing is written any more",
		    (unsigned long long)from, (unsigned long long)to, -r);
		poison_locked(log, r);
	} else if (to > from) {
		const struct segment *seg = segment_find_locked(log, number_before(log, to));

		log->durable = to;
		log->mem_durable = page_down(seg->ring_base + (to - segment_start(log, seg->number)));
		log->dirty_since_ns = log->end == to || !log->cfg.dirty_age_ms ? 0 : begin_ns;
		log->n_flushes++;
		log->n_flushed_bytes += to - from;
		ring_release_locked(log);
		segments_recycle_locked(log);
	}
	log->last_flush_ns = clock_monotonic_ns();
	if (r == 0 && to > from) {
		histogram_add(&log->flush_ns, (uint64_t)(log->last_flush_ns - begin_ns));
		note_speed_locked(log, to - from, log->last_flush_ns - begin_ns);
	}
	log->recent_writers = atomic_load(&log->nwaiting);
	log->flushing = false;
	room_grew_locked(log); /* less is unflushed, also when no page was released */
}

/* ---- waiters ---- */

struct sync_waiter {
	struct log_waiter w;
	sem_t sem;
	int err;
	_Atomic bool answered;
};

static void sync_done(struct log_waiter *w, int err)
{
	struct sync_waiter *s = CONTAINER_OF(w, struct sync_waiter, w);

	s->err = err;
	atomic_store(&s->answered, true);
	sem_post(&s->sem); /* the last touch of it */
}

struct timed_waiter {
	struct log_waiter w;
	struct log *log;
	pthread_cond_t cond;
	bool answered; /* this and err are protected by the log's lock */
	int err;
};

static void timed_done(struct log_waiter *w, int err)
{
	struct timed_waiter *t = CONTAINER_OF(w, struct timed_waiter, w);
	struct log *log = t->log;

	pthread_mutex_lock(&log->lock);
	t->err = err;
	t->answered = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&log->lock);
}

static bool sleeps_in_log(const struct log_waiter *w)
{
	return w->done == sync_done || w->done == timed_done;
}

/* Answer all (or only those in log_wait) whose fate is known.  Drops the lock to call; false: there was none. */
static bool serve_locked(struct log *log, bool only_sync)
{
	struct log_waiter *served = NULL, **last = &served, **p = &log->waiting;
	uint64_t durable = log->durable;
	int err = log->poisoned;

	while (*p) {
		struct log_waiter *w = *p;

		if ((w->lsn >= durable && !err) || (only_sync && !sleeps_in_log(w))) {
			p = &w->link;
			continue;
		}
		*p = w->link;
		w->link = NULL;
		*last = w;
		last = &w->link;
		atomic_fetch_sub(&log->nwaiting, 1);
	}
	log->waiting_last = p;
	if (!served)
		return false;
	log->answering++;
	pthread_mutex_unlock(&log->lock);
	while (served) {
		struct log_waiter *w = served;

		served = w->link; /* w is gone when done returns */
		w->done(w, w->lsn < durable ? 0 : err);
	}
	pthread_mutex_lock(&log->lock);
	log->answering--;
	return true;
}

/* Flush for those who wait and answer them, until nothing is left for this thread: nobody waits, or another thread flushes, or
 * waits for a flush to be ripe, or answers, and looks again after that.  The log's lock is dropped meanwhile; the caller holds
 * no other.  With me, who is in log_wait, it may: then it answers those in log_wait only, and it ends when me is answered. */
static void lead_locked(struct log *log, const struct sync_waiter *me)
{
	for (;;) {
		int64_t ripe_at;

		if (serve_locked(log, me))
			continue;
		if (me && atomic_load(&me->answered))
			break;
		if (log->flushing || log->poisoned || goal_locked(log) <= log->durable)
			break;
		ripe_at = ripe_at_locked(log);
		if (!ripe_at || clock_monotonic_ns() >= ripe_at) {
			flush_locked(log);
			continue;
		}
		if (log->lingering || log->answering)
			break;
		log->lingering = true;
		(void)cond_wait_until(&log->linger_cond, &log->lock, ripe_at);
		log->lingering = false;
	}
	/* Who is in log_wait ends when it is answered, whatever came meanwhile: others' answers, a kick. */
	if ((log->dirty_since_ns && log->flusher_untimed) ||
	    (me && !log->flushing && (log->waiting || goal_locked(log) > log->durable)))
		pthread_cond_signal(&log->flusher_cond);
}

/* A thread that must not lead has added a waiter. */
static void call_leader_locked(struct log *log)
{
	if (log->flushing)
		return; /* who flushes looks again when he is done */
	if (log->lingering)
		pthread_cond_signal(&log->linger_cond);
	else if (!log->answering || !ripe_at_locked(log))
		pthread_cond_signal(&log->flusher_cond);
}

/* 1: w waits now.  Otherwise the answer is known: 0 or the poison error. */
static int waiter_add_locked(struct log *log, struct log_waiter *w)
{
	log->n_waiters++;
	if (log->poisoned)
		return log->poisoned;
	if (log->end <= log->durable || w->lsn < log->durable)
		return 0;
	w->lsn = MIN(w->lsn, log->end - 1);
	w->link = NULL;
	*log->waiting_last = w;
	log->waiting_last = &w->link;
	atomic_fetch_add(&log->nwaiting, 1);
	return 1;
}

void log_flush(struct log *log, struct log_waiter *w)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = waiter_add_locked(log, w);
	if (r == 1 && nowait_thread())
		call_leader_locked(log);
	else if (r == 1)
		lead_locked(log, NULL);
	pthread_mutex_unlock(&log->lock);
	if (r != 1)
		w->done(w, r);
}

int log_wait(struct log *log, uint64_t lsn)
{
	struct sync_waiter s = {.w = {.lsn = lsn, .done = sync_done}};
	int r;

	nowait_announce();
	pthread_mutex_lock(&log->lock);
	r = waiter_add_locked(log, &s.w);
	if (r != 1) {
		pthread_mutex_unlock(&log->lock);
		return r;
	}
	sem_init(&s.sem, 0, 0);
	lead_locked(log, &s);
	pthread_mutex_unlock(&log->lock);
	while (sem_wait(&s.sem) < 0)
		; /* EINTR */
	sem_destroy(&s.sem);
	return s.err;
}

/* False: it is being answered. */
static bool waiter_remove_locked(struct log *log, struct log_waiter *w)
{
	struct log_waiter **p = &log->waiting;

	while (*p && *p != w)
		p = &(*p)->link;
	if (!*p)
		return false;
	*p = w->link;
	if (!*p)
		log->waiting_last = p;
	atomic_fetch_sub(&log->nwaiting, 1);
	return true;
}

int log_wait_until(struct log *log, uint64_t lsn, int64_t deadline_ns)
{
	struct timed_waiter t = {.w = {.lsn = lsn, .done = timed_done}, .log = log};
	int r;

	cond_init_monotonic(&t.cond);
	pthread_mutex_lock(&log->lock);
	r = waiter_add_locked(log, &t.w);
	if (r == 1) {
		call_leader_locked(log);
		while (!t.answered) {
			if (cond_wait_until(&t.cond, &log->lock, deadline_ns) || t.answered)
				continue;
			if (waiter_remove_locked(log, &t.w)) {
				t.err = -ETIMEDOUT;
				break;
			}
			pthread_cond_wait(&t.cond, &log->lock); /* who answers is on the way */
		}
		r = t.err;
	}
	pthread_mutex_unlock(&log->lock);
	pthread_cond_destroy(&t.cond);
	return r;
}

void log_kick(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	if (log->end > log->durable) {
		log->kick = log->end;
		if (!log->flushing)
			pthread_cond_signal(&log->flusher_cond);
	}
	pthread_mutex_unlock(&log->lock);
}

/* ---- the flusher ---- */

void flusher_nudge_locked(struct log *log)
{
	if (log->flushing || log->end <= log->durable || log->poisoned)
		return; /* who flushes looks again when he is done */
	if (log->room_first || is_large_locked(log) || (log->dirty_since_ns && log->flusher_untimed))
		pthread_cond_signal(&log->flusher_cond);
}

/* Sleep until signalled or the age of what is not durable asks for a flush.  For one more period after the last append the
 * sleep has a deadline although nothing is dirty, so that an append need not wake the flusher just to have it set. */
static void flusher_sleep_locked(struct log *log, uint64_t *records_seen)
{
	int64_t age_ns = (int64_t)log->cfg.dirty_age_ms * 1000000;

	if (log->flushing || log->poisoned || !age_ns || (!log->dirty_since_ns && *records_seen == log->n_records)) {
		log->flusher_untimed = true;
		pthread_cond_wait(&log->flusher_cond, &log->lock);
		log->flusher_untimed = false;
		return;
	}
	*records_seen = log->n_records;
	(void)cond_wait_until(&log->flusher_cond, &log->lock,
			      (log->dirty_since_ns ? log->dirty_since_ns : clock_monotonic_ns()) + age_ns);
}

void *flusher_main(void *arg)
{
	struct log *log = arg;
	uint64_t records_seen = 0;

	pthread_mutex_lock(&log->lock);
	for (;;) {
		lead_locked(log, NULL);
		if (log->stop && (log->poisoned || log->durable == log->end))
			break;
		flusher_sleep_locked(log, &records_seen);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}
