/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An FSRVP agent behind rpc.h, without network: one set, the state machine of MS-FSRVP 3.1.4, and faults on demand.  It
 * reads the requests and writes the answers with the agent's half of agent/fsrvp/wire.h.
 */
#ifndef TESTS_VSS_FAKE_RPC_H
#define TESTS_VSS_FAKE_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/rpc/guid.h"

enum fake_state { FAKE_NONE, FAKE_STARTED, FAKE_ADDED, FAKE_COMMITTED, FAKE_EXPOSED, FAKE_RECOVERED };
enum fake_fault { FAULT_NONE, FAULT_LOST_BEFORE, FAULT_LOST_AFTER, FAULT_REFUSED };

#define FAKE_COPIES_MAX 4

struct fake_agent {
	/* Faults.  fault_op: at its first call, the connection breaks before or after it is done, or it is refused. */
	enum fake_fault fault;
	int fault_op, fault_skip; /* fault_skip: let that many calls of it pass first */
	uint32_t refusal;
	int refuse_connects;  /* this many connects after a lost call fail */
	int busy;	      /* this many StartShadowCopySet calls are answered with "in progress" */
	bool abort_is_a_lie;  /* as Samba: an abort after the commit succeeds and does nothing */
	bool one_volume;      /* the shares of a set lie on one volume and get the same copy id */
	bool drop_on_expose;  /* the set is gone right after Expose */

	/* State */
	bool lost; /* a call has been lost */
	enum fake_state state;
	struct guid set, copies[FAKE_COPIES_MAX];
	bool present[FAKE_COPIES_MAX];
	int ncopies;
	uint32_t context;

	/* What happened: one letter per call, 'a' + opnum, '!' before a call that was lost or refused, '.' per connect */
	char trace[256];
};

extern struct fake_agent fake;
void fake_reset(void);
/* Copies that still exist on the server. */
int fake_left(void);

#endif
