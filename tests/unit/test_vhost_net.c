/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device that the kernel serves, as a driver sees it and as the kernel does: pairs,
 * offloads, interrupts, reset, and what a hostile driver may try.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/net/virtio_net_uapi.h"
#include "devices/vhost/vhost_net.h"
#include "devices/virtio/virtio_pci.h"
#include "fake_vhost.h"
#include "virtio_guest.h"

#define TIMEOUT   5000u
#define RINGS(q)  (0x10000u + (q)*0x10000u)
#define RING_SIZE 64u
#define COMMAND   0x200000u
#define PAIRS     2u
#define CONTROL   (2 * PAIRS)

#define F(n) (1ull << VIRTIO_NET_F_##n)

struct fixture {
	struct virtio_guest guest;
	struct vhost_net_files files;
	struct vring_driver drv[CONTROL + 1];
	struct virtio_pci *vdev;
};

static const uint8_t mac[ETH_ALEN] = { 0x52, 0x54, 0, 1, 2, 3 };

/* Lines about what the host cannot do. */
static atomic_uint errors_told;

void __wrap_log_msg(enum log_level level, const char *fmt, ...);
void __wrap_log_msg_limited(atomic_uint *count, enum log_level level, const char *fmt, ...);

void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	errors_told += level == LOG_ERROR;
}

void __wrap_log_msg_limited(atomic_uint *count, enum log_level level, const char *fmt, ...)
{
	errors_told += level == LOG_ERROR;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	errors_told = 0;
	virtio_guest_init(&f->guest);
	fake_vhost_init();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->guest);
	vhost_net_files_close(&f->files);
	assert_int_equal(fake_vhost_open_files(), 0);
	fake_vhost_fini();
	test_free(f);
	return 0;
}

static void plug(struct fixture *f, unsigned pairs)
{
	struct pci_dev *dev;

	assert_int_equal(vhost_net_files_open(&f->files, "tap0", pairs, false), 0);
	assert_int_equal(vhost_net_create(&f->guest.board, &f->guest.loop, &f->files, mac, &dev),
			 0);
	f->vdev = container_of(dev, struct virtio_pci, pci);
	virtio_guest_plug(&f->guest, dev);
}

static uint64_t offered(struct fixture *f)
{
	uint64_t features = 0;

	for (unsigned half = 0; half < 2; half++) {
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_DFSELECT, 4, half);
		features |= virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_DF, 4) << (32 * half);
	}
	return features;
}

static void set_queues(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		virtio_guest_setup_queue(&f->guest, i, &f->drv[i], RINGS(i), RING_SIZE);
}

/* A driver of all queues, with what Linux accepts. */
static void drive(struct fixture *f, uint64_t features)
{
	assert_true(virtio_guest_negotiate(&f->guest, features));
	virtio_guest_enable_msix(&f->guest, CONTROL + 1);
	set_queues(f, CONTROL + 1);
	virtio_guest_driver_ok(&f->guest);
}

static uint8_t status(struct fixture *f)
{
	return (uint8_t)virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1);
}

/* The answer to a command of `len` bytes with its header, on queue `queue`; -1: none came. */
static int ask(struct fixture *f, unsigned queue, const void *command, uint32_t len)
{
	const struct vring_buf bufs[] = { { COMMAND, len, false }, { COMMAND + 0x100, 1, true } };
	uint8_t *ack = mem_ptr(&f->guest.mem, COMMAND + 0x100, 1);
	uint16_t head;
	uint32_t used;

	*ack = 0xff;
	assert_true(mem_write(&f->guest.mem, COMMAND, command, len));
	vring_driver_add(&f->drv[queue], bufs, ARRAY_SIZE(bufs));
	vring_driver_expose(&f->drv[queue]);
	virtio_guest_ring(&f->guest, queue);
	for (unsigned i = 0; i < TIMEOUT; i++) {
		if (vring_driver_take(&f->drv[queue], &head, &used))
			return *ack;
		usleep(1000);
	}
	return -1;
}

static int ask_pairs(struct fixture *f, uint16_t pairs)
{
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				    (uint8_t)pairs, (uint8_t)(pairs >> 8) };

	return ask(f, CONTROL, command, sizeof(command));
}

