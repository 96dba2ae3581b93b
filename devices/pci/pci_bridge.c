/* SPDX-License-Identifier: Apache-2.0 */
/* A root port: see pci_bridge.h. Registers only, with the lock held on vCPUs. */
#include "devices/pci/pci_bridge.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "devices/pci/pci_ids.h"
#include "devices/pci/pci_root.h"

/*
 * The identity of QEMU's generic root port: guests know it, and no driver claims more of it than
 * the PCI Express port driver.
 */
#define ROOT_PORT_VENDOR 0x1b36
#define ROOT_PORT_DEVICE 0x000c

/* A PCI Express capability of version 2 is 0x3c bytes [PCIe-5.0 Figure 7-23]. */
#define EXP_CAP_SIZE    0x3c
#define EXP_VERSION_2   2
#define LINK_SPEED_32GT 5u
#define LINK_WIDTH_X16  (16u << 4)
#define LINK_PORT_SHIFT 24

static void bridge_reset(struct device *device)
{
	struct pci_bridge *bridge = (struct pci_bridge *)device;

	pci_dev_reset(&bridge->pci);
}

static void bridge_destroy(struct device *device)
{
	struct pci_bridge *bridge = (struct pci_bridge *)device;

	if (!bridge)
		return;
	pci_dev_fini(&bridge->pci);
	free(bridge);
}

static const struct device_ops bridge_device_ops = {
	.reset = bridge_reset,
	.destroy = bridge_destroy,
};

/* The guest resets what is below by setting a bit, which real ports keep until it is cleared. */
static void bridge_config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	struct pci_bridge *bridge = (struct pci_bridge *)pci;
	const uint8_t *control = pci->config + PCI_BRIDGE_CONTROL;
	const bool was = *control & PCI_BRIDGE_CTL_BUS_RESET;

	pci_config_write(pci, off, len, val);
	if (was || !(*control & PCI_BRIDGE_CTL_BUS_RESET))
		return;
	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bridge->bus.devs); devfn++) {
		struct pci_dev *dev = bridge->bus.devs[devfn];

		if (!dev)
			continue;
		/* From the bridge's lock to the function's: nothing goes the other way. */
		pthread_mutex_lock(&dev->lock);
		if (dev->ops->bus_reset)
			dev->ops->bus_reset(dev);
		else
			pci_dev_reset_locked(dev);
		pthread_mutex_unlock(&dev->lock);
	}
}

static const struct pci_dev_ops bridge_pci_ops = {
	.config_write = bridge_config_write,
};

struct pci_bridge *pci_bridge_of(struct pci_dev *dev)
{
	return dev->ops == &bridge_pci_ops ? (struct pci_bridge *)dev : NULL;
}

