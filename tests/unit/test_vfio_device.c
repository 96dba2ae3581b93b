/* SPDX-License-Identifier: Apache-2.0 */
/* Opening groups and devices, the ladder of resets, guest RAM in the IOMMU, the host's events. */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "core/loop.h"
#include "core/sys.h"
#include "fake_vfio.h"
#include "vfio/device.h"
#include "vfio/iommu.h"

struct fixture {
	struct fake_machine m;
	struct vfio_iommu *iommu;
	struct vfio_device dev, other;
	struct rlimit memlock; /* what getrlimit tells */
	int setrlimit_error;
};

static struct fixture *current;

/* With 64-bit file offsets, getrlimit and setrlimit go by these names. */
int __wrap_getrlimit64(int resource, struct rlimit *lim);
int __wrap_setrlimit64(int resource, const struct rlimit *lim);
int __wrap_sys_read_text(const char *path, char *buf, size_t size);

int __wrap_getrlimit64(int resource, struct rlimit *lim)
{
	*lim = current->memlock;
	return 0;
}

int __wrap_setrlimit64(int resource, const struct rlimit *lim)
{
	if (current->setrlimit_error) {
		errno = -current->setrlimit_error;
		return -1;
	}
	current->memlock = *lim;
	return 0;
}

/* A process without capabilities and with 1 MiB locked. */
int __wrap_sys_read_text(const char *path, char *buf, size_t size)
{
	strcpy(buf, "Name:\ttest\nVmLck:\t    1024 kB\nCapEff:\t0000000000000000\n");
	return 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_vfio_init(&f->m);
	f->dev.fd = f->other.fd = -1;
	f->memlock = (struct rlimit){ 8 * MiB, 8 * MiB };
	current = f;
	*state = f;
	return vfio_type1_create(&f->m.vm, &f->iommu);
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

static const struct vfio_target target = { .bdf = FAKE_BDF };
static const struct vfio_target other_target = { .bdf = "0000:01:00.1" };

static void open_device(struct fixture *f)
{
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), 0);
	fake_clear_log();
}

/* --- opening --- */

static void group_is_opened_once_and_closed_last(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), 0);
	assert_string_equal(fake.log, "join set-iommu kvm+ open");
	fake_clear_log();
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &other_target), 0);
	assert_string_equal(fake.log, "open");
	fake_clear_log();
	vfio_device_close(&f->dev);
	assert_string_equal(fake.log, "");
	vfio_device_close(&f->other);
	assert_string_equal(fake.log, "kvm- leave");
}

static void group_in_use_is_told_with_the_device(void **state)
{
	struct fixture *f = *state;

	fake.open_group_error = -EBUSY;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), -EBUSY);
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_string_equal(err_text(), FAKE_BDF ": IOMMU group 7 is in use by another program");
}

static void mediated_device_has_its_group_elsewhere(void **state)
{
	static const struct vfio_target mdev = { .bdf = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" };
	struct fixture *f = *state;

	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &mdev), 0);
	assert_string_equal(f->dev.bdf, mdev.bdf);
	fake.open_group_error = -EBUSY;
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &target), -EBUSY);
	assert_non_null(strstr(err_text(), "IOMMU group 7"));
	vfio_device_close(&f->dev);
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &mdev), -EBUSY);
	assert_non_null(strstr(err_text(), "IOMMU group 8"));
}

static void vf_token_goes_with_the_name(void **state)
{
	static const struct vfio_target vf = {
		.bdf = FAKE_BDF,
		.vf_token = "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3",
	};
	struct fixture *f = *state;

	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &vf), 0);
	assert_non_null(strstr(fake.log,
			       "open(" FAKE_BDF " vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3)"));
	assert_string_equal(f->dev.bdf, FAKE_BDF);
}

static void missing_and_wrong_vf_tokens_are_told_apart(void **state)
{
	static const struct vfio_target vf = { .bdf = FAKE_BDF, .vf_token = "x" };
	struct fixture *f = *state;

	fake.open_device_error = -EACCES;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), -EACCES);
	assert_non_null(strstr(err_text(), "that takes a VF token"));
	assert_non_null(strstr(err_hint_text(), "--gpu " FAKE_BDF ",vf-token=UUID"));
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &vf), -EACCES);
	assert_non_null(strstr(err_text(), "not the one of its physical function"));
	fake.open_device_error = -EINVAL;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &vf), -EINVAL);
	assert_non_null(strstr(err_text(), "takes no VF token"));
}

static void group_not_viable(void **state)
{
	struct fixture *f = *state;

	fake.group_flags = 0;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), -EBUSY);
	assert_non_null(strstr(err_text(), "the host still uses a device of it"));
	assert_non_null(strstr(err_hint_text(), "/sys/kernel/iommu_groups/7/devices"));
}

static void missing_interrupt_remapping_is_explained(void **state)
{
	struct fixture *f = *state;

	fake.set_iommu_error = -EPERM;
	assert_int_equal(vfio_device_open(&f->dev, f->iommu, &target), -EPERM);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_non_null(strstr(err_hint_text(),
			       "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"));
	/* The group was let go. */
	assert_string_equal(fake.log, "join set-iommu leave");
}

