/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI as a guest sees it: configuration space through CF8/CFC and ECAM, a function behind a root
 * port, BARs that are sized and moved, MSI-X through a table in a BAR, INTx.
 */
#include "guest.h"

#include <stdlib.h>

#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_msix.h"
#include "devices/pci/pci_root.h"
#include "x86_64/layout.h"

#define ECAM                     ECAM_BASE_OVMF
#define ECAM_AT(bus, devfn, reg) ((uint32_t)(ECAM + ((bus) << 20) + ((devfn) << 12) + (reg)))
#define CONFIG_ENABLE            0x80000000u

#define TOY_VENDOR       0x1234
#define TOY_DEVICE       0x5678
#define TOY_SLOT         PCI_DEVFN(2, 0)
#define PORT_SLOT        PCI_DEVFN(16, 0)
#define BEHIND           PCI_DEVFN(0, 0)
#define CLASS_BRIDGE_PCI 0x0604

/* BAR 0: registers, the MSI-X table and its pending bits. */
#define TOY_BAR        0u
#define TOY_BAR_SIZE   0x4000u
#define TOY_ID         0x0 /* reads TOY_MAGIC */
#define TOY_MAGIC      0x70f70f70
#define TOY_TABLE      0x1000
#define TOY_PBA        0x2000
#define TOY_VECTORS    4u
#define TOY_VALUE_BAR  2u /* 64 bits: memory that is mapped into the guest */
#define TOY_VALUE_SIZE 0x1000u

#define BAR_AT    0xc0000000u
#define BAR_MOVED 0xc8000000u
#define VECTOR    0x50u

struct toy {
	struct pci_dev pci; /* first */
	struct pci_msix msix;
	struct bus_range range;
	struct vm_slot slot;
	uint32_t *memory;
	unsigned maps, unmaps;
};

static uint64_t toy_read(void *dev, uint64_t off, unsigned len)
{
	struct toy *toy = dev;
	uint64_t val = 0;

	pthread_mutex_lock(&toy->pci.lock);
	if (off >= TOY_PBA)
		val = pci_msix_pba_read(&toy->msix, off - TOY_PBA, len);
	else if (off >= TOY_TABLE)
		val = pci_msix_table_read(&toy->msix, off - TOY_TABLE, len);
	else if (off == TOY_ID)
		val = TOY_MAGIC;
	pthread_mutex_unlock(&toy->pci.lock);
	return val;
}

static void toy_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct toy *toy = dev;

	pthread_mutex_lock(&toy->pci.lock);
	if (off >= TOY_TABLE && off < TOY_PBA)
		pci_msix_table_write(&toy->msix, off - TOY_TABLE, len, val);
	pthread_mutex_unlock(&toy->pci.lock);
}

static const struct bus_ops toy_bar_ops = { toy_read, toy_write };

static void toy_config_write(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val)
{
	struct toy *toy = (struct toy *)dev;

	pci_config_write(dev, off, len, val);
	if (pci_access_hits(off, len, toy->msix.cap, PCI_CAP_MSIX_SIZEOF))
		pci_msix_config_written(&toy->msix);
}

static void toy_bar_map(struct pci_dev *dev, unsigned n)
{
	struct toy *toy = (struct toy *)dev;

	toy->maps++;
	if (n == TOY_BAR) {
		toy->range.base = dev->bars[n].addr;
		(void)!bus_add(dev->board->mmio, &toy->range);
	} else {
		(void)!vm_slot_map(dev->board->vm, &toy->slot, dev->bars[n].addr, TOY_VALUE_SIZE,
				   toy->memory, 0);
	}
}

static void toy_bar_unmap(struct pci_dev *dev, unsigned n)
{
	struct toy *toy = (struct toy *)dev;

	toy->unmaps++;
	if (n == TOY_BAR)
		bus_remove(dev->board->mmio, &toy->range);
	else
		vm_slot_unmap(dev->board->vm, &toy->slot);
}

static const struct pci_dev_ops toy_ops = {
	.config_write = toy_config_write,
	.bar_map = toy_bar_map,
	.bar_unmap = toy_bar_unmap,
};

