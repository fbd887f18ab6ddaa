/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kagefs umount and umount.kagefs: unmount, then wait until the store is closed.  kagefs sync. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>

#include "fs/base/clock.h"
#include "fs/cli/cli.h"
#include "fs/fuse/mount.h"

#define WAIT_STEP_MS 20
#define SAY_AFTER_MS 2000

/* A mount namespace that was split off keeps mounts of its own, and with them the store open, for as long as it lives. */
static int fail_elsewhere(const char *store, pid_t pid)
{
	char what[80];

	snprintf(what, sizeof(what), "unmounted here, but still mounted in the mount namespace of process %ld", (long)pid);
	return cli_fail(MOUNT_FAILED, "umount", store, what, "the store stays open until that ends");
}

/* The serving program holds STORE/lock until it has closed everything.  0, -errno, or -EBUSY with *elsewhere: a process in
 * whose namespace it is mounted too. */
static int wait_closed(const struct mount_entry *was, pid_t *elsewhere)
{
	const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
	int64_t begin = clock_monotonic_ns();
	const char *store = was->source;
	char path[PATH_MAX + 8];
	CLEANUP_FD int fd = -1;
	bool said = false;

	snprintf(path, sizeof(path), "%s/lock", store);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	while (flock(fd, LOCK_SH | LOCK_NB)) {
		struct mount_entry e;
		int again;

		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		again = mount_find_store(store, &e);
		mount_entry_release(&e);
		if (again == 0)
			return 0; /* somebody has mounted it anew */
		if (!said && clock_monotonic_ns() - begin > SAY_AFTER_MS * 1000000LL) {
			*elsewhere = mount_find_elsewhere(was);
			if (*elsewhere)
				return -EBUSY;
			fprintf(stderr, "kagefs: umount: %s: writing what is left to the store\n", store);
			said = true;
		}
		nanosleep(&step, NULL);
	}
	return 0;
}

static int sync_mount(const char *dir)
{
	struct kagefs_ioc_sync s = {0};
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (syncfs(fd)) /* what shared mappings dirtied */
		return -errno;
	return target_ioctl(fd, KAGEFS_IOC_SYNC, &s);
}

static int unmount(const char *dir, bool lazy)
{
	CLEANUP_FREE char *abs = mount_abspath(dir);
	struct mount_entry e;
	int err, sync_err = 0, code = MOUNT_OK;
	pid_t elsewhere = 0;

	if (!abs)
		return cli_fail_errno(MOUNT_FAILED, "umount", dir, errno, NULL);
	if (mount_find_dir(abs, &e) || strcmp(e.type, "fuse.kagefs") != 0) {
		mount_entry_release(&e);
		return cli_fail(MOUNT_FAILED, "umount", dir, "is not the mount point of a kagefs", "'findmnt -t fuse.kagefs' lists them");
	}
	if (!lazy)
		sync_err = sync_mount(abs);
	if (sync_err == -ENOTCONN || sync_err == -EACCES || sync_err == -EPERM)
		sync_err = 0; /* dead, or not ours to look into */
	err = mnt_umount(abs, lazy);
	if (err == -EBUSY && geteuid() != 0 && access("/etc/mtab", F_OK) != 0)
		code = cli_fail(MOUNT_FAILED, "umount", dir, "fusermount3 needs /etc/mtab, which this system lacks",
				"let root run: ln -s ../proc/self/mounts /etc/mtab");
	else if (err == -EBUSY)
		code = cli_fail(MOUNT_FAILED, "umount", dir, "is in use", "end what 'fuser -vm DIR' shows, or use --lazy");
	else if (err == -EPERM)
		code = cli_fail(MOUNT_USAGE, "umount", dir, "not permitted", "be root, or the user who mounted it");
	else if (err)
		code = cli_fail_errno(MOUNT_FAILED, "umount", dir, err, NULL);
	else if (!lazy && wait_closed(&e, &elsewhere) == -EBUSY)
		code = fail_elsewhere(e.source, elsewhere);
	if (code == MOUNT_OK && sync_err)
		code = cli_fail(MOUNT_FAILED, "umount", e.source, "unmounted, but not everything could be made durable",
				"see the system's messages");
	mount_entry_release(&e);
	return code;
}

int verb_umount(const struct verb *v, int argc, char **argv)
{
	static const struct option options[] = {{"lazy", no_argument, NULL, 'l'}, {0}};
	bool lazy = false;
	int c;

	opterr = 0;
	/* -f -n -r -v -N -t: what umount(8) hands to a helper */
	while ((c = getopt_long(argc, argv, "lfnrvN:t:", options, NULL)) != -1) {
		if (c == '?')
			return cli_usage(v, MOUNT_USAGE);
		lazy = lazy || c == 'l';
	}
	if (argc - optind != 1)
		return cli_usage(v, MOUNT_USAGE);
	return unmount(argv[optind], lazy);
}

int verb_sync(const struct verb *v, int argc, char **argv)
{
	struct kagefs_ioc_where w;
	CLEANUP_FD int fd = -1;
	int code, err;

	opterr = 0;
	if (getopt(argc, argv, "") != -1 || argc - optind != 1)
		return cli_usage(v, EXIT_USAGE);
	code = target_open("sync", argv[optind], &fd, &w);
	if (code)
		return code;
	struct kagefs_ioc_sync s = {0};

	err = syncfs(fd) ? -errno : target_ioctl(fd, KAGEFS_IOC_SYNC, &s);
	return err ? cli_fail_errno(EXIT_FAILED, "sync", argv[optind], err, NULL) : EXIT_OK;
}
