/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI transport with a device class made for the test: queue 0 gives every chain back at once,
 * queue 1 keeps what it pops until the device is stopped. [virtio-1.2 4.1 Virtio Over PCI Bus]
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/virtio_pci.h"
#include "virtio_guest.h"

#define ECHO        0u
#define KEEPER      1u
#define QUEUES      2u
#define QUEUE       16u
#define RINGS(q)    (0x1000u + (q)*0x1000u)
#define DATA        0x100000u
#define TIMEOUT     10000u /* for what must happen */
#define NOTHING     20u    /* for what must not */
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_CLASS     (1ull << 3) /* the class's own feature */
#define ID          63u
#define STATUS_ALL                                                                            \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

static const uint8_t config[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

struct probe {
	struct virtio_pci vdev;
	uint16_t kept[QUEUE];
	unsigned kept_count;
	atomic_uint starts, stops;
	uint64_t features_at_start;
	pthread_t stop_thread;
};

struct fixture {
	struct virtio_guest guest;
	struct probe *probe;
	struct vring_driver drv[QUEUES];
};

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
	struct iovec iov[QUEUE];
	struct virtqueue_chain chain;

	while (virtqueue_pop(vq, iov, &chain)) {
		if (queue == ECHO)
			virtqueue_push(vq, chain.head, 1);
		else
			probe->kept[probe->kept_count++] = chain.head;
	}
}

static void probe_stop(struct virtio_pci *vdev)
{
	struct probe *probe = probe_of(vdev);

	while (probe->kept_count)
		virtqueue_push(&vdev->queues[KEEPER].vq, probe->kept[--probe->kept_count], 2);
	virtio_pci_publish(vdev, KEEPER);
	probe->stop_thread = pthread_self();
	atomic_fetch_add(&probe->stops, 1);
}

static void probe_destroy(struct device *dev)
{
	struct probe *probe = container_of(dev, struct probe, vdev.pci.device);

	virtio_pci_fini(&probe->vdev);
	free(probe);
}

static const struct device_ops probe_device_ops = { virtio_pci_reset, probe_destroy };

static const struct virtio_class probe_class = {
	.name = "probe",
	.id = ID,
	.pci_class = 0xff0000,
	.queues = QUEUES,
	.queue_size = QUEUE,
	.config_len = sizeof(config),
	.device_ops = &probe_device_ops,
	.start = probe_start,
	.notify = probe_notify,
	.stop = probe_stop,
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	virtio_guest_init(&f->guest);
	f->probe = calloc(1, sizeof(*f->probe));
	if (virtio_pci_init(&f->probe->vdev, &f->guest.board, &f->guest.loop, &probe_class, F_CLASS,
			    config) < 0)
		return -1;
	virtio_guest_plug(&f->guest, &f->probe->vdev.pci);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->guest);
	assert_int_equal(virtio_guest_doorbells(), 0);
	test_free(f);
	return 0;
}

static uint64_t get(struct fixture *f, unsigned reg, unsigned len)
{
	return virtio_guest_get(&f->guest, reg, len);
}

static void set(struct fixture *f, unsigned reg, unsigned len, uint64_t val)
{
	virtio_guest_set(&f->guest, reg, len, val);
}

