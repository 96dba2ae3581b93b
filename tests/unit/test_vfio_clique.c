/* SPDX-License-Identifier: Apache-2.0 */
/* The capability by which NVIDIA's driver learns of a clique, in the guest's view. */
#include <errno.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "fake_config.h"
#include "vfio/clique.h"

static int add(struct fake_config *f, unsigned id)
{
	fake_config_init(f);
	err_clear();
	return vfio_clique_add(&f->cfg, id);
}

static void add_cap(unsigned link, unsigned cap, unsigned id, unsigned third)
{
	fake_set_config(PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	fake_set_config(link, 1, cap);
	fake_set_config(cap, 4, id | third << 16);
}

/* The chain that these cards have had since Turing; before, it ended with the third. */
static void turing(void)
{
	add_cap(PCI_CAPABILITY_LIST, 0x60, PCI_CAP_ID_PM, 3);
	add_cap(0x61, 0x68, PCI_CAP_ID_MSI, PCI_MSI_FLAGS_64BIT);
	add_cap(0x69, 0x78, PCI_CAP_ID_EXP, 2);
	add_cap(0x79, 0xb4, PCI_CAP_ID_VNDR, 0x14);
	add_cap(0xb5, 0xc8, PCI_CAP_ID_MSIX, 5);
}

static void capability_says_clique_at_the_end_of_the_chain(void **state)
{
	struct fake_config *f = *state;

	turing();
	fake_set_config(0xb5, 1, 0);
	assert_int_equal(add(f, 5), 0);
	assert_int_equal(fake_config_read(f, 0xb5, 1), 0xc8);
	/* ID 9, the end, 8 bytes, "P2P", clique 5 in bits 6:3. */
	assert_int_equal(fake_config_read(f, 0xc8, 4), 0x50080009);
	assert_int_equal(fake_config_read(f, 0xcc, 4), 0x00285032);
}

static void place_moves_behind_msix_since_turing(void **state)
{
	struct fake_config *f = *state;

	turing();
	assert_int_equal(add(f, 15), 0);
	assert_int_equal(fake_config_read(f, 0xc8, 2), PCI_CAP_ID_MSIX | 0xd4 << 8);
	assert_int_equal(fake_config_read(f, 0xd4, 4), 0x50080009);
	assert_int_equal(fake_config_read(f, 0xd8, 4), 0x00785032);
}

static void place_does_not_reach_into_a_capability(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0xb4, PCI_CAP_ID_VNDR, 0x15); /* one byte more */
	assert_int_equal(add(f, 0), 0);
	assert_int_equal(fake_config_read(f, 0xb5, 1), 0xd4);
	assert_int_equal(fake_config_read(f, 0xd4, 1), PCI_CAP_ID_VNDR);
}

static void place_is_not_where_a_hidden_capability_is(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0xcc, PCI_CAP_ID_VPD, 0);
	assert_int_equal(add(f, 0), 0);
	assert_int_equal(fake_config_read(f, 0xcd, 1), 0xd4);
}

/* Each reaches just as far as the first place, and not into the second. */
static void place_does_not_reach_into_any_standard_capability(void **state)
{
	static const struct {
		unsigned cap, id, third;
	} caps[] = {
		{ 0xc4, PCI_CAP_ID_VPD, 0 },   { 0xc0, PCI_CAP_ID_AGP, 0x30 },
		{ 0xb4, PCI_CAP_ID_PCIX, 0 },  { 0xc4, PCI_CAP_ID_SHPC, 0 },
		{ 0xc4, PCI_CAP_ID_SSVID, 0 }, { 0xc0, PCI_CAP_ID_AGP3, 0x30 },
		{ 0xbc, PCI_CAP_ID_SATA, 0 },  { 0xc4, PCI_CAP_ID_AF, 6 },
		{ 0xbc, PCI_CAP_ID_EA, 1 }, /* with one entry, of 1 + 2 words */
	};
	struct fake_config *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
		add_cap(PCI_CAPABILITY_LIST, caps[i].cap, caps[i].id, caps[i].third);
		if (caps[i].id == PCI_CAP_ID_EA)
			fake_set_config(caps[i].cap + PCI_EA_FIRST_ENT, 4, 2);
		assert_int_equal(add(f, 0), 0);
		if (fake_config_read(f, 0xd4, 1) != PCI_CAP_ID_VNDR)
			fail_msg("capability %02xh at %02xh", caps[i].id, caps[i].cap);
		pci_dev_fini(&f->pci);
		fake_set_config(caps[i].cap, 4, 0);
	}
}

static void endless_enhanced_allocation_leaves_no_room(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0x40, PCI_CAP_ID_EA, 0xffff);
	for (unsigned off = 0x44; off < 0x100; off += 4)
		fake_set_config(off, 4, 0xffffffff);
	assert_int_equal(add(f, 0), -ENOSPC);
}

static void no_room_is_an_error(void **state)
{
	struct fake_config *f = *state;

	add_cap(PCI_CAPABILITY_LIST, 0xc8, PCI_CAP_ID_VPD, 0);
	add_cap(0xc9, 0xd8, PCI_CAP_ID_VNDR, 8);
	assert_int_equal(add(f, 0), -ENOSPC);
	assert_int_equal(fake_config_read(f, 0xd9, 1), 0);
}

static void device_without_capabilities_gets_a_list(void **state)
{
	struct fake_config *f = *state;

	assert_int_equal(add(f, 0), 0);
	assert_true(fake_config_read(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	assert_int_equal(fake_config_read(f, PCI_CAPABILITY_LIST, 1), 0xc8);
}

static void writes_reach_neither_capability_nor_device(void **state)
{
	struct fake_config *f = *state;

	assert_int_equal(add(f, 1), 0);
	fake_config_write(f, 0xc8, 4, 0xffffffff);
	fake_config_write(f, 0xcc, 4, 0xffffffff);
	assert_int_equal(fake_config_read(f, 0xc8, 4), 0x50080009);
	assert_int_equal(fake_config(0xc8, 4), 0);
	assert_int_equal(fake_config(0xcc, 4), 0);
}

static void other_devices_are_refused(void **state)
{
	struct fake_config *f = *state;

	fake_set_config(PCI_VENDOR_ID, 2, 0x1002);
	assert_int_equal(add(f, 0), -EINVAL);
	pci_dev_fini(&f->pci);
	fake_set_config(PCI_VENDOR_ID, 2, 0x10de);
	fake_set_config(PCI_CLASS_REVISION, 4, 0x04030000); /* its audio function */
	assert_int_equal(add(f, 0), -EINVAL);
	assert_string_equal(err_text(), "clique is for GPUs of NVIDIA");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_config_setup, fake_config_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(capability_says_clique_at_the_end_of_the_chain),
		T(place_moves_behind_msix_since_turing),
		T(place_does_not_reach_into_a_capability),
		T(place_is_not_where_a_hidden_capability_is),
		T(place_does_not_reach_into_any_standard_capability),
		T(endless_enhanced_allocation_leaves_no_room),
		T(no_room_is_an_error),
		T(device_without_capabilities_gets_a_list),
		T(writes_reach_neither_capability_nor_device),
		T(other_devices_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
