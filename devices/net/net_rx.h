/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of frames from a stream into the buffers of a network device's driver. On the stream, a
 * frame comes behind its length, 32 bits in network order. [QEMU: -netdev stream; passt(1)]
 *
 * The stream is always read: who sends must never find it full, since Debian 12's passt would then
 * leave a frame without its end. What the driver has no buffers for is held, up to NET_RX_HOLD, and
 * beyond that dropped like a card does. A read takes many frames, and they are copied from here to
 * the guest: one system call for all that has come.
 *
 * On the queue's loop. Bounds: a call reads once, NET_RX_READ bytes at most, or gives the driver
 * what is held.
 */
#ifndef DEVICES_NET_RX_H
#define DEVICES_NET_RX_H

#include "devices/virtio/virtio_pci.h"

#define NET_QUEUE_SIZE 256u

/* The longest frame that passt takes or sends, and the shortest: a header. */
#define NET_FRAME_MAX 65535u
#define NET_FRAME_MIN 14u
#define NET_LEN_BYTES 4u

#define NET_RX_READ (128 * KiB)
#define NET_RX_HOLD (1 * MiB)
/* So that what is held is moved to the front of it after as many bytes were read. */
#define NET_RX_SIZE (2 * NET_RX_HOLD)

struct net_rx {
	struct virtio_pci *vdev;
	unsigned queue;
	int fd; /* borrowed */
	/* From `begin` to `scan` lie whole frames, from there to `end` a part of one. */
	uint8_t *buf;
	size_t begin, scan, end;
	uint64_t dropped;
	/* Chains of the driver's that hold the first `done` bytes of the frame at `begin`. */
	unsigned count;
	size_t done;
	uint16_t heads[NET_QUEUE_SIZE];
	uint32_t lens[NET_QUEUE_SIZE];
	struct iovec first[NET_QUEUE_SIZE]; /* of the first of them, for the header */
	unsigned first_count;
};

int MUST_CHECK net_rx_init(struct net_rx *rx, struct virtio_pci *vdev, unsigned queue, int fd);
void net_rx_fini(struct net_rx *rx); /* accepts a zeroed one */

/*
 * Reads what has come, and gives it to the driver. -ECONNRESET: the other end is closed; -EPROTO:
 * what comes makes no sense; others are recv's.
 */
int MUST_CHECK net_rx_read(struct net_rx *rx);

/* The driver has more buffers, perhaps. */
void net_rx_deliver(struct net_rx *rx);

/* The driver resets the device: what is held for it is dropped. */
void net_rx_stop(struct net_rx *rx);

#endif
