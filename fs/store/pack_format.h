/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs on disk, version 1.  All integers little-endian.
 *
 * Directory packs/ holds files "NNNNNNNN" (8 hex digits, the pack number, never 0, never used twice in a store's life).
 * A pack is one header page and then records, appended one after the other and never changed; space of dead records is
 * punched out and reads as zeros.  An empty file was made to keep space ahead and holds nothing.
 *
 * Pack header, one page of 4096 bytes at offset 0:
 *    0  8  magic "KAGEPACK"
 *    8  4  version (1)
 *   12  4  pack number
 *   16  4  block_size of the store, bytes
 *   20  1  hash algorithm of the store, enum hash_algo
 *   21  3  zero
 *   24 16  store id; zeros: not known.  For people and repair tools
 *   40  8  nonce: random, not zero; repeated in every record
 *   48  8  checksum64 of bytes 0..47
 *   56  -  zeros
 *
 * Record, at a multiple of PACK_ALIGN:
 *    0  4  magic "KBLK"
 *    4  1  record version (1)
 *    5  1  hash algorithm, enum hash_algo
 *    6  1  codec, enum store_codec
 *    7  1  flags: 1 = a chunk table follows; others zero
 *    8  4  len: plain bytes, 1 .. 1 MiB
 *   12  4  payload_len: bytes as stored; = len without codec
 *   16  4  stored: bytes of the whole record, a multiple of PACK_ALIGN
 *   20  4  number of the pack
 *   24  8  offset of the record in the pack
 *   32  8  nonce of the pack
 *   40  8  checksum64 of the payload
 *   48 32  hash of the plain content
 *   80  8  id of the block, the name by which leaves know it; 0: not known.  A block keeps it when it is copied into another
 *          pack, so that a lost block table can be made again from the packs
 *   88  8  checksum64 of bytes 0..87 and the chunk table
 *   96  -  chunk table, if flagged, see below
 *    -  -  payload
 *    -  -  zeros to a multiple of PACK_ALIGN
 *
 * Valid is a record whose header sum fits and whose pack number, offset and nonce are those of the place where it lies.  So
 * neither a pack stored as the content of a block, nor bytes left by a power cut, can pass for a record, and a walk that has
 * lost its way (punched space, damage) may try every multiple of PACK_ALIGN.  A valid header says nothing of the payload:
 * after a power cut the one may be there without the other.  The hash decides.
 *
 * Chunks are the pieces of 4096 plain bytes of a block (the last may be shorter).  A block of more than one chunk has a
 * chunk table, one entry for each.  Without codec an entry has 4 bytes, with one it has 8:
 *    0  4  low 32 bits of the checksum64 of the chunk's plain bytes
 *    4  4  codec only: where the chunk ends in the payload; it begins where the one before ends.  A chunk is compressed by
 *          itself; one as long as its plain bytes is stored plain.  None is longer or empty; the last ends at payload_len
 * A block of one chunk has no table: its payload is the one chunk, with codec always compressed.
 *
 * The table lets a read of 4 KiB out of 64 KiB read, expand and verify 4 KiB.  That is weaker than the hash (32 bits, not
 * cryptographic; good against rot, not against forgery on the disk), and is bound to the block by the hash in the same
 * header.  A whole block is read under the sum of its payload (64 bits), bound to the block in the same way: recomputing the
 * hash took most of the processor in a sequential read.  The hash is recomputed where the question
 * is whether a block is what it is called: check, repair, compaction, the search for garbage.
 *
 * Why records are packed at 16 bytes and not at pages: padding to pages would cost 6 % for a plain 64 KiB block, 7 % for one
 * that shrank to half and 100 % for a 4 KiB block that did; at 16 bytes it is 0.3 %.  A plain 4 KiB read touches two pages
 * instead of one, in one request.  Punching whole pages would then lose a page at each seam, so freeing zeroes the exact
 * range, and takes in the rest of a page at either end when that is zeros already: the seam between two dead records goes
 * with the second of them.  That a zero page may belong to a living block does not matter, it still reads as zeros.
 *
 * Versions: 1 = first.  A reader refuses a pack or record of a higher version.
 */
#ifndef FS_STORE_PACK_FORMAT_H
#define FS_STORE_PACK_FORMAT_H

#define PACK_MAGIC "KAGEPACK"
#define PACK_VERSION 1
#define PACK_HEADER_BYTES 4096
#define PACK_HEADER_SUMMED 48
#define PACK_ALIGN 16
#define PACK_PAGE 4096

#define RECORD_MAGIC 0x4b4c424bu /* "KBLK" */
#define RECORD_VERSION 1
#define RECORD_HEADER_BYTES 96
#define RECORD_HEADER_SUMMED 88
#define RECORD_CHUNK_TABLE 1u

#define CHUNK_BYTES 4096
#define CHUNK_SUM_BYTES 4
#define CHUNK_ENTRY_BYTES_MAX 8 /* sum and end */
#define BLOCK_BYTES_MIN 4096u
#define BLOCK_BYTES_MAX (1u << 20)
#define CHUNKS_MAX (BLOCK_BYTES_MAX / CHUNK_BYTES)
#define CHUNK_TABLE_BYTES_MAX (CHUNKS_MAX * CHUNK_ENTRY_BYTES_MAX)

#endif
