/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's VFIO pseudo device: with the files of passed-through devices, KVM finds out whether their
 * DMA snoops the CPU's caches. Main thread. [KVM: Documentation/virt/kvm/devices/vfio.rst].
 */
#ifndef VFIO_KVM_VFIO_H
#define VFIO_KVM_VFIO_H

#include "core/util.h"

struct vm;

/* The pseudo device's fd. -1, with a warning, if this kernel has none: DMA is then taken as
 * coherent, which PCs' mostly is. */
int kvm_vfio_open(const struct vm *vm);

/*
 * Tells of `file`, the fd of a group or of a device's character device, which KVM then holds open
 * until it is removed. Both do nothing with a kvm_vfio of -1.
 */
int MUST_CHECK kvm_vfio_add(int kvm_vfio, int file);
int MUST_CHECK kvm_vfio_remove(int kvm_vfio, int file);

#endif
