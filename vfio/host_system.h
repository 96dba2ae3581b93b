/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /sys and /proc tell of the host as a whole, as plain facts for doctor. Changes nothing, sets
 * no error chain; what cannot be read stays unknown. `root` is in front of /sys, /proc, /dev and
 * /lib, "" but in tests. Main thread.
 */
#ifndef VFIO_HOST_SYSTEM_H
#define VFIO_HOST_SYSTEM_H

#include "core/util.h"

#define HOST_SYSTEM_PAGE_SIZES 4

struct host_huge_pages {
	uint64_t size, reserved, free; /* bytes; pages */
};

struct host_system {
	char release[65];      /* "6.12.9-arch1-1"; "": unknown */
	unsigned major, minor; /* of it */
	bool virtualization;   /* the CPU has VMX or SVM */
	bool nested;           /* this host is a virtual machine itself */
	char iommu[32];        /* "Intel VT-d"; "": none */
	unsigned iommu_units;
	unsigned iommu_bits;    /* addresses that all of them can map; 0: unknown */
	bool remaps_interrupts; /* as far as /proc/interrupts shows */
	bool unsafe_type1;      /* vfio_iommu_type1 would do without */
	bool unsafe_iommufd;    /* iommufd would */
	bool has_iommufd;       /* /dev/iommu */
	struct host_huge_pages huge_pages[HOST_SYSTEM_PAGE_SIZES];
	unsigned huge_page_sizes;
};

void host_system_read(const char *root, struct host_system *ret_system);

/* Whether the kernel is this version or newer; true if its version is unknown. */
bool host_system_since(const struct host_system *system, unsigned major, unsigned minor);

enum host_module {
	HOST_MODULE_ABSENT,
	HOST_MODULE_LOADABLE,
	HOST_MODULE_LOADED, /* or built in */
};

/* `name` with "-" or "_", as the file is called: "vfio-pci". */
enum host_module host_system_module(const char *root, const struct host_system *system,
				    const char *name);

#endif
