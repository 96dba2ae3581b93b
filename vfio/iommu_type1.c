/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The type1 IOMMU: one container (/dev/vfio/vfio) with the groups of all devices, each group opened
 * once however many of its devices the guest gets. Main thread, but for mapping (see iommu.h).
 * [Linux: Documentation/driver-api/vfio.rst, include/uapi/linux/vfio.h].
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/group.h"
#include "vfio/iommu.h"
#include "vfio/kvm_vfio.h"

struct type1_group {
	unsigned id;
	int fd;
	bool in_container, in_kvm;
	unsigned devices; /* open; the last one to close takes the group along */
	struct type1_group *next;
};

struct type1 {
	struct vfio_iommu iommu;
	int container;
	int kvm_vfio; /* KVM's VFIO pseudo device, -1: this kernel has none */
	bool iommu_set;
	struct type1_group *groups;
};

static struct type1 *to_type1(struct vfio_iommu *iommu)
{
	return container_of(iommu, struct type1, iommu);
}

static int set_iommu(struct type1 *t)
{
	int r;

	if (t->iommu_set)
		return 0;
	r = sys_ioctl(t->container, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
	if (r == -EPERM) {
		err_set(ERR_HOST, r,
			"the IOMMU does not remap interrupts: "
			"the guest could forge those of the host");
		err_hint("turn on interrupt remapping (x2APIC) in the BIOS, "
			 "or, if you trust the guest: 'echo 1 > "
			 "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts'");
		return r;
	}
	if (r < 0)
		return err_sys(ERR_HOST, r, "set up the type1 IOMMU");
	t->iommu_set = true;
	return 0;
}

static void close_group(struct type1 *t, struct type1_group *group)
{
	if (group->in_kvm && kvm_vfio_remove(t->kvm_vfio, group->fd) < 0)
		log_warn("IOMMU group %u: KVM did not let go of it", group->id);
	if (group->in_container && sys_ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER, NULL) < 0)
		log_warn("IOMMU group %u: the container did not let go of it", group->id);
	close_fd(&group->fd);
	free(group);
}

static int join(struct type1 *t, struct type1_group *group)
{
	int r = sys_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &t->container);

	if (r == -EPERM) {
		err_set(ERR_HOST, r, "IOMMU group %u: its IOMMU does not remap interrupts",
			group->id);
		err_hint("see allow_unsafe_interrupts of the module vfio_iommu_type1");
		return r;
	}
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "put IOMMU group %u into the container", group->id);
	group->in_container = true;
	r = set_iommu(t);
	if (r < 0)
		return r;
	r = kvm_vfio_add(t->kvm_vfio, group->fd);
	if (r < 0)
		return err_sys(ERR_HOST, r, "tell KVM of IOMMU group %u", group->id);
	group->in_kvm = true;
	return 0;
}

static struct type1_group *find_group(const struct type1 *t, unsigned id)
{
	struct type1_group *group = t->groups;

	while (group && group->id != id)
		group = group->next;
	return group;
}

static int open_group(struct type1 *t, unsigned id, struct type1_group **ret_group)
{
	struct type1_group *group = find_group(t, id);
	int r;

	if (group) {
		*ret_group = group;
		return 0;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return err_sys(ERR_LIMIT, -ENOMEM, "IOMMU group %u", id);
	group->id = id;
	r = group->fd = vfio_group_open(id);
	if (r >= 0)
		r = join(t, group);
	if (r < 0) {
		close_group(t, group);
		return r;
	}
	group->next = t->groups;
	t->groups = group;
	*ret_group = group;
	return 0;
}

static void put_group(struct type1 *t, struct type1_group *group)
{
	struct type1_group **link = &t->groups;

	if (group->devices)
		return;
	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	close_group(t, group);
	/* Without a group the container is as new: its mappings are gone as well. */
	if (!t->groups)
		t->iommu_set = false;
}

static int type1_open_device(struct vfio_iommu *iommu, const struct vfio_target *target,
			     int *ret_fd, void **ret_handle)
{
	struct type1 *t = to_type1(iommu);
	struct type1_group *group = NULL;
	unsigned id = 0;
	int fd, r;

	r = vfio_group_find(target->bdf, &id);
	if (r < 0)
		return r;
	r = open_group(t, id, &group);
	if (r < 0)
		return r;
	fd = vfio_group_open_device(group->fd, target);
	if (fd < 0) {
		put_group(t, group);
		return fd;
	}
	group->devices++;
	*ret_fd = fd;
	*ret_handle = group;
	return 0;
}

static void type1_close_device(struct vfio_iommu *iommu, void *handle)
{
	struct type1_group *group = handle;

	group->devices--;
	put_group(to_type1(iommu), group);
}

/* VFIO_IOMMU_GET_INFO with room for its capability chain; free() it. */
static int get_info(const struct type1 *t, struct vfio_iommu_type1_info **ret_info)
{
	uint32_t size = sizeof(struct vfio_iommu_type1_info);

	/* Twice: the kernel tells the size it needs, and a second call that disagrees is a bug. */
	for (unsigned tries = 0; tries < 2; tries++) {
		struct vfio_iommu_type1_info *info = calloc(1, size);
		int r;

		if (!info)
			return err_sys(ERR_LIMIT, -ENOMEM, "what the IOMMU can do");
		info->argsz = size;
		r = sys_ioctl(t->container, VFIO_IOMMU_GET_INFO, info);
		if (r < 0) {
			free(info);
			return err_sys(ERR_HOST, r, "ask what the IOMMU can do");
		}
		if (info->argsz <= size) {
			*ret_info = info;
			return 0;
		}
		size = info->argsz;
		free(info);
	}
	return err_set(ERR_HOST, -EIO, "the IOMMU does not say what it can do");
}

static void parse_ranges(const struct vfio_info_cap_header *cap, uint32_t room,
			 struct vfio_iommu_limits *limits)
{
	const struct vfio_iommu_type1_info_cap_iova_range *c = (const void *)cap;
	uint32_t n;

	if (room < sizeof(*c))
		return;
	n = MIN(c->nr_iovas, (uint32_t)((room - sizeof(*c)) / sizeof(c->iova_ranges[0])));
	limits->range_count = MIN(n, VFIO_IOVA_RANGES_MAX);
	memcpy(limits->ranges, c->iova_ranges, limits->range_count * sizeof(limits->ranges[0]));
}

static void parse_avail(const struct vfio_info_cap_header *cap, uint32_t room,
			struct vfio_iommu_limits *limits)
{
	const struct vfio_iommu_type1_info_dma_avail *c = (const void *)cap;

	if (room >= sizeof(*c))
		limits->maps_left = c->avail;
}

static int type1_limits(struct vfio_iommu *iommu, struct vfio_iommu_limits *ret_limits)
{
	struct vfio_iommu_limits limits = { .maps_left = UINT32_MAX };
	struct vfio_iommu_type1_info *info = NULL;
	uint32_t off;
	int r = get_info(to_type1(iommu), &info);

	if (r < 0)
		return r;
	if (info->flags & VFIO_IOMMU_INFO_PGSIZES)
		limits.page_sizes = info->iova_pgsizes;
	/* A chain runs forward through the buffer; the bound is for a kernel that disagrees. */
	off = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
	while (off && range_fits(off, sizeof(struct vfio_info_cap_header), info->argsz)) {
		const struct vfio_info_cap_header *cap = (const void *)((char *)info + off);

		switch (cap->id) {
		case VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE:
			parse_ranges(cap, info->argsz - off, &limits);
			break;
		case VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL:
			parse_avail(cap, info->argsz - off, &limits);
			break;
		default:
			break;
		}
		if (cap->next <= off)
			break;
		off = cap->next;
	}
	free(info);
	*ret_limits = limits;
	return 0;
}

static int type1_map(struct vfio_iommu *iommu, uint64_t iova, uint64_t size, void *hva)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = size,
	};
	int r = sys_ioctl(to_type1(iommu)->container, VFIO_IOMMU_MAP_DMA, &map);

	if (r == -ENOMEM) {
		err_set(ERR_LIMIT, r,
			"the host could not pin %llu MiB: too little free memory, or the "
			"limit of locked memory",
			size / MiB);
		err_hint("give the guest less memory, or see 'ulimit -l'");
		return r;
	}
	return r < 0 ? err_sys(ERR_HOST, r, "VFIO_IOMMU_MAP_DMA") : 0;
}

