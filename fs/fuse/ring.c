/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See ring.h.  An entry is one request's place: header and payload, registered with the kernel once.  It goes round:
 *
 *   fetching   the kernel has it, and fills in a request               -> serve_request
 *   handled    by the queue's thread, or by the pool after a refusal   -> ring_reply
 *   answered   a submission says so and fetches the next               -> fetching
 *
 * `unique` says which request an entry holds, 0 while fetching; whoever takes it out answers, once.
 *
 * Locks: queue.lock is a leaf; it protects the making of submissions, `asleep` and `closed`.  Completions are read by the
 * queue's thread alone.
 */
#include "fs/fuse/ring.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "fs/base/json.h"
#include "fs/base/msg.h"
#include "fs/base/nowait.h"
#include "fs/fuse/loop.h"
#include "fs/fuse/mnt.h"
#include "fs/fuse/uring.h"

#define PAGE 4096u
#define PAYLOAD_MAX FS_WRITE_MAX
#define PAYLOAD_LEAST (128u << 10)
#define DEPTH_MAX 32u
#define DEPTH_GOOD 8u /* below it, rather shorter payloads */
#define DEPTH_LEAST 2u
#define POOL_THREADS 64
#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

/* Of newer linux/fuse.h (7.42) than Debian 12's. */
#define CMD_REGISTER 1
#define CMD_COMMIT_AND_FETCH 2
struct command {
	uint64_t flags, commit_id;
	uint16_t qid;
	uint8_t padding[6];
};
struct header {
	char in_out[128]; /* fuse_in_header, fuse_out_header */
	char op_in[128];
	uint64_t flags, commit_id;
	uint32_t payload_bytes, padding;
	uint64_t reserved;
};
_Static_assert(sizeof(struct header) == 288 && sizeof(struct command) == 24, "linux/fuse.h");

struct queue;
struct entry {
	struct pool_job job;
	struct queue *q;
	struct header *header; /* in the page before the payload */
	char *payload;
	struct iovec iov[2];
	_Atomic uint64_t *unique; /* its place in ring.uniques */
	uint64_t commit_id;
	struct fuse_buf message;
	bool refused; /* by the thread that runs the handler */
};
struct queue {
	struct ring *ring;
	unsigned id;
	pthread_t thread;
	bool started;
	int err;
	struct uring u;
	int wake; /* eventfd */
	uint64_t wake_count;
	pthread_mutex_t lock;
	bool asleep, closed;
	char *memory;
	struct entry *entries;
};
struct ring {
	struct mnt *m;
	struct ring_plan plan;
	struct pool pool;
	sem_t ready, go;
	atomic_bool stop;
	_Atomic uint64_t requests, handed_on;
	struct queue *queues;
	_Atomic uint64_t *uniques; /* of all entries */
};

static _Thread_local struct entry *current; /* whose handler this thread runs; only compared once it may be answered */
static _Thread_local struct queue *mine;    /* of a queue's thread */

/* ---- plan ------------------------------------------------------------------------------------------------------------ */

bool ring_allowed(char *why, size_t why_size)
{
	FILE *f = fopen(PARAMETER, "re");
	int c = f ? getc(f) : EOF;

	if (f)
		fclose(f);
	if (c == EOF)
		snprintf(why, why_size, "this kernel has no FUSE over io_uring (Linux 6.14 brings it)");
	else if (c != 'Y')
		snprintf(why, why_size, "it is switched off: as root, echo Y > %s", PARAMETER);
	return c == 'Y';
}

int ring_plan(uint64_t bytes, struct ring_plan *out)
{
	struct ring_plan p = {.queues = (unsigned)get_nprocs_conf(), .payload = PAYLOAD_MAX};
	uint64_t depth;

	while (p.payload > PAYLOAD_LEAST && (uint64_t)p.queues * DEPTH_GOOD * (p.payload + PAGE) > bytes)
		p.payload /= 2;
	depth = bytes / ((uint64_t)p.queues * (p.payload + PAGE));
	if (depth < DEPTH_LEAST)
		return -ENOMEM;
	p.depth = (unsigned)MIN(depth, DEPTH_MAX);
	*out = p;
	return 0;
}

