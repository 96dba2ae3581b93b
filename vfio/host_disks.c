/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and networks of the host that are on a PCI device; see host_disks.h. Main thread. */
#include "vfio/host_disks.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "core/text.h"
#include "vfio/host_sysfs.h"

#define NAME_SIZE 64

/* What is known of one disk or partition: "nvme0n1p2", "259:2". */
struct disk {
	char name[NAME_SIZE], number[32];
};

/* True if the link of a class leads below the device: ".../0000:01:00.0/nvme/nvme0/nvme0n1". */
static bool is_below(const char *root, const char *class, const char *name, struct pci_addr addr)
{
	char target[PATH_MAX], part[32];
	ssize_t n = readlink(host_sysfs_path(root, "sys/class/%s/%s", class, name).s, target,
			     sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	snprintf(part, sizeof(part), "/%s/", pci_addr_text(addr).s);
	return strstr(target, part);
}

/*
 * With NVMe multipath, what is below the device is one path ("nvme0c1n1"), hidden, and the disk is
 * a virtual one of the subsystem ("nvme0n1").
 */
static bool is_path_to(const char *path, const char *disk)
{
	unsigned subsystem, controller, space;
	char head[NAME_SIZE];
	int len;

	if (sscanf(path, "nvme%uc%un%u", &subsystem, &controller, &space) != 3)
		return false;
	len = snprintf(head, sizeof(head), "nvme%un%u", subsystem, space);
	return strncmp(disk, head, (size_t)len) == 0 && (!disk[len] || disk[len] == 'p');
}

static bool belongs(const char *root, const char *name, struct pci_addr addr,
		    struct dirent *const *all, int count)
{
	if (is_below(root, "block", name, addr))
		return true;
	for (int i = 0; i < count; i++) {
		if (is_path_to(all[i]->d_name, name) &&
		    is_below(root, "block", all[i]->d_name, addr))
			return true;
	}
	return false;
}

/* A line of mountinfo: "36 35 259:2 / /home rw - ext4 /dev/nvme0n1p2 rw"; btrfs has no number. */
static bool find_mount(const char *root, const struct disk *disk, char buf[HOST_DISKS_TEXT_SIZE])
{
	FILE *file = fopen(host_sysfs_path(root, "proc/self/mountinfo").s, "re");
	char line[2 * PATH_MAX], number[32], where[160], source[NAME_SIZE + 8], dev[NAME_SIZE + 8];
	bool found = false;

	snprintf(dev, sizeof(dev), "/dev/%s", disk->name);
	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *rest = strstr(line, " - ");

		if (sscanf(line, "%*s %*s %31s %*s %159s", number, where) != 2)
			continue;
		if (!rest || sscanf(rest, " - %*s %71s", source) != 1)
			source[0] = '\0';
		found = strcmp(number, disk->number) == 0 || strcmp(source, dev) == 0;
	}
	if (file)
		fclose(file);
	if (found) {
		text_clean(where);
		snprintf(buf, HOST_DISKS_TEXT_SIZE, "%s is mounted at %s", disk->name, where);
	}
	return found;
}

static bool is_swap(const char *root, const struct disk *disk, char buf[HOST_DISKS_TEXT_SIZE])
{
	FILE *file = fopen(host_sysfs_path(root, "proc/swaps").s, "re");
	char line[PATH_MAX], name[NAME_SIZE + 8], dev[NAME_SIZE + 8];
	bool found = false;

	snprintf(dev, sizeof(dev), "/dev/%s", disk->name);
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%71s", name) == 1 && strcmp(name, dev) == 0;
	if (file)
		fclose(file);
	if (found)
		snprintf(buf, HOST_DISKS_TEXT_SIZE, "the host swaps to %s", disk->name);
	return found;
}

static bool has_holder(const char *root, const struct disk *disk, char buf[HOST_DISKS_TEXT_SIZE])
{
	DIR *dir = opendir(host_sysfs_path(root, "sys/class/block/%s/holders", disk->name).s);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		snprintf(buf, HOST_DISKS_TEXT_SIZE, "%s is a part of %.64s", disk->name,
			 entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool host_disks_in_use(const char *root, struct pci_addr addr, char buf[HOST_DISKS_TEXT_SIZE])
{
	struct dirent **names;
	bool found = false;
	int n = scandir(host_sysfs_path(root, "sys/class/block").s, &names, NULL, alphasort);

	for (int i = 0; i < n && !found; i++) {
		const char *name = names[i]->d_name;
		struct disk disk;

		if (strlen(name) >= sizeof(disk.name) || !belongs(root, name, addr, names, n))
			continue;
		strcpy(disk.name, name);
		if (sys_read_text(host_sysfs_path(root, "sys/class/block/%s/dev", name).s,
				  disk.number, sizeof(disk.number)) < 0)
			strcpy(disk.number, "?");
		found = find_mount(root, &disk, buf) || is_swap(root, &disk, buf) ||
			has_holder(root, &disk, buf);
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	if (n >= 0)
		free(names);
	return found;
}

bool host_disks_network(const char *root, struct pci_addr addr, char buf[HOST_DISKS_TEXT_SIZE])
{
	DIR *dir = opendir(host_sysfs_path(root, "sys/class/net").s);
	struct dirent *entry;
	bool found = false;
	char state[16];

	while (dir && !found && (entry = readdir(dir))) {
		found = is_below(root, "net", entry->d_name, addr) &&
			sys_read_text(host_sysfs_path(root, "sys/class/net/%s/operstate",
						      entry->d_name)
					      .s,
				      state, sizeof(state)) >= 0 &&
			strcmp(state, "up") == 0;
		if (found)
			snprintf(buf, HOST_DISKS_TEXT_SIZE, "%.64s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}
