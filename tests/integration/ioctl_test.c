/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ioctl_test DIR: the contract of fs/kagefs_ioctl.h as a program sees it, on a mount whose root is DIR.  Built for 64 bits
 * and, where the compiler can, for 32 bits; both must say the same.
 * ioctl_test --layout: print sizes, offsets and numbers, to be compared between the two.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/kagefs_ioctl.h"

#define CHECK(cond)                                                                                                       \
	do {                                                                                                              \
		if (!(cond)) {                                                                                            \
			fprintf(stderr, "FAILED: %s: line %d: %s (errno %d: %s)\n", __func__, __LINE__, #cond, errno, strerror(errno)); \
			exit(1);                                                                                          \
		}                                                                                                         \
	} while (0)
#define CHECK_ERR(expr, e)                                                                                                \
	do {                                                                                                              \
		errno = 0;                                                                                                \
		int r_ = (expr);                                                                                          \
		if (r_ != -1 || errno != (e)) {                                                                           \
			fprintf(stderr, "FAILED: %s: line %d: %s gave %d, errno %d (%s), wanted %s\n", __func__, __LINE__, #expr, r_, \
				errno, strerror(errno), strerror(e));                                                     \
			exit(1);                                                                                          \
		}                                                                                                         \
	} while (0)

static int root;

/* ---- layout -------------------------------------------------------------------------------------------------------------- */

#define SIZE(t) printf("sizeof " #t " %zu\n", sizeof(struct t))
#define AT(t, f) printf("offset " #t "." #f " %zu\n", offsetof(struct t, f))
#define NR(n) printf("number " #n " %#lx\n", (unsigned long)(n))

static void layout(void)
{
	SIZE(kagefs_uuid);
	SIZE(kagefs_volume_info);
	AT(kagefs_volume_info, id);
	AT(kagefs_volume_info, uuid);
	AT(kagefs_volume_info, name);
	AT(kagefs_volume_info, reserved);
	SIZE(kagefs_ioc_info);
	AT(kagefs_ioc_info, root_volume);
	AT(kagefs_ioc_info, version);
	SIZE(kagefs_ioc_where);
	AT(kagefs_ioc_where, volume);
	SIZE(kagefs_ioc_sync);
	SIZE(kagefs_ioc_stats);
	SIZE(kagefs_ioc_times);
	SIZE(kagefs_ioc_volume_create);
	AT(kagefs_ioc_volume_create, volume);
	SIZE(kagefs_ioc_volume_delete);
	AT(kagefs_ioc_volume_delete, volume);
	SIZE(kagefs_ioc_volume_get);
	SIZE(kagefs_ioc_volume_set);
	AT(kagefs_ioc_volume_set, wait_ms);
	SIZE(kagefs_ioc_volume_list);
	AT(kagefs_ioc_volume_list, volumes);
	SIZE(kagefs_ioc_rollback);
	AT(kagefs_ioc_rollback, wait_ms);
	AT(kagefs_ioc_rollback, kept_name);
	SIZE(kagefs_set_info);
	AT(kagefs_set_info, created_ns);
	AT(kagefs_set_info, writer_uid);
	SIZE(kagefs_set_member);
	SIZE(kagefs_ioc_set_prepare);
	AT(kagefs_ioc_set_prepare, volumes);
	AT(kagefs_ioc_set_prepare, record);
	SIZE(kagefs_ioc_set_commit);
	AT(kagefs_ioc_set_commit, name);
	AT(kagefs_ioc_set_commit, members);
	AT(kagefs_ioc_set_commit, record);
	SIZE(kagefs_ioc_set_seal);
	AT(kagefs_ioc_set_seal, record);
	SIZE(kagefs_ioc_set_delete);
	SIZE(kagefs_ioc_set_update);
	AT(kagefs_ioc_set_update, expect_version);
	SIZE(kagefs_ioc_set_get);
	AT(kagefs_ioc_set_get, record);
	SIZE(kagefs_ioc_set_list);
	NR(KAGEFS_IOC_INFO);
	NR(KAGEFS_IOC_WHERE);
	NR(KAGEFS_IOC_SYNC);
	NR(KAGEFS_IOC_STATS);
	NR(KAGEFS_IOC_VOLUME_CREATE);
	NR(KAGEFS_IOC_VOLUME_DELETE);
	NR(KAGEFS_IOC_VOLUME_GET);
	NR(KAGEFS_IOC_VOLUME_SET);
	NR(KAGEFS_IOC_VOLUME_LIST);
	NR(KAGEFS_IOC_ROLLBACK);
	NR(KAGEFS_IOC_SET_PREPARE);
	NR(KAGEFS_IOC_SET_COMMIT);
	NR(KAGEFS_IOC_SET_SEAL);
	NR(KAGEFS_IOC_SET_DELETE);
	NR(KAGEFS_IOC_SET_UPDATE);
	NR(KAGEFS_IOC_SET_GET);
	NR(KAGEFS_IOC_SET_LIST);
}

/* ---- helpers ------------------------------------------------------------------------------------------------------------- */

static struct kagefs_uuid uuid_of(unsigned n)
{
	struct kagefs_uuid u = {{0}};
	unsigned pid = (unsigned)getpid();

	u.b[0] = sizeof(void *);
	memcpy(&u.b[4], &pid, 4);
	memcpy(&u.b[8], &n, 4);
	u.b[15] = 1;
	return u;
}

static __u64 make_volume(const char *name)
{
	static struct kagefs_ioc_volume_create a;

	memset(&a, 0, sizeof(a));
	a.mode = 0755;
	strcpy(a.name, name);
	CHECK(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &a) == 0);
	CHECK(a.volume.id != 0 && strcmp(a.volume.name, name) == 0);
	return a.volume.id;
}

