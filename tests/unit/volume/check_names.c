/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: make, link, unlink, rename, list; attributes and extended attributes beside them. */
#include <dirent.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

/* Loop 0: from memory; loop 1: from the database; loop 2: by a new mount. */
#define SETTLE()                     \
	do {                         \
		if (_i >= 1)         \
			drain();     \
		if (_i == 2)         \
			reopen();    \
	} while (0)

static int mk(struct fs_node dir, const char *name, uint32_t mode)
{
	struct fs_attr a;
	uint64_t lsn;

	return fs_mknod(test_fs, NULL, dir, name, strlen(name), mode, 0, NULL, &a, &lsn);
}
static int rm(struct fs_node dir, const char *name)
{
	uint64_t lsn;

	return fs_unlink(test_fs, NULL, dir, name, strlen(name), NULL, &lsn);
}
static int rmd(struct fs_node dir, const char *name)
{
	uint64_t lsn;

	return fs_rmdir(test_fs, NULL, dir, name, strlen(name), NULL, &lsn);
}
static int ln(struct fs_node n, struct fs_node dir, const char *name)
{
	struct fs_attr a;
	uint64_t lsn;

	return fs_link(test_fs, NULL, n, dir, name, strlen(name), &a, &lsn);
}
static int mv(struct fs_node d1, const char *n1, struct fs_node d2, const char *n2, unsigned flags)
{
	uint64_t lsn;

	return fs_rename(test_fs, NULL, d1, n1, strlen(n1), d2, n2, strlen(n2), flags, NULL, &lsn);
}

START_TEST(test_names_types)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct fs_node n[7];
	char name[2] = "a", text[10];

	for (int i = 0; i < 7; i++, name[0]++)
		n[i] = make(test_root, name, types[i] | 0640);
	SETTLE();
	name[0] = 'a';
	for (int i = 0; i < 7; i++, name[0]++) {
		struct fs_attr a = attr(find(test_root, name));

		ck_assert_uint_eq(a.node.ino, n[i].ino);
		ck_assert_uint_eq(a.mode, types[i] | (types[i] == S_IFLNK ? 0777 : 0640));
		ck_assert_uint_eq(a.nlink, types[i] == S_IFDIR ? 2 : 1);
	}
	ck_assert_int_eq(fs_readlink(test_fs, n[2], text, sizeof(text)), 6);
	ck_assert_mem_eq(text, "target", 6);
	ck_assert_int_eq(fs_readlink(test_fs, n[2], text, 3), 3);
	fails(fs_readlink(test_fs, n[0], text, sizeof(text)), EINVAL);
	ck_assert_uint_eq(attr(test_root).nlink, 3);
}
END_TEST

START_TEST(test_names_refused)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), d = make(test_root, "d", S_IFDIR | 0755), gone;
	struct fs_node snaps = { test_root.vol, FS_INO_SNAPSHOTS };
	char longer[300], target[5000];
	struct fs_attr a;
	uint64_t lsn;

	memset(longer, 'x', sizeof(longer));
	longer[256] = 0;
	fails(mk(test_root, longer, S_IFREG), ENAMETOOLONG);
	longer[255] = 0;
	ok(mk(test_root, longer, S_IFREG));
	fails(mk(test_root, "", S_IFREG), EINVAL);
	fails(mk(test_root, ".", S_IFREG), EINVAL);
	fails(mk(test_root, "..", S_IFREG), EINVAL);
	fails(mk(test_root, "a/b", S_IFREG), EINVAL);
	fails(fs_mknod(test_fs, NULL, test_root, "a\0b", 3, S_IFREG, 0, NULL, &a, &lsn), EINVAL);
	fails(mk(test_root, "f", S_IFREG), EEXIST);
	fails(mk(test_root, FS_SNAPSHOTS_NAME, S_IFDIR), EEXIST);
	ok(mk(d, FS_SNAPSHOTS_NAME, S_IFREG));
	fails(mk(f, "x", S_IFREG), ENOTDIR);
	fails(mk(snaps, "x", S_IFREG), EROFS);
	fails(mk((struct fs_node){ test_root.vol, 9999 }, "x", S_IFREG), ESTALE);
	fails(mk((struct fs_node){ 77, 16 }, "x", S_IFREG), ESTALE);
	memset(target, 't', sizeof(target));
	target[FS_SYMLINK_MAX + 1] = 0;
	fails(fs_mknod(test_fs, NULL, test_root, "l", 1, S_IFLNK, 0, target, &a, &lsn), ENAMETOOLONG);
	fails(fs_mknod(test_fs, NULL, test_root, "l", 1, S_IFLNK, 0, "", &a, &lsn), ENOENT);
	target[FS_SYMLINK_MAX] = 0;
	ok(fs_mknod(test_fs, NULL, test_root, "l", 1, S_IFLNK, 0, target, &a, &lsn));
	fails(look(test_root, "nothing"), ENOENT);
	fails(rm(test_root, "nothing"), ENOENT);
	fails(rm(test_root, "d"), EISDIR);
	fails(rmd(test_root, "f"), ENOTDIR);
	fails(rmd(test_root, "d"), ENOTEMPTY);
	fails(rm(test_root, FS_SNAPSHOTS_NAME), EISDIR);
	fails(rmd(test_root, FS_SNAPSHOTS_NAME), EBUSY);
	fails(ln(d, test_root, "x"), EPERM);
	fails(ln(f, test_root, "d"), EEXIST);
	/* A directory that was removed but is still held takes no names. */
	gone = make(test_root, "gone", S_IFDIR | 0755);
	ok(fs_hold(test_fs, gone));
	ok(rmd(test_root, "gone"));
	fails(mk(gone, "x", S_IFREG), ENOENT);
	fails(ln(f, gone, "x"), ENOENT);
	fails(mv(test_root, "f", gone, "x", 0), ENOENT);
	fs_drop(test_fs, gone, 1);
	drain();
	fails(fs_getattr(test_fs, gone, &a), ESTALE);
}
END_TEST

