/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a shadow copy set one cut?  Writers bump a counter in one share and then in another one, through SMB; what a copy of
 * both shares shows must be a moment that was: the second counter never ahead of the first, nor more than one behind.
 *
 *   litmus write NOTES PAIRS SHARE SHARE           bump, until SIGTERM.  All handles stay open from begin to end
 *   litmus rounds NOTES PAIRS                      prints the rounds of the slowest pair, then those of all together
 *   litmus check BEFORE AFTER PAIRS COPY COPY      read the counters of one copy; prints "PAIR FIRST SECOND" lines
 *   litmus cuts NOTES PAIRS DIR DIR N set|apart    N times: copy both volumes, by ioctl, in one set or one after the other;
 *                                                  check the copies; prints one line of figures
 *
 * SHARE: smb://SERVER/SHARE; COPY: the same, or a local directory; DIR: the root of a kagefs volume.
 * NOTES: local file, shared by the processes, of what was begun and what was confirmed.  BEFORE, AFTER: copies of it from
 * before and after the instant of the cut; what was confirmed before must be in the copy, what began after must not.
 * Environment: LITMUS_AUTH, file with username = and password =; LITMUS_PORT; LITMUS_CONF, settings of the SMB client.
 *
 * Pair N uses file litmus.N in both shares.  Odd pairs go from the second share to the first one, so that a cut is wrong
 * whichever volume is late.  In every second two pairs the file is large enough for direct I/O.
 *
 * Exit code: 0 all good, 1 violations (each has a line on stderr), 2 it did not work.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libsmbclient.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/kagefs_ioctl.h"

#define PAIRS_MAX 16
#define LARGE_BYTES (20 << 20)
#define LIVE 4 /* sets that exist at a time in cuts */
#define DEADLINE_MS 60000

/* A counter in a file, at offset 0, native byte order. */
struct record {
	uint64_t n;
	uint64_t sum;
};

/* Of one pair; in the order in which they grow. */
struct note {
	_Atomic uint64_t begun;	 /* about to be written to the first share */
	_Atomic uint64_t first;	 /* confirmed there */
	_Atomic uint64_t second; /* confirmed in the second share too */
	uint64_t unused[5];
};

struct bounds {
	uint64_t begun, first, second;
};

struct seen {
	uint64_t first, second;
};

struct tally {
	unsigned order;	  /* the two counters belong to no moment */
	unsigned range;	  /* a confirmed write is missing, or one from after the cut is there */
	unsigned damaged; /* not a counter */
	unsigned halfway; /* no violation: between the two writes of a round */
};

static char user[128], password[128];

static void die(const char *what, const char *object)
{
	fprintf(stderr, "litmus: %s: %s: %s\n", what, object, strerror(errno));
	exit(2);
}