static uint64_t status(struct fixture *f)
{
	return get(f, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void drive(struct fixture *f, uint64_t features, bool msix)
{
	assert_true(virtio_guest_negotiate(&f->guest, features));
	if (msix)
		virtio_guest_enable_msix(&f->guest, QUEUES);
	for (unsigned q = 0; q < QUEUES; q++) {
		virtio_guest_setup_queue(&f->guest, q, &f->drv[q], RINGS(q), QUEUE);
		f->drv[q].event_idx = features & F_EVENT_IDX;
	}
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(status(f), STATUS_ALL);
}

static void add_chain(struct fixture *f, unsigned q)
{
	vring_driver_add(&f->drv[q], &(struct vring_buf){ DATA, 16, true }, 1);
	if (vring_driver_expose(&f->drv[q]))
		virtio_guest_ring(&f->guest, q);
}

static bool take(struct fixture *f, unsigned q)
{
	uint16_t head;
	uint32_t len;

	return vring_driver_take(&f->drv[q], &head, &len);
}

/* Waits until everything that was signalled to the loop has been handled. */
static void nothing(void *arg)
{
}

static void settle(struct fixture *f)
{
	for (unsigned i = 0; i < 3; i++)
		loop_call(&f->guest.loop, nothing, NULL);
	usleep(1000 * NOTHING);
	loop_call(&f->guest.loop, nothing, NULL);
}

/* --- what PCI sees --- */

static void identity_of_a_modern_device(void **state)
{
	struct virtio_guest *g = &((struct fixture *)*state)->guest;

	assert_int_equal(virtio_guest_config_read(g, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(virtio_guest_config_read(g, PCI_DEVICE_ID, 2), 0x1040 + ID);
	assert_true(virtio_guest_config_read(g, PCI_REVISION_ID, 1) >= 1);
	assert_true(virtio_guest_config_read(g, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(virtio_guest_config_read(g, PCI_CLASS_REVISION, 4) >> 8, 0xff0000);
	assert_int_equal(virtio_guest_config_read(g, PCI_INTERRUPT_PIN, 1), 1);
}

static void bar_is_small_32_bit_and_not_prefetchable(void **state)
{
	struct virtio_guest *g = &((struct fixture *)*state)->guest;

	virtio_guest_config_write(g, PCI_COMMAND, 2, 0);
	virtio_guest_config_write(g, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(virtio_guest_config_read(g, PCI_BASE_ADDRESS_0, 4), 0xffff8000);
	virtio_guest_config_write(g, PCI_BASE_ADDRESS_0 + 4, 4, 0xffffffff);
	assert_int_equal(virtio_guest_config_read(g, PCI_BASE_ADDRESS_0 + 4, 4), 0);
}

static void capabilities_lie_in_the_bar_a_page_each(void **state)
{
	struct virtio_guest *g = &((struct fixture *)*state)->guest;
	uint64_t size = g->dev->bars[0].size;
	unsigned pages = 0;

	/* [virtio-1.2 4.1.4]: all five types but the last describe memory. */
	assert_int_equal(g->common_len, sizeof(struct virtio_pci_common_cfg));
	assert_int_equal(g->device_cfg_len, sizeof(config));
	assert_int_equal(g->notify_multiplier, 4);
	assert_true(g->cfg_cap && g->msix_cap);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t off[] = { g->common, g->notify, g->isr, g->device_cfg, g->msix_table };

		assert_true(off[i] < size && off[i] % 0x1000 == 0);
		assert_false(pages & 1u << off[i] / 0x1000);
		pages |= 1u << off[i] / 0x1000;
	}
}

static void window_in_config_space_reaches_the_bar(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;
	const unsigned data = g->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	/* It needs no memory decoding. */
	virtio_guest_config_write(g, PCI_COMMAND, 2, 0);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4,
				  (uint32_t)g->device_cfg + 4);
	assert_int_equal(virtio_guest_config_read(g, data, 4), 0x08070605);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4,
				  (uint32_t)g->common + VIRTIO_PCI_COMMON_STATUS);
	virtio_guest_config_write(g, data, 4, 0xffffff00 | VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(virtio_guest_config_read(g, data, 1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	assert_int_equal(status(f), VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void window_aimed_badly_does_nothing(void **state)
{
	static const struct {
		uint32_t bar, off, len;
	} bad[] = {
		{ 1, 0, 4 }, { 0, 0, 0 },      { 0, 0, 3 },          { 0, 0, 8 },
		{ 0, 2, 4 }, { 0, 0x8000, 4 }, { 0, 0xfffffffc, 4 }, { 0, 0, 0xffffffff },
	};
	struct virtio_guest *g = &((struct fixture *)*state)->guest;
	const unsigned data = g->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_BAR, 1, bad[i].bar);
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4, bad[i].off);
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, bad[i].len);
		virtio_guest_config_write(g, data, 4, 0xa5a5a5a5);
		assert_int_equal(virtio_guest_config_read(g, data, 4), 0xa5a5a5a5);
	}
	assert_int_equal(virtio_guest_get(g, VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
}

static void device_configuration_reads_at_any_width(void **state)
{
	struct virtio_guest *g = &((struct fixture *)*state)->guest;

	assert_int_equal(virtio_guest_read(g, g->device_cfg, 1), 1);
	assert_int_equal(virtio_guest_read(g, g->device_cfg + 1, 2), 0x0302);
	assert_true(virtio_guest_read(g, g->device_cfg, 8) == 0x0807060504030201);
	assert_int_equal(virtio_guest_read(g, g->device_cfg + 8, 4), 0); /* past its end */
	virtio_guest_write(g, g->device_cfg, 1, 0x55);
	assert_int_equal(virtio_guest_read(g, g->device_cfg, 1), 1);
	assert_int_equal(virtio_guest_get(g, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0);
}

/* --- negotiation --- */

static void features_read_by_halves(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4),
			 F_CLASS | F_EVENT_IDX | 1u << VIRTIO_RING_F_INDIRECT_DESC);
	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 1u << (VIRTIO_F_VERSION_1 - 32));
	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 0xffffffff);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void features_ok_only_for_a_subset(void **state)
{
	struct fixture *f = *state;

	assert_false(virtio_guest_negotiate(&f->guest, 1ull << 5));
	assert_false(virtio_guest_negotiate(&f->guest, 1ull << VIRTIO_F_ACCESS_PLATFORM));
	assert_true(virtio_guest_negotiate(&f->guest, F_CLASS));
}

static void version_1_is_mandatory(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	set(f, VIRTIO_PCI_COMMON_GF, 4, F_CLASS);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(status(f), 3);
}

static void features_are_fixed_by_features_ok(void **state)
{
	struct fixture *f = *state;

	drive(f, F_CLASS | F_EVENT_IDX, true);
	set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(f, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_GF, 4), F_CLASS | F_EVENT_IDX);
	assert_int_equal(f->probe->features_at_start,
			 F_CLASS | F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1);
}

static void driver_ok_needs_features_ok(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3 | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(status(f), 3);
	assert_int_equal(atomic_load(&f->probe->starts), 0);
}

static void status_bits_are_cleared_by_reset_only(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(status(f), STATUS_ALL);
	/* Bits that are the device's, and starting twice. */
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, STATUS_ALL | VIRTIO_CONFIG_S_NEEDS_RESET | 0x30);
	assert_int_equal(status(f), STATUS_ALL);
	assert_int_equal(atomic_load(&f->probe->starts), 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, STATUS_ALL | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(status(f), STATUS_ALL | VIRTIO_CONFIG_S_FAILED);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(f), 0);
}

/* --- queues --- */

static void absent_queue_has_size_zero(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES - 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	for (unsigned q = QUEUES; q < 0x10000; q += 0x1fff) {
		set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), q);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
		set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000);
		set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
}

static void queue_size_must_be_a_power_of_two_up_to_ours(void **state)
{
	static const unsigned bad[] = { 0, 3, 2 * QUEUE, 0xffff };
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, bad[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	}
	set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 4);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
}

