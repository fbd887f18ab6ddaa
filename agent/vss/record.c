/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/cleanup.h"

#define SUFFIX ".set"

static void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

int record_write(const struct set *s, FILE *f)
{
	char id[GUID_TEXT_SIZE];

	guid_format(&s->id, id);
	fprintf(f, "kagefs-vss-set 1\nset %s\nserver %s\nport %u\ncontext %x\nstage %s\nbegun %" PRId64 "\n", id, s->server,
		s->port, s->context, set_stage_name(s->stage), (int64_t)s->begun);
	for (size_t i = 0; i < s->ncopies; i++) {
		const struct copy *c = &s->copies[i];

		if (guid_is_zero(&c->id) || c->gone) /* not in the set yet, or no longer */
			continue;
		guid_format(&c->id, id);
		fprintf(f, "copy %s\nshare %s\n", id, c->share.share);
		if (c->exposed[0])
			fprintf(f, "exposed %s\n", c->exposed);
		fprintf(f, "created %" PRIu64 "\n", c->created_filetime);
	}
	fprintf(f, "end\n");
	return fflush(f) != 0 || ferror(f) ? -EIO : 0;
}

static int read_text(char out[UNC_PART_SIZE], const char *value)
{
	if (strlen(value) >= UNC_PART_SIZE)
		return -EBADMSG;
	strcpy(out, value);
	return 0;
}

static int read_number(uint64_t *out, const char *value, int base)
{
	char *end;

	errno = 0;
	*out = strtoull(value, &end, base);
	return errno || end == value || *end ? -EBADMSG : 0;
}

static int read_line(struct set *s, const char *key, const char *value)
{
	struct copy *c = s->ncopies ? &s->copies[s->ncopies - 1] : NULL;
	struct share_name share = {.share = ""};
	uint64_t n = 0;
	int r = 0;

	if (strcmp(key, "set") == 0) {
		r = guid_parse(value, &s->id);
	} else if (strcmp(key, "server") == 0) {
		r = server_name_parse(s->server, value);
	} else if (strcmp(key, "port") == 0) {
		r = read_number(&n, value, 10);
		s->port = (unsigned)n;
	} else if (strcmp(key, "context") == 0) {
		r = read_number(&n, value, 16);
		s->context = (uint32_t)n;
	} else if (strcmp(key, "stage") == 0) {
		r = set_stage_parse(&s->stage, value);
	} else if (strcmp(key, "begun") == 0) {
		r = read_number(&n, value, 10);
		s->begun = (time_t)n;
	} else if (strcmp(key, "copy") == 0) {
		strcpy(share.server, s->server);
		c = set_append(s, &share);
		r = c ? guid_parse(value, &c->id) : -ENOMEM;
	} else if (c && strcmp(key, "share") == 0) {
		r = read_text(c->share.share, value);
	} else if (c && strcmp(key, "exposed") == 0) {
		r = read_text(c->exposed, value);
	} else if (c && strcmp(key, "created") == 0) {
		r = read_number(&c->created_filetime, value, 10);
	} else {
		r = -EBADMSG;
	}
	return r == -EINVAL ? -EBADMSG : r;
}

int record_read(struct set *s, FILE *f)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	ssize_t n;
	bool first = true;

	while ((n = getline(&line, &size, f)) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (first && strcmp(line, "kagefs-vss-set 1") != 0)
			return -EBADMSG;
		if (!first && strcmp(line, "end") == 0)
			return s->server[0] && s->stage != SET_NONE ? 0 : -EBADMSG;
		char *space = strchr(line, ' ');
		if (!space)
			return -EBADMSG;
		*space = 0;
		int r = first ? 0 : read_line(s, line, space + 1);
		if (r < 0)
			return r;
		first = false;
	}
	return -EBADMSG; /* no "end": cut short */
}

