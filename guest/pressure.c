/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends a guest's want of memory that its kernel does not end. As long as there are pages of
 * programs to drop, the kernel takes those rather than kill; the programs fetch them again from the
 * host at once, and for minutes nothing else happens. [Linux: Documentation/accounting/psi.rst].
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent.h"

/*
 * Of 10 s, all processes waited for memory during 2. The rest is what fetching costs the CPU: in a
 * guest that did nothing else for a minute, it was 5.
 */
#define TRIGGER "full 2000000 10000000"

/*
 * With so much of all memory left, free or in pages of files, the wait is of another kind: a
 * program that reads a mapped file larger than memory waits as long, but memory is full of that
 * file. What programs cannot do without does not grow with the machine, so there is a bound.
 */
#define LEFT_DIVISOR 32
#define LEFT_MAX_KIB (256 * 1024ul)

static int meminfo = -1, sysrq = -1;

int pressure_open(void)
{
	const int fd = open("/proc/pressure/memory", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	sysrq = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	if (meminfo < 0 || sysrq < 0 || write(fd, TRIGGER, sizeof(TRIGGER)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static unsigned long field(const char *text, const char *name)
{
	unsigned long kib = 0;
	const char *at = strstr(text, name);

	return at && sscanf(at + strlen(name), " %lu", &kib) == 1 ? kib : 0;
}

bool pressure_is_want(const char *text)
{
	const unsigned long left = field(text, "MemFree:") + field(text, "Active(file):") +
				   field(text, "Inactive(file):");
	const unsigned long enough = field(text, "MemTotal:") / LEFT_DIVISOR;

	return left < (enough < LEFT_MAX_KIB ? enough : LEFT_MAX_KIB);
}

void pressure_felt(void)
{
	char text[2048];
	const ssize_t n = pread(meminfo, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return;
	text[n] = '\0';
	/* As the kernel does it itself: the largest process, and a line on the console. */
	if (pressure_is_want(text))
		(void)!write(sysrq, "f", 1);
}
