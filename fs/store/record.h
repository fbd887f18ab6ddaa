/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pack and record headers between bytes and structs.  Pure: no I/O, no memory of its own. */
#ifndef FS_STORE_RECORD_H
#define FS_STORE_RECORD_H

#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/base/hash.h"
#include "fs/store/pack_format.h"

struct pack_header {
	uint32_t version, pack, block_size;
	uint8_t hash_algo;
	uint8_t store_id[16];
	uint64_t nonce;
};

struct record {
	uint8_t hash_algo, codec;
	uint32_t len, payload_len, stored, pack;
	uint64_t off, nonce, payload_sum;
	uint8_t hash[HASH_BYTES];
	uint64_t id; /* of the block, 0: not known */
	uint32_t table_len; /* bytes of the chunk table, 0 for none */
};

static inline uint32_t chunk_count(uint32_t len)
{
	return (len + CHUNK_BYTES - 1) / CHUNK_BYTES;
}
static inline uint32_t chunk_entry_bytes(uint8_t codec)
{
	return codec ? CHUNK_ENTRY_BYTES_MAX : CHUNK_SUM_BYTES;
}
/* Plain bytes of chunk i of a block. */
static inline uint32_t chunk_plain(uint32_t len, uint32_t i)
{
	return MIN((uint32_t)CHUNK_BYTES, len - i * CHUNK_BYTES);
}
/* Bytes of the chunk table a record of this kind has. */
static inline uint32_t record_table_len(uint8_t codec, uint32_t len)
{
	return len > CHUNK_BYTES ? chunk_count(len) * chunk_entry_bytes(codec) : 0;
}
static inline uint32_t record_stored(uint32_t table_len, uint32_t payload_len)
{
	return (RECORD_HEADER_BYTES + table_len + payload_len + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
}
/* The most a block of len plain bytes can take: a codec is used only where it saves 1/8, more than its larger table costs. */
static inline uint32_t record_stored_max(uint32_t len)
{
	return record_stored(record_table_len(0, len), len);
}
static inline uint32_t chunk_sum(const void *chunk, size_t len)
{
	return (uint32_t)checksum64(chunk, len);
}

void pack_header_encode(const struct pack_header *h, uint8_t page[PACK_HEADER_BYTES]);
/* -EUCLEAN: not a header or damaged.  -EPROTONOSUPPORT: a later version; *h holds what is known. */
int pack_header_decode(struct pack_header *h, const uint8_t page[PACK_HEADER_BYTES]) MUST_USE;

/* table: the r->table_len bytes of the chunk table as they will lie behind the header. */
void record_encode(const struct record *r, const uint8_t *table, uint8_t out[RECORD_HEADER_BYTES]);
/* Decode and check all that can be checked without the chunk table. */
int record_decode(struct record *r, const uint8_t in[RECORD_HEADER_BYTES]) MUST_USE;
/* Check the header sum and that the chunk table describes the payload; -EUCLEAN. */
int record_verify(const struct record *r, const uint8_t in[RECORD_HEADER_BYTES], const uint8_t *table) MUST_USE;

#endif
