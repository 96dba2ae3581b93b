/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a network device, and the other end of its stream; see net_guest.h. */
#include "net_guest.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/log.h"
#include "devices/net/virtio_net.h"

#define QUEUE 256u
#define RINGS 0x10000u

const uint8_t net_guest_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

static void count_lost(void *opaque)
{
	((struct net_guest *)opaque)->lost++;
}

void net_guest_init(struct net_guest *g, int room)
{
	struct virtio_net_options options = {
		.mtu = NET_GUEST_MTU,
		.loop = &g->guest.loop,
		.lost = count_lost,
		.opaque = g,
	};
	struct pci_dev *dev;
	int ends[2];

	virtio_guest_init(&g->guest);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	if (room)
		assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)),
				 0);
	memcpy(options.mac, net_guest_mac, sizeof(options.mac));
	options.fd = ends[0];
	g->peer = ends[1];
	assert_int_equal(virtio_net_create(&g->guest.board, &options, &dev), 0);
	virtio_guest_plug(&g->guest, dev);
}

void net_guest_fini(struct net_guest *g)
{
	virtio_guest_fini(&g->guest);
	close_fd(&g->peer);
}

void net_guest_drive(struct net_guest *g, uint64_t features)
{
	assert_true(virtio_guest_negotiate(&g->guest, features));
	virtio_guest_enable_msix(&g->guest, 2);
	for (unsigned q = RX; q <= TX; q++) {
		virtio_guest_setup_queue(&g->guest, q, &g->drv[q], RINGS * (1 + q), QUEUE);
		g->drv[q].event_idx = features & F_EVENT_IDX;
	}
	g->rx_next = NET_GUEST_RX;
	g->tx_next = NET_GUEST_TX;
	virtio_guest_driver_ok(&g->guest);
	net_guest_settle(g);
}

static void nothing(void *arg)
{
}

/* A call is handled in its turn with what became ready before it, one round each. */
void net_guest_settle(struct net_guest *g)
{
	const struct timespec tick = { .tv_nsec = 100000 };
	int unread = 0;

	for (unsigned i = 0; i < 20000 && g->peer >= 0 && !g->lost; i++) {
		assert_int_equal(ioctl(g->peer, SIOCOUTQ, &unread), 0);
		if (!unread)
			break;
		nanosleep(&tick, NULL);
	}
	assert_true(!unread || g->lost);
	for (unsigned i = 0; i < 6; i++)
		loop_call(&g->guest.loop, nothing, NULL);
}

bool net_guest_give(struct net_guest *g, unsigned count, uint32_t size)
{
	bool rung;

	for (unsigned i = 0; i < count; i++) {
		vring_driver_add(&g->drv[RX], &(struct vring_buf){ g->rx_next, size, true }, 1);
		g->rx_next += size;
	}
	assert_true(g->rx_next <= NET_GUEST_TX);
	rung = vring_driver_expose(&g->drv[RX]);
	if (rung)
		virtio_guest_ring(&g->guest, RX);
	net_guest_settle(g);
	return rung;
}

const uint8_t *net_guest_taken(struct net_guest *g, uint32_t *ret_len)
{
	uint16_t head;

	if (!vring_driver_take(&g->drv[RX], &head, ret_len))
		return NULL;
	return mem_ptr(&g->guest.mem, g->drv[RX].desc[head].addr, 1);
}

/* --- frames --- */

static uint8_t byte_of(size_t i, unsigned seed)
{
	return (uint8_t)(i * 7 + i / 251 + seed * 13 + 1);
}

void net_guest_fill(uint8_t *frame, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = byte_of(i, seed);
}

bool net_guest_is_frame(const uint8_t *frame, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		if (frame[i] != byte_of(i, seed))
			return false;
	}
	return true;
}

void net_guest_assert_came(struct net_guest *g, size_t len, unsigned seed)
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

void net_guest_assert_nothing_came(struct net_guest *g)
{
	uint32_t len;

	assert_null(net_guest_taken(g, &len));
}

void net_guest_peer_sends(struct net_guest *g, size_t len, unsigned seed)
{
	static uint8_t buf[NET_LEN + 65536];
	const uint32_t be_len = htobe32((uint32_t)len);

	assert_true(len <= sizeof(buf) - NET_LEN);
	memcpy(buf, &be_len, NET_LEN);
	net_guest_fill(buf + NET_LEN, len, seed);
	for (size_t done = 0; done < NET_LEN + len;) {
		const ssize_t n = send(g->peer, buf + done, NET_LEN + len - done, MSG_NOSIGNAL);

		assert_true(n >= 0 || errno == EAGAIN);
		done += n > 0 ? (size_t)n : 0;
	}
}

static void read_all(struct net_guest *g, void *buf, size_t len)
{
	const struct timespec tick = { .tv_nsec = 100000 };
	size_t done = 0;

	for (unsigned i = 0; i < 20000 && done < len; i++) {
		const ssize_t n = recv(g->peer, (uint8_t *)buf + done, len - done, 0);

		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		if (n < 0)
			nanosleep(&tick, NULL);
		else
			done += (size_t)n;
	}
	assert_int_equal(done, len);
}

void net_guest_peer_reads(struct net_guest *g, size_t len, unsigned seed)
{
	static uint8_t buf[65536];
	uint32_t be_len;

	read_all(g, &be_len, sizeof(be_len));
	assert_int_equal(be32toh(be_len), len);
	read_all(g, buf, len);
	assert_true(net_guest_is_frame(buf, len, seed));
}

bool net_guest_peer_idle(struct net_guest *g)
{
	char c;

	return recv(g->peer, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

void net_guest_add(struct net_guest *g, size_t len, unsigned seed)
{
	const struct vring_buf bufs[] = { { g->tx_next, NET_HDR, false },
					  { g->tx_next + NET_HDR, (uint32_t)len, false } };
	uint8_t *p = mem_ptr(&g->guest.mem, g->tx_next, NET_HDR + len);

	assert_non_null(p);
	memset(p, 0, NET_HDR);
	net_guest_fill(p + NET_HDR, len, seed);
	vring_driver_add(&g->drv[TX], bufs, 2);
	g->tx_next += NET_HDR + len;
}

void net_guest_send(struct net_guest *g)
{
	if (vring_driver_expose(&g->drv[TX]))
		virtio_guest_ring(&g->guest, TX);
	net_guest_settle(g);
}

unsigned net_guest_sent(struct net_guest *g)
{
	unsigned count = 0;
	uint16_t head;
	uint32_t len;

	while (vring_driver_take(&g->drv[TX], &head, &len)) {
		assert_int_equal(len, 0);
		count++;
	}
	return count;
}

bool net_guest_link(struct net_guest *g)
{
	return virtio_guest_read(&g->guest,
				 g->guest.device_cfg + offsetof(struct virtio_net_config, status),
				 2) &
	       VIRTIO_NET_S_LINK_UP;
}

/* --- a test --- */

static int setup(void **state, int room)
{
	struct net_guest *g = test_calloc(1, sizeof(*g));

	log_set_level(LOG_ERROR);
	net_guest_init(g, room);
	*state = g;
	return 0;
}

int net_guest_setup(void **state)
{
	return setup(state, 0);
}

/* A piece of a frame is then no more than some 2 KiB. */
int net_guest_setup_small(void **state)
{
	return setup(state, 1);
}

int net_guest_teardown(void **state)
{
	struct net_guest *g = *state;

	net_guest_fini(g);
	test_free(g);
	return 0;
}
