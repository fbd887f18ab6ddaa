/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log on disk, version 1.  All integers little-endian.
 *
 * Directory log/ holds segment files "seg-NNNNNNNN" (8 hex digits, a slot number without meaning).  Each is exactly
 * segment_bytes long and has been written once in full before it is used, so that a flush does not change the underlying
 * file system's metadata.  Which part of the stream a segment holds is said by its header only.
 *
 * Segment header, one page of 4096 bytes at offset 0:
 *    0  8  magic "KAGELOG1"
 *    8  4  version (1)
 *   12  4  zero
 *   16 16  store uuid
 *   32  8  segment_bytes
 *   40  8  number k: the segment holds stream positions [k * segment_bytes, (k + 1) * segment_bytes)
 *   48  8  prev_end: stream position where the records of the segment before end (the chain); for the first: its own start
 *   56  8  durable: everything before this position was durable when the header was made.  A valid log that ends before
 *          the `durable` of a later segment has lost acknowledged records: refuse, do not guess
 *   64  8  nonce: random; seed of every record checksum in this segment.  Old records of a recycled segment, and records
 *          of a group that a power cut tore, can therefore never be taken for valid later ones
 *   72  8  checksum64 of bytes 0..71
 *   80  -  zeros
 * The 80 bytes lie in one sector, so a power cut leaves the old header or the new one.  A prepared (unused) segment has zeros
 * here; anything else that is not a valid header is damage.  Magic, version and checksum stay in place in every version.
 * Names that do not match are leftovers of a segment being prepared and may be removed.
 *
 * A header whose number is above that of the segment in which a valid log ends belongs to a group that a power cut tore.  It
 * is zeroed, durably, before a new segment is begun: numbers are given again, and the chain alone might by chance fit.
 *
 * Records start at offset 4096, each at a multiple of 8:
 *    0  8  checksum: checksum64 of bytes 8..end of payload, xor nonce
 *    8  8  lsn: k * segment_bytes + offset of this record
 *   16  4  len: payload bytes
 *   20  2  type (meaning belongs to fs/volume/record.h; 0 is illegal)
 *   22  2  flags
 *   24  8  durable: as in the segment header, when this record was appended.  A valid record behind the end of the log that
 *          has a durable above that end proves damage in the last segment, where no later header can
 *   32  -  payload, then zeros to a multiple of 8
 * The log goes on in segment k + 1 when no valid record follows and that segment's header has prev_end = this position.
 * Each mount begins a new segment.
 *
 * A flush always writes whole pages; the last, partly filled page is written again by the next flush, with the same bytes
 * in front.
 */
#ifndef FS_LOG_LOG_FORMAT_H
#define FS_LOG_LOG_FORMAT_H

#define LOG_MAGIC "KAGELOG1"
#define LOG_VERSION 1
#define LOG_PAGE 4096
#define LOG_HEADER_BYTES 80
#define LOG_RECORD_HEADER 32
#define LOG_RECORD_ALIGN 8

#endif
