/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI: interrupts, BAR 0, and its life. Registers on vCPUs with the device's
 * lock held, interrupts on any thread. [virtio-1.2 4.1 Virtio Over PCI Bus]
 */
#include "devices/virtio/virtio_pci.h"

#include <assert.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/virtio/virtio_common.h"
#include "devices/virtio/virtio_pci_config.h"
#include "devices/virtio/virtio_queue.h"

/* [virtio-1.2 4.1.2.1]: device 0x1040 + id, revision 1 or more, subsystem 0x40 or more. */
#define VIRTIO_VENDOR      0x1af4
#define VIRTIO_DEVICE_BASE 0x1040
#define VIRTIO_REVISION    1

#define ISR_QUEUE  0x1u /* [virtio-1.2 4.1.4.5 ISR status capability] */
#define ISR_CONFIG 0x2u

/* --- interrupts --- */

/* The line follows the ISR unless the driver has chosen MSI-X or switched INTx off. */
void virtio_intx_update(struct virtio_pci *vdev)
{
	irq_line_set(&vdev->pci.intx,
		     vdev->isr && !vdev->intx_disabled && !atomic_load(&vdev->msix.enabled));
}

static void isr_set(struct virtio_pci *vdev, uint8_t bits)
{
	pthread_mutex_lock(&vdev->intx_lock);
	vdev->isr |= bits;
	virtio_intx_update(vdev);
	pthread_mutex_unlock(&vdev->intx_lock);
}

uint8_t virtio_isr_take(struct virtio_pci *vdev)
{
	uint8_t isr;

	pthread_mutex_lock(&vdev->intx_lock);
	isr = vdev->isr;
	vdev->isr = 0;
	virtio_intx_update(vdev);
	pthread_mutex_unlock(&vdev->intx_lock);
	return isr;
}

static void interrupt(struct virtio_pci *vdev, atomic_uint *vector, uint8_t isr)
{
	unsigned v = atomic_load(vector);

	if (!atomic_load(&vdev->msix.enabled))
		isr_set(vdev, isr);
	else if (v != VIRTIO_MSI_NO_VECTOR)
		pci_msix_notify(&vdev->msix, v);
}

/* This bit of the ISR is set with MSI-X too [virtio-1.2 4.1.4.5.1]. */
void virtio_config_interrupt(struct virtio_pci *vdev)
{
	isr_set(vdev, ISR_CONFIG);
	interrupt(vdev, &vdev->config_vector, ISR_CONFIG);
}

/*
 * With config_lock held, so that no reset comes between: afterwards nobody would make the line low
 * again. A driver that does not run yet is told when it starts.
 */
static void config_changed(struct virtio_pci *vdev)
{
	if (vdev->config_watched)
		virtio_config_interrupt(vdev);
	else
		vdev->config_changed = true;
}

void virtio_pci_change_config(struct virtio_pci *vdev, size_t off, const void *data, size_t len)
{
	assert(range_fits(off, len, vdev->class->config_len));
	pthread_mutex_lock(&vdev->config_lock);
	memcpy((uint8_t *)vdev->config + off, data, len);
	vdev->generation++;
	config_changed(vdev);
	pthread_mutex_unlock(&vdev->config_lock);
}

static uint64_t config_read(struct virtio_pci *vdev, uint64_t off, unsigned len)
{
	uint64_t val;

	if (!range_fits(off, len, vdev->class->config_len))
		return 0;
	pthread_mutex_lock(&vdev->config_lock);
	val = load_le((const uint8_t *)vdev->config + off, len);
	pthread_mutex_unlock(&vdev->config_lock);
	return val;
}

void virtio_pci_fail(struct virtio_pci *vdev)
{
	if (atomic_exchange(&vdev->needs_reset, true))
		return;
	/* [virtio-1.2 2.1.2]: only a driver that runs is interrupted. */
	pthread_mutex_lock(&vdev->config_lock);
	config_changed(vdev);
	pthread_mutex_unlock(&vdev->config_lock);
}