static int ask_offloads(struct fixture *f, uint64_t features)
{
	uint8_t command[10] = { VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET };

	store_le(command + 2, 8, features);
	return ask(f, CONTROL, command, sizeof(command));
}

/* --- opening --- */

static void refused(const char *text, const char *hint)
{
	struct vhost_net_files files;

	assert_true(vhost_net_files_open(&files, "tap0", PAIRS, false) < 0);
	if (!strstr(err_text(), text) || !strstr(err_hint_text(), hint))
		fail_msg("'%s; %s' lacks '%s' or '%s'", err_text(), err_hint_text(), text, hint);
	assert_int_equal(fake_vhost_open_files(), 0);
}

static void who_cannot_open_it_is_told_what_to_do(void **state)
{
	(void)state;
	fake_vhost.no_vhost = -ENOENT;
	refused("/dev/vhost-net", "modprobe vhost_net");
	fake_vhost.no_vhost = -EACCES;
	refused("/dev/vhost-net", "chgrp kvm /dev/vhost-net");
	fake_vhost.no_tun = -ENOENT;
	refused("/dev/net/tun", "modprobe tun");
	fake_vhost.no_tun = 0;
	fake_vhost.tap = NULL;
	refused("tap0: there is no such interface", "ip tuntap add tap0 mode tap multi_queue user");
	fake_vhost.tap = "tap0";
	fake_vhost.foreign = true;
	refused("tap0: it belongs to another user", "ip tuntap add");
	fake_vhost.foreign = false;
	fake_vhost.busy = true;
	refused("another program has it open", "ip tuntap add");
	fake_vhost.multi_queue = false;
	refused("another program has it open", "ip tuntap add");
	fake_vhost.busy = false;
	fake_vhost.multi_queue = true;
	fake_vhost.other_kind = true;
	refused("it is no TAP interface", "");
	fake_vhost.other_kind = false;
	fake_vhost.multi_queue = false;
	refused("it has one queue, not 2", "multi_queue");
}

static void an_interface_of_one_queue_serves_who_takes_fewer(void **state)
{
	struct fixture *f = *state;

	fake_vhost.multi_queue = false;
	assert_int_equal(vhost_net_files_open(&f->files, "tap0", PAIRS, true), 0);
	assert_int_equal(f->files.tap.queues, 1);
	assert_int_equal(fake_vhost.header, sizeof(struct virtio_net_hdr_v1));
	assert_int_equal(fake_vhost.sndbuf, INT_MAX);
}

/* --- what is offered --- */

