/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on this process's terminal or streams. Input on the main loop; output on the
 * vCPU that writes the UART.
 */
#include "machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/text.h"
#include "devices/chipset/serial.h"

#define KEY_ESCAPE 0x01 /* Ctrl-A */

/* /dev/null, which is at its end from the start. [Linux Documentation/admin-guide/devices.txt] */
#define DEV_NULL makedev(1, 3)

/*
 * On the vCPU. A guest waits for a slow reader; but a write that waits is interrupted when the
 * vCPUs are paused or stopped, and then the rest is dropped: a reader that stopped reading must not
 * keep the run alive.
 */
static void console_output(void *opaque, const uint8_t *data, size_t len)
{
	struct console *console = opaque;

	if (console->tap)
		console->tap->output(console->tap->opaque, data, len);
	for (size_t i = 0; i < len && console->keeps; i++)
		console->kept[console->kept_bytes++ % CONSOLE_KEPT] = (char)data[i];
	if (console->keeps)
		return;
	while (len) {
		ssize_t n = write(console->output_fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = console->output_fd, .events = POLLOUT };

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

	loop_post(console->loop, &console->room);
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

/* At its end. */
static void console_stop_input(struct console *console)
{
	if (console->watching)
		loop_remove(console->loop, &console->input);
	console->watching = false;
	console->input.fd = -1;
}

/*
 * A stream is watched only while there is nothing left of what it gave last, so that it waits for
 * the guest. A terminal is always watched: the escape key has to work when the guest takes nothing.
 */
static void console_watch(struct console *console)
{
	bool watch = console->input.fd >= 0 && (console->raw || console->used == 0);

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
	console_watch(console);
	return console->used == 0;
}

/* Keys that the guest does not take and that do not fit any more are lost, as on a real line. */
static void console_add(struct console *console, uint8_t *data, size_t len)
{
	if (console->raw)
		len = console_filter(console, data, len);
	len = MIN(len, sizeof(console->buffer) - console->used);
	memcpy(console->buffer + console->used, data, len);
	console->used += len;
}

static void console_input_ready(struct loop_source *source)
{
	struct console *console = container_of(source, struct console, input);
	uint8_t data[CONSOLE_BUFFER];
	ssize_t n;

	do {
		n = read(console->input.fd, data, sizeof(data));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			console_stop_input(console);
			return;
		}
		console_add(console, data, (size_t)n);
	} while (console_feed(console) && console->regular);
}

static void console_has_room(struct loop_event *event)
{
	struct console *console = container_of(event, struct console, room);

	if (!console_feed(console))
		return;
	if (console->regular && console->input.fd >= 0)
		console_input_ready(&console->input);
	if (console->tap && !console->used)
		console->tap->room(console->tap->opaque);
}

void console_set_tap(struct console *console, const struct console_tap *tap)
{
	console->tap = tap;
}

/* Not before all is taken that came before it, from here or from standard input. */
size_t console_type(struct console *console, const uint8_t *data, size_t len)
{
	if (console->used)
		return 0;
	len = MIN(len, sizeof(console->buffer));
	memcpy(console->buffer, data, len);
	console->used = len;
	(void)console_feed(console);
	return len;
}

int console_init(struct console *console, struct loop *loop, const struct board *board,
		 uint16_t port, unsigned gsi, const struct console_ops *ops, void *opaque)
{
	*console = (struct console){
		.loop = loop,
		.ops = ops,
		.opaque = opaque,
		.input_fd = STDIN_FILENO,
		.output_fd = STDOUT_FILENO,
		.input = { .fd = STDIN_FILENO, .ready = console_input_ready },
		.room = { .fn = console_has_room },
	};
	return serial_create(board, port, gsi, &serial_ops, console, &console->serial);
}

void console_set_files(struct console *console, int input, int output)
{
	console->input_fd = console->input.fd = input;
	console->output_fd = output;
}

void console_keep(struct console *console)
{
	console->keeps = true;
	console->input.fd = -1;
}

static void print_line(FILE *out, const char *prefix, char *line, size_t len)
{
	line[len] = '\0';
	text_clean(line);
	fprintf(out, "%s%s\n", prefix, line);
}

void console_print_kept(const struct console *console, FILE *out, const char *prefix)
{
	const uint64_t first = console->kept_bytes - MIN(console->kept_bytes, CONSOLE_KEPT);
	char line[512];
	size_t len = 0;

	for (uint64_t i = first; i < console->kept_bytes; i++) {
		const char c = console->kept[i % CONSOLE_KEPT];

		if (c == '\r')
			continue;
		if (c == '\n' || len == sizeof(line) - 1) {
			print_line(out, prefix, line, len);
			len = 0;
		}
		if (c != '\n')
			line[len++] = c;
	}
	/* Who crashed may not have come to the end of it. */
	if (len)
		print_line(out, prefix, line, len);
}

static int console_enter_raw(struct console *console)
{
	struct termios raw;

	if (tcgetattr(console->input_fd, &console->saved) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	raw = console->saved;
	cfmakeraw(&raw);
	if (tcsetattr(console->input_fd, TCSAFLUSH, &raw) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	console->raw = true;
	log_set_raw_terminal(isatty(STDERR_FILENO));
	return 0;
}

int console_start(struct console *console)
{
	struct stat st = { 0 };
	const bool open = fstat(console->input_fd, &st) == 0;
	const bool nothing = S_ISCHR(st.st_mode) && st.st_rdev == DEV_NULL;
	const bool terminal = S_ISCHR(st.st_mode) && !nothing && isatty(console->input_fd);
	int r = 0;

	console->regular = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
	/* A job in the background would be stopped for reading the terminal or changing it. */
	if (!open || nothing || (terminal && tcgetpgrp(console->input_fd) != getpgrp()))
		console->input.fd = -1;
	else if (terminal && isatty(console->output_fd))
		r = console_enter_raw(console);
	if (r < 0)
		return r;
	if (console->regular)
		console_input_ready(&console->input);
	else
		console_watch(console);
	return 0;
}

void console_fini(struct console *console)
{
	if (console->raw) {
		log_set_raw_terminal(false);
		tcsetattr(console->input_fd, TCSADRAIN, &console->saved);
		console->raw = false;
	}
	if (console->loop)
		console_stop_input(console);
}
