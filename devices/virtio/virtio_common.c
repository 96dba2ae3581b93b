/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feature negotiation, status and queue registers of a virtio device; runs on vCPUs with the
 * device's lock held, and starts and stops the queues on their loops.
 * [virtio-1.2 2.1 Device Status Field, 3.1.1 Driver Requirements: Device Initialization,
 *  4.1.4.3 Common configuration structure layout]
 */
#include "devices/virtio/virtio_common.h"

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/virtio/virtio_queue.h"

/* The bits that a driver sets; it never clears one but by a reset. */
#define STATUS_DRIVER_BITS                                                                  \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

/* A register and the width of the access to it, for switch. */
#define ACCESS(off, len) ((off) << 4 | (len))

/* Not for others, though the device's other queues are. */
static bool own(const struct virtio_queue *q)
{
	const struct virtio_class *class = q->vdev->class;

	return class->own && class->own(q->vdev, (unsigned)(q - q->vdev->queues));
}

static void start_on_loop(void *arg)
{
	struct virtio_queue *q = arg;

	virtqueue_set_features(&q->vq, q->vdev->driver_features);
	q->running = true;
	/* What the driver rang for too early was dropped: look once of our own accord. */
	if (q->vdev->class->retarget && !own(q)) {
		sys_eventfd_signal(q->doorbell.fd);
		return;
	}
	if (own(q) && loop_add(q->loop, &q->doorbell) < 0) {
		log_error("%s: %s", q->vdev->pci.device.name, err_text());
		virtio_pci_fail(q->vdev);
	}
	loop_defer(q->loop, &q->serve);
}

static void stop_on_loop(void *arg)
{
	struct virtio_queue *q = arg;
	struct virtio_pci *vdev = q->vdev;
	unsigned queue = (unsigned)(q - vdev->queues);

	q->running = false;
	if (own(q))
		loop_remove(q->loop, &q->doorbell);
	if (vdev->class->stop)
		vdev->class->stop(vdev, queue);
	virtio_publish(q);
}

/* On the loop of each queue that the driver uses, in turn. */
static void call_loops(struct virtio_pci *vdev, void (*fn)(void *arg))
{
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		if (vdev->queues[i].enabled)
			loop_call(vdev->queues[i].loop, fn, &vdev->queues[i]);
	}
}

/* True if there was a change that the driver has not been told of. */
static bool config_watch(struct virtio_pci *vdev, bool watched)
{
	bool changed;

	pthread_mutex_lock(&vdev->config_lock);
	changed = vdev->config_changed;
	vdev->config_watched = watched;
	vdev->config_changed = false;
	pthread_mutex_unlock(&vdev->config_lock);
	return changed;
}

static void common_start(struct virtio_pci *vdev)
{
	if (virtio_doorbells_watch(vdev) < 0) {
		log_error("%s: %s", vdev->pci.device.name, err_text());
		virtio_pci_fail(vdev);
		return;
	}
	virtio_doorbells_add(vdev);
	if (vdev->class->start)
		vdev->class->start(vdev);
	vdev->started = true;
	call_loops(vdev, start_on_loop);
	/* It may have read the old configuration, before it could be told. */
	if (config_watch(vdev, true))
		virtio_config_interrupt(vdev);
}

void virtio_common_stop(struct virtio_pci *vdev)
{
	if (!vdev->started)
		return;
	call_loops(vdev, stop_on_loop);
	vdev->started = false;
}

void virtio_common_reset(struct virtio_pci *vdev)
{
	virtio_common_stop(vdev);
	(void)config_watch(vdev, false);
	vdev->status = 0;
	vdev->features_select = 0;
	vdev->driver_features_select = 0;
	vdev->driver_features = 0;
	vdev->queue_select = 0;
	virtio_isr_take(vdev);
	atomic_store(&vdev->needs_reset, false);
	atomic_store(&vdev->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		q->size = vdev->class->queue_size;
		q->enabled = false;
		q->desc = q->avail = q->used = 0;
		atomic_store(&q->vector, VIRTIO_MSI_NO_VECTOR);
	}
}

static bool features_acceptable(struct virtio_pci *vdev)
{
	return !atomic_load(&vdev->gone) && !(vdev->driver_features & ~vdev->features) &&
	       vdev->driver_features & 1ull << VIRTIO_F_VERSION_1;
}