static uint64_t sum_of(uint64_t n, unsigned pair)
{
	uint64_t x = n + 0x9e3779b97f4a7c15u * (pair + 1);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool pair_reversed(unsigned pair)
{
	return pair & 1;
}

static bool pair_large(unsigned pair)
{
	return pair & 2;
}

static unsigned parse_pairs(const char *text)
{
	int n = atoi(text);

	if (n < 1 || n > PAIRS_MAX) {
		errno = EINVAL;
		die("PAIRS", text);
	}
	return (unsigned)n;
}

/* ---- notes ------------------------------------------------------------------------------------------------------- */

static struct note *notes_open(const char *path, int flags)
{
	size_t bytes = PAIRS_MAX * sizeof(struct note);
	int fd = open(path, flags | O_CLOEXEC, 0644);
	void *p;

	if (fd < 0 || ((flags & O_CREAT) && ftruncate(fd, (off_t)bytes) < 0))
		die("open", path);
	p = mmap(NULL, bytes, (flags & O_ACCMODE) == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap", path);
	close(fd);
	return p;
}

static void notes_get(const struct note *notes, struct bounds *b)
{
	for (unsigned i = 0; i < PAIRS_MAX; i++) {
		b[i].second = atomic_load(&notes[i].second);
		b[i].first = atomic_load(&notes[i].first);
		b[i].begun = atomic_load(&notes[i].begun);
	}
}

static void notes_read(const char *path, struct bounds *b)
{
	struct note *notes = notes_open(path, O_RDONLY);

	notes_get(notes, b);
	munmap(notes, PAIRS_MAX * sizeof(struct note));
}

static int rounds(const char *path, unsigned pairs)
{
	struct bounds b[PAIRS_MAX];
	uint64_t least = UINT64_MAX, all = 0;

	notes_read(path, b);
	for (unsigned i = 0; i < pairs; i++) {
		least = b[i].second < least ? b[i].second : least;
		all += b[i].second;
	}
	printf("%" PRIu64 " %" PRIu64 "\n", least, all);
	return 0;
}

/* ---- SMB --------------------------------------------------------------------------------------------------------- */

static void authenticate(SMBCCTX *c, const char *server, const char *share, char *group, int group_size, char *name,
			 int name_size, char *secret, int secret_size)
{
	(void)c, (void)server, (void)share, (void)group, (void)group_size;
	snprintf(name, (size_t)name_size, "%s", user);
	snprintf(secret, (size_t)secret_size, "%s", password);
}

static void smb_begin(void)
{
	const char *auth = getenv("LITMUS_AUTH"), *port = getenv("LITMUS_PORT"), *conf = getenv("LITMUS_CONF");
	FILE *f = fopen(auth ? auth : "", "re");
	SMBCCTX *c = smbc_new_context();
	char line[256];

	if (!f)
		die("LITMUS_AUTH", auth ? auth : "is not set");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "username = %127s", user);
		sscanf(line, "password = %127s", password);
	}
	fclose(f);
	if (!c)
		die("libsmbclient", "context");
	if (conf)
		smbc_setConfiguration(c, conf);
	if (port)
		smbc_setPort(c, (uint16_t)atoi(port));
	smbc_setFunctionAuthDataWithContext(c, authenticate);
	smbc_setOptionNoAutoAnonymousLogin(c, 1);
	if (!smbc_init_context(c))
		die("libsmbclient", "start");
	smbc_set_context(c);
}

static bool is_url(const char *where)
{
	return strncmp(where, "smb://", 6) == 0;
}

/* ---- the writers ------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

static int file_prepare(const char *share, unsigned pair)
{
	char url[1024];
	int fd;

	snprintf(url, sizeof(url), "%s/litmus.%u", share, pair);
	fd = smbc_open(url, O_RDWR | O_CREAT, 0644);
	if (fd >= 0 && pair_large(pair)) { /* how it is written is chosen when it is opened */
		if (smbc_ftruncate(fd, LARGE_BYTES) < 0 || smbc_close(fd) < 0)
			die("ftruncate", url);
		fd = smbc_open(url, O_RDWR, 0);
	}
	if (fd < 0)
		die("open", url);
	return fd;
}

