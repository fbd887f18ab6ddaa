/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the user sees: error lines and step lines on stderr, JSON on any stream. */
#ifndef AGENT_VSS_OUT_H
#define AGENT_VSS_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_PARTIAL = 3 };

#define OUT_SCHEMA_VERSION 1

/* `verb` is borrowed for ever.  verbose turns out_step on. */
void out_init(const char *verb, bool verbose);

/* kagefs-vss: VERB: OBJECT: REASON; WHAT TO DO */
void out_error(const char *object, const char *advice, const char *reason_fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for something the program goes on after. */
void out_warning(const char *object, const char *advice, const char *reason_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* One line per step, only with --verbose. */
void out_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A JSON writer that keeps the commas.  key is NULL inside arrays and for the outermost value. */
struct json {
	FILE *f; /* borrowed */
	bool need_comma;
};
void out_json_open(struct json *j, const char *key, char bracket);
void out_json_close(struct json *j, char bracket);
void out_json_string(struct json *j, const char *key, const char *value);
void out_json_number(struct json *j, const char *key, int64_t value);
void out_json_bool(struct json *j, const char *key, bool value);
void out_json_null(struct json *j, const char *key);

#endif
