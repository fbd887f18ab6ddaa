/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stores damaged on a real directory through SQLite and with a hex editor's means, mended by opening for repair: then check is
 * clean and every byte is what it was, or reads as EIO and the file is named.  And power cuts in a repair, in the simulator.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/endian.h"
#include "fs/log/log_format.h"
#include "fs/meta/meta.h"
#include "fs/store/store.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

#define BLOCKS 40
#define BYTES (BLOCKS * BS)

static char dir[64], said[16384];

static void hear(const char *text)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%s\n", text);
}
static void on_mended(void *arg, const char *text)
{
	hear(text);
}
static void on_violation(void *arg, const char *number, const char *text)
{
	hear(text);
}

/* What was said contains this. */
#define heard(text) ck_assert_msg(strstr(said, text) != NULL, "%s is not in:\n%s", text, said)

static struct fs_repair repair;

static int open_store(bool mend)
{
	int r;

	if (!test_io)
		ok(io_posix_new(dir, &test_io));
	said[0] = 0;
	test_fs = NULL;
	repair = (struct fs_repair){ .verify_blocks = true, .report = on_mended };
	test_open.repair = mend ? &repair : NULL;
	r = fs_open(test_io, &test_open, NULL, 0, &test_fs);
	test_root = r ? test_root : fs_root(test_fs);
	return r;
}

static void close_store(void)
{
	ok(fs_close(test_fs));
	test_fs = NULL;
	io_free(test_io); /* lets go of the lock */
	test_io = NULL;
}

static int check(bool drain)
{
	struct fs_check_options o = { .verify_blocks = true, .drain = drain, .report = on_violation };

	return fs_check(test_fs, &o);
}

static int violations(void)
{
	return check(true);
}

/* f: BLOCKS blocks, in a directory, and a short file; a snapshot of them; then a few blocks overwritten. */
static void make_files(void)
{
	struct fs_node d = make(test_root, "d", S_IFDIR | 0755), f = make(d, "f", S_IFREG | 0644);

	fill(f, 0, BYTES, 1);
	fill(make(d, "tail", S_IFREG | 0644), 0, 100, 200);
	snapshot(test_root.vol, "s", 0);
	fill(f, 4 * BS, 2 * BS, 101);
	drain();
}

static struct fs_node file(void)
{
	return find(find(test_root, "d"), "f");
}

static void is_whole(void)
{
	struct fs_node s = find(find(find(find(test_root, FS_SNAPSHOTS_NAME), "s"), "d"), "f");

	is_filled(s, 0, BYTES, 1);
	is_filled(file(), 0, 4 * BS, 1);
	is_filled(file(), 4 * BS, 2 * BS, 101);
	is_filled(file(), 6 * BS, BYTES - 6 * BS, 1);
}

