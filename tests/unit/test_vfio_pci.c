/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A passed-through device as its guest drives it: decoding, interrupts, power, reset. What VFIO and
 * KVM are asked for, and in which order, is compared as text (see fake_vfio.h).
 */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/loop.h"
#include "core/sys.h"
#include "devices/pci.h"
#include "fake_vfio.h"
#include "vfio/iommu.h"
#include "vfio/vfio_pci.h"

#define BAR0 0xc0000000ull
#define BAR2 0x4000000000ull
#define BAR4 0x6000ull

struct fixture {
	struct fake_machine m;
	struct loop loop;
	struct pci_bus bus;
	struct vfio_iommu *iommu;
	struct pci_dev *pci;
};

static void create_with(struct fixture *f, const char *rom_file, bool rom_off)
{
	const struct vfio_pci_config config = { FAKE_BDF, rom_file, rom_off };

	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci), 0);
	pci_bus_add(&f->bus, f->pci, PCI_DEVFN(0, 0));
	fake_clear_log();
}

static void create(struct fixture *f)
{
	create_with(f, NULL, false);
}

static void destroy(struct fixture *f)
{
	if (f->pci)
		f->pci->device.ops->destroy(&f->pci->device);
	f->pci = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_vfio_init(&f->m);
	*state = f;
	return loop_init(&f->loop);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	destroy(f);
	vfio_iommu_destroy(f->iommu);
	loop_fini(&f->loop);
	fake_vfio_fini(&f->m);
	free(f);
	return 0;
}

/* As pci_root does it. */
static void write_config(struct fixture *f, unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&f->pci->lock);
	f->pci->ops->config_write(f->pci, off, len, val);
	pthread_mutex_unlock(&f->pci->lock);
}

static uint32_t read_config(struct fixture *f, unsigned off, unsigned len)
{
	uint32_t val;

	pthread_mutex_lock(&f->pci->lock);
	val = f->pci->ops->config_read(f->pci, off, len);
	pthread_mutex_unlock(&f->pci->lock);
	return val;
}

/* Firmware's part: addresses, then decoding. */
static void place_bars(struct fixture *f)
{
	write_config(f, PCI_BASE_ADDRESS_0, 4, BAR0);
	write_config(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)BAR2);
	write_config(f, PCI_BASE_ADDRESS_3, 4, BAR2 >> 32);
	write_config(f, PCI_BASE_ADDRESS_4, 4, BAR4);
}

static void start(struct fixture *f)
{
	create(f);
	place_bars(f);
	/* Without INTx, so that the tests of messages begin with nothing. */
	write_config(f, PCI_COMMAND, 2,
		     PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			     PCI_COMMAND_INTX_DISABLE);
	fake_clear_log();
}

static void write_bar0(struct fixture *f, uint64_t off, unsigned len, uint64_t val)
{
	bus_write(&f->m.mmio, BAR0 + off, len, val);
}

static uint64_t read_bar0(struct fixture *f, uint64_t off, unsigned len)
{
	return bus_read(&f->m.mmio, BAR0 + off, len);
}

