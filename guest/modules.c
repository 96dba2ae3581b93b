/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: the few that reach the root file system, and then those of the devices. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"

/* One path a line, each after those that it needs. */
#define LIST "/modules"

/* A driver of the first bus may be what finds the devices of the second. */
static const char *const buses[] = { "/sys/bus/pci/devices", "/sys/bus/virtio/devices" };

/* How many devices are asked about at most, and how long a module alias is. */
#define ALIASES_MAX 256
#define ALIAS_SIZE  160

static void load(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_errno("open the kernel module %s", path);
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		fail_errno("load the kernel module %s", path);
	close(fd);
}

void modules_load(void)
{
	FILE *list = fopen(LIST, "re");
	char line[512];

	if (!list)
		fail_errno("open %s", LIST);
	while (fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		load(line);
	}
	fclose(list);
}

/* It has its driver already. */
static bool is_served(const char *devices, const char *device)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/driver", devices, device);
	return access(path, F_OK) == 0;
}

/*
 * A bridge needs no driver but the kernel's own. Those that the chipset's have are for registers
 * that a virtual one lacks.
 */
static bool is_bridge(const char *alias)
{
	return strncmp(alias, "pci:", 4) == 0 && strstr(alias, "bc06");
}

static bool read_alias(const char *devices, const char *device, char alias[ALIAS_SIZE])
{
	char path[512];
	FILE *f;
	bool read;

	snprintf(path, sizeof(path), "%s/%s/modalias", devices, device);
	f = fopen(path, "re");
	if (!f)
		return false;
	read = fgets(alias, ALIAS_SIZE, f);
	fclose(f);
	alias[strcspn(alias, "\n")] = '\0';
	return read;
}

/* Whether a module may be had for it. */
static bool wants_driver(const char *devices, const char *device, char alias[ALIAS_SIZE])
{
	return device[0] != '.' && !is_served(devices, device) &&
	       read_alias(devices, device, alias) && !is_bridge(alias);
}

/* modprobe reads lists of all modules, from the host: a guest that needs none does not start it. */
static void load_for(const char *devices)
{
	static char aliases[ALIASES_MAX][ALIAS_SIZE];
	static const char *args[ALIASES_MAX + 5] = { "modprobe", "-a", "-b", "-q" };
	DIR *dir = opendir(devices);
	unsigned count = 0;
	struct dirent *e;
	pid_t pid;

	while (dir && (e = readdir(dir)) && count < ALIASES_MAX) {
		if (wants_driver(devices, e->d_name, aliases[count])) {
			args[4 + count] = aliases[count];
			count++;
		}
	}
	if (dir)
		closedir(dir);
	if (!count)
		return;
	args[4 + count] = NULL;
	pid = fork();
	if (pid == 0) {
		execv("/sbin/modprobe", (char *const *)args);
		execv("/usr/sbin/modprobe", (char *const *)args);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Without modprobe, or without modules of this kernel, a guest without a GPU is none the worse. */
void modules_for_devices(void)
{
	for (unsigned i = 0; i < sizeof(buses) / sizeof(buses[0]); i++)
		load_for(buses[i]);
}
