/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a command that runs in the guest: its three streams are ours, signals and the
 * size of the terminal go in, how it ended comes out. The other end is guest/, what they say is
 * in guest/protocol.h. The guest may say anything: it is the command's, after all.
 *
 * A loop and a thread of its own move the bytes, so that a reader that does not read stops the
 * command and nothing else. Functions here are the main thread's.
 */
#ifndef SESSION_H
#define SESSION_H

#include <termios.h>

#include "core/loop.h"
#include "core/util.h"
#include "guest/protocol.h"

#define SESSION_BUFFER 65536u

struct board;
struct pci_dev;
struct session;
struct virtio_console;

enum session_end {
	SESSION_NOT_STARTED, /* the agent was not heard of */
	SESSION_RUNNING,
	SESSION_EXITED,
	SESSION_SIGNALED,
	SESSION_NO_MEMORY, /* it failed, and the guest's kernel had killed for want of memory */
	SESSION_NOT_FOUND,
	SESSION_NOT_EXECUTABLE,
	SESSION_FAILED,      /* the agent could not go on */
	SESSION_OUTPUT_LOST, /* we could not write what it said */
};

struct session_result {
	enum session_end end;
	int value;                 /* the exit status, or the signal */
	char text[GUEST_LINE_MAX]; /* of the last five: what and why; may be "" of the first */
};

/* What the agent tells of its guest beside how the command ended: foreign text, cleaned. */
#define SESSION_TEXT_SIZE   128
#define SESSION_DRIVERS_MAX 64

struct session_driver {
	char name[64];    /* "": none */
	char version[64]; /* that the module says of itself; "": it does not */
};

struct session_report {
	char kernel[SESSION_TEXT_SIZE]; /* the guest's release; "": not told, as below */
	uint64_t peak;                  /* bytes of the command's largest process; 0 */
	bool oom_told;
	uint64_t oom_kills; /* processes that the guest's kernel killed for want of memory */
	uint64_t oom_kills_before; /* as many before the last signal of ours; 0: none */
	struct {
		unsigned bus, devfn; /* of segment 0, as the guest has numbered it */
		struct session_driver driver;
	} drivers[SESSION_DRIVERS_MAX];
	unsigned driver_count;
};

/* A stream of ours that the guest writes to. */
struct session_output {
	struct session *session;
	struct loop_source source; /* watched for room while the guest waits for it */
	bool ours;                 /* an open file of ours, which does not block */
	bool waiting;
	bool regular; /* a file, which always has room */
	bool broken;  /* it takes nothing any more: what comes is dropped */
	bool closed;  /* by the guest, after its last byte */
};

struct session {
	struct loop loop;
	struct virtio_console *console;
	int terminal_fd; /* our terminal, raw while the command has one; -1: it has none */
	bool raw;
	struct termios saved;
	void (*ended)(void *opaque); /* on the session's thread */
	void *opaque;

	/* The loop's; `result` and `report` are read after session_stop. */
	struct session_result result;
	struct session_report report;
	struct session_output outputs[GUEST_PORTS];
	struct loop_source input;
	bool input_ours;
	bool input_watched, input_regular, input_ended;
	uint8_t buffer[SESSION_BUFFER]; /* read, not yet taken by the guest */
	size_t buffer_start, buffer_end;
	char line[GUEST_LINE_MAX]; /* of the agent, as far as it is here */
	size_t line_len;
	char words[4 * GUEST_LINE_MAX]; /* for the agent, not yet taken */
	size_t words_len;
};

/* Which files of ours the command's streams are; borrowed. */
struct session_files {
	int input, output, error;
};

/* Whether the command gets a terminal: if ours is one, and we are not in its background. */
bool session_has_terminal(const struct session_files *files);

/*
 * Makes the device (`ret_dev`, not yet on a bus, destroyed as a device of the machine) and starts
 * the thread. `ended` is called once, when the command has ended and all of its output was
 * written, or when it cannot be run. On
 * failure session_fini is allowed.
 */
int MUST_CHECK session_init(struct session *session, const struct board *board,
			    const struct session_files *files, void (*ended)(void *opaque),
			    void *opaque, struct pci_dev **ret_dev);

/*
 * From now on our standard input is the command's; a terminal, whose every key it gets, once the
 * command has started.
 */
void session_start(struct session *session);

/* For the command. False if there is none to get it: it has not begun yet, or has ended. */
bool session_signal(struct session *session, int signal);
/* Our terminal has another size now. */
void session_resize(struct session *session);

/* The driver that the guest had for this function, at the last word about it. */
struct session_driver session_driver(const struct session *session, unsigned bus, unsigned devfn);

/*
 * Stops the thread and gives the terminal back; after the vCPUs, before `result` is read and the
 * device goes.
 */
void session_stop(struct session *session);
void session_fini(struct session *session); /* accepts a zeroed one */

#endif
