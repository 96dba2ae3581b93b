/* SPDX-License-Identifier: Apache-2.0 */
/* What irq.c, irq_msi.c and irq_msix.c share. All with the device's lock held. */
#ifndef VFIO_IRQ_PARTS_H
#define VFIO_IRQ_PARTS_H

#include "vfio/irq.h"

/* VFIO's side of one kind of interrupt; failures are logged. */
void vfio_irq_disable_index(const struct vfio_irq *irq, unsigned index);
/* `count` vectors or as many as the host has; 0 or a negative errno. */
int MUST_CHECK vfio_irq_enable_vectors(const struct vfio_irq *irq, unsigned index, unsigned count,
				       const int32_t *fds);

/* These three end their mode and leave VFIO_IRQ_NONE. */
void vfio_irq_intx_disable(struct vfio_irq *irq);
void vfio_irq_msi_disable(struct vfio_irq *irq);
void vfio_irq_msix_disable(struct vfio_irq *irq);

/* Both hide a capability that cannot work. */
void vfio_irq_msi_init(struct vfio_irq *irq, struct vfio_config *cfg);
int MUST_CHECK vfio_irq_msix_init(struct vfio_irq *irq, struct vfio_config *cfg);

/* With MSI (irq->msi_cap): after a write and before a read of [off, off + len). */
void vfio_irq_msi_written(struct vfio_irq *irq, unsigned off, unsigned len);
void vfio_irq_msi_read(struct vfio_irq *irq, unsigned off, unsigned len);
bool vfio_irq_msi_wanted(const struct vfio_irq *irq); /* the guest has it enabled */

#endif
