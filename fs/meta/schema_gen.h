/* SPDX-License-Identifier: GPL-3.0-or-later */
/* schema/fs_*.sql as bytes, in order; made by scripts/embed-sql. */
#ifndef FS_META_SCHEMA_GEN_H
#define FS_META_SCHEMA_GEN_H

struct schema_step {
	int number; /* 1, 2, ... without gaps */
	const char *name;
	const char *sql; /* NUL-terminated */
};
extern const struct schema_step schema_steps[];
extern const unsigned schema_nsteps;

#endif
