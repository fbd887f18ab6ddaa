/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for records that are not durable yet: one ring.
 *
 * Who may touch which bytes, without the lock:
 *   - an append writes the bytes of its own record while its span is in log->copying;
 *   - the flush reads bytes before ring_complete(), and only whole pages or its own copy of the last page, so that it never
 *     looks at bytes an append is writing;
 *   - log_read reads bytes of a complete record while its span is in log->reading.
 * Bytes in [mem_released, mem_end) are not given to new records.
 */
#include <string.h>

#include "fs/log/log_private.h"

int ring_iov(const struct log *log, uint64_t mem, size_t len, struct iovec *iov)
{
	uint64_t at = mem % log->ring_bytes;
	size_t first = MIN(len, log->ring_bytes - at);

	if (len == 0)
		return 0;
	iov[0] = (struct iovec){log->ring + at, first};
	if (first == len)
		return 1;
	iov[1] = (struct iovec){log->ring, len - first};
	return 2;
}

void ring_put(struct log *log, uint64_t mem, const void *data, size_t len)
{
	struct iovec iov[2];
	int n = ring_iov(log, mem, len, iov);

	for (int i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, data, iov[i].iov_len);
		data = (const uint8_t *)data + iov[i].iov_len;
	}
}

void ring_get(const struct log *log, uint64_t mem, void *out, size_t len)
{
	struct iovec iov[2];
	int n = ring_iov(log, mem, len, iov);

	for (int i = 0; i < n; i++) {
		memcpy(out, iov[i].iov_base, iov[i].iov_len);
		out = (uint8_t *)out + iov[i].iov_len;
	}
}

void span_add_last(struct span *list, struct span *s)
{
	s->prev = list->prev;
	s->next = list;
	list->prev->next = s;
	list->prev = s;
}

void span_remove(struct span *s)
{
	s->prev->next = s->next;
	s->next->prev = s->prev;
}

uint64_t ring_complete_locked(const struct log *log)
{
	const struct span *first = log->copying.next;

	return first == &log->copying ? log->end : first->at;
}

void ring_release_locked(struct log *log)
{
	uint64_t to = log->mem_durable;

	for (const struct span *s = log->reading.next; s != &log->reading; s = s->next)
		to = MIN(to, s->at);
	if (to > log->mem_released) {
		log->mem_released = to;
		room_grew_locked(log);
	}
}
