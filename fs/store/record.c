/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pack and record headers.  The byte tables are in pack_format.h. */
#include "fs/store/record.h"

#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/store.h"

void pack_header_encode(const struct pack_header *h, uint8_t page[PACK_HEADER_BYTES])
{
	memset(page, 0, PACK_HEADER_BYTES);
	memcpy(page, PACK_MAGIC, 8);
	put_le32(page + 8, h->version);
	put_le32(page + 12, h->pack);
	put_le32(page + 16, h->block_size);
	put_u8(page + 20, h->hash_algo);
	memcpy(page + 24, h->store_id, 16);
	put_le64(page + 40, h->nonce);
	put_le64(page + 48, checksum64(page, PACK_HEADER_SUMMED));
}

int pack_header_decode(struct pack_header *h, const uint8_t page[PACK_HEADER_BYTES])
{
	if (memcmp(page, PACK_MAGIC, 8) || get_le64(page + 48) != checksum64(page, PACK_HEADER_SUMMED))
		return -EUCLEAN;
	h->version = get_le32(page + 8);
	h->pack = get_le32(page + 12);
	h->block_size = get_le32(page + 16);
	h->hash_algo = get_u8(page + 20);
	memcpy(h->store_id, page + 24, 16);
	h->nonce = get_le64(page + 40);
	if (h->version > PACK_VERSION)
		return -EPROTONOSUPPORT;
	return h->version && h->pack && h->nonce ? 0 : -EUCLEAN;
}

void record_encode(const struct record *r, const uint8_t *table, uint8_t out[RECORD_HEADER_BYTES])
{
	memset(out, 0, RECORD_HEADER_BYTES);
	put_le32(out, RECORD_MAGIC);
	put_u8(out + 4, RECORD_VERSION);
	put_u8(out + 5, r->hash_algo);
	put_u8(out + 6, r->codec);
	put_u8(out + 7, r->table_len ? RECORD_CHUNK_TABLE : 0);
	put_le32(out + 8, r->len);
	put_le32(out + 12, r->payload_len);
	put_le32(out + 16, r->stored);
	put_le32(out + 20, r->pack);
	put_le64(out + 24, r->off);
	put_le64(out + 32, r->nonce);
	put_le64(out + 40, r->payload_sum);
	memcpy(out + 48, r->hash, HASH_BYTES);
	put_le64(out + 80, r->id);
	struct iovec iov[2] = { { out, RECORD_HEADER_SUMMED }, { (void *)table, r->table_len } };
	put_le64(out + 88, checksum64_iov(iov, r->table_len ? 2 : 1));
}

int record_decode(struct record *r, const uint8_t in[RECORD_HEADER_BYTES])
{
	if (get_le32(in) != RECORD_MAGIC || get_u8(in + 4) != RECORD_VERSION)
		return -EUCLEAN;
	r->hash_algo = get_u8(in + 5);
	r->codec = get_u8(in + 6);
	r->len = get_le32(in + 8);
	r->payload_len = get_le32(in + 12);
	r->stored = get_le32(in + 16);
	r->pack = get_le32(in + 20);
	r->off = get_le64(in + 24);
	r->nonce = get_le64(in + 32);
	r->payload_sum = get_le64(in + 40);
	memcpy(r->hash, in + 48, HASH_BYTES);
	r->id = get_le64(in + 80);
	/* The lengths are bounded before anything is computed from them. */
	if (r->codec > STORE_ZSTD || !r->len || r->len > BLOCK_BYTES_MAX || !r->payload_len || r->payload_len > r->len)
		return -EUCLEAN;
	r->table_len = record_table_len(r->codec, r->len);
	if (get_u8(in + 7) != (r->table_len ? RECORD_CHUNK_TABLE : 0))
		return -EUCLEAN;
	if ((r->codec == STORE_NONE && r->payload_len != r->len) || r->stored != record_stored(r->table_len, r->payload_len))
		return -EUCLEAN;
	return 0;
}

static bool ends_valid(const struct record *r, const uint8_t *table)
{
	uint32_t start = 0;
	for (uint32_t i = 0; i < chunk_count(r->len); i++) {
		uint32_t end = get_le32(table + i * CHUNK_ENTRY_BYTES_MAX + CHUNK_SUM_BYTES);
		if (end <= start || end - start > chunk_plain(r->len, i))
			return false;
		start = end;
	}
	return start == r->payload_len;
}

int record_verify(const struct record *r, const uint8_t in[RECORD_HEADER_BYTES], const uint8_t *table)
{
	struct iovec iov[2] = { { (void *)in, RECORD_HEADER_SUMMED }, { (void *)table, r->table_len } };
	if (get_le64(in + 88) != checksum64_iov(iov, r->table_len ? 2 : 1))
		return -EUCLEAN;
	return r->codec == STORE_NONE || !r->table_len || ends_valid(r, table) ? 0 : -EUCLEAN;
}
