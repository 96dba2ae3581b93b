/* SPDX-License-Identifier: Apache-2.0 */
/* What `tinyvmm doctor` finds on several hosts, and its exit status. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/doctor.h"
#include "core/err.h"
#include "fake_firmware.h"
#include "fake_hosts.h"
#include "firmware-loader/fw_image.h"
#include "firmware-loader/json.h"
#include "placement/guest_ram.h"
#include "temp_dir.h"

#define GPU "0000:01:00.0"

static struct fake_sysfs fs;
static struct temp_dir dir;
static struct doctor_config config;
static struct fw_pair pairs[2];
static struct fw_search search;
static const char *const no_dirs[] = { NULL };
static struct pci_addr devices[4];
static struct arch_host arch;
static const char *kvm_error, *pin_error;
static char *text;
static size_t len;
static int status;

static int query_kvm(struct arch_host *ret_host)
{
	if (kvm_error)
		return err_set(ERR_HOST, -ENOENT, "%s", kvm_error);
	*ret_host = arch;
	return 0;
}

static int check_memory(uint64_t memory, enum hugepages_mode mode, bool pinned)
{
	assert_int_equal(mode, HUGEPAGES_AUTO);
	return guest_ram_check_free(fs.root, memory, pinned);
}

static int allow_pinning(uint64_t bytes)
{
	int r;

	if (!pin_error)
		return 0;
	r = err_set(ERR_LIMIT, -ENOMEM, "%s", pin_error);
	err_hint("raise it");
	return r;
}

static int setup(void **state)
{
	static uint8_t code[FAKE_CODE_SIZE], vars[FAKE_VARS_SIZE];

	fake_sysfs_init(&fs);
	temp_dir_init(&dir);
	fake_code(code, sizeof(code));
	fake_vars(vars, sizeof(vars));
	pairs[0].code = temp_file(&dir, "CODE.fd", code, sizeof(code));
	pairs[0].vars = temp_file(&dir, "VARS.fd", vars, sizeof(vars));
	arch = (struct arch_host){ .phys_bits = 46, .gib_pages = true };
	kvm_error = pin_error = NULL;
	config = (struct doctor_config){
		.root = fs.root,
		.memory = 4 * GiB,
		.query_kvm = query_kvm,
		.check_memory = check_memory,
		.allow_pinning = allow_pinning,
		.firmware = &search,
		.privileged = true,
	};
	search = (struct fw_search){ no_dirs, pairs };
	return 0;
}

static int teardown(void **state)
{
	free(text);
	text = NULL;
	assert_string_equal(fake_sysfs_writes(&fs), "");
	temp_dir_fini(&dir);
	fake_sysfs_fini(&fs);
	return 0;
}

/* All that is printed; where the firmware lies is cut out. */
static void run(void)
{
	FILE *out;
	char *path;

	free(text);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_int_equal(doctor_run(&config, out, &status), 0);
	fclose(out);
	path = strstr(text, dir.path);
	if (path)
		memmove(path, path + strlen(dir.path), strlen(path + strlen(dir.path)) + 1);
}

static void add_modules(const char *release)
{
	char path[128];

	snprintf(path, sizeof(path), "lib/modules/%s/modules.dep", release);
	fake_sysfs_file(&fs, path, "%s",
			"kernel/drivers/vfio/pci/vfio-pci.ko.xz: x\n"
			"kernel/drivers/vfio/vfio_iommu_type1.ko.xz: x\n");
}

static void give(const char *a, const char *b)
{
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &devices[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &devices[n++]));
	config.devices = devices;
	config.device_count = n;
}

/* A row of the report for programs, which stays one line; and what mends it. */
static void assert_row(const char *head, const char *mend)
{
	const char *line = strstr(text, head);
	char expected[1024];

	if (!line)
		fail_msg("no '%s' in:\n%s", head, text);
	line += strlen(head);
	if (!mend)
		return;
	snprintf(expected, sizeof(expected), "\n                              -> %s\n", mend);
	assert_memory_equal(line, expected, strlen(expected));
}

