/* SPDX-License-Identifier: Apache-2.0 */
/* IOMMU groups and their devices, with every refusal in words. Main thread. */
#include "vfio/group.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"
#include "vfio/mdev.h"

/* "0000:01:00.0 vf_token=00000000-0000-0000-0000-000000000000" */
#define NAME_SIZE 96

int vfio_group_find(const char *bdf, unsigned *ret_id)
{
	struct host_sysfs_path dir = host_sysfs_path("", "sys/bus/%s/devices/%s",
						     vfio_uuid_scan(bdf) ? "mdev" : "pci", bdf);
	struct host_sysfs_path link = host_sysfs_path(dir.s, "iommu_group");
	char name[VFIO_HOST_DRIVER_SIZE];

	if (host_sysfs_link_name(link.s, name)) {
		*ret_id = (unsigned)strtoul(name, NULL, 10);
		return 0;
	}
	if (!host_sysfs_exists(dir.s)) {
		err_set(ERR_DEVICE, -ENODEV, "this machine has no such PCI device");
		err_hint("'tinyvmm list --all' lists them");
		return -ENODEV;
	}
	err_set(ERR_HOST, -ENOENT, "no IOMMU stands before this device");
	err_hint("turn on VT-d or AMD-Vi (\"IOMMU\") in the BIOS, "
		 "and on Intel boot the host with intel_iommu=on");
	return -ENOENT;
}

static int open_fd(unsigned id)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%u", id);
	fd = sys_open(path, O_RDWR, 0);
	switch (fd) {
	case -ENOENT:
		err_set(ERR_DEVICE, fd,
			"%s does not exist: no device of IOMMU group %u is bound to vfio-pci", path,
			id);
		err_hint("load it with 'modprobe vfio-pci' and bind the device to it");
		return fd;
	case -EBUSY:
		err_set(ERR_DEVICE, fd, "IOMMU group %u is in use by another program", id);
		err_hint("'fuser -v %s' names it: another virtual machine?", path);
		return fd;
	case -EACCES:
	case -EPERM:
		err_set(ERR_HOST, fd, "no permission to use %s", path);
		err_hint("run as root, or let root give it to you: 'chown $USER %s'", path);
		return fd;
	}
	return fd < 0 ? err_sys(ERR_DEVICE, fd, "open %s", path) : fd;
}

int vfio_group_open(unsigned id)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int fd = open_fd(id), r;

	if (fd < 0)
		return fd;
	r = sys_ioctl(fd, VFIO_GROUP_GET_STATUS, &status);
	if (r >= 0 && status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return fd;
	close(fd);
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "ask for the state of IOMMU group %u", id);
	err_set(ERR_DEVICE, -EBUSY,
		"IOMMU group %u cannot be given away: the host still uses a device of it", id);
	err_hint("devices of one group can reach each other's memory: bind all that "
		 "/sys/kernel/iommu_groups/%u/devices lists to vfio-pci",
		 id);
	return -EBUSY;
}

int vfio_group_open_device(int group_fd, const struct vfio_target *target)
{
	const char *bdf = target->bdf, *token = target->vf_token;
	char name[NAME_SIZE];
	int fd, n = snprintf(name, sizeof(name), "%s%s%s", bdf, token ? " vf_token=" : "",
			     token ? token : "");

	if (n < 0 || (size_t)n >= sizeof(name))
		return err_set(ERR_DEVICE, -EINVAL, "the VF token is too long");
	fd = sys_ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, name);
	switch (fd) {
	case -ENODEV:
		err_set(ERR_DEVICE, fd, "the device is not bound to vfio-pci");
		err_hint("bind it: 'driverctl set-override %s vfio-pci'", bdf);
		return fd;
	case -EACCES:
		if (token) {
			err_set(ERR_DEVICE, fd,
				"the VF token is not the one of its physical function");
			err_hint("it is what the program gave that has the physical function");
		} else {
			err_set(ERR_DEVICE, fd,
				"the device is a virtual function whose physical function is with "
				"VFIO as well, or the reverse: that takes a VF token");
			err_hint("give the same UUID to both: --gpu %s,vf-token=UUID", bdf);
		}
		return fd;
	case -EINVAL:
		if (!token)
			break;
		err_set(ERR_DEVICE, fd, "the device takes no VF token");
		err_hint("only functions of an SR-IOV device "
			 "whose physical function is with vfio-pci do");
		return fd;
	}
	return fd < 0 ? err_sys(ERR_DEVICE, fd, "open it through VFIO") : fd;
}
