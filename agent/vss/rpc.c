/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The door to Samba's libdcerpc (GPLv3+, public headers of samba-dev).  Only its transport is used: the calls go through
 * dcerpc_binding_handle_raw_call with stubs of our own, and the interface table names the pipe and no methods.
 */
#include "agent/vss/rpc.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define TEVENT_DEPRECATED 1 /* for allow_nesting */
#include <talloc.h>
#include <tevent.h>

#include <core/ntstatus.h>
#include <credentials.h>
#include <dcerpc.h>
#include <param.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/stop.h"

#define SMB_PORT 445

struct rpc {
	TALLOC_CTX *mem; /* owns all below */
	struct tevent_context *ev;
	struct dcerpc_pipe *pipe;
	bool dead;
	char why[RPC_WHY_SIZE];
};

static const char *const endpoint_names[] = {"ncacn_np:[\\pipe\\" FSRVP_PIPE_NAME "]"};
static const struct ndr_interface_string_array endpoints = {1, endpoint_names};
static const char *const service_names[] = {"host"};
static const struct ndr_interface_string_array services = {1, service_names};
static const struct ndr_interface_table fsrvp_table = {
	.name = "FileServerVssAgent",
	.syntax_id = {{0xa8e0653c, 0x2744, 0x4389, {0xa6, 0x1d}, {0x73, 0x73, 0xdf, 0x8b, 0x22, 0x92}}, 1},
	.num_calls = FSRVP_NUM_OPS,
	.endpoints = &endpoints,
	.authservices = &services,
};

/* The one place where NT status codes become errno and words. */
static const struct status_text {
	uint32_t status;
	int err;
	const char *reason, *advice;
} statuses[] = {
	{0xc000006d, -EACCES, "the server refused the user name or password", "check the credentials"},
	{0xc000006a, -EACCES, "the server refused the password", "check the credentials"},
	{0xc0000064, -EACCES, "the server does not know the user", "check the credentials"},
	{0xc0000022, -EACCES, "access denied", "check the user's rights; some agents want --auth sign or seal"},
	{0xc000005e, -EACCES, "no logon server answers", "check Kerberos or the domain controllers"},
	{0xc000015b, -EACCES, "this user may not log in over the network", "use another user"},
	{0xc0000072, -EACCES, "the account is disabled", "use another user"},
	{0xc0000034, -ENOENT, "the server has no FSRVP agent", "start kagefs-fsrvpd there"},
	{0xc00000ac, -ENOENT, "the server's FSRVP agent does not answer", "start kagefs-fsrvpd there"},
	{0xc000020c, -ECONNRESET, "the connection was closed", "check that the agent on the server is running"},
	{0xc000020d, -ECONNRESET, "the connection was reset", "check that the server is running"},
	{0xc000014b, -ECONNRESET, "the pipe was closed", "check that the agent on the server is running"},
	{0xc00000b0, -ECONNRESET, "the pipe was closed", "check that the agent on the server is running"},
	{0xc0000236, -ECONNREFUSED, "nobody listens there", "check the name and the port, and that smbd is running"},
	{0xc000023d, -EHOSTUNREACH, "the host cannot be reached", "check the name and the network"},
	{0xc000023c, -EHOSTUNREACH, "the network cannot be reached", "check the name and the network"},
	{0xc00000b5, -ETIMEDOUT, "no answer in time", "check the server and try again"},
	{0xc00000be, -EHOSTUNREACH, "the host name is not known", "check the name"},
	{0xc0000237, -EHOSTUNREACH, "the connection was given up", "check the network"},
};

static int explain(NTSTATUS status, char why[RPC_WHY_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == NT_STATUS_V(status)) {
			snprintf(why, RPC_WHY_SIZE, "%s; %s", statuses[i].reason, statuses[i].advice);
			return statuses[i].err;
		}
	snprintf(why, RPC_WHY_SIZE, "%s; look into the server's log or try --verbose", nt_errstr(status));
	return -EIO;
}

/* Try the bare TCP connection: 0 if it works, -ENOENT for an unknown host, else why not. */
static int try_tcp(const struct rpc_options *o)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_sec = 5};
	struct addrinfo *a = NULL;
	char port[16];
	int r = 0;

	snprintf(port, sizeof(port), "%u", o->port ? o->port : SMB_PORT);
	if (getaddrinfo(o->host, port, &hints, &a) != 0)
		return -ENOENT;
	CLEANUP_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		r = -errno;
	freeaddrinfo(a);
	return r;
}

