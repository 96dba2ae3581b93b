/* SPDX-License-Identifier: Apache-2.0 */
/* Taking devices from their drivers; see host.h. Main thread. */
#include "vfio/host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_bind.h"
#include "vfio/host_check.h"
#include "vfio/host_child.h"
#include "vfio/host_holders.h"
#include "vfio/host_iommu.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

#define VFIO_PCI      "vfio-pci"
#define MODPROBE_PATH "/sbin/modprobe" /* where the kernel does not say */

void vfio_host_init(struct vfio_host *host, const char *root)
{
	memset(host, 0, sizeof(*host));
	assert(strlen(root) < sizeof(host->root));
	strcpy(host->root, root);
	host_lease_state_dir(root, host->state_dir);
	host->limit_ms = VFIO_HOST_LIMIT_MS;
	host->bind_limit_ms = VFIO_HOST_BIND_LIMIT_MS;
	host->signal_fd = -1;
}

void vfio_host_fini(struct vfio_host *host)
{
	if (!host)
		return;
	vfio_host_give_back(host);
	host_lease_drop(host);
	host->count = 0;
}

bool vfio_host_has(const struct vfio_host *host, struct pci_addr addr)
{
	for (unsigned i = 0; i < host->count; i++) {
		if (pci_addr_compare(host->devices[i].addr, addr) == 0)
			return true;
	}
	return false;
}

/* The module, if the driver is not there yet. The kernel knows where this host has modprobe. */
static int load_vfio_pci(const struct vfio_host *host)
{
	const struct host_sysfs_path driver =
		host_sysfs_path(host->root, "sys/bus/pci/drivers/" VFIO_PCI);
	char modprobe[VFIO_HOST_PATH_SIZE];
	char *argv[] = { modprobe, (char *)VFIO_PCI, NULL };
	int r;

	if (host_sysfs_exists(driver.s))
		return 0;
	if (sys_read_text(host_sysfs_path(host->root, "proc/sys/kernel/modprobe").s, modprobe,
			  sizeof(modprobe)) < 0 ||
	    modprobe[0] != '/')
		strcpy(modprobe, MODPROBE_PATH);
	r = host_child_run(argv, host->limit_ms);
	if (r == 0 && host_sysfs_exists(driver.s))
		return 0;
	if (r == -ETIMEDOUT)
		return err_set(ERR_HOST, r, "%s " VFIO_PCI " does not end", modprobe);
	if (r < 0)
		return err_sys(ERR_HOST, r, "run %s " VFIO_PCI, modprobe);
	r = err_set(ERR_HOST, -ENOENT,
		    "the host has no driver " VFIO_PCI ", and %s " VFIO_PCI " did not load it",
		    modprobe);
	err_hint("it belongs to the host's kernel modules (CONFIG_VFIO_PCI)");
	return r;
}

/* The driver's unbind did not return. */
static int report_stuck(struct vfio_host *host, const struct vfio_host_device *dev,
			const char *driver)
{
	char holders[256];
	int r;

	host_holders_list(host->root, dev->addr, holders, sizeof(holders));
	r = err_set(ERR_DEVICE, -EBUSY, "driver %s does not let go of %s (waited %u s)", driver,
		    pci_addr_text(dev->addr).s, host->limit_ms / 1000);
	if (holders[0])
		err_hint("it is in use by %s: stop them; if that does not help, reboot the host",
			 holders);
	else
		err_hint("nothing in /proc has it open: see dmesg; the host may need a reboot");
	return r;
}

/* From its driver, if any, to vfio-pci. The journal has been written. */
static int move_to_vfio(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	char now[VFIO_HOST_DRIVER_SIZE];
	int r;

	r = host_bind_override(host, dev, VFIO_PCI);
	if (r == -ETIMEDOUT)
		return report_stuck(host, dev, driver[0] ? driver : dev->before.driver);
	if (r < 0)
		return err_sys(ERR_HOST, r, "set the driver_override of %s", addr.s);
	r = driver[0] ? host_bind_unbind(host, dev, driver) : 0;
	if (r == -ETIMEDOUT)
		return report_stuck(host, dev, driver);
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "unbind %s from %s", addr.s, driver);
	r = host_bind_probe(host, dev, now);
	if (r == 0 && strcmp(now, VFIO_PCI) == 0)
		return 0;
	if (r == -ETIMEDOUT)
		r = err_set(ERR_DEVICE, r, "%s is still binding %s (waited %u s)",
			    now[0] ? now : VFIO_PCI, addr.s, host->bind_limit_ms / 1000);
	else if (now[0])
		r = err_set(ERR_DEVICE, -EBUSY, "%s went to driver %s instead of " VFIO_PCI, addr.s,
			    now);
	else if (r < 0)
		r = err_sys(ERR_DEVICE, r, "bind %s to " VFIO_PCI, addr.s);
	else
		r = err_set(ERR_DEVICE, -ENODEV, VFIO_PCI " does not take %s", addr.s);
	err_hint("dmesg tells why");
	return r;
}

