/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pci_dev of a passed-through device: what a guest's config access does to the device, and the
 * device's life from open to give-back. Config accesses and BAR changes come on vCPUs with the
 * device's lock held, the rest on main. [PCIe-5.0 5.3 PCI-PM Power Management States, 6.6.2 FLR].
 */
#include "vfio/vfio_pci.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/timings.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "vfio/bar.h"
#include "vfio/config.h"
#include "vfio/device.h"
#include "vfio/iommu.h"
#include "vfio/irq.h"
#include "vfio/msix_move.h"
#include "vfio/p2p.h"
#include "vfio/rom.h"

/* Files that a device takes besides one for each vector. */
#define FILES_BESIDES_VECTORS 8u

struct vfio_pci {
	struct pci_dev pci; /* first */
	struct vfio_device dev;
	struct vfio_config config;
	struct vfio_bars bars;
	struct vfio_irq irq;
	struct vfio_rom rom;
	bool pci_ready;         /* pci_dev_init was called */
	bool dma_allowed;       /* guest memory is mapped; guarded by pci.lock */
	bool told[VFIO_EVENTS]; /* main thread */
	bool *dirty;            /* the caller's; NULL: nobody asks */
};

static struct vfio_pci *to_vfio_pci(struct pci_dev *pci)
{
	return container_of(pci, struct vfio_pci, pci);
}

/* --- BARs --- */

static void bar_map(struct pci_dev *pci, unsigned n)
{
	struct vfio_pci *v = to_vfio_pci(pci);

	if (n != PCI_BAR_ROM) {
		vfio_bar_map(&v->bars, n);
	} else if (!v->bars.asleep) {
		vfio_bars_share_page(&v->bars, pci->bars[n].addr);
		vfio_rom_map(&v->rom);
	}
}

static void bar_unmap(struct pci_dev *pci, unsigned n)
{
	struct vfio_pci *v = to_vfio_pci(pci);

	if (n == PCI_BAR_ROM)
		vfio_rom_unmap(&v->rom);
	else
		vfio_bar_unmap(&v->bars, n);
}

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

/* --- power --- */

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

static void force_d0(struct vfio_pci *v)
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
static void update_p2p(struct vfio_pci *v)
{
	const unsigned msi = v->config.msi, msix = v->config.msix;
	const bool master = v->dma_allowed && is_set(v, PCI_COMMAND, PCI_COMMAND_MASTER);
	const bool messages = (!msi && !msix) ||
			      (msi && is_set(v, msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE)) ||
			      (msix && is_set(v, msix + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE));

	vfio_p2p_update(v->dev.iommu->p2p, &v->dev, master, messages);
}

/* --- reset --- */

/*
 * Before a reset: no interrupts, D0, nothing decoded and above all no bus mastering, so that DMA
 * that a dead guest left behind has ended.
 */
static void quiesce(struct vfio_pci *v)
{
	vfio_irq_quiesce(&v->irq);
	pci_config_write(&v->pci, PCI_COMMAND, 2, 0);
	force_d0(v);
	vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, 0);
	update_p2p(v);
}

/* As on real hardware, a function-level reset takes everything that the guest configured along. */
static void function_level_reset(struct vfio_pci *v)
{
	quiesce(v);
	pci_dev_reset_locked(&v->pci);
	v->dev.clean = false;
	if (vfio_device_reset(&v->dev, true) < 0)
		log_guest("%s: the guest's reset of it failed", err_text());
}

static void vfio_pci_reset(struct device *device)
{
	struct vfio_pci *v = to_vfio_pci(container_of(device, struct pci_dev, device));

	pthread_mutex_lock(&v->pci.lock);
	quiesce(v);
	pthread_mutex_unlock(&v->pci.lock);
	pci_dev_reset(&v->pci);
	if (vfio_device_reset(&v->dev, false) >= 0)
		return;
	if (v->dev.failed && vfio_device_answers(&v->dev) < 0) {
		log_error("%s after a reset with the machine: the machine stops", err_text());
		vm_request(v->pci.board->vm, VM_REQUEST_DEVICE_DEAD);
		return;
	}
	log_guest("%s", err_text()); /* a guest can reboot without end */
}

static void bus_reset(struct pci_dev *pci)
{
	/* The function alone: what else is on the host's bus may be running in this guest. */
	function_level_reset(to_vfio_pci(pci));
}

/* --- config space --- */

static uint32_t config_read(struct pci_dev *pci, unsigned off, unsigned len)
{
	struct vfio_pci *v = to_vfio_pci(pci);

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
	struct vfio_pci *v = to_vfio_pci(pci);

	pthread_mutex_lock(&pci->lock);
	v->dma_allowed = true;
	if (pci_command(pci) & PCI_COMMAND_MASTER)
		vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, pci_command(pci));
	update_p2p(v);
	pthread_mutex_unlock(&pci->lock);
}

static void config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	struct vfio_pci *v = to_vfio_pci(pci);
	const unsigned pmcsr = v->config.pm + PCI_PM_CTRL;

	v->dev.clean = false;
	if (vfio_config_starts_flr(&v->config, off, len, val)) {
		function_level_reset(v);
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
	update_p2p(v);
}

static const struct pci_dev_ops pci_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.bar_map = bar_map,
	.bar_unmap = bar_unmap,
	.bus_reset = bus_reset,
};

/* --- life --- */

