/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device whose packets the host's kernel carries between the guest's memory and a TAP
 * interface (vhost-net): its doorbells and vectors are eventfds that the kernel has, so that no
 * packet wakes this process. What is left for us are PCI, configuration, the control queue, and
 * telling the kernel where RAM and the rings are. [virtio-1.2 5.1 Network Device; Linux:
 * include/uapi/linux/vhost.h]
 *
 * A pair of queues has a file of /dev/vhost-net and a queue of the interface each. The kernel's
 * worker of a pair is a thread that it starts itself.
 */
#ifndef DEVICES_VHOST_NET_H
#define DEVICES_VHOST_NET_H

#include "devices/net_tap.h"
#include "devices/pci.h"

struct loop;

#define VHOST_NET_MAC_LEN 6u

/* What is opened before there is a machine. */
struct vhost_net_files {
	struct net_tap tap; /* tap.queues is how many pairs there are */
	int vhost[NET_TAP_QUEUES_MAX];
	uint64_t features; /* that vhost offers */
};

/* Opens `pairs` pairs, as net_tap_open. Starts no thread. Sets the error chain. */
int MUST_CHECK vhost_net_open(struct vhost_net_files *files, const char *tap, unsigned pairs,
			      bool fewer);
void vhost_net_close(struct vhost_net_files *files); /* zeroed, and twice, too */

/*
 * The device, not yet on a bus; destroyed through its device_ops, while `loop` still runs. `files`
 * are taken over and zeroed, also by a failure.
 */
int MUST_CHECK vhost_net_create(const struct board *board, struct loop *loop,
				struct vhost_net_files *files, const uint8_t mac[VHOST_NET_MAC_LEN],
				struct pci_dev **ret_dev);

#endif
