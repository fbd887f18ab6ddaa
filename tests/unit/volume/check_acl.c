/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX ACLs: cases with the results of ext4 (setfacl, getfacl, stat), and random ones beside the kernel of this machine. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/base/endian.h"
#include "fs/volume/acl.h"

Suite *make_acl_suite(void);

enum { VALUE_MAX = 4 + 16 * 8 };
struct value {
	uint8_t bytes[VALUE_MAX];
	size_t size;
};

static void add(struct value *v, unsigned tag, unsigned perm, uint32_t id)
{
	uint8_t *e = v->bytes + v->size;
	ck_assert_uint_le(v->size + 8, VALUE_MAX);
	put_le16(e, (uint16_t)tag);
	put_le16(e + 2, (uint16_t)perm);
	put_le32(e + 4, id);
	v->size += 8;
}

/* "u::7 u:1000:4 g::5 g:7:0 m::5 o::0" */
static struct value make(const char *text)
{
	struct value v = { .size = 4 };
	put_le32(v.bytes, 2);
	for (const char *p = text; *p; p += strspn(p, " ")) {
		char kind = *p, *end;
		bool named = p[2] != ':';
		uint32_t id = named ? (uint32_t)strtoul(p + 2, &end, 10) : UINT32_MAX;
		p = named ? end : p + 2;
		ck_assert_int_eq(*p, ':');
		unsigned tag = kind == 'u' ? 0x01 : kind == 'g' ? 0x04 : kind == 'm' ? 0x10 : 0x20;
		add(&v, named ? tag << 1 : tag, (unsigned)(p[1] - '0'), id);
		p += 2;
	}
	return v;
}

START_TEST(test_acl_bytes)
{
	/* getfattr -e hex of `setfacl -m u:1000:r` on a file of mode 0640. */
	static const uint8_t golden[] = {
		0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x06, 0x00, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x04, 0x00, 0xe8, 0x03, 0x00,
		0x00, 0x04, 0x00, 0x04, 0x00, 0xff, 0xff, 0xff, 0xff, 0x10, 0x00, 0x04, 0x00, 0xff, 0xff, 0xff, 0xff, 0x20, 0x00,
		0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
	};
	struct value v = make("u::6 u:1000:4 g::4 m::4 o::0");
	ck_assert_uint_eq(v.size, sizeof(golden));
	ck_assert_mem_eq(v.bytes, golden, sizeof(golden));
	ck_assert_int_eq(acl_validate(golden, sizeof(golden)), 5);
}
END_TEST

START_TEST(test_acl_validate)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "u::7 g::5 o::0", 3 },
		{ "u::7 g::5 m::7 o::0", 4 },
		{ "u::7 u:1:4 u:2:4 g::5 g:1:0 g:2:7 m::5 o::0", 8 },
		{ "u::7 u:2:4 u:2:5 u:1:4 g::5 m::5 o::0", 7 }, /* neither order nor uniqueness of ids is asked for */
		{ "", 0 },
		{ "u::7", -EINVAL },
		{ "u::7 g::5", -EINVAL },
		{ "g::5 u::7 o::0", -EINVAL },
		{ "u::7 g::5 o::0 o::0", -EINVAL },
		{ "u::7 u::7 g::5 o::0", -EINVAL },
		{ "u::7 g::5 o::0 m::7", -EINVAL },
		{ "u::7 u:1:4 g::5 o::0", -EINVAL }, /* no mask */
		{ "u::7 g::5 g:1:4 o::0", -EINVAL },
		{ "u::7 g::5 g::5 o::0", -EINVAL },
		{ "u::7 g::5 u:1:4 m::7 o::0", -EINVAL },
		{ "u::7 g:1:4 g::5 m::7 o::0", -EINVAL },
		{ "u::7 g::5 m::7 m::7 o::0", -EINVAL },
		{ "u::8 g::5 o::0", -EINVAL },
		{ "u::7 u:4294967295:4 g::5 m::7 o::0", -EINVAL },
		{ "u::7 g::5 g:4294967295:4 m::7 o::0", -EINVAL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct value v = make(cases[i].text);
		ck_assert_msg(acl_validate(v.bytes, v.size) == cases[i].result, "%s", cases[i].text);
	}
	struct value v = make("u::7 g::5 o::0");
	ck_assert_int_eq(acl_validate(NULL, 0), 0);
	for (size_t n = 1; n < v.size; n++)
		ck_assert_int_eq(acl_validate(v.bytes, n), n == 4 ? 0 : -EINVAL);
	v.bytes[0] = 1;
	ck_assert_int_eq(acl_validate(v.bytes, v.size), -EOPNOTSUPP);
	v = make("u::7 g::5 o::0");
	v.bytes[4] = 0x40;
	ck_assert_int_eq(acl_validate(v.bytes, v.size), -EINVAL);
}
END_TEST

