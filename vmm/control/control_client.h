/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a control socket, for the commands. Waits, with limits. Any one thread. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <sys/types.h>

#include "control/control.h"
#include "core/util.h"

/*
 * A run that does not answer for so long is starting or ending, and will do neither soon. One that
 * runs may be as slow as its host: the first file that it needs may have to come from a disk.
 */
#define CONTROL_ANSWER_MS 10000u

struct control_client {
	int fd;    /* -1: none */
	pid_t pid; /* of the run */
	char buf[CONTROL_OUTPUT_MAX];
	size_t start, len; /* what is read and not yet given out */
};

/* -ENOENT, kind ERR_USAGE: no guest of that name runs. */
int MUST_CHECK control_client_open(const char *root, const char *name,
				   struct control_client *ret_client);
void control_client_close(struct control_client *client);

/*
 * The next line, without its newline, valid until the next call: 1. 0: there is none any more.
 * -ETIMEDOUT without an error chain. `timeout_ms` -1: no limit.
 */
int MUST_CHECK control_client_line(struct control_client *client, int timeout_ms, char **ret_line);

/*
 * Asks with all of `request`, as in "\"do\":\"pause\"", and waits for the answer, past events.
 * -EREMOTEIO, kind ERR_GUEST: the answer is an error; -ETIMEDOUT, kind ERR_GUEST. The answer's line
 * is in *ret_answer, if that is not NULL.
 */
int MUST_CHECK control_client_ask(struct control_client *client, const char *request,
				  unsigned timeout_ms, char **ret_answer);

/* If the line is the event "exited": the exit status, else -1. */
int control_client_exit_status(const char *line);

#endif
