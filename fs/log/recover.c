/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What log_start does to the disk before the first append, in this order:
 *
 *   1. names that a broken-off preparation left are removed, and files above max_segments that hold nothing;
 *   2. the records at the end of the log that nothing proves to be durable are written once more and synced.  They were
 *      read, so they count from now on; but after a failed sync the page cache may hold them, clean, while the disk does
 *      not, and only writing makes them dirty again.  What follows the end in its page becomes zeros;
 *   3. headers with a number above the end are zeroed and synced (see log_format.h).
 *
 * Each leaves the same valid log, so a power cut in between does no harm.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/log/log_private.h"

#define COPY_CHUNK (1u << 20)
#define NAME_MAX_BYTES 64

struct leftover {
	char name[NAME_MAX_BYTES];
	bool found;
};

static int find_leftover(void *arg, const char *name)
{
	struct leftover *l = arg;
	uint32_t id;

	if (slot_name_parse(name, &id) == 0 || strncmp(name, "seg-", 4) != 0 || strlen(name) >= NAME_MAX_BYTES)
		return 0;
	memcpy(l->name, name, strlen(name) + 1);
	l->found = true;
	return 1;
}

/* One listing per name: a directory is not changed while it is listed. */
static int remove_leftovers(struct log *log)
{
	for (;;) {
		struct leftover l = {.found = false};
		char path[NAME_MAX_BYTES + sizeof(LOG_DIR) + 1];
		int r = io_list(log->io, LOG_DIR, find_leftover, &l);

		if (r < 0)
			return r;
		if (!l.found)
			return 0;
		snprintf(path, sizeof(path), LOG_DIR "/%s", l.name);
		r = io_unlink(log->io, path);
		if (r < 0)
			return r;
	}
}

/* Write [from, to) of a live segment again; from is a page's start, behind `to` come zeros to the page's end. */
static int rewrite(struct log *log, const struct segment *seg, uint64_t from, uint64_t to)
{
	CLEANUP_FREE uint8_t *buf = malloc(COPY_CHUNK);
	uint64_t start = segment_start(log, seg->number);
	int r;

	if (!buf)
		return -ENOMEM;
	for (uint64_t pos = from; pos < to; pos += COPY_CHUNK) {
		size_t len = MIN(COPY_CHUNK, to - pos);
		ssize_t n = io_pread(seg->slot->file, buf, len, pos - start);

		if (n < 0)
			return (int)n;
		if ((size_t)n < len)
			return -EUCLEAN;
		memset(buf + len, 0, page_up(len) - len);
		r = io_pwrite(seg->slot->file, buf, page_up(len), pos - start);
		if (r < 0)
			return r;
	}
	return io_sync(seg->slot->file);
}

static int make_tail_firm(struct log *log)
{
	uint64_t proven = MAX(log->scan_proven, log->retired);

	for (uint64_t number = log->live_first; number < log->live_first + log->nlive; number++) {
		const struct segment *seg = segment_find_locked(log, number);
		int r;

		if (seg->end <= proven)
			continue;
		r = rewrite(log, seg, page_down(MAX(proven, segment_start(log, number))), seg->end);
		if (r < 0)
			return r;
	}
	return 0;
}

static int zero_header(struct slot *slot)
{
	static const uint8_t zeros[LOG_PAGE];
	int r = io_pwrite(slot->file, zeros, LOG_PAGE, 0);

	if (r == 0)
		r = io_sync(slot->file);
	if (r == 0)
		slot->has_header = false;
	return r;
}

static struct slot *slot_with(struct log *log, uint64_t number)
{
	for (uint32_t i = 0; i < log->nslots; i++)
		if (log->slots[i]->has_header && log->slots[i]->head.number == number)
			return log->slots[i];
	return NULL;
}

/* The segments of the chain that replay has walked. */
static void chain_to_live(struct log *log)
{
	struct segment *prev = NULL;

	for (uint64_t number = log->scan_first; number <= log->scan_last; number++) {
		struct slot *slot = slot_with(log, number);
		struct segment *seg;

		KAGEFS_ASSERT(slot);
		seg = segment_append_locked(log, slot, number);
		seg->prev_end = slot->head.prev_end;
		if (prev)
			prev->end = seg->prev_end;
		prev = seg;
	}
	prev->end = log->scan_end;
	log->next_number = log->scan_last + 1;
}

int log_recover(struct log *log, uint64_t retained)
{
	int r = 0;

	if (!log->scanned || retained < log->scan_from)
		r = log_scan(log, retained, NULL, NULL);
	if (r < 0)
		return r;
	if (retained > log->scan_end) {
		msg(LOG_ERR, "log damaged: it ends at=%llu but is needed from=%llu", (unsigned long long)log->scan_end,
		    (unsigned long long)retained);
		return -EUCLEAN;
	}
	r = remove_leftovers(log);
	if (r < 0)
		return r;
	log->end = log->durable = log->scan_end;
	log->retired = retained;
	log->next_number = 0;
	if (!log->scan_empty)
		chain_to_live(log);
	r = make_tail_firm(log);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < log->nslots;) {
		struct slot *s = log->slots[i];

		if (s->has_header && log->nlive && s->head.number >= log->next_number) {
			r = zero_header(s);
			if (r < 0)
				return r;
		}
		if (s->has_header && log->nlive && s->head.number >= log->live_first) {
			i++; /* live */
			continue;
		}
		if (log->nslots > log->cfg.max_segments) {
			r = slot_remove(log->io, s->id);
			if (r < 0)
				return r;
			slot_free(s);
			log->slots[i] = log->slots[--log->nslots];
			continue;
		}
		ready_push_locked(log, s);
		i++;
	}
	segments_recycle_locked(log);
	return 0;
}
