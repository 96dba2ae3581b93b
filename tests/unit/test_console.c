/* SPDX-License-Identifier: Apache-2.0 */
/* The console on a terminal and on plain streams: what reaches the guest, and the escape key. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/chipset/serial.h"
#include "machine/console.h"

#define PORT     0x3f8
#define PORT_LSR (PORT + 5)
#define LSR_DR   0x01

struct fixture {
	struct bus pio;
	struct irq irq;
	struct board board;
	struct loop loop;
	struct console console;
	int saved_stdin, saved_stdout;
	int other; /* the other end of standard input */
	unsigned quits, buttons;
};

void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
}

static void count_quit(void *opaque)
{
	((struct fixture *)opaque)->quits++;
}

static void count_button(void *opaque)
{
	((struct fixture *)opaque)->buttons++;
}

static const struct console_ops ops = { .power_button = count_button, .quit = count_quit };

static void start(struct fixture *f, int in, int out)
{
	fflush(stdout);
	f->saved_stdin = dup(STDIN_FILENO);
	f->saved_stdout = dup(STDOUT_FILENO);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	close(in);
	if (out != in)
		close(out);
	bus_init(&f->pio);
	f->board = (struct board){ .irq = &f->irq, .pio = &f->pio };
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(console_init(&f->console, &f->loop, &f->board, PORT, 4, &ops, f), 0);
	assert_int_equal(console_start(&f->console), 0);
}

static void finish(struct fixture *f)
{
	struct device *dev = serial_device(f->console.serial);

	dev->ops->destroy(dev);
	console_fini(&f->console);
	loop_fini(&f->loop);
	bus_fini(&f->pio);
	dup2(f->saved_stdin, STDIN_FILENO);
	dup2(f->saved_stdout, STDOUT_FILENO);
	close(f->saved_stdin);
	close(f->saved_stdout);
	close(f->other);
}

/* The terminals of these tests control no session: say that we are in the foreground of each. */
pid_t __wrap_tcgetpgrp(int fd);
pid_t __wrap_tcgetpgrp(int fd)
{
	return getpgrp();
}

static void on_terminal(struct fixture *f)
{
	int master, slave;

	*f = (struct fixture){ 0 };
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	f->other = master;
	start(f, slave, dup(slave));
	assert_true(f->console.raw);
}

/* Lets the loop handle all that is there, or comes within `ms`. */
static void settle(struct fixture *f, int ms)
{
	for (unsigned i = 0; i < 100; i++) {
		struct pollfd input = { .events = POLLIN };

		f->loop.wake.ready(&f->loop.wake);
		input.fd = f->console.watching ? f->console.input.fd : -1;
		if (poll(&input, 1, ms) <= 0)
			return;
		f->console.input.ready(&f->console.input);
	}
}

static void type(struct fixture *f, const char *keys, size_t len)
{
	assert_int_equal(write(f->other, keys, len), len);
	/* The kernel passes it from one end of a terminal to the other in its own time. */
	settle(f, 50);
}

/* What the guest reads until there is no more. */
static size_t guest_reads(struct fixture *f, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size && (bus_read(&f->pio, PORT_LSR, 1) & LSR_DR)) {
		buf[n++] = (char)bus_read(&f->pio, PORT, 1);
		settle(f, 0);
	}
	return n;
}

static void keys_reach_the_guest(void **state)
{
	struct fixture f;
	char got[16];

	on_terminal(&f);
	type(&f, "a\x03z", 3);
	assert_int_equal(guest_reads(&f, got, sizeof(got)), 3);
	assert_memory_equal(got, "a\x03z", 3);
	finish(&f);
}

static void escape_works_while_the_guest_takes_nothing(void **state)
{
	struct fixture f;
	char many[3000];

	on_terminal(&f);
	memset(many, 'k', sizeof(many));
	/* More than UART and buffer hold together. */
	type(&f, many, sizeof(many));
	type(&f, many, sizeof(many));
	type(&f, "\x01p", 2);
	assert_int_equal(f.buttons, 1);
	type(&f, "\x01x", 2);
	assert_int_equal(f.quits, 1);
	finish(&f);
}

static void escape_is_sent_by_typing_it_twice(void **state)
{
	struct fixture f;
	char got[4];

	on_terminal(&f);
	type(&f, "\x01\x01", 2);
	type(&f, "\x01", 1);
	type(&f, "a", 1);
	assert_int_equal(guest_reads(&f, got, sizeof(got)), 2);
	assert_memory_equal(got, "\x01\x01", 2);
	finish(&f);
}

