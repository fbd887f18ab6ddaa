/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/creds.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SECRET_FILE_MAX 4096

static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	size_t n = strlen(s);
	while (n && isspace((unsigned char)s[n - 1]))
		s[--n] = 0;
	return s;
}

static void wipe_string(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

/* Set *field unless an earlier source has set it. */
static int set_once(char **field, const char *value)
{
	if (*field)
		return 0;
	*field = strdup(value);
	return *field ? 0 : -ENOMEM;
}

/* Split DOMAIN\USER (or DOMAIN/USER).  A principal, USER@REALM or HOST/NAME@REALM, stays whole. */
static int set_user(struct creds *c, const char *text)
{
	const char *sep = strchr(text, '@') ? NULL : strpbrk(text, "\\/");

	if (c->user)
		return 0;
	if (sep && !c->domain) {
		c->domain = strndup(text, (size_t)(sep - text));
		if (!c->domain)
			return -ENOMEM;
	}
	return set_once(&c->user, sep ? sep + 1 : text);
}

int creds_parse_authfile(struct creds *c, char *text)
{
	char *save = NULL, *domain = NULL;
	int r = 0;

	for (char *line = strtok_r(text, "\r\n", &save); line && !r; line = strtok_r(NULL, "\r\n", &save)) {
		char *eq = strchr(line, '=');

		if (!eq)
			continue;
		*eq = 0;
		char *key = trim(line), *value = trim(eq + 1);
		if (strcasecmp(key, "username") == 0)
			r = set_user(c, value);
		else if (strcasecmp(key, "password") == 0)
			r = set_once(&c->password, value);
		else if (strcasecmp(key, "domain") == 0)
			domain = value;
	}
	if (!r && domain)
		r = set_once(&c->domain, domain);
	return r;
}

/* Read a small file into buf, NUL-ended.  With `check` its mode must keep others out. */
static int read_secret(int fd, bool check, char *buf, size_t size)
{
	struct stat st;
	size_t len = 0;

	if (check && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH)))
		return -EACCES;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = 0;
	return 0;
}

static int read_secret_file(const char *path, char *buf, size_t size, char *why, size_t why_size)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_secret(fd, true, buf, size);

	if (r == -EACCES && fd >= 0)
		snprintf(why, why_size, "%s: other users may read or change it; run chmod 600 on it", path);
	else if (r < 0)
		snprintf(why, why_size, "%s: %s; check the path", path, strerror(-r));
	return r;
}

static int load_authfile(struct creds *c, const char *path, char *why, size_t why_size)
{
	char buf[SECRET_FILE_MAX];
	int r = read_secret_file(path, buf, sizeof(buf), why, why_size);

	if (!r)
		r = creds_parse_authfile(c, buf);
	explicit_bzero(buf, sizeof(buf));
	return r;
}

/* The first line of PASSWD_FILE or PASSWD_FD. */
static int load_password_line(struct creds *c, char *why, size_t why_size)
{
	const char *path = getenv("PASSWD_FILE"), *fd_text = getenv("PASSWD_FD");
	char buf[SECRET_FILE_MAX];
	int r;

	if (c->password || (!path && !fd_text))
		return 0;
	if (path) {
		r = read_secret_file(path, buf, sizeof(buf), why, why_size);
	} else {
		r = read_secret(atoi(fd_text), false, buf, sizeof(buf));
		if (r < 0)
			snprintf(why, why_size, "PASSWD_FD=%s: %s; give an open descriptor", fd_text, strerror(-r));
	}
	if (!r) {
		buf[strcspn(buf, "\r\n")] = 0;
		r = set_once(&c->password, buf);
	}
	explicit_bzero(buf, sizeof(buf));
	return r;
}

/* Overwrite the value where it stands, too: unsetenv only drops the pointer. */
static void forget_env(const char *name)
{
	char *v = getenv(name);

	if (v)
		explicit_bzero(v, strlen(v));
	unsetenv(name);
}

