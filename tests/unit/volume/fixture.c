/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/volume/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fs/volume/internal.h"

struct io *test_io;
struct fs *test_fs;
struct fs_node test_root;
struct fs_open_options test_open;
struct kagefs_ioc_set_commit test_commit;

static _Atomic int64_t step, ahead;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);
	int64_t ns;

	if (r || id != CLOCK_MONOTONIC || !atomic_load(&step))
		return r;
	ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + atomic_fetch_add(&ahead, atomic_load(&step));
	ts->tv_sec = ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
	return 0;
}

void test_clock_step(int64_t ns)
{
	atomic_store(&step, ns);
}

static void mount_it(void)
{
	char holder[100];

	ok(fs_open(test_io, &test_open, holder, sizeof(holder), &test_fs));
	test_root = fs_root(test_fs);
}

void setup(void)
{
	struct fs_format_options fo = { .block_size = BS, .codec = STORE_NONE, .log_segment_bytes = 8 << 20 };

	test_io = sim_new(1, 0);
	ok(fs_format(test_io, &fo));
	test_open = (struct fs_open_options){ .manual = true, .memory_bytes = 16 << 20, .log_bytes = 64 << 20,
					      .dirty_age_ms = UINT32_MAX, .workers = 1 };
	mount_it();
}

static void report(void *arg, const char *number, const char *text)
{
	(void)arg;
	fprintf(stderr, "check: %s %s\n", number, text);
}

void check_clean(void)
{
	struct fs_check_options o = { .verify_blocks = true, .drain = true, .report = report };

	ck_assert_int_eq(fs_check(test_fs, &o), 0);
}

void teardown(void)
{
	if (test_fs) {
		check_clean();
		ok(fs_close(test_fs));
		test_fs = NULL;
	}
	io_free(test_io);
}

void reopen(void)
{
	ok(fs_close(test_fs));
	sim_unlock(test_io);
	mount_it();
}

void power_cut(void)
{
	sim_cut_now(test_io);
	fs_abandon(test_fs);
	sim_power_on(test_io);
	mount_it();
}

void drain(void)
{
	ok(fs_drain(test_fs));
}

struct fs_node make(struct fs_node dir, const char *name, uint32_t mode)
{
	struct fs_attr a;
	uint64_t lsn;

	ok(fs_mknod(test_fs, NULL, dir, name, strlen(name), mode, 0, S_ISLNK(mode) ? "target" : NULL, &a, &lsn));
	return a.node;
}

struct fs_node find(struct fs_node dir, const char *name)
{
	struct fs_attr a;

	ok(fs_lookup(test_fs, dir, name, strlen(name), &a));
	return a.node;
}

int look(struct fs_node dir, const char *name)
{
	struct fs_attr a;

	return fs_lookup(test_fs, dir, name, strlen(name), &a);
}

struct fs_attr attr(struct fs_node n)
{
	struct fs_attr a;

	ok(fs_getattr(test_fs, n, &a));
	return a;
}

void put(struct fs_node n, uint64_t off, const void *buf, size_t len)
{
	uint64_t lsn;

	ck_assert_int_eq(fs_write(test_fs, NULL, n, buf, len, off, 0, &lsn), (ssize_t)len);
}

void put_text(struct fs_node n, uint64_t off, const char *text)
{
	put(n, off, text, strlen(text));
}

/* Byte at file offset i of a file filled with c. */
static uint8_t filler(uint64_t i, uint8_t c)
{
	return (uint8_t)(c + i / BS + i % 7);
}

void fill(struct fs_node n, uint64_t off, size_t len, uint8_t c)
{
	uint8_t *b = malloc(len);

	for (size_t i = 0; i < len; i++)
		b[i] = filler(off + i, c);
	put(n, off, b, len);
	free(b);
}

void is_text(struct fs_node n, const char *text)
{
	char b[256];
	ssize_t r = fs_read(test_fs, n, b, sizeof(b) - 1, 0);

	ck_assert_int_eq(r, (ssize_t)strlen(text));
	b[r] = 0;
	ck_assert_str_eq(b, text);
}

void is_zero(struct fs_node n, uint64_t off, size_t len)
{
	uint8_t *b = malloc(len);

	memset(b, 1, len);
	ck_assert_int_eq(fs_read(test_fs, n, b, len, off), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(!b[i], "byte %llu is %02x", (unsigned long long)(off + i), b[i]);
	free(b);
}

void is_filled(struct fs_node n, uint64_t off, size_t len, uint8_t c)
{
	uint8_t *b = malloc(len);

	ck_assert_int_eq(fs_read(test_fs, n, b, len, off), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		if (b[i] != filler(off + i, c)) /* an assertion for each byte would take most of the time */
			ck_abort_msg("byte %llu is %02x", (unsigned long long)(off + i), b[i]);
	free(b);
}

void del(struct fs_node dir, const char *name)
{
	uint64_t lsn;

	ok(fs_unlink(test_fs, NULL, dir, name, strlen(name), NULL, &lsn));
}

void resize(struct fs_node n, uint64_t size)
{
	struct fs_attr a = { .size = size }, out;
	uint64_t lsn;

	ok(fs_setattr(test_fs, NULL, n, &a, FS_SET_SIZE, &out, &lsn));
	ck_assert_uint_eq(out.size, size);
}

int commit(uint32_t flags, const char *name, unsigned n, const uint64_t *vols)
{
	struct kagefs_ioc_set_commit *c = &test_commit;

	memset(c, 0, sizeof(*c));
	c->flags = flags;
	strcpy(c->owner, "unit");
	strcpy(c->name, name);
	c->wait_ms = 1000;
	c->deadline_ms = 60000;
	c->nvolumes = n;
	for (unsigned i = 0; i < n; i++)
		c->volumes[i] = vols[i];
	return fs_ioc_set_commit(test_fs, c);
}

uint64_t snapshot(uint64_t vol, const char *name, uint32_t flags)
{
	ok(commit(flags, name, 1, &vol));
	ck_assert_uint_eq(test_commit.state, KAGEFS_SET_COMMITTED);
	return test_commit.members[0].snapshot;
}

struct fs_node root_of(uint64_t vol)
{
	struct fs_node n;

	ok(fs_volume_root(test_fs, vol, &n));
	return n;
}

uint64_t create_volume(struct fs_node dir, const char *name)
{
	struct kagefs_ioc_volume_create c = { .mode = 0755 };

	strcpy(c.name, name);
	ok(fs_ioc_volume_create(test_fs, NULL, dir, &c));
	return c.volume.id;
}

int delete_volume(uint64_t id, uint32_t flags)
{
	struct kagefs_ioc_volume_delete d = { .flags = flags, .volume = id };

	return fs_ioc_volume_delete(test_fs, &d);
}

int set_delete(struct kagefs_uuid uuid, uint32_t flags)
{
	struct kagefs_ioc_set_delete d = { .flags = flags, .uuid = uuid };

	return fs_ioc_set_delete(test_fs, &d);
}

int set_seal(struct kagefs_uuid uuid)
{
	static struct kagefs_ioc_set_seal s;

	memset(&s, 0, sizeof(s));
	s.uuid = uuid;
	s.wait_ms = 1000;
	return fs_ioc_set_seal(test_fs, &s);
}

static int count_block(void *arg, const struct meta_block *b, uint64_t refs)
{
	(void)b;
	(void)refs;
	++*(uint64_t *)arg;
	return 0;
}

uint64_t count_blocks(void)
{
	uint64_t n = 0;

	drain();
	ok(meta_block_list(test_fs->meta, count_block, &n));
	return n;
}