static void setup_posix(void)
{
	struct fs_format_options fo = { .block_size = BS, .codec = STORE_NONE, .log_segment_bytes = 1 << 20 };

	snprintf(dir, sizeof(dir), "/tmp/kagefs-repair.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	test_io = NULL;
	ok(io_posix_new(dir, &test_io));
	ok(fs_format(test_io, &fo));
	test_open = (struct fs_open_options){ .manual = true, .memory_bytes = 16 << 20, .log_bytes = 64 << 20,
					      .dirty_age_ms = UINT32_MAX, .workers = 1, .pack_bytes = 1 << 20 };
	ok(open_store(false));
	make_files();
	close_store();
}

static void teardown_posix(void)
{
	char cmd[100];

	if (test_fs)
		close_store();
	io_free(test_io);
	test_io = NULL;
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ok(system(cmd));
}

/* ---- damage to the closed store ---- */

static int64_t sql(const char *text)
{
	char path[100];
	sqlite3_stmt *s;
	sqlite3 *db;
	int64_t n = 0;
	const char *rest = text;

	snprintf(path, sizeof(path), "%s/meta.db", dir);
	ok(sqlite3_open(path, &db));
	while (*rest) {
		ck_assert_msg(!sqlite3_prepare_v2(db, rest, -1, &s, &rest), "%s", sqlite3_errmsg(db));
		while (sqlite3_step(s) == SQLITE_ROW)
			n = sqlite3_column_int64(s, 0);
		ck_assert_msg(!sqlite3_finalize(s), "%s", sqlite3_errmsg(db));
	}
	ok(sqlite3_close(db));
	return n;
}

/* The block of file block `slot`, as the newest leaf has it. */
static int64_t id_at(unsigned slot)
{
	char text[300];

	snprintf(text, sizeof(text), "SELECT id FROM block, (SELECT map FROM leaf ORDER BY epoch DESC LIMIT 1)"
		 " WHERE substr(printf('%%04X', id), 3, 2) || substr(printf('%%04X', id), 1, 2) = hex(substr(map, %u, 2))", slot * 8 + 1);
	return sql(text);
}

static int64_t block_column(const char *column, int64_t id)
{
	char text[100];

	snprintf(text, sizeof(text), "SELECT %s FROM block WHERE id = %lld", column, (long long)id);
	return sql(text);
}

static void flip(int64_t id, unsigned at)
{
	char path[100];
	uint8_t byte;
	off_t off = block_column("off", id) + at;
	int fd;

	snprintf(path, sizeof(path), "%s/packs/%08x", dir, (unsigned)block_column("pack", id));
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &byte, 1, off), 1);
	close(fd);
}

/* A record more in the packs. */
static void append(const uint8_t *data, size_t len, uint64_t as)
{
	struct store_config sc = { .block_size = BS, .hash_algo = (enum hash_algo)sql("SELECT hash_algo FROM store") };
	uint8_t hash[HASH_BYTES];
	struct store_blob blob;
	struct store_loc loc;
	struct store *st;
	struct io *io;

	while (len > 1 && !data[len - 1]) /* as the engine does: content ends with its last byte that is not zero */
		len--;
	ok(io_posix_new(dir, &io));
	ok(store_open(io, &sc, 0, &st));
	ok(store_hash(st, data, len, hash));
	ok(store_encode(st, data, len, hash, NULL, &blob));
	blob.id = as;
	ok(store_append(st, &blob, &loc));
	ok(store_sync(st));
	store_blob_release(&blob);
	store_close(st);
	io_free(io);
}

static void repaired_whole(void)
{
	ok(open_store(true));
	ck_assert_uint_gt(repair.mended, 0);
	ck_assert_uint_eq(repair.lost, 0);
	is_whole();
	ck_assert_msg(violations() == 0, "%s", said);
	is_whole();
	close_store();
	/* Nothing is left to mend, and the copy of the first time stays. */
	ok(open_store(true));
	ck_assert_msg(repair.mended == 0, "%s", said);
	close_store();
}

/* ---- tests ---- */