static void toy_init(struct toy *toy, const struct board *board)
{
	static const struct pci_ids ids = { TOY_VENDOR, TOY_DEVICE, 1, 2, 0xff0000, 3 };
	unsigned cap;

	*toy = (struct toy){ .pci.device.name = "toy" };
	pci_dev_init(&toy->pci, board, &toy_ops, &ids);
	toy->range = (struct bus_range){ 0, TOY_BAR_SIZE, &toy_bar_ops, toy, false };
	toy->memory = aligned_alloc(4096, TOY_VALUE_SIZE);
	pci_bar_init(&toy->pci, TOY_BAR, PCI_BAR_MEM32, TOY_BAR_SIZE, false);
	pci_bar_init(&toy->pci, TOY_VALUE_BAR, PCI_BAR_MEM64, TOY_VALUE_SIZE, true);
	pci_set_intx_pin(&toy->pci, 1);
	cap = pci_add_cap(&toy->pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	store_le(toy->pci.config + cap + PCI_MSIX_FLAGS, 2, TOY_VECTORS - 1);
	store_le(toy->pci.config + cap + PCI_MSIX_TABLE, 4, TOY_TABLE | TOY_BAR);
	store_le(toy->pci.config + cap + PCI_MSIX_PBA, 4, TOY_PBA | TOY_BAR);
	assert_int_equal(pci_msix_init(&toy->msix, &toy->pci, cap, TOY_VECTORS, NULL), 0);
}

/* A root with a toy, and a root port with another behind it. */
struct tree {
	struct pci_root root;
	struct pci_bridge *port;
	struct toy toy, behind;
};

static uint8_t reset_read(void *dev)
{
	return 0x77;
}

static void reset_write(void *dev, uint8_t val)
{
	*(uint8_t *)dev = val;
}

static uint8_t reset_written;
static struct tree tree;

static int tree_setup(void **state)
{
	static const struct pci_reset_port reset_port = { reset_read, reset_write, &reset_written };
	struct guest *guest;

	if (guest_setup(state) < 0)
		return -1;
	guest = *state;
	guest_init(guest, guest_image_agent, 1);
	reset_written = 0;
	assert_int_equal(pci_root_init(&tree.root, &guest->board, PORT_PCI_ADDR, &reset_port), 0);
	toy_init(&tree.toy, &guest->board);
	toy_init(&tree.behind, &guest->board);
	assert_int_equal(pci_bridge_create(&guest->board, 1, &tree.port), 0);
	pci_bus_add(&tree.root.bus, &tree.toy.pci, TOY_SLOT);
	pci_bus_add(&tree.root.bus, &tree.port->pci, PORT_SLOT);
	pci_bus_add(&tree.port->bus, &tree.behind.pci, BEHIND);
	pci_root_set_ecam(&tree.root, true, ECAM, ECAM_SIZE);
	guest_start(guest);
	agent_wait_ready(guest);
	return 0;
}

static void toy_fini(struct toy *toy)
{
	pci_dev_fini(&toy->pci);
	pci_msix_fini(&toy->msix);
	free(toy->memory);
}

static int tree_teardown(void **state)
{
	struct guest *guest = *state;

	vcpus_stop(&guest->vcpus);
	toy_fini(&tree.behind);
	tree.port->pci.device.ops->destroy(&tree.port->pci.device);
	toy_fini(&tree.toy);
	pci_root_fini(&tree.root);
	return guest_teardown(state);
}

static uint32_t cf8_read(struct guest *guest, unsigned bus, uint8_t devfn, unsigned reg,
			 unsigned size)
{
	agent_out(guest, PORT_PCI_ADDR, 4, CONFIG_ENABLE | bus << 16 | devfn << 8 | (reg & 0xfc));
	return agent_in(guest, (uint16_t)(PORT_PCI_DATA + (reg & 3)), size);
}

static void cf8_write(struct guest *guest, unsigned bus, uint8_t devfn, unsigned reg, unsigned size,
		      uint32_t val)
{
	agent_out(guest, PORT_PCI_ADDR, 4, CONFIG_ENABLE | bus << 16 | devfn << 8 | (reg & 0xfc));
	agent_out(guest, (uint16_t)(PORT_PCI_DATA + (reg & 3)), size, val);
}

static void toy_place(struct guest *guest, uint32_t at)
{
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4, at);
	cf8_write(guest, 0, TOY_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void config_space_by_ports_and_by_ecam(void **state)
{
	struct guest *guest = *state;

	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, 0, 4), TOY_DEVICE << 16 | TOY_VENDOR);
	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, PCI_DEVICE_ID, 2), TOY_DEVICE);
	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, PCI_REVISION_ID, 1), 3);
	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, PCI_CLASS_DEVICE + 1, 1), 0xff);
	assert_int_equal(agent_read(guest, ECAM_AT(0, TOY_SLOT, 0), 4),
			 TOY_DEVICE << 16 | TOY_VENDOR);
	assert_int_equal(agent_read(guest, ECAM_AT(0, TOY_SLOT, PCI_SUBSYSTEM_ID), 2), 2);
	assert_int_equal(agent_read(guest, ECAM_AT(0, TOY_SLOT, 0xffc), 4), 0);
	/* What one way writes the other reads. */
	agent_write(guest, ECAM_AT(0, TOY_SLOT, PCI_INTERRUPT_LINE), 1, 0x2a);
	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, PCI_INTERRUPT_LINE, 1), 0x2a);
	/* Nobody there. */
	assert_int_equal(cf8_read(guest, 0, PCI_DEVFN(5, 0), 0, 4), 0xffffffff);
	assert_int_equal(agent_read(guest, ECAM_AT(0, PCI_DEVFN(2, 1), 0), 4), 0xffffffff);
	assert_int_equal(agent_read(guest, ECAM_AT(9, 0, 0), 4), 0xffffffff);
	/* The address register reads back; without its enable bit there is no configuration. */
	agent_out(guest, PORT_PCI_ADDR, 4, TOY_SLOT << 8);
	assert_int_equal(agent_in(guest, PORT_PCI_ADDR, 4), TOY_SLOT << 8);
	assert_int_equal(agent_in(guest, PORT_PCI_DATA, 4), 0xffffffff);
}

