/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end's side of the vhost-user protocol: another process serves the queues of a virtio
 * device, and is told here of the guest's memory, the rings, and the eventfds that ring and
 * interrupt. Any kind of device. [QEMU: docs/interop/vhost-user.rst, Vhost-user Protocol]
 *
 * The back end is not trusted: what it sends is bounded and checked, no message waits longer than
 * `timeout_ms`, nor several that belong together longer than until `end_ms`, files that it sends
 * are dropped. (It does reach all of the guest's memory; that is what it is for.)
 *
 * One thread at a time. All functions that can fail set the error chain, kind ERR_HOST, with the
 * name in front; after a failure the connection is of no more use than to be closed.
 */
#ifndef DEVICES_VHOST_USER_H
#define DEVICES_VHOST_USER_H

#include "core/util.h"

struct guest_mem;

#define VHOST_USER_TIMEOUT_MS 10000u /* for whom there is no reason to have another */
#define VHOST_USER_CONFIG_MAX 256u   /* bytes of device configuration in a message */

/* Protocol features; the names of the specification. */
#define VHOST_USER_PROTOCOL_F_MQ        0u
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3u
#define VHOST_USER_PROTOCOL_F_CONFIG    9u

struct vhost_user {
	const char *name;  /* of what the back end is, for messages; borrowed */
	int fd;            /* the connection; -1: closed */
	uint64_t features; /* of the device, as offered by the back end */
	uint64_t protocol; /* protocol features in use: a mask */
	unsigned queues;   /* how many it has; 1 where it does not tell */
	unsigned timeout_ms;
	/* By clock_ms, when what is under way has to be done; 0: each message has timeout_ms. */
	uint64_t end_ms;
};

/* A ring as the driver programmed it; addresses are guest-physical, in RAM. */
struct vhost_user_ring {
	unsigned size;
	uint64_t desc, avail, used;
	int kick_fd; /* the eventfd that the back end waits for */
	int call_fd; /* the eventfd that it signals */
};

/*
 * Takes over the connection `fd`, also by a failure, and negotiates. -EPROTO unless the back end
 * has the protocol features in the mask `needed`; MQ and REPLY_ACK are used where they are offered.
 * All of it takes no longer than `timeout_ms`.
 */
int MUST_CHECK vhost_user_open(struct vhost_user *vu, int fd, const char *name, uint64_t needed,
			       unsigned timeout_ms);
void vhost_user_close(struct vhost_user *vu); /* twice, too */

/* The first `len` bytes of the device's configuration; needs CONFIG. */
int MUST_CHECK vhost_user_get_config(struct vhost_user *vu, void *buf, unsigned len);
int MUST_CHECK vhost_user_set_config(struct vhost_user *vu, unsigned off, const void *buf,
				     unsigned len);

/* Hands over guest RAM, whose banks are all shared. Once, before the first start. */
int MUST_CHECK vhost_user_set_mem(struct vhost_user *vu, const struct guest_mem *mem);

/* What the driver accepted. Before the rings of a start. */
int MUST_CHECK vhost_user_set_features(struct vhost_user *vu, uint64_t features);

/* The back end serves the ring from here on, from its start. */
int MUST_CHECK vhost_user_start_ring(struct vhost_user *vu, unsigned index,
				     const struct vhost_user_ring *ring);
/* It interrupts by another eventfd. */
int MUST_CHECK vhost_user_set_call(struct vhost_user *vu, unsigned index, int fd);
/* It takes nothing more from the ring. How far it came: the index in the available ring. */
int MUST_CHECK vhost_user_stop_ring(struct vhost_user *vu, unsigned index, uint16_t *ret_base);

#endif
