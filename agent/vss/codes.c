/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vss/codes.h"

#include <stddef.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "fs/base/cleanup.h"

/* Not in MS-FSRVP, but Samba's agent has it. */
#define FSRVP_E_BAD_ID 0x80042302u

static const struct code_text {
	uint32_t code;
	const char *reason, *advice;
} codes[] = {
	{FSRVP_E_BAD_STATE, "the agent is not in the right state for this step",
	 "the set may have run into the agent's timer: start again"},
	{FSRVP_E_BAD_ID, "the agent does not know this id", "look at `kagefs-vss list`"},
	{FSRVP_E_NOT_FOUND, "not found", "check the name of the share and the ids"},
	{FSRVP_E_NOT_SUPPORTED, "the agent does not support this here",
	 "check that the share lies on a file system that can take snapshots"},
	{FSRVP_E_ALREADY_EXISTS, "already in the set", "name each share once; some agents take one share per volume"},
	{FSRVP_E_NOT_EXPOSED_YET, "the set is not exposed yet", "run `kagefs-vss expose` first"},
	{FSRVP_E_SET_IN_PROGRESS, "another shadow copy set is in progress",
	 "try again later or give --wait; an abandoned set is dropped by the agent's timer"},
	{FSRVP_E_UNSUPPORTED_CONTEXT, "the agent does not support this context", "try another --context"},
	{FSRVP_E_TIMEOUT, "the agent ran out of time and took nothing", "try again when the server is less busy"},
	{FSRVP_E_SET_ID_MISMATCH, "the agent does not know this set", "look at `kagefs-vss list`"},
	{FSRVP_E_WAIT_TIMEOUT, "the time limit was reached", "give a longer --timeout-... or try again"},
	{FSRVP_E_WAIT_FAILED, "the agent could not wait for the snapshot", "look into the server's log"},
	{FSRVP_E_FAIL, "the agent failed", "look into the server's log"},
	{FSRVP_E_ACCESSDENIED, "access denied",
	 "the user must be an Administrator or Backup Operator of the server; some agents want --auth sign or seal"},
	{FSRVP_E_OUTOFMEMORY, "the agent is out of memory", "look into the server's log"},
	{FSRVP_E_INVALIDARG, "the agent refused an argument",
	 "check the share's name, the ids and the context; some agents say this for anything they do not know"},
};

static const struct code_text *find(uint32_t code)
{
	static const struct code_text unknown = {0, "the agent answered with an unknown code", "look into the server's log"};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return &codes[i];
	return &unknown;
}

const char *fsrvp_code_reason(uint32_t code)
{
	return find(code)->reason;
}

const char *fsrvp_code_advice(uint32_t code)
{
	return find(code)->advice;
}

bool fsrvp_code_is_gone(uint32_t code)
{
	return code == FSRVP_E_NOT_FOUND || code == FSRVP_E_SET_ID_MISMATCH || code == FSRVP_E_BAD_ID ||
	       code == FSRVP_E_INVALIDARG;
}

bool fsrvp_code_is_not_exposed(uint32_t code)
{
	return code == FSRVP_E_BAD_STATE || code == FSRVP_E_NOT_EXPOSED_YET;
}
