/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs df, kagefs stats. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "fs/cli/cli.h"

struct counts {
	unsigned long long volumes, snapshots;
};

static int count_one(void *arg, const struct kagefs_volume_info *v)
{
	struct counts *c = arg;

	if (v->flags & KAGEFS_VOL_SNAPSHOT)
		c->snapshots++;
	else
		c->volumes++;
	return 0;
}

int verb_df(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
	struct kagefs_ioc_info info = {0};
	struct kagefs_ioc_where w;
	struct counts n = {0};
	struct statvfs s;
	CLEANUP_FD int fd = -1;
	bool json = false;
	int c, code, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		json = true;
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_open(v->name, argv[optind], &fd, &w);
	if (code)
		return code;
	err = fstatvfs(fd, &s) ? -errno : target_ioctl(fd, KAGEFS_IOC_INFO, &info);
	if (!err)
		err = target_each_volume(fd, 0, count_one, &n);
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);

	unsigned long long size = (unsigned long long)s.f_blocks * s.f_frsize, avail = (unsigned long long)s.f_bavail * s.f_frsize;
	unsigned long long used = size - (unsigned long long)s.f_bfree * s.f_frsize;
	const char *state = info.store_flags & KAGEFS_STORE_POISONED   ? "failed"
			    : info.store_flags & KAGEFS_STORE_FULL	? "full"
			    : info.store_flags & KAGEFS_STORE_READ_ONLY ? "read-only"
									: "ok";

	if (json) {
		printf(OUT_JSON_HEAD
		       "\"size\":%llu,\"used\":%llu,\"available\":%llu,\"block_size\":%u,\"volumes\":%llu,\"snapshots\":%llu,\"state\":\"%s\"}\n",
		       size, used, avail, info.block_size, n.volumes, n.snapshots, state);
	} else {
		char a[32], b[32], d[32];

		out_bytes(size, a);
		out_bytes(used, b);
		out_bytes(avail, d);
		printf("size       %s\nused       %s\navailable  %s\nvolumes    %llu\nsnapshots  %llu\nstate      %s\n", a, b, d, n.volumes,
		       n.snapshots, state);
	}
	return out_end(v->name, EXIT_OK);
}

/* ---- stats: a flat walk over the JSON object the file system gives -------------------------------------------------------- */

struct counter {
	char name[96];
	double value;
};
struct counters {
	struct counter c[512];
	size_t n;
};

/* One level of nesting or many: names are joined by dots; numbers only.  Good enough for our own output. */
static void parse_counters(const char *s, struct counters *out)
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
		} else if (*s == ':' && (isdigit((unsigned char)s[1]) || s[1] == '-') && out->n < ARRAY_SIZE(out->c)) {
			struct counter *c = &out->c[out->n++];
			char *end;
			size_t at = 0;

			for (int i = 1; i < depth && at < sizeof(c->name); i++)
				at += (size_t)snprintf(c->name + at, sizeof(c->name) - at, "%s.", path[i]);
			if (at < sizeof(c->name))
				snprintf(c->name + at, sizeof(c->name) - at, "%s", key);
			c->value = strtod(s + 1, &end);
			s = end - 1;
		}
	}
}

static int get_stats(int fd, struct kagefs_ioc_stats *st)
{
	memset(st, 0, sizeof(*st));
	return target_ioctl(fd, KAGEFS_IOC_STATS, st);
}

static void print_counters(const struct counters *now, const struct counters *before, double seconds)
{
	for (size_t i = 0; i < now->n; i++) {
		if (strcmp(now->c[i].name, "schema_version") == 0)
			continue;
		if (!before)
			printf("%-40s %.0f\n", now->c[i].name, now->c[i].value);
		else if (i < before->n && strcmp(before->c[i].name, now->c[i].name) == 0 && before->c[i].value != now->c[i].value)
			printf("%-40s %+.1f/s\n", now->c[i].name, (now->c[i].value - before->c[i].value) / seconds);
	}
}

int verb_stats(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"watch", required_argument, NULL, 'w'}, {0}};
	static struct kagefs_ioc_stats st;
	static struct counters now, before;
	struct kagefs_ioc_where w;
	CLEANUP_FD int fd = -1;
	bool json = false;
	double watch = 0;
	int c, code, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "w:", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		if (c == 'w') {
			char *end;

			watch = strtod(optarg, &end);
			if (*end || !(watch >= 0.1 && watch <= 86400))
				return cli_fail(EXIT_USAGE, v->name, optarg, "is not a number of seconds", "give 0.1 to 86400");
		}
		json = json || c == 'j';
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_open(v->name, argv[optind], &fd, &w);
	if (code)
		return code;
	for (bool first = true;; first = false) {
		err = get_stats(fd, &st);
		if (err)
			return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);
		st.json[sizeof(st.json) - 1] = '\0';
		if (json) {
			printf("%s\n", st.json);
		} else {
			parse_counters(st.json, &now);
			print_counters(&now, first ? NULL : &before, watch);
			before = now;
		}
		code = out_end(v->name, EXIT_OK);
		if (code || watch == 0)
			return code;
		if (!json)
			printf("\n");
		struct timespec t = {.tv_sec = (time_t)watch, .tv_nsec = (long)((watch - (double)(time_t)watch) * 1e9)};

		nanosleep(&t, NULL);
	}
}
