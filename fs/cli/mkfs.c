/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/io.h"
#include "fs/cli/cli.h"
#include "fs/volume/volume.h"

#define BLOCK_MIN 4096u
#define BLOCK_MAX (1u << 20)

/* Numbers of enum store_codec; they are on disk and never change. */
static const struct {
	const char *name;
	int number;
} codecs[] = {{"none", 0}, {"lz4", 1}, {"zstd", 2}};

static int parse_block_size(const char *s, uint32_t *out)
{
	char *end;
	unsigned long v;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || v > BLOCK_MAX)
		return -EINVAL;
	if (*end) {
		int unit = tolower((unsigned char)*end);

		if ((unit != 'k' && unit != 'm') || (end[1] && strcmp(end + 1, "iB") != 0 && strcmp(end + 1, "B") != 0))
			return -EINVAL;
		v <<= unit == 'k' ? 10 : 20;
	}
	if (v < BLOCK_MIN || v > BLOCK_MAX || (v & (v - 1)))
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int format(const char *store, const struct fs_format_options *o, bool made)
{
	struct io *io = NULL;
	int err = io_posix_new(store, &io);

	if (!err)
		err = fs_format(io, o);
	io_free(io);
	if (!err)
		return EXIT_OK;
	if (made)
		(void)rmdir(store); /* only if nothing is in it */
	if (err == -EEXIST)
		return cli_fail(EXIT_FAILED, "mkfs", store, "is not empty", "choose a new or empty directory");
	return cli_fail_errno(EXIT_FAILED, "mkfs", store, err, NULL);
}

int verb_mkfs(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {
		{"block-size", required_argument, NULL, 'b'},
		{"compress", required_argument, NULL, 'c'},
		{"type", required_argument, NULL, 't'}, /* mkfs -t kagefs hands it on */
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	struct fs_format_options o = {.codec = -1, .root_uid = getuid(), .root_gid = getgid(), .root_mode = 0755};
	bool made = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "t:v", options, NULL)) != -1) {
		size_t i;

		switch (c) {
		case 'b':
			if (parse_block_size(optarg, &o.block_size))
				return cli_fail(EXIT_USAGE, "mkfs", optarg, "is not a block size", "give a power of two from 4K to 1M");
			break;
		case 'c':
			for (i = 0; i < ARRAY_SIZE(codecs) && strcmp(optarg, codecs[i].name) != 0; i++)
				;
			if (i == ARRAY_SIZE(codecs))
				return cli_fail(EXIT_USAGE, "mkfs", optarg, "is not a compression", "give lz4, zstd or none");
			o.codec = codecs[i].number;
			break;
		case 't':
		case 'v':
			break;
		default:
			return cli_usage(v, EXIT_USAGE);
		}
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	if (mkdir(argv[optind], 0700) == 0)
		made = true;
	else if (errno != EEXIST)
		return cli_fail_errno(EXIT_FAILED, "mkfs", argv[optind], errno, errno == ENOENT ? "make its parent directory first" : NULL);
	return format(argv[optind], &o, made);
}
