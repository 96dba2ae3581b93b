/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking devices from their drivers and giving them back; see host.h. Main thread.
 * [linux Documentation/ABI/testing/sysfs-bus-pci: driver_override, unbind, drivers_probe]
 */
#include "vfio/host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_child.h"
#include "vfio/host_holders.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

#define VFIO_PCI      "vfio-pci"
#define MODPROBE_PATH "/sbin/modprobe" /* where the kernel does not say */

/* How long udev may take to make /dev/vfio/GROUP and to set its owner. */
#define NODE_LIMIT_MS 5000

static const char *name_of(const char *driver)
{
	return driver[0] ? driver : "no driver";
}

void vfio_host_init(struct vfio_host *host, const char *root)
{
	memset(host, 0, sizeof(*host));
	assert(strlen(root) < sizeof(host->root));
	strcpy(host->root, root);
	host_lease_state_dir(root, host->state_dir);
	host->limit_ms = VFIO_HOST_LIMIT_MS;
}

void vfio_host_fini(struct vfio_host *host)
{
	if (!host)
		return;
	vfio_host_give_back(host);
	host_lease_drop(host);
	host->count = 0;
}

/* A write to a file of the device, given up when a driver hangs on it. */
static int write_device(struct vfio_host *host, struct vfio_host_device *dev, const char *file,
			const char *text)
{
	int r = host_child_write(host_sysfs_device(host->root, dev->addr, file).s, text,
				 host->limit_ms);

	if (r == -ETIMEDOUT)
		dev->stuck = true;
	return r;
}

static int unbind(struct vfio_host *host, struct vfio_host_device *dev)
{
	return write_device(host, dev, "driver/unbind", pci_addr_text(dev->addr).s);
}

/* Lets the bus find a driver: the one in driver_override, or the first that knows the device. */
static int probe(struct vfio_host *host, struct vfio_host_device *dev)
{
	int r = host_child_write(host_sysfs_path(host->root, "sys/bus/pci/drivers_probe").s,
				 pci_addr_text(dev->addr).s, host->limit_ms);

	if (r == -ETIMEDOUT)
		dev->stuck = true;
	return r;
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

	r = write_device(host, dev, "driver_override", VFIO_PCI);
	if (r == -ETIMEDOUT)
		return report_stuck(host, dev, driver[0] ? driver : dev->before.driver);
	if (r < 0)
		return err_sys(ERR_HOST, r, "set the driver_override of %s", addr.s);
	r = driver[0] ? unbind(host, dev) : 0;
	if (r == -ETIMEDOUT)
		return report_stuck(host, dev, driver);
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "unbind %s from %s", addr.s, driver);
	r = probe(host, dev);
	host_sysfs_driver(host->root, dev->addr, now);
	if (r == 0 && strcmp(now, VFIO_PCI) == 0)
		return 0;
	if (now[0])
		r = err_set(ERR_DEVICE, -EBUSY, "%s went to driver %s instead of " VFIO_PCI, addr.s,
			    now);
	else if (r < 0)
		r = err_sys(ERR_DEVICE, r, "bind %s to " VFIO_PCI, addr.s);
	else
		r = err_set(ERR_DEVICE, -ENODEV, VFIO_PCI " does not take %s", addr.s);
	err_hint("dmesg tells why");
	return r;
}

/* Until /dev/vfio/GROUP is there and may be opened. */
static int wait_for_node(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	const struct host_sysfs_path node = host_sysfs_path(host->root, "dev/vfio/%u", dev->group);
	struct host_child_wait wait;
	int r;

	/* What was there before this run is there now or never. */
	host_child_wait_init(&wait, dev->taken ? MIN(host->limit_ms, NODE_LIMIT_MS) : 0);
	do {
		if (faccessat(AT_FDCWD, node.s, R_OK | W_OK, AT_EACCESS) == 0)
			return 0;
		r = -errno;
	} while (host_child_wait_step(&wait));
	r = err_sys(ERR_HOST, r, "%s is on " VFIO_PCI ", but %s cannot be used",
		    pci_addr_text(dev->addr).s, node.s);
	if (r == -EACCES)
		err_hint("run as root, or let root give you that file (chown, a udev rule)");
	else
		err_hint("udev or devtmpfs makes it; in a container it must be handed in");
	return r;
}

/*
 * Fills in dev->before for a device that is with `driver` now. True if an earlier run was killed
 * before it could give the device back: then its journal knows better. A journal that somebody has
 * overtaken since, by giving the device to a driver, counts no more.
 */
static bool find_before(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	int r = host_journal_read(host->state_dir, dev->addr, &dev->before);

	if (r == 0 && (!driver[0] || host_sysfs_is_vfio(driver))) {
		log_info("%s was left behind by an earlier run; before that, %s had it",
			 pci_addr_text(dev->addr).s, name_of(dev->before.driver));
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
		r = host_journal_write(host->state_dir, dev->addr, &dev->before);
		if (r < 0)
			return r;
		dev->taken = true;
	}
	if (!host_sysfs_is_vfio(driver)) {
		r = move_to_vfio(host, dev, driver);
		if (r < 0)
			return r;
		log_debug("%s: from %s to " VFIO_PCI, pci_addr_text(dev->addr).s, name_of(driver));
	}
	return wait_for_node(host, dev);
}

int vfio_host_take(struct vfio_host *host)
{
	bool needed = false;
	int r;

	for (unsigned i = 0; i < host->count; i++) {
		char driver[VFIO_HOST_DRIVER_SIZE];

		host_sysfs_driver(host->root, host->devices[i].addr, driver);
		needed |= !host_sysfs_is_vfio(driver);
	}
	r = needed ? load_vfio_pci(host) : 0;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < host->count; i++) {
		r = take(host, &host->devices[i]);
		if (r < 0)
			goto fail;
	}
	return 0;

