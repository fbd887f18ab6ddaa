/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rules R1..R11 one by one, in the smallest situation where each matters.  check_model.c mixes them. */
#include "tests/unit/meta/meta_test.h"

static struct store s;
static uint64_t vol;

static void setup(void)
{
	store_open(&s, false);
	vol = new_volume(s.m);
}
static void setup_posix(void)
{
	store_open(&s, true);
	vol = new_volume(s.m);
}
static void teardown(void)
{
	store_close(&s);
}

static void set_name(uint64_t v, const char *name, uint64_t ino)
{
	tx(s.m);
	put_name(s.m, v, 1, name, ino);
	end(s.m);
}
static int64_t entries(void)
{
	return number(s.m, "SELECT count(*) FROM entry");
}
static void set_size(uint64_t v, uint64_t ino, uint64_t size)
{
	struct meta_attr a;

	tx(s.m);
	attr_of(&a, size);
	ck_zero(meta_put_attr(s.m, v, ino, &a));
	end(s.m);
}

/* ---- R1, R2 ---- */

START_TEST(test_copy_sees_old_state_both_ways)
{
	uint64_t snap;

	set_name(vol, "a", 1);
	set_name(vol, "b", 2);
	snap = snapshot(s.m, vol, 0);
	set_name(vol, "a", 11);
	set_name(vol, "b", 0);
	set_name(snap, "c", 3);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "a"), 11);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "b"), 0);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "c"), 0);
	ck_assert_uint_eq(get_name(s.m, snap, 1, "a"), 1);
	ck_assert_uint_eq(get_name(s.m, snap, 1, "b"), 2);
	ck_assert_uint_eq(get_name(s.m, snap, 1, "c"), 3);
	store_check(&s, true);
}
END_TEST

START_TEST(test_young_row_changes_in_place)
{
	set_name(vol, "a", 1);
	set_name(vol, "a", 2);
	ck_assert_int_eq(entries(), 1);
	set_name(vol, "a", 0); /* nothing below: no tombstone */
	ck_assert_int_eq(entries(), 0);
	set_name(vol, "never", 0);
	ck_assert_int_eq(entries(), 0);
}
END_TEST

START_TEST(test_row_of_the_pin_epoch_is_pinned)
{
	uint64_t snap;

	set_name(vol, "a", 1); /* epoch 1 */
	snap = snapshot(s.m, vol, 0);	/* pin 1 */
	set_name(vol, "a", 2);
	ck_assert_int_eq(entries(), 2);
	set_name(vol, "a", 3);
	ck_assert_int_eq(entries(), 2);
	ck_assert_uint_eq(get_name(s.m, snap, 1, "a"), 1);
	/* Deleted in vol: the row of epoch 2 becomes a tombstone, for there is one below. */
	set_name(vol, "a", 0);
	ck_assert_int_eq(entries(), 2);
	ck_assert_int_eq(number(s.m, "SELECT sum(dead) FROM entry"), 1);
	set_name(vol, "a", 4);
	ck_assert_int_eq(number(s.m, "SELECT sum(dead) FROM entry"), 0);
	store_check(&s, true);
}
END_TEST

START_TEST(test_equal_map_writes_no_row)
{
	uint64_t b, snap;

	set_size(vol, 5, 1);
	tx(s.m);
	b = add_block(s.m, 1);
	put_blocks(s.m, vol, 5, 0, &b, 1);
	end(s.m);
	snap = snapshot(s.m, vol, 0);
	tx(s.m);
	put_blocks(s.m, vol, 5, 0, &b, 1);
	put_blocks(s.m, snap, 5, 0, &b, 1);
	end(s.m);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM leaf"), 1);
	ck_assert_int_eq(refs_of(s.m, b), 1);
	store_check(&s, true);
}
END_TEST

