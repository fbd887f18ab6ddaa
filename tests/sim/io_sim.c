/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The simulated disk as an implementation of fs/base/io.h: handles, power, faults and space.  Content of files is in
 * sim_image.c, names are in sim_names.c.  One mutex protects everything.
 */
#include "tests/sim/io_sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"
#include "tests/sim/sim_image.h"
#include "tests/sim/sim_names.h"

#define FAULT_KINDS (SIM_FAULT_READ_EIO + 1)
/* What an unlimited disk tells about its size. */
#define UNLIMITED_BYTES (UINT64_C(1) << 40)

struct fault {
	uint64_t left; /* 0: disarmed */
	char *prefix;  /* owned; NULL: any path */
};
struct sim {
	struct io io;
	pthread_mutex_t mutex; /* protects all below */
	struct names names;
	uint64_t random;
	uint64_t total_bytes; /* 0: unlimited */
	uint64_t seq;	      /* of the last change */
	uint64_t stable_seq;  /* of the last change before the last power on */
	uint64_t syncs;
	uint64_t cut_left; /* syncs until the power goes; 0: never */
	bool off;
	int nopen;
	struct fault fault[FAULT_KINDS];
	char *ignore_prefix; /* owned; NULL: none */
};
struct sim_file {
	struct io_file f;
	struct sim_node *node; /* held */
	bool writable;
};

static struct sim *sim_of(struct io *io)
{
	return CONTAINER_OF(io, struct sim, io);
}
static struct sim_file *file_of(struct io_file *f)
{
	return CONTAINER_OF(f, struct sim_file, f);
}

static struct sim *lock_sim(struct io *io)
{
	struct sim *sim = sim_of(io);

	pthread_mutex_lock(&sim->mutex);
	return sim;
}

static int unlock_sim(struct sim *sim, int r)
{
	pthread_mutex_unlock(&sim->mutex);
	return r;
}

static bool starts_with(const char *path, const char *prefix)
{
	return strncmp(path, prefix, strlen(prefix)) == 0;
}

static char *copy(const char *text)
{
	char *p = text ? strdup(text) : NULL;

	KAGEFS_ASSERT(p || !text);
	return p;
}

static bool fault_hits(struct sim *sim, enum sim_fault kind, const char *path)
{
	struct fault *fault = &sim->fault[kind];

	if (fault->left == 0 || (fault->prefix && !starts_with(path, fault->prefix)))
		return false;
	return --fault->left == 0;
}

static uint64_t free_blocks(const struct sim *sim)
{
	uint64_t total = (sim->total_bytes ? sim->total_bytes : UNLIMITED_BYTES) / IMAGE_BLOCK_BYTES;

	if (!sim->total_bytes)
		return UINT64_MAX;
	return total > sim->names.nblocks ? total - sim->names.nblocks : 0;
}

/* ---- handles ---------------------------------------------------------------------------------------------------- */

static int open_locked(struct sim *sim, const char *path, int flags, struct sim_node **node)
{
	int r = names_find(&sim->names, path, node);

	if (r == -ENOENT && (flags & IO_CREATE))
		return names_create(&sim->names, path, false, ++sim->seq, node);
	if (r < 0)
		return r;
	if (flags & IO_EXCL)
		return -EEXIST;
	return (*node)->is_dir ? -EISDIR : 0;
}

static int sim_open(struct io *io, const char *path, int flags, struct io_file **out)
{
	struct sim_file *f = calloc(1, sizeof(*f));
	struct sim *sim;
	int r;

	KAGEFS_ASSERT(f);
	sim = lock_sim(io);
	r = sim->off ? -EIO : open_locked(sim, path, flags, &f->node);
	if (r < 0) {
		free(f);
		return unlock_sim(sim, r);
	}
	names_hold(&sim->names, f->node);
	sim->nopen++;
	f->f.io = io;
	f->writable = !(flags & IO_RDONLY);
	*out = &f->f;
	return unlock_sim(sim, 0);
}

static void sim_close(struct io_file *file)
{
	struct sim_file *f = file_of(file);
	struct sim *sim = lock_sim(file->io);

	names_drop(&sim->names, f->node);
	sim->nopen--;
	unlock_sim(sim, 0);
	free(f);
}

static ssize_t sim_pread(struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct sim_file *f = file_of(file);
	struct sim *sim = lock_sim(file->io);
	ssize_t r;

	if (sim->off || fault_hits(sim, SIM_FAULT_READ_EIO, f->node->path))
		r = -EIO;
	else
		r = (ssize_t)image_read(&f->node->image, buf, len, off);
	unlock_sim(sim, 0);
	return r;
}

