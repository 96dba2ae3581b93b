/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio network device at a stream, its driver and the stream's other end, for tests. All
 * assert.
 */
#ifndef SUPPORT_NET_GUEST_H
#define SUPPORT_NET_GUEST_H

#include <linux/virtio_net.h>

#include "virtio_guest.h"

#define NET_GUEST_MTU 65520u
#define NET_HDR       ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define NET_LEN       4u
#define FRAME         1514u /* the longest without offloads */
#define F_MERGE       (1ull << VIRTIO_NET_F_MRG_RXBUF)

enum { RX, TX };

/* Where the driver has its buffers. */
#define NET_GUEST_RX 0x100000u
#define NET_GUEST_TX 0x2000000u

extern const uint8_t net_guest_mac[6];

struct net_guest {
	struct virtio_guest guest;
	int peer; /* the stream's other end, not blocking; -1: closed */
	struct vring_driver drv[2];
	unsigned lost; /* how often the device has said so */
	uint64_t rx_next, tx_next;
};

/* The device, not yet driven. `room`: of the stream towards the peer, 0: as it comes. */
void net_guest_init(struct net_guest *g, int room);
void net_guest_fini(struct net_guest *g);

/* For cmocka: *state is a net_guest, whose stream is as it comes, or the smallest that there is. */
int net_guest_setup(void **state);
int net_guest_setup_small(void **state);
int net_guest_teardown(void **state);

/* From reset to DRIVER_OK, with queues of 256. */
void net_guest_drive(struct net_guest *g, uint64_t features);

/* Waits until the device's loop has done what it had to, and has read all that was sent. */
void net_guest_settle(struct net_guest *g);

/* `count` buffers of `size` bytes for frames to come; rings if the device wants it: that. */
bool net_guest_give(struct net_guest *g, unsigned count, uint32_t size);

/* The next buffer that the device is done with: its bytes, and how many; NULL: none. */
const uint8_t *net_guest_taken(struct net_guest *g, uint32_t *ret_len);

/* A frame whose bytes `seed` decides. */
void net_guest_fill(uint8_t *frame, size_t len, unsigned seed);
bool net_guest_is_frame(const uint8_t *frame, size_t len, unsigned seed);

/* The frame of `seed` came next, in one buffer; or nothing came any more. */
void net_guest_assert_came(struct net_guest *g, size_t len, unsigned seed);
void net_guest_assert_nothing_came(struct net_guest *g);

/* The peer sends one, or reads what must be the next. */
void net_guest_peer_sends(struct net_guest *g, size_t len, unsigned seed);
void net_guest_peer_reads(struct net_guest *g, size_t len, unsigned seed);
/* Whether the peer has nothing to read. */
bool net_guest_peer_idle(struct net_guest *g);

/* The driver adds a frame, in two buffers; not shown yet. */
void net_guest_add(struct net_guest *g, size_t len, unsigned seed);
/* Shows them, and rings. */
void net_guest_send(struct net_guest *g);
/* How many more of them the device is done with. */
unsigned net_guest_sent(struct net_guest *g);

bool net_guest_link(struct net_guest *g);

#endif