static void queue_registers_are_fixed_once_enabled(void **state)
{
	struct fixture *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, 0, &f->drv[0], RINGS(0), QUEUE);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10);
	set(f, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x10);
	set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), RINGS(0));
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void rings_outside_ram_are_refused(void **state)
{
	static const uint64_t bad[] = { VIRTIO_GUEST_RAM, VIRTIO_GUEST_RAM - 16, 8, UINT64_MAX - 15,
					1ull << 40 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(virtio_guest_negotiate(&f->guest, 0));
		set(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x2000);
		set(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x3000);
		/* All 64 bits at once: some drivers do. */
		set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8, bad[i]);
		assert_true(get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8) == bad[i]);
		set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
}

static void queue_is_not_enabled_while_the_device_runs(void **state)
{
	struct fixture *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, ECHO, &f->drv[ECHO], RINGS(ECHO), QUEUE);
	virtio_guest_driver_ok(&f->guest);
	virtio_guest_setup_queue(&f->guest, KEEPER, &f->drv[KEEPER], RINGS(KEEPER), QUEUE);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	/* Nobody answers its doorbell. */
	add_chain(f, KEEPER);
	settle(f);
	assert_int_equal(f->probe->kept_count, 0);
}

static void writes_of_a_wrong_width_are_ignored(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_STATUS, 2, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 4, 1);
	set(f, VIRTIO_PCI_COMMON_Q_SIZE, 1, 4);
	set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0x10);
	set(f, VIRTIO_PCI_COMMON_Q_DESCLO + 2, 4, 0x10);
	assert_int_equal(status(f), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	assert_int_equal(get(f, 0xff8, 8), 0);
}

/* --- doorbells --- */

static void doorbell_reaches_the_queue(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	assert_int_equal(virtio_guest_doorbells(), QUEUES);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + ECHO, TIMEOUT));
	assert_true(take(f, ECHO));
	assert_false(take(f, ECHO));
}

