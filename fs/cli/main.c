/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of verbs, the names the program answers to, and help. */
#include <string.h>

#include "fs/cli/cli.h"
#include "fs/fuse/mount.h"

#define JSON "  --json                print JSON with \"schema_version\": 1\n"

static const struct verb verbs[] = {
	{"mkfs", "[OPTIONS] STORE", "make a store in a new or empty directory",
	 "  --block-size SIZE     4K to 1M, a power of two (default 64K)\n"
	 "  --compress lz4|zstd|none   (default lz4)\n",
	 verb_mkfs, false},
	{"mount", "[-f] [-o OPTIONS] STORE DIR", "mount a store; returns when the mount answers",
	 "  -f                    stay in the foreground, messages on stderr\n"
	 "  -o OPTION[,OPTION...]\n", verb_mount, false},
	{"umount", "[--lazy] DIR", "unmount; returns when everything is durable and the store is closed",
	 "  -l, --lazy            detach now, end when the last user leaves; does not wait\n", verb_umount, false},
	{"sync", "DIR", "make everything done so far durable", NULL, verb_sync, false},
	{"volume create", "PATH...", "make an empty volume", NULL, verb_volume_create, false},
	{"volume delete", "[--recursive] PATH...", "delete a volume and everything in it",
	 "  --recursive           its snapshots too; without, they must be gone\n", verb_volume_delete, false},
	{"volume list", "[--json] PATH", "list the volumes of the mount", JSON, verb_volume_list, false},
	{"volume show", "[--json] PATH", "show the volume that holds PATH", JSON, verb_volume_show, false},
	{"volume set", "--read-only|--read-write PATH", "make a volume read-only or writable",
	 "  --read-only           stops open handles and mappings too\n  --read-write\n", verb_volume_set, false},
	{"snapshot create", "[OPTIONS] PATH...", "snapshot one or several volumes at one instant",
	 "  --name NAME           default: @GMT-YYYY.MM.DD-HH.MM.SS\n"
	 "  --read-only           sealed from birth\n"
	 "  --recursive           the volumes below PATH too\n" JSON, verb_snapshot_create, false},
	{"snapshot list", "[--json] PATH", "list the snapshots of a volume", JSON, verb_snapshot_list, false},
	{"snapshot show", "[--json] PATH NAME", "show a snapshot", JSON, verb_snapshot_show, false},
	{"snapshot delete", "[--force] PATH NAME...", "delete snapshots of a volume",
	 "  --force               also those that another program made, or that are kept\n", verb_snapshot_delete, false},
	{"snapshot set", "--read-only|--read-write PATH NAME", "make a snapshot read-only or writable",
	 "  --read-only\n  --read-write\n", verb_snapshot_set, false},
	{"rollback", "PATH NAME", "put a writable copy of a snapshot in the volume's place; what was there is kept", NULL,
	 verb_rollback, false},
	{"check", "[--repair] [--no-data] [--json] STORE", "check a store that is not mounted",
	 "  --repair              mend what the packs and rows allow, finish what was under way, then check; exit codes of\n"
	 "                        fsck(8): 0 clean, 1 mended, 4 something is left, 8 could not do it\n"
	 "  --no-data             do not read and verify every block\n" JSON, verb_check, false},
	{"df", "[--json] DIR", "show space of the mount", JSON, verb_df, false},
	{"stats", "[--json] [--watch SECONDS] DIR", "show times and counters of the mount",
	 "  --watch SECONDS       one line per interval, like vmstat; with --json an object\n" JSON, verb_stats, false},
	{"version", "", "print the version", NULL, verb_version, false},
	{"help", "[VERB]", "print help", NULL, verb_help_verb, false},
	/* other spellings */
	{"format", "", "", NULL, verb_mkfs, true},
	{"--version", "", "", NULL, verb_version, true},
	{"--help", "", "", NULL, verb_help_verb, true},
	{"-h", "", "", NULL, verb_help_verb, true},
};

