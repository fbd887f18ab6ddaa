/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Real threads with the background on, over the simulated disk (never cut): for ThreadSanitizer, and for what only happens
 * when things run at once.
 *
 * Each mutator has a directory of its own and knows what is in it.  The stamper writes a counter into file A and then into
 * file B (of another volume); a snapshot of both volumes is one instant, so no set may show B ahead of A, or A more than one
 * ahead of B.  The snapper makes such sets, looks, seals or deletes them, and checks each mutator's files in them: a file
 * there holds one generation, whole.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/clock.h"
#include "tests/model/runs.h"

#define MUTATORS 3
#define FILES 12
#define FILE_BYTES 20000
#define SETS_MAX 6

struct shared {
	struct fs *fs;
	struct fs_node root, vol2;
	_Atomic bool stop;
	_Atomic unsigned failures;
	_Atomic uint64_t ops, sets;
};

static void bad(struct shared *s, const char *who, const char *what, long long got)
{
	if (atomic_fetch_add(&s->failures, 1) < 20)
		fprintf(stderr, "FAILED threads, %s: %s: %lld\n", who, what, got);
	atomic_store(&s->stop, true);
}
#define CHECK(s, who, x)                                          \
	do {                                                      \
		long long r_ = (long long)(x);                    \
		if (r_ < 0)                                       \
			bad(s, who, #x, r_);                      \
	} while (0)

/* ---- mutators ---- */

struct mutator {
	struct shared *s;
	unsigned number;
	struct fs_node dir, file[FILES];
	uint64_t generation[FILES]; /* 0: not there */
	struct rng rng;
	char who[16];
};

/* A generation is one write: the same eight bytes all over, so that a mixture shows. */
static void fill(uint8_t *b, uint64_t generation, size_t n)
{
	for (size_t i = 0; i < n; i += 8)
		memcpy(b + i, &generation, 8);
}

static bool whole(const uint8_t *b, size_t n, uint64_t *generation)
{
	memcpy(generation, b, 8);
	for (size_t i = 8; i < n; i += 8)
		if (memcmp(b + i, b, 8))
			return false;
	return true;
}

static void file_name(unsigned n, char out[16])
{
	snprintf(out, 16, "f%u", n);
}

static void mutate(struct mutator *m)
{
	unsigned n = (unsigned)rng_below(&m->rng, FILES);
	uint8_t b[FILE_BYTES], back[FILE_BYTES];
	struct shared *s = m->s;
	struct fs_attr a;
	char name[16], other[16];
	uint64_t lsn;

	file_name(n, name);
	if (!m->generation[n]) {
		CHECK(s, m->who, fs_mknod(s->fs, NULL, m->dir, name, strlen(name), S_IFREG | 0644, 0, NULL, &a, &lsn));
		m->file[n] = a.node;
		m->generation[n] = 1;
		fill(b, 1, FILE_BYTES);
		CHECK(s, m->who, fs_write(s->fs, NULL, m->file[n], b, FILE_BYTES, 0, 0, &lsn));
		return;
	}
	switch (rng_below(&m->rng, 10)) {
	case 0:
		CHECK(s, m->who, fs_unlink(s->fs, NULL, m->dir, name, strlen(name), NULL, &lsn));
		m->generation[n] = 0;
		break;
	case 1: { /* swap two names */
		unsigned k = (unsigned)rng_below(&m->rng, FILES);
		struct fs_node f = m->file[n];
		uint64_t g = m->generation[n];

		if (k == n || !m->generation[k])
			break;
		file_name(k, other);
		CHECK(s, m->who, fs_rename(s->fs, NULL, m->dir, name, strlen(name), m->dir, other, strlen(other), 2, NULL, &lsn));
		m->file[n] = m->file[k];
		m->generation[n] = m->generation[k];
		m->file[k] = f;
		m->generation[k] = g;
		break;
	}
	case 2:
		CHECK(s, m->who, fs_setxattr(s->fs, NULL, m->file[n], "user.generation", &m->generation[n], 8, 0, &lsn));
		break;
	case 3: {
		struct fs_attr t = { .mtime_ns = 12345 };

		CHECK(s, m->who, fs_setattr(s->fs, NULL, m->file[n], &t, FS_SET_MTIME, &a, &lsn));
		if (a.size != FILE_BYTES)
			bad(s, m->who, "size after setattr", (long long)a.size);
		break;
	}
	case 4:
	case 5: {
		ssize_t r = fs_read(s->fs, m->file[n], back, FILE_BYTES, 0);
		uint64_t g;

		if (r != FILE_BYTES || !whole(back, FILE_BYTES, &g) || g != m->generation[n])
			bad(s, m->who, "reads something else than it wrote", r);
		break;
	}
	case 6:
		CHECK(s, m->who, fs_lookup(s->fs, m->dir, name, strlen(name), &a));
		if (a.node.ino != m->file[n].ino)
			bad(s, m->who, "the name leads elsewhere", (long long)a.node.ino);
		break;
	default:
		fill(b, ++m->generation[n], FILE_BYTES);
		CHECK(s, m->who, fs_write(s->fs, NULL, m->file[n], b, FILE_BYTES, 0, 0, &lsn));
		if (!rng_below(&m->rng, 8))
			CHECK(s, m->who, fs_wait(s->fs, lsn));
		break;
	}
}

static void *mutator_main(void *arg)
{
	struct mutator *m = arg;

	while (!atomic_load(&m->s->stop)) {
		mutate(m);
		atomic_fetch_add(&m->s->ops, 1);
	}
	return NULL;
}

/* ---- the stamper ---- */

static void *stamper_main(void *arg)
{
	struct shared *s = arg;
	struct fs_attr a, b;
	uint64_t lsn;

	CHECK(s, "stamper", fs_lookup(s->fs, s->root, "A", 1, &a));
	CHECK(s, "stamper", fs_lookup(s->fs, s->vol2, "B", 1, &b));
	for (uint64_t n = 1; !atomic_load(&s->stop); n++) {
		CHECK(s, "stamper", fs_write(s->fs, NULL, a.node, &n, 8, 0, 0, &lsn));
		CHECK(s, "stamper", fs_write(s->fs, NULL, b.node, &n, 8, 0, 0, &lsn));
		atomic_fetch_add(&s->ops, 2);
	}
	return NULL;
}

/* ---- the snapper ---- */

static uint64_t stamp(struct shared *s, uint64_t vol, const char *name)
{
	struct fs_node root;
	uint64_t n = 0;
	struct fs_attr a;

	CHECK(s, "snapper", fs_volume_root(s->fs, vol, &root));
	CHECK(s, "snapper", fs_lookup(s->fs, root, name, 1, &a));
	CHECK(s, "snapper", fs_read(s->fs, a.node, &n, 8, 0));
	return n;
}

static int one_file(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct shared *s = arg;
	uint8_t b[FILE_BYTES];
	uint64_t g;
	ssize_t r = fs_read(s->fs, node, b, FILE_BYTES, 0);

	(void)name;
	(void)len;
	(void)dtype;
	(void)attr;
	/* Made and not yet written is a state it really had. */
	if (r != 0 && (r != FILE_BYTES || !whole(b, FILE_BYTES, &g)))
		bad(s, "snapper", "a file in a snapshot is no generation", r);
	return 0;
}

static void look_at(struct shared *s, uint64_t snap1, uint64_t snap2)
{
	uint64_t a = stamp(s, snap1, "A"), b = stamp(s, snap2, "B");
	struct fs_node root;
	struct fs_attr d;

	if (b > a || a > b + 1)
		bad(s, "snapper", "the set is not one instant: B is ahead, or A too far", (long long)(b - a));
	CHECK(s, "snapper", fs_volume_root(s->fs, snap1, &root));
	for (unsigned m = 0; m < MUTATORS; m++) {
		char name[16];

		snprintf(name, sizeof(name), "dir%u", m);
		CHECK(s, "snapper", fs_lookup(s->fs, root, name, strlen(name), &d));
		CHECK(s, "snapper", fs_readdir(s->fs, d.node, NULL, 0, 100, false, one_file, s));
	}
}

static void *snapper_main(void *arg)
{
	static struct kagefs_ioc_set_commit c;
	static struct kagefs_ioc_set_seal seal;
	struct kagefs_ioc_set_delete old[SETS_MAX] = { { 0 } };
	struct shared *s = arg;

	for (unsigned n = 0; !atomic_load(&s->stop); n++) {
		struct kagefs_ioc_set_delete *slot = &old[n % SETS_MAX];

		if (n >= SETS_MAX)
			CHECK(s, "snapper", fs_ioc_set_delete(s->fs, slot));
		memset(&c, 0, sizeof(c));
		c.nvolumes = 2;
		c.volumes[0] = s->root.vol;
		c.volumes[1] = s->vol2.vol;
		c.wait_ms = 1000;
		c.deadline_ms = 100000;
		snprintf(c.name, sizeof(c.name), "set%u", n);
		CHECK(s, "snapper", fs_ioc_set_commit(s->fs, &c));
		if (atomic_load(&s->stop))
			break;
		slot->uuid = c.uuid;
		look_at(s, c.members[0].snapshot, c.members[1].snapshot);
		if (n % 3 == 0) {
			memset(&seal, 0, sizeof(seal));
			seal.uuid = c.uuid;
			seal.wait_ms = 1000;
			CHECK(s, "snapper", fs_ioc_set_seal(s->fs, &seal));
		}
		if (n % 2)
			look_at(s, c.members[0].snapshot, c.members[1].snapshot);
		atomic_fetch_add(&s->sets, 1);
	}
	return NULL;
}

static void print_report(void *arg, const char *number, const char *text)
{
	(void)arg;
	fprintf(stderr, "check: %s %s\n", number, text);
}

static void prepare(struct shared *s, struct mutator *m)
{
	static struct kagefs_ioc_volume_create v;
	uint64_t zero = 0, lsn;
	struct fs_attr a;

	s->root = fs_root(s->fs);
	strcpy(v.name, "second");
	v.mode = 0755;
	CHECK(s, "main", fs_ioc_volume_create(s->fs, NULL, s->root, &v));
	CHECK(s, "main", fs_volume_root(s->fs, v.volume.id, &s->vol2));
	CHECK(s, "main", fs_mknod(s->fs, NULL, s->root, "A", 1, S_IFREG | 0644, 0, NULL, &a, &lsn));
	CHECK(s, "main", fs_write(s->fs, NULL, a.node, &zero, 8, 0, 0, &lsn));
	CHECK(s, "main", fs_mknod(s->fs, NULL, s->vol2, "B", 1, S_IFREG | 0644, 0, NULL, &a, &lsn));
	CHECK(s, "main", fs_write(s->fs, NULL, a.node, &zero, 8, 0, 0, &lsn));
	for (unsigned n = 0; n < MUTATORS; n++) {
		memset(&m[n], 0, sizeof(m[n]));
		m[n].s = s;
		m[n].number = n;
		m[n].rng.s = n + 1;
		snprintf(m[n].who, sizeof(m[n].who), "dir%u", n);
		CHECK(s, "main", fs_mknod(s->fs, NULL, s->root, m[n].who, strlen(m[n].who), S_IFDIR | 0755, 0, NULL, &a, &lsn));
		m[n].dir = a.node;
	}
}

void run_threads(uint64_t seconds, unsigned *passed, unsigned *failed)
{
	struct fs_format_options fo = { .block_size = 4096, .codec = -1, .log_segment_bytes = 8 << 20 };
	struct fs_open_options oo = { .memory_bytes = 16 << 20, .log_bytes = 64 << 20, .dirty_age_ms = 100, .workers = 2 };
	struct fs_check_options co = { .verify_blocks = true, .drain = true, .report = print_report };
	struct mutator m[MUTATORS];
	struct shared s = { 0 };
	pthread_t t[MUTATORS + 2];
	struct io *io = sim_new(1, 0);
	char holder[100];

	CHECK(&s, "main", fs_format(io, &fo));
	CHECK(&s, "main", fs_open(io, &oo, holder, sizeof(holder), &s.fs));
	prepare(&s, m);
	if (!atomic_load(&s.failures)) {
		for (unsigned n = 0; n < MUTATORS; n++)
			pthread_create(&t[n], NULL, mutator_main, &m[n]);
		pthread_create(&t[MUTATORS], NULL, stamper_main, &s);
		pthread_create(&t[MUTATORS + 1], NULL, snapper_main, &s);
		for (uint64_t n = 0; n < seconds * 10 && !atomic_load(&s.stop); n++)
			usleep(100000);
		atomic_store(&s.stop, true);
		for (unsigned n = 0; n < MUTATORS + 2; n++)
			pthread_join(t[n], NULL);
		CHECK(&s, "main", fs_sync(s.fs));
		if (fs_check(s.fs, &co))
			bad(&s, "main", "fs_check", 1);
		CHECK(&s, "main", fs_close(s.fs));
	}
	printf("threads: %llu operations, %llu sets\n", (unsigned long long)atomic_load(&s.ops), (unsigned long long)atomic_load(&s.sets));
	io_free(io);
	if (atomic_load(&s.failures))
		++*failed;
	else
		++*passed;
}
