/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's debug console: its identity, lines, and what a hostile writer can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/bus.h"
#include "devices/chipset/debug_port.h"

#define PORT 0x402

static struct bus pio;
static struct device *dev;
static char lines[8][256];
static unsigned count;

static void take_line(void *opaque, const char *text)
{
	assert_ptr_equal(opaque, lines);
	assert_true(count < 8);
	snprintf(lines[count++], sizeof(lines[0]), "%s", text);
}

static int setup(void **state)
{
	const struct board board = { .pio = &pio };

	count = 0;
	bus_init(&pio);
	return debug_port_create(&board, PORT, take_line, lines, &dev);
}

static int teardown(void **state)
{
	if (dev)
		dev->ops->destroy(dev);
	dev = NULL;
	bus_fini(&pio);
	return 0;
}

static void put(const char *text)
{
	for (; *text; text++)
		bus_write(&pio, PORT, 1, (uint8_t)*text);
}

static void reads_its_identity(void **state)
{
	assert_int_equal(bus_read(&pio, PORT, 1), 0xe9);
}

static void lines_end_at_lf(void **state)
{
	put("SecCoreStartupWithStack\r\n\nhalf");
	assert_int_equal(count, 2);
	assert_string_equal(lines[0], "SecCoreStartupWithStack");
	assert_string_equal(lines[1], "");
}

static void last_line_comes_at_the_end(void **state)
{
	put("half");
	dev->ops->destroy(dev);
	dev = NULL;
	assert_int_equal(count, 1);
	assert_string_equal(lines[0], "half");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	put("\033[2J\a\xff\tx\n");
	assert_string_equal(lines[0], "?[2J??\tx");
}

static void endless_line_comes_in_pieces(void **state)
{
	for (unsigned i = 0; i < 500; i++)
		put("x");
	assert_int_equal(count, 2);
	assert_int_equal(strlen(lines[0]), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_its_identity),
		TEST(lines_end_at_lf),
		TEST(last_line_comes_at_the_end),
		TEST(control_characters_do_not_reach_the_terminal),
		TEST(endless_line_comes_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
