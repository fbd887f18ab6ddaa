/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runner of the agent's unit tests, and what they share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/msg.h"
#include "tests/agent/suites.h"

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

size_t from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	while (*hex) {
		if (*hex == '#') {
			hex += strcspn(hex, "\n");
		} else if (strchr(" \n\t", *hex)) {
			hex++;
		} else {
			if (digit(hex[0]) < 0 || digit(hex[1]) < 0 || n == size)
				abort();
			out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
			hex += 2;
		}
	}
	return n;
}

void assert_bytes(const uint8_t *got, size_t got_len, const uint8_t *want, size_t want_len)
{
	size_t i = 0;

	while (i < got_len && i < want_len && got[i] == want[i])
		i++;
	if (i == got_len && i == want_len)
		return;
	for (size_t j = 0; j < got_len; j++)
		fprintf(stderr, "%02x%s", got[j], j % 32 == 31 ? "\n" : "");
	ck_abort_msg("bytes differ: got %zu, want %zu, first difference at %zu", got_len, want_len, i);
}

uint32_t test_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

int main(void)
{
	SRunner *r = srunner_create(make_ndr_suite());
	int failed;

	msg_open("unit-agent", MSG_STDERR, LOG_EMERG); /* tests provoke errors; their text is not looked at */
	srunner_add_suite(r, make_wire_suite());
	srunner_add_suite(r, make_npa_suite());
	srunner_add_suite(r, make_ntlm_suite());
	srunner_add_suite(r, make_spnego_suite());
	srunner_add_suite(r, make_assoc_suite());
	srunner_add_suite(r, make_auth_suite());
	srunner_add_suite(r, make_machine_suite());
	srunner_add_suite(r, make_record_suite());
	srunner_add_suite(r, make_access_suite());
	srunner_add_suite(r, make_conf_suite());
	srunner_add_suite(r, make_ops_suite());
	srunner_add_suite(r, make_pipe_suite());
	srunner_add_suite(r, make_workers_suite());
	srunner_add_suite(r, make_server_suite());
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