/* "vol" for "volume", "snap" for "snapshot", "ls" for "list". */
static const char *full_word(const char *w)
{
	static const char *const table[][2] = {
		{"vol", "volume"},  {"subvol", "volume"}, {"subvolume", "volume"}, {"snap", "snapshot"},
		{"ls", "list"},	    {"rm", "delete"},	  {"unmount", "umount"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(w, table[i][0]) == 0)
			return table[i][1];
	return w;
}

const struct verb *verb_find(int argc, char **argv, int *used)
{
	char two[64];

	if (argc < 1)
		return NULL;
	for (*used = MIN(argc, 2); *used > 0; --*used) {
		if (*used == 2)
			snprintf(two, sizeof(two), "%s %s", full_word(argv[0]), full_word(argv[1]));
		else
			snprintf(two, sizeof(two), "%s", full_word(argv[0]));
		for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
			if (strcmp(verbs[i].name, two) == 0)
				return &verbs[i];
	}
	return NULL;
}

void verb_help(FILE *f, const struct verb *v)
{
	fprintf(f, "usage: kagefs %s %s\n%s\n", v->name, v->args, v->about);
	if (v->options)
		fprintf(f, "\n%s", v->options);
	if (v->run == verb_mount)
		fprintf(f, "%s", mnt_options_help);
}

void verb_list(FILE *f)
{
	fprintf(f, "usage: kagefs VERB ...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!verbs[i].hidden)
			fprintf(f, "  %-16s %s\n", verbs[i].name, verbs[i].about);
	fprintf(f, "\n'kagefs help VERB' says more.  Also: mount -t fuse.kagefs STORE DIR [-o OPTIONS]\n");
}

int verb_help_verb(const struct verb *v, int argc, char **argv)
{
	int used;

	if (argc < 2) {
		verb_list(stdout);
		return out_end("help", EXIT_OK);
	}
	v = verb_find(argc - 1, argv + 1, &used);
	if (v && !v->hidden) {
		verb_help(stdout, v);
		return out_end("help", EXIT_OK);
	}
	/* "help volume": all that begin so */
	bool any = false;
	const char *word = full_word(argv[1]);
	size_t len = strlen(word);

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strncmp(verbs[i].name, word, len) == 0 && verbs[i].name[len] == ' ') {
			printf("kagefs %s %s\n    %s\n", verbs[i].name, verbs[i].args, verbs[i].about);
			any = true;
		}
	if (any)
		return out_end("help", EXIT_OK);
	return cli_fail(EXIT_USAGE, "help", argv[1], "there is no such verb", "see 'kagefs help'");
}

int verb_version(const struct verb *v, int argc, char **argv)
{
	printf("kagefs %s, ioctl ABI %d\n", KAGEFS_VERSION, KAGEFS_ABI_VERSION);
	return out_end("version", EXIT_OK);
}

static const struct verb *verb_named(const char *name)
{
	int used;

	return verb_find(1, (char *[]){(char *)name, NULL}, &used);
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 && argv[0] ? strrchr(argv[0], '/') : NULL;
	const struct verb *v;
	int used;

	name = name ? name + 1 : argc > 0 ? argv[0] : "kagefs";
	if (strncmp(name, "mkfs.", 5) == 0)
		return verb_mkfs(verb_named("mkfs"), argc, argv);
	if (strncmp(name, "mount.", 6) == 0)
		return verb_mount_helper(argc, argv);
	if (strncmp(name, "umount.", 7) == 0)
		return verb_umount(verb_named("umount"), argc, argv);
	if (strncmp(name, "fsck.", 5) == 0)
		return verb_fsck_helper(argc, argv);
	if (argc < 2) {
		verb_list(stderr);
		return EXIT_USAGE;
	}
	v = verb_find(argc - 1, argv + 1, &used);
	if (v)
		return v->run(v, argc - used, argv + used);
	if (strchr(argv[1], '/')) /* mount.fuse runs "kagefs STORE DIR -o OPTIONS" */
		return verb_mount_helper(argc, argv);
	v = NULL;
	if (strcmp(full_word(argv[1]), "volume") == 0 || strcmp(full_word(argv[1]), "snapshot") == 0)
		return cli_fail(EXIT_USAGE, full_word(argv[1]), argc > 2 ? argv[2] : NULL,
				argc > 2 ? "there is no such verb" : "what is to be done is missing", "see 'kagefs help'");
	return cli_fail(EXIT_USAGE, argv[1], NULL, "there is no such verb", "see 'kagefs help'");
}