/* A failed connect.  The codes are vague here: a refused connection is "no memory", an unknown host is "object name not
 * found", as a missing pipe is, and "connection refused" is what smbd says when the agent has died. */
static int explain_connect(NTSTATUS status, const struct rpc_options *o, char why[RPC_WHY_SIZE])
{
	int r;

	switch (NT_STATUS_V(status)) {
	case 0xc0000017:
	case 0xc0000034:
	case 0xc0000236:
		r = try_tcp(o);
		if (r == -ENOENT)
			return explain(NT_STATUS(0xc00000be), why);
		if (r == -ECONNREFUSED)
			return explain(NT_STATUS(0xc0000236), why);
		if (r < 0) {
			snprintf(why, RPC_WHY_SIZE, "%s; check the name, the port and the network", strerror(-r));
			return r;
		}
		if (NT_STATUS_V(status) == 0xc0000236)
			return explain(NT_STATUS(0xc00000ac), why);
		break;
	case 0xc000000d: /* invalid parameter: from the Kerberos side when it is on */
		if (o->creds->kerberos == KERBEROS_REQUIRED) {
			snprintf(why, RPC_WHY_SIZE, "Kerberos gives no ticket for this server; use its full name as in "
						    "the service principal, and check klist");
			return -EACCES;
		}
		break;
	default:
		break;
	}
	return explain(status, why);
}

static int fail(char why[RPC_WHY_SIZE], int err, const char *text)
{
	snprintf(why, RPC_WHY_SIZE, "%s", text);
	return err;
}

static struct loadparm_context *make_config(TALLOC_CTX *mem, const struct rpc_options *o, char why[RPC_WHY_SIZE])
{
	struct loadparm_context *lp = loadparm_init(mem);
	char port[16];

	if (!lp) {
		(void)fail(why, -ENOMEM, "out of memory; try again");
		return NULL;
	}
	if (o->smb_conf ? !lpcfg_load(lp, o->smb_conf)
			: access(lp_default_path(), R_OK) == 0 && !lpcfg_load_default(lp)) {
		snprintf(why, RPC_WHY_SIZE, "%s cannot be read as an smb.conf; check it, or give --smb-conf FILE",
			 o->smb_conf ? o->smb_conf : lp_default_path());
		return NULL;
	}
	snprintf(port, sizeof(port), "%u", o->port ? o->port : SMB_PORT);
	if (!lpcfg_set_cmdline(lp, "smb ports", port) || !lpcfg_set_cmdline(lp, "log level", o->verbose ? "1" : "0") ||
	    (o->smb_encrypt == RPC_ENCRYPT_OFF && !lpcfg_set_cmdline(lp, "client smb encrypt", "off")) ||
	    (o->smb_encrypt == RPC_ENCRYPT_REQUIRED && !lpcfg_set_cmdline(lp, "client smb encrypt", "required"))) {
		(void)fail(why, -EINVAL, "the SMB library refused an option; check --port and --smb-encrypt");
		return NULL;
	}
	return lp;
}

static bool set_user(struct cli_credentials *cc, const struct creds *c)
{
	/* parse_string splits USER@REALM; DOMAIN\USER was split by creds.c. */
	if (c->user && strchr(c->user, '@'))
		cli_credentials_parse_string(cc, c->user, CRED_SPECIFIED);
	else if (c->user && !cli_credentials_set_username(cc, c->user, CRED_SPECIFIED))
		return false;
	return (!c->domain || cli_credentials_set_domain(cc, c->domain, CRED_SPECIFIED)) &&
	       (!c->password || cli_credentials_set_password(cc, c->password, CRED_SPECIFIED));
}

