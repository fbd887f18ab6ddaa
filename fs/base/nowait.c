/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/nowait.h"

#include <stddef.h>

static _Thread_local bool serving, banned;
static _Thread_local void (*told)(void *arg);
static _Thread_local void *told_arg;

void nowait_begin(void)
{
	serving = banned = true;
}

void nowait_end(void)
{
	serving = banned = false;
}

void nowait_lift(void)
{
	banned = false;
}

void nowait_tell(void (*fn)(void *arg), void *arg)
{
	told = fn;
	told_arg = arg;
}

void nowait_announce(void)
{
	void (*fn)(void *arg) = told;

	told = NULL;
	if (fn)
		fn(told_arg);
}

int nowait_check(void)
{
	if (banned)
		return -NOWAIT_REFUSED;
	nowait_announce();
	return 0;
}

bool nowait_thread(void)
{
	return serving;
}
