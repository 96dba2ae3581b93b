/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UART as its drivers see it: OVMF's presence test, the probes of Linux's 8250 driver, the
 * interrupt sources and the flow control of input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/serial_reg.h>

#include "core/bus.h"
#include "core/irq.h"
#include "devices/chipset/serial.h"

#define PORT 0x3f8
#define GSI  4

struct fixture {
	struct bus pio;
	struct irq irq;
	struct board board;
	struct serial *serial;
	char out[256];
	size_t out_len;
	unsigned rooms;     /* calls of input_room */
	const char *refill; /* given to the guest by input_room */
};

static bool line_level;
static unsigned line_edges;

void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
	assert_int_equal(line->gsi, GSI);
	if (level && !line_level)
		line_edges++;
	line_level = level;
}

static void take_output(void *opaque, const uint8_t *data, size_t len)
{
	struct fixture *f = opaque;

	assert_true(f->out_len + len < sizeof(f->out));
	memcpy(f->out + f->out_len, data, len);
	f->out_len += len;
}

static void take_room(void *opaque)
{
	struct fixture *f = opaque;

	f->rooms++;
	if (f->refill)
		f->refill += serial_input(f->serial, (const uint8_t *)f->refill, strlen(f->refill));
}

static const struct serial_ops ops = { .output = take_output, .input_room = take_room };

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *f = &fixture;

	*f = (struct fixture){ .board = { .pio = &f->pio, .irq = &f->irq } };
	line_level = false;
	line_edges = 0;
	bus_init(&f->pio);
	assert_int_equal(serial_create(&f->board, PORT, GSI, &ops, f, &f->serial), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct device *dev = serial_device(f->serial);

	dev->ops->destroy(dev);
	assert_false(line_level);
	assert_int_equal(bus_read(&f->pio, PORT + UART_LSR, 1), 0xff);
	bus_fini(&f->pio);
	return 0;
}

static uint8_t in(struct fixture *f, unsigned reg)
{
	return (uint8_t)bus_read(&f->pio, PORT + reg, 1);
}

static void out(struct fixture *f, unsigned reg, uint8_t val)
{
	bus_write(&f->pio, PORT + reg, 1, val);
}

static size_t input(struct fixture *f, const char *text)
{
	return serial_input(f->serial, (const uint8_t *)text, strlen(text));
}