START_TEST(test_repair_of_a_sound_store_changes_nothing)
{
	char path[100];

	ok(open_store(true));
	ck_assert_uint_eq(repair.mended, 0);
	is_whole();
	ck_assert_int_eq(violations(), 0);
	close_store();
	snprintf(path, sizeof(path), "%s/meta.db.before-repair", dir);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* Some, then all.  A mount in between must neither take the bytes for garbage nor read wrong ones. */
START_TEST(test_repair_rows_deleted)
{
	char buf[BS], path[100];
	int64_t before = sql("SELECT count(*) FROM block");
	sqlite3 *copy;

	sql(_i ? "DELETE FROM block" : "DELETE FROM block WHERE id % 3 = 0");
	ok(open_store(false));
	for (unsigned i = 0, n = 0; i < BLOCKS; i++) {
		ssize_t r = fs_read(test_fs, file(), buf, BS, i * BS);

		ck_assert(r == BS || r == -EIO);
		n += r == -EIO;
		ck_assert(i + 1 < BLOCKS || n >= (_i ? BLOCKS : BLOCKS / 4));
	}
	ck_assert_int_gt(violations(), 0);
	heard("named by a leaf and not there");
	heard("file=/d/f: ");
	close_store();
	repaired_whole();
	ck_assert_int_eq(sql("SELECT count(*) FROM block"), before);
	snprintf(path, sizeof(path), "%s/meta.db.before-repair", dir);
	ok(sqlite3_open_v2(path, &copy, SQLITE_OPEN_READONLY, NULL));
	ok(sqlite3_exec(copy, "SELECT 1 FROM store", NULL, NULL, NULL));
	ok(sqlite3_close(copy));
}
END_TEST

START_TEST(test_repair_damaged_columns)
{
	static const char *const damage[] = {
		"UPDATE block SET refs = refs + 5 WHERE id % 2 = 0",
		"UPDATE block SET refs = 0",
		"UPDATE block SET hash = zeroblob(32) WHERE id % 4 = 1",
		"UPDATE block SET hash = x'00', h8 = 7 WHERE id % 4 = 1",
		"UPDATE block SET h8 = h8 + 1",
		"UPDATE block SET off = off + 16 WHERE id % 5 = 0",
		"UPDATE block SET pack = 77",
		"UPDATE block SET pack = 0, off = 0",
		"UPDATE block SET stored = stored + 16, len = 1, codec = 1 WHERE id % 3 = 0",
		"UPDATE block SET off = (SELECT max(off) FROM block)",
	};

	sql(damage[_i % 10]);
	if (_i >= 10) { /* looked at before: that must not make it worse */
		test_open.read_only = _i >= 20;
		ok(open_store(false));
		if (_i >= 20)
			drain();
		ck_assert_int_gt(check(false), 0);
		close_store();
		test_open.read_only = false;
	}
	repaired_whole();
}
END_TEST

START_TEST(test_repair_rows_of_nobody)
{
	sql("INSERT INTO orphan VALUES(999, 5);"
	    "INSERT INTO inode(line, ino, epoch, dead) VALUES(77, 5, 1, 1);"
	    "INSERT INTO entry(line, dir, name, epoch, dead) VALUES(77, 5, x'41', 1, 1);"
	    "INSERT INTO xattr(line, ino, name, epoch, dead) VALUES(77, 5, x'41', 1, 1);"
	    "INSERT INTO leaf(line, ino, idx, epoch, map) VALUES(77, 5, 0, 1, x'0100000000000000');"
	    "INSERT INTO walk(line, pin, stage, side) VALUES(77, 1, 0, 0);");
	ok(open_store(true));
	ck_assert_uint_eq(repair.mended, 6);
	heard("table orphan: 1 rows");
	heard("table leaf: 1 rows");
	close_store();
	sql("INSERT INTO orphan VALUES(999, 5)");
	repaired_whole();
	ck_assert_int_eq(sql("SELECT count(*) FROM leaf WHERE line = 77"), 0);
}
END_TEST

/* Without the root's row all would be nobody's: nothing is touched. */
START_TEST(test_repair_without_a_root)
{
	int64_t rows = sql("SELECT count(*) FROM leaf");

	sql("PRAGMA foreign_keys = OFF; UPDATE volume SET id = 9 WHERE id = 1; DELETE FROM volume WHERE id = 9;");
	fails(open_store(true), EUCLEAN);
	ck_assert_uint_eq(repair.mended, 0);
	ck_assert_int_eq(sql("SELECT count(*) FROM leaf"), rows);
}
END_TEST

/* Given back, it would be zeros: all of it, or a part that begins before or inside. */
START_TEST(test_repair_freed_place_in_use)
{
	static const char *const damage[] = {
		"INSERT INTO freed SELECT pack, off, stored FROM block WHERE id % 2 = 0",
		"INSERT INTO freed SELECT pack, off - 16, stored FROM block WHERE id = 7",
		"INSERT INTO freed SELECT pack, off + 16, stored FROM block WHERE id = 7",
		"INSERT INTO freed SELECT pack, off + 3, stored FROM block WHERE id = 7",
		"INSERT INTO freed SELECT pack, off, stored + 4096 FROM block WHERE id = 7",
	};

	sql(damage[_i]);
	repaired_whole();
	ck_assert_int_eq(sql("SELECT count(*) FROM freed"), 0);
}
END_TEST

START_TEST(test_repair_gives_back_what_nothing_names)
{
	uint8_t data[BS];

	memset(data, 0xaa, BS);
	append(data, BS, 0);
	append(data, BS, 2); /* says that it is another block, which is whole elsewhere */
	repaired_whole();
}
END_TEST

/* A byte of a block that nothing else holds: EIO there and only there, the file named; the same bytes written again mend it, or
 * it goes with what names it. */
START_TEST(test_repair_lost_block)
{
	int64_t id = id_at(9);
	char buf[BS], row[100];

	ck_assert_int_gt(id, 0);
	flip(id, _i % 2 ? 20 : 500); /* the header, or the content */
	if (_i >= 2) {
		snprintf(row, sizeof(row), "DELETE FROM block WHERE id = %lld", (long long)id);
		sql(row);
	}
	ok(open_store(true));
	ck_assert_uint_eq(repair.lost, 1);
	ck_assert_int_gt(violations(), 0);
	heard("volume=1 file=/d/f: 1 of its blocks cannot be read, the first at offset 36864");
	heard("name=s file=/d/f: 1 of its blocks cannot be read, the first at offset 36864");
	ck_assert_int_eq(fs_read(test_fs, file(), buf, BS, 9 * BS), -EIO);
	is_filled(file(), 0, 4 * BS, 1);
	is_filled(file(), 10 * BS, BYTES - 10 * BS, 1);
	/* A write to a part of it neither stops the store nor makes up the rest. */
	put_text(file(), 9 * BS + 5, "part");
	drain();
	ck_assert_int_eq(fs_read(test_fs, file(), buf, BS, 9 * BS), -EIO);
	fill(file(), 9 * BS, BS, 1);
	drain();
	is_filled(file(), 8 * BS, 4 * BS, 1);
	close_store();
	ok(open_store(true));
	/* The same bytes mend the snapshot, too, as long as anything knows which they were. */
	ck_assert_uint_eq(repair.lost, _i == 3);
	if (_i < 3)
		is_filled(find(find(find(find(test_root, FS_SNAPSHOTS_NAME), "s"), "d"), "f"), 0, BYTES, 1);
	else
		ok(delete_volume(find(find(test_root, FS_SNAPSHOTS_NAME), "s").vol, KAGEFS_DELETE_FORCE));
	ck_assert_msg(violations() == 0, "%s", said);
	close_store();
}
END_TEST

static void same_block(struct fs_node a, uint64_t i, struct fs_node b, uint64_t k)
{
	char x[BS], y[BS];

	ck_assert_int_eq(fs_read(test_fs, a, x, BS, i * BS), BS);
	ck_assert_int_eq(fs_read(test_fs, b, y, BS, k * BS), BS);
	ck_assert(!memcmp(x, y, BS));
}

/* A clone names a lost block, and a part of it is written before it is applied: the clone fails there, the store goes on. */
START_TEST(test_repair_lost_block_cloned)
{
	int64_t id = id_at(9);
	struct fs_node g;
	char buf[BS];
	uint64_t lsn;

	flip(id, 500);
	if (_i) {
		char row[100];

		snprintf(row, sizeof(row), "UPDATE block SET pack = 0, off = 0 WHERE id = %lld", (long long)id);
		sql(row);
	}
	ok(open_store(true));
	g = make(test_root, "g", S_IFREG | 0644);
	ck_assert_int_eq(fs_clone_range(test_fs, NULL, file(), 8 * BS, g, 0, 4 * BS, &lsn), 4 * BS);
	put_text(g, BS + 5, "part");
	put_text(g, 2 * BS, "part");
	drain();
	same_block(g, 0, file(), 8);
	ck_assert_int_eq(fs_read(test_fs, g, buf, BS, BS), -EIO);
	ck_assert_int_eq(fs_read(test_fs, g, buf, 4, 2 * BS), 4);
	ck_assert(!memcmp(buf, "part", 4));
	same_block(g, 3, file(), 11);
	ck_assert_int_gt(violations(), 0);
	heard("file=/g: 1 of its blocks cannot be read, the first at offset 4096");
	close_store();
}
END_TEST

/* The same bytes lie elsewhere: as a copy of that block (compaction's), of another, of none known. */
START_TEST(test_repair_moves_to_another_copy)
{
	int64_t id = id_at(9);
	uint8_t data[BS];

	ok(open_store(false));
	ck_assert_int_eq(fs_read(test_fs, file(), data, BS, 9 * BS), BS);
	close_store();
	append(data, BS, _i == 0 ? (uint64_t)id : _i == 1 ? 5000 : 0);
	flip(id, 500);
	ok(open_store(true));
	ck_assert_uint_eq(repair.lost, 0);
	heard("now leads to verified bytes");
	is_whole();
	ck_assert_msg(violations() == 0, "%s", said);
	is_whole();
	close_store();
}
END_TEST

static void pack_path(int64_t pack, char path[100])
{
	snprintf(path, 100, "%s/packs/%08x", dir, (unsigned)pack);
}

/* How many blocks of the file end behind this place of the only pack. */
static unsigned head_blocks_behind(int64_t off)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		n += block_column("off + stored", id_at(i)) > off;
	return n;
}

