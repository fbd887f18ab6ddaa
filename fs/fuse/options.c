/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The -o options: one table for parsing, one text for help, next to each other. */
#include "fs/fuse/mnt.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

const char mnt_options_help[] =
	"  allow_other           let other users in, each with their own rights\n"
	"  ro                    mount read-only\n"
	"  snapdir=visible       list .snapshots in directories (default: hidden)\n"
	"  memory=SIZE           bound for all memory of the daemon, buffers and queues included (default 512M)\n"
	"  log=SIZE              most the log may take in the store (default a sixteenth of the free space, 64M to 4G)\n"
	"  direct=SIZE|never     open files this large for writing with direct I/O (default 16M)\n"
	"  threads=N             most threads that serve requests (default 64, less with little memory)\n"
	"  io_uring              requests by FUSE over io_uring (Linux 6.14; /sys/module/fuse/parameters/enable_uring must be Y)\n"
	"  nosuid,nodev,noexec,noatime,...   as in mount(8)\n";

struct parse {
	struct mnt_options o; /* a copy, given back when all is well */
	char *memory, *log, *direct, *snapdir; /* owned */
	char *why;
	size_t why_size;
};

enum key { KEY_KERNEL, KEY_IGNORE, KEY_SUID_DEV }; /* for the kernel; nothing to do; for the kernel, and no default of ours */

#define OPT(t, f, v) {t, offsetof(struct parse, f), v}

static const struct fuse_opt table[] = {
	OPT("allow_other", o.allow_other, 1),
	OPT("ro", o.read_only, 1),
	OPT("debug", o.debug, 1),
	OPT("io_uring", o.io_uring, 1),
	OPT("threads=%u", o.threads, 0),
	OPT("memory=%s", memory, 0),
	OPT("log=%s", log, 0),
	OPT("direct=%s", direct, 0),
	OPT("snapdir=%s", snapdir, 0),
	FUSE_OPT_KEY("ro", KEY_KERNEL),
	FUSE_OPT_KEY("rw", KEY_IGNORE),
	FUSE_OPT_KEY("default_permissions", KEY_IGNORE), /* always */
	FUSE_OPT_KEY("suid", KEY_SUID_DEV),
	FUSE_OPT_KEY("nosuid", KEY_SUID_DEV),
	FUSE_OPT_KEY("dev", KEY_SUID_DEV),
	FUSE_OPT_KEY("nodev", KEY_SUID_DEV),
	FUSE_OPT_KEY("exec", KEY_KERNEL),
	FUSE_OPT_KEY("noexec", KEY_KERNEL),
	FUSE_OPT_KEY("atime", KEY_KERNEL),
	FUSE_OPT_KEY("noatime", KEY_KERNEL),
	FUSE_OPT_KEY("context=", KEY_KERNEL),
	FUSE_OPT_KEY("fscontext=", KEY_KERNEL),
	FUSE_OPT_KEY("defcontext=", KEY_KERNEL),
	FUSE_OPT_KEY("rootcontext=", KEY_KERNEL),
	FUSE_OPT_KEY("nodiratime", KEY_IGNORE),
	FUSE_OPT_KEY("diratime", KEY_IGNORE),
	FUSE_OPT_KEY("relatime", KEY_IGNORE),
	FUSE_OPT_KEY("norelatime", KEY_IGNORE),
	FUSE_OPT_KEY("strictatime", KEY_IGNORE),
	FUSE_OPT_KEY("lazytime", KEY_IGNORE),
	FUSE_OPT_KEY("async", KEY_IGNORE),
	FUSE_OPT_KEY("defaults", KEY_IGNORE),
	FUSE_OPT_KEY("nofail", KEY_IGNORE),
	FUSE_OPT_KEY("auto", KEY_IGNORE),
	FUSE_OPT_KEY("noauto", KEY_IGNORE),
	FUSE_OPT_KEY("user", KEY_IGNORE),
	FUSE_OPT_KEY("user=", KEY_IGNORE),
	FUSE_OPT_KEY("nouser", KEY_IGNORE),
	FUSE_OPT_KEY("users", KEY_IGNORE),
	FUSE_OPT_KEY("owner", KEY_IGNORE),
	FUSE_OPT_KEY("group", KEY_IGNORE),
	FUSE_OPT_KEY("_netdev", KEY_IGNORE),
	FUSE_OPT_KEY("comment=", KEY_IGNORE),
	FUSE_OPT_END,
};