START_TEST(test_acl_to_mode)
{
	static const struct {
		const char *text;
		uint32_t before, after;
		bool none;
	} cases[] = {
		{ "u::7 g::5 o::0", 0100666, 0100750, true },
		{ "u::7 g::5 o::0", 0106644, 0106750, true },
		{ "u::6 g::4 m::2 o::1", 0100777, 0100621, false },
		{ "u::6 u:1000:7 g::0 m::7 o::0", 0100600, 0100670, false },
		{ "u::0 g::7 g:5:1 m::0 o::7", 0041777, 0041007, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct value v = make(cases[i].text);
		uint32_t mode = cases[i].before;
		ck_assert(acl_to_mode(v.bytes, v.size, &mode) == cases[i].none);
		ck_assert_uint_eq(mode, cases[i].after);
	}
}
END_TEST

START_TEST(test_acl_chmod)
{
	static const struct {
		const char *before;
		uint32_t mode;
		const char *after;
	} cases[] = {
		{ "u::7 g::5 o::0", 0104641, "u::6 g::4 o::1" },
		{ "u::7 u:1:7 g::5 m::7 o::0", 0100640, "u::6 u:1:7 g::5 m::4 o::0" },
		{ "u::0 u:1:7 g::5 g:3:6 m::0 o::0", 0100777, "u::7 u:1:7 g::5 g:3:6 m::7 o::7" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct value v = make(cases[i].before), want = make(cases[i].after);
		acl_chmod(v.bytes, v.size, cases[i].mode);
		ck_assert_mem_eq(v.bytes, want.bytes, want.size);
	}
}
END_TEST

START_TEST(test_acl_create)
{
	static const struct {
		const char *dir_default;
		uint32_t asked, mode;
		const char *access; /* NULL: the mode says all */
	} cases[] = {
		{ "u::7 g::5 o::0", 0100666, 0100640, NULL },
		{ "u::7 g::7 o::7", 0102755, 0102755, NULL },
		{ "u::7 u:1000:7 g::5 m::7 o::0", 0100666, 0100660, "u::6 u:1000:7 g::5 m::6 o::0" },
		{ "u::7 u:1000:7 g::5 m::7 o::0", 0040777, 0040770, "u::7 u:1000:7 g::5 m::7 o::0" },
		{ "u::5 g::7 g:4:7 m::3 o::4", 0100764, 0100524, "u::5 g::7 g:4:7 m::2 o::4" },
		{ "u::7 g::7 m::7 o::7", 0100600, 0100600, "u::6 g::7 m::0 o::0" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct value v = make(cases[i].dir_default), untouched = v;
		uint8_t access[VALUE_MAX];
		uint32_t mode = cases[i].asked;
		ck_assert(acl_create(v.bytes, v.size, &mode, access) == !cases[i].access);
		ck_assert_uint_eq(mode, cases[i].mode);
		if (cases[i].access) {
			struct value want = make(cases[i].access);
			ck_assert_mem_eq(access, want.bytes, want.size);
		}
		ck_assert_mem_eq(v.bytes, untouched.bytes, v.size);
	}
	ck_assert_uint_eq(acl_create_plain(0102777, 07022), 0102755);
}
END_TEST

static uint64_t random_below(uint64_t *s, uint64_t n)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s % n;
}

/* Mostly valid; else one byte wrong. */
static struct value random_value(uint64_t *s)
{
	struct value v = { .size = 4 };
	uint32_t ids[2] = { getuid(), getgid() }; /* mapped, whatever the user namespace */
	bool named = false;
	put_le32(v.bytes, 2);
	add(&v, 0x01, random_below(s, 8), UINT32_MAX);
	for (int kind = 0; kind < 2; kind++) {
		if (kind)
			add(&v, 0x04, random_below(s, 8), UINT32_MAX);
		for (uint64_t n = random_below(s, 6); n > 2; n--, named = true)
			add(&v, kind ? 0x08 : 0x02, random_below(s, 8), ids[kind]);
	}
	if (named || random_below(s, 3) == 0)
		add(&v, 0x10, random_below(s, 8), UINT32_MAX);
	add(&v, 0x20, random_below(s, 8), UINT32_MAX);
	if (random_below(s, 4) == 0)
		v.bytes[4 + random_below(s, (v.size - 4) / 4) * 4 + random_below(s, 2) * 2] ^= (uint8_t)(1 << random_below(s, 8));
	return v;
}

static int kernel_set(int fd, const char *name, const struct value *v)
{
	return fsetxattr(fd, name, v->bytes, v->size, 0) < 0 ? -errno : 0;
}

/* Ids of entries that have none are not kept. */
static void forget_unused_ids(struct value *v)
{
	for (size_t i = 4; i < v->size; i += 8)
		if (get_le16(v->bytes + i) != 0x02 && get_le16(v->bytes + i) != 0x08)
			put_le32(v->bytes + i + 4, UINT32_MAX);
}

static void check_stored(int fd, const char *name, const uint8_t *want, size_t size, bool none)
{
	uint8_t got[VALUE_MAX];
	ssize_t n = fgetxattr(fd, name, got, sizeof(got));
	ck_assert_int_eq(n, none ? -1 : (ssize_t)size);
	if (!none)
		ck_assert_mem_eq(got, want, size);
}

static void like_kernel_set_and_chmod(int fd, uint64_t *s)
{
	static const char name[] = "system.posix_acl_access";
	struct value v = random_value(s);
	struct stat st;
	(void)!fremovexattr(fd, name);
	ck_assert_int_eq(fchmod(fd, (mode_t)random_below(s, 01000)), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	uint32_t mode = st.st_mode;
	int r = acl_validate(v.bytes, v.size);
	ck_assert_int_eq(kernel_set(fd, name, &v), r < 0 ? r : 0);
	if (r < 0)
		return;
	forget_unused_ids(&v);
	bool none = acl_to_mode(v.bytes, v.size, &mode);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode, mode);
	check_stored(fd, name, v.bytes, v.size, none);
	if (none)
		return;
	mode = (uint32_t)random_below(s, 01000);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	acl_chmod(v.bytes, v.size, mode);
	check_stored(fd, name, v.bytes, v.size, false);
}

static void like_kernel_create(int dir, uint64_t *s)
{
	static const char name[] = "system.posix_acl_default";
	struct value v = random_value(s);
	struct stat st;
	uint8_t access[VALUE_MAX];
	int r = acl_validate(v.bytes, v.size);
	bool is_dir = random_below(s, 2), none = true;
	(void)!fremovexattr(dir, name);
	ck_assert_int_eq(kernel_set(dir, name, &v), r < 0 ? r : 0);
	forget_unused_ids(&v);
	uint32_t mask = (uint32_t)random_below(s, 01000), mode = 0400 | (uint32_t)random_below(s, 01000);
	mask &= 0377; /* the owner must be able to open it below */
	if (r > 0)
		v.bytes[6] |= 4;
	if (r > 0)
		ck_assert_int_eq(kernel_set(dir, name, &v), 0);
	umask(mask);
	int made = is_dir ? mkdirat(dir, "new", mode) : mknodat(dir, "new", S_IFREG | mode, 0);
	umask(022);
	ck_assert_int_eq(made, 0);
	if (r > 0)
		none = acl_create(v.bytes, v.size, &mode, access);
	else
		mode = acl_create_plain(mode, mask);
	int fd = openat(dir, "new", O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
	check_stored(fd, "system.posix_acl_access", access, v.size, none);
	check_stored(fd, name, v.bytes, v.size, !is_dir || r < 0);
	close(fd);
	ck_assert_int_eq(unlinkat(dir, "new", is_dir ? AT_REMOVEDIR : 0), 0);
}

START_TEST(test_acl_like_the_kernel)
{
	char path[] = "/tmp/check_acl.XXXXXX";
	struct value v = make("u::7 g::5 m::1 o::0");
	uint64_t s = 4711;
	ck_assert_ptr_nonnull(mkdtemp(path));
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dir, 0);
	if (kernel_set(dir, "system.posix_acl_default", &v) == 0) { /* else no ACLs here */
		int fd = openat(dir, "file", O_RDWR | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		for (int i = 0; i < 3000; i++) {
			like_kernel_set_and_chmod(fd, &s);
			like_kernel_create(dir, &s);
		}
		close(fd);
		unlinkat(dir, "file", 0);
	}
	close(dir);
	rmdir(path);
}
END_TEST

Suite *make_acl_suite(void)
{
	Suite *suite = suite_create("acl");
	TCase *tc = tcase_create("acl");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_acl_bytes);
	tcase_add_test(tc, test_acl_validate);
	tcase_add_test(tc, test_acl_to_mode);
	tcase_add_test(tc, test_acl_chmod);
	tcase_add_test(tc, test_acl_create);
	tcase_add_test(tc, test_acl_like_the_kernel);
	suite_add_tcase(suite, tc);
	return suite;
}
