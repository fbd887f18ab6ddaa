/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A log's life: opening, starting and stopping its threads, and the small questions about it. */
#include <errno.h>
#include <string.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/log/log_private.h"

void cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
	struct timespec ts = ns_to_timespec(deadline_ns);

	return pthread_cond_timedwait(cond, lock, &ts) == 0;
}

static void log_free(struct log *log)
{
	if (!log)
		return;
	for (uint32_t i = 0; i < log->nslots; i++)
		slot_free(log->slots[i]);
	free(log->slots);
	free(log->ready);
	free(log->live);
	free(log->ring);
	pthread_cond_destroy(&log->flusher_cond);
	pthread_cond_destroy(&log->linger_cond);
	pthread_cond_destroy(&log->copied_cond);
	pthread_cond_destroy(&log->preparer_cond);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

static struct log *log_new(struct io *io, const uint8_t uuid[16], const struct log_config *cfg)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->io = io;
	log->cfg = *cfg;
	memcpy(log->uuid, uuid, sizeof(log->uuid));
	pthread_mutex_init(&log->lock, NULL);
	cond_init_monotonic(&log->flusher_cond);
	cond_init_monotonic(&log->linger_cond);
	cond_init_monotonic(&log->copied_cond);
	cond_init_monotonic(&log->preparer_cond);
	log->copying.next = log->copying.prev = &log->copying;
	log->reading.next = log->reading.prev = &log->reading;
	log->room_last = &log->room_first;
	log->ready_target = LOG_READY_TARGET;
	log->waiting_last = &log->waiting;
	return log;
}

/* Open one file and read its header. */
static int slot_load(struct log *log, uint32_t id, struct slot **out)
{
	struct slot *s = calloc(1, sizeof(*s));
	uint8_t head[LOG_HEADER_BYTES];
	uint64_t size;
	char path[SLOT_PATH_BYTES];
	ssize_t n;
	int r;

	if (!s)
		return -ENOMEM;
	s->id = id;
	slot_path(path, id, "");
	r = io_open(log->io, path, 0, &s->file);
	if (r < 0)
		goto fail;
	r = io_size(s->file, &size);
	if (r < 0)
		goto fail;
	r = -EUCLEAN;
	if (size != log->cfg.segment_bytes)
		goto fail;
	n = io_pread(s->file, head, sizeof(head), 0);
	if (n != (ssize_t)sizeof(head)) {
		r = n < 0 ? (int)n : -EUCLEAN;
		goto fail;
	}
	r = segment_header_decode(head, &s->head);
	s->has_header = r == 0;
	if (r < 0 && r != -ENODATA)
		goto fail;
	if (s->has_header && (s->head.segment_bytes != size || memcmp(s->head.uuid, log->uuid, 16) != 0)) {
		r = -EUCLEAN;
		goto fail;
	}
	s->nonce = nonce_new();
	*out = s;
	return 0;
fail:
	if (r == -EUCLEAN)
		msg(LOG_ERR, "log segment damaged or not of this store file=%s", path);
	slot_free(s);
	return r;
}

static int load_named(void *arg, const char *name)
{
	struct log *log = arg;
	struct slot **more;
	struct slot *s = NULL;
	uint32_t id;
	int r;

	if (slot_name_parse(name, &id) < 0)
		return 0;
	r = slot_load(log, id, &s);
	if (r < 0)
		return r;
	more = realloc(log->slots, (log->nslots + 1) * sizeof(*more));
	if (!more) {
		slot_free(s);
		return -ENOMEM;
	}
	log->slots = more;
	log->slots[log->nslots++] = s;
	log->next_slot_id = MAX(log->next_slot_id, id + 1);
	return 0;
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = (*(struct slot *const *)a)->id, y = (*(struct slot *const *)b)->id;

	return x < y ? -1 : x > y;
}

