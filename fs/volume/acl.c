/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX ACL values: checking, and how they and the mode move each other. */
#include "fs/volume/acl.h"

#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"

enum { ACL_VERSION = 2, HEADER_BYTES = 4, ENTRY_BYTES = 8 };
enum tag { USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20 };
#define ID_NONE UINT32_MAX
/* Shifts of the three classes in a mode. */
enum { OWNER_BITS = 6, GROUP_BITS = 3, OTHER_BITS = 0 };

static size_t entries(size_t size)
{
	KAGEFS_ASSERT(size >= HEADER_BYTES + ENTRY_BYTES && (size - HEADER_BYTES) % ENTRY_BYTES == 0);
	return (size - HEADER_BYTES) / ENTRY_BYTES;
}
static uint8_t *entry(void *value, size_t i)
{
	return (uint8_t *)value + HEADER_BYTES + i * ENTRY_BYTES;
}
static unsigned entry_tag(const uint8_t *e)
{
	return get_le16(e);
}
static uint32_t entry_perm(const uint8_t *e)
{
	return get_le16(e + 2);
}

int acl_validate(const void *value, size_t size)
{
	const uint8_t *v = value;
	/* What may come: the tags of this step, in any number for users and groups. */
	enum tag step = USER_OBJ;
	bool needs_mask = false, complete = false;
	if (!size)
		return 0;
	if (size < HEADER_BYTES)
		return -EINVAL;
	if (get_le32(v) != ACL_VERSION)
		return -EOPNOTSUPP;
	if ((size - HEADER_BYTES) % ENTRY_BYTES || size > INT32_MAX)
		return -EINVAL;
	size_t n = (size - HEADER_BYTES) / ENTRY_BYTES;
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *e = v + HEADER_BYTES + i * ENTRY_BYTES;
		if (entry_perm(e) > 7 || complete)
			return -EINVAL;
		switch (entry_tag(e)) {
		case USER_OBJ:
			if (step != USER_OBJ)
				return -EINVAL;
			step = USER;
			break;
		case USER:
		case GROUP:
			if (entry_tag(e) != step || get_le32(e + 4) == ID_NONE)
				return -EINVAL;
			needs_mask = true;
			break;
		case GROUP_OBJ:
			if (step != USER)
				return -EINVAL;
			step = GROUP;
			break;
		case MASK:
			if (step != GROUP)
				return -EINVAL;
			step = OTHER;
			break;
		case OTHER:
			if (step != OTHER && (step != GROUP || needs_mask))
				return -EINVAL;
			complete = true;
			break;
		default:
			return -EINVAL;
		}
	}
	return complete ? (int)n : -EINVAL;
}

static uint32_t class_get(uint32_t mode, int shift)
{
	return mode >> shift & 7;
}
static uint32_t class_set(uint32_t mode, int shift, uint32_t perm)
{
	return (mode & ~(7u << shift)) | (perm & 7) << shift;
}

/* The entry that the group bits of the mode stand for.  A valid ACL has one. */
static uint8_t *group_class(void *value, size_t size)
{
	uint8_t *found = NULL;
	for (size_t i = 0; i < entries(size); i++) {
		uint8_t *e = entry(value, i);
		if (entry_tag(e) == MASK || (entry_tag(e) == GROUP_OBJ && !found))
			found = e;
	}
	KAGEFS_ASSERT(found);
	return found;
}

/* No entry that a mode has no bits for. */
static bool minimal(const void *value, size_t size)
{
	for (size_t i = 0; i < entries(size); i++) {
		unsigned tag = entry_tag(entry((void *)value, i));
		if (tag != USER_OBJ && tag != GROUP_OBJ && tag != OTHER)
			return false;
	}
	return true;
}

/* Which bits of the mode an entry and the mode share; -1: none. */
static int class_of(const uint8_t *e, const uint8_t *group)
{
	return e == group ? GROUP_BITS : entry_tag(e) == USER_OBJ ? OWNER_BITS : entry_tag(e) == OTHER ? OTHER_BITS : -1;
}

bool acl_to_mode(const void *value, size_t size, uint32_t *mode)
{
	const uint8_t *group = group_class((void *)value, size);
	for (size_t i = 0; i < entries(size); i++) {
		const uint8_t *e = entry((void *)value, i);
		int shift = class_of(e, group);
		if (shift >= 0)
			*mode = class_set(*mode, shift, entry_perm(e));
	}
	return minimal(value, size);
}

void acl_chmod(void *value, size_t size, uint32_t mode)
{
	const uint8_t *group = group_class(value, size);
	for (size_t i = 0; i < entries(size); i++) {
		uint8_t *e = entry(value, i);
		int shift = class_of(e, group);
		if (shift >= 0)
			put_le16(e + 2, (uint16_t)class_get(mode, shift));
	}
}

bool acl_create(const void *dir_default, size_t size, uint32_t *mode, void *access)
{
	memcpy(access, dir_default, size);
	const uint8_t *group = group_class(access, size);
	for (size_t i = 0; i < entries(size); i++) {
		uint8_t *e = entry(access, i);
		int shift = class_of(e, group);
		if (shift < 0)
			continue;
		/* What both the maker and the default ACL grant. */
		uint32_t perm = entry_perm(e) & class_get(*mode, shift);
		put_le16(e + 2, (uint16_t)perm);
		*mode = class_set(*mode, shift, perm);
	}
	return minimal(access, size);
}
