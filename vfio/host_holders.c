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

static void list(const char *root, const struct nodes *nodes, char *buf, size_t size)
{
	struct dirent *entry;
	size_t len = 0;
	DIR *dir;

	buf[0] = '\0';
	if (!nodes->count)
		return;
	dir = opendir(host_sysfs_path(root, "proc").s);
	if (!dir)
		return;
	while ((entry = readdir(dir)) && len < size) {
		char name[64];
		int n;

		if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) ||
		    !holds(root, entry->d_name, nodes))
			continue;
		if (sys_read_text(host_sysfs_path(root, "proc/%.20s/comm", entry->d_name).s, name,
				  sizeof(name)) < 0)
			strcpy(name, "?");
		text_clean(name);
		n = snprintf(buf + len, size - len, "%s%s (pid %.20s)", len ? ", " : "", name,
			     entry->d_name);
		len += n > 0 ? (size_t)n : 0;
	}
	closedir(dir);
}

void host_holders_list(const char *root, struct pci_addr addr, char *buf, size_t size)
{
	struct nodes nodes = { 0 };

	find_nvidia_node(root, addr, &nodes);
	find_nodes(root, addr, "drm", "dri", &nodes);
	list(root, &nodes, buf, size);
}

void host_holders_list_vfio(const char *root, struct pci_addr addr, unsigned group, char *buf,
			    size_t size)
{
	struct nodes nodes = { .count = 1 };

	snprintf(nodes.path[0], sizeof(nodes.path[0]), "/dev/vfio/%u", group);
	find_nodes(root, addr, "vfio-dev", "vfio/devices", &nodes);
	list(root, &nodes, buf, size);
}

bool host_holders_in_use(const char *root, struct pci_addr addr, unsigned group)
{
	const struct host_sysfs_path node = host_sysfs_path(root, "dev/vfio/%u", group);
	CLEANUP(closep) int fd = sys_open(node.s, O_RDWR, 0);
	char holders[256];

	if (fd != -ENOENT)
		return fd == -EBUSY;
	host_holders_list_vfio(root, addr, group, holders, sizeof(holders));
	return holders[0];
}
