/* SPDX-License-Identifier: Apache-2.0 */
/* Which GPUs of a host are put into one clique: its PCI tree in a fake sysfs. */
#include <errno.h>
#include <stdio.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "fake_sysfs.h"
#include "vfio/clique.h"

static struct fake_sysfs fs;
static struct vfio_clique_member members[8];
static unsigned count;

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	memset(members, 0, sizeof(members));
	count = 0;
	return 0;
}

static int teardown(void **state)
{
	fake_sysfs_fini(&fs);
	return 0;
}

/* A device at `path` below /sys/devices. */
static void add_pci(const char *path, unsigned vendor, unsigned device, unsigned class)
{
	const char *bdf = strrchr(path, '/') + 1;
	char file[256], target[256];

	snprintf(file, sizeof(file), "sys/devices/%s/vendor", path);
	fake_sysfs_file(&fs, file, "0x%04x\n", vendor);
	snprintf(file, sizeof(file), "sys/devices/%s/device", path);
	fake_sysfs_file(&fs, file, "0x%04x\n", device);
	snprintf(file, sizeof(file), "sys/devices/%s/class", path);
	fake_sysfs_file(&fs, file, "0x%06x\n", class);
	snprintf(file, sizeof(file), "sys/bus/pci/devices/%s", bdf);
	snprintf(target, sizeof(target), "../../../devices/%s", path);
	fake_sysfs_link(&fs, file, target);
}

/* A GPU of NVIDIA that the guest gets. */
static void add_gpu(const char *path)
{
	add_pci(path, 0x10de, 0x2330, 0x030200);
	assert_true(pci_addr_scan(strrchr(path, '/') + 1, &members[count++].addr));
}

/* "0 0 - 1": the cliques of all members, in their order. */
static const char *chosen(void)
{
	static char text[64];

	text[0] = '\0';
	vfio_clique_choose(fs.root, members, count);
	for (unsigned i = 0; i < count; i++) {
		const struct vfio_clique *c = &members[i].clique;
		const size_t len = strlen(text);

		assert_int_not_equal(c->kind, VFIO_CLIQUE_AUTO);
		if (c->kind == VFIO_CLIQUE_ID)
			snprintf(text + len, sizeof(text) - len, "%s%u", i ? " " : "", c->id);
		else
			snprintf(text + len, sizeof(text) - len, "%s-", i ? " " : "");
	}
	return text;
}

#define SWITCH "pci0000:00/0000:00:01.0/0000:01:00.0"

static void gpus_of_a_switch_are_a_clique(void **state)
{
	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	add_gpu(SWITCH "/0000:02:01.0/0000:04:00.0");
	add_gpu("pci0000:00/0000:00:02.0/0000:05:00.0");
	assert_string_equal(chosen(), "0 0 -");
}

static void two_switches_are_two_cliques(void **state)
{
	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	add_gpu("pci0000:80/0000:80:01.0/0000:81:00.0/0000:82:00.0/0000:83:00.0");
	add_gpu(SWITCH "/0000:02:01.0/0000:04:00.0");
	add_gpu("pci0000:80/0000:80:01.0/0000:81:00.0/0000:82:01.0/0000:84:00.0");
	assert_string_equal(chosen(), "0 1 0 1");
}

static void ports_of_an_unknown_root_complex_are_not_trusted(void **state)
{
	add_pci("pci0000:00/0000:00:00.0", 0x8086, 0x3e30, 0x060000);
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\n");
	add_gpu("pci0000:00/0000:00:01.0/0000:01:00.0");
	add_gpu("pci0000:00/0000:00:02.0/0000:02:00.0");
	assert_string_equal(chosen(), "- -");
}

static void ports_of_a_server_of_intel_are(void **state)
{
	add_pci("pci0000:00/0000:00:00.0", 0x8086, 0x2020, 0x060000);
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\n");
	add_gpu("pci0000:00/0000:00:01.0/0000:01:00.0");
	add_gpu("pci0000:00/0000:00:02.0/0000:02:00.0");
	add_gpu("pci0000:80/0000:80:02.0/0000:82:00.0"); /* of another socket */
	assert_string_equal(chosen(), "0 0 -");
}

