/* SPDX-License-Identifier: Apache-2.0 */
/* Whole hosts on a fake sysfs; see fake_hosts.h. */
#include "fake_hosts.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmocka_all.h"

#define MEM32    0x00040200u
#define MEM64    0x0014220cu /* prefetchable */
#define IO       0x00040101u
#define ROM      0x00046200u
#define REBAR_AT 0xbb0u

struct resource {
	uint64_t start, size;
	uint32_t flags;
};

struct device {
	struct fake_pci_device basic;
	uint16_t vendor, device;
	int numa_node;
	const char *resets; /* NULL: none */
	struct resource resources[7];
};

void fake_host_attr(struct fake_sysfs *fs, const char *bdf, const char *file, const char *fmt, ...)
{
	char path[256], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", bdf, file);
	fake_sysfs_file(fs, path, "%s", text);
}

void fake_host_config(struct fake_sysfs *fs, const char *bdf, bool answers, unsigned rebar_bar,
		      uint32_t rebar_sizes)
{
	uint8_t config[PCI_CFG_SPACE_EXP_SIZE] = { 0xde, 0x10, 0x04, 0x22 };
	char path[256];
	int fd;

	/* A capability that is none of ours comes first. */
	store_le(config + PCI_CFG_SPACE_SIZE, 4, PCI_EXT_CAP_ID_VNDR | 1 << 16 | REBAR_AT << 20);
	store_le(config + REBAR_AT, 4, rebar_sizes ? PCI_EXT_CAP_ID_REBAR | 1 << 16 : 0);
	store_le(config + REBAR_AT + PCI_REBAR_CAP, 4, (uint64_t)rebar_sizes << 4);
	store_le(config + REBAR_AT + PCI_REBAR_CTRL, 4, rebar_bar | 1 << PCI_REBAR_CTRL_NBAR_SHIFT);
	if (!answers)
		memset(config, 0xff, sizeof(config));
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/config", fs->root, bdf);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, config, sizeof(config)), sizeof(config));
	close(fd);
}

static void add(struct fake_sysfs *fs, const struct device *dev)
{
	const char *bdf = dev->basic.bdf;
	char text[512] = "";

	fake_sysfs_add_device(fs, &dev->basic);
	for (unsigned i = 0; i < ARRAY_SIZE(dev->resources); i++) {
		const struct resource *r = &dev->resources[i];

		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "0x%016llx 0x%016llx 0x%016llx\n", (unsigned long long)r->start,
			 (unsigned long long)(r->size ? r->start + r->size - 1 : 0),
			 (unsigned long long)r->flags);
	}
	fake_host_attr(fs, bdf, "resource", "%s", text);
	fake_host_attr(fs, bdf, "vendor", "0x%04x\n", dev->vendor);
	fake_host_attr(fs, bdf, "device", "0x%04x\n", dev->device);
	fake_host_attr(fs, bdf, "numa_node", "%d\n", dev->numa_node);
	fake_host_attr(fs, bdf, "power_state", "D0\n");
	if (dev->resets)
		fake_host_attr(fs, bdf, "reset_method", "%s\n", dev->resets);
}

static void add_link(struct fake_sysfs *fs, const char *bdf, unsigned width, unsigned max_width)
{
	fake_host_attr(fs, bdf, "current_link_speed", "16.0 GT/s PCIe\n");
	fake_host_attr(fs, bdf, "max_link_speed", "16.0 GT/s PCIe\n");
	fake_host_attr(fs, bdf, "current_link_width", "%u\n", width);
	fake_host_attr(fs, bdf, "max_link_width", "%u\n", max_width);
}

static void add_common(struct fake_sysfs *fs, const char *release, const char *vendor,
		       const char *flags)
{
	fake_sysfs_file(fs, "usr/share/misc/pci.ids",
			"# a comment\n"
			"1002  Advanced Micro Devices, Inc. [AMD/ATI]\n"
			"\t74a1  Aqua Vanjaram [Instinct MI300X]\n"
			"8086  Intel Corporation\n"
			"\t0bd5  Ponte Vecchio\n"
			"# between devices\n"
			"\t46a6  Alder Lake-P GT2 [Iris Xe Graphics]\n"
			"\t\t1028 0b14  a subsystem\n"
			"10de  NVIDIA Corporation\n"
			"\t2204  GA102 [GeForce RTX 3090]\n"
			"\t1aef  GA102 High Definition Audio Controller\n"
			"\t2330  GH100 [H100 SXM5 80GB]\n"
			"ffff  Illegal Vendor ID\n"
			"C 03  Display controller\n");
	fake_sysfs_file(fs, "proc/sys/kernel/osrelease", "%s\n", release);
	fake_sysfs_file(fs, "proc/cpuinfo",
			"processor\t: 0\nvendor_id\t: %s\nflags\t\t: fpu %s lm\n"
			"address sizes\t: 46 bits physical, 48 bits virtual\n\n"
			"processor\t: 1\nvendor_id\t: %s\n",
			vendor, flags, vendor);
	fake_sysfs_file(fs, "proc/meminfo",
			"MemTotal:       65536000 kB\nMemFree: 1 kB\nMemAvailable:   32768000 "
			"kB\n");
	fake_sysfs_file(fs, "dev/kvm", "%s", "");
}

