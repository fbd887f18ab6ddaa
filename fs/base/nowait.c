/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/nowait.h"

static _Thread_local bool serving, banned;

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

int nowait_check(void)
{
	return banned ? -NOWAIT_REFUSED : 0;
}

bool nowait_thread(void)
{
	return serving;
}
