/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest sees of a device's config space, and what of its writes reaches the device. */
#include "cmocka_all.h"

#include <errno.h>

#include "fake_config.h"
#include "vfio/bar.h"
#include "vfio/config.h"

static void add_cap(unsigned link, unsigned cap, unsigned id)
{
	fake_set_config(PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	fake_set_config(link, 1, cap);
	fake_set_config(cap, 2, id);
}

static void add_ext(unsigned cap, unsigned id, unsigned next)
{
	fake_set_config(cap, 4, id | 2u << 16 | next << 20);
}

static void identity_is_the_devices(void **state)
{
	struct fake_config *f = *state;

	fake_set_config(PCI_SUBSYSTEM_VENDOR_ID, 4, 0x16c110de);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, PCI_VENDOR_ID, 4), 0x233010de);
	assert_int_equal(fake_config_read(f, PCI_DEVICE_ID, 2), 0x2330);
	assert_int_equal(fake_config_read(f, PCI_CLASS_REVISION, 4), 0x030200a1);
	assert_int_equal(fake_config_read(f, PCI_SUBSYSTEM_ID, 2), 0x16c1);
}

static void host_addresses_and_interrupts_are_not_seen(void **state)
{
	struct fake_config *f = *state;

	fake_set_config(PCI_BASE_ADDRESS_0, 4, 0xfb000000);
	fake_set_config(PCI_ROM_ADDRESS, 4, 0xfc000001);
	fake_set_config(PCI_INTERRUPT_LINE, 1, 0x0b);
	fake_set_config(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	fake_set_config(PCI_HEADER_TYPE, 1, 0x80);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(fake_config_read(f, PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(fake_config_read(f, PCI_INTERRUPT_LINE, 1), 0);
	assert_int_equal(fake_config_read(f, PCI_COMMAND, 2), 0);
	assert_int_equal(fake_config_read(f, PCI_HEADER_TYPE, 1), 0);
}

static void writes_to_addresses_stay_in_the_guest(void **state)
{
	struct fake_config *f = *state;

	fake_set_config(PCI_BASE_ADDRESS_0, 4, 0xfb000000);
	fake_config_init(f);
	fake_config_write(f, PCI_BASE_ADDRESS_0, 4, 0xc0000000);
	fake_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(fake_config(PCI_BASE_ADDRESS_0, 4), 0xfb000000);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
}

static void other_registers_are_passed_in_their_width(void **state)
{
	struct fake_config *f = *state;

	fake_config_init(f);
	fake_config_write(f, PCI_CACHE_LINE_SIZE, 1, 0x10);
	assert_int_equal(fake_config(PCI_CACHE_LINE_SIZE, 1), 0x10);
	fake_config_write(f, 0xe0, 4, 0x12345678);
	assert_int_equal(fake_config(0xe0, 4), 0x12345678);
	assert_int_equal(fake_config_read(f, 0xe2, 2), 0x1234);
	assert_int_equal(fake_config_read(f, 0xe1, 1), 0x56);
}

static void a_write_over_both_kinds_is_divided(void **state)
{
	struct fake_config *f = *state;

	fake_set_config(PCI_INTERRUPT_LINE, 4, 0);
	fake_config_init(f);
	fake_config_write(f, PCI_INTERRUPT_LINE, 4, 0x2010ff05);
	assert_int_equal(fake_config_read(f, PCI_INTERRUPT_LINE, 4), 0x20100005);
	assert_int_equal(fake_config(PCI_INTERRUPT_LINE, 4), 0x20100000);
}

static void capabilities_keep_their_order(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_PM);
	add_cap(0x61, 0x40, PCI_CAP_ID_VNDR);
	add_cap(0x41, 0xc8, PCI_CAP_ID_EXP);
	fake_config_init(f);
	assert_true(fake_config_read(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	assert_int_equal(fake_config_read(f, PCI_CAPABILITY_LIST, 1), 0x60);
	assert_int_equal(fake_config_read(f, 0x60, 2), 0x4001);
	assert_int_equal(fake_config_read(f, 0x40, 2), 0xc809);
	assert_int_equal(fake_config_read(f, 0xc8, 2), 0x0010);
	assert_int_equal(f->cfg.pm, 0x60);
	assert_int_equal(f->cfg.exp, 0xc8);
}

static void capability_self_loop(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x40, PCI_CAP_ID_PM);
	fake_set_config(0x41, 1, 0x40);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x41, 1), 0);
}

static void hidden_capability_leaves_the_chain_and_reads_zero(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x40, PCI_CAP_ID_PM);
	add_cap(0x41, 0x50, PCI_CAP_ID_MSIX);
	add_cap(0x51, 0x60, PCI_CAP_ID_EXP);
	fake_set_config(0x54, 4, 0x2003);
	fake_config_init(f);
	vfio_config_hide_cap(&f->cfg, 0x50, PCI_CAP_MSIX_SIZEOF);
	assert_int_equal(fake_config_read(f, 0x41, 1), 0x60);
	assert_int_equal(fake_config_read(f, 0x50, 4), 0);
	assert_int_equal(fake_config_read(f, 0x54, 4), 0);
}

