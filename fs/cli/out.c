/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output for people and for programs. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fs/cli/cli.h"

/* Length of the UTF-8 sequence at s, 0 if it is none. */
static int utf8_len(const unsigned char *s)
{
	unsigned v;
	int n;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
	if (!n)
		return 0;
	v = s[0] & (0xff >> (n + 1));
	for (int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) || (n == 4 && (v < 0x10000 || v > 0x10ffff)))
		return 0;
	return n;
}

void out_json_string(const char *str)
{
	const unsigned char *s = (const unsigned char *)str;

	putchar('"');
	while (*s) {
		int n = utf8_len(s);

		if (!n) {
			printf("\\udc%02x", *s++);
		} else if (*s == '"' || *s == '\\') {
			printf("\\%c", *s++);
		} else if (*s < 0x20 || *s == 0x7f) {
			printf("\\u%04x", *s++);
		} else {
			fwrite(s, 1, (size_t)n, stdout);
			s += n;
		}
	}
	putchar('"');
}

void out_name(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '\\')
			printf("\\%03o", (unsigned char)*s);
		else
			putchar(*s);
	}
}

void out_time(uint64_t ns, char buf[32])
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void out_uuid(const struct kagefs_uuid *u, char buf[37])
{
	const __u8 *b = u->b;

	snprintf(buf, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
		 b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void out_json_uuid(const char *key, const struct kagefs_uuid *u)
{
	char text[37];

	out_uuid(u, text);
	if (uuid_is_zero(u))
		printf("\"%s\":null", key);
	else
		printf("\"%s\":\"%s\"", key, text);
}

void out_bytes(uint64_t n, char buf[32])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n;
	size_t i = 0;

	while (v >= 1024 && i + 1 < ARRAY_SIZE(unit)) {
		v /= 1024;
		i++;
	}
	snprintf(buf, 32, i ? "%.1f %s" : "%.0f %s", v, unit[i]);
}

const char *out_access(const struct kagefs_volume_info *v)
{
	if (v->flags & KAGEFS_VOL_SEALED)
		return "sealed";
	if (v->flags & KAGEFS_VOL_RECOVERY)
		return "recovery";
	return v->flags & KAGEFS_VOL_READ_ONLY ? "read-only" : "read-write";
}

void out_volume_json(const struct kagefs_volume_info *v)
{
	char time[32];

	out_time(v->created_ns, time);
	printf("{\"id\":%llu,\"name\":", (unsigned long long)v->id);
	out_json_string(v->name);
	printf(",\"snapshot\":%s,\"access\":\"%s\",\"origin\":", v->flags & KAGEFS_VOL_SNAPSHOT ? "true" : "false", out_access(v));
	if (v->origin)
		printf("%llu", (unsigned long long)v->origin);
	else
		printf("null");
	printf(",\"created\":\"%s\",\"created_ns\":%llu,\"root_ino\":%llu,", time, (unsigned long long)v->created_ns,
	       (unsigned long long)v->root_ino);
	out_json_uuid("uuid", &v->uuid);
	putchar(',');
	out_json_uuid("set", &v->set);
	putchar('}');
}

int out_end(const char *verb, int code)
{
	if (fflush(stdout) || ferror(stdout))
		return cli_fail_errno(EXIT_FAILED, verb, "output", errno ? errno : EIO, NULL);
	return code;
}
