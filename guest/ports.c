/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the ports by their names in sysfs: there is no udev here that would make links. */
#include "guest/ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"

#define PORTS "/sys/class/virtio-ports"

/* The driver hears the names in messages, some ms after it was loaded. */
#define WAIT_STEP_MS 5
#define WAIT_STEPS   2000

static int control = -1;

static bool has_name(const char *node, const char *name)
{
	char path[512], text[128];
	FILE *f;
	bool same;

	snprintf(path, sizeof(path), PORTS "/%s/name", node);
	f = fopen(path, "re");
	if (!f)
		return false;
	same = fgets(text, sizeof(text), f) && strncmp(text, name, strlen(name)) == 0 &&
	       text[strlen(name)] == '\n';
	fclose(f);
	return same;
}

static int try_open(const char *name)
{
	DIR *dir = opendir(PORTS);
	struct dirent *e;
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		char path[512];

		if (e->d_name[0] == '.' || !has_name(e->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	if (dir)
		closedir(dir);
	return fd;
}

int ports_open(enum guest_port port)
{
	static const char *const names[] = GUEST_PORT_NAMES;
	const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000 };

	for (unsigned i = 0; i < WAIT_STEPS; i++) {
		const int fd = try_open(names[port]);

		if (fd >= 0)
			return fd;
		nanosleep(&step, NULL);
	}
	fail("the port %s does not appear", names[port]);
}

void ports_set_control(int fd)
{
	control = fd;
}

void ports_say(const char *fmt, ...)
{
	char line[GUEST_LINE_MAX];
	size_t len, done = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	len = strlen(line);
	line[len++] = '\n';
	while (control >= 0 && done < len) {
		struct pollfd p = { .fd = control, .events = POLLOUT };
		const ssize_t n = write(control, line + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return;
		else
			poll(&p, 1, -1);
	}
}
