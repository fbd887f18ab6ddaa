/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/nowait.h"

#include <stdbool.h>

static _Thread_local bool banned;

void nowait_begin(void)
{
	banned = true;
}

void nowait_end(void)
{
	banned = false;
}

int nowait_check(void)
{
	return banned ? -NOWAIT_REFUSED : 0;
}