static int on_option(void *data, const char *arg, int key, struct fuse_args *outargs)
{
	struct parse *p = data;

	switch (key) {
	case KEY_SUID_DEV:
		p->o.suid_dev = 0;
		return fuse_opt_add_opt_escaped(&p->o.kernel, arg);
	case KEY_KERNEL:
		return fuse_opt_add_opt_escaped(&p->o.kernel, arg);
	case KEY_IGNORE:
		return 0;
	default:
		if (strncmp(arg, "x-", 2) == 0) /* for other programs that read fstab */
			return 0;
		snprintf(p->why, p->why_size, "unknown option '%s'", arg);
		return -1;
	}
}

/* "512M", "1g", "65536".  -EINVAL. */
static int parse_size(const char *s, uint64_t *out)
{
	static const char unit[] = "kmgtp";
	char *end;
	unsigned shift = 0;
	uint64_t v;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		const char *u = strchr(unit, tolower((unsigned char)*end));

		if (!u || (end[1] && strcmp(end + 1, "iB") != 0 && strcmp(end + 1, "B") != 0))
			return -EINVAL;
		shift = 10 * (unsigned)(u - unit + 1);
	}
	if (v > UINT64_MAX >> 1 >> shift)
		return -EINVAL;
	*out = v << shift;
	return 0;
}

static int bad_value(struct parse *p, const char *name, const char *value, const char *want)
{
	snprintf(p->why, p->why_size, "option %s=%s: %s", name, value, want);
	return -EINVAL;
}

static int take_sizes(struct parse *p)
{
	uint64_t memory;

	if (p->memory && (parse_size(p->memory, &p->o.memory_bytes) || p->o.memory_bytes < MNT_MEMORY_LEAST))
		return bad_value(p, "memory", p->memory, "a size of 64M or more is wanted");
	memory = p->o.memory_bytes ? p->o.memory_bytes : FS_MEMORY_DEFAULT;
	if (p->log && (parse_size(p->log, &p->o.log_bytes) || p->o.log_bytes < (8u << 20)))
		return bad_value(p, "log", p->log, "a size of 8M or more is wanted");
	if (p->direct && strcmp(p->direct, "never") == 0)
		p->o.direct_bytes = UINT64_MAX;
	else if (p->direct && parse_size(p->direct, &p->o.direct_bytes))
		return bad_value(p, "direct", p->direct, "a size or 'never' is wanted");
	if (p->snapdir && strcmp(p->snapdir, "visible") != 0 && strcmp(p->snapdir, "hidden") != 0)
		return bad_value(p, "snapdir", p->snapdir, "'visible' or 'hidden' is wanted");
	if (p->snapdir)
		p->o.snapdir_visible = p->snapdir[0] == 'v';
	if (p->o.threads > 1024) {
		snprintf(p->why, p->why_size, "option threads=%u: 1 to 1024 are wanted", p->o.threads);
		return -EINVAL;
	}
	if (p->o.threads * (uint64_t)MNT_THREAD_BYTES > memory / 2) {
		snprintf(p->why, p->why_size, "option threads=%u: their buffers would take more than half of the memory", p->o.threads);
		return -EINVAL;
	}
	return 0;
}

void mnt_options_init(struct mnt_options *o)
{
	*o = (struct mnt_options){.direct_bytes = MNT_DIRECT_BYTES_DEFAULT, .suid_dev = 1};
}

void mnt_options_release(struct mnt_options *o)
{
	free(o->store);
	free(o->dir);
	free(o->kernel);
	*o = (struct mnt_options){0};
}

int mnt_options_parse(struct mnt_options *o, const char *list, char *why, size_t why_size)
{
	struct parse p = {.o = *o, .why = why, .why_size = why_size};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = 0;

	*why = '\0';
	if (fuse_opt_add_arg(&args, "kagefs") || fuse_opt_add_arg(&args, "-o") || fuse_opt_add_arg(&args, list))
		err = -ENOMEM;
	if (!err && fuse_opt_parse(&args, &p, table, on_option)) {
		if (!*why)
			snprintf(why, why_size, "bad options '%s'", list);
		err = -EINVAL;
	}
	if (!err)
		err = take_sizes(&p);
	*o = p.o; /* the kernel's list may have moved, also on failure */
	free(p.memory);
	free(p.log);
	free(p.direct);
	free(p.snapdir);
	fuse_opt_free_args(&args);
	return err;
}