static void trapped_doorbell_works_as_well(void **state)
{
	struct fixture *f = *state;

	virtio_guest_refuse_doorbells(true);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR + 0x10000);
	assert_int_equal(virtio_guest_doorbells(), 0);
	drive(f, F_EVENT_IDX, true);
	for (unsigned i = 0; i < 100; i++) {
		vring_driver_want_interrupt_after(&f->drv[ECHO], f->drv[ECHO].used_seen);
		add_chain(f, ECHO);
		assert_true(virtio_guest_wait_vector(&f->guest, 1 + ECHO, TIMEOUT));
		assert_true(take(f, ECHO));
	}
	/* Behind the last queue there is nothing to ring. */
	virtio_guest_write(&f->guest, f->guest.notify + QUEUES * f->guest.notify_multiplier, 2, 0);
}

static void doorbells_move_with_the_bar(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	virtio_guest_config_write(&f->guest, PCI_COMMAND, 2, 0);
	assert_int_equal(virtio_guest_doorbells(), 0);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR + 0x100000);
	assert_int_equal(virtio_guest_doorbells(), QUEUES);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + ECHO, TIMEOUT));
}

static uint64_t other_read(void *dev, uint64_t off, unsigned len)
{
	return 0x77;
}

static void other_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static void bar_that_collides_is_not_reached(void **state)
{
	static const struct bus_ops ops = { other_read, other_write };
	struct fixture *f = *state;
	struct bus_range other = { .base = 0xd0001000, .size = 4, .ops = &ops };

	assert_int_equal(bus_add(&f->guest.mmio, &other), 0);
	virtio_guest_map_bar(&f->guest, 0xd0000000);
	assert_int_equal(virtio_guest_doorbells(), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	bus_remove(&f->guest.mmio, &other);
}

static void nothing_is_consumed_before_driver_ok(void **state)
{
	struct fixture *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_enable_msix(&f->guest, QUEUES);
	virtio_guest_setup_queue(&f->guest, ECHO, &f->drv[ECHO], RINGS(ECHO), QUEUE);
	add_chain(f, ECHO);
	settle(f);
	assert_false(take(f, ECHO));
	assert_false(virtio_guest_wait_vector(&f->guest, 1 + ECHO, 0));
	/* What was added and rung too early is not lost either. */
	virtio_guest_driver_ok(&f->guest);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + ECHO, TIMEOUT));
	assert_true(take(f, ECHO));
}

static void spurious_doorbells_are_harmless(void **state)
{
	struct fixture *f = *state;

	drive(f, F_EVENT_IDX, true);
	for (unsigned i = 0; i < 100; i++) {
		virtio_guest_ring(&f->guest, ECHO);
		virtio_guest_ring(&f->guest, KEEPER);
	}
	settle(f);
	assert_false(virtio_guest_wait_vector(&f->guest, 1 + ECHO, 0));
	assert_int_equal(status(f), STATUS_ALL);
}

/* --- interrupts --- */

static void vector_that_does_not_exist_reads_back_as_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(f, VIRTIO_PCI_COMMON_MSIX, 2, QUEUES);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), QUEUES);
	set(f, VIRTIO_PCI_COMMON_MSIX, 2, QUEUES + 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0x7ff);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
}

static void queue_without_a_vector_makes_no_interrupt(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, ECHO);
	set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	add_chain(f, ECHO);
	settle(f);
	assert_true(take(f, ECHO));
	for (unsigned v = 0; v <= QUEUES; v++)
		assert_false(virtio_guest_wait_vector(&f->guest, v, 0));
	assert_true(virtio_guest_wait_line(&f->guest, false, 0));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
}

