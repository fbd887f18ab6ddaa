/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SQLite's result codes as -errno: the only place that does it. */
#include <errno.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

int sql_errno(int code)
{
	switch (code) { /* the few extended codes that mean something else than their family */
	case SQLITE_IOERR_NOMEM:
		return -ENOMEM;
	case SQLITE_IOERR_CORRUPTFS:
		return -EUCLEAN;
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	}
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_PROTOCOL:
		return -EIO;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_CONSTRAINT: /* NOT NULL, CHECK: a contradiction between rows */
	case SQLITE_MISMATCH:
	case SQLITE_EMPTY:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_INTERRUPT:
	case SQLITE_ABORT:
		return -ECANCELED;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EPERM;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_NOTFOUND:
	case SQLITE_NOLFS:
		return -EOPNOTSUPP;
	case SQLITE_ERROR:
	case SQLITE_INTERNAL:
	case SQLITE_SCHEMA:
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
		return -EINVAL;
	}
	msg(LOG_ERR, "meta: unknown SQLite code=%d", code);
	return -EIO;
}

int sql_failed(sqlite3 *h, int code, const char *what)
{
	int r = sql_errno(code);

	msg(LOG_ERR, "meta: %s: %s (code=%d)", what, h ? sqlite3_errmsg(h) : sqlite3_errstr(code), code);
	return r ? r : -EIO;
}
