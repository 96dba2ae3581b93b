/* SPDX-License-Identifier: Apache-2.0 */
/* What `tinyvmm doctor` finds of a device: its group, who has it, its memory, reset and link. */
#include "cmocka_all.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/err.h"
#include "doctor_visit.h"
#include "fake_hosts.h"

#define GPU "0000:01:00.0"

static void all_functions_of_the_card_are_given(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit_give(GPU, "0000:01:00.1");
	visit_run();
	assert_int_equal(visit.status, 0);
	assert_row("  pass  group                 group 13 can be passed, together with its other "
		   "members\n",
		   NULL);
	assert_no_row("warn  group");
	assert_row("  pass  device                10de:1aef, class 0403, not a GPU\n", NULL);
	assert_row("  pass  interrupt-remapping ", NULL);
	assert_row("  pass  iommu-width           it maps addresses of 64 bits\n", NULL);
	assert_row("  pass  guest-memory          it can reach all 4G of a guest\n", NULL);
}

static void two_gpus_of_one_group_go_together(void **state)
{
	fake_host_server(&visit.fs);
	visit_add_modules("6.19.0-generic");
	visit_give("0000:41:00.0", NULL);
	visit_run();
	assert_int_equal(visit.status, ERR_DEVICE);
	assert_row("  fail  group                 0000:41:00.0 shares IOMMU group 20 with devices "
		   "that the host's drivers have: 0000:42:00.0 (nvidia)",
		   "a group can only be passed whole: add --gpu 0000:42:00.0, or put the card in "
		   "another slot");
	assert_row("  info  cpu                   this host is a virtual machine itself: its "
		   "guests are slower\n",
		   NULL);
	visit_give("0000:41:00.0", "0000:42:00.0");
	visit_run();
	assert_int_equal(visit.status, 0);
	assert_row("  pass  group                 group 20 can be passed, together with its other "
		   "members\n",
		   NULL);
	assert_row("  pass  bars                  their 256G above 4G fit into guest addresses of "
		   "40 bits\n",
		   NULL);
	assert_row("  pass  link                  PCIe x16 at 16 GT/s\n", NULL);
	/* Both at once do not fit where one does. */
	visit.arch.phys_bits = 39;
	visit_run();
	assert_int_equal(visit.status, ERR_LIMIT);
	visit_give("0000:41:00.0", NULL);
	visit_run();
	assert_row("  pass  bars                  their 128G above 4G fit into guest addresses of "
		   "39 bits\n",
		   NULL);
}

static void device_that_is_not_there(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit_give("0000:09:00.0", GPU);
	visit_run();
	assert_int_equal(visit.status, ERR_DEVICE);
	assert_row("\n0000:09:00.0\n  fail  device                there is no PCI device "
		   "0000:09:00.0",
		   "the GPUs here are 0000:01:00.0");
	/* It spoils nothing of the other. */
	assert_row("  pass  driver                nvidia has it, and gets it back after the "
		   "guest\n",
		   NULL);
}

static void devices_without_attributes(void **state)
{
	fake_host_bare(&visit.fs);
	visit_run();
	assert_int_equal(visit.status, ERR_HOST);
	assert_row("  warn  kernel                the kernel's version is unknown\n", NULL);
	assert_row("  fail  device                read the PCI header of 0000:01:00.0: No such "
		   "file or directory\n",
		   NULL);
}

