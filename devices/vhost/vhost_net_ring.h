/* SPDX-License-Identifier: Apache-2.0 */
/* A network device served by the host's kernel, between vhost_net.c and vhost_net_ring.c. */
#ifndef DEVICES_VHOST_NET_RING_H
#define DEVICES_VHOST_NET_RING_H

#include <linux/virtio_net.h>

#include "devices/vhost/vhost_call.h"
#include "devices/vhost/vhost_net.h"

/* Of a pair; vhost numbers them so, too [virtio-1.2 5.1.2 Virtqueues]. */
#define QUEUE_RX    0u
#define QUEUE_TX    1u
#define PAIR_QUEUES 2u

struct net_ring {
	struct vhost_call call;
	bool known; /* vhost has its addresses: the driver uses it */
};

struct vhost_net {
	struct virtio_pci vdev; /* first */
	struct virtio_net_config config;
	struct loop *loop;
	/* The loop's, once there is a guest. */
	struct vhost_net_files files;
	struct loop_source errors; /* an eventfd: vhost cannot go on with a ring */
	unsigned pairs_running;    /* the first ones: vhost carries their packets */
	struct net_ring rings[PAIR_QUEUES * NET_TAP_QUEUES_MAX];
};

static inline unsigned vhost_net_pairs(const struct vhost_net *net)
{
	return net->files.tap.queues;
}

/* All on the loop. */

/* Tells the kernel of a ring, which it does not run yet. */
int MUST_CHECK vhost_net_set_ring(struct vhost_net *net, unsigned queue);

/* The eventfd by which the ring interrupts is another one now. */
int MUST_CHECK vhost_net_move_call(struct vhost_net *net, unsigned queue);

/* Has the kernel carry the packets of the first `count` pairs and of no others. */
int MUST_CHECK vhost_net_run_pairs(struct vhost_net *net, unsigned count);

/* Ends that for all but the first `left` ones. */
void vhost_net_halt_pairs(struct vhost_net *net, unsigned left);

/* The host's side failed, for a reason that the guest has no part in, though it may ask again. */
void vhost_net_lose(struct vhost_net *net, int error);

#endif
