/* SPDX-License-Identifier: Apache-2.0 */
/* Reading sysfs; see host_sysfs.h. [linux Documentation/ABI/testing/sysfs-bus-pci] */
#include "vfio/host_sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"

struct host_sysfs_path host_sysfs_path(const char *root, const char *fmt, ...)
{
	struct host_sysfs_path path;
	va_list ap;
	int n = snprintf(path.s, sizeof(path.s), "%s/", root);

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(path.s))
		vsnprintf(path.s + n, sizeof(path.s) - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

struct host_sysfs_path host_sysfs_device(const char *root, struct pci_addr addr, const char *file)
{
	return host_sysfs_path(root, "sys/bus/pci/devices/%s/%s", pci_addr_text(addr).s, file);
}

bool host_sysfs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool host_sysfs_link_name(const char *path, char buf[VFIO_HOST_DRIVER_SIZE])
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *name;

	buf[0] = '\0';
	if (n <= 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) >= VFIO_HOST_DRIVER_SIZE)
		return false;
	strcpy(buf, name);
	return true;
}

void host_sysfs_driver(const char *root, struct pci_addr addr, char buf[VFIO_HOST_DRIVER_SIZE])
{
	if (!host_sysfs_link_name(host_sysfs_device(root, addr, "driver").s, buf))
		buf[0] = '\0';
}

bool host_sysfs_is_vfio(const char *driver)
{
	static const char *const ends[] = { "vfio-pci", "vfio_pci" };
	const size_t len = strlen(driver);

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		const size_t n = strlen(ends[i]);

		if (len >= n && strcmp(driver + len - n, ends[i]) == 0)
			return true;
	}
	return false;
}

void host_sysfs_override(const char *root, struct pci_addr addr, char buf[VFIO_HOST_DRIVER_SIZE])
{
	const struct host_sysfs_path path = host_sysfs_device(root, addr, "driver_override");

	if (sys_read_text(path.s, buf, VFIO_HOST_DRIVER_SIZE) < 0 || strcmp(buf, "(null)") == 0)
		buf[0] = '\0';
}

/* Kernels since 6.1 have the folder in any case; only a file has a number: `dev`. */
bool host_sysfs_cdev(const char *dir, char buf[VFIO_HOST_DRIVER_SIZE])
{
	DIR *entries = opendir(host_sysfs_path(dir, "vfio-dev").s);
	struct dirent *entry;

	buf[0] = '\0';
	while (entries && !buf[0] && (entry = readdir(entries))) {
		if (entry->d_name[0] != '.' &&
		    host_sysfs_exists(host_sysfs_path(dir, "vfio-dev/%s/dev", entry->d_name).s))
			snprintf(buf, VFIO_HOST_DRIVER_SIZE, "%s", entry->d_name);
	}
	if (entries)
		closedir(entries);
	return buf[0];
}

int host_sysfs_group(const char *root, struct pci_addr addr, unsigned *ret_group)
{
	char name[VFIO_HOST_DRIVER_SIZE];
	unsigned long group;
	char *end;

	if (!host_sysfs_link_name(host_sysfs_device(root, addr, "iommu_group").s, name))
		return -ENOENT;
	errno = 0;
	group = strtoul(name, &end, 10);
	if (errno || end == name || *end || group > UINT_MAX)
		return -EINVAL;
	*ret_group = (unsigned)group;
	return 0;
}

uint64_t host_sysfs_number(const char *path, uint64_t missing)
{
	unsigned long long val;
	char text[32], *end;

	if (sys_read_text(path, text, sizeof(text)) < 0)
		return missing;
	errno = 0;
	val = strtoull(text, &end, 0);
	return errno || end == text || *end ? missing : val;
}

unsigned host_sysfs_base_class(const char *root, struct pci_addr addr)
{
	return (unsigned)host_sysfs_number(host_sysfs_device(root, addr, "class").s,
					   PCI_CLASS_NONE << 16) >>
	       16;
}

bool host_sysfs_is_gpu(const char *root, struct pci_addr addr)
{
	const unsigned class = host_sysfs_base_class(root, addr);

	return class == PCI_CLASS_DISPLAY || class == PCI_CLASS_ACCELERATOR;
}

bool host_sysfs_is_boot_display(const char *root, struct pci_addr addr)
{
	return host_sysfs_number(host_sysfs_device(root, addr, "boot_vga").s, 0) == 1;
}

int host_sysfs_header_type(const char *root, struct pci_addr addr)
{
	CLEANUP(closep) int fd = sys_open(host_sysfs_device(root, addr, "config").s, O_RDONLY, 0);
	uint8_t header[PCI_STD_HEADER_SIZEOF];
	int r;

	if (fd < 0)
		return fd;
	r = sys_pread_full(fd, header, sizeof(header), 0);
	if (r < 0)
		return r;
	/* All ones is what a read gives that no device answers; virtual functions have only their
	 * IDs so [PCIe-5.0 9.3.4.1.1]. */
	if (load_le(header + PCI_VENDOR_ID, 4) == ones(4) &&
	    load_le(header + PCI_COMMAND, 4) == ones(4))
		return -ENXIO;
	return header[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;
}

static int compare_addrs(const void *a, const void *b)
{
	return pci_addr_compare(*(const struct pci_addr *)a, *(const struct pci_addr *)b);
}

int host_sysfs_list(const char *path, struct pci_addr **ret_addrs, unsigned *ret_count)
{
	DIR *dir = opendir(path);
	struct pci_addr *addrs = NULL, addr;
	struct dirent *entry;
	unsigned count = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct pci_addr *more;

		if (!pci_addr_scan(entry->d_name, &addr))
			continue;
		more = reallocarray(addrs, count + 1, sizeof(*addrs));
		if (!more)
			goto fail;
		addrs = more;
		addrs[count++] = addr;
	}
	closedir(dir);
	if (count)
		qsort(addrs, count, sizeof(*addrs), compare_addrs);
	*ret_addrs = addrs;
	*ret_count = count;
	return 0;

fail:
	closedir(dir);
	free(addrs);
	return -ENOMEM;
}