int virtio_pci_call_fd(struct virtio_pci *vdev, unsigned queue)
{
	const unsigned v = atomic_load(&vdev->queues[queue].vector);

	if (!atomic_load(&vdev->msix.enabled) || v == VIRTIO_MSI_NO_VECTOR)
		return -1;
	return vdev->msix.vecs[v].eventfd;
}

void virtio_pci_interrupt(struct virtio_pci *vdev, unsigned queue)
{
	interrupt(vdev, &vdev->queues[queue].vector, ISR_QUEUE);
}

/* --- BAR 0 --- */

static void virtio_bar_map(struct pci_dev *pci, unsigned n)
{
	struct virtio_pci *vdev = virtio_pci_of(pci);

	vdev->range.base = pci->bars[n].addr;
	if (bus_add_or_wait(pci->board->mmio, &vdev->range) < 0) {
		log_guest("%s: BAR at 0x%llx collides with another device", pci->device.name,
			  (unsigned long long)vdev->range.base);
		return;
	}
	if (vdev->started)
		virtio_doorbells_add(vdev);
}

static void virtio_bar_unmap(struct pci_dev *pci, unsigned n)
{
	struct virtio_pci *vdev = virtio_pci_of(pci);

	(void)n;
	virtio_doorbells_remove(vdev);
	bus_remove(pci->board->mmio, &vdev->range);
}

/* With the lock held, as the next. */
uint64_t virtio_bar_read(struct virtio_pci *vdev, uint64_t addr, unsigned len)
{
	uint64_t off = addr % VIRTIO_BAR_PAGE;

	switch (addr / VIRTIO_BAR_PAGE) {
	case VIRTIO_PAGE_COMMON:
		return virtio_common_read(vdev, off, len);
	case VIRTIO_PAGE_ISR:
		return off < VIRTIO_ISR_LEN ? virtio_isr_take(vdev) : 0;
	case VIRTIO_PAGE_DEVICE:
		return config_read(vdev, off, len);
	case VIRTIO_PAGE_MSIX_TABLE:
		return pci_msix_table_read(&vdev->msix, off, len);
	case VIRTIO_PAGE_MSIX_PBA:
		return pci_msix_pba_read(&vdev->msix, off, len);
	case VIRTIO_PAGE_NOTIFY:
	default:
		return 0;
	}
}

void virtio_bar_write(struct virtio_pci *vdev, uint64_t addr, unsigned len, uint64_t val)
{
	uint64_t off = addr % VIRTIO_BAR_PAGE;

	switch (addr / VIRTIO_BAR_PAGE) {
	case VIRTIO_PAGE_COMMON:
		virtio_common_write(vdev, off, len, val);
		break;
	case VIRTIO_PAGE_NOTIFY:
		/* The address says which queue; the value says the same again. */
		if (off / VIRTIO_NOTIFY_MULTIPLIER < vdev->queue_count)
			sys_eventfd_signal(
				vdev->queues[off / VIRTIO_NOTIFY_MULTIPLIER].doorbell.fd);
		break;
	case VIRTIO_PAGE_MSIX_TABLE:
		pci_msix_table_write(&vdev->msix, off, len, val);
		break;
	case VIRTIO_PAGE_ISR:
	case VIRTIO_PAGE_DEVICE: /* no class has a writable field */
	case VIRTIO_PAGE_MSIX_PBA:
	default:
		log_guest("%s: write to read-only BAR offset 0x%llx", vdev->pci.device.name,
			  (unsigned long long)addr);
	}
}

static uint64_t trap_read(void *dev, uint64_t off, unsigned len)
{
	struct virtio_pci *vdev = dev;
	uint64_t val;

	pthread_mutex_lock(&vdev->pci.lock);
	val = virtio_bar_read(vdev, off, len);
	pthread_mutex_unlock(&vdev->pci.lock);
	return val;
}

static void trap_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_pci *vdev = dev;

	pthread_mutex_lock(&vdev->pci.lock);
	virtio_bar_write(vdev, off, len, val);
	pthread_mutex_unlock(&vdev->pci.lock);
}

