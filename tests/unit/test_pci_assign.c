/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses for everything on PCI: inside their windows, aligned, apart from each other. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/err.h"
#include "devices/pci/pci_assign.h"
#include "devices/pci/pci_bridge.h"

#define BAR(n) (PCI_BASE_ADDRESS_0 + 4 * (n))

static const struct pci_ids ids = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0x030000, 0x42 };
static const struct pci_dev_ops plain_ops = { 0 };
static const struct pci_windows windows = {
	.io = { 0x1000, 0x10000 },
	.mem32 = { 0x80000000, 0xe0000000 },
	.mem64 = { 0x2000000000, 0x4000000000 },
};

static struct irq irq;
static struct bus pio, mmio;
static const struct board board = { .irq = &irq, .pio = &pio, .mmio = &mmio };
static const struct pci_reset_port reset_port;
static struct pci_root root;
static struct pci_dev devs[64];
static struct pci_bridge *ports[16];
static unsigned dev_count, port_count;

/* The lines of the functions are not what these tests are about. */
void __wrap_irq_line_set(struct irq_line *line, bool level);
void __wrap_irq_line_set(struct irq_line *line, bool level)
{
}

static int setup(void **state)
{
	memset(devs, 0, sizeof(devs));
	dev_count = port_count = 0;
	bus_init(&pio);
	bus_init(&mmio);
	assert_int_equal(pci_root_init(&root, &board, 0xcf8, &reset_port), 0);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < dev_count; i++)
		pci_dev_fini(&devs[i]);
	for (unsigned i = 0; i < port_count; i++)
		ports[i]->pci.device.ops->destroy(&ports[i]->pci.device);
	pci_root_fini(&root);
	bus_fini(&pio);
	bus_fini(&mmio);
	return 0;
}

/* A function without BARs, not on a bus yet. */
static struct pci_dev *new_dev(void)
{
	struct pci_dev *dev = &devs[dev_count++];

	assert_true(dev_count <= ARRAY_SIZE(devs));
	pci_dev_init(dev, &board, &plain_ops, &ids);
	return dev;
}

static struct pci_bridge *new_port_on(struct pci_bus *bus)
{
	struct pci_bridge *port;

	assert_int_equal(pci_bridge_create(&board, (uint8_t)(port_count + 1), &port), 0);
	pci_bus_add(bus, &port->pci, PCI_DEVFN(PCI_SLOT_FIRST_PORT + port_count, 0));
	ports[port_count++] = port;
	return port;
}

static struct pci_bridge *new_port(void)
{
	return new_port_on(&root.bus);
}

static uint32_t get(struct pci_dev *dev, unsigned off, unsigned len)
{
	return pci_function_read(dev, off, len);
}

static uint64_t bar_addr(struct pci_dev *dev, unsigned n)
{
	uint64_t addr = get(dev, n == PCI_BAR_ROM ? PCI_ROM_ADDRESS : BAR(n), 4);

	switch (dev->bars[n].kind) {
	case PCI_BAR_IO:
		return addr & ~3u;
	case PCI_BAR_MEM64:
		return (addr & ~0xfu) | (uint64_t)get(dev, BAR(n + 1), 4) << 32;
	default:
		return addr & ~0xfu;
	}
}

static struct pci_window window_of(struct pci_dev *port, enum pci_bar_kind kind, bool prefetch)
{
	struct pci_window w;

	if (kind == PCI_BAR_IO) {
		w.base = (get(port, PCI_IO_BASE, 1) & 0xf0) << 8;
		w.end = ((get(port, PCI_IO_LIMIT, 1) & 0xf0) << 8) + 0x1000;
	} else if (kind == PCI_BAR_MEM64 && prefetch) {
		w.base = (uint64_t)get(port, PCI_PREF_BASE_UPPER32, 4) << 32 |
			 (get(port, PCI_PREF_MEMORY_BASE, 2) & 0xfff0) << 16;
		w.end = ((uint64_t)get(port, PCI_PREF_LIMIT_UPPER32, 4) << 32 |
			 (get(port, PCI_PREF_MEMORY_LIMIT, 2) & 0xfff0) << 16) +
			MiB;
	} else {
		w.base = (uint64_t)get(port, PCI_MEMORY_BASE, 2) << 16;
		w.end = ((uint64_t)get(port, PCI_MEMORY_LIMIT, 2) << 16) + MiB;
	}
	return w;
}

static const struct pci_window *root_window(const struct pci_dev *dev, unsigned n)
{
	const struct pci_bar *bar = &dev->bars[n];

	if (bar->kind == PCI_BAR_IO)
		return &windows.io;
	return bar->kind == PCI_BAR_MEM64 && (bar->prefetch || !dev->bus->bridge) ? &windows.mem64
										  : &windows.mem32;
}

