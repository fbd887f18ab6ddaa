/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content-addressed blocks in pack files.  Knows no inode and no database: who keeps the table of blocks passes a
 * block's place in.  The layout on disk is in fs/store/pack_format.h.
 *
 * A block is 1 .. block_size bytes of plain content, named by its hash.  Packs are append-only files packs/NNNNNNNN (hex);
 * the store appends to one at a time and starts a new one at every open and every pack_bytes.
 *
 * Threads: store_hash, store_encode, store_get may be called from any thread at any time.  store_append, store_sync,
 * store_free, store_drop_pack belong to one thread at a time (the writer).  store_reserve/unreserve: any thread.
 */
#ifndef FS_STORE_STORE_H
#define FS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"
#include "fs/base/hash.h"

struct io;
struct store;

enum store_codec { STORE_NONE = 0, STORE_LZ4 = 1, STORE_ZSTD = 2 };

struct store_config {
	uint32_t block_size;	    /* power of two, 4 KiB .. 1 MiB */
	enum hash_algo hash_algo;
	enum store_codec codec;	    /* for new blocks; a block that does not shrink by 1/8 is stored plain */
	uint64_t pack_bytes;	    /* no pack grows larger; 0 = 256 MiB; raised to hold a few blocks at least */
	uint64_t sums_bytes;	    /* for the cache of chunk tables; 0 = 32 MiB */
	uint64_t stream_bytes;	    /* for the buffers of store_get_many; 0 = 8 MiB */
	uint8_t store_id[16];	    /* written into packs for people and repair tools; may be zeros */
};

/* Where a block lies.  Kept by the caller, durably, in the same transaction that first names the block. */
struct store_loc {
	uint32_t pack;	 /* 0 = nowhere */
	uint64_t off;	 /* of the record in the pack */
	uint32_t stored; /* bytes the record takes in the pack, header and padding included */
	uint32_t len;	 /* plain bytes */
	uint8_t codec;
};

int store_format(struct io *io) MUST_USE; /* mkdir packs/, durable */
/* io is borrowed.  last_pack: numbers up to it are not given to new packs, whether they exist or not.  A number must not come
 * back while anything still names it (rows of blocks, places to give back), also when the pack is dropped or lost: who keeps
 * such rows remembers the highest number they ever named.  Removes empty packs and gives back what a crash left allocated behind the last
 * ones.  -ENOENT: no packs/. -EOPNOTSUPP: hash not built in.  -EINVAL: block size or codec. */
int store_open(struct io *io, const struct store_config *cfg, uint32_t last_pack, struct store **out) MUST_USE;
/* Does not sync: what was not store_sync'ed is garbage by definition.  NULL is fine. */
void store_close(struct store *st);

int store_hash(struct store *st, const void *data, size_t len, uint8_t hash[HASH_BYTES]) MUST_USE;

/* A block ready to be appended: hash, codec and stored bytes, made by store_encode on any thread. */
struct store_blob {
	uint8_t hash[HASH_BYTES];
	uint32_t len, payload_len;
	uint64_t payload_sum; /* checksum64 of the payload */
	uint8_t codec;
	uint64_t id;	  /* what the record is to say of it beside the hash; set by who appends, 0: nothing */
	uint8_t *payload; /* owned; may be a copy of the data.  The chunk table lies behind it */
};
/* A block of which `data` is a new version, as store_get_many kept it, and the chunks that are not the same any more. */
#define STORE_CHUNK_BYTES 4096u
#define STORE_CHUNKS_MAX 256u
struct store_base {
	struct store_blob blob; /* payload NULL: nothing is known */
	uint64_t changed[STORE_CHUNKS_MAX / 64]; /* bit i % 64 of word i / 64: bytes [i, i + 1) * STORE_CHUNK_BYTES */
};
/* hash is trusted to be that of data, base (may be NULL) too: what has not changed is taken over as it is compressed there.
 * -EINVAL: len is 0 or above block_size.  -ENOMEM.  *out may be released after a failure. */
int store_encode(struct store *st, const void *data, size_t len, const uint8_t hash[HASH_BYTES], const struct store_base *base,
		 struct store_blob *out) MUST_USE;
void store_blob_release(struct store_blob *b); /* may run twice */

/* Append to the current pack (buffered).  Not durable, and not to be named by a committed row, before store_sync.
 * -ENOSPC leaves the store usable.  Readable through store_get at once.  The caller holds a reservation that covers it (see
 * store_reserve) and gives that back afterwards; an append without one uses up space that others were promised. */
int store_append(struct store *st, const struct store_blob *b, struct store_loc *loc) MUST_USE;
/* Everything appended so far is durable.  After an error the packs written since the last success are poisoned: every
 * later store_append/store_sync fails with -EIO.  (-ENOSPC does not poison; it can only happen where the underlying file
 * system cannot allocate ahead.)  Costs nothing if nothing was appended. */
int store_sync(struct store *st) MUST_USE;

