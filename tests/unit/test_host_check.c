/* SPDX-License-Identifier: Apache-2.0 */
/* What vfio_host_check finds on a fake host, what it says, and that it changes nothing. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/err.h"
#include "core/log.h"
#include "fake_sysfs.h"
#include "other_run.h"
#include "vfio/host_check.h"
#include "vfio/host_lease.h"

#define PF      "0000:03:00.0"
#define VF      "0000:03:00.1"
#define GPU     "0000:01:00.0"
#define AUDIO   "0000:01:00.1"
#define NETWORK "0000:02:00.0"
#define OTHER   "0000:41:00.0"
#define PORT    "0000:00:01.0"

static struct fake_sysfs fs;
static struct vfio_host host;
static char warning[512];

void __wrap_log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (level <= LOG_WARN)
		vsnprintf(warning, sizeof(warning), fmt, ap);
	va_end(ap);
}

static int setup(void **state)
{
	static const struct fake_pci_device devices[] = {
		{ PORT, 0x060400, "pcieport", NULL, 7, 1 },
		{ GPU, 0x030000, "nvidia", "nvidia", 7, 0x80 },
		{ AUDIO, 0x040300, "snd_hda_intel", "snd_hda_intel", 7, 0x80 },
		{ OTHER, 0x120000, "amdgpu", "amdgpu", 8, 0 },
	};

	(void)state;
	fake_sysfs_init(&fs);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		fake_sysfs_add_device(&fs, &devices[i]);
	vfio_host_init(&host, fs.root);
	warning[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	fake_sysfs_fini(&fs);
	return 0;
}

static int check(struct vfio_host *h, const char *a, const char *b)
{
	struct pci_addr addrs[2];
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &addrs[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &addrs[n++]));
	return vfio_host_check(h, addrs, n);
}

static void assert_refused(const char *a, const char *b, int code, enum err_kind kind,
			   const char *text, const char *hint)
{
	assert_int_equal(check(&host, a, b), code);
	assert_string_equal(err_text(), text);
	assert_string_equal(err_hint_text(), hint);
	assert_int_equal(err_kind(), kind);
	assert_int_equal(host.count, 0);
	assert_int_equal(host.lease_count, 0);
}

static void good_devices_pass_with_their_groups(void **state)
{
	assert_int_equal(check(&host, GPU, AUDIO), 0);
	assert_int_equal(host.count, 2);
	assert_int_equal(host.devices[0].group, 7);
	assert_int_equal(host.devices[1].group, 7);
	assert_int_equal(host.lease_count, 3);
	assert_string_equal(warning, "");
}

static void no_devices_need_nothing(void **state)
{
	assert_int_equal(vfio_host_check(&host, NULL, 0), 0);
	assert_false(fake_sysfs_exists(&fs, "run/tinyvmm"));
}

static void missing_device_names_the_gpus(void **state)
{
	assert_refused("0000:05:00.0", NULL, -ENODEV, ERR_DEVICE,
		       "there is no PCI device 0000:05:00.0", "the GPUs here are " GPU ", " OTHER);
}

static void missing_device_where_no_gpu_is(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/class", "0x020000\n");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" OTHER "/class", "0x020000\n");
	assert_refused("0000:05:00.0", NULL, -ENODEV, ERR_DEVICE,
		       "there is no PCI device 0000:05:00.0",
		       "'tinyvmm list --all' lists the PCI devices; no GPU is among them");
}

static void bridges_are_refused(void **state)
{
	static const struct fake_pci_device host_bridge = { "0000:00:00.0", 0x060000, NULL,
							    NULL,           9,        0 };

	assert_refused(PORT, NULL, -EINVAL, ERR_DEVICE,
		       PORT " is a bridge, which cannot be passed through",
		       "pass the devices behind it");
	fake_sysfs_add_device(&fs, &host_bridge);
	assert_refused("0000:00:00.0", NULL, -EINVAL, ERR_DEVICE,
		       "0000:00:00.0 is a bridge, which cannot be passed through",
		       "pass the devices behind it");
}

static void device_that_fell_off_the_bus_is_told(void **state)
{
	char path[256];
	FILE *config;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" GPU "/config", fs.root);
	config = fopen(path, "w");
	assert_non_null(config);
	for (int i = 0; i < 64; i++)
		fputc(0xff, config);
	fclose(config);
	assert_refused(GPU, AUDIO, -ENXIO, ERR_DEVICE, GPU " does not answer: it reads as all ones",
		       "it has fallen off the bus; a power cycle of the host may bring it back");
}

static void function_with_virtual_functions_is_refused(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/sriov_numvfs", "4\n");
	assert_refused(GPU, AUDIO, -EBUSY, ERR_DEVICE, GPU " has 4 virtual functions switched on",
		       "pass one of those, or switch them off: echo 0 > "
		       "/sys/bus/pci/devices/" GPU "/sriov_numvfs");
}

static void function_with_virtual_functions_may_be_with_vfio(void **state)
{
	static const struct fake_pci_device pf = { PF, 0x020000, "vfio-pci", NULL, 21, 0 };

	fake_sysfs_add_device(&fs, &pf);
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" PF "/sriov_numvfs", "4\n");
	assert_int_equal(check(&host, PF, NULL), 0);
}

static void function_and_its_virtual_one_are_not_for_one_guest(void **state)
{
	static const struct fake_pci_device pf = { PF, 0x020000, "vfio-pci", NULL, 21, 0 };
	static const struct fake_pci_device vf = { VF, 0x020000, "vfio-pci", NULL, 22, 0 };

	fake_sysfs_add_device(&fs, &pf);
	fake_sysfs_add_device(&fs, &vf);
	assert_int_equal(check(&host, PF, VF), 0);
	vfio_host_fini(&host);
	vfio_host_init(&host, fs.root);
	fake_sysfs_link(&fs, "sys/bus/pci/devices/" VF "/physfn", "../" PF);
	assert_refused(VF, PF, -EINVAL, ERR_DEVICE,
		       VF " is a virtual function of " PF ": the two cannot be in one guest", "");
	assert_int_equal(check(&host, VF, NULL), 0);
}

static void virtual_function_answers_though_its_ids_do_not(void **state)
{
	static const struct fake_pci_device vf = { VF, 0x020000, NULL, NULL, 22, 0 };
	const uint8_t ids[4] = { 0xff, 0xff, 0xff, 0xff };
	char path[256];
	FILE *config;

	fake_sysfs_add_device(&fs, &vf);
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" VF "/config", fs.root);
	config = fopen(path, "r+");
	assert_non_null(config);
	assert_int_equal(fwrite(ids, sizeof(ids), 1, config), 1);
	fclose(config);
	assert_int_equal(check(&host, VF, NULL), 0);
}

/* A host as it is when its IOMMU is off. */
static void switch_iommu_off(void)
{
	fake_sysfs_fini(&fs);
	fake_sysfs_init(&fs);
	fake_sysfs_add_device(&fs,
			      &(struct fake_pci_device){ GPU, 0x030000, "nvidia", "nvidia", 0, 0 });
	vfio_host_init(&host, fs.root);
}

