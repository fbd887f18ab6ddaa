/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a log record says: the redo contract, version 1.  One record is one atomic change: a sequence of items, each an
 * absolute statement ("this inode's attributes are now ..."), so that applying a record needs no look-up and applying it
 * again changes nothing (I11).  Encoding only; fs/volume/change.c gives the items their effect in memory, apply.c theirs in
 * the database.
 *
 * Log record type RECORD_CHANGE; payload, all integers little-endian:
 *
 *   item header, 8 bytes:  0 u8 kind (enum item_kind)   1 u8 flags (ITEM_DEL)   2 u16 zero   4 u32 body length
 *   body, by kind ("str" = u16 length, bytes):
 *     ATTR      u64 vol, u64 ino, then unless ITEM_DEL: u32 mode uid gid nlink, u64 size rdev, i64 atime mtime ctime btime (ns)
 *     ENTRY     u64 vol, u64 dir, str name, then unless ITEM_DEL: u64 ino, u8 type
 *     XATTR     u64 vol, u64 ino, str name, then unless ITEM_DEL: u32 length, value
 *     ORPHAN    u64 vol, u64 ino                       the inode has no name (ITEM_DEL: has one again)
 *     WRITE     u64 vol, u64 ino, u64 off, u32 len     always last; the len bytes follow the item in the record
 *     ZERO      u64 vol, u64 ino, u64 off, u64 len     the range reads as zeros (punch, truncate)
 *     BLOCKS    u64 vol, u64 ino, u64 block, u32 n, n x u64 block id    whole blocks from file block `block` on (clone)
 *     VOL_NEW   volume                                 a first volume, empty
 *     VOL_COPY  u64 of, volume                         copy of `of` as it is at this position; parent, pin not stored
 *     EPOCH     -                                      the epoch grows by one; after all VOL_COPY of one instant
 *     VOL_SET   volume                                 replace flags, name, place and set of volume.id
 *     VOL_DEL   u64 vol
 *     SET_PUT   set                                    insert or replace
 *     SET_DEL   u64 id
 *   volume: u64 id, u32 slot generation, u64 root, u32 flags, 16 bytes uuid, u64 origin alias place_vol place_dir set_id
 *           created_ns, str name
 *   set:    u64 id, 16 bytes uuid, u32 state flags, str owner, u64 created committed gate commit (ns), u32 writer_uid,
 *           u64 record_version, u32 n, n x { u64 volume, u64 snapshot, 16 bytes uuid }, u32 record length, record
 *
 * An unknown kind ends the mount with -EPROTONOSUPPORT: kinds are added together with a new store format version.
 */
#ifndef FS_VOLUME_RECORD_H
#define FS_VOLUME_RECORD_H

#include "fs/meta/meta.h"

#define RECORD_CHANGE 1

enum item_kind {
	ITEM_ATTR = 1,
	ITEM_ENTRY = 2,
	ITEM_XATTR = 3,
	ITEM_ORPHAN = 4,
	ITEM_WRITE = 5,
	ITEM_ZERO = 6,
	ITEM_BLOCKS = 7,
	ITEM_VOL_NEW = 8,
	ITEM_VOL_COPY = 9,
	ITEM_EPOCH = 10,
	ITEM_VOL_SET = 11,
	ITEM_VOL_DEL = 12,
	ITEM_SET_PUT = 13,
	ITEM_SET_DEL = 14,
};
enum item_flags { ITEM_DEL = 1 << 0 };

/* One decoded item; pointers are borrowed from the buffer it was decoded from. */
struct item {
	uint8_t kind;
	bool del;
	uint64_t vol; /* volume id; SET_DEL: set id; VOL_COPY: volume copied */
	uint64_t obj; /* inode, or directory for ENTRY */
	const uint8_t *name;
	uint16_t name_len;
	union {
		struct meta_attr attr;
		struct meta_entry entry;
		struct {
			const uint8_t *value;
			uint32_t value_len;
		};
		struct {
			uint64_t off, len;    /* WRITE, ZERO: bytes; BLOCKS: file block, count */
			const uint8_t *ids;   /* BLOCKS: n x u64 LE */
		};
		struct meta_volume volume;
	};
};

/* A buffer that items are written to. */
struct items {
	uint8_t *buf; /* owned unless it is `space` */
	size_t len, cap;
	int err; /* sticky -ENOMEM */
	uint8_t space[512];
};
void items_init(struct items *it);
void items_release(struct items *it);

void items_attr(struct items *it, uint64_t vol, uint64_t ino, const struct meta_attr *a); /* NULL: delete */
void items_entry(struct items *it, uint64_t vol, uint64_t dir, const void *name, size_t len, const struct meta_entry *e);
void items_xattr(struct items *it, uint64_t vol, uint64_t ino, const void *name, size_t len, const void *value, size_t value_len);
void items_orphan(struct items *it, uint64_t vol, uint64_t ino, bool named_again);
void items_write(struct items *it, uint64_t vol, uint64_t ino, uint64_t off, uint32_t len); /* last */
void items_zero(struct items *it, uint64_t vol, uint64_t ino, uint64_t off, uint64_t len);
void items_blocks(struct items *it, uint64_t vol, uint64_t ino, uint64_t block, uint32_t n, const uint64_t *ids);
void items_vol_new(struct items *it, const struct meta_volume *v);
void items_vol_copy(struct items *it, uint64_t of, const struct meta_volume *v);
void items_epoch(struct items *it);
void items_vol_set(struct items *it, const struct meta_volume *v);
void items_vol_del(struct items *it, uint64_t vol);
void items_set_put(struct items *it, const struct meta_set *s);
void items_set_del(struct items *it, uint64_t id);

/* Decode the item at *pos and move on.  1: got one; 0: end; -EUCLEAN malformed; -EPROTONOSUPPORT unknown kind.
 * SET_PUT: value/value_len hold the encoded set, for item_set. */
int item_next(const uint8_t *buf, size_t len, size_t *pos, struct item *out) MUST_USE;
int item_set(const struct item *i, struct meta_set *out) MUST_USE;

#endif
