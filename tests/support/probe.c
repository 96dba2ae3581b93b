/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio device class for tests, and its guest. [virtio-1.2 4.1 Virtio Over PCI Bus] */
#include "probe.h"

#include <linux/virtio_config.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/log.h"

#define DATA      0x100000u
#define SETTLE_MS 20u

const uint8_t probe_config[PROBE_CONFIG_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static struct probe *probe_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct probe, vdev);
}

static void probe_start(struct virtio_pci *vdev)
{
	probe_of(vdev)->features_at_start = vdev->driver_features;
	atomic_fetch_add(&probe_of(vdev)->starts, 1);
}

static void probe_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtqueue *vq = &vdev->queues[queue].vq;
	struct probe *probe = probe_of(vdev);
	struct iovec iov[PROBE_QUEUE];
	struct virtqueue_chain chain;

	while (virtqueue_pop(vq, iov, &chain)) {
		if (queue == PROBE_ECHO)
			virtqueue_push(vq, chain.head, 1);
		else
			probe->kept[probe->kept_count++] = chain.head;
	}
}

static void probe_stop(struct virtio_pci *vdev, unsigned queue)
{
	struct probe *probe = probe_of(vdev);

	if (queue != PROBE_KEEPER)
		return;
	while (probe->kept_count)
		virtqueue_push(&vdev->queues[PROBE_KEEPER].vq, probe->kept[--probe->kept_count], 2);
	probe->stop_thread = pthread_self();
	atomic_fetch_add(&probe->stops, 1);
}

void probe_destroy(struct device *dev)
{
	struct probe *probe = container_of(dev, struct probe, vdev.pci.device);

	virtio_pci_fini(&probe->vdev);
	free(probe);
}

static const struct device_ops probe_device_ops = { virtio_pci_reset, probe_destroy };

static const struct virtio_class probe_class = {
	.name = "probe",
	.id = PROBE_ID,
	.pci_class = 0xff0000,
	.queue_size = PROBE_QUEUE,
	.config_len = sizeof(probe_config),
	.device_ops = &probe_device_ops,
	.start = probe_start,
	.notify = probe_notify,
	.stop = probe_stop,
};

int probe_init(struct probe *probe, struct virtio_guest *guest)
{
	const struct virtio_setup setup = {
		.features = PROBE_F_CLASS,
		.config = probe->config,
		.queues = PROBE_QUEUES,
		.loops = &guest->loop,
		.loop_count = 1,
	};

	memcpy(probe->config, probe_config, sizeof(probe->config));
	return virtio_pci_init(&probe->vdev, &guest->board, &probe_class, &setup);
}

int probe_setup(void **state)
{
	struct probe_guest *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	virtio_guest_init(&f->guest);
	f->probe = calloc(1, sizeof(*f->probe));
	if (probe_init(f->probe, &f->guest) < 0)
		return -1;
	virtio_guest_plug(&f->guest, &f->probe->vdev.pci);
	*state = f;
	return 0;
}

int probe_teardown(void **state)
{
	struct probe_guest *f = *state;

	virtio_guest_fini(&f->guest);
	assert_int_equal(virtio_guest_doorbells(), 0);
	test_free(f);
	return 0;
}

uint64_t probe_get(struct probe_guest *f, unsigned reg, unsigned len)
{
	return virtio_guest_get(&f->guest, reg, len);
}

void probe_set(struct probe_guest *f, unsigned reg, unsigned len, uint64_t val)
{
	virtio_guest_set(&f->guest, reg, len, val);
}

uint64_t probe_status(struct probe_guest *f)
{
	return probe_get(f, VIRTIO_PCI_COMMON_STATUS, 1);
}

void probe_drive(struct probe_guest *f, uint64_t features, bool msix)
{
	assert_true(virtio_guest_negotiate(&f->guest, features));
	if (msix)
		virtio_guest_enable_msix(&f->guest, PROBE_QUEUES);
	for (unsigned q = 0; q < PROBE_QUEUES; q++) {
		virtio_guest_setup_queue(&f->guest, q, &f->drv[q], PROBE_RINGS(q), PROBE_QUEUE);
		f->drv[q].event_idx = features & F_EVENT_IDX;
	}
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL);
}

void probe_add_chain(struct probe_guest *f, unsigned q)
{
	vring_driver_add(&f->drv[q], &(struct vring_buf){ DATA, 16, true }, 1);
	if (vring_driver_expose(&f->drv[q]))
		virtio_guest_ring(&f->guest, q);
}

bool probe_take(struct probe_guest *f, unsigned q)
{
	uint16_t head;
	uint32_t len;

	return vring_driver_take(&f->drv[q], &head, &len);
}

static void nothing(void *arg)
{
}

void probe_settle(struct probe_guest *f)
{
	for (unsigned i = 0; i < 3; i++)
		loop_call(&f->guest.loop, nothing, NULL);
	usleep(1000 * SETTLE_MS);
	loop_call(&f->guest.loop, nothing, NULL);
}
