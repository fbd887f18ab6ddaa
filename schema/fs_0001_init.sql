-- kagefs metadata, schema 1.  SPDX-License-Identifier: GPL-3.0-or-later
--
-- Words: a *volume* is a tree with its own root; a *line* is the label of the rows its head writes (equal to the volume's id
-- at birth; they differ only after a join, when a deleted ancestor's line was handed to its heir).  An *epoch* is store-wide
-- and grows by one with each set commit.  A *pin* (volume.parent, volume.pin) says: the rows of line `parent` with epoch <=
-- `pin` are visible here and may not be changed.  docs/metadata.md has the rules R1..R13 that every row obeys.
--
-- Times are nanoseconds since 1970 (CLOCK_REALTIME).  Integers that stand for unsigned 64-bit values never exceed 2^63-1.
-- STRICT, and WITHOUT ROWID where the key is the row's only access path.

-- One row.
CREATE TABLE store (
  one          INTEGER PRIMARY KEY CHECK (one = 1),
  uuid         BLOB    NOT NULL,  -- 16 bytes; the log and packs carry it too
  block_size   INTEGER NOT NULL,  -- bytes, power of two
  hash_algo    INTEGER NOT NULL,  -- enum hash_algo
  codec        INTEGER NOT NULL,  -- enum store_codec for new blocks
  epoch        INTEGER NOT NULL,  -- E: epoch in which rows are written now; starts at 1
  applied_lsn  INTEGER NOT NULL,  -- every log record before this position is in these tables
  next_ino     INTEGER NOT NULL,  -- never reused
  next_vol     INTEGER NOT NULL,  -- never reused
  next_block   INTEGER NOT NULL,
  last_pack    INTEGER NOT NULL,  -- highest number a row of block ever named; lower ones are not given again
  created_ns   INTEGER NOT NULL
) STRICT;

-- Who changed the schema when; the newest `number` is the schema's version.
CREATE TABLE migration (
  number       INTEGER PRIMARY KEY,
  name         TEXT    NOT NULL,
  program      TEXT    NOT NULL,  -- version of the program that ran it
  at_ns        INTEGER NOT NULL
) STRICT;

CREATE TABLE volume (
  id           INTEGER PRIMARY KEY,
  slot         INTEGER NOT NULL,  -- upper bits of st_ino; reused after deletion with generation + 1
  generation   INTEGER NOT NULL,
  line         INTEGER NOT NULL UNIQUE,
  parent       INTEGER,           -- a line; NULL for a volume that began empty
  pin          INTEGER,           -- last epoch of parent visible here
  root         INTEGER NOT NULL,  -- inode number of the root directory, inherited
  flags        INTEGER NOT NULL,  -- enum meta_volume_flags
  uuid         BLOB    NOT NULL,
  name         TEXT    NOT NULL,  -- in .snapshots of its origin, or where it is bound (bytes, not checked as UTF-8)
  origin       INTEGER NOT NULL,  -- volume id it is a copy of, 0: none.  May be gone
  alias        INTEGER NOT NULL,  -- volume id by which directory entries name it: its own, or inherited by copies
  place_vol    INTEGER NOT NULL,  -- bound: alias of the volume and inode of the directory; both 0: the mount's root.
  place_dir    INTEGER NOT NULL,  -- snapshot: 1 = in .snapshots of the head of alias place_vol, 2 = of snapshot place_vol
  set_id       INTEGER NOT NULL,  -- snapset.id it was committed in, 0: none
  created_ns   INTEGER NOT NULL
) STRICT;
CREATE INDEX volume_pin ON volume(parent, pin);  -- "the pins of a line"; equal pins are allowed

-- Versioned tables: key (line, object, epoch); dead = 1 is a tombstone (payload NULL).

CREATE TABLE inode (
  line INTEGER NOT NULL, ino INTEGER NOT NULL, epoch INTEGER NOT NULL, dead INTEGER NOT NULL,
  mode INTEGER, uid INTEGER, gid INTEGER, nlink INTEGER, size INTEGER, rdev INTEGER,
  atime INTEGER, mtime INTEGER, ctime INTEGER, btime INTEGER,
  alloc INTEGER,                  -- bytes of blocks its leaves name (st_blocks)
  PRIMARY KEY (line, ino, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
  line INTEGER NOT NULL, dir INTEGER NOT NULL, name BLOB NOT NULL, epoch INTEGER NOT NULL, dead INTEGER NOT NULL,
  ino INTEGER,                    -- inode number; for type META_TYPE_VOLUME a volume.alias
  type INTEGER,                   -- DT_* of dirent, or META_TYPE_VOLUME
  PRIMARY KEY (line, dir, name, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE xattr (
  line INTEGER NOT NULL, ino INTEGER NOT NULL, name BLOB NOT NULL, epoch INTEGER NOT NULL, dead INTEGER NOT NULL,
  value BLOB,                     -- the empty name holds a symbolic link's target
  PRIMARY KEY (line, ino, name, epoch)
) STRICT, WITHOUT ROWID;

-- A leaf maps 64 consecutive file blocks, idx * 64 .. idx * 64 + 63.
CREATE TABLE leaf (
  line INTEGER NOT NULL, ino INTEGER NOT NULL, idx INTEGER NOT NULL, epoch INTEGER NOT NULL,
  map BLOB,                       -- up to 64 x u64 LE block id, 0 = hole, trailing holes not stored; NULL = tombstone
  PRIMARY KEY (line, ino, idx, epoch)
) STRICT, WITHOUT ROWID;

-- For walks and trims: rows of a line in epoch order, and of one epoch in key order (a walk's cursor).  SQLite adds the rest
-- of the key to an index of a WITHOUT ROWID table anyway; naming it costs nothing and lets the planner sort by it.
CREATE INDEX inode_epoch ON inode(line, epoch, ino);
CREATE INDEX entry_epoch ON entry(line, epoch, dir, name);
CREATE INDEX xattr_epoch ON xattr(line, epoch, ino, name);
CREATE INDEX leaf_epoch ON leaf(line, epoch, ino, idx);

-- refs: number of leaf slots that name the block and differ from the row below (R4).
CREATE TABLE block (
  id     INTEGER PRIMARY KEY,
  h8     INTEGER NOT NULL,        -- first 8 bytes of hash, little-endian, as signed integer
  hash   BLOB    NOT NULL,
  -- Where it lies; pack 0: nowhere.  codec + 128: a repair found no bytes there that verify.
  pack   INTEGER NOT NULL, off INTEGER NOT NULL, stored INTEGER NOT NULL, len INTEGER NOT NULL, codec INTEGER NOT NULL,
  refs   INTEGER NOT NULL CHECK (refs >= 0)
) STRICT;
CREATE INDEX block_h8 ON block(h8);                   -- not unique: compare hash in the row
CREATE INDEX block_dead ON block(id) WHERE refs = 0;  -- queue of releasable blocks, kept by SQLite itself

-- Rows already gone, pack range still to be given back (R11).
CREATE TABLE freed (
  pack INTEGER NOT NULL, off INTEGER NOT NULL, stored INTEGER NOT NULL, PRIMARY KEY (pack, off)
) STRICT, WITHOUT ROWID;

-- nlink is 0; reaped when no handle is open (R8).
CREATE TABLE orphan (
  vol INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (vol, ino)
) STRICT, WITHOUT ROWID;

-- Rows labelled src count as rows of line; relabelling pending (R9).
CREATE TABLE tail (src INTEGER PRIMARY KEY, line INTEGER NOT NULL) STRICT;

-- Prune jobs (R10): pin left line.  stage 0 scans the line, stage 1 the neighbour `side`; cursor is the last key looked at,
-- (epoch, table, key) as fs/meta/reclaim.c encodes it, NULL at the start of a stage.
CREATE TABLE walk (
  id INTEGER PRIMARY KEY, line INTEGER NOT NULL, pin INTEGER NOT NULL, stage INTEGER NOT NULL, side INTEGER NOT NULL,
  cursor BLOB
) STRICT;

-- Shadow copy sets, COMMITTED or SEALED ones only (fs/kagefs_ioctl.h).
CREATE TABLE snapset (
  id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE, state INTEGER NOT NULL, flags INTEGER NOT NULL, owner TEXT NOT NULL,
  created_ns INTEGER NOT NULL, committed_ns INTEGER NOT NULL, gate_ns INTEGER NOT NULL, commit_ns INTEGER NOT NULL,
  writer_uid INTEGER NOT NULL, record_version INTEGER NOT NULL, record BLOB NOT NULL
) STRICT;
CREATE TABLE setmember (
  set_id INTEGER NOT NULL REFERENCES snapset(id), pos INTEGER NOT NULL, volume INTEGER NOT NULL, snapshot INTEGER NOT NULL, snapshot_uuid BLOB NOT NULL,
  PRIMARY KEY (set_id, pos)
) STRICT, WITHOUT ROWID;