static void offered_is_what_vhost_and_the_interface_have(void **state)
{
	struct fixture *f = *state;
	const uint64_t all = F(CSUM) | F(GUEST_CSUM) | F(HOST_TSO4) | F(GUEST_TSO4) | F(HOST_TSO6) |
			     F(GUEST_TSO6) | F(HOST_ECN) | F(GUEST_ECN) | F(HOST_UFO) |
			     F(GUEST_UFO) | F(MRG_RXBUF) | F(MAC) | F(MTU) | F(STATUS) |
			     F(CTRL_VQ) | F(MQ) | F(CTRL_GUEST_OFFLOADS) | F_INDIRECT |
			     F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1;
	uint8_t config[12];

	plug(f, PAIRS);
	assert_int_equal(offered(f), all);
	for (unsigned i = 0; i < sizeof(config); i++)
		config[i] = (uint8_t)virtio_guest_read(&f->guest, f->guest.device_cfg + i, 1);
	assert_memory_equal(config, mac, sizeof(mac));
	assert_int_equal(load_le(config + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(load_le(config + 8, 2), PAIRS);
	assert_int_equal(load_le(config + 10, 2), 1500);
}

static void less_is_offered_where_there_is_less(void **state)
{
	struct fixture *f = *state;

	fake_vhost.offloads_known = TUN_F_CSUM;
	fake_vhost.features = 1ull << VIRTIO_F_VERSION_1;
	fake_vhost.mtu = 0;
	plug(f, 1);
	assert_int_equal(offered(f), F(CSUM) | F(GUEST_CSUM) | F(MAC) | F(STATUS) | F(CTRL_VQ) |
					     F(CTRL_GUEST_OFFLOADS) | 1ull << VIRTIO_F_VERSION_1);
}

static void segments_of_udp_are_offered_as_a_pair(void **state)
{
	struct fixture *f = *state;

	fake_vhost.offloads_known |= TUN_F_USO4 | TUN_F_USO6;
	plug(f, 1);
	assert_int_equal(offered(f) & (F(GUEST_USO4) | F(GUEST_USO6) | F(HOST_USO)),
			 F(GUEST_USO4) | F(GUEST_USO6) | F(HOST_USO));
}

/* --- running --- */

static void the_kernel_gets_ram_rings_and_eventfds(void **state)
{
	struct fixture *f = *state;
	struct fake_vring ring;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ) | F(MRG_RXBUF) | F_EVENT_IDX);
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_int_equal(fake_vhost.files[i].regions, f->guest.mem.count);
		assert_int_equal(fake_vhost.files[i].region.userspace_addr,
				 (uintptr_t)f->guest.mem.banks[0].hva);
		assert_int_equal(fake_vhost.files[i].region.memory_size, VIRTIO_GUEST_RAM);
		assert_int_equal(fake_vhost.files[i].features,
				 F(MRG_RXBUF) | F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1);
	}
	for (unsigned i = 0; i < 2 * PAIRS; i++) {
		ring = fake_vhost_ring(i);
		assert_int_equal(ring.size, RING_SIZE);
		assert_ptr_equal((void *)(uintptr_t)ring.addr.desc_user_addr, f->drv[i].desc);
		assert_ptr_equal((void *)(uintptr_t)ring.addr.avail_user_addr, f->drv[i].avail);
		assert_ptr_equal((void *)(uintptr_t)ring.addr.used_user_addr, f->drv[i].used);
		assert_int_equal(ring.kick, f->vdev->queues[i].doorbell.fd);
		assert_int_equal(ring.call, f->vdev->msix.vecs[1 + i].eventfd);
		/* One pair until the driver asks for more. */
		assert_int_equal(ring.backend >= 0, i < 2);
	}
	assert_int_equal(fake_vhost_attached(), 1);
}

static void pairs_run_as_the_driver_says(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost_attached(), 2);
	assert_true(fake_vhost_ring(2).backend >= 0 && fake_vhost_ring(3).backend >= 0);
	assert_int_not_equal(fake_vhost_ring(2).backend, fake_vhost_ring(0).backend);
	assert_int_equal(ask_pairs(f, 1), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost_attached(), 1);
	assert_int_equal(fake_vhost_ring(2).backend, -1);
	assert_int_equal(fake_vhost_ring(3).backend, -1);
	/* The first pair went on all the time. */
	assert_int_equal(fake_vhost_ring(0).backends, 1);
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	assert_true(fake_vhost_ring(3).backend >= 0);
	assert_false(fake_vhost.ring_changed_while_running);
}

static void a_driver_without_pairs_has_its_control_queue_behind_the_first(void **state)
{
	struct fixture *f = *state;
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0 };

	plug(f, PAIRS);
	assert_true(virtio_guest_negotiate(&f->guest, F(CTRL_VQ)));
	set_queues(f, 3);
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(ask(f, 2, command, sizeof(command)), VIRTIO_NET_ERR);
	assert_int_equal(fake_vhost_ring(2).size, 0);
	assert_true(fake_vhost_ring(1).backend >= 0);
}

static void offloads_are_those_of_the_driver(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ) | F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) |
			 F(CTRL_GUEST_OFFLOADS));
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	assert_int_equal(ask_offloads(f, F(GUEST_CSUM)), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM);
	assert_int_equal(ask_offloads(f, F(GUEST_CSUM) | F(GUEST_UFO)), VIRTIO_NET_ERR);
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM);
	/* Segments without checksums are none. */
	assert_int_equal(ask_offloads(f, F(GUEST_TSO4)), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost.offloads, 0);
	/* The next driver knows nothing of them. */
	drive(f, F(CTRL_VQ) | F(MQ) | F(GUEST_CSUM));
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM);
}

