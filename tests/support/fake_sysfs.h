/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that looks like a host's /sys/bus/pci, /sys/kernel/iommu_groups, /dev/vfio and /proc,
 * and reacts to writes as the kernel does. The test is linked with --wrap of sys_write_text and
 * sys_open; all state is in files, so writes of child processes count.
 */
#ifndef TESTS_FAKE_SYSFS_H
#define TESTS_FAKE_SYSFS_H

#include "core/util.h"

struct fake_sysfs {
	char root[64];
	char log[4096];
};

struct fake_pci_device {
	const char *bdf;
	uint32_t class;     /* 24 bits */
	const char *driver; /* NULL: none */
	const char *home;   /* the driver that takes it when none is asked for; NULL: none */
	unsigned group;     /* 0: no IOMMU group */
	uint8_t header_type;
};

/* One at a time. */
void fake_sysfs_init(struct fake_sysfs *fs);
void fake_sysfs_fini(struct fake_sysfs *fs);

void fake_sysfs_add_driver(struct fake_sysfs *fs, const char *name);
void fake_sysfs_remove_driver(struct fake_sysfs *fs, const char *name); /* rmmod */
void fake_sysfs_add_device(struct fake_sysfs *fs, const struct fake_pci_device *dev);

/* A file or a link below the root, with the directories above it. */
void fake_sysfs_file(struct fake_sysfs *fs, const char *path, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void fake_sysfs_link(struct fake_sysfs *fs, const char *path, const char *target);
void fake_sysfs_unlink(struct fake_sysfs *fs, const char *path);
bool fake_sysfs_exists(struct fake_sysfs *fs, const char *path);

/*
 * What a driver does from now on: "hang" never returns from an unbind, "slip" unbinds but says
 * -ENODEV, "refuse" takes no device, "slow" binds until fake_sysfs_finish_binds.
 */
void fake_sysfs_manner(struct fake_sysfs *fs, const char *driver, const char *manner);
/* Returns whether a bind was under way, and came to its end. */
bool fake_sysfs_finish_binds(struct fake_sysfs *fs, const char *driver);
/* From now on whatever asks for a driver for the device, this one gets it. */
void fake_sysfs_snatch(struct fake_sysfs *fs, const char *driver);
/* Another program has /dev/vfio/GROUP open. */
void fake_sysfs_open_group(struct fake_sysfs *fs, unsigned group);
/*
 * A kernel with iommufd: a device with vfio-pci has a file of its own, /dev/vfio/devices/vfioGROUP.
 */
void fake_sysfs_add_iommufd(struct fake_sysfs *fs);
/* From now on there are no "groups" (a kernel without), or no "nodes" for devices' own files. */
void fake_sysfs_without(struct fake_sysfs *fs, const char *what);
/* What the kernel runs to load a module: a shell script. */
void fake_sysfs_modprobe(struct fake_sysfs *fs, const char *script);

/* The driver that has the device, "" for none; and its driver_override. Static storage. */
const char *fake_sysfs_driver(struct fake_sysfs *fs, const char *bdf);
const char *fake_sysfs_override(struct fake_sysfs *fs, const char *bdf);

/* All writes since the last call, a line each: a path below /sys/bus/pci, a space, the text. */
const char *fake_sysfs_writes(struct fake_sysfs *fs);

#endif
