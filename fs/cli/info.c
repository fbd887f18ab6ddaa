/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs df. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/cli/cli.h"

struct counts {
	unsigned long long volumes, snapshots;
};

static int count_one(void *arg, const struct kagefs_volume_info *v)
{
	struct counts *c = arg;

	if (v->flags & KAGEFS_VOL_SNAPSHOT)
		c->snapshots++;
	else
		c->volumes++;
	return 0;
}

int verb_df(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
	struct kagefs_ioc_info info = {0};
	struct kagefs_ioc_where w;
	struct counts n = {0};
	struct statvfs s;
	CLEANUP_FD int fd = -1;
	bool json = false;
	int c, code, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		json = true;
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_open(v->name, argv[optind], &fd, &w);
	if (code)
		return code;
	err = fstatvfs(fd, &s) ? -errno : target_ioctl(fd, KAGEFS_IOC_INFO, &info);
	if (!err)
		err = target_each_volume(fd, 0, count_one, &n);
	if (err)
		return cli_fail_errno(EXIT_FAILED, v->name, argv[optind], err, NULL);

	unsigned long long size = (unsigned long long)s.f_blocks * s.f_frsize, avail = (unsigned long long)s.f_bavail * s.f_frsize;
	unsigned long long used = size - (unsigned long long)s.f_bfree * s.f_frsize;
	const char *state = info.store_flags & KAGEFS_STORE_POISONED   ? "failed"
			    : info.store_flags & KAGEFS_STORE_FULL	? "full"
			    : info.store_flags & KAGEFS_STORE_READ_ONLY ? "read-only"
									: "ok";

	if (json) {
		printf(OUT_JSON_HEAD
		       "\"size\":%llu,\"used\":%llu,\"available\":%llu,\"block_size\":%u,\"volumes\":%llu,\"snapshots\":%llu,\"state\":\"%s\"}\n",
		       size, used, avail, info.block_size, n.volumes, n.snapshots, state);
	} else {
		char a[32], b[32], d[32];

		out_bytes(size, a);
		out_bytes(used, b);
		out_bytes(avail, d);
		printf("size       %s\nused       %s\navailable  %s\nvolumes    %llu\nsnapshots  %llu\nstate      %s\n", a, b, d, n.volumes,
		       n.snapshots, state);
	}
	return out_end(v->name, EXIT_OK);
}