static void byte_at_cf9_is_the_reset_control(void **state)
{
	struct guest *guest = *state;

	agent_out(guest, PORT_PCI_ADDR, 4, CONFIG_ENABLE);
	agent_out(guest, PORT_RESET, 1, 0x0e);
	assert_int_equal(reset_written, 0x0e);
	assert_int_equal(agent_in(guest, PORT_RESET, 1), 0x77);
	assert_int_equal(agent_in(guest, PORT_PCI_ADDR, 4), CONFIG_ENABLE);
}

static void ecam_moves_and_goes(void **state)
{
	struct guest *guest = *state;

	pci_root_set_ecam(&tree.root, true, 0xe0000000, ECAM_SIZE);
	assert_true(pci_root_ecam_base(&tree.root) == 0xe0000000);
	assert_int_equal(agent_read(guest, ECAM_AT(0, TOY_SLOT, 0), 2), 0xffff);
	assert_int_equal(agent_read(guest, 0xe0000000 + (TOY_SLOT << 12), 2), TOY_VENDOR);
	pci_root_set_ecam(&tree.root, false, 0, 0);
	assert_true(pci_root_ecam_base(&tree.root) == 0);
	assert_int_equal(agent_read(guest, 0xe0000000 + (TOY_SLOT << 12), 2), 0xffff);
}

static void function_behind_a_root_port_is_found_by_bus_number(void **state)
{
	struct guest *guest = *state;

	assert_int_equal(cf8_read(guest, 0, PORT_SLOT, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_BRIDGE);
	assert_int_equal(cf8_read(guest, 0, PORT_SLOT, PCI_CLASS_DEVICE, 2), CLASS_BRIDGE_PCI);
	assert_int_equal(cf8_read(guest, 1, BEHIND, 0, 4), 0xffffffff);
	/* primary 0, secondary 1, subordinate 1 */
	cf8_write(guest, 0, PORT_SLOT, PCI_PRIMARY_BUS, 4, 0x00010100);
	assert_int_equal(cf8_read(guest, 0, PORT_SLOT, PCI_PRIMARY_BUS, 4), 0x00010100);
	assert_int_equal(cf8_read(guest, 1, BEHIND, 0, 4), TOY_DEVICE << 16 | TOY_VENDOR);
	assert_int_equal(cf8_read(guest, 1, PCI_DEVFN(1, 0), 0, 4), 0xffffffff);
	/* Renumbered, as an operating system may. */
	agent_write(guest, ECAM_AT(0, PORT_SLOT, PCI_SECONDARY_BUS), 1, 7);
	assert_int_equal(cf8_read(guest, 1, BEHIND, 0, 4), 0xffffffff);
	assert_int_equal(agent_read(guest, ECAM_AT(7, BEHIND, 0), 4),
			 TOY_DEVICE << 16 | TOY_VENDOR);
	/* Windows: the low digits are fixed, 16-bit I/O and 64-bit prefetchable memory. */
	cf8_write(guest, 0, PORT_SLOT, PCI_MEMORY_BASE, 4, 0xffffffff);
	assert_int_equal(cf8_read(guest, 0, PORT_SLOT, PCI_MEMORY_BASE, 4), 0xfff0fff0);
	cf8_write(guest, 0, PORT_SLOT, PCI_PREF_MEMORY_BASE, 4, 0);
	assert_int_equal(cf8_read(guest, 0, PORT_SLOT, PCI_PREF_MEMORY_BASE, 4), 0x00010001);
	/* A reset of the port hides what is behind it. */
	guest_pause(guest);
	tree.port->pci.device.ops->reset(&tree.port->pci.device);
	guest_resume(guest);
	assert_int_equal(agent_read(guest, ECAM_AT(7, BEHIND, 0), 4), 0xffffffff);
}

static void bar_decodes_where_it_was_put(void **state)
{
	struct guest *guest = *state;

	assert_int_equal(agent_read(guest, BAR_AT, 4), 0xffffffff);
	toy_place(guest, BAR_AT);
	assert_int_equal(agent_read(guest, BAR_AT, 4), TOY_MAGIC);
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4, BAR_MOVED);
	assert_int_equal(agent_read(guest, BAR_AT, 4), 0xffffffff);
	assert_int_equal(agent_read(guest, BAR_MOVED, 4), TOY_MAGIC);
	cf8_write(guest, 0, TOY_SLOT, PCI_COMMAND, 2, 0);
	assert_int_equal(agent_read(guest, BAR_MOVED, 4), 0xffffffff);
	assert_int_equal(tree.toy.maps, 2);
	assert_int_equal(tree.toy.unmaps, 2);
}

