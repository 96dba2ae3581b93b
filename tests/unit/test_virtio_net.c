/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device between its driver and a stream: frames both ways, what each costs, and what
 * happens when one side does not take them. [virtio-1.2 5.1 Network Device]
 */
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cmocka_all.h"
#include "core/log.h"
#include "net_guest.h"

#define FRAME 1514u

/* System calls of the device's loop. */
static atomic_uint receives, sends, waits;

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	receives += flags & MSG_DONTWAIT ? 1 : 0;
	return __real_recv(fd, buf, len, flags);
}

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

static int setup_room(void **state, int room)
{
	struct net_guest *g = test_calloc(1, sizeof(*g));

	log_set_level(LOG_ERROR);
	net_guest_init(g, room);
	receives = sends = waits = 0;
	*state = g;
	return 0;
}

static int setup(void **state)
{
	return setup_room(state, 0);
}

/* The least that a socket may be: a piece of a frame is no more than some 2 KiB. */
static int setup_small(void **state)
{
	return setup_room(state, 1);
}

static int teardown(void **state)
{
	struct net_guest *g = *state;

	net_guest_fini(g);
	test_free(g);
	return 0;
}

static void identity(void **state)
{
	struct net_guest *g = *state;
	const uint64_t cfg = g->guest.device_cfg;
	uint64_t features;

	assert_int_equal(virtio_guest_config_read(&g->guest, PCI_VENDOR_ID, 4),
			 0x1af4 | (0x1040 + VIRTIO_ID_NET) << 16);
	assert_int_equal(virtio_guest_config_read(&g->guest, PCI_CLASS_DEVICE, 2), 0x0200);
	for (unsigned i = 0; i < sizeof(net_guest_mac); i++)
		assert_int_equal(virtio_guest_read(&g->guest, cfg + i, 1), net_guest_mac[i]);
	assert_int_equal(virtio_guest_read(&g->guest, cfg + offsetof(struct virtio_net_config, mtu),
					   2),
			 NET_GUEST_MTU);
	assert_true(net_guest_link(g));
	features = virtio_guest_get(&g->guest, VIRTIO_PCI_COMMON_DF, 4);
	assert_int_equal(features & 0xffffff, 1u << VIRTIO_NET_F_MAC | 1u << VIRTIO_NET_F_STATUS |
						      1u << VIRTIO_NET_F_MTU |
						      1u << VIRTIO_NET_F_MRG_RXBUF |
						      1u << VIRTIO_NET_F_CSUM);
}

/* --- to the guest --- */

/* The next frame came in one buffer. */
static void assert_came(struct net_guest *g, size_t len, unsigned seed)
{
	struct virtio_net_hdr_v1 hdr;
	uint32_t got = 0;
	const uint8_t *p = net_guest_taken(g, &got);

	assert_non_null(p);
	assert_int_equal(got, NET_HDR + len);
	memcpy(&hdr, p, sizeof(hdr));
	assert_int_equal(hdr.flags, 0);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(hdr.num_buffers, 1);
	assert_true(net_guest_is_frame(p + NET_HDR, len, seed));
}

static void assert_nothing_came(struct net_guest *g)
{
	uint32_t len;

	assert_null(net_guest_taken(g, &len));
}

static void frame_comes_to_the_guest(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 4, 2048);
	net_guest_peer_sends(g, FRAME, 1);
	net_guest_settle(g);
	assert_came(g, FRAME, 1);
	assert_nothing_came(g);
	assert_true(virtio_guest_wait_vector(&g->guest, 1 + RX, 2000));
}

static void frame_may_come_byte_by_byte(void **state)
{
	const uint8_t bytes[] = { 0,   0,   0,   14,  'd', 'd', 'd', 'd', 'd',
				  'd', 's', 's', 's', 's', 's', 's', 't', 't' };
	struct net_guest *g = *state;
	const uint8_t *p;
	uint32_t len;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 2, 2048);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		assert_nothing_came(g);
		assert_int_equal(send(g->peer, bytes + i, 1, 0), 1);
		net_guest_settle(g);
	}
	p = net_guest_taken(g, &len);
	assert_non_null(p);
	assert_int_equal(len, NET_HDR + 14);
	assert_memory_equal(p + NET_HDR, bytes + NET_LEN, 14);
}

