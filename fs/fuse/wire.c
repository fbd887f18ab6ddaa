/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See wire.h.  Runs in every worker for every request: a switch, no lock, no allocation. */
#include "fs/fuse/wire.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/base/msg.h"
#include "fs/fuse/mnt.h"
#include "fs/fuse/readahead.h"

/* Numbers of newer linux/fuse.h than Debian 12's. */
#define OP_TMPFILE 51
#define OP_STATX 52
#define NOTIFY_INC_EPOCH 8
#define MINOR_INC_EPOCH 44
#define INIT_HAS_EXPIRE_ONLY (1ULL << 35)
#define EXPIRE_ONLY 1
#define INIT_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#define INIT_OVER_IO_URING (1ULL << 41)

#define WANTED ((uint64_t)FUSE_HANDLE_KILLPRIV_V2 | (uint64_t)FUSE_SETXATTR_EXT | INIT_DIRECT_IO_ALLOW_MMAP)

static void see_init(struct wire *w, const struct fuse_in_header *h, const char *body)
{
	struct fuse_init_in in = {0};

	memcpy(&in, body, MIN(sizeof(in), h->len - sizeof(*h)));
	w->init_unique = h->unique;
	w->minor = in.minor;
	w->offered = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		w->offered |= (uint64_t)in.flags2 << 32;
}

/*
 * libfuse 3.14.0 reads the long form of SETXATTR always, later ones the short form unless they asked for the long one.
 * Given the long form with its additional words zeroed, the one finds the name and the other an empty name before it, which
 * op_setxattr tells apart.  So it is always made long here.
 */