static void sizing_a_decoded_bar_moves_nothing(void **state)
{
	struct guest *guest = *state;

	toy_place(guest, BAR_AT);
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(cf8_read(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4), ~(TOY_BAR_SIZE - 1));
	assert_int_equal(agent_read(guest, BAR_AT, 4), TOY_MAGIC);
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4, BAR_AT);
	assert_int_equal(agent_read(guest, BAR_AT, 4), TOY_MAGIC);
	assert_int_equal(tree.toy.maps, 1);
	assert_int_equal(tree.toy.unmaps, 0);
}

static void memory_bar_is_mapped_without_exits(void **state)
{
	struct guest *guest = *state;
	struct vcpu_counts before, after;

	tree.toy.memory[0] = 0x12345678;
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_2, 4, BAR_MOVED);
	cf8_write(guest, 0, TOY_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	before = guest_counts(guest);
	assert_int_equal(agent_read(guest, BAR_MOVED, 4), 0x12345678);
	agent_write(guest, BAR_MOVED + 4, 4, 99);
	after = guest_counts(guest);
	assert_int_equal(tree.toy.memory[1], 99);
	assert_int_equal(before.mmio, after.mmio);
	/* Above 4 GiB the guest cannot see it; below it is gone. */
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_2 + 4, 4, 8);
	assert_int_equal(agent_read(guest, BAR_MOVED, 4), 0xffffffff);
	cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_2 + 4, 4, 0);
	assert_int_equal(agent_read(guest, BAR_MOVED, 4), 0x12345678);
}

/* Over RAM, over another BAR, at the end of the address space: unreachable, and no harm done. */
static void bar_at_a_bad_address_does_no_harm(void **state)
{
	static const uint32_t bad[] = { 0x0,        0x4000,         GUEST_RAM_SIZE - 0x4000,
					ECAM,       IOAPIC_BASE,    LAPIC_BASE,
					0xfeffc000, GUEST_ROM_BASE, 0xffffc000 };
	struct guest *guest = *state;

	guest_set_ram(guest, GUEST_BUFFER, 0xabcdef);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_0, 4, bad[i]);
		cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_2, 4, bad[i]);
		cf8_write(guest, 0, TOY_SLOT, PCI_BASE_ADDRESS_2 + 4, 4, i % 2 ? 0xfffffffe : 0);
		cf8_write(guest, 0, TOY_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		cf8_write(guest, 0, TOY_SLOT, PCI_COMMAND, 2, 0);
		assert_int_equal(agent_read(guest, GUEST_BUFFER, 4), 0xabcdef);
	}
	assert_int_equal(tree.toy.maps, tree.toy.unmaps);
	toy_place(guest, BAR_AT);
	assert_int_equal(agent_read(guest, BAR_AT, 4), TOY_MAGIC);
}

