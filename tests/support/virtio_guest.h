/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with one virtio device, for tests: a board without KVM, and the transport's half of a
 * driver. A test links with --wrap=sys_ioctl; requests to the VM are answered here, which keeps
 * the doorbells, the interrupt lines and which vectors are attached. The device's loop runs on a
 * thread of its own, as in the machine; the test's thread is the vCPU.
 */
#ifndef SUPPORT_VIRTIO_GUEST_H
#define SUPPORT_VIRTIO_GUEST_H

#include "core/bus.h"
#include "core/irq.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "vring_driver.h"

#define VIRTIO_GUEST_RAM   (64 * MiB)
#define VIRTIO_GUEST_BAR   0xc0000000ull
#define VIRTIO_GUEST_DEVFN PCI_DEVFN(3, 0)

struct virtio_guest {
	struct guest_mem mem;
	struct irq irq;
	struct bus pio, mmio;
	struct vm vm;
	struct board board;
	struct loop loop;
	struct pci_bus bus;
	struct pci_dev *dev;
	/* From the capabilities: offsets in BAR 0; device_cfg and length 0 if there is none. */
	uint64_t common, notify, isr, device_cfg, msix_table;
	uint32_t common_len, device_cfg_len, notify_multiplier;
	unsigned cfg_cap, msix_cap;
};

void virtio_guest_init(struct virtio_guest *g);
void virtio_guest_fini(struct virtio_guest *g); /* with the device, if one is plugged */

/* Takes the device over, puts it on the bus, finds its capabilities and maps BAR 0. */
void virtio_guest_plug(struct virtio_guest *g, struct pci_dev *dev);
void virtio_guest_unplug(struct virtio_guest *g); /* and destroys it */
void virtio_guest_map_bar(struct virtio_guest *g, uint64_t addr);

uint32_t virtio_guest_config_read(struct virtio_guest *g, unsigned off, unsigned len);
void virtio_guest_config_write(struct virtio_guest *g, unsigned off, unsigned len, uint32_t val);

/* BAR 0, as the vCPU would: a doorbell that KVM knows is signalled, all else is trapped. */
uint64_t virtio_guest_read(struct virtio_guest *g, uint64_t off, unsigned len);
void virtio_guest_write(struct virtio_guest *g, uint64_t off, unsigned len, uint64_t val);
/* Registers of the common configuration. */
uint64_t virtio_guest_get(struct virtio_guest *g, unsigned reg, unsigned len);
void virtio_guest_set(struct virtio_guest *g, unsigned reg, unsigned len, uint64_t val);

/* Reset to FEATURES_OK; false if the device did not accept. VERSION_1 is added. */
bool virtio_guest_negotiate(struct virtio_guest *g, uint64_t features);
/* One vector for the configuration (0) and one for each queue (1 + its number), all unmasked. */
void virtio_guest_enable_msix(struct virtio_guest *g, unsigned queues);
/* Rings at `gpa`, programmed and enabled. */
void virtio_guest_setup_queue(struct virtio_guest *g, unsigned queue, struct vring_driver *drv,
			      uint64_t gpa, unsigned size);
void virtio_guest_driver_ok(struct virtio_guest *g);
/* All of that for a device of one queue: from reset to DRIVER_OK, with MSI-X. Asserts. */
void virtio_guest_drive(struct virtio_guest *g, uint64_t features, struct vring_driver *drv,
			uint64_t gpa, unsigned size);
void virtio_guest_ring(struct virtio_guest *g, unsigned queue);

/* Waits for an interrupt by vector, up to some seconds, and takes it; 0 ms: is one there now? */
bool virtio_guest_wait_vector(struct virtio_guest *g, unsigned vector, unsigned ms);
bool virtio_guest_wait_line(struct virtio_guest *g, bool level, unsigned ms);

/* What the fake KVM knows. */
unsigned virtio_guest_doorbells(void);
void virtio_guest_refuse_doorbells(bool refuse);

/* The pretended ioctl for the VM's fd; everything else goes on to the kernel, or a test's own. */
int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __real_sys_ioctl(int fd, unsigned long request, void *arg);
extern int (*virtio_guest_other_ioctl)(int fd, unsigned long request, void *arg);

#endif