#define INTEL_HINT                                                                              \
	"switch on VT-d in the firmware setup (BIOS) and boot the host with the kernel option " \
	"intel_iommu=on"
#define AMD_HINT                                                                                   \
	"switch on AMD-Vi (\"IOMMU\") in the firmware setup (BIOS) and boot the host without the " \
	"kernel option amd_iommu=off"

static void iommu_off_says_what_to_do_on_this_cpu(void **state)
{
	static const char text[] = "the host's IOMMU is off: " GPU " has no IOMMU group";

	switch_iommu_off();
	assert_refused(GPU, NULL, -ENODEV, ERR_HOST, text,
		       "on Intel " INTEL_HINT "; on AMD " AMD_HINT);
	fake_sysfs_file(&fs, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
	assert_refused(GPU, NULL, -ENODEV, ERR_HOST, text, INTEL_HINT);
	fake_sysfs_file(&fs, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\n");
	assert_refused(GPU, NULL, -ENODEV, ERR_HOST, text, AMD_HINT);
	fake_sysfs_file(&fs, "proc/cpuinfo",
			"vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx hypervisor lahf_lm\n");
	assert_refused(GPU, NULL, -ENODEV, ERR_HOST, text,
		       "this host is a virtual machine: the one below has to give it an IOMMU, "
		       "and on Intel it is booted with intel_iommu=on");
}

static void device_that_the_iommu_does_not_cover(void **state)
{
	static const struct fake_pci_device dev = { NETWORK, 0x020000, "e1000e", "e1000e", 0, 0 };

	fake_sysfs_add_device(&fs, &dev);
	assert_refused(NETWORK, NULL, -ENODEV, ERR_DEVICE,
		       NETWORK " is not behind an IOMMU, other devices are",
		       "put the card in another slot");
}

static void unsafe_noiommu_group_is_no_iommu(void **state)
{
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
	assert_refused(GPU, AUDIO, -ENODEV, ERR_HOST,
		       GPU " has no IOMMU, only VFIO's unsafe no-IOMMU mode", INTEL_HINT);
}

static void forgotten_function_of_the_card_is_named(void **state)
{
	assert_refused(GPU, NULL, -EBUSY, ERR_DEVICE,
		       GPU " shares IOMMU group 7 with devices that the host's drivers have: " AUDIO
			   " (snd_hda_intel)",
		       "a group can only be passed whole: add --gpu " AUDIO);
}

static void every_member_of_the_group_is_named(void **state)
{
	static const struct fake_pci_device dev = { NETWORK, 0x020000, "e1000e", "e1000e", 7, 0 };

	fake_sysfs_add_device(&fs, &dev);
	assert_refused(GPU, NULL, -EBUSY, ERR_DEVICE,
		       GPU " shares IOMMU group 7 with devices that the host's drivers have: " AUDIO
			   " (snd_hda_intel), " NETWORK " (e1000e)",
		       "a group can only be passed whole: add --gpu " AUDIO " --gpu " NETWORK
		       ", or put the card in another slot");
}

static void members_without_a_host_driver_are_fine(void **state)
{
	static const struct fake_pci_device devices[] = {
		{ "0000:03:00.0", 0x020000, NULL, "e1000e", 8, 0 },
		{ "0000:03:00.1", 0x020000, "pci-stub", "e1000e", 8, 0 },
		{ "0000:03:00.2", 0x020000, "vfio-pci", "e1000e", 8, 0 },
		{ "0000:03:00.3", 0x020000, "mlx5_vfio_pci", "mlx5", 8, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		fake_sysfs_add_device(&fs, &devices[i]);
	assert_int_equal(check(&host, OTHER, NULL), 0);
}

static void boot_display_is_a_warning(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/boot_vga", "1\n");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" OTHER "/boot_vga", "0\n");
	assert_int_equal(check(&host, OTHER, NULL), 0);
	assert_string_equal(warning, "");
	vfio_host_fini(&host);
	assert_int_equal(check(&host, GPU, AUDIO), 0);
	assert_string_equal(warning, GPU " is the host's boot display: its screen goes dark");
}

static void nvidia_gpu_in_use_is_refused(void **state)
{
	fake_sysfs_file(&fs, "proc/driver/nvidia/gpus/" GPU "/information",
			"Model: \t\t NVIDIA H200\nDevice Minor: \t 3\nGPU Excluded:\t No\n");
	fake_sysfs_file(&fs, "proc/812/comm", "python3\n");
	fake_sysfs_link(&fs, "proc/812/fd/0", "/dev/null");
	fake_sysfs_link(&fs, "proc/812/fd/1", "/dev/nvidia30");
	assert_int_equal(check(&host, GPU, AUDIO), 0);
	vfio_host_fini(&host);
	fake_sysfs_link(&fs, "proc/812/fd/2", "/dev/nvidia3");
	assert_refused(GPU, AUDIO, -EBUSY, ERR_DEVICE,
		       GPU " is in use on the host by python3 (pid 812)",
		       "stop them first; driver nvidia does not let go of a GPU in use");
}

static void other_gpu_in_use_is_a_warning(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" OTHER "/drm/card1/dev", "226:1\n");
	fake_sysfs_file(&fs, "proc/77/comm", "Xorg\n");
	fake_sysfs_link(&fs, "proc/77/fd/12", "/dev/dri/card1");
	assert_int_equal(check(&host, OTHER, NULL), 0);
	assert_string_equal(warning, OTHER " is taken away from Xorg (pid 77)");
}

static pid_t start_other_run(const char *bdf)
{
	struct vfio_host other;

	vfio_host_init(&other, fs.root);
	return other_run_start(&other, bdf, OTHER_RUN_FOREVER);
}

static void device_of_another_run_names_its_pid_until_it_is_killed(void **state)
{
	const pid_t pid = start_other_run(OTHER);
	char text[128];

	snprintf(text, sizeof(text), OTHER " is in use by another tinyvmm (pid %d)", pid);
	assert_refused(OTHER, NULL, -EBUSY, ERR_DEVICE, text, "--wait TIME waits for it");
	host.wait_ms = 100;
	assert_refused(OTHER, NULL, -EBUSY, ERR_DEVICE, text, "");
	host.wait_ms = 0;
	assert_int_equal(check(&host, GPU, AUDIO), 0);
	vfio_host_fini(&host);
	other_run_end(pid);
	assert_int_equal(check(&host, OTHER, NULL), 0);
}

static void group_of_another_run_is_in_use_too(void **state)
{
	static const struct fake_pci_device dev = { "0000:41:00.1", 0x040300, NULL, NULL, 8, 0 };
	char text[128];
	pid_t pid;

	fake_sysfs_add_device(&fs, &dev);
	pid = start_other_run(OTHER);
	snprintf(text, sizeof(text), "IOMMU group 8 is in use by another tinyvmm (pid %d)", pid);
	assert_refused("0000:41:00.1", NULL, -EBUSY, ERR_DEVICE, text, "--wait TIME waits for it");
	other_run_end(pid);
}

static void state_directory_of_somebody_else_is_not_used(void **state)
{
	fake_sysfs_link(&fs, "run/tinyvmm", "/tmp");
	assert_int_equal(check(&host, OTHER, NULL), -EPERM);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_int_equal(host.count, 0);
}

/* The kernel's list of locks for a lock of our own, in a fake /proc. */
static void list_lock(const char *file, int pid, const char *kind)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/run/tinyvmm/%s", fs.root, file);
	assert_int_equal(stat(path, &st), 0);
	fake_sysfs_file(&fs, "proc/locks",
			"1: POSIX  ADVISORY  WRITE 1 00:01:7 0 EOF\n"
			"2: %s %d %02x:%02x:%llu 0 EOF\n"
			"2: -> FLOCK  ADVISORY  WRITE 99 %02x:%02x:%llu 0 EOF\n",
			kind, pid, major(st.st_dev), minor(st.st_dev),
			(unsigned long long)st.st_ino, major(st.st_dev), minor(st.st_dev),
			(unsigned long long)st.st_ino);
}

static void lease_holder_is_seen_without_locking(void **state)
{
	const char *dir = host.state_dir;
	struct pci_addr gpu;

	assert_true(pci_addr_scan(GPU, &gpu));
	assert_int_equal(host_lease_holder(fs.root, dir, gpu), 0);
	assert_int_equal(check(&host, OTHER, NULL), 0);
	vfio_host_fini(&host);
	assert_int_equal(check(&host, GPU, AUDIO), 0);
	list_lock(GPU ".lock", 812, "FLOCK  ADVISORY  WRITE");
	assert_int_equal(host_lease_holder(fs.root, dir, gpu), 812);
	assert_int_equal(host_lease_group_holder(fs.root, dir, 7), 0);
	list_lock("iommu-group-7.lock", 813, "FLOCK  ADVISORY  WRITE");
	assert_int_equal(host_lease_group_holder(fs.root, dir, 7), 813);
	assert_int_equal(host_lease_group_holder(fs.root, dir, 8), 0);
	/* In another PID namespace; and a lock of another kind. */
	list_lock(GPU ".lock", 0, "FLOCK  ADVISORY  WRITE");
	assert_int_equal(host_lease_holder(fs.root, dir, gpu), 0);
	list_lock(GPU ".lock", 812, "POSIX  ADVISORY  WRITE");
	assert_int_equal(host_lease_holder(fs.root, dir, gpu), 0);
}

static void memory_that_firmware_keeps(void **state)
{
	struct pci_addr gpu;

	assert_true(pci_addr_scan(GPU, &gpu));
	assert_int_equal(host_check_reserved(fs.root, gpu), 0);
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/7/reserved_regions", "%s",
			"0x0000000000000000 0x0000000000ffffff direct-relaxable\n"
			"0x00000000fee00000 0x00000000feefffff msi\n");
	assert_int_equal(host_check_reserved(fs.root, gpu), 0);
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/7/reserved_regions", "%s",
			"0x00000000bde00000 0x00000000bdefffff direct\n"
			"0x00000000fee00000 0x00000000feefffff msi\n");
	/* AMD's driver let such devices go once. */
	fake_sysfs_file(&fs, "proc/sys/kernel/osrelease", "6.1.0\n");
	assert_int_equal(host_check_reserved(fs.root, gpu), 0);
	fake_sysfs_file(&fs, "proc/sys/kernel/osrelease", "6.6.0\n");
	assert_refused(GPU, AUDIO, -EPERM, ERR_DEVICE,
		       "the firmware keeps 0xbde00000-0xbdefffff for " GPU
		       " (RMRR), and the kernel gives no such device to a guest",
		       "a firmware (BIOS) update or a setting of the host's vendor may end it");
	fake_sysfs_file(&fs, "proc/sys/kernel/osrelease", "6.1.0\n");
	fake_sysfs_file(&fs, "sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n");
	assert_int_equal(host_check_reserved(fs.root, gpu), -EPERM);
}