static void status_write(struct virtio_pci *vdev, uint8_t val)
{
	const char *name = vdev->pci.device.name;
	uint8_t set = val & STATUS_DRIVER_BITS & ~vdev->status;

	if (!val) {
		virtio_common_reset(vdev);
		return;
	}
	if (set & VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(vdev)) {
		log_guest("%s: the driver's features 0x%llx are refused", name,
			  (unsigned long long)vdev->driver_features);
		set &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	}
	if (set & VIRTIO_CONFIG_S_DRIVER_OK &&
	    !((vdev->status | set) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		log_guest("%s: the driver starts before its features are accepted", name);
		set &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	}
	vdev->status |= set;
	if (set & VIRTIO_CONFIG_S_DRIVER_OK)
		common_start(vdev);
}

static void driver_features_write(struct virtio_pci *vdev, uint32_t val)
{
	unsigned shift = 32 * vdev->driver_features_select;

	if (vdev->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		log_guest("%s: features are written after they were accepted",
			  vdev->pci.device.name);
		return;
	}
	if (vdev->driver_features_select > 1)
		return; /* bits 64 and up, of which none is offered */
	vdev->driver_features &= ~(0xffffffffull << shift);
	vdev->driver_features |= (uint64_t)val << shift;
}

/* The vector as it reads back: NO_VECTOR if it cannot be had [virtio-1.2 4.1.5.1.2.1]. */
static void vector_write(struct virtio_pci *vdev, atomic_uint *vector, uint16_t val)
{
	if (val != VIRTIO_MSI_NO_VECTOR &&
	    (val >= vdev->msix.count || pci_msix_use(&vdev->msix, val) < 0)) {
		log_guest("%s: interrupt vector %u is refused", vdev->pci.device.name, val);
		val = VIRTIO_MSI_NO_VECTOR;
	}
	atomic_store(vector, val);
}

static void log_unknown(const struct virtio_pci *vdev, uint64_t off, unsigned len)
{
	log_guest("%s: write of %u bytes to common register 0x%llx is ignored",
		  vdev->pci.device.name, len, (unsigned long long)off);
}

static struct virtio_queue *selected_queue(struct virtio_pci *vdev)
{
	return vdev->queue_select < vdev->queue_count ? &vdev->queues[vdev->queue_select] : NULL;
}

static void queue_enable(struct virtio_pci *vdev, struct virtio_queue *q)
{
	if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		log_guest("%s: a queue is enabled while the device runs", vdev->pci.device.name);
		return;
	}
	if (virtqueue_init(&q->vq, vdev->pci.device.name, vdev->pci.board->mem, q->size, q->desc,
			   q->avail, q->used) < 0) {
		log_guest("%s: rings at 0x%llx, 0x%llx, 0x%llx are not aligned or not in RAM",
			  vdev->pci.device.name, (unsigned long long)q->desc,
			  (unsigned long long)q->avail, (unsigned long long)q->used);
		return;
	}
	q->enabled = true;
}

static void set_half(uint64_t *reg, unsigned half, uint32_t val)
{
	unsigned shift = 32 * half;

	*reg = (*reg & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
}

/* The registers of the selected queue that are fixed once it is enabled. */
static void queue_write(struct virtio_pci *vdev, uint64_t off, unsigned len, uint32_t val)
{
	struct virtio_queue *q = selected_queue(vdev);

	if (!q || q->enabled) {
		log_guest("%s: write to register 0x%llx of a queue that is %s",
			  vdev->pci.device.name, (unsigned long long)off, q ? "in use" : "absent");
		return;
	}
	switch (ACCESS(off, len)) {
	case ACCESS(VIRTIO_PCI_COMMON_Q_SIZE, 2):
		if (is_pow2(val) && val <= vdev->class->queue_size)
			q->size = (uint16_t)val;
		else
			log_guest("%s: queue size %u is refused", vdev->pci.device.name, val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_ENABLE, 2):
		if (val == 1)
			queue_enable(vdev, q);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_DESCLO, 4):
	case ACCESS(VIRTIO_PCI_COMMON_Q_DESCHI, 4):
		set_half(&q->desc, off == VIRTIO_PCI_COMMON_Q_DESCHI, val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_AVAILLO, 4):
	case ACCESS(VIRTIO_PCI_COMMON_Q_AVAILHI, 4):
		set_half(&q->avail, off == VIRTIO_PCI_COMMON_Q_AVAILHI, val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_USEDLO, 4):
	case ACCESS(VIRTIO_PCI_COMMON_Q_USEDHI, 4):
		set_half(&q->used, off == VIRTIO_PCI_COMMON_Q_USEDHI, val);
		break;
	default:
		log_unknown(vdev, off, len);
	}
}

