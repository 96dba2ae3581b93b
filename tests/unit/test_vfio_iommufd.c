/* SPDX-License-Identifier: Apache-2.0 */
/* The iommufd backend: opening devices by their own files, resets of the bus, mappings. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "fake_vfio.h"
#include "vfio/device.h"
#include "vfio/iommu.h"
#include "vfio/iommufd_uapi.h"

struct fixture {
	struct fake_machine m;
	struct vfio_iommu *iommu;
	struct vfio_device dev, other;
};

static const struct vfio_target target = { .bdf = FAKE_BDF };
static const struct vfio_target other_target = { .bdf = "0000:01:00.1" };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_vfio_init(&f->m);
	f->dev.fd = f->other.fd = -1;
	*state = f;
	return vfio_iommufd_create(&f->m.vm, &f->iommu);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vfio_device_close(&f->other);
	vfio_device_close(&f->dev);
	vfio_iommu_destroy(f->iommu);
	fake_vfio_fini(&f->m);
	free(f);
	return 0;
}

static void open_device(struct fixture *f)
{
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), 0);
	fake_clear_log();
}

static void kvm_knows_a_device_before_it_is_bound_and_lets_go_of_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), 0);
	assert_string_equal(fake.log, "kvm+ bind attach");
	fake_clear_log();
	/* Each has a file of its own, of one group or not. */
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &other_target), 0);
	assert_string_equal(fake.log, "kvm+ bind attach");
	fake_clear_log();
	vfio_device_close(&f->dev);
	assert_string_equal(fake.log, "kvm-");
	vfio_device_close(&f->other);
	assert_string_equal(fake.log, "kvm- kvm-");
}

static void failed_open(struct fixture *f, int error, enum err_kind kind, const char *hint)
{
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), error);
	assert_int_equal(err_kind(), kind);
	assert_ptr_equal(strstr(err_text(), FAKE_BDF ": "), err_text());
	assert_non_null(strstr(err_hint_text(), hint));
}

static void file_without_permission(void **state)
{
	struct fixture *f = *state;

	fake.open_cdev_error = -EACCES;
	failed_open(f, -EACCES, ERR_HOST, "chown $USER /dev/vfio/devices/vfio0");
	assert_string_equal(fake.log, "");
}

static void missing_interrupt_remapping_is_explained(void **state)
{
	struct fixture *f = *state;

	fake.bind_error = -EPERM;
	failed_open(f, -EPERM, ERR_HOST,
		    "echo 1 > /sys/module/iommufd/parameters/allow_unsafe_interrupts");
	assert_string_equal(fake.log, "kvm+ bind kvm-");
}

static void group_of_the_host_is_explained(void **state)
{
	struct fixture *f = *state;

	fake.bind_error = -EBUSY;
	failed_open(f, -EBUSY, ERR_DEVICE, "iommu_group/devices");
}

static void device_of_another_program_is_explained(void **state)
{
	struct fixture *f = *state;

	fake.bind_error = -EINVAL;
	failed_open(f, -EINVAL, ERR_DEVICE, "fuser -v /dev/vfio/devices/");
}

static void device_that_cannot_be_attached_is_let_go(void **state)
{
	struct fixture *f = *state;

	fake.attach_error = -EINVAL;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), -EINVAL);
	assert_string_equal(fake.log, "kvm+ bind attach kvm-");
	assert_null(f->iommu->devices);
}

/* --- resets of the bus --- */

static void affect(unsigned i, unsigned devfn, uint32_t devid)
{
	fake.affected[i] =
		(struct vfio_pci_dependent_device){ .group_id = devid, .bus = 1, .devfn = devfn };
	fake.affected_count = i + 1;
}

static void bus_of_our_devices_is_reset_without_groups(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &other_target), 0);
	fake_clear_log();
	f->dev.can_reset = false;
	affect(0, 0, 5);
	affect(1, 1, 6);
	/* Nobody has it, but it is in our group. */
	affect(2, 2, VFIO_PCI_DEVID_OWNED);
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_string_equal(fake.log, "hot-reset-cdev");
	assert_true(f->dev.clean && f->other.clean);
}

static void bus_with_a_stranger_is_not_reset(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.can_reset = false;
	affect(0, 0, 5);
	affect(1, 0x20, (uint32_t)VFIO_PCI_DEVID_NOT_OWNED);
	assert_int_equal(vfio_device_reset(&f->dev, false), -ENOTSUP);
	assert_string_equal(fake.log, "");
	assert_string_equal(err_text(), FAKE_BDF ": a reset of its bus would hit 0000:01:04.0, "
						 "which this guest does not have");
	assert_false(f->dev.clean);
}

/* --- mappings --- */

static void allowed_addresses_are_told(void **state)
{
	struct fixture *f = *state;
	struct vfio_iommu_limits limits;

	fake.ranges[0] = (struct vfio_iova_range){ 0, 0xfedfffff };
	fake.ranges[1] = (struct vfio_iova_range){ 0xfef00000, 0x7fffffffff };
	fake.range_count = 2;
	open_device(f);
	assert_int_equal(f->iommu->ops->limits(f->iommu, &limits), 0);
	assert_int_equal(limits.page_sizes, 4096);
	assert_int_equal(limits.maps_left, UINT32_MAX);
	assert_int_equal(limits.range_count, 2);
	assert_int_equal(limits.ranges[0].end, 0xfedfffff);
	assert_int_equal(limits.ranges[1].start, 0xfef00000);
	assert_int_equal(limits.ranges[1].end, 0x7fffffffff);
}

static void more_ranges_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;
	struct vfio_iommu_limits limits;

	fake.range_count = 1;
	fake.more_ranges = VFIO_IOVA_RANGES_MAX;
	open_device(f);
	assert_int_equal(f->iommu->ops->limits(f->iommu, &limits), 0);
	assert_int_equal(limits.range_count, VFIO_IOVA_RANGES_MAX);
}

static void memory_is_mapped_where_it_is_told(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	assert_int_equal(f->iommu->ops->map(f->iommu, 4 * GiB, 2 * MiB, NULL), 0);
	f->iommu->ops->unmap(f->iommu, 4 * GiB, 2 * MiB);
	assert_string_equal(fake.log, "dma+0x100000000/0x200000 dma-");
}

static void memory_that_may_not_be_pinned_names_the_user_s_limit(void **state)
{
	struct fixture *f = *state;

	fake.map_error = -ENOMEM;
	open_device(f);
	assert_int_equal(f->iommu->ops->map(f->iommu, 0, 2 * MiB, NULL), -ENOMEM);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_hint_text(), "--iommu type1"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kvm_knows_a_device_before_it_is_bound_and_lets_go_of_it),
		T(file_without_permission),
		T(missing_interrupt_remapping_is_explained),
		T(group_of_the_host_is_explained),
		T(device_of_another_program_is_explained),
		T(device_that_cannot_be_attached_is_let_go),
		T(bus_of_our_devices_is_reset_without_groups),
		T(bus_with_a_stranger_is_not_reset),
		T(allowed_addresses_are_told),
		T(more_ranges_than_there_is_room_for),
		T(memory_is_mapped_where_it_is_told),
		T(memory_that_may_not_be_pinned_names_the_user_s_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
