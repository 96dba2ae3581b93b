/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a device comes back from its resets, which one is tried next, and what is made of it. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "vfio/device.h"
#include "vfio/vfio_pci.h"
#include "vfio_guest.h"

static void affect(unsigned group)
{
	fake.affected[0] = (struct vfio_pci_dependent_device){ .group_id = group, .bus = 1 };
	fake.affected_count = 1;
}

/* A guest has used it. */
static struct vfio_device *use(struct vfio_guest *f)
{
	vfio_guest_start(f);
	return f->iommu->devices;
}

static void device_that_dies_of_a_reset_is_brought_back_by_the_bus(void **state)
{
	struct vfio_device *dev = use(*state);

	fake.dies = true;
	affect(FAKE_GROUP);
	assert_int_equal(vfio_device_reset(dev, false), 0);
	assert_string_equal(fake.log, "reset(command=0x407) hot-reset");
	assert_true(dev->clean);
	assert_false(dev->failed);
}

static void device_that_stays_dead_is_told(void **state)
{
	struct vfio_device *dev = use(*state);

	fake.dies = true;
	assert_true(vfio_device_reset(dev, false) < 0);
	assert_true(dev->failed);
	assert_int_equal(err_kind(), ERR_RESET);
	assert_string_equal(err_text(), FAKE_BDF ": the device does not answer: its config space "
						 "reads as all ones");
}

static void gpu_whose_registers_died_does_not_answer(void **state)
{
	struct vfio_device *dev = use(*state);
	const uint32_t dead = UINT32_MAX;

	assert_int_equal(vfio_device_answers(dev), 0);
	fake_fill(0, 0, &dead, sizeof(dead));
	assert_true(vfio_device_answers(dev) < 0);
	assert_non_null(strstr(err_text(), "its registers read as all ones"));
	/* It was looked at with its memory on, which is off again. */
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	/* The same register of another vendor's device means nothing. */
	fake_set_config(PCI_VENDOR_ID, 2, 0x1002);
	assert_int_equal(vfio_device_answers(dev), 0);
}

static void device_that_stays_asleep_does_not_answer(void **state)
{
	struct vfio_device *dev = use(*state);

	fake_set_config(FAKE_PM + PCI_PM_CTRL, 2, 3);
	assert_true(vfio_device_answers(dev) < 0);
	assert_non_null(strstr(err_text(), "does not leave its sleep"));
}

static void kernel_says_which_reset_comes_first(void **state)
{
	struct vfio_device *dev;

	fake.reset_method = "pm bus\n";
	dev = use(*state);
	assert_string_equal(dev->method, "pm");
	assert_false(vfio_device_reset_is_thorough(dev));
	affect(FAKE_GROUP);
	assert_int_equal(vfio_device_reset(dev, false), 0);
	assert_string_equal(fake.log, "hot-reset");
	/* A device-specific one that no capability tells of. */
	strcpy(dev->method, "device_specific");
	dev->has_flr = false;
	dev->pm_reset = true;
	assert_true(vfio_device_reset_is_thorough(dev));
}

/* --- what is said of a reset that needed a second try --- */

static char warnings[512];

static void keep_warning(void *opaque, enum log_level level, const char *text)
{
	const size_t len = strlen(warnings);

	(void)opaque;
	if (level == LOG_WARN)
		snprintf(warnings + len, sizeof(warnings) - len, "%s\n", text);
}

/* Resets the device, and returns what it warns of. */
static const char *reset_with_warnings(struct vfio_device *dev)
{
	warnings[0] = '\0';
	log_set_sink(keep_warning, NULL);
	assert_int_equal(vfio_device_reset(dev, false), 0);
	log_set_sink(NULL, NULL);
	return warnings;
}

static void bus_that_fails_before_the_power_transition_is_told(void **state)
{
	struct vfio_device *dev;

	fake.reset_method = "pm bus\n";
	dev = use(*state);
	affect(FAKE_GROUP);
	fake.hot_reset_error = -ENOTTY;
	assert_string_equal(reset_with_warnings(dev),
			    FAKE_BDF ": its bus did not come back from a reset; a reset of the "
				     "function (pm) worked in its place\n");
	assert_true(dev->clean);
	assert_false(dev->failed);
}

