/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locked and pinned memory, from /proc/PID/status: VmLck and VmPin [proc_pid_status(5)]. The kernel
 * does not tell a user's sum, but adds to it what it adds to VmPin. Main thread.
 */
#include "vfio/memlock.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"

#define STATUS_SIZE 8192

uint64_t memlock_status_number(const char *status, const char *field, int base)
{
	const char *p = strstr(status, field);

	return p ? strtoull(p + strlen(field), NULL, base) : 0;
}

static bool read_status(const char *proc, const char *pid, char status[STATUS_SIZE])
{
	char path[128];

	snprintf(path, sizeof(path), "%.64s/%.20s/status", proc, pid);
	return sys_read_text(path, status, STATUS_SIZE) >= 0;
}

uint64_t memlock_of_process(const char *proc)
{
	char status[STATUS_SIZE];

	return read_status(proc, "self", status)
		       ? memlock_status_number(status, "\nVmLck:", 10) * KiB
		       : 0;
}

uint64_t memlock_of_user(const char *proc)
{
	DIR *dir = opendir(proc);
	struct dirent *entry;
	uint64_t sum = 0;

	while (dir && (entry = readdir(dir))) {
		char status[STATUS_SIZE];

		if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) ||
		    !read_status(proc, entry->d_name, status) || !strstr(status, "\nUid:") ||
		    memlock_status_number(status, "\nUid:", 10) != getuid())
			continue;
		sum += memlock_status_number(status, "\nVmPin:", 10) * KiB;
	}
	if (dir)
		closedir(dir);
	return sum;
}
