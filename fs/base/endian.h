/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Little-endian integers at any address.  Disk formats go through these; a buffer is never cast to a struct. */
#ifndef FS_BASE_ENDIAN_H
#define FS_BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void put_u8(void *p, uint8_t v) { *(uint8_t *)p = v; }
static inline void put_le16(void *p, uint16_t v) { v = htole16(v); memcpy(p, &v, 2); }
static inline void put_le32(void *p, uint32_t v) { v = htole32(v); memcpy(p, &v, 4); }
static inline void put_le64(void *p, uint64_t v) { v = htole64(v); memcpy(p, &v, 8); }
static inline uint8_t get_u8(const void *p) { return *(const uint8_t *)p; }
static inline uint16_t get_le16(const void *p) { uint16_t v; memcpy(&v, p, 2); return le16toh(v); }
static inline uint32_t get_le32(const void *p) { uint32_t v; memcpy(&v, p, 4); return le32toh(v); }
static inline uint64_t get_le64(const void *p) { uint64_t v; memcpy(&v, p, 8); return le64toh(v); }

#endif
