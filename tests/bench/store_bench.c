/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the store does per core and on this disk.
 *
 *   store_bench DIR [FILE]	DIR: an empty directory on the disk to measure; FILE: content to compress (default: this
 *				program, repeated).  Prints one line per measurement.
 *
 * "cold" drops the kernel's caches first, which needs root; otherwise the figure is warm and says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/base/io.h"
#include "fs/store/store.h"

#define DATA_BYTES (64u << 20)

static uint8_t *noise, *text;
static struct io *io;

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "store_bench: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void load(const char *path)
{
	uint64_t s = 88172645463325252u;
	size_t n = 0, got;
	noise = malloc(DATA_BYTES);
	text = malloc(DATA_BYTES);
	FILE *f = fopen(path, "r");
	if (!noise || !text || !f)
		must(-ENOENT, path);
	for (size_t i = 0; i < DATA_BYTES; i += 8) {
		uint64_t v = next_random(&s);
		memcpy(noise + i, &v, 8);
	}
	while (n < DATA_BYTES) {
		got = fread(text + n, 1, DATA_BYTES - n, f);
		n += got;
		if (!got)
			rewind(f);
		if (!n)
			must(-ENODATA, path);
	}
	fclose(f);
}

static struct store *open_store(uint32_t block_size, enum store_codec codec)
{
	struct store_config cfg = { .block_size = block_size, .hash_algo = HASH_SHA256, .codec = codec };
	struct store *st;
	must(store_open(io, &cfg, 0, &st), "store_open");
	return st;
}

static bool drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	bool ok = fd >= 0 && write(fd, "3", 1) == 1;
	if (fd >= 0)
		close(fd);
	return ok;
}

static const char *codec_name(enum store_codec c)
{
	return c == STORE_LZ4 ? "lz4" : c == STORE_ZSTD ? "zstd" : "none";
}

static void bench_encode(uint32_t bs)
{
	uint8_t hash[HASH_BYTES];
	struct store *st = open_store(bs, STORE_NONE);
	double t = now();
	for (size_t i = 0; i < DATA_BYTES; i += bs)
		must(store_hash(st, text + i, bs, hash), "hash");
	printf("hash    sha256       %4uK %6.0f MiB/s\n", bs >> 10, DATA_BYTES / 1048576.0 / (now() - t));
	store_close(st);
	for (int codec = STORE_NONE; codec <= STORE_ZSTD; codec++) {
		st = open_store(bs, codec);
		for (int k = 0; k < 2; k++) {
			const uint8_t *data = k ? noise : text;
			uint64_t stored = 0;
			t = now();
			for (size_t i = 0; i < DATA_BYTES; i += bs) {
				struct store_blob b;
				must(store_encode(st, data + i, bs, hash, NULL, &b), "encode");
				stored += b.payload_len;
				store_blob_release(&b);
			}
			printf("encode  %-4s %s %4uK %6.0f MiB/s  payload %.2f\n", codec_name(codec), k ? "noise  " : "content",
			       bs >> 10, DATA_BYTES / 1048576.0 / (now() - t), (double)stored / DATA_BYTES);
		}
		store_close(st);
	}
}

