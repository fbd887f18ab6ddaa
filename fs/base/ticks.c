/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/ticks.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define MEASURE_NS 5000000 /* both ends are known to 100 ns: the rate to 1/25000 */

struct ticks ticks;

#if defined(__x86_64__)
/* The kernel has tried it: constant rate, the same on all processors. */
static bool kernel_uses_counter(void)
{
	char name[16] = "";
	int fd = open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && strncmp(name, "tsc", 3) == 0 && (name[3] == '\n' || name[3] == '\0');
}

void ticks_start(void)
{
	const struct timespec pause = {.tv_nsec = MEASURE_NS};
	int64_t begin_ns, end_ns;
	uint64_t begin, end;

	if (ticks.counter || !kernel_uses_counter())
		return;
	begin_ns = clock_monotonic_ns();
	begin = __rdtsc();
	nanosleep(&pause, NULL); /* shorter is only less exact */
	end_ns = clock_monotonic_ns();
	end = __rdtsc();
	if (end_ns - begin_ns < MEASURE_NS / 2 || end <= begin)
		return;
	ticks.ns_per_tick_32 = (uint64_t)(((unsigned __int128)(uint64_t)(end_ns - begin_ns) << 32) / (end - begin));
	ticks.counter = true;
}
#else
void ticks_start(void)
{
}
#endif
