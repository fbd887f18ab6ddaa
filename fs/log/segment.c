/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Segments: the header's bytes, the files, and which of them are live or ready.
 *
 * A segment may be overwritten when (a) nothing in it is needed any more, and (b) the header of the next one is durable.
 * Without (b) a power cut could leave a log that is empty but cannot be told from one that was lost.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "fs/base/clock.h"
#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "fs/base/msg.h"
#include "fs/log/log_private.h"

#define WRITE_CHUNK (1u << 20)

void segment_header_encode(const struct segment_header *h, uint8_t out[LOG_PAGE])
{
	memset(out, 0, LOG_PAGE);
	memcpy(out, LOG_MAGIC, 8);
	put_le32(out + 8, LOG_VERSION);
	memcpy(out + 16, h->uuid, 16);
	put_le64(out + 32, h->segment_bytes);
	put_le64(out + 40, h->number);
	put_le64(out + 48, h->prev_end);
	put_le64(out + 56, h->durable);
	put_le64(out + 64, h->nonce);
	put_le64(out + 72, checksum64(out, 72));
}

int segment_header_decode(const uint8_t in[LOG_HEADER_BYTES], struct segment_header *out)
{
	static const uint8_t zeros[LOG_HEADER_BYTES];

	if (memcmp(in, zeros, LOG_HEADER_BYTES) == 0)
		return -ENODATA;
	if (memcmp(in, LOG_MAGIC, 8) != 0 || get_le64(in + 72) != checksum64(in, 72))
		return -EUCLEAN;
	if (get_le32(in + 8) != LOG_VERSION)
		return -EPROTONOSUPPORT;
	memcpy(out->uuid, in + 16, 16);
	out->segment_bytes = get_le64(in + 32);
	out->number = get_le64(in + 40);
	out->prev_end = get_le64(in + 48);
	out->durable = get_le64(in + 56);
	out->nonce = get_le64(in + 64);
	if (out->segment_bytes == 0 || out->number >= UINT64_MAX / out->segment_bytes ||
	    out->prev_end > out->number * out->segment_bytes || out->durable > out->prev_end)
		return -EUCLEAN;
	return 0;
}

int log_config_check(const struct log_config *cfg)
{
	uint64_t s = cfg->segment_bytes;

	if (s < 65536 || (s & (s - 1)) != 0 || s > (1ull << 40))
		return -EINVAL;
	if (cfg->max_segments < 4 || cfg->max_segments > (1u << 20))
		return -EINVAL;
	if (cfg->max_record_bytes == 0 || cfg->max_record_bytes > s / 4)
		return -EINVAL;
	/* One record of full size must fit the buffer with its overhead. */
	if (cfg->buffer_bytes < 2 * (uint64_t)cfg->max_record_bytes ||
	    cfg->buffer_bytes < cfg->max_record_bytes + (uint64_t)LOG_RECORD_OVERHEAD)
		return -EINVAL;
	return 0;
}

/* A nonce need not resist anybody, only never come twice, so a missing random source is no reason to fail. */
uint64_t nonce_new(void)
{
	static _Atomic uint64_t count;
	struct {
		uint64_t random[2];
		int64_t now[2];
		uint64_t count;
	} seed = {.now = {clock_realtime_ns(), clock_monotonic_ns()}};

	seed.count = atomic_fetch_add(&count, 1);
	(void)!getrandom(seed.random, sizeof(seed.random), GRND_NONBLOCK); /* see above */
	return checksum64(&seed, sizeof(seed));
}

void slot_path(char out[SLOT_PATH_BYTES], uint32_t id, const char *suffix)
{
	snprintf(out, SLOT_PATH_BYTES, LOG_DIR "/seg-%08x%s", id, suffix);
}

int slot_name_parse(const char *name, uint32_t *id)
{
	char again[SLOT_PATH_BYTES];
	char *end;
	unsigned long v;

	if (strlen(name) != 12 || strncmp(name, "seg-", 4) != 0)
		return -EINVAL;
	v = strtoul(name + 4, &end, 16);
	snprintf(again, sizeof(again), "seg-%08lx", v);
	if (*end || v >= UINT32_MAX || strcmp(again, name) != 0)
		return -EINVAL;
	*id = (uint32_t)v;
	return 0;
}

int slot_remove(struct io *io, uint32_t id)
{
	char path[SLOT_PATH_BYTES];

	slot_path(path, id, "");
	return io_unlink(io, path);
}

void slot_free(struct slot *s)
{
	if (!s)
		return;
	io_close(s->file);
	free(s);
}

