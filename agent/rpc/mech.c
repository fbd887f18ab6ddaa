/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choice of the mechanism. */
#include "agent/rpc/mech.h"

int mech_new(enum spnego_mech kind, const struct mech_config *cfg, bool privacy, struct mech **out)
{
	switch (kind) {
	case SPNEGO_MECH_NTLM:
		return mech_ntlm_new(cfg, privacy, out);
	case SPNEGO_MECH_KERBEROS:
	case SPNEGO_MECH_OTHER:
		break;
	}
	return -EOPNOTSUPP;
}

void mech_free(struct mech *m)
{
	if (!m)
		return;
	free(m->user);
	free(m->domain);
	m->ops->free(m);
}