void fake_host_laptop(struct fake_sysfs *fs)
{
	add_common(fs, "6.1.0-25-amd64", "GenuineIntel", "vmx");
	fake_sysfs_file(fs, "proc/interrupts", "  0:  9  IO-APIC   2-edge      timer\n");
	add(fs, &(struct device){
			.basic = { "0000:00:02.0", 0x030000, "i915", "i915", 0, 0 },
			.vendor = 0x8086,
			.device = 0x46a6,
			.numa_node = -1,
			.resets = "flr pm",
			.resources = { { 0x6000000000, 16 * MiB, MEM64 },
				       { 0 },
				       { 0x4000000000, 256 * MiB, MEM64 },
				       { 0 },
				       { 0x3000, 64, IO } },
		});
	fake_host_attr(fs, "0000:00:02.0", "boot_vga", "1\n");
	fake_host_attr(fs, "0000:00:02.0", "graphics/fb0/name", "i915drmfb\n");
	add(fs, &(struct device){
			.basic = { "0000:01:00.0", 0x030200, "nvidia", "nvidia", 0, 0x80 },
			.vendor = 0x10de,
			.device = 0x2204,
			.numa_node = -1,
			.resources = { { 0x80000000, 16 * MiB, MEM32 },
				       { 0x5000000000, 8 * GiB, MEM64 },
				       { 0 },
				       { 0x5200000000, 32 * MiB, MEM64 },
				       { 0 },
				       { 0x4000, 128, IO } },
		});
	fake_host_attr(fs, "0000:01:00.0", "power_state", "D3cold\n");
	fake_host_attr(fs, "0000:01:00.0", "d3cold_allowed", "1\n");
	fake_host_attr(fs, "0000:01:00.0", "power/runtime_status", "suspended\n");
	add(fs, &(struct device){
			.basic = { "0000:01:00.1", 0x040300, "snd_hda_intel", NULL, 0, 0x80 },
			.vendor = 0x10de,
			.device = 0x1aef,
			.numa_node = -1,
			.resources = { { 0x81000000, 16 * KiB, MEM32 } },
		});
}

static void add_iommus(struct fake_sysfs *fs, const char *kind, unsigned count)
{
	char path[128];

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(kind, "amd") == 0) {
			snprintf(path, sizeof(path), "sys/class/iommu/ivhd%u/amd-iommu/features",
				 i);
			/* Host address translation of 6 levels. */
			fake_sysfs_file(fs, path, "%s", "25bf732fa2295afe:1d\n");
		} else {
			snprintf(path, sizeof(path), "sys/class/iommu/dmar%u/intel-iommu/cap", i);
			/* Addresses of 57 bits, but 48 in the first. */
			fake_sysfs_file(fs, path, "%s\n",
					i ? "8d2078c10780466" : "8d2078c106f0466");
		}
	}
}

static void reserve(struct fake_sysfs *fs, unsigned group, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%u/reserved_regions", group);
	fake_sysfs_file(fs, path, "%s", text);
}

#define RESERVED_MSI "0x00000000fee00000 0x00000000feefffff msi\n"
#define RESERVED_HT  "0x000000fd00000000 0x000000ffffffffff reserved\n"

void fake_host_desktop(struct fake_sysfs *fs)
{
	add_common(fs, "6.12.9-arch1-1", "AuthenticAMD", "svm");
	add_iommus(fs, "amd", 1);
	fake_sysfs_file(fs, "proc/interrupts",
			"  0:  9  IR-IO-APIC   2-edge      timer\n"
			" 40:  7  IR-PCI-MSIX-0000:01:00.0   0-edge      nvidia\n");
	fake_sysfs_add_driver(fs, "vfio-pci");
	add(fs, &(struct device){
			.basic = { "0000:00:01.1", 0x060400, "pcieport", NULL, 13, 1 },
			.vendor = 0x1022,
			.device = 0x14db,
			.numa_node = -1,
		});
	add(fs, &(struct device){
			.basic = { "0000:01:00.0", 0x030000, "nvidia", "nvidia", 13, 0x80 },
			.vendor = 0x10de,
			.device = 0x2204,
			.numa_node = -1,
			.resets = "bus",
			.resources = { { 0xfb000000, 16 * MiB, MEM32 },
				       { 0x7fe0000000, 256 * MiB, MEM64 },
				       { 0 },
				       { 0x7ff0000000, 32 * MiB, MEM64 },
				       { 0 },
				       { 0xe000, 128, IO },
				       { 0xfc000000, 512 * KiB, ROM } },
		});
	/* 64 MiB to 32 GiB. */
	fake_host_config(fs, "0000:01:00.0", true, 1, 0xffc0);
	add_link(fs, "0000:01:00.0", 8, 16);
	fake_host_attr(fs, "0000:01:00.0", "boot_vga", "1\n");
	fake_host_attr(fs, "0000:01:00.0", "aer_dev_fatal",
		       "Undefined 0\nDLP 1\nTOTAL_ERR_FATAL 1\n");
	add(fs, &(struct device){
			.basic = { "0000:01:00.1", 0x040300, "snd_hda_intel", "snd_hda_intel", 13,
				   0x80 },
			.vendor = 0x10de,
			.device = 0x1aef,
			.numa_node = -1,
			.resets = "bus",
			.resources = { { 0xfc080000, 16 * KiB, MEM32 } },
		});
	add(fs, &(struct device){
			.basic = { "0000:02:00.0", 0x010802, "nvme", "nvme", 14, 0 },
			.vendor = 0x144d,
			.device = 0xa80c,
			.numa_node = -1,
			.resets = "flr bus",
			.resources = { { 0xfca00000, 16 * KiB, MEM32 } },
		});
	reserve(fs, 13, RESERVED_MSI RESERVED_HT);
	reserve(fs, 14, RESERVED_MSI RESERVED_HT);
}