START_TEST(test_alloc_belongs_to_add_alloc)
{
	const struct meta_chain *c;
	struct meta_attr a;
	uint64_t snap;

	attr_of(&a, 1);
	a.alloc = 100;
	tx(s.m);
	ck_zero(meta_put_attr(s.m, vol, 5, &a));
	a.alloc = 7;
	a.size = 2;
	ck_zero(meta_put_attr(s.m, vol, 5, &a));
	end(s.m);
	snap = snapshot(s.m, vol, 0);
	tx(s.m);
	ck_zero(meta_add_alloc(s.m, snap, 5, 50));
	ck_zero(meta_add_alloc(s.m, vol, 5, -1000));
	a.size = 3;
	ck_zero(meta_put_attr(s.m, snap, 5, &a));
	end(s.m);
	ck_zero(meta_chain(s.m, snap, &c));
	ck_zero(meta_find_attr(meta_writer_view(s.m), c, 5, &a, NULL));
	ck_assert_uint_eq(a.alloc, 150);
	ck_assert_uint_eq(a.size, 3);
	ck_assert_int_eq(a.mtime_ns, -5);
	ck_zero(meta_chain(s.m, vol, &c));
	ck_zero(meta_find_attr(meta_writer_view(s.m), c, 5, &a, NULL));
	ck_assert_uint_eq(a.alloc, 0); /* never below zero */
	ck_assert_uint_eq(a.size, 2);
}
END_TEST

/* ---- R4, R5 ---- */

START_TEST(test_references_count_differences)
{
	uint64_t b[3], map[3], snap;

	set_size(vol, 5, 1);
	tx(s.m);
	for (unsigned i = 0; i < 3; i++)
		b[i] = add_block(s.m, i + 1);
	map[0] = b[0], map[1] = b[0], map[2] = b[1];
	put_blocks(s.m, vol, 5, 0, map, 3);
	end(s.m);
	ck_assert_int_eq(refs_of(s.m, b[0]), 2);
	ck_assert_int_eq(refs_of(s.m, b[1]), 1);
	snap = snapshot(s.m, vol, 0);
	tx(s.m);
	map[1] = b[2];
	put_blocks(s.m, vol, 5, 0, map, 3);
	end(s.m);
	ck_assert_int_eq(refs_of(s.m, b[0]), 2); /* slot 0 is inherited: counted in the row below */
	ck_assert_int_eq(refs_of(s.m, b[2]), 1);
	/* The row below goes: what the row above shared with it is now its own. */
	delete_volume(s.m, snap);
	store_finish(&s, 1000);
	ck_assert_int_eq(refs_of(s.m, b[0]), 1);
	ck_assert_int_eq(refs_of(s.m, b[1]), 1);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM leaf"), 1);
	store_check(&s, true);
}
END_TEST

START_TEST(test_row_overwritten_by_all_heads_goes_at_once)
{
	uint64_t clone;

	set_name(vol, "a", 1);
	clone = snapshot(s.m, vol, 0);
	set_name(vol, "a", 2);
	ck_assert_int_eq(entries(), 2);
	set_name(clone, "a", 3); /* now nobody sees the first row */
	ck_assert_int_eq(entries(), 2);
	store_check(&s, true);
}
END_TEST

START_TEST(test_tombstone_without_purpose_goes)
{
	uint64_t clone;

	set_name(vol, "a", 1);
	clone = snapshot(s.m, vol, 0);
	set_name(vol, "a", 0);
	ck_assert_int_eq(entries(), 2);
	set_name(clone, "a", 0); /* the row goes, and with it both tombstones */
	ck_assert_int_eq(entries(), 0);
	store_check(&s, true);
}
END_TEST

/* ---- R6 ---- */

START_TEST(test_copy_of_untouched_copy_hangs_beside_it)
{
	uint64_t one = snapshot(s.m, vol, META_VOL_READ_ONLY), two, three;
	const struct meta_chain *c;

	two = snapshot(s.m, one, 0);
	ck_zero(meta_chain(s.m, two, &c));
	ck_assert_uint_eq(c->n, 2);
	set_name(two, "a", 1);
	three = snapshot(s.m, two, 0);
	ck_zero(meta_chain(s.m, three, &c));
	ck_assert_uint_eq(c->n, 3);
	ck_assert_uint_eq(c->links[0].bound, META_EPOCH_MAX);
	ck_assert_uint_eq(c->links[1].line, two);
	ck_assert_uint_eq(c->links[1].bound, 3);
	ck_assert_uint_eq(c->links[2].line, vol);
	ck_assert_uint_eq(c->links[2].bound, 1);
	ck_assert_uint_eq(get_name(s.m, three, 1, "a"), 1);
	store_check(&s, true);
}
END_TEST

