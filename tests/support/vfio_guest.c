/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with a device passed through, for tests. */
#include "vfio_guest.h"

#include <pthread.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "vfio/rom.h"
#include "vfio/vfio_pci.h"

void vfio_guest_create_with(struct vfio_guest *f, const char *rom_file, bool rom_off)
{
	struct vfio_rom_file rom = { 0 };
	const struct vfio_pci_config config = {
		.bdf = FAKE_BDF,
		.rom_file = rom_file ? &rom : NULL,
		.rom_off = rom_off,
	};

	if (rom_file)
		assert_int_equal(vfio_rom_file_read(rom_file, &rom), 0);
	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci), 0);
	vfio_rom_file_free(&rom);
	pci_bus_add(&f->bus, f->pci, PCI_DEVFN(0, 0));
	if (!f->memory_later)
		vfio_pci_allow_dma(f->pci);
	fake_clear_log();
}

void vfio_guest_create(struct vfio_guest *f)
{
	vfio_guest_create_with(f, NULL, false);
}

void vfio_guest_destroy(struct vfio_guest *f)
{
	if (f->pci)
		f->pci->device.ops->destroy(&f->pci->device);
	f->pci = NULL;
}

int vfio_guest_setup(void **state)
{
	struct vfio_guest *f = calloc(1, sizeof(*f));

	fake_vfio_init(&f->m);
	*state = f;
	return loop_init(&f->loop);
}

int vfio_guest_teardown(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_destroy(f);
	vfio_iommu_destroy(f->iommu);
	loop_fini(&f->loop);
	fake_vfio_fini(&f->m);
	free(f);
	return 0;
}

void vfio_guest_config_write(struct vfio_guest *f, unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&f->pci->lock);
	f->pci->ops->config_write(f->pci, off, len, val);
	pthread_mutex_unlock(&f->pci->lock);
}

uint32_t vfio_guest_config_read(struct vfio_guest *f, unsigned off, unsigned len)
{
	uint32_t val;

	pthread_mutex_lock(&f->pci->lock);
	val = f->pci->ops->config_read(f->pci, off, len);
	pthread_mutex_unlock(&f->pci->lock);
	return val;
}

void vfio_guest_place_bars(struct vfio_guest *f)
{
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_0, 4, VFIO_GUEST_BAR0);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)VFIO_GUEST_BAR2);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_3, 4, VFIO_GUEST_BAR2 >> 32);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_4, 4, VFIO_GUEST_BAR4);
}

void vfio_guest_start(struct vfio_guest *f)
{
	vfio_guest_create(f);
	vfio_guest_place_bars(f);
	/* Without INTx, so that the tests of messages begin with nothing. */
	vfio_guest_config_write(f, PCI_COMMAND, 2,
				PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
					PCI_COMMAND_INTX_DISABLE);
	fake_clear_log();
}

void vfio_guest_write_bar0(struct vfio_guest *f, uint64_t off, unsigned len, uint64_t val)
{
	bus_write(&f->m.mmio, VFIO_GUEST_BAR0 + off, len, val);
}

uint64_t vfio_guest_read_bar0(struct vfio_guest *f, uint64_t off, unsigned len)
{
	return bus_read(&f->m.mmio, VFIO_GUEST_BAR0 + off, len);
}

void vfio_guest_set_vector(struct vfio_guest *f, unsigned i, bool masked)
{
	const uint64_t entry = FAKE_TABLE + i * PCI_MSIX_ENTRY_SIZE;

	vfio_guest_write_bar0(f, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, 0xfee00000);
	vfio_guest_write_bar0(f, entry + PCI_MSIX_ENTRY_DATA, 4, 0x4000 + i);
	vfio_guest_write_bar0(f, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}
