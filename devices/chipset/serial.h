/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial port: the 16550A UART of a PC, whose other end is the caller.
 * [PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs, National Semiconductor 1995]
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "core/device.h"

#define SERIAL_PORTS 8 /* ports that it occupies */

struct serial;

/* Called on a vCPU's thread without the device's lock, so they may call serial_input. */
struct serial_ops {
	/*
	 * The guest sent `len` bytes (one an access today). The byte counts as sent when this
	 * returns: a guest waits for a slow terminal as it would for a slow line.
	 */
	void (*output)(void *opaque, const uint8_t *data, size_t len);
	/*
	 * There is room again after a serial_input that took less than it was offered. It may run
	 * before that serial_input has returned on the other thread: signal an eventfd or the like,
	 * which keeps the news until the owner of the input looks. May be NULL.
	 */
	void (*input_room)(void *opaque);
};

/*
 * At `port`..`port` + 7, with its interrupt on `gsi`. `ops` and `opaque` are borrowed. -ENOMEM, or
 * the error of bus_add when the ports are taken.
 */
int MUST_CHECK serial_create(const struct board *board, uint16_t port, unsigned gsi,
			     const struct serial_ops *ops, void *opaque,
			     struct serial **ret_serial);

/* The device that machine resets and destroys. */
struct device *serial_device(struct serial *serial);

/*
 * Gives the guest up to `len` bytes and returns how many it took; the rest has to be offered again
 * when input_room is called. Any thread. Nothing is lost on the way to the guest, but as on the
 * real chip a guest throws away up to 64 bytes that it has not read when it clears its FIFO, which
 * drivers do when they start.
 */
size_t serial_input(struct serial *serial, const uint8_t *data, size_t len);

#endif