static void large_frame_is_merged_from_several_buffers(void **state)
{
	struct net_guest *g = *state;
	static uint8_t whole[65535];
	struct virtio_net_hdr_v1 hdr;
	uint32_t len, done = 0;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 40, 2000);
	net_guest_peer_sends(g, sizeof(whole), 3);
	net_guest_peer_sends(g, FRAME, 4);
	net_guest_settle(g);
	for (unsigned i = 0; done < sizeof(whole); i++) {
		const uint8_t *p = net_guest_taken(g, &len);
		const uint32_t skip = i ? 0 : NET_HDR;

		assert_non_null(p);
		if (!i)
			memcpy(&hdr, p, sizeof(hdr));
		memcpy(whole + done, p + skip, len - skip);
		done += len - skip;
	}
	assert_int_equal(done, sizeof(whole));
	assert_int_equal(hdr.num_buffers, (NET_HDR + sizeof(whole) + 1999) / 2000);
	assert_true(net_guest_is_frame(whole, sizeof(whole), 3));
	assert_came(g, FRAME, 4);
}

/* A chain of small buffers, each of which the header or the frame crosses. */
static void frame_crosses_the_buffers_of_a_chain(void **state)
{
	struct net_guest *g = *state;
	const struct vring_buf bufs[] = { { NET_GUEST_RX, 5, true },
					  { NET_GUEST_RX + 5, 20, true },
					  { NET_GUEST_RX + 25, 1000, true } };
	uint16_t head;
	uint32_t len;

	net_guest_drive(g, 0);
	vring_driver_add(&g->drv[RX], bufs, ARRAY_SIZE(bufs));
	(void)vring_driver_expose(&g->drv[RX]);
	virtio_guest_ring(&g->guest, RX);
	net_guest_peer_sends(g, 200, 5);
	net_guest_settle(g);
	assert_true(vring_driver_take(&g->drv[RX], &head, &len));
	assert_int_equal(len, NET_HDR + 200);
	assert_true(
		net_guest_is_frame((uint8_t *)mem_ptr(&g->guest.mem, NET_GUEST_RX, 300) + NET_HDR,
				   200, 5));
}

static void frames_wait_for_the_drivers_buffers(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE | F_EVENT_IDX);
	for (unsigned i = 0; i < 3; i++)
		net_guest_peer_sends(g, 100 + i, i);
	net_guest_settle(g);
	assert_true(net_guest_give(g, 1, 2048)); /* and it is rung for */
	assert_came(g, 100, 0);
	assert_true(net_guest_give(g, 2, 2048));
	assert_came(g, 101, 1);
	assert_came(g, 102, 2);
	assert_nothing_came(g);
}

/* Half a frame may wait, too. */
static void frame_waits_for_its_last_buffer(void **state)
{
	struct net_guest *g = *state;
	struct virtio_net_hdr_v1 hdr;
	const uint8_t *p;
	uint32_t len;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 2, 1000);
	net_guest_peer_sends(g, 2500, 1);
	net_guest_settle(g);
	assert_nothing_came(g);
	net_guest_give(g, 1, 1000);
	p = net_guest_taken(g, &len);
	assert_non_null(p);
	memcpy(&hdr, p, sizeof(hdr));
	assert_int_equal(hdr.num_buffers, 3);
	/* They lie one behind the other. */
	assert_true(net_guest_is_frame(p + NET_HDR, 2500, 1));
	assert_non_null(net_guest_taken(g, &len));
	assert_non_null(net_guest_taken(g, &len));
	assert_int_equal(len, NET_HDR + 2500 - 2000);
	assert_nothing_came(g);
}

static void driver_with_buffers_left_need_not_ring(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE | F_EVENT_IDX);
	net_guest_give(g, 64, 2048);
	for (unsigned i = 0; i < 16; i++) {
		net_guest_peer_sends(g, FRAME, i);
		net_guest_settle(g);
		assert_came(g, FRAME, i);
		assert_false(net_guest_give(g, 1, 2048));
	}
}

static void frames_without_a_driver_are_dropped(void **state)
{
	struct net_guest *g = *state;

	net_guest_peer_sends(g, FRAME, 1);
	/* The beginning of one that ends when there is a driver: it must not be mistaken. */
	assert_int_equal(send(g->peer,
			      "\0\0\0\x10"
			      "12345678",
			      12, 0),
			 12);
	net_guest_settle(g);
	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 4, 2048);
	assert_nothing_came(g);
	assert_int_equal(send(g->peer, "12345678", 8, 0), 8);
	net_guest_peer_sends(g, FRAME, 2);
	net_guest_settle(g);
	assert_int_equal(sizeof(struct virtio_net_hdr_v1), 12);
	{
		uint32_t len;

		assert_non_null(net_guest_taken(g, &len));
		assert_int_equal(len, NET_HDR + 16);
	}
	assert_came(g, FRAME, 2);
}