static void regions_and_their_sparse_areas(void **state)
{
	struct fixture *f = *state;

	fake.regions[2].area_count = 3;
	fake.regions[2].areas[0] = (struct vfio_region_sparse_mmap_area){ 0, 0x4000 };
	fake.regions[2].areas[1] = (struct vfio_region_sparse_mmap_area){ 0x8000, 0x1000 };
	/* Beyond the region: not believed. */
	fake.regions[2].areas[2] = (struct vfio_region_sparse_mmap_area){ 0xff000, 0x2000 };
	open_device(f);
	assert_int_equal(f->dev.regions[0].size, 64 * KiB);
	assert_true(f->dev.regions[0].mmap);
	assert_false(f->dev.regions[0].sparse);
	assert_true(f->dev.regions[2].sparse);
	assert_int_equal(f->dev.regions[2].area_count, 2);
	assert_int_equal(f->dev.regions[2].areas[1].off, 0x8000);
}

/* --- resets --- */

static void function_reset_comes_first(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.has_flr = f->dev.pm_reset = true;
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_string_equal(fake.log, "reset(command=0x0)");
	assert_true(f->dev.clean);
}

static void affect(unsigned i, unsigned devfn, unsigned group)
{
	fake.affected[i] =
		(struct vfio_pci_dependent_device){ .group_id = group, .bus = 1, .devfn = devfn };
	fake.affected_count = i + 1;
}

static void bus_is_reset_before_a_mere_power_transition(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &other_target), 0);
	fake_clear_log();
	f->dev.pm_reset = true;
	affect(0, 0, FAKE_GROUP);
	affect(1, 1, FAKE_GROUP);
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_string_equal(fake.log, "hot-reset");
	/* Its neighbour was reset along with it, and need not be again. */
	assert_true(f->other.clean);
	assert_int_equal(vfio_device_reset(&f->other, false), 0);
	assert_string_equal(fake.log, "hot-reset");
}

/* Two on a bus, with registers of their own, and only the bus can be reset. */
static void open_neighbours(struct fixture *f)
{
	int fd = memfd_create("other", MFD_CLOEXEC);

	open_device(f);
	assert_int_equal(vfio_device_open(&f->other, f->iommu, &other_target), 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)FAKE_OFFSET(VFIO_PCI_NUM_REGIONS)), 0);
	assert_true(dup2(fd, f->other.fd) >= 0);
	close(fd);
	f->dev.can_reset = f->other.can_reset = false;
	affect(0, 0, FAKE_GROUP);
	affect(1, 1, FAKE_GROUP);
}

static void neighbour_that_does_not_come_back_with_the_bus_is_not_clean(void **state)
{
	struct fixture *f = *state;

	open_neighbours(f);
	f->other.clean = true;
	vfio_region_write(&f->other, VFIO_PCI_CONFIG_REGION_INDEX, PCI_CLASS_REVISION, 4,
			  UINT32_MAX);
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_true(f->dev.clean);
	assert_false(f->other.clean);
	assert_true(f->other.failed);
	assert_non_null(strstr(f->other.why, "0000:01:00.1: the device does not answer"));
	assert_int_equal(vfio_iommu_check_clean(f->iommu), -EIO);
	assert_int_equal(err_kind(), ERR_RESET);
}

static void neighbour_that_the_bus_brought_back_has_not_failed(void **state)
{
	struct fixture *f = *state;

	open_neighbours(f);
	f->other.failed = true; /* its own reset did not work */
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_true(f->other.clean);
	assert_false(f->other.failed);
	assert_int_equal(vfio_iommu_check_clean(f->iommu), 0);
}

static void bus_that_does_not_bring_the_device_back_cleans_no_neighbour(void **state)
{
	struct fixture *f = *state;

	open_neighbours(f);
	fake.stays_dead = true;
	assert_int_equal(vfio_device_reset(&f->dev, false), -EIO);
	assert_true(f->dev.failed);
	assert_false(f->dev.clean);
	assert_false(f->other.clean);
}

static void bus_with_a_stranger_is_not_reset(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.can_reset = false;
	affect(0, 0, FAKE_GROUP);
	affect(1, 0x20, 9);
	assert_int_equal(vfio_device_reset(&f->dev, false), -ENOTSUP);
	assert_string_equal(fake.log, "");
	assert_non_null(strstr(err_text(), "0000:01:04.0 (IOMMU group 9)"));
	assert_false(f->dev.clean);
}

static void power_transition_is_the_last_resort(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.pm_reset = true;
	affect(0, 0, FAKE_GROUP);
	affect(1, 0x20, 9);
	assert_int_equal(vfio_device_reset(&f->dev, false), 0);
	assert_string_equal(fake.log, "reset(command=0x0)");
}

static void reset_alone_spares_the_bus(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.has_flr = true;
	fake.reset_error = -EINVAL;
	affect(0, 0, FAKE_GROUP);
	assert_true(vfio_device_reset(&f->dev, true) < 0);
	assert_string_equal(fake.log, "reset(command=0x0)");
}

