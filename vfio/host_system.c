/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts of the host; see host_system.h. Main thread. [linux Documentation/ABI/testing/
 * sysfs-class-iommu-intel-iommu and -amd-iommu], [VT-d 11.4.2 Capability Register], [AMD-48882
 * 3.4.2 MMIO Offset 0030h IOMMU Extended Feature Register].
 */
#include "vfio/host_system.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* VT-d CAP_REG: the maximum guest address width, less one. */
#define CAP_MGAW(cap) (((cap) >> 16 & 0x3f) + 1)

/* AMD EFR: how many levels the page tables may have: 4, 5, 6. */
#define EFR_HATS(efr)    ((efr) >> 10 & 3)
#define EFR_HATS_INVALID 3

static void read_release(const char *root, struct host_system *system)
{
	if (sys_read_text(host_sysfs_path(root, "proc/sys/kernel/osrelease").s, system->release,
			  sizeof(system->release)) < 0 ||
	    sscanf(system->release, "%u.%u", &system->major, &system->minor) != 2)
		system->release[0] = '\0';
}

/* A word of the first "flags" line of /proc/cpuinfo. */
static bool has_flag(const char *flags, const char *flag)
{
	const size_t len = strlen(flag);

	for (const char *p = flags; (p = strstr(p, flag)); p += len) {
		if (p[-1] == ' ' && (p[len] == ' ' || p[len] == '\n'))
			return true;
	}
	return false;
}

static void read_cpu(const char *root, struct host_system *system)
{
	FILE *file = fopen(host_sysfs_path(root, "proc/cpuinfo").s, "re");
	char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		const char *flags = strchr(line, ':');

		if (strncmp(line, "flags", strlen("flags")) != 0 || !flags)
			continue;
		flags++;
		system->virtualization = has_flag(flags, "vmx") || has_flag(flags, "svm");
		system->nested = has_flag(flags, "hypervisor");
		break;
	}
	free(line);
	if (file)
		fclose(file);
}

/* The width of one unit; 0: not told. */
static unsigned unit_bits(const char *root, const char *unit)
{
	char text[64];
	uint64_t val;

	if (sys_read_text(host_sysfs_path(root, "sys/class/iommu/%.64s/intel-iommu/cap", unit).s,
			  text, sizeof(text)) == 0)
		return (unsigned)CAP_MGAW(strtoull(text, NULL, 16));
	if (sys_read_text(host_sysfs_path(root, "sys/class/iommu/%.64s/amd-iommu/features", unit).s,
			  text, sizeof(text)) < 0)
		return 0;
	val = strtoull(text, NULL, 16);
	switch (EFR_HATS(val)) {
	case 0:
		return 48;
	case 1:
		return 57;
	case EFR_HATS_INVALID:
		return 0;
	default:
		return 64;
	}
}

static void read_iommus(const char *root, struct host_system *system)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {
		{ "dmar", "Intel VT-d" },   { "ivhd", "AMD-Vi" },         { "smmu", "Arm SMMU" },
		{ "arm-smmu", "Arm SMMU" }, { "virtio", "virtio-iommu" },
	};
	DIR *dir = opendir(host_sysfs_path(root, "sys/class/iommu").s);
	bool unknown = false;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		unsigned bits;

		if (entry->d_name[0] == '.')
			continue;
		system->iommu_units++;
		bits = unit_bits(root, entry->d_name);
		unknown |= !bits;
		if (bits && (!system->iommu_bits || bits < system->iommu_bits))
			system->iommu_bits = bits;
		for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (strncmp(entry->d_name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
				strcpy(system->iommu, kinds[i].kind);
		}
	}
	if (dir)
		closedir(dir);
	if (unknown)
		system->iommu_bits = 0;
	if (system->iommu_units && !system->iommu[0])
		strcpy(system->iommu, "an IOMMU");
}

/* Whether the module would let a guest have devices whose interrupts are not remapped. */
static bool allows_unsafe_interrupts(const char *root, const char *module)
{
	const struct host_sysfs_path path =
		host_sysfs_path(root, "sys/module/%s/parameters/allow_unsafe_interrupts", module);
	char flag[8];

	return sys_read_text(path.s, flag, sizeof(flag)) == 0 && flag[0] == 'Y';
}

