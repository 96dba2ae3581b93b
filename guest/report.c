/* SPDX-License-Identifier: Apache-2.0 */
/* What the host is told of the guest for its records: which kernel, whose devices, how much memory.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/ports.h"

#define DEVICES "/sys/bus/pci/devices"

/* Those of the host are on this bus, so there is nothing to tell of them. */
#define ROOT_BUS "0000:00:"

/* Of devices that are told at most. */
#define DRIVERS_MAX 64

#define WAIT_STEP_MS 2
#define WAIT_STEPS   50

void report_kernel(void)
{
	struct utsname name;

	if (uname(&name) == 0)
		ports_say("kernel %s", name.release);
}

/* The driver's name, and what its module says of its version: few say anything. */
static void say_driver(const char *device)
{
	char path[512], link[PATH_MAX], version[64] = "";
	const char *name;
	ssize_t len;
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%s/driver", device);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return;
	link[len] = '\0';
	name = strrchr(link, '/');
	snprintf(path, sizeof(path), DEVICES "/%s/driver/module/version", device);
	f = fopen(path, "re");
	if (f && fscanf(f, "%63s", version) != 1)
		version[0] = '\0';
	if (f)
		fclose(f);
	ports_say("driver %s %s %s", device, name ? name + 1 : link, version);
}

void report_drivers(void)
{
	DIR *dir = opendir(DEVICES);
	unsigned count = 0;
	struct dirent *e;

	while (dir && count < DRIVERS_MAX && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, ROOT_BUS, strlen(ROOT_BUS)) == 0)
			continue;
		say_driver(e->d_name);
		count++;
	}
	if (dir)
		closedir(dir);
}

/* With their number behind `word`; nothing if the kernel does not count them. */
static void say_oom_kills(const char *word)
{
	FILE *f = fopen("/proc/vmstat", "re");
	char line[128];
	unsigned long n;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "oom_kill %lu", &n) == 1)
			ports_say("%s %lu", word, n);
	}
	if (f)
		fclose(f);
}

void report_signal(void)
{
	say_oom_kills("signaled");
}

void report_memory(void)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000 };
	struct rusage usage;

	/* Who was killed counts when it is gone, which one that hangs in a driver never is. */
	for (unsigned i = 0; i < WAIT_STEPS; i++) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			break;
		nanosleep(&step, NULL);
	}
	if (getrusage(RUSAGE_CHILDREN, &usage) == 0)
		ports_say("peak %ld", usage.ru_maxrss);
	say_oom_kills("oom-kills");
}