/* A pack ends in the middle of a block, in its header, or is gone: what it held is lost and nothing else, the store works, and
 * deleting what names it leaves it clean. */
START_TEST(test_repair_pack_cut_off)
{
	char buf[BS], path[100], text[200];
	int64_t id = id_at(30), pack = block_column("pack", id), from = _i == 0 ? block_column("off", id) + 100 : _i == 1 ? 50 : 0, lost;
	unsigned failed = 0;

	pack_path(pack, path);
	snprintf(text, sizeof(text), "SELECT count(*) FROM block WHERE pack = %lld AND off + stored > %lld", (long long)pack, (long long)from);
	lost = sql(text);
	ok(_i < 2 ? truncate(path, from) : unlink(path));
	ok(open_store(true));
	ck_assert_uint_eq(repair.lost, (uint64_t)lost);
	ck_assert_int_gt(violations(), 0);
	heard("volume=1 file=/d/f: ");
	heard("name=s file=/d/f: ");
	for (unsigned i = 0; i < BLOCKS; i++) {
		ssize_t n = fs_read(test_fs, file(), buf, BS, i * BS);

		ck_assert(n == BS || n == -EIO);
		failed += n == -EIO;
	}
	ck_assert_uint_eq(failed, head_blocks_behind(from));
	close_store();
	ok(open_store(true)); /* known by now */
	ck_assert_msg(repair.mended == 0, "%s", said);
	ck_assert_uint_eq(repair.lost, (uint64_t)lost);
	fill(file(), 0, BYTES, 150);
	resize(find(find(test_root, "d"), "tail"), 0); /* nothing is left of its block, so it is not needed */
	drain();
	is_filled(file(), 0, BYTES, 150);
	ok(delete_volume(find(find(test_root, FS_SNAPSHOTS_NAME), "s").vol, KAGEFS_DELETE_FORCE));
	drain();
	said[0] = 0;
	ck_assert_msg(violations() == 0, "%s", said);
	close_store();
}
END_TEST

