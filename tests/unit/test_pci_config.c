/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space of a function: identity, masks, capabilities, and BARs that are sized, moved
 * and switched. The function under test remembers every mapping it was told of.
 */
#include "cmocka_all.h"

#include <stdlib.h>

#include "core/bus.h"
#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_root.h"

#define BAR(n) (PCI_BASE_ADDRESS_0 + 4 * (n))

enum { MAP, UNMAP };

struct toy {
	struct pci_dev pci; /* first */
	struct {
		int what;
		unsigned bar;
		uint64_t addr;
	} events[64];
	unsigned count;
};

static void note(struct pci_dev *dev, int what, unsigned n)
{
	struct toy *toy = (struct toy *)dev;

	assert_true(toy->count < ARRAY_SIZE(toy->events));
	toy->events[toy->count].what = what;
	toy->events[toy->count].bar = n;
	toy->events[toy->count++].addr = dev->bars[n].addr;
}

static void toy_map(struct pci_dev *dev, unsigned n)
{
	note(dev, MAP, n);
}

static void toy_unmap(struct pci_dev *dev, unsigned n)
{
	note(dev, UNMAP, n);
}

static const struct pci_dev_ops toy_ops = { .bar_map = toy_map, .bar_unmap = toy_unmap };
static const struct pci_ids toy_ids = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0x030000, 0x42 };

static struct irq irq;
static struct bus pio, mmio;
static const struct board board = { .irq = &irq, .pio = &pio, .mmio = &mmio };
static struct toy toy;

/* The line of a function is not what these tests are about. */
void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
}

static int setup(void **state)
{
	memset(&toy, 0, sizeof(toy));
	bus_init(&pio);
	bus_init(&mmio);
	pci_dev_init(&toy.pci, &board, &toy_ops, &toy_ids);
	return 0;
}

static int teardown(void **state)
{
	pci_dev_fini(&toy.pci);
	bus_fini(&pio);
	bus_fini(&mmio);
	return 0;
}

static uint32_t get(unsigned off, unsigned len)
{
	return pci_config_read(&toy.pci, off, len);
}

static void set(unsigned off, unsigned len, uint32_t val)
{
	pci_config_write(&toy.pci, off, len, val);
}

static void assert_event(unsigned i, int what, unsigned bar, uint64_t addr)
{
	assert_true(i < toy.count);
	assert_int_equal(toy.events[i].what, what);
	assert_int_equal(toy.events[i].bar, bar);
	assert_true(toy.events[i].addr == addr);
}

static void identity_is_read_only(void **state)
{
	for (unsigned off = 0; off < PCI_CONFIG_SIZE; off += 4)
		set(off, 4, 0xffffffff);
	assert_int_equal(get(PCI_VENDOR_ID, 2), 0x1234);
	assert_int_equal(get(PCI_DEVICE_ID, 2), 0x5678);
	assert_int_equal(get(PCI_CLASS_REVISION, 4), 0x03000042);
	assert_int_equal(get(PCI_SUBSYSTEM_VENDOR_ID, 2), 0x9abc);
	assert_int_equal(get(PCI_SUBSYSTEM_ID, 2), 0xdef0);
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(PCI_CAPABILITY_LIST, 1), 0);
	assert_int_equal(get(PCI_CONFIG_SIZE - 4, 4), 0);
	assert_int_equal(toy.count, 0);
}

static void command_has_only_the_bits_of_express(void **state)
{
	set(PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(PCI_COMMAND, 2), 0x0547);
	set(PCI_COMMAND, 1, 0);
	assert_int_equal(get(PCI_COMMAND, 2), 0x0500);
	set(PCI_INTERRUPT_LINE, 2, 0xffff);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 2), 0x00ff); /* no pin */
}

