/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two kinds of sum: the content hash names a block and must resist forgery; checksum64 only finds accidents. */
#ifndef FS_BASE_HASH_H
#define FS_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fs/base/cleanup.h"

/* Stored on disk: never renumber. */
enum hash_algo { HASH_SHA256 = 1, HASH_BLAKE3 = 2 };
#define HASH_BYTES 32

/* Whether this program was built with the algorithm.  Thread-safe. */
bool hash_available(enum hash_algo algo);
/* -EOPNOTSUPP: not built in, or unknown.  -ENOMEM.  Thread-safe; fast for blocks of a few KiB. */
int hash_content(enum hash_algo algo, const void *buf, size_t len, uint8_t out[HASH_BYTES]) MUST_USE;

/* XXH3-64, seed 0.  Stored on disk as put_le64 of the value. */
uint64_t checksum64(const void *buf, size_t len);
/* The same over the pieces as if they were one. */
uint64_t checksum64_iov(const struct iovec *iov, int n);

#endif