/* ---- the log ---- */

/* The last byte that is not zero in the segment that was begun last, or -1. */
static off_t last_byte(char path[400])
{
	char log[100], best[400] = "";
	uint64_t number = 0;
	off_t at = -1;
	DIR *d;

	snprintf(log, sizeof(log), "%s/log", dir);
	d = opendir(log);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d));) {
		uint8_t head[LOG_HEADER_BYTES] = { 0 };
		int fd;

		snprintf(path, 400, "%s/%s", log, e->d_name);
		fd = open(path, O_RDONLY);
		if (e->d_name[0] != '.' && pread(fd, head, sizeof(head), 0) == sizeof(head) && !memcmp(head, LOG_MAGIC, 8) &&
		    get_le64(head + 40) >= number) {
			number = get_le64(head + 40);
			strcpy(best, path);
		}
		close(fd);
	}
	closedir(d);
	if (best[0]) {
		static uint8_t all[1 << 20];
		int fd = open(best, O_RDONLY);
		ssize_t n = pread(fd, all, sizeof(all), 0);

		ck_assert_int_eq(n, sizeof(all));
		while (n && !all[n - 1])
			n--;
		at = n - 1;
		close(fd);
	}
	strcpy(path, best);
	return at;
}

/* What the last flush before a crash wrote is torn: it ends the log, silently, as a power cut would have it. */
START_TEST(test_repair_torn_log)
{
	char path[400];
	uint8_t byte;
	off_t at;
	int fd;

	ok(open_store(false));
	put_text(make(test_root, "first", S_IFREG | 0644), 0, "first");
	ok(fs_sync(test_fs));
	put_text(make(test_root, "second", S_IFREG | 0644), 0, "second");
	ok(fs_sync(test_fs));
	fs_abandon(test_fs);
	test_fs = NULL;
	io_free(test_io);
	test_io = NULL;
	at = last_byte(path);
	ck_assert_int_gt(at, LOG_PAGE);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	ok(open_store(true));
	ck_assert_msg(repair.mended == 0, "%s", said);
	is_text(find(test_root, "first"), "first");
	is_text(find(test_root, "second"), "");
	is_whole();
	ck_assert_msg(violations() == 0, "%s", said);
	close_store();
}
END_TEST

