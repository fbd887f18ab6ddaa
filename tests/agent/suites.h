/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TESTS_AGENT_SUITES_H
#define TESTS_AGENT_SUITES_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

Suite *make_ndr_suite(void);
Suite *make_wire_suite(void);
Suite *make_npa_suite(void);
Suite *make_ntlm_suite(void);
Suite *make_spnego_suite(void);
Suite *make_assoc_suite(void);
Suite *make_auth_suite(void);
Suite *make_machine_suite(void);
Suite *make_record_suite(void);
Suite *make_access_suite(void);
Suite *make_conf_suite(void);
Suite *make_ops_suite(void);
Suite *make_pipe_suite(void);
Suite *make_workers_suite(void);
Suite *make_server_suite(void);

/* What smbd 4.17.12 sent for user "backup": the hand-over of level 7. */
size_t npa_captured(uint8_t out[1024]);

/* Hex digits, white space and "# comment to the end of the line" to bytes.  Returns their number; aborts on anything else. */
size_t from_hex(const char *hex, uint8_t *out, size_t size);
/* Fails the test when the bytes differ, and prints both. */
void assert_bytes(const uint8_t *got, size_t got_len, const uint8_t *want, size_t want_len);
/* A small deterministic random number generator. */
uint32_t test_random(uint32_t *state);

#endif