START_TEST(test_set_of_two_shares_one_epoch)
{
	uint64_t other = new_volume(s.m), a, b;

	set_name(vol, "x", 1);
	set_name(other, "x", 2);
	tx(s.m);
	a = copy_of(s.m, vol, META_VOL_READ_ONLY);
	b = copy_of(s.m, other, META_VOL_READ_ONLY);
	ck_zero(meta_epoch_step(s.m));
	put_name(s.m, vol, 1, "x", 10); /* after the step the same transaction may go on */
	end(s.m);
	set_name(other, "x", 20);
	ck_assert_uint_eq(get_name(s.m, a, 1, "x"), 1);
	ck_assert_uint_eq(get_name(s.m, b, 1, "x"), 2);
	ck_assert_uint_eq(meta_state(s.m)->epoch, 2);
	store_check(&s, true);
}
END_TEST

START_TEST(test_bare_flag_follows_rows)
{
	uint64_t clone = snapshot(s.m, vol, 0), snap = snapshot(s.m, vol, 0);

	ck_assert(lines_by_id(&s.m->lines, clone)->v.flags & META_VOL_BARE);
	tx(s.m);
	put_name(s.m, clone, 1, "a", 1);
	meta_rollback(s.m);
	ck_assert(lines_by_id(&s.m->lines, clone)->v.flags & META_VOL_BARE);
	set_name(clone, "a", 1);
	ck_assert(!(lines_by_id(&s.m->lines, clone)->v.flags & META_VOL_BARE));
	store_reopen(&s);
	ck_assert(!(lines_by_id(&s.m->lines, clone)->v.flags & META_VOL_BARE));
	ck_assert(lines_by_id(&s.m->lines, snap)->v.flags & META_VOL_BARE);
	/* An heir gets rows with the line. */
	delete_volume(s.m, vol);
	delete_volume(s.m, clone);
	store_finish(&s, 100);
	ck_assert(!(lines_by_id(&s.m->lines, snap)->v.flags & META_VOL_BARE));
	ck_assert_uint_eq(lines_by_id(&s.m->lines, snap)->v.line, vol);
	store_check(&s, true);
}
END_TEST

/* ---- R7, R8 ---- */

START_TEST(test_deleted_volume_takes_no_writes)
{
	struct meta_entry e = {.ino = 1};
	struct meta_volume v = {.id = 50, .line = 50};

	delete_volume(s.m, vol);
	tx(s.m);
	ck_assert_int_eq(meta_put_entry(s.m, vol, 1, "a", 1, &e), -ENOENT);
	ck_assert_int_eq(meta_volume_copy(s.m, vol, &v), -ENOENT);
	ck_assert_int_eq(meta_volume_delete(s.m, vol), -ENOENT);
	ck_assert_int_eq(meta_orphan_add(s.m, vol, 1), -ENOENT);
	end(s.m);
	store_finish(&s, 10);
	ck_assert_int_eq(number(s.m, "SELECT (SELECT count(*) FROM volume) + (SELECT count(*) FROM inode)"), 0);
	store_check(&s, true);
}
END_TEST

static void unlink_ino(uint64_t v, uint64_t ino)
{
	struct meta_attr a;

	attr_of(&a, 1);
	a.nlink = 0;
	tx(s.m);
	ck_zero(meta_put_attr(s.m, v, ino, &a));
	ck_zero(meta_orphan_add(s.m, v, ino));
	end(s.m);
}

