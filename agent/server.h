/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections from smbd: one thread each.  The accepting thread only accepts, so that smbd, which blocks its client while
 * it connects and waits for the hand-over's answer, is never kept waiting by somebody else's slow call.
 */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include <pthread.h>

#include "agent/fsrvp/agent.h"
#include "agent/rpc/assoc.h"

#define SERVER_CONNECTIONS_MAX 64
#define SERVER_HANDSHAKE_MS 5000
#define SERVER_SEND_MS 30000

struct server {
	struct agent *agent; /* borrowed */
	struct mech_config mech;
	uid_t peer_uid; /* who may connect: root, as smbd does */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	int fds[SERVER_CONNECTIONS_MAX]; /* of living connections, -1: free; protected by lock */
	unsigned nconnections;		 /* protected by lock */
};

void server_init(struct server *s, struct agent *agent, const struct mech_config *mech);
/* Takes every connection that waits on the listening descriptor.  Does not block. */
void server_accept(struct server *s, int listen_fd);
/* Hang up on all clients and wait for their threads. */
void server_release(struct server *s);

#endif