static void bump(int fd, uint64_t n, unsigned pair, const char *share)
{
	struct record r = {.n = n, .sum = sum_of(n, pair)};

	if (smbc_lseek(fd, 0, SEEK_SET) != 0 || smbc_write(fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		die("write", share);
}

static void write_pair(struct note *note, unsigned pair, const char *first, const char *second)
{
	int a, b;

	smb_begin();
	a = file_prepare(first, pair);
	b = file_prepare(second, pair);
	/* A copy from before round 1 would hold no counter: the script waits for round 1. */
	for (uint64_t n = 1; !stopping; n++) {
		atomic_store(&note->begun, n);
		bump(a, n, pair, first);
		atomic_store(&note->first, n);
		bump(b, n, pair, second);
		atomic_store(&note->second, n);
	}
	smbc_close(a);
	smbc_close(b);
}

static int write_all(const char *path, unsigned pairs, const char *one, const char *two)
{
	struct note *notes = notes_open(path, O_RDWR | O_CREAT | O_TRUNC);
	struct sigaction sa = {.sa_handler = on_term};
	pid_t pid[PAIRS_MAX];
	int worst = 0;

	sigaction(SIGTERM, &sa, NULL);
	for (unsigned i = 0; i < pairs; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			die("fork", "writer");
		if (pid[i] == 0) {
			sa.sa_flags = SA_RESTART;
			sigaction(SIGTERM, &sa, NULL);
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			write_pair(&notes[i], i, pair_reversed(i) ? two : one, pair_reversed(i) ? one : two);
			exit(0);
		}
	}
	for (unsigned left = pairs; left > 0;) {
		int status;

		if (wait(&status) < 0 && errno == EINTR) {
			for (unsigned i = 0; i < pairs; i++)
				kill(pid[i], SIGTERM);
			continue;
		}
		left--;
		if (status != 0 || !stopping)
			worst = 2; /* of its own accord none ends */
	}
	return worst;
}

/* ---- the verdict --------------------------------------------------------------------------------------------------- */

static ssize_t read_start(const char *where, const char *name, void *to, size_t n)
{
	char path[4096];
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", where, name);
	if (is_url(where)) {
		fd = smbc_open(path, O_RDONLY, 0);
		if (fd >= 0) {
			got = smbc_read(fd, to, n);
			smbc_close(fd);
		}
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			got = read(fd, to, n);
			close(fd);
		}
	}
	if (got < 0)
		die("read", path);
	return got;
}

static bool counter_read(const char *where, unsigned pair, uint64_t *n)
{
	char name[32];
	struct record r = {0};

	snprintf(name, sizeof(name), "litmus.%u", pair);
	if (read_start(where, name, &r, sizeof(r)) != (ssize_t)sizeof(r) || r.sum != sum_of(r.n, pair)) {
		fprintf(stderr, "VIOLATION damaged: pair %u in %s: %016" PRIx64 " %016" PRIx64 "\n", pair, where, r.n, r.sum);
		return false;
	}
	*n = r.n;
	return true;
}

/* Read all pairs of a copy and judge them. */
static void copy_check(const char *one, const char *two, unsigned pairs, const struct bounds *before,
		       const struct bounds *after, struct seen *seen, struct tally *t)
{
	for (unsigned i = 0; i < pairs; i++) {
		struct seen *s = &seen[i];

		if (!counter_read(pair_reversed(i) ? two : one, i, &s->first) ||
		    !counter_read(pair_reversed(i) ? one : two, i, &s->second)) {
			t->damaged++;
			continue;
		}
		if (s->second > s->first || s->first - s->second > 1) {
			t->order++;
			fprintf(stderr, "VIOLATION order: pair %u: first %" PRIu64 ", second %" PRIu64 "\n", i, s->first,
				s->second);
		} else if (s->first != s->second) {
			t->halfway++;
		}
		if (s->first < before[i].first || s->first > after[i].begun || s->second < before[i].second ||
		    s->second > after[i].first) {
			t->range++;
			fprintf(stderr,
				"VIOLATION range: pair %u: first %" PRIu64 " not in %" PRIu64 "-%" PRIu64 ", or second %" PRIu64
				" not in %" PRIu64 "-%" PRIu64 "\n",
				i, s->first, before[i].first, after[i].begun, s->second, before[i].second, after[i].first);
		}
	}
}

static int check(const char *before, const char *after, unsigned pairs, const char *one, const char *two)
{
	struct bounds low[PAIRS_MAX], high[PAIRS_MAX];
	struct seen seen[PAIRS_MAX] = {0};
	struct tally t = {0};

	if (is_url(one))
		smb_begin();
	notes_read(before, low);
	notes_read(after, high);
	copy_check(one, two, pairs, low, high, seen, &t);
	for (unsigned i = 0; i < pairs; i++)
		printf("%u %" PRIu64 " %" PRIu64 "\n", i, seen[i].first, seen[i].second);
	return t.order || t.range || t.damaged;
}

/* ---- cuts by ioctl ------------------------------------------------------------------------------------------------- */

struct cut {
	bool exists;
	unsigned nsets;
	struct kagefs_uuid set[2];
	char name[64];
	struct seen seen[PAIRS_MAX];
};

struct times {
	uint64_t gate_ns, gate_max_ns, commit_ns, commit_max_ns, n;
};

static uint64_t volume_of(int fd, const char *dir)
{
	struct kagefs_ioc_where w = {0};

	if (ioctl(fd, KAGEFS_IOC_WHERE, &w) < 0)
		die("KAGEFS_IOC_WHERE", dir);
	if (!w.is_root) {
		errno = EINVAL;
		die("not the root of a volume", dir);
	}
	return w.volume.id;
}

static void uuid_new(struct kagefs_uuid *u)
{
	if (getrandom(u, sizeof(*u), 0) != (ssize_t)sizeof(*u))
		die("getrandom", "uuid");
	u->b[6] = (u->b[6] & 0x0f) | 0x40;
	u->b[8] = (u->b[8] & 0x3f) | 0x80;
}

static void set_prepare(int fd, const struct kagefs_uuid *uuid, const uint64_t *volumes, unsigned n, unsigned flags)
{
	struct kagefs_ioc_set_prepare p;

	do {
		memset(&p, 0, sizeof(p));
		p.flags = flags;
		p.uuid = *uuid;
		strcpy(p.owner, "litmus");
		p.wait_ms = KAGEFS_WAIT_MS_MAX;
		p.nvolumes = n;
		memcpy(p.volumes, volumes, n * sizeof(*volumes));
		if (ioctl(fd, KAGEFS_IOC_SET_PREPARE, &p) < 0)
			die("KAGEFS_IOC_SET_PREPARE", p.owner);
	} while (p.state != KAGEFS_SET_PREPARED);
}

static void set_take(int fd, const struct kagefs_uuid *uuid, const char *name, const uint64_t *volumes, unsigned n,
		     unsigned flags, bool prepare, struct times *t)
{
	struct kagefs_ioc_set_get g = {.uuid = *uuid};
	struct kagefs_ioc_set_commit c = {0};

	if (prepare) {
		set_prepare(fd, uuid, volumes, n, flags);
	} else {
		c.flags = flags;
		strcpy(c.owner, "litmus");
		c.nvolumes = n;
		memcpy(c.volumes, volumes, n * sizeof(*volumes));
	}
	for (;;) {
		c.uuid = *uuid;
		c.wait_ms = KAGEFS_WAIT_MS_MAX;
		c.deadline_ms = DEADLINE_MS;
		strcpy(c.name, name);
		if (ioctl(fd, KAGEFS_IOC_SET_COMMIT, &c) == 0)
			break;
		if (errno != EINPROGRESS)
			die("KAGEFS_IOC_SET_COMMIT", name);
		memset(&c, 0, sizeof(c));
	}
	if (ioctl(fd, KAGEFS_IOC_SET_GET, &g) < 0)
		die("KAGEFS_IOC_SET_GET", name);
	t->n++;
	t->gate_ns += g.info.commit_gate_ns;
	t->commit_ns += g.info.commit_ns;
	if (g.info.commit_gate_ns > t->gate_max_ns)
		t->gate_max_ns = g.info.commit_gate_ns;
	if (g.info.commit_ns > t->commit_max_ns)
		t->commit_max_ns = g.info.commit_ns;
}

static void cut_paths(const struct cut *c, const char *const dir[2], char path[2][4096])
{
	for (int i = 0; i < 2; i++)
		snprintf(path[i], 4096, "%s/.snapshots/%s", dir[i], c->name);
}

/* Once more before it goes: a copy does not change. */
static void cut_end(struct cut *c, int fd, const char *const dir[2], unsigned pairs, struct tally *t)
{
	char path[2][4096];

	if (!c->exists)
		return;
	cut_paths(c, dir, path);
	for (unsigned i = 0; i < pairs; i++) {
		struct seen now = {0}, *was = &c->seen[i];

		if (!counter_read(path[pair_reversed(i)], i, &now.first) || !counter_read(path[!pair_reversed(i)], i, &now.second) ||
		    now.first != was->first || now.second != was->second) {
			t->damaged++;
			fprintf(stderr, "VIOLATION changed: pair %u of %s: %" PRIu64 " %" PRIu64 ", was %" PRIu64 " %" PRIu64 "\n", i,
				c->name, now.first, now.second, was->first, was->second);
		}
	}
	for (unsigned i = 0; i < c->nsets; i++) {
		struct kagefs_ioc_set_delete d = {.uuid = c->set[i]};

		if (ioctl(fd, KAGEFS_IOC_SET_DELETE, &d) < 0)
			die("KAGEFS_IOC_SET_DELETE", c->name);
	}
	c->exists = false;
}

static int cuts(const char *path, unsigned pairs, const char *one, const char *two, unsigned n, bool apart)
{
	struct note *notes = notes_open(path, O_RDONLY);
	const char *const dir[2] = {one, two};
	struct cut live[LIVE] = {{0}};
	struct tally t = {0};
	struct times times = {0};
	struct timespec begin, end;
	unsigned bad = 0;
	uint64_t volume[2], swapped[2];
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = open(dir[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd[i] < 0)
			die("open", dir[i]);
		volume[i] = volume_of(fd[i], dir[i]);
		swapped[!i] = volume[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned k = 0; k < n; k++) {
		/* Either order of the volumes, prepared or not, read-only or writable: eight kinds. */
		unsigned flags = k & 4 ? KAGEFS_SET_WRITABLE | KAGEFS_SET_ANY_WRITER : 0;
		const uint64_t *which = k & 1 ? swapped : volume;
		struct bounds before[PAIRS_MAX], after[PAIRS_MAX];
		unsigned had = t.order + t.range + t.damaged;
		struct cut *c = &live[k % LIVE];
		char copy[2][4096];

		cut_end(c, fd[0], dir, pairs, &t);
		*c = (struct cut){.exists = true, .nsets = apart ? 2 : 1};
		snprintf(c->name, sizeof(c->name), "litmus-%u", k);
		uuid_new(&c->set[0]);
		uuid_new(&c->set[1]);
		notes_get(notes, before);
		if (apart) {
			set_take(fd[0], &c->set[0], c->name, &which[0], 1, flags, k & 2, &times);
			set_take(fd[0], &c->set[1], c->name, &which[1], 1, flags, k & 2, &times);
		} else {
			set_take(fd[0], &c->set[0], c->name, which, 2, flags, k & 2, &times);
		}
		notes_get(notes, after);
		cut_paths(c, dir, copy);
		copy_check(copy[0], copy[1], pairs, before, after, c->seen, &t);
		bad += t.order + t.range + t.damaged != had;
	}
	for (unsigned i = 0; i < LIVE; i++)
		cut_end(&live[i], fd[0], dir, pairs, &t);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%u cuts %s, %u pairs each, in %.1f s: violations order %u, range %u, damaged %u, in %u cuts; halfway %u; "
	       "gate %.3f ms mean, %.3f ms most; commit %.2f ms mean, %.2f ms most\n",
	       n, apart ? "apart" : "in sets", pairs,
	       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9, t.order, t.range, t.damaged, bad,
	       t.halfway, (double)times.gate_ns / 1e6 / (double)(times.n ? times.n : 1), (double)times.gate_max_ns / 1e6,
	       (double)times.commit_ns / 1e6 / (double)(times.n ? times.n : 1), (double)times.commit_max_ns / 1e6);
	return t.order || t.range || t.damaged;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "write") == 0 && argc == 6)
		return write_all(argv[2], parse_pairs(argv[3]), argv[4], argv[5]);
	if (strcmp(verb, "rounds") == 0 && argc == 4)
		return rounds(argv[2], parse_pairs(argv[3]));
	if (strcmp(verb, "check") == 0 && argc == 7)
		return check(argv[2], argv[3], parse_pairs(argv[4]), argv[5], argv[6]);
	if (strcmp(verb, "cuts") == 0 && argc == 8)
		return cuts(argv[2], parse_pairs(argv[3]), argv[4], argv[5], (unsigned)atoi(argv[6]), strcmp(argv[7], "apart") == 0);
	fprintf(stderr, "litmus: see the head of litmus.c\n");
	return 2;
}
