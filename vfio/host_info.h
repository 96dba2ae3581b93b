/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sysfs tells of a PCI device, as plain facts for list and doctor. Changes nothing, sets no
 * error chain; what cannot be read stays at its "unknown". `root` is in front of /sys, /proc and
 * /dev, "" but in tests. Main thread.
 */
#ifndef VFIO_HOST_INFO_H
#define VFIO_HOST_INFO_H

#include "core/util.h"
#include "vfio/host.h"

#define HOST_INFO_BARS    6
#define HOST_INFO_MEMBERS 32 /* of a group that are told; `member_count` may be larger */

struct host_info_bar {
	uint64_t size; /* 0: there is none */
	bool io, mem64, prefetch;
	uint64_t largest; /* it can be resized up to this; 0: it cannot, or that is unknown */
};

struct host_info_link {
	double speed, max_speed; /* GT/s; 0: unknown, or no PCI Express */
	unsigned width, max_width;
	unsigned slot_width; /* the most that the port above has; 0: unknown */
};

struct host_info_member {
	struct pci_addr addr;
	char driver[VFIO_HOST_DRIVER_SIZE];
	bool bridge;
};

struct host_info {
	struct pci_addr addr;
	uint16_t vendor, device;
	uint32_t class; /* 24 bits */
	bool gpu, bridge;
	bool config_whole; /* all of configuration space could be read, which takes root */
	char driver[VFIO_HOST_DRIVER_SIZE]; /* "": none */
	bool has_group;
	unsigned group;
	struct host_info_member members[HOST_INFO_MEMBERS]; /* of its group, itself among them */
	unsigned member_count;
	int numa_node; /* -1: unknown, or the host has only one */
	struct host_info_bar bars[HOST_INFO_BARS];
	uint64_t rom_size;      /* 0: no expansion ROM */
	bool resize_known;      /* bars[].largest is true */
	bool can_reset;         /* the kernel knows a way */
	char reset_methods[64]; /* "flr bus"; "": none, or the kernel does not tell (before 5.15) */
	bool boot_display;
	char power_state[16]; /* "D0", "D3cold", "unknown"; "": not told */
	bool d3cold_allowed;
	char runtime_status[16]; /* "active", "suspended", "error"; "": not told */
	struct host_info_link link;
	uint64_t aer_fatal, aer_nonfatal; /* errors counted since the device was found */
	uint64_t vfs;                     /* virtual functions switched on */
	char framebuffer[32];             /* "fb0"; "": none */
};

void host_info_read(const char *root, struct pci_addr addr, struct host_info *ret_info);

/*
 * All PCI functions, in the order of lspci; free() them. A negative errno if the host has no PCI
 * bus. No error chain.
 */
int MUST_CHECK host_info_list(const char *root, struct pci_addr **ret_addrs, unsigned *ret_count);

#endif
