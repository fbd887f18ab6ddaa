/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One engine over a simulated disk, background by hand, for the unit tests of fs/volume.  setup and teardown are checked
 * fixtures; teardown expects check to be clean after a drain.  The helpers fail the test when the engine does.
 */
#ifndef TESTS_UNIT_VOLUME_FIXTURE_H
#define TESTS_UNIT_VOLUME_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/io.h"
#include "fs/volume/volume.h"
#include "tests/sim/io_sim.h"

extern struct io *test_io;
extern struct fs *test_fs;
extern struct fs_node test_root;
extern struct fs_open_options test_open;
#define BS 4096u

void setup(void);
void teardown(void);
void reopen(void);	/* orderly */
void power_cut(void);	/* now; then mount */
void drain(void);
void check_clean(void);
/* Each look at the monotonic clock moves it on by so much; 0: it runs as ever. */
void test_clock_step(int64_t ns);

#define ok(x) ck_assert_int_eq((x), 0)
#define fails(x, e) ck_assert_int_eq((x), -(e))

struct fs_node make(struct fs_node dir, const char *name, uint32_t mode);
struct fs_node find(struct fs_node dir, const char *name);
int look(struct fs_node dir, const char *name); /* 0 or -errno */
struct fs_attr attr(struct fs_node n);
void put(struct fs_node n, uint64_t off, const void *buf, size_t len);
void put_text(struct fs_node n, uint64_t off, const char *text);
void fill(struct fs_node n, uint64_t off, size_t len, uint8_t c); /* c, c + 1, ... per block, so that no two are equal */
/* The whole file is exactly this. */
void is_text(struct fs_node n, const char *text);
void is_zero(struct fs_node n, uint64_t off, size_t len);
void is_filled(struct fs_node n, uint64_t off, size_t len, uint8_t c);
void del(struct fs_node dir, const char *name);
void resize(struct fs_node n, uint64_t size);

/* A set of n volumes; returns what the commit said. */
extern struct kagefs_ioc_set_commit test_commit;
int commit(uint32_t flags, const char *name, unsigned n, const uint64_t *vols);
uint64_t snapshot(uint64_t vol, const char *name, uint32_t flags); /* id of the copy */
struct fs_node root_of(uint64_t vol);
uint64_t create_volume(struct fs_node dir, const char *name);
int delete_volume(uint64_t id, uint32_t flags);
int set_delete(struct kagefs_uuid uuid, uint32_t flags);
int set_seal(struct kagefs_uuid uuid);
uint64_t count_blocks(void);

#endif