static struct cli_credentials *make_creds(TALLOC_CTX *mem, struct loadparm_context *lp, const struct creds *c,
					  char why[RPC_WHY_SIZE])
{
	static const enum credentials_use_kerberos use[] = {
		[KERBEROS_NO] = CRED_USE_KERBEROS_DISABLED,
		[KERBEROS_AUTO] = CRED_USE_KERBEROS_DESIRED,
		[KERBEROS_REQUIRED] = CRED_USE_KERBEROS_REQUIRED,
	};
	/* The tickets say who we are; a user taken from the environment would only contradict them. */
	const bool tickets = c->kerberos == KERBEROS_REQUIRED && (c->ccache || !c->password);
	struct cli_credentials *cc = cli_credentials_init(mem);
	const char *error = NULL;

	(void)fail(why, -ENOMEM, "the credentials could not be set up; check --user and the authfile");
	if (!cc || !cli_credentials_set_conf(cc, lp))
		return NULL;
	if (!cli_credentials_set_kerberos_state(cc, use[c->kerberos], CRED_SPECIFIED))
		return NULL;
	if (!tickets)
		return set_user(cc, c) ? cc : NULL;
	if (cli_credentials_set_ccache(cc, lp, c->ccache, CRED_SPECIFIED, &error) != 0) {
		snprintf(why, RPC_WHY_SIZE, "%s: %s; run kinit, or give --keytab", c->ccache ? c->ccache : "Kerberos tickets",
			 error ? error : "not usable");
		return NULL;
	}
	return cc;
}

/* The library waits for a Kerberos server in a loop inside the loop, which aborts unless it is allowed.  Samba's own
 * programs do the same; there is no other function for it. */
static void allow_nesting(struct tevent_context *ev)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	tevent_loop_allow_nesting(ev);
#pragma GCC diagnostic pop
}

static char *binding_string(TALLOC_CTX *mem, const struct rpc_options *o)
{
	static const char *const levels[] = {[RPC_LEVEL_NONE] = "", [RPC_LEVEL_SIGN] = ",sign", [RPC_LEVEL_SEAL] = ",seal"};
	static const char *const mechs[] = {
		[RPC_MECH_SPNEGO] = ",spnego", [RPC_MECH_NTLM] = ",ntlm", [RPC_MECH_KRB5] = ",krb5"};

	return talloc_asprintf(mem, "ncacn_np:%s[\\pipe\\" FSRVP_PIPE_NAME ",smb2%s%s]", o->host, levels[o->level],
			       o->level == RPC_LEVEL_NONE ? "" : mechs[o->mech]);
}

/*
 * The pipe's stream gives up after 60 seconds, less than a slow Prepare or Commit may take, and no public function
 * changes that.  The one that does is exported by a library that is loaded anyway; where it is missing, 60 seconds stay
 * the limit of a call.
 */
static void raise_pipe_timeout(struct rpc *r)
{
	unsigned int (*set_timeout)(struct tstream_context *stream, unsigned int timeout_ms);
	const unsigned int day_ms = 86400000; /* wait_for has the say */

	*(void **)&set_timeout = dlsym(RTLD_DEFAULT, "tstream_smbXcli_np_set_timeout");
	if (set_timeout && r->pipe->conn && r->pipe->conn->transport.transport == NCACN_NP &&
	    r->pipe->conn->transport.stream)
		(void)set_timeout(r->pipe->conn->transport.stream, day_ms); /* the old value */
}

int rpc_open(struct rpc **out, const struct rpc_options *o, char why[RPC_WHY_SIZE])
{
	struct rpc *r = calloc(1, sizeof(*r));
	struct dcerpc_binding *binding = NULL;
	struct loadparm_context *lp;
	struct cli_credentials *cc;
	char *text;
	int err;

	if (!r)
		return fail(why, -ENOMEM, "out of memory; try again");
	r->mem = talloc_new(NULL);
	r->ev = r->mem ? tevent_context_init(r->mem) : NULL;
	err = fail(why, -ENOMEM, "out of memory; try again");
	if (!r->ev || !NT_STATUS_IS_OK(dcerpc_init()))
		goto out;
	allow_nesting(r->ev);
	err = -EINVAL;
	lp = make_config(r->mem, o, why);
	if (!lp)
		goto out;
	cc = make_creds(r->mem, lp, o->creds, why);
	if (!cc)
		goto out;
	text = binding_string(r->mem, o);
	if (!text || !NT_STATUS_IS_OK(dcerpc_parse_binding(r->mem, text, &binding))) {
		err = fail(why, -EINVAL, "not a usable host name; check the server's name");
		goto out;
	}
	NTSTATUS st = dcerpc_pipe_connect_b(r->mem, &r->pipe, binding, &fsrvp_table, cc, r->ev, lp);
	err = NT_STATUS_IS_OK(st) ? 0 : explain_connect(st, o, why);
	if (!err)
		raise_pipe_timeout(r);
out:
	if (err) {
		rpc_close(r);
		return err;
	}
	*out = r;
	return 0;
}

