/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peer check, hand-over, message framing; everything above is agent/rpc and agent/fsrvp. */
#include "agent/server.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/fsrvp/dispatch.h"
#include "fs/base/endian.h"
#include "fs/base/msg.h"

#define THREAD_STACK_BYTES (512 * 1024)
#define CHUNK_BYTES_MAX 65535

struct connection {
	struct server *server; /* borrowed */
	unsigned slot;
	int fd;
	struct npa_token token;
	struct rpc_interface iface;
	struct assoc assoc;
	uint8_t chunk[CHUNK_BYTES_MAX];
	uint8_t out[2 + PDU_FRAG_BYTES_MAX];
};

void server_init(struct server *s, struct agent *agent, const struct mech_config *mech)
{
	*s = (struct server){ .agent = agent, .mech = *mech, .peer_uid = geteuid() };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		s->fds[i] = -1;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

/* Reads exactly len bytes; end_ms 0: no limit.  1, 0 at a clean end before the first byte, or -errno. */
static int read_exact(int fd, uint8_t *buf, size_t len, int64_t end_ms)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int64_t left = end_ms ? MAX(end_ms - patience_now_ms(), 0) : -1;
		ssize_t n;

		if (poll(&pfd, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = recv(fd, buf + done, len - done, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : done ? -EPROTO : 0;
		done += (size_t)n;
	}
	return 1;
}

static int send_all(int fd, const uint8_t *data, size_t len)
{
	int64_t end_ms = patience_now_ms() + SERVER_SEND_MS;

	while (len) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		ssize_t n;

		if (poll(&pfd, 1, (int)MAX(end_ms - patience_now_ms(), 0)) == 0)
			return -ETIMEDOUT;
		n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One PDU is one chunk: smbd hands it to the client as one message. */
static int send_pdu(void *arg, const uint8_t *pdu, size_t len)
{
	struct connection *c = arg;

	put_le16(c->out, (uint16_t)len);
	memcpy(c->out + 2, pdu, len);
	return send_all(c->fd, c->out, len + 2);
}

static uint32_t call(void *arg, const struct rpc_caller *who, uint16_t opnum, const uint8_t *stub, size_t stub_len,
		     struct ndr_push *out)
{
	struct connection *c = arg;

	return dispatch_call(c->server->agent, &c->token, who, opnum, stub, stub_len, out);
}

/* ---- one connection ------------------------------------------------------------------------------------------------ */

static int check_peer(struct connection *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	if (peer.uid == c->server->peer_uid)
		return 0;
	msg(LOG_WARNING, "connection refused, peer is not smbd: uid=%u pid=%d", (unsigned)peer.uid, (int)peer.pid);
	return -EPERM;
}

static int take_token(struct connection *c, uint8_t *blob, size_t len)
{
	int err = npa_parse(blob, len, &c->token);

	OPENSSL_cleanse(blob, len); /* it holds the session key of the client */
	if (err == -EPROTONOSUPPORT)
		msg(LOG_ERR, "smbd speaks a named pipe level that this agent does not know, every client will be refused: level=%u known=5,7,8",
		    c->token.level);
	else if (err)
		msg(LOG_ERR, "cannot read the hand-over from smbd: bytes=%zu error=%s", len, strerror(-err));
	return err;
}

/* The request of smbd and our answer.  To refuse, the connection is just closed: smbd does not look at the status. */
static int shake_hands(struct connection *c)
{
	int64_t end_ms = patience_now_ms() + SERVER_HANDSHAKE_MS;
	uint8_t prefix[NPA_PREFIX_BYTES], reply[NPA_REPLY_BYTES];
	uint32_t length_be;
	uint8_t *blob;
	int r = read_exact(c->fd, prefix, sizeof(prefix), end_ms);

	if (r <= 0)
		return r ? r : -EPIPE;
	memcpy(&length_be, prefix, 4);
	if (be32toh(length_be) > NPA_BYTES_MAX - NPA_PREFIX_BYTES)
		return -EPROTO;
	blob = malloc(NPA_PREFIX_BYTES + be32toh(length_be));
	if (!blob)
		return -ENOMEM;
	memcpy(blob, prefix, sizeof(prefix));
	r = read_exact(c->fd, blob + sizeof(prefix), be32toh(length_be), end_ms);
	r = r > 0 || be32toh(length_be) == 0 ? take_token(c, blob, sizeof(prefix) + be32toh(length_be)) : r ? r : -EPIPE;
	free(blob);
	if (r)
		return r;
	npa_reply(c->token.level, reply);
	return send_all(c->fd, reply, sizeof(reply));
}

static int serve_chunks(struct connection *c)
{
	for (;;) {
		uint8_t prefix[2];
		int r = read_exact(c->fd, prefix, sizeof(prefix), 0);
		size_t len = get_le16(prefix);

		if (r <= 0)
			return r;
		if (len == 0)
			return -EPROTO;
		r = read_exact(c->fd, c->chunk, len, patience_now_ms() + SERVER_SEND_MS);
		if (r <= 0)
			return r ? r : -EPROTO;
		r = assoc_feed(&c->assoc, c->chunk, len);
		if (r)
			return r;
	}
}

static void leave(struct connection *c)
{
	struct server *s = c->server;

	pthread_mutex_lock(&s->lock);
	s->fds[c->slot] = -1;
	close(c->fd);
	s->nconnections--;
	pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
	free(c);
}

static void *connection_main(void *arg)
{
	struct connection *c = arg;
	struct assoc_config cfg = {
		.iface = &c->iface, .call_arg = c, .send = send_pdu, .send_arg = c, .mech = c->server->mech
	};
	int err = shake_hands(c);

	if (!err) {
		msg(LOG_DEBUG, "client connected: client=%s user=%s\\%s level=%u", c->token.client_addr,
		    c->token.domain ? c->token.domain : "", c->token.account ? c->token.account : "", c->token.level);
		c->iface.call = call;
		dispatch_describe(&c->iface);
		assoc_init(&c->assoc, &cfg);
		err = serve_chunks(c);
		assoc_release(&c->assoc);
		if (err)
			msg(LOG_NOTICE, "connection ends with an error: client=%s error=%s", c->token.client_addr, strerror(-err));
	} else if (err != -EPIPE) {
		msg(LOG_WARNING, "no hand-over from smbd: error=%s", strerror(-err));
	}
	npa_token_release(&c->token);
	leave(c);
	return NULL;
}

/* ---- accepting ----------------------------------------------------------------------------------------------------- */

static int start_thread(struct connection *c)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	err = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!err)
		err = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	if (!err)
		err = pthread_create(&thread, &attr, connection_main, c);
	pthread_attr_destroy(&attr);
	return -err;
}

static int take_slot(struct connection *c)
{
	struct server *s = c->server;
	int err = -EMFILE;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX && err; i++) {
		if (s->fds[i] < 0) {
			s->fds[i] = c->fd;
			s->nconnections++;
			c->slot = i;
			err = 0;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static void start_connection(struct server *s, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	if (c) {
		c->server = s;
		c->fd = fd;
		err = check_peer(c);
	}
	if (!err)
		err = take_slot(c);
	if (!err) {
		err = start_thread(c);
		if (!err)
			return;
		leave(c);
	} else {
		close(fd);
		free(c);
	}
	msg(LOG_WARNING, "connection refused: error=%s", strerror(-err));
}

void server_accept(struct server *s, int listen_fd)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			start_connection(s, fd);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				msg(LOG_ERR, "cannot accept: error=%m");
				/* Out of descriptors: the connection stays in the backlog, do not spin over it. */
				(void)poll(NULL, 0, 100);
			}
			return;
		}
	}
}

void server_release(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		if (s->fds[i] >= 0)
			(void)shutdown(s->fds[i], SHUT_RDWR); /* the thread sees the end and closes it */
	while (s->nconnections)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
}
