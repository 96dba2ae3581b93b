/* SPDX-License-Identifier: Apache-2.0 */
/* The ports to the host; see protocol.h. */
#ifndef GUEST_PORTS_H
#define GUEST_PORTS_H

#include "guest/protocol.h"

/* Opens one, waiting until the kernel has found it; non-blocking. Ends the agent if it never does.
 */
int ports_open(enum guest_port port);

/* A line for the host, without its end; dropped while the control port is not open. */
void ports_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ports_set_control(int fd);

#endif
