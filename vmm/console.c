/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on this process's terminal or streams. Input on the main loop; output on the
 * vCPU that writes the UART.
 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/serial.h"

#define KEY_ESCAPE 0x01 /* Ctrl-A */

static atomic_bool output_abandoned;

void console_abandon_output(void)
{
	atomic_store(&output_abandoned, true);
}

/* A blocked write is interrupted when the vCPUs are paused: then the rest of the bytes is lost. */
static void console_output(void *opaque, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EAGAIN && !atomic_load(&output_abandoned)) {
			struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

			if (poll(&p, 1, -1) >= 0)
				continue;
		}
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void console_input_room(void *opaque)
{
	struct console *console = opaque;

	sys_eventfd_signal(console->room.fd);
}

static const struct serial_ops serial_ops = {
	.output = console_output,
	.input_room = console_input_room,
};

static void console_help(void)
{
	log_info("keys after Ctrl-A: x ends the run, p presses the power button, "
		 "a sends Ctrl-A, h is this list");
}

/* Takes the keys that follow the escape out of `buf`; the number of bytes left for the guest. */
static size_t console_filter(struct console *console, uint8_t *buf, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (!console->escape) {
			if (buf[i] == KEY_ESCAPE)
				console->escape = true;
			else
				buf[out++] = buf[i];
			continue;
		}
		console->escape = false;
		switch (buf[i]) {
		case 'x':
		case 'X':
			console->ops->quit(console->opaque);
			break;
		case 'p':
		case 'P':
			console->ops->power_button(console->opaque);
			break;
		case 'a':
		case KEY_ESCAPE:
			buf[out++] = KEY_ESCAPE;
			break;
		default:
			console_help();
			break;
		}
	}
	return out;
}

/* Standard input is watched exactly while there is nothing left of what it gave last. */
static void console_watch(struct console *console, bool watch)
{
	watch = watch && console->input.fd >= 0;
	if (watch == console->watching || console->regular)
		return;
	console->watching = watch;
	if (!watch)
		loop_remove(console->loop, &console->input);
	else if (loop_add(console->loop, &console->input) < 0)
		console->watching = false;
}

/* Offers the buffer to the UART; true when it took all. */
static bool console_feed(struct console *console)
{
	size_t taken = serial_input(console->serial, console->buffer, console->used);

	console->used -= taken;
	memmove(console->buffer, console->buffer + taken, console->used);
	console_watch(console, console->used == 0);
	return console->used == 0;
}

static void console_input_ready(struct loop_source *source)
{
	struct console *console = container_of(source, struct console, input);
	ssize_t n;

	do {
		n = read(console->input.fd, console->buffer, sizeof(console->buffer));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			console_watch(console, false);
			console->input.fd = -1;
			return;
		}
		console->used = (size_t)n;
		if (console->raw)
			console->used = console_filter(console, console->buffer, (size_t)n);
	} while (console_feed(console) && console->regular);
}

static void console_room_ready(struct loop_source *source)
{
	struct console *console = container_of(source, struct console, room);

	sys_eventfd_drain(source->fd);
	if (console_feed(console) && console->regular && console->input.fd >= 0)
		console_input_ready(&console->input);
}

int console_init(struct console *console, struct loop *loop, const struct board *board,
		 uint16_t port, unsigned gsi, const struct console_ops *ops, void *opaque)
{
	int r;

	*console = (struct console){
		.loop = loop,
		.ops = ops,
		.opaque = opaque,
		.input = { .fd = STDIN_FILENO, .ready = console_input_ready },
		.room = { .fd = -1, .ready = console_room_ready },
	};
	console->room.fd = sys_eventfd();
	if (console->room.fd < 0)
		return err_sys(ERR_LIMIT, console->room.fd, "console");
	r = loop_add(loop, &console->room);
	if (r < 0)
		return r;
	return serial_create(board, port, gsi, &serial_ops, console, &console->serial);
}

static int console_enter_raw(struct console *console)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &console->saved) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	raw = console->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	console->raw = true;
	log_set_raw_terminal(isatty(STDERR_FILENO));
	return 0;
}

int console_start(struct console *console)
{
	struct stat st;
	int r = 0;

	console->regular = fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
	/* A job in the background would be stopped for reading the terminal or changing it. */
	if (fcntl(STDIN_FILENO, F_GETFD) < 0 ||
	    (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp()))
		console->input.fd = -1;
	else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		r = console_enter_raw(console);
	if (r < 0)
		return r;
	if (console->regular)
		console_input_ready(&console->input);
	else
		console_watch(console, true);
	return 0;
}

void console_fini(struct console *console)
{
	if (console->raw) {
		log_set_raw_terminal(false);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &console->saved);
		console->raw = false;
	}
	if (console->loop) {
		console_watch(console, false);
		loop_remove(console->loop, &console->room);
		close_fd(&console->room.fd);
	}
}