static void status_errors_are_cleared_by_ones(void **state)
{
	toy.pci.config[PCI_STATUS + 1] = 0xf9;
	set(PCI_STATUS, 2, 0);
	assert_int_equal(get(PCI_STATUS, 2), 0xf900);
	set(PCI_STATUS, 2, PCI_STATUS_DETECTED_PARITY);
	assert_int_equal(get(PCI_STATUS, 2), 0x7900);
	/* A dword write to the command register must not clear what it does not name. */
	set(PCI_COMMAND, 4, PCI_COMMAND_MASTER);
	assert_int_equal(get(PCI_STATUS, 2), 0x7900);
	set(PCI_STATUS + 1, 1, 0xff);
	assert_int_equal(get(PCI_STATUS, 2), 0);
}

static void sizing_shows_the_size_and_the_kind(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	pci_bar_init(&toy.pci, 1, PCI_BAR_IO, 0x20, false);
	pci_bar_init(&toy.pci, 2, PCI_BAR_MEM64, 16 * GiB, true);
	pci_bar_init(&toy.pci, 4, PCI_BAR_MEM64, 0x4000, false);
	pci_bar_init(&toy.pci, PCI_BAR_ROM, PCI_BAR_EXPROM, 0x10000, false);
	for (unsigned n = 0; n < PCI_BARS; n++)
		set(BAR(n), 4, 0xffffffff);
	set(PCI_ROM_ADDRESS, 4, 0xfffffffe);
	assert_int_equal(get(BAR(0), 4), 0xfffff000);
	assert_int_equal(get(BAR(1), 4), 0xffffffe1);
	assert_int_equal(get(BAR(2), 4), 0x0000000c);
	assert_int_equal(get(BAR(3), 4), 0xfffffffc);
	assert_int_equal(get(BAR(4), 4), 0xffffc004);
	assert_int_equal(get(BAR(5), 4), 0xffffffff);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0xffff0000);
	assert_int_equal(toy.count, 0);
}

static void absent_bar_reads_zero(void **state)
{
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	for (unsigned n = 0; n < PCI_BARS; n++) {
		set(BAR(n), 4, 0xffffffff);
		assert_int_equal(get(BAR(n), 4), 0);
		set(BAR(n), 4, 0xc0000000);
	}
	set(PCI_ROM_ADDRESS, 4, 0xc0000001);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(toy.count, 0);
}

