/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SIGINT, SIGTERM and SIGHUP as a wish to stop, so that a set in progress can be cleaned up first. */
#ifndef AGENT_VSS_STOP_H
#define AGENT_VSS_STOP_H

#include "fs/base/cleanup.h"

/* From here on the signals only leave a note.  Before it they end the program as usual, which is right as long as
 * nothing has been made on a server. */
MUST_USE int stop_install(void);

/* The first signal that came, or 0. */
int stop_pending(void);
const char *stop_name(void);

/* Readable for ever once a signal has come; -1 before stop_install.  For poll and event loops. */
int stop_fd(void);

/* Sleep up to `ms`, less if a signal comes or has come. */
void stop_sleep_ms(int ms);

#endif
