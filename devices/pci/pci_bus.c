/* SPDX-License-Identifier: Apache-2.0 */
/* Buses: a function's place, and which GSI its INTx pin drives. Before the machine starts. */
#include <assert.h>

#include "devices/pci/pci.h"

#define HEADER_MULTIFUNCTION 0x80 /* bit 7 of the header type [PCI-3.0 6.2.1] */

/*
 * KVM's IOAPIC loses the level of an emulated source when it shares a GSI with an irqfd that
 * resamples, which is what a passed-through INTx is: they have four lines each.
 */
#define GSI_EMULATED 16u
#define GSI_PASSED   20u
#define GSI_COUNT    4u

unsigned pci_root_gsi(unsigned slot, unsigned pin)
{
	unsigned first = slot < PCI_SLOT_FIRST_PORT ? GSI_EMULATED : GSI_PASSED;

	return first + (slot + pin - 1) % GSI_COUNT;
}

/* Each bridge rotates the pins by the slot below it [PCI-PCI-Bridge-1.2 9.1 Interrupt Routing]. */
static unsigned intx_gsi(const struct pci_bus *bus, uint8_t devfn, unsigned pin)
{
	while (bus->bridge) {
		pin = (pin - 1 + PCI_SLOT(devfn)) % 4 + 1;
		devfn = bus->bridge->devfn;
		bus = bus->bridge->bus;
	}
	return pci_root_gsi(PCI_SLOT(devfn), pin);
}

void pci_bus_add(struct pci_bus *bus, struct pci_dev *dev, uint8_t devfn)
{
	struct pci_dev *function0 = bus->devs[PCI_DEVFN(PCI_SLOT(devfn), 0)];
	unsigned pin = dev->config[PCI_INTERRUPT_PIN];

	assert(!bus->devs[devfn] && !dev->bus);
	assert(PCI_FUNC(devfn) == 0 || function0); /* function 0 first */
	bus->devs[devfn] = dev;
	dev->bus = bus;
	dev->devfn = devfn;
	if (PCI_FUNC(devfn) != 0) {
		function0->config[PCI_HEADER_TYPE] |= HEADER_MULTIFUNCTION;
		function0->reset_config[PCI_HEADER_TYPE] |= HEADER_MULTIFUNCTION;
	}
	if (pin >= 1 && pin <= 4)
		irq_line_init(&dev->intx, dev->board->irq, intx_gsi(bus, devfn, pin));
	memcpy(dev->reset_config, dev->config, sizeof(dev->config));
}
