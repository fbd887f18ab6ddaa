/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who we are for the server.  Secrets come from a file, the environment, a descriptor, a keytab or a credentials cache,
 * never from the command line, where every local user can read them.
 */
#ifndef AGENT_VSS_CREDS_H
#define AGENT_VSS_CREDS_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/base/cleanup.h"

enum kerberos_use { KERBEROS_NO, KERBEROS_AUTO, KERBEROS_REQUIRED };

struct creds {
	char *user, *domain, *password; /* owned; NULL: not known */
	char *ccache;			/* owned; NULL: the default one */
	char *tmpdir;			/* owned; the cache made from a keytab lies here */
	enum kerberos_use kerberos;
};

struct creds_options {
	const char *user;     /* [DOMAIN\]USER or USER@REALM */
	const char *authfile; /* lines username = , password = , domain = */
	const char *keytab, *ccache;
	enum kerberos_use kerberos;
};

/*
 * Collect the credentials, first source wins: options, authfile, environment (PASSWD, PASSWD_FILE or PASSWD_FD, as with
 * Samba's own tools; the user from USER or LOGNAME, USER may be USER%PASSWORD).  With a keytab kinit is run; the ticket
 * lives in a private folder until creds_release.
 * The secrets are then removed from the environment, so that commands we start do not inherit them.
 * On failure `why` says what and what to do.  -EINVAL, -EACCES (file that others may read), -ENOENT, -EIO, -ENOMEM.
 */
MUST_USE int creds_load(struct creds *c, const struct creds_options *o, char *why, size_t why_size);

/* Wipes the password and removes the ticket made from a keytab. */
void creds_release(struct creds *c);

/* The authfile's lines, for the tests.  `text` is changed.  Unknown keys are ignored, as Samba does. */
MUST_USE int creds_parse_authfile(struct creds *c, char *text);

#endif
