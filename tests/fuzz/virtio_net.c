/* SPDX-License-Identifier: Apache-2.0 */
/* A network device between a hostile driver and a peer that sends frames of any length it says. */
#include "hostile_driver.h"

#include <linux/virtio_pci.h>
#include <sys/socket.h>

#include "net_guest.h"

#define SENT_MAX 256u

static void peer_sends(void *opaque, struct fuzz_input *in)
{
	struct net_guest *g = opaque;
	const uint32_t be_len = htobe32((uint32_t)fuzz_take(in, 2));
	uint8_t sink[4096];
	const uint8_t *bytes;
	const size_t len = fuzz_bytes(in, fuzz_below(in, SENT_MAX), &bytes);

	(void)!send(g->peer, &be_len, sizeof(be_len), MSG_NOSIGNAL);
	(void)!send(g->peer, bytes, len, MSG_NOSIGNAL);
	/* It reads, too, but only now. */
	while (recv(g->peer, sink, sizeof(sink), 0) > 0)
		;
}

static void put_frame(uint8_t **p, unsigned len)
{
	hostile_seed_host(p);
	fuzz_put(p, 2, len);
	fuzz_put(p, 1, len);
	*p += len;
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const struct hostile_buf tx[] = { { 12, false }, { 60, false } };
	static const struct hostile_buf rx[] = { { 2000, true } };
	const struct virtio_net_hdr_v1 hdr = { 0 };
	uint8_t *p = seed;

	if (nr == 4)
		return 0;
	hostile_seed_begin(&p, nr & 1 ? UINT64_MAX : 0);
	for (unsigned i = 0; i < 3; i++) {
		if (nr < 2) {
			hostile_seed_request(&p, TX, &hdr, sizeof(hdr), tx, 2);
		} else {
			hostile_seed_request(&p, RX, "", 0, rx, 1);
			put_frame(&p, 100);
		}
	}
	put_frame(&p, 60);
	hostile_seed_window(&p, VIRTIO_PCI_COMMON_Q_SELECT, TX);
	return (size_t)(p - seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_guest g;
	struct fuzz_input in = { data, size };
	struct hostile_driver driver = { .guest = &g.guest,
					 .queues = 2,
					 .loops = &g.guest.loop,
					 .loop_count = 1,
					 .host = peer_sends,
					 .opaque = &g };

	memset(&g, 0, sizeof(g));
	net_guest_init(&g, 0);
	hostile_driver_run(&driver, &in);
	net_guest_fini(&g);
	return 0;
}