static void ovmf_finds_the_port(void **state)
{
	struct fixture *f = *state;

	out(f, UART_SCR, 0xaa);
	assert_int_equal(in(f, UART_SCR), 0xaa);
	out(f, UART_SCR, 0x55);
	assert_int_equal(in(f, UART_SCR), 0x55);
	assert_int_equal(in(f, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(in(f, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	assert_int_equal(in(f, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

static void divisor_latch_hides_data_and_ier(void **state)
{
	struct fixture *f = *state;

	out(f, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(f, UART_DLL, 1);
	out(f, UART_DLM, 2);
	assert_int_equal(in(f, UART_DLL), 1);
	assert_int_equal(in(f, UART_DLM), 2);
	out(f, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(f, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(in(f, UART_IER), 0);
	assert_int_equal(f->out_len, 0);
}

static void bytes_written_come_out(void **state)
{
	struct fixture *f = *state;
	const char *text = "BdsDxe: loading Boot0001";

	for (const char *p = text; *p; p++) {
		assert_true(in(f, UART_LSR) & UART_LSR_THRE);
		out(f, UART_TX, (uint8_t)*p);
	}
	assert_int_equal(f->out_len, strlen(text));
	assert_memory_equal(f->out, text, f->out_len);
	assert_false(line_level);
}

static void wide_access_is_not_the_chips(void **state)
{
	struct fixture *f = *state;

	bus_write(&f->pio, PORT, 2, 0x0141);
	assert_int_equal(f->out_len, 0);
	assert_int_equal(bus_read(&f->pio, PORT, 4), 0xffffffff);
}

/* serial8250: autoconfig() */
static void linux_autoconfig_sees_16550a(void **state)
{
	struct fixture *f = *state;

	out(f, UART_IER, 0);
	assert_int_equal(in(f, UART_IER), 0);
	out(f, UART_IER, 0xff);
	assert_int_equal(in(f, UART_IER), 0x0f); /* no XScale's bit 6 */
	out(f, UART_IER, 0);

	out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(f, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(f, UART_MCR, 0);

	out(f, UART_LCR, UART_LCR_CONF_MODE_B);
	out(f, UART_EFR, 0);
	out(f, UART_LCR, 0);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(f, UART_IIR) >> 6, 3);
	out(f, UART_LCR, UART_LCR_CONF_MODE_B);
	assert_int_not_equal(in(f, UART_EFR), 0); /* no 16850 */
	out(f, UART_LCR, 0);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	assert_int_equal(in(f, UART_IIR) >> 5, 6); /* no TI16750 */
	out(f, UART_FCR, 0);
	assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
}

/* serial8250: size_fifo(), which takes a UART with 64 bytes for another type */
static void loopback_fifo_is_16_deep(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;

	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(f, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		out(f, UART_TX, (uint8_t)i);
	assert_true(in(f, UART_LSR) & UART_LSR_OE);
	assert_false(in(f, UART_LSR) & UART_LSR_OE);
	while ((in(f, UART_LSR) & UART_LSR_DR) && count < 256)
		assert_int_equal(in(f, UART_RX), count++);
	assert_int_equal(count, 16);
	assert_int_equal(f->out_len, 0);
}

static void loopback_holds_input_back(void **state)
{
	struct fixture *f = *state;

	out(f, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(input(f, "x"), 0);
	assert_int_equal(f->rooms, 0);
	out(f, UART_MCR, 0);
	assert_int_equal(f->rooms, 1);
	assert_int_equal(input(f, "x"), 1);
	assert_int_equal(in(f, UART_RX), 'x');
}

/* serial8250: the THRE test and the TXEN test of serial8250_do_startup() */
static void enabling_thri_interrupts_each_time(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		out(f, UART_IER, UART_IER_THRI);
		assert_true(line_level);
		assert_int_equal(in(f, UART_IIR), UART_IIR_THRI);
		assert_false(line_level); /* reading it was the answer */
		assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
		out(f, UART_IER, 0);
	}
	assert_int_equal(line_edges, 2);
}

static void thr_write_interrupts_again(void **state)
{
	struct fixture *f = *state;

	out(f, UART_IER, UART_IER_THRI);
	in(f, UART_IIR);
	for (unsigned i = 0; i < 16; i++)
		out(f, UART_TX, 'a');
	assert_true(line_level);
	assert_int_equal(in(f, UART_IIR), UART_IIR_THRI);
	assert_false(line_level);
	assert_int_equal(line_edges, 2);
}

static void interrupts_have_the_chips_priorities(void **state)
{
	struct fixture *f = *state;
	const uint8_t fifo = 0xc0;

	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(f, UART_IER, UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI);
	out(f, UART_MCR, UART_MCR_LOOP); /* DCD, DSR and CTS fall */
	for (unsigned i = 0; i < 17; i++)
		out(f, UART_TX, 'a');

	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_RLSI);
	in(f, UART_LSR);
	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_RDI);
	for (unsigned i = 0; i < 9; i++)
		in(f, UART_RX);
	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_RX_TIMEOUT); /* 7 < 8 */
	while (in(f, UART_LSR) & UART_LSR_DR)
		in(f, UART_RX);
	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_THRI);
	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_MSI);
	assert_int_equal(in(f, UART_MSR), UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	assert_int_equal(in(f, UART_IIR), fifo | UART_IIR_NO_INT);
	assert_false(line_level);
}

static void ring_reports_its_trailing_edge_only(void **state)
{
	struct fixture *f = *state;

	out(f, UART_MCR, UART_MCR_LOOP);
	in(f, UART_MSR);
	out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_int_equal(in(f, UART_MSR), UART_MSR_RI);
	out(f, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(f, UART_MSR), UART_MSR_TERI);
}

static void input_interrupts_until_read(void **state)
{
	struct fixture *f = *state;

	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(f, UART_IER, UART_IER_RDI);
	assert_int_equal(input(f, "ls"), 2);
	assert_true(line_level);
	assert_int_equal(in(f, UART_IIR) & UART_IIR_ID, UART_IIR_RDI);
	assert_true(in(f, UART_LSR) & UART_LSR_DR);
	assert_int_equal(in(f, UART_RX), 'l');
	assert_true(line_level);
	assert_int_equal(in(f, UART_RX), 's');
	assert_false(line_level);
	assert_int_equal(in(f, UART_RX), 0); /* nothing there */
}

static void input_of_any_length_arrives_whole(void **state)
{
	struct fixture *f = *state;
	static char text[10001];
	size_t got = 0;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 26);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	f->refill = text + input(f, text);
	assert_int_equal(f->refill - text, 64);
	while (in(f, UART_LSR) & UART_LSR_DR) {
		assert_true(got < sizeof(text) - 1);
		assert_int_equal(in(f, UART_RX), text[got++]);
	}
	assert_int_equal(got, sizeof(text) - 1);
}

static void without_fifo_one_byte_at_a_time(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(input(f, "ab"), 1);
	assert_int_equal(input(f, "b"), 0);
	assert_int_equal(in(f, UART_RX), 'a');
	assert_int_equal(f->rooms, 1);
	in(f, UART_RX);
	assert_int_equal(f->rooms, 1); /* told once */
}

static void fifo_clear_drops_input(void **state)
{
	struct fixture *f = *state;

	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(input(f, "stale"), 5);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_false(in(f, UART_LSR) & UART_LSR_DR);
	assert_int_equal(input(f, "stale"), 5);
	out(f, UART_FCR, 0);
	assert_false(in(f, UART_LSR) & UART_LSR_DR);
}

static void reset_is_power_on_state(void **state)
{
	struct fixture *f = *state;
	struct device *dev = serial_device(f->serial);

	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(f, UART_IER, UART_IER_RDI | UART_IER_THRI);
	out(f, UART_MCR, UART_MCR_OUT2);
	out(f, UART_SCR, 0x5a);
	input(f, "abc");
	assert_true(line_level);
	dev->ops->reset(dev);
	assert_false(line_level);
	assert_int_equal(in(f, UART_IER), 0);
	assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(in(f, UART_MCR), 0);
	assert_int_equal(in(f, UART_SCR), 0);
	assert_int_equal(in(f, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

static void taken_port_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct serial *second = NULL;

	assert_int_equal(serial_create(&f->board, PORT, GSI, &ops, f, &second), -EEXIST);
	assert_null(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ovmf_finds_the_port),
		TEST(divisor_latch_hides_data_and_ier),
		TEST(bytes_written_come_out),
		TEST(wide_access_is_not_the_chips),
		TEST(linux_autoconfig_sees_16550a),
		TEST(loopback_fifo_is_16_deep),
		TEST(loopback_holds_input_back),
		TEST(enabling_thri_interrupts_each_time),
		TEST(thr_write_interrupts_again),
		TEST(interrupts_have_the_chips_priorities),
		TEST(ring_reports_its_trailing_edge_only),
		TEST(input_interrupts_until_read),
		TEST(input_of_any_length_arrives_whole),
		TEST(without_fifo_one_byte_at_a_time),
		TEST(fifo_clear_drops_input),
		TEST(reset_is_power_on_state),
		TEST(taken_port_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