static void function_that_fails_before_the_bus_is_told(void **state)
{
	struct vfio_device *dev;

	fake.reset_method = "flr bus\n";
	dev = use(*state);
	affect(FAKE_GROUP);
	fake.reset_error = -EIO;
	assert_string_equal(reset_with_warnings(dev),
			    FAKE_BDF ": reset the function (flr): Input/output error; a reset of "
				     "the bus worked in its place\n");
}

static void reset_that_works_at_once_is_not_told(void **state)
{
	assert_string_equal(reset_with_warnings(use(*state)), "");
}

/* A bus that others are on has no reset for us: there is nothing that failed. */
static void bus_of_others_is_not_told(void **state)
{
	struct vfio_device *dev;

	fake.reset_method = "pm bus\n";
	dev = use(*state);
	affect(99);
	assert_string_equal(reset_with_warnings(dev), "");
	assert_true(dev->clean);
}

static void no_way_to_reset_is_no_failure(void **state)
{
	struct vfio_device *dev = use(*state);

	dev->can_reset = false;
	affect(99); /* somebody else's */
	assert_true(vfio_device_reset(dev, false) < 0);
	assert_false(dev->failed);
	assert_string_equal(fake.log, "");
}

/* --- before and after a guest --- */

static bool dirty;

static int create(struct vfio_guest *f)
{
	const struct vfio_pci_config config = { .bdf = FAKE_BDF, .dirty = &dirty };

	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 2 * MiB), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci), 0);
	pci_bus_add(&f->bus, f->pci, PCI_DEVFN(0, 0));
	return vfio_iommu_check_clean(f->iommu);
}

static void device_that_was_not_reset_after_its_guest_is_reset_now(void **state)
{
	struct vfio_guest *f = *state;

	dirty = true;
	assert_int_equal(create(f), 0);
	/* The kernel's reset at open is not enough. */
	assert_non_null(strstr(fake.log, "reset(command=0x0)"));
	vfio_guest_destroy(f);
	assert_false(dirty);
}

static void guest_does_not_get_what_another_left(void **state)
{
	struct vfio_guest *f = *state;

	dirty = true;
	fake.reset_error = -EIO;
	assert_true(create(f) < 0);
	assert_int_equal(err_kind(), ERR_RESET);
	assert_string_equal(err_text(), FAKE_BDF ": reset the function: Input/output error; what "
						 "its last guest left in it is still there");
	assert_string_equal(err_hint_text(), "if that does not matter: tinyvmm release " FAKE_BDF
					     " forgets it, and so does a reboot of the host");
	vfio_guest_destroy(f);
	assert_true(dirty);
}

static void what_a_driver_of_the_host_left_is_only_a_warning(void **state)
{
	struct vfio_guest *f = *state;

	dirty = false;
	fake.device_flags = VFIO_DEVICE_FLAGS_PCI; /* nothing resets it */
	assert_int_equal(create(f), 0);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	vfio_guest_destroy(f);
	assert_false(dirty);
}

static void device_that_died_is_refused(void **state)
{
	struct vfio_guest *f = *state;

	dirty = true;
	fake.dies = true;
	assert_true(create(f) < 0);
	assert_int_equal(err_kind(), ERR_RESET);
	assert_non_null(strstr(err_text(), "does not answer"));
	assert_non_null(strstr(err_hint_text(), "power cycle"));
}

static void device_that_the_bus_does_not_bring_back_is_refused(void **state)
{
	struct vfio_guest *f = *state;

	dirty = true;
	fake.dies = fake.stays_dead = true;
	affect(FAKE_GROUP);
	assert_true(create(f) < 0);
	assert_non_null(strstr(fake.log, "hot-reset"));
	assert_int_equal(err_kind(), ERR_RESET);
	assert_non_null(strstr(err_text(), "does not answer"));
}

