/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-16LE on the wire, UTF-8 inside.  Nothing is replaced or dropped: what is not valid is refused. */
#ifndef AGENT_RPC_UTF16_H
#define AGENT_RPC_UTF16_H

#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

/* n UTF-16LE units (no NUL among them) as a new NUL-terminated UTF-8 string, owned by the caller.
 * -EILSEQ unpaired surrogate or NUL; -ENOMEM. */
int utf16_to_utf8(const uint8_t *units, size_t n, char **out) MUST_USE;
/* Units of the UTF-16 form without a NUL, or -EILSEQ. */
int utf8_utf16_length(const char *s, size_t *units) MUST_USE;
/* Writes the units counted by utf8_utf16_length; s must have passed it. */
void utf8_to_utf16(const char *s, uint8_t *out);
/* Share names are equal without regard to case; simple case folding of the C.UTF-8 locale. */
int utf8_casecmp(const char *a, const char *b);

#endif