START_TEST(test_reap_in_steps_leaves_tombstones_for_pins)
{
	uint64_t b, snap;
	struct meta_orphan o[4];
	int r, steps = 0;

	set_size(vol, 5, 1);
	tx(s.m);
	b = add_block(s.m, 1);
	for (uint64_t i = 0; i < 10; i++)
		put_blocks(s.m, vol, 5, i, &b, 1);
	ck_zero(meta_put_xattr(s.m, vol, 5, "", 0, "target", 6));
	ck_zero(meta_put_xattr(s.m, vol, 5, "user.x", 6, "", 0));
	end(s.m);
	snap = snapshot(s.m, vol, META_VOL_READ_ONLY);
	unlink_ino(vol, 5);
	ck_assert_int_eq(meta_orphan_list(s.m, 0, 0, o, 4), 1);
	ck_assert_uint_eq(o[0].vol, vol);
	ck_assert_uint_eq(o[0].ino, 5);
	do {
		tx(s.m);
		r = meta_reap(s.m, vol, 5, 4);
		ck_assert_int_ge(r, 0);
		end(s.m);
		steps++;
	} while (r == 1);
	ck_assert_int_eq(steps, 4); /* 12 rows by fours, then the inode */
	ck_assert_int_eq(meta_orphan_list(s.m, 0, 0, o, 4), 0);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM leaf WHERE map IS NULL"), 10);
	ck_assert_uint_eq(get_slot(s.m, snap, 5, 9, 0), b);
	ck_assert_uint_eq(get_slot(s.m, vol, 5, 9, 0), 0);
	store_check(&s, true);
	delete_volume(s.m, snap);
	store_finish(&s, 3);
	ck_assert_int_eq(number(s.m, "SELECT (SELECT count(*) FROM leaf) + (SELECT count(*) FROM xattr) + (SELECT count(*) FROM block)"),
			 0);
	store_check(&s, true);
}
END_TEST

START_TEST(test_snapshot_of_open_unlinked_file_is_reaped_too)
{
	uint64_t snap;
	struct meta_orphan o[4];

	set_size(vol, 5, 1);
	unlink_ino(vol, 5);
	snap = snapshot(s.m, vol, META_VOL_READ_ONLY);
	ck_assert_int_eq(meta_orphan_list(s.m, 0, 0, o, 4), 2);
	ck_assert_int_eq(meta_orphan_list(s.m, vol, 5, o, 4), 1);
	ck_assert_uint_eq(o[0].vol, snap);
	tx(s.m);
	ck_assert_int_eq(meta_reap(s.m, snap, 5, 10), 0);
	ck_assert_int_eq(meta_reap(s.m, vol, 5, 10), 0);
	end(s.m);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM inode WHERE ino = 5"), 0);
	store_check(&s, true);
}
END_TEST

/* ---- R9, R10 ---- */

START_TEST(test_heir_takes_the_line)
{
	uint64_t clone, deep;
	struct meta_reclaim r = {.budget = 1000};
	struct meta_reclaim r2 = {.budget = 1000};
	const struct meta_chain *c;

	set_name(vol, "old", 1);
	clone = snapshot(s.m, vol, 0);
	set_name(clone, "mine", 2);
	set_name(vol, "gone", 3);
	deep = snapshot(s.m, clone, META_VOL_READ_ONLY);
	set_name(clone, "mine", 4);
	delete_volume(s.m, vol);
	for (;;) {
		tx(s.m);
		ck_assert_int_eq(meta_reclaim_step(s.m, &r), 1);
		end(s.m);
		if (r.gone_vol)
			break;
	}
	ck_assert_uint_eq(r.gone_vol, vol);
	ck_assert_uint_eq(r.heir_vol, clone);
	ck_zero(meta_chain(s.m, clone, &c));
	ck_assert_uint_eq(c->n, 1);
	ck_assert_uint_eq(c->links[0].line, vol);
	ck_assert_uint_eq(c->links[0].ntails, 1);
	ck_assert_uint_eq(c->links[0].tails[0], clone);
	ck_assert_uint_eq(get_name(s.m, clone, 1, "mine"), 4);
	ck_assert_uint_eq(get_name(s.m, clone, 1, "old"), 1);
	ck_assert_uint_eq(get_name(s.m, deep, 1, "mine"), 2);
	ck_assert_uint_eq(get_name(s.m, deep, 1, "old"), 1);
	store_check(&s, false);
	set_name(clone, "old", 5); /* a write while two labels are in use */
	do {
		tx(s.m);
		ck_assert_int_eq(meta_reclaim_step(s.m, &r2), 1);
		end(s.m);
	} while (!r2.tail_src);
	ck_assert_uint_eq(r2.tail_src, clone);
	ck_assert_uint_eq(r2.tail_line, vol);
	ck_zero(meta_chain(s.m, clone, &c));
	ck_assert_uint_eq(c->links[0].ntails, 0);
	store_finish(&s, 100);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM entry WHERE line <> 1"), 0);
	ck_assert_uint_eq(get_name(s.m, clone, 1, "old"), 5);
	ck_assert_uint_eq(get_name(s.m, deep, 1, "old"), 1);
	store_check(&s, true);
}
END_TEST

