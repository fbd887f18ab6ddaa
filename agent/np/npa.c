/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parser of the pipe hand-over.  Alignment counts from the first length byte.  Layout (NDR32):
 *
 *   u32 BE length | "NPAM" | u32 level | u32 level | info scalars | info referents
 *   info:    u8 transport, client name, client address, u16 client port, server name, server address, u16 port, session
 *   session: ref auth_session_info, credentials blob
 *   auth_session_info: refs to security token, unix token, user info, unix info; key blob; ids; then those four in order
 */
#include "agent/np/npa.h"

#include <endian.h>
#include <string.h>

#include "agent/rpc/ndr.h"
#include "fs/base/endian.h"

#define NPA_MAGIC "NPAM"
#define USER_INFO_GUEST 1u /* user_flags of level 8: NETLOGON_GUEST, i.e. not authenticated */
#define FILE_TYPE_MESSAGE_MODE_PIPE 2
#define DEVICE_STATE 0x05ff /* message mode, duplex, as smbd's own servers answer */

static char *pull_optional_string(struct ndr_pull *p, uint32_t ref)
{
	return ref ? ndr_pull_utf8_string(p) : NULL;
}

static void skip_optional_string(struct ndr_pull *p, uint32_t ref)
{
	free(pull_optional_string(p, ref));
}

static void skip_blob(struct ndr_pull *p)
{
	(void)ndr_pull_bytes(p, ndr_pull_u32(p)); /* failure is sticky */
}

static void pull_sid(struct ndr_pull *p, struct sid *s)
{
	const uint8_t *authority;

	ndr_pull_align(p, 4);
	s->revision = ndr_pull_u8(p);
	s->nsub = ndr_pull_u8(p);
	authority = ndr_pull_bytes(p, 6);
	if (s->nsub > SID_SUBAUTHS_MAX) {
		ndr_pull_fail(p, -EPROTO);
		s->nsub = 0;
	}
	s->authority = 0;
	for (int i = 0; authority && i < 6; i++)
		s->authority = s->authority << 8 | authority[i];
	for (int i = 0; i < s->nsub; i++)
		s->sub[i] = ndr_pull_u32(p);
}

/* An array of count elements of at least element_bytes each cannot be larger than what is left. */
static void *pull_array(struct ndr_pull *p, uint32_t count, uint32_t max, size_t element_bytes, size_t struct_bytes)
{
	void *array;

	if (p->err)
		return NULL;
	if (count > max || count > (p->len - p->off) / element_bytes) {
		ndr_pull_fail(p, -EPROTO);
		return NULL;
	}
	array = calloc(count + 1, struct_bytes);
	if (!array)
		ndr_pull_fail(p, -ENOMEM);
	return array;
}

/* Claims and device SIDs follow in level 8.  Returns false when claims are present: they hold relative pointers, nothing
 * after them can be found, and nothing after them is needed but for names. */
static bool pull_claims(struct ndr_pull *p)
{
	uint32_t nlocal = ndr_pull_u32(p);
	uint32_t nuser = ndr_pull_u32(p);
	uint32_t ndevice = ndr_pull_u32(p);
	uint32_t nsids = ndr_pull_u32(p);
	struct sid ignored;

	if (nlocal || nuser || ndevice)
		return false;
	for (int i = 0; i < 3; i++)
		(void)ndr_pull_u32(p); /* size 0 */
	if (ndr_pull_u32(p) != nsids || nsids > NPA_SIDS_MAX)
		ndr_pull_fail(p, -EPROTO);
	for (uint32_t i = 0; i < nsids && !p->err; i++)
		pull_sid(p, &ignored);
	(void)ndr_pull_u16(p); /* evaluate_claims */
	return true;
}

static bool pull_security_token(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t size = ndr_pull_u32(p);

	t->nsids = ndr_pull_u32(p);
	if (size != t->nsids)
		ndr_pull_fail(p, -EPROTO);
	t->sids = pull_array(p, t->nsids, NPA_SIDS_MAX, 8, sizeof(*t->sids));
	if (!t->sids)
		t->nsids = 0;
	for (uint32_t i = 0; i < t->nsids; i++)
		pull_sid(p, &t->sids[i]);
	t->privileges = ndr_pull_u64(p);
	(void)ndr_pull_u32(p); /* rights_mask: local rights, none of use here */
	return t->level < 8 || pull_claims(p);
}

static void pull_unix_token(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t size = ndr_pull_u32(p);

	ndr_pull_align(p, 8);
	t->uid = ndr_pull_u64(p);
	t->gid = ndr_pull_u64(p);
	t->ngids = ndr_pull_u32(p);
	if (size != t->ngids)
		ndr_pull_fail(p, -EPROTO);
	ndr_pull_align(p, 8);
	t->gids = pull_array(p, t->ngids, NPA_GIDS_MAX, 8, sizeof(*t->gids));
	if (!t->gids)
		t->ngids = 0;
	for (uint32_t i = 0; i < t->ngids; i++)
		t->gids[i] = ndr_pull_u64(p);
	t->has_unix = !p->err;
}