static void assert_no_row(const char *head)
{
	if (strstr(text, head))
		fail_msg("'%s' in:\n%s", head, text);
}

static void laptop_cannot_pass_anything(void **state)
{
	fake_host_laptop(&fs);
	add_modules("6.1.0-25-amd64");
	run();
	assert_int_equal(status, ERR_HOST);
	assert_string_equal(
		text,
		"The host\n"
		"  pass  kernel                Linux 6.1.0-25-amd64\n"
		"  pass  kvm                   it has what is needed; guest addresses have up to "
		"46 bits\n"
		"  pass  cpu                   it can run virtual machines\n"
		"  fail  iommu                 the host's IOMMU is off: it has no IOMMU groups\n"
		"                              -> switch on VT-d in the firmware setup (BIOS) and "
		"boot the host with the kernel option intel_iommu=on\n"
		"  pass  vfio                  vfio-pci can be loaded\n"
		"  pass  vfio                  vfio_iommu_type1 can be loaded\n"
		"  info  iommufd               it comes with Linux 6.6; type1 is used\n"
		"  pass  memory                the 4G of a guest are free\n"
		"  pass  memlock               this user may lock the 4G of a guest\n"
		"  info  huge-pages            none are reserved\n"
		"  pass  firmware              /CODE.fd\n"
		"  info  helpers               passt is not installed: --net user, which guests "
		"with disks have by default, needs it (package passt)\n"
		"  info  helpers               virtiofsd is not installed: run -- COMMAND needs it "
		"(package virtiofsd, or qemu-system-common before Debian 13)\n"
		"  info  helpers               qemu-storage-daemon is not installed: --disk with "
		"snapshot or of another format than raw needs it (package qemu-system-common)\n"
		"  info  bar-pages             a GPU's memory is mapped in pages of 4K, so its "
		"first use is slow; Linux 6.12 and newer take huge ones\n"
		"  info  bar-dma               with several GPUs, mapping 32G for each other takes "
		"about a second; Linux 6.15 and newer are quicker\n"
		"  pass  journal               no run has left a device behind\n"
		"\n"
		"0000:00:02.0  Intel Alder Lake-P GT2 [Iris Xe Graphics]\n"
		"  pass  device                8086:46a6, class 0300\n"
		"  fail  group                 the host's IOMMU is off: 0000:00:02.0 has no IOMMU "
		"group\n"
		"                              -> switch on VT-d in the firmware setup (BIOS) and "
		"boot the host with the kernel option intel_iommu=on\n"
		"  pass  driver                i915 has it, and gets it back after the guest\n"
		"  warn  display               it is the host's boot display: its screen goes "
		"dark\n"
		"                              -> log in over the network first, or make another "
		"display the first one in the firmware setup (BIOS)\n"
		"  pass  reset                 the kernel can reset it: flr pm\n"
		"  info  rom                   it has no option ROM\n"
		"  pass  bars                  their 272M above 4G fit into guest addresses of 40 "
		"bits\n"
		"\n"
		"0000:01:00.0  NVIDIA GA102 [GeForce RTX 3090]\n"
		"  pass  device                10de:2204, class 0302\n"
		"  fail  group                 the host's IOMMU is off: 0000:01:00.0 has no IOMMU "
		"group\n"
		"                              -> switch on VT-d in the firmware setup (BIOS) and "
		"boot the host with the kernel option intel_iommu=on\n"
		"  pass  driver                nvidia has it, and gets it back after the guest\n"
		"  info  power                 it is switched off to save power (D3cold), and is "
		"woken first\n"
		"  warn  reset                 the kernel knows no way to reset it: a guest finds "
		"it as the last user left it, and it may not start twice\n"
		"  info  rom                   it has no option ROM\n"
		"  pass  bars                  their 8224M above 4G fit into guest addresses of 40 "
		"bits\n"
		"\n"
		"3 failures, 2 warnings\n");
}

