/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space of a function: identity, capabilities, write masks, and the BARs' decoding.
 * [PCI-3.0 6.1 Configuration Space Organization, 6.2.5 Base Addresses]. Runs on vCPUs with the
 * device's lock held.
 */
#include <assert.h>

#include "devices/pci/pci.h"

#define PCI_BAR_REG(n)  (PCI_BASE_ADDRESS_0 + 4 * (n))
#define PCI_FIRST_CAP   0x40u
#define PCI_LEGACY_SIZE 256u /* where the extended space begins */
#define PCI_LAST_PORT   0xffffu

static uint32_t get_reg(const uint8_t *config, unsigned off)
{
	return (uint32_t)load_le(config + off, 4);
}

void pci_set_wmask(struct pci_dev *dev, unsigned off, unsigned len, uint32_t mask)
{
	for (unsigned i = 0; i < len; i++)
		dev->wmask[off + i] |= (uint8_t)(mask >> (8 * i));
}

void pci_dev_init(struct pci_dev *dev, const struct board *board, const struct pci_dev_ops *ops,
		  const struct pci_ids *ids)
{
	uint8_t *config = dev->config;

	dev->board = board;
	dev->ops = ops;
	dev->bus = NULL;
	dev->next_cap = PCI_FIRST_CAP;
	pthread_mutex_init(&dev->lock, NULL);
	irq_line_init(&dev->intx, board->irq, 0);

	store_le(config + PCI_VENDOR_ID, 2, ids->vendor);
	store_le(config + PCI_DEVICE_ID, 2, ids->device);
	store_le(config + PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsys_vendor);
	store_le(config + PCI_SUBSYSTEM_ID, 2, ids->subsys);
	store_le(config + PCI_CLASS_REVISION, 4, ids->class << 8 | ids->revision);
	pci_set_wmask(dev, PCI_COMMAND, 2,
		      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			      PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	pci_set_wmask(dev, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_set_wmask(dev, PCI_INTERRUPT_LINE, 1, 0xff);
	store_le(dev->w1cmask + PCI_STATUS, 2,
		 PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
			 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
			 PCI_STATUS_DETECTED_PARITY);
}

void pci_bar_init(struct pci_dev *dev, unsigned n, enum pci_bar_kind kind, uint64_t size,
		  bool prefetch)
{
	unsigned off = n == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BAR_REG(n);
	uint64_t mask = ~(size - 1);
	uint32_t flags = 0;

	assert(is_pow2(size) && n <= PCI_BAR_ROM);
	dev->bars[n] = (struct pci_bar){ .kind = kind, .prefetch = prefetch, .size = size };
	switch (kind) {
	case PCI_BAR_IO:
		flags = PCI_BASE_ADDRESS_SPACE_IO;
		break;
	case PCI_BAR_MEM64:
		assert(n < PCI_BARS - 1);
		flags = PCI_BASE_ADDRESS_MEM_TYPE_64;
		pci_set_wmask(dev, off + 4, 4, (uint32_t)(mask >> 32));
		break;
	case PCI_BAR_EXPROM:
		mask |= PCI_ROM_ADDRESS_ENABLE;
		break;
	case PCI_BAR_MEM32:
		break;
	case PCI_BAR_NONE:
		return;
	}
	if (prefetch)
		flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	store_le(dev->config + off, 4, flags);
	pci_set_wmask(dev, off, 4, (uint32_t)mask);
}

unsigned pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned len)
{
	unsigned off = dev->next_cap;
	unsigned link = PCI_CAPABILITY_LIST;

	assert(len >= 2 && len <= PCI_LEGACY_SIZE - off);
	/* The chain in the order of adding: the last link points to the new one. */
	while (dev->config[link])
		link = dev->config[link] + PCI_CAP_LIST_NEXT;
	dev->config[link] = (uint8_t)off;
	dev->config[off + PCI_CAP_LIST_ID] = id;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	dev->next_cap = (unsigned)align_up(off + len, 4);
	return off;
}

void pci_set_intx_pin(struct pci_dev *dev, unsigned pin)
{
	assert(pin >= 1 && pin <= 4);
	dev->config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
}

uint32_t pci_config_read(struct pci_dev *dev, unsigned off, unsigned len)
{
	return (uint32_t)load_le(dev->config + off, len);
}

/*
 * Where BAR `n` decodes according to its registers; false when it is off. While a register holds
 * the sizing pattern the address means nothing, and it decodes where it did.
 */
static bool bar_decodes(const struct pci_dev *dev, unsigned n, uint64_t *ret_addr)
{
	const struct pci_bar *bar = &dev->bars[n];
	uint16_t space = bar->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	uint64_t addr, last = UINT64_MAX;

	if (n == PCI_BAR_ROM) {
		uint32_t reg = get_reg(dev->config, PCI_ROM_ADDRESS);

		addr = reg & PCI_ROM_ADDRESS_MASK;
		if (!(reg & PCI_ROM_ADDRESS_ENABLE))
			return false;
	} else if (bar->kind == PCI_BAR_IO) {
		addr = get_reg(dev->config, PCI_BAR_REG(n)) & ~3u;
		last = PCI_LAST_PORT;
	} else {
		addr = get_reg(dev->config, PCI_BAR_REG(n)) & ~0xfu;
		if (bar->kind == PCI_BAR_MEM64)
			addr |= (uint64_t)get_reg(dev->config, PCI_BAR_REG(n + 1)) << 32;
	}
	if (!(pci_command(dev) & space))
		return false;
	if (bar->sizing) {
		*ret_addr = bar->addr;
		return true;
	}
	/* Address 0 is what an unassigned BAR holds: no firmware places one there. */
	if (addr == 0 || addr > last || bar->size - 1 > last - addr)
		return false;
	*ret_addr = addr;
	return true;
}

/*
 * Sizing writes all ones to a register and reads back [PCI-3.0 6.2.5.1 Address Maps]; no address is
 * meant. While a register holds that pattern the BAR stays where it is, so sizing a decoded BAR
 * costs no remapping. The value written tells, not the value kept: 0x80000000 is also an address.
 */
static void bars_note_sizing(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val)
{
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++) {
		unsigned reg = n == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BAR_REG(n);
		struct pci_bar *bar = &dev->bars[n];
		unsigned regs = bar->kind == PCI_BAR_MEM64 ? 2 : 1;

		for (unsigned half = 0; half < regs; half++) {
			if (!pci_access_hits(off, len, reg + 4 * half, 4))
				continue;
			bar->sizing &= (uint8_t) ~(1u << half);
			if (len == 4 && val == UINT32_MAX)
				bar->sizing |= (uint8_t)(1u << half);
		}
	}
}