static void intx_follows_the_isr(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;

	drive(f, 0, false);
	assert_true(virtio_guest_wait_line(g, false, 0));
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_line(g, true, TIMEOUT));
	assert_true(virtio_guest_config_read(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(virtio_guest_read(g, g->isr, 1), 1);
	assert_true(virtio_guest_wait_line(g, false, 0));
	assert_int_equal(virtio_guest_read(g, g->isr, 1), 0);
	assert_false(virtio_guest_config_read(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	/* Reading beside it clears nothing. */
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_line(g, true, TIMEOUT));
	assert_int_equal(virtio_guest_read(g, g->isr + 1, 1), 0);
	assert_true(virtio_guest_wait_line(g, true, 0));
}

static void intx_can_be_disabled(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;
	const uint32_t on = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	drive(f, 0, false);
	virtio_guest_config_write(g, PCI_COMMAND, 2, on | PCI_COMMAND_INTX_DISABLE);
	add_chain(f, ECHO);
	settle(f);
	assert_true(virtio_guest_wait_line(g, false, 0));
	virtio_guest_config_write(g, PCI_COMMAND, 2, on);
	assert_true(virtio_guest_wait_line(g, true, 0));
	/* MSI-X takes its place. */
	virtio_guest_config_write(g, g->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_true(virtio_guest_wait_line(g, false, 0));
}

static void reset_clears_the_isr_and_the_line(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, false);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_line(&f->guest, true, TIMEOUT));
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_true(virtio_guest_wait_line(&f->guest, false, 0));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
}

static void broken_queue_needs_reset(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	f->drv[ECHO].avail_idx = QUEUE + 1;
	(void)vring_driver_expose(&f->drv[ECHO]);
	virtio_guest_ring(&f->guest, ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, TIMEOUT));
	assert_int_equal(status(f), STATUS_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
	/* Said once. The other queue goes on. */
	virtio_guest_ring(&f->guest, ECHO);
	add_chain(f, KEEPER);
	settle(f);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, 0));
	assert_int_equal(f->probe->kept_count, 1);
	/* A reset heals. */
	drive(f, 0, true);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + ECHO, TIMEOUT));
}

static void broken_queue_raises_intx_with_the_configuration_bit(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, false);
	f->drv[ECHO].avail_idx = QUEUE + 1;
	(void)vring_driver_expose(&f->drv[ECHO]);
	virtio_guest_ring(&f->guest, ECHO);
	assert_true(virtio_guest_wait_line(&f->guest, true, TIMEOUT));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
}

/* --- reset --- */

static void reset_drains_in_flight_chains_on_the_loop(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	for (unsigned i = 0; i < 5; i++)
		add_chain(f, KEEPER);
	settle(f);
	assert_int_equal(f->probe->kept_count, 5);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(f), 0);
	assert_int_equal(f->probe->kept_count, 0);
	assert_int_equal(atomic_load(&f->probe->stops), 1);
	assert_true(pthread_equal(f->probe->stop_thread, f->guest.loop.thread));
	for (unsigned i = 0; i < 5; i++)
		assert_true(take(f, KEEPER));
	/* Nothing runs any more: the rings are the driver's. */
	add_chain(f, ECHO);
	settle(f);
	assert_false(take(f, ECHO));
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(atomic_load(&f->probe->stops), 1);
}

static void destroying_drains_too(void **state)
{
	struct fixture *f = *state;

	drive(f, 0, true);
	for (unsigned i = 0; i < 5; i++)
		add_chain(f, KEEPER);
	settle(f);
	virtio_guest_unplug(&f->guest);
	for (unsigned i = 0; i < 5; i++)
		assert_true(take(f, KEEPER));
}

static void machine_reset_is_a_power_on(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;

	drive(f, 0, false);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_line(g, true, TIMEOUT));
	virtio_guest_enable_msix(g, QUEUES);
	g->dev->device.ops->reset(&g->dev->device);
	assert_true(virtio_guest_wait_line(g, false, 0));
	assert_int_equal(virtio_guest_doorbells(), 0);
	assert_false(g->dev->bars[0].mapped);
	assert_int_equal(virtio_guest_config_read(g, PCI_COMMAND, 2), 0);
	assert_false(virtio_guest_config_read(g, g->msix_cap + PCI_MSIX_FLAGS, 2) &
		     PCI_MSIX_FLAGS_ENABLE);
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	assert_int_equal(status(f), 0);
	drive(f, 0, true);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_vector(g, 1 + ECHO, TIMEOUT));
}

/* --- storms --- */

struct ringer {
	struct fixture *f;
	atomic_bool stop;
};

static void *ring_on(void *arg)
{
	struct ringer *r = arg;
	struct virtio_guest *g = &r->f->guest;

	while (!atomic_load(&r->stop)) {
		virtio_guest_write(g, g->notify, 2, 0);
		virtio_guest_write(g, g->notify + g->notify_multiplier, 2, 1);
		virtio_guest_read(g, g->isr, 1);
	}
	return NULL;
}

