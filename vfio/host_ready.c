/* SPDX-License-Identifier: Apache-2.0 */
/* Ready or not, in a few words; see host_ready.h. Main thread. */
#include "vfio/host_ready.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/err.h"
#include "vfio/host_check.h"
#include "vfio/host_disks.h"
#include "vfio/host_holders.h"
#include "vfio/host_iommu.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

static bool not_ready(struct host_ready *ready, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool not_ready(struct host_ready *ready, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ready->reason, sizeof(ready->reason), fmt, ap);
	va_end(ap);
	return false;
}

static bool in_use(struct host_ready *ready)
{
	ready->in_use = true;
	return false;
}

static bool may_use(const char *root, const char *node, struct host_ready *ready)
{
	if (faccessat(AT_FDCWD, host_sysfs_path(root, "%s", node).s, R_OK | W_OK, AT_EACCESS) == 0)
		return true;
	return errno == EACCES || errno == EPERM ? not_ready(ready, "no permission for /%s", node)
						 : not_ready(ready, "no /%s", node);
}

static bool check_endpoint(const char *root, const struct host_info *info, struct host_ready *ready)
{
	if (info->bridge)
		return not_ready(ready, "a bridge");
	switch (host_check_endpoint(root, info->addr)) {
	case 0:
		return true;
	case -ENXIO:
		return not_ready(ready, "fell off the bus");
	case -ENODEV:
		return not_ready(ready, "not there");
	default:
		return not_ready(ready, "unreadable");
	}
}

static bool check_iommu(const char *root, const struct host_info *info, struct host_ready *ready)
{
	unsigned group;

	if (host_check_iommu(root, info->addr, &group) == 0)
		return true;
	return not_ready(ready, err_kind() == ERR_HOST ? "no IOMMU" : "not behind the IOMMU");
}

static bool check_reserved(const char *root, const struct host_info *info, struct host_ready *ready)
{
	return host_check_reserved(root, info->addr) == 0 ||
	       not_ready(ready, "the firmware keeps memory for it (RMRR)");
}

/* Who has it for a guest. */
static bool check_unused(const struct vfio_host *host, const struct host_info *info,
			 struct host_ready *ready)
{
	char holders[64];

	ready->holder = host_lease_holder(host->root, host->state_dir, info->addr);
	if (!ready->holder)
		ready->holder = host_lease_group_holder(host->root, host->state_dir, info->group);
	if (ready->holder) {
		not_ready(ready, "in use by tinyvmm (pid %d)", ready->holder);
		return in_use(ready);
	}
	if (!host_sysfs_is_vfio(info->driver))
		return true;
	host_holders_list_vfio(host->root, info->addr, info->group, holders, sizeof(holders));
	if (!holders[0])
		return true;
	not_ready(ready, "in use by %s", holders);
	return in_use(ready);
}

void host_ready_add(struct vfio_host *host, const struct host_info *info)
{
	host->devices[host->count++] =
		(struct vfio_host_device){ .addr = info->addr, .group = info->group };
	for (unsigned i = 0; i < info->member_count; i++) {
		const struct host_info_member *member = &info->members[i];

		if (host->count < VFIO_HOST_DEVICES_MAX &&
		    pci_addr_same_slot(member->addr, info->addr) &&
		    host_check_blocks(host, member->addr))
			host->devices[host->count++] =
				(struct vfio_host_device){ .addr = member->addr,
							   .group = info->group };
	}
}

static bool check_group(const struct vfio_host *host, const struct host_info *info,
			struct host_ready *ready)
{
	unsigned more = 0;
	const struct host_info_member *first = NULL;

	for (unsigned i = 0; i < info->member_count; i++) {
		if (!host_check_blocks(host, info->members[i].addr))
			continue;
		first = first ? first : &info->members[i];
		more++;
	}
	if (!first)
		return true;
	if (--more)
		return not_ready(ready, "group shared with %s and %u more",
				 pci_addr_text(first->addr).s, more);
	return not_ready(ready, "group shared with %s (%.32s)", pci_addr_text(first->addr).s,
			 first->driver);
}

static bool check_drivers(const struct vfio_host *host, struct host_ready *ready)
{
	for (unsigned i = 0; i < host->count; i++) {
		char holders[64], disk[HOST_DISKS_TEXT_SIZE];

		switch (host_check_driver(host, &host->devices[i])) {
		case 0:
			continue;
		case -EBUSY:
			if (host_disks_in_use(host->root, host->devices[i].addr, disk))
				return not_ready(ready, "%.120s", disk);
			host_holders_list(host->root, host->devices[i].addr, holders,
					  sizeof(holders));
			not_ready(ready, "in use by %s", holders);
			return in_use(ready);
		default:
			return not_ready(ready, "needs root");
		}
	}
	return true;
}

/* What is with VFIO already needs its files for this user; others get theirs later. */
static bool check_node(const char *root, const struct host_info *info, struct host_ready *ready)
{
	struct vfio_host host;

	if (!host_sysfs_is_vfio(info->driver))
		return true;
	vfio_host_init(&host, root);
	host.devices[host.count++] =
		(struct vfio_host_device){ .addr = info->addr, .group = info->group };
	switch (host_iommu_settle(&host)) {
	case 0:
		return true;
	case -EACCES:
		return not_ready(ready, "no permission for /dev/vfio/%u", info->group);
	default:
		return not_ready(ready, "no /dev/vfio/%u", info->group);
	}
}

void host_ready_check(const char *root, const struct host_info *info, struct host_ready *ret_ready)
{
	struct host_ready *ready = ret_ready;
	struct vfio_host host;

	*ready = (struct host_ready){ 0 };
	vfio_host_init(&host, root);
	host_ready_add(&host, info);
	for (unsigned i = 1; i < host.count && ready->with_count < HOST_READY_WITH_MAX; i++)
		ready->with[ready->with_count++] = host.devices[i].addr;
	ready->ready = check_endpoint(root, info, ready) && check_iommu(root, info, ready) &&
		       (!info->vfs || not_ready(ready, "%llu virtual functions are on",
						(unsigned long long)info->vfs)) &&
		       check_reserved(root, info, ready) && check_unused(&host, info, ready) &&
		       check_group(&host, info, ready) && check_drivers(&host, ready) &&
		       check_node(root, info, ready) && may_use(root, "dev/kvm", ready);
	err_clear();
}