/* Who sends is never held up: passt would lose its place in the stream. */
static void stream_is_read_though_the_driver_takes_nothing(void **state)
{
	struct net_guest *g = *state;
	unsigned first;

	net_guest_drive(g, F_MERGE);
	for (unsigned i = 0; i < 100; i++)
		net_guest_peer_sends(g, 60000, i);
	net_guest_settle(g);
	/* The oldest were kept, some 1 MiB of them; the rest is gone, and what comes now is whole.
	 */
	for (first = 0; first < 100; first++) {
		uint32_t len = 0;

		g->rx_next = NET_GUEST_RX;
		net_guest_give(g, 1, 65536);
		if (!net_guest_taken(g, &len))
			break;
		assert_int_equal(len, NET_HDR + 60000);
		assert_true(
			net_guest_is_frame((uint8_t *)mem_ptr(&g->guest.mem, NET_GUEST_RX, 65536) +
						   NET_HDR,
					   60000, first));
	}
	assert_in_range(first, 16, 22);
	net_guest_peer_sends(g, FRAME, 7);
	net_guest_settle(g);
	assert_came(g, FRAME, 7);
}

static void burst_costs_one_read_and_one_interrupt(void **state)
{
	struct net_guest *g = *state;
	static uint8_t burst[100 * (NET_LEN + 200)];

	net_guest_drive(g, F_MERGE | F_EVENT_IDX);
	net_guest_give(g, 200, 2048);
	for (unsigned i = 0; i < 100; i++) {
		const uint32_t len = htobe32(200);

		memcpy(burst + i * (NET_LEN + 200), &len, NET_LEN);
		net_guest_fill(burst + i * (NET_LEN + 200) + NET_LEN, 200, i);
	}
	vring_driver_want_interrupt_after(&g->drv[RX], 0);
	receives = 0;
	assert_int_equal(send(g->peer, burst, sizeof(burst), 0), sizeof(burst));
	net_guest_settle(g);
	for (unsigned i = 0; i < 100; i++)
		assert_came(g, 200, i);
	assert_int_equal(receives, 1);
	assert_true(virtio_guest_wait_vector(&g->guest, 1 + RX, 2000));
	assert_false(virtio_guest_wait_vector(&g->guest, 1 + RX, 0));
}

/* --- from the guest --- */

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

static void reset_drops_what_waits(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 1, 100);
	net_guest_peer_sends(g, FRAME, 1);
	net_guest_peer_sends(g, FRAME, 2);
	net_guest_settle(g);
	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 2, 2048);
	net_guest_peer_sends(g, FRAME, 3);
	net_guest_settle(g);
	assert_came(g, FRAME, 3);
	assert_nothing_came(g);
}

/* --- the link --- */

static void assert_link_is_lost(struct net_guest *g)
{
	assert_int_equal(g->lost, 1);
	assert_false(net_guest_link(g));
	assert_true(virtio_guest_wait_vector(&g->guest, 0, 2000));
	/* The driver is not left with its buffers. */
	net_guest_add(g, FRAME, 9);
	net_guest_send(g);
	assert_in_range(net_guest_sent(g), 1, 2);
	assert_int_equal(g->lost, 1);
}

static void closed_stream_is_a_lost_link(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	close_fd(&g->peer);
	net_guest_settle(g);
	assert_link_is_lost(g);
}

static void stream_that_is_closed_while_it_is_full_is_a_lost_link(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_add(g, 60000, 1);
	net_guest_send(g);
	assert_int_equal(net_guest_sent(g), 0);
	close_fd(&g->peer);
	net_guest_settle(g);
	assert_link_is_lost(g);
}

static void impossible_lengths_are_a_lost_link(void **state)
{
	struct net_guest *g = *state;
	const uint32_t len = htobe32(65536);

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 2, 2048);
	net_guest_peer_sends(g, FRAME, 1);
	assert_int_equal(send(g->peer, &len, sizeof(len), 0), sizeof(len));
	net_guest_settle(g);
	assert_link_is_lost(g);
}

static void too_short_lengths_are_a_lost_link(void **state)
{
	struct net_guest *g = *state;
	const uint32_t len = htobe32(13);

	net_guest_drive(g, F_MERGE);
	assert_int_equal(send(g->peer, &len, sizeof(len), 0), sizeof(len));
	net_guest_settle(g);
	assert_link_is_lost(g);
}