static void assert_inside(const struct pci_window *w, uint64_t base, uint64_t size)
{
	assert_true(base >= w->base && base < w->end && size <= w->end - base);
}

/* What must be true of any machine. */
static void assert_all_placed(void)
{
	for (unsigned i = 0; i < dev_count; i++) {
		for (unsigned n = 0; n <= PCI_BAR_ROM; n++) {
			const struct pci_bar *bar = &devs[i].bars[n];
			uint64_t addr;

			if (bar->kind == PCI_BAR_NONE)
				continue;
			addr = bar_addr(&devs[i], n);
			assert_int_equal(addr % bar->size, 0);
			assert_inside(root_window(&devs[i], n), addr, bar->size);
			if (n != PCI_BAR_ROM)
				assert_true(bar->mapped && bar->addr == addr);
			if (devs[i].bus->bridge) {
				struct pci_window w =
					window_of(devs[i].bus->bridge, bar->kind, bar->prefetch);

				assert_inside(&w, addr, bar->size);
				assert_inside(root_window(&devs[i], n), w.base, w.end - w.base);
			}
			for (unsigned k = 0; k <= i; k++) {
				for (unsigned m = 0; m < (k == i ? n : PCI_BAR_ROM + 1u); m++) {
					const struct pci_bar *other = &devs[k].bars[m];

					if (other->kind == PCI_BAR_NONE ||
					    (other->kind == PCI_BAR_IO) !=
						    (bar->kind == PCI_BAR_IO))
						continue;
					assert_false(ranges_overlap(addr, bar->size,
								    bar_addr(&devs[k], m),
								    other->size));
				}
			}
		}
	}
	for (unsigned i = 0; i < port_count; i++) {
		for (unsigned k = 0; k < i; k++) {
			struct pci_window a = window_of(&ports[i]->pci, PCI_BAR_MEM64, true);
			struct pci_window b = window_of(&ports[k]->pci, PCI_BAR_MEM64, true);

			if (a.base < a.end && b.base < b.end)
				assert_false(ranges_overlap(a.base, a.end - a.base, b.base,
							    b.end - b.base));
			a = window_of(&ports[i]->pci, PCI_BAR_MEM32, false);
			b = window_of(&ports[k]->pci, PCI_BAR_MEM32, false);
			if (a.base < a.end && b.base < b.end)
				assert_false(ranges_overlap(a.base, a.end - a.base, b.base,
							    b.end - b.base));
		}
	}
}

static void an_empty_root_is_fine(void **state)
{
	assert_int_equal(pci_assign(&root, &windows), 0);
}