static void pull_user_info(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t account, upn, domain, other[7];

	ndr_pull_align(p, 4);
	account = ndr_pull_u32(p);
	upn = ndr_pull_u32(p);
	(void)ndr_pull_u8(p); /* user_principal_constructed */
	domain = ndr_pull_u32(p);
	for (int i = 0; i < 7; i++) /* DNS domain, full name, script, profile, home, drive, logon server */
		other[i] = ndr_pull_u32(p);
	for (int i = 0; i < 6; i++) { /* times: 8 bytes, aligned to 4 */
		(void)ndr_pull_u32(p);
		(void)ndr_pull_u32(p);
	}
	(void)ndr_pull_u16(p); /* logon_count */
	(void)ndr_pull_u16(p); /* bad_password_count */
	(void)ndr_pull_u32(p); /* acct_flags */
	if (t->level < 8)
		t->authenticated = ndr_pull_u8(p) != 0;
	else
		t->authenticated = !(ndr_pull_u32(p) & USER_INFO_GUEST);
	t->account = pull_optional_string(p, account);
	skip_optional_string(p, upn);
	t->domain = pull_optional_string(p, domain);
	for (int i = 0; i < 7; i++)
		skip_optional_string(p, other[i]);
}

static void pull_unix_info(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t unix_name = ndr_pull_u32(p);
	uint32_t sanitized = ndr_pull_u32(p);

	t->unix_name = pull_optional_string(p, unix_name);
	skip_optional_string(p, sanitized);
}

static void pull_session(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t info = ndr_pull_u32(p);

	skip_blob(p); /* exported credentials */
	if (!info)
		return;
	uint32_t security_token = ndr_pull_u32(p);
	uint32_t unix_token = ndr_pull_u32(p);
	uint32_t user_info = ndr_pull_u32(p);
	uint32_t unix_info = ndr_pull_u32(p);
	struct guid ignored;

	(void)ndr_pull_u32(p); /* torture */
	skip_blob(p);	       /* session key */
	(void)ndr_pull_u32(p); /* credentials */
	ndr_pull_guid(p, &ignored);
	(void)ndr_pull_u16(p); /* ticket_type */
	ndr_pull_align(p, 4);
	if (security_token && !pull_security_token(p, t))
		return;
	if (unix_token)
		pull_unix_token(p, t);
	if (user_info)
		pull_user_info(p, t);
	if (unix_info)
		pull_unix_info(p, t);
}

static void pull_info(struct ndr_pull *p, struct npa_token *t)
{
	uint32_t client_name, client_addr, server_name, server_addr, session;

	(void)ndr_pull_u8(p); /* transport: NCACN_NP */
	client_name = ndr_pull_u32(p);
	client_addr = ndr_pull_u32(p);
	(void)ndr_pull_u16(p); /* port */
	server_name = ndr_pull_u32(p);
	server_addr = ndr_pull_u32(p);
	(void)ndr_pull_u16(p); /* port */
	session = ndr_pull_u32(p);
	if (t->level == 5)
		(void)ndr_pull_u8(p); /* need_idle_server */
	t->client_name = pull_optional_string(p, client_name);
	t->client_addr = pull_optional_string(p, client_addr);
	t->server_name = pull_optional_string(p, server_name);
	skip_optional_string(p, server_addr);
	if (session)
		pull_session(p, t);
	if (!t->client_addr && !p->err) {
		t->client_addr = strdup("");
		if (!t->client_addr)
			ndr_pull_fail(p, -ENOMEM);
	}
}

int npa_parse(const uint8_t *blob, size_t len, struct npa_token *out)
{
	struct ndr_pull p;
	const uint8_t *magic;
	uint32_t length_be;
	int err;

	memset(out, 0, sizeof(*out));
	ndr_pull_init(&p, blob, len);
	if (len < NPA_PREFIX_BYTES || len > NPA_BYTES_MAX)
		return -EPROTO;
	memcpy(&length_be, ndr_pull_bytes(&p, 4), 4);
	if (be32toh(length_be) != len - NPA_PREFIX_BYTES)
		return -EPROTO;
	magic = ndr_pull_bytes(&p, 4);
	if (!magic || memcmp(magic, NPA_MAGIC, 4) != 0)
		return -EPROTO;
	out->level = ndr_pull_u32(&p);
	if (ndr_pull_u32(&p) != out->level || p.err)
		return -EPROTO;
	if (out->level != 5 && out->level != 7 && out->level != 8)
		return -EPROTONOSUPPORT;
	pull_info(&p, out);
	if (!p.err)
		return 0;
	err = p.err == -ENOMEM ? -ENOMEM : -EPROTO;
	npa_token_release(out);
	return err;
}

void npa_token_release(struct npa_token *t)
{
	free(t->client_addr);
	free(t->client_name);
	free(t->server_name);
	free(t->account);
	free(t->domain);
	free(t->unix_name);
	free(t->gids);
	free(t->sids);
	memset(t, 0, sizeof(*t));
}

void npa_reply(unsigned level, uint8_t out[NPA_REPLY_BYTES])
{
	uint32_t length_be = htobe32(NPA_REPLY_BYTES - NPA_PREFIX_BYTES);

	memset(out, 0, NPA_REPLY_BYTES);
	memcpy(out, &length_be, 4);
	memcpy(out + 4, NPA_MAGIC, 4);
	put_le32(out + 8, level);
	put_le32(out + 12, level);
	put_le16(out + 16, FILE_TYPE_MESSAGE_MODE_PIPE);
	put_le16(out + 18, DEVICE_STATE);
	put_le64(out + 24, 4096); /* allocation size; four zero bytes of padding before it */
	put_le32(out + 32, 0);	  /* NT_STATUS_OK */
}