START_TEST(test_deleting_middle_snapshot_drops_what_only_it_saw)
{
	uint64_t snap[3];

	for (unsigned i = 0; i < 3; i++) {
		char each[8];

		snprintf(each, sizeof(each), "n%u", i);
		set_name(vol, "all", i + 1);
		set_name(vol, each, 9);
		snap[i] = snapshot(s.m, vol, META_VOL_READ_ONLY);
	}
	set_name(vol, "all", 0);
	ck_assert_int_eq(entries(), 7);
	delete_volume(s.m, snap[1]);
	store_finish(&s, 2);
	ck_assert_int_eq(entries(), 6);
	ck_assert_uint_eq(get_name(s.m, snap[0], 1, "all"), 1);
	ck_assert_uint_eq(get_name(s.m, snap[2], 1, "all"), 3);
	store_check(&s, true);
	delete_volume(s.m, snap[2]);
	delete_volume(s.m, snap[0]);
	store_finish(&s, 1);
	ck_assert_int_eq(entries(), 3);
	store_check(&s, true);
}
END_TEST

START_TEST(test_budget_bounds_a_step)
{
	uint64_t clone = snapshot(s.m, vol, 0);
	uint64_t steps = 0;

	tx(s.m);
	for (unsigned i = 0; i < 500; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		put_name(s.m, clone, 1, name, 1);
	}
	end(s.m);
	delete_volume(s.m, clone);
	for (int n = 1; n; steps++) {
		struct meta_reclaim r = {.budget = 50};

		tx(s.m);
		n = meta_reclaim_step(s.m, &r);
		end(s.m);
		ck_assert_uint_le(r.rows_looked, 50);
	}
	ck_assert_uint_ge(steps, 10);
	ck_assert_int_eq(entries(), 0);
	store_check(&s, true);
}
END_TEST

/* ---- R11 ---- */

static bool is_pinned(void *arg, uint64_t id)
{
	return id == *(uint64_t *)arg;
}

START_TEST(test_blocks_die_revive_move_and_are_given_back)
{
	struct meta_reclaim r = {.budget = 100};
	uint64_t a, b, keep, none = 0;
	struct meta_freed f[8];
	struct meta_block blk;
	uint8_t hash[HASH_BYTES] = {0};
	unsigned content = 2;

	set_size(vol, 5, 1);
	tx(s.m);
	a = add_block(s.m, 2);
	b = add_block(s.m, 4);
	keep = add_block(s.m, 6);
	put_blocks(s.m, vol, 5, 0, (uint64_t[]){a, b}, 2);
	put_blocks(s.m, vol, 5, 0, &none, 1); /* all holes: the leaf goes, references too */
	end(s.m);
	ck_assert_int_eq(refs_of(s.m, a), 0);
	tx(s.m);
	ck_assert_uint_eq(add_block(s.m, 2), a); /* still a hit */
	put_blocks(s.m, vol, 5, 0, &a, 1);
	end(s.m);
	r.pinned = is_pinned;
	r.arg = &keep;
	for (int n = 1; n;) {
		tx(s.m);
		n = meta_reclaim_step(s.m, &r);
		end(s.m);
	}
	ck_assert_int_eq(refs_of(s.m, a), 1);
	ck_assert_int_eq(refs_of(s.m, b), -1);
	ck_assert_int_eq(refs_of(s.m, keep), 0);
	memcpy(hash, &content, sizeof(content));
	ck_zero(meta_block_find(s.m, hash, &blk));
	ck_assert_uint_eq(blk.id, a);
	ck_assert_int_eq(meta_place_used(s.m, hash, blk.pack, blk.off), 1);
	ck_assert_int_eq(meta_place_used(s.m, hash, blk.pack, blk.off + 1), 0);
	ck_assert_int_eq(meta_freed_list(s.m, f, 8), 1);
	hash[0] = 4;
	ck_assert_int_eq(meta_block_find(s.m, hash, &blk), -ENOENT);
	ck_assert_int_eq(meta_place_used(s.m, hash, f[0].pack, f[0].off), 1); /* not given back yet */
	tx(s.m);
	ck_zero(meta_freed_done(s.m, &f[0]));
	ck_assert_int_eq(meta_freed_done(s.m, &f[0]), -ENOENT);
	ck_zero(meta_block_move(s.m, a, 7, 4096, 90, 0));
	ck_assert_int_eq(meta_block_move(s.m, a, 7, 4096, 90, 0), -EINVAL);
	ck_assert_int_eq(meta_block_move(s.m, 999, 7, 0, 90, 0), -ENOENT);
	end(s.m);
	ck_assert_int_eq(meta_place_used(s.m, hash, f[0].pack, f[0].off), 0);
	ck_assert_int_eq(meta_freed_list(s.m, f, 8), 1);
	ck_assert_uint_eq(f[0].pack, 1);
	ck_zero(meta_find_block(meta_writer_view(s.m), a, &blk));
	ck_assert_uint_eq(blk.pack, 7);
	ck_assert_uint_eq(blk.off, 4096);
	ck_assert_uint_eq(blk.stored, 90);
	store_check(&s, false);
}
END_TEST

