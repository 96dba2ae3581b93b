/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio console, between virtio_console.c and virtio_console_control.c. On its loop. */
#ifndef DEVICES_VIRTIO_CONSOLE_CONTROL_H
#define DEVICES_VIRTIO_CONSOLE_CONTROL_H

#include <linux/virtio_console.h>

#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_pci.h"

#define CONSOLE_QUEUE_SIZE 64u

/* [virtio-1.2 5.3.2]: two queues for port 0, two for control messages, two for each other port. */
#define QUEUE_CONTROL_IN  2u
#define QUEUE_CONTROL_OUT 3u
#define QUEUES            (2 * (VIRTIO_CONSOLE_PORTS_MAX + 1))

static inline unsigned virtio_console_queue_in(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

static inline unsigned virtio_console_queue_out(unsigned port)
{
	return virtio_console_queue_in(port) + 1;
}

static inline unsigned virtio_console_queue_port(unsigned queue)
{
	return queue < QUEUE_CONTROL_IN ? 0 : queue / 2 - 1;
}

/*
 * What the driver is still to be told of a port, a message each, in this order: a program finds the
 * port by its name, and takes one that is not open yet for one that is closed.
 */
#define TELL_ADD  0x1u
#define TELL_OPEN 0x2u
#define TELL_NAME 0x4u

struct console_port {
	const char *name;
	unsigned tell;
	bool open;        /* on our side: there is more input to come */
	bool guest_ready; /* a driver has found the port */
	bool guest_open;
	bool closing; /* the guest has closed it, and output is left */
	/* Output that was not taken yet: a chain of the guest's. */
	bool held;
	uint16_t head;
	struct iovec iov[CONSOLE_QUEUE_SIZE], *rest;
	unsigned rest_count;
};

struct virtio_console {
	struct virtio_pci vdev;
	struct virtio_console_config config;
	const struct virtio_console_ops *ops;
	void *opaque;
	unsigned count;
	struct console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
};

/* Tells the driver what is to be told, as much as it has buffers for; it rings when there are more.
 */
void virtio_console_control_tell(struct virtio_console *console);

/* Hears the driver's messages. */
void virtio_console_control_serve(struct virtio_console *console);

/* In virtio_console.c. */

/* A queue that can be used now, or NULL. */
struct virtqueue *virtio_console_live_queue(struct virtio_console *console, unsigned queue);

/* After pushes: has them published, if there are any. */
void virtio_console_pushed(struct virtio_console *console, unsigned queue);

/* Gives what is in the port's ring to whom it is for. */
void virtio_console_run_output(struct virtio_console *console, unsigned id);

#endif
