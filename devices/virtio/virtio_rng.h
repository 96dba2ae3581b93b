/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio entropy device: random bytes from the host's kernel. [virtio-1.2 5.4 Entropy Device]
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/pci/pci.h"

struct loop;

/*
 * The device, not yet on a bus; destroyed through its device_ops. `loop` may be shared with other
 * devices, but is not one that waits for vCPUs.
 */
int MUST_CHECK virtio_rng_create(const struct board *board, struct loop *loop,
				 struct pci_dev **ret_dev);

#endif