/* Bits 3..0 of a window's registers tell its kind. [PCI-PCI-Bridge-1.2 3.2.5.6 to 3.2.5.10] */
bool pci_bridge_forwards(struct pci_bridge *bridge, enum pci_bridge_window window,
			 uint64_t *ret_base, uint64_t *ret_end)
{
	struct pci_dev *dev = &bridge->pci;
	uint64_t base, last;

	switch (window) {
	case PCI_BRIDGE_IO:
		base = (uint64_t)(pci_function_read(dev, PCI_IO_BASE, 1) & 0xf0) << 8;
		last = (uint64_t)(pci_function_read(dev, PCI_IO_LIMIT, 1) & 0xf0) << 8 | 0xfff;
		break;
	case PCI_BRIDGE_MEMORY:
		base = (uint64_t)(pci_function_read(dev, PCI_MEMORY_BASE, 2) & 0xfff0) << 16;
		last = (uint64_t)(pci_function_read(dev, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16 |
		       0xfffff;
		break;
	default:
		base = (uint64_t)(pci_function_read(dev, PCI_PREF_MEMORY_BASE, 2) & 0xfff0) << 16 |
		       (uint64_t)pci_function_read(dev, PCI_PREF_BASE_UPPER32, 4) << 32;
		last = (uint64_t)(pci_function_read(dev, PCI_PREF_MEMORY_LIMIT, 2) & 0xfff0) << 16 |
		       0xfffff | (uint64_t)pci_function_read(dev, PCI_PREF_LIMIT_UPPER32, 4) << 32;
		break;
	}
	/* At 0 is what nobody has set yet. */
	if (!base || base > last || last == UINT64_MAX)
		return false;
	*ret_base = base;
	*ret_end = last + 1;
	return true;
}

static void bridge_add_windows(struct pci_dev *pci)
{
	pci->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	pci_set_wmask(pci, PCI_PRIMARY_BUS, 3, 0xffffff); /* primary, secondary, subordinate */

	/* 32-bit I/O is of no use on x86; 16 bits: the upper halves stay 0. */
	pci_set_wmask(pci, PCI_IO_BASE, 2, 0xf0f0);
	pci_set_wmask(pci, PCI_MEMORY_BASE, 4, 0xfff0fff0);
	store_le(pci->config + PCI_PREF_MEMORY_BASE, 2, PCI_PREF_RANGE_TYPE_64);
	store_le(pci->config + PCI_PREF_MEMORY_LIMIT, 2, PCI_PREF_RANGE_TYPE_64);
	pci_set_wmask(pci, PCI_PREF_MEMORY_BASE, 4, 0xfff0fff0);
	pci_set_wmask(pci, PCI_PREF_BASE_UPPER32, 4, UINT32_MAX);
	pci_set_wmask(pci, PCI_PREF_LIMIT_UPPER32, 4, UINT32_MAX);
	pci_set_wmask(pci, PCI_BRIDGE_CONTROL, 2,
		      PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_ISA |
			      PCI_BRIDGE_CTL_VGA | PCI_BRIDGE_CTL_BUS_RESET);
	store_le(pci->w1cmask + PCI_SEC_STATUS, 2, 0xf900);
}

static void bridge_add_express(struct pci_dev *pci, uint8_t port)
{
	unsigned cap = pci_add_cap(pci, PCI_CAP_ID_EXP, EXP_CAP_SIZE);
	uint8_t *exp = pci->config + cap;

	store_le(exp + PCI_EXP_FLAGS, 2, EXP_VERSION_2 | PCI_EXP_TYPE_ROOT_PORT << 4);
	store_le(exp + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER | 1 /* 256-byte payloads */);
	pci_set_wmask(pci, cap + PCI_EXP_DEVCTL, 2,
		      PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
			      PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ);
	/* What the link could do; the driver of a GPU reads it to learn its bandwidth. */
	store_le(exp + PCI_EXP_LNKCAP, 4,
		 LINK_SPEED_32GT | LINK_WIDTH_X16 | PCI_EXP_LNKCAP_DLLLARC |
			 (uint32_t)port << LINK_PORT_SHIFT);
	store_le(exp + PCI_EXP_LNKSTA, 2, LINK_SPEED_32GT | LINK_WIDTH_X16 | PCI_EXP_LNKSTA_DLLLA);
	pci_set_wmask(pci, cap + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC);
	pci_set_wmask(pci, cap + PCI_EXP_RTCTL, 2,
		      PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE);
	store_le(exp + PCI_EXP_LNKCAP2, 4,
		 PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB |
			 PCI_EXP_LNKCAP2_SLS_16_0GB | PCI_EXP_LNKCAP2_SLS_32_0GB);
	store_le(exp + PCI_EXP_LNKCTL2, 2, LINK_SPEED_32GT);
}

int pci_bridge_create(const struct board *board, uint8_t port, struct pci_bridge **ret_bridge)
{
	static const struct pci_ids ids = {
		.vendor = ROOT_PORT_VENDOR,
		.device = ROOT_PORT_DEVICE,
		.class = PCI_CLASS_BRIDGE_PCI,
	};
	struct pci_bridge *bridge = calloc(1, sizeof(*bridge));

	if (!bridge)
		return err_sys(ERR_LIMIT, -ENOMEM, "root port %u", port);
	bridge->pci.device = (struct device){ "root port", &bridge_device_ops };
	pci_dev_init(&bridge->pci, board, &bridge_pci_ops, &ids);
	/* A bridge has no subsystem IDs where an endpoint has them: the prefetchable limit is
	 * there. */
	store_le(bridge->pci.config + PCI_SUBSYSTEM_VENDOR_ID, 4, 0);
	bridge->bus.bridge = &bridge->pci;
	bridge_add_windows(&bridge->pci);
	bridge_add_express(&bridge->pci, port);
	*ret_bridge = bridge;
	return 0;
}