static int write_zeros(struct io_file *f, uint64_t bytes, _Atomic bool *stop)
{
	CLEANUP_FREE void *zeros = NULL;
	int r = -posix_memalign(&zeros, IO_ALIGN, WRITE_CHUNK);

	if (r)
		return r;
	memset(zeros, 0, WRITE_CHUNK);
	for (uint64_t off = 0; r == 0 && off < bytes; off += WRITE_CHUNK)
		r = stop && atomic_load(stop) ? -ECANCELED : io_pwrite(f, zeros, MIN(bytes - off, WRITE_CHUNK), off);
	return r;
}

/* Past the page cache: nobody reads zeros, and a log that grows as fast as the disk can would fill memory with them. */
static int fill_segment(struct io *io, const char *path, uint64_t bytes, _Atomic bool *stop)
{
	CLEANUP_IO struct io_file *f = NULL;
	int r = io_open(io, path, IO_CREATE | IO_EXCL | IO_UNCACHED, &f);

	if (r < 0)
		return r;
	r = io_allocate(f, 0, bytes);
	if (r == -EOPNOTSUPP)
		r = 0; /* then the writes find out */
	if (r == 0)
		r = write_zeros(f, bytes, stop);
	return r ? r : io_sync(f);
}

/* Written in full under another name first: a file with a segment's name is always complete, so a flush into it neither
 * runs out of space nor makes the underlying file system commit its journal. */
int slot_create(struct io *io, const struct log_config *cfg, uint32_t id, _Atomic bool *stop, struct slot **out)
{
	struct slot *s = calloc(1, sizeof(*s));
	char path[SLOT_PATH_BYTES], tmp[SLOT_PATH_BYTES];
	int r;

	if (!s)
		return -ENOMEM;
	slot_path(path, id, "");
	slot_path(tmp, id, ".new");
	s->id = id;
	s->nonce = nonce_new();
	r = fill_segment(io, tmp, cfg->segment_bytes, stop);
	if (r == 0)
		r = io_open(io, tmp, 0, &s->file);
	if (r == 0)
		r = io_rename(io, tmp, path, IO_NOREPLACE);
	if (r < 0) {
		(void)!io_unlink(io, tmp); /* or log_start will */
		goto fail;
	}
	r = io_sync_dir(io, LOG_DIR);
	if (r < 0)
		goto fail;
	*out = s;
	return 0;
fail:
	slot_free(s);
	return r;
}

int log_format(struct io *io, const uint8_t store_uuid[16], const struct log_config *cfg)
{
	int r = log_config_check(cfg);

	if (r < 0)
		return r;
	r = io_mkdir(io, LOG_DIR);
	if (r < 0)
		return r;
	for (uint32_t id = 1; id <= LOG_FIRST_SEGMENTS; id++) {
		struct slot *s = NULL;

		r = slot_create(io, cfg, id, NULL, &s);
		if (r < 0)
			return r;
		slot_free(s);
	}
	return io_sync_dir(io, ".");
}

struct segment *segment_find_locked(struct log *log, uint64_t number)
{
	if (number < log->live_first || number - log->live_first >= log->nlive)
		return NULL;
	return &log->live[number % log->slots_max];
}

struct segment *segment_last_locked(struct log *log)
{
	return log->nlive ? segment_find_locked(log, log->live_first + log->nlive - 1) : NULL;
}

struct segment *segment_append_locked(struct log *log, struct slot *slot, uint64_t number)
{
	struct segment *seg = &log->live[number % log->slots_max];

	KAGEFS_ASSERT(log->nlive < log->slots_max);
	KAGEFS_ASSERT(log->nlive == 0 || number == log->live_first + log->nlive);
	if (log->nlive++ == 0)
		log->live_first = number;
	*seg = (struct segment){.slot = slot, .number = number};
	return seg;
}

void ready_push_locked(struct log *log, struct slot *slot)
{
	KAGEFS_ASSERT(log->nready < log->slots_max);
	log->ready[(log->ready_first + log->nready++) % log->slots_max] = slot;
}

struct slot *ready_pop_locked(struct log *log)
{
	struct slot *slot;

	if (log->nready == 0)
		return NULL;
	slot = log->ready[log->ready_first];
	log->ready_first = (log->ready_first + 1) % log->slots_max;
	log->nready--;
	return slot;
}

void segments_recycle_locked(struct log *log)
{
	bool changed = false;

	while (log->nlive >= 2) {
		struct segment *seg = segment_find_locked(log, log->live_first);
		const struct segment *next = segment_find_locked(log, log->live_first + 1);

		/* next's header was written with the flush of its first record; durable is a record's end. */
		if (next->prev_end > log->retired || log->durable <= segment_start(log, next->number))
			break;
		seg->slot->nonce = nonce_new();
		ready_push_locked(log, seg->slot);
		log->live_first++;
		log->nlive--;
		changed = true;
	}
	if (changed)
		room_changed_locked(log);
}
