/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints how many shadow copy sets a mount has, of any owner: for the integration scripts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fs/kagefs_ioctl.h"

int main(int argc, char **argv)
{
	struct kagefs_ioc_set_list l = { 0 };
	unsigned n = 0;
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: count-sets DIRECTORY\n");
		return 2;
	}
	do {
		struct kagefs_uuid after = l.count ? l.sets[l.count - 1].uuid : l.after;

		memset(&l, 0, sizeof(l));
		l.after = after;
		if (ioctl(fd, KAGEFS_IOC_SET_LIST, &l) < 0) {
			perror("SET_LIST");
			return 1;
		}
		n += l.count;
	} while (l.count);
	printf("%u\n", n);
	return 0;
}
