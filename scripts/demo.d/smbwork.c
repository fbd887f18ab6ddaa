/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The applications of the demo: they work on shares through SMB (libsmbclient), keep their handles open, and number what
 * they write, so that a copy of the shares can be checked against what was written.
 *
 *   smbwork order URL URL ACKED          bump a counter in the first file, then in the second, for ever
 *   smbwork guest URL ACKED BLOCKS       write numbered blocks into a disk image, as a virtual machine does
 *   smbwork bank URL ACKED               transfers between accounts in an SQLite database
 *   smbwork settle URL                   open such a database, which rolls back an unfinished transfer; put a mark in it
 *   smbwork books URL                    check such a database, and tell whether it has the mark
 *   smbwork hold URL NOTE                write into a file until that is refused; note the error's name
 *   smbwork guest-check IMAGE BLOCKS     of a local image: prints the number of the last block; fails unless all blocks
 *                                        before it are there and none after it
 *   smbwork clone FROM TO                copy_file_range of the whole file, on one mount, then rename over TO.  cp does that
 *                                        too, but that of coreutils 9.1 not with files that have holes
 *   smbwork sets DIR                     how many sets the kagefs mount at DIR has
 *
 * URL: smb://SERVER/SHARE/FILE.  ACKED: local file that always holds the number of the last write that was confirmed.
 * BLOCKS: local file with the image's block numbers to use.  SIGTERM ends the endless ones after the write under way.
 * Environment: SMBWORK_AUTH, file with username = and password =; SMBWORK_CONF, settings of the SMB client.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libsmbclient.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/kagefs_ioctl.h"

#define BLOCK_BYTES 4096
#define BLOCKS_MAX 4096
#define COUNTER_BYTES 17 /* 16 digits and a newline */
#define ACCOUNTS 2000
#define BALANCE 1000
#define TRANSFERS_PER_COMMIT 200
#define PAUSE_ORDER_US 300
#define PAUSE_GUEST_US 2000

static volatile sig_atomic_t stopping;
static char user[128], password[128];

static void on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

static void die(const char *what, const char *object)
{
	fprintf(stderr, "smbwork: %s: %s: %s\n", what, object, strerror(errno));
	exit(1);
}

/* ---- SMB ----------------------------------------------------------------------------------------------------- */

static void authenticate(SMBCCTX *c, const char *server, const char *share, char *group, int group_size, char *name,
			 int name_size, char *secret, int secret_size)
{
	(void)c, (void)server, (void)share, (void)group, (void)group_size;
	snprintf(name, (size_t)name_size, "%s", user);
	snprintf(secret, (size_t)secret_size, "%s", password);
}

static void smb_begin(void)
{
	const char *auth = getenv("SMBWORK_AUTH"), *conf = getenv("SMBWORK_CONF");
	char line[256];
	SMBCCTX *c = smbc_new_context();
	FILE *f = fopen(auth ? auth : "", "re");

	if (!f)
		die("SMBWORK_AUTH", auth ? auth : "is not set");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "username = %127s", user);
		sscanf(line, "password = %127s", password);
	}
	fclose(f);
	if (!c)
		die("libsmbclient", "context");
	if (conf)
		smbc_setConfiguration(c, conf);
	smbc_setFunctionAuthDataWithContext(c, authenticate);
	smbc_setOptionNoAutoAnonymousLogin(c, 1);
	if (!smbc_init_context(c))
		die("libsmbclient", "start");
	smbc_set_context(c);
}

static int smb_open(const char *url, int flags)
{
	int fd = smbc_open(url, flags, 0660);

	if (fd < 0)
		die("open", url);
	return fd;
}

static int write_at(int fd, off_t offset, const void *data, size_t n)
{
	if (smbc_lseek(fd, offset, SEEK_SET) != offset || smbc_write(fd, data, n) != (ssize_t)n)
		return -1;
	return 0;
}

/* The last number that the server has confirmed, always readable by others. */
static void acked(const char *path, uint64_t n)
{
	static int fd = -1;
	char text[COUNTER_BYTES + 1];

	if (fd < 0)
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	snprintf(text, sizeof(text), "%016" PRIu64 "\n", n);
	if (fd < 0 || pwrite(fd, text, COUNTER_BYTES, 0) != COUNTER_BYTES)
		die("write", path);
}

/* ---- order: what is seen in the second share was in the first one before --------------------------------------- */