START_TEST(test_names_link)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), d = make(test_root, "d", S_IFDIR | 0755);
	uint64_t v = create_volume(test_root, "v");

	put_text(f, 0, "text");
	ok(ln(f, d, "g"));
	fails(ln(f, root_of(v), "g"), EXDEV);
	SETTLE();
	ck_assert_uint_eq(attr(f).nlink, 2);
	ok(rm(test_root, "f"));
	SETTLE();
	ck_assert_uint_eq(attr(f).nlink, 1);
	is_text(find(d, "g"), "text");
}
END_TEST

START_TEST(test_names_unlinked_but_open)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct fs_attr a;

	fill(f, 0, 2 * BS, 1);
	ok(fs_hold(test_fs, f));
	ok(rm(test_root, "f"));
	ck_assert_int_eq(count_blocks(), 2);
	is_filled(f, 0, 2 * BS, 1);
	fill(f, 2 * BS, BS, 1);
	ck_assert_uint_eq(attr(f).nlink, 0);
	ck_assert_int_eq(count_blocks(), 3);
	if (_i)
		reopen(); /* nobody holds it any more */
	else
		fs_drop(test_fs, f, 1);
	ck_assert_int_eq(count_blocks(), 0);
	fails(fs_getattr(test_fs, f, &a), ESTALE);
	fails(fs_hold(test_fs, f), ESTALE);
}
END_TEST

START_TEST(test_names_tmpfile)
{
	struct fs_attr a;
	struct fs_node f;
	uint64_t lsn;

	ok(fs_tmpfile(test_fs, NULL, test_root, 0600, &a, &lsn));
	f = a.node;
	ck_assert_uint_eq(a.nlink, 0);
	fill(f, 0, BS, 1);
	drain();
	ok(ln(f, test_root, "named"));
	fs_drop(test_fs, f, 1);
	power_cut();
	fails(look(test_root, "named"), ENOENT); /* nobody waited */
	ok(fs_tmpfile(test_fs, NULL, test_root, 0600, &a, &lsn));
	ok(ln(a.node, test_root, "named"));
	fill(a.node, 0, BS, 1);
	fs_drop(test_fs, a.node, 1);
	ok(fs_sync(test_fs));
	power_cut();
	is_filled(find(test_root, "named"), 0, BS, 1);
	ck_assert_uint_eq(attr(find(test_root, "named")).nlink, 1);
}
END_TEST

START_TEST(test_names_rename)
{
	struct fs_node d = make(test_root, "d", S_IFDIR | 0755), e = make(d, "e", S_IFDIR | 0755), f = make(e, "f", S_IFREG | 0644);

	ok(mv(e, "f", test_root, "g", 0));
	SETTLE();
	ck_assert_uint_eq(find(test_root, "g").ino, f.ino);
	fails(look(e, "f"), ENOENT);
	ok(mv(d, "e", test_root, "e", 0));
	SETTLE();
	ck_assert_uint_eq(attr(d).nlink, 2);
	ck_assert_uint_eq(attr(test_root).nlink, 4);
	/* over a file, over an empty directory */
	make(test_root, "h", S_IFREG | 0644);
	ok(mv(test_root, "g", test_root, "h", 0));
	SETTLE();
	ck_assert_uint_eq(find(test_root, "h").ino, f.ino);
	ok(mv(test_root, "e", test_root, "d", 0));
	SETTLE();
	ck_assert_uint_eq(find(test_root, "d").ino, e.ino);
	ck_assert_uint_eq(attr(test_root).nlink, 3);
	/* one name onto another of the same file does nothing */
	ok(ln(f, test_root, "i"));
	ok(mv(test_root, "i", test_root, "h", 0));
	find(test_root, "i");
}
END_TEST

