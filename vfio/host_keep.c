/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that stay with vfio-pci from `tinyvmm bind` to `tinyvmm release`; see host.h. A device on
 * its way has a journal as in a run, so a command that is killed is undone by recovery; what stays
 * has a record that recovery leaves alone. Main thread.
 */
#include "vfio/host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "core/err.h"
#include "core/log.h"
#include "vfio/host_bind.h"
#include "vfio/host_check.h"
#include "vfio/host_child.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

/*
 * udev learns of a new node when it is there already, and may set its owner once more. It has
 * nothing left to do when the file is away, and a node that keeps its owner for so long stays ours.
 */
#define UDEV_QUEUE     "run/udev/queue"
#define NODE_STEADY_MS 300u
#define NODE_STEP_MS   50u
#define NODE_LIMIT_MS  5000u

static struct host_sysfs_path node_path(const struct vfio_host *host,
					const struct vfio_host_device *dev)
{
	return host_sysfs_path(host->root, "dev/vfio/%u", dev->group);
}

static int no_node(const struct host_sysfs_path *node, int r)
{
	r = err_sys(ERR_HOST, r, "%s", node->s);
	if (r == -ENOENT)
		err_hint("this kernel has no files of groups (CONFIG_VFIO_GROUP): bind without "
			 "--user, and give the user /dev/iommu and the device's "
			 "/dev/vfio/devices/vfioN by a udev rule or chown");
	return r;
}

/* The node's owner as it is now, into the record of how the device was before. */
static int note_node(const struct vfio_host *host, struct vfio_host_device *dev)
{
	const struct host_sysfs_path node = node_path(host, dev);
	struct stat st;

	if (dev->before.node_given)
		return 0; /* by an earlier bind: that one saw the owner of before */
	if (stat(node.s, &st) < 0)
		return no_node(&node, -errno);
	dev->before.node_given = true;
	dev->before.node_uid = st.st_uid;
	dev->before.node_gid = st.st_gid;
	return 0;
}

static int give_node(const struct vfio_host *host, const struct vfio_host_device *dev, uid_t uid)
{
	const struct host_sysfs_path node = node_path(host, dev);
	const struct host_sysfs_path queue = host_sysfs_path(host->root, UDEV_QUEUE);
	const struct timespec step = { .tv_nsec = NODE_STEP_MS * 1000000l };
	unsigned steady = 0;
	struct stat st;
	int r;

	for (unsigned waited = 0; waited < NODE_LIMIT_MS && steady < NODE_STEADY_MS;
	     waited += NODE_STEP_MS) {
		if (stat(node.s, &st) < 0)
			return no_node(&node, -errno);
		if (st.st_uid == uid && !host_sysfs_exists(queue.s))
			steady += NODE_STEP_MS;
		else
			steady = 0;
		if (st.st_uid != uid && chown(node.s, uid, (gid_t)-1) < 0)
			return err_sys(ERR_HOST, -errno, "give %s to user %u", node.s, uid);
		nanosleep(&step, NULL);
	}
	if (stat(node.s, &st) < 0)
		return no_node(&node, -errno);
	if (st.st_uid == uid)
		return 0;
	r = err_set(ERR_HOST, -EBUSY, "%s does not stay with user %u: user %u has it again", node.s,
		    uid, st.st_uid);
	err_hint("a rule of udev's may set its owner: see /etc/udev/rules.d");
	return r;
}

/* One device that is with VFIO now, for good. */
static int keep(struct vfio_host *host, struct vfio_host_device *dev, const uid_t *owner)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	const bool fresh = dev->taken;
	bool known = fresh;
	int r;

	if (!fresh) {
		r = host_journal_read(host->state_dir, HOST_JOURNAL_BOUND, dev->addr, &dev->before);
		known = r == 0;
	}
	r = 0;
	/* On disk before it is done. Of a device that somebody else bound there is no record. */
	if (owner && known)
		r = note_node(host, dev);
	if (r == 0 && owner && known)
		r = host_journal_write(host->state_dir,
				       fresh ? HOST_JOURNAL_TAKEN : HOST_JOURNAL_BOUND, dev->addr,
				       &dev->before);
	if (r == 0 && owner)
		r = give_node(host, dev, *owner);
	if (r == 0 && fresh)
		r = host_journal_move(host->state_dir, dev->addr, HOST_JOURNAL_TAKEN,
				      HOST_JOURNAL_BOUND);
	if (r < 0)
		return r;
	dev->taken = false;
	if (fresh)
		log_info("%s is bound to vfio-pci, and stays so until tinyvmm release; "
			 "before that, %s had it",
			 addr.s, host_bind_name(dev->before.driver));
	else
		log_info("%s is bound to vfio-pci already%s", addr.s,
			 known ? "" : ", and not by tinyvmm");
	return 0;
}

int vfio_host_bind(struct vfio_host *host, const uid_t *owner)
{
	bool fresh[VFIO_HOST_DEVICES_MAX];
	int r = vfio_host_take(host);

	for (unsigned i = 0; i < host->count; i++)
		fresh[i] = host->devices[i].taken;
	for (unsigned i = 0; i < host->count && r == 0; i++)
		r = keep(host, &host->devices[i], owner);
	if (r == 0)
		return 0;
	for (unsigned i = 0; i < host->count; i++) {
		struct vfio_host_device *dev = &host->devices[i];
		struct err_chain why;

		err_save(&why);
		if (fresh[i] && !dev->taken)
			dev->taken = host_journal_move(host->state_dir, dev->addr,
						       HOST_JOURNAL_BOUND, HOST_JOURNAL_TAKEN) == 0;
		err_restore(&why);
	}
	vfio_host_give_back(host);
	return r;
}