static void host_without_iommu_groups(void **state)
{
	assert_int_equal(host_check_has_iommu(fs.root), 0);
	fake_sysfs_fini(&fs);
	fake_sysfs_init(&fs);
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
	assert_int_equal(host_check_has_iommu(fs.root), -ENODEV);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_string_equal(err_text(), "the host's IOMMU is off: it has no IOMMU groups");
	assert_non_null(strstr(err_hint_text(), "AMD-Vi"));
}

static void mounted_disk_is_not_taken(void **state)
{
	fake_sysfs_file(&fs, "sys/devices/pci0000:40/" OTHER "/block/vda/dev", "253:0\n");
	fake_sysfs_link(&fs, "sys/class/block/vda", "../../devices/pci0000:40/" OTHER "/block/vda");
	fake_sysfs_file(&fs, "proc/self/mountinfo", "22 1 253:0 / /srv rw - xfs /dev/vda rw\n");
	assert_refused(OTHER, NULL, -EBUSY, ERR_DEVICE,
		       OTHER " is in use on the host: vda is mounted at /srv",
		       "unmount or stop that first: what is not written yet would be lost");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mounted_disk_is_not_taken, setup, teardown),
		TEST(good_devices_pass_with_their_groups),
		TEST(lease_holder_is_seen_without_locking),
		TEST(memory_that_firmware_keeps),
		TEST(host_without_iommu_groups),
		TEST(no_devices_need_nothing),
		TEST(missing_device_names_the_gpus),
		TEST(missing_device_where_no_gpu_is),
		TEST(bridges_are_refused),
		TEST(device_that_fell_off_the_bus_is_told),
		TEST(function_with_virtual_functions_is_refused),
		TEST(function_with_virtual_functions_may_be_with_vfio),
		TEST(function_and_its_virtual_one_are_not_for_one_guest),
		TEST(virtual_function_answers_though_its_ids_do_not),
		TEST(iommu_off_says_what_to_do_on_this_cpu),
		TEST(device_that_the_iommu_does_not_cover),
		TEST(unsafe_noiommu_group_is_no_iommu),
		TEST(forgotten_function_of_the_card_is_named),
		TEST(every_member_of_the_group_is_named),
		TEST(members_without_a_host_driver_are_fine),
		TEST(boot_display_is_a_warning),
		TEST(nvidia_gpu_in_use_is_refused),
		TEST(other_gpu_in_use_is_a_warning),
		TEST(device_of_another_run_names_its_pid_until_it_is_killed),
		TEST(group_of_another_run_is_in_use_too),
		TEST(state_directory_of_somebody_else_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