static int load_environment(struct creds *c, char *why, size_t why_size)
{
	const char *passwd = getenv("PASSWD"), *user = getenv("USER");
	int r = 0;

	if (passwd)
		r = set_once(&c->password, passwd);
	if (!r)
		r = load_password_line(c, why, why_size);
	if (!user)
		user = getenv("LOGNAME");
	if (!r && user && !c->user) {
		CLEANUP_FREE char *copy = strdup(user);
		char *percent = copy ? strchr(copy, '%') : NULL;

		if (!copy)
			return -ENOMEM;
		if (percent) {
			*percent = 0;
			r = set_once(&c->password, percent + 1);
			explicit_bzero(percent + 1, strlen(percent + 1));
		}
		if (!r)
			r = set_user(c, copy);
	}
	forget_env("PASSWD");
	if (getenv("USER") && strchr(getenv("USER"), '%'))
		forget_env("USER");
	unsetenv("PASSWD_FILE");
	unsetenv("PASSWD_FD");
	return r;
}

/* kinit -k -t KEYTAB -c FILE:TMPDIR/cc USER.  The Kerberos of the RPC library is not the system's, so the ticket goes
 * through a file in both cases. */
static int ticket_from_keytab(struct creds *c, const char *keytab, char *why, size_t why_size)
{
	char dir[] = "/tmp/kagefs-vss-XXXXXX";
	int status;

	if (!c->user) {
		snprintf(why, why_size, "--keytab: no principal; give --user NAME@REALM");
		return -EINVAL;
	}
	if (!mkdtemp(dir)) {
		snprintf(why, why_size, "/tmp: %s; the ticket needs a private folder there", strerror(errno));
		return -EIO;
	}
	c->tmpdir = strdup(dir);
	if (!c->tmpdir || asprintf(&c->ccache, "FILE:%s/cc", dir) < 0) {
		c->ccache = NULL;
		return -ENOMEM;
	}
	pid_t pid = fork();
	if (pid == 0) {
		execlp("kinit", "kinit", "-k", "-t", keytab, "-c", c->ccache, c->user, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -EIO;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		bool missing = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127;

		snprintf(why, why_size, "%s: %s", keytab,
			 missing ? "kinit is not installed; install krb5-user, or make the ticket elsewhere and give --ccache"
				 : "kinit got no ticket with it; check the keytab, the principal and krb5.conf");
		return -EIO;
	}
	return 0;
}

int creds_load(struct creds *c, const struct creds_options *o, char *why, size_t why_size)
{
	int r = 0;

	*c = (struct creds){.kerberos = o->kerberos};
	why[0] = 0;
	if (o->user && strchr(o->user, '%')) {
		snprintf(why, why_size, "--user: a password on the command line can be read by every local user; "
			 "use --authfile or PASSWD_FILE");
		return -EINVAL;
	}
	if (o->user)
		r = set_user(c, o->user);
	if (!r && o->authfile)
		r = load_authfile(c, o->authfile, why, why_size);
	if (!r)
		r = load_environment(c, why, why_size);
	if (!r && o->ccache)
		r = set_once(&c->ccache, o->ccache);
	if (!r && o->keytab)
		r = ticket_from_keytab(c, o->keytab, why, why_size);
	if (!r && (o->keytab || o->ccache))
		c->kerberos = KERBEROS_REQUIRED;
	if (!r && !c->password && c->kerberos == KERBEROS_NO) {
		snprintf(why, why_size, "credentials: no password; give --authfile FILE, PASSWD_FILE, --keytab or --ccache");
		r = -EINVAL;
	}
	if (r < 0 && !why[0])
		snprintf(why, why_size, "credentials: %s; try again", strerror(-r));
	return r;
}

void creds_release(struct creds *c)
{
	wipe_string(&c->password);
	if (c->tmpdir) {
		const char *file = strchr(c->ccache ? c->ccache : ":", ':') + 1;

		(void)unlink(file); /* not there if kinit failed */
		(void)rmdir(c->tmpdir);
	}
	free(c->user);
	free(c->domain);
	free(c->ccache);
	free(c->tmpdir);
	*c = (struct creds){0};
}