static void helpers_are_found_where_a_run_looks(void **state)
{
	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	fake_sysfs_file(&fs, "some/place/passt", "%s", "");
	fake_sysfs_file(&fs, "usr/lib/qemu/virtiofsd", "%s", "");
	assert_int_equal(setenv("PATH", "/nowhere:/some/place", 1), 0);
	run();
	assert_int_equal(status, 0);
	assert_row("  pass  helpers               passt is installed\n", NULL);
	assert_row("  pass  helpers               virtiofsd is installed\n", NULL);
	assert_row("  info  helpers               qemu-storage-daemon is not installed", NULL);
}

static void only_what_matters_on_a_narrow_terminal(void **state)
{
	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	config.width = 80;
	config.quiet = true;
	run();
	assert_int_equal(status, 0);
	assert_string_equal(
		text,
		"0000:01:00.0  NVIDIA GA102 [GeForce RTX 3090]\n"
		"  warn  group                 group 13 has other functions of this card, which\n"
		"                              must go with it\n"
		"                              -> pass them together: --gpu 0000:01:00.0 --gpu\n"
		"                                 0000:01:00.1\n"
		"  warn  display               it is the host's boot display: its screen goes\n"
		"                              dark\n"
		"                              -> log in over the network first, or make another\n"
		"                                 display the first one in the firmware setup\n"
		"                                 (BIOS)\n"
		"  warn  resizable-bars        BAR 1 has 256M of up to 32G\n"
		"                              -> switch on Resizable BAR and Above 4G Decoding\n"
		"                                 in the firmware setup (BIOS), or, while no\n"
		"                                 driver has the device, as root: echo 15 >\n"
		"                                 "
		"/sys/bus/pci/devices/0000:01:00.0/resource1_resize\n"
		"  warn  link                  PCIe x8 of x16\n"
		"                              -> seat the card anew, or look whether another\n"
		"                                 card takes lanes\n"
		"  warn  errors                PCIe errors since the host started: 1 fatal, 0\n"
		"                              others not corrected\n"
		"                              -> see dmesg; seat the card anew, or try another\n"
		"                                 slot or cable\n"
		"\n"
		"0 failures, 5 warnings\n");
	/* Of the host nothing, of the device nothing: no headings. */
	give("0000:02:00.0", NULL);
	run();
	assert_string_equal(text, "0 failures, 0 warnings\n");
}

static void all_functions_of_the_card_are_given(void **state)
{
	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	give(GPU, "0000:01:00.1");
	run();
	assert_int_equal(status, 0);
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
	fake_host_server(&fs);
	add_modules("6.19.0-generic");
	give("0000:41:00.0", NULL);
	run();
	assert_int_equal(status, ERR_DEVICE);
	assert_row("  fail  group                 0000:41:00.0 shares IOMMU group 20 with devices "
		   "that the host's drivers have: 0000:42:00.0 (nvidia)",
		   "a group can only be passed whole: add --gpu 0000:42:00.0, or put the card in "
		   "another slot");
	assert_row("  info  cpu                   this host is a virtual machine itself: its "
		   "guests are slower\n",
		   NULL);
	give("0000:41:00.0", "0000:42:00.0");
	run();
	assert_int_equal(status, 0);
	assert_row("  pass  group                 group 20 can be passed, together with its other "
		   "members\n",
		   NULL);
	assert_row("  pass  bars                  their 256G above 4G fit into guest addresses of "
		   "40 bits\n",
		   NULL);
	assert_row("  pass  link                  PCIe x16 at 16 GT/s\n", NULL);
	/* Both at once do not fit where one does. */
	arch.phys_bits = 39;
	run();
	assert_int_equal(status, ERR_LIMIT);
	give("0000:41:00.0", NULL);
	run();
	assert_row("  pass  bars                  their 128G above 4G fit into guest addresses of "
		   "39 bits\n",
		   NULL);
}

