/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host loses with a PCI device beyond the device: disks that it uses, and its network.
 * Main thread. [linux Documentation/admin-guide/abi-stable.rst, /sys/class/block and
 * /sys/class/net; proc_pid_mountinfo(5)]
 */
#ifndef VFIO_HOST_DISKS_H
#define VFIO_HOST_DISKS_H

#include "core/util.h"
#include "vfio/pci_addr.h"

#define HOST_DISKS_TEXT_SIZE 256

/*
 * True if a disk of the device, or a partition of it, is mounted, swap, or part of something that
 * is built of disks (RAID, LVM, encryption); which and how is in `buf`: "nvme0n1p2 is mounted at
 * /home". Taking the device would be the loss of what is not written yet.
 */
bool host_disks_in_use(const char *root, struct pci_addr addr, char buf[HOST_DISKS_TEXT_SIZE]);

/* The first network interface of the device that is up. */
bool host_disks_network(const char *root, struct pci_addr addr, char buf[HOST_DISKS_TEXT_SIZE]);

#endif
