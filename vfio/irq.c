/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of a passed-through device: INTx, and which kind is in use. A vCPU's thread, or main
 * while no vCPU runs, with the device's lock held. [PCI-3.0 2.2.6 Interrupt Pins, 6.2.2 Device
 * Control], [Linux: VFIO_DEVICE_SET_IRQS; KVM_IRQFD].
 */
#include "vfio/irq.h"

#include <errno.h>

#include "core/log.h"
#include "core/sys.h"
#include "vfio/irq_parts.h"

/* The host may take vectors away between its answer and the next try. */
#define ENABLE_TRIES 4

void vfio_irq_disable_index(const struct vfio_irq *irq, unsigned index)
{
	int r = vfio_irqs_disable(irq->dev, index);

	if (r < 0)
		log_guest("%s: disable interrupts (index %u): %s", irq->dev->bdf, index,
			  strerror(-r));
}

int vfio_irq_enable_vectors(const struct vfio_irq *irq, unsigned index, unsigned count,
			    const int32_t *fds)
{
	const unsigned wanted = count;
	int r = -ENOSPC;

	for (unsigned tries = 0; tries < ENABLE_TRIES; tries++) {
		r = vfio_irqs_set(irq->dev, index, 0, count, fds);
		if (r <= 0)
			break;
		/* Nothing was enabled, and this is how many there are. */
		count = MIN(count, (unsigned)r);
		r = -ENOSPC;
	}
	if (r < 0)
		log_guest("%s: enable %u interrupt vectors: %s", irq->dev->bdf, wanted,
			  strerror(-r));
	else if (count < wanted)
		log_guest("%s: the host has only %u of the %u interrupt vectors asked for",
			  irq->dev->bdf, count, wanted);
	return r;
}

static void intx_close(struct vfio_irq *irq)
{
	close_fd(&irq->trigger_fd);
	close_fd(&irq->resample_fd);
}

void vfio_irq_intx_disable(struct vfio_irq *irq)
{
	vfio_irq_disable_index(irq, VFIO_PCI_INTX_IRQ_INDEX);
	irq_resample_detach(irq->pci->board->irq, irq->pci->intx.gsi, irq->trigger_fd);
	intx_close(irq);
	irq->mode = VFIO_IRQ_NONE;
}

/*
 * The kernel masks the device's line at each interrupt. KVM writes resample_fd at the guest's EOI,
 * and that unmasks it again: neither way passes through this process. KVM listens first.
 */
static int intx_connect(struct vfio_irq *irq)
{
	struct irq *board_irq = irq->pci->board->irq;
	const unsigned gsi = irq->pci->intx.gsi;
	int r;

	irq->trigger_fd = sys_eventfd();
	irq->resample_fd = sys_eventfd();
	if (irq->trigger_fd < 0 || irq->resample_fd < 0)
		return MIN(irq->trigger_fd, irq->resample_fd);
	r = irq_resample_attach(board_irq, gsi, irq->trigger_fd, irq->resample_fd);
	if (r < 0)
		return r;
	r = vfio_irqs_set(irq->dev, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &irq->trigger_fd);
	if (r >= 0) {
		irq->mode = VFIO_IRQ_INTX;
		r = vfio_irqs_set_unmask(irq->dev, VFIO_PCI_INTX_IRQ_INDEX, irq->resample_fd);
	}
	if (r < 0 && irq->mode == VFIO_IRQ_INTX)
		vfio_irq_intx_disable(irq);
	else if (r < 0)
		irq_resample_detach(board_irq, gsi, irq->trigger_fd);
	return r;
}

static void intx_enable(struct vfio_irq *irq)
{
	int r = intx_connect(irq);

	if (r >= 0)
		return;
	intx_close(irq);
	/* Most devices never use it: the guest goes on, and a driver that needs it will say so. */
	irq->has_intx = false;
	log_warn("%s: the host does not give its legacy interrupt (INTx): %s", irq->dev->bdf,
		 strerror(-r));
}

static bool guest_has_messages(const struct vfio_irq *irq)
{
	return (irq->has_msix && atomic_load(&irq->msix.enabled)) ||
	       (irq->msi_cap && vfio_irq_msi_wanted(irq));
}

/*
 * INTx is what a device has while neither MSI nor MSI-X is enabled. It is connected when a driver
 * begins to use the device, and stays so while the guest masks it in COMMAND, which the kernel does
 * by itself.
 */
static void intx_update(struct vfio_irq *irq)
{
	const uint16_t in_use = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	const uint16_t command = pci_command(irq->pci);

	if (irq->has_intx && irq->mode == VFIO_IRQ_NONE && command & in_use &&
	    !(command & PCI_COMMAND_INTX_DISABLE) && !guest_has_messages(irq))
		intx_enable(irq);
}

int vfio_irq_init(struct vfio_irq *irq, struct vfio_config *cfg)
{
	const unsigned pin = vfio_config_raw_read(cfg->dev, PCI_INTERRUPT_PIN, 1);

	*irq = (struct vfio_irq){
		.pci = cfg->pci,
		.dev = cfg->dev,
		.trigger_fd = -1,
		.resample_fd = -1,
	};
	for (unsigned i = 0; i < VFIO_MSI_VECTORS_MAX; i++)
		msi_vec_init(&irq->msi[i], cfg->pci->board->irq);
	if (cfg->dev->irq_counts[VFIO_PCI_INTX_IRQ_INDEX] && pin >= 1 && pin <= 4) {
		pci_set_intx_pin(cfg->pci, pin);
		irq->has_intx = true;
	}
	if (cfg->msi)
		vfio_irq_msi_init(irq, cfg);
	return cfg->msix ? vfio_irq_msix_init(irq, cfg) : 0;
}

void vfio_irq_config_written(struct vfio_irq *irq, unsigned off, unsigned len)
{
	if (irq->has_msix && pci_access_hits(off, len, irq->msix.cap, PCI_CAP_MSIX_SIZEOF))
		pci_msix_config_written(&irq->msix);
	if (irq->msi_cap)
		vfio_irq_msi_written(irq, off, len);
	intx_update(irq);
}

void vfio_irq_config_read(struct vfio_irq *irq, unsigned off, unsigned len)
{
	if (irq->msi_cap)
		vfio_irq_msi_read(irq, off, len);
}

void vfio_irq_quiesce(struct vfio_irq *irq)
{
	if (irq->has_msix)
		pci_msix_reset(&irq->msix);
	switch (irq->mode) {
	case VFIO_IRQ_INTX:
		vfio_irq_intx_disable(irq);
		break;
	case VFIO_IRQ_MSI:
		vfio_irq_msi_disable(irq);
		break;
	case VFIO_IRQ_MSIX:
		vfio_irq_msix_disable(irq);
		break;
	case VFIO_IRQ_NONE:
		break;
	}
}

void vfio_irq_fini(struct vfio_irq *irq)
{
	if (!irq->pci)
		return;
	vfio_irq_quiesce(irq);
	if (irq->has_msix)
		pci_msix_fini(&irq->msix);
	irq->has_msix = false;
	for (unsigned i = 0; i < VFIO_MSI_VECTORS_MAX; i++)
		msi_vec_fini(&irq->msi[i]);
	irq->pci = NULL;
}
