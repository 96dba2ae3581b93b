/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue, for tests: a well-behaved driver as the specification
 * wants it, whose rings a test may then scribble on. [virtio-1.2 2.7 Split Virtqueues]
 */
#ifndef SUPPORT_VRING_DRIVER_H
#define SUPPORT_VRING_DRIVER_H

#include <linux/virtio_ring.h>

#include "core/mem.h"

#define VRING_DRIVER_MAX 1024u

/* The features of the rings. */
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)

struct vring_driver {
	const struct guest_mem *mem;
	unsigned size;
	bool event_idx;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx;     /* chains added */
	uint16_t avail_exposed; /* chains the device was shown */
	uint16_t used_seen;     /* chains taken back */
	uint16_t next_free[VRING_DRIVER_MAX];
	uint16_t chain_len[VRING_DRIVER_MAX];
	unsigned free_head, free_count;
};

struct vring_buf {
	uint64_t gpa;
	uint32_t len;
	bool write; /* by the device */
};

/* Places the rings at `gpa`, 16-byte aligned: descriptors, available ring, used ring; zeroed. */
void vring_driver_init(struct vring_driver *d, const struct guest_mem *mem, uint64_t gpa,
		       unsigned size);
uint64_t vring_driver_end(const struct vring_driver *d); /* the first address after the rings */

/* A chain of `count` buffers, added but not yet shown; its head. Asserts that there is room. */
uint16_t vring_driver_add(struct vring_driver *d, const struct vring_buf *bufs, unsigned count);
/* The same through a table of `count` entries at `table_gpa`. */
uint16_t vring_driver_add_indirect(struct vring_driver *d, uint64_t table_gpa,
				   const struct vring_buf *bufs, unsigned count);
/* Puts any head into the available ring, added but not yet shown. */
void vring_driver_add_head(struct vring_driver *d, uint16_t head);

/* Shows the device all that was added. True if it wants the doorbell for it. */
bool vring_driver_expose(struct vring_driver *d);

/* The next chain that the device is done with; false if there is none. */
bool vring_driver_take(struct vring_driver *d, uint16_t *ret_head, uint32_t *ret_len);

/* With the event index: asks for an interrupt when the device has used chain number `idx`. */
void vring_driver_want_interrupt_after(struct vring_driver *d, uint16_t idx);
uint16_t vring_driver_avail_event(const struct vring_driver *d);

#endif
