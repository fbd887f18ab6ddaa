/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The preparer: a thread that adds segment files ahead of need, up to max_segments.  Segments that were recycled need no
 * preparation: their bytes have been written once, and a new header with a new nonce makes the old records invalid.
 */
#include <errno.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/log/log_private.h"

/* While somebody waits for room, a full disk is asked again this often. */
#define RETRY_NS 200000000

static bool wanted_locked(const struct log *log)
{
	return log->nslots < log->cfg.max_segments && log->nready < MAX(log->ready_target, log->ready_wanted);
}

static void prepare_locked(struct log *log)
{
	uint32_t id = log->next_slot_id++; /* a failed try may have left the name behind */
	struct slot *slot = NULL;
	int r;

	pthread_mutex_unlock(&log->lock);
	r = slot_create(log->io, &log->cfg, id, &log->preparer_stop, &slot);
	pthread_mutex_lock(&log->lock);
	if (r == 0) {
		log->slots[log->nslots++] = slot;
		ready_push_locked(log, slot);
	} else if (r != log->prepare_error && r != -ECANCELED) {
		msg(LOG_WARNING, "log segment not added segments=%u error=%d", log->nslots, -r);
	}
	log->prepare_error = r;
	log->prepare_retry = false;
	log->prepare_tries++;
	room_changed_locked(log);
}

void *preparer_main(void *arg)
{
	struct log *log = arg;
	int64_t tried_ns = 0;

	pthread_mutex_lock(&log->lock);
	while (!atomic_load(&log->preparer_stop)) {
		if (wanted_locked(log) && !log->poisoned && (log->prepare_error == 0 || log->prepare_retry)) {
			prepare_locked(log);
			tried_ns = clock_monotonic_ns();
		} else if (wanted_locked(log) && !log->poisoned && log->room_first) {
			if (!cond_wait_until(&log->preparer_cond, &log->lock, tried_ns + RETRY_NS))
				log->prepare_retry = true;
		} else {
			pthread_cond_wait(&log->preparer_cond, &log->lock);
		}
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}