/* The kernel refuses one kind of UDP's segments, and ECN of no segments: a driver may have such. */
static void offloads_that_the_kernel_does_not_have_alone_are_left_out(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = F(CTRL_VQ) | F(MQ) | F(GUEST_CSUM) | F(CTRL_GUEST_OFFLOADS);

	fake_vhost.offloads_known |= TUN_F_USO4 | TUN_F_USO6;
	plug(f, PAIRS);
	drive(f, base | F(GUEST_USO4) | F(GUEST_TSO4));
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM | TUN_F_TSO4);
	drive(f, base | F(GUEST_ECN) | F(GUEST_UFO));
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM | TUN_F_UFO);
	assert_int_equal(ask_offloads(f, F(GUEST_CSUM) | F(GUEST_ECN)), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost.offloads, TUN_F_CSUM);
	assert_int_equal(errors_told, 0);
}

/* --- interrupts --- */

static void the_line_is_raised_without_msix(void **state)
{
	struct fixture *f = *state;
	int call;

	plug(f, PAIRS);
	assert_true(virtio_guest_negotiate(&f->guest, F(CTRL_VQ) | F(MQ)));
	set_queues(f, CONTROL + 1);
	virtio_guest_driver_ok(&f->guest);
	call = fake_vhost_ring(1).call;
	sys_eventfd_signal(call);
	assert_true(virtio_guest_wait_line(&f->guest, true, TIMEOUT));
	virtio_guest_enable_msix(&f->guest, CONTROL + 1);
	assert_int_not_equal(fake_vhost_ring(1).call, call);
	assert_int_equal(fake_vhost_ring(1).call, f->vdev->msix.vecs[2].eventfd);
}

static void a_ring_that_vhost_cannot_follow_asks_for_a_reset(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	sys_eventfd_signal(fake_vhost_ring(1).err);
	for (unsigned i = 0; i < TIMEOUT && !(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		usleep(1000);
	assert_true(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* --- the end of a driver --- */

static void a_reset_takes_the_rings_from_the_kernel(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		assert_int_equal(fake_vhost_ring(i).backend, -1);
	/* Another driver starts anew, with one pair. */
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_int_equal(fake_vhost_ring(0).backends, 2);
	assert_int_equal(fake_vhost_ring(2).backend, -1);
	assert_int_equal(fake_vhost_attached(), 1);
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	assert_false(fake_vhost.ring_changed_while_running);
}

static void an_end_of_the_machine_takes_the_rings_from_the_kernel(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	virtio_guest_unplug(&f->guest);
	assert_int_equal(fake_vhost_ring(0).backend, -1);
	assert_int_equal(fake_vhost_ring(1).backend, -1);
	assert_int_equal(fake_vhost_open_files(), 0);
}

/* What came too late for the driver that it was for is not for the next. */
static void errors_of_a_driver_end_with_it(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	loop_join_thread(&f->guest.loop);
	sys_eventfd_signal(fake_vhost_ring(0).err);
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_int_equal(loop_start_thread(&f->guest.loop, "again"), 0);
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* --- failures of the host --- */

static void a_start_that_fails_works_after_a_reset(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	fake_vhost.refuse = VHOST_NET_SET_BACKEND;
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_true(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	fake_vhost.refuse = 0;
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(fake_vhost_ring(0).backend >= 0);
}

static void a_failure_is_told_once_however_often_the_driver_asks(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ) | F(GUEST_CSUM) | F(CTRL_GUEST_OFFLOADS));
	fake_vhost.refuse = TUNSETOFFLOAD;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ask_offloads(f, 0), VIRTIO_NET_ERR);
	assert_int_equal(errors_told, 1);
	fake_vhost.refuse = 0;
	drive(f, F(CTRL_VQ) | F(MQ));
	fake_vhost.refuse = TUNSETQUEUE;
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_ERR);
	assert_int_equal(errors_told, 2);
}

static void a_ring_that_the_kernel_keeps_is_taken_with_its_file(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	assert_true(virtio_guest_negotiate(&f->guest, F(CTRL_VQ)));
	set_queues(f, 3);
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(fake_vhost_open_files(), 2);
	fake_vhost.refuse = VHOST_NET_SET_BACKEND;
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(fake_vhost_open_files(), 1);
	assert_int_equal(errors_told, 1);
	assert_false(virtio_guest_negotiate(&f->guest, F(CTRL_VQ)));
}

static void a_device_that_cannot_be_made_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *dev;

	fake_vhost.refuse = VHOST_SET_MEM_TABLE;
	assert_int_equal(vhost_net_files_open(&f->files, "tap0", PAIRS, false), 0);
	assert_true(vhost_net_create(&f->guest.board, &f->guest.loop, &f->files, mac, &dev) < 0);
	assert_non_null(strstr(err_text(), "/dev/vhost-net"));
	assert_int_equal(fake_vhost_open_files(), 0);
}

/* --- a hostile driver --- */

static void rings_outside_of_ram_never_reach_the_kernel(void **state)
{
	struct fixture *f = *state;
	static const uint64_t places[] = { VIRTIO_GUEST_RAM - 16, VIRTIO_GUEST_RAM, UINT64_MAX - 15,
					   VIRTIO_GUEST_BAR, 0x1003 };

	plug(f, PAIRS);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		assert_true(virtio_guest_negotiate(&f->guest, F(CTRL_VQ) | F(MQ)));
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)places[i]);
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_DESCHI, 4, places[i] >> 32);
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS(1));
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS(2));
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		virtio_guest_driver_ok(&f->guest);
		assert_false(fake_vhost_ring(0).has_addr);
		assert_int_equal(fake_vhost_ring(0).backend, -1);
	}
}

