/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buffers for reading many blocks in one request (store_get_many).  A bounded number, made at first use and kept. */
#ifndef FS_STORE_STREAM_H
#define FS_STORE_STREAM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct stream {
	struct stream *next;
	uint8_t *bytes; /* owned; aligned to IO_ALIGN, streams->bytes long */
};
struct streams {
	pthread_mutex_t lock;
	struct stream *free; /* protected by lock */
	unsigned made, max;  /* made: protected by lock */
	size_t bytes;	     /* of each: a multiple of IO_ALIGN */
};

/* budget_bytes in all, but one buffer at least. */
void streams_init(struct streams *s, uint64_t budget_bytes, uint32_t record_max);
void streams_release(struct streams *s); /* all buffers have been put back */

#endif
