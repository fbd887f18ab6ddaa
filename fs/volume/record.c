/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoding and decoding of log record items.  The byte tables are in record.h; nothing here knows what an item does. */
#include "fs/volume/record.h"

#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"

#define HEADER 8
#define ATTR_BYTES 64

void items_init(struct items *it)
{
	it->buf = it->space;
	it->len = 0;
	it->cap = sizeof(it->space);
	it->err = 0;
}

void items_release(struct items *it)
{
	if (it->buf != it->space)
		free(it->buf);
	it->buf = it->space;
	it->len = 0;
	it->cap = sizeof(it->space);
}

/* Room for one item of `body` bytes; NULL after -ENOMEM. */
static uint8_t *item_begin(struct items *it, uint8_t kind, uint8_t flags, size_t body)
{
	size_t need = it->len + HEADER + body;
	uint8_t *p;

	if (it->err)
		return NULL;
	if (need > it->cap) {
		size_t cap = MAX(need, it->cap * 2);

		p = it->buf == it->space ? malloc(cap) : realloc(it->buf, cap);
		if (!p) {
			it->err = -ENOMEM;
			return NULL;
		}
		if (it->buf == it->space)
			memcpy(p, it->space, it->len);
		it->buf = p;
		it->cap = cap;
	}
	p = it->buf + it->len;
	put_u8(p, kind);
	put_u8(p + 1, flags);
	put_le16(p + 2, 0);
	put_le32(p + 4, (uint32_t)body);
	it->len = need;
	return p + HEADER;
}

static uint8_t *put_str(uint8_t *p, const void *s, size_t len)
{
	put_le16(p, (uint16_t)len);
	memcpy(p + 2, s, len);
	return p + 2 + len;
}

void items_attr(struct items *it, uint64_t vol, uint64_t ino, const struct meta_attr *a)
{
	uint8_t *p = item_begin(it, ITEM_ATTR, a ? 0 : ITEM_DEL, 16 + (a ? ATTR_BYTES : 0));

	if (!p)
		return;
	put_le64(p, vol);
	put_le64(p + 8, ino);
	if (!a)
		return;
	put_le32(p + 16, a->mode);
	put_le32(p + 20, a->uid);
	put_le32(p + 24, a->gid);
	put_le32(p + 28, a->nlink);
	put_le64(p + 32, a->size);
	put_le64(p + 40, a->rdev);
	put_le64(p + 48, (uint64_t)a->atime_ns);
	put_le64(p + 56, (uint64_t)a->mtime_ns);
	put_le64(p + 64, (uint64_t)a->ctime_ns);
	put_le64(p + 72, (uint64_t)a->btime_ns);
}

void items_entry(struct items *it, uint64_t vol, uint64_t dir, const void *name, size_t len, const struct meta_entry *e)
{
	uint8_t *p = item_begin(it, ITEM_ENTRY, e ? 0 : ITEM_DEL, 16 + 2 + len + (e ? 9 : 0));

	if (!p)
		return;
	put_le64(p, vol);
	put_le64(p + 8, dir);
	p = put_str(p + 16, name, len);
	if (e) {
		put_le64(p, e->ino);
		put_u8(p + 8, e->type);
	}
}

void items_xattr(struct items *it, uint64_t vol, uint64_t ino, const void *name, size_t len, const void *value, size_t value_len)
{
	uint8_t *p = item_begin(it, ITEM_XATTR, value ? 0 : ITEM_DEL, 16 + 2 + len + (value ? 4 + value_len : 0));

	if (!p)
		return;
	put_le64(p, vol);
	put_le64(p + 8, ino);
	p = put_str(p + 16, name, len);
	if (value) {
		put_le32(p, (uint32_t)value_len);
		memcpy(p + 4, value, value_len);
	}
}

static uint8_t *item_two(struct items *it, uint8_t kind, uint8_t flags, size_t body, uint64_t vol, uint64_t ino)
{
	uint8_t *p = item_begin(it, kind, flags, body);

	if (p) {
		put_le64(p, vol);
		put_le64(p + 8, ino);
	}
	return p;
}

void items_orphan(struct items *it, uint64_t vol, uint64_t ino, bool named_again)
{
	(void)item_two(it, ITEM_ORPHAN, named_again ? ITEM_DEL : 0, 16, vol, ino); /* failure is sticky in it->err */
}

void items_write(struct items *it, uint64_t vol, uint64_t ino, uint64_t off, uint32_t len)
{
	uint8_t *p = item_two(it, ITEM_WRITE, 0, 28, vol, ino);

	if (p) {
		put_le64(p + 16, off);
		put_le32(p + 24, len);
	}
}

void items_zero(struct items *it, uint64_t vol, uint64_t ino, uint64_t off, uint64_t len)
{
	uint8_t *p = item_two(it, ITEM_ZERO, 0, 32, vol, ino);

	if (p) {
		put_le64(p + 16, off);
		put_le64(p + 24, len);
	}
}

