/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC of large machines: registers, edges, levels and their end. */
#include "cmocka_all.h"

#include <linux/kvm.h>

#include "core/sys.h"
#include "x86_64/ioapic.h"

#define VM_FD  4
#define BASE   0xfec00000u
#define SELECT BASE
#define WINDOW (BASE + 0x10)
#define EOI    (BASE + 0x40)
#define PIN    9u
#define VECTOR 0x51u
#define LEVEL  (1u << 15)
#define REMOTE (1u << 14)
#define MASKED (1u << 16)

static struct {
	struct kvm_msi msi; /* the last */
	unsigned signals;
	struct kvm_irq_routing_entry route; /* of PIN */
} kvm;

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_irq_routing *table = arg;

	assert_int_equal(fd, VM_FD);
	if (request == KVM_SIGNAL_MSI) {
		kvm.msi = *(struct kvm_msi *)arg;
		kvm.signals++;
		return 1;
	}
	assert_true(request == KVM_SET_GSI_ROUTING);
	for (unsigned i = 0; i < table->nr; i++) {
		if (table->entries[i].gsi == PIN)
			kvm.route = table->entries[i];
	}
	return 0;
}

static struct bus mmio;
static struct irq irq;
static struct ioapic ioapic;
static struct irq_line line;

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	bus_init(&mmio);
	irq_line_init(&line, &irq, PIN);
	return ioapic_init(&ioapic, &irq, VM_FD, &mmio);
}

static int teardown(void **state)
{
	irq_fini(&irq);
	ioapic_fini(&ioapic);
	bus_fini(&mmio);
	return 0;
}

static uint32_t read_reg(unsigned reg)
{
	bus_write(&mmio, SELECT, 4, reg);
	return (uint32_t)bus_read(&mmio, WINDOW, 4);
}

static void write_reg(unsigned reg, uint32_t val)
{
	bus_write(&mmio, SELECT, 4, reg);
	bus_write(&mmio, WINDOW, 4, val);
}

/* To the APIC ID 0x1234. */
static void program(uint32_t low)
{
	write_reg(0x10 + 2 * PIN + 1, 0x34u << 24 | 0x12u << 17);
	write_reg(0x10 + 2 * PIN, low);
}

static uint32_t entry(void)
{
	return read_reg(0x10 + 2 * PIN);
}

static void registers_are_those_of_the_chip(void **state)
{
	assert_int_equal(read_reg(1), 23 << 16 | 0x20);
	assert_int_equal(read_reg(0x10), MASKED);
	assert_int_equal(read_reg(0x3e), MASKED); /* the last pin */
	assert_int_equal(read_reg(0x40), 0);      /* behind it */
	assert_int_equal(read_reg(0xff), 0);
	write_reg(0xff, UINT32_MAX);
	write_reg(0, UINT32_MAX);
	assert_int_equal(read_reg(0), 0xf000000);
	/* What is read-only stays. */
	program(UINT32_MAX & ~LEVEL);
	assert_int_equal(entry() & (1 << 12 | REMOTE), 0);
	ioapic_reset(&ioapic);
	assert_int_equal(entry(), MASKED);
	assert_int_equal(read_reg(0), 0);
}

static void entries_are_routes_with_wide_destinations(void **state)
{
	program(VECTOR | LEVEL);
	assert_int_equal(kvm.route.type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(kvm.route.u.msi.address_lo, 0xfee34000);
	assert_int_equal(kvm.route.u.msi.address_hi, 0x1200);
	assert_int_equal(kvm.route.u.msi.data, VECTOR | 1 << 14 | 1 << 15);
	program(VECTOR | 1 << 8 | 1 << 11); /* logical, lowest priority */
	assert_int_equal(kvm.route.u.msi.address_lo, 0xfee34004);
	assert_int_equal(kvm.route.u.msi.data, VECTOR | 1 << 8 | 1 << 14);
}

static void an_edge_comes_once(void **state)
{
	program(VECTOR);
	irq_line_set(&line, true);
	assert_int_equal(kvm.signals, 1);
	assert_int_equal(kvm.msi.address_hi, 0x1200);
	assert_int_equal(entry() & REMOTE, 0);
	irq_line_set(&line, false);
	assert_int_equal(kvm.signals, 1);
	irq_line_set(&line, true);
	assert_int_equal(kvm.signals, 2);
	/* While masked it is lost. */
	irq_line_set(&line, false);
	program(VECTOR | MASKED);
	irq_line_set(&line, true);
	program(VECTOR);
	assert_int_equal(kvm.signals, 2);
}

static void a_level_comes_again_at_its_end_while_it_lasts(void **state)
{
	program(VECTOR | LEVEL);
	irq_line_set(&line, true);
	assert_int_equal(kvm.signals, 1);
	assert_int_equal(entry() & REMOTE, REMOTE);
	ioapic_eoi(&ioapic, VECTOR + 1);
	assert_int_equal(kvm.signals, 1);
	ioapic_eoi(&ioapic, VECTOR);
	assert_int_equal(kvm.signals, 2);
	irq_line_set(&line, false);
	irq_line_set(&line, true);
	assert_int_equal(kvm.signals, 2); /* nobody is done with the last one */
	irq_line_set(&line, false);
	bus_write(&mmio, EOI, 4, VECTOR);
	assert_int_equal(kvm.signals, 2);
	assert_int_equal(entry() & REMOTE, 0);
}

static void a_level_that_was_masked_comes_when_it_is_not(void **state)
{
	program(VECTOR | LEVEL | MASKED);
	irq_line_set(&line, true);
	assert_int_equal(kvm.signals, 0);
	program(VECTOR | LEVEL);
	assert_int_equal(kvm.signals, 1);
}

/* Linux does so where the chip has no register for the end. */
static void an_edge_in_between_forgets_that_nobody_is_done(void **state)
{
	program(VECTOR | LEVEL);
	irq_line_set(&line, true);
	program(VECTOR | MASKED);
	assert_int_equal(entry() & REMOTE, 0);
	program(VECTOR | LEVEL);
	assert_int_equal(kvm.signals, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers_are_those_of_the_chip, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_are_routes_with_wide_destinations, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_edge_comes_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_level_comes_again_at_its_end_while_it_lasts,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_level_that_was_masked_comes_when_it_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_edge_in_between_forgets_that_nobody_is_done,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
