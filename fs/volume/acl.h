/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * POSIX ACLs as the kernel passes them: the values of system.posix_acl_access and system.posix_acl_default.  Pure functions
 * on bytes; who stores them, and when, is not known here.  The rules are those of Linux's fs/posix_acl.c, held by a test
 * that was made from what ext4 does.
 *
 * A value (linux/posix_acl_xattr.h, little-endian):
 *    0  4  version (2)
 *    4  8  per entry: tag (2), permission bits (2), uid or gid (4; only for ACL_USER and ACL_GROUP)
 * Entries stand in the order owner, users, group, groups, mask, others; a mask there must be if there are users or groups.
 * A value without entries, or without bytes, means "no ACL".
 *
 * A mode argument is st_mode or any part of it; only the nine permission bits are read and changed.
 */
#ifndef FS_VOLUME_ACL_H
#define FS_VOLUME_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

/* The number of entries (0: no ACL, so setting it removes).  -EINVAL: the kernel would refuse it; -EOPNOTSUPP: another
 * version.  All others here want a value that passed, with entries. */
int acl_validate(const void *value, size_t size) MUST_USE;

/* What setting this access ACL makes of the mode: owner, others, and the mask (or without one the group).  True: the mode
 * says all of it, so no ACL is stored and an old one goes.  Clearing S_ISGID for a caller outside of the group is the
 * caller's job (FUSE_SETXATTR_ACL_KILL_SGID). */
bool acl_to_mode(const void *value, size_t size, uint32_t *mode) MUST_USE;

/* Bring an access ACL in step with a new mode, in place: owner, others, and the mask (or without one the group). */
void acl_chmod(void *value, size_t size, uint32_t mode);

/* A new file, directory or node (not a symbolic link: those have neither ACL nor umask) in a directory with a default ACL.
 * *mode is what the maker asked for, umask NOT applied; it becomes the file's.  access (size bytes) gets the new file's
 * access ACL; true: the mode says all of it, so none is stored.  A new directory also gets the default ACL itself, unchanged.
 * In a directory without a default ACL the mode is mode & ~umask and there is no ACL: acl_create_plain. */
bool acl_create(const void *dir_default, size_t size, uint32_t *mode, void *access) MUST_USE;
static inline uint32_t acl_create_plain(uint32_t mode, uint32_t umask)
{
	return mode & ~(umask & 0777u);
}

#endif