/* The names of remapped interrupt chips begin with "IR-": IR-PCI-MSI, IR-IO-APIC. */
static void read_interrupts(const char *root, struct host_system *system)
{
	FILE *file = fopen(host_sysfs_path(root, "proc/interrupts").s, "re");
	char *line = NULL;
	size_t size = 0;

	while (file && !system->remaps_interrupts && getline(&line, &size, file) > 0)
		system->remaps_interrupts = strstr(line, " IR-");
	free(line);
	if (file)
		fclose(file);
	system->unsafe_type1 = allows_unsafe_interrupts(root, "vfio_iommu_type1");
	system->unsafe_iommufd = allows_unsafe_interrupts(root, "iommufd");
}

static int compare_pages(const void *a, const void *b)
{
	const uint64_t sa = ((const struct host_huge_pages *)a)->size;
	const uint64_t sb = ((const struct host_huge_pages *)b)->size;

	return sa < sb ? -1 : sa > sb;
}

static void read_huge_pages(const char *root, struct host_system *system)
{
	const struct host_sysfs_path path = host_sysfs_path(root, "sys/kernel/mm/hugepages");
	DIR *dir = opendir(path.s);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) && system->huge_page_sizes < HOST_SYSTEM_PAGE_SIZES) {
		struct host_huge_pages *pages = &system->huge_pages[system->huge_page_sizes];
		const struct host_sysfs_path size = host_sysfs_path(path.s, "%.64s", entry->d_name);
		unsigned long long kib;

		if (sscanf(entry->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		pages->size = kib * KiB;
		pages->reserved = host_sysfs_number(host_sysfs_path(size.s, "nr_hugepages").s, 0);
		pages->free = host_sysfs_number(host_sysfs_path(size.s, "free_hugepages").s, 0);
		system->huge_page_sizes++;
	}
	if (dir)
		closedir(dir);
	qsort(system->huge_pages, system->huge_page_sizes, sizeof(system->huge_pages[0]),
	      compare_pages);
}

void host_system_read(const char *root, struct host_system *ret_system)
{
	*ret_system = (struct host_system){ 0 };
	read_release(root, ret_system);
	read_cpu(root, ret_system);
	read_iommus(root, ret_system);
	read_interrupts(root, ret_system);
	read_huge_pages(root, ret_system);
	ret_system->has_iommufd = host_sysfs_exists(host_sysfs_path(root, "dev/iommu").s);
}

bool host_system_since(const struct host_system *system, unsigned major, unsigned minor)
{
	return !system->release[0] || system->major > major ||
	       (system->major == major && system->minor >= minor);
}

/* Whether a list of modules, a path a line, has the file NAME.ko or a compressed one. */
static bool list_has(const char *root, const struct host_system *system, const char *list,
		     const char *name)
{
	FILE *file =
		fopen(host_sysfs_path(root, "lib/modules/%s/%s", system->release, list).s, "re");
	char *line = NULL;
	size_t size = 0, len = strlen(name);
	bool found = false;

	while (file && !found && getline(&line, &size, file) > 0) {
		const char *base;

		line[strcspn(line, ":\n")] = '\0';
		base = strrchr(line, '/');
		base = base ? base + 1 : line;
		found = strncmp(base, name, len) == 0 && strncmp(base + len, ".ko", 3) == 0;
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

enum host_module host_system_module(const char *root, const struct host_system *system,
				    const char *name)
{
	char loaded[64];

	/* A loaded module's name has underscores only. */
	snprintf(loaded, sizeof(loaded), "%s", name);
	for (char *p = loaded; (p = strchr(p, '-'));)
		*p = '_';
	if (host_sysfs_exists(host_sysfs_path(root, "sys/module/%s", loaded).s) ||
	    host_sysfs_exists(host_sysfs_path(root, "sys/bus/pci/drivers/%s", name).s) ||
	    list_has(root, system, "modules.builtin", name))
		return HOST_MODULE_LOADED;
	return list_has(root, system, "modules.dep", name) ? HOST_MODULE_LOADABLE
							   : HOST_MODULE_ABSENT;
}