/*
 * Fills in dev->before for a device that is with `driver` now. True if an earlier run was killed
 * before it could give the device back: then its journal knows better. A journal that somebody has
 * overtaken since, by giving the device to a driver, counts no more.
 */
static bool find_before(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	int r = host_journal_read(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr, &dev->before);

	if (r == 0 && (!driver[0] || host_sysfs_is_vfio(driver))) {
		log_info("%s was left behind by an earlier run; before that, %s had it",
			 pci_addr_text(dev->addr).s, host_bind_name(dev->before.driver));
		return true;
	}
	if (r == 0 && strcmp(driver, dev->before.driver) == 0)
		return false; /* killed before the unbind; the override may be changed already */
	if (r < 0 && r != -ENOENT)
		log_warn("the journal of %s is unreadable: %s", pci_addr_text(dev->addr).s,
			 strerror(-r));
	strcpy(dev->before.driver, driver);
	host_sysfs_override(host->root, dev->addr, dev->before.override);
	return false;
}

static int take(struct vfio_host *host, struct vfio_host_device *dev)
{
	char driver[VFIO_HOST_DRIVER_SIZE];
	bool left_behind;
	int r;

	host_sysfs_driver(host->root, dev->addr, driver);
	left_behind = find_before(host, dev, driver);
	if (!host_sysfs_is_vfio(driver) || left_behind) {
		r = host_journal_write(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr,
				       &dev->before);
		if (r < 0)
			return r;
		dev->taken = true;
	}
	if (!host_sysfs_is_vfio(driver)) {
		r = move_to_vfio(host, dev, driver);
		if (r < 0)
			return r;
		log_debug("%s: from %s to " VFIO_PCI, pci_addr_text(dev->addr).s,
			  host_bind_name(driver));
	}
	return 0;
}

/*
 * Leases say nothing of programs that know none. What a killed run left with VFIO may have been
 * given to such a program since, and unbinding it would take it from under a running guest.
 */
int host_check_unused(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	char holders[256];
	int r;

	if (!host_holders_in_use(host->root, dev->addr, dev->group))
		return 0;
	r = err_set(ERR_DEVICE, -EBUSY, "%s: its IOMMU group %u is in use by another program",
		    pci_addr_text(dev->addr).s, dev->group);
	host_holders_list_vfio(host->root, dev->addr, dev->group, holders, sizeof(holders));
	if (holders[0])
		err_hint("it is in use by %s", holders);
	return r;
}

int vfio_host_take(struct vfio_host *host)
{
	bool needed = false;
	int r;

	for (unsigned i = 0; i < host->count; i++) {
		char driver[VFIO_HOST_DRIVER_SIZE];

		r = host_check_unused(host, &host->devices[i]);
		if (r < 0)
			return r;
		host_sysfs_driver(host->root, host->devices[i].addr, driver);
		needed |= !host_sysfs_is_vfio(driver);
	}
	r = needed ? load_vfio_pci(host) : 0;
	if (r == 0)
		r = host_iommu_check(host);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < host->count; i++) {
		r = take(host, &host->devices[i]);
		if (r < 0)
			goto fail;
	}
	r = host->count ? host_iommu_settle(host) : 0;
	if (r < 0)
		goto fail;
	return 0;

fail:
	vfio_host_give_back(host);
	return r;
}

int vfio_host_begin_use(struct vfio_host *host)
{
	int r = 0;

	for (unsigned i = 0; i < host->count; i++)
		host->devices[i].dirty =
			host_journal_is_marked(host->state_dir, host->root, host->devices[i].addr);
	for (unsigned i = 0; i < host->count && r == 0; i++)
		r = host_journal_mark(host->state_dir, host->root, host->devices[i].addr);
	if (r < 0)
		vfio_host_end_use(host); /* no guest gets any of them */
	return r;
}

void vfio_host_end_use(struct vfio_host *host)
{
	for (unsigned i = 0; i < host->count; i++) {
		const struct vfio_host_device *dev = &host->devices[i];
		int r = dev->dirty ? 0
				   : host_journal_remove(host->state_dir, HOST_JOURNAL_DIRTY,
							 dev->addr);

		if (r < 0)
			log_warn("%s counts as not reset: %s", pci_addr_text(dev->addr).s,
				 strerror(-r));
	}
}
