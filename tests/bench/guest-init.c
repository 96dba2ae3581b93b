/* SPDX-License-Identifier: Apache-2.0
 *
 * The only program of the bench's guests: process 1 of an initrd. It tells the host what it is
 * doing by marks, writes to a port that no machine has, which the host sees as KVM's trace event
 * (measure.c), then does the job that `bench=` on the kernel's command line names, and ends the
 * machine:
 *
 *   boot  nothing
 *   idle  sleeps
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"

static void mark(enum mark kind, uint32_t value)
{
	outl((uint32_t)kind << MARK_KIND_SHIFT | (value & MARK_VALUE_MASK), MARK_PORT);
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* How the machine ends: by its power button's way, or, where it has none, by a reset that its VMM
 * takes for the end. */
static void end(void)
{
	const char *how = getenv("bench_end");

	mark(MARK_END, 0);
	pause_ms(20);
	reboot(how && !strcmp(how, "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	const char *job = getenv("bench");

	if (iopl(3))
		return 1;
	mark(MARK_INIT, 0);
	if (job && !strcmp(job, "idle")) {
		pause_ms(500);
		mark(MARK_IDLE, 0);
		pause_ms(1500);
	}
	end();
}
