/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/vss/tmpdir.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[64];

const char *tmpdir_make(void)
{
	char state[80];

	strcpy(path, "/tmp/unit-vss-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(state, sizeof(state), "%s/state", path);
	ck_assert_int_eq(setenv("KAGEFS_VSS_STATE_DIR", state, 1), 0);
	return path;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

void tmpdir_remove(void)
{
	ck_assert_int_eq(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
