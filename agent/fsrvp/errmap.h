/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place where -errno becomes a result of [MS-FSRVP]. */
#ifndef AGENT_FSRVP_ERRMAP_H
#define AGENT_FSRVP_ERRMAP_H

#include <stdint.h>

/* err: 0 or -errno.  An error the table does not know is logged and becomes FSRVP_E_FAIL. */
uint32_t errmap_result(int err);

#endif
