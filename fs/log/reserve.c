/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Room for appends: why log_append neither waits nor fails.
 *
 * Let   S  segment_bytes                    U = S - LOG_PAGE, what records can use of a segment
 *       M  bytes of the longest record      W = M - LOG_RECORD_ALIGN, the most that is wasted at a segment's end: a record
 *                                               that does not fit is at least one unit longer than what is left
 *       r  bytes left in the segment being appended to (0: none begun)
 *       p  ready segments                   X  reserved bytes outstanding
 *       R  ring bytes                       m  ring bytes in use, mem_end - mem_released
 *
 * need(X, r): the fewest segments q with  max(0, r - W) + q * (U - W) >= X.
 *
 * Invariants, true whenever the lock is free:
 *       (1)  need(X, r) <= p
 *       (2)  m + X + 2 * LOG_PAGE * need(X, r) <= R
 *
 * log_reserve adds to X only if both stay true.  log_append of a record that takes `a` bytes lowers X by its charge
 * c = payload + LOG_RECORD_OVERHEAD >= a, where c <= X.
 *  - It fits, a <= r: r falls by a, so the left side of need's inequality falls by at most a <= c, as much as X at least:
 *    need does not grow.  m grows by a.  (1) and (2) hold.
 *  - It does not, a > r: then r <= W and need's first term was 0, so need(X, r) >= 1 as X >= c > 0, and by (1) a ready
 *    segment is there to be begun.  Afterwards r = U - a >= W (U >= 2 * M, checked below), p is one less, and with
 *    q = need(X, 0):  (U - a - W) + (q - 1) * (U - W) = q * (U - W) - a >= X - c, so need falls by one at least: (1).
 *    m grows by a, by the header page, and by less than a page of padding before it, which the lowered need pays: (2).
 * log_unreserve, retiring, flushing and new segments only relax them.
 *
 * Who waits stands in a queue and only the first may take room: a long reservation is not starved by short ones.
 */
#include <errno.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/log/log_private.h"

static uint64_t waste_max(const struct log_config *cfg)
{
	return record_bytes(cfg->max_record_bytes) - LOG_RECORD_ALIGN;
}

static uint64_t segments_needed(const struct log_config *cfg, uint64_t bytes, uint64_t left)
{
	uint64_t waste = waste_max(cfg), usable = cfg->segment_bytes - LOG_PAGE;
	uint64_t sure = left > waste ? left - waste : 0;

	KAGEFS_ASSERT(usable >= 2 * (waste + LOG_RECORD_ALIGN));
	if (bytes <= sure)
		return 0;
	return (bytes - sure + usable - waste - 1) / (usable - waste);
}

/* So that (2) lets a reservation of buffer_bytes pass when everything is durable: then m is less than a page. */
uint64_t ring_bytes_for(const struct log_config *cfg)
{
	return page_up(LOG_PAGE + cfg->buffer_bytes + 2 * LOG_PAGE * segments_needed(cfg, cfg->buffer_bytes, 0));
}

static uint64_t left_locked(struct log *log)
{
	const struct segment *seg = log->begun ? segment_last_locked(log) : NULL;

	return seg ? segment_start(log, seg->number) + log->cfg.segment_bytes - seg->end : 0;
}

uint64_t unflushed_most_locked(const struct log *log)
{
	return MAX(LOG_UNFLUSHED_LEAST, log->bytes_per_ms * LOG_UNFLUSHED_MS);
}

/* Whoever asks for durability waits for all that was appended before, so appends are held up before that takes long.  Never
 * when everything is durable: a single reservation may be longer than this. */
static bool floods_locked(const struct log *log, uint64_t bytes)
{
	return log->end > log->durable && log->mem_end - log->mem_durable + bytes > unflushed_most_locked(log);
}

static bool fits_locked(struct log *log, uint64_t bytes)
{
	uint64_t all = log->reserved + bytes;
	uint64_t need = segments_needed(&log->cfg, all, left_locked(log));

	return !floods_locked(log, all) && need <= log->nready &&
	       log->mem_end - log->mem_released + all + 2 * LOG_PAGE * need <= log->ring_bytes;
}

