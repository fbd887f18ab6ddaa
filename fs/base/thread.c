/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/thread.h"

#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROMPT_SLICE_NS 100000 /* the least the kernel takes */
#define BACKGROUND_NICE 10

/* sched_setattr(2): SCHED_OTHER, whose sched_runtime is the length of a slice, 0 for the kernel's own (since Linux 6.12). */
static void set(int nice_value, __u64 slice_ns)
{
	struct sched_attr attr = { .size = sizeof(attr), .sched_nice = nice_value, .sched_runtime = slice_ns };

	(void)!syscall(SYS_sched_setattr, 0, &attr, 0);
}

void thread_prompt(void)
{
	struct sched_attr attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0) /* the priority stays what the user chose */
		set(attr.sched_nice, PROMPT_SLICE_NS);
}

void thread_background(void)
{
	set(BACKGROUND_NICE, 0);
}