static void msix_place(struct guest *guest, unsigned i, uint32_t vector, uint32_t control)
{
	const uint32_t entry = BAR_AT + TOY_TABLE + i * PCI_MSIX_ENTRY_SIZE;

	agent_write(guest, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, LAPIC_BASE);
	agent_write(guest, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	agent_write(guest, entry + PCI_MSIX_ENTRY_DATA, 4, vector);
	agent_write(guest, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, control);
}

static void msix_control(struct guest *guest, uint16_t flags)
{
	cf8_write(guest, 0, TOY_SLOT, tree.toy.msix.cap + PCI_MSIX_FLAGS, 2, flags);
}

static void msix_interrupts_reach_the_guest(void **state)
{
	struct guest *guest = *state;

	toy_place(guest, BAR_AT);
	for (unsigned i = 0; i < TOY_VECTORS; i++)
		assert_int_equal(pci_msix_use(&tree.toy.msix, i), 0);
	/* As Linux does it: enable with all masked, fill in, unmask. */
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	for (unsigned i = 0; i < TOY_VECTORS; i++)
		msix_place(guest, i, VECTOR + i, i == 2 ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned i = 0; i < TOY_VECTORS; i++)
		pci_msix_notify(&tree.toy.msix, i);
	agent_wait_irqs(guest, VECTOR, 1);
	agent_wait_irqs(guest, VECTOR + 1, 1);
	agent_wait_irqs(guest, VECTOR + 3, 1);
	/* The masked one pends where the guest can see it, and fires when unmasked. */
	assert_int_equal(agent_irqs(guest, VECTOR + 2), 0);
	assert_int_equal(agent_read(guest, BAR_AT + TOY_PBA, 4), 1 << 2);
	msix_place(guest, 2, VECTOR + 2, 0);
	agent_wait_irqs(guest, VECTOR + 2, 1);
	assert_int_equal(agent_read(guest, BAR_AT + TOY_PBA, 4), 0);
}

static void msix_function_mask_pends_all(void **state)
{
	struct guest *guest = *state;

	toy_place(guest, BAR_AT);
	for (unsigned i = 0; i < TOY_VECTORS; i++)
		assert_int_equal(pci_msix_use(&tree.toy.msix, i), 0);
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE);
	msix_place(guest, 0, VECTOR, 0);
	msix_place(guest, 1, VECTOR + 1, 0);
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_notify(&tree.toy.msix, 0);
	pci_msix_notify(&tree.toy.msix, 1);
	assert_int_equal(agent_read(guest, BAR_AT + TOY_PBA, 4), 3);
	agent_no_more_irqs(guest, VECTOR, 0);
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE);
	agent_wait_irqs(guest, VECTOR, 1);
	agent_wait_irqs(guest, VECTOR + 1, 1);
	/* Disabled: gone, not pending. */
	msix_control(guest, 0);
	pci_msix_notify(&tree.toy.msix, 0);
	msix_control(guest, PCI_MSIX_FLAGS_ENABLE);
	agent_no_more_irqs(guest, VECTOR, 1);
}

static void intx_drives_the_gsi_of_slot_and_pin(void **state)
{
	struct guest *guest = *state;
	unsigned gsi = pci_root_gsi(PCI_SLOT(TOY_SLOT), 1);
	unsigned behind = pci_root_gsi(PCI_SLOT(PORT_SLOT), 1);

	assert_int_equal(tree.toy.pci.intx.gsi, gsi);
	assert_int_equal(tree.behind.pci.intx.gsi, behind);
	agent_ioapic_write(guest, gsi, VECTOR);
	agent_ioapic_write(guest, behind, VECTOR + 1);
	irq_line_set(&tree.toy.pci.intx, true);
	agent_wait_irqs(guest, VECTOR, 1);
	irq_line_set(&tree.behind.pci.intx, true);
	agent_wait_irqs(guest, VECTOR + 1, 1);
	irq_line_set(&tree.toy.pci.intx, false);
	irq_line_set(&tree.behind.pci.intx, false);
}

int main(void)
{
#define PCI_TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		PCI_TEST(config_space_by_ports_and_by_ecam),
		PCI_TEST(byte_at_cf9_is_the_reset_control),
		PCI_TEST(ecam_moves_and_goes),
		PCI_TEST(function_behind_a_root_port_is_found_by_bus_number),
		PCI_TEST(bar_decodes_where_it_was_put),
		PCI_TEST(sizing_a_decoded_bar_moves_nothing),
		PCI_TEST(memory_bar_is_mapped_without_exits),
		PCI_TEST(bar_at_a_bad_address_does_no_harm),
		PCI_TEST(msix_interrupts_reach_the_guest),
		PCI_TEST(msix_function_mask_pends_all),
		PCI_TEST(intx_drives_the_gsi_of_slot_and_pin),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