static int delete_volume(__u64 id, unsigned flags)
{
	struct kagefs_ioc_volume_delete a = {.flags = flags, .volume = id};

	return ioctl(root, KAGEFS_IOC_VOLUME_DELETE, &a);
}

static int get_volume(__u64 id, struct kagefs_volume_info *v)
{
	struct kagefs_ioc_volume_get a = {.volume = id};
	int r = ioctl(root, KAGEFS_IOC_VOLUME_GET, &a);

	*v = a.info;
	return r;
}

static int commit(struct kagefs_ioc_set_commit *a)
{
	struct kagefs_uuid u;
	int r;

	a->wait_ms = KAGEFS_WAIT_MS_MAX;
	a->deadline_ms = 60000;
	r = ioctl(root, KAGEFS_IOC_SET_COMMIT, a);
	while (r == -1 && errno == EINPROGRESS) {
		u = a->uuid;
		memset(a, 0, sizeof(*a));
		a->uuid = u;
		a->wait_ms = KAGEFS_WAIT_MS_MAX;
		a->deadline_ms = 60000;
		r = ioctl(root, KAGEFS_IOC_SET_COMMIT, a);
	}
	return r;
}

static int set_volume(struct kagefs_ioc_volume_set *a)
{
	int r;

	do
		r = ioctl(root, KAGEFS_IOC_VOLUME_SET, a);
	while (r == -1 && errno == EINPROGRESS);
	return r;
}

static int seal(struct kagefs_uuid u, const char *record)
{
	static struct kagefs_ioc_set_seal a;
	int r;

	do {
		memset(&a, 0, sizeof(a));
		a.uuid = u;
		a.wait_ms = KAGEFS_WAIT_MS_MAX;
		a.record_len = record ? (__u32)strlen(record) : 0;
		if (record)
			memcpy(a.record, record, strlen(record));
		r = ioctl(root, KAGEFS_IOC_SET_SEAL, &a);
	} while (r == -1 && errno == EINPROGRESS);
	return r;
}

static int get_set(struct kagefs_uuid u, struct kagefs_ioc_set_get *g)
{
	memset(g, 0, sizeof(*g));
	g->uuid = u;
	return ioctl(root, KAGEFS_IOC_SET_GET, g);
}

static int delete_set(struct kagefs_uuid u, unsigned flags)
{
	struct kagefs_ioc_set_delete a = {.flags = flags, .uuid = u};

	return ioctl(root, KAGEFS_IOC_SET_DELETE, &a);
}

