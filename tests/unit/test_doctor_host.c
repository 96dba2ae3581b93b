/* SPDX-License-Identifier: Apache-2.0 */
/* What `tinyvmm doctor` finds of the host itself, whatever its devices. */
#include "cmocka_all.h"

#include <stdlib.h>

#include "core/err.h"
#include "doctor_visit.h"
#include "fake_hosts.h"
#include "vfio/host_sysfs.h"

static void helpers_are_found_where_a_run_looks(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	fake_sysfs_file(&visit.fs, "some/place/passt", "%s", "");
	fake_sysfs_file(&visit.fs, "usr/lib/qemu/virtiofsd", "%s", "");
	assert_int_equal(setenv("PATH", "/nowhere:/some/place", 1), 0);
	visit_run();
	assert_int_equal(visit.status, 0);
	assert_row("  pass  helpers               passt is installed\n", NULL);
	assert_row("  pass  helpers               virtiofsd is installed\n", NULL);
	assert_row("  info  helpers               qemu-storage-daemon is not installed", NULL);
}

static void what_a_command_needs_is_told_by_name(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit_run();
	assert_row("  pass  command               the agent is there\n", NULL);
	assert_row("  pass  command               the kernel can be read\n", NULL);
	visit.command_lacks = true;
	visit_run();
	assert_row("  pass  command               the agent is there\n", NULL);
	assert_row("  info  command               run -- COMMAND would fail: it is locked away",
		   "unlock it");
	/* A guest with a disk needs none of it. */
	assert_int_equal(visit.status, 0);
}

static void user_without_a_place_for_leases(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit_run();
	assert_no_row(" leases ");
	visit.config.privileged = false;
	fake_sysfs_file(&visit.fs, "run/user/0/bus", "%s", "");
	visit_run();
	assert_row("  pass  leases                this user's are in ", NULL);
	assert_int_equal(visit.status, 0);
	fake_sysfs_unlink(&visit.fs, "run/user/0/bus");
	assert_int_equal(rmdir(host_sysfs_path(visit.fs.root, "run/user/0").s), 0);
	assert_int_equal(rmdir(host_sysfs_path(visit.fs.root, "run/user").s), 0);
	assert_int_equal(rmdir(host_sysfs_path(visit.fs.root, "run").s), 0);
	visit_run();
	assert_row("  fail  leases                this user has no place for the leases of "
		   "devices: ",
		   NULL);
	assert_int_equal(visit.status, ERR_HOST);
}

static void host_without_anything(void **state)
{
	visit.kvm_error = "no KVM";
	visit.search.pairs = visit_no_pairs;
	visit_run();
	assert_int_equal(visit.status, ERR_HOST);
	assert_row("  fail  cpu                   it cannot run virtual machines, or that is "
		   "switched off",
		   "switch on VT-x (Intel) or SVM (AMD) in the firmware setup (BIOS)");
	assert_row("  fail  firmware              no UEFI firmware is installed", NULL);
	assert_row("\nNo GPU is here; tinyvmm list --all lists the other devices.\n", NULL);
}

static void device_that_is_bound_for_good(void **state)
{
	fake_host_desktop(&visit.fs);
	fake_sysfs_file(&visit.fs, "run/tinyvmm/bound/0000:02:00.0", "driver=nvme\noverride=\n");
	visit_run();
	assert_row("  info  journal               0000:02:00.0 is bound to VFIO by tinyvmm bind; "
		   "before that, nvme had it\n",
		   NULL);
	assert_no_row("no run has left a device behind");
	fake_sysfs_file(&visit.fs, "run/tinyvmm/bound/0000:02:00.0", "nonsense\n");
	visit_run();
	assert_row("  warn  journal               0000:02:00.0 is in the journal, which says "
		   "nothing "
		   "sensible\n",
		   NULL);
}

static void interrupts_that_are_not_remapped(void **state)
{
	fake_host_desktop(&visit.fs);
	fake_sysfs_file(&visit.fs, "proc/interrupts", "  0:  9  IO-APIC   2-edge      timer\n");
	visit_run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped; VFIO "
		   "refuses devices without",
		   "turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		   "trust the guest, allow_unsafe_interrupts of the module vfio_iommu_type1");
	fake_sysfs_file(&visit.fs, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			"Y\n");
	visit_run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 is on: a guest could forge those "
		   "of the host\n",
		   NULL);
}

static void interrupts_that_are_not_remapped_with_iommufd(void **state)
{
	fake_host_desktop(&visit.fs);
	fake_sysfs_file(&visit.fs, "proc/interrupts", "  0:  9  IO-APIC   2-edge      timer\n");
	fake_sysfs_file(&visit.fs, "dev/iommu", "%s", "");
	fake_sysfs_file(&visit.fs, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "N\n");
	visit_run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped; VFIO "
		   "refuses devices without",
		   "turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		   "trust the guest, allow_unsafe_interrupts of the module iommufd, or for "
		   "--iommu type1 that of vfio_iommu_type1");
	fake_sysfs_file(&visit.fs, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			"Y\n");
	visit_run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 is on: a guest could forge those "
		   "of the host",
		   "iommufd has an allow_unsafe_interrupts of its own, and refuses devices "
		   "without; --iommu type1 does not");
	fake_sysfs_file(&visit.fs, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y\n");
	visit_run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 and iommufd is on: a guest could "
		   "forge those of the host\n",
		   NULL);
}

static void kernels_get_what_they_have(void **state)
{
	fake_host_desktop(&visit.fs);
	fake_sysfs_file(&visit.fs, "dev/iommu", "%s", "");
	fake_sysfs_file(&visit.fs, "proc/sys/kernel/osrelease", "5.4.0\n");
	visit_run();
	assert_int_equal(visit.status, ERR_HOST);
	assert_row("  fail  kernel                Linux 5.4.0 is too old: it lacks what KVM guests "
		   "here need",
		   "use Linux 5.10 or newer");
	assert_row("  info  vfio                  vfio_iommu_type1 is neither", NULL);
	fake_sysfs_file(&visit.fs, "proc/sys/kernel/osrelease", "6.18.2\n");
	visit_run();
	assert_row("  pass  iommufd               /dev/iommu is there; it is used where it can "
		   "be\n",
		   NULL);
	assert_row("  pass  bar-pages ", NULL);
	assert_row("  pass  bar-dma ", NULL);
	assert_row("  info  bar-iommufd ", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, visit_setup, visit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(helpers_are_found_where_a_run_looks),
		TEST(what_a_command_needs_is_told_by_name),
		TEST(user_without_a_place_for_leases),
		TEST(host_without_anything),
		TEST(device_that_is_bound_for_good),
		TEST(interrupts_that_are_not_remapped),
		TEST(interrupts_that_are_not_remapped_with_iommufd),
		TEST(kernels_get_what_they_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
