/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs check and fsck.kagefs. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/io.h"
#include "fs/base/msg.h"
#include "fs/cli/cli.h"
#include "fs/volume/volume.h"

struct report {
	bool json;
	unsigned n;
};

static void on_violation(void *arg, const char *number, const char *text)
{
	struct report *r = arg;

	if (r->json) {
		printf("%s{\"rule\":", r->n ? "," : "");
		out_json_string(number);
		printf(",\"text\":");
		out_json_string(text);
		putchar('}');
	} else {
		printf("%s: %s\n", number, text);
	}
	r->n++;
}

/* A command's exit codes; *violations as found. */
static int check_store(const char *store, bool repair, bool data, bool json, int *violations)
{
	struct fs_open_options oo = {.read_only = !repair};
	struct report r = {.json = json};
	struct fs_check_options co = {.verify_blocks = data, .drain = repair, .report = on_violation, .arg = &r};
	char holder[256] = "", reason[320];
	struct io *io = NULL;
	struct fs *fs = NULL;
	int n, err = io_posix_new(store, &io);

	msg_open("kagefs", MSG_STDERR, LOG_WARNING);
	if (!err)
		err = fs_open(io, &oo, holder, sizeof(holder), &fs);
	if (err) {
		io_free(io);
		holder[strcspn(holder, "\n")] = '\0';
		snprintf(reason, sizeof(reason), "is open in process %s", holder[0] ? holder : "unknown");
		if (err == -EBUSY)
			return cli_fail(EXIT_LOCKED, "check", store, reason, "unmount it first");
		if (err == -ENOENT)
			return cli_fail(EXIT_NO_STORE, "check", store, "holds no store", "check the path");
		return cli_fail_errno(EXIT_FAILED, "check", store, err, NULL);
	}
	if (json)
		printf(OUT_JSON_HEAD "\"violations\":[");
	n = fs_check(fs, &co);
	if (json)
		printf("],\"count\":%d}\n", n < 0 ? -1 : n);
	err = fs_close(fs);
	io_free(io);
	if (n < 0 || err)
		return cli_fail_errno(EXIT_FAILED, "check", store, n < 0 ? n : err, NULL);
	*violations = n;
	if (n > 0 && !json)
		printf("%s: %d violation%s\n", store, n, n == 1 ? "" : "s");
	return n > 0 ? EXIT_FAILED : EXIT_OK;
}

int verb_check(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {
		{"repair", no_argument, NULL, 'r'}, {"no-data", no_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'}, {0}};
	bool repair = false, data = true, json = false;
	int c, n = 0, code;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, EXIT_USAGE);
		repair = repair || c == 'r';
		data = data && c != 'n';
		json = json || c == 'j';
	}
	if (argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = check_store(argv[optind], repair, data, json, &n);
	return out_end("check", code);
}

/* fsck -t kagefs: -a -p repair, -n never writes, -y -f as ever; the codes of fsck(8). */
int verb_fsck_helper(int argc, char **argv)
{
	bool repair = false;
	int c, n = 0, code;

	opterr = 0;
	while ((c = getopt(argc, argv, "aprynfvVTCM")) != -1) {
		if (c == '?')
			return cli_fail(FSCK_USAGE, "check", argv[optind - 1], "is no option here", "see 'kagefs help check'");
		repair = repair || c == 'a' || c == 'p' || c == 'r' || c == 'y';
	}
	if (argc - optind != 1)
		return cli_fail(FSCK_USAGE, "check", NULL, "one store is wanted", "see 'kagefs help check'");
	code = out_end("check", check_store(argv[optind], repair, true, false, &n));
	return n > 0 ? FSCK_UNCORRECTED : code == EXIT_OK ? FSCK_OK : FSCK_OPERATION;
}