START_TEST(test_names_rename_flags)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), d = make(test_root, "d", S_IFDIR | 0755), s = make(d, "s", S_IFDIR | 0755);

	fails(mv(test_root, "a", test_root, "d", RENAME_NOREPLACE), EEXIST);
	fails(mv(test_root, "a", test_root, "z", RENAME_EXCHANGE), ENOENT);
	fails(mv(test_root, "a", test_root, "z", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	fails(mv(test_root, "a", test_root, "z", RENAME_WHITEOUT), EINVAL);
	ok(mv(test_root, "a", d, "a", RENAME_NOREPLACE));
	SETTLE();
	fails(mv(d, "a", test_root, "d", RENAME_EXCHANGE), EINVAL); /* d would come into itself */
	ok(mv(d, "s", d, "a", RENAME_EXCHANGE));
	SETTLE();
	ck_assert_uint_eq(find(d, "s").ino, a.ino);
	ck_assert_uint_eq(find(d, "a").ino, s.ino);
	ck_assert_uint_eq(attr(d).nlink, 3);
}
END_TEST

START_TEST(test_names_rename_refused)
{
	struct fs_node d = make(test_root, "d", S_IFDIR | 0755), e = make(d, "e", S_IFDIR | 0755);
	uint64_t v = create_volume(test_root, "v");

	make(test_root, "f", S_IFREG | 0644);
	fails(mv(test_root, "d", e, "x", 0), EINVAL);
	fails(mv(test_root, "d", d, "x", 0), EINVAL);
	fails(mv(test_root, "f", test_root, "d", 0), EISDIR);
	fails(mv(test_root, "d", test_root, "f", 0), ENOTDIR);
	make(test_root, "k", S_IFDIR | 0755);
	fails(mv(test_root, "k", test_root, "d", 0), ENOTEMPTY);
	fails(mv(test_root, "f", root_of(v), "f", 0), EXDEV);
	fails(mv(test_root, "k", test_root, "v", 0), EBUSY);
	fails(mv(test_root, "f", test_root, FS_SNAPSHOTS_NAME, 0), EBUSY);
	fails(mv(test_root, FS_SNAPSHOTS_NAME, test_root, "x", 0), EROFS);
	fails(mv(test_root, "nothing", test_root, "x", 0), ENOENT);
}
END_TEST

START_TEST(test_names_rename_volume)
{
	uint64_t v = create_volume(test_root, "v");
	struct fs_node d = make(test_root, "d", S_IFDIR | 0755);

	make(root_of(v), "f", S_IFREG | 0644);
	ok(mv(test_root, "v", d, "w", 0));
	SETTLE();
	ck_assert_uint_eq(find(d, "w").vol, v);
	find(find(d, "w"), "f");
	ok(delete_volume(v, 0));
	SETTLE();
	fails(look(d, "w"), ENOENT);
	ck_assert_uint_eq(attr(d).nlink, 2);
}
END_TEST

struct list {
	char text[2000];
	unsigned n, stop_at;
};
static int on_name(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *a)
{
	struct list *l = arg;

	(void)dtype;
	ck_assert(!a || a->node.ino == node.ino);
	strncat(l->text, name, len);
	strcat(l->text, " ");
	return ++l->n == l->stop_at ? 77 : 0;
}

START_TEST(test_names_readdir)
{
	struct list l = { .n = 0 };
	char name[10];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		make(test_root, name, S_IFREG | 0644);
	}
	SETTLE();
	/* Half of what is stored goes, in memory only. */
	for (int i = 0; i < 20; i += 2) {
		snprintf(name, sizeof(name), "n%02d", i);
		del(test_root, name);
	}
	make(test_root, "n00x", S_IFREG | 0644);
	ok(fs_readdir(test_fs, test_root, NULL, 0, 4, false, on_name, &l));
	ck_assert_str_eq(l.text, "n00x n01 n03 n05 ");
	l = (struct list){ .n = 0 };
	ok(fs_readdir(test_fs, test_root, "n05", 3, 100, true, on_name, &l));
	ck_assert_str_eq(l.text, "n07 n09 n11 n13 n15 n17 n19 ");
	l = (struct list){ .n = 0 };
	ok(fs_readdir(test_fs, test_root, "n06", 3, 1, true, on_name, &l)); /* a name that is not there */
	ck_assert_str_eq(l.text, "n07 ");
	l = (struct list){ .stop_at = 2 };
	ck_assert_int_eq(fs_readdir(test_fs, test_root, NULL, 0, 100, false, on_name, &l), 77);
	ck_assert_uint_eq(l.n, 2);
	l = (struct list){ .n = 0 };
	ok(fs_readdir(test_fs, test_root, "z", 1, 100, false, on_name, &l));
	ck_assert_uint_eq(l.n, 0);
	fails(fs_readdir(test_fs, find(test_root, "n01"), NULL, 0, 1, false, on_name, &l), ENOTDIR);
	fails(fs_readdir(test_fs, test_root, NULL, 0, 0, false, on_name, &l), EINVAL);
}
END_TEST