struct usage {
	uint32_t pack[8];
	uint64_t bytes[8], blocks[8];
	unsigned n;
};
static int on_usage(void *arg, uint32_t pack, uint64_t bytes, uint64_t blocks)
{
	struct usage *u = arg;

	u->pack[u->n] = pack;
	u->bytes[u->n] = bytes;
	u->blocks[u->n++] = blocks;
	return 0;
}

START_TEST(test_pack_usage)
{
	struct usage u = {.n = 0};

	tx(s.m);
	add_block(s.m, 201);
	add_block(s.m, 1);
	add_block(s.m, 2);
	end(s.m);
	ck_zero(meta_pack_usage(s.m, on_usage, &u));
	ck_assert_uint_eq(u.n, 2);
	ck_assert_uint_eq(u.pack[0], 1);
	ck_assert_uint_eq(u.bytes[0], 200);
	ck_assert_uint_eq(u.blocks[0], 2);
	ck_assert_uint_eq(u.pack[1], 3);
	ck_assert_uint_eq(u.bytes[1], 100);
}
END_TEST

/* ---- sets and volumes ---- */

struct sets {
	struct meta_set v[4];
	unsigned n;
};
static int on_set(void *arg, const struct meta_set *set)
{
	struct sets *x = arg;

	x->v[x->n++] = *set;
	return 0;
}

START_TEST(test_sets_round_trip)
{
	static struct sets got;
	struct meta_set a = {.id = 7, .uuid = {7}, .state = 3, .flags = 5, .owner = "agent", .created_ns = 1, .committed_ns = 2,
			     .gate_ns = 3, .commit_ns = 4, .writer_uid = 1000, .record_version = 9, .record_len = 5, .nmembers = 2};
	struct meta_set b = {.id = 3, .uuid = {3}};

	memcpy(a.record, "hello", 5);
	a.members[0] = (struct meta_set_member){1, 2, {1}};
	a.members[1] = (struct meta_set_member){3, 4, {2}};
	tx(s.m);
	ck_zero(meta_set_put(s.m, &a));
	ck_zero(meta_set_put(s.m, &b));
	a.nmembers = 1;
	a.state = 4;
	ck_zero(meta_set_put(s.m, &a));
	a.record_len = META_SET_RECORD_MAX + 1;
	ck_assert_int_eq(meta_set_put(s.m, &a), -EINVAL);
	end(s.m);
	got.n = 0;
	ck_zero(meta_set_list(s.m, on_set, &got));
	ck_assert_uint_eq(got.n, 2);
	ck_assert_uint_eq(got.v[0].id, 3);
	a.record_len = 5;
	ck_assert_mem_eq(got.v[1].record, "hello", 5);
	ck_assert_uint_eq(got.v[1].state, 4);
	ck_assert_uint_eq(got.v[1].nmembers, 1);
	ck_assert_uint_eq(got.v[1].members[0].snapshot, 2);
	ck_assert_str_eq(got.v[1].owner, "agent");
	ck_assert_uint_eq(got.v[1].writer_uid, 1000);
	tx(s.m);
	ck_zero(meta_set_delete(s.m, 7));
	ck_assert_int_eq(meta_set_delete(s.m, 7), -ENOENT);
	end(s.m);
	got.n = 0;
	ck_zero(meta_set_list(s.m, on_set, &got));
	ck_assert_uint_eq(got.n, 1);
}
END_TEST