static void first_failure_decides_the_exit_status(void **state)
{
	fake_host_server(&fs);
	add_modules("6.19.0-generic");
	run();
	assert_int_equal(status, ERR_DEVICE);
	assert_row("  fail  virtual-functions     0000:81:00.0 has 4 virtual functions switched on",
		   "pass one of those, or switch them off: echo 0 > "
		   "/sys/bus/pci/devices/0000:81:00.0/sriov_numvfs");
	assert_row("  fail  device                0000:c1:00.0 does not answer: it reads as all "
		   "ones",
		   "it has fallen off the bus; a power cycle of the host may bring it back");
	pin_error = "too much";
	run();
	assert_int_equal(status, ERR_LIMIT);
	assert_row("  fail  memlock               too much", "raise it");
	kvm_error = "KVM is away";
	run();
	assert_int_equal(status, ERR_HOST);
	assert_row("  fail  kvm                   KVM is away\n", NULL);
	assert_row("  info  bars                  whether their 128G above 4G fit is seen with KVM "
		   "only\n",
		   NULL);
}

static void device_that_is_not_there(void **state)
{
	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	give("0000:09:00.0", GPU);
	run();
	assert_int_equal(status, ERR_DEVICE);
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
	fake_host_bare(&fs);
	run();
	assert_int_equal(status, ERR_HOST);
	assert_row("  warn  kernel                the kernel's version is unknown\n", NULL);
	assert_row("  fail  device                read the PCI header of 0000:01:00.0: No such "
		   "file or directory\n",
		   NULL);
}

static void host_without_anything(void **state)
{
	kvm_error = "no KVM";
	search.pairs = &pairs[1];
	run();
	assert_int_equal(status, ERR_HOST);
	assert_row("  fail  cpu                   it cannot run virtual machines, or that is "
		   "switched off",
		   "switch on VT-x (Intel) or SVM (AMD) in the firmware setup (BIOS)");
	assert_row("  fail  firmware              no UEFI firmware is installed", NULL);
	assert_row("\nNo GPU is here; tinyvmm list --all lists the other devices.\n", NULL);
}

static void a_node_with_too_little_room_is_told(void **state)
{
	fake_host_server(&fs);
	add_modules("6.19.0-generic");
	give("0000:41:00.0", "0000:42:00.0");
	fake_sysfs_file(&fs, "sys/devices/system/node/online", "0-1\n");
	fake_sysfs_file(&fs, "sys/devices/system/node/node1/meminfo", "Node 1 MemFree: 1 kB\n");
	fake_sysfs_file(&fs, "sys/devices/system/node/node0/meminfo", "Node 0 MemFree: %llu kB\n",
			4 * GiB / KiB);
	run();
	assert_row("  pass  numa                  its NUMA node 0 has room for all 4G of a guest\n",
		   NULL);
	config.memory = 6 * GiB;
	run();
	assert_row("  warn  numa                  its NUMA node 0 has room for 4G of a guest's 6G: "
		   "the guest gets memory of other nodes, too",
		   "give the guest less memory, or make room there");
	/* Enough reserved pages. */
	fake_sysfs_file(&fs,
			"sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
			"3072\n");
	run();
	assert_row("  pass  numa                  its NUMA node 0 has room for all 6G of a guest\n",
		   NULL);
}