START_TEST(test_xattrs)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char *big = malloc(65537), b[16], list[100];
	uint64_t lsn;

	memset(big, 'b', 65537);
	ok(fs_setxattr(test_fs, NULL, f, "user.a", "value", 5, 0, &lsn));
	ok(fs_setxattr(test_fs, NULL, f, "trusted.empty", "", 0, 0, &lsn));
	ok(fs_setxattr(test_fs, NULL, f, "security.big", big, 65536, 0, &lsn));
	fails(fs_setxattr(test_fs, NULL, f, "user.b", big, 65537, 0, &lsn), E2BIG);
	fails(fs_setxattr(test_fs, NULL, f, "user.a", "x", 1, XATTR_CREATE, &lsn), EEXIST);
	fails(fs_setxattr(test_fs, NULL, f, "user.b", "x", 1, XATTR_REPLACE, &lsn), ENODATA);
	fails(fs_setxattr(test_fs, NULL, f, "", "x", 1, 0, &lsn), ERANGE);
	SETTLE();
	ck_assert_int_eq(fs_getxattr(test_fs, f, "user.a", NULL, 0), 5);
	fails(fs_getxattr(test_fs, f, "user.a", b, 4), ERANGE);
	ck_assert_int_eq(fs_getxattr(test_fs, f, "user.a", b, 5), 5);
	ck_assert_mem_eq(b, "value", 5);
	ck_assert_int_eq(fs_getxattr(test_fs, f, "trusted.empty", b, 16), 0);
	ck_assert_int_eq(fs_getxattr(test_fs, f, "security.big", big, 65536), 65536);
	fails(fs_getxattr(test_fs, f, "user.b", b, 16), ENODATA);
	ck_assert_int_eq(fs_listxattr(test_fs, f, NULL, 0), 7 + 14 + 13);
	fails(fs_listxattr(test_fs, f, list, 10), ERANGE);
	ck_assert_int_eq(fs_listxattr(test_fs, f, list, 100), 7 + 14 + 13);
	ok(fs_removexattr(test_fs, NULL, f, "user.a", &lsn));
	fails(fs_removexattr(test_fs, NULL, f, "user.a", &lsn), ENODATA);
	SETTLE();
	fails(fs_getxattr(test_fs, f, "user.a", b, 16), ENODATA);
	ck_assert_int_eq(fs_listxattr(test_fs, f, list, 100), 14 + 13);
	free(big);
}
END_TEST

START_TEST(test_names_set_group_id)
{
	struct fs_node d = make(test_root, "d", S_IFDIR | 0755);
	struct fs_attr a = { .mode = 02755, .gid = 77 }, out;
	struct fs_ctx c = { 1000, 1000, 022 };
	uint64_t lsn;

	ok(fs_setattr(test_fs, NULL, d, &a, FS_SET_MODE | FS_SET_GID, &out, &lsn));
	ok(fs_mknod(test_fs, &c, d, "f", 1, S_IFREG | 0666, 0, NULL, &out, &lsn));
	ck_assert_uint_eq(out.gid, 77);
	ck_assert_uint_eq(out.uid, 1000);
	ck_assert_uint_eq(out.mode, S_IFREG | 0644);
	ok(fs_mknod(test_fs, &c, d, "s", 1, S_IFDIR | 0777, 0, NULL, &out, &lsn));
	ck_assert_uint_eq(out.gid, 77);
	ck_assert_uint_eq(out.mode, S_IFDIR | 02755);
}
END_TEST

Suite *make_names_suite(void)
{
	Suite *s = suite_create("names");
	TCase *tc = tcase_create("names");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_names_types, 0, 3);
	tcase_add_test(tc, test_names_refused);
	tcase_add_loop_test(tc, test_names_link, 0, 3);
	tcase_add_loop_test(tc, test_names_unlinked_but_open, 0, 2);
	tcase_add_test(tc, test_names_tmpfile);
	tcase_add_loop_test(tc, test_names_rename, 0, 3);
	tcase_add_loop_test(tc, test_names_rename_flags, 0, 3);
	tcase_add_test(tc, test_names_rename_refused);
	tcase_add_loop_test(tc, test_names_rename_volume, 0, 3);
	tcase_add_loop_test(tc, test_names_readdir, 0, 3);
	tcase_add_loop_test(tc, test_xattrs, 0, 3);
	tcase_add_test(tc, test_names_set_group_id);
	suite_add_tcase(s, tc);
	return s;
}
