/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network device that the kernel serves needs of the host: an interface, and a file of
 * /dev/vhost-net for each of its queues. It is opened before there is a machine. [Linux:
 * include/uapi/linux/vhost.h]
 *
 * One thread at a time. Failures set the error chain.
 */
#ifndef DEVICES_VHOST_NET_FILES_H
#define DEVICES_VHOST_NET_FILES_H

#include "devices/net/net_tap.h"

struct guest_mem;

struct vhost_net_files {
	struct net_tap tap; /* tap.queues is how many pairs there are */
	int vhost[NET_TAP_QUEUES_MAX];
	uint64_t features; /* that vhost offers */
};

/* Opens `pairs` pairs, as net_tap_open. Starts no thread. */
int MUST_CHECK vhost_net_files_open(struct vhost_net_files *files, const char *tap, unsigned pairs,
				    bool fewer);

/* Has the kernel start its thread of each pair, and know where RAM is. Once. */
int MUST_CHECK vhost_net_files_own(struct vhost_net_files *files, const struct guest_mem *mem);

void vhost_net_files_close(struct vhost_net_files *files); /* zeroed, and twice, too */

#endif
