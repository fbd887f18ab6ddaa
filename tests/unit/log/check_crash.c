/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Power cuts.  One to three threads append random records, wait for some and retire some, on a simulated disk whose power is
 * cut at the nth sync; or the process is killed without one.  After each, the log is opened and replayed and must show the
 * appended records, in order and intact, from where it is retained at least to the last one acknowledged, and nothing else.
 * Then it goes on from there on the same disk.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/cleanup.h"
#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

struct item {
	uint64_t lsn, next, data_pos, n;
	uint32_t len;
};
struct model {
	pthread_mutex_t lock; /* protects all below; held across log_append, as a volume does */
	struct item *items;   /* owned; what is in the log from `retained` on, in order */
	size_t count, cap;
	uint64_t acked;	   /* everything before is acknowledged */
	uint64_t retained; /* what the database would know, durably */
	uint64_t next_n;
	/* constant */
	uint64_t seed;
	struct io *io;
	struct log_config cfg;
	struct log *log;
	char failure[300];
};

__attribute__((format(printf, 2, 3))) static void violated(struct model *m, const char *fmt, ...)
{
	va_list ap;

	if (m->failure[0])
		return;
	va_start(ap, fmt);
	vsnprintf(m->failure, sizeof(m->failure), fmt, ap);
	va_end(ap);
}

struct worker {
	struct model *m;
	uint64_t rnd;
	int steps;
};

static uint32_t random_len(struct worker *w)
{
	switch (fix_random(&w->rnd) % 8) {
	case 0:
		return (uint32_t)(fix_random(&w->rnd) % (FIX_MAX_RECORD + 1));
	case 1:
		return 4096;
	case 2:
		return 0;
	default:
		return (uint32_t)(fix_random(&w->rnd) % 600);
	}
}

/* 0, or an error of the log: then the power is off. */
static int append_one(struct worker *w, uint64_t *lsn)
{
	struct model *m = w->m;
	uint32_t len = random_len(w);
	uint64_t reserved = len + LOG_RECORD_OVERHEAD;
	uint8_t *data = malloc(len + 1);
	struct iovec iov = {data, len};
	struct item it = {.len = len};
	int r = log_reserve(m->log, reserved, 20000);

	if (r < 0) {
		free(data);
		return r;
	}
	pthread_mutex_lock(&m->lock);
	it.n = m->next_n++;
	fix_fill(data, len, it.n);
	it.lsn = log_append(m->log, &reserved, (uint16_t)(1 + it.n % 1000), (uint16_t)it.n, &iov, 1, &it.data_pos, &it.next);
	if (m->count == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 64;
		m->items = realloc(m->items, m->cap * sizeof(*m->items));
	}
	m->items[m->count++] = it;
	pthread_mutex_unlock(&m->lock);
	*lsn = it.lsn;
	free(data);
	return 0;
}

