/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from the network device's driver to the stream: what a batch costs, what happens when the
 * stream is full, and what no frame is. [virtio-1.2 5.1.6.2 Packet Transmission]
 */
#include <linux/virtio_pci.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cmocka_all.h"
#include "net_guest.h"

/* System calls of the device's loop. */
static atomic_uint sends, waits;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	sends++;
	return __real_sendmsg(fd, msg, flags);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
	waits++;
	return __real_epoll_wait(fd, events, most, timeout);
}

static void frame_goes_out(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, 0);
	net_guest_add(g, FRAME, 1);
	net_guest_send(g);
	net_guest_peer_reads(g, FRAME, 1);
	assert_int_equal(net_guest_sent(g), 1);
	assert_true(net_guest_peer_idle(g));
	assert_true(virtio_guest_wait_vector(&g->guest, 1 + TX, 2000));
}

static void longest_and_shortest_frames_go_out(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, 0);
	net_guest_add(g, 65535, 1);
	net_guest_add(g, 14, 2);
	net_guest_send(g);
	net_guest_peer_reads(g, 65535, 1);
	net_guest_peer_reads(g, 14, 2);
	assert_int_equal(net_guest_sent(g), 2);
}

/* 21 of these are what a UNIX socket takes as one piece. */
static void batch_costs_one_system_call(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_EVENT_IDX);
	for (unsigned i = 0; i < 42; i++)
		net_guest_add(g, FRAME, i);
	sends = waits = 0;
	net_guest_send(g);
	assert_int_equal(sends, 2);
	for (unsigned i = 0; i < 42; i++)
		net_guest_peer_reads(g, FRAME, i);
	assert_int_equal(net_guest_sent(g), 42);
}

/* More than a turn's worth, and more parts than a call takes. */
static void many_frames_of_many_parts_go_out_in_order(void **state)
{
	struct net_guest *g = *state;
	unsigned nr = 0;

	net_guest_drive(g, F_INDIRECT | F_EVENT_IDX);
	for (unsigned round = 0; round < 10; round++) {
		const unsigned first = nr;

		g->tx_next = NET_GUEST_TX;
		for (unsigned i = 0; i < 60; i++, nr++) {
			static struct vring_buf bufs[256];
			const size_t len = 64 + nr % 2000;
			const unsigned parts = 2 + nr % 60;
			const uint64_t table = NET_GUEST_RX + i * 4096;
			uint8_t *p = mem_ptr(&g->guest.mem, g->tx_next, NET_HDR + len);

			memset(p, 0, NET_HDR);
			net_guest_fill(p + NET_HDR, len, nr);
			for (unsigned k = 0; k + 1 < parts; k++)
				bufs[k] = (struct vring_buf){ g->tx_next + k, 1, false };
			bufs[parts - 1] =
				(struct vring_buf){ g->tx_next + parts - 1,
						    (uint32_t)(NET_HDR + len - parts + 1), false };
			vring_driver_add_indirect(&g->drv[TX], table, bufs, parts);
			g->tx_next += NET_HDR + len;
		}
		net_guest_send(g);
		for (unsigned i = first; i < nr; i++)
			net_guest_peer_reads(g, 64 + i % 2000, i);
		net_guest_settle(g);
		assert_int_equal(net_guest_sent(g), 60);
	}
}

/* What does not fit waits in the driver's ring, and no byte is lost or sent twice. */
static void full_stream_holds_the_driver_up(void **state)
{
	struct net_guest *g = *state;
	unsigned sent;

	net_guest_drive(g, F_EVENT_IDX);
	for (unsigned i = 0; i < 100; i++)
		net_guest_add(g, 30000 + i, i);
	net_guest_send(g);
	sent = net_guest_sent(g);
	assert_in_range(sent, 0, 99);
	/* Nothing is tried again and again meanwhile, and no doorbell is wanted. */
	waits = sends = 0;
	net_guest_add(g, 100, 100);
	assert_false(vring_driver_expose(&g->drv[TX]));
	net_guest_settle(g);
	assert_int_equal(sends, 0);
	assert_in_range(waits, 0, 8); /* the test's own */
	for (unsigned i = 0; i < 100; i++)
		net_guest_peer_reads(g, 30000 + i, i);
	net_guest_peer_reads(g, 100, 100);
	net_guest_settle(g);
	assert_int_equal(sent + net_guest_sent(g), 101);
	assert_true(net_guest_peer_idle(g));
	/* And doorbells are back. */
	net_guest_add(g, FRAME, 5);
	assert_true(vring_driver_expose(&g->drv[TX]));
	virtio_guest_ring(&g->guest, TX);
	net_guest_peer_reads(g, FRAME, 5);
}

/* The stream's other end waits for the rest of a frame, whatever happens to the guest. */
static void frame_begun_is_sent_whole_though_the_driver_resets(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, 0);
	net_guest_add(g, 60000, 1);
	net_guest_add(g, FRAME, 2);
	net_guest_send(g);
	assert_int_equal(net_guest_sent(g), 0);
	assert_false(net_guest_peer_idle(g));
	virtio_guest_set(&g->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	memset(mem_ptr(&g->guest.mem, NET_GUEST_TX, 60000), 0xff, 60000);
	net_guest_drive(g, 0);
	net_guest_add(g, FRAME, 3);
	net_guest_send(g);
	net_guest_peer_reads(g, 60000, 1);
	net_guest_peer_reads(g, FRAME, 3);
	net_guest_settle(g);
	assert_int_equal(net_guest_sent(g), 1);
	assert_true(net_guest_peer_idle(g));
}

static void broken_frames_are_dropped_and_others_go_out(void **state)
{
	struct net_guest *g = *state;
	struct virtio_net_hdr_v1 *hdr;

	net_guest_drive(g, 0);
	/* No more than a part of a header. */
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, 11, false }, 1);
	/* A header alone. */
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, NET_HDR, false }, 1);
	/* Too short. */
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, NET_HDR + 13, false }, 1);
	/* Too long, by one and by far. */
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, NET_HDR + 65536, false },
			 1);
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, 16 * MiB, false }, 1);
	/* Nothing to read. */
	vring_driver_add(&g->drv[TX], &(struct vring_buf){ NET_GUEST_RX, 2048, true }, 1);
	/* With an offload that was not offered. */
	hdr = mem_ptr(&g->guest.mem, g->tx_next, sizeof(*hdr));
	net_guest_add(g, FRAME, 1);
	hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	net_guest_add(g, FRAME, 2);
	net_guest_send(g);
	net_guest_peer_reads(g, FRAME, 2);
	assert_true(net_guest_peer_idle(g));
	assert_int_equal(net_guest_sent(g), 8);
}

#define TEST(f)       cmocka_unit_test_setup_teardown(f, net_guest_setup, net_guest_teardown)
#define SMALL_TEST(f) cmocka_unit_test_setup_teardown(f, net_guest_setup_small, net_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frame_goes_out),
		TEST(longest_and_shortest_frames_go_out),
		TEST(batch_costs_one_system_call),
		TEST(many_frames_of_many_parts_go_out_in_order),
		TEST(full_stream_holds_the_driver_up),
		TEST(broken_frames_are_dropped_and_others_go_out),
		SMALL_TEST(full_stream_holds_the_driver_up),
		SMALL_TEST(many_frames_of_many_parts_go_out_in_order),
		SMALL_TEST(frame_begun_is_sent_whole_though_the_driver_resets),
	};

	return cmocka_run_group_tests_name("net_tx", tests, NULL, NULL);
}
