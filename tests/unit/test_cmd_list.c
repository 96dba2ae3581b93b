/* SPDX-License-Identifier: Apache-2.0 */
/* What `tinyvmm list` prints on several hosts, to the letter. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/cmd_list.h"
#include "cli/commands.h"
#include "core/err.h"
#include "fake_hosts.h"
#include "firmware-loader/json.h"

static struct fake_sysfs fs;
static char *text;
static size_t len;

/* Of the program, which is not linked. */
int command_failed(void)
{
	fail_msg("%s", err_text());
	return 1;
}

void command_recover(void)
{
	fail();
}

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	text = NULL;
	return 0;
}

static int teardown(void **state)
{
	free(text);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	/* No lease, not even the directory for it. */
	assert_false(fake_sysfs_exists(&fs, "run/tinyvmm"));
	fake_sysfs_fini(&fs);
	return 0;
}

static void list(bool all, bool json, unsigned width)
{
	const struct list_config config = { fs.root, all, json, width };
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_int_equal(list_print(&config, out), 0);
	fclose(out);
}

static void assert_lists(bool all, unsigned width, const char *expected)
{
	list(all, false, width);
	assert_string_equal(text, expected);
}

static void laptop_has_no_iommu(void **state)
{
	fake_host_laptop(&fs);
	assert_lists(
		false, 80,
		"ADDRESS       NAME                          DRIVER  BARS        RESET   STATE\n"
		"0000:00:02.0  Intel Alder Lake-P GT2 [I...  i915    16M+256M    flr,pm  no IOMMU\n"
		"0000:01:00.0  NVIDIA GA102 [GeForce RTX...  nvidia  16M+8G+32M  none    no IOMMU\n"
		"\n"
		"tinyvmm doctor says more, and what to do about it.\n");
	/* For programs that read lines: whole names, and nothing but the table. */
	assert_lists(false, 0,
		     "ADDRESS       NAME                                       DRIVER  BARS        "
		     "RESET   STATE\n"
		     "0000:00:02.0  Intel Alder Lake-P GT2 [Iris Xe Graphics]  i915    16M+256M    "
		     "flr,pm  no IOMMU\n"
		     "0000:01:00.0  NVIDIA GA102 [GeForce RTX 3090]            nvidia  16M+8G+32M  "
		     "none    no IOMMU\n");
}

static void gpu_of_a_desktop_goes_with_its_audio_function(void **state)
{
	fake_host_desktop(&fs);
	assert_lists(
		false, 80,
		"ADDRESS       NAME                      DRIVER  GROUP    BARS              RESET\n"
		"0000:01:00.0  NVIDIA GA102 [GeForce...  nvidia  13 (.1)  16M+256M/32G+32M  bus\n"
		"              ready with .1; boot display\n");
	assert_lists(true, 0,
		     "ADDRESS       NAME                                           DRIVER         "
		     "GROUP    BARS              RESET    STATE\n"
		     "0000:01:00.0  NVIDIA GA102 [GeForce RTX 3090]                nvidia         "
		     "13 (.1)  16M+256M/32G+32M  bus      ready with .1; boot display\n"
		     "0000:01:00.1  NVIDIA GA102 High Definition Audio Controller  snd_hda_intel  "
		     "13 (.0)  16K               bus      ready with .0\n"
		     "0000:02:00.0  144d:a80c                                      nvme           "
		     "14       16K               flr,bus  ready\n");
}

static void server_says_what_each_gpu_lacks(void **state)
{
	fake_host_server(&fs);
	assert_lists(
		false, 0,
		"ADDRESS       NAME                                     DRIVER    GROUP         "
		"NUMA  BARS          RESET    STATE\n"
		"0000:41:00.0  NVIDIA GH100 [H100 SXM5 80GB]            nvidia    20 (42:00.0)  0  "
		"   16M+128G+32M  flr,bus  group shared with 0000:42:00.0 (nvidia)\n"
		"0000:42:00.0  NVIDIA GH100 [H100 SXM5 80GB]            nvidia    20 (41:00.0)  0  "
		"   16M+128G+32M  flr,bus  group shared with 0000:41:00.0 (nvidia)\n"
		"0000:81:00.0  Intel Ponte Vecchio                      i915      30            1  "
		"   16M+64G       flr      4 virtual functions are on\n"
		"0000:c1:00.0  NVIDIA GH100 [H100 SXM5 80GB]            nvidia    35            1  "
		"   16M+128G+32M  flr,bus  fell off the bus\n"
		"0000:e1:00.0  AMD/ATI Aqua Vanjaram [Instinct MI300X]  vfio-pci  40            1  "
		"   256G+2M+512K  flr,bus  ready\n");
}

static void devices_without_attributes_are_listed(void **state)
{
	fake_host_bare(&fs);
	assert_lists(true, 0,
		     "ADDRESS       NAME       DRIVER  BARS  RESET  STATE\n"
		     "0000:01:00.0  ffff:ffff  -       -     none   unreadable\n"
		     "0000:02:00.0  ffff:ffff  -       -     none   unreadable\n");
}

static void host_without_gpu_is_told_to_people_only(void **state)
{
	assert_lists(false, 80,
		     "No GPU is here. tinyvmm list --all lists the 0 other PCI devices.\n");
	assert_lists(false, 0, "ADDRESS  NAME  DRIVER  BARS  RESET  STATE\n");
	list(false, true, 0);
	assert_string_equal(text, "{\n  \"devices\": []\n}\n");
	/* Not even a PCI bus. */
	fake_sysfs_unlink(&fs, "sys/bus/pci/devices");
	assert_lists(false, 0, "ADDRESS  NAME  DRIVER  BARS  RESET  STATE\n");
}