static void on_event(struct vfio_device *dev, enum vfio_event event)
{
	struct vfio_pci *v = container_of(dev, struct vfio_pci, dev);
	const bool told = v->told[event];

	/* The host repeats its request until the device is closed. */
	v->told[event] = true;
	if (told)
		return;
	switch (event) {
	case VFIO_EVENT_ERROR:
		log_error("%s: reported an uncorrectable error (AER; see the host's kernel log): "
			  "the machine stops",
			  dev->bdf);
		vm_request(v->pci.board->vm, VM_REQUEST_DEVICE_ERROR);
		break;
	case VFIO_EVENT_REQUEST:
		log_warn("%s: the host wants it back: the machine stops", dev->bdf);
		vm_request(v->pci.board->vm, VM_REQUEST_DEVICE_WANTED);
		break;
	}
}

/*
 * The last reset. Who takes the device away holds the kernel's lock on it until it is closed, which
 * no reset gets past; the mark makes the next run do it.
 */
static void reset_after_use(struct vfio_pci *v)
{
	bool done;

	if (v->told[VFIO_EVENT_REQUEST] && !v->dev.clean) {
		if (v->dirty)
			*v->dirty = true;
		log_debug("%s: not reset, as the host takes it away: the next run does",
			  v->dev.bdf);
		return;
	}
	done = vfio_device_reset(&v->dev, false) >= 0;
	if (v->dirty)
		*v->dirty = v->dev.failed;
	if (v->dev.failed)
		log_error("%s; the next run has to reset it first", err_text());
	else if (!done)
		log_warn("%s; its next user gets it as the guest left it", err_text());
}

static void vfio_pci_destroy(struct device *device)
{
	struct vfio_pci *v = to_vfio_pci(container_of(device, struct pci_dev, device));

	if (v->pci_ready) {
		timings_begin("reset %s", v->dev.bdf);
		quiesce(v);
		reset_after_use(v);
		timings_end();
		pci_dev_fini(&v->pci);
	}
	vfio_irq_fini(&v->irq);
	vfio_bars_fini(&v->bars);
	vfio_rom_fini(&v->rom);
	vfio_device_close(&v->dev);
	free(v);
}

static const struct device_ops device_ops = {
	.reset = vfio_pci_reset,
	.destroy = vfio_pci_destroy,
};

/* From the open device to a pci_dev in its power-on state. */
static int probe(struct vfio_pci *v, const struct board *board,
		 const struct vfio_pci_config *config)
{
	struct pci_ids ids;
	int r;

	vfio_config_ids(&v->dev, &ids);
	if (ids.vendor == 0xffff && ids.device == 0xffff)
		return err_set(ERR_DEVICE, -ENODEV,
			       "%s: the device does not answer: all of its config space reads ones",
			       v->dev.bdf);
	pci_dev_init(&v->pci, board, &pci_ops, &ids);
	v->pci_ready = true;
	vfio_config_init(&v->config, &v->pci, &v->dev);
	vfio_bars_init(&v->bars, &v->pci, &v->dev);
	r = vfio_irq_init(&v->irq, &v->config);
	if (r < 0)
		return r;
	vfio_msix_move(&v->irq.layout, &v->bars, v->config.msix);
	if (config->clique.kind == VFIO_CLIQUE_ID) {
		r = vfio_clique_add(&v->config, config->clique.id);
		if (r < 0)
			return err_wrap(r, "%s", v->dev.bdf);
	}
	r = vfio_rom_init(&v->rom, &v->pci, &v->dev, config->rom_file, config->rom_off);
	if (r < 0)
		return err_wrap(r, "%s", v->dev.bdf);
	timings_begin("map BARs of %s", v->dev.bdf);
	r = vfio_bars_mmap(&v->bars, &v->irq.layout);
	timings_end();
	return r;
}

/*
 * The first reset. The kernel did it at open if it has a good one; a reset of the bus may have to
 * wait until the last device of that bus is open, and resets the earlier ones as well. What is not
 * clean in the end, vfio_iommu_check_clean tells. However it left the device, that is no bus
 * master.
 */
static void reset_before_use(struct vfio_pci *v)
{
	timings_begin("reset %s", v->dev.bdf);
	quiesce(v);
	v->dev.clean = vfio_device_reset_is_thorough(&v->dev) && !v->dev.dirty &&
		       vfio_device_answers(&v->dev) == 0;
	if (vfio_device_reset(&v->dev, false) < 0)
		log_debug("%s", err_text());
	timings_end();
	vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, 0);
}

int vfio_pci_create(const struct board *board, struct vfio_iommu *iommu,
		    const struct vfio_pci_config *config, struct loop *main_loop,
		    struct pci_dev **ret)
{
	const struct vfio_target target = { .bdf = config->bdf, .vf_token = config->vf_token };
	struct vfio_pci *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", config->bdf);
	v->pci.device = (struct device){ .name = v->dev.bdf, .ops = &device_ops };
	v->dirty = config->dirty;
	timings_begin("open %s", config->bdf);
	r = vfio_device_open(&v->dev, iommu, &target);
	timings_end();
	v->dev.dirty = v->dirty && *v->dirty;
	if (r >= 0)
		r = probe(v, board, config);
	if (r >= 0)
		r = vfio_device_watch(&v->dev, main_loop, on_event);
	if (r < 0) {
		struct err_chain why;

		err_save(&why);
		vfio_pci_destroy(&v->pci.device);
		err_restore(&why);
		return r;
	}
	reset_before_use(v);
	vfio_raise_nofile(FILES_BESIDES_VECTORS + v->dev.irq_counts[VFIO_PCI_MSIX_IRQ_INDEX] +
			  v->dev.irq_counts[VFIO_PCI_MSI_IRQ_INDEX]);
	*ret = &v->pci;
	return 0;
}
