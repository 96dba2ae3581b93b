/* SPDX-License-Identifier: Apache-2.0 */
/* The VFIO host of fake_vfio.h, and as much of KVM as an interrupt and a memory slot need. */
#include "fake_vfio.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio/iommufd_uapi.h"

struct fake_vfio fake;

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __real_sys_open(const char *path, int flags, mode_t mode);
int __wrap_sys_open(const char *path, int flags, mode_t mode);
bool __wrap_host_sysfs_link_name(const char *path, char *buf);
bool __wrap_host_sysfs_cdev(const char *dir, char *buf);

static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void note(const char *fmt, ...)
{
	size_t len;
	va_list ap;

	pthread_mutex_lock(&note_lock);
	len = strlen(fake.log);
	if (len + 2 < sizeof(fake.log)) {
		if (len)
			fake.log[len++] = ' ';
		va_start(ap, fmt);
		vsnprintf(fake.log + len, sizeof(fake.log) - len, fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&note_lock);
}

void fake_clear_log(void)
{
	fake.log[0] = '\0';
}

bool __wrap_host_sysfs_link_name(const char *path, char *buf)
{
	sprintf(buf, "%d", strstr(path, "/mdev/") ? FAKE_MDEV_GROUP : FAKE_GROUP);
	return true;
}

bool __wrap_host_sysfs_cdev(const char *dir, char *buf)
{
	strcpy(buf, "vfio0");
	return true;
}

int __wrap_sys_open(const char *path, int flags, mode_t mode)
{
	if (strncmp(path, "/sys/bus/pci/devices/", 21) == 0 && strstr(path, "/reset_method")) {
		int fd = fake.reset_method ? memfd_create("reset_method", MFD_CLOEXEC) : -ENOENT;
		size_t len = fake.reset_method ? strlen(fake.reset_method) : 0;

		assert(fd < 0 || pwrite(fd, fake.reset_method, len, 0) == (ssize_t)len);
		return fd;
	}
	if (strcmp(path, "/dev/iommu") == 0)
		return __real_sys_open("/dev/null", O_RDWR, 0);
	if (strcmp(path, "/dev/vfio/devices/vfio0") == 0)
		return fake.open_cdev_error ? fake.open_cdev_error : dup(fake.device_fd);
	if (strncmp(path, "/dev/vfio/", 10) != 0)
		return __real_sys_open(path, flags, mode);
	if (strcmp(path, "/dev/vfio/vfio") != 0 && fake.open_group_error)
		return fake.open_group_error;
	return __real_sys_open("/dev/null", O_RDWR, 0);
}

static int mappable_info(struct vfio_region_info *info)
{
	struct vfio_info_cap_header *cap = (void *)(info + 1);

	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->cap_offset = 0;
	if (info->argsz >= sizeof(*info) + sizeof(*cap)) {
		info->cap_offset = sizeof(*info);
		*cap = (struct vfio_info_cap_header){
			.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
			.version = 1,
		};
	}
	info->argsz = sizeof(*info) + sizeof(*cap);
	return 0;
}

static int region_info(struct vfio_region_info *info)
{
	const struct fake_region *r = &fake.regions[info->index];
	const uint32_t size = (uint32_t)(sizeof(struct vfio_region_info_cap_sparse_mmap) +
					 r->area_count * sizeof(r->areas[0]));
	struct vfio_region_info_cap_sparse_mmap *cap = (void *)(info + 1);

	info->size = r->size;
	info->offset = FAKE_OFFSET(info->index);
	info->flags = r->flags;
	if (!r->area_count && r->msix_mappable)
		return mappable_info(info);
	if (!r->area_count)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->cap_offset = 0;
	if (info->argsz >= sizeof(*info) + size) {
		info->cap_offset = sizeof(*info);
		cap->header = (struct vfio_info_cap_header){
			.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
			.version = 1,
		};
		cap->nr_areas = r->area_count;
		memcpy(cap->areas, r->areas, r->area_count * sizeof(r->areas[0]));
	}
	info->argsz = (uint32_t)sizeof(*info) + size;
	return 0;
}

static int iommu_info(struct vfio_iommu_type1_info *info)
{
	const uint32_t avail_off = sizeof(*info);
	const uint32_t range_off =
		avail_off + (uint32_t)align_up(sizeof(struct vfio_iommu_type1_info_dma_avail), 8);
	const uint32_t need =
		(uint32_t)(range_off + sizeof(struct vfio_iommu_type1_info_cap_iova_range) +
			   sizeof(fake.ranges));
	struct vfio_iommu_type1_info_dma_avail *avail = (void *)((char *)info + avail_off);
	struct vfio_iommu_type1_info_cap_iova_range *ranges = (void *)((char *)info + range_off);

	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = 4096;
	info->cap_offset = 0;
	if (info->argsz >= need) {
		info->cap_offset = avail_off;
		avail->header = (struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1,
							       range_off };
		avail->avail = fake.maps_left;
		ranges->header =
			(struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0 };
		ranges->nr_iovas = fake.range_count;
		memcpy(ranges->iova_ranges, fake.ranges, sizeof(fake.ranges));
	}
	info->argsz = need;
	return 0;
}

static int iova_ranges(struct iommu_ioas_iova_ranges *arg)
{
	struct iommu_iova_range *out = (void *)(uintptr_t)arg->allowed_iovas;

	for (unsigned i = 0; i < fake.range_count; i++)
		out[i] = (struct iommu_iova_range){ fake.ranges[i].start, fake.ranges[i].end };
	arg->num_iovas = fake.range_count + fake.more_ranges;
	arg->out_iova_alignment = 4096;
	return fake.more_ranges ? -EMSGSIZE : 0;
}

/* -ENOTTY for what is no call on an iommufd, and none that binds a device to it. */
static int iommufd_ioctl(unsigned long request, void *arg)
{
	const struct vfio_device_attach_iommufd_pt *pt = arg;
	struct iommu_ioas_alloc *alloc = arg;
	const struct iommu_ioas_map *map = arg;

	switch (request) {
	case IOMMU_IOAS_ALLOC:
		alloc->out_ioas_id = FAKE_IOAS;
		return 0;
	case IOMMU_IOAS_IOVA_RANGES:
		return iova_ranges(arg);
	case IOMMU_IOAS_MAP:
		assert(map->ioas_id == FAKE_IOAS && map->flags & IOMMU_IOAS_MAP_FIXED_IOVA);
		note("dma+0x%llx/0x%llx", map->iova, map->length);
		return fake.map_error;
	case IOMMU_IOAS_UNMAP:
		note("dma-");
		return 0;
	case VFIO_DEVICE_BIND_IOMMUFD:
		note("bind");
		return fake.bind_error;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		assert(pt->pt_id == FAKE_IOAS);
		note("attach");
		return fake.attach_error;
	}
	return -ENOTTY;
}

static int set_irqs(const struct vfio_irq_set *set)
{
	static const char *const names[] = { "intx", "msi", "msix", "err", "req" };
	const char *name = names[set->index];
	const int32_t *fds = (const void *)set->data;

	if (fake.set_irqs_error)
		return fake.set_irqs_error;
	if (set->flags == (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)) {
		note("%s-off", name);
		return 0;
	}
	assert(set->flags & VFIO_IRQ_SET_DATA_EVENTFD);
	if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
		note("%s-unmask", name);
		return 0;
	}
	note("%s[%u+%u]=%s", name, set->start, set->count, fds[0] < 0 ? "-" : "fd");
	if (fake.vectors_given && set->start + set->count > fake.vectors_given)
		return (int)fake.vectors_given;
	return 0;
}