static void reset_that_fails_after_the_guest_leaves_a_mark(void **state)
{
	struct vfio_guest *f = *state;

	dirty = false;
	assert_int_equal(create(f), 0);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	fake.dies = true;
	vfio_guest_destroy(f);
	assert_true(dirty);
}

static void device_that_the_host_takes_away_is_marked_in_place_of_a_reset(void **state)
{
	struct vfio_guest *f = *state;
	struct vfio_device *dev;

	dirty = false;
	assert_int_equal(create(f), 0);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	dev = f->iommu->devices;
	dev->on_event(dev, VFIO_EVENT_REQUEST);
	fake.reset_error = -EAGAIN; /* the kernel's lock is taken */
	fake_clear_log();
	vfio_guest_destroy(f);
	assert_null(strstr(fake.log, "reset"));
	assert_true(dirty);
}

static void device_that_no_guest_touched_is_taken_away_clean(void **state)
{
	struct vfio_guest *f = *state;
	struct vfio_device *dev;

	dirty = false;
	assert_int_equal(create(f), 0);
	dev = f->iommu->devices;
	dev->on_event(dev, VFIO_EVENT_REQUEST);
	vfio_guest_destroy(f);
	assert_false(dirty);
}

static void device_that_dies_with_the_machines_reset_ends_the_run(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	fake.dies = true;
	f->pci->device.ops->reset(&f->pci->device);
	assert_int_equal(atomic_load(&f->m.vm.request), VM_REQUEST_DEVICE_DEAD);
}

static void assert_event_asks_for(struct vfio_guest *f, enum vfio_event event,
				  enum vm_request request)
{
	struct vfio_device *dev = f->iommu->devices;

	atomic_store(&f->m.vm.request, VM_REQUEST_NONE);
	dev->on_event(dev, event);
	assert_int_equal(atomic_load(&f->m.vm.request), request);
	/* The host repeats itself; the run does not. */
	atomic_store(&f->m.vm.request, VM_REQUEST_NONE);
	dev->on_event(dev, event);
	assert_int_equal(atomic_load(&f->m.vm.request), VM_REQUEST_NONE);
}

static void events_of_the_host_end_the_run_each_in_its_own_way(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	assert_event_asks_for(f, VFIO_EVENT_ERROR, VM_REQUEST_DEVICE_ERROR);
	assert_event_asks_for(f, VFIO_EVENT_REQUEST, VM_REQUEST_DEVICE_WANTED);
}

static void reset_that_the_kernel_refuses_does_not_end_the_run(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	fake.reset_error = -EIO;
	f->pci->device.ops->reset(&f->pci->device);
	assert_int_equal(atomic_load(&f->m.vm.request), VM_REQUEST_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(device_that_dies_of_a_reset_is_brought_back_by_the_bus),
		TEST(device_that_stays_dead_is_told),
		TEST(gpu_whose_registers_died_does_not_answer),
		TEST(device_that_stays_asleep_does_not_answer),
		TEST(kernel_says_which_reset_comes_first),
		TEST(bus_that_fails_before_the_power_transition_is_told),
		TEST(function_that_fails_before_the_bus_is_told),
		TEST(reset_that_works_at_once_is_not_told),
		TEST(bus_of_others_is_not_told),
		TEST(no_way_to_reset_is_no_failure),
		TEST(device_that_was_not_reset_after_its_guest_is_reset_now),
		TEST(guest_does_not_get_what_another_left),
		TEST(what_a_driver_of_the_host_left_is_only_a_warning),
		TEST(device_that_died_is_refused),
		TEST(device_that_the_bus_does_not_bring_back_is_refused),
		TEST(reset_that_fails_after_the_guest_leaves_a_mark),
		TEST(device_that_the_host_takes_away_is_marked_in_place_of_a_reset),
		TEST(device_that_no_guest_touched_is_taken_away_clean),
		TEST(device_that_dies_with_the_machines_reset_ends_the_run),
		TEST(events_of_the_host_end_the_run_each_in_its_own_way),
		TEST(reset_that_the_kernel_refuses_does_not_end_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
