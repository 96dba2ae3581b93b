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

#include <linux/if_ether.h>

#include "devices/pci/pci.h"
#include "devices/vhost/vhost_net_files.h"

struct loop;

/*
 * The device, not yet on a bus; destroyed through its device_ops, while `loop` still runs. `files`
 * are taken over and zeroed, also by a failure.
 */
int MUST_CHECK vhost_net_create(const struct board *board, struct loop *loop,
				struct vhost_net_files *files, const uint8_t mac[ETH_ALEN],
				struct pci_dev **ret_dev);

#endif