static void resets_under_a_storm_of_doorbells(void **state)
{
	struct fixture *f = *state;
	struct ringer ringer = { .f = f };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ring_on, &ringer), 0);
	for (unsigned i = 0; i < 300; i++) {
		drive(f, i & 1 ? F_EVENT_IDX : 0, i & 2);
		for (unsigned n = 0; n < 8; n++) {
			add_chain(f, ECHO);
			add_chain(f, KEEPER);
		}
		set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		assert_int_equal(f->probe->kept_count, 0);
	}
	atomic_store(&ringer.stop, true);
	pthread_join(thread, NULL);
}

static void random_accesses(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;

	srandom(1);
	for (unsigned i = 0; i < 50000; i++) {
		static const unsigned lens[] = { 1, 2, 4, 8 };
		unsigned len = lens[random() % 4];
		uint64_t off = (uint64_t)random() % 8 * 0x1000 +
			       (uint64_t)random() % (random() & 1 ? 0x40 : 0x1000);
		uint64_t val = random() & 1 ? (uint64_t)random() % 16
					    : (uint64_t)random() << 33 ^ (uint64_t)random();

		if (random() & 1)
			virtio_guest_write(g, off, len, val);
		else
			virtio_guest_read(g, off, len);
		if (i % 64 == 0)
			virtio_guest_config_write(g, g->cfg_cap + (unsigned)random() % 5 * 4, 4,
						  (uint32_t)val);
		if (i % 1000 == 0) {
			virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
			(void)virtio_guest_negotiate(g, 0);
			virtio_guest_setup_queue(g, ECHO, &f->drv[ECHO], RINGS(ECHO), QUEUE);
			virtio_guest_driver_ok(g);
		}
	}
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	drive(f, 0, true);
	add_chain(f, ECHO);
	assert_true(virtio_guest_wait_vector(g, 1 + ECHO, TIMEOUT));
}

static void out_of_fds_fails_the_constructor(void **state)
{
	struct fixture *f = *state;
	struct probe *probe = calloc(1, sizeof(*probe));
	struct rlimit old, tight;
	int next = dup(0), r;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)next + 1; /* room for one doorbell of two */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	r = virtio_pci_init(&probe->vdev, &f->guest.board, &f->guest.loop, &probe_class, 0, config);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(r < 0);
	assert_non_null(strstr(err_text(), "probe: make a doorbell"));
	probe_destroy(&probe->vdev.pci.device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_of_a_modern_device),
		TEST(bar_is_small_32_bit_and_not_prefetchable),
		TEST(capabilities_lie_in_the_bar_a_page_each),
		TEST(window_in_config_space_reaches_the_bar),
		TEST(window_aimed_badly_does_nothing),
		TEST(device_configuration_reads_at_any_width),
		TEST(features_read_by_halves),
		TEST(features_ok_only_for_a_subset),
		TEST(version_1_is_mandatory),
		TEST(features_are_fixed_by_features_ok),
		TEST(driver_ok_needs_features_ok),
		TEST(status_bits_are_cleared_by_reset_only),
		TEST(absent_queue_has_size_zero),
		TEST(queue_size_must_be_a_power_of_two_up_to_ours),
		TEST(queue_registers_are_fixed_once_enabled),
		TEST(rings_outside_ram_are_refused),
		TEST(queue_is_not_enabled_while_the_device_runs),
		TEST(writes_of_a_wrong_width_are_ignored),
		TEST(doorbell_reaches_the_queue),
		TEST(trapped_doorbell_works_as_well),
		TEST(doorbells_move_with_the_bar),
		TEST(bar_that_collides_is_not_reached),
		TEST(nothing_is_consumed_before_driver_ok),
		TEST(spurious_doorbells_are_harmless),
		TEST(vector_that_does_not_exist_reads_back_as_none),
		TEST(queue_without_a_vector_makes_no_interrupt),
		TEST(intx_follows_the_isr),
		TEST(intx_can_be_disabled),
		TEST(reset_clears_the_isr_and_the_line),
		TEST(broken_queue_needs_reset),
		TEST(broken_queue_raises_intx_with_the_configuration_bit),
		TEST(reset_drains_in_flight_chains_on_the_loop),
		TEST(destroying_drains_too),
		TEST(machine_reset_is_a_power_on),
		TEST(resets_under_a_storm_of_doorbells),
		TEST(random_accesses),
		TEST(out_of_fds_fails_the_constructor),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
