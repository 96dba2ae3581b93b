/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of `tinyvmm doctor` as a whole: its text, its JSON, and the exit status. What it
 * finds: test_doctor_host.c, test_doctor_device.c.
 */
#include "cmocka_all.h"

#include "core/err.h"
#include "doctor_visit.h"
#include "fake_hosts.h"
#include "firmware-loader/json.h"

#define GPU "0000:01:00.0"

static void laptop_cannot_pass_anything(void **state)
{
	fake_host_laptop(&visit.fs);
	visit_add_modules("6.1.0-25-amd64");
	visit_run();
	assert_int_equal(visit.status, ERR_HOST);
	assert_string_equal(
		visit.text,
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
		"  pass  command               the agent is there\n"
		"  pass  command               the kernel can be read\n"
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

static void only_what_matters_on_a_narrow_terminal(void **state)
{
	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit.config.width = 80;
	visit.config.quiet = true;
	visit_run();
	assert_int_equal(visit.status, 0);
	assert_string_equal(
		visit.text,
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
	visit_give("0000:02:00.0", NULL);
	visit_run();
	assert_string_equal(visit.text, "0 failures, 0 warnings\n");
}

static void first_failure_decides_the_exit_status(void **state)
{
	fake_host_server(&visit.fs);
	visit_add_modules("6.19.0-generic");
	visit_run();
	assert_int_equal(visit.status, ERR_DEVICE);
	assert_row("  fail  virtual-functions     0000:81:00.0 has 4 virtual functions switched on",
		   "pass one of those, or switch them off: echo 0 > "
		   "/sys/bus/pci/devices/0000:81:00.0/sriov_numvfs");
	assert_row("  fail  device                0000:c1:00.0 does not answer: it reads as all "
		   "ones",
		   "it has fallen off the bus; a power cycle of the host may bring it back");
	visit.pin_error = "too much";
	visit_run();
	assert_int_equal(visit.status, ERR_LIMIT);
	assert_row("  fail  memlock               too much", "raise it");
	visit.kvm_error = "KVM is away";
	visit_run();
	assert_int_equal(visit.status, ERR_HOST);
	assert_row("  fail  kvm                   KVM is away\n", NULL);
	assert_row("  info  bars                  whether their 128G above 4G fit is seen with KVM "
		   "only\n",
		   NULL);
}

static void json_has_every_row(void **state)
{
	uint32_t list, dev, row;
	struct json json;
	unsigned rows = 0;

	fake_host_desktop(&visit.fs);
	visit_add_modules("6.12.9-arch1-1");
	visit.config.json = true;
	visit_run();
	assert_int_equal(json_parse(visit.text, strlen(visit.text), &json), 0);
	assert_true(json_is(&json, json_member(&json, 0, "exit_status"), JSON_NUMBER));
	assert_memory_equal(visit.text + json.tokens[json_member(&json, 0, "warnings")].start, "5,",
			    2);
	assert_memory_equal(visit.text + json.tokens[json_member(&json, 0, "memory")].start,
			    "4294967296,", 11);
	list = json_member(&json, json_member(&json, 0, "host"), "checks");
	for (row = json_next(&json, list, JSON_NONE); row != JSON_NONE;
	     row = json_next(&json, list, row))
		rows++;
	assert_int_equal(rows, 21);
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
	fake_host_desktop(&visit.fs);
	visit.config.color = true;
	visit_run();
	assert_row("  \033[32mpass\033[0m  kernel ", NULL);
	visit.config.color = false;
	visit_run();
	assert_no_row("\033");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, visit_setup, visit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(laptop_cannot_pass_anything),
		TEST(only_what_matters_on_a_narrow_terminal),
		TEST(first_failure_decides_the_exit_status),
		TEST(json_has_every_row),
		TEST(colors_are_for_terminals_that_want_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