/* No segment file can be added, and not even retiring all that can be retired would do. */
static bool hopeless_locked(struct log *log, uint64_t bytes, uint64_t tries_before)
{
	uint32_t retirable = log->nlive ? log->nlive - 1 : 0;

	return log->prepare_error < 0 && log->prepare_tries != tries_before && log->nslots < log->cfg.max_segments &&
	       segments_needed(&log->cfg, bytes, left_locked(log)) > log->nready + retirable;
}

void room_changed_locked(struct log *log)
{
	if (log->room_first)
		pthread_cond_signal(&log->room_first->cond);
}

void room_grew_locked(struct log *log)
{
	if (log->room_first && fits_locked(log, log->room_first->bytes))
		pthread_cond_signal(&log->room_first->cond);
}

static void room_leave_locked(struct log *log, struct room_waiter *me)
{
	struct room_waiter **p = &log->room_first;

	while (*p != me)
		p = &(*p)->next;
	*p = me->next;
	if (!*p)
		log->room_last = p;
	log->ready_wanted = 0; /* the next one says what he wants */
	room_changed_locked(log);
}

static int wait_for_room_locked(struct log *log, uint64_t bytes, uint32_t timeout_ms)
{
	int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
	struct room_waiter me = {.bytes = bytes};
	uint64_t tries = log->prepare_tries;
	bool asked = false;
	int r;

	log->n_reserve_waits++;
	cond_init_monotonic(&me.cond);
	*log->room_last = &me;
	log->room_last = &me.next;
	for (;;) {
		if (log->poisoned) {
			r = log->poisoned;
			break;
		}
		if (log->room_first == &me) {
			if (fits_locked(log, bytes)) {
				log->reserved += bytes;
				r = 0;
				break;
			}
			if (hopeless_locked(log, bytes, tries)) {
				r = log->prepare_error;
				break;
			}
			log->ready_wanted = (uint32_t)segments_needed(&log->cfg, log->reserved + bytes, left_locked(log));
			if (!asked && log->ready_wanted > log->nready) {
				asked = true;
				log->ready_target = MIN(log->ready_target * 2, LOG_READY_MOST);
				log->prepare_retry = true;
				pthread_cond_signal(&log->preparer_cond);
			}
			flusher_nudge_locked(log);
		}
		if (!cond_wait_until(&me.cond, &log->lock, deadline)) {
			r = log->prepare_error < 0 && log->ready_wanted > log->nready ? log->prepare_error : -ETIMEDOUT;
			if (log->poisoned)
				r = log->poisoned;
			else if (log->room_first == &me && fits_locked(log, bytes)) {
				log->reserved += bytes;
				r = 0;
			}
			break;
		}
	}
	room_leave_locked(log, &me);
	pthread_cond_destroy(&me.cond);
	return r;
}

int log_reserve(struct log *log, uint64_t bytes, uint32_t timeout_ms)
{
	int r = 0;

	/* More than can ever be free at once: the segment before the current one stays until the current one's header is
	 * durable, so two of them may be tied up. */
	if (bytes > log->cfg.buffer_bytes || segments_needed(&log->cfg, bytes, 0) > log->cfg.max_segments - 2)
		return -EINVAL;
	pthread_mutex_lock(&log->lock);
	if (log->poisoned)
		r = log->poisoned;
	else if (!log->room_first && fits_locked(log, bytes))
		log->reserved += bytes;
	else if (!(r = nowait_check()))
		r = wait_for_room_locked(log, bytes, timeout_ms);
	pthread_mutex_unlock(&log->lock);
	return r;
}

void log_unreserve(struct log *log, uint64_t bytes)
{
	pthread_mutex_lock(&log->lock);
	KAGEFS_ASSERT(bytes <= log->reserved);
	log->reserved -= bytes;
	room_grew_locked(log);
	pthread_mutex_unlock(&log->lock);
}