static void pairs_that_are_not_there_are_refused(void **state)
{
	struct fixture *f = *state;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	assert_int_equal(ask_pairs(f, 0), VIRTIO_NET_ERR);
	assert_int_equal(ask_pairs(f, PAIRS + 1), VIRTIO_NET_ERR);
	assert_int_equal(ask_pairs(f, 0x8000), VIRTIO_NET_ERR);
	assert_int_equal(fake_vhost_attached(), 1);
	/* Nor is one whose rings the driver has not set up. */
	assert_true(virtio_guest_negotiate(&f->guest, F(CTRL_VQ) | F(MQ)));
	set_queues(f, 3);
	virtio_guest_setup_queue(&f->guest, CONTROL, &f->drv[CONTROL], RINGS(CONTROL), RING_SIZE);
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_ERR);
	assert_int_equal(fake_vhost_attached(), 1);
	assert_int_equal(fake_vhost_ring(2).backend, -1);
}

static void commands_of_any_length_are_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t command[64] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2 };

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ) | F(CTRL_GUEST_OFFLOADS));
	for (uint32_t len = 1; len <= sizeof(command); len++) {
		if (len != 4)
			assert_int_equal(ask(f, CONTROL, command, len), VIRTIO_NET_ERR);
	}
	command[0] = VIRTIO_NET_CTRL_GUEST_OFFLOADS;
	for (uint32_t len = 1; len <= sizeof(command); len++) {
		if (len != 10)
			assert_int_equal(ask(f, CONTROL, command, len), VIRTIO_NET_ERR);
	}
	command[0] = VIRTIO_NET_CTRL_MAC;
	assert_int_equal(ask(f, CONTROL, command, 8), VIRTIO_NET_ERR);
	assert_int_equal(fake_vhost_attached(), 1);
}

static void a_command_without_room_for_an_answer_does_no_harm(void **state)
{
	struct fixture *f = *state;
	const struct vring_buf bufs[] = { { COMMAND, 4, false } };
	uint16_t head;
	uint32_t len;
	unsigned waited = 0;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	vring_driver_add(&f->drv[CONTROL], bufs, ARRAY_SIZE(bufs));
	vring_driver_expose(&f->drv[CONTROL]);
	virtio_guest_ring(&f->guest, CONTROL);
	while (!vring_driver_take(&f->drv[CONTROL], &head, &len) && waited++ < TIMEOUT)
		usleep(1000);
	assert_int_equal(len, 0);
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
}

