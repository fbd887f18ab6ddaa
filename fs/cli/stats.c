/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kagefs stats.  Counters come as one JSON object, walked flat (names joined by dots); times as distributions, so that
 * --watch can say what the 99th percentile of one interval was.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/clock.h"
#include "fs/base/histogram.h"
#include "fs/cli/cli.h"

#define HEAD_EVERY 20 /* lines of --watch */

struct counter {
	char name[96];
	double value;
};
struct times {
	char name[32];
	struct histogram_sum s;
};
/* What one look at the mount gave. */
struct sample {
	int64_t at_ns;
	struct kagefs_ioc_stats raw;
	struct counter c[512];
	size_t n;
	struct times t[64];
	size_t nt;
};

/* One level of nesting or many; numbers only, null is 0.  Good enough for our own output. */
static void parse_counters(const char *s, struct sample *out)
{
	char path[8][64] = {""}, key[64] = "";
	int depth = 0;

	out->n = 0;
	for (; *s; s++) {
		if (*s == '"') {
			size_t n = 0;

			for (s++; *s && *s != '"'; s++)
				if (n + 1 < sizeof(key))
					key[n++] = *s;
			key[n] = '\0';
			if (!*s)
				return;
		} else if (*s == '{' && depth < 7) {
			snprintf(path[depth], sizeof(path[depth]), "%s", depth ? key : "");
			depth++;
		} else if (*s == '}' && depth > 0) {
			depth--;
		} else if (*s == ':' && s[1] != '{' && out->n < ARRAY_SIZE(out->c)) {
			struct counter *c = &out->c[out->n++];
			size_t at = 0;

			for (int i = 1; i < depth && at < sizeof(c->name); i++)
				at += (size_t)snprintf(c->name + at, sizeof(c->name) - at, "%s.", path[i]);
			if (at < sizeof(c->name))
				snprintf(c->name + at, sizeof(c->name) - at, "%s", key);
			c->value = s[1] == 'n' ? 0 : strtod(s + 1, NULL);
		}
	}
}

static double counter(const struct sample *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->c[i].name, name) == 0)
			return s->c[i].value;
	return 0;
}

static const struct histogram_sum *times(const struct sample *s, const char *name)
{
	static const struct histogram_sum none;

	for (size_t i = 0; i < s->nt; i++)
		if (strcmp(s->t[i].name, name) == 0)
			return &s->t[i].s;
	return &none;
}

static int take_times(int fd, struct sample *s)
{
	static struct kagefs_ioc_times a;
	int err = 0;

	_Static_assert(KAGEFS_TIMES_BUCKETS == HISTOGRAM_BUCKETS, "one to one");
	for (s->nt = 0; s->nt < ARRAY_SIZE(s->t); s->nt++) {
		struct times *t = &s->t[s->nt];

		memset(&a, 0, sizeof(a));
		a.index = (__u32)s->nt;
		err = target_ioctl(fd, KAGEFS_IOC_TIMES, &a);
		if (err)
			break;
		snprintf(t->name, sizeof(t->name), "%.*s", (int)sizeof(a.name) - 1, a.name);
		memcpy(t->s.bucket, a.bucket, sizeof(a.bucket));
		t->s.count = 0;
		for (size_t b = 0; b < HISTOGRAM_BUCKETS; b++)
			t->s.count += a.bucket[b];
		t->s.sum = a.sum_ns;
		t->s.max = a.max_ns;
	}
	return err == -ENOENT ? 0 : err;
}

static int take(int fd, struct sample *s)
{
	int err;

	memset(&s->raw, 0, sizeof(s->raw));
	s->at_ns = clock_monotonic_ns();
	err = target_ioctl(fd, KAGEFS_IOC_STATS, &s->raw);
	if (err)
		return err;
	s->raw.json[sizeof(s->raw.json) - 1] = '\0';
	parse_counters(s->raw.json, s);
	return take_times(fd, s);
}

/* ---- everything, once -------------------------------------------------------------------------------------------------- */

static void print_all(const struct sample *s)
{
	printf("%-18s %12s %10s %10s %10s %10s %12s   microseconds\n", "", "count", "mean", "p50", "p99", "p99.9", "max");
	for (size_t i = 0; i < s->nt; i++) {
		const struct histogram_sum *t = &s->t[i].s;

		if (t->count)
			printf("%-18s %12llu %10.1f %10.1f %10.1f %10.1f %12.1f\n", s->t[i].name, (unsigned long long)t->count,
			       (double)t->sum / (double)t->count / 1e3, (double)histogram_quantile(t, 0.5) / 1e3,
			       (double)histogram_quantile(t, 0.99) / 1e3, (double)histogram_quantile(t, 0.999) / 1e3,
			       (double)t->max / 1e3);
	}
	printf("\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct counter *c = &s->c[i];

		if (strncmp(c->name, "times_ns.", 9) == 0 || strcmp(c->name, "schema_version") == 0)
			continue;
		printf(strstr(c->name, "ratio") || strstr(c->name, "fill") ? "%-40s %.3f\n" : "%-40s %.0f\n", c->name, c->value);
	}
}

/* ---- one line per interval ----------------------------------------------------------------------------------------------- */

