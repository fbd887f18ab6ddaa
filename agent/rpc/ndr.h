/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NDR32, little-endian (C706 chapter 14; [MS-RPCE] 2.2.4): cursors with a sticky error.  After the first failure every
 * pull returns zero and every push does nothing; the caller looks at err once, at the end.  Pure, no I/O.
 */
#ifndef AGENT_RPC_NDR_H
#define AGENT_RPC_NDR_H

#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/guid.h"

#define NDR_STRING_UNITS_MAX 16384u  /* UTF-16 units in one string, its NUL included */
#define NDR_PUSH_BYTES_MAX (256u * 1024) /* one stub or PDU we build */

struct ndr_pull {
	const uint8_t *data; /* borrowed */
	size_t len, off;
	int err; /* 0; -EPROTO short or impossible; -EILSEQ bad text; -ENOMEM */
};

void ndr_pull_init(struct ndr_pull *p, const void *data, size_t len);
void ndr_pull_align(struct ndr_pull *p, size_t n); /* from the first byte of data; n a power of two */
void ndr_pull_fail(struct ndr_pull *p, int err);
/* The next n bytes, borrowed from data; NULL after an error. */
const uint8_t *ndr_pull_bytes(struct ndr_pull *p, size_t n);
/* Integers align themselves. */
uint8_t ndr_pull_u8(struct ndr_pull *p);
uint16_t ndr_pull_u16(struct ndr_pull *p);
uint32_t ndr_pull_u32(struct ndr_pull *p);
uint64_t ndr_pull_u64(struct ndr_pull *p);
void ndr_pull_guid(struct ndr_pull *p, struct guid *out);
/* Conformant varying string of UTF-16 units that ends with its only NUL, as UTF-8; owned by the caller, NULL on error. */
char *ndr_pull_string(struct ndr_pull *p);
/* The same with bytes of UTF-8 on the wire (Samba's pipe hand-over). */
char *ndr_pull_utf8_string(struct ndr_pull *p);

struct ndr_push {
	uint8_t *data; /* owned */
	size_t len, cap;
	int err; /* 0; -ENOMEM; -EMSGSIZE above NDR_PUSH_BYTES_MAX; -EILSEQ */
};

void ndr_push_init(struct ndr_push *p);
void ndr_push_release(struct ndr_push *p);
void ndr_push_align(struct ndr_push *p, size_t n); /* pads with zeros */
/* n bytes at the end to be filled by the caller, zeroed; NULL after an error. */
uint8_t *ndr_push_room(struct ndr_push *p, size_t n);
void ndr_push_bytes(struct ndr_push *p, const void *data, size_t n);
void ndr_push_u8(struct ndr_push *p, uint8_t v);
void ndr_push_u16(struct ndr_push *p, uint16_t v);
void ndr_push_u32(struct ndr_push *p, uint32_t v);
void ndr_push_u64(struct ndr_push *p, uint64_t v);
void ndr_push_guid(struct ndr_push *p, const struct guid *g);
void ndr_push_string(struct ndr_push *p, const char *utf8);
void ndr_push_utf8_string(struct ndr_push *p, const char *utf8);

#endif
