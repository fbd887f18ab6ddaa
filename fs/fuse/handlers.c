/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/handlers.h"

#include "fs/fuse/latency.h"

/* timed_NAME calls op_NAME.  The request is gone when op_NAME returns. */
#define TIMED(name, params, ...)                                                \
	static void timed_##name params                                        \
	{                                                                       \
		latency_begin(&mnt_of(req)->latency, LATENCY_##name);           \
		op_##name(__VA_ARGS__);                                         \
		latency_end();                                                  \
	}
#define FI struct fuse_file_info *fi

TIMED(lookup, (fuse_req_t req, fuse_ino_t parent, const char *name), req, parent, name)
TIMED(forget, (fuse_req_t req, fuse_ino_t ino, uint64_t n), req, ino, n)
TIMED(forget_multi, (fuse_req_t req, size_t count, struct fuse_forget_data *f), req, count, f)
TIMED(getattr, (fuse_req_t req, fuse_ino_t ino, FI), req, ino, fi)
TIMED(setattr, (fuse_req_t req, fuse_ino_t ino, struct stat *st, int valid, FI), req, ino, st, valid, fi)
TIMED(readlink, (fuse_req_t req, fuse_ino_t ino), req, ino)
TIMED(mknod, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev), req, parent, name, mode, rdev)
TIMED(mkdir, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), req, parent, name, mode)
TIMED(unlink, (fuse_req_t req, fuse_ino_t parent, const char *name), req, parent, name)
TIMED(rmdir, (fuse_req_t req, fuse_ino_t parent, const char *name), req, parent, name)
TIMED(symlink, (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name), req, target, parent, name)
TIMED(rename, (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname, unsigned flags),
      req, parent, name, newparent, newname, flags)
TIMED(link, (fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name), req, ino, parent, name)
TIMED(open, (fuse_req_t req, fuse_ino_t ino, FI), req, ino, fi)
TIMED(create, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, FI), req, parent, name, mode, fi)
TIMED(read, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, FI), req, ino, size, off, fi)
TIMED(write, (fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, FI), req, ino, buf, size, off, fi)
TIMED(release, (fuse_req_t req, fuse_ino_t ino, FI), req, ino, fi)
TIMED(fsync, (fuse_req_t req, fuse_ino_t ino, int datasync, FI), req, ino, datasync, fi)
TIMED(opendir, (fuse_req_t req, fuse_ino_t ino, FI), req, ino, fi)
TIMED(readdir, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, FI), req, ino, size, off, fi)
TIMED(readdirplus, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, FI), req, ino, size, off, fi)
TIMED(releasedir, (fuse_req_t req, fuse_ino_t ino, FI), req, ino, fi)
TIMED(fsyncdir, (fuse_req_t req, fuse_ino_t ino, int datasync, FI), req, ino, datasync, fi)
TIMED(statfs, (fuse_req_t req, fuse_ino_t ino), req, ino)
TIMED(setxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags), req, ino, name,
      value, size, flags)
TIMED(getxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), req, ino, name, size)
TIMED(listxattr, (fuse_req_t req, fuse_ino_t ino, size_t size), req, ino, size)
TIMED(removexattr, (fuse_req_t req, fuse_ino_t ino, const char *name), req, ino, name)
TIMED(ioctl,
      (fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, FI, unsigned flags, const void *in, size_t in_size,
       size_t out_size),
      req, ino, cmd, arg, fi, flags, in, in_size, out_size)
TIMED(fallocate, (fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, FI), req, ino, mode, off, len, fi)
TIMED(copy_file_range,
      (fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t out, off_t off_out,
       struct fuse_file_info *fi_out, size_t len, int flags),
      req, in, off_in, fi_in, out, off_out, fi_out, len, flags)
TIMED(lseek, (fuse_req_t req, fuse_ino_t ino, off_t off, int whence, FI), req, ino, off, whence, fi)

void handlers_fill(struct fuse_lowlevel_ops *ops)
{
	*ops = (struct fuse_lowlevel_ops){
		.lookup = timed_lookup,
		.forget = timed_forget,
		.forget_multi = timed_forget_multi,
		.getattr = timed_getattr,
		.setattr = timed_setattr,
		.readlink = timed_readlink,
		.mknod = timed_mknod,
		.mkdir = timed_mkdir,
		.unlink = timed_unlink,
		.rmdir = timed_rmdir,
		.symlink = timed_symlink,
		.rename = timed_rename,
		.link = timed_link,
		.open = timed_open,
		.create = timed_create,
		.read = timed_read,
		.write = timed_write,
		.release = timed_release,
		.fsync = timed_fsync,
		.opendir = timed_opendir,
		.readdir = timed_readdir,
		.readdirplus = timed_readdirplus,
		.releasedir = timed_releasedir,
		.fsyncdir = timed_fsyncdir,
		.statfs = timed_statfs,
		.setxattr = timed_setxattr,
		.getxattr = timed_getxattr,
		.listxattr = timed_listxattr,
		.removexattr = timed_removexattr,
		.ioctl = timed_ioctl,
		.fallocate = timed_fallocate,
		.copy_file_range = timed_copy_file_range,
		.lseek = timed_lseek,
		/* no flush: closing asks nothing of us.  No locks: the kernel keeps them.  No access: default_permissions. */
	};
}