static int hot_reset_info(struct vfio_pci_hot_reset_info *info)
{
	const size_t size = fake.affected_count * sizeof(fake.affected[0]);

	if (!fake.affected_count)
		return -ENODEV;
	info->count = fake.affected_count;
	if (info->argsz < sizeof(*info) + size)
		return -ENOSPC;
	memcpy(info->devices, fake.affected, size);
	return 0;
}

static int set_memory(const struct kvm_userspace_memory_region *r)
{
	if (r->memory_size)
		fake.last_slot = *r;
	if (r->memory_size)
		note("slot+0x%llx/0x%llx", r->guest_phys_addr, r->memory_size);
	else
		note("slot-");
	return 0;
}

static int irqfd(const struct kvm_irqfd *arg)
{
	const char *what = arg->flags & KVM_IRQFD_FLAG_RESAMPLE ? "resample" : "irqfd";

	note("%s%s", what, arg->flags & KVM_IRQFD_FLAG_DEASSIGN ? "-" : "+");
	return 0;
}

static int device_ioctl(unsigned long request, void *arg)
{
	struct vfio_device_info *info = arg;
	struct vfio_irq_info *irq = arg;

	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		info->flags = fake.device_flags;
		info->num_regions = VFIO_PCI_NUM_REGIONS;
		info->num_irqs = VFIO_PCI_NUM_IRQS;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->flags = VFIO_IRQ_INFO_EVENTFD | fake.irq_flags;
		irq->count = fake.irq_counts[irq->index];
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	case VFIO_DEVICE_RESET:
		note("reset(command=0x%x)", fake_config(PCI_COMMAND, 2));
		if (fake.dies)
			fake_kill();
		if (fake.command_after_reset)
			fake_set_config(PCI_COMMAND, 2, fake.command_after_reset);
		if (fake.reset_error_times && --fake.reset_error_times == 0) {
			int error = fake.reset_error;

			fake.reset_error = 0;
			return error;
		}
		return fake.reset_error;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return hot_reset_info(arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		note(((const struct vfio_pci_hot_reset *)arg)->count ? "hot-reset"
								     : "hot-reset-cdev");
		if (fake.stays_dead)
			fake_kill();
		else
			fake_revive();
		if (fake.command_after_reset)
			fake_set_config(PCI_COMMAND, 2, fake.command_after_reset);
		return fake.hot_reset_error;
	}
	return iommufd_ioctl(request, arg);
}

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	struct vfio_iommu_type1_dma_map *map = arg;
	struct vfio_group_status *status = arg;
	struct kvm_device_attr *attr = arg;
	struct kvm_create_device *create = arg;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return 1;
	case VFIO_SET_IOMMU:
		note("set-iommu");
		return fake.set_iommu_error;
	case VFIO_GROUP_GET_STATUS:
		status->flags = fake.group_flags;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		note("join");
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		note("leave");
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		note(strchr(arg, ' ') ? "open(%s)" : "open", (const char *)arg);
		return fake.open_device_error ? fake.open_device_error : dup(fake.device_fd);
	/* Two numbers that the container and the device share. */
	case VFIO_IOMMU_GET_INFO:
		return fcntl(fd, F_GET_SEALS) < 0 ? iommu_info(arg) : device_ioctl(request, arg);
	case VFIO_IOMMU_MAP_DMA:
		if (fcntl(fd, F_GET_SEALS) >= 0)
			return device_ioctl(request, arg);
		note("dma+0x%llx/0x%llx", map->iova, map->size);
		if (fake.on_map)
			fake.on_map(map);
		return fake.map_error;
	case VFIO_IOMMU_UNMAP_DMA:
		note("dma-");
		return 0;
	case KVM_CREATE_DEVICE:
		create->fd = (uint32_t)dup(fd);
		return 0;
	case KVM_SET_DEVICE_ATTR:
		note(attr->attr == KVM_DEV_VFIO_GROUP_ADD ? "kvm+" : "kvm-");
		return 0;
	case KVM_SET_USER_MEMORY_REGION:
		return set_memory(arg);
	case KVM_IRQFD:
		return irqfd(arg);
	case KVM_SET_GSI_ROUTING:
	case KVM_IRQ_LINE:
		return 0;
	}
	return device_ioctl(request, arg);
}