/* The last line of the piped table ends with this. */
static void assert_state(const char *bdf, const char *expected)
{
	const char *line, *end;

	list(true, false, 0);
	line = strstr(text, bdf);
	assert_non_null(line);
	end = strchr(line, '\n');
	assert_true((size_t)(end - line) > strlen(expected));
	assert_memory_equal(end - strlen(expected), expected, strlen(expected));
}

static void every_reason_has_its_words(void **state)
{
	struct stat st;
	char path[256];

	fake_host_desktop(&fs);
	fake_sysfs_unlink(&fs, "dev/kvm");
	assert_state("0000:02:00.0", "  no /dev/kvm");
	fake_sysfs_file(&fs, "dev/kvm", "%s", "");

	/* A process has the card open, and NVIDIA's driver would wait for it. */
	fake_sysfs_link(&fs, "proc/812/fd/3", "/dev/dri/card0");
	fake_sysfs_file(&fs, "proc/812/comm", "%s", "Xorg\x1b[31m\n");
	fake_host_attr(&fs, "0000:01:00.0", "drm/card0/dev", "226:0\n");
	assert_state("0000:01:00.0", "  in use by Xorg?[31m (pid 812)");

	/* A lease of a run, as the kernel lists it. */
	fake_sysfs_file(&fs, "run/tinyvmm/0000:02:00.0.lock", "900\n");
	snprintf(path, sizeof(path), "%s/run/tinyvmm/0000:02:00.0.lock", fs.root);
	assert_int_equal(stat(path, &st), 0);
	fake_sysfs_file(&fs, "proc/locks", "1: FLOCK  ADVISORY  WRITE 900 %02x:%02x:%llu 0 EOF\n",
			major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	assert_state("0000:02:00.0", "  in use by tinyvmm (pid 900)");
	list(true, true, 0);
	assert_non_null(strstr(text, "\"in_use_by_pid\": 900,"));
	fake_sysfs_unlink(&fs, "run/tinyvmm/0000:02:00.0.lock");
	fake_sysfs_unlink(&fs, "run/tinyvmm");
}

static void device_of_another_program_is_in_use(void **state)
{
	fake_host_server(&fs);
	fake_sysfs_unlink(&fs, "dev/vfio/40");
	assert_state("0000:e1:00.0", "  no /dev/vfio/40");
	fake_sysfs_file(&fs, "dev/vfio/40", "%s", "");
	assert_state("0000:e1:00.0", "  ready");
	fake_sysfs_link(&fs, "proc/77/fd/9", "/dev/vfio/40");
	fake_sysfs_file(&fs, "proc/77/comm", "qemu-system-x86\n");
	assert_state("0000:e1:00.0", "  in use by qemu-system-x86 (pid 77)");
}

static void memory_of_the_firmware_is_in_the_way(void **state)
{
	fake_host_server(&fs);
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/40/reserved_regions", "%s",
			"0x00000000bde00000 0x00000000bdefffff direct\n");
	assert_state("0000:e1:00.0", "  the firmware keeps memory for it (RMRR)");
}

static void no_iommu_mode_does_not_count(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/14/name", "vfio-noiommu\n");
	assert_state("0000:02:00.0", "  no IOMMU");
}

static void json_is_json(void **state)
{
	uint32_t devices, gpu, member, bars, bar;
	struct json json;
	char buf[64];

	fake_host_desktop(&fs);
	list(false, true, 0);
	assert_int_equal(json_parse(text, len, &json), 0);
	devices = json_member(&json, 0, "devices");
	gpu = json_next(&json, devices, JSON_NONE);
	assert_true(json_equals(&json, json_member(&json, gpu, "address"), "0000:01:00.0"));
	assert_true(json_equals(&json, json_member(&json, gpu, "name"),
				"NVIDIA GA102 [GeForce RTX 3090]"));
	assert_true(json_equals(&json, json_member(&json, gpu, "id"), "10de:2204"));
	assert_true(json_is(&json, json_member(&json, gpu, "group"), JSON_NUMBER));
	assert_true(json_is(&json, json_member(&json, gpu, "numa_node"), JSON_NULL));
	assert_true(json_is(&json, json_member(&json, gpu, "ready"), JSON_TRUE));
	assert_true(json_is(&json, json_member(&json, gpu, "reason"), JSON_NULL));
	member = json_next(&json, json_member(&json, gpu, "pass_with"), JSON_NONE);
	assert_int_equal(json_string(&json, member, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "0000:01:00.1");
	bars = json_member(&json, gpu, "bars");
	bar = json_next(&json, bars, json_next(&json, bars, JSON_NONE));
	bar = json_member(&json, bar, "largest_size");
	assert_memory_equal(text + json.tokens[bar].start, "34359738368", 11);
	assert_int_equal(json_next(&json, devices, gpu), JSON_NONE);
	json_fini(&json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(laptop_has_no_iommu),
		TEST(gpu_of_a_desktop_goes_with_its_audio_function),
		TEST(server_says_what_each_gpu_lacks),
		TEST(devices_without_attributes_are_listed),
		TEST(host_without_gpu_is_told_to_people_only),
		TEST(every_reason_has_its_words),
		TEST(device_of_another_program_is_in_use),
		TEST(memory_of_the_firmware_is_in_the_way),
		TEST(no_iommu_mode_does_not_count),
		TEST(json_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