static int wait_one(struct model *m, uint64_t lsn)
{
	int r = log_wait(m->log, lsn);

	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	for (size_t i = m->count; i > 0; i--)
		if (m->items[i - 1].lsn == lsn)
			m->acked = MAX(m->acked, m->items[i - 1].next);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void retire_some(struct worker *w, bool far)
{
	struct model *m = w->m;
	uint64_t durable = log_durable(m->log);
	size_t i = 0, most = 0;

	pthread_mutex_lock(&m->lock);
	while (most < m->count && m->items[most].next <= durable)
		most++;
	if (most)
		i = far ? most : fix_random(&w->rnd) % (most + 1);
	if (i) {
		m->retained = MAX(m->retained, m->items[i - 1].next);
		m->count -= i;
		memmove(m->items, m->items + i, m->count * sizeof(*m->items));
	}
	if (fix_random(&w->rnd) % 4 || far)
		log_retire(m->log, m->retained);
	pthread_mutex_unlock(&m->lock);
}

static void read_one(struct worker *w)
{
	struct model *m = w->m;
	struct item it = {.len = 0};
	uint8_t *buf;
	int r;

	pthread_mutex_lock(&m->lock);
	if (m->count)
		it = m->items[fix_random(&w->rnd) % m->count];
	pthread_mutex_unlock(&m->lock);
	if (!it.len)
		return;
	buf = malloc(it.len);
	r = log_read(m->log, it.data_pos, buf, it.len);
	if (r == -EINVAL || (r == 0 && !fix_is(buf, it.len, it.n))) {
		pthread_mutex_lock(&m->lock);
		violated(m, "read lsn=%llu gave %d", (unsigned long long)it.lsn, r);
		pthread_mutex_unlock(&m->lock);
	}
	free(buf);
}

static bool is_long(struct model *m)
{
	bool yes;

	pthread_mutex_lock(&m->lock);
	yes = log_end(m->log) > m->retained + m->cfg.segment_bytes;
	pthread_mutex_unlock(&m->lock);
	return yes;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t lsn;

	for (int i = 0; i < w->steps; i++) {
		if (append_one(w, &lsn) < 0)
			break;
		if (fix_random(&w->rnd) % 3 == 0 && wait_one(w->m, lsn) < 0)
			break;
		if (fix_random(&w->rnd) % 4 == 0)
			read_one(w);
		/* Now and then, and always before the log is full. */
		if (fix_random(&w->rnd) % 16 == 0)
			retire_some(w, false);
		if (i % 4 == 0 && is_long(w->m)) {
			if (log_wait(w->m->log, UINT64_MAX) < 0)
				break;
			retire_some(w, true);
		}
	}
	return NULL;
}

struct check {
	struct model *m;
	size_t i;
};
static int check_one(void *arg, const struct log_record *rec)
{
	struct check *c = arg;
	const struct item *it = &c->m->items[c->i];

	if (c->i >= c->m->count) {
		violated(c->m, "invented record at=%llu", (unsigned long long)rec->lsn);
		return 1;
	}
	if (rec->lsn != it->lsn || rec->next != it->next || rec->data_pos != it->data_pos || rec->len != it->len ||
	    rec->type != 1 + it->n % 1000 || rec->flags != (uint16_t)it->n || !fix_is(rec->payload, rec->len, it->n)) {
		violated(c->m, "record %zu: expected lsn=%llu len=%u, got lsn=%llu len=%u", c->i, (unsigned long long)it->lsn,
		     it->len, (unsigned long long)rec->lsn, rec->len);
		return 1;
	}
	c->i++;
	return 0;
}

/* Open and replay after a crash; a further cut while doing so is no failure.  False: the power is off or m->failure. */
static bool recover(struct model *m)
{
	struct check c = {.m = m};
	uint64_t end = m->retained;
	int r = log_open(m->io, fix_uuid, &m->cfg, &m->log);

	if (r < 0) {
		m->log = NULL;
		if (!sim_is_off(m->io))
			violated(m, "open: %d", r);
		return false;
	}
	r = log_replay(m->log, m->retained, check_one, &c);
	if (m->failure[0])
		return false;
	if (r < 0) {
		if (!sim_is_off(m->io))
			violated(m, "replay: %d acked=%llu retained=%llu", r, (unsigned long long)m->acked,
			     (unsigned long long)m->retained);
		return false;
	}
	if (c.i)
		end = m->items[c.i - 1].next;
	if (end < m->acked) {
		violated(m, "acknowledged to %llu, found to %llu", (unsigned long long)m->acked, (unsigned long long)end);
		return false;
	}
	m->count = c.i; /* the rest is lost, and must not come back */
	m->acked = end; /* seen by a replay: counts from now on */
	r = log_start(m->log, m->retained);
	if (r < 0) {
		if (!sim_is_off(m->io))
			violated(m, "start: %d", r);
		return false;
	}
	return true;
}

struct plan {
	int threads, cycles, steps;
	uint64_t first_cut; /* cut of the first cycle; 0: random */
	uint32_t max_segments;
	bool kill; /* some cycles end without a power cut */
	const char *lie;
};

static void run(struct model *m, const struct plan *p, uint64_t seed)
{
	uint64_t rnd = seed;

	*m = (struct model){.seed = seed, .io = sim_new(seed, 0), .cfg = fix_config()};
	pthread_mutex_init(&m->lock, NULL);
	m->cfg.max_segments = p->max_segments;
	m->cfg.dirty_age_ms = p->threads > 1 && seed % 2 ? 1 : 0;
	ck_assert_int_eq(log_format(m->io, fix_uuid, &m->cfg), 0);
	sim_ignore_sync(m->io, p->lie);
	for (int cycle = 0; cycle < p->cycles && !m->failure[0]; cycle++) {
		uint64_t cut = cycle == 0 && p->first_cut ? p->first_cut : 1 + fix_random(&rnd) % 40;
		bool killed = p->kill && fix_random(&rnd) % 3 == 0;
		struct worker w[3];
		pthread_t t[3];

		if (!killed)
			sim_cut_at(m->io, cut);
		if (recover(m)) {
			for (int i = 0; i < p->threads; i++) {
				w[i] = (struct worker){m, fix_random(&rnd), p->steps};
				if (p->threads == 1)
					work(&w[i]);
				else
					ck_assert_int_eq(pthread_create(&t[i], NULL, work, &w[i]), 0);
			}
			for (int i = 0; p->threads > 1 && i < p->threads; i++)
				pthread_join(t[i], NULL);
		}
		if (m->log)
			log_abandon(m->log);
		m->log = NULL;
		if (killed && !sim_is_off(m->io))
			continue;
		sim_cut_now(m->io);
		sim_power_on(m->io);
		sim_cut_at(m->io, 0);
	}
	if (!m->failure[0]) {
		sim_cut_at(m->io, 0);
		recover(m);
		if (m->log)
			log_abandon(m->log);
	} else if (m->log) {
		log_abandon(m->log);
	}
	io_free(m->io);
	free(m->items);
	pthread_mutex_destroy(&m->lock);
}

static void must_hold(const struct plan *p, uint64_t seed)
{
	struct model m;

	run(&m, p, seed);
	ck_assert_msg(!m.failure[0], "seed=%llu threads=%d segments=%u first_cut=%llu: %s", (unsigned long long)seed,
		      p->threads, p->max_segments, (unsigned long long)p->first_cut, m.failure);
}

/* Every single sync of one deterministic history, then three more crashes on the same disk: 4 x 150 cuts a seed. */
START_TEST(test_log_cut_at_every_sync)
{
	struct plan p = {.threads = 1, .cycles = 4, .steps = 300, .max_segments = 4};

	for (uint64_t cut = 1; cut <= 150; cut++) {
		p.first_cut = cut;
		must_hold(&p, 1000 + (uint64_t)_i);
	}
}
END_TEST

START_TEST(test_log_cut_random)
{
	struct plan p = {.threads = 1 + _i % 3, .cycles = 6, .steps = 200, .max_segments = 4u + (uint32_t)_i % 5, .kill = true};

	for (uint64_t k = 0; k < 25; k++)
		must_hold(&p, 5000 + 100 * (uint64_t)_i + k);
}
END_TEST

/* The checker itself: with a disk that lies about syncs it must find losses. */
START_TEST(test_log_cut_lying_disk)
{
	struct plan p = {.threads = 1, .cycles = 6, .steps = 200, .max_segments = 4, .lie = "log/"};
	int found = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model m;

		run(&m, &p, seed);
		found += m.failure[0] != 0;
	}
	ck_assert_int_ge(found, 15);
}
END_TEST

Suite *make_log_crash_suite(void)
{
	Suite *s = suite_create("log_crash");
	TCase *tc = tcase_create("power");

	tcase_set_timeout(tc, 900);
	tcase_add_loop_test(tc, test_log_cut_at_every_sync, 0, 3);
	tcase_add_loop_test(tc, test_log_cut_random, 0, 12);
	tcase_add_test(tc, test_log_cut_lying_disk);
	suite_add_tcase(s, tc);
	return s;
}
