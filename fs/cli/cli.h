/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kagefs command.  One table of verbs (main.c) gives parsing and help.
 *
 * Messages: "kagefs: <verb>: <object>: <reason>; <what to do>", one line on stderr, no bare error names.
 * Exit codes: enum cli_exit; mount and umount have those of mount(8), fsck.kagefs those of fsck(8).
 *
 * A mounted file system is steered through fs/kagefs_ioctl.h only; a store (mkfs, check) is opened through fs/volume.
 */
#ifndef FS_CLI_CLI_H
#define FS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/base/cleanup.h"
#include "fs/kagefs_ioctl.h"

enum cli_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PARTIAL = 3, /* several objects, not all done */
	EXIT_NO_STORE = 10,
	EXIT_LOCKED = 11,
};
enum cli_mount_exit { MOUNT_OK = 0, MOUNT_USAGE = 1, MOUNT_SYSTEM = 2, MOUNT_FAILED = 32 };
enum cli_fsck_exit { FSCK_OK = 0, FSCK_CORRECTED = 1, FSCK_UNCORRECTED = 4, FSCK_OPERATION = 8, FSCK_USAGE = 16 };

struct verb {
	const char *name;  /* "volume create" */
	const char *args;  /* for the usage line */
	const char *about; /* one line */
	const char *options; /* lines for help; NULL: none */
	int (*run)(const struct verb *v, int argc, char **argv); /* argv[0] is the verb; returns an exit code */
	bool hidden; /* another spelling; not in the list */
};
/* The verb or NULL; *used: how many of argv it took. */
const struct verb *verb_find(int argc, char **argv, int *used);
void verb_help(FILE *f, const struct verb *v);
void verb_list(FILE *f);

/* "kagefs: verb: object: reason; todo"; object and todo may be NULL.  Returns code. */
int cli_fail(int code, const char *verb, const char *object, const char *reason, const char *todo);
/* The same for -errno, with the words of a table; hint (may be NULL) replaces the table's advice. */
int cli_fail_errno(int code, const char *verb, const char *object, int err, const char *hint);
const char *cli_reason(int err);
/* After getopt_long answered '?' or the count of arguments is wrong. */
int cli_usage(const struct verb *v, int code);

/* ---- output ---------------------------------------------------------------------------------------------------------- */

/* JSON on stdout; the caller writes the punctuation.  Bytes that are not UTF-8 become lone surrogates, as Python's
 * surrogateescape has them, so that any file name comes back. */
void out_json_string(const char *s);
void out_json_uuid(const char *key, const struct kagefs_uuid *u);
/* Names for people: control characters as \ooo. */
void out_name(const char *s);
/* "2026-11-22T10:00:00Z" */
void out_time(uint64_t ns, char buf[32]);
void out_uuid(const struct kagefs_uuid *u, char buf[37]);
/* "1.5 GiB" */
void out_bytes(uint64_t n, char buf[32]);
/* {"schema_version":1, */
#define OUT_JSON_HEAD "{\"schema_version\":1,"
/* One volume as JSON object. */
void out_volume_json(const struct kagefs_volume_info *v);
const char *out_access(const struct kagefs_volume_info *v); /* "read-write", "read-only", "sealed", "recovery" */
/* Flush stdout; EXIT_FAILED when it could not be written. */
int out_end(const char *verb, int code);

/* ---- mounted file systems ---------------------------------------------------------------------------------------------- */

bool uuid_is_zero(const struct kagefs_uuid *u);
bool uuid_equal(const struct kagefs_uuid *a, const struct kagefs_uuid *b);

/* Open path and ask where it is.  Prints what is wrong and returns an exit code, or 0; *fd is the caller's. */
int target_open(const char *verb, const char *path, int *fd, struct kagefs_ioc_where *w) MUST_USE;
/* The same for the root directory of the volume that holds path (a path that names something inside is taken to its volume
 * only with any = true). */
int target_volume(const char *verb, const char *path, bool any, int *fd, struct kagefs_volume_info *v) MUST_USE;
/* The snapshot `name` in the .snapshots of volume `container`; -ENOENT. */
int target_snapshot(int fd, uint64_t container, const char *name, struct kagefs_volume_info *v) MUST_USE;
/* Call cb for each volume (container 0) or each snapshot of container; a non-zero answer stops and is returned. */
int target_each_volume(int fd, uint64_t container, int (*cb)(void *arg, const struct kagefs_volume_info *v), void *arg) MUST_USE;
/* ioctl with -errno. */
int target_ioctl(int fd, unsigned long nr, void *arg) MUST_USE;

/* Delete one snapshot, and its set when it was the last of it.  Prints what is wrong; an exit code. */
int snapshot_delete(const char *verb, int fd, const struct kagefs_volume_info *v, bool force);

/* ---- mounts (mountinfo) --------------------------------------------------------------------------------------------- */

struct mount_entry {
	char *source, *dir, *type; /* owned */
	unsigned major, minor;
};
void mount_entry_release(struct mount_entry *e);
/* The topmost mount on dir / any mount of the store.  dir and store as the kernel spells them.  -ENOENT. */
int mount_find_dir(const char *dir, struct mount_entry *e) MUST_USE;
int mount_find_store(const char *store, struct mount_entry *e) MUST_USE;
/* A process whose mount namespace has this very mount (source, major, minor), of those we may look into; 0: none is found. */
pid_t mount_find_elsewhere(const struct mount_entry *e) MUST_USE;
/* "/a/b" without touching the last component, which may be a dead mount.  NULL: no memory or no such parent (errno). */
char *mount_abspath(const char *path);

/* ---- verbs ----------------------------------------------------------------------------------------------------------- */

int verb_mkfs(const struct verb *v, int argc, char **argv);
int verb_mount(const struct verb *v, int argc, char **argv);
int verb_mount_helper(int argc, char **argv); /* mount.kagefs, and "kagefs STORE DIR -o ..." */
int verb_umount(const struct verb *v, int argc, char **argv);
int verb_sync(const struct verb *v, int argc, char **argv);
int verb_check(const struct verb *v, int argc, char **argv);
int verb_fsck_helper(int argc, char **argv);
int verb_volume_create(const struct verb *v, int argc, char **argv);
int verb_volume_delete(const struct verb *v, int argc, char **argv);
int verb_volume_list(const struct verb *v, int argc, char **argv);
int verb_volume_show(const struct verb *v, int argc, char **argv);
int verb_volume_set(const struct verb *v, int argc, char **argv);
int verb_snapshot_create(const struct verb *v, int argc, char **argv);
int verb_snapshot_list(const struct verb *v, int argc, char **argv);
int verb_snapshot_show(const struct verb *v, int argc, char **argv);
int verb_snapshot_delete(const struct verb *v, int argc, char **argv);
int verb_snapshot_set(const struct verb *v, int argc, char **argv);
int verb_rollback(const struct verb *v, int argc, char **argv);
int verb_df(const struct verb *v, int argc, char **argv);
int verb_stats(const struct verb *v, int argc, char **argv);
int verb_version(const struct verb *v, int argc, char **argv);
int verb_help_verb(const struct verb *v, int argc, char **argv);

#endif
