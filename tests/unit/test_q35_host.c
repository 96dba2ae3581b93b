/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge: what OVMF writes to PCIEXBAR, and what ECAM then does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/chipset/q35_host.h"

static struct irq irq;
static const struct board board = { .irq = &irq };
static struct pci_bus bus;
static struct pci_dev *host;

static struct {
	unsigned changes;
	bool on;
	uint64_t base, size;
} ecam;

static void ecam_changed(void *opaque, bool on, uint64_t base, uint64_t size)
{
	assert_ptr_equal(opaque, &ecam);
	ecam.changes++;
	ecam.on = on;
	ecam.base = base;
	ecam.size = size;
}

void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
	assert_false(level);
}

static int setup(void **state)
{
	memset(&ecam, 0, sizeof(ecam));
	memset(&bus, 0, sizeof(bus));
	assert_int_equal(q35_host_create(&board, ecam_changed, &ecam, &host), 0);
	pci_bus_add(&bus, host, PCI_DEVFN(0, 0));
	return 0;
}

static int teardown(void **state)
{
	host->device.ops->destroy(&host->device);
	return 0;
}

static uint32_t in(unsigned off, unsigned len)
{
	return pci_config_read(host, off, len);
}

static void out(unsigned off, uint32_t val)
{
	pthread_mutex_lock(&host->lock);
	host->ops->config_write(host, off, 4, val);
	pthread_mutex_unlock(&host->lock);
}

static void is_a_q35(void **state)
{
	assert_int_equal(in(PCI_VENDOR_ID, 2), 0x8086);
	assert_int_equal(in(PCI_DEVICE_ID, 2), 0x29c0);
	assert_int_equal(in(PCI_CLASS_REVISION, 4) >> 8, 0x060000);
	assert_int_equal(in(Q35_PCIEXBAR, 4) & Q35_PCIEXBAR_ENABLE, 0);
	assert_int_equal(ecam.changes, 0);
}

/* PciExBarInitialization() */
static void ovmf_turns_ecam_on(void **state)
{
	out(Q35_PCIEXBAR, 0);
	out(Q35_PCIEXBAR_HIGH, 0);
	assert_int_equal(ecam.changes, 0);
	out(Q35_PCIEXBAR, 0xb0000001);
	assert_int_equal(ecam.changes, 1);
	assert_true(ecam.on);
	assert_int_equal(ecam.base, 0xb0000000);
	assert_int_equal(ecam.size, 256 * MiB);
	assert_int_equal(in(Q35_PCIEXBAR, 4), 0xb0000001);
}

static void moves_and_ends(void **state)
{
	out(Q35_PCIEXBAR, 0xb0000001);
	out(Q35_PCIEXBAR, 0xe0000001);
	assert_int_equal(ecam.base, 0xe0000000);
	out(Q35_PCIEXBAR, 0xe0000001);
	assert_int_equal(ecam.changes, 2);
	out(Q35_PCIEXBAR, 0xe0000000);
	assert_int_equal(ecam.changes, 3);
	assert_false(ecam.on);
}

static void lengths(void **state)
{
	out(Q35_PCIEXBAR, 0xbc000003);
	assert_int_equal(ecam.base, 0xb8000000);
	assert_int_equal(ecam.size, 128 * MiB);
	out(Q35_PCIEXBAR, 0xbc000005);
	assert_int_equal(ecam.base, 0xbc000000);
	assert_int_equal(ecam.size, 64 * MiB);
	out(Q35_PCIEXBAR, 0xbc000007);
	assert_false(ecam.on);
}

static void above_4_gib(void **state)
{
	out(Q35_PCIEXBAR_HIGH, 0xffffffff);
	assert_int_equal(in(Q35_PCIEXBAR_HIGH, 4), 0xf); /* 36 address bits */
	out(Q35_PCIEXBAR, 0xffffffff & ~6u);
	assert_int_equal(ecam.base, 0xff0000000ull);
	assert_int_equal(in(Q35_PCIEXBAR, 4), 0xfc000001);
}

static void other_registers_are_read_only(void **state)
{
	for (unsigned off = 0x40; off < PCI_CONFIG_SIZE; off += 4) {
		if (off == Q35_PCIEXBAR || off == Q35_PCIEXBAR_HIGH)
			continue;
		out(off, 0xffffffff);
		assert_int_equal(in(off, 4), 0);
	}
	assert_int_equal(ecam.changes, 0);
}

static void reset_turns_ecam_off(void **state)
{
	out(Q35_PCIEXBAR, 0xb0000001);
	host->device.ops->reset(&host->device);
	assert_int_equal(ecam.changes, 2);
	assert_false(ecam.on);
	assert_int_equal(in(Q35_PCIEXBAR, 4), 0);
	host->device.ops->reset(&host->device);
	assert_int_equal(ecam.changes, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_a_q35),
		TEST(ovmf_turns_ecam_on),
		TEST(moves_and_ends),
		TEST(lengths),
		TEST(above_4_gib),
		TEST(other_registers_are_read_only),
		TEST(reset_turns_ecam_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