/* Before a change: may there be one? */
static int may_change(const struct sim *sim, const struct sim_file *f, uint64_t end)
{
	if (sim->off)
		return -EIO;
	if (!f->writable)
		return -EBADF;
	return end > IMAGE_MAX_BYTES ? -EFBIG : 0;
}

/* After a change: account for the space.  before: blocks the file took then. */
static void account(struct sim *sim, const struct sim_file *f, uint64_t before)
{
	sim->names.nblocks += f->node->image.nblocks - before; /* modulo 2^64 */
}

static int write_locked(struct sim *sim, struct sim_file *f, const struct iovec *iov, int n, uint64_t off)
{
	struct image *im = &f->node->image;
	uint64_t before = im->nblocks;
	size_t len = 0, fit;
	int r;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	r = may_change(sim, f, off + len);
	if (r < 0 || len == 0)
		return r;
	fit = image_fit(im, off, len, free_blocks(sim));
	if (fit < len)
		r = -ENOSPC;
	if (fault_hits(sim, SIM_FAULT_WRITE_ENOSPC, f->node->path))
		r = -ENOSPC;
	if (fault_hits(sim, SIM_FAULT_WRITE_EIO, f->node->path))
		r = -EIO;
	if (r < 0) {
		len = sim_random(&sim->random, fit + 1);
		len -= MIN(len, (off + len) % IO_SECTOR_BYTES);
	}
	image_write(im, iov, n, len, off, ++sim->seq);
	account(sim, f, before);
	return r;
}

static int sim_pwritev(struct io_file *file, const struct iovec *iov, int n, uint64_t off)
{
	struct sim *sim = lock_sim(file->io);

	return unlock_sim(sim, write_locked(sim, file_of(file), iov, n, off));
}

static int sim_allocate(struct io_file *file, uint64_t off, uint64_t len)
{
	struct sim_file *f = file_of(file);
	struct sim *sim = lock_sim(file->io);
	struct image *im = &f->node->image;
	uint64_t before = im->nblocks;
	int r = may_change(sim, f, off + len);

	if (r == 0 && fault_hits(sim, SIM_FAULT_WRITE_ENOSPC, f->node->path))
		r = -ENOSPC;
	if (r == 0 && image_fit(im, off, len, free_blocks(sim)) < len)
		r = -ENOSPC;
	if (r == 0) {
		image_allocate(im, off, len, ++sim->seq);
		account(sim, f, before);
	}
	return unlock_sim(sim, r);
}

static int sim_punch(struct io_file *file, uint64_t off, uint64_t len)
{
	struct sim_file *f = file_of(file);
	struct sim *sim = lock_sim(file->io);
	uint64_t before = f->node->image.nblocks;
	int r = may_change(sim, f, 0);

	if (r == 0) {
		image_punch(&f->node->image, off, len, ++sim->seq);
		account(sim, f, before);
	}
	return unlock_sim(sim, r);
}

static int sim_truncate(struct io_file *file, uint64_t size)
{
	struct sim_file *f = file_of(file);
	struct sim *sim = lock_sim(file->io);
	uint64_t before = f->node->image.nblocks;
	int r = may_change(sim, f, size);

	if (r == 0) {
		image_truncate(&f->node->image, size, ++sim->seq);
		account(sim, f, before);
	}
	return unlock_sim(sim, r);
}

static int sim_size(struct io_file *file, uint64_t *out)
{
	struct sim *sim = lock_sim(file->io);

	if (sim->off)
		return unlock_sim(sim, -EIO);
	*out = file_of(file)->node->image.size[NOW];
	return unlock_sim(sim, 0);
}

/* ---- syncs ------------------------------------------------------------------------------------------------------ */

/* Count a sync; -EIO when the power is off or goes off with it. */
static int count_sync(struct sim *sim)
{
	if (sim->off)
		return -EIO;
	sim->syncs++;
	if (sim->cut_left > 0 && --sim->cut_left == 0)
		sim->off = true;
	return sim->off ? -EIO : 0;
}

static int sim_sync(struct io_file *file)
{
	struct sim *sim = lock_sim(file->io);
	struct sim_node *node = file_of(file)->node;
	int r = count_sync(sim);

	if (r < 0)
		return unlock_sim(sim, r);
	if (fault_hits(sim, SIM_FAULT_SYNC_EIO, node->path)) {
		image_sync_failed(&node->image, &sim->random);
		return unlock_sim(sim, -EIO);
	}
	if (!sim->ignore_prefix || !starts_with(node->path, sim->ignore_prefix))
		image_sync(&node->image);
	return unlock_sim(sim, 0);
}

