/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GUIDs, kept in the order they are printed (RFC 4122).  The mixed-endian wire form exists only in agent/rpc/ndr.c. */
#ifndef AGENT_RPC_GUID_H
#define AGENT_RPC_GUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fs/base/cleanup.h"

#define GUID_TEXT_SIZE 37 /* with NUL */

struct guid {
	uint8_t b[16];
};

static inline bool guid_equal(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
bool guid_is_zero(const struct guid *g);
/* A random (version 4) GUID.  -EIO when the kernel gives no random bytes. */
int guid_generate(struct guid *out) MUST_USE;
/* Lower case, no braces. */
void guid_format(const struct guid *g, char out[GUID_TEXT_SIZE]);
/* The same form back, either case; nothing may follow.  -EINVAL. */
int guid_parse(const char *text, struct guid *out) MUST_USE;

#endif
