/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of what the guest wrote to its console, for the clients of a control socket who look at
 * it: a ring, which the guest does not wait for. Any thread.
 */
#ifndef CONTROL_CONSOLE_H
#define CONTROL_CONSOLE_H

#include <pthread.h>

#include "core/util.h"

#define CONTROL_CONSOLE 65536u /* bytes */

struct control_console {
	pthread_mutex_t lock; /* guards the rest */
	unsigned viewers;
	uint64_t bytes; /* ever, while there were viewers */
	uint8_t ring[CONTROL_CONSOLE];
};

void control_console_init(struct control_console *console);
void control_console_fini(struct control_console *console);

/* What the guest writes. False: nobody looks. */
bool control_console_put(struct control_console *console, const uint8_t *data, size_t len);

/* A viewer comes, who sees what is written from *ret_at on; and goes. */
void control_console_enter(struct control_console *console, uint64_t *ret_at);
void control_console_leave(struct control_console *console);

/*
 * Of what is behind `*at`, as much as there is room for, and its length. What has been overwritten
 * is left out.
 */
size_t control_console_get(struct control_console *console, uint64_t *at, char *buf, size_t room);

#endif