/* ---- power cuts, in the simulator ---- */

static void damage_in_sim(void)
{
	struct meta_block b = { .len = BS };
	struct meta *m;

	ok(fs_close(test_fs));
	sim_unlock(test_io);
	ok(meta_open(test_io, 8 << 20, &m));
	ok(meta_begin(m));
	for (b.id = 1; b.id < 30; b.id++)
		ok(meta_repair_block(m, &b, 3)); /* led to nowhere, and counted wrong */
	ok(meta_commit(m));
	meta_close(m);
}

START_TEST(test_repair_power_cut)
{
	bool done = false;

	make_files();
	for (uint64_t n = 1; !done; n++) {
		damage_in_sim();
		sim_cut_at(test_io, n);
		done = !open_store(true) && !sim_is_off(test_io);
		if (!done) {
			if (test_fs)
				fs_abandon(test_fs);
			test_fs = NULL;
			sim_power_on(test_io);
			ok(open_store(true));
		}
		sim_cut_at(test_io, 0);
		ck_assert_uint_eq(repair.lost, 0);
		is_whole();
		ck_assert_msg(violations() == 0, "cut %llu: %s", (unsigned long long)n, said);
		ck_assert(!done || n > 3); /* the copy and the transaction were cut */
	}
	test_open.repair = NULL;
}
END_TEST

Suite *make_repair_suite(void)
{
	Suite *suite = suite_create("repair");
	TCase *tc = tcase_create("posix"), *cut = tcase_create("power");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup_posix, teardown_posix);
	tcase_add_test(tc, test_repair_of_a_sound_store_changes_nothing);
	tcase_add_loop_test(tc, test_repair_rows_deleted, 0, 2);
	tcase_add_loop_test(tc, test_repair_damaged_columns, 0, 30);
	tcase_add_test(tc, test_repair_rows_of_nobody);
	tcase_add_loop_test(tc, test_repair_freed_place_in_use, 0, 5);
	tcase_add_test(tc, test_repair_gives_back_what_nothing_names);
	tcase_add_loop_test(tc, test_repair_lost_block, 0, 4);
	tcase_add_loop_test(tc, test_repair_lost_block_cloned, 0, 2);
	tcase_add_loop_test(tc, test_repair_moves_to_another_copy, 0, 3);
	tcase_add_loop_test(tc, test_repair_pack_cut_off, 0, 3);
	tcase_add_test(tc, test_repair_torn_log);
	tcase_add_test(tc, test_repair_without_a_root);
	suite_add_tcase(suite, tc);
	tcase_set_timeout(cut, 120);
	tcase_add_checked_fixture(cut, setup, teardown);
	tcase_add_test(cut, test_repair_power_cut);
	suite_add_tcase(suite, cut);
	return suite;
}
