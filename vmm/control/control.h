/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a run's control socket: JSON lines in and out, see docs/control.md. It knows the
 * protocol and its clients; what can be done is the owner's. A client has bounds: a line, what
 * waits for it to read; one that does not read is cut off, and holds up nobody.
 *
 * On the thread of one loop, but for control_console_output.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "core/json_out.h"
#include "core/loop.h"
#include "core/util.h"

#define CONTROL_CLIENTS_MAX 16u
#define CONTROL_LINE_MAX    4096u  /* of a request, with its newline */
#define CONTROL_OUTPUT_MAX  65536u /* not yet read by a client */

struct control;

struct control_ops {
	/* "pause" and its like. -ENOENT without an error chain: nothing is called that. */
	int (*act)(void *opaque, const char *what);
	/* Add what the answers to "status" and "statistics" hold. */
	void (*status)(void *opaque, struct json_out *json);
	void (*statistics)(void *opaque, struct json_out *json);
	/*
	 * Keys for the guest's console; how many were taken. After fewer, control_console_room
	 * says when to offer the rest.
	 */
	size_t (*type)(void *opaque, const uint8_t *data, size_t len);
};

/*
 * Makes the socket; who connects is answered once the control has joined a loop. `ops` and `opaque`
 * are borrowed.
 */
int MUST_CHECK control_create(const char *path, const struct control_ops *ops, void *opaque,
			      struct control **ret_control);
void control_destroy(struct control *control); /* NULL: nothing. Not in a loop. */

int MUST_CHECK control_join(struct control *control, struct loop *loop);
/* Clients stay; they are told events, but not answered. */
void control_leave(struct control *control);

/* Tells who wants to know; `key` and `value` may be NULL. */
void control_tell(struct control *control, const char *event, const char *key, const char *value);
/* The last event: the exit status. Waits a moment for who is slow to read. */
void control_tell_exit(struct control *control, int status);

/* What the guest writes to its console. Any thread. */
void control_console_output(struct control *control, const uint8_t *data, size_t len);
void control_console_room(struct control *control);

#endif
