/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/readahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/cleanup.h"

/* Measured: 128 KiB 0.7, 1 MiB 0.9, 2 MiB 1.0 of ext4; 4 MiB is no better. */
#define READAHEAD_KIB "2048"

void readahead_raise(const char *dir)
{
	CLEANUP_FD int fd = -1;
	struct statx st;
	char path[64];

	/* No field wanted: only the device, which the kernel knows by itself. */
	if (geteuid() != 0 || statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, READAHEAD_KIB, sizeof(READAHEAD_KIB) - 1); /* see the header */
}
