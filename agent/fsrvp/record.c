/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Record version 1, little-endian, nothing aligned:
 *
 *   OFFSET SIZE MEANING
 *        0    4 magic "KFSR"
 *        4    2 version, 1
 *        6    2 number of copies, 0 .. 64
 *        8    4 length of the whole record
 *       12    4 status, a code word
 *       16    4 context of SetContext
 *       20    4 writer's uid
 *       24    8 creation time, ns since 1970-01-01 UTC
 *       32    - creator, a string
 *               then per copy: 16 copy id (RFC 4122 order), 8 volume, string root path, 2 number of volumes below it,
 *               8 each of these, 2 number of mappings;
 *               per mapping: string share, string path below the root
 *   string: 2 bytes length, then that many bytes of UTF-8 without NUL
 */
#include "agent/fsrvp/record.h"

#include "fs/base/endian.h"

#define RECORD_MAGIC 0x5253464bu /* "KFSR" */
#define OFF_LENGTH 8

/* Code words, not small numbers: they license deletion.  Zero is none of them. */
static const uint32_t status_words[] = {
	[SET_STARTED] = 0x53544152u,   [SET_ADDED] = 0x41444445u,   [SET_CREATING] = 0x43524541u,
	[SET_COMMITTED] = 0x434f4d4du, [SET_EXPOSED] = 0x4558504fu, [SET_RECOVERED] = 0x52454356u,
};

struct writer {
	uint8_t *at, *end;
	bool full;
};

static uint8_t *room(struct writer *w, size_t n)
{
	if (w->full || n > (size_t)(w->end - w->at)) {
		w->full = true;
		return NULL;
	}
	w->at += n;
	return w->at - n;
}

static void put16(struct writer *w, uint16_t v)
{
	uint8_t *at = room(w, 2);

	if (at)
		put_le16(at, v);
}

static void put32(struct writer *w, uint32_t v)
{
	uint8_t *at = room(w, 4);

	if (at)
		put_le32(at, v);
}

static void put64(struct writer *w, uint64_t v)
{
	uint8_t *at = room(w, 8);

	if (at)
		put_le64(at, v);
}

static void put_bytes(struct writer *w, const void *data, size_t n)
{
	uint8_t *at = room(w, n);

	if (at && n)
		memcpy(at, data, n);
}

static void put_string(struct writer *w, const char *s)
{
	size_t n = strlen(s);

	if (n > UINT16_MAX)
		w->full = true;
	put16(w, (uint16_t)n);
	put_bytes(w, s, n);
}

int record_encode(const struct shadow_set *s, enum set_status status, uint8_t out[RECORD_BYTES_MAX], size_t *len)
{
	struct writer w = { .at = out, .end = out + RECORD_BYTES_MAX };

	put32(&w, RECORD_MAGIC);
	put16(&w, RECORD_VERSION);
	put16(&w, (uint16_t)s->ncopies);
	put32(&w, 0); /* the length, below */
	put32(&w, status_words[status]);
	put32(&w, s->context);
	put32(&w, s->writer_uid);
	put64(&w, s->created_ns);
	put_string(&w, s->creator ? s->creator : "");
	for (unsigned i = 0; i < s->ncopies; i++) {
		const struct shadow_copy *c = &s->copies[i];

		put_bytes(&w, c->id.b, sizeof(c->id.b));
		put64(&w, c->volume);
		put_string(&w, c->root);
		put16(&w, (uint16_t)c->nnested);
		for (unsigned j = 0; j < c->nnested; j++)
			put64(&w, c->nested[j]);
		put16(&w, (uint16_t)c->nmappings);
		for (unsigned j = 0; j < c->nmappings; j++) {
			put_string(&w, c->mappings[j].share);
			put_string(&w, c->mappings[j].rel);
		}
	}
	if (w.full)
		return -EMSGSIZE;
	*len = (size_t)(w.at - out);
	put_le32(out + OFF_LENGTH, (uint32_t)*len);
	return 0;
}

struct reader {
	const uint8_t *data;
	size_t len, off;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *at = r->data + r->off;

	if (r->bad || n > r->len - r->off) {
		r->bad = true;
		return NULL;
	}
	r->off += n;
	return at;
}