static void hiding_the_only_capability_clears_the_status_bit(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x50, PCI_CAP_ID_MSIX);
	fake_config_init(f);
	vfio_config_hide_cap(&f->cfg, 0x50, PCI_CAP_MSIX_SIZEOF);
	assert_int_equal(fake_config_read(f, PCI_CAPABILITY_LIST, 1), 0);
	assert_false(fake_config_read(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
}

static void message_registers_never_reach_the_device(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x50, PCI_CAP_ID_MSI);
	fake_set_config(0x52, 2, PCI_MSI_FLAGS_64BIT);
	add_cap(0x51, 0x70, PCI_CAP_ID_MSIX);
	fake_config_init(f);
	fake_config_write(f, 0x52, 2, PCI_MSI_FLAGS_ENABLE);
	fake_config_write(f, 0x54, 4, 0xfee00000);
	fake_config_write(f, 0x70, 4, 0x80000011);
	assert_int_equal(fake_config(0x52, 2), PCI_MSI_FLAGS_64BIT);
	assert_int_equal(fake_config(0x54, 4), 0);
	assert_int_equal(fake_config(0x72, 2), 0);
}

static void resets_are_found(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x40, PCI_CAP_ID_PM);
	add_cap(0x41, 0x60, PCI_CAP_ID_EXP);
	fake_config_init(f);
	assert_true(f->dev.pm_reset);
	assert_false(f->dev.has_flr);
	assert_false(vfio_config_starts_flr(&f->cfg, 0x68, 2, PCI_EXP_DEVCTL_BCR_FLR));
}

static void flr_is_recognised_in_every_width(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_EXP);
	fake_set_config(0x64, 4, PCI_EXP_DEVCAP_FLR);
	fake_config_init(f);
	assert_true(vfio_config_starts_flr(&f->cfg, 0x68, 2, PCI_EXP_DEVCTL_BCR_FLR));
	assert_true(vfio_config_starts_flr(&f->cfg, 0x68, 4, 0x0000a810));
	assert_true(vfio_config_starts_flr(&f->cfg, 0x69, 1, 0x80));
	assert_false(vfio_config_starts_flr(&f->cfg, 0x68, 1, 0x80));
	assert_false(vfio_config_starts_flr(&f->cfg, 0x64, 4, 0xffffffff));
}

static void root_complex_endpoint_gets_a_link(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_EXP);
	fake_set_config(0x62, 2, 2 | PCI_EXP_TYPE_RC_END << 4);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x62, 2), 2 | PCI_EXP_TYPE_ENDPOINT << 4);
	assert_int_equal(fake_config_read(f, 0x60 + PCI_EXP_LNKCAP, 4), 0x11);
	assert_int_equal(fake_config_read(f, 0x60 + PCI_EXP_LNKSTA, 2), 0x11);
	assert_int_equal(fake_config_read(f, 0x60 + PCI_EXP_LNKCAP2, 4), PCI_EXP_LNKCAP2_SLS_2_5GB);
}

static void root_complex_endpoint_without_room_stays_one(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_EXP);
	fake_set_config(0x62, 2, 2 | PCI_EXP_TYPE_RC_END << 4);
	add_cap(0x61, 0x8c, PCI_CAP_ID_PM);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x62, 2), 2 | PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(fake_config_read(f, 0x8c, 1), PCI_CAP_ID_PM);
}

static void endpoint_shows_its_real_link(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_EXP);
	fake_set_config(0x60 + PCI_EXP_LNKCAP, 4, 0x00000105);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x60 + PCI_EXP_LNKCAP, 4), 0x00000105);
}

static void extended_capabilities_are_hidden_and_relinked(void **state)
{
	struct fake_config *f = *state;

	add_ext(0x100, PCI_EXT_CAP_ID_ERR, 0x150);
	add_ext(0x150, PCI_EXT_CAP_ID_SRIOV, 0x200);
	add_ext(0x200, PCI_EXT_CAP_ID_REBAR, 0x240);
	add_ext(0x240, PCI_EXT_CAP_ID_DSN, 0x250);
	add_ext(0x250, PCI_EXT_CAP_ID_ARI, 0);
	fake_set_config(0x174, 4, 0xd0000000);
	fake_set_config(0x204, 4, 0x000fffff);
	fake_set_config(0x244, 4, 0xabcd);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0x24020001);
	assert_int_equal(fake_config_read(f, 0x240, 4), 0x00020003);
	assert_int_equal(fake_config_read(f, 0x150, 4), 0);
	assert_int_equal(fake_config_read(f, 0x174, 4), 0);
	assert_int_equal(fake_config_read(f, 0x204, 4), 0);
	assert_int_equal(fake_config_read(f, 0x250, 4), 0);
	assert_int_equal(fake_config_read(f, 0x244, 4), 0xabcd);
	fake_config_write(f, 0x158, 4, 1);
	assert_int_equal(fake_config(0x158, 4), 0);
}

