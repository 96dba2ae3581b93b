/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of the devices of real kinds of hosts, and of broken ones. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_hosts.h"
#include "vfio/host_info.h"
#include "vfio/pci_names.h"

#define GPU "0000:01:00.0"

static struct fake_sysfs fs;
static struct host_info info;

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	return 0;
}

static int teardown(void **state)
{
	assert_string_equal(fake_sysfs_writes(&fs), "");
	fake_sysfs_fini(&fs);
	return 0;
}

static void read_info(const char *bdf)
{
	struct pci_addr addr;

	assert_true(pci_addr_scan(bdf, &addr));
	memset(&info, 0x5a, sizeof(info));
	host_info_read(fs.root, addr, &info);
	assert_int_equal(pci_addr_compare(info.addr, addr), 0);
}

static void gpu_of_a_desktop(void **state)
{
	fake_host_desktop(&fs);
	read_info(GPU);
	assert_int_equal(info.vendor, 0x10de);
	assert_int_equal(info.device, 0x2204);
	assert_int_equal(info.class, 0x030000);
	assert_true(info.gpu);
	assert_false(info.bridge);
	assert_true(info.config_whole);
	assert_string_equal(info.driver, "nvidia");
	assert_true(info.has_group);
	assert_int_equal(info.group, 13);
	assert_int_equal(info.member_count, 3);
	assert_true(info.members[0].bridge);
	assert_string_equal(pci_addr_text(info.members[2].addr).s, "0000:01:00.1");
	assert_string_equal(info.members[2].driver, "snd_hda_intel");
	assert_int_equal(info.numa_node, -1);
	assert_int_equal(info.bars[0].size, 16 * MiB);
	assert_false(info.bars[0].mem64);
	assert_int_equal(info.bars[1].size, 256 * MiB);
	assert_true(info.bars[1].mem64 && info.bars[1].prefetch);
	assert_int_equal(info.bars[1].largest, 32 * GiB);
	assert_int_equal(info.bars[2].size, 0);
	assert_true(info.bars[5].io);
	assert_int_equal(info.rom_size, 512 * KiB);
	assert_true(info.resize_known);
	assert_true(info.can_reset);
	assert_string_equal(info.reset_methods, "bus");
	assert_true(info.boot_display);
	assert_string_equal(info.power_state, "D0");
	assert_true(info.link.max_speed == 16);
	assert_int_equal(info.link.width, 8);
	assert_int_equal(info.link.max_width, 16);
	assert_int_equal(info.aer_fatal, 1);
	assert_int_equal(info.aer_nonfatal, 0);
	assert_int_equal(info.vfs, 0);
}

static void gpu_of_a_laptop_without_iommu(void **state)
{
	fake_host_laptop(&fs);
	read_info("0000:00:02.0");
	assert_false(info.has_group);
	assert_int_equal(info.member_count, 0);
	assert_false(info.config_whole);
	assert_false(info.resize_known);
	assert_string_equal(info.framebuffer, "fb0");
	read_info(GPU);
	assert_false(info.can_reset);
	assert_string_equal(info.power_state, "D3cold");
	assert_true(info.d3cold_allowed);
	assert_string_equal(info.runtime_status, "suspended");
}

static void resizable_sizes_are_told_without_root(void **state)
{
	fake_host_laptop(&fs);
	fake_host_attr(&fs, GPU, "resource1_resize", "000000000000ffc0\n");
	read_info(GPU);
	assert_true(info.resize_known);
	assert_int_equal(info.bars[1].largest, 32 * GiB);
}

static void reset_of_an_older_kernel_has_no_name(void **state)
{
	fake_host_laptop(&fs);
	fake_host_attr(&fs, GPU, "reset", "%s", "");
	read_info(GPU);
	assert_true(info.can_reset);
	assert_string_equal(info.reset_methods, "");
}

static void devices_of_a_server(void **state)
{
	fake_host_server(&fs);
	read_info("0000:41:00.0");
	assert_int_equal(info.numa_node, 0);
	assert_int_equal(info.member_count, 4);
	assert_int_equal(info.bars[2].size, 128 * GiB);
	assert_int_equal(info.bars[2].largest, 0);
	read_info("0000:81:00.0");
	assert_int_equal(info.vfs, 4);
	read_info("0000:c1:00.0");
	assert_false(info.bridge);
	assert_int_equal(info.vendor, 0x10de);
	read_info("0000:e1:00.0");
	assert_true(info.gpu);
	assert_string_equal(info.driver, "vfio-pci");
	read_info("0000:40:01.0");
	assert_true(info.bridge);
}

static void missing_files_are_unknown(void **state)
{
	fake_host_bare(&fs);
	read_info(GPU);
	assert_int_equal(info.class, 0x030000);
	read_info("0000:02:00.0");
	assert_int_equal(info.vendor, 0xffff);
	assert_false(info.gpu || info.bridge || info.has_group || info.can_reset);
	assert_int_equal(info.numa_node, -1);
	assert_int_equal(info.link.width, 0);
	read_info("0000:09:00.0"); /* not even there */
	assert_int_equal(info.vendor, 0xffff);
}

