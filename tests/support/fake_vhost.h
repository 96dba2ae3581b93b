/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/vhost-net and TAP interfaces without a kernel, for tests with a virtio_guest: in place of
 * sys_open (link with its --wrap) and of the ioctls that are not the VM's. It refuses what Linux
 * refuses, and keeps what it was told.
 */
#ifndef SUPPORT_FAKE_VHOST_H
#define SUPPORT_FAKE_VHOST_H

#include <linux/vhost.h>
#include <net/if.h>
#include <pthread.h>

#include "core/util.h"

#define FAKE_VHOST_MAX 64u

struct fake_vring {
	unsigned size, base;
	struct vhost_vring_addr addr;
	bool has_addr;
	int kick, call, err, backend; /* backend: the tap's fd; -1: none */
	unsigned backends;            /* how often it was given one */
};

struct fake_vhost_file {
	int fd; /* -1: closed, as far as we know */
	bool owned;
	uint64_t features;
	unsigned regions;
	struct vhost_memory_region region;
	struct fake_vring rings[2];
};

struct fake_tap_queue {
	int fd;
	bool attached, detached; /* neither: no interface yet */
};

struct fake_vhost {
	pthread_mutex_t lock;
	/* What the host has. */
	const char *tap; /* the one interface there is; NULL: none */
	bool down, multi_queue, foreign, other_kind;
	bool busy; /* another program has a queue of it */
	int mtu;
	unsigned offloads_known; /* TUN_F_* */
	int no_tun, no_vhost;    /* the error of the device files; 0: there */
	uint64_t features;       /* of vhost */
	unsigned long refuse;    /* this request fails with -EIO */
	/* What it was told. */
	struct fake_vhost_file files[FAKE_VHOST_MAX];
	unsigned file_count;
	struct fake_tap_queue queues[FAKE_VHOST_MAX];
	unsigned queue_count;
	unsigned offloads;
	int header, sndbuf;
	unsigned tap_changes; /* of queues and offloads: each is locked against all networks */
	bool ring_changed_while_running;
};

extern struct fake_vhost fake_vhost;

void fake_vhost_init(void); /* a host with all of it, an interface "tap0" with several queues */
void fake_vhost_fini(void);
unsigned fake_vhost_attached(void);
/* The ring of the device's queue as the kernel knows it. */
struct fake_vring fake_vhost_ring(unsigned queue);
unsigned fake_vhost_open_files(void); /* of either kind that nobody has closed */

int __wrap_sys_open(const char *path, int flags, mode_t mode);
int __real_sys_open(const char *path, int flags, mode_t mode);

#endif
