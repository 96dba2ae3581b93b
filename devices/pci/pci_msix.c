/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSI-X table and pending bits over msi_vecs. [PCIe-5.0 7.7.2]. A vector's KVM irqfd is
 * attached exactly while MSI-X is enabled and neither the function nor the vector is masked; what
 * its eventfd counts in the meantime is its pending bit.
 */
#include "devices/pci/pci_msix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

static uint8_t *table_entry(struct pci_msix *msix, unsigned i)
{
	return msix->table + (size_t)i * PCI_MSIX_ENTRY_SIZE;
}

static bool vector_masked(struct pci_msix *msix, unsigned i)
{
	uint64_t control = load_le(table_entry(msix, i) + PCI_MSIX_ENTRY_VECTOR_CTRL, 4);

	return !atomic_load(&msix->enabled) || msix->function_masked ||
	       (control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* Brings KVM's side of vector `i` in line with the table and the masks. */
static void vector_update(struct pci_msix *msix, unsigned i)
{
	const uint8_t *entry = table_entry(msix, i);
	struct msi_vec *vec = &msix->vecs[i];
	int r;

	if (vector_masked(msix, i)) {
		msi_vec_mask(vec);
		return;
	}
	msi_vec_route(vec, load_le(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 8),
		      (uint32_t)load_le(entry + PCI_MSIX_ENTRY_DATA, 4));
	r = msi_vec_prepare(vec);
	if (r == 0 && msix->ops && msix->ops->unmask)
		msix->ops->unmask(msix, i);
	if (r == 0)
		r = msi_vec_unmask(vec);
	if (r < 0)
		log_guest("%s: MSI-X vector %u: %s", msix->dev->device.name, i, strerror(-r));
}

int pci_msix_init(struct pci_msix *msix, struct pci_dev *dev, unsigned cap, unsigned count,
		  const struct pci_msix_ops *ops)
{
	assert(count >= 1 && count <= PCI_MSIX_VECTORS_MAX);
	*msix = (struct pci_msix){ .dev = dev, .ops = ops, .cap = cap, .count = count };
	msix->vecs = calloc(count, sizeof(*msix->vecs));
	msix->table = calloc(count, PCI_MSIX_ENTRY_SIZE);
	if (!msix->vecs || !msix->table) {
		pci_msix_fini(msix);
		return err_sys(ERR_LIMIT, -ENOMEM, "%u MSI-X vectors", count);
	}
	for (unsigned i = 0; i < count; i++) {
		msi_vec_init(&msix->vecs[i], dev->board->irq);
		store_le(table_entry(msix, i) + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
			 PCI_MSIX_ENTRY_CTRL_MASKBIT);
	}
	pci_set_wmask(dev, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	return 0;
}

void pci_msix_fini(struct pci_msix *msix)
{
	for (unsigned i = 0; msix->vecs && i < msix->count; i++)
		msi_vec_fini(&msix->vecs[i]);
	free(msix->vecs);
	free(msix->table);
	msix->vecs = NULL;
	msix->table = NULL;
}

/* The source is silent from here on, and what pended is not for the next time. */
static void msix_disabled(struct pci_msix *msix)
{
	if (msix->ops && msix->ops->enable)
		msix->ops->enable(msix, false);
	for (unsigned i = 0; i < msix->count; i++) {
		if (msix->vecs[i].eventfd >= 0)
			sys_eventfd_drain(msix->vecs[i].eventfd);
	}
}

static void msix_set_state(struct pci_msix *msix, bool enabled, bool function_masked)
{
	bool was_enabled = atomic_load(&msix->enabled);

	if (enabled == was_enabled && function_masked == msix->function_masked)
		return;
	msix->function_masked = function_masked;
	/* The source is armed before KVM listens, and disarmed after KVM stopped. */
	if (enabled && !was_enabled && msix->ops && msix->ops->enable)
		msix->ops->enable(msix, true);
	atomic_store(&msix->enabled, enabled);
	/* Routes first, all of them, so that the first unmask commits one table for the batch. */
	for (unsigned i = 0; i < msix->count; i++) {
		const uint8_t *entry = table_entry(msix, i);

		if (!vector_masked(msix, i) && msi_vec_prepare(&msix->vecs[i]) == 0)
			msi_vec_route(&msix->vecs[i], load_le(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 8),
				      (uint32_t)load_le(entry + PCI_MSIX_ENTRY_DATA, 4));
	}
	for (unsigned i = 0; i < msix->count; i++)
		vector_update(msix, i);
	if (!enabled && was_enabled)
		msix_disabled(msix);
}

void pci_msix_config_written(struct pci_msix *msix)
{
	uint64_t flags = load_le(msix->dev->config + msix->cap + PCI_MSIX_FLAGS, 2);

	msix_set_state(msix, flags & PCI_MSIX_FLAGS_ENABLE, flags & PCI_MSIX_FLAGS_MASKALL);
}

void pci_msix_reset(struct pci_msix *msix)
{
	uint8_t *flags = msix->dev->config + msix->cap + PCI_MSIX_FLAGS;

	store_le(flags, 2,
		 load_le(flags, 2) & ~(uint64_t)(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL));
	msix_set_state(msix, false, false);
	for (unsigned i = 0; i < msix->count; i++) {
		uint8_t *entry = table_entry(msix, i);

		memset(entry, 0, PCI_MSIX_ENTRY_SIZE);
		store_le(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	}
}

uint64_t pci_msix_table_read(struct pci_msix *msix, uint64_t off, unsigned len)
{
	if (!range_fits(off, len, (uint64_t)msix->count * PCI_MSIX_ENTRY_SIZE))
		return 0;
	return load_le(msix->table + off, len);
}

void pci_msix_table_write(struct pci_msix *msix, uint64_t off, unsigned len, uint64_t val)
{
	unsigned first, last;

	if (!range_fits(off, len, (uint64_t)msix->count * PCI_MSIX_ENTRY_SIZE))
		return;
	store_le(msix->table + off, len, val);
	first = (unsigned)(off / PCI_MSIX_ENTRY_SIZE);
	last = (unsigned)((off + len - 1) / PCI_MSIX_ENTRY_SIZE);
	for (unsigned i = first; i <= last; i++)
		vector_update(msix, i);
}

uint64_t pci_msix_pba_read(struct pci_msix *msix, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	if (!range_fits(off, len, align_up(msix->count, 64) / 8))
		return 0;
	for (unsigned bit = 0; bit < len * 8; bit++) {
		uint64_t i = off * 8 + bit;

		if (i < msix->count && msi_vec_pending(&msix->vecs[i]))
			val |= 1ull << bit;
	}
	return val;
}

int pci_msix_use(struct pci_msix *msix, unsigned i)
{
	assert(i < msix->count);
	return msi_vec_prepare(&msix->vecs[i]);
}

void pci_msix_notify(struct pci_msix *msix, unsigned i)
{
	assert(i < msix->count);
	if (atomic_load(&msix->enabled))
		sys_eventfd_signal(msix->vecs[i].eventfd);
}
