/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queue of a network device, on its loop. [virtio-1.2 5.1.6.5 Control Virtqueue]
 */
#ifndef DEVICES_VIRTIO_NET_CONTROL_H
#define DEVICES_VIRTIO_NET_CONTROL_H

#include "devices/virtio/virtio_pci.h"

/* What a command has to say at most: the offloads, 8 bytes. */
#define VIRTIO_NET_CONTROL_DATA_MAX 8u

struct virtio_net_command {
	uint8_t class, code; /* VIRTIO_NET_CTRL_* */
	uint8_t data[VIRTIO_NET_CONTROL_DATA_MAX];
	size_t len; /* of the data */
};

/* Which queue it is, given the features that the driver has accepted, of a device with so many
 * pairs; -1: none [virtio-1.2 5.1.2]. */
int virtio_net_control_queue(const struct virtio_pci *vdev, unsigned pairs);

/*
 * For virtio_class.notify: has each command done. `command` returns false for one that it does not
 * know or cannot do.
 */
void virtio_net_control_serve(struct virtio_pci *vdev, unsigned queue,
			      bool (*command)(struct virtio_pci *vdev,
					      const struct virtio_net_command *command));

#endif