/* Read bytes [off, off + n) of the block's plain content.  A whole block is verified against the sum of its payload, under a
 * header that has the hash; a part against the sums of the 4 KiB chunks it touches, which are all that is read and expanded
 * (pack_format.h says why not the hash).  Bytes beyond the block's length read as zeros.
 * -EUCLEAN: stored bytes do not verify (logged and counted here); -EIO; -ENOENT: pack gone;
 * -ENOMEM.  After an error buf holds anything. */
int store_get(struct store *st, const struct store_loc *loc, const uint8_t hash[HASH_BYTES], size_t off, size_t n,
	      void *buf) MUST_USE;

/* A whole block into block_size bytes at buf, its hash recomputed: for who looks for damage, moves blocks or mends.  As store_get. */
int store_prove(struct store *st, const struct store_loc *loc, const uint8_t hash[HASH_BYTES], void *buf) MUST_USE;

/* Whole blocks, each into block_size bytes at buf, verified as by store_get; -errno as there, of any of them, and then the
 * buffers hold anything.  Blocks that lie near each other in a pack, in this order, are fetched with one request that leaves
 * nothing in the page cache: for sequential readers. */
struct store_want {
	struct store_loc loc;
	uint8_t hash[HASH_BYTES];
	void *buf; /* borrowed */
	struct store_blob *keep; /* may be NULL, else empty: may get the block as it is stored, to be released; id is not set */
};
int store_get_many(struct store *st, const struct store_want *v, unsigned n) MUST_USE;

/* The record at (pack, off, stored) is not named by any durable row: give its space back, durably with the next store_sync.
 * Idempotent; a pack that is gone or a place already free is success.  -EUCLEAN: a valid record of another size begins there,
 * nothing was done; -EINVAL: no record can be there. */
int store_free(struct store *st, uint32_t pack, uint64_t off, uint32_t stored) MUST_USE;
/* Many of them, in ascending order: neighbours go as one, and what the disk has to say of them is asked for at once.  After an
 * error any of them may have been freed. */
struct store_place {
	uint32_t pack, stored;
	uint64_t off;
};
int store_free_many(struct store *st, const struct store_place *v, unsigned n) MUST_USE;
/* Could a record lie there?  What store_free asks first; no look at the disk. */
bool store_place_ok(const struct store *st, uint32_t pack, uint64_t off, uint32_t stored);
/* Remove a whole pack that holds nothing live; not the current one (-EBUSY).  A pack that is gone is success.  Durable with
 * the next store_sync. */
int store_drop_pack(struct store *st, uint32_t pack) MUST_USE;

/* The most that appending a block of len plain bytes can take: what to reserve for it. */
uint32_t store_stored_max(const struct store *st, uint32_t len) MUST_USE;
/* Space that appends to come may need: kept allocated ahead (fallocate in the current and following packs) so that
 * appending acknowledged data cannot fail for lack of it.  -ENOSPC: the disk cannot give that much; nothing reserved.  Mostly
 * two atomic operations; sometimes makes and allocates a pack, and a pack's worth of surplus is kept.  Reserve
 * store_stored_max of each block, append, then unreserve the same; all appends, those of compaction too. */
int store_reserve(struct store *st, uint64_t bytes) MUST_USE;
/* The same where it asks nothing of the disk; false: it would. */
bool store_reserve_ready(struct store *st, uint64_t bytes) MUST_USE;
void store_unreserve(struct store *st, uint64_t bytes);
/* The same for what has been acknowledged already and so is promised whatever the disk says: 0, or why it is not backed by
 * space.  Then store_append may fail with -ENOSPC, and reservations do, until the disk has room.  To be unreserved in both cases. */
int store_owe(struct store *st, uint64_t bytes) MUST_USE;

struct store_pack_info {
	uint32_t pack;
	uint64_t bytes; /* up to the end of the last record */
	bool current;
};
/* In ascending order; packs that are only space ahead are not listed.  A non-zero answer of cb stops and is returned.  The
 * writer's thread. */
int store_list_packs(struct store *st, int (*cb)(void *arg, const struct store_pack_info *info), void *arg) MUST_USE;

/* Walk a pack's records in order: for rebuilding the block table, for check and for finding garbage after a crash.  Finds its
 * way over punched ranges and damage (pack_format.h).  hash is of the plain content; the content itself is not read: after a
 * power cut a header may be there without it, so who rebuilds from this verifies with store_get.  A non-zero answer of cb
 * stops and is returned.  -ENOENT; -EPROTONOSUPPORT: a later version.  Any thread, but the writer must not be appending to
 * this pack meanwhile. */
struct store_record {
	struct store_loc loc;
	uint8_t hash[HASH_BYTES];
	uint64_t id; /* as in the blob appended */
	uint8_t hash_algo;
};
int store_scan(struct store *st, uint32_t pack, int (*cb)(void *arg, const struct store_record *rec), void *arg) MUST_USE;

struct store_stats {
	uint64_t appended_blocks, appended_plain_bytes, appended_stored_bytes;
	uint64_t read_blocks, read_bytes, verify_failures;
	uint64_t reserved_bytes, allocated_ahead_bytes;
	uint64_t syncs;
	uint64_t sums_hits, sums_misses, sums_bytes; /* cache of chunk tables; bytes: the most it can take */
};
void store_get_stats(struct store *st, struct store_stats *out);

#endif
