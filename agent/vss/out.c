/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/out.h"

#include <inttypes.h>
#include <stdarg.h>

static const char *verb_name = "?";
static bool steps_on;

void out_init(const char *verb, bool verbose)
{
	verb_name = verb;
	steps_on = verbose;
}

static void line(const char *kind, const char *object, const char *advice, const char *fmt, va_list ap)
{
	flockfile(stderr);
	fprintf(stderr, "kagefs-vss: %s: %s%s: ", verb_name, kind, object);
	vfprintf(stderr, fmt, ap);
	if (advice)
		fprintf(stderr, "; %s", advice);
	putc('\n', stderr);
	funlockfile(stderr);
}

void out_error(const char *object, const char *advice, const char *reason_fmt, ...)
{
	va_list ap;

	va_start(ap, reason_fmt);
	line("", object, advice, reason_fmt, ap);
	va_end(ap);
}

void out_warning(const char *object, const char *advice, const char *reason_fmt, ...)
{
	va_list ap;

	va_start(ap, reason_fmt);
	line("warning: ", object, advice, reason_fmt, ap);
	va_end(ap);
}

void out_step(const char *fmt, ...)
{
	va_list ap;

	if (!steps_on)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
}

static void text(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			putc(c, f);
	}
	putc('"', f);
}

static void before(struct json *j, const char *key)
{
	if (j->need_comma)
		putc(',', j->f);
	if (key) {
		text(j->f, key);
		putc(':', j->f);
	}
	j->need_comma = true;
}

void out_json_open(struct json *j, const char *key, char bracket)
{
	before(j, key);
	putc(bracket, j->f);
	j->need_comma = false;
}

void out_json_close(struct json *j, char bracket)
{
	putc(bracket, j->f);
	j->need_comma = true;
}

void out_json_string(struct json *j, const char *key, const char *value)
{
	before(j, key);
	text(j->f, value);
}

void out_json_number(struct json *j, const char *key, int64_t value)
{
	before(j, key);
	fprintf(j->f, "%" PRId64, value);
}

void out_json_bool(struct json *j, const char *key, bool value)
{
	before(j, key);
	fputs(value ? "true" : "false", j->f);
}

void out_json_null(struct json *j, const char *key)
{
	before(j, key);
	fputs("null", j->f);
}
