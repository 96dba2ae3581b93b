/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device at a stream, as a whole: what it says of itself, a stream that breaks, rings
 * that do, and resets. Its frames: test_net_rx.c, test_net_tx.c. [virtio-1.2 5.1 Network Device]
 */
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <sys/socket.h>

#include "cmocka_all.h"
#include "net_guest.h"

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
	net_guest_assert_came(g, FRAME, 3);
	net_guest_assert_nothing_came(g);
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
	net_guest_assert_came(g, FRAME, 2);
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

#define TEST(f)       cmocka_unit_test_setup_teardown(f, net_guest_setup, net_guest_teardown)
#define SMALL_TEST(f) cmocka_unit_test_setup_teardown(f, net_guest_setup_small, net_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(reset_drops_what_waits),
		TEST(closed_stream_is_a_lost_link),
		SMALL_TEST(stream_that_is_closed_while_it_is_full_is_a_lost_link),
		TEST(impossible_lengths_are_a_lost_link),
		TEST(too_short_lengths_are_a_lost_link),
		TEST(link_that_is_lost_stays_so_for_the_next_driver),
		TEST(broken_rings_ask_for_a_reset),
		SMALL_TEST(destroyed_with_frames_on_their_way),
	};

	return cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