static void a_node_with_too_little_room_is_told(void **state)
{
	fake_host_server(&visit.fs);
	visit_add_modules("6.19.0-generic");
	visit_give("0000:41:00.0", "0000:42:00.0");
	fake_sysfs_file(&visit.fs, "sys/devices/system/node/online", "0-1\n");
	fake_sysfs_file(&visit.fs, "sys/devices/system/node/node1/meminfo",
			"Node 1 MemFree: 1 kB\n");
	fake_sysfs_file(&visit.fs, "sys/devices/system/node/node0/meminfo",
			"Node 0 MemFree: %llu kB\n", 4 * GiB / KiB);
	visit_run();
	assert_row("  pass  numa                  its NUMA node 0 has room for all 4G of a guest\n",
		   NULL);
	visit.config.memory = 6 * GiB;
	visit_run();
	assert_row("  warn  numa                  its NUMA node 0 has room for 4G of a guest's 6G: "
		   "the guest gets memory of other nodes, too",
		   "give the guest less memory, or make room there");
	/* Enough reserved pages. */
	fake_sysfs_file(&visit.fs,
			"sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
			"3072\n");
	visit_run();
	assert_row("  pass  numa                  its NUMA node 0 has room for all 6G of a guest\n",
		   NULL);
}

static void guest_memory_and_the_iommu(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit.config.memory = 64 * GiB;
	visit_run();
	assert_int_equal(visit.status, ERR_LIMIT);
	assert_row("  fail  memory                --memory: 65536 MiB are more than the 32000 MiB "
		   "that are free on this host, and a passed-through device needs all at once",
		   "ask for less with --memory");
	/* AMD's hole is known and left out. */
	visit.config.memory = 2 * TiB;
	visit_run();
	assert_row("  pass  guest-memory          it can reach all 2T of a guest\n", NULL);
	/* An IOMMU of 39 bits. */
	visit.config.memory = 600 * GiB;
	fake_sysfs_file(&visit.fs, "sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n");
	visit_run();
	assert_row("  pass  iommu-width           it maps addresses of 39 bits\n", NULL);
	assert_row("  fail  guest-memory          guest memory at 0x100000000-0x967fffffff is not "
		   "among the addresses that the IOMMU can map for the devices (0x0-0xfedfffff, "
		   "0xfef00000-0x7fffffffff)",
		   "give the guest less memory: this IOMMU ends at 0x7fffffffff");
	/* Something in the middle of low RAM. */
	visit.config.memory = GiB;
	fake_sysfs_file(&visit.fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x0000000000000000 0x0000000000ffffff direct-relaxable\n"
			"0x0000000008000000 0x00000000080fffff reserved\n");
	visit_run();
	assert_row("  info  reserved-memory       the firmware keeps 0x0-0xffffff for it, which is "
		   "no obstacle\n",
		   NULL);
	assert_row("  fail  guest-memory          guest memory at 0x0-0x3fffffff is not among",
		   NULL);
	fake_sysfs_file(&visit.fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x00000000bde00000 0x00000000bdefffff direct\n");
	visit_run();
	assert_row("  fail  reserved-memory       the firmware keeps 0xbde00000-0xbdefffff for "
		   "0000:01:00.0 (RMRR), and the kernel gives no such device to a guest",
		   NULL);
	/* Reserved up to the very end. */
	fake_sysfs_file(&visit.fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x0000000100000000 0xffffffffffffffff reserved\n");
	visit_run();
	assert_row("  pass  guest-memory          it can reach all 1G of a guest\n", NULL);
}

static void who_has_the_device(void **state)
{
	struct stat st;
	char path[256];

	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	fake_host_attr(&visit.fs, "0000:02:00.0", "drm/card9/dev", "226:9\n");
	fake_sysfs_link(&visit.fs, "proc/55/fd/1", "/dev/dri/card9");
	fake_sysfs_file(&visit.fs, "proc/55/comm", "%s", "a\x1b]0;b\a\n");
	visit_give("0000:02:00.0", NULL);
	visit_run();
	assert_int_equal(visit.status, 0);
	assert_row("  warn  driver                it is taken away from a?]0;b? (pid 55)",
		   "end them before the guest starts");
	/* What a run gets is in the journal. */
	fake_sysfs_file(&visit.fs, "run/tinyvmm/journal/0000:02:00.0", "driver=nvme\noverride=\n");
	fake_sysfs_file(&visit.fs, "run/tinyvmm/iommu-group-14.lock", "900\n");
	snprintf(path, sizeof(path), "%s/run/tinyvmm/iommu-group-14.lock", visit.fs.root);
	assert_int_equal(stat(path, &st), 0);
	fake_sysfs_file(&visit.fs, "proc/locks",
			"1: FLOCK  ADVISORY  WRITE 900 %02x:%02x:%llu 0 EOF\n", major(st.st_dev),
			minor(st.st_dev), (unsigned long long)st.st_ino);
	visit_run();
	assert_int_equal(visit.status, ERR_DEVICE);
	assert_row("  fail  driver                it is in use by another tinyvmm (pid 900)",
		   "wait for the end of its guest");
	assert_row("  info  journal               0000:02:00.0 is with VFIO for a run, or was left "
		   "so by one that was killed; before that, nvme had it\n",
		   NULL);
}

static void guest_that_was_not_reset_away(void **state)
{
	fake_host_server(&visit.fs);
	fake_sysfs_file(&visit.fs, "proc/sys/kernel/random/boot_id", "b00\n");
	fake_sysfs_file(&visit.fs, "run/tinyvmm/dirty/0000:e1:00.0", "boot=b00\n");
	visit_give("0000:e1:00.0", NULL);
	visit_run();
	assert_row("  warn  reset                 what its last guest left in it is not reset yet; "
		   "the "
		   "next run tries again\n",
		   NULL);
}

static void files_of_what_vfio_has_already(void **state)
{
	fake_host_server(&visit.fs);
	visit_give("0000:e1:00.0", NULL);
	visit_run();
	assert_row("  pass  driver                vfio-pci has it already, and keeps it\n", NULL);
	assert_row("  pass  vfio-files            its files may be used (type1)\n", NULL);
	fake_sysfs_unlink(&visit.fs, "dev/vfio/40");
	visit_run();
	assert_row("  fail  vfio-files            0000:e1:00.0 is on vfio-pci, but ", NULL);
}

static void ordinary_user_is_told_what_takes_root(void **state)
{
	fake_host_laptop(&visit.fs);
	visit.config.privileged = false;
	visit_run();
	assert_row("  warn  driver                needs root to see who has it open",
		   "run tinyvmm doctor as root");
	assert_row("  warn  resizable-bars        needs root to see whether its BARs could be "
		   "larger",
		   "run tinyvmm doctor as root");
	fake_host_attr(&visit.fs, GPU, "resource1_resize", "0000000000003fc0\n");
	visit_give(GPU, NULL);
	visit_run();
	assert_row("  pass  resizable-bars        no BAR is smaller than it could be\n", NULL);
}

static void states_of_power_and_link(void **state)
{
	fake_host_desktop(&visit.fs);
	fake_host_attr(&visit.fs, GPU, "power_state", "D3hot\n");
	fake_host_attr(&visit.fs, GPU, "current_link_width", "16\n");
	fake_host_attr(&visit.fs, GPU, "current_link_speed", "2.5 GT/s PCIe\n");
	visit_run();
	assert_row("  info  power                 it is asleep (D3hot), and is woken first\n",
		   NULL);
	assert_row("  info  link                  PCIe x16 at 2.5 of 16 GT/s: many GPUs are slower "
		   "while they idle\n",
		   NULL);
	fake_host_attr(&visit.fs, GPU, "power/runtime_status", "error\n");
	visit_run();
	assert_row("  warn  power                 the kernel failed to wake it, or to put it to "
		   "sleep",
		   "only a power cycle of the host may bring it back");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, visit_setup, visit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_functions_of_the_card_are_given),
		TEST(two_gpus_of_one_group_go_together),
		TEST(device_that_is_not_there),
		TEST(devices_without_attributes),
		TEST(a_node_with_too_little_room_is_told),
		TEST(guest_memory_and_the_iommu),
		TEST(who_has_the_device),
		TEST(guest_that_was_not_reset_away),
		TEST(files_of_what_vfio_has_already),
		TEST(ordinary_user_is_told_what_takes_root),
		TEST(states_of_power_and_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
