/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "fs/base/histogram.h"

static void add(struct json *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct json *j, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (j->cut)
		return;
	va_start(ap, fmt);
	n = vsnprintf(j->buf + j->len, j->size - j->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= j->size - j->len)
		j->cut = true;
	else
		j->len += (size_t)n;
}

static void add_name(struct json *j, const char *name)
{
	if (!j->first)
		add(j, ",");
	j->first = false;
	if (name)
		add(j, "\"%s\":", name);
}

void json_begin(struct json *j, char *buf, size_t size)
{
	*j = (struct json){.buf = buf, .size = size, .first = true, .cut = size == 0};
}

void json_open(struct json *j, const char *name)
{
	add_name(j, name);
	add(j, "{");
	j->first = true;
}

void json_close(struct json *j)
{
	add(j, "}");
	j->first = false;
}

void json_u64(struct json *j, const char *name, uint64_t v)
{
	add_name(j, name);
	add(j, "%llu", (unsigned long long)v);
}

void json_number(struct json *j, const char *name, double v)
{
	add_name(j, name);
	if (isfinite(v))
		add(j, "%.3f", v);
	else
		add(j, "null");
}

void json_times(struct json *j, const char *name, const struct histogram_sum *s)
{
	json_open(j, name);
	json_u64(j, "count", s->count);
	json_u64(j, "mean", s->count ? s->sum / s->count : 0);
	json_u64(j, "p50", histogram_quantile(s, 0.5));
	json_u64(j, "p99", histogram_quantile(s, 0.99));
	json_u64(j, "p999", histogram_quantile(s, 0.999));
	json_u64(j, "max", s->max);
	json_close(j);
}

int json_end(struct json *j)
{
	return j->cut ? -ENOSPC : (int)j->len;
}