static int open_at(const char *path, int flags)
{
	return openat(root, path, flags, 0644);
}

/* ---- cases --------------------------------------------------------------------------------------------------------------- */

static void t_times(void)
{
	struct kagefs_ioc_times t = {0};
	int seen = 0, n = 0;

	for (; ioctl(root, KAGEFS_IOC_TIMES, &t) == 0; t = (struct kagefs_ioc_times){.index = (__u32)++n}) {
		__u64 count = 0;

		CHECK(t.index == (__u32)n && t.name[0] && strnlen(t.name, sizeof(t.name)) < sizeof(t.name));
		for (int b = 0; b < KAGEFS_TIMES_BUCKETS; b++)
			count += t.bucket[b];
		CHECK((count > 0 || t.max_ns == 0) && t.sum_ns >= t.max_ns);
		/* this very loop: one answer is out for each round before */
		if (strcmp(t.name, "ioctl") == 0) {
			CHECK(count >= (__u64)n);
			seen |= 1;
		}
		if (strcmp(t.name, "set_commit") == 0)
			seen |= 2;
	}
	CHECK(errno == ENOENT);
	CHECK(seen == 3 && n > 30);
	t = (struct kagefs_ioc_times){.flags = 1};
	CHECK_ERR(ioctl(root, KAGEFS_IOC_TIMES, &t), EINVAL);
	t = (struct kagefs_ioc_times){.reserved = {0, 0, 0, 1}};
	CHECK_ERR(ioctl(root, KAGEFS_IOC_TIMES, &t), EINVAL);
}

static void t_info(void)
{
	struct kagefs_ioc_info i = {0};
	struct kagefs_ioc_where w = {0};
	struct kagefs_ioc_sync s = {0};
	static struct kagefs_ioc_stats st;
	struct stat sb;
	int fd = open_at("plain", O_RDWR | O_CREAT);

	CHECK(fd >= 0);
	CHECK(ioctl(root, KAGEFS_IOC_INFO, &i) == 0);
	CHECK(i.abi_version == KAGEFS_ABI_VERSION && i.block_size >= 4096 && i.root_volume != 0 && i.version[0]);
	CHECK(i.store_flags == 0);
	for (int k = 0; k < 4; k++)
		CHECK(i.reserved[k] == 0);
	memset(&i, 0, sizeof(i));
	CHECK(ioctl(fd, KAGEFS_IOC_INFO, &i) == 0);
	i.flags = 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_INFO, &i), EINVAL);
	memset(&i, 0, sizeof(i));
	i.reserved[3] = 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_INFO, &i), EINVAL);

	CHECK(ioctl(root, KAGEFS_IOC_WHERE, &w) == 0);
	CHECK(fstat(root, &sb) == 0);
	CHECK(w.is_root == 1 && w.ino == sb.st_ino && w.volume.root_ino == sb.st_ino && w.volume.flags == 0);
	memset(&w, 0, sizeof(w));
	CHECK(ioctl(fd, KAGEFS_IOC_WHERE, &w) == 0);
	CHECK(fstat(fd, &sb) == 0);
	CHECK(w.is_root == 0 && w.ino == sb.st_ino && w.volume.root_ino != sb.st_ino);
	w.flags = 2;
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_WHERE, &w), EINVAL);

	CHECK(ioctl(fd, KAGEFS_IOC_SYNC, &s) == 0);
	s.reserved0 = 1;
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_SYNC, &s), EINVAL);
	CHECK(ioctl(fd, KAGEFS_IOC_STATS, &st) == 0);
	CHECK(st.len == strlen(st.json) && st.json[0] == '{' && st.json[st.len - 1] == '}' && strstr(st.json, "\"schema_version\":2"));
	st.reserved[2] = 1;
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_STATS, &st), EINVAL);

	/* what is no command of ours */
	CHECK_ERR(ioctl(fd, _IOWR(KAGEFS_IOC_MAGIC, 99, struct kagefs_ioc_sync), &s), ENOTTY);
	CHECK_ERR(ioctl(fd, _IOWR(KAGEFS_IOC_MAGIC, 1, struct kagefs_ioc_sync), &s), ENOTTY); /* wrong size */
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_SYNC, (void *)1), EFAULT);
	close(fd);
	fd = open("/", O_RDONLY);
	memset(&i, 0, sizeof(i));
	CHECK(ioctl(fd, KAGEFS_IOC_INFO, &i) == -1 && (errno == ENOTTY || errno == EINVAL || errno == EOPNOTSUPP));
	close(fd);
}

