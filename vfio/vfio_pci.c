/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pci_dev of a passed-through device, its resets, and its life from open to give-back. BAR
 * changes and resets by the guest come on vCPUs with the device's lock held, the rest on main.
 * [PCIe-5.0 6.6.2 FLR]. What a config access does to the device: vfio_pci_access.c.
 */
#include "vfio/vfio_pci.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/timings.h"
#include "core/vm.h"
#include "vfio/iommu.h"
#include "vfio/msix_move.h"
#include "vfio/vfio_pci_access.h"

/* Files that a device takes besides one for each vector. */
#define FILES_BESIDES_VECTORS 8u

/* --- BARs --- */

static void bar_map(struct pci_dev *pci, unsigned n)
{
	struct vfio_pci *v = vfio_pci_of(pci);

	if (n != PCI_BAR_ROM) {
		vfio_bar_map(&v->bars, n);
	} else if (!v->bars.asleep) {
		vfio_bars_share_page(&v->bars, pci->bars[n].addr);
		vfio_rom_map(&v->rom);
	}
}

static void bar_unmap(struct pci_dev *pci, unsigned n)
{
	struct vfio_pci *v = vfio_pci_of(pci);

	if (n == PCI_BAR_ROM)
		vfio_rom_unmap(&v->rom);
	else
		vfio_bar_unmap(&v->bars, n);
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
	vfio_pci_force_d0(v);
	vfio_config_raw_write(&v->dev, PCI_COMMAND, 2, 0);
	vfio_pci_update_p2p(v);
}

/* As on real hardware, a function-level reset takes everything that the guest configured along. */
void vfio_pci_function_reset(struct vfio_pci *v)
{
	quiesce(v);
	pci_dev_reset_locked(&v->pci);
	v->dev.clean = false;
	if (vfio_device_reset(&v->dev, true) < 0)
		log_guest("%s: the guest's reset of it failed", err_text());
}

static void vfio_pci_reset(struct device *device)
{
	struct vfio_pci *v = vfio_pci_of(container_of(device, struct pci_dev, device));

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
	vfio_pci_function_reset(vfio_pci_of(pci));
}

static const struct pci_dev_ops pci_ops = {
	.config_read = vfio_pci_access_read,
	.config_write = vfio_pci_access_write,
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
	struct vfio_pci *v = vfio_pci_of(container_of(device, struct pci_dev, device));

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
