/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log record items: golden bytes of every kind, both directions; what is malformed is refused. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/volume/record.h"
#include "tests/unit/volume/suites.h"

static struct meta_attr some_attr(void)
{
	return (struct meta_attr){ .mode = 0100644, .uid = 1, .gid = 2, .nlink = 3, .size = 0x0405, .rdev = 6, .atime_ns = 7,
				   .mtime_ns = 8, .ctime_ns = -1, .btime_ns = 9 };
}

static struct meta_volume some_volume(void)
{
	struct meta_volume v = { .id = 0x11, .slot = 2, .generation = 3, .root = 0x10, .flags = META_VOL_READ_ONLY | META_VOL_SNAPSHOT,
				 .origin = 4, .alias = 5, .place_vol = 6, .place_dir = 7, .set_id = 8, .created_ns = 9 };

	memset(v.uuid, 0xaa, 16);
	strcpy(v.name, "vol");
	return v;
}

static void some_set(struct meta_set *s)
{
	memset(s, 0, sizeof(*s));
	s->id = 0x21;
	memset(s->uuid, 0xbb, 16);
	s->state = 0x434d4944;
	s->flags = 1;
	strcpy(s->owner, "me");
	s->created_ns = 1;
	s->committed_ns = 2;
	s->gate_ns = 3;
	s->commit_ns = 4;
	s->writer_uid = 5;
	s->record_version = 6;
	s->nmembers = 1;
	s->members[0].volume = 0x31;
	s->members[0].snapshot = 0x32;
	memset(s->members[0].snapshot_uuid, 0xcc, 16);
	s->record_len = 2;
	memcpy(s->record, "xy", 2);
}

static void put_attr(struct items *it)
{
	struct meta_attr a = some_attr();

	items_attr(it, 1, 2, &a);
}
static void put_attr_del(struct items *it)
{
	items_attr(it, 1, 2, NULL);
}
static void put_entry(struct items *it)
{
	struct meta_entry e = { 3, 8 };

	items_entry(it, 1, 2, "ab", 2, &e);
}
static void put_entry_del(struct items *it)
{
	items_entry(it, 1, 2, "ab", 2, NULL);
}
static void put_xattr(struct items *it)
{
	items_xattr(it, 1, 2, "user.a", 6, "val", 3);
}
static void put_xattr_del(struct items *it)
{
	items_xattr(it, 1, 2, "user.a", 6, NULL, 0);
}
static void put_orphan(struct items *it)
{
	items_orphan(it, 1, 2, false);
}
static void put_orphan_del(struct items *it)
{
	items_orphan(it, 1, 2, true);
}
static void put_write(struct items *it)
{
	items_write(it, 1, 2, 0x1000, 5);
}
static void put_zero(struct items *it)
{
	items_zero(it, 1, 2, 0x1000, 0x2000);
}
static void put_blocks(struct items *it)
{
	static const uint64_t ids[] = { 7, 0, 0x0102030405060708 };

	items_blocks(it, 1, 2, 4, 3, ids);
}
static void put_vol_new(struct items *it)
{
	struct meta_volume v = some_volume();

	items_vol_new(it, &v);
}
static void put_vol_copy(struct items *it)
{
	struct meta_volume v = some_volume();

	items_vol_copy(it, 1, &v);
}
static void put_epoch(struct items *it)
{
	items_epoch(it);
}
static void put_vol_set(struct items *it)
{
	struct meta_volume v = some_volume();

	items_vol_set(it, &v);
}
static void put_vol_del(struct items *it)
{
	items_vol_del(it, 0x11);
}
static void put_set(struct items *it)
{
	struct meta_set s;

	some_set(&s);
	items_set_put(it, &s);
}
static void put_set_del(struct items *it)
{
	items_set_del(it, 0x21);
}

#define VOL1 "0100000000000000"
#define INO2 "0200000000000000"
#define VOLUME_BYTES                                                                                                        \
	"1100000000000000" /* id */ "02000000" /* slot */ "03000000" /* generation */ "1000000000000000" /* root */         \
	"21000000" /* flags: read-only, snapshot */ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* uuid */                           \
	"0400000000000000" /* origin */ "0500000000000000" /* alias */ "0600000000000000" "0700000000000000" /* place */    \
	"0800000000000000" /* set */ "0900000000000000" /* created */ "0300" "766f6c" /* name */