static void t_volume(void)
{
	static struct kagefs_ioc_volume_create c;
	static struct kagefs_ioc_volume_list l;
	struct kagefs_ioc_volume_set set = {0};
	struct kagefs_volume_info v;
	__u64 id = make_volume("vol"), after = 0;
	struct stat sb;
	bool found = false;
	int fd;

	CHECK(fstatat(root, "vol", &sb, 0) == 0 && S_ISDIR(sb.st_mode) && (sb.st_mode & 07777) == 0755);
	CHECK(get_volume(id, &v) == 0);
	CHECK(v.id == id && v.root_ino == sb.st_ino && v.flags == 0 && v.created_ns > 1700000000000000000ull);
	memset(&c, 0, sizeof(c));
	c.mode = 0755;
	strcpy(c.name, "vol");
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EEXIST);
	memset(c.name, 'x', sizeof(c.name)); /* no end */
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EINVAL);
	memset(&c, 0, sizeof(c));
	c.mode = 0755;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EINVAL); /* no name */
	strcpy(c.name, "a/b");
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EINVAL);
	strcpy(c.name, "ok");
	c.flags = 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EINVAL);
	c.flags = 0;
	c.reserved[0] = 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_CREATE, &c), EINVAL);
	c.reserved[0] = 0;
	fd = open_at("plain", O_RDONLY | O_CREAT);
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_VOLUME_CREATE, &c), ENOTDIR);
	close(fd);
	fd = open_at(".snapshots", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	CHECK_ERR(ioctl(fd, KAGEFS_IOC_VOLUME_CREATE, &c), EOPNOTSUPP);
	close(fd);

	do {
		memset(&l, 0, sizeof(l));
		l.after = after;
		CHECK(ioctl(root, KAGEFS_IOC_VOLUME_LIST, &l) == 0);
		CHECK(l.count <= KAGEFS_LIST_MAX);
		for (unsigned i = 0; i < l.count; i++) {
			CHECK(l.volumes[i].id > after);
			after = l.volumes[i].id;
			found = found || after == id;
		}
	} while (l.count > 0);
	CHECK(found);
	CHECK(v.place_volume != 0 && v.place_volume != id);
	CHECK(fstat(root, &sb) == 0 && v.place_ino == sb.st_ino);
	CHECK(get_volume(v.place_volume, &v) == 0 && v.place_volume == 0 && v.place_ino == 0); /* the mount's root */
	memset(&l, 0, sizeof(l));
	l.flags = KAGEFS_LIST_BOUND << 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_LIST, &l), EINVAL);

	/* read-only, while a handle is open */
	fd = open_at("vol/f", O_RDWR | O_CREAT);
	CHECK(fd >= 0 && write(fd, "one", 3) == 3);
	set.volume = id;
	set.flags = set.mask = KAGEFS_VOL_READ_ONLY;
	set.wait_ms = 1000;
	CHECK(set_volume(&set) == 0);
	CHECK_ERR((int)write(fd, "two", 3), EROFS);
	CHECK_ERR(open_at("vol/f", O_RDWR), EROFS);
	CHECK_ERR(open_at("vol/g", O_RDWR | O_CREAT), EROFS);
	CHECK_ERR(mkdirat(root, "vol/d", 0755), EROFS);
	CHECK_ERR(fchmod(fd, 0600), EROFS);
	CHECK(get_volume(id, &v) == 0 && (v.flags & KAGEFS_VOL_READ_ONLY));
	CHECK(set_volume(&set) == 0); /* idempotent */
	set.wait_ms = KAGEFS_WAIT_MS_MAX + 1;
	CHECK(set_volume(&set) == 0); /* cut to the most */
	set.wait_ms = 1000;
	set.mask = 0xff;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_SET, &set), EINVAL);
	set.mask = KAGEFS_VOL_READ_ONLY;
	set.flags = 0;
	CHECK(set_volume(&set) == 0);
	CHECK(write(fd, "two", 3) == 3);
	set.volume = 0x7fffffffffffull;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_SET, &set), ENOENT);

	CHECK_ERR(unlinkat(root, "vol", AT_REMOVEDIR), EBUSY);
	CHECK_ERR(delete_volume(id, 0x80), EINVAL);
	CHECK(delete_volume(id, 0) == 0);
	CHECK_ERR(fstatat(root, "vol", &sb, 0), ENOENT);
	char b;

	CHECK(pread(fd, &b, 1, 0) == -1 && errno == ESTALE);
	close(fd);
	CHECK_ERR(delete_volume(id, 0), ENOENT);
	CHECK_ERR(get_volume(id, &v), ENOENT);
	struct kagefs_ioc_info i = {0};

	CHECK(ioctl(root, KAGEFS_IOC_INFO, &i) == 0);
	CHECK_ERR(delete_volume(i.root_volume, 0), EBUSY);
}

