/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from the stream to the network device's driver: how they lie in its buffers, what waits
 * and what is dropped, and what a burst costs. [virtio-1.2 5.1.6.4 Processing of Incoming Packets]
 */
#include <sys/socket.h>

#include "cmocka_all.h"
#include "net_guest.h"

/* System calls of the device's loop. */
static atomic_uint receives;

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	receives += flags & MSG_DONTWAIT ? 1 : 0;
	return __real_recv(fd, buf, len, flags);
}

static void frame_comes_to_the_guest(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE);
	net_guest_give(g, 4, 2048);
	net_guest_peer_sends(g, FRAME, 1);
	net_guest_settle(g);
	net_guest_assert_came(g, FRAME, 1);
	net_guest_assert_nothing_came(g);
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
		net_guest_assert_nothing_came(g);
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
	net_guest_assert_came(g, FRAME, 4);
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
	net_guest_assert_came(g, 100, 0);
	assert_true(net_guest_give(g, 2, 2048));
	net_guest_assert_came(g, 101, 1);
	net_guest_assert_came(g, 102, 2);
	net_guest_assert_nothing_came(g);
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
	net_guest_assert_nothing_came(g);
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
	net_guest_assert_nothing_came(g);
}

static void driver_with_buffers_left_need_not_ring(void **state)
{
	struct net_guest *g = *state;

	net_guest_drive(g, F_MERGE | F_EVENT_IDX);
	net_guest_give(g, 64, 2048);
	for (unsigned i = 0; i < 16; i++) {
		net_guest_peer_sends(g, FRAME, i);
		net_guest_settle(g);
		net_guest_assert_came(g, FRAME, i);
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
	net_guest_assert_nothing_came(g);
	assert_int_equal(send(g->peer, "12345678", 8, 0), 8);
	net_guest_peer_sends(g, FRAME, 2);
	net_guest_settle(g);
	assert_int_equal(sizeof(struct virtio_net_hdr_v1), 12);
	{
		uint32_t len;

		assert_non_null(net_guest_taken(g, &len));
		assert_int_equal(len, NET_HDR + 16);
	}
	net_guest_assert_came(g, FRAME, 2);
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
	net_guest_assert_came(g, FRAME, 7);
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
		net_guest_assert_came(g, 200, i);
	assert_int_equal(receives, 1);
	assert_true(virtio_guest_wait_vector(&g->guest, 1 + RX, 2000));
	assert_false(virtio_guest_wait_vector(&g->guest, 1 + RX, 0));
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
	net_guest_assert_came(g, FRAME, 2);
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
	net_guest_assert_came(g, FRAME, 2);
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
	net_guest_assert_came(g, 900, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, net_guest_setup, net_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(buffers_without_room_for_a_header_come_back_empty),
		TEST(frame_larger_than_all_buffers_is_dropped),
		TEST(without_merging_a_frame_has_one_chain),
	};

	return cmocka_run_group_tests_name("net_rx", tests, NULL, NULL);
}