static void a_device_of_the_root_bus_decodes(void **state)
{
	struct pci_dev *dev = new_dev();

	pci_bar_init(dev, 0, PCI_BAR_IO, 32, false);
	pci_bar_init(dev, 1, PCI_BAR_MEM32, 4096, false);
	pci_bar_init(dev, 4, PCI_BAR_MEM64, 16 * KiB, true);
	pci_set_intx_pin(dev, 1);
	pci_bus_add(&root.bus, dev, PCI_DEVFN(2, 0));
	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_all_placed();
	assert_int_equal(get(dev, PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	assert_int_equal(get(dev, PCI_INTERRUPT_LINE, 1), pci_root_gsi(2, 1));
	assert_int_equal(bar_addr(dev, 4), windows.mem64.base);
}

static void a_device_without_pin_or_bars_is_left_alone(void **state)
{
	struct pci_dev *dev = new_dev();

	pci_bus_add(&root.bus, dev, PCI_DEVFN(2, 0));
	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_int_equal(get(dev, PCI_COMMAND, 2), 0);
	assert_int_equal(get(dev, PCI_INTERRUPT_LINE, 1), 0);
}

/* The BARs of a data centre GPU, with a second one and the audio function of a third. */
static void big_bars_behind_ports_are_aligned_and_windowed(void **state)
{
	struct pci_dev *a, *b, *c, *audio;

	a = new_dev();
	pci_bar_init(a, 0, PCI_BAR_MEM64, 16 * MiB, true);
	pci_bar_init(a, 2, PCI_BAR_MEM64, 64 * GiB, true);
	pci_bar_init(a, 4, PCI_BAR_MEM64, 32 * MiB, true);
	pci_bus_add(&new_port()->bus, a, PCI_DEVFN(0, 0));
	b = new_dev();
	pci_bar_init(b, 0, PCI_BAR_MEM32, 16 * MiB, false);
	pci_bar_init(b, 1, PCI_BAR_MEM64, 256 * MiB, true);
	pci_bar_init(b, 3, PCI_BAR_MEM64, 32 * MiB, true);
	pci_bar_init(b, 5, PCI_BAR_IO, 128, false);
	pci_bar_init(b, PCI_BAR_ROM, PCI_BAR_EXPROM, 512 * KiB, false);
	pci_bus_add(&new_port()->bus, b, PCI_DEVFN(0, 0));
	c = new_dev();
	pci_bar_init(c, 0, PCI_BAR_MEM64, 1 * GiB, false);
	pci_bar_init(c, 2, PCI_BAR_MEM64, 8 * GiB, true);
	pci_bus_add(&new_port()->bus, c, PCI_DEVFN(0, 0));
	audio = new_dev();
	pci_bar_init(audio, 0, PCI_BAR_MEM32, 16 * KiB, false);
	pci_bus_add(c->bus, audio, PCI_DEVFN(0, 1));
	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_all_placed();
	assert_int_equal(bar_addr(a, 2), windows.mem64.base);
	/* Behind a bridge that is not prefetchable, so below 4 GiB, whatever its width. */
	assert_true(bar_addr(c, 0) < 4 * GiB);
	assert_int_equal(get(b, PCI_ROM_ADDRESS, 4) & PCI_ROM_ADDRESS_ENABLE, 0);
}

static void buses_are_numbered_in_the_order_of_ports(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		pci_bus_add(&new_port()->bus, new_dev(), PCI_DEVFN(0, 0));
	assert_int_equal(pci_assign(&root, &windows), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		assert_int_equal(get(&ports[i]->pci, PCI_PRIMARY_BUS, 4),
				 (i + 1) << 8 | (i + 1) << 16);
		assert_ptr_equal(pci_root_find(&root, i + 1, 0), &devs[i]);
		assert_int_equal(get(&ports[i]->pci, PCI_COMMAND, 2),
				 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
}

static void windows_of_ports_that_need_none_are_closed(void **state)
{
	struct pci_dev *port = &new_port()->pci;

	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_true((get(port, PCI_IO_BASE, 1) & 0xf0) > (get(port, PCI_IO_LIMIT, 1) & 0xf0));
	assert_true(get(port, PCI_MEMORY_BASE, 2) > get(port, PCI_MEMORY_LIMIT, 2));
	assert_true(get(port, PCI_PREF_MEMORY_BASE, 2) > get(port, PCI_PREF_MEMORY_LIMIT, 2));
	assert_int_equal(get(port, PCI_PREF_BASE_UPPER32, 4), 0);
}

static void again_after_a_reset_all_is_the_same(void **state)
{
	struct pci_dev *dev = new_dev();
	uint64_t addr;

	pci_bar_init(dev, 0, PCI_BAR_MEM64, 1 * GiB, true);
	pci_bus_add(&new_port()->bus, dev, PCI_DEVFN(0, 0));
	assert_int_equal(pci_assign(&root, &windows), 0);
	addr = bar_addr(dev, 0);
	pci_dev_reset(dev);
	pci_dev_reset(&ports[0]->pci);
	assert_int_equal(bar_addr(dev, 0), 0);
	assert_false(dev->bars[0].mapped);
	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_int_equal(bar_addr(dev, 0), addr);
	assert_all_placed();
}

static void too_much_memory_is_refused(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct pci_dev *dev = new_dev();

		pci_bar_init(dev, 0, PCI_BAR_MEM64, 64 * GiB, true);
		pci_bus_add(&new_port()->bus, dev, PCI_DEVFN(0, 0));
	}
	assert_int_equal(pci_assign(&root, &windows), -ENOSPC);
	assert_int_equal(err_kind(), ERR_LIMIT);
}

static void too_many_ports_stay_off(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		struct pci_dev *dev = new_dev();

		pci_bar_init(dev, 0, PCI_BAR_IO, 256, false);
		pci_bar_init(dev, 1, PCI_BAR_MEM32, 4096, false);
		pci_bus_add(&new_port()->bus, dev, PCI_DEVFN(0, 0));
	}
	assert_int_equal(pci_assign(&root, &windows), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		assert_false(devs[i].bars[0].mapped);
		assert_true(devs[i].bars[1].mapped);
	}
}

/* Machines by chance: whatever the sizes are, everything has its place. */
static void any_mixture_finds_its_place(void **state)
{
	for (unsigned seed = 1; seed < 200; seed++) {
		srandom(seed);
		for (unsigned p = 0; p < 4; p++) {
			struct pci_bridge *port = random() % 2 ? new_port() : NULL;

			for (unsigned fn = 0; fn < 1 + (unsigned)random() % 3; fn++) {
				struct pci_dev *dev = new_dev();

				for (unsigned n = 0; n < PCI_BARS; n++) {
					switch (random() % 4) {
					case 0:
						pci_bar_init(dev, n, PCI_BAR_IO, 4u << random() % 7,
							     false);
						break;
					case 1:
						pci_bar_init(dev, n, PCI_BAR_MEM32,
							     16u << random() % 20, random() % 2);
						break;
					case 2:
						if (n == PCI_BARS - 1)
							break;
						pci_bar_init(dev, n, PCI_BAR_MEM64,
							     16ull << random() % 25, random() % 2);
						n++;
						break;
					default:
						break;
					}
				}
				if (random() % 2)
					pci_bar_init(dev, PCI_BAR_ROM, PCI_BAR_EXPROM,
						     2048u << random() % 10, false);
				pci_bus_add(port ? &port->bus : &root.bus, dev,
					    PCI_DEVFN(port ? 0 : p + 1, fn));
			}
		}
		assert_int_equal(pci_assign(&root, &windows), 0);
		assert_all_placed();
		teardown(state);
		setup(state);
	}
}

static void further_root_buses_are_numbered_and_reached(void **state)
{
	struct pci_bus *first = pci_root_add_bus(&root), *second = pci_root_add_bus(&root);
	struct pci_bridge *port[4] = { new_port_on(second), new_port_on(first), new_port(),
				       new_port_on(second) };
	/* Root buses 0, 2 and 4; below 0 is 1, below 2 is 3, below 4 are 5 and 6. */
	static const uint8_t numbers[4] = { 5, 3, 1, 6 }, primary[4] = { 4, 2, 0, 4 };
	struct pci_dev *dev[4];
	uint64_t base, end;

	for (unsigned i = 0; i < 4; i++) {
		dev[i] = new_dev();
		pci_bar_init(dev[i], 0, PCI_BAR_MEM64, GiB << i, true);
		pci_bar_init(dev[i], 2, PCI_BAR_MEM32, 64 * KiB, false);
		pci_bus_add(&port[i]->bus, dev[i], PCI_DEVFN(0, 0));
		assert_false(pci_bridge_forwards(port[i], PCI_BRIDGE_MEMORY, &base, &end));
		assert_false(pci_bridge_forwards(port[i], PCI_BRIDGE_IO, &base, &end));
	}
	pci_root_number(&root);
	assert_int_equal(pci_root_last_bus(&root), 4);
	assert_ptr_equal(pci_root_find(&root, 2, port[1]->pci.devfn), &port[1]->pci);
	assert_ptr_equal(pci_root_find(&root, 4, port[3]->pci.devfn), &port[3]->pci);
	assert_null(pci_root_find(&root, 0, port[1]->pci.devfn));
	assert_null(pci_root_find(&root, 3, 0));

	assert_int_equal(pci_assign(&root, &windows), 0);
	assert_all_placed();
	assert_int_equal(pci_root_last_bus(&root), 6);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get(&port[i]->pci, PCI_PRIMARY_BUS, 1), primary[i]);
		assert_int_equal(get(&port[i]->pci, PCI_SECONDARY_BUS, 1), numbers[i]);
		assert_ptr_equal(pci_root_find(&root, numbers[i], 0), dev[i]);
		assert_true(pci_bridge_forwards(port[i], PCI_BRIDGE_PREFETCH, &base, &end));
		assert_int_equal(base, bar_addr(dev[i], 0));
		assert_int_equal(end - base, GiB << i);
		assert_true(pci_bridge_forwards(port[i], PCI_BRIDGE_MEMORY, &base, &end));
		assert_int_equal(base, bar_addr(dev[i], 2));
		assert_int_equal(end - base, MiB);
		assert_false(pci_bridge_forwards(port[i], PCI_BRIDGE_IO, &base, &end));
	}
	/* A guest that gives a bridge the number of a root bus does not hide the root bus. */
	pci_function_write(&port[2]->pci, PCI_SECONDARY_BUS, 1, 4);
	assert_ptr_equal(pci_root_find(&root, 4, port[0]->pci.devfn), &port[0]->pci);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_root_is_fine, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_of_the_root_bus_decodes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_without_pin_or_bars_is_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(big_bars_behind_ports_are_aligned_and_windowed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(buses_are_numbered_in_the_order_of_ports, setup,
						teardown),
		cmocka_unit_test_setup_teardown(windows_of_ports_that_need_none_are_closed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(again_after_a_reset_all_is_the_same, setup,
						teardown),
		cmocka_unit_test_setup_teardown(further_root_buses_are_numbered_and_reached, setup,
						teardown),
		cmocka_unit_test_setup_teardown(too_much_memory_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_ports_stay_off, setup, teardown),
		cmocka_unit_test_setup_teardown(any_mixture_finds_its_place, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