void items_blocks(struct items *it, uint64_t vol, uint64_t ino, uint64_t block, uint32_t n, const uint64_t *ids)
{
	uint8_t *p = item_two(it, ITEM_BLOCKS, 0, 28 + (size_t)n * 8, vol, ino);

	if (!p)
		return;
	put_le64(p + 16, block);
	put_le32(p + 24, n);
	for (uint32_t i = 0; i < n; i++)
		put_le64(p + 28 + (size_t)i * 8, ids[i]);
}

#define VOLUME_FIXED (8 + 4 + 4 + 8 + 4 + 16 + 6 * 8 + 2)

static uint8_t *put_volume(uint8_t *p, const struct meta_volume *v)
{
	put_le64(p, v->id);
	put_le32(p + 8, v->slot);
	put_le32(p + 12, v->generation);
	put_le64(p + 16, v->root);
	put_le32(p + 24, v->flags);
	memcpy(p + 28, v->uuid, 16);
	put_le64(p + 44, v->origin);
	put_le64(p + 52, v->alias);
	put_le64(p + 60, v->place_vol);
	put_le64(p + 68, v->place_dir);
	put_le64(p + 76, v->set_id);
	put_le64(p + 84, v->created_ns);
	return put_str(p + 92, v->name, strlen(v->name));
}

void items_vol_new(struct items *it, const struct meta_volume *v)
{
	uint8_t *p = item_begin(it, ITEM_VOL_NEW, 0, VOLUME_FIXED + strlen(v->name));

	if (p)
		put_volume(p, v);
}

void items_vol_copy(struct items *it, uint64_t of, const struct meta_volume *v)
{
	uint8_t *p = item_begin(it, ITEM_VOL_COPY, 0, 8 + VOLUME_FIXED + strlen(v->name));

	if (p) {
		put_le64(p, of);
		put_volume(p + 8, v);
	}
}

void items_vol_set(struct items *it, const struct meta_volume *v)
{
	uint8_t *p = item_begin(it, ITEM_VOL_SET, 0, VOLUME_FIXED + strlen(v->name));

	if (p)
		put_volume(p, v);
}

void items_epoch(struct items *it)
{
	(void)item_begin(it, ITEM_EPOCH, 0, 0); /* failure is sticky in it->err */
}

static void item_id(struct items *it, uint8_t kind, uint64_t id)
{
	uint8_t *p = item_begin(it, kind, 0, 8);

	if (p)
		put_le64(p, id);
}

void items_vol_del(struct items *it, uint64_t vol)
{
	item_id(it, ITEM_VOL_DEL, vol);
}

void items_set_del(struct items *it, uint64_t id)
{
	item_id(it, ITEM_SET_DEL, id);
}

#define MEMBER_BYTES 32

void items_set_put(struct items *it, const struct meta_set *s)
{
	size_t owner = strnlen(s->owner, sizeof(s->owner));
	uint8_t *p = item_begin(it, ITEM_SET_PUT, 0,
				8 + 16 + 8 + 2 + owner + 32 + 4 + 8 + 4 + (size_t)s->nmembers * MEMBER_BYTES + 4 + s->record_len);

	if (!p)
		return;
	put_le64(p, s->id);
	memcpy(p + 8, s->uuid, 16);
	put_le32(p + 24, s->state);
	put_le32(p + 28, s->flags);
	p = put_str(p + 32, s->owner, owner);
	put_le64(p, s->created_ns);
	put_le64(p + 8, s->committed_ns);
	put_le64(p + 16, s->gate_ns);
	put_le64(p + 24, s->commit_ns);
	put_le32(p + 32, s->writer_uid);
	put_le64(p + 36, s->record_version);
	put_le32(p + 44, s->nmembers);
	p += 48;
	for (uint32_t i = 0; i < s->nmembers; i++, p += MEMBER_BYTES) {
		put_le64(p, s->members[i].volume);
		put_le64(p + 8, s->members[i].snapshot);
		memcpy(p + 16, s->members[i].snapshot_uuid, 16);
	}
	put_le32(p, s->record_len);
	memcpy(p + 4, s->record, s->record_len);
}

/* ---- decoding: a cursor with a sticky error ---- */

struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	static const uint8_t zeros[16];
	const uint8_t *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return n <= sizeof(zeros) ? zeros : NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}
static uint64_t take64(struct cursor *c) { return get_le64(take(c, 8)); }
static uint32_t take32(struct cursor *c) { return get_le32(take(c, 4)); }

static void take_name(struct cursor *c, struct item *out)
{
	out->name_len = get_le16(take(c, 2));
	out->name = take(c, out->name_len);
	if (out->name_len > META_NAME_MAX)
		c->bad = true;
}

static void take_volume(struct cursor *c, struct meta_volume *v)
{
	const uint8_t *p;
	uint16_t len;

	memset(v, 0, sizeof(*v));
	v->id = take64(c);
	v->slot = take32(c);
	v->generation = take32(c);
	v->root = take64(c);
	v->flags = take32(c);
	memcpy(v->uuid, take(c, 16), 16);
	v->origin = take64(c);
	v->alias = take64(c);
	v->place_vol = take64(c);
	v->place_dir = take64(c);
	v->set_id = take64(c);
	v->created_ns = take64(c);
	len = get_le16(take(c, 2));
	p = take(c, len);
	if (c->bad || len > META_NAME_MAX)
		c->bad = true;
	else
		memcpy(v->name, p, len);
	v->line = v->id;
}