static void ports_of_amd_are_since_zen(void **state)
{
	add_gpu("pci0000:40/0000:40:01.1/0000:41:00.0");
	add_gpu("pci0000:40/0000:40:03.1/0000:42:00.0");
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\ncpu family\t: 25\n");
	assert_string_equal(chosen(), "0 0");
	fake_sysfs_file(&fs, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\ncpu family\t: 21\n");
	members[0].clique = members[1].clique = (struct vfio_clique){ 0 };
	assert_string_equal(chosen(), "- -");
}

static void other_devices_are_in_no_clique(void **state)
{
	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	add_pci(SWITCH "/0000:02:01.0/0000:04:00.0", 0x15b3, 0x1021, 0x020700);
	assert_true(pci_addr_scan("0000:04:00.0", &members[count++].addr));
	add_pci(SWITCH "/0000:02:00.0/0000:03:00.1", 0x10de, 0x10f0, 0x040300);
	assert_true(pci_addr_scan("0000:03:00.1", &members[count++].addr));
	assert_string_equal(chosen(), "- - -");
}

static void what_the_user_said_stays(void **state)
{
	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	add_gpu(SWITCH "/0000:02:01.0/0000:04:00.0");
	add_gpu(SWITCH "/0000:02:02.0/0000:05:00.0");
	add_gpu(SWITCH "/0000:02:03.0/0000:06:00.0");
	add_gpu("pci0000:80/0000:80:02.0/0000:82:00.0");
	members[1].clique.kind = VFIO_CLIQUE_NONE;
	members[4].clique = (struct vfio_clique){ VFIO_CLIQUE_ID, 0 };
	assert_string_equal(chosen(), "1 - 1 1 0");
}

static void egress_control_parts_them(void **state)
{
	char config[4096] = { 0 }, path[256];
	FILE *f;

	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	add_gpu(SWITCH "/0000:02:01.0/0000:04:00.0");
	store_le((uint8_t *)config + 0x100, 4, PCI_EXT_CAP_ID_ERR | 1u << 16 | 0x140u << 20);
	store_le((uint8_t *)config + 0x140, 4, PCI_EXT_CAP_ID_ACS | 1u << 16);
	store_le((uint8_t *)config + 0x140 + PCI_ACS_CTRL, 2, PCI_ACS_RR | PCI_ACS_CR);
	snprintf(path, sizeof(path), "%s/sys/devices/" SWITCH "/0000:02:01.0/config", fs.root);
	for (unsigned pass = 0; pass < 2; pass++) {
		f = fopen(path, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(config, sizeof(config), 1, f), 1);
		fclose(f);
		members[0].clique = members[1].clique = (struct vfio_clique){ 0 };
		/* What is redirected goes by the root complex, as all does. */
		assert_string_equal(chosen(), pass ? "- -" : "0 0");
		config[0x140 + PCI_ACS_CTRL] |= PCI_ACS_EC;
	}
}

static void devices_behind_a_volume_management_device(void **state)
{
	add_gpu("pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:01.0/10000:e1:00.0/10000:e2:00.0/"
		"10000:e3:00.0");
	add_gpu("pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:01.0/10000:e1:00.0/10000:e2:01.0/"
		"10000:e4:00.0");
	assert_string_equal(chosen(), "0 0");
}

static void device_that_is_not_there_is_in_no_clique(void **state)
{
	add_gpu(SWITCH "/0000:02:00.0/0000:03:00.0");
	assert_true(pci_addr_scan("0000:09:00.0", &members[count++].addr));
	assert_string_equal(chosen(), "- -");
}

static void only_gpus_of_nvidia_can_be_told_of_one(void **state)
{
	add_gpu("pci0000:00/0000:00:01.0/0000:01:00.0");
	assert_int_equal(vfio_clique_check(fs.root, members[0].addr), 0);
	add_pci("pci0000:00/0000:00:01.0/0000:01:00.1", 0x10de, 0x10f9, 0x040300);
	add_pci("pci0000:00/0000:00:02.0/0000:02:00.0", 0x1002, 0x73bf, 0x030000);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(pci_addr_scan(i ? "0000:02:00.0" : "0000:01:00.1", &members[1].addr));
		assert_int_equal(vfio_clique_check(fs.root, members[1].addr), -EINVAL);
		assert_int_equal(err_kind(), ERR_USAGE);
	}
	assert_string_equal(err_text(), "--gpu 0000:02:00.0: clique is for GPUs of NVIDIA");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(gpus_of_a_switch_are_a_clique),
		T(two_switches_are_two_cliques),
		T(ports_of_an_unknown_root_complex_are_not_trusted),
		T(ports_of_a_server_of_intel_are),
		T(ports_of_amd_are_since_zen),
		T(other_devices_are_in_no_clique),
		T(what_the_user_said_stays),
		T(egress_control_parts_them),
		T(devices_behind_a_volume_management_device),
		T(device_that_is_not_there_is_in_no_clique),
		T(only_gpus_of_nvidia_can_be_told_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
