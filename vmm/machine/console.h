/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of the guest's COM1: standard output and standard input of this process.
 *
 * On a terminal it is interactive: raw mode, every key goes to the guest but the escape, Ctrl-A:
 *   Ctrl-A x   end the run at once         Ctrl-A p   press the power button
 *   Ctrl-A a   send a Ctrl-A               Ctrl-A h   list these
 * Otherwise both are plain streams: the guest gets standard input as it is, until its end.
 *
 * Others may listen and type, too: a tap.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdio.h>
#include <termios.h>

#include "core/loop.h"
#include "core/util.h"

struct serial;

/* What a key asks of the machine. Main thread. */
struct console_ops {
	void (*power_button)(void *opaque);
	void (*quit)(void *opaque);
};

/* Somebody else at the console. */
struct console_tap {
	/* What the guest writes. On a vCPU, which this must not hold up. */
	void (*output)(void *opaque, const uint8_t *data, size_t len);
	/* console_type takes keys again. Main thread. */
	void (*room)(void *opaque);
	void *opaque;
};

#define CONSOLE_BUFFER 4096u
#define CONSOLE_KEPT   16384u

struct console {
	struct loop *loop; /* main's */
	struct serial *serial;
	const struct console_ops *ops;
	void *opaque;
	const struct console_tap *tap; /* NULL: none */
	int input_fd, output_fd;  /* standard input and output */
	struct loop_source input; /* of input_fd; fd -1: at its end */
	struct loop_event room;   /* the guest's UART can take more */
	bool watching;            /* input is in the loop */
	bool regular;             /* a file: always readable, and epoll does not take it */
	bool raw;
	bool escape; /* the last key was Ctrl-A */
	struct termios saved;
	uint8_t buffer[CONSOLE_BUFFER]; /* read, not yet taken by the UART */
	size_t used;
	/* Where nobody sees the output, its end is kept: a ring. Written by vCPUs. */
	bool keeps;
	char kept[CONSOLE_KEPT];
	uint64_t kept_bytes; /* ever */
};

/* Creates the guest's serial port at `port` and `gsi` with this as its other end. */
struct board;
int MUST_CHECK console_init(struct console *console, struct loop *loop, const struct board *board,
			    uint16_t port, unsigned gsi, const struct console_ops *ops,
			    void *opaque);
/* Borrowed; before there are vCPUs. */
void console_set_tap(struct console *console, const struct console_tap *tap);
/* Keys of the tap's; how many were taken. Main thread, while the guest runs. */
size_t console_type(struct console *console, const uint8_t *data, size_t len);

/* In place of the process's streams; borrowed, before there are vCPUs. */
void console_set_files(struct console *console, int input, int output);

/*
 * In place of console_start, before there are vCPUs: output goes nowhere but to a memory of its
 * end, and there is no input.
 */
void console_keep(struct console *console);
/* What is kept, as lines behind `prefix`; vCPUs stopped, and no terminal raw. */
void console_print_kept(const struct console *console, FILE *out, const char *prefix);

/* From now on the terminal is the guest's. Before, Ctrl-C works as usual. */
int MUST_CHECK console_start(struct console *console);

/* Gives the terminal back. The serial port is destroyed as a device of the machine. */
void console_fini(struct console *console);

#endif
