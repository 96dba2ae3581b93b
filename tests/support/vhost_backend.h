/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back end for tests: a thread on one end of a socket pair that really serves a disk
 * in memory, by what it is told and nothing else; or that breaks the protocol where a test wants it
 * to. What arrives is checked, and a wrong message aborts the test.
 */
#ifndef SUPPORT_VHOST_BACKEND_H
#define SUPPORT_VHOST_BACKEND_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/mem.h"
#include "devices/virtio/virtqueue.h"

#define VHOST_BACKEND_SECTORS  64u
#define VHOST_BACKEND_QUEUES   2u
#define VHOST_BACKEND_REQUESTS 41u /* one more than the highest */
#define VHOST_BACKEND_FEATURES                                                                    \
	(1ull << 32 | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC |     \
	 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_CONFIG_WCE | 1ull << VIRTIO_BLK_F_MQ | \
	 1ull << 30)

/* The requests of the protocol. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
};

/* What it does wrong, in the reply to `fault_at`, or instead of one. */
enum vhost_fault {
	VHOST_FAULT_NONE,
	VHOST_FAULT_DIE,     /* closes the connection */
	VHOST_FAULT_SILENCE, /* never answers */
	VHOST_FAULT_HALF,    /* half a header, and silence */
	VHOST_FAULT_OTHER,   /* the reply to another request */
	VHOST_FAULT_NO_FLAG, /* one that is no reply */
	VHOST_FAULT_SHORT,   /* a payload too small */
	VHOST_FAULT_HUGE,    /* one of almost 4 GiB, it says */
	VHOST_FAULT_REFUSE,  /* a failure, where there is an acknowledgement */
	VHOST_FAULT_WRONG,   /* another ring or another part of the configuration */
	VHOST_FAULT_FILES,   /* with a file attached, else well */
};

struct vhost_backend_ring {
	struct virtqueue vq;
	unsigned size, base;
	int kick_fd, call_fd;
	bool running, enabled;
};

struct vhost_backend {
	/* Set before the start, if not by default. */
	uint64_t features, protocol;
	enum vhost_fault fault;
	atomic_uint fault_at;
	atomic_uint slow_ms; /* waits so long before each reply */
	atomic_bool hold; /* takes requests, and does not complete them */

	int listen_fd; /* 0: a socket pair; else a connection to here is waited for */

	int fd; /* the other end of the pair, for the front-end */
	/* For the test, once nothing happens any more. */
	atomic_uint seen[VHOST_BACKEND_REQUESTS]; /* messages, by request */
	atomic_uint served, flushes, kicks;
	uint64_t driver_features;
	uint8_t wce;
	uint8_t disk[VHOST_BACKEND_SECTORS * 512];
	struct vhost_backend_ring rings[VHOST_BACKEND_QUEUES];

	int own_fd, wake_fd;
	atomic_bool stopping;
	pthread_t thread;
	struct guest_mem mem; /* its own mappings */
	struct {
		unsigned ring;
		struct virtqueue_chain chain;
		struct iovec iov[64];
	} held[16];
	unsigned held_count;
};

void vhost_backend_start(struct vhost_backend *backend);
/* Completes what is held, if `hold` was cleared. */
void vhost_backend_wake(struct vhost_backend *backend);
void vhost_backend_die(struct vhost_backend *backend); /* closes the connection, as a crash would */
void vhost_backend_stop(struct vhost_backend *backend); /* and waits; died or not */

#endif
