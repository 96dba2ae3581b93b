/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of a virtio console with named ports, for tests: as Linux does it, or anything else.
 * Ports 0 and up to CONSOLE_GUEST_PORTS. All assert.
 */
#ifndef SUPPORT_CONSOLE_GUEST_H
#define SUPPORT_CONSOLE_GUEST_H

#include <linux/virtio_console.h>

#include "virtio_guest.h"

#define CONSOLE_GUEST_PORTS  4u
#define CONSOLE_GUEST_QUEUES (2 * (CONSOLE_GUEST_PORTS + 1))
#define CONSOLE_GUEST_QUEUE  8u /* entries of each */
#define CONSOLE_GUEST_DATA   0x100000u

/* [virtio-1.2 5.3.2 Virtqueues] */
#define CONTROL_IN  2u
#define CONTROL_OUT 3u
static inline unsigned console_in(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}
static inline unsigned console_out(unsigned port)
{
	return console_in(port) + 1;
}

struct console_guest {
	struct virtio_guest guest;
	struct loop *loop; /* the device's; the test sets it */
	struct vring_driver drv[CONSOLE_GUEST_QUEUES];
};

/* From reset to DRIVER_OK. */
void console_guest_drive(struct console_guest *g);

/* Waits until the loop has done what it had to. */
void console_guest_settle(struct console_guest *g);

/* `buffers` buffers of `size` bytes, up to 256, for the device to fill. */
void console_guest_give_room(struct console_guest *g, unsigned queue, unsigned buffers,
			     uint32_t size);
/* The buffer `nr` of those. */
char *console_guest_buffer(struct console_guest *g, unsigned queue, unsigned nr);

void console_guest_say(struct console_guest *g, unsigned queue, const void *data, uint32_t len);
void console_guest_control(struct console_guest *g, uint32_t id, uint16_t event, uint16_t value);

/* Whether the device is done with one more buffer, and how much it wrote. */
bool console_guest_taken(struct console_guest *g, unsigned queue, uint32_t *ret_len);

/* The next message is this one; `text` stands behind it. */
void console_guest_heard(struct console_guest *g, uint32_t id, uint16_t event, uint16_t value,
			 const char *text);

/* As Linux does it, for ports 0 .. `ports` - 1, until programs have them open. */
void console_guest_open(struct console_guest *g, unsigned ports);

#endif
