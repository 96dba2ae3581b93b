/* SPDX-License-Identifier: Apache-2.0 */
/* The control queue of a network device; see virtio_net_control.h. */
#include "devices/net/virtio_net_control.h"

#include <linux/virtio_net.h>

#include "core/log.h"
#include "devices/virtio/iov.h"

/* Without VIRTIO_NET_F_MQ there is one pair, and the queue has the number that it has then. */
int virtio_net_control_queue(const struct virtio_pci *vdev, unsigned pairs)
{
	if (!(vdev->driver_features & 1ull << VIRTIO_NET_F_CTRL_VQ))
		return -1;
	return vdev->driver_features & 1ull << VIRTIO_NET_F_MQ ? (int)(2 * pairs) : 2;
}

/*
 * A command may change an interface, which the kernel does under a lock that all networks of the
 * host share, and may wait for all CPUs in it. Drivers send one at a time.
 */
#define COMMANDS_A_TURN 8u

static bool read_command(const struct iovec *iov, unsigned count,
			 struct virtio_net_command *ret_command)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		uint8_t data[VIRTIO_NET_CONTROL_DATA_MAX];
	} copy;
	const size_t len = iov_read(iov, count, &copy, sizeof(copy));

	if (len < sizeof(copy.hdr) || iov_length(iov, count) > sizeof(copy))
		return false;
	*ret_command = (struct virtio_net_command){
		.class = copy.hdr.class,
		.code = copy.hdr.cmd,
		.len = len - sizeof(copy.hdr),
	};
	memcpy(ret_command->data, copy.data, ret_command->len);
	return true;
}

void virtio_net_control_serve(struct virtio_pci *vdev, unsigned queue,
			      bool (*command)(struct virtio_pci *vdev,
					      const struct virtio_net_command *command))
{
	struct virtqueue *vq = &vdev->queues[queue].vq;
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	struct virtqueue_chain chain;

	/* The queue has its next turn by itself where there was more than one. */
	for (unsigned i = 0; i < COMMANDS_A_TURN && virtqueue_pop(vq, iov, &chain); i++) {
		struct virtio_net_command asked;
		const bool done =
			read_command(iov, chain.readable, &asked) && command(vdev, &asked);
		const virtio_net_ctrl_ack ack = done ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

		if (!done)
			log_guest("%s: a command of the driver is refused", vdev->pci.device.name);
		virtqueue_push(vq, chain.head,
			       (uint32_t)iov_write(iov + chain.readable, chain.writable, &ack,
						   sizeof(ack)));
	}
}
