/* SPDX-License-Identifier: Apache-2.0 */
/* The ISA bridge as OVMF and Linux use it: PM block, timer, power button, S5, and resets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "core/bus.h"
#include "core/vm.h"
#include "devices/chipset/ich9_lpc.h"

#define PM  0x600
#define KBD 0x64
#define SCI 9

#define PWRBTN (1u << 8)

static struct bus pio;
static struct irq irq;
static struct vm vm;
static const struct board board = { .vm = &vm, .irq = &irq, .pio = &pio };
static struct pci_bus bus;
static struct ich9_lpc *lpc;
static struct pci_dev *pci;

static bool sci;
static enum vm_request request;
static struct timespec now;

void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
	if (line->gsi == SCI)
		sci = level;
}

void __wrap_vm_request(struct vm *v, enum vm_request req);
void __wrap_vm_request(struct vm *v, enum vm_request req)
{
	assert_ptr_equal(v, &vm);
	request = req;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	assert_int_equal(clock, CLOCK_MONOTONIC);
	*ts = now;
	return 0;
}

static int setup(void **state)
{
	const struct ich9_lpc_config config = { .pm_base = PM,
						.kbd_command_port = KBD,
						.sci_gsi = SCI };

	sci = false;
	request = VM_REQUEST_NONE;
	now = (struct timespec){ 0 };
	memset(&bus, 0, sizeof(bus));
	bus_init(&pio);
	assert_int_equal(ich9_lpc_create(&board, &config, &lpc), 0);
	pci = ich9_lpc_pci(lpc);
	pci_bus_add(&bus, pci, PCI_DEVFN(31, 0));
	return 0;
}

static int teardown(void **state)
{
	pci->device.ops->destroy(&pci->device);
	assert_int_equal(pio.count, 0);
	bus_fini(&pio);
	return 0;
}

static uint32_t in(uint64_t port, unsigned len)
{
	return (uint32_t)bus_read(&pio, port, len);
}

static void out(uint64_t port, unsigned len, uint32_t val)
{
	bus_write(&pio, port, len, val);
}

static uint32_t config_in(unsigned off, unsigned len)
{
	return pci_config_read(pci, off, len);
}

static void config_out(unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&pci->lock);
	pci->ops->config_write(pci, off, len, val);
	pthread_mutex_unlock(&pci->lock);
}

static void is_an_isa_bridge(void **state)
{
	assert_int_equal(config_in(PCI_VENDOR_ID, 4), 0x29188086);
	assert_int_equal(config_in(PCI_CLASS_REVISION, 4) >> 8, 0x060100);
	assert_int_equal(config_in(PCI_HEADER_TYPE, 1), 0);
	/* SioBusDxe binds only then. */
	config_out(PCI_COMMAND, 2, 7);
	assert_int_equal(config_in(PCI_COMMAND, 2) & 7, 7);
}

static void pm_block_is_there_at_power_on(void **state)
{
	assert_int_equal(config_in(0x40, 4), PM | 1);
	assert_int_equal(config_in(0x44, 1) & 0x80, 0x80);
	assert_int_equal(in(PM + ICH9_PM1_STS, 4), 0);
}

static void ovmf_programs_the_same_again(void **state)
{
	config_out(0x40, 4, PM | 1);
	config_out(0x44, 1, 0x80);
	assert_int_equal(config_in(0x40, 4), PM | 1);
	assert_int_equal(in(PM + ICH9_PM1_CNT, 2), 0);
	config_out(0xf0, 4, 0xfed1c001);
	assert_int_equal(config_in(0xf0, 4), 0xfed1c001);
}

static void pm_block_moves(void **state)
{
	out(PM + ICH9_PM1_EN, 2, PWRBTN);
	config_out(0x40, 4, 0x1000);
	assert_int_equal(config_in(0x40, 4), 0x1001);
	assert_int_equal(in(PM + ICH9_PM1_EN, 2), 0xffff);
	assert_int_equal(in(0x1000 + ICH9_PM1_EN, 2), PWRBTN);
	config_out(0x44, 1, 0);
	assert_int_equal(in(0x1000 + ICH9_PM1_EN, 2), 0xffff);
	config_out(0x44, 1, 0x80);
	assert_int_equal(in(0x1000 + ICH9_PM1_EN, 2), PWRBTN);
	pci->device.ops->reset(&pci->device);
	assert_int_equal(in(PM + ICH9_PM1_EN, 2), 0);
	assert_int_equal(in(0x1000 + ICH9_PM1_EN, 2), 0xffff);
}

static uint64_t read_five(void *dev, uint64_t off, unsigned len)
{
	return 5;
}