static void set_vector(struct fixture *f, unsigned i, bool masked)
{
	const uint64_t entry = FAKE_TABLE + i * PCI_MSIX_ENTRY_SIZE;

	write_bar0(f, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, 0xfee00000);
	write_bar0(f, entry + PCI_MSIX_ENTRY_DATA, 4, 0x4000 + i);
	write_bar0(f, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

/* --- identity and BARs --- */

static void bars_are_as_vfio_says(void **state)
{
	struct fixture *f = *state;

	create(f);
	assert_int_equal(f->pci->bars[0].kind, PCI_BAR_MEM32);
	assert_int_equal(f->pci->bars[0].size, 64 * KiB);
	assert_int_equal(f->pci->bars[2].kind, PCI_BAR_MEM64);
	assert_int_equal(f->pci->bars[2].size, MiB);
	assert_true(f->pci->bars[2].prefetch);
	assert_int_equal(f->pci->bars[3].kind, PCI_BAR_NONE);
	assert_int_equal(f->pci->bars[4].kind, PCI_BAR_IO);
	assert_int_equal(f->pci->bars[4].size, 128);
	assert_int_equal(f->pci->bars[PCI_BAR_ROM].kind, PCI_BAR_NONE);
}

static void slots_are_split_around_table_and_pending_bits(void **state)
{
	struct fixture *f = *state;

	create(f);
	place_bars(f);
	assert_string_equal(fake.log, "");
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
	fake_clear_log();
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot- slot- slot-");
}

static void sizing_a_decoded_bar_moves_nothing(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	assert_int_equal(read_config(f, PCI_BASE_ADDRESS_2, 4), 0xfff0000c);
	write_config(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)BAR2);
	assert_string_equal(fake.log, "");
}

static void host_view_is_congruent_with_the_bar(void **state)
{
	struct fixture *f = *state;

	fake.regions[2].size = 32 * MiB;
	start(f);
	assert_int_equal(fake.last_slot.guest_phys_addr, BAR2);
	assert_int_equal(fake.last_slot.memory_size, 32 * MiB);
	assert_int_equal(fake.last_slot.userspace_addr % (32 * MiB), 0);
}

static void bar_that_the_host_did_not_place_is_absent(void **state)
{
	struct fixture *f = *state;

	fake_set_config(PCI_BASE_ADDRESS_4, 4, 0);
	create(f);
	assert_int_equal(f->pci->bars[4].kind, PCI_BAR_NONE);
	write_config(f, PCI_BASE_ADDRESS_4, 4, 0xffffffff);
	assert_int_equal(read_config(f, PCI_BASE_ADDRESS_4, 4), 0);
}

static void command_reaches_the_device(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(fake_config(PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
							      PCI_COMMAND_MASTER |
							      PCI_COMMAND_INTX_DISABLE);
	write_config(f, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_config(PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
}

static void trapped_accesses_reach_the_region(void **state)
{
	const uint8_t data[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	struct fixture *f = *state;

	fake_fill(4, 0x10, data, sizeof(data));
	fake_fill(0, FAKE_TABLE + 0x800, data, sizeof(data));
	start(f);
	assert_int_equal(bus_read(&f->m.pio, BAR4 + 0x10, 4), 0x44332211);
	assert_int_equal(bus_read(&f->m.pio, BAR4 + 0x13, 1), 0x44);
	bus_write(&f->m.pio, BAR4 + 0x10, 2, 0xbeef);
	assert_int_equal(bus_read(&f->m.pio, BAR4 + 0x10, 4), 0x4433beef);
	/* Registers that share the page of the MSI-X table. */
	assert_int_equal(read_bar0(f, FAKE_TABLE + 0x800, 8), 0x8877665544332211);
}

static void bar_on_top_of_another_is_not_reached(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, PCI_BASE_ADDRESS_3, 4, 0);
	fake_clear_log();
	write_config(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)BAR0);
	assert_string_equal(fake.log, "");
	/* BAR 0 still works, and BAR 2 does so again elsewhere. */
	write_config(f, PCI_BASE_ADDRESS_3, 4, BAR2 >> 32);
	assert_string_equal(fake.log, "slot+0x40c0000000/0x100000");
}

/* --- MSI-X --- */

static void msix_vectors_are_armed_one_by_one(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2,
		     PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_string_equal(fake.log, "msix[0+16]=-");
	set_vector(f, 3, false);
	assert_string_equal(fake.log, "msix[0+16]=-");
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msix[0+16]=- msix[3+1]=fd irqfd+");
	set_vector(f, 5, false);
	assert_string_equal(fake.log, "msix[0+16]=- msix[3+1]=fd irqfd+ msix[5+1]=fd irqfd+");
}

static void msix_mask_does_not_call_vfio(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	set_vector(f, 0, false);
	fake_clear_log();
	set_vector(f, 0, true);
	set_vector(f, 0, false);
	assert_string_equal(fake.log, "irqfd- irqfd+");
}

static void msix_disable_is_one_call(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	set_vector(f, 0, false);
	fake_clear_log();
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "irqfd- msix-off");
	fake_clear_log();
	/* And again: armed anew. */
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msix[0+16]=- msix[0+1]=fd irqfd+");
}

static void msix_takes_what_the_host_has(void **state)
{
	struct fixture *f = *state;

	fake.vectors_given = 5;
	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	set_vector(f, 4, false);
	assert_string_equal(fake.log, "msix[0+16]=- msix[0+5]=- msix[4+1]=fd irqfd+");
}

static void msix_control_is_not_the_devices(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(read_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2), PCI_MSIX_FLAGS_ENABLE | 15);
	assert_int_equal(fake_config(FAKE_MSIX + PCI_MSIX_FLAGS, 2), 15);
}

static void pending_bits_come_from_eventfd_and_device(void **state)
{
	const uint8_t bits = 0x80;
	struct fixture *f = *state;

	fake_fill(0, FAKE_PBA, &bits, 1);
	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(read_bar0(f, FAKE_PBA, 8), 0x80);
	write_bar0(f, FAKE_PBA, 8, 0);
	assert_int_equal(read_bar0(f, FAKE_PBA, 4), 0x80);
}

static void pending_bits_out_of_bounds_are_moved(void **state)
{
	struct fixture *f = *state;

	fake_set_config(FAKE_MSIX + PCI_MSIX_PBA, 4, 0x20000);
	create(f);
	assert_int_equal(read_config(f, FAKE_MSIX + PCI_MSIX_PBA, 4), FAKE_TABLE + 16 * 16);
}

static void table_out_of_bounds_hides_msix(void **state)
{
	struct fixture *f = *state;

	fake_set_config(FAKE_MSIX + PCI_MSIX_TABLE, 4, 0xfff8);
	create(f);
	assert_int_equal(read_config(f, FAKE_EXP + PCI_CAP_LIST_NEXT, 1), 0);
	assert_int_equal(read_config(f, FAKE_MSIX, 4), 0);
}

/* --- MSI --- */

static void msi_enable_arms_the_set_first(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	write_config(f, FAKE_MSI + PCI_MSI_DATA_64, 2, 0x40);
	write_config(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
	assert_string_equal(fake.log, "msi[0+2]=fd irqfd+ irqfd+");
	fake_clear_log();
	write_config(f, FAKE_MSI + PCI_MSI_MASK_64, 4, 2);
	assert_string_equal(fake.log, "irqfd-");
	fake_clear_log();
	write_config(f, FAKE_MSI + PCI_MSI_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msi-off irqfd-");
	assert_int_equal(fake_config(FAKE_MSI + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
}

static void msi_asks_for_no_more_than_it_can(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 7 << 4);
	assert_true(strstr(fake.log, "msi[0+4]=fd") == fake.log);
}

static void msix_takes_over_from_msi(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fake_clear_log();
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msi-off irqfd- msix[0+16]=-");
}

/* --- INTx --- */

static void intx_connects_when_the_device_is_used(void **state)
{
	struct fixture *f = *state;

	create(f);
	assert_int_equal(read_config(f, PCI_INTERRUPT_PIN, 1), 1);
	place_bars(f);
	assert_string_equal(fake.log, "");
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_string_equal(fake.log, "resample+ intx[0+1]=fd intx-unmask");
}

static void intx_gives_way_to_msix_and_comes_back(void **state)
{
	struct fixture *f = *state;

	create(f);
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	fake_clear_log();
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "intx-off irqfd- msix[0+16]=-");
	fake_clear_log();
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msix-off resample+ intx[0+1]=fd intx-unmask");
}

static void intx_disabled_by_the_guest_does_not_come_back(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msix[0+16]=- msix-off");
}

static void intx_that_the_host_refuses_is_left_out(void **state)
{
	struct fixture *f = *state;

	create(f);
	fake.set_irqs_error = -EBUSY;
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_string_equal(fake.log, "resample+ irqfd-");
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_string_equal(fake.log, "resample+ irqfd-");
	fake.set_irqs_error = 0;
}

static void device_without_interrupts_works(void **state)
{
	struct fixture *f = *state;

	memset(fake.irq_counts, 0, sizeof(fake.irq_counts));
	start(f);
	assert_int_equal(read_config(f, PCI_INTERRUPT_PIN, 1), 0);
	/* MSI and MSI-X are out of the chain. */
	assert_int_equal(read_config(f, FAKE_PM + PCI_CAP_LIST_NEXT, 1), FAKE_EXP);
	assert_int_equal(read_config(f, FAKE_EXP + PCI_CAP_LIST_NEXT, 1), 0);
	assert_string_equal(fake.log, "");
}

/* --- power and reset --- */

static void device_in_d3_is_not_mapped(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_PM + PCI_PM_CTRL, 2, 3);
	assert_string_equal(fake.log, "slot- slot- slot-");
	assert_int_equal(fake_config(FAKE_PM + PCI_PM_CTRL, 2) & 3, 3);
	assert_int_equal(read_bar0(f, 0, 4), 0xffffffff);
	fake_clear_log();
	write_config(f, FAKE_PM + PCI_PM_CTRL, 2, 0);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
}

static void power_writes_in_d0_move_nothing(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_STATUS);
	assert_string_equal(fake.log, "");
}

static void function_level_reset_takes_everything_along(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	set_vector(f, 1, false);
	fake_clear_log();
	write_config(f, FAKE_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	/* No bus mastering and no decoding by the time the reset comes. */
	assert_string_equal(fake.log, "irqfd- msix-off slot- slot- slot- reset(command=0x0)");
	assert_int_equal(read_config(f, PCI_COMMAND, 2), 0);
	assert_int_equal(read_config(f, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(read_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2), 15);
	assert_int_equal(read_config(f, PCI_VENDOR_ID, 4), 0x233010de);
}

static void machine_reset_resets_the_device(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_PM + PCI_PM_CTRL, 2, 3);
	fake_clear_log();
	f->pci->device.ops->reset(&f->pci->device);
	assert_string_equal(fake.log, "reset(command=0x0)");
	assert_int_equal(fake_config(FAKE_PM + PCI_PM_CTRL, 2) & 3, 0);
	assert_int_equal(read_config(f, PCI_COMMAND, 2), 0);
	fake_clear_log();
	/* Untouched since: clean already. */
	f->pci->device.ops->reset(&f->pci->device);
	assert_string_equal(fake.log, "");
	/* And it works afterwards. */
	place_bars(f);
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
}

static void give_back_order(void **state)
{
	struct fixture *f = *state;

	start(f);
	write_config(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	fake_clear_log();
	destroy(f);
	/* Interrupts, decoding, the reset, then the device's group leaves KVM and the container. */
	assert_string_equal(fake.log, "msix-off slot- slot- slot- reset(command=0x0) kvm- leave");
}

static void untouched_device_is_not_reset_again(void **state)
{
	struct fixture *f = *state;

	create(f);
	destroy(f);
	assert_string_equal(fake.log, "kvm- leave");
}

static void unanswering_device_is_refused(void **state)
{
	const struct vfio_pci_config config = { .bdf = FAKE_BDF };
	struct fixture *f = *state;

	fake_set_config(PCI_VENDOR_ID, 4, 0xffffffff);
	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci),
			 -ENODEV);
	assert_null(f->pci);
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_true(strstr(err_text(), FAKE_BDF ": ") == err_text());
}

/* --- ROM --- */

static void put_rom(uint8_t *rom, size_t size, uint16_t device)
{
	uint8_t sum = 0;

	memset(rom, 0, size);
	store_le(rom, 2, 0xaa55);
	rom[2] = (uint8_t)(size / 512);
	store_le(rom + 0x18, 2, 0x1c);
	memcpy(rom + 0x1c, "PCIR", 4);
	store_le(rom + 0x1c + 4, 2, 0x10de);
	store_le(rom + 0x1c + 6, 2, device);
	rom[0x100] = 0x5a;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + rom[i]);
	rom[6] = (uint8_t)-sum;
}