fail:
	vfio_host_give_back(host);
	return r;
}

/* The driver of before gets the device, if it still can. -ENODEV if the device is with none. */
static int rebind(struct vfio_host *host, struct vfio_host_device *dev,
		  char now[VFIO_HOST_DRIVER_SIZE])
{
	const struct host_sysfs_path driver =
		host_sysfs_path(host->root, "sys/bus/pci/drivers/%s", dev->before.driver);
	int r;

	r = probe(host, dev);
	host_sysfs_driver(host->root, dev->addr, now);
	if (r < 0 || now[0])
		return r;
	if (!host_sysfs_exists(driver.s)) {
		log_warn("%s: driver %s is not loaded any more", pci_addr_text(dev->addr).s,
			 dev->before.driver);
		return 0;
	}
	/* A driver that was told to take this very device does not ask for it by itself. */
	r = host_child_write(host_sysfs_path(driver.s, "bind").s, pci_addr_text(dev->addr).s,
			     host->limit_ms);
	if (r == -ETIMEDOUT)
		dev->stuck = true;
	host_sysfs_driver(host->root, dev->addr, now);
	return r == 0 && !now[0] ? -ENODEV : r;
}

/* What `dev` was before. Tells the outcome, whatever it is. */
static int give_back(struct vfio_host *host, struct vfio_host_device *dev)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	const char *before = dev->before.driver;
	const char *step = "unbind it";
	char now[VFIO_HOST_DRIVER_SIZE];
	int r = 0;

	if (dev->stuck) {
		log_error("%s cannot be given back to %s while its driver hangs; the next run with "
			  "it "
			  "will try again",
			  addr.s, name_of(before));
		dev->taken = false; /* said once */
		return -EBUSY;
	}
	host_sysfs_driver(host->root, dev->addr, now);
	if (host_sysfs_is_vfio(now)) {
		r = unbind(host, dev);
		now[0] = '\0';
	}
	if (r == 0) {
		/* An override that asked for VFIO was not what the device was bound by. */
		const bool keep =
			dev->before.override[0] && !host_sysfs_is_vfio(dev->before.override);

		step = "set driver_override";
		r = write_device(host, dev, "driver_override", keep ? dev->before.override : "\n");
	}
	if (r == 0 && before[0] && !now[0]) {
		step = "bind it";
		r = rebind(host, dev, now);
	}
	if (r == 0) {
		step = "clear the journal";
		r = host_journal_remove(host->state_dir, dev->addr);
	}
	/* Unplugged while the guest had it, perhaps just now: nothing to give back. */
	if (r < 0 && !host_sysfs_exists(host_sysfs_device(host->root, dev->addr, "").s)) {
		log_info("%s is gone", addr.s);
		dev->taken = false;
		return host_journal_remove(host->state_dir, dev->addr);
	}
	if (r < 0) {
		log_error("%s is not given back to %s: %s: %s", addr.s, name_of(before), step,
			  dev->stuck ? "a driver hangs" : strerror(-r));
		if (dev->stuck)
			dev->taken = false; /* trying again hangs again; the journal remembers */
		return r;
	}
	dev->taken = false;
	if (strcmp(now, before) == 0)
		log_info("%s is given back to %s", addr.s, name_of(before));
	else
		log_warn("%s is with %s now, not with %s as before", addr.s, name_of(now),
			 name_of(before));
	return 0;
}

int vfio_host_give_back(struct vfio_host *host)
{
	int first = 0;

	for (unsigned i = host->count; i-- > 0;) {
		struct vfio_host_device *dev = &host->devices[i];
		int r = dev->taken ? give_back(host, dev) : 0;

		first = first ? first : r;
	}
	return first;
}

/* One device of the journal. Sets *ret_done if it was given back. */
static int recover(const char *root, struct pci_addr addr, bool *ret_done)
{
	struct vfio_host host;
	struct vfio_host_device *dev = &host.devices[0];
	int r;

	vfio_host_init(&host, root);
	dev->addr = addr;
	if (!host_sysfs_exists(host_sysfs_device(root, addr, "").s)) {
		/* Unplugged: nothing to give back. */
		return host_journal_remove(host.state_dir, addr);
	}
	r = host_sysfs_group(root, addr, &dev->group);
	if (r < 0)
		return r;
	host.count = 1;
	r = host_lease_take(&host);
	if (r == -EBUSY) {
		/* In use, so its run gives it back. */
		err_clear();
		return 0;
	}
	if (r == 0)
		r = host_journal_read(host.state_dir, addr, &dev->before);
	if (r == 0) {
		dev->taken = true;
		r = vfio_host_give_back(&host);
		*ret_done = r == 0;
	}
	host_lease_drop(&host);
	return r == -ENOENT ? 0 : r; /* its run ended, and gave it back, just now */
}

int vfio_host_recover(const char *root, unsigned *ret_count)
{
	char state_dir[VFIO_HOST_PATH_SIZE];
	struct pci_addr *addrs;
	unsigned n;
	int first;

	*ret_count = 0;
	host_lease_state_dir(root, state_dir);
	first = host_journal_list(state_dir, &addrs, &n);
	if (first < 0) {
		log_error("read the journal in %s: %s", state_dir, strerror(-first));
		return first;
	}
	for (unsigned i = 0; i < n; i++) {
		bool done = false;
		int r = recover(root, addrs[i], &done);

		if (r < 0)
			log_error("%s is not recovered: %s", pci_addr_text(addrs[i]).s,
				  strerror(-r));
		*ret_count += done;
		first = first ? first : r;
	}
	free(addrs);
	return first;
}
