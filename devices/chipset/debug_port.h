/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug console of firmware: one port, written a character at a time. Only DEBUG builds of OVMF
 * use it (they first read it and expect DEBUG_PORT_ID).
 */
#ifndef DEVICES_DEBUG_PORT_H
#define DEVICES_DEBUG_PORT_H

#include "core/device.h"

#define DEBUG_PORT_ID 0xe9

/*
 * `line` gets each line without its end, printable ASCII only, long ones in pieces. It runs on a
 * vCPU's thread with the device's lock held, the last line on the main thread.
 */
int MUST_CHECK debug_port_create(const struct board *board, uint16_t port,
				 void (*line)(void *opaque, const char *text), void *opaque,
				 struct device **ret_dev);

#endif