static void take_attr(struct cursor *c, struct meta_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->mode = take32(c);
	a->uid = take32(c);
	a->gid = take32(c);
	a->nlink = take32(c);
	a->size = take64(c);
	a->rdev = take64(c);
	a->atime_ns = (int64_t)take64(c);
	a->mtime_ns = (int64_t)take64(c);
	a->ctime_ns = (int64_t)take64(c);
	a->btime_ns = (int64_t)take64(c);
}

int item_next(const uint8_t *buf, size_t len, size_t *pos, struct item *out)
{
	struct cursor c = { buf + *pos, len - *pos, false };
	uint32_t body;
	uint8_t flags;

	if (!c.left)
		return 0;
	memset(out, 0, sizeof(*out));
	out->kind = get_u8(take(&c, 1));
	flags = get_u8(take(&c, 1));
	(void)take(&c, 2); /* zero */
	body = take32(&c);
	if (c.bad || body > c.left)
		return -EUCLEAN;
	out->del = flags & ITEM_DEL;
	*pos += HEADER + body;
	c.left = body;
	switch (out->kind) {
	case ITEM_ATTR:
		out->vol = take64(&c);
		out->obj = take64(&c);
		if (!out->del)
			take_attr(&c, &out->attr);
		break;
	case ITEM_ENTRY:
		out->vol = take64(&c);
		out->obj = take64(&c);
		take_name(&c, out);
		if (!out->del) {
			out->entry.ino = take64(&c);
			out->entry.type = get_u8(take(&c, 1));
		}
		break;
	case ITEM_XATTR:
		out->vol = take64(&c);
		out->obj = take64(&c);
		take_name(&c, out);
		if (!out->del) {
			out->value_len = take32(&c);
			out->value = take(&c, out->value_len);
		}
		break;
	case ITEM_ORPHAN:
		out->vol = take64(&c);
		out->obj = take64(&c);
		break;
	case ITEM_WRITE:
		out->vol = take64(&c);
		out->obj = take64(&c);
		out->off = take64(&c);
		out->len = take32(&c);
		break;
	case ITEM_ZERO:
		out->vol = take64(&c);
		out->obj = take64(&c);
		out->off = take64(&c);
		out->len = take64(&c);
		break;
	case ITEM_BLOCKS:
		out->vol = take64(&c);
		out->obj = take64(&c);
		out->off = take64(&c);
		out->len = take32(&c);
		out->ids = take(&c, out->len * 8);
		break;
	case ITEM_VOL_COPY:
		out->vol = take64(&c);
		take_volume(&c, &out->volume);
		break;
	case ITEM_VOL_NEW:
	case ITEM_VOL_SET:
		take_volume(&c, &out->volume);
		out->vol = out->volume.id;
		break;
	case ITEM_EPOCH:
		break;
	case ITEM_VOL_DEL:
	case ITEM_SET_DEL:
		out->vol = take64(&c);
		break;
	case ITEM_SET_PUT:
		out->value = c.p;
		out->value_len = body;
		out->vol = take64(&c);
		c.left = 0;
		break;
	default:
		return -EPROTONOSUPPORT;
	}
	return c.bad || c.left ? -EUCLEAN : 1;
}

int item_set(const struct item *i, struct meta_set *s)
{
	struct cursor c = { i->value, i->value_len, false };
	const uint8_t *p;
	uint16_t len;

	memset(s, 0, sizeof(*s));
	s->id = take64(&c);
	memcpy(s->uuid, take(&c, 16), 16);
	s->state = take32(&c);
	s->flags = take32(&c);
	len = get_le16(take(&c, 2));
	p = take(&c, len);
	if (c.bad || len >= sizeof(s->owner))
		return -EUCLEAN;
	memcpy(s->owner, p, len);
	s->created_ns = take64(&c);
	s->committed_ns = take64(&c);
	s->gate_ns = take64(&c);
	s->commit_ns = take64(&c);
	s->writer_uid = take32(&c);
	s->record_version = take64(&c);
	s->nmembers = take32(&c);
	if (s->nmembers > META_SET_MEMBERS_MAX)
		return -EUCLEAN;
	for (uint32_t n = 0; n < s->nmembers; n++) {
		s->members[n].volume = take64(&c);
		s->members[n].snapshot = take64(&c);
		memcpy(s->members[n].snapshot_uuid, take(&c, 16), 16);
	}
	s->record_len = take32(&c);
	if (s->record_len > sizeof(s->record))
		return -EUCLEAN;
	p = take(&c, s->record_len);
	if (c.bad || c.left)
		return -EUCLEAN;
	memcpy(s->record, p, s->record_len);
	return 0;
}
