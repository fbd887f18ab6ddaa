/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * System calls on a directory of a kagefs mount: which store it is, which volume, what lies below.  All of them can hang with the
 * file system: they are for jobs of agent/workers.h.
 */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include "agent/backend.h"
#include "fs/kagefs_ioctl.h"

/* A descriptor, or -errno. */
int place_open(const char *path) MUST_USE;
int place_call(int fd, unsigned long number, void *arg) MUST_USE;
/* -ENOTTY: not a kagefs that we understand. */
int place_store(int fd, struct guid *store) MUST_USE;
/* backend_locate, at once.  What was found up to an error is in out too; release it. */
int place_find(const char *path, struct backend_place *out) MUST_USE;

#endif