static void command_switches_each_space(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	pci_bar_init(&toy.pci, 1, PCI_BAR_IO, 0x20, false);
	set(BAR(0), 4, 0xc0000000);
	set(BAR(1), 4, 0xc000);
	assert_int_equal(toy.count, 0);
	set(PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(toy.count, 1);
	assert_event(0, MAP, 1, 0xc000);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(toy.count, 3);
	assert_event(1, UNMAP, 1, 0xc000);
	assert_event(2, MAP, 0, 0xc0000000);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(toy.count, 3);
	set(PCI_COMMAND, 1, 0);
	assert_int_equal(toy.count, 4);
	assert_event(3, UNMAP, 0, 0xc0000000);
}

static void move_is_an_unmap_and_a_map(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(BAR(0), 4, 0xc0000000);
	set(BAR(0), 4, 0xd0000000);
	assert_int_equal(toy.count, 3);
	assert_event(0, MAP, 0, 0xc0000000);
	assert_event(1, UNMAP, 0, 0xc0000000);
	assert_event(2, MAP, 0, 0xd0000000);
	set(BAR(0), 4, 0xd0000000);
	assert_int_equal(toy.count, 3);
	/* Address 0 is none. */
	set(BAR(0), 4, 0);
	assert_int_equal(toy.count, 4);
	assert_event(3, UNMAP, 0, 0xd0000000);
}

static void bytes_make_an_address_too(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	set(BAR(0) + 3, 1, 0xc0);
	set(BAR(0), 2, 0xffff);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_event(0, MAP, 0, 0xc000f000);
}

static void sizing_while_decoded_moves_nothing(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	pci_bar_init(&toy.pci, 2, PCI_BAR_MEM64, 0x4000, true);
	set(BAR(0), 4, 0xc0000000);
	set(BAR(2), 4, 0xd0000000);
	set(BAR(3), 4, 0x8);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(toy.count, 2);
	set(BAR(0), 4, 0xffffffff);
	assert_int_equal(get(BAR(0), 4), 0xfffff000);
	set(BAR(0), 4, 0xc0000000);
	/* Half by half, as Linux does, and both at once, as edk2 does. */
	set(BAR(2), 4, 0xffffffff);
	set(BAR(2), 4, 0xd000000c);
	set(BAR(3), 4, 0xffffffff);
	set(BAR(3), 4, 0x8);
	set(BAR(2), 4, 0xffffffff);
	set(BAR(3), 4, 0xffffffff);
	assert_int_equal(get(BAR(2), 4), 0xffffc00c);
	set(BAR(2), 4, 0xd000000c);
	set(BAR(3), 4, 0x8);
	assert_int_equal(toy.count, 2);
	/* A command write in the middle moves nothing either; switching off does switch off. */
	set(BAR(0), 4, 0xffffffff);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(toy.count, 2);
	set(PCI_COMMAND, 2, 0);
	assert_int_equal(toy.count, 4);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(toy.count, 5); /* BAR 2; BAR 0 has no address now */
	set(BAR(0), 4, 0xe0000000);
	assert_event(5, MAP, 0, 0xe0000000);
}

static void sizing_a_decoded_io_bar_moves_nothing(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_IO, 0x20, false);
	set(BAR(0), 4, 0xc000);
	set(PCI_COMMAND, 2, PCI_COMMAND_IO);
	set(BAR(0), 4, 0xffffffff);
	assert_int_equal(get(BAR(0), 4), 0xffffffe1);
	set(BAR(0), 4, 0xc000);
	assert_int_equal(toy.count, 1);
}

static void highest_address_is_no_sizing(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x80000000, false);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(BAR(0), 4, 0x80000000);
	assert_int_equal(toy.count, 1);
	assert_event(0, MAP, 0, 0x80000000);
}

static void io_bar_beyond_the_ports_decodes_nothing(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_IO, 0x20, false);
	set(PCI_COMMAND, 2, PCI_COMMAND_IO);
	set(BAR(0), 4, 0x12340);
	assert_int_equal(toy.count, 0);
	set(BAR(0), 4, 0xffe0);
	assert_int_equal(toy.count, 1);
	assert_event(0, MAP, 0, 0xffe0);
}

static void bar_64_at_the_very_end_decodes_nothing_that_wraps(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM64, 0x1000, false);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(BAR(1), 4, 0xfffffffe);
	set(BAR(0), 4, 0xfffff000);
	for (unsigned i = 0; i < toy.count; i++)
		assert_true(toy.events[i].addr <= UINT64_MAX - 0xfff);
}

static void rom_needs_its_own_enable_bit(void **state)
{
	pci_bar_init(&toy.pci, PCI_BAR_ROM, PCI_BAR_EXPROM, 0x10000, false);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(PCI_ROM_ADDRESS, 4, 0xc0000000);
	assert_int_equal(toy.count, 0);
	set(PCI_ROM_ADDRESS, 4, 0xc0000000 | PCI_ROM_ADDRESS_ENABLE);
	assert_int_equal(toy.count, 1);
	assert_event(0, MAP, PCI_BAR_ROM, 0xc0000000);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0xc0000001);
	set(PCI_ROM_ADDRESS, 4, 0xc0000000);
	assert_event(1, UNMAP, PCI_BAR_ROM, 0xc0000000);
}