static void write_nothing(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static void pm_block_on_taken_ports_is_not_decoded(void **state)
{
	static const struct bus_ops ops = { .read = read_five, .write = write_nothing };
	struct bus_range other = { .base = 0x1010, .size = 1, .ops = &ops };

	assert_int_equal(bus_add(&pio, &other), 0);
	config_out(0x40, 4, 0x1000);
	assert_int_equal(in(0x1010, 1), 5);
	assert_int_equal(in(0x1000 + ICH9_PM1_EN, 2), 0xffff);
	assert_int_equal(in(PM + ICH9_PM1_EN, 2), 0xffff);
	config_out(0x40, 4, 0xff80);
	assert_int_equal(in(0xff80 + ICH9_PM1_EN, 2), 0);
	bus_remove(&pio, &other);
}

static void pm_block_at_0_is_off(void **state)
{
	config_out(0x40, 4, 0);
	assert_int_equal(config_in(0x40, 4), 1);
	assert_int_equal(in(ICH9_PM1_EN, 2), 0xffff);
}

static void pirq_registers_keep_what_is_written(void **state)
{
	static const uint8_t irqs[] = { 0x0a, 0x0a, 0x0b, 0x0b };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(config_in(0x60 + i, 1), 0x80);
		config_out(0x60 + i, 1, irqs[i]);
		config_out(0x68 + i, 1, irqs[i]);
	}
	assert_int_equal(config_in(0x60, 4), 0x0b0b0a0a);
	assert_int_equal(config_in(0x68, 4), 0x0b0b0a0a);
}

static void timer_runs_at_3579545_hz_with_24_bits(void **state)
{
	uint32_t start = in(PM + ICH9_PM_TMR, 4);

	now.tv_sec = 1;
	assert_int_equal(in(PM + ICH9_PM_TMR, 4) - start, 3579545);
	now.tv_nsec = 500000000;
	assert_int_equal(in(PM + ICH9_PM_TMR, 4) - start, 3579545 + 3579545 / 2);
	now.tv_sec = 5;
	now.tv_nsec = 0;
	assert_int_equal(in(PM + ICH9_PM_TMR, 4), (5u * 3579545u) & 0xffffff);
	assert_int_equal(in(PM + ICH9_PM_TMR, 2), (5u * 3579545u) & 0xffff);
	out(PM + ICH9_PM_TMR, 4, 0);
	assert_int_equal(in(PM + ICH9_PM_TMR, 4), (5u * 3579545u) & 0xffffff);
}

static void timer_is_monotonic_for_years_of_uptime(void **state)
{
	uint32_t last, t;

	now.tv_sec = 20l * 365 * 86400;
	now.tv_nsec = 999999700;
	last = in(PM + ICH9_PM_TMR, 4);
	for (unsigned i = 0; i < 100; i++) {
		now.tv_nsec += 100;
		if (now.tv_nsec >= 1000000000) {
			now.tv_nsec -= 1000000000;
			now.tv_sec++;
		}
		t = in(PM + ICH9_PM_TMR, 4);
		assert_true(((t - last) & 0xffffff) <= 1);
		last = t;
	}
}

static void missing_registers_read_all_ones(void **state)
{
	assert_int_equal(in(PM + 0x20, 4), 0xffffffff); /* GPE0 */
	assert_int_equal(in(PM + 0x30, 4), 0xffffffff); /* SMI_EN */
	out(PM + 0x30, 4, 0);
	assert_int_equal(in(PM + 0x30, 4), 0xffffffff);
	assert_int_equal(in(PM + ICH9_PM_SIZE, 4), 0xffffffff);
}

static void power_button_raises_sci_until_cleared(void **state)
{
	assert_false(ich9_lpc_power_button(lpc));
	assert_false(sci);
	/* Linux: global lock, power button and RTC. */
	out(PM + ICH9_PM1_EN, 2, 1u << 5 | PWRBTN | 1u << 10);
	assert_false(sci);
	assert_true(ich9_lpc_power_button(lpc));
	assert_true(sci);
	assert_int_equal(in(PM + ICH9_PM1_STS, 2), PWRBTN);
	out(PM + ICH9_PM1_STS, 2, 1u << 5);
	assert_true(sci);
	out(PM + ICH9_PM1_STS, 2, PWRBTN);
	assert_false(sci);
	assert_int_equal(in(PM + ICH9_PM1_STS, 2), 0);
}

