/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts of a PCI device from sysfs; see host_info.h. Main thread.
 * [linux Documentation/ABI/testing/sysfs-bus-pci], [PCIe-6.0 7.8.6 Resizable BAR].
 */
#include "vfio/host_info.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* Flags of a line of `resource` [linux include/linux/ioport.h]. */
#define RESOURCE_IO       0x00000100u
#define RESOURCE_PREFETCH 0x00002000u
#define RESOURCE_MEM64    0x00100000u

#define ROM_LINE 6 /* of `resource`, behind the BARs */

/* A bound for a chain of capabilities that loops. */
#define EXT_CAPS_MAX ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8)

/* Resizable BAR: a bit for 1 MiB is bit 4 of the capability, the same size is 0 in the control. */
#define REBAR_CAP_SHIFT 4

static bool read_text(const char *root, struct pci_addr addr, const char *file, char *buf,
		      size_t size)
{
	if (sys_read_text(host_sysfs_device(root, addr, file).s, buf, size) == 0)
		return true;
	buf[0] = '\0';
	return false;
}

static uint64_t read_number(const char *root, struct pci_addr addr, const char *file,
			    uint64_t missing)
{
	return host_sysfs_number(host_sysfs_device(root, addr, file).s, missing);
}

static void read_resources(const char *root, struct host_info *info)
{
	char text[2048], *line, *save = NULL;

	if (!read_text(root, info->addr, "resource", text, sizeof(text)))
		return;
	line = strtok_r(text, "\n", &save);
	for (unsigned i = 0; line && i <= ROM_LINE; line = strtok_r(NULL, "\n", &save), i++) {
		uint64_t start, end, flags, size;

		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3)
			continue;
		size = end > start ? end - start + 1 : 0;
		if (i == ROM_LINE)
			info->rom_size = size;
		else
			info->bars[i] = (struct host_info_bar){
				.size = size,
				.io = flags & RESOURCE_IO,
				.mem64 = flags & RESOURCE_MEM64,
				.prefetch = flags & RESOURCE_PREFETCH,
			};
	}
}

/* The largest size of a set of bits for 1 MiB, 2 MiB, ... */
static uint64_t largest_size(uint64_t sizes)
{
	const unsigned bit = sizes ? 63 - (unsigned)__builtin_clzll(sizes) : 64;

	return bit < 44 ? MiB << bit : 0;
}

static void parse_rebar(struct host_info *info, const uint8_t *config, unsigned at)
{
	unsigned count = (load_le(config + at + PCI_REBAR_CTRL, 4) & PCI_REBAR_CTRL_NBAR_MASK) >>
			 PCI_REBAR_CTRL_NBAR_SHIFT;

	for (; count && range_fits(at, PCI_REBAR_CTRL + 4, PCI_CFG_SPACE_EXP_SIZE);
	     count--, at += 8) {
		const uint64_t cap = load_le(config + at + PCI_REBAR_CAP, 4);
		const uint64_t ctrl = load_le(config + at + PCI_REBAR_CTRL, 4);
		const unsigned bar = ctrl & PCI_REBAR_CTRL_BAR_IDX;

		/* Sizes from 256 TiB on are in the control, too large for any GPU of today. */
		if (bar < HOST_INFO_BARS)
			info->bars[bar].largest = largest_size(cap >> REBAR_CAP_SHIFT);
	}
}

/* Only root may read behind the header; and a conventional device has no more than 256 bytes. */
static void read_config(const char *root, struct host_info *info)
{
	CLEANUP(closep)
	int fd = sys_open(host_sysfs_device(root, info->addr, "config").s, O_RDONLY, 0);
	uint8_t config[PCI_CFG_SPACE_EXP_SIZE];
	unsigned at = PCI_CFG_SPACE_SIZE;
	ssize_t n = fd < 0 ? -1 : pread(fd, config, sizeof(config), 0);

	info->config_whole = n >= PCI_CFG_SPACE_SIZE;
	info->resize_known = info->config_whole;
	if (n < PCI_CFG_SPACE_EXP_SIZE)
		return;
	for (unsigned i = 0; i < EXT_CAPS_MAX && at >= PCI_CFG_SPACE_SIZE; i++) {
		const uint32_t head = (uint32_t)load_le(config + at, 4);

		if (!head || head == (uint32_t)ones(4))
			return;
		if (PCI_EXT_CAP_ID(head) == PCI_EXT_CAP_ID_REBAR &&
		    range_fits(at, PCI_REBAR_CTRL + 4, sizeof(config)))
			parse_rebar(info, config, at);
		at = PCI_EXT_CAP_NEXT(head);
	}
}

/* The kernel tells the sizes to everybody: resourceN_resize, since 6.1. */
static void read_resize_files(const char *root, struct host_info *info)
{
	for (unsigned i = 0; i < HOST_INFO_BARS && !info->config_whole; i++) {
		char file[24], text[32];

		snprintf(file, sizeof(file), "resource%u_resize", i);
		if (!read_text(root, info->addr, file, text, sizeof(text)))
			continue;
		info->bars[i].largest = largest_size(strtoull(text, NULL, 16));
		info->resize_known = true;
	}
}

