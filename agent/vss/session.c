/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GRACE_S 10 /* how long a call in flight may go on after a signal */

int session_init(struct session *s, const struct opts *o)
{
	char why[512];
	int r;

	*s = (struct session){.o = o, .lock_fd = -1};
	if (o->offline) /* asks no server, needs nobody's password */
		return 0;
	r = creds_load(&s->creds, &o->creds, why, sizeof(why));
	if (r < 0) {
		fprintf(stderr, "kagefs-vss: %s: %s\n", verb_name(o->verb), why);
		creds_release(&s->creds);
		return r;
	}
	s->client.limits = (struct rpc_limits){.timeout_s = o->call_s, .grace_s = GRACE_S};
	s->client.options = (struct rpc_options){
		.host = s->server,
		.level = o->level,
		.mech = o->mech,
		.smb_encrypt = o->smb_encrypt,
		.smb_conf = o->smb_conf,
		.creds = &s->creds,
		.verbose = o->verbose,
	};
	return 0;
}

void session_release(struct session *s)
{
	cleanup_fd(&s->lock_fd);
	s->lock_fd = -1;
	client_disconnect(&s->client);
	creds_release(&s->creds);
}

int session_connect(struct session *s, const char *server, unsigned port)
{
	char object[UNC_TEXT_SIZE];

	if (!port)
		port = s->o->port;
	if (client_alive(&s->client) && strcasecmp(s->server, server) == 0 && s->client.options.port == port)
		return 0;
	snprintf(s->server, sizeof(s->server), "%s", server);
	s->client.options.port = port;
	int r = client_connect(&s->client);
	if (r < 0) {
		snprintf(object, sizeof(object), "//%s", server);
		out_error(object, NULL, "%s", client_why(&s->client));
	}
	return r;
}

int session_parse_shares(const struct session *s, struct set *set)
{
	for (int i = 0; i < s->o->nargs; i++) {
		const char *arg = s->o->args[i];
		struct share_name n;

		if (share_name_parse(&n, arg) < 0) {
			out_error(arg, "write //SERVER/SHARE; the whole share is copied, not a folder in it",
				  "not the name of a share");
			return -EINVAL;
		}
		if (set->ncopies && strcasecmp(n.server, set->server) != 0) {
			out_error(arg, "run one command per server", "the shares of one set must be on one server");
			return -EINVAL;
		}
		for (size_t k = 0; k < set->ncopies; k++)
			if (strcasecmp(n.share, set->copies[k].share.share) == 0) {
				out_error(arg, "name each share once", "named twice");
				return -EINVAL;
			}
		memcpy(set->server, n.server, sizeof(set->server));
		if (!set_append(set, &n)) {
			out_error(arg, "try again", "out of memory");
			return -ENOMEM;
		}
	}
	set->port = s->o->port;
	return 0;
}

void set_object(const struct set *set, char text[SET_OBJECT_SIZE])
{
	strcpy(text, "set ");
	guid_format(&set->id, text + 4);
}

void copy_object(const struct copy *c, char text[UNC_TEXT_SIZE])
{
	snprintf(text, UNC_TEXT_SIZE, "//%s/%s", c->share.server, c->share.share);
}
