/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table, no silent default. */
#include "agent/fsrvp/errmap.h"

#include <errno.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "fs/base/cleanup.h"
#include "fs/base/msg.h"

static const struct {
	int err;
	uint32_t result;
} table[] = {
	{ 0, FSRVP_OK },
	{ -ENOMEM, FSRVP_E_OUTOFMEMORY },
	{ -EMSGSIZE, FSRVP_E_OUTOFMEMORY }, /* the set's record is full */
	{ -ENOENT, FSRVP_E_NOT_FOUND },
	{ -EEXIST, FSRVP_E_ALREADY_EXISTS },
	{ -EINVAL, FSRVP_E_INVALIDARG },
	{ -EILSEQ, FSRVP_E_INVALIDARG },
	{ -ENAMETOOLONG, FSRVP_E_INVALIDARG },
	/* not something a shadow copy can be made of */
	{ -ENOTTY, FSRVP_E_NOT_SUPPORTED },
	{ -EOPNOTSUPP, FSRVP_E_NOT_SUPPORTED },
	{ -EXDEV, FSRVP_E_NOT_SUPPORTED },
	{ -E2BIG, FSRVP_E_NOT_SUPPORTED }, /* more volumes below it than a set can have */
	{ -ENOTDIR, FSRVP_E_NOT_SUPPORTED },
	{ -EROFS, FSRVP_E_NOT_SUPPORTED },
	/* waiting */
	{ -ETIMEDOUT, FSRVP_E_WAIT_TIMEOUT }, /* the client's own limit */
	{ -ETIME, FSRVP_E_TIMEOUT },	      /* the commit limit of the agent */
	{ -ECANCELED, FSRVP_E_BAD_STATE },    /* aborted by another call */
	{ -EBUSY, FSRVP_E_BAD_STATE },
	/* the file system or Samba's programs fail */
	{ -EIO, FSRVP_E_FAIL },
	{ -ENOSPC, FSRVP_E_FAIL },
	{ -EDQUOT, FSRVP_E_FAIL },
	{ -ENODEV, FSRVP_E_FAIL },
	{ -ENOTCONN, FSRVP_E_FAIL },
	{ -ESTALE, FSRVP_E_FAIL },
	{ -EPERM, FSRVP_E_FAIL },
	{ -EACCES, FSRVP_E_FAIL }, /* of the agent, not of the client */
	{ -EPROTO, FSRVP_E_FAIL },
	{ -EAGAIN, FSRVP_E_FAIL },
	{ -EMFILE, FSRVP_E_FAIL },
	{ -ENFILE, FSRVP_E_FAIL },
};

uint32_t errmap_result(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].err == err)
			return table[i].result;
	msg(LOG_ERR, "error without a code of its own: error=%d (%s)", err, strerror(-err));
	return FSRVP_E_FAIL;
}
