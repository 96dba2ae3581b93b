/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network that the kernel serves, which is a fake one here, and a hostile driver: its rings go to
 * the kernel unread, the control queue is ours.
 */
#include "hostile_driver.h"

#include <assert.h>
#include <linux/virtio_net.h>

#include "devices/net/virtio_net_uapi.h"
#include "devices/vhost/vhost_net.h"
#include "fake_vhost.h"

#define PAIRS   2u
#define CONTROL (2 * PAIRS)
#define COMMAND 2u /* bytes of its header */

static size_t seed_of(uint8_t *seed, uint8_t class, uint8_t command, uint64_t value, unsigned len)
{
	const struct hostile_buf bufs[] = { { COMMAND + len, false }, { 1, true } };
	uint8_t bytes[COMMAND + 8] = { class, command };
	uint8_t *p = seed;

	store_le(bytes + COMMAND, 8, value);
	hostile_seed_begin(&p, UINT64_MAX);
	for (unsigned i = 0; i < 2; i++)
		hostile_seed_request(&p, CONTROL, bytes, COMMAND + len, bufs, 2);
	return (size_t)(p - seed);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	switch (nr) {
	case 0:
		return seed_of(seed, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS, 2);
	case 1:
		return seed_of(seed, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
			       VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 1u << VIRTIO_NET_F_GUEST_CSUM,
			       8);
	default:
		return 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[ETH_ALEN] = { 0x52, 0x54, 0, 1, 2, 3 };
	static struct virtio_guest guest;
	struct fuzz_input in = { data, size };
	struct hostile_driver driver = {
		.guest = &guest, .queues = CONTROL + 1, .loops = &guest.loop, .loop_count = 1
	};
	struct vhost_net_files files;
	struct pci_dev *dev = NULL;
	int r;

	virtio_guest_init(&guest);
	fake_vhost_init();
	r = vhost_net_files_open(&files, "tap0", PAIRS, false);
	assert(r == 0);
	r = vhost_net_create(&guest.board, &guest.loop, &files, mac, &dev);
	assert(r == 0);
	virtio_guest_plug(&guest, dev);
	hostile_driver_run(&driver, &in);
	virtio_guest_fini(&guest);
	assert(fake_vhost_open_files() == 0);
	fake_vhost_fini();
	return 0;
}