static const struct golden {
	uint8_t kind;
	bool del;
	void (*put)(struct items *it);
	const char *hex;
} golden[] = {
	{ ITEM_ATTR, false, put_attr,
	  "01" "00" "0000" "50000000" VOL1 INO2 "a4810000" /* mode */ "01000000" "02000000" /* uid gid */ "03000000" /* nlink */
	  "0504000000000000" /* size */ "0600000000000000" /* rdev */ "0700000000000000" "0800000000000000" "ffffffffffffffff"
	  "0900000000000000" /* atime mtime ctime btime */ },
	{ ITEM_ATTR, true, put_attr_del, "01" "01" "0000" "10000000" VOL1 INO2 },
	{ ITEM_ENTRY, false, put_entry,
	  "02" "00" "0000" "1d000000" VOL1 INO2 "0200" "6162" /* name */ "0300000000000000" /* ino */ "08" /* type */ },
	{ ITEM_ENTRY, true, put_entry_del, "02" "01" "0000" "14000000" VOL1 INO2 "0200" "6162" },
	{ ITEM_XATTR, false, put_xattr,
	  "03" "00" "0000" "1f000000" VOL1 INO2 "0600" "757365722e61" /* name */ "03000000" "76616c" /* value */ },
	{ ITEM_XATTR, true, put_xattr_del, "03" "01" "0000" "18000000" VOL1 INO2 "0600" "757365722e61" },
	{ ITEM_ORPHAN, false, put_orphan, "04" "00" "0000" "10000000" VOL1 INO2 },
	{ ITEM_ORPHAN, true, put_orphan_del, "04" "01" "0000" "10000000" VOL1 INO2 },
	{ ITEM_WRITE, false, put_write, "05" "00" "0000" "1c000000" VOL1 INO2 "0010000000000000" /* off */ "05000000" /* len */ },
	{ ITEM_ZERO, false, put_zero, "06" "00" "0000" "20000000" VOL1 INO2 "0010000000000000" "0020000000000000" },
	{ ITEM_BLOCKS, false, put_blocks,
	  "07" "00" "0000" "34000000" VOL1 INO2 "0400000000000000" /* block */ "03000000" /* n */ "0700000000000000"
	  "0000000000000000" "0807060504030201" },
	{ ITEM_VOL_NEW, false, put_vol_new, "08" "00" "0000" "61000000" VOLUME_BYTES },
	{ ITEM_VOL_COPY, false, put_vol_copy, "09" "00" "0000" "69000000" VOL1 VOLUME_BYTES },
	{ ITEM_EPOCH, false, put_epoch, "0a" "00" "0000" "00000000" },
	{ ITEM_VOL_SET, false, put_vol_set, "0b" "00" "0000" "61000000" VOLUME_BYTES },
	{ ITEM_VOL_DEL, false, put_vol_del, "0c" "00" "0000" "08000000" "1100000000000000" },
	{ ITEM_SET_PUT, false, put_set,
	  "0d" "00" "0000" "7a000000" "2100000000000000" /* id */ "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" /* uuid */
	  "44494d43" /* state */ "01000000" /* flags */ "0200" "6d65" /* owner */ "0100000000000000" "0200000000000000"
	  "0300000000000000" "0400000000000000" /* created committed gate commit */ "05000000" /* writer */
	  "0600000000000000" /* version */ "01000000" /* n */ "3100000000000000" "3200000000000000"
	  "cccccccccccccccccccccccccccccccc" "02000000" "7879" /* record */ },
	{ ITEM_SET_DEL, false, put_set_del, "0e" "00" "0000" "08000000" "2100000000000000" },
};

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (; hex[0]; hex += 2, n++) {
		unsigned b;

		ck_assert_int_eq(sscanf(hex, "%2x", &b), 1);
		out[n] = (uint8_t)b;
	}
	return n;
}

START_TEST(test_record_golden_encode)
{
	const struct golden *g = &golden[_i];
	uint8_t want[512];
	size_t n = from_hex(g->hex, want);
	struct items it;

	items_init(&it);
	g->put(&it);
	ck_assert_int_eq(it.err, 0);
	ck_assert_uint_eq(it.len, n);
	ck_assert_mem_eq(it.buf, want, n);
	items_release(&it);
}
END_TEST

