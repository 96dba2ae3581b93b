/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a device: the processes that have one of its device files open. The answer is
 * for messages and may be stale a moment later. Main thread.
 */
#include "vfio/host_holders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "core/text.h"
#include "vfio/host_sysfs.h"

#define NODES_MAX 16

struct nodes {
	char path[NODES_MAX][64];
	unsigned count;
};

/* The nodes of one class: with "drm" and "dri", BDF/drm/card0 is /dev/dri/card0. */
static void find_nodes(const char *root, struct pci_addr addr, const char *class,
		       const char *dev_dir, struct nodes *nodes)
{
	DIR *dir = opendir(host_sysfs_device(root, addr, class).s);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)) && nodes->count < NODES_MAX) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(nodes->path[nodes->count++], sizeof(nodes->path[0]), "/dev/%s/%.40s",
			 dev_dir, entry->d_name);
	}
	closedir(dir);
}

/* NVIDIA's driver tells the number of its own node in /proc: "Device Minor: 0". */
static void find_nvidia_node(const char *root, struct pci_addr addr, struct nodes *nodes)
{
	static const char key[] = "Device Minor:";
	const struct host_sysfs_path path =
		host_sysfs_path(root, "proc/driver/nvidia/gpus/%s/information",
				pci_addr_text(addr).s);
	char text[2048];
	const char *minor;

	if (nodes->count == NODES_MAX || sys_read_text(path.s, text, sizeof(text)) < 0)
		return;
	minor = strstr(text, key);
	if (minor)
		snprintf(nodes->path[nodes->count++], sizeof(nodes->path[0]), "/dev/nvidia%lu",
			 strtoul(minor + strlen(key), NULL, 10));
}

/* True if one of the open files of process `pid` is one of the nodes. */
static bool holds(const char *root, const char *pid, const struct nodes *nodes)
{
	DIR *dir = opendir(host_sysfs_path(root, "proc/%.20s/fd", pid).s);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		for (unsigned i = 0; i < nodes->count; i++)
			found |= strcmp(target, nodes->path[i]) == 0;
	}
	closedir(dir);
	return found;
}

/*
 * True if this user may not see which files the process has open, but its command line names the
 * device: another user's virtual machine.
 */
static bool names(const char *root, const char *pid, struct pci_addr addr)
{
	const struct pci_addr_text bdf = pci_addr_text(addr);
	const char *text;
	CLEANUP(closep) int fd = -1;
	char line[4096];
	ssize_t n;

	if (access(host_sysfs_path(root, "proc/%.20s/fd", pid).s, R_OK | X_OK) == 0)
		return false;
	fd = sys_open(host_sysfs_path(root, "proc/%.20s/cmdline", pid).s, O_RDONLY, 0);
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	/* "01:00.0" is how most are told of a device in the first domain. */
	text = addr.domain ? bdf.s : strchr(bdf.s, ':') + 1;
	for (ssize_t pos = 0; pos < n; pos += (ssize_t)strlen(line + pos) + 1) {
		if (strstr(line + pos, text))
			return true;
	}
	return false;
}

/* The parent of process `pid`, 0 if it has none or that cannot be read [proc_pid_status(5)]. */
static unsigned long parent_of(const char *root, const char *pid)
{
	static const char key[] = "\nPPid:";
	char text[2048];
	const char *parent;

	if (sys_read_text(host_sysfs_path(root, "proc/%.20s/status", pid).s, text, sizeof(text)) <
	    0)
		return 0;
	parent = strstr(text, key);
	return parent ? strtoul(parent + strlen(key), NULL, 10) : 0;
}

/* Whether `pid` started us: sudo and timeout name the device on their command lines as well. */
#define ANCESTORS_MAX 64
static bool is_ancestor(const char *root, const char *pid)
{
	const unsigned long searched = strtoul(pid, NULL, 10);
	unsigned long up = parent_of(root, "self");

	for (unsigned i = 0; i < ANCESTORS_MAX && up; i++) {
		char text[24];

		if (up == searched)
			return true;
		snprintf(text, sizeof(text), "%lu", up);
		up = parent_of(root, text);
	}
	return false;
}

static void add_process(const char *root, const char *pid, char *buf, size_t size)
{
	const size_t len = strlen(buf);
	char name[64];

	if (sys_read_text(host_sysfs_path(root, "proc/%.20s/comm", pid).s, name, sizeof(name)) < 0)
		strcpy(name, "?");
	text_clean(name);
	snprintf(buf + len, size - len, "%s%s (pid %.20s)", len ? ", " : "", name, pid);
}

/* With `addr`: what cannot be looked into, and names it. Else: what has one of the nodes open. */
static void list(const char *root, const struct nodes *nodes, const struct pci_addr *addr,
		 char *buf, size_t size)
{
	DIR *dir = opendir(host_sysfs_path(root, "proc").s);
	struct dirent *entry;

	buf[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		const char *pid = entry->d_name;

		if (strspn(pid, "0123456789") != strlen(pid))
			continue;
		if (addr ? names(root, pid, *addr) && !is_ancestor(root, pid)
			 : holds(root, pid, nodes))
			add_process(root, pid, buf, size);
	}
	if (dir)
		closedir(dir);
}

void host_holders_list(const char *root, struct pci_addr addr, char *buf, size_t size)
{
	struct nodes nodes = { 0 };

	find_nvidia_node(root, addr, &nodes);
	find_nodes(root, addr, "drm", "dri", &nodes);
	list(root, &nodes, NULL, buf, size);
}

static void list_openers(const char *root, struct pci_addr addr, unsigned group, char *buf,
			 size_t size)
{
	struct nodes nodes = { .count = 1 };

	snprintf(nodes.path[0], sizeof(nodes.path[0]), "/dev/vfio/%u", group);
	find_nodes(root, addr, "vfio-dev", "vfio/devices", &nodes);
	list(root, &nodes, NULL, buf, size);
}

/* Whether the kernel says that a program has the group; false if this user may not ask. */
static bool is_busy(const char *root, unsigned group)
{
	CLEANUP(closep)
	int fd = sys_open(host_sysfs_path(root, "dev/vfio/%u", group).s, O_RDWR, 0);

	return fd == -EBUSY;
}

void host_holders_list_vfio(const char *root, struct pci_addr addr, unsigned group, char *buf,
			    size_t size)
{
	list_openers(root, addr, group, buf, size);
	/* A command line is a guess, which takes the kernel's word that somebody has it. */
	if (!buf[0] && is_busy(root, group))
		list(root, NULL, &addr, buf, size);
}

bool host_holders_in_use(const char *root, struct pci_addr addr, unsigned group)
{
	const struct host_sysfs_path node = host_sysfs_path(root, "dev/vfio/%u", group);
	CLEANUP(closep) int fd = sys_open(node.s, O_RDWR, 0);
	char holders[256];

	if (fd != -ENOENT)
		return fd == -EBUSY;
	list_openers(root, addr, group, holders, sizeof(holders));
	return holders[0];
}
