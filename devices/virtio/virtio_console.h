/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console device with named ports: byte streams between programs of the guest and this
 * process, each way with its own flow control. In a Linux guest they are /dev/virtio-ports/NAME. No
 * port is a console. [virtio-1.2 5.3 Console Device]
 *
 * Everything here but create and destroy, and all callbacks, are on the loop that the device was
 * given.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include <sys/uio.h>

#include "devices/pci/pci.h"

#define VIRTIO_CONSOLE_PORTS_MAX 4u

struct loop;
struct virtio_console;

struct virtio_console_ops {
	/*
	 * The guest wrote `len` bytes, at least one, in memory that it can change at any time. The
	 * number of bytes taken; if that is not all, it is called again with the rest when
	 * virtio_console_resume says that there is room.
	 */
	size_t (*output)(void *opaque, unsigned port, const void *data, size_t len);
	/* The guest has room for input again, or for the first time. */
	void (*room)(void *opaque, unsigned port);
	/* A program of the guest has opened the port, or closed it after its last byte. */
	void (*opened)(void *opaque, unsigned port, bool open);
};

struct virtio_console_options {
	const char *const *names; /* of the ports; outlive the device */
	unsigned count;           /* 1 to VIRTIO_CONSOLE_PORTS_MAX */
	const struct virtio_console_ops *ops;
	void *opaque;
};

/*
 * The device, not yet on a bus; destroyed through its device_ops. `loop` is not one that waits for
 * vCPUs.
 */
int MUST_CHECK virtio_console_create(const struct board *board, struct loop *loop,
				     const struct virtio_console_options *options,
				     struct virtio_console **ret_console);
struct pci_dev *virtio_console_pci(struct virtio_console *console);

/* Gives the guest input; the number of bytes that it had room for. */
size_t virtio_console_input(struct virtio_console *console, unsigned port, const void *data,
			    size_t len);

/* No more input: the guest's program reads what it was given, and then the end. */
void virtio_console_end_input(struct virtio_console *console, unsigned port);

/* There is room for output that `output` did not take. */
void virtio_console_resume(struct virtio_console *console, unsigned port);

#endif
