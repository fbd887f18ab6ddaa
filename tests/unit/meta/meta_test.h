/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the test files of fs/meta share: a store on the simulator or on a real directory, and short forms of common steps. */
#ifndef TESTS_UNIT_META_META_TEST_H
#define TESTS_UNIT_META_META_TEST_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/io.h"
#include "fs/meta/internal.h"
#include "fs/meta/meta.h"
#include "tests/sim/io_sim.h"

Suite *make_db_suite(void);
Suite *make_rules_suite(void);
Suite *make_reader_suite(void);
Suite *make_migrate_suite(void);
Suite *make_check_suite(void);
Suite *make_model_suite(void);

#define ck_zero(expr)                                                                          \
	do {                                                                                   \
		long long ck_r_ = (expr);                                                      \
		ck_assert_msg(ck_r_ == 0, "%s: %lld (%s)", #expr, ck_r_, strerror((int)-ck_r_)); \
	} while (0)

/* A store: on the simulator (posix NULL) or below a temporary directory. */
struct store {
	struct io *io;
	struct meta *m;
	char dir[64];
	bool posix;
};

void store_open(struct store *s, bool posix);
void store_reopen(struct store *s);
void store_close(struct store *s);
/* meta_check must find nothing. */
void store_check(struct store *s, bool idle);
int count_check(struct meta *m, bool idle, bool print);
/* Run reclaim to its end, each step in its own transaction; freed places are dropped too. */
void store_finish(struct store *s, unsigned budget);

void tx(struct meta *m);
void end(struct meta *m);
uint64_t new_volume(struct meta *m);			     /* with a root inode; own transaction */
uint64_t snapshot(struct meta *m, uint64_t of, uint32_t flags); /* own transaction */
uint64_t copy_of(struct meta *m, uint64_t of, uint32_t flags);	/* inside one; no epoch step */
void delete_volume(struct meta *m, uint64_t id);
uint64_t add_block(struct meta *m, unsigned content); /* finds or adds; inside a transaction */
void attr_of(struct meta_attr *a, uint64_t size);
void put_name(struct meta *m, uint64_t vol, uint64_t dir, const char *name, uint64_t ino);
/* 0: absent */
uint64_t get_name(struct meta *m, uint64_t vol, uint64_t dir, const char *name);
void put_blocks(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, const uint64_t *ids, unsigned n);
uint64_t get_slot(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, unsigned slot);
int64_t refs_of(struct meta *m, uint64_t block);
/* A number from any one-value query on the writer's connection. */
int64_t number(struct meta *m, const char *sql);

#endif
