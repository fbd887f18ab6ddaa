/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A record's header as bytes; see log_format.h. */
#include "fs/base/endian.h"
#include "fs/log/log_private.h"

void record_header_encode(const struct record_header *h, uint8_t out[LOG_RECORD_HEADER])
{
	put_le64(out, h->checksum);
	put_le64(out + 8, h->lsn);
	put_le32(out + 16, h->len);
	put_le16(out + 20, h->type);
	put_le16(out + 22, h->flags);
	put_le64(out + 24, h->durable);
}

void record_header_decode(const uint8_t in[LOG_RECORD_HEADER], struct record_header *out)
{
	out->checksum = get_le64(in);
	out->lsn = get_le64(in + 8);
	out->len = get_le32(in + 16);
	out->type = get_le16(in + 20);
	out->flags = get_le16(in + 22);
	out->durable = get_le64(in + 24);
}
