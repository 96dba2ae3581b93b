/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine knows of every device: a name, how to reset it and how to destroy it. A device's
 * own header has its constructor; docs/devices.md shows how to add one.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/util.h"

struct bus;
struct device;
struct guest_mem;
struct irq;
struct vm;

/* What a device may reach of the machine. Owned by the machine, outlives every device. */
struct board {
	struct vm *vm;         /* memory slots, doorbells, reset and power-off requests */
	struct guest_mem *mem; /* guest RAM */
	struct irq *irq;       /* lines and MSI vectors */
	struct bus *pio;       /* port space, 0..0xffff */
	struct bus *mmio;      /* guest-physical addresses that no memory slot covers */
};

struct device_ops {
	/*
	 * Back to the state after power-on, contents of storage kept. Main thread, with all vCPUs
	 * stopped. NULL: nothing to reset.
	 */
	void (*reset)(struct device *dev);
	/* Stops all of the device's activity and frees it. Main thread, all vCPUs gone. */
	void (*destroy)(struct device *dev);
};

struct device {
	const char *name; /* of its class, for messages: "virtio-blk" */
	const struct device_ops *ops;
};

#endif