uint64_t ring_bytes(const struct ring_plan *p)
{
	return (uint64_t)p->queues * p->depth * (p->payload + PAGE);
}

/* ---- submissions ------------------------------------------------------------------------------------------------------ */

static void submit_command(struct entry *e, uint32_t op, uint64_t commit_id)
{
	struct queue *q = e->q;
	struct command c = {.commit_id = commit_id, .qid = (uint16_t)q->id};
	struct io_uring_sqe *s;
	bool wake = false;

	pthread_mutex_lock(&q->lock);
	if (!q->closed) {
		s = uring_sqe(&q->u);
		KAGEFS_ASSERT(s); /* one for each entry, and one for the wake-up */
		s->opcode = IORING_OP_URING_CMD;
		s->fd = fuse_session_fd(q->ring->m->se);
		s->cmd_op = op;
		s->user_data = (uint64_t)(uintptr_t)e;
		if (op == CMD_REGISTER) {
			s->addr = (uint64_t)(uintptr_t)e->iov;
			s->len = ARRAY_SIZE(e->iov);
		}
		memcpy(s->cmd, &c, sizeof(c));
		wake = q->asleep;
		q->asleep = false;
	}
	pthread_mutex_unlock(&q->lock);
	if (wake)
		(void)!write(q->wake, &(uint64_t){1}, sizeof(uint64_t)); /* fails only when it is full, which wakes as well */
}

static void submit_wake_read(struct queue *q)
{
	struct io_uring_sqe *s;

	pthread_mutex_lock(&q->lock);
	s = uring_sqe(&q->u);
	KAGEFS_ASSERT(s);
	s->opcode = IORING_OP_READ;
	s->fd = q->wake;
	s->addr = (uint64_t)(uintptr_t)&q->wake_count;
	s->len = sizeof(q->wake_count);
	pthread_mutex_unlock(&q->lock);
}

static int submit_and_sleep(struct queue *q)
{
	unsigned n;
	int err;

	pthread_mutex_lock(&q->lock);
	n = uring_publish(&q->u);
	q->asleep = true; /* what is submitted from here on is not among them */
	pthread_mutex_unlock(&q->lock);
	err = uring_enter(&q->u, n, 1);
	pthread_mutex_lock(&q->lock);
	q->asleep = false;
	pthread_mutex_unlock(&q->lock);
	return err == -EINTR || err == -EAGAIN || err == -EBUSY ? 0 : err;
}

/* ---- requests --------------------------------------------------------------------------------------------------------- */

static void run_pooled(struct pool_job *job)
{
	struct entry *e = CONTAINER_OF(job, struct entry, job);

	current = e;
	fuse_session_process_buf(e->q->ring->m->se, &e->message);
	current = NULL;
}

static void run_here(struct entry *e)
{
	struct ring *r = e->q->ring;

	e->refused = false;
	current = e;
	nowait_begin();
	fuse_session_process_buf(r->m->se, &e->message);
	nowait_end();
	current = NULL;
	/* Nobody but this thread submits, so an entry answered here is still this request's. */
	if (!e->refused)
		return;
	atomic_fetch_add_explicit(&r->handed_on, 1, memory_order_relaxed);
	e->job.run = run_pooled;
	if (pool_add(&r->pool, &e->job))
		run_pooled(&e->job); /* no thread to be had: all wait with it */
}

/* Make it the message that /dev/fuse would give: the parts in front of the payload, without a gap. */
static void serve_request(struct entry *e)
{
	struct ring *r = e->q->ring;
	struct fuse_in_header in;
	size_t payload = e->header->payload_bytes, op_len;
	char *at;

	memcpy(&in, e->header->in_out, sizeof(in));
	e->commit_id = e->header->commit_id;
	atomic_fetch_add_explicit(&r->requests, 1, memory_order_relaxed);
	KAGEFS_ASSERT(payload <= r->plan.payload && in.len >= sizeof(in) + payload);
	op_len = in.len - sizeof(in) - payload;
	KAGEFS_ASSERT(op_len <= sizeof(e->header->op_in));
	at = e->payload - op_len - sizeof(in);
	memcpy(at, &in, sizeof(in));
	memcpy(at + sizeof(in), e->header->op_in, op_len);
	e->message = (struct fuse_buf){.mem = at, .size = in.len};
	e->message.size += wire_see(&r->m->wire, at, in.len, r->plan.payload - payload);
	atomic_store_explicit(e->unique, in.unique, memory_order_release);
	run_here(e);
}