static int on_volume(void *arg, const struct meta_volume *v)
{
	*(struct meta_volume *)arg = *v;
	return 1;
}

START_TEST(test_volume_update_keeps_what_is_ours)
{
	struct meta_volume v;

	ck_assert_int_eq(meta_volume_list(s.m, on_volume, &v), 1);
	strcpy(v.name, "\xff bytes");
	v.flags = META_VOL_SEALED | META_VOL_DEAD | META_VOL_BARE;
	v.place_vol = 4;
	v.place_dir = 5;
	v.set_id = 6;
	v.slot = 99;
	tx(s.m);
	ck_zero(meta_volume_update(s.m, &v));
	end(s.m);
	store_reopen(&s);
	ck_assert_int_eq(meta_volume_list(s.m, on_volume, &v), 1);
	ck_assert_uint_eq(v.flags, META_VOL_SEALED);
	ck_assert_str_eq(v.name, "\xff bytes");
	ck_assert_uint_eq(v.place_vol, 4);
	ck_assert_uint_eq(v.place_dir, 5);
	ck_assert_uint_eq(v.set_id, 6);
	ck_assert_uint_eq(v.slot, 1);
	store_check(&s, true);
}
END_TEST

Suite *make_rules_suite(void)
{
	Suite *suite = suite_create("rules");
	TCase *sim = tcase_create("sim"), *posix = tcase_create("posix");
	TCase *both[] = {sim, posix};

	tcase_add_checked_fixture(sim, setup, teardown);
	tcase_add_checked_fixture(posix, setup_posix, teardown);
	for (unsigned i = 0; i < 2; i++) {
		tcase_add_test(both[i], test_copy_sees_old_state_both_ways);
		tcase_add_test(both[i], test_young_row_changes_in_place);
		tcase_add_test(both[i], test_row_of_the_pin_epoch_is_pinned);
		tcase_add_test(both[i], test_equal_map_writes_no_row);
		tcase_add_test(both[i], test_alloc_belongs_to_add_alloc);
		tcase_add_test(both[i], test_references_count_differences);
		tcase_add_test(both[i], test_row_overwritten_by_all_heads_goes_at_once);
		tcase_add_test(both[i], test_tombstone_without_purpose_goes);
		tcase_add_test(both[i], test_copy_of_untouched_copy_hangs_beside_it);
		tcase_add_test(both[i], test_set_of_two_shares_one_epoch);
		tcase_add_test(both[i], test_bare_flag_follows_rows);
		tcase_add_test(both[i], test_deleted_volume_takes_no_writes);
		tcase_add_test(both[i], test_reap_in_steps_leaves_tombstones_for_pins);
		tcase_add_test(both[i], test_snapshot_of_open_unlinked_file_is_reaped_too);
		tcase_add_test(both[i], test_heir_takes_the_line);
		tcase_add_test(both[i], test_deleting_middle_snapshot_drops_what_only_it_saw);
		tcase_add_test(both[i], test_budget_bounds_a_step);
		tcase_add_test(both[i], test_blocks_die_revive_move_and_are_given_back);
		tcase_add_test(both[i], test_pack_usage);
		tcase_add_test(both[i], test_sets_round_trip);
		tcase_add_test(both[i], test_volume_update_keeps_what_is_ours);
		suite_add_tcase(suite, both[i]);
	}
	return suite;
}