static const struct bus_ops bar_ops = { trap_read, trap_write, "virtio registers" };

static const struct pci_dev_ops virtio_pci_ops = {
	.config_read = virtio_pci_config_read,
	.config_write = virtio_pci_config_write,
	.bar_map = virtio_bar_map,
	.bar_unmap = virtio_bar_unmap,
};

/* --- life --- */

int virtio_pci_init(struct virtio_pci *vdev, const struct board *board,
		    const struct virtio_class *class, const struct virtio_setup *setup)
{
	const struct pci_ids ids = {
		.vendor = VIRTIO_VENDOR,
		.device = (uint16_t)(VIRTIO_DEVICE_BASE + class->id),
		.subsys_vendor = VIRTIO_VENDOR,
		.subsys = (uint16_t)(VIRTIO_DEVICE_BASE + class->id),
		.class = class->pci_class,
		.revision = VIRTIO_REVISION,
	};
	int r;

	assert(setup->queues && setup->queues <= VIRTIO_QUEUES_MAX && setup->loop_count);
	assert(class->config_len <= VIRTIO_BAR_PAGE);
	assert(is_pow2(class->queue_size) && class->queue_size <= VIRTQUEUE_SIZE_MAX);
	vdev->pci.device = (struct device){ .name = class->name, .ops = class->device_ops };
	pci_dev_init(&vdev->pci, board, &virtio_pci_ops, &ids);
	pthread_mutex_init(&vdev->intx_lock, NULL);
	pthread_mutex_init(&vdev->config_lock, NULL);
	vdev->class = class;
	vdev->queue_count = setup->queues;
	vdev->config = setup->config;
	/*
	 * ACCESS_PLATFORM is not offered: this device reaches all of the guest's RAM at the
	 * addresses the guest uses, and the bit would only send its drivers through a DMA layer
	 * with nothing to translate [virtio-1.2 6.1].
	 */
	vdev->features = setup->features | 1ull << VIRTIO_F_VERSION_1;
	if (!class->retarget)
		vdev->features |=
			1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
	vdev->range = (struct bus_range){ .size = VIRTIO_BAR_SIZE, .ops = &bar_ops, .dev = vdev };
	for (unsigned i = 0; i < setup->queues; i++)
		virtio_queue_init(&vdev->queues[i], vdev);
	virtio_common_reset(vdev);

	pci_bar_init(&vdev->pci, VIRTIO_BAR, PCI_BAR_MEM32, VIRTIO_BAR_SIZE, false);
	pci_set_intx_pin(&vdev->pci, 1);
	r = virtio_pci_config_init(vdev);
	for (unsigned i = 0; r == 0 && i < setup->queues; i++)
		vdev->queues[i].loop = &setup->loops[i % setup->loop_count];
	return r < 0 ? err_wrap(r, "%s", class->name) : 0;
}

void virtio_pci_fini(struct virtio_pci *vdev)
{
	if (!vdev || !vdev->class)
		return;
	virtio_common_stop(vdev);
	for (unsigned i = 0; i < vdev->queue_count; i++)
		virtio_queue_leave(&vdev->queues[i]);
	pci_dev_fini(&vdev->pci);
	pci_msix_fini(&vdev->msix);
	for (unsigned i = 0; i < vdev->queue_count; i++)
		close_fd(&vdev->queues[i].doorbell.fd);
	pthread_mutex_destroy(&vdev->intx_lock);
	pthread_mutex_destroy(&vdev->config_lock);
	vdev->class = NULL;
}

void virtio_pci_reset(struct device *dev)
{
	struct virtio_pci *vdev = container_of(dev, struct virtio_pci, pci.device);

	pthread_mutex_lock(&vdev->pci.lock);
	virtio_common_reset(vdev);
	pci_msix_reset(&vdev->msix);
	pthread_mutex_unlock(&vdev->pci.lock);
	pci_dev_reset(&vdev->pci);
	pthread_mutex_lock(&vdev->intx_lock);
	vdev->intx_disabled = false; /* as COMMAND says now */
	pthread_mutex_unlock(&vdev->intx_lock);
}