/* Overwrites 4 bytes of the configuration space. */
static void poke_config(unsigned off, uint32_t val)
{
	char path[256];
	uint8_t bytes[4];
	int fd;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" GPU "/config", fs.root);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	store_le(bytes, 4, val);
	assert_int_equal(pwrite(fd, bytes, 4, off), 4);
	close(fd);
}

static void odd_capabilities_end_the_search(void **state)
{
	fake_host_desktop(&fs);
	/* Points at itself. */
	poke_config(PCI_CFG_SPACE_SIZE, PCI_EXT_CAP_ID_VNDR | 1 << 16 | PCI_CFG_SPACE_SIZE << 20);
	read_info(GPU);
	assert_int_equal(info.bars[1].largest, 0);
	/* A resizable BAR at the end of the space, of more registers than have room. */
	poke_config(PCI_CFG_SPACE_SIZE, PCI_EXT_CAP_ID_VNDR | 1 << 16 | 0xff4u << 20);
	poke_config(0xff4, PCI_EXT_CAP_ID_REBAR | 1 << 16);
	poke_config(0xff4 + PCI_REBAR_CAP, 0x30);
	poke_config(0xff4 + PCI_REBAR_CTRL, 1 | 7 << PCI_REBAR_CTRL_NBAR_SHIFT);
	read_info(GPU);
	assert_int_equal(info.bars[1].largest, 2 * MiB);
	/* One dword before the end. */
	poke_config(PCI_CFG_SPACE_SIZE, PCI_EXT_CAP_ID_VNDR | 1 << 16 | 0xffcu << 20);
	poke_config(0xffc, PCI_EXT_CAP_ID_REBAR | 1 << 16);
	read_info(GPU);
	assert_int_equal(info.bars[1].largest, 0);
	/* Of a BAR that there is not. */
	poke_config(PCI_CFG_SPACE_SIZE, PCI_EXT_CAP_ID_VNDR | 1 << 16 | 0x200u << 20);
	poke_config(0x200, PCI_EXT_CAP_ID_REBAR | 1 << 16);
	poke_config(0x200 + PCI_REBAR_CAP, 0x30);
	poke_config(0x200 + PCI_REBAR_CTRL, 7 | 1 << PCI_REBAR_CTRL_NBAR_SHIFT);
	read_info(GPU);
	assert_int_equal(info.bars[1].largest, 0);
}

static void list_is_in_the_order_of_lspci(void **state)
{
	struct pci_addr *addrs;
	unsigned count;

	fake_host_server(&fs);
	assert_int_equal(host_info_list(fs.root, &addrs, &count), 0);
	assert_int_equal(count, 7);
	assert_string_equal(pci_addr_text(addrs[0]).s, "0000:40:01.0");
	assert_string_equal(pci_addr_text(addrs[6]).s, "0000:e1:00.0");
	free(addrs);
}

static void assert_name(unsigned vendor, unsigned device, const char *name)
{
	char buf[PCI_NAME_SIZE];
	struct pci_names names;

	pci_names_init(&names, fs.root);
	pci_names_find(&names, vendor, device, buf);
	assert_string_equal(buf, name);
	pci_names_fini(&names);
}

static void names_come_from_pci_ids(void **state)
{
	assert_name(0x10de, 0x2204, "10de:2204");
	fake_host_laptop(&fs);
	assert_name(0x10de, 0x2204, "NVIDIA GA102 [GeForce RTX 3090]");
	assert_name(0x1002, 0x74a1, "AMD/ATI Aqua Vanjaram [Instinct MI300X]");
	assert_name(0x8086, 0x46a6, "Intel Alder Lake-P GT2 [Iris Xe Graphics]");
	assert_name(0x10de, 0x9999, "NVIDIA 9999");
	assert_name(0x8086, 0x2204, "Intel 2204"); /* another vendor's device */
	assert_name(0x8086, 0x1028, "Intel 1028"); /* a subsystem */
	assert_name(0x1234, 0x1111, "1234:1111");
	assert_name(0x0003, 0x1111, "0003:1111"); /* a class */
}

static void odd_names_are_harmless(void **state)
{
	fake_sysfs_file(&fs, "usr/share/misc/pci.ids", "%s",
			"\n10de  \x1b[2J[\n\t2204  \xff\r\n1002  []");
	assert_name(0x10de, 0x2204, "?[2J[ ?");
	assert_name(0x1002, 0x0001, "[] 0001");
	assert_name(0x1002, 0x2204, "[] 2204");
	fake_sysfs_file(&fs, "usr/share/hwdata/pci.ids", "%s", "\n10de  The first list\n");
	assert_name(0x10de, 0x2204, "The first list 2204");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gpu_of_a_desktop),
		TEST(gpu_of_a_laptop_without_iommu),
		TEST(resizable_sizes_are_told_without_root),
		TEST(reset_of_an_older_kernel_has_no_name),
		TEST(devices_of_a_server),
		TEST(missing_files_are_unknown),
		TEST(odd_capabilities_end_the_search),
		TEST(list_is_in_the_order_of_lspci),
		TEST(names_come_from_pci_ids),
		TEST(odd_names_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
