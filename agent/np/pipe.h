/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The listening socket behind <ncalrpc dir>/np/<name>, which smbd connects to when a client opens the pipe.
 *
 * samba-dcerpcd binds the same name when its own helper program lists the interface (Samba's rpcd_fsrvp).  The name is
 * therefore taken back whenever somebody else's socket stands there; connections made to ours stay as they are.
 */
#ifndef AGENT_NP_PIPE_H
#define AGENT_NP_PIPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "fs/base/cleanup.h"

struct pipe_socket {
	char *dir;	    /* <ncalrpc dir>/np; owned */
	char *path;	    /* dir/name: what smbd opens; owned */
	char *private_path; /* dir/.kagefs-name: what is bound; owned */
	char *temp_path;    /* owned */
	int listen_fd;	    /* non-blocking */
	int watch_fd;	    /* inotify on dir; readable: call pipe_socket_check */
	int lock_fd;	    /* held for the life of the agent: one agent per pipe */
	dev_t dev;
	ino_t ino;	      /* of the bound socket */
	unsigned takebacks; /* how often the name was lost and taken again */
};

/* Makes the directories with the modes smbd insists on (0755 and 0700, root) when they are missing, never changes wrong
 * ones: -EPERM then.  -EBUSY: another agent holds the pipe.  -ENAMETOOLONG.  Logs the reason. */
int pipe_socket_open(struct pipe_socket *p, const char *ncalrpc_dir, const char *name) MUST_USE;
/* Drains the watch and puts our socket back under the name if it is not there.  Does not block.  Call it also every some
 * seconds: the directory itself may have been replaced.  0 or -errno, logged. */
int pipe_socket_check(struct pipe_socket *p);
/* Removes the names, but only those that are ours. */
void pipe_socket_close(struct pipe_socket *p);

#endif
