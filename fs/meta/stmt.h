/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every statement of the layer that runs more than once, as a constant string.  A unit test walks this table and reads
 * the query plan of each: a plan that scans a table or sorts needs the flag that says so.
 *
 * Parameters have the same number everywhere: ?1 line, ?2 inode or directory, ?3 name or leaf index, ?4 epoch, ?5.. values.
 * A unary plus keeps a column out of the planner's choice of index: without it a range over a directory takes the index
 * on (line, epoch) and reads every row of the line.
 */
#ifndef FS_META_STMT_H
#define FS_META_STMT_H

enum stmt_flags {
	STMT_READ = 1 << 0,  /* readers prepare it too */
	STMT_SCAN = 1 << 1,  /* may read a whole table: small tables, and recounts */
	STMT_CHECK = 1 << 2, /* meta_check and repair only: prepared when needed */
};

/* A label that rows may not carry. */
#define NO_LINE "line NOT IN (SELECT line FROM volume) AND line NOT IN (SELECT src FROM tail)"
#define INODE_PAYLOAD "mode, uid, gid, nlink, size, rdev, atime, mtime, ctime, btime, alloc"

/* clang-format off */
#define STATEMENTS(X) \
	X(BEGIN_READ, STMT_READ, "BEGIN") \
	X(BEGIN_WRITE, 0, "BEGIN IMMEDIATE") \
	X(COMMIT, STMT_READ, "COMMIT") \
	X(ROLLBACK, STMT_READ, "ROLLBACK") \
	\
	X(STORE_GET, 0, "SELECT uuid, block_size, hash_algo, codec, created_ns, epoch, applied_lsn, next_ino, next_vol, next_block, last_pack" \
		" FROM store WHERE one = 1") \
	X(STORE_SET, 0, "UPDATE store SET epoch = ?1, applied_lsn = ?2, next_ino = ?3, next_vol = ?4, next_block = ?5, last_pack = ?6 WHERE one = 1") \
	\
	X(VOLUME_LIST, STMT_SCAN, "SELECT id, slot, generation, line, parent, pin, root, flags, uuid, name, origin, alias," \
		" place_vol, place_dir, set_id, created_ns FROM volume ORDER BY id") \
	X(VOLUME_INSERT, 0, "INSERT INTO volume(id, slot, generation, line, parent, pin, root, flags, uuid, name, origin, alias," \
		" place_vol, place_dir, set_id, created_ns) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)") \
	X(VOLUME_UPDATE, 0, "UPDATE volume SET flags = ?2, name = ?3, place_vol = ?4, place_dir = ?5, set_id = ?6 WHERE id = ?1") \
	X(VOLUME_FLAGS, 0, "UPDATE volume SET flags = ?2 WHERE id = ?1") \
	X(VOLUME_DELETE, 0, "DELETE FROM volume WHERE id = ?1") \
	X(VOLUME_JOIN, 0, "UPDATE volume SET line = ?2, parent = ?3, pin = ?4, flags = ?5 WHERE id = ?1") \
	X(VOLUME_REPARENT, 0, "UPDATE volume SET parent = ?2 WHERE parent = ?1") \
	X(TAIL_LIST, STMT_SCAN, "SELECT src, line FROM tail ORDER BY src") \
	X(TAIL_INSERT, 0, "INSERT INTO tail(src, line) VALUES(?1, ?2)") \
	X(TAIL_DELETE, 0, "DELETE FROM tail WHERE src = ?1") \
	X(TAIL_MOVE, STMT_SCAN, "UPDATE tail SET line = ?2 WHERE line = ?1") \
	X(TAIL_DROP, STMT_SCAN, "DELETE FROM tail WHERE line = ?1") \
	X(WALK_LIST, STMT_SCAN, "SELECT id, line, pin, stage, side, cursor FROM walk ORDER BY id") \
	X(WALK_COUNT, STMT_SCAN, "SELECT count(*) FROM walk") \
	X(WALK_INSERT, 0, "INSERT INTO walk(line, pin, stage, side, cursor) VALUES(?1, ?2, 0, 0, NULL)") \
	X(WALK_UPDATE, 0, "UPDATE walk SET stage = ?2, side = ?3, cursor = ?4 WHERE id = ?1") \
	X(WALK_MOVE, STMT_SCAN, "UPDATE walk SET line = ?2, stage = 0, side = 0, cursor = NULL WHERE line = ?1") \
	X(WALK_DROP, STMT_SCAN, "DELETE FROM walk WHERE line = ?1") \
	X(WALK_DELETE, 0, "DELETE FROM walk WHERE id = ?1") \
	\
	X(INODE_PREV, STMT_READ, "SELECT epoch, dead, " INODE_PAYLOAD " FROM inode" \
		" WHERE line = ?1 AND ino = ?2 AND epoch <= ?4 ORDER BY epoch DESC LIMIT 1") \
	X(ENTRY_PREV, STMT_READ, "SELECT epoch, dead, ino, type FROM entry" \
		" WHERE line = ?1 AND dir = ?2 AND name = ?3 AND epoch <= ?4 ORDER BY epoch DESC LIMIT 1") \
	X(XATTR_PREV, STMT_READ, "SELECT epoch, dead, value FROM xattr" \
		" WHERE line = ?1 AND ino = ?2 AND name = ?3 AND epoch <= ?4 ORDER BY epoch DESC LIMIT 1") \
	X(LEAF_PREV, STMT_READ, "SELECT epoch, map IS NULL, map FROM leaf" \
		" WHERE line = ?1 AND ino = ?2 AND idx = ?3 AND epoch <= ?4 ORDER BY epoch DESC LIMIT 1") \
	X(INODE_NEXT, 0, "SELECT epoch, dead, " INODE_PAYLOAD " FROM inode" \
		" WHERE line = ?1 AND ino = ?2 AND epoch >= ?4 ORDER BY epoch LIMIT 1") \
	X(ENTRY_NEXT, 0, "SELECT epoch, dead, ino, type FROM entry" \
		" WHERE line = ?1 AND dir = ?2 AND name = ?3 AND epoch >= ?4 ORDER BY epoch LIMIT 1") \
	X(XATTR_NEXT, 0, "SELECT epoch, dead, NULL FROM xattr" \
		" WHERE line = ?1 AND ino = ?2 AND name = ?3 AND epoch >= ?4 ORDER BY epoch LIMIT 1") \
	X(LEAF_NEXT, 0, "SELECT epoch, map IS NULL, map FROM leaf" \
		" WHERE line = ?1 AND ino = ?2 AND idx = ?3 AND epoch >= ?4 ORDER BY epoch LIMIT 1") \
	X(INODE_INSERT, 0, "INSERT INTO inode(line, ino, epoch, dead, " INODE_PAYLOAD ")" \
		" VALUES(?1, ?2, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)") \
	X(ENTRY_INSERT, 0, "INSERT INTO entry(line, dir, name, epoch, dead, ino, type) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
	X(XATTR_INSERT, 0, "INSERT INTO xattr(line, ino, name, epoch, dead, value) VALUES(?1, ?2, ?3, ?4, ?5, ?6)") \
	X(LEAF_INSERT, 0, "INSERT INTO leaf(line, ino, idx, epoch, map) VALUES(?1, ?2, ?3, ?4, ?6)") \
	X(INODE_UPDATE, 0, "UPDATE inode SET dead = ?5, mode = ?6, uid = ?7, gid = ?8, nlink = ?9, size = ?10, rdev = ?11," \
		" atime = ?12, mtime = ?13, ctime = ?14, btime = ?15, alloc = ?16 WHERE line = ?1 AND ino = ?2 AND epoch = ?4") \
	X(ENTRY_UPDATE, 0, "UPDATE entry SET dead = ?5, ino = ?6, type = ?7 WHERE line = ?1 AND dir = ?2 AND name = ?3 AND epoch = ?4") \
	X(XATTR_UPDATE, 0, "UPDATE xattr SET dead = ?5, value = ?6 WHERE line = ?1 AND ino = ?2 AND name = ?3 AND epoch = ?4") \
	X(LEAF_UPDATE, 0, "UPDATE leaf SET map = ?6 WHERE line = ?1 AND ino = ?2 AND idx = ?3 AND epoch = ?4") \
	X(INODE_DELETE, 0, "DELETE FROM inode WHERE line = ?1 AND ino = ?2 AND epoch = ?4") \
	X(ENTRY_DELETE, 0, "DELETE FROM entry WHERE line = ?1 AND dir = ?2 AND name = ?3 AND epoch = ?4") \
	X(XATTR_DELETE, 0, "DELETE FROM xattr WHERE line = ?1 AND ino = ?2 AND name = ?3 AND epoch = ?4") \
	X(LEAF_DELETE, 0, "DELETE FROM leaf WHERE line = ?1 AND ino = ?2 AND idx = ?3 AND epoch = ?4") \
	X(INODE_RELABEL, 0, "UPDATE inode SET line = ?5 WHERE line = ?1 AND ino = ?2 AND epoch = ?4") \
	X(ENTRY_RELABEL, 0, "UPDATE entry SET line = ?5 WHERE line = ?1 AND dir = ?2 AND name = ?3 AND epoch = ?4") \
	X(XATTR_RELABEL, 0, "UPDATE xattr SET line = ?5 WHERE line = ?1 AND ino = ?2 AND name = ?3 AND epoch = ?4") \
	X(LEAF_RELABEL, 0, "UPDATE leaf SET line = ?5 WHERE line = ?1 AND ino = ?2 AND idx = ?3 AND epoch = ?4") \
	/* Rows of a label newer than an epoch, newest first. */ \
	X(INODE_NEWER, 0, "SELECT epoch, ino FROM inode WHERE line = ?1 AND epoch > ?4 ORDER BY epoch DESC LIMIT ?5") \
	X(ENTRY_NEWER, 0, "SELECT epoch, dir, name FROM entry WHERE line = ?1 AND epoch > ?4 ORDER BY epoch DESC LIMIT ?5") \
	X(XATTR_NEWER, 0, "SELECT epoch, ino, name FROM xattr WHERE line = ?1 AND epoch > ?4 ORDER BY epoch DESC LIMIT ?5") \
	X(LEAF_NEWER, 0, "SELECT epoch, ino, idx FROM leaf WHERE line = ?1 AND epoch > ?4 ORDER BY epoch DESC LIMIT ?5") \
	/* For walks: the next epoch with rows, and the keys of one epoch in order. */ \
	X(INODE_EPOCH, 0, "SELECT epoch FROM inode WHERE line = ?1 AND epoch > ?4 ORDER BY epoch LIMIT 1") \
	X(ENTRY_EPOCH, 0, "SELECT epoch FROM entry WHERE line = ?1 AND epoch > ?4 ORDER BY epoch LIMIT 1") \
	X(XATTR_EPOCH, 0, "SELECT epoch FROM xattr WHERE line = ?1 AND epoch > ?4 ORDER BY epoch LIMIT 1") \
	X(LEAF_EPOCH, 0, "SELECT epoch FROM leaf WHERE line = ?1 AND epoch > ?4 ORDER BY epoch LIMIT 1") \
	X(INODE_KEYS, 0, "SELECT epoch, ino FROM inode WHERE line = ?1 AND epoch = ?4 AND ino > ?2 ORDER BY ino LIMIT ?5") \
	X(ENTRY_KEYS, 0, "SELECT epoch, dir, name FROM entry WHERE line = ?1 AND epoch = ?4 AND (dir, name) > (?2, ?3)" \
		" ORDER BY dir, name LIMIT ?5") \
	X(XATTR_KEYS, 0, "SELECT epoch, ino, name FROM xattr WHERE line = ?1 AND epoch = ?4 AND (ino, name) > (?2, ?3)" \
		" ORDER BY ino, name LIMIT ?5") \
	X(LEAF_KEYS, 0, "SELECT epoch, ino, idx FROM leaf WHERE line = ?1 AND epoch = ?4 AND (ino, idx) > (?2, ?3)" \
		" ORDER BY ino, idx LIMIT ?5") \
	/* Enumeration of one label; the readers merge labels and links.  Prepared once per label open at the same time. */ \
	X(ENTRY_LIST, STMT_READ, "SELECT epoch, dead, name, ino, type FROM entry" \
		" WHERE line = ?1 AND dir = ?2 AND name > ?3 AND +epoch <= ?4 ORDER BY name, epoch") \
	X(XATTR_LIST, STMT_READ, "SELECT epoch, dead, name, length(value) FROM xattr" \
		" WHERE line = ?1 AND ino = ?2 AND +epoch <= ?4 ORDER BY name, epoch") \
	X(LEAF_LIST, STMT_READ, "SELECT epoch, map IS NULL, idx, map FROM leaf" \
		" WHERE line = ?1 AND ino = ?2 AND idx BETWEEN ?3 AND ?5 AND +epoch <= ?4 ORDER BY idx, epoch") \
	\
	X(BLOCK_FIND, 0, "SELECT id, hash, pack, off, stored, len, codec FROM block WHERE h8 = ?1") \
	X(BLOCK_GET, STMT_READ, "SELECT id, hash, pack, off, stored, len, codec FROM block WHERE id = ?1") \
	X(BLOCK_LIST, STMT_SCAN, "SELECT id, hash, pack, off, stored, len, codec, refs FROM block ORDER BY id") \
	X(BLOCK_INSERT, 0, "INSERT INTO block(id, h8, hash, pack, off, stored, len, codec, refs) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,0)") \
	X(BLOCK_REFS, 0, "UPDATE block SET refs = refs + ?2 WHERE id = ?1") \
	X(BLOCK_MOVE, 0, "UPDATE block SET pack = ?2, off = ?3, stored = ?4, codec = ?5 WHERE id = ?1") \
	X(BLOCK_DEAD, 0, "SELECT id FROM block WHERE refs = 0 AND id >= ?1 ORDER BY id LIMIT ?2") \
	X(BLOCK_DEAD_COUNT, STMT_SCAN, "SELECT count(*) FROM block WHERE refs = 0") \
	X(BLOCK_DELETE, 0, "DELETE FROM block WHERE id = ?1") \
	X(BLOCK_USAGE, STMT_SCAN, "SELECT pack, stored FROM block") \
	X(FREED_INSERT, 0, "INSERT INTO freed(pack, off, stored) VALUES(?1, ?2, ?3)") \
	X(FREED_LIST, STMT_SCAN, "SELECT pack, off, stored FROM freed ORDER BY pack, off LIMIT ?1") \
	X(FREED_GET, 0, "SELECT 1 FROM freed WHERE pack = ?1 AND off = ?2") \
	X(FREED_DELETE, 0, "DELETE FROM freed WHERE pack = ?1 AND off = ?2") \
	X(FREED_COUNT, STMT_SCAN, "SELECT count(*) FROM freed") \
	\
	X(ORPHAN_INSERT, 0, "INSERT OR IGNORE INTO orphan(vol, ino) VALUES(?1, ?2)") \
	X(ORPHAN_COPY, 0, "INSERT INTO orphan(vol, ino) SELECT ?2, ino FROM orphan WHERE vol = ?1") \
	X(ORPHAN_LIST, 0, "SELECT vol, ino FROM orphan WHERE (vol, ino) > (?1, ?2) ORDER BY vol, ino LIMIT ?3") \
	X(ORPHAN_DELETE, 0, "DELETE FROM orphan WHERE vol = ?1 AND ino = ?2") \
	X(ORPHAN_DROP, 0, "DELETE FROM orphan WHERE vol = ?1") \
	X(ORPHAN_COUNT, STMT_SCAN, "SELECT count(*) FROM orphan") \
	\
	X(SET_PUT, 0, "INSERT INTO snapset(id, uuid, state, flags, owner, created_ns, committed_ns, gate_ns, commit_ns," \
		" writer_uid, record_version, record) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)" \
		" ON CONFLICT(id) DO UPDATE SET uuid = ?2, state = ?3, flags = ?4, owner = ?5, created_ns = ?6," \
		" committed_ns = ?7, gate_ns = ?8, commit_ns = ?9, writer_uid = ?10, record_version = ?11, record = ?12") \
	X(SET_DELETE, 0, "DELETE FROM snapset WHERE id = ?1") \
	X(SET_LIST, STMT_SCAN, "SELECT id, uuid, state, flags, owner, created_ns, committed_ns, gate_ns, commit_ns," \
		" writer_uid, record_version, record FROM snapset ORDER BY id") \
	X(MEMBER_INSERT, 0, "INSERT INTO setmember(set_id, pos, volume, snapshot, snapshot_uuid) VALUES(?1,?2,?3,?4,?5)") \
	X(MEMBER_DELETE, 0, "DELETE FROM setmember WHERE set_id = ?1") \
	X(MEMBER_LIST, 0, "SELECT volume, snapshot, snapshot_uuid FROM setmember WHERE set_id = ?1 ORDER BY pos") \
	\
	/* Repair; all but REPAIR_BLOCK, _REFS and _FREED read whole tables, once. */ \
	X(REPAIR_BLOCKS, STMT_CHECK | STMT_SCAN, "SELECT id, hash, pack, off, stored, len, codec, refs, h8 FROM block ORDER BY id") \
	X(REPAIR_BLOCK, STMT_CHECK, "INSERT OR REPLACE INTO block(id, h8, hash, pack, off, stored, len, codec, refs)" \
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)") \
	X(REPAIR_REFS, STMT_CHECK, "UPDATE block SET refs = ?2 WHERE id = ?1") \
	X(REPAIR_FREED, STMT_CHECK, "SELECT off, stored FROM freed WHERE pack = ?1 ORDER BY off") \
	X(REPAIR_INODE, STMT_CHECK | STMT_SCAN, "DELETE FROM inode WHERE " NO_LINE) \
	X(REPAIR_ENTRY, STMT_CHECK | STMT_SCAN, "DELETE FROM entry WHERE " NO_LINE) \
	X(REPAIR_XATTR, STMT_CHECK | STMT_SCAN, "DELETE FROM xattr WHERE " NO_LINE) \
	X(REPAIR_LEAF, STMT_CHECK | STMT_SCAN, "DELETE FROM leaf WHERE " NO_LINE) \
	X(REPAIR_ORPHAN, STMT_CHECK | STMT_SCAN, "DELETE FROM orphan WHERE vol NOT IN (SELECT id FROM volume WHERE flags & 2 = 0)") \
	X(REPAIR_WALK, STMT_CHECK | STMT_SCAN, "DELETE FROM walk WHERE line NOT IN (SELECT line FROM volume)") \
	X(EVERY_LEAF, STMT_CHECK | STMT_SCAN, "SELECT ino, idx, map FROM leaf WHERE map IS NOT NULL") \
	X(EVERY_ENTRY, STMT_CHECK | STMT_SCAN, "SELECT dir, name, ino FROM entry WHERE dead = 0 AND type <> 32") \
	\
	X(CHECK_STORE, STMT_CHECK, "SELECT epoch FROM store WHERE one = 1") \
	X(CHECK_VOLUMES, STMT_CHECK | STMT_SCAN, "SELECT id, line, coalesce(parent, 0), coalesce(pin, 0), flags FROM volume ORDER BY id") \
	X(CHECK_TAILS, STMT_CHECK | STMT_SCAN, "SELECT src, line FROM tail") \
	X(CHECK_WALKS, STMT_CHECK | STMT_SCAN, "SELECT line, pin FROM walk") \
	X(CHECK_ORPHANS, STMT_CHECK | STMT_SCAN, "SELECT vol, ino FROM orphan ORDER BY vol, ino") \
	X(CHECK_ORPHAN, STMT_CHECK, "SELECT 1 FROM orphan WHERE vol = ?1 AND ino = ?2") \
	X(CHECK_LABEL_INODE, STMT_CHECK, "SELECT line FROM inode WHERE line > ?1 ORDER BY line LIMIT 1") \
	X(CHECK_LABEL_ENTRY, STMT_CHECK, "SELECT line FROM entry WHERE line > ?1 ORDER BY line LIMIT 1") \
	X(CHECK_LABEL_XATTR, STMT_CHECK, "SELECT line FROM xattr WHERE line > ?1 ORDER BY line LIMIT 1") \
	X(CHECK_LABEL_LEAF, STMT_CHECK, "SELECT line FROM leaf WHERE line > ?1 ORDER BY line LIMIT 1") \
	X(CHECK_INODE, STMT_CHECK, "SELECT epoch, dead, ino, 0, nlink FROM inode WHERE line = ?1 ORDER BY ino, epoch") \
	X(CHECK_ENTRY, STMT_CHECK, "SELECT epoch, dead, dir, name, ino FROM entry WHERE line = ?1 ORDER BY dir, name, epoch") \
	X(CHECK_XATTR, STMT_CHECK, "SELECT epoch, dead, ino, name, NULL FROM xattr WHERE line = ?1 ORDER BY ino, name, epoch") \
	X(CHECK_LEAF, STMT_CHECK, "SELECT epoch, map IS NULL, ino, idx, map FROM leaf WHERE line = ?1 ORDER BY ino, idx, epoch") \
	X(CHECK_BLOCKS, STMT_CHECK | STMT_SCAN, "SELECT id, h8, hash, refs FROM block ORDER BY id") \
	X(CHECK_INTEGRITY, STMT_CHECK, "PRAGMA integrity_check(20)")
/* clang-format on */

enum stmt_id {
#define X(id, flags, sql) ST_##id,
	STATEMENTS(X)
#undef X
		ST_COUNT
};

struct stmt_def {
	const char *name, *sql;
	unsigned flags;
};
extern const struct stmt_def stmt_defs[ST_COUNT];

#endif
