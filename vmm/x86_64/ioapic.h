/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IOAPIC of our own, for guests with APIC IDs above 8 bits, which KVM's cannot name.
 * [82093AA 3 Register Description], with the EOI register of later ones (version 0x20), and 7 more
 * bits of the destination where Linux looks for them (struct IO_APIC_route_entry,
 * virt_destid_8_14). Its lock is taken before irq's lock and after that of irq's lines. Any thread.
 */
#ifndef X86_64_IOAPIC_H
#define X86_64_IOAPIC_H

#include <pthread.h>

#include "core/bus.h"
#include "core/irq.h"

struct ioapic {
	pthread_mutex_t lock; /* guards all below */
	struct irq *irq;
	struct bus_range range;
	uint8_t select, id;
	uint64_t entries[IRQ_LINES];
	uint32_t lines; /* a bit each, as they are */
};

/* irq's lines go to its pins from here on. */
int MUST_CHECK ioapic_init(struct ioapic *ioapic, struct irq *irq, int vm_fd, struct bus *mmio);
/* All vCPUs paused. */
void ioapic_reset(struct ioapic *ioapic);
/* A vCPU is done with `vector`, which KVM knows from the routes to be one of ours. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
void ioapic_fini(struct ioapic *ioapic);

#endif