/* Without its queues the mount would hang. */
static void give_up(struct queue *q, int err)
{
	struct mnt *m = q->ring->m;

	msg(LOG_CRIT, "io_uring: queue %u failed, unmounting: %s", q->id, strerror(-err));
	loop_stop(m->loop);
}

/* false: this entry is done for ever. */
static bool on_completion(struct entry *e, int res)
{
	switch (res) {
	case 0:
		serve_request(e);
		return true;
	case -ENOTCONN: /* unmounted */
	case -ECONNABORTED:
	case -ECANCELED:
		return false;
	default:
		give_up(e->q, res);
		return false;
	}
}

static void serve(struct queue *q)
{
	struct ring *r = q->ring;
	unsigned live = r->plan.depth;
	uint64_t data;
	int res, err = 0;

	for (unsigned i = 0; i < r->plan.depth; i++)
		submit_command(&q->entries[i], CMD_REGISTER, 0);
	submit_wake_read(q);
	while (live && !atomic_load(&r->stop)) {
		err = submit_and_sleep(q);
		if (err)
			break;
		while (uring_next(&q->u, &data, &res))
			if (!data)
				submit_wake_read(q);
			else if (!on_completion((struct entry *)(uintptr_t)data, res))
				live--;
	}
	if (err)
		give_up(q, err);
}

static void bind_to_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set); /* a CPU that is not there: anywhere */
}

static void *queue_thread(void *arg)
{
	struct queue *q = arg;
	struct ring *r = q->ring;

	mine = q;
	bind_to_cpu(q->id);
	q->err = uring_init(&q->u, r->plan.depth + 1);
	sem_post(&r->ready);
	if (q->err)
		return NULL;
	while (sem_wait(&r->go))
		;
	if (!atomic_load(&r->stop))
		serve(q);
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_mutex_unlock(&q->lock);
	uring_release(&q->u); /* lets go of /dev/fuse */
	return NULL;
}

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

static struct entry *find(struct ring *r, uint64_t unique)
{
	size_t n = (size_t)r->plan.queues * r->plan.depth;

	if (current && atomic_load_explicit(current->unique, memory_order_relaxed) == unique)
		return current;
	for (size_t i = 0; i < n; i++)
		if (atomic_load_explicit(&r->uniques[i], memory_order_acquire) == unique)
			return &r->queues[i / r->plan.depth].entries[i % r->plan.depth];
	return NULL;
}

/* Returns the payload's length, or SIZE_MAX: too long. */
static size_t copy_payload(struct entry *e, const struct iovec *iov, int count)
{
	size_t room = e->q->ring->plan.payload, used = 0;

	for (int i = 1; i < count; i++) {
		if (iov[i].iov_len > room - used)
			return SIZE_MAX;
		if (iov[i].iov_base != e->payload + used)
			memcpy(e->payload + used, iov[i].iov_base, iov[i].iov_len);
		used += iov[i].iov_len;
	}
	return used;
}

bool ring_reply(struct ring *r, const struct iovec *iov, int count, ssize_t *n)
{
	struct fuse_out_header out;
	struct entry *e;
	size_t used;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	e = out.unique ? find(r, out.unique) : NULL;
	if (!e)
		return false;
	*n = out.len;
	if (out.error == -NOWAIT_REFUSED && mine) {
		(void)latency_take();
		e->refused = true;
		return true;
	}
	used = copy_payload(e, iov, count);
	if (used == SIZE_MAX) {
		msg(LOG_ERR, "io_uring: an answer of %u bytes is too long", out.len);
		out.error = -EIO;
		used = 0;
	}
	out.len = (uint32_t)(sizeof(out) + used);
	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->payload_bytes = (uint32_t)used;
	atomic_store_explicit(e->unique, 0, memory_order_relaxed);
	submit_command(e, CMD_COMMIT_AND_FETCH, e->commit_id);
	return true;
}