/* The folder's path, owned by the caller; NULL: out of memory or no home. */
static char *state_dir(void)
{
	const char *dir = getenv("KAGEFS_VSS_STATE_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n;

	if (dir && *dir)
		return strdup(dir);
	if (geteuid() == 0)
		return strdup("/var/lib/kagefs-vss");
	if (state && *state == '/')
		n = asprintf(&path, "%s/kagefs-vss", state);
	else
		n = home ? asprintf(&path, "%s/.local/state/kagefs-vss", home) : -1;
	return n < 0 ? NULL : path;
}

static int make_dirs(char *path)
{
	for (char *p = path + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char c = *p;
		*p = 0;
		int r = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
		*p = c;
		if (r < 0 || !c)
			return r;
	}
}

/* An open descriptor of the folder, which is made if `make`. */
static int open_dir(bool make)
{
	CLEANUP_FREE char *path = state_dir();
	int r = path ? 0 : -ENOENT;

	if (!r && make)
		r = make_dirs(path);
	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void file_name(const struct guid *id, char name[GUID_TEXT_SIZE + sizeof(SUFFIX)])
{
	guid_format(id, name);
	strcat(name, SUFFIX);
}

int record_save(const struct set *s)
{
	char name[GUID_TEXT_SIZE + sizeof(SUFFIX)], tmp[sizeof(name) + 4];

	if (s->stage == SET_GONE) {
		record_remove(&s->id);
		return 0;
	}
	file_name(&s->id, name);
	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	CLEANUP_FD int dir = open_dir(true);
	if (dir < 0)
		return dir;
	CLEANUP_FD int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	CLEANUP(cleanup_file) FILE *f = fdopen(fd, "w");
	if (!f)
		return -errno;
	(void)steal_fd(&fd); /* now f's */
	int r = record_write(s, f);
	if (!r && (fsync(fileno(f)) < 0 || renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, tmp, 0); /* the error is told already */
	return r;
}

void record_remove(const struct guid *id)
{
	char name[GUID_TEXT_SIZE + sizeof(SUFFIX)];
	CLEANUP_FD int dir = open_dir(false);

	file_name(id, name);
	if (dir >= 0)
		(void)unlinkat(dir, name, 0); /* a record too many does no harm: list shows its copies as gone */
}

int record_lock(const char *server)
{
	char name[UNC_PART_SIZE + 16];
	CLEANUP_FD int dir = open_dir(true);

	if (dir < 0)
		return dir;
	size_t n = (size_t)snprintf(name, sizeof(name), "lock-%s", server);
	for (size_t i = 0; i < n; i++) /* server names know no case */
		name[i] = (char)tolower((unsigned char)name[i]);
	CLEANUP_FD int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int load_name(struct set *s, int dir, const char *name)
{
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	CLEANUP(cleanup_file) FILE *f = fdopen(fd, "r");
	if (!f)
		return -errno;
	(void)steal_fd(&fd); /* now f's */
	set_init(s);
	int r = record_read(s, f);
	if (r < 0)
		set_release(s);
	return r;
}

int record_load(struct set *s, const struct guid *id)
{
	char name[GUID_TEXT_SIZE + sizeof(SUFFIX)];
	CLEANUP_FD int dir = open_dir(false);

	file_name(id, name);
	return dir < 0 ? dir : load_name(s, dir, name);
}

static int is_record(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n == GUID_TEXT_SIZE - 1 + strlen(SUFFIX) && strcmp(d->d_name + GUID_TEXT_SIZE - 1, SUFFIX) == 0;
}

int record_each(int (*fn)(struct set *s, void *arg), void *arg)
{
	CLEANUP_FD int dir = open_dir(false);
	struct dirent **names = NULL;
	int r = 0;

	if (dir == -ENOENT)
		return 0;
	int n = dir < 0 ? dir : scandirat(dir, ".", &names, is_record, alphasort);
	if (n < 0)
		return dir < 0 ? dir : -errno;
	for (int i = 0; i < n; i++) {
		struct set s;
		int e = r ? 0 : load_name(&s, dir, names[i]->d_name);

		if (!r && e == 0) {
			r = fn(&s, arg);
			set_release(&s);
		} else if (e < 0 && e != -ENOENT) { /* another kagefs-vss may have removed it just now */
			out_warning(names[i]->d_name, "remove the file if it is not yours", "not a record of a set");
		}
		free(names[i]);
	}
	free(names);
	return r;
}
