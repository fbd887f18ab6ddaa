/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One run of a command against one server: options, credentials, connection. */
#ifndef AGENT_VSS_SESSION_H
#define AGENT_VSS_SESSION_H

#include "agent/vss/client.h"
#include "agent/vss/opts.h"
#include "agent/vss/set.h"

struct session {
	const struct opts *o; /* borrowed */
	struct creds creds;
	struct client client;
	char server[UNC_PART_SIZE]; /* whom we talk to */
	int lock_fd; /* owned; record_lock of the server while our set is in progress; -1: not held */
	bool record_warned;
};

/* Load the credentials; no connection yet.  Error lines are written here, as by all functions below. */
MUST_USE int session_init(struct session *s, const struct opts *o);
void session_release(struct session *s);

/* Connect to a server (port 0: that of the options), unless we already are.  -EACCES and others as rpc_open. */
MUST_USE int session_connect(struct session *s, const char *server, unsigned port);

/* Fill `set` with one copy per argument of the form //SERVER/SHARE.  -EINVAL: not shares of one server, or one twice. */
MUST_USE int session_parse_shares(const struct session *s, struct set *set);

/* "set ID", for error lines. */
#define SET_OBJECT_SIZE (GUID_TEXT_SIZE + 4)
void set_object(const struct set *set, char text[SET_OBJECT_SIZE]);
/* "//SERVER/SHARE" */
void copy_object(const struct copy *c, char text[UNC_TEXT_SIZE]);

#endif
