/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * many_files create DIR N | write DIR N | list DIR N | list-changing DIR N
 * Names "eNNNNNNN": every one of N there exactly once; write puts 1000 bytes into each, the number first; list-changing creates and removes "xNNNNNNN" meanwhile, which may or
 * may not appear.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int create(long n, bool content)
{
	char name[32], text[1000];

	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "e%07ld", (i * 7919) % n); /* not in order; n is not a multiple of 7919 */
		if (!content && mknod(name, S_IFREG | 0644, 0)) {
			perror(name);
			return 1;
		}
		if (content) {
			int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

			memset(text, 'k', sizeof(text));
			memcpy(text, name, strlen(name));
			if (fd < 0 || write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || close(fd)) {
				perror(name);
				return 1;
			}
		}
	}
	return 0;
}

static int list(long n, bool changing)
{
	unsigned char *seen = calloc((size_t)n, 1);
	DIR *d = opendir(".");
	struct dirent *e;
	long found = 0, turn = 0;
	char name[32];

	if (!seen || !d)
		return 2;
	while ((e = readdir(d))) {
		char *end;
		long i = strtol(e->d_name + 1, &end, 10);

		if (changing && turn++ % 16 == 0) {
			snprintf(name, sizeof(name), "x%07ld", (turn * 31) % n);
			if (turn % 3 == 0)
				(void)unlink(name);
			else
				(void)mknod(name, S_IFREG | 0644, 0);
		}
		if (e->d_name[0] != 'e')
			continue;
		if (*end || i < 0 || i >= n || seen[i]) {
			printf("WRONG: %s%s\n", e->d_name, i >= 0 && i < n && seen[i] ? " twice" : "");
			return 1;
		}
		seen[i] = 1;
		found++;
	}
	closedir(d);
	free(seen);
	if (found != n)
		printf("WRONG: %ld of %ld names\n", found, n);
	return found == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	long n = argc == 4 ? atol(argv[3]) : 0;

	if (n <= 0 || chdir(argv[2])) {
		fprintf(stderr, "usage: many_files create|write|list|list-changing DIR N\n");
		return 2;
	}
	if (strcmp(argv[1], "create") == 0 || strcmp(argv[1], "write") == 0)
		return create(n, argv[1][0] == 'w');
	return list(n, strcmp(argv[1], "list-changing") == 0);
}
