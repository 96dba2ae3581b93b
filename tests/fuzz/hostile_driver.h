/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver that does what an input says: it begins like a good one, and then writes
 * descriptors, rings, registers and guest memory as it comes. For all classes of devices.
 */
#ifndef FUZZ_HOSTILE_DRIVER_H
#define FUZZ_HOSTILE_DRIVER_H

#include "fuzz.h"
#include "virtio_guest.h"

#define HOSTILE_QUEUES_MAX 10u
#define HOSTILE_SIZE       16u /* of each queue */

struct hostile_driver {
	struct virtio_guest *guest;
	unsigned queues;    /* that the device has */
	struct loop *loops; /* that it runs on */
	unsigned loop_count;
	/* What the host does meanwhile, by the input. May be NULL. */
	void (*host)(void *opaque, struct fuzz_input *in);
	void *opaque;
	uint16_t avail[HOSTILE_QUEUES_MAX]; /* its own */
};

/* To the input's end; then the device is idle. Its BAR is where virtio_guest_plug put it. */
void hostile_driver_run(struct hostile_driver *h, struct fuzz_input *in);

/* For seeds: how an input begins, and requests of buffers in a row: one `write` after the other. */
void hostile_seed_begin(uint8_t **p, uint64_t features);
struct hostile_buf {
	uint32_t len;
	bool write;
};
void hostile_seed_request(uint8_t **p, unsigned queue, const void *head, unsigned head_len,
			  const struct hostile_buf *bufs, unsigned count);
void hostile_seed_window(uint8_t **p, uint32_t off, uint32_t val); /* PCI_CFG's, of BAR 0 */
void hostile_seed_host(uint8_t **p);

#endif
