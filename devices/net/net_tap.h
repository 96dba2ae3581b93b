/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TAP interface of the host: opened once for each pair of queues, with a virtio header before
 * each frame. It exists already, and is the user's: this process needs no privilege for it.
 * [Linux: Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h]
 *
 * One thread at a time. Failures of net_tap_open set the error chain.
 */
#ifndef DEVICES_NET_TAP_H
#define DEVICES_NET_TAP_H

#include <net/if.h>

#include "core/util.h"

#define NET_TAP_QUEUES_MAX 16u

struct net_tap {
	char name[IF_NAMESIZE];
	int fds[NET_TAP_QUEUES_MAX];
	unsigned queues;   /* fds that are open; 0: closed */
	unsigned attached; /* of them, the first: the others neither send nor receive */
	unsigned offloads; /* TUN_F_*: what it can leave to who reads */
	unsigned left;     /* TUN_F_*: what it does leave to them */
	uint16_t mtu;      /* 0: not known */
};

/*
 * Opens `queues` queues. With `fewer`, one where the interface has no more, as it was made. The
 * first is attached.
 */
int MUST_CHECK net_tap_open(struct net_tap *tap, const char *name, unsigned queues, bool fewer);
void net_tap_close(struct net_tap *tap); /* twice, too */

/* Which of `offloads` a reader knows to handle, TUN_F_*; what is not among them the host does. */
int MUST_CHECK net_tap_set_offloads(struct net_tap *tap, unsigned offloads);

/* Has the first `count` queues attached, and no others. -errno: some may have changed. */
int MUST_CHECK net_tap_attach(struct net_tap *tap, unsigned count);

#endif