/* A pipe or a file: nothing is an escape, nothing is lost, and its end is an end. */
static void stream_arrives_whole(struct fixture *f, size_t size)
{
	char *got = malloc(size + 1);
	size_t n;

	settle(f, 0);
	n = guest_reads(f, got, size + 1);
	assert_int_equal(n, size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal((uint8_t)got[i], (uint8_t)i);
	assert_int_equal(f->console.input.fd, -1);
	assert_int_equal(f->quits + f->buttons, 0);
	free(got);
}

static void pipe_arrives_whole(void **state)
{
	struct fixture f = { 0 };
	const size_t size = 20000;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)i;

		assert_int_equal(write(fds[1], &byte, 1), 1);
	}
	close(fds[1]);
	f.other = -1;
	start(&f, fds[0], open("/dev/null", O_WRONLY));
	stream_arrives_whole(&f, size);
	finish(&f);
}

static void file_arrives_whole(void **state)
{
	struct fixture f = { 0 };
	const size_t size = 20000;
	FILE *file = tmpfile();

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		fputc((uint8_t)i, file);
	rewind(file);
	f.other = -1;
	start(&f, dup(fileno(file)), open("/dev/null", O_WRONLY));
	stream_arrives_whole(&f, size);
	finish(&f);
	fclose(file);
}

static void null_is_at_its_end_from_the_start(void **state)
{
	struct fixture f = { .other = -1 };

	start(&f, open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	assert_int_equal(f.console.input.fd, -1);
	assert_false(f.console.watching);
	stream_arrives_whole(&f, 0);
	finish(&f);
}

/* A console that nobody sees. */
static void start_kept(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	bus_init(&f->pio);
	f->board = (struct board){ .irq = &f->irq, .pio = &f->pio };
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(console_init(&f->console, &f->loop, &f->board, PORT, 4, &ops, f), 0);
	console_keep(&f->console);
}

static void finish_kept(struct fixture *f)
{
	struct device *dev = serial_device(f->console.serial);

	dev->ops->destroy(dev);
	console_fini(&f->console);
	loop_fini(&f->loop);
	bus_fini(&f->pio);
}

static void guest_writes(struct fixture *f, const char *text)
{
	for (; *text; text++)
		bus_write(&f->pio, PORT, 1, (uint8_t)*text);
}

/* free() it. */
static char *printed(const struct fixture *f)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	console_print_kept(&f->console, out, "g: ");
	fclose(out);
	return text;
}

static void kept_output_is_printed_with_a_last_line_that_did_not_end(void **state)
{
	struct fixture f;
	char *text;

	start_kept(&f);
	guest_writes(&f, "one\r\n\x1b[2Jtwo\r\nKernel pan");
	text = printed(&f);
	assert_string_equal(text, "g: one\ng: ?[2Jtwo\ng: Kernel pan\n");
	free(text);
	finish_kept(&f);
}

static void long_line_of_kept_output_is_broken_and_nothing_lost(void **state)
{
	char line[1301], *text;
	struct fixture f;
	size_t letters = 0;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	start_kept(&f);
	guest_writes(&f, line);
	text = printed(&f);
	for (const char *p = text; *p; p++)
		letters += *p == 'x';
	assert_int_equal(letters, sizeof(line) - 1);
	free(text);
	finish_kept(&f);
}

static void of_much_output_the_end_is_kept(void **state)
{
	struct fixture f;
	char *text;

	start_kept(&f);
	guest_writes(&f, "first\n");
	for (unsigned i = 0; i < CONSOLE_KEPT / 8; i++)
		guest_writes(&f, "1234567\n");
	guest_writes(&f, "last\n");
	text = printed(&f);
	assert_null(strstr(text, "first"));
	assert_non_null(strstr(text, "g: 1234567\ng: last\n"));
	free(text);
	finish_kept(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_reach_the_guest),
		cmocka_unit_test(escape_works_while_the_guest_takes_nothing),
		cmocka_unit_test(escape_is_sent_by_typing_it_twice),
		cmocka_unit_test(pipe_arrives_whole),
		cmocka_unit_test(file_arrives_whole),
		cmocka_unit_test(null_is_at_its_end_from_the_start),
		cmocka_unit_test(kept_output_is_printed_with_a_last_line_that_did_not_end),
		cmocka_unit_test(long_line_of_kept_output_is_broken_and_nothing_lost),
		cmocka_unit_test(of_much_output_the_end_is_kept),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
