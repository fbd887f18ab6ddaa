/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pipe as smbd sees it: hand-over, framing, who is refused and how, and that a silent or slow one keeps nobody waiting. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/np/npa.h"
#include "agent/rpc/pdu.h"
#include "agent/server.h"
#include "fs/base/endian.h"
#include "tests/agent/suites.h"

static char dir[] = "/tmp/kagefs-server.XXXXXX", path[sizeof(dir) + 8];
static struct agent agent; /* no test gets as far as a call */
static struct server server;
static int listen_fd;

static void setup(void)
{
	static const struct mech_config mech = { .ntlm_auth = "false", .smb_conf = "/dev/null" };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	strcpy(sun.sun_path, path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(listen_fd, 128), 0);
	server_init(&server, &agent, &mech);
}

static void teardown(void)
{
	server_release(&server);
	close(listen_fd);
	unlink(path);
	rmdir(dir);
}

static int connect_client(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	server_accept(&server, listen_fd);
	return fd;
}

static void send_bytes(int fd, const uint8_t *data, size_t len)
{
	/* A refused client may have been hung up on already. */
	(void)!send(fd, data, len, MSG_NOSIGNAL);
}

/* Exactly len bytes, or fewer before the end. */
static size_t receive(int fd, uint8_t *data, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len && (n = recv(fd, data + done, len - done, 0)) > 0)
		done += (size_t)n;
	return done;
}

/* The agent hangs up and says nothing more: smbd tells its client that the pipe cannot be opened. */
static void assert_refused(int fd)
{
	uint8_t byte;

	ck_assert_uint_eq(receive(fd, &byte, 1), 0);
	close(fd);
}

static int hand_over(void)
{
	uint8_t blob[1024], got[NPA_REPLY_BYTES], want[NPA_REPLY_BYTES];
	size_t len = npa_captured(blob);
	int fd = connect_client();

	send_bytes(fd, blob, len);
	ck_assert_uint_eq(receive(fd, got, sizeof(got)), sizeof(got));
	npa_reply(7, want);
	assert_bytes(got, sizeof(got), want, sizeof(want));
	return fd;
}

static size_t bind_chunk(uint8_t chunk[256])
{
	size_t len = from_hex("05 00 0b 03 10000000 4800 0000 01000000 d016 d016 00000000 01 000000 0000 01 00 "
			      "3c65e0a8 4427 8943 a61d 7373df8b2292 01000000 045d888a eb1c c911 9fe8 08002b104860 02000000",
			      chunk + 2, 254);

	put_le16(chunk, (uint16_t)len);
	return len + 2;
}

static void assert_bound(int fd)
{
	uint8_t answer[256];

	ck_assert_uint_eq(receive(fd, answer, 2), 2);
	ck_assert_uint_eq(receive(fd, answer + 2, get_le16(answer)), get_le16(answer));
	ck_assert_uint_eq(answer[2 + 2], PDU_BIND_ACK);
	ck_assert_uint_eq(get_le16(answer + 2 + 8), get_le16(answer)); /* one PDU is one chunk */
}

START_TEST(test_server_hand_over_and_bind)
{
	uint8_t chunk[256];
	size_t len = bind_chunk(chunk);
	int fd = hand_over();

	if (_i == 0)
		send_bytes(fd, chunk, len);
	for (size_t i = 0; _i == 1 && i < len; i++)
		send_bytes(fd, chunk + i, 1);
	assert_bound(fd);
	close(fd);
}
END_TEST

START_TEST(test_server_foreign_peer)
{
	server.peer_uid = geteuid() + 1;
	assert_refused(connect_client());
}
END_TEST

START_TEST(test_server_bad_hand_over)
{
	uint8_t blob[1024];
	size_t len = npa_captured(blob);
	int fd;

	switch (_i) {
	case 0: /* a level that nobody knows */
		blob[8] = blob[12] = 9;
		break;
	case 1: /* not the same level twice */
		blob[12] = 8;
		break;
	case 2: /* more than any hand-over has */
		blob[0] = 0x01;
		break;
	case 3:
		blob[4] = 'X';
		break;
	case 4: /* shorter than what is in it */
		blob[3] -= 8;
		break;
	}
	fd = connect_client();
	send_bytes(fd, blob, len);
	assert_refused(fd);
}
END_TEST

START_TEST(test_server_empty_chunk)
{
	int fd = hand_over();

	send_bytes(fd, (const uint8_t[]){ 0, 0 }, 2);
	assert_refused(fd);
}
END_TEST

START_TEST(test_server_client_ends_early)
{
	uint8_t blob[1024];
	int fd = connect_client();

	(void)npa_captured(blob);
	send_bytes(fd, blob, 100);
	close(fd);
	close(hand_over());
}
END_TEST

START_TEST(test_server_silent_clients)
{
	int silent[8], half = connect_client(), fd;
	uint8_t blob[1024];

	(void)npa_captured(blob);
	send_bytes(half, blob, 100);
	for (int i = 0; i < 8; i++)
		silent[i] = connect_client();
	fd = hand_over(); /* long before their time is over */
	close(fd);
	for (int i = 0; i < 8; i++)
		close(silent[i]);
	close(half);
}
END_TEST

START_TEST(test_server_bound)
{
	int fds[SERVER_CONNECTIONS_MAX];

	for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		fds[i] = hand_over();
	assert_refused(connect_client());
	for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		close(fds[i]);
}
END_TEST

START_TEST(test_server_release_hangs_up)
{
	int fd = hand_over();

	server_release(&server);
	assert_refused(fd);
	close(listen_fd);
	unlink(path);
	rmdir(dir);
	setup(); /* for teardown */
}
END_TEST

Suite *make_server_suite(void)
{
	Suite *s = suite_create("server");
	TCase *t = tcase_create("server");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_server_hand_over_and_bind, 0, 2);
	tcase_add_test(t, test_server_foreign_peer);
	tcase_add_loop_test(t, test_server_bad_hand_over, 0, 5);
	tcase_add_test(t, test_server_empty_chunk);
	tcase_add_test(t, test_server_client_ends_early);
	tcase_add_test(t, test_server_silent_clients);
	tcase_add_test(t, test_server_bound);
	tcase_add_test(t, test_server_release_hangs_up);
	suite_add_tcase(s, t);
	return s;
}