static void guest_memory_and_the_iommu(void **state)
{
	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	config.memory = 64 * GiB;
	run();
	assert_int_equal(status, ERR_LIMIT);
	assert_row("  fail  memory                --memory: 65536 MiB are more than the 32000 MiB "
		   "that are free on this host, and a passed-through device needs all at once",
		   "ask for less with --memory");
	/* AMD's hole is known and left out. */
	config.memory = 2 * TiB;
	run();
	assert_row("  pass  guest-memory          it can reach all 2T of a guest\n", NULL);
	/* An IOMMU of 39 bits. */
	config.memory = 600 * GiB;
	fake_sysfs_file(&fs, "sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n");
	run();
	assert_row("  pass  iommu-width           it maps addresses of 39 bits\n", NULL);
	assert_row("  fail  guest-memory          guest memory at 0x100000000-0x967fffffff is not "
		   "among the addresses that the IOMMU can map for the devices (0x0-0xfedfffff, "
		   "0xfef00000-0x7fffffffff)",
		   "give the guest less memory: this IOMMU ends at 0x7fffffffff");
	/* Something in the middle of low RAM. */
	config.memory = GiB;
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x0000000000000000 0x0000000000ffffff direct-relaxable\n"
			"0x0000000008000000 0x00000000080fffff reserved\n");
	run();
	assert_row("  info  reserved-memory       the firmware keeps 0x0-0xffffff for it, which is "
		   "no obstacle\n",
		   NULL);
	assert_row("  fail  guest-memory          guest memory at 0x0-0x3fffffff is not among",
		   NULL);
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x00000000bde00000 0x00000000bdefffff direct\n");
	run();
	assert_row("  fail  reserved-memory       the firmware keeps 0xbde00000-0xbdefffff for "
		   "0000:01:00.0 (RMRR), and the kernel gives no such device to a guest",
		   NULL);
	/* Reserved up to the very end. */
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/13/reserved_regions", "%s",
			"0x0000000100000000 0xffffffffffffffff reserved\n");
	run();
	assert_row("  pass  guest-memory          it can reach all 1G of a guest\n", NULL);
}

static void who_has_the_device(void **state)
{
	struct stat st;
	char path[256];

	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	fake_host_attr(&fs, "0000:02:00.0", "drm/card9/dev", "226:9\n");
	fake_sysfs_link(&fs, "proc/55/fd/1", "/dev/dri/card9");
	fake_sysfs_file(&fs, "proc/55/comm", "%s", "a\x1b]0;b\a\n");
	give("0000:02:00.0", NULL);
	run();
	assert_int_equal(status, 0);
	assert_row("  warn  driver                it is taken away from a?]0;b? (pid 55)",
		   "end them before the guest starts");
	/* What a run gets is in the journal. */
	fake_sysfs_file(&fs, "run/tinyvmm/journal/0000:02:00.0", "driver=nvme\noverride=\n");
	fake_sysfs_file(&fs, "run/tinyvmm/iommu-group-14.lock", "900\n");
	snprintf(path, sizeof(path), "%s/run/tinyvmm/iommu-group-14.lock", fs.root);
	assert_int_equal(stat(path, &st), 0);
	fake_sysfs_file(&fs, "proc/locks", "1: FLOCK  ADVISORY  WRITE 900 %02x:%02x:%llu 0 EOF\n",
			major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	run();
	assert_int_equal(status, ERR_DEVICE);
	assert_row("  fail  driver                it is in use by another tinyvmm (pid 900)",
		   "wait for the end of its guest");
	assert_row("  info  journal               0000:02:00.0 is with VFIO for a run, or was left "
		   "so by one that was killed; before that, nvme had it\n",
		   NULL);
}

static void device_that_is_bound_for_good(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "run/tinyvmm/bound/0000:02:00.0", "driver=nvme\noverride=\n");
	run();
	assert_row("  info  journal               0000:02:00.0 is bound to VFIO by tinyvmm bind; "
		   "before that, nvme had it\n",
		   NULL);
	assert_no_row("no run has left a device behind");
	fake_sysfs_file(&fs, "run/tinyvmm/bound/0000:02:00.0", "nonsense\n");
	run();
	assert_row("  warn  journal               0000:02:00.0 is in the journal, which says "
		   "nothing "
		   "sensible\n",
		   NULL);
}