uint32_t fake_config(unsigned off, unsigned len)
{
	uint8_t buf[4];

	assert(pread(fake.device_fd, buf, len,
		     (off_t)(FAKE_OFFSET(VFIO_PCI_CONFIG_REGION_INDEX) + off)) == (ssize_t)len);
	return (uint32_t)load_le(buf, len);
}

void fake_fill(unsigned region, uint64_t off, const void *data, size_t len)
{
	assert(pwrite(fake.device_fd, data, len, (off_t)(FAKE_OFFSET(region) + off)) ==
	       (ssize_t)len);
}

void fake_set_config(unsigned off, unsigned len, uint32_t val)
{
	uint8_t buf[4];

	store_le(buf, len, val);
	fake_fill(VFIO_PCI_CONFIG_REGION_INDEX, off, buf, len);
}

void fake_kill(void)
{
	fake.dead = true;
	fake_set_config(PCI_CLASS_REVISION, 4, UINT32_MAX);
}

void fake_revive(void)
{
	fake.dead = false;
	fake_set_config(PCI_CLASS_REVISION, 4, 0x030200a1);
}

static void set_ext_cap(unsigned off, unsigned id, unsigned next)
{
	fake_set_config(off, 4, id | 1u << 16 | next << 20);
}

static void init_config(void)
{
	fake_set_config(PCI_VENDOR_ID, 4, 0x233010de);
	fake_set_config(PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	fake_set_config(PCI_CLASS_REVISION, 4, 0x030200a1);
	fake_set_config(PCI_HEADER_TYPE, 1, 0x80);
	fake_set_config(PCI_BASE_ADDRESS_0, 4, 0xfb000000);
	fake_set_config(PCI_BASE_ADDRESS_2, 4,
			0xd0000000 | PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	fake_set_config(PCI_BASE_ADDRESS_3, 4, 0x38);
	fake_set_config(PCI_BASE_ADDRESS_4, 4, 0xe001);
	fake_set_config(PCI_SUBSYSTEM_VENDOR_ID, 4, 0x16c110de);
	fake_set_config(PCI_CAPABILITY_LIST, 1, FAKE_PM);
	fake_set_config(PCI_INTERRUPT_LINE, 2, 0x010b);

	fake_set_config(FAKE_PM, 4, PCI_CAP_ID_PM | FAKE_MSI << 8 | 3u << 16);
	fake_set_config(FAKE_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
	fake_set_config(FAKE_MSI, 4,
			PCI_CAP_ID_MSI | FAKE_EXP << 8 |
				(PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 2u << 1) << 16);
	fake_set_config(FAKE_EXP, 4, PCI_CAP_ID_EXP | FAKE_MSIX << 8 | 2u << 16);
	fake_set_config(FAKE_EXP + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR);
	fake_set_config(FAKE_EXP + PCI_EXP_LNKCAP, 4, 0x00000105);
	fake_set_config(FAKE_MSIX, 4, PCI_CAP_ID_MSIX | (16u - 1) << 16);
	fake_set_config(FAKE_MSIX + PCI_MSIX_TABLE, 4, FAKE_TABLE);
	fake_set_config(FAKE_MSIX + PCI_MSIX_PBA, 4, FAKE_PBA);

	set_ext_cap(0x100, PCI_EXT_CAP_ID_ERR, 0x150);
	set_ext_cap(0x150, PCI_EXT_CAP_ID_SRIOV, 0x200);
	set_ext_cap(0x200, PCI_EXT_CAP_ID_REBAR, 0x240);
	set_ext_cap(0x240, PCI_EXT_CAP_ID_DSN, 0);
}

void fake_vfio_init(struct fake_machine *m)
{
	const uint32_t rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	const uint32_t rwm = rw | VFIO_REGION_INFO_FLAG_MMAP;

	fake = (struct fake_vfio){
		.device_fd = memfd_create("device", MFD_CLOEXEC),
		.device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
		.regions = {
			[0] = { .size = 64 * KiB, .flags = rwm },
			[2] = { .size = MiB, .flags = rwm },
			[4] = { .size = 128, .flags = rw },
			[VFIO_PCI_CONFIG_REGION_INDEX] = { .size = 4096, .flags = rw },
		},
		.irq_counts = { 1, 4, 16, 1, 1 },
		.irq_flags = VFIO_IRQ_INFO_NORESIZE,
		.group_flags = VFIO_GROUP_FLAGS_VIABLE,
		.maps_left = 65535,
	};
	assert(fake.device_fd >= 0 &&
	       ftruncate(fake.device_fd, (off_t)FAKE_OFFSET(VFIO_PCI_NUM_REGIONS)) == 0);
	init_config();

	*m = (struct fake_machine){
		.vm = { .kvm_fd = -1, .vm_fd = fake.device_fd, .slots_max = 64 },
	};
	pthread_mutex_init(&m->vm.lock, NULL);
	bus_init(&m->pio);
	bus_init(&m->mmio);
	guest_mem_init(&m->mem);
	assert(irq_init(&m->irq, fake.device_fd) == 0);
	m->board = (struct board){ &m->vm, &m->mem, &m->irq, &m->pio, &m->mmio };
}

void fake_vfio_fini(struct fake_machine *m)
{
	irq_fini(&m->irq);
	guest_mem_fini(&m->mem);
	bus_fini(&m->mmio);
	bus_fini(&m->pio);
	pthread_mutex_destroy(&m->vm.lock);
	close(fake.device_fd);
}
