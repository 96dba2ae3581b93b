/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A class of virtio devices made for the tests of the PCI transport, plugged into a guest with a
 * driver for each queue. Queue ECHO gives every chain back at once, queue KEEPER keeps what it pops
 * until the device is stopped.
 */
#ifndef SUPPORT_PROBE_H
#define SUPPORT_PROBE_H

#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>

#include "devices/virtio/virtio_pci.h"
#include "virtio_guest.h"

#define PROBE_ECHO       0u
#define PROBE_KEEPER     1u
#define PROBE_QUEUES     2u
#define PROBE_QUEUE      16u
#define PROBE_RINGS(q)   (0x1000u + (q)*0x1000u)
#define PROBE_TIMEOUT    10000u      /* for what must happen */
#define PROBE_F_CLASS    (1ull << 3) /* the class's own feature */
#define PROBE_ID         63u
#define PROBE_CONFIG_LEN 10u
#define PROBE_STATUS_ALL                                                                      \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

extern const uint8_t probe_config[PROBE_CONFIG_LEN]; /* 1, 2, 3..., at first */

struct probe {
	struct virtio_pci vdev;
	uint8_t config[PROBE_CONFIG_LEN];
	uint16_t kept[PROBE_QUEUE];
	unsigned kept_count;
	atomic_uint starts, stops;
	uint64_t features_at_start;
	pthread_t stop_thread;
};

/* For a device that is not plugged: on the heap, zeroed; the second takes half-built ones too. */
int probe_init(struct probe *probe, struct virtio_guest *guest);
void probe_destroy(struct device *dev);

struct probe_guest {
	struct virtio_guest guest;
	struct probe *probe;
	struct vring_driver drv[PROBE_QUEUES];
};

/* For cmocka; *state is the guest. It must have given all doorbells back by the end. */
int probe_setup(void **state);
int probe_teardown(void **state);

/* Registers of the common configuration. */
uint64_t probe_get(struct probe_guest *f, unsigned reg, unsigned len);
void probe_set(struct probe_guest *f, unsigned reg, unsigned len, uint64_t val);
uint64_t probe_status(struct probe_guest *f);

/* From reset to DRIVER_OK with both queues. Asserts. */
void probe_drive(struct probe_guest *f, uint64_t features, bool msix);
/* One chain, shown; rings if the device wants it. */
void probe_add_chain(struct probe_guest *f, unsigned q);
bool probe_take(struct probe_guest *f, unsigned q);

/* Waits until everything that was signalled to the loop has been handled. */
void probe_settle(struct probe_guest *f);

#endif
