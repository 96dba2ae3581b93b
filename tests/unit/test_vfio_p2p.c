/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a device's memory is mapped for the other devices' DMA, and when it is not any more. What
 * VFIO and KVM are asked for is compared as text (see fake_vfio.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "vfio/device.h"
#include "vfio/p2p.h"
#include "vfio/vfio_pci.h"
#include "vfio_guest.h"

#define OTHER_BDF  "0000:02:00.0"
#define OTHER_BAR2 0x4800000000ull

#define MEMORY (PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE)
#define MASTER (MEMORY | PCI_COMMAND_MASTER)

#define SLOTS "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 slot+0x4000000000/0x100000"

/* The devices are alike: class 0302, BAR 2 of 64 bits and prefetchable. */
struct pair {
	struct vfio_guest *f;
	struct pci_dev *other;
};

static void write_other(struct pair *p, unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&p->other->lock);
	p->other->ops->config_write(p->other, off, len, val);
	pthread_mutex_unlock(&p->other->lock);
}

/* Both placed (of the other one, BAR 2 only) and not decoding. */
static struct pair create(void **state, enum vfio_p2p_mode mode)
{
	const struct vfio_pci_config config = { .bdf = OTHER_BDF };
	struct pair p = { .f = *state };
	struct vfio_guest *f = p.f;
	struct pci_dev *devs[2];

	vfio_guest_create(f);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &p.other), 0);
	pci_bus_add(&f->bus, p.other, PCI_DEVFN(1, 0));
	devs[0] = f->pci;
	devs[1] = p.other;
	assert_int_equal(vfio_p2p_init(f->iommu, mode, devs, 2), 0);
	if (!f->memory_later)
		vfio_pci_allow_dma(p.other);
	vfio_guest_place_bars(f);
	write_other(&p, PCI_BASE_ADDRESS_0, 4, 0xc8000000);
	write_other(&p, PCI_BASE_ADDRESS_2, 4, (uint32_t)OTHER_BAR2);
	write_other(&p, PCI_BASE_ADDRESS_3, 4, OTHER_BAR2 >> 32);
	fake_clear_log();
	return p;
}

static void destroy(struct pair *p)
{
	p->other->device.ops->destroy(&p->other->device);
	vfio_guest_destroy(p->f);
}

static void bars_are_mapped_when_two_devices_are_bus_masters(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_string_equal(fake.log, SLOTS);
	fake_clear_log();
	/* The other one decodes, but has no driver yet. */
	write_other(&p, PCI_COMMAND, 2, MEMORY);
	assert_null(strstr(fake.log, "dma"));
	fake_clear_log();
	write_other(&p, PCI_COMMAND, 2, MASTER);
	assert_non_null(strstr(fake.log, "dma+0x4000000000/0x100000"));
	assert_non_null(strstr(fake.log, "dma+0xc0000000/0x8000"));
	assert_non_null(strstr(fake.log, "dma+0xc000a000/0x6000"));
	assert_non_null(strstr(fake.log, "dma+0x4800000000/0x100000"));
	destroy(&p);
}

static void bars_are_mapped_after_all_guest_memory(void **state)
{
	struct vfio_guest *f = *state;
	struct pair p;

	f->memory_later = true;
	p = create(state, VFIO_P2P_ON);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_pci_allow_dma(p.f->pci);
	assert_null(strstr(fake.log, "dma"));
	vfio_pci_allow_dma(p.other);
	assert_non_null(strstr(fake.log, "dma+0x4000000000/0x100000"));
	assert_non_null(strstr(fake.log, "dma+0x4800000000/0x100000"));
	destroy(&p);
}

static void automatic_waits_for_drivers(void **state)
{
	struct pair p = create(state, VFIO_P2P_AUTO);

	/* What firmware leaves behind, and a kernel does to find sizes. */
	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_null(strstr(fake.log, "dma"));
	/* The first driver, the second driver: one with MSI-X, one with MSI. */
	vfio_guest_config_write(p.f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_null(strstr(fake.log, "dma"));
	write_other(&p, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_non_null(strstr(fake.log, "dma+0x4000000000/0x100000"));
	assert_non_null(strstr(fake.log, "dma+0x4800000000/0x100000"));
	destroy(&p);
}

static void bars_are_unmapped_before_they_stop_being_decoded(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "dma- slot- dma- slot- dma- slot-");
	fake_clear_log();
	/* And are back with it: both are masters still. */
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 dma+0xc0000000/0x8000 "
				      "slot+0xc000a000/0x6000 dma+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000 dma+0x4000000000/0x100000");
	destroy(&p);
}

static void moving_a_bar_moves_its_mapping(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	vfio_guest_config_write(p.f, PCI_BASE_ADDRESS_3, 4, 0x50);
	assert_string_equal(fake.log,
			    "dma- slot- slot+0x5000000000/0x100000 dma+0x5000000000/0x100000");
	destroy(&p);
}

