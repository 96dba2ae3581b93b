/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole hosts on a fake sysfs, with what the real ones of their kind show: after fake_sysfs_init,
 * instead of single devices.
 */
#ifndef TESTS_FAKE_HOSTS_H
#define TESTS_FAKE_HOSTS_H

#include "fake_sysfs.h"

/*
 * An Intel laptop without an IOMMU: its own display at 0000:00:02.0, the boot display, and an
 * NVIDIA GPU with an audio function at 0000:01:00, asleep. Linux 6.1.
 */
void fake_host_laptop(struct fake_sysfs *fs);

/*
 * An AMD desktop, Linux 6.12: an NVIDIA GPU at 0000:01:00.0 that shares group 13 with its audio
 * function 0000:01:00.1 and the port above; its BAR 1 is small and could be resized, its link is
 * narrow. A disk at 0000:02:00.0 in group 14.
 */
void fake_host_desktop(struct fake_sysfs *fs);

/*
 * A server with two nodes, Linux 6.19: two GPUs behind one switch, 0000:41:00.0 and 0000:42:00.0,
 * in group 20 with its ports; one with virtual functions at 0000:81:00.0; one that does not answer
 * at 0000:c1:00.0; an accelerator alone in group 40 at 0000:e1:00.0, with vfio-pci.
 */
void fake_host_server(struct fake_sysfs *fs);

/* Devices of which sysfs tells nothing but that they are there. */
void fake_host_bare(struct fake_sysfs *fs);

/* A file of a device. */
void fake_host_attr(struct fake_sysfs *fs, const char *bdf, const char *file, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/*
 * All of a device's configuration space, all ones if `answers` is false; with a resizable BAR
 * `rebar_bar` of these sizes (bit 0: 1 MiB) if there are any.
 */
void fake_host_config(struct fake_sysfs *fs, const char *bdf, bool answers, unsigned rebar_bar,
		      uint32_t rebar_sizes);

#endif