static void guest_that_was_not_reset_away(void **state)
{
	fake_host_server(&fs);
	fake_sysfs_file(&fs, "proc/sys/kernel/random/boot_id", "b00\n");
	fake_sysfs_file(&fs, "run/tinyvmm/dirty/0000:e1:00.0", "boot=b00\n");
	give("0000:e1:00.0", NULL);
	run();
	assert_row("  warn  reset                 what its last guest left in it is not reset yet; "
		   "the "
		   "next run tries again\n",
		   NULL);
}

static void files_of_what_vfio_has_already(void **state)
{
	fake_host_server(&fs);
	give("0000:e1:00.0", NULL);
	run();
	assert_row("  pass  driver                vfio-pci has it already, and keeps it\n", NULL);
	assert_row("  pass  vfio-files            its files may be used (type1)\n", NULL);
	fake_sysfs_unlink(&fs, "dev/vfio/40");
	run();
	assert_row("  fail  vfio-files            0000:e1:00.0 is on vfio-pci, but ", NULL);
}

static void ordinary_user_is_told_what_takes_root(void **state)
{
	fake_host_laptop(&fs);
	config.privileged = false;
	run();
	assert_row("  warn  driver                needs root to see who has it open",
		   "run tinyvmm doctor as root");
	assert_row("  warn  resizable-bars        needs root to see whether its BARs could be "
		   "larger",
		   "run tinyvmm doctor as root");
	fake_host_attr(&fs, GPU, "resource1_resize", "0000000000003fc0\n");
	give(GPU, NULL);
	run();
	assert_row("  pass  resizable-bars        no BAR is smaller than it could be\n", NULL);
}

static void interrupts_that_are_not_remapped(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "proc/interrupts", "  0:  9  IO-APIC   2-edge      timer\n");
	run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped; VFIO "
		   "refuses devices without",
		   "turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		   "trust the guest, allow_unsafe_interrupts of the module vfio_iommu_type1");
	fake_sysfs_file(&fs, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			"Y\n");
	run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 is on: a guest could forge those "
		   "of the host\n",
		   NULL);
}

static void interrupts_that_are_not_remapped_with_iommufd(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "proc/interrupts", "  0:  9  IO-APIC   2-edge      timer\n");
	fake_sysfs_file(&fs, "dev/iommu", "%s", "");
	fake_sysfs_file(&fs, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "N\n");
	run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped; VFIO "
		   "refuses devices without",
		   "turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		   "trust the guest, allow_unsafe_interrupts of the module iommufd, or for "
		   "--iommu type1 that of vfio_iommu_type1");
	fake_sysfs_file(&fs, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			"Y\n");
	run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 is on: a guest could forge those "
		   "of the host",
		   "iommufd has an allow_unsafe_interrupts of its own, and refuses devices "
		   "without; --iommu type1 does not");
	fake_sysfs_file(&fs, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y\n");
	run();
	assert_row("  warn  interrupt-remapping   interrupts do not seem to be remapped, and "
		   "allow_unsafe_interrupts of vfio_iommu_type1 and iommufd is on: a guest could "
		   "forge those of the host\n",
		   NULL);
}

static void states_of_power_and_link(void **state)
{
	fake_host_desktop(&fs);
	fake_host_attr(&fs, GPU, "power_state", "D3hot\n");
	fake_host_attr(&fs, GPU, "current_link_width", "16\n");
	fake_host_attr(&fs, GPU, "current_link_speed", "2.5 GT/s PCIe\n");
	run();
	assert_row("  info  power                 it is asleep (D3hot), and is woken first\n",
		   NULL);
	assert_row("  info  link                  PCIe x16 at 2.5 of 16 GT/s: many GPUs are slower "
		   "while they idle\n",
		   NULL);
	fake_host_attr(&fs, GPU, "power/runtime_status", "error\n");
	run();
	assert_row("  warn  power                 the kernel failed to wake it, or to put it to "
		   "sleep",
		   "only a power cycle of the host may bring it back");
}