/* Two segments with one number: log_recover never leaves that. */
static int check_numbers(const struct log *log)
{
	for (uint32_t i = 0; i < log->nslots; i++)
		for (uint32_t j = 0; j < i; j++)
			if (log->slots[i]->has_header && log->slots[j]->has_header &&
			    log->slots[i]->head.number == log->slots[j]->head.number) {
				msg(LOG_ERR, "log damaged: two segments number=%llu",
				    (unsigned long long)log->slots[i]->head.number);
				return -EUCLEAN;
			}
	return 0;
}

static int load_all(struct log *log)
{
	struct slot **slots;
	int r = io_list(log->io, LOG_DIR, load_named, log);

	if (r < 0)
		return r;
	if (log->nslots == 0)
		return -EUCLEAN;
	/* In no order so far; the same disk shall give the same log. */
	qsort(log->slots, log->nslots, sizeof(*log->slots), compare_slots);
	r = check_numbers(log);
	if (r < 0)
		return r;
	log->slots_max = MAX(log->nslots, log->cfg.max_segments);
	slots = realloc(log->slots, log->slots_max * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	log->slots = slots;
	log->ready = calloc(log->slots_max, sizeof(*log->ready));
	log->live = calloc(log->slots_max, sizeof(*log->live));
	return log->ready && log->live ? 0 : -ENOMEM;
}

int log_open(struct io *io, const uint8_t store_uuid[16], const struct log_config *cfg, struct log **out)
{
	struct log *log;
	int r = log_config_check(cfg);

	if (r < 0)
		return r;
	log = log_new(io, store_uuid, cfg);
	if (!log)
		return -ENOMEM;
	r = load_all(log);
	if (r < 0) {
		log_free(log);
		return r;
	}
	*out = log;
	return 0;
}

int log_start(struct log *log, uint64_t retained)
{
	int r = log_recover(log, retained);

	if (r < 0)
		return r;
	log->ring_bytes = ring_bytes_for(&log->cfg);
	log->ring = aligned_alloc(LOG_PAGE, log->ring_bytes);
	if (!log->ring)
		return -ENOMEM;
	r = -pthread_create(&log->flusher, NULL, flusher_main, log);
	log->flusher_running = r == 0;
	if (r < 0)
		return r;
	r = -pthread_create(&log->preparer, NULL, preparer_main, log);
	log->preparer_running = r == 0;
	return r;
}

static void stop_threads(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	log->stop = true;
	atomic_store(&log->preparer_stop, true);
	pthread_cond_signal(&log->flusher_cond);
	pthread_cond_signal(&log->preparer_cond);
	pthread_mutex_unlock(&log->lock);
	if (log->preparer_running)
		pthread_join(log->preparer, NULL);
	if (log->flusher_running)
		pthread_join(log->flusher, NULL);
}

int log_close(struct log *log)
{
	int r;

	stop_threads(log);
	r = log->poisoned;
	log_free(log);
	return r;
}

void log_abandon(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	poison_locked(log, -EIO); /* who still waits gets this */
	pthread_mutex_unlock(&log->lock);
	stop_threads(log);
	log_free(log);
}

uint64_t log_durable(struct log *log)
{
	uint64_t v;

	pthread_mutex_lock(&log->lock);
	v = log->durable;
	pthread_mutex_unlock(&log->lock);
	return v;
}

uint64_t log_end(struct log *log)
{
	uint64_t v;

	pthread_mutex_lock(&log->lock);
	v = log->end;
	pthread_mutex_unlock(&log->lock);
	return v;
}

void log_get_stats(struct log *log, struct log_stats *out)
{
	pthread_mutex_lock(&log->lock);
	*out = (struct log_stats){
		.end = log->end,
		.durable = log->durable,
		.retired = log->retired,
		.capacity_bytes = log->cfg.max_segments * log->cfg.segment_bytes,
		.used_bytes = log->nlive * log->cfg.segment_bytes,
		.flushes = log->n_flushes,
		.records = log->n_records,
		.flushed_bytes = log->n_flushed_bytes,
		.waiters = log->n_waiters,
		.reserve_waits = log->n_reserve_waits,
		.poisoned = log->poisoned,
	};
	pthread_mutex_unlock(&log->lock);
}

const struct histogram *log_flush_times(const struct log *log)
{
	return &log->flush_ns;
}
