/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common configuration structure of a virtio device: feature negotiation, status, queues, and
 * with them the device's life from reset to running and back. Between virtio_pci*.c and this file
 * only. [virtio-1.2 4.1.4.3 Common configuration structure layout]
 */
#ifndef DEVICES_VIRTIO_COMMON_H
#define DEVICES_VIRTIO_COMMON_H

#include <linux/virtio_pci.h>

#include "devices/virtio/virtio_pci.h"

#define VIRTIO_COMMON_LEN ((uint32_t)sizeof(struct virtio_pci_common_cfg))

/* With the lock held; any `off` and `len`. A write of status may wait for the loops. */
uint64_t virtio_common_read(struct virtio_pci *vdev, uint64_t off, unsigned len);
void virtio_common_write(struct virtio_pci *vdev, uint64_t off, unsigned len, uint64_t val);

/* Stops the device and puts all registers of the structure back. With the lock held. */
void virtio_common_reset(struct virtio_pci *vdev);

/* What the driver does by reading the ISR: returns it, clears it and lowers the line. */
uint8_t virtio_isr_take(struct virtio_pci *vdev);

/* Tells the driver that its configuration, or the status, has changed. Any thread. */
void virtio_config_interrupt(struct virtio_pci *vdev);

/* Ends what is in flight; nothing runs afterwards. */
void virtio_common_stop(struct virtio_pci *vdev);

#endif
