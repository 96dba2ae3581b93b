/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resetting a device: a reset of the function alone where it has a real one, else of the whole bus
 * if nobody else is on it, else the power state transition. Main thread, or a vCPU for a
 * function-level reset that the guest asked for. After each the device must answer. [Linux:
 * VFIO_DEVICE_RESET, VFIO_DEVICE_PCI_HOT_RESET].
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/pci/pci_ids.h"
#include "vfio/device.h"
#include "vfio/iommufd_uapi.h"

/* A bus has 256 functions, and a hot reset may take those of the buses below along. */
#define HOT_RESET_DEVICES_MAX 1024u

#define RESET_TRIES 20 /* 50 ms apart */

/* The kernel waits for a device after a reset; this is for what comes later than config space. */
#define ANSWER_TRIES    10u
#define ANSWER_PAUSE_NS 50000000

/*
 * The kernel only tries to lock the devices concerned: somebody who reads their config space
 * through sysfs at that moment makes a reset fail with EAGAIN.
 */
static int reset_ioctl(const struct vfio_device *dev, unsigned long request, void *arg)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int r;

	for (unsigned tries = 0; tries < RESET_TRIES; tries++) {
		r = sys_ioctl(dev->fd, request, arg);
		if (r != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return r;
}

/* " (flr)", where the kernel says which reset it takes. */
struct method_text {
	char s[VFIO_RESET_METHOD_SIZE + 4];
};

static struct method_text method_text(const struct vfio_device *dev)
{
	struct method_text text = { "" };

	if (dev->method[0])
		snprintf(text.s, sizeof(text.s), " (%s)", dev->method);
	return text;
}

static int reset_function(struct vfio_device *dev)
{
	int r = reset_ioctl(dev, VFIO_DEVICE_RESET, NULL);

	return r < 0 ? err_sys(ERR_DEVICE, r, "%s: reset the function%s", dev->bdf,
			       method_text(dev).s)
		     : vfio_device_answers(dev);
}

static void note_failure(struct vfio_device *dev)
{
	dev->failed = true;
	snprintf(dev->why, sizeof(dev->why), "%s", err_text());
}

/* Who else a reset of the bus would hit. free() it. -ENOTSUP if the bus has no reset. */
static int get_affected(const struct vfio_device *dev, struct vfio_pci_hot_reset_info **ret_info)
{
	uint32_t count = 0;

	/* Again when the kernel says how much room it needs; a device may come in between. */
	for (unsigned tries = 0; tries < 3; tries++) {
		const size_t size = sizeof(struct vfio_pci_hot_reset_info) +
				    count * sizeof(struct vfio_pci_dependent_device);
		struct vfio_pci_hot_reset_info *info = calloc(1, size);
		int r;

		if (!info)
			return err_sys(ERR_LIMIT, -ENOMEM, "%s: reset the bus", dev->bdf);
		info->argsz = (uint32_t)size;
		r = sys_ioctl(dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (r >= 0 && info->count <= count) {
			*ret_info = info;
			return 0;
		}
		count = MIN(info->count, HOT_RESET_DEVICES_MAX);
		free(info);
		if (r < 0 && r != -ENOSPC)
			return err_set(ERR_DEVICE, -ENOTSUP, "%s: the bus has no reset: %s",
				       dev->bdf, strerror(-r));
	}
	return err_set(ERR_DEVICE, -EAGAIN, "%s: the bus keeps changing", dev->bdf);
}

static void format_bdf(const struct vfio_pci_dependent_device *d, char buf[VFIO_BDF_SIZE])
{
	snprintf(buf, VFIO_BDF_SIZE, "%04x:%02x:%02x.%x", (unsigned)d->segment, (unsigned)d->bus,
		 (unsigned)d->devfn >> 3, (unsigned)d->devfn & 7);
}

/* Under iommufd the kernel tells whose the devices concerned are, and checks it again. */
static int check_owned(const struct vfio_device *dev, const struct vfio_pci_hot_reset_info *info)
{
	char bdf[VFIO_BDF_SIZE];

	for (uint32_t i = 0; i < info->count; i++) {
		/* A device's id stands where a group's does. */
		if (info->devices[i].group_id != (uint32_t)VFIO_PCI_DEVID_NOT_OWNED)
			continue;
		format_bdf(&info->devices[i], bdf);
		return err_set(ERR_DEVICE, -ENOTSUP,
			       "%s: a reset of its bus would hit %s, "
			       "which this guest does not have",
			       dev->bdf, bdf);
	}
	return 0;
}

/* The fds of all groups concerned, each once; all of them must be ours, else -ENOTSUP. */
static int collect_groups(const struct vfio_device *dev, const struct vfio_pci_hot_reset_info *info,
			  struct vfio_pci_hot_reset *arg)
{
	char bdf[VFIO_BDF_SIZE];

	for (uint32_t i = 0; i < info->count; i++) {
		const struct vfio_pci_dependent_device *d = &info->devices[i];
		int fd = dev->iommu->ops->group_fd(dev->iommu, d->group_id);
		uint32_t k = 0;

		if (fd < 0) {
			format_bdf(d, bdf);
			return err_set(ERR_DEVICE, -ENOTSUP,
				       "%s: a reset of its bus would hit %s (IOMMU group %u), "
				       "which this guest does not have",
				       dev->bdf, bdf, d->group_id);
		}
		while (k < arg->count && arg->group_fds[k] != fd)
			k++;
		if (k == arg->count)
			arg->group_fds[arg->count++] = fd;
	}
	return 0;
}

/* The others of this guest that a reset of the bus has hit: each has to answer for itself. */
static void settle_neighbours(const struct vfio_device *dev,
			      const struct vfio_pci_hot_reset_info *info)
{
	char bdf[VFIO_BDF_SIZE];

	for (uint32_t i = 0; i < info->count; i++) {
		format_bdf(&info->devices[i], bdf);
		for (struct vfio_device *d = dev->iommu->devices; d; d = d->next) {
			if (d == dev || strcmp(d->bdf, bdf) != 0)
				continue;
			d->clean = vfio_device_answers(d) == 0;
			d->failed = false;
			if (!d->clean)
				note_failure(d);
		}
	}
}

static int reset_bus(struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	struct vfio_pci_hot_reset *arg;
	int r = get_affected(dev, &info);

	if (r < 0)
		return r;
	arg = calloc(1, sizeof(*arg) + info->count * sizeof(arg->group_fds[0]));
	if (!arg) {
		free(info);
		return err_sys(ERR_LIMIT, -ENOMEM, "%s: reset the bus", dev->bdf);
	}
	r = dev->iommu->ops->group_fd ? collect_groups(dev, info, arg) : check_owned(dev, info);
	if (r >= 0) {
		arg->argsz = (uint32_t)(sizeof(*arg) + arg->count * sizeof(arg->group_fds[0]));
		r = reset_ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, arg);
		/* The kernel's word for devices that do not answer afterwards. */
		if (r == -ENOTTY)
			err_set(ERR_DEVICE, r, "%s: its bus did not come back from a reset",
				dev->bdf);
		else if (r < 0)
			err_sys(ERR_DEVICE, r, "%s: reset the bus", dev->bdf);
		else
			r = vfio_device_answers(dev);
		if (r == 0)
			settle_neighbours(dev, info);
	}
	free(arg);
	free(info);
	return r;
}

bool vfio_device_reset_is_thorough(const struct vfio_device *dev)
{
	if (!dev->can_reset)
		return false;
	if (dev->method[0])
		return strcmp(dev->method, "pm") != 0;
	return dev->has_flr || !dev->pm_reset;
}

/* --- after it --- */

/*
 * Registers that never read as ones in a device that works, though reading them does nothing. The
 * config space of a GPU often answers when the rest of it has died.
 */
static const struct {
	uint16_t vendor;
	uint8_t base_class;
	unsigned region;
	uint64_t off;
} vital_registers[] = {
	{ PCI_VENDOR_NVIDIA, PCI_CLASS_DISPLAY, 0,
	  0 }, /* PMC_BOOT_0 of NVIDIA's GPUs: which chip */
};

static uint32_t read_config(const struct vfio_device *dev, unsigned off, unsigned len)
{
	return (uint32_t)vfio_region_read(dev, VFIO_PCI_CONFIG_REGION_INDEX, off, len);
}

static void set_command(const struct vfio_device *dev, uint16_t command)
{
	vfio_region_write(dev, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2, command);
}

static bool is_vital_register_dead(const struct vfio_device *dev)
{
	const uint32_t vendor = read_config(dev, PCI_VENDOR_ID, 2);
	const uint32_t base_class = read_config(dev, PCI_CLASS_DEVICE + 1, 1);
	bool dead = false;

	for (unsigned i = 0; i < ARRAY_SIZE(vital_registers); i++) {
		const struct vfio_region *region = &dev->regions[vital_registers[i].region];

		if (vendor != vital_registers[i].vendor ||
		    base_class != vital_registers[i].base_class ||
		    !range_fits(vital_registers[i].off, 4, region->size))
			continue;
		set_command(dev, PCI_COMMAND_MEMORY);
		dead |= vfio_region_read(dev, vital_registers[i].region, vital_registers[i].off,
					 4) == ones(4);
		set_command(dev, 0);
	}
	return dead;
}

/* What is wrong with it, or NULL. */
static const char *find_fault(const struct vfio_device *dev)
{
	/* The kernel's copy has the interrupt bit of COMMAND, and nothing of the class. */
	const uint32_t command = read_config(dev, PCI_COMMAND, 2) | PCI_COMMAND_INTX_DISABLE;

	if (command == ones(2) || read_config(dev, PCI_CLASS_REVISION, 4) == ones(4))
		return "its config space reads as all ones";
	if (dev->pm && read_config(dev, dev->pm + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK)
		return "it does not leave its sleep (D0)";
	if (is_vital_register_dead(dev))
		return "its registers read as all ones";
	return NULL;
}

int vfio_device_answers(struct vfio_device *dev)
{
	const struct timespec pause = { .tv_nsec = ANSWER_PAUSE_NS };
	const char *fault = find_fault(dev);

	for (unsigned tries = 1; fault && tries < ANSWER_TRIES; tries++) {
		nanosleep(&pause, NULL);
		fault = find_fault(dev);
	}
	return fault ? err_set(ERR_RESET, -EIO, "%s: the device does not answer: %s", dev->bdf,
			       fault)
		     : 0;
}

/* --- the ladder --- */

/*
 * One rung, after which the device answers, or it is a failure. One that is not -ENOTSUP is of a
 * reset that exists.
 */
static int climb(struct vfio_device *dev, int (*reset)(struct vfio_device *dev))
{
	int r = reset(dev);

	if (r != 0 && r != -ENOTSUP)
		note_failure(dev);
	return r;
}

/* A guest that reboots without end can cause it. */
static void tell_second_try(const struct vfio_device *dev, bool by_bus)
{
	log_limited(LOG_WARN, "%s; a reset of the %s%s worked in its place", dev->why,
		    by_bus ? "bus" : "function", by_bus ? "" : method_text(dev).s);
}

/*
 * VFIO_DEVICE_RESET takes whatever the kernel found: a device-specific method, FLR, D3hot to D0, or
 * the bus if the device has it for itself; the file reset_method in sysfs tells, and lets root
 * choose. Only the power transition is known to leave a device half reset, so that the bus is tried
 * before it. What does not bring the device back is followed by the next.
 */
int vfio_device_reset(struct vfio_device *dev, bool alone)
{
	const bool thorough = vfio_device_reset_is_thorough(dev);
	struct err_chain why;
	int r = -ENOTSUP, first = 0;
	bool by_bus = false;

	if (dev->clean)
		return 0;
	dev->failed = false;
	err_set(ERR_DEVICE, r, "%s: the device cannot be reset%s", dev->bdf, alone ? " alone" : "");
	if (thorough)
		r = climb(dev, reset_function);
	if (dev->failed) {
		first = r;
		err_save(&why);
	}
	if (r < 0 && !alone) {
		r = climb(dev, reset_bus);
		by_bus = r == 0;
	}
	if (r < 0 && dev->can_reset && !thorough)
		r = climb(dev, reset_function);
	if (r == -ENOTSUP && first) {
		r = first;
		err_restore(&why);
	}
	if (r < 0)
		return r;
	if (dev->failed)
		tell_second_try(dev, by_bus);
	dev->failed = false;
	dev->clean = true;
	return 0;
}