static void link_that_is_lost_stays_so_for_the_next_driver(void **state)
{
	struct net_guest *g = *state;

	close_fd(&g->peer);
	for (unsigned i = 0; i < 1000 && net_guest_link(g); i++)
		net_guest_settle(g);
	net_guest_drive(g, F_MERGE);
	assert_false(net_guest_link(g));
	net_guest_add(g, FRAME, 1);
	net_guest_send(g);
	assert_int_equal(net_guest_sent(g), 1);
}

/* --- a hostile driver --- */

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

static void assert_empty(struct net_guest *g, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t len = 1;

		assert_non_null(net_guest_taken(g, &len));
		assert_int_equal(len, 0);
	}
}

static void buffers_without_room_for_a_header_come_back_empty(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 1, NET_HDR - 1);
	/* Nothing to write to. */
	vring_driver_add(&g->drv[RX], &(struct vring_buf){ NET_GUEST_RX, 100, false }, 1);
	net_guest_give(g, 1, 2048);
	for (unsigned i = 0; i < 3; i++)
		net_guest_peer_sends(g, FRAME, i);
	net_guest_settle(g);
	assert_empty(g, 2);
	assert_came(g, FRAME, 2);
}

static void frame_larger_than_all_buffers_is_dropped(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 256, 16);
	net_guest_peer_sends(g, 60000, 1);
	net_guest_settle(g);
	assert_empty(g, 256);
	net_guest_give(g, 1, 2048);
	net_guest_peer_sends(g, FRAME, 2);
	net_guest_settle(g);
	assert_came(g, FRAME, 2);
}

static void without_merging_a_frame_has_one_chain(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, 0);
	net_guest_give(g, 2, 1000);
	net_guest_peer_sends(g, FRAME, 1);
	net_guest_peer_sends(g, 900, 2);
	net_guest_settle(g);
	assert_empty(g, 1);
	assert_came(g, 900, 2);
}

static void broken_rings_ask_for_a_reset(void **state)
{
	struct net_guest *g = *state;

	for (unsigned q = RX; q <= TX; q++) {
		net_guest_drive(g, F_MERGE);
		vring_driver_add_head(&g->drv[q], 300);
		(void)vring_driver_expose(&g->drv[q]);
		virtio_guest_ring(&g->guest, q);
		net_guest_peer_sends(g, FRAME, 1);
		net_guest_settle(g);
		assert_true(virtio_guest_get(&g->guest, VIRTIO_PCI_COMMON_STATUS, 1) &
			    VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 1, 2048);
	net_guest_peer_sends(g, FRAME, 2);
	net_guest_settle(g);
	assert_came(g, FRAME, 2);
}

static void destroyed_with_frames_on_their_way(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 1, 100);
	net_guest_peer_sends(g, FRAME, 1);
	net_guest_add(g, 60000, 1);
	net_guest_send(g);
}

#define TEST(f)       cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SMALL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(frame_comes_to_the_guest),
		TEST(frame_may_come_byte_by_byte),
		TEST(large_frame_is_merged_from_several_buffers),
		TEST(frame_crosses_the_buffers_of_a_chain),
		TEST(frames_wait_for_the_drivers_buffers),
		TEST(frame_waits_for_its_last_buffer),
		TEST(driver_with_buffers_left_need_not_ring),
		TEST(frames_without_a_driver_are_dropped),
		TEST(stream_is_read_though_the_driver_takes_nothing),
		TEST(burst_costs_one_read_and_one_interrupt),
		TEST(frame_goes_out),
		TEST(longest_and_shortest_frames_go_out),
		TEST(batch_costs_one_system_call),
		TEST(many_frames_of_many_parts_go_out_in_order),
		TEST(full_stream_holds_the_driver_up),
		SMALL_TEST(full_stream_holds_the_driver_up),
		SMALL_TEST(many_frames_of_many_parts_go_out_in_order),
		SMALL_TEST(frame_begun_is_sent_whole_though_the_driver_resets),
		TEST(reset_drops_what_waits),
		TEST(closed_stream_is_a_lost_link),
		SMALL_TEST(stream_that_is_closed_while_it_is_full_is_a_lost_link),
		TEST(impossible_lengths_are_a_lost_link),
		TEST(too_short_lengths_are_a_lost_link),
		TEST(link_that_is_lost_stays_so_for_the_next_driver),
		TEST(broken_frames_are_dropped_and_others_go_out),
		TEST(buffers_without_room_for_a_header_come_back_empty),
		TEST(frame_larger_than_all_buffers_is_dropped),
		TEST(without_merging_a_frame_has_one_chain),
		TEST(broken_rings_ask_for_a_reset),
		SMALL_TEST(destroyed_with_frames_on_their_way),
	};

	return cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
