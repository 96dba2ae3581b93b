/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of every PCI function, emulated or passed through: its configuration space, its BARs and
 * its place on a bus. [PCI-3.0 6 Configuration Space], [PCIe-5.0 7.5 PCI and PCIe Capabilities].
 *
 * Threads: all of pci_dev_ops run on a vCPU (or, bar_map and bar_unmap, at reset on main) with
 * `lock` held. Handlers of BAR ranges take it themselves. A thread that a vCPU may wait for (an I/O
 * loop) never takes it.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <linux/pci_regs.h>
#include <pthread.h>

#include "core/device.h"
#include "core/irq.h"
#include "core/util.h"

#define PCI_DEVFN(slot, fn) ((uint8_t)((slot) << 3 | (fn)))
#define PCI_SLOT(devfn)     ((devfn) >> 3)
#define PCI_FUNC(devfn)     ((devfn)&7)

#define PCI_CONFIG_SIZE 4096u /* with the extended space [PCIe-5.0 7.2.2 ECAM] */
#define PCI_BARS        6
#define PCI_BAR_ROM     6 /* index of the expansion ROM BAR in pci_dev.bars */

struct pci_bus;
struct pci_dev;

enum pci_bar_kind {
	PCI_BAR_NONE, /* reads 0, ignores writes; also the upper half of a 64-bit BAR */
	PCI_BAR_IO,
	PCI_BAR_MEM32,
	PCI_BAR_MEM64, /* takes this and the next register */
	PCI_BAR_EXPROM,
};

struct pci_bar {
	enum pci_bar_kind kind;
	bool prefetch;
	uint64_t size;  /* power of two; at least 16 (memory) or 4 (I/O) */
	uint8_t sizing; /* registers (bit 0 low, bit 1 high) that hold the sizing pattern */
	bool mapped;    /* decoded now */
	uint64_t addr;  /* where, while mapped */
};

struct pci_dev_ops {
	/*
	 * Any aligned access of 1, 2 or 4 bytes. NULL: pci_config_read and pci_config_write, which
	 * an implementation usually calls in turn.
	 */
	uint32_t (*config_read)(struct pci_dev *dev, unsigned off, unsigned len);
	void (*config_write)(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val);
	/*
	 * Decoding of BAR `n` began at dev->bars[n].addr, or ended. Always in pairs; a move is an
	 * unmap and a map. The address is the guest's choice: it may collide with anything, and
	 * then the BAR is not reached until one of the two moves away (bus_add_or_wait).
	 */
	void (*bar_map)(struct pci_dev *dev, unsigned n);
	void (*bar_unmap)(struct pci_dev *dev, unsigned n);
	/* The guest resets the bus that the function is on. NULL: pci_dev_reset_locked. */
	void (*bus_reset)(struct pci_dev *dev);
};

struct pci_dev {
	struct device device; /* first: a pci_dev is a device */
	const struct pci_dev_ops *ops;
	const struct board *board;
	struct pci_bus *bus; /* NULL until pci_bus_add */
	uint8_t devfn;       /* fixed by pci_bus_add */

	pthread_mutex_t lock; /* guards all below and the device's own registers */
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE];        /* bits that a write changes */
	uint8_t w1cmask[PCI_CONFIG_SIZE];      /* bits that a write of 1 clears */
	uint8_t reset_config[PCI_CONFIG_SIZE]; /* config after power-on, taken by pci_bus_add */
	struct pci_bar bars[PCI_BARS + 1];
	unsigned next_cap; /* where pci_add_cap puts the next */
	struct irq_line intx;
};

struct pci_ids {
	uint16_t vendor, device, subsys_vendor, subsys;
	uint32_t class; /* 24 bits: base, sub, interface */
	uint8_t revision;
};

/* A type 0 header with nothing but its identity; `device` is filled in by the caller. */
void pci_dev_init(struct pci_dev *dev, const struct board *board, const struct pci_dev_ops *ops,
		  const struct pci_ids *ids);
void pci_dev_fini(struct pci_dev *dev); /* unmaps all BARs */

/* Before pci_bus_add. */
void pci_bar_init(struct pci_dev *dev, unsigned n, enum pci_bar_kind kind, uint64_t size,
		  bool prefetch);
/* Room for a capability of `len` bytes (its two header bytes included) in the chain; its offset. */
unsigned pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned len);
/* INTA# to INTD# (pin 1..4); the line is usable after pci_bus_add. */
void pci_set_intx_pin(struct pci_dev *dev, unsigned pin);
/* Sets bits of wmask, little-endian. */
void pci_set_wmask(struct pci_dev *dev, unsigned off, unsigned len, uint32_t mask);

/* Back to the header of pci_bus_add's time; BARs unmapped, INTx lowered. Takes the lock. */
void pci_dev_reset(struct pci_dev *dev);
void pci_dev_reset_locked(struct pci_dev *dev); /* the same, with the lock held */

/*
 * The default behaviour: the config arrays and masks, then BARs mapped, unmapped and moved as
 * COMMAND and the BAR registers now say. A BAR register that holds the sizing pattern (all ones)
 * moves nothing. With the lock held.
 */
uint32_t pci_config_read(struct pci_dev *dev, unsigned off, unsigned len);
void pci_config_write(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val);

static inline uint16_t pci_command(const struct pci_dev *dev)
{
	return (uint16_t)load_le(dev->config + PCI_COMMAND, 2);
}

/* True if [off, off + len) touches [reg, reg + size): which capability did a write hit? */
static inline bool pci_access_hits(unsigned off, unsigned len, unsigned reg, unsigned size)
{
	return ranges_overlap(off, len, reg, size);
}

/*
 * A bus: up to 32 slots of 8 functions. Bus 0 belongs to pci_root, the others to a pci_bridge.
 */
struct pci_bus {
	struct pci_dev *bridge; /* whose secondary bus this is; NULL: the root bus */
	struct pci_dev *devs[256];
};

/*
 * Puts `dev` in its place: snapshots its power-on config, finds the GSI of its INTx pin, sets the
 * multifunction bit of function 0 when another function joins the slot. Before the machine starts.
 * The bus does not own its devices.
 */
void pci_bus_add(struct pci_bus *bus, struct pci_dev *dev, uint8_t devfn);

/* Root bus slots from here on hold root ports, with passed-through devices below them. */
#define PCI_SLOT_FIRST_PORT 14u

/*
 * The GSI of pin 1..4 of root bus slot 0..31: 16..19 for emulated devices, 20..23 below root ports.
 * The ACPI _PRT is made with the same function.
 */
unsigned pci_root_gsi(unsigned slot, unsigned pin);

#endif