struct span {
	const struct sample *now, *before;
	double seconds;
};

static double rate(const struct span *w, const char *name)
{
	return (counter(w->now, name) - counter(w->before, name)) / w->seconds;
}

static void times_in(const struct span *w, const char *name, struct histogram_sum *out)
{
	histogram_since(times(w->now, name), times(w->before, name), out);
}

static double p99_us(const struct span *w, const char *name)
{
	struct histogram_sum s;

	times_in(w, name, &s);
	return (double)histogram_quantile(&s, 0.99) / 1e3;
}

/* Without ioctls: most would be our own. */
static double requests(const struct span *w)
{
	double n = 0;

	for (size_t i = 0; i < w->now->nt && strcmp(w->now->t[i].name, "set_commit") != 0; i++) {
		struct histogram_sum s;

		times_in(w, w->now->t[i].name, &s);
		n += strcmp(w->now->t[i].name, "ioctl") ? (double)s.count : 0;
	}
	return n / w->seconds;
}

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* Share of look-ups of one cache that hit, in the interval. */
static double hit_percent(const struct span *w, const char *cache)
{
	char hits[64], misses[64];
	double h, m;

	snprintf(hits, sizeof(hits), "caches.%s.hits", cache);
	snprintf(misses, sizeof(misses), "caches.%s.misses", cache);
	h = rate(w, hits);
	m = rate(w, misses);
	return percent(h, h + m);
}

static void print_head(void)
{
	printf("%-31s%-22s%-24s%-14s%-11s%-20s%s\n", "--- per second ---", "--- p99, us ---", "--- log ---", "--- lag ---", "-- hit % --",
	       "--- blocks/s ---", "-- mem --");
	printf("%7s %6s %6s %8s %7s %6s %6s %6s %7s %7s %6s %6s %5s %5s %6s %6s %5s %4s %5s\n", "reqs", "read", "write", "MiB/s", "read", "write",
	       "sync", "used%", "flush/s", "p99,us", "ms", "MiB", "rows", "blks", "conv", "dedup", "comp", "MiB", "used%");
}

static void print_line(const struct span *w)
{
	double appended = rate(w, "blocks.plain_bytes"), stored = rate(w, "blocks.stored_bytes");
	double sync = p99_us(w, "fsync"), write_sync = p99_us(w, "write_sync");

	printf("%7.0f %6.0f %6.0f %8.1f %7.0f %6.0f %6.0f %6.0f %7.0f %7.0f %6.0f %6.0f %5.0f %5.0f %6.0f %6.0f %5.2f %4.0f %5.0f\n", requests(w),
	       rate(w, "ops.reads"), rate(w, "ops.writes"), (rate(w, "ops.read_bytes") + rate(w, "ops.write_bytes")) / 1048576,
	       p99_us(w, "read"), p99_us(w, "write"), sync > write_sync ? sync : write_sync, 100 * counter(w->now, "log.fill"),
	       rate(w, "log.flushes"), p99_us(w, "log_flush"), counter(w->now, "apply.lag_ms"),
	       counter(w->now, "convert.lag_bytes") / 1048576, hit_percent(w, "rows"), hit_percent(w, "blocks"),
	       rate(w, "convert.blocks"), rate(w, "blocks.dedup_hits"), stored > 0 ? appended / stored : 1,
	       counter(w->now, "memory.resident_bytes") / 1048576,
	       percent(counter(w->now, "memory.used_bytes"), counter(w->now, "memory.bound_bytes")));
}

/* Until interrupted or the output is gone. */
static int watch(const struct verb *v, const char *dir, int fd, double seconds, bool json)
{
	static struct sample two[2];
	struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	for (unsigned n = 0;; n++) {
		struct sample *now = &two[n % 2], *before = &two[(n + 1) % 2];
		int err = take(fd, now), code;

		if (err)
			return cli_fail_errno(EXIT_FAILED, v->name, dir, err, NULL);
		if (json) {
			printf("%s\n", now->raw.json);
		} else if (n > 0) {
			if ((n - 1) % HEAD_EVERY == 0)
				print_head();
			print_line(&(struct span){now, before, (double)(now->at_ns - before->at_ns) / 1e9});
		}
		code = out_end(v->name, EXIT_OK);
		if (code)
			return code;
		nanosleep(&t, NULL);
	}
}

int verb_stats(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"watch", required_argument, NULL, 'w'}, {0}};
	static struct sample now;
	struct kagefs_ioc_where w;
	CLEANUP_FD int fd = -1;
	bool json = false;
	double seconds = 0;
	int c, code, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "w:", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		if (c == 'w') {
			char *end;

			seconds = strtod(optarg, &end);
			if (*end || !(seconds >= 0.1 && seconds <= 86400))
				return cli_fail(EXIT_USAGE, v->name, optarg, "is not a number of seconds", "give 0.1 to 86400");
		}
		json = json || c == 'j';
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_open(v->name, argv[optind], &fd, &w);
	if (code)
		return code;
	if (seconds > 0)
		return watch(v, argv[optind], fd, seconds, json);
	err = take(fd, &now);
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);
	if (json)
		printf("%s\n", now.raw.json);
	else
		print_all(&now);
	return out_end(v->name, EXIT_OK);
}