static void map_rom(struct fixture *f, uint32_t addr)
{
	write_config(f, PCI_ROM_ADDRESS, 4, addr | PCI_ROM_ADDRESS_ENABLE);
	write_config(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
}

static void rom_is_read_at_the_first_look(void **state)
{
	struct fixture *f = *state;
	uint8_t rom[8192], sum = 0;

	put_rom(rom, sizeof(rom), 0x1234);
	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	fake_fill(VFIO_PCI_ROM_REGION_INDEX, 0, rom, sizeof(rom));
	create(f);
	map_rom(f, 0xd0000000);
	assert_string_equal(fake.log, "");
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xaa55);
	assert_string_equal(fake.log, "slot+0xd0000000/0x2000");
	/* The ID is the device's, and the checksum is right again. */
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000 + 0x22, 2), 0x2330);
	for (unsigned i = 0; i < 8192; i++)
		sum = (uint8_t)(sum + bus_read(&f->m.mmio, 0xd0000000 + i, 1));
	assert_int_equal(sum, 0);
	bus_write(&f->m.mmio, 0xd0000000, 4, 0);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xaa55);
}

static void rom_without_signature_reads_ones(void **state)
{
	struct fixture *f = *state;

	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	create(f);
	map_rom(f, 0xd0000000);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 4), 0xffffffff);
}