/* The fields of a decoded item, where the kind has them. */
static void check_fields(const struct item *i)
{
	struct meta_attr a = some_attr();
	struct meta_set s, back;

	switch (i->kind) {
	case ITEM_ATTR:
		ck_assert_uint_eq(i->obj, 2);
		if (!i->del) {
			ck_assert_uint_eq(i->attr.mode, a.mode);
			ck_assert_uint_eq(i->attr.uid, a.uid);
			ck_assert_uint_eq(i->attr.gid, a.gid);
			ck_assert_uint_eq(i->attr.nlink, a.nlink);
			ck_assert_uint_eq(i->attr.size, a.size);
			ck_assert_uint_eq(i->attr.rdev, a.rdev);
			ck_assert_int_eq(i->attr.atime_ns, a.atime_ns);
			ck_assert_int_eq(i->attr.mtime_ns, a.mtime_ns);
			ck_assert_int_eq(i->attr.ctime_ns, a.ctime_ns);
			ck_assert_int_eq(i->attr.btime_ns, a.btime_ns);
		}
		break;
	case ITEM_ENTRY:
		ck_assert_uint_eq(i->name_len, 2);
		ck_assert_mem_eq(i->name, "ab", 2);
		if (!i->del) {
			ck_assert_uint_eq(i->entry.ino, 3);
			ck_assert_uint_eq(i->entry.type, 8);
		}
		break;
	case ITEM_XATTR:
		ck_assert_uint_eq(i->name_len, 6);
		ck_assert_mem_eq(i->name, "user.a", 6);
		if (!i->del) {
			ck_assert_uint_eq(i->value_len, 3);
			ck_assert_mem_eq(i->value, "val", 3);
		}
		break;
	case ITEM_WRITE:
		ck_assert_uint_eq(i->off, 0x1000);
		ck_assert_uint_eq(i->len, 5);
		break;
	case ITEM_ZERO:
		ck_assert_uint_eq(i->off, 0x1000);
		ck_assert_uint_eq(i->len, 0x2000);
		break;
	case ITEM_BLOCKS:
		ck_assert_uint_eq(i->off, 4);
		ck_assert_uint_eq(i->len, 3);
		ck_assert_uint_eq(i->ids[0], 7);
		ck_assert_uint_eq(i->ids[16], 8);
		break;
	case ITEM_VOL_NEW:
	case ITEM_VOL_COPY:
	case ITEM_VOL_SET:
		ck_assert_uint_eq(i->vol, i->kind == ITEM_VOL_COPY ? 1 : 0x11);
		ck_assert_uint_eq(i->volume.id, 0x11);
		ck_assert_uint_eq(i->volume.line, 0x11);
		ck_assert_uint_eq(i->volume.slot, 2);
		ck_assert_uint_eq(i->volume.generation, 3);
		ck_assert_uint_eq(i->volume.root, 0x10);
		ck_assert_uint_eq(i->volume.flags, META_VOL_READ_ONLY | META_VOL_SNAPSHOT);
		ck_assert_uint_eq(i->volume.origin, 4);
		ck_assert_uint_eq(i->volume.alias, 5);
		ck_assert_uint_eq(i->volume.place_vol, 6);
		ck_assert_uint_eq(i->volume.place_dir, 7);
		ck_assert_uint_eq(i->volume.set_id, 8);
		ck_assert_uint_eq(i->volume.created_ns, 9);
		ck_assert_str_eq(i->volume.name, "vol");
		break;
	case ITEM_SET_PUT:
		some_set(&s);
		ck_assert_uint_eq(i->vol, 0x21);
		ck_assert_int_eq(item_set(i, &back), 0);
		ck_assert_mem_eq(&back, &s, sizeof(s));
		break;
	case ITEM_VOL_DEL:
		ck_assert_uint_eq(i->vol, 0x11);
		break;
	case ITEM_SET_DEL:
		ck_assert_uint_eq(i->vol, 0x21);
		break;
	}
}

START_TEST(test_record_golden_decode)
{
	const struct golden *g = &golden[_i];
	uint8_t b[512];
	size_t n = from_hex(g->hex, b), pos = 0;
	struct item i;

	ck_assert_int_eq(item_next(b, n, &pos, &i), 1);
	ck_assert_uint_eq(pos, n);
	ck_assert_uint_eq(i.kind, g->kind);
	ck_assert_int_eq(i.del, g->del);
	check_fields(&i);
	ck_assert_int_eq(item_next(b, n, &pos, &i), 0);
}
END_TEST

/* Cut short anywhere: never an item, never beyond the buffer (the copy is exactly as long, so a sanitizer sees). */
START_TEST(test_record_cut_short)
{
	const struct golden *g = &golden[_i];
	uint8_t b[512];
	size_t n = from_hex(g->hex, b);

	for (size_t len = 1; len < n; len++) {
		uint8_t *copy = malloc(len);
		struct item i;
		size_t pos = 0;

		memcpy(copy, b, len);
		ck_assert_int_eq(item_next(copy, len, &pos, &i), -EUCLEAN);
		free(copy);
	}
}
END_TEST

