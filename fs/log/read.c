/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading payload back, and giving up what nobody reads any more. */
#include <errno.h>

#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/log/log_private.h"

/* 0 and the live segment of [pos, pos + len). */
static int find_range_locked(struct log *log, uint64_t pos, size_t len, struct segment **out)
{
	uint64_t number = pos / log->cfg.segment_bytes;
	struct segment *seg = segment_find_locked(log, number);

	if (!seg)
		return number < log->live_first ? -ESTALE : -EINVAL;
	if (pos < segment_start(log, number) + LOG_PAGE || len > seg->end - MIN(pos, seg->end))
		return -EINVAL;
	*out = seg;
	return 0;
}

int log_read(struct log *log, uint64_t pos, void *buf, size_t len)
{
	struct io_file *file;
	struct segment *seg;
	struct span span;
	uint64_t off;
	ssize_t n;
	int r;

	pthread_mutex_lock(&log->lock);
	r = find_range_locked(log, pos, len, &seg);
	if (r < 0)
		goto out;
	off = pos - segment_start(log, seg->number);
	if (pos >= log->durable) {
		/* A record lies wholly on one side of durable.  The span keeps its ring bytes while a flush completes. */
		span.at = seg->ring_base + off;
		span_add_last(&log->reading, &span);
		pthread_mutex_unlock(&log->lock);
		ring_get(log, span.at, buf, len);
		pthread_mutex_lock(&log->lock);
		span_remove(&span);
		ring_release_locked(log);
		goto out;
	}
	r = nowait_check();
	if (r)
		goto out;
	file = seg->slot->file;
	pthread_mutex_unlock(&log->lock);
	n = io_pread(file, buf, len, off);
	pthread_mutex_lock(&log->lock);
	/* A segment is overwritten only after it has ceased to be live, so looking again afterwards is enough. */
	r = find_range_locked(log, pos, len, &seg);
	if (r == 0 && n < 0)
		r = (int)n;
	else if (r == 0 && (size_t)n < len)
		r = -EIO;
out:
	pthread_mutex_unlock(&log->lock);
	return r;
}

void log_retire(struct log *log, uint64_t lsn)
{
	pthread_mutex_lock(&log->lock);
	KAGEFS_ASSERT(lsn <= log->durable);
	log->retired = MAX(log->retired, lsn);
	segments_recycle_locked(log);
	pthread_mutex_unlock(&log->lock);
}
