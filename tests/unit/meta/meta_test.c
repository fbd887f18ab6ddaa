/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/meta/meta_test.h"

static const struct meta_params params = {.uuid = {1, 2, 3}, .block_size = 65536, .hash_algo = 1, .codec = 1, .created_ns = 77};

static int drop_name(void *arg, const char *name)
{
	return io_unlink(arg, name);
}

void store_open(struct store *s, bool posix)
{
	memset(s, 0, sizeof(*s));
	s->posix = posix;
	if (posix) {
		const char *tmp = getenv("TMPDIR");

		snprintf(s->dir, sizeof(s->dir), "%s/kagefs-meta-XXXXXX", tmp ? tmp : "/tmp");
		ck_assert_ptr_nonnull(mkdtemp(s->dir));
		ck_zero(io_posix_new(s->dir, &s->io));
	} else {
		s->io = sim_new(1, 0);
		ck_assert_ptr_nonnull(s->io);
	}
	ck_zero(meta_format(s->io, &params));
	ck_zero(meta_open(s->io, 8 << 20, &s->m));
}

void store_reopen(struct store *s)
{
	meta_close(s->m);
	s->m = NULL;
	ck_zero(meta_open(s->io, 8 << 20, &s->m));
}

void store_close(struct store *s)
{
	meta_close(s->m);
	if (s->posix) {
		ck_zero(io_list(s->io, ".", drop_name, s->io));
		ck_zero(rmdir(s->dir));
	}
	io_free(s->io);
}

struct count {
	bool print;
};
static void on_violation(void *arg, const char *number_, const char *text)
{
	struct count *c = arg;

	if (c->print)
		fprintf(stderr, "  %s: %s\n", number_, text);
}

int count_check(struct meta *m, bool idle, bool print)
{
	struct count c = {print};

	return meta_check(m, idle, on_violation, &c);
}

void store_check(struct store *s, bool idle)
{
	ck_assert_int_eq(count_check(s->m, idle, true), 0);
}

void store_finish(struct store *s, unsigned budget)
{
	struct meta_freed f[32];
	int n;

	for (;;) {
		struct meta_reclaim r = {.budget = budget};

		tx(s->m);
		n = meta_reclaim_step(s->m, &r);
		ck_assert_int_ge(n, 0);
		end(s->m);
		if (n == 0)
			break;
	}
	while ((n = meta_freed_list(s->m, f, ARRAY_SIZE(f))) > 0) {
		tx(s->m);
		for (int i = 0; i < n; i++)
			ck_zero(meta_freed_done(s->m, &f[i]));
		end(s->m);
	}
	ck_assert_int_eq(n, 0);
}

void tx(struct meta *m)
{
	ck_zero(meta_begin(m));
}

void end(struct meta *m)
{
	ck_zero(meta_commit(m));
}

void attr_of(struct meta_attr *a, uint64_t size)
{
	memset(a, 0, sizeof(*a));
	a->mode = 0100644;
	a->nlink = 1;
	a->size = size;
	a->mtime_ns = -5;
}

uint64_t new_volume(struct meta *m)
{
	struct meta_volume v = {.slot = 1};
	struct meta_attr a;

	tx(m);
	v.id = v.line = v.alias = meta_state(m)->next_vol++;
	v.root = meta_state(m)->next_ino++;
	ck_zero(meta_volume_insert(m, &v));
	attr_of(&a, 0);
	ck_zero(meta_put_attr(m, v.id, v.root, &a));
	end(m);
	return v.id;
}

uint64_t copy_of(struct meta *m, uint64_t of, uint32_t flags)
{
	struct meta_volume v = {.flags = flags, .origin = of};

	v.id = v.line = v.alias = meta_state(m)->next_vol++;
	ck_zero(meta_volume_copy(m, of, &v));
	return v.id;
}

uint64_t snapshot(struct meta *m, uint64_t of, uint32_t flags)
{
	uint64_t id;

	tx(m);
	id = copy_of(m, of, flags);
	ck_zero(meta_epoch_step(m));
	end(m);
	return id;
}

void delete_volume(struct meta *m, uint64_t id)
{
	tx(m);
	ck_zero(meta_volume_delete(m, id));
	end(m);
}

uint64_t add_block(struct meta *m, unsigned content)
{
	struct meta_block b = {.pack = 1 + content / 100, .off = 0, .stored = 100, .len = 4096};
	int r;

	memset(b.hash, 0, sizeof(b.hash));
	memcpy(b.hash + 8 * (content % 2), &content, sizeof(content)); /* half of them share the prefix 0 */
	r = meta_block_find(m, b.hash, &b);
	if (r == -ENOENT) {
		b.off = meta_state(m)->next_block * 4096; /* a place is never used twice here */
		r = meta_block_add(m, &b);
	}
	ck_zero(r);
	return b.id;
}

void put_name(struct meta *m, uint64_t vol, uint64_t dir, const char *name, uint64_t ino)
{
	struct meta_entry e = {.ino = ino, .type = 8};

	ck_zero(meta_put_entry(m, vol, dir, name, strlen(name), ino ? &e : NULL));
}

uint64_t get_name(struct meta *m, uint64_t vol, uint64_t dir, const char *name)
{
	const struct meta_chain *c;
	struct meta_entry e;
	int r;

	ck_zero(meta_chain(m, vol, &c));
	r = meta_find_entry(meta_writer_view(m), c, dir, name, strlen(name), &e, NULL);
	if (r == -ENOENT)
		return 0;
	ck_zero(r);
	return e.ino;
}

void put_blocks(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, const uint64_t *ids, unsigned n)
{
	uint64_t map[META_LEAF_SLOTS] = {0};

	memcpy(map, ids, n * sizeof(*ids));
	ck_zero(meta_put_leaf(m, vol, ino, idx, map));
}

uint64_t get_slot(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, unsigned slot)
{
	uint64_t map[META_LEAF_SLOTS];
	const struct meta_chain *c;
	int r;

	ck_zero(meta_chain(m, vol, &c));
	r = meta_find_leaf(meta_writer_view(m), c, ino, idx, map, NULL);
	if (r == -ENOENT)
		return 0;
	ck_zero(r);
	return map[slot];
}

int64_t number(struct meta *m, const char *sql)
{
	sqlite3_stmt *s;
	int64_t n;

	ck_assert_int_eq(sqlite3_prepare_v2(m->db->h, sql, -1, &s, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

int64_t refs_of(struct meta *m, uint64_t block)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "SELECT coalesce((SELECT refs FROM block WHERE id=%llu), -1)", (unsigned long long)block);
	return number(m, sql);
}
