/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding the end of the log, and handing its records out on the way.
 *
 * The valid log is the chain: records one after the other while their checksums hold; at the first that does not, the
 * segment with the next number if its prev_end is just there; otherwise this is the end.  What a power cut tore ends the log
 * silently.  Damage to what was durable is told from that by the `durable` fields of anything valid that lies behind the
 * end: later segments' headers and records, and later records in the last segment.  Only damage in the last flushes before
 * a crash, with nothing behind them, looks like a torn end.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "fs/base/msg.h"
#include "fs/log/log_private.h"

#define READ_CHUNK (1u << 20)

/* A window on one segment file. */
struct reader {
	struct log *log;
	const struct slot *slot;
	uint64_t start, limit; /* positions of the segment */
	uint8_t *buf;	       /* owned */
	size_t cap, len;
	uint64_t pos; /* of buf[0] */
};

static void reader_set(struct reader *rd, const struct slot *slot)
{
	rd->slot = slot;
	rd->start = segment_start(rd->log, slot->head.number);
	rd->limit = rd->start + rd->log->cfg.segment_bytes;
	rd->len = 0;
}

/* [pos, pos + len) lies in the segment.  *out is good until the next call. */
static int reader_get(struct reader *rd, uint64_t pos, size_t len, const uint8_t **out)
{
	size_t want;
	ssize_t n;

	if (pos < rd->pos || pos - rd->pos > rd->len || len > rd->len - (pos - rd->pos)) {
		want = MIN(MAX(len, READ_CHUNK), rd->limit - pos);
		if (want > rd->cap) {
			uint8_t *buf = realloc(rd->buf, want);

			if (!buf)
				return -ENOMEM;
			rd->buf = buf;
			rd->cap = want;
		}
		rd->len = 0;
		n = io_pread(rd->slot->file, rd->buf, want, pos - rd->start);
		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return -EUCLEAN; /* log_open has seen the full size */
		rd->len = want;
		rd->pos = pos;
	}
	*out = rd->buf + (pos - rd->pos);
	return 0;
}

/* 1: a valid record at pos, *bytes is its first; 0: none. */
static int reader_record(struct reader *rd, uint64_t pos, struct record_header *h, const uint8_t **bytes)
{
	int r;

	if (rd->limit - pos < LOG_RECORD_HEADER)
		return 0;
	r = reader_get(rd, pos, LOG_RECORD_HEADER, bytes);
	if (r < 0)
		return r;
	if (get_le64(*bytes + 8) != pos)
		return 0;
	record_header_decode(*bytes, h);
	if (h->type == 0 || h->durable > pos || h->len > rd->limit - pos - LOG_RECORD_HEADER)
		return 0;
	r = reader_get(rd, pos, LOG_RECORD_HEADER + (size_t)h->len, bytes);
	if (r < 0)
		return r;
	return (checksum64(*bytes + 8, LOG_RECORD_HEADER - 8 + (size_t)h->len) ^ rd->slot->head.nonce) == h->checksum;
}

/* log_open has made sure that no two slots have the same number. */
static const struct slot *slot_by_number(const struct log *log, uint64_t number)
{
	for (uint32_t i = 0; i < log->nslots; i++)
		if (log->slots[i]->has_header && log->slots[i]->head.number == number)
			return log->slots[i];
	return NULL;
}

/* The slot and position to begin at.  *out NULL: the log has never been written to. */
static int find_start(const struct log *log, uint64_t from, const struct slot **out, uint64_t *pos)
{
	const struct slot *s;
	uint64_t number;

	if (from == 0) {
		*out = slot_by_number(log, 0);
		*pos = LOG_PAGE;
		if (*out)
			return 0;
		for (uint32_t i = 0; i < log->nslots; i++)
			if (log->slots[i]->has_header)
				return -EUCLEAN;
		*pos = 0;
		return 0;
	}
	number = number_before(log, from);
	s = slot_by_number(log, number + 1);
	if (s && s->head.prev_end == from) {
		*out = s;
		*pos = segment_start(log, number + 1) + LOG_PAGE;
		return 0;
	}
	*out = slot_by_number(log, number);
	*pos = from;
	if (!*out || from < segment_start(log, number) + LOG_PAGE || from % LOG_RECORD_ALIGN)
		return -EUCLEAN;
	return 0;
}