static int order(const char *first, const char *second, const char *note)
{
	int a = smb_open(first, O_RDWR | O_CREAT), b = smb_open(second, O_RDWR | O_CREAT);
	char text[COUNTER_BYTES + 1];
	uint64_t n = 0;

	while (!stopping) {
		snprintf(text, sizeof(text), "%016" PRIu64 "\n", ++n);
		if (write_at(a, 0, text, COUNTER_BYTES) < 0)
			die("write", first);
		if (write_at(b, 0, text, COUNTER_BYTES) < 0)
			die("write", second);
		acked(note, n);
		usleep(PAUSE_ORDER_US);
	}
	smbc_close(a);
	smbc_close(b);
	return 0;
}

/* ---- guest: write number n goes to block n modulo the number of blocks ------------------------------------------ */

static size_t read_blocks(const char *path, uint64_t *blocks)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (!f)
		die("open", path);
	while (n < BLOCKS_MAX && fscanf(f, "%" SCNu64, &blocks[n]) == 1)
		n++;
	fclose(f);
	if (n == 0) {
		errno = EINVAL;
		die("no block numbers", path);
	}
	return n;
}

static void fill_block(char *block, uint64_t n)
{
	size_t used = 0;

	while (used < BLOCK_BYTES)
		used += (size_t)snprintf(block + used, BLOCK_BYTES + 1 - used, "block %016" PRIu64 "\n", n);
}

static int guest(const char *url, const char *note, const char *block_list)
{
	static uint64_t blocks[BLOCKS_MAX];
	size_t nblocks = read_blocks(block_list, blocks);
	int fd = smb_open(url, O_RDWR);
	char block[BLOCK_BYTES + 64];

	for (uint64_t n = 1; !stopping; n++) {
		fill_block(block, n);
		if (write_at(fd, (off_t)(blocks[n % nblocks] * BLOCK_BYTES), block, BLOCK_BYTES) < 0)
			die("write", url);
		acked(note, n);
		usleep(PAUSE_GUEST_US);
	}
	smbc_close(fd);
	return 0;
}

/* Of a block: its number, 0 never written, -1 a mixture. */
static int64_t block_number(const char *block)
{
	static const char none[BLOCK_BYTES];
	char whole[BLOCK_BYTES + 64];
	uint64_t n = 0;

	if (memcmp(block, none, BLOCK_BYTES) == 0)
		return 0;
	if (sscanf(block, "block %" SCNu64, &n) != 1)
		return -1;
	fill_block(whole, n);
	return memcmp(block, whole, BLOCK_BYTES) == 0 ? (int64_t)n : -1;
}

static int guest_check(const char *image, const char *block_list)
{
	static uint64_t blocks[BLOCKS_MAX];
	static int64_t found[BLOCKS_MAX];
	size_t nblocks = read_blocks(block_list, blocks);
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	char block[BLOCK_BYTES + 1] = "";
	int64_t last = 0;

	if (fd < 0)
		die("open", image);
	for (size_t i = 0; i < nblocks; i++) {
		if (pread(fd, block, BLOCK_BYTES, (off_t)(blocks[i] * BLOCK_BYTES)) != BLOCK_BYTES)
			die("read", image);
		found[i] = block_number(block);
		if (found[i] > last)
			last = found[i];
	}
	close(fd);
	/* What each block must hold if writes 1 .. last happened, and no other. */
	for (size_t i = 0; i < nblocks; i++) {
		int64_t back = (last - (int64_t)i) % (int64_t)nblocks;
		int64_t want = last - (back < 0 ? back + (int64_t)nblocks : back);

		if (found[i] != (want > 0 ? want : 0)) {
			printf("block %zu of %zu holds write %" PRId64 ", not %" PRId64 "; last is %" PRId64 "\n", i, nblocks,
			       found[i], want, last);
			return 1;
		}
	}
	printf("%" PRId64 "\n", last);
	return 0;
}

/* ---- SQLite over SMB: a VFS with just what one writer needs ------------------------------------------------------ */

struct smb_file {
	sqlite3_file base;
	int fd;
	char *delete_url; /* owned */
};

static int file_close(sqlite3_file *f)
{
	struct smb_file *s = (struct smb_file *)f;

	smbc_close(s->fd);
	if (s->delete_url)
		smbc_unlink(s->delete_url);
	free(s->delete_url);
	return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *to, int n, sqlite3_int64 offset)
{
	struct smb_file *s = (struct smb_file *)f;
	int done = 0;

	if (smbc_lseek(s->fd, offset, SEEK_SET) != offset)
		return SQLITE_IOERR_READ;
	while (done < n) {
		ssize_t got = smbc_read(s->fd, (char *)to + done, (size_t)(n - done));

		if (got < 0)
			return SQLITE_IOERR_READ;
		if (got == 0) {
			memset((char *)to + done, 0, (size_t)(n - done));
			return SQLITE_IOERR_SHORT_READ;
		}
		done += (int)got;
	}
	return SQLITE_OK;
}

