/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with the device of fake_vfio.h passed through, for tests: what its firmware and its
 * driver do. Asserts. What a test starts from is done, and the log empty, when a function that
 * creates the device returns.
 */
#ifndef SUPPORT_VFIO_GUEST_H
#define SUPPORT_VFIO_GUEST_H

#include "core/loop.h"
#include "devices/pci/pci.h"
#include "fake_vfio.h"
#include "vfio/iommu.h"

#define VFIO_GUEST_BAR0 0xc0000000ull
#define VFIO_GUEST_BAR2 0x4000000000ull
#define VFIO_GUEST_BAR4 0x6000ull

struct vfio_guest {
	struct fake_machine m;
	struct loop loop;
	struct pci_bus bus;
	struct vfio_iommu *iommu;
	struct pci_dev *pci;
	bool memory_later; /* do not say at creation that guest memory is mapped */
};

/* For cmocka; *state is the guest, without the device yet. */
int vfio_guest_setup(void **state);
int vfio_guest_teardown(void **state);

void vfio_guest_create(struct vfio_guest *f);
void vfio_guest_create_with(struct vfio_guest *f, const char *rom_file, bool rom_off);
/* Created, placed and decoding, as a driver finds it. */
void vfio_guest_start(struct vfio_guest *f);
void vfio_guest_destroy(struct vfio_guest *f);

/* As pci_root does it. */
void vfio_guest_config_write(struct vfio_guest *f, unsigned off, unsigned len, uint32_t val);
uint32_t vfio_guest_config_read(struct vfio_guest *f, unsigned off, unsigned len);

/* Firmware's part: addresses, not decoding yet. */
void vfio_guest_place_bars(struct vfio_guest *f);

/* Accesses to BAR 0 that are not mapped, and an entry of the MSI-X table in it. */
void vfio_guest_write_bar0(struct vfio_guest *f, uint64_t off, unsigned len, uint64_t val);
uint64_t vfio_guest_read_bar0(struct vfio_guest *f, uint64_t off, unsigned len);
void vfio_guest_set_vector(struct vfio_guest *f, unsigned i, bool masked);

#endif
