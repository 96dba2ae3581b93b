/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VFIO device: opening it, its regions and interrupts, and the host's events.
 * [Linux: include/uapi/linux/vfio.h; drivers/vfio/pci for what vfio-pci does with it].
 */
#include "vfio/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* Capabilities of one region: the kernel has four kinds. */
#define REGION_CAPS_MAX 16

static void add_areas(struct vfio_device *dev, unsigned index,
		      const struct vfio_info_cap_header *cap, uint32_t room)
{
	const struct vfio_region_info_cap_sparse_mmap *c = (const void *)cap;
	struct vfio_region *region = &dev->regions[index];
	uint32_t n;

	if (room < sizeof(*c))
		return;
	region->sparse = true;
	n = MIN(c->nr_areas, (uint32_t)((room - sizeof(*c)) / sizeof(c->areas[0])));
	if (n > VFIO_AREAS_MAX)
		log_warn("%s: region %u has %u parts that could be mapped; %u are", dev->bdf, index,
			 n, VFIO_AREAS_MAX);
	for (uint32_t i = 0; i < n && region->area_count < VFIO_AREAS_MAX; i++) {
		const struct vfio_area area = { c->areas[i].offset, c->areas[i].size };

		if (area.size && range_fits(area.off, area.size, region->size))
			region->areas[region->area_count++] = area;
	}
}

/*
 * Which areas may be mapped. VFIO_REGION_INFO_CAP_MSIX_MAPPABLE allows to map the MSI-X table with
 * the registers around it; the guest's accesses to the table have to be trapped in either case.
 */
static void parse_region_caps(struct vfio_device *dev, unsigned index,
			      const struct vfio_region_info *info)
{
	uint32_t off = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	for (unsigned i = 0; off && i < REGION_CAPS_MAX; i++) {
		const struct vfio_info_cap_header *cap = (const void *)((const char *)info + off);

		if (!range_fits(off, sizeof(*cap), info->argsz))
			return;
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			add_areas(dev, index, cap, info->argsz - off);
		if (cap->id == VFIO_REGION_INFO_CAP_MSIX_MAPPABLE)
			dev->regions[index].msix_mappable = true;
		off = cap->next;
	}
}

static int get_region(struct vfio_device *dev, unsigned index)
{
	struct vfio_region *region = &dev->regions[index];
	uint32_t size = sizeof(struct vfio_region_info);

	/* Again when the kernel says that its capabilities need more room. */
	for (unsigned tries = 0; tries < 2; tries++) {
		struct vfio_region_info *info = calloc(1, size);
		int r;

		if (!info)
			return err_sys(ERR_LIMIT, -ENOMEM, "region %u", index);
		info->argsz = size;
		info->index = index;
		r = sys_ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info);
		if (r < 0) {
			free(info);
			return err_sys(ERR_DEVICE, r, "ask for region %u", index);
		}
		if (info->argsz <= size || tries) {
			region->size = info->size;
			region->offset = info->offset;
			region->mmap = info->flags & VFIO_REGION_INFO_FLAG_MMAP;
			if (info->argsz <= size)
				parse_region_caps(dev, index, info);
			free(info);
			return 0;
		}
		size = info->argsz;
		free(info);
	}
	return 0;
}

static int get_irq(struct vfio_device *dev, unsigned index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int r = sys_ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info);

	/* What a device cannot have (errors of a conventional one) the kernel refuses. */
	if (r == -EINVAL)
		return 0;
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "ask for interrupt %u", index);
	if (info.flags & VFIO_IRQ_INFO_EVENTFD)
		dev->irq_counts[index] = MIN(info.count, VFIO_IRQ_VECTORS_MAX);
	dev->irq_noresize[index] = info.flags & VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

