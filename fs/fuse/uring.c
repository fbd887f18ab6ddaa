/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/uring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SQE_BYTES 128

/* Of newer linux/io_uring.h than Debian 12's. */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1u << 7)
#endif

static void *map(int fd, size_t bytes, off_t off)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, off);
}

static int map_rings(struct uring *u, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *array;
	char *r;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	u->rings_bytes = MAX(sq, cq);
	u->rings = map(u->fd, u->rings_bytes, IORING_OFF_SQ_RING);
	if (u->rings == MAP_FAILED) {
		u->rings = NULL;
		return -errno;
	}
	u->sqes_bytes = (size_t)p->sq_entries * SQE_BYTES;
	u->sqes = map(u->fd, u->sqes_bytes, IORING_OFF_SQES);
	if (u->sqes == MAP_FAILED) {
		u->sqes = NULL;
		return -errno;
	}
	r = u->rings;
	u->sq_mask = p->sq_entries - 1;
	u->cq_mask = p->cq_entries - 1;
	u->sq_head = (uint32_t *)(r + p->sq_off.head);
	u->sq_tail = (uint32_t *)(r + p->sq_off.tail);
	u->cq_head = (uint32_t *)(r + p->cq_off.head);
	u->cq_tail = (uint32_t *)(r + p->cq_off.tail);
	u->cqes = (struct io_uring_cqe *)(r + p->cq_off.cqes);
	array = (uint32_t *)(r + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

int uring_init(struct uring *u, unsigned entries)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	int err;

	*u = (struct uring){.fd = (int)syscall(SYS_io_uring_setup, entries, &p)};
	if (u->fd < 0)
		return -errno;
	err = map_rings(u, &p);
	if (err)
		uring_release(u);
	return err;
}

void uring_release(struct uring *u)
{
	if (u->sqes)
		munmap(u->sqes, u->sqes_bytes);
	if (u->rings)
		munmap(u->rings, u->rings_bytes);
	if (u->fd >= 0)
		close(u->fd);
	*u = (struct uring){.fd = -1};
}

struct io_uring_sqe *uring_sqe(struct uring *u)
{
	struct io_uring_sqe *s;

	if (u->tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE) > u->sq_mask)
		return NULL;
	s = (struct io_uring_sqe *)(u->sqes + (size_t)(u->tail & u->sq_mask) * SQE_BYTES);
	memset(s, 0, SQE_BYTES);
	u->tail++;
	return s;
}

unsigned uring_publish(struct uring *u)
{
	__atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
	return u->tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE);
}

int uring_enter(struct uring *u, unsigned to_submit, unsigned wait)
{
	long n = syscall(SYS_io_uring_enter, u->fd, to_submit, wait, IORING_ENTER_GETEVENTS, NULL, 0);

	return n < 0 ? -errno : 0;
}

bool uring_next(struct uring *u, uint64_t *data, int *res)
{
	uint32_t head = *u->cq_head;
	const struct io_uring_cqe *c = &u->cqes[head & u->cq_mask];

	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*data = c->user_data;
	*res = c->res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}