static void sci_follows_enable(void **state)
{
	out(PM + ICH9_PM1_EN, 2, PWRBTN);
	ich9_lpc_power_button(lpc);
	out(PM + ICH9_PM1_EN, 2, 0);
	assert_false(sci);
	out(PM + ICH9_PM1_EN + 1, 1, 1);
	assert_true(sci);
	/* One dword clears the status and keeps the enable. */
	out(PM + ICH9_PM1_STS, 4, PWRBTN << 16 | PWRBTN);
	assert_false(sci);
	assert_int_equal(in(PM + ICH9_PM1_STS, 4), PWRBTN << 16);
}

static void s5_powers_off(void **state)
{
	/* OVMF: SLP_TYP cleared first, then SLP_EN with SCI_EN kept. */
	out(PM + ICH9_PM1_CNT, 2, 0x0001);
	assert_int_equal(request, VM_REQUEST_NONE);
	out(PM + ICH9_PM1_CNT, 2, 0x2001);
	assert_int_equal(request, VM_REQUEST_POWEROFF);
	assert_int_equal(in(PM + ICH9_PM1_CNT, 2), 0x0001); /* SLP_EN reads 0 */
}

static void s5_of_the_real_chip_powers_off_too(void **state)
{
	out(PM + ICH9_PM1_CNT, 4, 7u << 10 | 1u << 13);
	assert_int_equal(request, VM_REQUEST_POWEROFF);
}

static void other_sleep_states_do_nothing(void **state)
{
	out(PM + ICH9_PM1_CNT, 2, 5u << 10 | 1u << 13);
	assert_int_equal(request, VM_REQUEST_NONE);
	out(PM + ICH9_PM1_CNT, 2, 5u << 10);
	assert_int_equal(in(PM + ICH9_PM1_CNT, 4), 5u << 10);
}

static void reset_port_resets_on_bit_2(void **state)
{
	ich9_lpc_reset_write(lpc, 0x02);
	assert_int_equal(request, VM_REQUEST_NONE);
	assert_int_equal(ich9_lpc_reset_read(lpc), 0x02);
	ich9_lpc_reset_write(lpc, 0x06); /* OVMF */
	assert_int_equal(request, VM_REQUEST_RESET);
	request = VM_REQUEST_NONE;
	ich9_lpc_reset_write(lpc, 0x0f); /* Linux */
	assert_int_equal(request, VM_REQUEST_RESET);
	pci->device.ops->reset(&pci->device);
	assert_int_equal(ich9_lpc_reset_read(lpc), 0);
}

static void keyboard_controller_is_absent_but_resets(void **state)
{
	assert_int_equal(in(KBD, 1), 0xff);
	out(KBD, 1, 0xd1);
	assert_int_equal(request, VM_REQUEST_NONE);
	out(KBD, 1, 0xfe);
	assert_int_equal(request, VM_REQUEST_RESET);
}

static void port_92_never_resets(void **state)
{
	assert_int_equal(in(0x92, 1), 0xff);
	out(0x92, 1, 0xff);
	assert_int_equal(request, VM_REQUEST_NONE);
}

static void reset_drops_events(void **state)
{
	out(PM + ICH9_PM1_EN, 2, PWRBTN);
	ich9_lpc_power_button(lpc);
	assert_true(sci);
	pci->device.ops->reset(&pci->device);
	assert_false(sci);
	assert_int_equal(in(PM + ICH9_PM1_STS, 4), 0);
	assert_int_equal(in(PM + ICH9_PM1_CNT, 2), 0);
}

static void taken_port_is_an_error(void **state)
{
	const struct ich9_lpc_config config = { .pm_base = PM + ICH9_PM_SIZE,
						.kbd_command_port = KBD,
						.sci_gsi = SCI };
	struct ich9_lpc *second = NULL;
	unsigned ranges = pio.count;

	assert_int_equal(ich9_lpc_create(&board, &config, &second), -EEXIST);
	assert_null(second);
	assert_int_equal(pio.count, ranges);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_an_isa_bridge),
		TEST(pm_block_is_there_at_power_on),
		TEST(ovmf_programs_the_same_again),
		TEST(pm_block_moves),
		TEST(pm_block_on_taken_ports_is_not_decoded),
		TEST(pm_block_at_0_is_off),
		TEST(pirq_registers_keep_what_is_written),
		TEST(timer_runs_at_3579545_hz_with_24_bits),
		TEST(timer_is_monotonic_for_years_of_uptime),
		TEST(missing_registers_read_all_ones),
		TEST(power_button_raises_sci_until_cleared),
		TEST(sci_follows_enable),
		TEST(s5_powers_off),
		TEST(s5_of_the_real_chip_powers_off_too),
		TEST(other_sleep_states_do_nothing),
		TEST(reset_port_resets_on_bit_2),
		TEST(keyboard_controller_is_absent_but_resets),
		TEST(port_92_never_resets),
		TEST(reset_drops_events),
		TEST(taken_port_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