static int find_dir(struct sim *sim, const char *path, struct sim_node **dir)
{
	int r = names_find(&sim->names, path, dir);

	if (r == 0 && !(*dir)->is_dir)
		r = -ENOTDIR;
	return r;
}

static int sim_sync_dir(struct io *io, const char *path)
{
	struct sim *sim = lock_sim(io);
	struct sim_node *dir;
	int r = sim->off ? -EIO : find_dir(sim, path, &dir);

	if (r == 0)
		r = count_sync(sim);
	if (r == 0 && fault_hits(sim, SIM_FAULT_SYNC_EIO, path))
		r = -EIO;
	if (r == 0)
		names_sync(&sim->names, dir);
	return unlock_sim(sim, r);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int sim_mkdir(struct io *io, const char *path)
{
	struct sim *sim = lock_sim(io);
	struct sim_node *node;

	return unlock_sim(sim, sim->off ? -EIO : names_create(&sim->names, path, true, ++sim->seq, &node));
}

static int sim_rename(struct io *io, const char *from, const char *to, int flags)
{
	struct sim *sim = lock_sim(io);
	bool replace = !(flags & IO_NOREPLACE);

	return unlock_sim(sim, sim->off ? -EIO : names_rename(&sim->names, from, to, replace, ++sim->seq));
}

static int sim_unlink(struct io *io, const char *path)
{
	struct sim *sim = lock_sim(io);

	return unlock_sim(sim, sim->off ? -EIO : names_unlink(&sim->names, path, ++sim->seq));
}

static int sim_list(struct io *io, const char *path, int (*cb)(void *arg, const char *name), void *arg)
{
	struct sim *sim = lock_sim(io);
	struct sim_node *dir;
	char **list = NULL;
	int r = sim->off ? -EIO : find_dir(sim, path, &dir);

	if (r == 0)
		list = names_list(dir);
	unlock_sim(sim, 0); /* cb may call us */
	if (r < 0)
		return r;
	for (char **name = list; *name; name++) {
		if (r == 0)
			r = cb(arg, *name);
		free(*name);
	}
	free(list);
	return r;
}

static int sim_space(struct io *io, struct io_space *out)
{
	struct sim *sim = lock_sim(io);
	uint64_t used = sim->names.nblocks * IMAGE_BLOCK_BYTES;

	if (sim->off)
		return unlock_sim(sim, -EIO);
	out->total_bytes = sim->total_bytes ? sim->total_bytes : UNLIMITED_BYTES;
	out->free_bytes = out->total_bytes > used ? out->total_bytes - used : 0;
	return unlock_sim(sim, 0);
}

static int lock_locked(struct sim *sim, const char *path, char *holder, size_t holder_size)
{
	static const char text[] = "1 simulator\n";
	struct iovec iov = {.iov_base = (void *)text, .iov_len = sizeof(text) - 1};
	struct sim_file f = {.writable = true};
	int r = open_locked(sim, path, IO_CREATE, &f.node);

	if (r < 0)
		return r;
	if (f.node->locked) {
		if (holder && holder_size > 0)
			snprintf(holder, holder_size, "%.*s", (int)iov.iov_len - 1, text);
		return -EBUSY;
	}
	r = write_locked(sim, &f, &iov, 1, 0);
	f.node->locked = r == 0;
	return r;
}

static int sim_lock(struct io *io, const char *path, char *holder, size_t holder_size)
{
	struct sim *sim = lock_sim(io);

	return unlock_sim(sim, sim->off ? -EIO : lock_locked(sim, path, holder, holder_size));
}

static void sim_destroy(struct io *io)
{
	struct sim *sim = sim_of(io);

	KAGEFS_ASSERT(sim->nopen == 0);
	names_release(&sim->names);
	for (int i = 0; i < FAULT_KINDS; i++)
		free(sim->fault[i].prefix);
	free(sim->ignore_prefix);
	pthread_mutex_destroy(&sim->mutex);
	free(sim);
}

static const struct io_ops sim_ops = {
	.open = sim_open,
	.close = sim_close,
	.pread = sim_pread,
	.pwritev = sim_pwritev,
	.sync = sim_sync,
	.allocate = sim_allocate,
	.punch = sim_punch,
	.truncate = sim_truncate,
	.size = sim_size,
	.mkdir = sim_mkdir,
	.rename = sim_rename,
	.unlink = sim_unlink,
	.sync_dir = sim_sync_dir,
	.list = sim_list,
	.space = sim_space,
	.lock = sim_lock,
	.destroy = sim_destroy,
};

/* ---- the test's side -------------------------------------------------------------------------------------------- */

struct io *sim_new(uint64_t seed, uint64_t total_bytes)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	KAGEFS_ASSERT(sim);
	sim->io.ops = &sim_ops;
	sim->random = seed;
	sim->total_bytes = total_bytes;
	pthread_mutex_init(&sim->mutex, NULL);
	names_init(&sim->names);
	return &sim->io;
}

