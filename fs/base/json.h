/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One JSON object written into a buffer, member by member.  Keys are names in the code: nothing is escaped. */
#ifndef FS_BASE_JSON_H
#define FS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/cleanup.h"

struct histogram_sum;

struct json {
	char *buf; /* borrowed */
	size_t size, len;
	bool first; /* the next member needs no comma */
	bool cut;   /* it did not fit: what is there is no JSON */
};

void json_begin(struct json *j, char *buf, size_t size);
/* name NULL only for the outermost object. */
void json_open(struct json *j, const char *name);
void json_close(struct json *j);
void json_u64(struct json *j, const char *name, uint64_t v);
/* With three digits behind the point; not finite: null. */
void json_number(struct json *j, const char *name, double v);
/* {"count":..,"mean":..,"p50":..,"p99":..,"p999":..,"max":..} */
void json_times(struct json *j, const char *name, const struct histogram_sum *s);
/* The length, or -ENOSPC. */
int json_end(struct json *j) MUST_USE;

#endif