void rpc_close(struct rpc *r)
{
	if (!r)
		return;
	talloc_free(r->mem);
	free(r);
}

static void on_stop(struct tevent_context *ev, struct tevent_fd *fde, uint16_t flags, void *private_data)
{
	*(bool *)private_data = true;
}

static void on_deadline(struct tevent_context *ev, struct tevent_timer *te, struct timeval now, void *private_data)
{
	*(bool *)private_data = true;
}

/* Run the loop until the request is done.  0, -ETIMEDOUT or -EINTR. */
static int wait_for(struct rpc *r, TALLOC_CTX *mem, struct tevent_req *req, const struct rpc_limits *limits)
{
	bool late = false, stop = false, in_grace = false;
	struct tevent_fd *fde = NULL;

	if (!tevent_add_timer(r->ev, mem, tevent_timeval_current_ofs(limits->timeout_s, 0), on_deadline, &late))
		return -ENOMEM;
	if (stop_fd() >= 0 && !stop_pending()) /* a signal already seen must not shorten the cleaning up */
		fde = tevent_add_fd(r->ev, mem, stop_fd(), TEVENT_FD_READ, on_stop, &stop);
	while (tevent_req_is_in_progress(req)) {
		if (tevent_loop_once(r->ev) != 0)
			return -EIO;
		if (stop && !in_grace) {
			in_grace = true;
			TALLOC_FREE(fde); /* stays readable, would spin */
			if (!tevent_add_timer(r->ev, mem, tevent_timeval_current_ofs(limits->grace_s, 0), on_deadline,
					      &late))
				return -ENOMEM;
		}
		if (late && tevent_req_is_in_progress(req))
			return in_grace ? -EINTR : -ETIMEDOUT;
	}
	return 0;
}

/* Faults of the server (C706 appendix E, MS-RPCE 2.2.1.1.14): it lives, but did not do the call. */
static bool is_fault(const struct rpc *r)
{
	return r->pipe->last_fault_code != 0;
}

int rpc_call(struct rpc *r, uint16_t opnum, const void *request, size_t request_size, const struct rpc_limits *limits,
	     uint8_t **reply, size_t *reply_size)
{
	TALLOC_CTX *mem = talloc_new(r->mem);
	struct dcerpc_binding_handle *h = r->pipe->binding_handle;
	uint8_t *data = NULL;
	size_t size = 0;
	uint32_t flags = 0;
	int err;

	*reply = NULL;
	*reply_size = 0;
	if (!mem)
		return fail(r->why, -ENOMEM, "out of memory; try again");
	/* The library's own limit must not come first. */
	dcerpc_binding_handle_set_timeout(h, limits->timeout_s + 5);
	r->pipe->last_fault_code = 0;
	struct tevent_req *req = dcerpc_binding_handle_raw_call_send(mem, r->ev, h, NULL, opnum, 0,
								     request_size ? request : (const void *)"", request_size);
	err = req ? wait_for(r, mem, req, limits) : -ENOMEM;
	if (err) {
		r->dead = true;
		(void)fail(r->why, err,
			   err == -ETIMEDOUT ? "no answer in time; look into the server's log, or give a longer --timeout-call"
			   : err == -EINTR   ? "stopped by a signal while the server was working; cleaning up"
					     : "out of memory; try again");
		goto out;
	}
	NTSTATUS st = dcerpc_binding_handle_raw_call_recv(req, mem, &data, &size, &flags);
	if (!NT_STATUS_IS_OK(st)) {
		err = explain(st, r->why);
		if (is_fault(r) && dcerpc_binding_handle_is_connected(h))
			err = -EPROTO;
		else
			r->dead = true;
		goto out;
	}
	*reply = malloc(size ? size : 1);
	if (!*reply) {
		err = fail(r->why, -ENOMEM, "out of memory; try again");
		goto out;
	}
	memcpy(*reply, data, size);
	*reply_size = size;
out:
	talloc_free(mem);
	return err;
}

bool rpc_alive(const struct rpc *r)
{
	return r && !r->dead && dcerpc_binding_handle_is_connected(r->pipe->binding_handle);
}

const char *rpc_why(const struct rpc *r)
{
	return r->why;
}
