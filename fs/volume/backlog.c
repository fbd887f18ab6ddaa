/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/volume/backlog.h"

#define FULL 1024u	      /* fill is counted in parts of this */
#define DUE_AT (FULL * 3 / 8) /* one batch is under way while the next gathers, and still nobody has to brake */
#define BRAKE_AT (FULL * 3 / 4)
#define DUE_SPACE_SHARE 4 /* ... or when a quarter of the disk's free space is held for the worst case */
#define NS_PER_KIB_FIRST 1000	/* where braking begins: 1 GB/s, which stops nobody */
#define NS_PER_KIB_LAST 128000	/* where the backlog is full: 8 MB/s */
#define SLEEP_MIN_NS 60000
#define SLEEP_MAX_NS 1000000000

static unsigned parts(uint64_t used, uint64_t bound)
{
	return used >= bound ? FULL : (unsigned)(used * FULL / bound);
}

static unsigned fill(struct fs *fs, uint64_t end)
{
	uint64_t applied = atomic_load_explicit(&fs->pending.applied, memory_order_relaxed);
	unsigned log = parts(end > applied ? end - applied : 0, fs->backlog.log_bytes);
	unsigned memory = parts(memory_dirty(fs), atomic_load_explicit(&fs->memory.dirty_max, memory_order_relaxed));

	return MAX(log, memory);
}

void backlog_init(struct fs *fs, const struct log_config *lc)
{
	fs->backlog.log_bytes = (lc->max_segments - 2) * lc->segment_bytes; /* the rest may be tied up, see log_reserve */
}

bool backlog_due(struct fs *fs)
{
	struct store_stats st;
	struct io_space sp;

	if (fill(fs, log_end(fs->log)) > DUE_AT)
		return true;
	store_get_stats(fs->store, &st);
	return io_space(fs->io, &sp) == 0 && st.reserved_bytes > sp.free_bytes / DUE_SPACE_SHARE;
}

/* Cubic between first and last, so that it finds the applier's pace well before the end, whatever that pace is. */
static uint64_t ns_per_kib(unsigned f)
{
	uint64_t x = MIN(f, FULL) - BRAKE_AT, all = FULL - BRAKE_AT;

	return NS_PER_KIB_FIRST + (NS_PER_KIB_LAST - NS_PER_KIB_FIRST) * (x * x * x) / (all * all * all);
}

int backlog_admit(struct fs *fs)
{
	return fill(fs, log_end(fs->log)) > BRAKE_AT ? nowait_check() : 0;
}

void backlog_brake(struct fs *fs, uint64_t end, uint64_t bytes)
{
	unsigned f = fill(fs, end);
	int64_t now, turn, next;
	struct timespec ts;

	if (f <= BRAKE_AT || fs->opt.manual)
		return;
	now = clock_monotonic_ns();
	turn = atomic_load(&fs->backlog.turn_ns);
	do
		next = MAX(turn, now) + (int64_t)((bytes + 1023) / 1024 * ns_per_kib(f));
	while (!atomic_compare_exchange_weak(&fs->backlog.turn_ns, &turn, next));
	if (turn - now < SLEEP_MIN_NS)
		return;
	nowait_announce();
	ts = ns_to_timespec(MIN(turn - now, SLEEP_MAX_NS));
	nanosleep(&ts, NULL);
}
