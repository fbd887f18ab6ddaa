/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of shares and of their exposed copies, as people write them and as the protocol wants them.  UTF-8. */
#ifndef AGENT_VSS_UNC_H
#define AGENT_VSS_UNC_H

#include "agent/rpc/guid.h"

#define UNC_TEXT_SIZE 1024 /* a whole UNC, bytes with the NUL */
#define UNC_PART_SIZE 384 /* bytes with the NUL; server and share names have at most 80..255 characters */

struct share_name {
	char server[UNC_PART_SIZE];
	char share[UNC_PART_SIZE];
};

/* //SERVER/SHARE with either kind of slash and perhaps one at the end.  -EINVAL for anything else, control
 * characters and deeper paths included. */
MUST_USE int share_name_parse(struct share_name *out, const char *text);

/* //SERVER, or just SERVER. */
MUST_USE int server_name_parse(char out[UNC_PART_SIZE], const char *text);

/* An exposed copy, //SERVER/SHARE@{COPY-ID}, or SHARE$@{COPY-ID}$ for a hidden share (MS-FSRVP 3.1.4.6): gives the
 * base share and the copy's id. */
MUST_USE int copy_name_parse(struct share_name *base, struct guid *copy, const char *text);

/* \\SERVER\SHARE\ : Windows' requesters send the last backslash, and agents use it for hidden shares. */
void share_name_to_unc(const struct share_name *n, char unc[UNC_TEXT_SIZE]);

/* The part after the last slash or backslash: agents answer GetShareMapping with a bare name or with a UNC. */
const char *unc_last_part(const char *unc);

#endif