int vfio_host_lease(struct vfio_host *host, const struct pci_addr *addrs, unsigned count)
{
	int r = 0;

	assert(host->count == 0 && count <= VFIO_HOST_DEVICES_MAX);
	for (unsigned i = 0; i < count && r == 0; i++) {
		struct vfio_host_device dev = { .addr = addrs[i] };
		char driver[VFIO_HOST_DRIVER_SIZE];

		/* What is gone, or out of its group, may have left a record. */
		r = host_check_present(host->root, dev.addr);
		if (r == 0)
			r = host_check_iommu(host->root, dev.addr, &dev.group);
		host_sysfs_driver(host->root, dev.addr, driver);
		/* A user who has to ask root need not have a place for leases. */
		if (r == 0 && host_sysfs_is_vfio(driver))
			r = host_check_may_move(host, &dev, "released", "release");
		if (r == 0)
			host->devices[host->count++] = dev;
	}
	r = r == 0 && count ? host_lease_take(host) : r;
	if (r < 0)
		host->count = 0;
	return r;
}

/* Nobody knows whose it was: whoever the bus finds gets it. */
static int let_bus_find(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	char now[VFIO_HOST_DRIVER_SIZE];
	int r = host_bind_override(host, dev, "");

	if (r == 0)
		r = host_bind_unbind(host, dev, driver);
	if (r == 0)
		r = host_bind_probe(host, dev, now);
	if (r < 0)
		return err_sys(ERR_DEVICE, r, "release %s from %s", addr.s, driver);
	if (host_sysfs_is_vfio(now)) {
		r = err_set(ERR_DEVICE, -EBUSY, "%s went to %s again", addr.s, now);
		err_hint("it takes all devices of this kind: vfio-pci.ids= on the kernel's command "
			 "line, or in /etc/modprobe.d");
		return r;
	}
	if (now[0])
		log_info("%s is released to %s", addr.s, now);
	else
		log_info("%s is released; no driver of this host wants it", addr.s);
	return 0;
}

/*
 * The mark. That a driver of the host had the device since does not end it, as giving back happens
 * by itself, and a driver may leave alone what the guest left; the user's word does.
 */
static int forget_mark(const struct vfio_host *host, const struct vfio_host_device *dev,
		       bool *ret_marked)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	const bool marked = host_journal_is_marked(host->state_dir, host->root, dev->addr);
	int r = host_journal_remove(host->state_dir, HOST_JOURNAL_DIRTY, dev->addr);

	if (r < 0)
		return err_sys(ERR_HOST, r, "forget that %s was not reset", addr.s);
	if (marked)
		log_info("%s: forgotten that it was not reset after its last guest", addr.s);
	*ret_marked = marked;
	return 0;
}

/* The device's own driver, or whoever has it, in a message that there is nothing to do. */
static int nothing_to_do(struct vfio_host *host, const struct vfio_host_device *dev,
			 const char *driver)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	bool marked = false;
	int r = host_journal_remove(host->state_dir, HOST_JOURNAL_BOUND, dev->addr);

	if (r < 0)
		return err_sys(ERR_HOST, r, "forget that %s was bound", addr.s);
	r = forget_mark(host, dev, &marked);
	if (r < 0)
		return r;
	log_info("%s: nothing %sto do: %s has it", addr.s, marked ? "else " : "",
		 host_bind_name(driver));
	return 0;
}

static int release(struct vfio_host *host, struct vfio_host_device *dev)
{
	char driver[VFIO_HOST_DRIVER_SIZE];
	int left, bound, r;
	bool marked = false;

	host_sysfs_driver(host->root, dev->addr, driver);
	/* That of a killed run counts first, where recovery could not do its work. */
	left = host_journal_read(host->state_dir, HOST_JOURNAL_TAKEN, dev->addr, &dev->before);
	bound = left;
	if (left < 0)
		bound = host_journal_read(host->state_dir, HOST_JOURNAL_BOUND, dev->addr,
					  &dev->before);
	if ((driver[0] && !host_sysfs_is_vfio(driver)) || (!driver[0] && bound < 0))
		return nothing_to_do(host, dev, driver);
	r = host_check_unused(host, dev);
	if (r == 0)
		r = host_check_may_move(host, dev, "released", "release");
	if (r < 0)
		return r;
	r = forget_mark(host, dev, &marked);
	if (r < 0)
		return r;
	if (bound < 0)
		return let_bus_find(host, dev, driver);
	/* From here on a crash is repaired by recovery. */
	if (left < 0)
		r = host_journal_move(host->state_dir, dev->addr, HOST_JOURNAL_BOUND,
				      HOST_JOURNAL_TAKEN);
	if (r == 0)
		dev->taken = true;
	return r;
}

int vfio_host_release(struct vfio_host *host)
{
	int r = 0;

	for (unsigned i = 0; i < host->count && r == 0; i++)
		r = release(host, &host->devices[i]);
	return r;
}
