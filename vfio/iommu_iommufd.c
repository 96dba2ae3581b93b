/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iommufd IOMMU: one I/O address space (IOAS) of one /dev/iommu, and every device opened by its
 * own character device, no group and no container. Main thread, but for map. [Linux:
 * Documentation/userspace-api/iommufd.rst; Documentation/driver-api/vfio.rst, "VFIO Device cdev"].
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"
#include "vfio/iommu.h"
#include "vfio/iommufd_uapi.h"
#include "vfio/kvm_vfio.h"
#include "vfio/mdev.h"

/*
 * The handle of an open device. KVM holds the file of its fd open until it is told to let go, for
 * which it wants an fd of that file: this one, when the device's own is closed already.
 */
struct iommufd_device {
	int fd;
	bool in_kvm;
};

struct iommufd {
	struct vfio_iommu iommu;
	int fd;
	int kvm_vfio; /* KVM's VFIO pseudo device, -1: this kernel has none */
	uint32_t ioas;
};

static struct iommufd *to_iommufd(struct vfio_iommu *iommu)
{
	return container_of(iommu, struct iommufd, iommu);
}

static int open_cdev(const char *bdf)
{
	const struct host_sysfs_path dir =
		host_sysfs_path("", "sys/bus/%s/devices/%s", vfio_uuid_scan(bdf) ? "mdev" : "pci",
				bdf);
	char name[VFIO_HOST_DRIVER_SIZE], path[sizeof("/dev/vfio/devices/") + sizeof(name)];
	int fd;

	if (!host_sysfs_cdev(dir.s, name)) {
		err_set(ERR_DEVICE, -ENODEV, "VFIO has no character device for it");
		err_hint("bind the device to vfio-pci; the kernel must be 6.6 or later with "
			 "CONFIG_VFIO_DEVICE_CDEV");
		return -ENODEV;
	}
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	fd = sys_open(path, O_RDWR, 0);
	if (fd == -EACCES || fd == -EPERM) {
		err_set(ERR_HOST, fd, "no permission to use %s", path);
		err_hint("run as root, or let root give it to you: 'chown $USER %s'", path);
		return fd;
	}
	return fd < 0 ? err_sys(ERR_DEVICE, fd, "open %s", path) : fd;
}

/* The kernel opens the device, and gives its DMA to our iommufd alone. */
static int bind(const struct iommufd *u, int fd)
{
	struct vfio_device_bind_iommufd arg = { .argsz = sizeof(arg), .iommufd = u->fd };
	int r = sys_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &arg);

	switch (r) {
	case -EPERM:
		err_set(ERR_HOST, r,
			"the IOMMU does not remap interrupts: "
			"the guest could forge those of the host");
		err_hint(
			"turn on interrupt remapping (x2APIC) in the BIOS, or, if you trust the "
			"guest: 'echo 1 > /sys/module/iommufd/parameters/allow_unsafe_interrupts'");
		return r;
	case -EBUSY:
		err_set(ERR_DEVICE, r,
			"it, or a device of its IOMMU group, "
			"is in use by the host or by another program");
		err_hint("devices of one group can reach each other's memory: "
			 "all that its iommu_group/devices in sysfs lists must be with vfio-pci, "
			 "and with one virtual machine");
		return r;
	case -EINVAL: /* open already, or DMA that does not snoop the caches */
		err_set(ERR_DEVICE, r,
			"iommufd does not take it: "
			"another program has it open, or its DMA is not cache-coherent");
		err_hint("'fuser -v /dev/vfio/devices/*' names the program; for devices without "
			 "coherent DMA there is --iommu type1");
		return r;
	}
	return r < 0 ? err_sys(ERR_DEVICE, r, "bind it to iommufd") : 0;
}

static int attach(const struct iommufd *u, int fd)
{
	struct vfio_device_attach_iommufd_pt arg = { .argsz = sizeof(arg), .pt_id = u->ioas };
	int r = sys_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg);

	return r < 0 ? err_sys(ERR_DEVICE, r, "put it behind the IOMMU") : 0;
}

static void close_device(const struct iommufd *u, struct iommufd_device *dev)
{
	if (dev->in_kvm && kvm_vfio_remove(u->kvm_vfio, dev->fd) < 0)
		log_warn("KVM did not let go of a device");
	close_fd(&dev->fd);
	free(dev);
}

/* KVM is told before the bind, which is when the kernel takes down whose guest it is. */
static int set_up(struct iommufd *u, struct iommufd_device *dev)
{
	int r = kvm_vfio_add(u->kvm_vfio, dev->fd);

	if (r < 0)
		return err_sys(ERR_HOST, r, "tell KVM of it");
	dev->in_kvm = true;
	r = bind(u, dev->fd);
	return r < 0 ? r : attach(u, dev->fd);
}

