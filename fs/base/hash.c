/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content hash and checksum.  OpenSSL looks an algorithm up by name at each one-shot call, which costs as much as hashing
 * half a KiB, so the algorithm is fetched once and each thread keeps its context.
 */
#include "fs/base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#ifdef HAVE_BLAKE3
#include <blake3.h>
#endif

static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_md;	/* written once; kept for ever */
static pthread_key_t sha256_key; /* value: the thread's EVP_MD_CTX, owned */
static bool sha256_ready;	/* written once */

static void free_context(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void sha256_setup(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	sha256_ready = sha256_md && pthread_key_create(&sha256_key, free_context) == 0;
}

/* The calling thread's context.  NULL: out of memory. */
static EVP_MD_CTX *sha256_context(void)
{
	EVP_MD_CTX *ctx = pthread_getspecific(sha256_key);

	if (ctx)
		return ctx;
	ctx = EVP_MD_CTX_new();
	if (ctx && pthread_setspecific(sha256_key, ctx) != 0) {
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static int sha256(const void *buf, size_t len, uint8_t out[HASH_BYTES])
{
	EVP_MD_CTX *ctx;

	pthread_once(&sha256_once, sha256_setup);
	if (!sha256_ready)
		return -EOPNOTSUPP;
	ctx = sha256_context();
	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestInit_ex2(ctx, sha256_md, NULL) != 1 || EVP_DigestUpdate(ctx, buf, len) != 1 ||
	    EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		return -ENOMEM; /* with valid arguments nothing else can fail */
	return 0;
}

#ifdef HAVE_BLAKE3
static int blake3(const void *buf, size_t len, uint8_t out[HASH_BYTES])
{
	blake3_hasher h;

	blake3_hasher_init(&h);
	blake3_hasher_update(&h, buf, len);
	blake3_hasher_finalize(&h, out, HASH_BYTES);
	return 0;
}
#endif

bool hash_available(enum hash_algo algo)
{
	switch (algo) {
	case HASH_SHA256:
		pthread_once(&sha256_once, sha256_setup);
		return sha256_ready;
#ifdef HAVE_BLAKE3
	case HASH_BLAKE3:
		return true;
#endif
	default:
		return false;
	}
}

int hash_content(enum hash_algo algo, const void *buf, size_t len, uint8_t out[HASH_BYTES])
{
	switch (algo) {
	case HASH_SHA256:
		return sha256(buf, len, out);
#ifdef HAVE_BLAKE3
	case HASH_BLAKE3:
		return blake3(buf, len, out);
#endif
	default:
		return -EOPNOTSUPP;
	}
}

uint64_t checksum64(const void *buf, size_t len)
{
	return XXH3_64bits(buf, len);
}

uint64_t checksum64_iov(const struct iovec *iov, int n)
{
	XXH3_state_t state; /* about half a KiB */

	if (n == 1)
		return checksum64(iov[0].iov_base, iov[0].iov_len);
	XXH3_64bits_reset(&state);
	for (int i = 0; i < n; i++)
		XXH3_64bits_update(&state, iov[i].iov_base, iov[i].iov_len);
	return XXH3_64bits_digest(&state);
}
