/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A private folder per test, removed with all in it. */
#ifndef TESTS_VSS_TMPDIR_H
#define TESTS_VSS_TMPDIR_H

/* Make the folder and point KAGEFS_VSS_STATE_DIR at "state" in it.  Its path is static. */
const char *tmpdir_make(void);
void tmpdir_remove(void);

#endif