static int get_info(struct vfio_device *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int r = sys_ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info);

	if (r < 0)
		return err_sys(ERR_DEVICE, r, "ask what it is");
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return err_set(ERR_DEVICE, -ENODEV, "VFIO does not show it as a PCI device");
	dev->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;

	/* The VGA region behind config space is not used: display devices bring their own modes. */
	for (unsigned i = 0; i <= VFIO_PCI_CONFIG_REGION_INDEX; i++) {
		r = get_region(dev, i);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < MIN(info.num_irqs, (uint32_t)VFIO_PCI_NUM_IRQS); i++) {
		r = get_irq(dev, i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The first word of a file that newer kernels have. */
static void read_reset_method(struct vfio_device *dev)
{
	const struct host_sysfs_path path =
		host_sysfs_path("", "sys/bus/pci/devices/%s/reset_method", dev->bdf);
	CLEANUP(closep) int fd = sys_open(path.s, O_RDONLY, 0);
	ssize_t n = fd < 0 ? -1 : read(fd, dev->method, sizeof(dev->method) - 1);

	dev->method[MAX(n, 0)] = '\0';
	dev->method[strcspn(dev->method, " \n")] = '\0';
}

int vfio_device_open(struct vfio_device *dev, struct vfio_iommu *iommu,
		     const struct vfio_target *target)
{
	const char *bdf = target->bdf;
	int r;

	*dev = (struct vfio_device){ .fd = -1, .iommu = iommu };
	for (unsigned i = 0; i < ARRAY_SIZE(dev->watches); i++)
		dev->watches[i].source.fd = -1;
	if (strlen(bdf) >= sizeof(dev->bdf))
		return err_set(ERR_DEVICE, -EINVAL, "'%s' is not the address of a PCI device", bdf);
	strcpy(dev->bdf, bdf);
	read_reset_method(dev);
	dev->is_vf = host_sysfs_exists(host_sysfs_path("", "sys/bus/pci/devices/%s/physfn", bdf).s);

	r = iommu->ops->open_device(iommu, target, &dev->fd, &dev->handle);
	if (r < 0)
		return err_wrap(r, "%s", bdf);
	dev->next = iommu->devices;
	iommu->devices = dev;
	r = get_info(dev);
	if (r < 0) {
		vfio_device_close(dev);
		return err_wrap(r, "%s", bdf);
	}
	return 0;
}

static void unwatch(struct vfio_device *dev)
{
	for (unsigned i = 0; i < ARRAY_SIZE(dev->watches); i++) {
		struct vfio_watch *w = &dev->watches[i];

		if (w->added)
			loop_remove(dev->loop, &w->source);
		w->added = false;
		close_fd(&w->source.fd);
	}
}

void vfio_device_close(struct vfio_device *dev)
{
	struct vfio_device **link;

	if (dev->fd < 0)
		return;
	unwatch(dev);
	for (link = &dev->iommu->devices; *link != dev; link = &(*link)->next)
		;
	*link = dev->next;
	/* The device before its group: a group with open devices cannot leave its container. */
	close_fd(&dev->fd);
	dev->iommu->ops->close_device(dev->iommu, dev->handle);
}

static void watch_ready(struct loop_source *source)
{
	struct vfio_watch *w = container_of(source, struct vfio_watch, source);

	sys_eventfd_drain(source->fd);
	w->dev->on_event(w->dev, w->event);
}

static int watch(struct vfio_device *dev, struct vfio_watch *w, unsigned index,
		 enum vfio_event event)
{
	int32_t fd;
	int r;

	if (!dev->irq_counts[index])
		return 0;
	fd = sys_eventfd();
	if (fd < 0)
		return err_sys(ERR_LIMIT, fd, "create an eventfd");
	*w = (struct vfio_watch){
		.source = { .fd = fd, .ready = watch_ready },
		.dev = dev,
		.event = event,
	};
	r = loop_add(dev->loop, &w->source);
	if (r < 0)
		return r;
	w->added = true;
	r = vfio_irqs_set(dev, index, 0, 1, &fd);
	return r < 0 ? err_sys(ERR_DEVICE, r, "watch for the host's events") : 0;
}

int vfio_device_watch(struct vfio_device *dev, struct loop *loop,
		      void (*on_event)(struct vfio_device *dev, enum vfio_event event))
{
	int r;

	dev->loop = loop;
	dev->on_event = on_event;
	r = watch(dev, &dev->watches[0], VFIO_PCI_ERR_IRQ_INDEX, VFIO_EVENT_ERROR);
	if (r >= 0)
		r = watch(dev, &dev->watches[1], VFIO_PCI_REQ_IRQ_INDEX, VFIO_EVENT_REQUEST);
	return r < 0 ? err_wrap(r, "%s", dev->bdf) : 0;
}

uint64_t vfio_region_read(const struct vfio_device *dev, unsigned index, uint64_t off, unsigned len)
{
	const struct vfio_region *region = &dev->regions[index];
	uint8_t buf[8];

	if (!range_fits(off, len, region->size) ||
	    sys_pread_full(dev->fd, buf, len, region->offset + off) < 0)
		return ones(len);
	return load_le(buf, len);
}

void vfio_region_write(const struct vfio_device *dev, unsigned index, uint64_t off, unsigned len,
		       uint64_t val)
{
	const struct vfio_region *region = &dev->regions[index];
	uint8_t buf[8];

	store_le(buf, len, val);
	if (!range_fits(off, len, region->size) ||
	    sys_pwrite_full(dev->fd, buf, len, region->offset + off) < 0)
		log_guest("%s: a write of %u bytes at 0x%" PRIx64 " of region %u got lost",
			  dev->bdf, len, off, index);
}

/* VFIO_DEVICE_SET_IRQS with `count` fds as its data, or with none. */
static int set_irqs(const struct vfio_device *dev, uint32_t flags, unsigned index, unsigned start,
		    unsigned count, const int32_t *fds)
{
	union {
		struct vfio_irq_set set;
		uint8_t room[sizeof(struct vfio_irq_set) + VFIO_IRQ_VECTORS_MAX * sizeof(int32_t)];
	} arg;
	const size_t data = flags & VFIO_IRQ_SET_DATA_EVENTFD ? count * sizeof(int32_t) : 0;

	arg.set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(arg.set) + data),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	if (data && fds)
		memcpy(arg.set.data, fds, data);
	else
		memset(arg.set.data, 0xff, data);
	return sys_ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &arg.set);
}

int vfio_irqs_set(const struct vfio_device *dev, unsigned index, unsigned start, unsigned count,
		  const int32_t *fds)
{
	return set_irqs(dev, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, index, start,
			count, fds);
}

int vfio_irqs_set_unmask(const struct vfio_device *dev, unsigned index, int32_t fd)
{
	return set_irqs(dev, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, index, 0, 1,
			&fd);
}

int vfio_irqs_disable(const struct vfio_device *dev, unsigned index)
{
	return set_irqs(dev, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0,
			NULL);
}

void vfio_raise_nofile(unsigned more)
{
	struct rlimit lim, want;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur == RLIM_INFINITY)
		return;
	want.rlim_cur = lim.rlim_cur + more;
	want.rlim_max = MAX(lim.rlim_max, want.rlim_cur);
	if (setrlimit(RLIMIT_NOFILE, &want) < 0) {
		want.rlim_cur = want.rlim_max = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &want) < 0)
			return;
	}
	/* The table grows to hold the highest fd in use, and does not shrink again. */
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return;
	closep(&fd);
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, fd + (int)more);
	closep(&fd);
}