void virtio_common_write(struct virtio_pci *vdev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_queue *q;

	/* A 64-bit register is two of 32 bits [virtio-1.2 4.1.3.1]; some drivers write it whole. */
	if (len == 8) {
		virtio_common_write(vdev, off, 4, (uint32_t)val);
		virtio_common_write(vdev, off + 4, 4, val >> 32);
		return;
	}
	switch (ACCESS(off, len)) {
	case ACCESS(VIRTIO_PCI_COMMON_DFSELECT, 4):
		vdev->features_select = (uint32_t)val;
		break;
	case ACCESS(VIRTIO_PCI_COMMON_GFSELECT, 4):
		vdev->driver_features_select = (uint32_t)val;
		break;
	case ACCESS(VIRTIO_PCI_COMMON_GF, 4):
		driver_features_write(vdev, (uint32_t)val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_MSIX, 2):
		vector_write(vdev, &vdev->config_vector, (uint16_t)val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_STATUS, 1):
		status_write(vdev, (uint8_t)val);
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_SELECT, 2):
		vdev->queue_select = (uint16_t)val;
		break;
	case ACCESS(VIRTIO_PCI_COMMON_Q_MSIX, 2):
		/* Alone among the queue's registers it may change at any time: drivers unmap the
		 * vector of a queue that is still enabled. */
		q = selected_queue(vdev);
		if (q)
			vector_write(vdev, &q->vector, (uint16_t)val);
		if (vdev->started && vdev->class->retarget)
			vdev->class->retarget(vdev);
		break;
	default:
		if (off >= VIRTIO_PCI_COMMON_Q_SIZE)
			queue_write(vdev, off, len, (uint32_t)val);
		else
			log_unknown(vdev, off, len);
	}
}

static uint32_t features_window(uint64_t features, uint32_t select)
{
	return select > 1 ? 0 : (uint32_t)(features >> (32 * select));
}

static uint8_t generation(struct virtio_pci *vdev)
{
	uint8_t val;

	pthread_mutex_lock(&vdev->config_lock);
	val = vdev->generation;
	pthread_mutex_unlock(&vdev->config_lock);
	return val;
}

/* All registers as the driver reads them; reading has no side effects. */
static struct virtio_pci_common_cfg snapshot(struct virtio_pci *vdev)
{
	const struct virtio_queue *q = selected_queue(vdev);
	struct virtio_pci_common_cfg cfg = {
		.device_feature_select = htole32(vdev->features_select),
		.device_feature = htole32(features_window(vdev->features, vdev->features_select)),
		.guest_feature_select = htole32(vdev->driver_features_select),
		.guest_feature = htole32(
			features_window(vdev->driver_features, vdev->driver_features_select)),
		.msix_config = htole16((uint16_t)atomic_load(&vdev->config_vector)),
		.num_queues = htole16((uint16_t)vdev->queue_count),
		.device_status = vdev->status,
		.config_generation = generation(vdev),
		.queue_select = htole16(vdev->queue_select),
	};

	if (atomic_load(&vdev->needs_reset))
		cfg.device_status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!q)
		return cfg; /* queue_size 0: there is no such queue */
	cfg.queue_size = htole16(q->size);
	cfg.queue_msix_vector = htole16((uint16_t)atomic_load(&q->vector));
	cfg.queue_enable = htole16(q->enabled);
	cfg.queue_notify_off = htole16(vdev->queue_select);
	cfg.queue_desc_lo = htole32((uint32_t)q->desc);
	cfg.queue_desc_hi = htole32((uint32_t)(q->desc >> 32));
	cfg.queue_avail_lo = htole32((uint32_t)q->avail);
	cfg.queue_avail_hi = htole32((uint32_t)(q->avail >> 32));
	cfg.queue_used_lo = htole32((uint32_t)q->used);
	cfg.queue_used_hi = htole32((uint32_t)(q->used >> 32));
	return cfg;
}

uint64_t virtio_common_read(struct virtio_pci *vdev, uint64_t off, unsigned len)
{
	struct virtio_pci_common_cfg cfg = snapshot(vdev);

	if (!range_fits(off, len, sizeof(cfg)))
		return 0;
	return load_le((const uint8_t *)&cfg + off, len);
}