static void capabilities_are_a_chain_in_order(void **state)
{
	unsigned first = pci_add_cap(&toy.pci, PCI_CAP_ID_PM, 8);
	unsigned second = pci_add_cap(&toy.pci, PCI_CAP_ID_VNDR, 7);
	unsigned third = pci_add_cap(&toy.pci, PCI_CAP_ID_MSIX, 12);

	assert_true(get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_CAPABILITY_LIST, 1), first);
	assert_int_equal(get(first, 2), second << 8 | PCI_CAP_ID_PM);
	assert_int_equal(get(second, 2), third << 8 | PCI_CAP_ID_VNDR);
	assert_int_equal(get(third, 2), PCI_CAP_ID_MSIX);
	assert_int_equal(second, first + 8);
	assert_int_equal(third, second + 8); /* aligned */
	set(third, 4, 0xffffffff);
	assert_int_equal(get(third, 4), PCI_CAP_ID_MSIX);
}

static void reset_unmaps_and_restores(void **state)
{
	struct pci_bus bus = { 0 };

	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	pci_set_intx_pin(&toy.pci, 2);
	pci_bus_add(&bus, &toy.pci, PCI_DEVFN(3, 0));
	set(BAR(0), 4, 0xc0000000);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(PCI_INTERRUPT_LINE, 1, 5);
	set(BAR(0), 4, 0xffffffff);
	pci_dev_reset(&toy.pci);
	assert_int_equal(toy.count, 2);
	assert_event(1, UNMAP, 0, 0xc0000000);
	assert_memory_equal(toy.pci.config, toy.pci.reset_config, PCI_CONFIG_SIZE);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 2);
	/* The sizing pattern is forgotten. */
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(BAR(0), 4, 0xd0000000);
	assert_event(2, MAP, 0, 0xd0000000);
}

static void end_unmaps_what_is_mapped(void **state)
{
	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM32, 0x1000, false);
	set(BAR(0), 4, 0xc0000000);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pci_dev_fini(&toy.pci);
	assert_int_equal(toy.count, 2);
	assert_event(1, UNMAP, 0, 0xc0000000);
	pci_dev_init(&toy.pci, &board, &toy_ops, &toy_ids); /* for the fixture */
}

static void second_function_makes_the_first_multifunction(void **state)
{
	static struct toy other;
	struct pci_bus bus = { 0 };

	pci_dev_init(&other.pci, &board, &toy_ops, &toy_ids);
	pci_bus_add(&bus, &toy.pci, PCI_DEVFN(3, 0));
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0);
	pci_bus_add(&bus, &other.pci, PCI_DEVFN(3, 1));
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0x80);
	pci_dev_reset(&toy.pci);
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(pci_config_read(&other.pci, PCI_HEADER_TYPE, 1), 0);
	pci_dev_fini(&other.pci);
}

static void interrupt_pins_rotate_with_the_slot(void **state)
{
	assert_int_equal(pci_root_gsi(0, 1), 16);
	assert_int_equal(pci_root_gsi(0, 4), 19);
	assert_int_equal(pci_root_gsi(7, 1), 19);
	assert_int_equal(pci_root_gsi(7, 2), 16);
	/* Below root ports: lines of their own. */
	assert_int_equal(pci_root_gsi(PCI_SLOT_FIRST_PORT - 1, 4), 16);
	assert_int_equal(pci_root_gsi(PCI_SLOT_FIRST_PORT, 1), 22);
	assert_int_equal(pci_root_gsi(31, 4), 22);
	for (unsigned slot = 0; slot < 32; slot++) {
		for (unsigned pin = 1; pin <= 4; pin++)
			assert_in_range(pci_root_gsi(slot, pin), 16, 23);
	}
}

static void function_behind_a_port_uses_the_ports_line(void **state)
{
	struct pci_bus bus = { 0 };
	struct pci_bridge *port;

	assert_int_equal(pci_bridge_create(&board, 1, &port), 0);
	pci_bus_add(&bus, &port->pci, PCI_DEVFN(16, 0));
	pci_set_intx_pin(&toy.pci, 3);
	pci_bus_add(&port->bus, &toy.pci, PCI_DEVFN(0, 0));
	assert_int_equal(toy.pci.intx.gsi, pci_root_gsi(16, 3));
	assert_ptr_equal(pci_bridge_of(&port->pci), port);
	assert_null(pci_bridge_of(&toy.pci));
	port->pci.device.ops->destroy(&port->pci.device);
}