static void rom_from_a_file(void **state)
{
	char path[] = "/tmp/test_vfio_pci.XXXXXX";
	struct fixture *f = *state;
	int fd = mkstemp(path);
	uint8_t rom[5 * 512];

	put_rom(rom, sizeof(rom), 0x2330);
	assert_int_equal(write(fd, rom, sizeof(rom)), sizeof(rom));
	close(fd);
	create_with(f, path, false);
	unlink(path);
	assert_int_equal(f->pci->bars[PCI_BAR_ROM].size, 4096);
	map_rom(f, 0xd0000000);
	assert_string_equal(fake.log, "slot+0xd0000000/0x1000");
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000100, 1), 0x5a);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000fff, 1), 0xff);
}

static void rom_off_has_no_bar(void **state)
{
	struct fixture *f = *state;

	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	create_with(f, NULL, true);
	write_config(f, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(read_config(f, PCI_ROM_ADDRESS, 4), 0);
}

static void file_that_is_no_rom_is_refused(void **state)
{
	const struct vfio_pci_config config = { FAKE_BDF, "/proc/self/exe", false };
	struct fixture *f = *state;

	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci),
			 -EINVAL);
	assert_int_equal(err_kind(), ERR_FILE);
}

/* Any access in any order: nothing but the guest's own device may suffer. */
static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 1;

	start(f);
	for (unsigned i = 0; i < 20000; i++) {
		static const unsigned lens[] = { 1, 2, 4 };
		const unsigned len = lens[rand_r(&seed) % 3];
		const unsigned space = rand_r(&seed) % 4 ? 256 : PCI_CONFIG_SIZE;
		const unsigned off = rand_r(&seed) % space & ~(len - 1);
		const uint32_t val = (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed);

		write_config(f, off, len, val & (uint32_t)ones(len));
		(void)read_config(f, off, len);
		(void)read_bar0(f, (uint64_t)rand_r(&seed) % (64 * KiB), len);
		write_bar0(f, FAKE_TABLE + val % 0x110, len, val);
		fake_clear_log();
	}
	f->pci->device.ops->reset(&f->pci->device);
	assert_int_equal(read_config(f, PCI_COMMAND, 2), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bars_are_as_vfio_says),
		T(slots_are_split_around_table_and_pending_bits),
		T(sizing_a_decoded_bar_moves_nothing),
		T(host_view_is_congruent_with_the_bar),
		T(bar_that_the_host_did_not_place_is_absent),
		T(command_reaches_the_device),
		T(trapped_accesses_reach_the_region),
		T(bar_on_top_of_another_is_not_reached),
		T(msix_vectors_are_armed_one_by_one),
		T(msix_mask_does_not_call_vfio),
		T(msix_disable_is_one_call),
		T(msix_takes_what_the_host_has),
		T(msix_control_is_not_the_devices),
		T(pending_bits_come_from_eventfd_and_device),
		T(pending_bits_out_of_bounds_are_moved),
		T(table_out_of_bounds_hides_msix),
		T(msi_enable_arms_the_set_first),
		T(msi_asks_for_no_more_than_it_can),
		T(msix_takes_over_from_msi),
		T(intx_connects_when_the_device_is_used),
		T(intx_gives_way_to_msix_and_comes_back),
		T(intx_disabled_by_the_guest_does_not_come_back),
		T(intx_that_the_host_refuses_is_left_out),
		T(device_without_interrupts_works),
		T(device_in_d3_is_not_mapped),
		T(power_writes_in_d0_move_nothing),
		T(function_level_reset_takes_everything_along),
		T(machine_reset_resets_the_device),
		T(give_back_order),
		T(untouched_device_is_not_reset_again),
		T(unanswering_device_is_refused),
		T(rom_is_read_at_the_first_look),
		T(rom_without_signature_reads_ones),
		T(rom_from_a_file),
		T(rom_off_has_no_bar),
		T(file_that_is_no_rom_is_refused),
		T(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
