/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What goes on by itself.  One thread applies and, when there is nothing to apply, reclaims; one checkpoints the database.
 *
 * Apply is lazy while somebody is writing (backlog.h says why); it starts when they pause, when the backlog has grown or when a
 * record has become old.
 */
#include "fs/volume/background.h"

#include "fs/volume/backlog.h"
#include "fs/volume/sets.h"

#define APPLY_PAUSE_NS 1000000000ll /* without a change: the writers pause */
#define APPLY_AGE_NS 60000000000ll
#define IDLE_NS 100000000ll
#define RETRY_NS 1000000000ll
#define CHECKPOINT_NS 500000000ll
/* Between two batches, while writers leave no pause to reclaim in: this share of the batch's time, or, as long as the disk has
 * less than this share of itself free, up to so long. */
#define RECLAIM_SHARE 8
#define SCARCE_SHARE 4
#define RECLAIM_NS 2000000000ll

/* *paused: because the writers pause. */
static bool apply_due(struct fs *fs, bool *paused)
{
	int64_t now = clock_monotonic_ns();
	struct pending *q;
	bool due;

	pthread_mutex_lock(&fs->pending.lock);
	q = fs->pending.head;
	*paused = q && now - fs->pending.last_ns > APPLY_PAUSE_NS;
	due = q && (q->lsn - q->span < atomic_load(&fs->pending.wanted) || *paused || now - q->at_ns > APPLY_AGE_NS);
	pthread_mutex_unlock(&fs->pending.lock);
	return due || (q && backlog_due(fs));
}

/* patient: although somebody wants something applied. */
static void nap(struct fs *fs, int64_t ns, bool patient)
{
	struct timespec ts = ns_to_timespec(clock_realtime_ns() + ns);

	pthread_mutex_lock(&fs->pending.lock);
	if (!atomic_load(&fs->closing) && (patient || !fs->pending.head || fs->pending.head->lsn - fs->pending.head->span >= atomic_load(&fs->pending.wanted)))
		pthread_cond_timedwait(&fs->pending.cond, &fs->pending.lock, &ts);
	pthread_mutex_unlock(&fs->pending.lock);
}

/* One step of what is due: 1 done something, 0 nothing to do.  *batch_ns: what a batch that was applied took. */
static int step(struct fs *fs, enum apply_size size, bool *apply, int64_t *batch_ns)
{
	bool paused;
	int64_t begin;
	int r;

	*batch_ns = 0;
	*apply = apply_due(fs, &paused);
	if (*apply && paused) { /* all that was written is applied at once: a block whose end is not durable yet would be made twice */
		r = log_wait(fs->log, UINT64_MAX);
		if (r)
			return r;
	}
	pthread_mutex_lock(&fs->writer_lock);
	begin = clock_monotonic_ns();
	r = *apply ? apply_step(fs, size) : reclaim_step(fs);
	pthread_mutex_unlock(&fs->writer_lock);
	if (*apply && r > 0) {
		*batch_ns = clock_monotonic_ns() - begin;
		histogram_add(&fs->times[FS_TIME_APPLY], (uint64_t)*batch_ns);
	}
	if (*apply && !r) { /* due but not durable yet */
		log_kick(fs->log);
		r = log_wait(fs->log, UINT64_MAX);
		r = r ? r : 1;
	}
	return r;
}

static bool disk_scarce(struct fs *fs)
{
	struct io_space sp;

	return io_space(fs->io, &sp) == 0 && sp.free_bytes < sp.total_bytes / SCARCE_SHARE;
}

/* Give space back for up to so long: 1 some was, 0 there was nothing. */
static int reclaim_some(struct fs *fs, int64_t ns)
{
	int64_t until = clock_monotonic_ns() + ns;
	int r = 1, any = 0;

	while (r > 0 && clock_monotonic_ns() < until && !atomic_load(&fs->closing)) {
		pthread_mutex_lock(&fs->writer_lock);
		r = reclaim_step(fs);
		pthread_mutex_unlock(&fs->writer_lock);
		any |= r > 0;
	}
	return r < 0 ? r : any;
}

/* After a batch, or (0) when the disk was too full for one.  False: there was nothing to give back. */
static bool reclaim_between(struct fs *fs, int64_t batch_ns)
{
	int64_t ns = batch_ns / RECLAIM_SHARE;
	int r;

	if (!batch_ns || disk_scarce(fs))
		ns = MAX(ns, RECLAIM_NS);
	r = reclaim_some(fs, ns);
	if (r < 0 && r != -ENOSPC)
		fs_poison(fs, r, "reclaiming");
	return r > 0;
}

/* Who waits for apply to give back space or to come to a change has to know that it cannot. */
static void set_stuck(struct fs *fs, bool stuck)
{
	if (atomic_exchange(&fs->apply_stuck, stuck) == stuck)
		return;
	pthread_mutex_lock(&fs->pending.lock);
	pthread_cond_broadcast(&fs->pending.cond);
	pthread_mutex_unlock(&fs->pending.lock);
}

static void *apply_main(void *arg)
{
	struct fs *fs = arg;
	bool full = false, apply;
	int64_t batch_ns;

	thread_background();
	while (!atomic_load(&fs->closing) && !atomic_load(&fs->poisoned)) {
		int r = step(fs, full ? APPLY_SMALL : APPLY_LARGE, &apply, &batch_ns); /* little space: a small batch may still fit */

		memory_adjust(fs);
		if (r == -ECANCELED)
			break;
		if (r == -ENOSPC) {
			if (apply)
				set_stuck(fs, true);
			if (!full)
				msg(LOG_ERR, "no space on the store's file system: converting waits, the log keeps what was acknowledged");
			full = true;
			if (!reclaim_between(fs, 0))
				nap(fs, RETRY_NS, true);
			continue;
		}
		if (r < 0) {
			fs_poison(fs, r, apply ? "applying the log" : "reclaiming");
			break;
		}
		if (apply)
			set_stuck(fs, false);
		full = full && !apply;
		if (batch_ns)
			(void)reclaim_between(fs, batch_ns);
		if (!r)
			nap(fs, IDLE_NS, false);
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
		nap(fs, CHECKPOINT_NS, true);
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
			r = apply_step(fs, APPLY_SMALL);
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
