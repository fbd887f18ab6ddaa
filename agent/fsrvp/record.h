/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A set as the bytes that the file system keeps with it (docs/fsrvp-record.md describes them).  Pure.
 */
#ifndef AGENT_FSRVP_RECORD_H
#define AGENT_FSRVP_RECORD_H

#include "agent/fsrvp/set.h"

#define RECORD_BYTES_MAX 8192 /* KAGEFS_SET_RECORD_MAX */
#define RECORD_VERSION 1

/* status: the one to write, i.e. the state that the set will be in once the record is stored.
 * *len: bytes used of out.  -EMSGSIZE: the set has too many or too long names. */
int record_encode(const struct shadow_set *s, enum set_status status, uint8_t out[RECORD_BYTES_MAX], size_t *len) MUST_USE;
/* A new set without snapshot names, store and id (the caller has them).  -EPROTO: not a record, or damaged;
 * -EPROTONOSUPPORT: of a newer version; -ENOMEM. */
int record_decode(const uint8_t *data, size_t len, struct shadow_set **out) MUST_USE;

#endif
