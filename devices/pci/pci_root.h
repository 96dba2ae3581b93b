/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of the PCI tree: bus 0 and the two ways into configuration space, ports CF8/CFC
 * [PCI-3.0 3.2.2.3.2 Software Generation of Configuration Transactions] and the memory-mapped ECAM
 * [PCIe-5.0 7.2.2 PCI Express Enhanced Configuration Access Mechanism].
 */
#ifndef DEVICES_PCI_ROOT_H
#define DEVICES_PCI_ROOT_H

#include "core/bus.h"
#include "devices/pci/pci.h"

/*
 * A byte access to port CF9, which lies inside CF8's dword but is the chipset's reset control.
 * [ICH9 13.7.5 RST_CNT Reset Control Register]
 */
struct pci_reset_port {
	uint8_t (*read)(void *dev);
	void (*write)(void *dev, uint8_t val);
	void *dev;
};

/*
 * A further root bus, behind a host bridge of its own: what is on it can be near a NUMA node, which
 * ACPI says of host bridges only. Configuration space reaches it like any bus, by its number.
 */
struct pci_root_bus {
	struct pci_bus bus;
	uint8_t nr; /* 0: pci_root_number was not called */
};

#define PCI_ROOT_EXTRA_MAX 16

struct pci_root {
	const struct board *board;
	struct pci_bus bus; /* number 0 */
	struct pci_root_bus extra[PCI_ROOT_EXTRA_MAX];
	unsigned extra_count;
	struct bus_range ports; /* CF8..CFF */
	struct pci_reset_port reset_port;
	pthread_mutex_t lock;
	uint32_t address;      /* CF8 */
	struct bus_range ecam; /* where the host bridge says, if anywhere */
};

/* `base` is the port of CF8. */
int MUST_CHECK pci_root_init(struct pci_root *root, const struct board *board, uint16_t base,
			     const struct pci_reset_port *reset_port);
void pci_root_fini(struct pci_root *root);
void pci_root_reset(struct pci_root *root);

/*
 * Decodes ECAM at [base, base + size), or nowhere. The host bridge calls it when PCIEXBAR changes;
 * `root` is a void pointer so that it fits there. An address that collides decodes nothing.
 */
void pci_root_set_ecam(void *root, bool on, uint64_t base, uint64_t size);
/* Where ECAM is decoded now; 0 when nowhere. */
uint64_t pci_root_ecam_base(struct pci_root *root);

/* The function that a configuration access reaches, by the guest's bus numbers; NULL if none. */
struct pci_dev *pci_root_find(struct pci_root *root, unsigned bus, uint8_t devfn);

/* All root buses: number 0, then the further ones. NULL behind the last. */
struct pci_bus *pci_root_bus(struct pci_root *root, unsigned i);
unsigned pci_root_bus_nr(const struct pci_root *root, unsigned i);

/* Adds a root bus, before the machine starts; at most PCI_ROOT_EXTRA_MAX. */
struct pci_bus *pci_root_add_bus(struct pci_root *root);

/*
 * Numbers the root buses, after the last bridge was added to one: each so that the bridges of those
 * before it find a number each, as firmware and pci_assign give them, and no number is left over.
 */
void pci_root_number(struct pci_root *root);

/* The highest number that a bridge has given to a bus, or that a root bus has; 0 where there is
 * none. */
unsigned pci_root_last_bus(struct pci_root *root);

/* A configuration access to a function: aligned, of 1, 2 or 4 bytes. Takes its lock. */
uint32_t pci_function_read(struct pci_dev *dev, unsigned off, unsigned len);
void pci_function_write(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val);

#endif
