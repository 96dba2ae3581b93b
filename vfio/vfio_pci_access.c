/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's config accesses do to a passed-through device: power states, bus mastering, and
 * with them its BARs and DMA between devices. On vCPUs with the device's lock held. [PCIe-5.0 5.3
 * PCI-PM Power Management States]
 */
#include "vfio/vfio_pci_access.h"

#include "core/log.h"
#include "core/timings.h"
#include "core/vm.h"
#include "vfio/p2p.h"

/* --- power --- */

static void sleep_bars(struct vfio_pci *v)
{
	vfio_bars_sleep(&v->bars);
	if (v->pci.bars[PCI_BAR_ROM].mapped)
		vfio_rom_unmap(&v->rom);
}

static void wake_bars(struct vfio_pci *v)
{
	if (!v->bars.asleep)
		return;
	vfio_bars_wake(&v->bars);
	if (v->pci.bars[PCI_BAR_ROM].mapped)
		vfio_rom_map(&v->rom);
}

static unsigned power_state(const struct vfio_pci *v)
{
	return vfio_config_raw_read(&v->dev, v->config.pm + PCI_PM_CTRL, 1) &
	       PCI_PM_CTRL_STATE_MASK;
}

/*
 * The guest's power states are the device's: an idle card should save power, and the kernel saves
 * and restores what the way back to D0 may lose. Outside of D0 nothing is decoded; the slots must
 * be gone before, because the kernel takes their pages away. The device decides which states it
 * has, so its answer counts and not what was written.
 */
static void write_power(struct vfio_pci *v, unsigned off, unsigned len, uint32_t val)
{
	const unsigned pmcsr = v->config.pm + PCI_PM_CTRL;

	if (val >> (8 * (pmcsr - off)) & PCI_PM_CTRL_STATE_MASK)
		sleep_bars(v);
	vfio_config_forward(&v->config, off, len, val);
	if (power_state(v) == 0)
		wake_bars(v);
}

void vfio_pci_force_d0(struct vfio_pci *v)
{
	uint32_t ctrl;

	if (v->config.pm && power_state(v) != 0) {
		ctrl = vfio_config_raw_read(&v->dev, v->config.pm + PCI_PM_CTRL, 2);
		vfio_config_raw_write(&v->dev, v->config.pm + PCI_PM_CTRL, 2,
				      ctrl & ~(uint32_t)PCI_PM_CTRL_STATE_MASK);
		if (power_state(v) != 0)
			log_guest("%s: does not leave power state D%u", v->dev.bdf, power_state(v));
	}
	wake_bars(v);
}

/* --- peer to peer --- */

static bool is_set(const struct vfio_pci *v, unsigned reg, unsigned bit)
{
	return load_le(v->pci.config + reg, 2) & bit;
}

/* After every write to config space. */
void vfio_pci_update_p2p(struct vfio_pci *v)
{
	const unsigned msi = v->config.msi, msix = v->config.msix;
	const bool master = v->dma_allowed && is_set(v, PCI_COMMAND, PCI_COMMAND_MASTER);
	const bool messages = (!msi && !msix) ||
			      (msi && is_set(v, msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE)) ||
			      (msix && is_set(v, msix + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE));

	vfio_p2p_update(v->dev.iommu->p2p, &v->dev, master, messages);
}

/* --- config space --- */

uint32_t vfio_pci_access_read(struct pci_dev *pci, unsigned off, unsigned len)
{
	struct vfio_pci *v = vfio_pci_of(pci);

	vfio_irq_config_read(&v->irq, off, len);
	return vfio_config_read(&v->config, off, len);
}

/* COMMAND after a guest's write, in the bits that exist. */
static uint16_t new_command(const struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	uint8_t bytes[2];

	for (unsigned i = 0; i < 2; i++) {
		const unsigned reg = PCI_COMMAND + i;
		const uint8_t mask = pci->wmask[reg], old = pci->config[reg];

		bytes[i] = old;
		if (reg >= off && reg - off < len)
			bytes[i] = (uint8_t)((old & ~mask) | (val >> (8 * (reg - off)) & mask));
	}
	return (uint16_t)load_le(bytes, 2);
}

/*
 * The kernel takes the pages of all BARs away while the device's memory decoding is off, so that
 * the slots must go before and come after.
 *
 * While guest memory is not all mapped, the device must not become a bus master. The guest, which
 * may have it work right after this write, is held until vfio_pci_allow_dma has made it one.
 */
static void write_command(struct vfio_pci *v, unsigned off, unsigned len, uint32_t val)
{
	uint16_t command = new_command(&v->pci, off, len, val);

	if (command & PCI_COMMAND_MASTER)
		timings_mark(TIMINGS_BUS_MASTER);
	if (command & PCI_COMMAND_MASTER && !v->dma_allowed) {
		command &= (uint16_t)~PCI_COMMAND_MASTER;
		vm_hold_vcpu();
	}
	if (command & PCI_COMMAND_MEMORY) {
		vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, command);
		pci_config_write(&v->pci, off, len, val);
	} else {
		pci_config_write(&v->pci, off, len, val);
		vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, command);
	}
}

void vfio_pci_allow_dma(struct pci_dev *pci)
{
	struct vfio_pci *v = vfio_pci_of(pci);

	pthread_mutex_lock(&pci->lock);
	v->dma_allowed = true;
	if (pci_command(pci) & PCI_COMMAND_MASTER)
		vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, pci_command(pci));
	vfio_pci_update_p2p(v);
	pthread_mutex_unlock(&pci->lock);
}

void vfio_pci_access_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	struct vfio_pci *v = vfio_pci_of(pci);
	const unsigned pmcsr = v->config.pm + PCI_PM_CTRL;

	v->dev.clean = false;
	if (vfio_config_starts_flr(&v->config, off, len, val)) {
		vfio_pci_function_reset(v);
		return;
	}
	if (pci_access_hits(off, len, PCI_COMMAND, 2))
		write_command(v, off, len, val);
	else
		pci_config_write(pci, off, len, val);
	if (v->config.pm && pci_access_hits(off, len, pmcsr, 1))
		write_power(v, off, len, val);
	else
		vfio_config_forward(&v->config, off, len, val);
	vfio_irq_config_written(&v->irq, off, len);
	vfio_pci_update_p2p(v);
}