static void sizing_maps_nothing(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	vfio_guest_config_write(p.f, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	vfio_guest_config_write(p.f, PCI_BASE_ADDRESS_3, 4, 0xffffffff);
	vfio_guest_config_write(p.f, PCI_BASE_ADDRESS_2, 4, (uint32_t)VFIO_GUEST_BAR2);
	vfio_guest_config_write(p.f, PCI_BASE_ADDRESS_3, 4, VFIO_GUEST_BAR2 >> 32);
	assert_string_equal(fake.log, "");
	destroy(&p);
}

static void a_driver_that_goes_leaves_the_mapping(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	write_other(&p, PCI_COMMAND, 2, MEMORY);
	write_other(&p, PCI_COMMAND, 2, MASTER);
	assert_string_equal(fake.log, "");
	destroy(&p);
}

static void sleeping_device_is_not_mapped(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	vfio_guest_config_write(p.f, FAKE_PM + PCI_PM_CTRL, 2, 3);
	assert_string_equal(fake.log, "dma- slot- dma- slot- dma- slot-");
	destroy(&p);
}

static void mapping_goes_before_the_device(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);
	const char *unmap, *leave;

	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	fake_clear_log();
	vfio_guest_destroy(p.f);
	unmap = strstr(fake.log, "dma-");
	leave = strstr(fake.log, "reset");
	assert_non_null(unmap);
	assert_true(unmap < leave);
	assert_null(strstr(leave, "dma"));
	p.other->device.ops->destroy(&p.other->device);
}

static void range_that_cannot_be_mapped_is_left_out(void **state)
{
	struct pair p = create(state, VFIO_P2P_ON);

	fake.map_error = -EINVAL;
	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_non_null(strstr(fake.log, "dma+"));
	fake_clear_log();
	/* Not tried again at every opportunity, and not unmapped. */
	write_other(&p, PCI_COMMAND, 2, MEMORY);
	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot- slot- slot-");
	fake_clear_log();
	fake.map_error = 0;
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_non_null(strstr(fake.log, "dma+0x4000000000/0x100000"));
	destroy(&p);
}

static void off_maps_nothing(void **state)
{
	struct pair p = create(state, VFIO_P2P_OFF);

	assert_null(p.f->iommu->p2p);
	write_other(&p, PCI_COMMAND, 2, MASTER);
	vfio_guest_config_write(p.f, PCI_COMMAND, 2, MASTER);
	assert_null(strstr(fake.log, "dma"));
	destroy(&p);
}

static void interface_that_maps_no_bars_has_no_peers(void **state)
{
	struct vfio_guest *f = *state;
	struct pci_dev *devs[2];

	vfio_guest_create(f);
	devs[0] = devs[1] = f->pci;
	f->iommu->maps_bars = false;
	assert_int_equal(vfio_p2p_init(f->iommu, VFIO_P2P_ON, devs, 2), 0);
	assert_null(f->iommu->p2p);
}

/* Whether it is on with one device that is a GPU and one of `class`. */
static bool is_on_with(struct vfio_guest *f, enum vfio_p2p_mode mode, uint32_t class)
{
	struct pci_dev other = *f->pci, *devs[2] = { f->pci, &other };
	bool on;

	store_le(other.config + PCI_CLASS_PROG, 3, class);
	assert_int_equal(vfio_p2p_init(f->iommu, mode, devs, 2), 0);
	on = f->iommu->p2p != NULL;
	vfio_p2p_destroy(f->iommu->p2p);
	f->iommu->p2p = NULL;
	return on;
}

static void automatic_for_two_gpus(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	assert_true(is_on_with(f, VFIO_P2P_AUTO, 0x030000));
	assert_true(is_on_with(f, VFIO_P2P_AUTO, 0x030200));
	assert_true(is_on_with(f, VFIO_P2P_AUTO, 0x120000));
	assert_false(is_on_with(f, VFIO_P2P_AUTO, 0x040300)); /* its audio function */
	assert_false(is_on_with(f, VFIO_P2P_AUTO, 0x020000)); /* a network card */
	assert_true(is_on_with(f, VFIO_P2P_ON, 0x020000));
	assert_false(is_on_with(f, VFIO_P2P_OFF, 0x030200));
}

static void one_device_has_no_peers(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	assert_int_equal(vfio_p2p_init(f->iommu, VFIO_P2P_ON, &f->pci, 1), 0);
	assert_null(f->iommu->p2p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bars_are_mapped_when_two_devices_are_bus_masters),
		T(bars_are_mapped_after_all_guest_memory),
		T(automatic_waits_for_drivers),
		T(bars_are_unmapped_before_they_stop_being_decoded),
		T(moving_a_bar_moves_its_mapping),
		T(sizing_maps_nothing),
		T(a_driver_that_goes_leaves_the_mapping),
		T(sleeping_device_is_not_mapped),
		T(mapping_goes_before_the_device),
		T(range_that_cannot_be_mapped_is_left_out),
		T(off_maps_nothing),
		T(interface_that_maps_no_bars_has_no_peers),
		T(automatic_for_two_gpus),
		T(one_device_has_no_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