static size_t see_setxattr(struct wire *w, struct fuse_in_header *h, char *body, size_t body_len, size_t room)
{
	struct fuse_setxattr_in *in = (struct fuse_setxattr_in *)body;

	if (!(w->agreed & FUSE_SETXATTR_EXT)) {
		if (body_len < FUSE_COMPAT_SETXATTR_IN_SIZE || room < 8)
			return 0;
		memmove(body + sizeof(*in), body + FUSE_COMPAT_SETXATTR_IN_SIZE, body_len - FUSE_COMPAT_SETXATTR_IN_SIZE);
		h->len += 8;
		in->setxattr_flags = in->padding = 0;
		return 8;
	}
	if (body_len < sizeof(*in))
		return 0;
	if (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		in->flags |= WIRE_KILL;
	in->setxattr_flags = in->padding = 0;
	return 0;
}

size_t wire_see(struct wire *w, char *buf, size_t len, size_t room)
{
	struct fuse_in_header *h = (struct fuse_in_header *)buf; /* libfuse's buffer is aligned */
	char *body = buf + sizeof(*h);
	size_t body_len = len - sizeof(*h);

	switch (h->opcode) {
	case FUSE_INIT:
		see_init(w, h, body);
		break;
	case OP_TMPFILE:
		if (body_len < sizeof(struct fuse_create_in) + 2)
			break;
		h->opcode = FUSE_CREATE;
		memcpy(body + sizeof(struct fuse_create_in), WIRE_TMPFILE_NAME, 2);
		break;
	case OP_STATX: {
		struct fuse_getattr_in *in = (struct fuse_getattr_in *)body; /* the two begin alike */

		if (body_len < sizeof(*in))
			break;
		h->opcode = FUSE_GETATTR;
		in->getattr_flags = FUSE_GETATTR_FH;
		in->fh = WIRE_STATX_FH;
		break;
	}
	case FUSE_WRITE: {
		struct fuse_write_in *in = (struct fuse_write_in *)body;

		if (body_len >= sizeof(*in) && (in->write_flags & FUSE_WRITE_KILL_SUIDGID))
			in->flags |= WIRE_KILL;
		break;
	}
	case FUSE_OPEN: {
		struct fuse_open_in *in = (struct fuse_open_in *)body;

		if (body_len >= sizeof(*in) && (in->open_flags & FUSE_OPEN_KILL_SUIDGID))
			in->flags |= WIRE_KILL;
		break;
	}
	case FUSE_CREATE: {
		struct fuse_create_in *in = (struct fuse_create_in *)body;

		if (body_len >= sizeof(*in) && (in->open_flags & FUSE_OPEN_KILL_SUIDGID))
			in->flags |= WIRE_KILL;
		break;
	}
	case FUSE_SETXATTR:
		return see_setxattr(w, h, body, body_len, room);
	default:
		break;
	}
	return 0;
}

static ssize_t wire_read(int fd, void *buf, size_t size, void *userdata)
{
	struct mnt *m = userdata;
	ssize_t n = read(fd, buf, size);

	if (n >= (ssize_t)sizeof(struct fuse_in_header))
		n += (ssize_t)wire_see(&m->wire, buf, (size_t)n, size - (size_t)n);
	return n;
}

/* Returns whether this was it. */
static bool amend_init(struct wire *w, bool ring, struct iovec *iov, int count)
{
	uint64_t wanted = WANTED | (ring ? INIT_OVER_IO_URING : 0);
	const struct fuse_out_header *h = iov[0].iov_base;
	struct fuse_init_out *out;

	if (h->unique != w->init_unique || h->error || count < 2 || iov[1].iov_len < sizeof(*out))
		return false;
	out = iov[1].iov_base;
	if (w->offered & FUSE_INIT_EXT) {
		uint64_t f = out->flags | (uint64_t)out->flags2 << 32;

		f |= (w->offered & wanted) | FUSE_INIT_EXT;
		out->flags = (uint32_t)f;
		out->flags2 = (uint32_t)(f >> 32);
		w->agreed = f;
	} else {
		out->flags |= (uint32_t)(w->offered & WANTED);
		w->agreed = out->flags;
	}
	w->ring = w->agreed & INIT_OVER_IO_URING;
	atomic_store_explicit(&w->init_done, true, memory_order_release);
	return true;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct mnt *m = userdata;
	struct wire *w = &m->wire;
	bool greeting = false;
	ssize_t n;

	if (!atomic_load_explicit(&w->init_done, memory_order_acquire))
		greeting = amend_init(w, m->ring, iov, count);
	else if (w->ring && ring_reply(m->ring, iov, count, &n))
		return n;
	n = writev(fd, iov, count);
	if (greeting && n > 0)
		readahead_raise(m->opt->dir);
	if (greeting && w->ring)
		ring_start(m->ring);
	else if (greeting && m->ring)
		msg(LOG_WARNING, "io_uring: the kernel does not offer it; requests go through /dev/fuse");
	return n;
}

int wire_attach(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {.writev = wire_writev, .read = wire_read};

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}

bool wire_direct_mmap(const struct wire *w)
{
	return w->offered & INIT_DIRECT_IO_ALLOW_MMAP;
}

int wire_drop_names(struct wire *w, struct fuse_session *se)
{
	struct fuse_out_header h = {.len = sizeof(h), .error = NOTIFY_INC_EPOCH};

	if (w->minor < MINOR_INC_EPOCH)
		return -EOPNOTSUPP;
	return write(fuse_session_fd(se), &h, sizeof(h)) < 0 ? -errno : 0;
}

int wire_expire_name(struct wire *w, struct fuse_session *se, uint64_t dir, const char *name)
{
	size_t len = strlen(name);
	struct {
		struct fuse_out_header h;
		uint64_t parent; /* from here on struct fuse_notify_inval_entry_out */
		uint32_t namelen, flags;
	} m = {.h = {.error = FUSE_NOTIFY_INVAL_ENTRY}, .parent = dir, .namelen = (uint32_t)len, .flags = EXPIRE_ONLY};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)name, len + 1}};

	if (!(w->offered & INIT_HAS_EXPIRE_ONLY))
		return -EOPNOTSUPP;
	m.h.len = (uint32_t)(sizeof(m) + len + 1);
	return writev(fuse_session_fd(se), iov, 2) < 0 ? -errno : 0;
}
