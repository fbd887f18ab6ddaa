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

#define REPAIR "run 'kagefs check --repair'"
#define REPORT "keep a copy of the store and report it"

/* What a violation of a rule means to people, and what they can do: at first, and when a repair has left it. */
static const struct advice {
	const char *rule, *meaning, *todo, *left;
} advices[] = {
	{"lost", "the rest of the file is whole, what is named here reads as an error", REPAIR ", which looks for the bytes elsewhere",
	 "restore it from a backup, write the same bytes again, or delete it"},
	{"I7", "what these bytes belong to cannot be read", REPAIR ", which looks for them elsewhere", "the files are named below"},
	{"M0", "the database file itself is damaged", "restore the store from a backup", "restore the store from a backup"},
	{"M1", "two rows claim the same place", "copy what you need to another store", "copy what you need to another store"},
	{"M2", "space is lost, or given back while in use", REPAIR, REPORT},
	{"M3", "files miss these bytes", REPAIR ", which looks for them in the packs", "the files are named below"},
	{"M5", "a snapshot shows what is older than it", "copy what you need to another store", "copy what you need to another store"},
	{"M6", "a row comes from the future", "copy what you need to another store", "copy what you need to another store"},
	{"M7", "rows belong to nobody", REPAIR, "restore the store from a backup"},
	{"M8", "space is not given back", REPAIR, REPORT},
	{"M9", "a row is superfluous", REPAIR, REPORT},
	{"M10", "space is not given back", REPAIR, REPORT},
	{"M11", "space is not given back", REPAIR, REPORT},
	{"M12", "rows without their file, which nobody sees", REPAIR, REPORT},
};

static const struct advice *advice_for(const char *rule)
{
	static const struct advice unknown = {"", "the program contradicts itself", REPORT, REPORT};

	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		if (!strcmp(advices[i].rule, rule))
			return &advices[i];
	return &unknown;
}

struct report {
	bool json, repair;
	unsigned n; /* printed in the list at hand */
};

static void on_violation(void *arg, const char *rule, const char *text)
{
	struct report *r = arg;
	const struct advice *a = advice_for(rule);
	const char *todo = r->repair ? a->left : a->todo;

	if (r->json) {
		printf("%s{\"rule\":", r->n ? "," : "");
		out_json_string(rule);
		printf(",\"text\":");
		out_json_string(text);
		printf(",\"meaning\":\"%s\",\"todo\":\"%s\"}", a->meaning, todo);
	} else {
		printf("%s: ", rule);
		out_name(text);
		printf("; %s; %s\n", a->meaning, todo);
	}
	r->n++;
}

static void on_mended(void *arg, const char *text)
{
	struct report *r = arg;

	if (r->json) {
		fputs(r->n ? "," : "", stdout);
		out_json_string(text);
	} else {
		printf("mended: %s\n", text);
	}
	r->n++;
}

static int open_failed(const char *store, int err, char *holder)
{
	char reason[320];

	holder[strcspn(holder, "\n")] = '\0';
	snprintf(reason, sizeof(reason), "is open in process %s", holder[0] ? holder : "unknown");
	if (err == -EBUSY)
		return cli_fail(EXIT_LOCKED, "check", store, reason, "unmount it first");
	if (err == -ENOENT)
		return cli_fail(EXIT_NO_STORE, "check", store, "holds no store", "check the path");
	return cli_fail_errno(EXIT_FAILED, "check", store, err, NULL);
}

struct outcome {
	int violations;	 /* that are left */
	uint64_t mended; /* by repair */
};

/* A command's exit codes; *out as found. */
static int check_store(const char *store, bool repair, bool data, bool json, struct outcome *out)
{
	struct report r = {.json = json, .repair = repair};
	struct fs_repair rp = {.verify_blocks = data, .report = on_mended, .arg = &r};
	struct fs_open_options oo = {.read_only = !repair, .repair = repair ? &rp : NULL};
	struct fs_check_options co = {.verify_blocks = data, .drain = repair, .report = on_violation, .arg = &r};
	char holder[256] = "";
	struct io *io = NULL;
	struct fs *fs = NULL;
	int n, err = io_posix_new(store, &io);

	msg_open("kagefs", MSG_STDERR, LOG_WARNING);
	if (json)
		printf(OUT_JSON_HEAD "\"mended\":[");
	if (!err)
		err = fs_open(io, &oo, holder, sizeof(holder), &fs);
	out->mended = rp.mended;
	if (json)
		printf("],");
	if (err) {
		if (json)
			printf("\"violations\":[],\"count\":-1}\n");
		io_free(io);
		return open_failed(store, err, holder);
	}
	r.n = 0;
	if (json)
		printf("\"violations\":[");
	n = fs_check(fs, &co);
	if (json)
		printf("],\"count\":%d}\n", n < 0 ? -1 : n);
	err = fs_close(fs);
	io_free(io);
	if (n < 0 || err)
		return cli_fail_errno(EXIT_FAILED, "check", store, n < 0 ? n : err, NULL);
	out->violations = n;
	if (rp.mended && !json)
		printf("%s: %llu mended; the database as it was is meta.db.before-repair\n", store, (unsigned long long)rp.mended);
	if (n > 0 && !json)
		printf("%s: %d violation%s\n", store, n, n == 1 ? "" : "s");
	return n > 0 ? EXIT_FAILED : EXIT_OK;
}

/* What fsck(8) would answer. */
static int fsck_code(int code, const struct outcome *out)
{
	if (out->violations > 0)
		return FSCK_UNCORRECTED;
	if (code != EXIT_OK)
		return FSCK_OPERATION;
	return out->mended ? FSCK_CORRECTED : FSCK_OK;
}

int verb_check(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {
		{"repair", no_argument, NULL, 'r'}, {"no-data", no_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'}, {0}};
	bool repair = false, data = true, json = false;
	struct outcome out = {0};
	int c, code;

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
	code = out_end("check", check_store(argv[optind], repair, data, json, &out));
	return repair ? fsck_code(code, &out) : code;
}

/* fsck -t kagefs: -a -p repair, -n never writes, -y -f as ever; the codes of fsck(8). */
int verb_fsck_helper(int argc, char **argv)
{
	bool repair = false;
	struct outcome out = {0};
	int c, code;

	opterr = 0;
	while ((c = getopt(argc, argv, "aprynfvVTCM")) != -1) {
		if (c == '?')
			return cli_fail(FSCK_USAGE, "check", argv[optind - 1], "is no option here", "see 'kagefs help check'");
		repair = repair || c == 'a' || c == 'p' || c == 'r' || c == 'y';
	}
	if (argc - optind != 1)
		return cli_fail(FSCK_USAGE, "check", NULL, "one store is wanted", "see 'kagefs help check'");
	code = out_end("check", check_store(argv[optind], repair, true, false, &out));
	return fsck_code(code, &out);
}