/* A body one byte shorter or longer than its fields. */
START_TEST(test_record_wrong_body)
{
	const struct golden *g = &golden[_i];
	uint8_t b[512] = { 0 };
	size_t n = from_hex(g->hex, b), pos;
	struct meta_set s;
	struct item i;
	int r;

	for (int by = -1; by <= 1; by += 2) {
		uint8_t copy[513] = { 0 };
		uint32_t body = (uint32_t)(n - 8);

		if (by < 0 && !body)
			continue;
		memcpy(copy, b, n);
		body += (uint32_t)by;
		memcpy(copy + 4, &body, 4);
		pos = 0;
		r = item_next(copy, n + (size_t)by, &pos, &i);
		if (g->kind == ITEM_SET_PUT) { /* decoded by item_set */
			ck_assert_int_eq(r, 1);
			r = item_set(&i, &s);
		}
		ck_assert_int_eq(r, -EUCLEAN);
	}
}
END_TEST

START_TEST(test_record_unknown_kind)
{
	static const uint8_t kinds[] = { 0, 15, 255 };

	for (size_t k = 0; k < sizeof(kinds); k++) {
		uint8_t b[8] = { kinds[k] };
		struct item i;
		size_t pos = 0;

		ck_assert_int_eq(item_next(b, sizeof(b), &pos, &i), -EPROTONOSUPPORT);
	}
}
END_TEST

START_TEST(test_record_name_too_long)
{
	struct meta_entry e = { 1, 8 };
	char name[256];
	struct items it;
	struct item i;
	size_t pos = 0;

	memset(name, 'x', sizeof(name));
	items_init(&it);
	items_entry(&it, 1, 2, name, 255, &e);
	ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), 1);
	ck_assert_uint_eq(i.name_len, 255);
	items_release(&it);
	items_init(&it);
	items_entry(&it, 1, 2, name, 256, &e);
	pos = 0;
	ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), -EUCLEAN);
	items_release(&it);
}
END_TEST

START_TEST(test_record_set_bounds)
{
	struct meta_set *s = malloc(sizeof(*s)), *back = malloc(sizeof(*back));
	struct items it;
	struct item i;
	size_t pos = 0;

	some_set(s);
	s->nmembers = META_SET_MEMBERS_MAX;
	s->record_len = META_SET_RECORD_MAX;
	items_init(&it);
	items_set_put(&it, s);
	ck_assert_int_eq(it.err, 0);
	ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), 1);
	ck_assert_int_eq(item_set(&i, back), 0);
	ck_assert_mem_eq(back, s, sizeof(*s));
	/* 65 members, said by the count alone */
	it.buf[8 + 32 + 2 + 2 + 44] = 65;
	pos = 0;
	ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), 1);
	ck_assert_int_eq(item_set(&i, back), -EUCLEAN);
	items_release(&it);
	free(s);
	free(back);
}
END_TEST

/* Many items in one buffer, longer than what is inside the struct. */
START_TEST(test_record_sequence)
{
	const int n = 200, kinds = sizeof(golden) / sizeof(golden[0]);
	struct items it;
	struct item i;
	size_t pos = 0;

	items_init(&it);
	for (int k = 0; k < n; k++)
		golden[k % kinds].put(&it);
	ck_assert_int_eq(it.err, 0);
	for (int k = 0; k < n; k++) {
		ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), 1);
		ck_assert_uint_eq(i.kind, golden[k % kinds].kind);
		check_fields(&i);
	}
	ck_assert_int_eq(item_next(it.buf, it.len, &pos, &i), 0);
	items_release(&it);
}
END_TEST

Suite *make_record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *tc = tcase_create("items");
	const int n = sizeof(golden) / sizeof(golden[0]);

	tcase_add_loop_test(tc, test_record_golden_encode, 0, n);
	tcase_add_loop_test(tc, test_record_golden_decode, 0, n);
	tcase_add_loop_test(tc, test_record_cut_short, 0, n);
	tcase_add_loop_test(tc, test_record_wrong_body, 0, n);
	tcase_add_test(tc, test_record_unknown_kind);
	tcase_add_test(tc, test_record_name_too_long);
	tcase_add_test(tc, test_record_set_bounds);
	tcase_add_test(tc, test_record_sequence);
	suite_add_tcase(s, tc);
	return s;
}
