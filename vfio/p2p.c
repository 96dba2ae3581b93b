/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BARs in the IOMMU. vCPU threads, or main while they stand still; one lock, below those of the
 * devices. [Linux: include/uapi/linux/vfio.h VFIO_IOMMU_MAP_DMA].
 */
#include "vfio/p2p.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_ids.h"
#include "vfio/device.h"
#include "vfio/iommu.h"

struct vfio_p2p {
	struct vfio_iommu *iommu;
	bool asked_for;
	pthread_mutex_t lock; /* guards all below, and vfio_device.at_work */
	struct vfio_p2p_range *ranges;
};

/* Graphics and compute: with memory of their own behind a BAR that may be prefetched. */
static bool is_gpu(const struct pci_dev *dev)
{
	const uint8_t class = dev->config[PCI_CLASS_DEVICE + 1];

	if (class != PCI_CLASS_DISPLAY && class != PCI_CLASS_ACCELERATOR)
		return false;
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (dev->bars[n].kind == PCI_BAR_MEM64 && dev->bars[n].prefetch)
			return true;
	}
	return false;
}

static bool is_wanted(enum vfio_p2p_mode mode, struct pci_dev *const *devs, unsigned count)
{
	unsigned gpus = 0;

	for (unsigned i = 0; i < count; i++)
		gpus += is_gpu(devs[i]);
	return count >= 2 && (mode == VFIO_P2P_ON || (mode == VFIO_P2P_AUTO && gpus >= 2));
}

int vfio_p2p_init(struct vfio_iommu *iommu, enum vfio_p2p_mode mode, struct pci_dev *const *devs,
		  unsigned count)
{
	struct vfio_p2p *p2p;

	if (!is_wanted(mode, devs, count))
		return 0;
	if (!iommu->maps_bars) {
		log_msg(mode == VFIO_P2P_ON ? LOG_WARN : LOG_DEBUG,
			"no peer to peer between the devices: "
			"the host's IOMMU interface maps no device memory");
		return 0;
	}
	p2p = calloc(1, sizeof(*p2p));
	if (!p2p)
		return err_sys(ERR_LIMIT, -ENOMEM, "peer to peer");
	p2p->iommu = iommu;
	p2p->asked_for = mode == VFIO_P2P_ON;
	pthread_mutex_init(&p2p->lock, NULL);
	iommu->p2p = p2p;
	return 0;
}

void vfio_p2p_destroy(struct vfio_p2p *p2p)
{
	if (!p2p)
		return;
	pthread_mutex_destroy(&p2p->lock);
	free(p2p);
}

static void map(struct vfio_p2p *p2p, struct vfio_p2p_range *range)
{
	const uint64_t last = range->iova + (range->size - 1), start = clock_ms();
	int r = p2p->iommu->ops->map(p2p->iommu, range->iova, range->size, range->hva);

	range->mapped = r >= 0;
	range->failed = r < 0;
	/* The guest chooses the address, and how often it does. */
	if (r >= 0)
		log_limited(LOG_DEBUG,
			    "%s: the other devices can reach 0x%" PRIx64 "-0x%" PRIx64
			    " (mapped in %" PRIu64 " ms)",
			    range->dev->bdf, range->iova, last, clock_ms() - start);
	else
		log_limited(p2p->asked_for ? LOG_WARN : LOG_DEBUG,
			    "%s: the other devices cannot reach 0x%" PRIx64 "-0x%" PRIx64 ": %s",
			    range->dev->bdf, range->iova, last, err_text());
}

static void map_what_is_due(struct vfio_p2p *p2p)
{
	unsigned at_work = 0;

	for (const struct vfio_device *dev = p2p->iommu->devices; dev; dev = dev->next)
		at_work += dev->at_work;
	if (at_work < 2)
		return;
	for (struct vfio_p2p_range *range = p2p->ranges; range; range = range->next) {
		if (range->dev->at_work && !range->mapped && !range->failed)
			map(p2p, range);
	}
}

void vfio_p2p_add(struct vfio_p2p *p2p, struct vfio_p2p_range *range)
{
	if (!p2p)
		return;
	pthread_mutex_lock(&p2p->lock);
	range->mapped = range->failed = false;
	range->next = p2p->ranges;
	p2p->ranges = range;
	map_what_is_due(p2p);
	pthread_mutex_unlock(&p2p->lock);
}

void vfio_p2p_remove(struct vfio_p2p *p2p, struct vfio_p2p_range *range)
{
	struct vfio_p2p_range **link;

	if (!p2p)
		return;
	pthread_mutex_lock(&p2p->lock);
	for (link = &p2p->ranges; *link && *link != range; link = &(*link)->next)
		;
	if (*link)
		*link = range->next;
	if (range->mapped)
		p2p->iommu->ops->unmap(p2p->iommu, range->iova, range->size);
	range->mapped = false;
	pthread_mutex_unlock(&p2p->lock);
}

void vfio_p2p_update(struct vfio_p2p *p2p, struct vfio_device *dev, bool master, bool messages)
{
	bool at_work;

	if (!p2p)
		return;
	at_work = master && (messages || p2p->asked_for);
	pthread_mutex_lock(&p2p->lock);
	if (dev->at_work != at_work) {
		dev->at_work = at_work;
		map_what_is_due(p2p);
	}
	pthread_mutex_unlock(&p2p->lock);
}