void *ring_room(size_t size)
{
	return current && size <= current->q->ring->plan.payload ? current->payload : NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static int queue_init(struct ring *r, unsigned id)
{
	struct queue *q = &r->queues[id];
	size_t stride = PAGE + r->plan.payload;
	void *memory;

	*q = (struct queue){.ring = r, .id = id, .u.fd = -1, .wake = eventfd(0, EFD_CLOEXEC)};
	pthread_mutex_init(&q->lock, NULL);
	if (q->wake < 0)
		return -errno;
	q->entries = calloc(r->plan.depth, sizeof(*q->entries));
	memory = mmap(NULL, stride * r->plan.depth, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		q->memory = memory;
	if (!q->entries || !q->memory)
		return -ENOMEM;
	for (unsigned i = 0; i < r->plan.depth; i++) {
		struct entry *e = &q->entries[i];
		char *at = q->memory + i * stride;

		*e = (struct entry){.q = q, .header = (struct header *)at, .payload = at + PAGE};
		e->unique = &r->uniques[(size_t)id * r->plan.depth + i];
		e->iov[0] = (struct iovec){e->header, sizeof(*e->header)};
		e->iov[1] = (struct iovec){e->payload, r->plan.payload};
	}
	return 0;
}

static int queue_start(struct queue *q)
{
	int err = -pthread_create(&q->thread, NULL, queue_thread, q);

	q->started = !err;
	return err;
}

int ring_new(struct mnt *m, const struct ring_plan *p, struct ring **out)
{
	struct ring *r = calloc(1, sizeof(*r));
	unsigned started = 0;
	int err;

	if (!r)
		return -ENOMEM;
	r->m = m;
	r->plan = *p;
	sem_init(&r->ready, 0, 0);
	sem_init(&r->go, 0, 0);
	err = pool_init(&r->pool, POOL_THREADS);
	r->queues = calloc(p->queues, sizeof(*r->queues));
	r->uniques = calloc((size_t)p->queues * p->depth, sizeof(*r->uniques));
	if (!r->queues || !r->uniques)
		err = -ENOMEM;
	for (unsigned i = 0; i < p->queues && r->queues && r->uniques; i++) {
		int e = queue_init(r, i);

		err = err ? err : e;
	}
	while (!err && started < p->queues) {
		err = queue_start(&r->queues[started]);
		started += !err;
	}
	for (unsigned i = 0; i < started; i++)
		while (sem_wait(&r->ready))
			;
	for (unsigned i = 0; i < started && !err; i++)
		err = r->queues[i].err;
	if (err) {
		ring_stop(r);
		ring_free(r);
		return err;
	}
	*out = r;
	return 0;
}

static void release_threads(struct ring *r)
{
	for (unsigned i = 0; i < r->plan.queues; i++)
		sem_post(&r->go);
}

void ring_start(struct ring *r)
{
	release_threads(r);
}

void ring_stop(struct ring *r)
{
	if (!r || atomic_exchange(&r->stop, true))
		return;
	release_threads(r); /* if they wait for ring_start still */
	for (unsigned i = 0; r->queues && i < r->plan.queues; i++) {
		struct queue *q = &r->queues[i];

		if (!q->started)
			continue;
		(void)!write(q->wake, &(uint64_t){1}, sizeof(uint64_t));
		pthread_join(q->thread, NULL);
		q->started = false;
	}
	pool_release(&r->pool);
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	for (unsigned i = 0; r->queues && i < r->plan.queues; i++) {
		struct queue *q = &r->queues[i];

		if (q->memory)
			munmap(q->memory, (size_t)(PAGE + r->plan.payload) * r->plan.depth);
		if (q->wake >= 0)
			close(q->wake);
		free(q->entries);
		pthread_mutex_destroy(&q->lock);
	}
	free(r->queues);
	free(r->uniques);
	sem_destroy(&r->ready);
	sem_destroy(&r->go);
	free(r);
}

void ring_stats(struct ring *r, struct json *j)
{
	json_open(j, "io_uring");
	json_u64(j, "queues", r ? r->plan.queues : 0);
	json_u64(j, "depth", r ? r->plan.depth : 0);
	json_u64(j, "payload_bytes", r ? r->plan.payload : 0);
	json_u64(j, "requests", r ? atomic_load(&r->requests) : 0);
	json_u64(j, "handed_on", r ? atomic_load(&r->handed_on) : 0);
	json_close(j);
}