static int compare_members(const void *a, const void *b)
{
	return pci_addr_compare(((const struct host_info_member *)a)->addr,
				((const struct host_info_member *)b)->addr);
}

static void read_group(const char *root, struct host_info *info)
{
	struct dirent *entry;
	DIR *dir;

	info->has_group = host_sysfs_group(root, info->addr, &info->group) == 0;
	dir = opendir(host_sysfs_device(root, info->addr, "iommu_group/devices").s);
	while (dir && (entry = readdir(dir))) {
		struct host_info_member *member = &info->members[info->member_count];
		struct pci_addr addr;

		if (!pci_addr_scan(entry->d_name, &addr) || info->member_count == HOST_INFO_MEMBERS)
			continue;
		member->addr = addr;
		member->bridge = host_sysfs_header_type(root, addr) > PCI_HEADER_TYPE_NORMAL;
		host_sysfs_driver(root, addr, member->driver);
		info->member_count++;
	}
	if (dir)
		closedir(dir);
	qsort(info->members, info->member_count, sizeof(info->members[0]), compare_members);
}

/* "8.0 GT/s PCIe"; 0 for "Unknown". */
static double read_speed(const char *root, struct pci_addr addr, const char *file)
{
	char text[64];

	return read_text(root, addr, file, text, sizeof(text)) ? strtod(text, NULL) : 0;
}

static unsigned read_width(const char *root, struct pci_addr addr, const char *file)
{
	/* 255 is what a link says that is down. */
	const uint64_t width = read_number(root, addr, file, 0);

	return width < 255 ? (unsigned)width : 0;
}

static void read_link(const char *root, struct host_info *info)
{
	struct host_info_link *link = &info->link;

	link->speed = read_speed(root, info->addr, "current_link_speed");
	link->max_speed = read_speed(root, info->addr, "max_link_speed");
	link->width = read_width(root, info->addr, "current_link_width");
	link->max_width = read_width(root, info->addr, "max_link_width");
	/* A device's directory lies in that of the port above it. */
	link->slot_width = read_width(root, info->addr, "../max_link_width");
}

/* The sum of a file of "NAME COUNT" lines, which is its last line: "TOTAL_ERR_FATAL 0". */
static uint64_t read_aer(const char *root, struct pci_addr addr, const char *file)
{
	char text[4096];
	const char *total;

	if (!read_text(root, addr, file, text, sizeof(text)))
		return 0;
	total = strstr(text, "TOTAL_ERR_");
	return total ? strtoull(total + strcspn(total, " "), NULL, 10) : 0;
}

static void read_framebuffer(const char *root, struct host_info *info)
{
	DIR *dir = opendir(host_sysfs_device(root, info->addr, "graphics").s);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "fb", 2) == 0)
			snprintf(info->framebuffer, sizeof(info->framebuffer), "%.31s",
				 entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static void read_reset(const char *root, struct host_info *info)
{
	(void)read_text(root, info->addr, "reset_method", info->reset_methods,
			sizeof(info->reset_methods));
	info->can_reset = info->reset_methods[0] ||
			  host_sysfs_exists(host_sysfs_device(root, info->addr, "reset").s);
}

void host_info_read(const char *root, struct pci_addr addr, struct host_info *ret_info)
{
	struct host_info *info = ret_info;

	*info = (struct host_info){ .addr = addr };
	info->vendor = (uint16_t)read_number(root, addr, "vendor", 0xffff);
	info->device = (uint16_t)read_number(root, addr, "device", 0xffff);
	info->class = (uint32_t)read_number(root, addr, "class", PCI_CLASS_NONE << 16);
	info->gpu = host_sysfs_is_gpu(root, addr);
	info->bridge = host_sysfs_base_class(root, addr) == PCI_CLASS_BRIDGE ||
		       host_sysfs_header_type(root, addr) > PCI_HEADER_TYPE_NORMAL;
	info->numa_node = (int)read_number(root, addr, "numa_node", UINT64_MAX);
	info->boot_display = host_sysfs_is_boot_display(root, addr);
	info->d3cold_allowed = read_number(root, addr, "d3cold_allowed", 0) == 1;
	info->vfs = read_number(root, addr, "sriov_numvfs", 0);
	info->aer_fatal = read_aer(root, addr, "aer_dev_fatal");
	info->aer_nonfatal = read_aer(root, addr, "aer_dev_nonfatal");
	(void)read_text(root, addr, "power_state", info->power_state, sizeof(info->power_state));
	(void)read_text(root, addr, "power/runtime_status", info->runtime_status,
			sizeof(info->runtime_status));
	host_sysfs_driver(root, addr, info->driver);
	read_group(root, info);
	read_resources(root, info);
	read_config(root, info);
	read_resize_files(root, info);
	read_link(root, info);
	read_reset(root, info);
	read_framebuffer(root, info);
}

int host_info_list(const char *root, struct pci_addr **ret_addrs, unsigned *ret_count)
{
	return host_sysfs_list(host_sysfs_path(root, "sys/bus/pci/devices").s, ret_addrs,
			       ret_count);
}