/* A byte of file f in a copy made now. */
static char copied(__u64 vol, const char *volume, int at)
{
	static struct kagefs_ioc_set_commit c;
	char path[600], ch = 0;
	int fd;

	memset(&c, 0, sizeof(c));
	c.nvolumes = 1;
	c.volumes[0] = vol;
	CHECK(commit(&c) == 0);
	snprintf(path, sizeof(path), "%s/.snapshots/%s/f", volume, c.name);
	fd = open_at(path, O_RDONLY);
	CHECK(fd >= 0 && pread(fd, &ch, 1, at) == 1);
	close(fd);
	CHECK(delete_set(c.uuid, 0) == 0);
	return ch;
}

/* A file that is open for direct I/O is pushed out only when pages of it were read: what a mapping dirtied is in every copy. */
static void t_direct_mapping(void)
{
	__u64 vol = make_volume("dm");
	int fd = open_at("dm/f", O_RDWR | O_CREAT | O_SYNC), ro;
	unsigned char *map;
	char ch;

	CHECK(fd >= 0 && ftruncate(fd, 8192) == 0 && pwrite(fd, "direct", 6, 0) == 6);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[4200] = '1';
	CHECK(copied(vol, "dm", 4200) == '1');
	map[4200] = '2'; /* the page is there now: dirtied without being read again */
	CHECK(copied(vol, "dm", 4200) == '2');
	CHECK(munmap(map, 8192) == 0 && close(fd) == 0);

	/* Pages from when it was open otherwise. */
	ro = open_at("dm/f", O_RDONLY);
	CHECK(ro >= 0 && pread(ro, &ch, 1, 4200) == 1 && ch == '2' && close(ro) == 0);
	fd = open_at("dm/f", O_RDWR | O_SYNC);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(fd >= 0 && map != MAP_FAILED);
	map[4200] = '3';
	CHECK(copied(vol, "dm", 4200) == '3');
	CHECK(munmap(map, 8192) == 0 && close(fd) == 0);
	CHECK(delete_volume(vol, 0) == 0);
}