static int file_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 offset)
{
	return write_at(((struct smb_file *)f)->fd, offset, from, (size_t)n) == 0 ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return smbc_ftruncate(((struct smb_file *)f)->fd, size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

/* libsmbclient has no flush.  A snapshot holds every write confirmed before it, so that order is all that counts here. */
static int file_sync(sqlite3_file *f, int flags)
{
	(void)f, (void)flags;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	struct stat st;

	if (smbc_fstat(((struct smb_file *)f)->fd, &st) < 0)
		return SQLITE_IOERR_FSTAT;
	*size = st.st_size;
	return SQLITE_OK;
}

/* One process per database. */
static int file_lock(sqlite3_file *f, int level)
{
	(void)f, (void)level;
	return SQLITE_OK;
}

static int file_reserved(sqlite3_file *f, int *reserved)
{
	(void)f;
	*reserved = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	(void)f, (void)op, (void)arg;
	return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
	(void)f;
	return BLOCK_BYTES;
}

static int file_characteristics(sqlite3_file *f)
{
	(void)f;
	return 0;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_lock,
	.xCheckReservedLock = file_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_characteristics,
};

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
	struct smb_file *s = (struct smb_file *)f;

	(void)v;
	memset(s, 0, sizeof(*s));
	s->fd = name ? smbc_open(name, O_RDWR | (flags & SQLITE_OPEN_CREATE ? O_CREAT : 0), 0660) : -1;
	if (s->fd < 0)
		return SQLITE_CANTOPEN;
	s->base.pMethods = &file_methods;
	s->delete_url = flags & SQLITE_OPEN_DELETEONCLOSE ? strdup(name) : NULL;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
	(void)v, (void)sync_dir;
	if (smbc_unlink(name) == 0)
		return SQLITE_OK;
	return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *yes)
{
	struct stat st;

	(void)v;
	/* An empty journal counts as none, as in SQLite's own VFS. */
	*yes = smbc_stat(name, &st) == 0 && (flags != SQLITE_ACCESS_EXISTS || st.st_size > 0);
	return SQLITE_OK;
}

static int vfs_full(sqlite3_vfs *v, const char *name, int n, char *out)
{
	(void)v;
	return snprintf(out, (size_t)n, "%s", name) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

static sqlite3 *database_open(const char *url, int flags)
{
	static sqlite3_vfs v;
	sqlite3 *db;

	if (!v.zName) {
		v = *sqlite3_vfs_find(NULL); /* time, randomness */
		v.iVersion = 1;
		v.pNext = NULL;
		v.szOsFile = sizeof(struct smb_file);
		v.mxPathname = 1024;
		v.zName = "smb";
		v.xOpen = vfs_open;
		v.xDelete = vfs_delete;
		v.xAccess = vfs_access;
		v.xFullPathname = vfs_full;
		sqlite3_vfs_register(&v, 0);
	}
	if (sqlite3_open_v2(url, &db, flags, "smb") != SQLITE_OK) {
		fprintf(stderr, "smbwork: open: %s: %s\n", url, sqlite3_errmsg(db));
		exit(1);
	}
	return db;
}

static void sql(sqlite3 *db, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
		fprintf(stderr, "smbwork: %s: %s\n", text, why ? why : "failed");
		exit(1);
	}
}

/* One value as text; the caller frees it. */
static char *sql_value(sqlite3 *db, const char *text)
{
	sqlite3_stmt *s;
	char *value = NULL;

	if (sqlite3_prepare_v2(db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = strdup((const char *)sqlite3_column_text(s, 0));
	if (!value) {
		fprintf(stderr, "smbwork: %s: %s\n", text, sqlite3_errmsg(db));
		exit(1);
	}
	sqlite3_finalize(s);
	return value;
}

/* Every commit moves money between many accounts: of half a commit, the sum would be wrong. */
static int bank(const char *url, const char *note)
{
	sqlite3 *db = database_open(url, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	char text[256];

	/* The small cache makes SQLite write into the database before the commit, so that the journal matters. */
	sql(db, "pragma journal_mode=delete; pragma temp_store=memory; pragma cache_size=10;"
		"create table account(id integer primary key, balance integer not null, remark text);"
		"create table done(n integer not null)");
	snprintf(text, sizeof(text),
		 "begin; insert into done values(0);"
		 "with recursive c(i) as (select 1 union all select i+1 from c where i < %d)"
		 "insert into account select i, %d, hex(randomblob(100)) from c; commit",
		 ACCOUNTS, BALANCE);
	sql(db, text);
	for (uint64_t n = 1; !stopping; n++) {
		sql(db, "begin");
		for (int i = 0; i < TRANSFERS_PER_COMMIT; i++) {
			snprintf(text, sizeof(text),
				 "update account set balance = balance - %d where id = %d;"
				 "update account set balance = balance + %d where id = %d",
				 i + 1, rand() % ACCOUNTS + 1, i + 1, rand() % ACCOUNTS + 1);
			sql(db, text);
		}
		snprintf(text, sizeof(text), "update done set n = %" PRIu64 "; commit", n);
		sql(db, text);
		acked(note, n);
	}
	sqlite3_close(db);
	return 0;
}

static int books(const char *url, int settle)
{
	sqlite3 *db = database_open(url, SQLITE_OPEN_READWRITE);
	char *whole, *sum, *n, *settled;
	int bad;

	if (settle) /* a commit also removes a journal that was cut off before it had its first bytes */
		sql(db, "pragma temp_store=memory; create table settled(note)");
	whole = sql_value(db, "pragma integrity_check");
	sum = sql_value(db, "select sum(balance) from account");
	n = sql_value(db, "select n from done");
	settled = sql_value(db, "select count(*) from sqlite_master where name = 'settled'");
	bad = strcmp(whole, "ok") != 0 || atoi(sum) != ACCOUNTS * BALANCE;
	printf("integrity_check %s, sum %s, settled %s, last commit %s\n", whole, sum, settled, n);
	free(whole);
	free(sum);
	free(n);
	free(settled);
	sqlite3_close(db);
	return bad;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static int hold(const char *url, const char *note)
{
	int fd = smb_open(url, O_RDWR | O_CREAT);
	FILE *f;

	while (!stopping && write_at(fd, 0, "still writable\n", 15) == 0)
		usleep(20000);
	f = fopen(note, "we");
	if (!f)
		die("write", note);
	fprintf(f, "%s\n", stopping ? "never" : strerrorname_np(errno) ? strerrorname_np(errno) : "?");
	fclose(f);
	return 0;
}

static int clone(const char *from, const char *to)
{
	char temp[4096];
	struct stat st;
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	off_t left;

	if (in < 0 || fstat(in, &st) < 0)
		die("open", from);
	snprintf(temp, sizeof(temp), "%s.new", to);
	out = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		die("open", temp);
	for (left = st.st_size; left > 0;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);

		if (n <= 0)
			die("copy_file_range", temp);
		left -= n;
	}
	if (fchown(out, st.st_uid, st.st_gid) < 0 || fchmod(out, st.st_mode & 07777) < 0 || fsync(out) < 0 || close(out) < 0)
		die("finish", temp);
	if (rename(temp, to) < 0)
		die("rename", to);
	close(in);
	return 0;
}

static int sets(const char *dir)
{
	static struct kagefs_ioc_set_list l;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;

	if (fd < 0)
		die("open", dir);
	do {
		l.flags = l.count = 0;
		if (ioctl(fd, KAGEFS_IOC_SET_LIST, &l) < 0)
			die("KAGEFS_IOC_SET_LIST", dir);
		n += (int)l.count;
		if (l.count)
			l.after = l.sets[l.count - 1].uuid;
	} while (l.count);
	printf("%d\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct sigaction sa = { .sa_handler = on_term, .sa_flags = SA_RESTART };

	if (strcmp(verb, "guest-check") == 0 && argc == 4)
		return guest_check(argv[2], argv[3]);
	if (strcmp(verb, "clone") == 0 && argc == 4)
		return clone(argv[2], argv[3]);
	if (strcmp(verb, "sets") == 0 && argc == 3)
		return sets(argv[2]);
	sigaction(SIGTERM, &sa, NULL);
	if (strcmp(verb, "order") == 0 && argc == 5) {
		smb_begin();
		return order(argv[2], argv[3], argv[4]);
	}
	if (strcmp(verb, "guest") == 0 && argc == 5) {
		smb_begin();
		return guest(argv[2], argv[3], argv[4]);
	}
	if (strcmp(verb, "bank") == 0 && argc == 4) {
		smb_begin();
		return bank(argv[2], argv[3]);
	}
	if ((strcmp(verb, "settle") == 0 || strcmp(verb, "books") == 0) && argc == 3) {
		smb_begin();
		return books(argv[2], verb[0] == 's');
	}
	if (strcmp(verb, "hold") == 0 && argc == 4) {
		smb_begin();
		return hold(argv[2], argv[3]);
	}
	fprintf(stderr, "smbwork: see the head of smbwork.c\n");
	return 2;
}
