/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at sysfs, procfs and /dev for host.c and its neighbours: paths below a root, drivers,
 * groups. No state; nothing here writes or sets the error chain.
 */
#ifndef VFIO_HOST_SYSFS_H
#define VFIO_HOST_SYSFS_H

#include "core/util.h"
#include "devices/pci/pci_ids.h"
#include "vfio/host.h"

/* A path by value. One that does not fit is cut, and then names nothing. */
struct host_sysfs_path {
	char s[VFIO_HOST_PATH_SIZE + 512];
};

/* "<root>/<fmt...>"; `fmt` without a leading slash. */
struct host_sysfs_path host_sysfs_path(const char *root, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A file of a device: /sys/bus/pci/devices/BDF/<file>. */
struct host_sysfs_path host_sysfs_device(const char *root, struct pci_addr addr, const char *file);

bool host_sysfs_exists(const char *path);

/* The last part of where the link `path` points; false, and "", if it is no link. */
bool host_sysfs_link_name(const char *path, char buf[VFIO_HOST_DRIVER_SIZE]);

/* The driver that has the device, "" for none. */
void host_sysfs_driver(const char *root, struct pci_addr addr, char buf[VFIO_HOST_DRIVER_SIZE]);

/* vfio-pci or one of its variants for certain devices: mlx5_vfio_pci, nvgrace-gpu-vfio-pci. */
bool host_sysfs_is_vfio(const char *driver);

/* driver_override, "" for none. */
void host_sysfs_override(const char *root, struct pci_addr addr, char buf[VFIO_HOST_DRIVER_SIZE]);

/*
 * The name of VFIO's character device for the device in the folder `dir` of sysfs, which is
 * /dev/vfio/devices/<name>; false, and "", if the kernel made none: it is not with a VFIO driver,
 * or the kernel has no such files (before 6.6, or without CONFIG_VFIO_DEVICE_CDEV).
 */
bool host_sysfs_cdev(const char *dir, char buf[VFIO_HOST_DRIVER_SIZE]);

/* -ENOENT if the device is in no IOMMU group. */
int MUST_CHECK host_sysfs_group(const char *root, struct pci_addr addr, unsigned *ret_group);

/* An attribute that holds one number, decimal or 0x...; `missing` if it cannot be read. */
uint64_t host_sysfs_number(const char *path, uint64_t missing);

/* One of enum pci_base_class. */
unsigned host_sysfs_base_class(const char *root, struct pci_addr addr);

/* Displays, 3D controllers and accelerators. */
bool host_sysfs_is_gpu(const char *root, struct pci_addr addr);

/* The firmware's screen, and so the host's until a driver moves it. */
bool host_sysfs_is_boot_display(const char *root, struct pci_addr addr);

/* The entries of a directory that are PCI addresses, in the order of lspci; free() them. */
int MUST_CHECK host_sysfs_list(const char *path, struct pci_addr **ret_addrs, unsigned *ret_count);

/* The header type without its multifunction bit, or a negative errno. */
int MUST_CHECK host_sysfs_header_type(const char *root, struct pci_addr addr);

#endif