static void hidden_first_extended_capability_leaves_a_null_one(void **state)
{
	struct fake_config *f = *state;

	add_ext(0x100, PCI_EXT_CAP_ID_REBAR, 0x140);
	add_ext(0x140, PCI_EXT_CAP_ID_SRIOV, 0x180);
	add_ext(0x180, PCI_EXT_CAP_ID_DSN, 0);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0x18000000);
	assert_int_equal(fake_config_read(f, 0x180, 4), 0x00020003);
}

static void all_extended_capabilities_hidden(void **state)
{
	struct fake_config *f = *state;

	add_ext(0x100, PCI_EXT_CAP_ID_SRIOV, 0x140);
	add_ext(0x140, PCI_EXT_CAP_ID_ARI, 0);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0);
}

static void hiding_spares_an_overlapping_capability(void **state)
{
	struct fake_config *f = *state;

	add_ext(0x100, PCI_EXT_CAP_ID_SRIOV, 0x120);
	add_ext(0x120, PCI_EXT_CAP_ID_DSN, 0);
	fake_set_config(0x124, 4, 0x5555);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x120, 4), 0x00020003);
	assert_int_equal(fake_config_read(f, 0x124, 4), 0x5555);
}

static void extended_chain_loop_ends(void **state)
{
	struct fake_config *f = *state;

	add_ext(0x100, PCI_EXT_CAP_ID_ERR, 0x140);
	add_ext(0x140, PCI_EXT_CAP_ID_DSN, 0x100);
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0x14020001);
	assert_int_equal(fake_config_read(f, 0x140, 4), 0x00020003);
}

static void conventional_device_has_an_empty_extended_space(void **state)
{
	struct fake_config *f = *state;

	f->dev.regions[VFIO_PCI_CONFIG_REGION_INDEX].size = 256;
	fake_config_init(f);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0);
	assert_int_equal(fake_config_read(f, 0xffc, 4), 0);
	assert_int_equal(fake_config_read(f, PCI_VENDOR_ID, 2), 0x10de);
	fake_config_write(f, 0x100, 4, 0xffffffff);
	assert_int_equal(fake_config_read(f, 0x100, 4), 0);
}

static void bar_of_a_virtual_function_has_no_register(void **state)
{
	struct fake_config *f = *state;
	struct vfio_bars bars;

	f->dev.regions[0] = (struct vfio_region){ .size = 16 * KiB };
	fake_config_init(f);
	vfio_bars_init(&bars, &f->pci, &f->dev);
	assert_int_equal(f->pci.bars[0].kind, PCI_BAR_NONE); /* the host had no room for it */
	f->dev.is_vf = true;
	vfio_bars_init(&bars, &f->pci, &f->dev);
	assert_int_equal(f->pci.bars[0].kind, PCI_BAR_MEM32);
	assert_int_equal(f->pci.bars[0].size, 16 * KiB);
	assert_int_equal(f->pci.bars[1].kind, PCI_BAR_NONE);
}

static void vanished_device_reads_ones(void **state)
{
	struct fake_config *f = *state;

	fake_config_init(f);
	f->dev.fd = -1;
	assert_int_equal(fake_config_read(f, PCI_VENDOR_ID, 4), 0xffffffff);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_config_setup, fake_config_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity_is_the_devices),
		T(host_addresses_and_interrupts_are_not_seen),
		T(writes_to_addresses_stay_in_the_guest),
		T(other_registers_are_passed_in_their_width),
		T(a_write_over_both_kinds_is_divided),
		T(capabilities_keep_their_order),
		T(capability_self_loop),
		T(hidden_capability_leaves_the_chain_and_reads_zero),
		T(hiding_the_only_capability_clears_the_status_bit),
		T(message_registers_never_reach_the_device),
		T(resets_are_found),
		T(flr_is_recognised_in_every_width),
		T(root_complex_endpoint_gets_a_link),
		T(root_complex_endpoint_without_room_stays_one),
		T(endpoint_shows_its_real_link),
		T(extended_capabilities_are_hidden_and_relinked),
		T(hidden_first_extended_capability_leaves_a_null_one),
		T(all_extended_capabilities_hidden),
		T(hiding_spares_an_overlapping_capability),
		T(extended_chain_loop_ends),
		T(conventional_device_has_an_empty_extended_space),
		T(bar_of_a_virtual_function_has_no_register),
		T(vanished_device_reads_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