static void type1_unmap(struct vfio_iommu *iommu, uint64_t iova, uint64_t size)
{
	struct type1 *t = to_type1(iommu);
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (t->iommu_set && sys_ioctl(t->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		log_limited(LOG_WARN, "0x%" PRIx64 "-0x%" PRIx64 " stays mapped in the IOMMU", iova,
			    iova + (size - 1));
}

static int type1_group_fd(struct vfio_iommu *iommu, uint32_t group_id)
{
	const struct type1_group *group = find_group(to_type1(iommu), group_id);

	return group ? group->fd : -ENOENT;
}

static void type1_destroy(struct vfio_iommu *iommu)
{
	struct type1 *t = to_type1(iommu);

	assert(!t->groups);
	close_fd(&t->kvm_vfio);
	close_fd(&t->container);
	free(t);
}

static const struct vfio_iommu_ops type1_ops = {
	.open_device = type1_open_device,
	.close_device = type1_close_device,
	.limits = type1_limits,
	.map = type1_map,
	.unmap = type1_unmap,
	.group_fd = type1_group_fd,
	.destroy = type1_destroy,
};

static int open_container(void)
{
	int fd = sys_open("/dev/vfio/vfio", O_RDWR, 0);

	switch (fd) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		err_set(ERR_HOST, fd, "this host's kernel offers no VFIO: no /dev/vfio/vfio");
		err_hint("load it with 'modprobe vfio-pci'");
		return fd;
	case -EACCES:
	case -EPERM:
		err_set(ERR_HOST, fd, "no permission to use /dev/vfio/vfio");
		err_hint("run as root");
		return fd;
	}
	return fd < 0 ? err_sys(ERR_HOST, fd, "open /dev/vfio/vfio") : fd;
}

static int check_container(int fd)
{
	int r = sys_ioctl(fd, VFIO_GET_API_VERSION, NULL);

	if (r != VFIO_API_VERSION)
		return err_set(ERR_HOST, -ENOTSUP, "VFIO speaks API version %d, not %d", r,
			       VFIO_API_VERSION);
	r = sys_ioctl(fd, VFIO_CHECK_EXTENSION, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
	if (r > 0)
		return 0;
	err_set(ERR_HOST, -ENOTSUP, "VFIO has no type1 (version 2) IOMMU here");
	err_hint("load it with 'modprobe vfio_iommu_type1'");
	return -ENOTSUP;
}

int vfio_type1_create(struct vm *vm, struct vfio_iommu **ret_iommu)
{
	struct type1 *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_sys(ERR_LIMIT, -ENOMEM, "IOMMU");
	t->iommu.ops = &type1_ops;
	t->iommu.maps_bars = true;
	t->kvm_vfio = -1;
	r = t->container = open_container();
	if (r >= 0)
		r = check_container(t->container);
	if (r < 0) {
		type1_destroy(&t->iommu);
		return r;
	}
	t->kvm_vfio = kvm_vfio_open(vm);
	*ret_iommu = &t->iommu;
	return 0;
}
