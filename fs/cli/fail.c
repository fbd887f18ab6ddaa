/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What went wrong, in words, and what to do about it. */
#include <errno.h>
#include <string.h>

#include "fs/cli/cli.h"

static const struct {
	int err;
	const char *reason, *todo;
} words[] = {
	{ENOENT, "does not exist", "check the spelling"},
	{EPERM, "not permitted", "be root, or the owner of the volume's root directory"},
	{EACCES, "permission denied", "check the rights on the path, or be root"},
	{ENOTTY, "is not on a mounted kagefs", "'findmnt -t fuse.kagefs' lists what is mounted"},
	{ENOTDIR, "is not a directory", "name a directory"},
	{EISDIR, "is a directory", "name a file"},
	{EEXIST, "exists already", "choose another name"},
	{ENOTEMPTY, "is not empty", "choose a new or empty directory"},
	{EBUSY, "is in use", "close what uses it, then try again"},
	{EROFS, "is read-only", "make it writable, or use another volume"},
	{ENOSPC, "there is no space left", "delete files or snapshots, see 'kagefs df' and 'kagefs snapshot list'"},
	{EDQUOT, "the quota of the underlying file system is used up", "delete files or snapshots"},
	{EINVAL, "is not possible like this", "see 'kagefs help'"},
	{ENAMETOOLONG, "the name is too long", "use at most 255 bytes"},
	{ENOTCONN, "the program that served this mount is gone", "'kagefs mount STORE DIR' brings it back"},
	{ESTALE, "was deleted meanwhile", "open it anew"},
	{EIO, "reading or writing the store failed, or it is damaged", "see the system's messages, then run 'kagefs check'"},
	{EUCLEAN, "is damaged", "run 'kagefs check' on the unmounted store"},
	{EPROTONOSUPPORT, "was written by a newer version of kagefs", "install that version"},
	{ENOMEM, "there is not enough memory", "give the mount less with '-o memory=SIZE', or the machine more"},
	{EOPNOTSUPP, "is not supported here", "see 'kagefs help'"},
	{EXDEV, "lies in another volume", "name things of one volume"},
	{ETIME, "was not durable in time and has been revoked", "try again when the disk is less busy"},
	{EINPROGRESS, "is still under way", "try again"},
	{EAGAIN, "changed meanwhile", "try again"},
	{ELOOP, "has too many symbolic links", "name the directory itself"},
	{EMFILE, "too many files are open", "raise 'ulimit -n'"},
	{ENODEV, "the kernel has no FUSE", "run 'modprobe fuse' as root"},
};

const char *cli_reason(int err)
{
	err = err < 0 ? -err : err;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].err == err)
			return words[i].reason;
	return strerror(err);
}

/* A file name must not break the line. */
static void put_text(const char *s)
{
	for (; *s; s++)
		fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, stderr);
}

int cli_fail(int code, const char *verb, const char *object, const char *reason, const char *todo)
{
	fputs("kagefs: ", stderr);
	put_text(verb);
	if (object) {
		fputs(": ", stderr);
		put_text(object);
	}
	fputs(": ", stderr);
	put_text(reason);
	if (todo) {
		fputs("; ", stderr);
		put_text(todo);
	}
	fputc('\n', stderr);
	return code;
}

int cli_fail_errno(int code, const char *verb, const char *object, int err, const char *hint)
{
	const char *todo = hint;

	err = err < 0 ? -err : err;
	for (size_t i = 0; i < ARRAY_SIZE(words) && !todo; i++)
		if (words[i].err == err)
			todo = words[i].todo;
	return cli_fail(code, verb, object, cli_reason(err), todo ? todo : "see the system's messages");
}

int cli_usage(const struct verb *v, int code)
{
	char todo[96];

	snprintf(todo, sizeof(todo), "see 'kagefs help %s'", v->name);
	fprintf(stderr, "kagefs: %s: usage: kagefs %s %s; %s\n", v->name, v->name, v->args, todo);
	return code;
}
