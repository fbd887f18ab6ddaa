/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NDR32 cursors.  Lengths are compared before they are multiplied or added. */
#include "agent/rpc/ndr.h"

#include "agent/rpc/utf16.h"
#include "fs/base/endian.h"

void ndr_pull_init(struct ndr_pull *p, const void *data, size_t len)
{
	*p = (struct ndr_pull){ .data = data, .len = len };
}

void ndr_pull_fail(struct ndr_pull *p, int err)
{
	if (!p->err)
		p->err = err;
}

const uint8_t *ndr_pull_bytes(struct ndr_pull *p, size_t n)
{
	const uint8_t *at;

	if (p->err)
		return NULL;
	if (n > p->len - p->off) {
		ndr_pull_fail(p, -EPROTO);
		return NULL;
	}
	at = p->data + p->off;
	p->off += n;
	return at;
}

void ndr_pull_align(struct ndr_pull *p, size_t n)
{
	(void)ndr_pull_bytes(p, -p->off & (n - 1)); /* failure is sticky */
}

uint8_t ndr_pull_u8(struct ndr_pull *p)
{
	const uint8_t *at = ndr_pull_bytes(p, 1);

	return at ? *at : 0;
}

uint16_t ndr_pull_u16(struct ndr_pull *p)
{
	const uint8_t *at;

	ndr_pull_align(p, 2);
	at = ndr_pull_bytes(p, 2);
	return at ? get_le16(at) : 0;
}

uint32_t ndr_pull_u32(struct ndr_pull *p)
{
	const uint8_t *at;

	ndr_pull_align(p, 4);
	at = ndr_pull_bytes(p, 4);
	return at ? get_le32(at) : 0;
}

uint64_t ndr_pull_u64(struct ndr_pull *p)
{
	const uint8_t *at;

	ndr_pull_align(p, 8);
	at = ndr_pull_bytes(p, 8);
	return at ? get_le64(at) : 0;
}

/* Wire order <-> printed order: the first three fields are little-endian integers ([MS-DTYP] 2.3.4.2). */
static void guid_swap(uint8_t to[16], const uint8_t from[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (int i = 0; i < 16; i++)
		to[i] = from[order[i]];
}

void ndr_pull_guid(struct ndr_pull *p, struct guid *out)
{
	const uint8_t *at;

	ndr_pull_align(p, 4);
	at = ndr_pull_bytes(p, 16);
	if (at)
		guid_swap(out->b, at);
	else
		memset(out, 0, sizeof(*out));
}

/* Header of a conformant varying string: the number of elements that follow, at least the NUL. */
static uint32_t pull_string_count(struct ndr_pull *p)
{
	uint32_t max = ndr_pull_u32(p);
	uint32_t offset = ndr_pull_u32(p);
	uint32_t count = ndr_pull_u32(p);

	if (offset != 0 || count > max || count < 1 || count > NDR_STRING_UNITS_MAX)
		ndr_pull_fail(p, -EPROTO);
	return p->err ? 0 : count;
}

char *ndr_pull_string(struct ndr_pull *p)
{
	uint32_t count = pull_string_count(p);
	const uint8_t *at = ndr_pull_bytes(p, (size_t)count * 2);
	char *s = NULL;

	if (!at)
		return NULL;
	if (get_le16(at + 2 * (count - 1)) != 0)
		ndr_pull_fail(p, -EPROTO);
	else
		ndr_pull_fail(p, utf16_to_utf8(at, count - 1, &s));
	return s;
}

char *ndr_pull_utf8_string(struct ndr_pull *p)
{
	uint32_t count = pull_string_count(p);
	const uint8_t *at = ndr_pull_bytes(p, count);
	char *s;

	if (!at)
		return NULL;
	if (memchr(at, 0, count) != at + count - 1) {
		ndr_pull_fail(p, -EPROTO);
		return NULL;
	}
	s = strdup((const char *)at);
	if (!s)
		ndr_pull_fail(p, -ENOMEM);
	return s;
}

void ndr_push_init(struct ndr_push *p)
{
	*p = (struct ndr_push){ .data = NULL };
}

void ndr_push_release(struct ndr_push *p)
{
	free(p->data);
	ndr_push_init(p);
}

uint8_t *ndr_push_room(struct ndr_push *p, size_t n)
{
	uint8_t *at;

	if (p->err)
		return NULL;
	if (n > NDR_PUSH_BYTES_MAX - p->len) {
		p->err = -EMSGSIZE;
		return NULL;
	}
	if (p->len + n > p->cap || !p->data) {
		size_t cap = MAX(p->cap * 2, p->len + n + 64);
		uint8_t *data = realloc(p->data, cap);

		if (!data) {
			p->err = -ENOMEM;
			return NULL;
		}
		p->data = data;
		p->cap = cap;
	}
	at = p->data + p->len;
	memset(at, 0, n);
	p->len += n;
	return at;
}

void ndr_push_align(struct ndr_push *p, size_t n)
{
	(void)ndr_push_room(p, -p->len & (n - 1)); /* failure is sticky */
}

void ndr_push_bytes(struct ndr_push *p, const void *data, size_t n)
{
	uint8_t *at = ndr_push_room(p, n);

	if (at && n)
		memcpy(at, data, n);
}

void ndr_push_u8(struct ndr_push *p, uint8_t v)
{
	ndr_push_bytes(p, &v, 1);
}

void ndr_push_u16(struct ndr_push *p, uint16_t v)
{
	uint8_t *at;

	ndr_push_align(p, 2);
	at = ndr_push_room(p, 2);
	if (at)
		put_le16(at, v);
}

void ndr_push_u32(struct ndr_push *p, uint32_t v)
{
	uint8_t *at;

	ndr_push_align(p, 4);
	at = ndr_push_room(p, 4);
	if (at)
		put_le32(at, v);
}

void ndr_push_u64(struct ndr_push *p, uint64_t v)
{
	uint8_t *at;

	ndr_push_align(p, 8);
	at = ndr_push_room(p, 8);
	if (at)
		put_le64(at, v);
}

void ndr_push_guid(struct ndr_push *p, const struct guid *g)
{
	uint8_t *at;

	ndr_push_align(p, 4);
	at = ndr_push_room(p, 16);
	if (at)
		guid_swap(at, g->b);
}

static void push_string_count(struct ndr_push *p, size_t count)
{
	if (count > NDR_STRING_UNITS_MAX && !p->err)
		p->err = -EMSGSIZE;
	ndr_push_u32(p, (uint32_t)count);
	ndr_push_u32(p, 0);
	ndr_push_u32(p, (uint32_t)count);
}

void ndr_push_string(struct ndr_push *p, const char *utf8)
{
	size_t units = 0;
	uint8_t *at;

	if (utf8_utf16_length(utf8, &units) < 0 && !p->err)
		p->err = -EILSEQ;
	push_string_count(p, units + 1);
	at = ndr_push_room(p, 2 * (units + 1)); /* zeroed: the NUL is there */
	if (at)
		utf8_to_utf16(utf8, at);
}

void ndr_push_utf8_string(struct ndr_push *p, const char *utf8)
{
	push_string_count(p, strlen(utf8) + 1);
	ndr_push_bytes(p, utf8, strlen(utf8) + 1);
}
