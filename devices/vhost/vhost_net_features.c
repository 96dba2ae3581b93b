/* SPDX-License-Identifier: Apache-2.0 */
/* Features of a network device that the kernel serves; see vhost_net_features.h. */
#include "devices/vhost/vhost_net_features.h"

#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "devices/net/virtio_net_uapi.h"

#define BIT(n) (1ull << (n))

#define NET_FEATURES (BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ))

/* What vhost does itself, if it can. */
#define VHOST_FEATURES                                                    \
	(BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_VERSION_1))

/* What the interface can leave to the guest, and what it takes from it in the same way. */
static const struct {
	unsigned tap;
	uint64_t guest, host;
} offloads[] = {
	{ TUN_F_CSUM, BIT(VIRTIO_NET_F_GUEST_CSUM), BIT(VIRTIO_NET_F_CSUM) },
	{ TUN_F_TSO4, BIT(VIRTIO_NET_F_GUEST_TSO4), BIT(VIRTIO_NET_F_HOST_TSO4) },
	{ TUN_F_TSO6, BIT(VIRTIO_NET_F_GUEST_TSO6), BIT(VIRTIO_NET_F_HOST_TSO6) },
	{ TUN_F_TSO_ECN, BIT(VIRTIO_NET_F_GUEST_ECN), BIT(VIRTIO_NET_F_HOST_ECN) },
	{ TUN_F_UFO, BIT(VIRTIO_NET_F_GUEST_UFO), BIT(VIRTIO_NET_F_HOST_UFO) },
	{ TUN_F_USO4, BIT(VIRTIO_NET_F_GUEST_USO4), BIT(VIRTIO_NET_F_HOST_USO) },
	{ TUN_F_USO6, BIT(VIRTIO_NET_F_GUEST_USO6), BIT(VIRTIO_NET_F_HOST_USO) },
};

uint64_t vhost_net_features(const struct vhost_net_files *files)
{
	uint64_t features = NET_FEATURES | (files->features & VHOST_FEATURES);

	if (files->tap.mtu)
		features |= BIT(VIRTIO_NET_F_MTU);
	if (files->tap.queues > 1)
		features |= BIT(VIRTIO_NET_F_MQ);
	for (unsigned i = 0; i < ARRAY_SIZE(offloads); i++) {
		if (files->tap.offloads & offloads[i].tap)
			features |= offloads[i].guest | offloads[i].host |
				    BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	}
	return features;
}

uint64_t vhost_net_features_rings(uint64_t features)
{
	return features & VHOST_FEATURES;
}

unsigned vhost_net_features_tap(uint64_t features)
{
	unsigned tap = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offloads); i++) {
		if (features & offloads[i].guest)
			tap |= offloads[i].tap;
	}
	return tap;
}
