/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/latency.h"

#include "fs/base/ticks.h"

static _Thread_local struct latency_ticket current;

const char *latency_name(enum latency_op op)
{
	static const char *const names[] = {
#define LATENCY_NAME(name) #name,
		LATENCY_OPS(LATENCY_NAME)
#undef LATENCY_NAME
	};

	return names[op];
}

void latency_begin(struct latency *l, enum latency_op op)
{
	current = (struct latency_ticket){&l->op[op], ticks_now()};
}

void latency_finish(struct latency_ticket t)
{
	if (t.h)
		histogram_add(t.h, ticks_ns_since(t.begin));
}

void latency_end(void)
{
	latency_finish(latency_take());
}

struct latency_ticket latency_take(void)
{
	struct latency_ticket t = current;

	current.h = NULL;
	return t;
}

void latency_rename(struct latency_ticket *t, struct latency *l, enum latency_op op)
{
	if (t->h)
		t->h = &l->op[op];
}