static int iommufd_open_device(struct vfio_iommu *iommu, const struct vfio_target *target,
			       int *ret_fd, void **ret_handle)
{
	struct iommufd *u = to_iommufd(iommu);
	struct iommufd_device *dev;
	int fd = -1, r;

	assert(!target->vf_token); /* the options take none with iommufd */
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return err_sys(ERR_LIMIT, -ENOMEM, "device");
	r = dev->fd = open_cdev(target->bdf);
	if (r >= 0)
		r = set_up(u, dev);
	if (r >= 0) {
		fd = fcntl(dev->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			r = err_sys(ERR_LIMIT, -errno, "open it twice");
	}
	if (r < 0) {
		close_device(u, dev);
		return r;
	}
	*ret_fd = fd;
	*ret_handle = dev;
	return 0;
}

/* With the last fd the kernel detaches and unbinds the device. */
static void iommufd_close_device(struct vfio_iommu *iommu, void *handle)
{
	close_device(to_iommufd(iommu), handle);
}

static int iommufd_limits(struct vfio_iommu *iommu, struct vfio_iommu_limits *ret_limits)
{
	const struct iommufd *u = to_iommufd(iommu);
	struct vfio_iommu_limits limits = { .maps_left = UINT32_MAX };
	struct iommu_iova_range ranges[VFIO_IOVA_RANGES_MAX];
	struct iommu_ioas_iova_ranges arg = {
		.size = sizeof(arg),
		.ioas_id = u->ioas,
		.num_iovas = VFIO_IOVA_RANGES_MAX,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int r = sys_ioctl(u->fd, IOMMU_IOAS_IOVA_RANGES, &arg);

	/* More than there was room for: the first ones were written all the same. */
	if (r < 0 && r != -EMSGSIZE)
		return err_sys(ERR_HOST, r, "ask what the IOMMU can do");
	limits.page_sizes = arg.out_iova_alignment;
	limits.range_count = MIN(arg.num_iovas, VFIO_IOVA_RANGES_MAX);
	for (unsigned i = 0; i < limits.range_count; i++) {
		limits.ranges[i].start = ranges[i].start;
		limits.ranges[i].end = ranges[i].last;
	}
	*ret_limits = limits;
	return 0;
}

static int iommufd_map(struct vfio_iommu *iommu, uint64_t iova, uint64_t size, void *hva)
{
	const struct iommufd *u = to_iommufd(iommu);
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
		.ioas_id = u->ioas,
		.user_va = (uintptr_t)hva,
		.length = size,
		.iova = iova,
	};
	int r = sys_ioctl(u->fd, IOMMU_IOAS_MAP, &map);

	if (r == -ENOMEM) {
		err_set(ERR_LIMIT, r,
			"the host could not pin %llu MiB: too little free memory, or this user's "
			"limit of locked memory",
			size / MiB);
		err_hint("iommufd counts what all programs of a user have pinned against "
			 "'ulimit -l'; --iommu type1 counts each program alone");
		return r;
	}
	return r < 0 ? err_sys(ERR_HOST, r, "IOMMU_IOAS_MAP") : 0;
}

static void iommufd_unmap(struct vfio_iommu *iommu, uint64_t iova, uint64_t size)
{
	const struct iommufd *u = to_iommufd(iommu);
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = u->ioas,
		.iova = iova,
		.length = size,
	};

	if (sys_ioctl(u->fd, IOMMU_IOAS_UNMAP, &unmap) < 0)
		log_limited(LOG_WARN, "0x%" PRIx64 "-0x%" PRIx64 " stays mapped in the IOMMU", iova,
			    iova + (size - 1));
}

static void iommufd_destroy(struct vfio_iommu *iommu)
{
	struct iommufd *u = to_iommufd(iommu);

	close_fd(&u->kvm_vfio);
	close_fd(&u->fd);
	free(u);
}

static const struct vfio_iommu_ops iommufd_ops = {
	.open_device = iommufd_open_device,
	.close_device = iommufd_close_device,
	.limits = iommufd_limits,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
	.destroy = iommufd_destroy,
	.pins_by_user = true,
};

static int open_iommu(void)
{
	int fd = sys_open("/dev/iommu", O_RDWR, 0);

	switch (fd) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		err_set(ERR_HOST, fd, "this host's kernel offers no iommufd: no /dev/iommu");
		err_hint("load it with 'modprobe iommufd'; "
			 "the kernel must be 6.6 or later with CONFIG_IOMMUFD");
		return fd;
	case -EACCES:
	case -EPERM:
		err_set(ERR_HOST, fd, "no permission to use /dev/iommu");
		err_hint("run as root, or let root give it to you: 'chown $USER /dev/iommu'");
		return fd;
	}
	return fd < 0 ? err_sys(ERR_HOST, fd, "open /dev/iommu") : fd;
}

static int alloc_ioas(struct iommufd *u)
{
	struct iommu_ioas_alloc arg = { .size = sizeof(arg) };
	int r = sys_ioctl(u->fd, IOMMU_IOAS_ALLOC, &arg);

	if (r < 0)
		return err_sys(ERR_HOST, r, "make an I/O address space");
	u->ioas = arg.out_ioas_id;
	return 0;
}

int vfio_iommufd_create(struct vm *vm, struct vfio_iommu **ret_iommu)
{
	struct iommufd *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return err_sys(ERR_LIMIT, -ENOMEM, "IOMMU");
	u->iommu.ops = &iommufd_ops;
	u->kvm_vfio = -1;
	r = u->fd = open_iommu();
	if (r >= 0)
		r = alloc_ioas(u);
	if (r < 0) {
		iommufd_destroy(&u->iommu);
		return r;
	}
	u->kvm_vfio = kvm_vfio_open(vm);
	*ret_iommu = &u->iommu;
	return 0;
}
