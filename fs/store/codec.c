/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compression and its working memory. */
#include "fs/store/codec.h"

#include <lz4.h>
#include <zstd.h>

/* More than the workers and readers of a machine; what is above goes back to malloc. */
#define SCRATCH_KEEP 16

static void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	free(s->record);
	free(s->block);
	ZSTD_freeCCtx(s->zc);
	ZSTD_freeDCtx(s->zd);
	free(s);
}

void scratch_pool_init(struct scratch_pool *p, uint32_t record_max, uint32_t block_size)
{
	*p = (struct scratch_pool){ .record_max = record_max, .block_size = block_size };
	pthread_mutex_init(&p->lock, NULL);
}

void scratch_pool_release(struct scratch_pool *p)
{
	while (p->free) {
		struct scratch *s = p->free;
		p->free = s->next;
		scratch_free(s);
	}
	pthread_mutex_destroy(&p->lock);
}

struct scratch *scratch_get(struct scratch_pool *p)
{
	pthread_mutex_lock(&p->lock);
	struct scratch *s = p->free;
	if (s) {
		p->free = s->next;
		p->nfree--;
	}
	pthread_mutex_unlock(&p->lock);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->record = malloc(p->record_max);
	s->block = malloc(p->block_size);
	if (!s->record || !s->block) {
		scratch_free(s);
		return NULL;
	}
	return s;
}

void scratch_put(struct scratch_pool *p, struct scratch *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&p->lock);
	bool keep = p->nfree < SCRATCH_KEEP;
	if (keep) {
		s->next = p->free;
		p->free = s;
		p->nfree++;
	}
	pthread_mutex_unlock(&p->lock);
	if (!keep)
		scratch_free(s);
}

size_t codec_compress(struct scratch *s, enum store_codec codec, const void *in, size_t len, void *out, size_t cap)
{
	if (codec == STORE_LZ4) {
		int n = LZ4_compress_default(in, out, (int)len, (int)cap);
		return n > 0 ? (size_t)n : 0;
	}
	if (codec == STORE_ZSTD) {
		if (!s->zc)
			s->zc = ZSTD_createCCtx();
		size_t n = s->zc ? ZSTD_compressCCtx(s->zc, out, cap, in, len, 1) : 0;
		return s->zc && !ZSTD_isError(n) ? n : 0;
	}
	return 0;
}

int codec_expand(struct scratch *s, enum store_codec codec, const void *in, size_t in_len, void *out, size_t len)
{
	if (codec == STORE_LZ4) {
		int n = LZ4_decompress_safe(in, out, (int)in_len, (int)len);
		return n >= 0 && (size_t)n == len ? 0 : -EUCLEAN;
	}
	if (codec == STORE_ZSTD) {
		if (!s->zd)
			s->zd = ZSTD_createDCtx();
		if (!s->zd)
			return -ENOMEM;
		size_t n = ZSTD_decompressDCtx(s->zd, out, len, in, in_len);
		return !ZSTD_isError(n) && n == len ? 0 : -EUCLEAN;
	}
	return -EUCLEAN;
}