static void what_is_so_already_is_not_set_again(void **state)
{
	struct fixture *f = *state;
	unsigned changes;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ) | F(GUEST_CSUM) | F(CTRL_GUEST_OFFLOADS));
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	changes = fake_vhost.tap_changes;
	assert_int_equal(ask_pairs(f, 2), VIRTIO_NET_OK);
	assert_int_equal(ask_offloads(f, F(GUEST_CSUM)), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost.tap_changes, changes);
	assert_int_equal(ask_offloads(f, 0), VIRTIO_NET_OK);
	assert_int_equal(fake_vhost.tap_changes, changes + 1);
	assert_int_equal(fake_vhost.offloads, 0);
}

/* Runs once a turn of the loop. */
struct watcher {
	struct loop_event event;
	struct loop *loop;
	unsigned changes, most, last;
};

static void watch(struct loop_event *event)
{
	struct watcher *w = container_of(event, struct watcher, event);

	w->most = MAX(w->most, fake_vhost.tap_changes - w->changes);
	w->changes = fake_vhost.tap_changes;
	if (w->changes < w->last)
		loop_post(w->loop, event);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void others_have_their_turn_between_many_commands(void **state)
{
	struct fixture *f = *state;
	struct watcher w = { .event = { .fn = watch }, .loop = &f->guest.loop };
	struct vring_driver *drv = &f->drv[CONTROL];
	uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0, 0 };
	unsigned answered = 0, waited = 0;
	uint16_t head;
	uint32_t len;

	plug(f, PAIRS);
	drive(f, F(CTRL_VQ) | F(MQ));
	for (uint32_t i = 0; i < RING_SIZE / 2; i++) {
		const struct vring_buf bufs[] = { { COMMAND + 8 * i, sizeof(command), false },
						  { COMMAND + 0x1000 + i, 1, true } };

		command[2] = i % 2 ? 1 : 2;
		assert_true(mem_write(&f->guest.mem, bufs[0].gpa, command, sizeof(command)));
		vring_driver_add(drv, bufs, ARRAY_SIZE(bufs));
	}
	w.changes = fake_vhost.tap_changes;
	w.last = w.changes + RING_SIZE / 2;
	loop_post(w.loop, &w.event);
	vring_driver_expose(drv);
	virtio_guest_ring(&f->guest, CONTROL);
	while (answered < RING_SIZE / 2 && waited++ < TIMEOUT) {
		if (vring_driver_take(drv, &head, &len))
			answered++;
		else
			usleep(1000);
	}
	assert_int_equal(answered, RING_SIZE / 2);
	do
		loop_call(w.loop, nothing, NULL);
	while (w.changes < w.last && waited++ < TIMEOUT);
	assert_int_equal(w.changes, w.last);
	assert_in_range(w.most, 1, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(who_cannot_open_it_is_told_what_to_do),
		T(an_interface_of_one_queue_serves_who_takes_fewer),
		T(offered_is_what_vhost_and_the_interface_have),
		T(less_is_offered_where_there_is_less),
		T(segments_of_udp_are_offered_as_a_pair),
		T(the_kernel_gets_ram_rings_and_eventfds),
		T(pairs_run_as_the_driver_says),
		T(a_driver_without_pairs_has_its_control_queue_behind_the_first),
		T(offloads_are_those_of_the_driver),
		T(offloads_that_the_kernel_does_not_have_alone_are_left_out),
		T(the_line_is_raised_without_msix),
		T(a_ring_that_vhost_cannot_follow_asks_for_a_reset),
		T(a_reset_takes_the_rings_from_the_kernel),
		T(an_end_of_the_machine_takes_the_rings_from_the_kernel),
		T(errors_of_a_driver_end_with_it),
		T(a_start_that_fails_works_after_a_reset),
		T(a_failure_is_told_once_however_often_the_driver_asks),
		T(a_ring_that_the_kernel_keeps_is_taken_with_its_file),
		T(a_device_that_cannot_be_made_leaves_nothing),
		T(rings_outside_of_ram_never_reach_the_kernel),
		T(pairs_that_are_not_there_are_refused),
		T(commands_of_any_length_are_answered),
		T(a_command_without_room_for_an_answer_does_no_harm),
		T(what_is_so_already_is_not_set_again),
		T(others_have_their_turn_between_many_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
