/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at mediated devices in sysfs. Main thread. [Linux: Documentation/ABI/testing/
 * sysfs-bus-vfio-mdev].
 */
#include "vfio/mdev.h"

#include <ctype.h>
#include <errno.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"

bool vfio_uuid_scan(const char *text)
{
	static const char form[VFIO_UUID_SIZE] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i]; i++) {
		if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

int vfio_mdev_check(const char *root, const char *uuid)
{
	const struct host_sysfs_path dir = host_sysfs_path(root, "sys/bus/mdev/devices/%s", uuid);
	const struct host_sysfs_path group = host_sysfs_path(dir.s, "iommu_group");
	char api[64], name[VFIO_HOST_DRIVER_SIZE];
	int r;

	if (!host_sysfs_exists(dir.s)) {
		r = err_set(ERR_DEVICE, -ENODEV, "there is no mediated device %s", uuid);
		err_hint(
			"/sys/bus/mdev/devices lists them; one is made by writing a UUID to a file "
			"create in /sys/class/mdev_bus/*/mdev_supported_types/*");
		return r;
	}
	if (sys_read_text(host_sysfs_path(dir.s, "mdev_type/device_api").s, api, sizeof(api)) < 0)
		api[0] = '\0';
	if (strcmp(api, "vfio-pci") != 0)
		return err_set(ERR_DEVICE, -EINVAL,
			       "mediated device %s is not a PCI device but a '%s'", uuid, api);
	if (!host_sysfs_link_name(group.s, name)) {
		r = err_set(ERR_DEVICE, -ENODEV, "mediated device %s is not with VFIO", uuid);
		err_hint("dmesg tells why; 'modprobe vfio-mdev' where the kernel has that module");
		return r;
	}
	return 0;
}

int vfio_mdev_node(const char *root, const char *uuid)
{
	/* The folder is a link to one within its parent's. */
	const struct host_sysfs_path path =
		host_sysfs_path(root, "sys/bus/mdev/devices/%s/../numa_node", uuid);

	return (int)host_sysfs_number(path.s, UINT64_MAX);
}
