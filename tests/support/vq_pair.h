/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue and its driver in the same process, for tests: rings and buffers in a guest's RAM of
 * two banks, adjacent for the guest and not for us. Not asserting but where it says so.
 */
#ifndef SUPPORT_VQ_PAIR_H
#define SUPPORT_VQ_PAIR_H

#include "core/mem.h"
#include "devices/virtio/virtqueue.h"
#include "vring_driver.h"

#define PAIR_QUEUE     8u
#define PAIR_RAM       (2 * MiB)
#define PAIR_HIGH_BANK PAIR_RAM
#define PAIR_HIGH_SIZE (1 * GiB)
/* Free for an indirect table, and for buffers. */
#define PAIR_TABLE 0x8000u
#define PAIR_DATA  0x10000u

struct vq_pair {
	struct guest_mem mem;
	struct vring_driver drv;
	struct virtqueue vq;
	/* The chain popped last. */
	struct iovec iov[PAIR_QUEUE];
	struct virtqueue_chain chain;
};

/* For cmocka; *state is the pair, started with indirect descriptors. */
int vq_pair_setup(void **state);
int vq_pair_teardown(void **state);

/* Empty rings and a virtqueue anew, with these features on both sides. Asserts. */
void vq_pair_start(struct vq_pair *f, uint64_t features);

/* The device's side: the next chain that was fetched. */
bool vq_pair_pop(struct vq_pair *f);

/* The driver's side: adds a chain of one buffer for the device to write. */
void vq_pair_add_writable(struct vq_pair *f);

#endif
