/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What goes on by itself.  One thread applies and, when there is nothing to apply, reclaims; one checkpoints the database.
 *
 * Apply is lazy while the log is roomy and somebody is writing, because a range written many times is then converted once and
 * the writers have the machine for themselves; it starts when they pause, when a quarter of the log or much memory is taken,
 * or when a record has become old.
 */
#include "fs/volume/background.h"

#include "fs/volume/sets.h"

#define APPLY_PAUSE_NS 1000000000ll /* without a change: the writers pause */
#define APPLY_AGE_NS 60000000000ll
#define APPLY_PENDING_BYTES (32ull << 20)
#define APPLY_EXTENTS 500000ull
#define IDLE_NS 100000000ll
#define RETRY_NS 1000000000ll
#define CHECKPOINT_NS 500000000ll

static bool apply_due(struct fs *fs)
{
	struct log_stats st;
	struct pending *q = fs->pending.head; /* pending.lock held by the caller */
	int64_t now = clock_monotonic_ns();

	if (!q)
		return false;
	if (atomic_load(&fs->kick) || now - fs->pending.last_ns > APPLY_PAUSE_NS || now - q->at_ns > APPLY_AGE_NS ||
	    atomic_load(&fs->pending.bytes) > APPLY_PENDING_BYTES || atomic_load(&fs->inodes.extents) > APPLY_EXTENTS || memory_tight(fs))
		return true;
	log_get_stats(fs->log, &st);
	return st.used_bytes > st.capacity_bytes / 4;
}

static void nap(struct fs *fs, int64_t ns)
{
	struct timespec ts = ns_to_timespec(clock_realtime_ns() + ns);

	pthread_mutex_lock(&fs->pending.lock);
	if (!atomic_load(&fs->closing) && !atomic_load(&fs->kick))
		pthread_cond_timedwait(&fs->pending.cond, &fs->pending.lock, &ts);
	pthread_mutex_unlock(&fs->pending.lock);
}

/* One step of what is due: 1 done something, 0 nothing to do. */
static int step(struct fs *fs, bool *apply)
{
	int64_t begin;
	int r;

	pthread_mutex_lock(&fs->pending.lock);
	*apply = apply_due(fs);
	if (!fs->pending.head)
		atomic_store(&fs->kick, false);
	pthread_mutex_unlock(&fs->pending.lock);
	pthread_mutex_lock(&fs->writer_lock);
	begin = clock_monotonic_ns();
	r = *apply ? apply_step(fs) : reclaim_step(fs);
	pthread_mutex_unlock(&fs->writer_lock);
	if (*apply && r > 0)
		histogram_add(&fs->times[FS_TIME_APPLY], (uint64_t)(clock_monotonic_ns() - begin));
	if (*apply && !r) { /* due but not durable yet */
		log_kick(fs->log);
		r = log_wait(fs->log, UINT64_MAX);
		r = r ? r : 1;
	}
	return r;
}

static void *apply_main(void *arg)
{
	struct fs *fs = arg;
	bool full = false, apply;

	while (!atomic_load(&fs->closing) && !atomic_load(&fs->poisoned)) {
		int r = step(fs, &apply);

		memory_adjust(fs);
		if (r == -ENOSPC) {
			if (!full)
				msg(LOG_ERR, "no space on the store's file system: converting waits, the log keeps what was acknowledged");
			full = true;
			atomic_store(&fs->apply_stuck, true);
			nap(fs, RETRY_NS);
			continue;
		}
		if (r < 0) {
			fs_poison(fs, r, apply ? "applying the log" : "reclaiming");
			break;
		}
		full = full && !apply;
		atomic_store(&fs->apply_stuck, full);
		if (!r)
			nap(fs, IDLE_NS);
	}
	return NULL;
}

static void *checkpoint_main(void *arg)
{
	struct fs *fs = arg;
	uint64_t seen = 0;

	while (!atomic_load(&fs->closing) && !atomic_load(&fs->poisoned)) {
		uint64_t now = atomic_load(&fs->stat.batches) + atomic_load(&fs->stat.reclaim_steps);
		int64_t begin = clock_monotonic_ns();
		int r = now != seen ? meta_checkpoint(fs->meta, NULL) : 0;

		if (now != seen)
			histogram_add(&fs->times[FS_TIME_CHECKPOINT], (uint64_t)(clock_monotonic_ns() - begin));
		seen = now;
		memory_adjust(fs); /* the other thread may be in a long batch */
		sets_tick(fs); /* here, because it may wait for log room that the other thread makes */
		if (r && r != -ENOSPC && r != -EBUSY)
			msg(LOG_WARNING, "checkpoint: %s", strerror(-r));
		nap(fs, CHECKPOINT_NS);
	}
	return NULL;
}

int background_start(struct fs *fs)
{
	if (pthread_create(&fs->apply_thread, NULL, apply_main, fs))
		return -EAGAIN;
	if (pthread_create(&fs->checkpoint_thread, NULL, checkpoint_main, fs)) {
		atomic_store(&fs->closing, true);
		pthread_join(fs->apply_thread, NULL);
		return -EAGAIN;
	}
	fs->threads = true;
	return 0;
}

void background_stop(struct fs *fs)
{
	if (!fs->threads)
		return;
	pthread_mutex_lock(&fs->pending.lock);
	atomic_store(&fs->closing, true);
	pthread_cond_broadcast(&fs->pending.cond);
	pthread_mutex_unlock(&fs->pending.lock);
	pthread_join(fs->apply_thread, NULL);
	pthread_join(fs->checkpoint_thread, NULL);
	fs->threads = false;
}

int fs_run_background(struct fs *fs, unsigned what)
{
	int r = 0, did = 0;

	if (what & FS_BG_APPLY) {
		r = log_wait(fs->log, UINT64_MAX);
		pthread_mutex_lock(&fs->writer_lock);
		if (!r)
			r = apply_step(fs);
		pthread_mutex_unlock(&fs->writer_lock);
		did |= r > 0;
	}
	if (r >= 0 && (what & FS_BG_RECLAIM)) {
		pthread_mutex_lock(&fs->writer_lock);
		r = reclaim_step(fs);
		pthread_mutex_unlock(&fs->writer_lock);
		did |= r > 0;
	}
	if (r >= 0 && (what & FS_BG_CHECKPOINT))
		r = meta_checkpoint(fs->meta, NULL);
	if (r < 0 && r != -ENOSPC)
		fs_poison(fs, r, "background work");
	return r < 0 ? r : did;
}

int fs_drain(struct fs *fs)
{
	int r, idle = 0;

	/* Reaping looks at orphans in rounds, so "nothing done" has to be heard twice. */
	while (idle < 2) {
		r = fs_run_background(fs, FS_BG_APPLY | FS_BG_RECLAIM);
		if (r < 0)
			return r;
		idle = r ? 0 : idle + 1;
	}
	return 0;
}
