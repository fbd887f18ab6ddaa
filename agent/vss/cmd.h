/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands.  Each gets a session that is not connected yet and returns the exit code; see `kagefs-vss --help`. */
#ifndef AGENT_VSS_CMD_H
#define AGENT_VSS_CMD_H

#include "agent/vss/session.h"

int cmd_backup(struct session *s);
int cmd_create(struct session *s);
int cmd_expose(struct session *s);
int cmd_complete(struct session *s);
int cmd_delete(struct session *s);
int cmd_abort(struct session *s);
int cmd_list(struct session *s);
int cmd_probe(struct session *s);

#endif