static uint16_t get16(struct reader *r)
{
	const uint8_t *at = take(r, 2);

	return at ? get_le16(at) : 0;
}

static uint32_t get32(struct reader *r)
{
	const uint8_t *at = take(r, 4);

	return at ? get_le32(at) : 0;
}

static uint64_t get64(struct reader *r)
{
	const uint8_t *at = take(r, 8);

	return at ? get_le64(at) : 0;
}

/* NULL when the record is bad or there is no memory; r->bad tells which. */
static char *get_string(struct reader *r)
{
	size_t n = get16(r);
	const uint8_t *at = take(r, n);

	if (at && memchr(at, 0, n))
		r->bad = true;
	return at && !r->bad ? strndup((const char *)at, n) : NULL;
}

static int get_status(struct reader *r, enum set_status *out)
{
	uint32_t word = get32(r);

	for (size_t i = SET_STARTED; i < ARRAY_SIZE(status_words); i++) {
		if (status_words[i] == word) {
			*out = (enum set_status)i;
			return 0;
		}
	}
	return -EPROTO;
}

static int decode_mapping(struct reader *r, struct shadow_set *s, struct shadow_copy *c)
{
	CLEANUP_FREE char *share = get_string(r);
	CLEANUP_FREE char *rel = get_string(r);

	if (r->bad)
		return -EPROTO;
	if (!share || !rel)
		return -ENOMEM;
	return *share == '\0' ? -EPROTO : shadow_set_add_mapping(s, c, share, rel);
}

/* A list longer than a set can have makes the reader bad. */
static unsigned get_nested(struct reader *r, uint64_t volumes[SET_COPIES_MAX])
{
	unsigned n = get16(r);

	r->bad = r->bad || n >= SET_COPIES_MAX;
	for (unsigned i = 0; i < n && !r->bad; i++)
		volumes[i] = get64(r);
	return n;
}

static int decode_copy(struct reader *r, struct shadow_set *s)
{
	const uint8_t *id_bytes = take(r, 16);
	uint64_t volume = get64(r);
	CLEANUP_FREE char *root = get_string(r);
	uint64_t nested[SET_COPIES_MAX];
	unsigned nnested = get_nested(r, nested), nmappings = get16(r);
	struct shadow_copy *c = NULL;
	struct guid id;
	int err;

	if (r->bad)
		return -EPROTO;
	if (!root)
		return -ENOMEM;
	memcpy(id.b, id_bytes, 16);
	if (root[0] != '/' || guid_is_zero(&id) || shadow_set_copy(s, &id) || shadow_set_volume(s, volume))
		return -EPROTO;
	err = shadow_set_add_copy(s, &id, volume, root, &c);
	if (!err)
		err = shadow_set_add_nested(s, c, nested, nnested);
	for (unsigned i = 0; i < nmappings && !err; i++)
		err = decode_mapping(r, s, c);
	return err == -ENOSPC ? -EPROTO : err;
}

int record_decode(const uint8_t *data, size_t len, struct shadow_set **out)
{
	struct reader r = { .data = data, .len = len };
	static const struct guid no_id;
	struct shadow_set *s = NULL;
	uint32_t magic = get32(&r);
	unsigned version = get16(&r), ncopies = get16(&r);
	int err;

	if (r.bad || magic != RECORD_MAGIC)
		return -EPROTO;
	if (version != RECORD_VERSION)
		return -EPROTONOSUPPORT;
	if (get32(&r) != len)
		return -EPROTO;
	err = shadow_set_new(&no_id, 0, &s);
	if (err)
		return err;
	err = get_status(&r, &s->status);
	s->context = get32(&r);
	s->writer_uid = get32(&r);
	s->created_ns = get64(&r);
	s->creator = get_string(&r);
	if (!err && r.bad)
		err = -EPROTO;
	if (!err && !s->creator)
		err = -ENOMEM;
	for (unsigned i = 0; i < ncopies && !err; i++)
		err = decode_copy(&r, s);
	if (!err && r.off != len)
		err = -EPROTO;
	if (err) {
		shadow_set_free(s);
		return err;
	}
	*out = s;
	return 0;
}
