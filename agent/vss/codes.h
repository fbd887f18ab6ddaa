/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the agent's answers mean, in words. */
#ifndef AGENT_VSS_CODES_H
#define AGENT_VSS_CODES_H

#include <stdbool.h>
#include <stdint.h>

/* Never NULL; for an unknown code a general text.  Static storage. */
const char *fsrvp_code_reason(uint32_t code);
const char *fsrvp_code_advice(uint32_t code);

/* The answer says that the set, the copy or its share does not exist.  Agents differ in the code they use for it. */
bool fsrvp_code_is_gone(uint32_t code);

/* The answer says that the set exists but is not exposed. */
bool fsrvp_code_is_not_exposed(uint32_t code);

#endif
