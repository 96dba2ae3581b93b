/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of a control socket, as its server has them; between control.c and control_caller.c.
 * (The program's own end is control_client.) On the control's loop.
 */
#ifndef CONTROL_CALLER_H
#define CONTROL_CALLER_H

#include "control/control.h"
#include "control/control_console.h"

struct control_caller {
	struct control *control;
	struct loop_source source;
	bool watched;
	bool dead;    /* freed when nobody uses it any more */
	bool closing; /* once it has read what it was told */
	bool events, console, writer;
	uint64_t console_at;          /* of the console's output, not yet put into out */
	char in[CONTROL_LINE_MAX];    /* read, not yet done */
	char out[CONTROL_OUTPUT_MAX]; /* not yet sent */
	size_t in_len, out_len;
};

struct control {
	const struct control_ops *ops;
	void *opaque;
	struct loop *loop; /* NULL: none */
	struct loop_source listener;
	int spare_fd; /* given up for who connects when this process may open no more files */
	struct control_caller *clients[CONTROL_CLIENTS_MAX]; /* NULL: free */
	unsigned busy; /* a client is at work: what it does may tell an event */

	struct loop_event console_changed;
	struct control_console console;
};

/* A loop_source.ready, of its connection. */
void control_caller_ready(struct loop_source *source);

/* Waits for room while there is something to send, else for requests, or keys that fit. */
void control_caller_watch(struct control_caller *client);
void control_caller_unwatch(struct control_caller *client);

/* Sends what waits for it, as far as it reads; `send` adds to that. A client may die of both. */
void control_caller_flush(struct control_caller *client);
void control_caller_send(struct control_caller *client, const char *data, size_t len);

/* What a slow viewer has missed, it has missed: the guest does not wait. */
void control_caller_show_console(struct control_caller *client);

/* Requests, one after the other, while the answers are read; or keys. */
void control_caller_work(struct control_caller *client);

/* Not in a loop any more. */
void control_caller_free(struct control_caller *client);

/* In control.c: after everything that a client may have died of. */
void control_settle(struct control *control);

#endif
