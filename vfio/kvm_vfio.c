/* SPDX-License-Identifier: Apache-2.0 */
/* See kvm_vfio.h. No state; main thread. */
#include "vfio/kvm_vfio.h"

#include <linux/kvm.h>

#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "vfio/iommufd_uapi.h"

int kvm_vfio_open(const struct vm *vm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	int r = sys_ioctl(vm->vm_fd, KVM_CREATE_DEVICE, &create);

	if (r < 0) {
		log_warn("KVM cannot be told of passed-through devices: %s", strerror(-r));
		return -1;
	}
	return (int)create.fd;
}

static int set_attr(int kvm_vfio, uint64_t attr, int32_t file)
{
	struct kvm_device_attr arg = {
		.group = KVM_DEV_VFIO_FILE,
		.attr = attr,
		.addr = (uintptr_t)&file,
	};

	return kvm_vfio < 0 ? 0 : sys_ioctl(kvm_vfio, KVM_SET_DEVICE_ATTR, &arg);
}

int kvm_vfio_add(int kvm_vfio, int file)
{
	return set_attr(kvm_vfio, KVM_DEV_VFIO_FILE_ADD, file);
}

int kvm_vfio_remove(int kvm_vfio, int file)
{
	return set_attr(kvm_vfio, KVM_DEV_VFIO_FILE_DEL, file);
}