static void add_h100(struct fake_sysfs *fs, const char *bdf, unsigned group, int node,
		     const char *driver)
{
	add(fs, &(struct device){
			.basic = { bdf, 0x030200, driver, "nvidia", group, 0 },
			.vendor = 0x10de,
			.device = 0x2330,
			.numa_node = node,
			.resets = "flr bus",
			.resources = { { 0x4a042000000, 16 * MiB, MEM64 },
				       { 0 },
				       { 0x48000000000, 128 * GiB, MEM64 },
				       { 0 },
				       { 0x4a040000000, 32 * MiB, MEM64 } },
		});
	fake_host_config(fs, bdf, true, 2, 0);
	add_link(fs, bdf, 16, 16);
}

void fake_host_server(struct fake_sysfs *fs)
{
	static const struct fake_pci_device ports[] = {
		{ "0000:40:01.0", 0x060400, "pcieport", NULL, 20, 1 },
		{ "0000:40:02.0", 0x060400, "pcieport", NULL, 20, 1 },
	};

	add_common(fs, "6.19.0-generic", "GenuineIntel", "vmx hypervisor");
	add_iommus(fs, "intel", 3);
	fake_sysfs_file(fs, "proc/interrupts", "  0:  9  IR-IO-APIC   2-edge      timer\n");
	fake_sysfs_add_driver(fs, "vfio-pci");
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		fake_sysfs_add_device(fs, &ports[i]);
	add_h100(fs, "0000:41:00.0", 20, 0, "nvidia");
	add_h100(fs, "0000:42:00.0", 20, 0, "nvidia");
	add(fs, &(struct device){
			.basic = { "0000:81:00.0", 0x038000, "i915", "i915", 30, 0x80 },
			.vendor = 0x8086,
			.device = 0x0bd5,
			.numa_node = 1,
			.resets = "flr",
			.resources = { { 0x60000000000, 16 * MiB, MEM64 },
				       { 0 },
				       { 0x61000000000, 64 * GiB, MEM64 } },
		});
	fake_host_attr(fs, "0000:81:00.0", "sriov_numvfs", "4\n");
	add_h100(fs, "0000:c1:00.0", 35, 1, "nvidia");
	fake_host_config(fs, "0000:c1:00.0", false, 0, 0);
	add(fs, &(struct device){
			.basic = { "0000:e1:00.0", 0x120000, "vfio-pci", "amdgpu", 40, 0 },
			.vendor = 0x1002,
			.device = 0x74a1,
			.numa_node = 1,
			.resets = "flr bus",
			.resources = { { 0x70000000000, 256 * GiB, MEM64 },
				       { 0 },
				       { 0x74000000000, 2 * MiB, MEM64 },
				       { 0 },
				       { 0 },
				       { 0xdd000000, 512 * KiB, MEM32 } },
		});
	reserve(fs, 20, RESERVED_MSI);
	reserve(fs, 30, RESERVED_MSI);
	reserve(fs, 35, RESERVED_MSI);
	reserve(fs, 40, RESERVED_MSI);
}

void fake_host_bare(struct fake_sysfs *fs)
{
	static const char *const files[] = { "class", "driver_override", "config" };
	char path[128];

	fake_sysfs_add_device(fs, &(struct fake_pci_device){ "0000:01:00.0", 0x030000, NULL, NULL,
							     0, 0 });
	for (unsigned i = 1; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/0000:01:00.0/%s", files[i]);
		fake_sysfs_unlink(fs, path);
	}
	fake_sysfs_file(fs, "sys/bus/pci/devices/0000:02:00.0/uevent", "%s", "");
}