static void bar_unmap(struct pci_dev *dev, unsigned n)
{
	struct pci_bar *bar = &dev->bars[n];

	if (!bar->mapped)
		return;
	if (dev->ops->bar_unmap)
		dev->ops->bar_unmap(dev, n);
	bar->mapped = false;
}

static void bar_update(struct pci_dev *dev, unsigned n)
{
	struct pci_bar *bar = &dev->bars[n];
	uint64_t addr = 0;
	bool decodes = bar_decodes(dev, n, &addr);

	if (decodes && bar->sizing)
		return;
	if (bar->mapped && decodes && bar->addr == addr)
		return;
	bar_unmap(dev, n);
	if (!decodes)
		return;
	bar->addr = addr;
	bar->mapped = true;
	if (dev->ops->bar_map)
		dev->ops->bar_map(dev, n);
}

static void bars_update(struct pci_dev *dev)
{
	/* What ends comes before what begins: a BAR may take the place of one that was switched
	 * off. */
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++) {
		uint64_t addr;

		if (dev->bars[n].kind != PCI_BAR_NONE && !bar_decodes(dev, n, &addr))
			bar_unmap(dev, n);
	}
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++) {
		if (dev->bars[n].kind != PCI_BAR_NONE)
			bar_update(dev, n);
	}
}

void pci_config_write(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val)
{
	const bool bars = pci_access_hits(off, len, PCI_BASE_ADDRESS_0, 4 * PCI_BARS) ||
			  pci_access_hits(off, len, PCI_ROM_ADDRESS, 4);
	const uint64_t old = load_le(dev->config + off, len);
	const uint64_t mask = load_le(dev->wmask + off, len);
	const uint64_t w1c = load_le(dev->w1cmask + off, len);

	if (bars)
		bars_note_sizing(dev, off, len, val);
	store_le(dev->config + off, len, ((old & ~mask) | (val & mask)) & ~(val & w1c));
	if (bars || pci_access_hits(off, len, PCI_COMMAND, 2))
		bars_update(dev);
}

void pci_dev_reset_locked(struct pci_dev *dev)
{
	memcpy(dev->config, dev->reset_config, sizeof(dev->config));
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++)
		dev->bars[n].sizing = 0;
	bars_update(dev);
	irq_line_set(&dev->intx, false);
}

void pci_dev_reset(struct pci_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	pci_dev_reset_locked(dev);
	pthread_mutex_unlock(&dev->lock);
}

void pci_dev_fini(struct pci_dev *dev)
{
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++)
		bar_unmap(dev, n);
	irq_line_set(&dev->intx, false);
	pthread_mutex_destroy(&dev->lock);
}