static int lost(uint64_t end, uint64_t durable)
{
	msg(LOG_ERR, "log damaged: it ends at=%llu but was durable to=%llu", (unsigned long long)end, (unsigned long long)durable);
	return -EUCLEAN;
}

/* Nothing behind the end may say that more was durable.  rd stands on the last segment. */
static int check_behind(struct reader *rd, uint64_t end)
{
	const struct log *log = rd->log;
	uint64_t last = rd->slot->head.number;
	struct record_header h;
	const uint8_t *bytes;
	int r;

	/* Records may have any length, so the next valid one may be at any unit. */
	for (uint64_t pos = end; pos < rd->limit; pos += LOG_RECORD_ALIGN) {
		r = reader_record(rd, pos, &h, &bytes);
		if (r < 0)
			return r;
		if (r == 1 && h.durable > end)
			return lost(end, h.durable);
	}
	for (uint32_t i = 0; i < log->nslots; i++) {
		const struct slot *s = log->slots[i];

		if (!s->has_header || s->head.number <= last)
			continue;
		if (s->head.durable > end)
			return lost(end, s->head.durable);
		reader_set(rd, s);
		for (uint64_t pos = rd->start + LOG_PAGE; (r = reader_record(rd, pos, &h, &bytes)) == 1;
		     pos += record_bytes(h.len))
			if (h.durable > end)
				return lost(end, h.durable);
		if (r < 0)
			return r;
	}
	return 0;
}

static int scan_chain(struct reader *rd, uint64_t pos, int (*fn)(void *arg, const struct log_record *rec), void *arg)
{
	struct log *log = rd->log;
	struct record_header h;
	const struct slot *next;
	const uint8_t *bytes;
	int r;

	log->scan_first = rd->slot->head.number;
	log->scan_proven = rd->slot->head.durable;
	for (;;) {
		r = reader_record(rd, pos, &h, &bytes);
		if (r < 0)
			return r;
		if (r == 0) {
			next = slot_by_number(log, rd->slot->head.number + 1);
			if (!next || next->head.prev_end != pos)
				break;
			reader_set(rd, next);
			pos = rd->start + LOG_PAGE;
			log->scan_proven = MAX(log->scan_proven, next->head.durable);
			continue;
		}
		log->scan_proven = MAX(log->scan_proven, h.durable);
		if (fn) {
			struct log_record rec = {
				.lsn = pos,
				.next = pos + record_bytes(h.len),
				.data_pos = pos + LOG_RECORD_HEADER,
				.type = h.type,
				.flags = h.flags,
				.len = h.len,
				.payload = bytes + LOG_RECORD_HEADER,
			};

			r = fn(arg, &rec);
			if (r != 0)
				return r;
		}
		pos += record_bytes(h.len);
	}
	log->scan_last = rd->slot->head.number;
	log->scan_end = pos;
	return check_behind(rd, pos);
}

int log_scan(struct log *log, uint64_t from, int (*fn)(void *arg, const struct log_record *rec), void *arg)
{
	struct reader rd = {.log = log};
	const struct slot *first;
	uint64_t pos;
	int r;

	log->scanned = false;
	r = find_start(log, from, &first, &pos);
	if (r < 0) {
		msg(LOG_ERR, "log damaged: nothing at=%llu", (unsigned long long)from);
		return r;
	}
	/* After a killed process the page cache may know more than the disk, and the caller may act on what he is shown. */
	for (uint32_t i = 0; i < log->nslots; i++) {
		if (!log->slots[i]->has_header)
			continue;
		r = io_sync(log->slots[i]->file);
		if (r < 0)
			return r;
	}
	log->scan_empty = !first;
	log->scan_end = pos;
	if (first) {
		reader_set(&rd, first);
		r = scan_chain(&rd, pos, fn, arg);
		free(rd.buf);
		if (r != 0)
			return r;
	}
	log->scan_from = from;
	log->scanned = true;
	return 0;
}

int log_replay(struct log *log, uint64_t from, int (*fn)(void *arg, const struct log_record *rec), void *arg)
{
	return log_scan(log, from, fn, arg);
}
