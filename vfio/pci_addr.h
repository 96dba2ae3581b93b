/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of a PCI function on the host, as Linux and lspci -D write it:
 * domain:bus:slot.function, hexadecimal. Pure functions, any thread.
 */
#ifndef VFIO_PCI_ADDR_H
#define VFIO_PCI_ADDR_H

#include "core/util.h"

struct pci_addr {
	uint32_t domain; /* usually 0; wider than 16 bits behind a VMD controller */
	uint8_t bus, slot, fn;
};

/* "ffffffff:ff:1f.7" and its NUL. */
#define PCI_ADDR_TEXT_SIZE 17

struct pci_addr_text {
	char s[PCI_ADDR_TEXT_SIZE];
};

/*
 * "0000:01:00.0" or, for domain 0, "01:00.0"; either case. -EINVAL (kind ERR_USAGE) on anything
 * else.
 */
int MUST_CHECK pci_addr_parse(const char *text, struct pci_addr *ret_addr);

/* The same without an error chain, for names that are not the user's. */
bool MUST_CHECK pci_addr_scan(const char *text, struct pci_addr *ret_addr);

/* As the kernel names it in /sys/bus/pci/devices. */
struct pci_addr_text pci_addr_text(struct pci_addr addr);

/* Less than, equal to or greater than 0, in the order of lspci. */
int pci_addr_compare(struct pci_addr a, struct pci_addr b);

/* True if both are functions of one card. */
static inline bool pci_addr_same_slot(struct pci_addr a, struct pci_addr b)
{
	return a.domain == b.domain && a.bus == b.bus && a.slot == b.slot;
}

#endif
