/* SPDX-License-Identifier: Apache-2.0 */
/* Giving devices back, at the end of a run or after one that was killed; see host.h. Main thread.
 */
#include "vfio/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "vfio/host_bind.h"
#include "vfio/host_holders.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

/* Room for a reason in a message: a driver and some words. */
#define WHY_SIZE (VFIO_HOST_DRIVER_SIZE + 64)

/* An override that asked for VFIO was not what the device was bound by. */
static int restore_override(struct vfio_host *host, struct vfio_host_device *dev)
{
	return host_bind_override(host, dev,
				  host_sysfs_is_vfio(dev->before.override) ? ""
									   : dev->before.override);
}

/* The file stays while another device of the group is with VFIO. */
static void restore_node(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	const struct host_sysfs_path node = host_sysfs_path(host->root, "dev/vfio/%u", dev->group);

	if (dev->before.node_given &&
	    chown(node.s, dev->before.node_uid, dev->before.node_gid) < 0 && errno != ENOENT)
		log_warn("%s stays with the user that it was given to: %s", node.s,
			 strerror(errno));
}

static bool has_driver(const struct vfio_host *host, const char *driver)
{
	return host_sysfs_exists(host_sysfs_path(host->root, "sys/bus/pci/drivers/%s", driver).s);
}

/*
 * A device with no driver goes to exactly the one that it had, or, if that is not loaded any more,
 * to whom the bus finds. `now` is who has it then. On failure `why` says more than the error code,
 * or is "".
 */
static int rebind(struct vfio_host *host, struct vfio_host_device *dev,
		  char now[VFIO_HOST_DRIVER_SIZE], char why[WHY_SIZE])
{
	const char *before = dev->before.driver;
	int probed, r;

	if (!has_driver(host, before)) {
		log_warn("%s: driver %s is not loaded any more", pci_addr_text(dev->addr).s,
			 before);
		r = restore_override(host, dev);
		return r < 0 ? r : host_bind_probe(host, dev, now);
	}
	r = host_bind_override(host, dev, before);
	if (r < 0)
		return r;
	probed = host_bind_probe(host, dev, now);
	if (probed == -ETIMEDOUT) {
		/* The next write would wait for the driver too: the override stays for later. */
		if (now[0])
			snprintf(why, WHY_SIZE, "%s is still binding (waited %u s)", now,
				 host->bind_limit_ms / 1000);
		return probed;
	}
	r = restore_override(host, dev);
	if (probed < 0 || r < 0)
		return probed < 0 ? probed : r;
	return now[0] ? 0 : -ENODEV;
}

/* What `dev` was before. Tells the outcome, whatever it is. */
static int give_back(struct vfio_host *host, struct vfio_host_device *dev)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	const char *before = dev->before.driver;
	const char *step = "unbind it";
	char now[VFIO_HOST_DRIVER_SIZE], why[WHY_SIZE] = "";
	int r = 0;

	if (dev->stuck) {
		log_error("%s cannot be given back to %s while its driver hangs; "
			  "the next run will try again",
			  addr.s, host_bind_name(before));
		dev->taken = false; /* said once */
		return -EBUSY;
	}
	host_sysfs_driver(host->root, dev->addr, now);
	restore_node(host, dev);
	if (host_sysfs_is_vfio(now)) {
		r = host_bind_unbind(host, dev, now);
		host_sysfs_driver(host->root, dev->addr, now);
	}
	if (r == 0 && before[0] && !now[0]) {
		step = "bind it";
		r = rebind(host, dev, now, why);
	} else if (r == 0) {
		step = "set driver_override";
		r = restore_override(host, dev);
	}
	if (r == 0 && before[0] && strcmp(now, before) != 0 && has_driver(host, before)) {
		step = "bind it";
		snprintf(why, sizeof(why), "%s has it now", now);
		r = -EBUSY;
	}
	if (r == 0) {
		step = "clear the journal";
		r = host_journal_remove(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr);
	}
	/* Unplugged while the guest had it, perhaps just now: nothing to give back. */
	if (r < 0 && !host_sysfs_exists(host_sysfs_device(host->root, dev->addr, "").s)) {
		log_info("%s is gone", addr.s);
		dev->taken = false;
		return host_journal_remove(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr);
	}
	if (r < 0) {
		/* Where trying again would change nothing, the journal remembers. */
		dev->taken = !dev->stuck && !why[0];
		if (!why[0])
			snprintf(why, sizeof(why), "%s",
				 dev->stuck ? "a driver hangs" : strerror(-r));
		log_error("%s is not given back to %s: %s: %s", addr.s, host_bind_name(before),
			  step, why);
		return r;
	}
	dev->taken = false;
	if (strcmp(now, before) == 0)
		log_info("%s is given back to %s", addr.s, host_bind_name(before));
	else
		log_warn("%s is with %s now, not with %s as before", addr.s, host_bind_name(now),
			 host_bind_name(before));
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

/* A leased device of the journal. Sets *ret_done if it was given back. */
static int recover_leased(struct vfio_host *host, struct vfio_host_device *dev, bool *ret_done)
{
	char now[VFIO_HOST_DRIVER_SIZE];
	int r = host_journal_read(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr, &dev->before);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* its run ended, and gave it back, just now */
	host_sysfs_driver(host->root, dev->addr, now);
	if (now[0] && !host_sysfs_is_vfio(now) && strcmp(now, dev->before.driver) != 0) {
		log_info("%s was left behind by an earlier run, and given to %s since",
			 pci_addr_text(dev->addr).s, now);
		return host_journal_remove(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr);
	}
	if (host_holders_in_use(host->root, dev->addr, dev->group)) {
		log_info("%s was left behind by an earlier run, "
			 "but another program uses its IOMMU group %u now",
			 pci_addr_text(dev->addr).s, dev->group);
		return 0;
	}
	dev->taken = true;
	r = vfio_host_give_back(host);
	*ret_done = r == 0;
	return r;
}

/* One device of the journal. */
static int recover(const char *root, struct pci_addr addr, bool *ret_done)
{
	struct vfio_host host;
	struct vfio_host_device *dev = &host.devices[0];
	int r;

	vfio_host_init(&host, root);
	dev->addr = addr;
	if (!host_sysfs_exists(host_sysfs_device(root, addr, "").s)) {
		/* Unplugged: nothing to give back. */
		return host_journal_remove(host.state_dir, HOST_JOURNAL_TAKEN, addr);
	}
	r = host_sysfs_group(root, addr, &dev->group);
	if (r < 0)
		return r;
	host.count = 1;
	host.brief = true;
	r = host_lease_try(&host);
	if (r == -EBUSY)
		return 0; /* in use, so its run gives it back */
	if (r == 0)
		r = recover_leased(&host, dev, ret_done);
	host_lease_drop(&host);
	return r;
}

int vfio_host_recover(const char *root, unsigned *ret_count)
{
	char state_dir[VFIO_HOST_PATH_SIZE];
	struct pci_addr *addrs;
	unsigned n;
	int first;

	*ret_count = 0;
	host_lease_state_dir(root, state_dir);
	first = host_journal_list(state_dir, HOST_JOURNAL_TAKEN, &addrs, &n);
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