static void t_set(void)
{
	static struct kagefs_ioc_set_prepare p;
	static struct kagefs_ioc_set_commit c, again;
	static struct kagefs_ioc_set_update u;
	static struct kagefs_ioc_set_get g;
	static struct kagefs_ioc_set_list l;
	struct kagefs_uuid id = uuid_of(1);
	struct kagefs_volume_info v;
	__u64 a = make_volume("sa"), b = make_volume("sb");
	char path[600];
	struct stat sb;
	bool found = false;
	int fd, turns = 0;

	fd = open_at("sa/f", O_RDWR | O_CREAT);
	CHECK(fd >= 0 && write(fd, "data", 4) == 4);
	unsigned char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED && ftruncate(fd, 4096) == 0);
	map[100] = 'M'; /* only in the page cache until prepare pushes it out */

	/* prepare, again with another record, until prepared */
	do {
		memset(&p, 0, sizeof(p));
		p.flags = KAGEFS_SET_WRITABLE | KAGEFS_SET_KEEP;
		p.uuid = id;
		strcpy(p.owner, "test");
		p.wait_ms = 500;
		p.nvolumes = 2;
		p.volumes[0] = a;
		p.volumes[1] = b;
		p.record_len = 6;
		memcpy(p.record, "record", 6);
		CHECK(ioctl(root, KAGEFS_IOC_SET_PREPARE, &p) == 0);
		CHECK(p.state == KAGEFS_SET_PREPARING || p.state == KAGEFS_SET_PREPARED);
	} while (p.state != KAGEFS_SET_PREPARED && turns++ < 100);
	CHECK(p.state == KAGEFS_SET_PREPARED);
	map[101] = 'N'; /* since then: the commit pushes out once more */
	CHECK(get_set(id, &g) == 0);
	CHECK(g.info.state == KAGEFS_SET_PREPARED && g.info.nvolumes == 2 && g.info.record_len == 6 && memcmp(g.record, "record", 6) == 0);
	CHECK(strcmp(g.info.owner, "test") == 0 && (g.info.flags & KAGEFS_SET_KEEP));
	CHECK(g.members[0].volume == a && g.members[1].volume == b && g.members[0].snapshot == 0);

	p.volumes[1] = a;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_PREPARE, &p), EINVAL); /* doubled */
	p.volumes[1] = 0x7fffffffffffull;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_PREPARE, &p), ENOENT);
	p.volumes[1] = b;
	p.nvolumes = KAGEFS_SET_VOLUMES_MAX + 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_PREPARE, &p), EINVAL);
	p.nvolumes = 2;
	p.record_len = KAGEFS_SET_RECORD_MAX + 1;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_PREPARE, &p), EINVAL);

	/* commit what was prepared */
	memset(&c, 0, sizeof(c));
	c.uuid = id;
	strcpy(c.name, "set");
	CHECK(commit(&c) == 0);
	CHECK(c.state == KAGEFS_SET_COMMITTED);
	CHECK(c.members[0].volume == a && c.members[1].volume == b && c.members[0].snapshot && c.members[1].snapshot);
	memset(&again, 0, sizeof(again));
	again.uuid = id;
	CHECK(commit(&again) == 0); /* idempotent */
	CHECK(again.members[0].snapshot == c.members[0].snapshot && strcmp(again.name, "set") == 0);
	memset(&again, 0, sizeof(again));
	again.uuid = id;
	again.nvolumes = 1;
	again.volumes[0] = a;
	CHECK_ERR(commit(&again), EEXIST);
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_PREPARE, &(struct kagefs_ioc_set_prepare){.uuid = id, .nvolumes = 1, .volumes = {a}}), EEXIST);
	CHECK(get_volume(c.members[0].snapshot, &v) == 0);
	CHECK((v.flags & KAGEFS_VOL_SNAPSHOT) && v.origin == a && memcmp(&v.set, &id, sizeof(id)) == 0 && strcmp(v.name, "set") == 0);
	CHECK(memcmp(&v.uuid, &c.members[0].snapshot_uuid, sizeof(v.uuid)) == 0);

	/* what was only in a mapping is in the copy */
	int sfd = open_at("sa/.snapshots/set/f", O_RDWR);
	char ch;

	CHECK(sfd >= 0);
	CHECK(pread(sfd, &ch, 1, 100) == 1 && ch == 'M');
	CHECK(pread(sfd, &ch, 1, 101) == 1 && ch == 'N');
	CHECK(pread(sfd, &ch, 1, 0) == 1 && ch == 'd');
	/* recovery: writable until sealed */
	CHECK(pwrite(sfd, "fixed", 5, 0) == 5);
	unsigned char *smap = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, sfd, 0);

	CHECK(smap != MAP_FAILED);
	smap[200] = 'S';
	CHECK_ERR(delete_volume(c.members[0].snapshot, 0), EBUSY);

	/* the record: versions */
	CHECK(get_set(id, &g) == 0);
	memset(&u, 0, sizeof(u));
	u.uuid = id;
	u.expect_version = g.info.record_version + 1;
	u.record_len = 3;
	memcpy(u.record, "new", 3);
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_UPDATE, &u), EAGAIN);
	u.expect_version = g.info.record_version;
	CHECK(ioctl(root, KAGEFS_IOC_SET_UPDATE, &u) == 0);
	__u64 version = g.info.record_version;

	CHECK(get_set(id, &g) == 0);
	CHECK(g.info.record_version == version + 1 && g.info.record_len == 3 && memcmp(g.record, "new", 3) == 0);
	CHECK(g.info.flags & KAGEFS_SET_KEEP);
	CHECK_ERR(delete_set(id, 0), EBUSY); /* kept */

	/* seal: handle and mapping open */
	CHECK(seal(id, "sealed record") == 0);
	CHECK_ERR((int)pwrite(sfd, "x", 1, 0), EROFS);
	CHECK(pread(sfd, &ch, 1, 200) == 1 && ch == 'S'); /* what the mapping wrote before is in */
	CHECK(seal(id, NULL) == 0);			  /* idempotent */
	CHECK(get_set(id, &g) == 0);
	CHECK(g.info.state == KAGEFS_SET_SEALED && g.info.record_len == 13 && memcmp(g.record, "sealed record", 13) == 0);
	CHECK(get_volume(c.members[0].snapshot, &v) == 0 && (v.flags & KAGEFS_VOL_SEALED) && (v.flags & KAGEFS_VOL_READ_ONLY));
	struct kagefs_ioc_volume_set vs = {.mask = KAGEFS_VOL_READ_ONLY, .volume = v.id};

	CHECK_ERR(ioctl(root, KAGEFS_IOC_VOLUME_SET, &vs), EPERM);
	munmap(smap, 4096);
	close(sfd);

	/* list */
	memset(&l, 0, sizeof(l));
	do {
		struct kagefs_uuid after = l.count ? l.sets[l.count - 1].uuid : (struct kagefs_uuid){{0}};

		memset(&l, 0, sizeof(l));
		l.after = after;
		CHECK(ioctl(root, KAGEFS_IOC_SET_LIST, &l) == 0);
		for (unsigned i = 0; i < l.count; i++)
			found = found || memcmp(&l.sets[i].uuid, &id, sizeof(id)) == 0;
	} while (l.count > 0);
	CHECK(found);
	l.after = uuid_of(77);
	CHECK_ERR(ioctl(root, KAGEFS_IOC_SET_LIST, &l), ENOENT);

	/* delete */
	memset(&u, 0, sizeof(u));
	u.uuid = id;
	u.mask = KAGEFS_SET_KEEP;
	CHECK(ioctl(root, KAGEFS_IOC_SET_UPDATE, &u) == 0);
	CHECK_ERR(delete_set(id, 0x80), EINVAL);
	CHECK(delete_set(id, 0) == 0);
	CHECK_ERR(delete_set(id, 0), ENOENT);
	CHECK_ERR(get_set(id, &g), ENOENT);
	snprintf(path, sizeof(path), "sa/.snapshots/%s", "set");
	CHECK_ERR(fstatat(root, path, &sb, 0), ENOENT);
	CHECK_ERR(fstatat(root, "sb/.snapshots/set", &sb, 0), ENOENT);
	CHECK_ERR(seal(id, NULL), ENOENT);
	munmap(map, 4096);
	close(fd);

	/* one call for everything, default name, uuid chosen there; detach keeps the copies */
	memset(&c, 0, sizeof(c));
	c.nvolumes = 2;
	c.volumes[0] = a;
	c.volumes[1] = b;
	strcpy(c.owner, "test");
	CHECK(commit(&c) == 0);
	CHECK(strncmp(c.name, "@GMT-", 5) == 0 && strlen(c.name) == 24);
	CHECK(get_volume(c.members[1].snapshot, &v) == 0 && (v.flags & KAGEFS_VOL_READ_ONLY));
	snprintf(path, sizeof(path), "sb/.snapshots/%s/x", c.name);
	CHECK_ERR(open_at(path, O_RDWR | O_CREAT), EROFS);
	CHECK(delete_set(c.uuid, KAGEFS_DELETE_DETACH) == 0);
	CHECK_ERR(get_set(c.uuid, &g), ENOENT);
	CHECK(get_volume(c.members[0].snapshot, &v) == 0);
	CHECK(delete_volume(c.members[0].snapshot, 0) == 0 && delete_volume(c.members[1].snapshot, 0) == 0);

	/* a name that is taken: nothing of the set */
	memset(&c, 0, sizeof(c));
	c.nvolumes = 1;
	c.volumes[0] = b;
	strcpy(c.name, "taken");
	CHECK(commit(&c) == 0);
	struct kagefs_uuid taken = c.uuid;

	memset(&c, 0, sizeof(c));
	c.uuid = uuid_of(2);
	c.nvolumes = 2;
	c.volumes[0] = a;
	c.volumes[1] = b;
	strcpy(c.name, "taken");
	CHECK_ERR(commit(&c), EEXIST);
	CHECK_ERR(fstatat(root, "sa/.snapshots/taken", &sb, 0), ENOENT);
	CHECK_ERR(get_set(uuid_of(2), &g), ENOENT);
	CHECK(delete_set(taken, 0) == 0);
	memset(&c, 0, sizeof(c));
	c.uuid = uuid_of(3);
	CHECK_ERR(commit(&c), ENOENT); /* nothing prepared */
	CHECK(delete_volume(a, 0) == 0 && delete_volume(b, 0) == 0);
}

