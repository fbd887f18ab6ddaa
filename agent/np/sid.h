/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Security identifiers ([MS-DTYP] 2.4.2): parse, print, compare. */
#ifndef AGENT_NP_SID_H
#define AGENT_NP_SID_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

#define SID_SUBAUTHS_MAX 15
#define SID_TEXT_SIZE 192

struct sid {
	uint64_t authority; /* 48 bits */
	uint8_t revision;   /* 1 */
	uint8_t nsub;
	uint32_t sub[SID_SUBAUTHS_MAX];
};

bool sid_equal(const struct sid *a, const struct sid *b);
/* S-1-5-32-544 ...; -EINVAL for anything else. */
int sid_parse(const char *text, struct sid *out) MUST_USE;
void sid_format(const struct sid *s, char out[SID_TEXT_SIZE]);

#endif