static void kernels_get_what_they_have(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "dev/iommu", "%s", "");
	fake_sysfs_file(&fs, "proc/sys/kernel/osrelease", "5.4.0\n");
	run();
	assert_int_equal(status, ERR_HOST);
	assert_row("  fail  kernel                Linux 5.4.0 is too old: it lacks what KVM guests "
		   "here need",
		   "use Linux 5.10 or newer");
	assert_row("  info  vfio                  vfio_iommu_type1 is neither", NULL);
	fake_sysfs_file(&fs, "proc/sys/kernel/osrelease", "6.18.2\n");
	run();
	assert_row("  pass  iommufd               /dev/iommu is there; it is used where it can "
		   "be\n",
		   NULL);
	assert_row("  pass  bar-pages ", NULL);
	assert_row("  pass  bar-dma ", NULL);
	assert_row("  info  bar-iommufd ", NULL);
}

static void json_has_every_row(void **state)
{
	uint32_t list, dev, row;
	struct json json;
	unsigned rows = 0;

	fake_host_desktop(&fs);
	add_modules("6.12.9-arch1-1");
	config.json = true;
	run();
	len = strlen(text);
	assert_int_equal(json_parse(text, len, &json), 0);
	assert_true(json_is(&json, json_member(&json, 0, "exit_status"), JSON_NUMBER));
	assert_memory_equal(text + json.tokens[json_member(&json, 0, "warnings")].start, "5,", 2);
	assert_memory_equal(text + json.tokens[json_member(&json, 0, "memory")].start,
			    "4294967296,", 11);
	list = json_member(&json, json_member(&json, 0, "host"), "checks");
	for (row = json_next(&json, list, JSON_NONE); row != JSON_NONE;
	     row = json_next(&json, list, row))
		rows++;
	assert_int_equal(rows, 19);
	dev = json_next(&json, json_member(&json, 0, "devices"), JSON_NONE);
	assert_true(json_equals(&json, json_member(&json, dev, "address"), GPU));
	list = json_member(&json, dev, "checks");
	row = json_next(&json, list, JSON_NONE);
	assert_true(json_equals(&json, json_member(&json, row, "check"), "device"));
	assert_true(json_equals(&json, json_member(&json, row, "status"), "pass"));
	assert_true(json_is(&json, json_member(&json, row, "mend"), JSON_NULL));
	row = json_next(&json, list, row);
	assert_true(json_equals(&json, json_member(&json, row, "status"), "warn"));
	assert_true(json_equals(&json, json_member(&json, row, "mend"),
				"pass them together: --gpu 0000:01:00.0 --gpu 0000:01:00.1"));
	json_fini(&json);
}

static void colors_are_for_terminals_that_want_them(void **state)
{
	fake_host_desktop(&fs);
	config.color = true;
	run();
	assert_row("  \033[32mpass\033[0m  kernel ", NULL);
	config.color = false;
	run();
	assert_no_row("\033");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(laptop_cannot_pass_anything),
		TEST(helpers_are_found_where_a_run_looks),
		TEST(only_what_matters_on_a_narrow_terminal),
		TEST(all_functions_of_the_card_are_given),
		TEST(two_gpus_of_one_group_go_together),
		TEST(first_failure_decides_the_exit_status),
		TEST(device_that_is_not_there),
		TEST(devices_without_attributes),
		TEST(host_without_anything),
		TEST(a_node_with_too_little_room_is_told),
		TEST(guest_memory_and_the_iommu),
		TEST(who_has_the_device),
		TEST(device_that_is_bound_for_good),
		TEST(guest_that_was_not_reset_away),
		TEST(files_of_what_vfio_has_already),
		TEST(ordinary_user_is_told_what_takes_root),
		TEST(interrupts_that_are_not_remapped),
		TEST(interrupts_that_are_not_remapped_with_iommufd),
		TEST(states_of_power_and_link),
		TEST(kernels_get_what_they_have),
		TEST(json_has_every_row),
		TEST(colors_are_for_terminals_that_want_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
