/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Constants of [MS-FSRVP]; section numbers are of that document.  Types and numbers only. */
#ifndef AGENT_FSRVP_ABI_H
#define AGENT_FSRVP_ABI_H

#include <stdint.h>

#define FSRVP_PIPE_NAME "fssagentrpc" /* 2.1; lower case, as smbd looks it up */
#define FSRVP_UUID "a8e0653c-2744-4389-a61d-7373df8b2292" /* 1.9 */
#define FSRVP_VERSION_MAJOR 1
#define FSRVP_RPC_VERSION_1 1u /* 2.2.2.4: the only value GetSupportedVersion knows */

/* 3.1.4 */
enum fsrvp_op {
	FSRVP_GET_SUPPORTED_VERSION = 0,
	FSRVP_SET_CONTEXT = 1,
	FSRVP_START = 2,
	FSRVP_ADD = 3,
	FSRVP_COMMIT = 4,
	FSRVP_EXPOSE = 5,
	FSRVP_RECOVERY_COMPLETE = 6,
	FSRVP_ABORT = 7,
	FSRVP_IS_PATH_SUPPORTED = 8,
	FSRVP_IS_PATH_SHADOW_COPIED = 9,
	FSRVP_GET_SHARE_MAPPING = 10,
	FSRVP_DELETE_SHARE_MAPPING = 11,
	FSRVP_PREPARE = 12,
	FSRVP_NUM_OPS
};

/* 2.2.2.1, 2.2.2.2 */
#define FSRVP_ATTR_PERSISTENT 0x00000001u
#define FSRVP_ATTR_NO_AUTO_RECOVERY 0x00000002u
#define FSRVP_ATTR_NO_AUTO_RELEASE 0x00000008u
#define FSRVP_ATTR_NO_WRITERS 0x00000010u
#define FSRVP_ATTR_AUTO_RECOVERY 0x00400000u
#define FSRVP_CTX_BACKUP 0x00000000u
#define FSRVP_CTX_APP_ROLLBACK (FSRVP_ATTR_PERSISTENT | FSRVP_ATTR_NO_AUTO_RELEASE)
#define FSRVP_CTX_FILE_SHARE_BACKUP FSRVP_ATTR_NO_WRITERS
#define FSRVP_CTX_NAS_ROLLBACK (FSRVP_CTX_APP_ROLLBACK | FSRVP_ATTR_NO_WRITERS)

/* 2.2.4 and the codes the sections of 3.1.4 name */
#define FSRVP_OK 0x00000000u
#define FSRVP_E_WAIT_TIMEOUT 0x00000102u
#define FSRVP_E_FAIL 0x80004005u
#define FSRVP_E_ACCESSDENIED 0x80070005u
#define FSRVP_E_OUTOFMEMORY 0x8007000eu
#define FSRVP_E_INVALIDARG 0x80070057u
#define FSRVP_E_BAD_STATE 0x80042301u
#define FSRVP_E_NOT_FOUND 0x80042308u
#define FSRVP_E_NOT_SUPPORTED 0x8004230cu
#define FSRVP_E_ALREADY_EXISTS 0x8004230du
#define FSRVP_E_NOT_EXPOSED_YET 0x80042311u /* GetShareMapping too early: Windows Server 2012 and Samba */
#define FSRVP_E_SET_IN_PROGRESS 0x80042316u
#define FSRVP_E_UNSUPPORTED_CONTEXT 0x8004231bu
#define FSRVP_E_TIMEOUT 0x80042500u
#define FSRVP_E_SET_ID_MISMATCH 0x80042501u
#define FSRVP_E_WAIT_FAILED 0xffffffffu

/* 3.1.2: the message sequence timer, in seconds */
#define FSRVP_TIMER_SHORT_S 180u
#define FSRVP_TIMER_LONG_S 1800u

/* 3.1.4.2: how often one client may set the context anew while a set of its own is under way */
#define FSRVP_CONTEXT_RETRIES_MAX 5u

#define FSRVP_MAPPING_LEVEL_1 1u /* 2.2.3.1 */

#endif
