/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The long-running tests of the engine.
 *
 *   model --seeds A:B [--ops N] [--crash N] [--check N] [--compare N] [--watch N] [--verbose] [--trace]
 *         random operations beside a model, seeds A to B - 1 (MODEL_SEEDS=A:B in the environment counts instead), N operations
 *         each; about one power cut in --crash operations (0: none); fs_check after a drain each --check operations, everything
 *         compared each --compare operations.
 *   model --cut N
 *         power cuts at N points of busy workloads, see cut.c.
 *   model --threads SECONDS
 *         real threads with the background on, see threads.c; for ThreadSanitizer.
 *
 * A failure names its seed and operation; the same seed and options repeat it.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/msg.h"
#include "tests/model/runs.h"

static void on_signal(int sig)
{
	char text[200];
	struct world *w = world_running;
	int n = w ? snprintf(text, sizeof(text), "FAILED seed=%llu op=%llu (%s): signal %d%s\n", (unsigned long long)w->seed,
			     (unsigned long long)w->op, w->doing, sig, sig == SIGALRM ? ", nothing moves any more" : "")
		  : snprintf(text, sizeof(text), "FAILED: signal %d\n", sig);

	(void)!write(2, text, (size_t)n);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void catch_signals(void)
{
	static const int sigs[] = { SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
		if (sigs[i] == SIGSEGV || sigs[i] == SIGBUS)
			continue; /* the sanitizer says more */
#endif
		signal(sigs[i], on_signal);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 's' }, { "ops", required_argument, NULL, 'o' },
		{ "crash", required_argument, NULL, 'c' }, { "check", required_argument, NULL, 'k' },
		{ "compare", required_argument, NULL, 'p' }, { "verbose", no_argument, NULL, 'v' },
		{ "watch", required_argument, NULL, 'w' },
		{ "trace", no_argument, NULL, 'T' },
		{ "cut", required_argument, NULL, 'u' },   { "threads", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	struct config cfg = { .ops = 10000, .check_every = 3000, .compare_every = 1000, .crash_in = 400 };
	const char *env = getenv("MODEL_SEEDS"), *seeds = "1:11";
	unsigned long long a, b, cut = 0, threads = 0;
	unsigned passed = 0, failed = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': seeds = optarg; break;
		case 'o': cfg.ops = strtoull(optarg, NULL, 0); break;
		case 'c': cfg.crash_in = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'k': cfg.check_every = strtoull(optarg, NULL, 0); break;
		case 'p': cfg.compare_every = strtoull(optarg, NULL, 0); break;
		case 'v': cfg.verbose = true; break;
		case 'w': cfg.watch_from = strtoull(optarg, NULL, 0); break;
		case 'T': cfg.trace = true; break;
		case 'u': cut = strtoull(optarg, NULL, 0); break;
		case 't': threads = strtoull(optarg, NULL, 0); break;
		default: return 2;
		}
	}
	if (env)
		seeds = env;
	if (sscanf(seeds, "%llu:%llu", &a, &b) != 2 || a >= b) {
		fprintf(stderr, "seeds are FIRST:END\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	catch_signals();
	msg_open("model", MSG_STDERR, cfg.verbose ? 6 : 0);
	model_names_init();
	if (threads) {
		run_threads(threads, &passed, &failed);
	} else if (cut) {
		run_cuts(cut, &cfg, &passed, &failed);
	} else {
		for (; a < b; a++) {
			if (run_seed(a, &cfg))
				passed++;
			else
				failed++;
		}
	}
	if (!threads)
		ops_report();
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