static void reset_waits_for_whoever_has_the_device_locked(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.has_flr = true;
	fake.reset_error = -EAGAIN;
	fake.reset_error_times = 2;
	assert_int_equal(vfio_device_reset(&f->dev, true), 0);
	assert_true(f->dev.clean);
	assert_string_equal(fake.log, "reset(command=0x0) reset(command=0x0) reset(command=0x0)");
}

static void device_without_any_reset(void **state)
{
	struct fixture *f = *state;

	open_device(f);
	f->dev.can_reset = false;
	assert_int_equal(vfio_device_reset(&f->dev, false), -ENOTSUP);
	assert_int_equal(err_kind(), ERR_DEVICE);
}

/* --- guest RAM --- */

static void add_ram(struct fixture *f)
{
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 2 * MiB), 0);
	assert_int_equal(guest_mem_add(&f->m.mem, 4 * GiB, 4 * MiB), 0);
}

static void ram_beyond_the_iommu_is_refused_before_pinning(void **state)
{
	struct fixture *f = *state;

	fake.ranges[0] = (struct vfio_iova_range){ 0, 0xfedfffff };
	fake.ranges[1] = (struct vfio_iova_range){ 0xfef00000, 0xffffffff };
	fake.range_count = 2;
	open_device(f);
	add_ram(f);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), -ERANGE);
	assert_string_equal(fake.log, "");
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_text(), "0x100000000-0x1003fffff"));
	assert_non_null(strstr(err_text(), "(0x0-0xfedfffff, 0xfef00000-0xffffffff)"));
}

static void ram_in_a_reserved_range_is_refused(void **state)
{
	struct fixture *f = *state;

	fake.ranges[0] = (struct vfio_iova_range){ 0, 0xfffff };
	fake.ranges[1] = (struct vfio_iova_range){ 0x180000, 0xffffffffff };
	fake.range_count = 2;
	open_device(f);
	add_ram(f);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), -ERANGE);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_non_null(strstr(err_hint_text(), "reserved_regions"));
}

static void too_many_mappings_are_refused(void **state)
{
	struct fixture *f = *state;

	fake.maps_left = 1;
	open_device(f);
	add_ram(f);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), -ENOSPC);
	assert_int_equal(err_kind(), ERR_LIMIT);
}

static void locked_memory_limit_is_raised(void **state)
{
	struct fixture *f = *state;

	f->memlock = (struct rlimit){ 64 * KiB, 64 * KiB };
	open_device(f);
	add_ram(f);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	/* The guest's memory and what was locked before. */
	assert_int_equal(f->memlock.rlim_cur, 7 * MiB);
}

static void locked_memory_limit_names_the_number(void **state)
{
	struct fixture *f = *state;

	f->memlock = (struct rlimit){ 64 * KiB, 64 * KiB };
	open_device(f);
	add_ram(f);
	f->setrlimit_error = -EPERM;
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), -ENOMEM);
	assert_string_equal(fake.log, "");
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_hint_text(), "ulimit -l 7168"));
}

/* --- events --- */

static int events_seen;

static void count_event(struct vfio_device *dev, enum vfio_event event)
{
	events_seen += event == VFIO_EVENT_REQUEST ? 10 : 1;
	loop_stop(dev->loop);
}

static void events_of_the_host_are_delivered(void **state)
{
	struct fixture *f = *state;
	struct loop loop;

	assert_int_equal(loop_init(&loop), 0);
	open_device(f);
	assert_int_equal(vfio_device_watch(&f->dev, &loop, count_event), 0);
	assert_string_equal(fake.log, "err[0+1]=fd req[0+1]=fd");
	sys_eventfd_signal(f->dev.watches[1].source.fd);
	loop_run(&loop);
	assert_int_equal(events_seen, 10);
	sys_eventfd_signal(f->dev.watches[0].source.fd);
	loop_run(&loop);
	assert_int_equal(events_seen, 11);
	vfio_device_close(&f->dev);
	loop_fini(&loop);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(group_is_opened_once_and_closed_last),
		T(group_in_use_is_told_with_the_device),
		T(mediated_device_has_its_group_elsewhere),
		T(vf_token_goes_with_the_name),
		T(missing_and_wrong_vf_tokens_are_told_apart),
		T(group_not_viable),
		T(missing_interrupt_remapping_is_explained),
		T(regions_and_their_sparse_areas),
		T(function_reset_comes_first),
		T(bus_is_reset_before_a_mere_power_transition),
		T(neighbour_that_does_not_come_back_with_the_bus_is_not_clean),
		T(neighbour_that_the_bus_brought_back_has_not_failed),
		T(bus_that_does_not_bring_the_device_back_cleans_no_neighbour),
		T(bus_with_a_stranger_is_not_reset),
		T(power_transition_is_the_last_resort),
		T(reset_alone_spares_the_bus),
		T(reset_waits_for_whoever_has_the_device_locked),
		T(device_without_any_reset),
		T(ram_beyond_the_iommu_is_refused_before_pinning),
		T(ram_in_a_reserved_range_is_refused),
		T(too_many_mappings_are_refused),
		T(locked_memory_limit_is_raised),
		T(locked_memory_limit_names_the_number),
		T(events_of_the_host_are_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
