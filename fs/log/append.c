/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * log_append: take a place in the stream under the lock, then copy and sum up without it.  The record's span in
 * log->copying keeps the flush from going past it before its bytes are complete.
 */
#include <errno.h>

#include "fs/base/clock.h"
#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "fs/base/msg.h"
#include "fs/log/log_private.h"

/* Invariant (1) of reserve.c says that a ready segment is there.  Its header reaches the disk with its first records. */
static struct segment *segment_begin_locked(struct log *log)
{
	struct slot *slot = ready_pop_locked(log);
	struct segment_header head;
	uint8_t page[LOG_PAGE];
	struct segment *seg;

	KAGEFS_ASSERT(slot);
	seg = segment_append_locked(log, slot, log->next_number++);
	seg->prev_end = log->end;
	seg->nonce = slot->nonce;
	seg->ring_base = page_up(log->mem_end);
	seg->end = segment_start(log, seg->number) + LOG_PAGE;
	head = (struct segment_header){
		.segment_bytes = log->cfg.segment_bytes,
		.number = seg->number,
		.prev_end = seg->prev_end,
		.durable = log->durable,
		.nonce = seg->nonce,
	};
	memcpy(head.uuid, log->uuid, sizeof(head.uuid));
	segment_header_encode(&head, page);
	ring_put(log, seg->ring_base, page, LOG_PAGE);
	log->mem_end = seg->ring_base + LOG_PAGE;
	log->begun = true;
	pthread_cond_signal(&log->preparer_cond);
	return seg;
}

/* Bring the record into the ring; the lock is not held. */
static void record_put(struct log *log, uint64_t mem, uint64_t nonce, struct record_header *head, const struct iovec *iov, int n)
{
	static const uint8_t zeros[LOG_RECORD_ALIGN];
	uint8_t bytes[LOG_RECORD_HEADER];
	uint64_t at = mem + LOG_RECORD_HEADER;
	struct iovec sum[2];

	record_header_encode(head, bytes);
	ring_put(log, mem, bytes, LOG_RECORD_HEADER);
	for (int i = 0; i < n; i++) {
		ring_put(log, at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	ring_put(log, at, zeros, mem + record_bytes(head->len) - at);
	n = ring_iov(log, mem + 8, LOG_RECORD_HEADER - 8 + head->len, sum);
	put_le64(bytes, checksum64_iov(sum, n) ^ nonce);
	ring_put(log, mem, bytes, 8);
}

uint64_t log_append(struct log *log, uint64_t *reserved, uint16_t type, uint16_t flags, const struct iovec *iov, int n,
		    uint64_t *data_pos, uint64_t *next)
{
	struct record_header head = {.type = type, .flags = flags};
	struct segment *seg;
	struct span span;
	uint64_t len = 0, mem, nonce, bytes;

	KAGEFS_ASSERT(type != 0 && n >= 0 && n <= 8);
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	KAGEFS_ASSERT(len <= log->cfg.max_record_bytes && len + LOG_RECORD_OVERHEAD <= *reserved);
	*reserved -= len + LOG_RECORD_OVERHEAD;
	head.len = (uint32_t)len;
	bytes = record_bytes(len);

	pthread_mutex_lock(&log->lock);
	span.at = log->end;
	seg = log->begun ? segment_last_locked(log) : NULL;
	if (!seg || bytes > segment_start(log, seg->number) + log->cfg.segment_bytes - seg->end)
		seg = segment_begin_locked(log);
	KAGEFS_ASSERT(len + LOG_RECORD_OVERHEAD <= log->reserved);
	log->reserved -= len + LOG_RECORD_OVERHEAD;
	head.lsn = seg->end;
	head.durable = log->durable;
	nonce = seg->nonce;
	mem = log->mem_end;
	seg->end += bytes;
	log->end = seg->end;
	log->mem_end += bytes;
	KAGEFS_ASSERT(log->mem_end - log->mem_released <= log->ring_bytes); /* (2) of reserve.c */
	log->n_records++;
	if (!log->dirty_since_ns && log->cfg.dirty_age_ms)
		log->dirty_since_ns = clock_monotonic_ns();
	span_add_last(&log->copying, &span);
	pthread_mutex_unlock(&log->lock);

	record_put(log, mem, nonce, &head, iov, n);

	pthread_mutex_lock(&log->lock);
	span_remove(&span);
	if (log->want_copied)
		pthread_cond_signal(&log->copied_cond);
	flusher_nudge_locked(log);
	room_grew_locked(log); /* the charge was more than the record took */
	pthread_mutex_unlock(&log->lock);

	if (data_pos)
		*data_pos = head.lsn + LOG_RECORD_HEADER;
	if (next)
		*next = head.lsn + bytes;
	return head.lsn;
}