static void bus_reset_resets_what_is_below(void **state)
{
	struct pci_bus bus = { 0 };
	struct pci_bridge *port;

	assert_int_equal(pci_bridge_create(&board, 1, &port), 0);
	pci_bus_add(&bus, &port->pci, PCI_DEVFN(16, 0));
	pci_bus_add(&port->bus, &toy.pci, PCI_DEVFN(0, 0));
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	port->pci.ops->config_write(&port->pci, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	assert_int_equal(get(PCI_COMMAND, 2), 0);
	/* Once: while the bit stays set nothing more happens. */
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	port->pci.ops->config_write(&port->pci, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	assert_int_equal(get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	port->pci.device.ops->destroy(&port->pci.device);
}

/* Every dword pattern at every BAR and COMMAND: maps and unmaps stay in pairs. */
static void random_writes_keep_the_pairs(void **state)
{
	static const unsigned regs[] = { PCI_COMMAND, BAR(0), BAR(1), BAR(2),
					 BAR(3),      BAR(4), BAR(5), PCI_ROM_ADDRESS };
	unsigned mapped = 0, seed = 1;

	pci_bar_init(&toy.pci, 0, PCI_BAR_MEM64, 0x1000, false);
	pci_bar_init(&toy.pci, 2, PCI_BAR_IO, 0x20, false);
	pci_bar_init(&toy.pci, 4, PCI_BAR_MEM32, 0x10, false);
	pci_bar_init(&toy.pci, PCI_BAR_ROM, PCI_BAR_EXPROM, 0x800, false);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned r = seed = seed * 1664525 + 1013904223;
		unsigned len = 1u << (r >> 30) % 3;
		unsigned off = regs[(r >> 20) % ARRAY_SIZE(regs)] + ((r >> 16) & 3 & ~(len - 1));

		seed = seed * 1664525 + 1013904223;
		toy.count = 0;
		set(off, len, r & 0x800 ? seed : r & 0x400 ? 0xffffffff : 0);
		for (unsigned e = 0; e < toy.count; e++) {
			unsigned bit = 1u << toy.events[e].bar;

			assert_int_equal(!!(mapped & bit), toy.events[e].what == UNMAP);
			mapped ^= bit;
		}
	}
}

int main(void)
{
#define PCI_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		PCI_TEST(identity_is_read_only),
		PCI_TEST(command_has_only_the_bits_of_express),
		PCI_TEST(status_errors_are_cleared_by_ones),
		PCI_TEST(sizing_shows_the_size_and_the_kind),
		PCI_TEST(absent_bar_reads_zero),
		PCI_TEST(command_switches_each_space),
		PCI_TEST(move_is_an_unmap_and_a_map),
		PCI_TEST(bytes_make_an_address_too),
		PCI_TEST(sizing_while_decoded_moves_nothing),
		PCI_TEST(sizing_a_decoded_io_bar_moves_nothing),
		PCI_TEST(highest_address_is_no_sizing),
		PCI_TEST(io_bar_beyond_the_ports_decodes_nothing),
		PCI_TEST(bar_64_at_the_very_end_decodes_nothing_that_wraps),
		PCI_TEST(rom_needs_its_own_enable_bit),
		PCI_TEST(capabilities_are_a_chain_in_order),
		PCI_TEST(reset_unmaps_and_restores),
		PCI_TEST(end_unmaps_what_is_mapped),
		PCI_TEST(second_function_makes_the_first_multifunction),
		PCI_TEST(interrupt_pins_rotate_with_the_slot),
		PCI_TEST(function_behind_a_port_uses_the_ports_line),
		PCI_TEST(bus_reset_resets_what_is_below),
		PCI_TEST(random_writes_keep_the_pairs),
	};

	return cmocka_run_group_tests_name("pci_config", tests, NULL, NULL);
}