static void bench_disk(uint32_t bs, enum store_codec codec)
{
	size_t n = 8u * DATA_BYTES / bs;
	struct store_loc *locs = calloc(n, sizeof(*locs));
	uint8_t(*hashes)[HASH_BYTES] = calloc(n, HASH_BYTES), *buf = malloc(bs);
	const uint8_t *data = codec ? text : noise;
	struct store *st = open_store(bs, codec);
	uint64_t s = 1, reserve = (uint64_t)n * store_stored_max(st, bs);
	double encode = 0, t0 = now(), t;
	must(store_reserve(st, reserve), "reserve");
	double reserved = now() - t0;
	t0 = now();
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = data + i * bs % DATA_BYTES;
		struct store_blob b;
		t = now();
		must(store_hash(st, p, bs, hashes[i]), "hash");
		must(store_encode(st, p, bs, hashes[i], NULL, &b), "encode");
		encode += now() - t;
		must(store_append(st, &b, &locs[i]), "append");
		store_blob_release(&b);
		if ((i + 1) % ((16u << 20) / bs) == 0)
			must(store_sync(st), "sync");
	}
	must(store_sync(st), "sync");
	double mib = (double)n * bs / 1048576;
	printf("append  %-4s %4uK %6.0f MiB/s, a sync every 16 MiB, without hash and encode (with: %.0f); reserving took %.1f ms\n",
	       codec_name(codec), bs >> 10, mib / (now() - t0 - encode), mib / (now() - t0), reserved * 1e3);
	store_unreserve(st, reserve);
	store_close(st);

	st = open_store(bs, codec);
	for (int warm = 0; warm < 2; warm++) {
		bool cold = !warm && drop_caches();
		t = now();
		for (size_t i = 0; i < n; i++)
			must(store_get(st, &locs[i], hashes[i], 0, bs, buf), "get");
		printf("get     %-4s %4uK %6.0f MiB/s in order, %s\n", codec_name(codec), bs >> 10, mib / (now() - t),
		       cold ? "cold" : "warm");
	}
	store_close(st);

	/* Random 4 KiB: tables unknown, then known. */
	st = open_store(bs, codec);
	for (int round = 0; round < 3; round++) {
		bool cold = round < 2 && drop_caches();
		unsigned count = round == 2 ? 200000 : 20000;
		uint64_t seed = s;
		for (size_t i = 0; round == 2 && i < n; i++) /* all into the kernel's cache */
			must(store_get(st, &locs[i], hashes[i], 0, bs, buf), "get");
		t = now();
		for (unsigned i = 0; i < count; i++) {
			uint64_t r = next_random(&seed);
			size_t k = r % n, off = (r >> 32) % (bs / 4096) * 4096;
			must(store_get(st, &locs[k], hashes[k], off, 4096, buf), "get");
		}
		printf("get     %-4s %4uK %6.0f random 4K reads/s, one thread, %s, tables %s\n", codec_name(codec), bs >> 10,
		       count / (now() - t), cold ? "cold" : "warm", round ? "known" : "not known");
	}
	store_close(st);
	free(locs);
	free(hashes);
	free(buf);
}

static void bench_sync(void)
{
	enum { N = 300 };
	uint8_t hash[HASH_BYTES];
	double took[N];
	struct store *st = open_store(65536, STORE_NONE);
	must(store_reserve(st, 200 << 20), "reserve");
	for (int i = 0; i < N; i++) {
		struct store_blob b;
		struct store_loc loc;
		must(store_hash(st, noise + i * 65536, 65536, hash), "hash");
		must(store_encode(st, noise + i * 65536, 65536, hash, NULL, &b), "encode");
		double t = now();
		must(store_append(st, &b, &loc), "append");
		must(store_sync(st), "sync");
		took[i] = now() - t;
		store_blob_release(&b);
	}
	for (int i = 1; i < N; i++)
		for (int k = i; k > 0 && took[k] < took[k - 1]; k--) {
			double x = took[k];
			took[k] = took[k - 1];
			took[k - 1] = x;
		}
	printf("sync    one 64K block and sync: p50 %.0f us, p99 %.0f us\n", took[N / 2] * 1e6, took[N * 99 / 100] * 1e6);
	store_close(st);
}

static void bench_reserve(void)
{
	struct store *st = open_store(65536, STORE_NONE);
	must(store_reserve(st, 1 << 20), "reserve");
	double t = now();
	for (int i = 0; i < 10000000; i++) {
		must(store_reserve(st, 4096), "reserve");
		store_unreserve(st, 4096);
	}
	printf("reserve and unreserve: %.0f ns\n", (now() - t) * 100);
	store_close(st);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: store_bench DIR [FILE]\n");
		return 2;
	}
	load(argc > 2 ? argv[2] : argv[0]);
	must(io_posix_new(argv[1], &io), argv[1]);
	must(store_format(io), "store_format");
	static const uint32_t sizes[] = { 4096, 16384, 65536 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		bench_encode(sizes[i]);
	bench_reserve();
	bench_sync();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		bench_disk(sizes[i], STORE_NONE);
		bench_disk(sizes[i], STORE_LZ4);
	}
	io_free(io);
	free(noise);
	free(text);
	return 0;
}