static void t_rollback(void)
{
	static struct kagefs_ioc_set_commit c;
	struct kagefs_ioc_rollback r = {0};
	struct kagefs_volume_info v;
	__u64 a = make_volume("ra"), b = make_volume("rb");
	char path[600], text[8] = "";
	int fd = open_at("ra/f", O_RDWR | O_CREAT);

	CHECK(fd >= 0 && write(fd, "old", 3) == 3);
	c.nvolumes = 1;
	c.volumes[0] = a;
	strcpy(c.name, "base");
	CHECK(commit(&c) == 0);
	CHECK(pwrite(fd, "new", 3, 0) == 3);
	r.volume = b;
	r.snapshot = c.members[0].snapshot;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_ROLLBACK, &r), EINVAL);
	r.volume = a;
	r.snapshot = 0x7fffffffffffull;
	CHECK_ERR(ioctl(root, KAGEFS_IOC_ROLLBACK, &r), ENOENT);
	r.snapshot = c.members[0].snapshot;
	r.wait_ms = KAGEFS_WAIT_MS_MAX;
	while (ioctl(root, KAGEFS_IOC_ROLLBACK, &r))
		CHECK(errno == EINPROGRESS);
	CHECK(r.new_volume && r.new_volume != a && r.kept_name[0]);
	CHECK(get_volume(r.new_volume, &v) == 0);
	close(fd);
	fd = open_at("ra/f", O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, 3) == 3 && strcmp(text, "old") == 0);
	close(fd);
	snprintf(path, sizeof(path), "ra/.snapshots/%s/f", r.kept_name);
	fd = open_at(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, 3) == 3 && strcmp(text, "new") == 0);
	close(fd);
}

/* No command may sleep long, and an INFO beside a slow command is not held up. */
static void t_time(void)
{
	struct timespec t0, t1;
	struct kagefs_ioc_info i;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (int k = 0; k < 1000; k++) {
		memset(&i, 0, sizeof(i));
		CHECK(ioctl(root, KAGEFS_IOC_INFO, &i) == 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK(t1.tv_sec - t0.tv_sec < 20);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--layout") == 0) {
		layout();
		return 0;
	}
	root = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
	if (root < 0) {
		fprintf(stderr, "usage: ioctl_test DIR | --layout\n");
		return 2;
	}
	umask(022);
	t_info();
	t_times();
	t_volume();
	t_set();
	t_direct_mapping();
	t_rollback();
	t_time();
	printf("  ioctl_test: %d-bit caller passed\n", (int)sizeof(void *) * 8);
	return 0;
}
