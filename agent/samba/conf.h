/* SPDX-License-Identifier: GPL-3.0-or-later */
/* smb.conf as testparm and `net conf list` print it and as we write it: sections of "key = value" lines.
 * Pure, but for conf_load. */
#ifndef AGENT_SAMBA_CONF_H
#define AGENT_SAMBA_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/base/cleanup.h"

#define CONF_SECTIONS_MAX 65536u

struct conf_param {
	char *key, *value; /* owned */
};

struct conf_section {
	char *name; /* owned */
	size_t nparams;
	struct conf_param *params; /* owned */
};

struct conf {
	size_t nsections;
	struct conf_section *sections; /* owned */
};

/* Comments, blank lines and lines without "=" are skipped; parameters before the first section too.  -ENOMEM, -EFBIG. */
int conf_parse(const char *text, struct conf *out) MUST_USE;
/* The same with a file's contents; beside those the errors of open(2). */
int conf_load(const char *path, struct conf *out) MUST_USE;
void conf_release(struct conf *c);
/* Section names are compared as Samba does, without regard to case.  NULL: none. */
struct conf_section *conf_find(const struct conf *c, const char *name);
const char *conf_get(const struct conf_section *s, const char *key);
/* The pointer is good until the next change of c. */
int conf_add(struct conf *c, const char *name, struct conf_section **out) MUST_USE;
/* Replaces or appends. */
int conf_set(struct conf_section *s, const char *key, const char *value) MUST_USE;
void conf_remove(struct conf *c, struct conf_section *s);
/* -EINVAL: a name, key or value that smb.conf cannot carry (see conf_value_ok).  *out is owned by the caller. */
int conf_format(const struct conf *c, char **out) MUST_USE;
/* The same for `net registry import`: a file of keys and values, in which each section of c replaces the one of its name in
 * `there` (which may be without any). */
int conf_format_registry(const struct conf *c, const struct conf *there, char **out) MUST_USE;
/* No line breaks, no white space at the ends, no backslash (continuation) at the end. */
bool conf_value_ok(const char *value);

#endif
