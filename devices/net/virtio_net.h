/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio network device at a stream of frames: a UNIX socket at whose other end somebody like
 * passt(1) is the network. [virtio-1.2 5.1 Network Device]
 *
 * What it offers is what such a stream can do. Who ends TCP connections himself has no use for a
 * checksum, so the driver may leave it out; but nobody here could cut segments, and large ones come
 * with the MTU. It has one pair of queues, since the stream is one. All that comes over it is for
 * this guest, so there is nothing to filter and no control queue.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include <linux/if_ether.h>

#include "devices/pci/pci.h"

struct loop;

struct virtio_net_options {
	uint8_t mac[ETH_ALEN];
	uint16_t mtu;      /* the driver's first one, and the largest */
	int fd;            /* the stream's: taken over, also by a failure */
	struct loop *loop; /* on epoll */
	/* The stream is lost for good, and the link is down. On the loop. */
	void (*lost)(void *opaque);
	void *opaque;
};

/* The device, not yet on a bus; destroyed through its device_ops, while the loop still runs. */
int MUST_CHECK virtio_net_create(const struct board *board,
				 const struct virtio_net_options *options,
				 struct pci_dev **ret_dev);

#endif
