/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the agent for guests; see agent.h. The thread that runs the machine. */
#include "command/agent.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "core/err.h"
#include "core/sys.h"

#define AGENT "/guest-agent"

/* As installed, and as built. */
static const char *const beside_program[] = { AGENT_FROM_PROGRAM AGENT, "../guest" AGENT };
static const char *const beside_library[] = { AGENT_FROM_LIBRARY AGENT, "../guest" AGENT };

/* Seen from the folder of `file`, which is cut to that. */
static int open_beside(char *file, const char *const places[2])
{
	char path[2 * PATH_MAX];
	int fd = -ENOENT;

	*strrchr(file, '/') = '\0';
	for (unsigned i = 0; i < 2 && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", file, places[i]);
		fd = sys_open(path, O_RDONLY, 0);
	}
	return fd;
}

static int open_beside_program(void)
{
	char file[PATH_MAX];
	const ssize_t len = readlink("/proc/self/exe", file, sizeof(file) - 1);

	if (len <= 0)
		return -ENOENT;
	file[len] = '\0';
	return open_beside(file, beside_program);
}

/* Of a program that we are linked into, the loader knows what it was called by: any name. */
static int open_beside_library(void)
{
	char file[PATH_MAX];
	Dl_info info;

	if (!dladdr(beside_library, &info) || !info.dli_fname || info.dli_fname[0] != '/' ||
	    strlen(info.dli_fname) >= sizeof(file))
		return -ENOENT;
	return open_beside(strcpy(file, info.dli_fname), beside_library);
}

int agent_open(int *ret_fd)
{
	int r, fd = open_beside_program();

	if (fd < 0)
		fd = open_beside_library();
	if (fd < 0)
		fd = sys_open(AGENT_FOLDER AGENT, O_RDONLY, 0);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	r = err_set(ERR_FILE, -ENOENT,
		    "the agent for guests is neither beside the program nor at %s",
		    AGENT_FOLDER AGENT);
	err_hint("make install puts it there, if there was a static libc at the build: libc6-dev, "
		 "or glibc-static");
	return r;
}