void sim_cut_at(struct io *io, uint64_t nth_sync)
{
	struct sim *sim = lock_sim(io);

	sim->cut_left = nth_sync;
	unlock_sim(sim, 0);
}

void sim_cut_now(struct io *io)
{
	struct sim *sim = lock_sim(io);

	sim->off = true;
	unlock_sim(sim, 0);
}

bool sim_is_off(struct io *io)
{
	struct sim *sim = lock_sim(io);
	bool off = sim->off;

	unlock_sim(sim, 0);
	return off;
}

static void unlock_files(struct sim *sim)
{
	for (struct sim_node *node = sim->names.all.next; node != &sim->names.all; node = node->next)
		node->locked = false;
}

/* Half of the cuts treat each file and the names by themselves, the others everything alike. */
static struct fate choose_fate(struct sim *sim)
{
	uint64_t pending = sim->seq - sim->stable_seq;
	static const enum fate_mode mode[] = {FATE_ALL,	   FATE_NONE,	FATE_PREFIX, FATE_PREFIX,
					      FATE_SUBSET, FATE_SUBSET, FATE_SUBSET, FATE_SUBSET};
	struct fate fate = {.random = &sim->random, .mode = mode[sim_random(&sim->random, ARRAY_SIZE(mode))]};

	fate.cut_seq = sim->stable_seq + 1 + sim_random(&sim->random, pending + 1);
	return fate;
}

void sim_power_on(struct io *io)
{
	struct sim *sim = lock_sim(io);
	bool alike = sim_random(&sim->random, 2);
	struct fate fate = choose_fate(sim);

	KAGEFS_ASSERT(sim->nopen == 0);
	names_settle(&sim->names, &fate);
	sim->names.nblocks = 0;
	for (struct sim_node *node = sim->names.all.next; node != &sim->names.all; node = node->next) {
		if (!alike)
			fate = choose_fate(sim);
		image_settle(&node->image, &fate);
		sim->names.nblocks += node->image.nblocks;
	}
	unlock_files(sim);
	sim->stable_seq = sim->seq;
	sim->cut_left = 0;
	sim->off = false;
	unlock_sim(sim, 0);
}

uint64_t sim_syncs(struct io *io)
{
	struct sim *sim = lock_sim(io);
	uint64_t n = sim->syncs;

	unlock_sim(sim, 0);
	return n;
}

void sim_fault(struct io *io, enum sim_fault what, const char *path_prefix, uint64_t nth)
{
	struct sim *sim = lock_sim(io);

	for (int i = 0; i < FAULT_KINDS; i++) {
		if (what != SIM_FAULT_NONE && i != (int)what)
			continue;
		free(sim->fault[i].prefix);
		sim->fault[i].prefix = what == SIM_FAULT_NONE ? NULL : copy(path_prefix);
		sim->fault[i].left = what == SIM_FAULT_NONE ? 0 : nth;
	}
	unlock_sim(sim, 0);
}

void sim_ignore_sync(struct io *io, const char *prefix)
{
	struct sim *sim = lock_sim(io);

	free(sim->ignore_prefix);
	sim->ignore_prefix = copy(prefix);
	unlock_sim(sim, 0);
}

int sim_corrupt(struct io *io, const char *path, uint64_t off)
{
	struct sim *sim = lock_sim(io);
	struct sim_node *node;
	int r = names_find(&sim->names, path, &node);

	if (r == 0 && node->is_dir)
		r = -EISDIR;
	if (r == 0 && off >= node->image.size[DURABLE])
		r = -ERANGE;
	if (r == 0)
		image_flip(&node->image, off);
	return unlock_sim(sim, r);
}

void sim_set_total(struct io *io, uint64_t total_bytes)
{
	struct sim *sim = lock_sim(io);

	sim->total_bytes = total_bytes;
	unlock_sim(sim, 0);
}

void sim_unlock(struct io *io)
{
	struct sim *sim = lock_sim(io);

	unlock_files(sim);
	unlock_sim(sim, 0);
}
