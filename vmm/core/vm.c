/* SPDX-License-Identifier: Apache-2.0 */
/* The KVM VM: opening it, memory slots, doorbells, requests. [KVM API]. Any thread. */
#include "core/vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

/* udev makes it the group kvm's, or another's where a distribution has its own idea. */
static void vm_hint_group(void)
{
	/* Room for a name and some members. Where it is too little, the name is not told. */
	char text[4096];
	struct group entry, *group = NULL, *kvm = NULL;
	struct stat st;

	if (stat("/dev/kvm", &st) == 0 && st.st_gid != 0 && (st.st_mode & S_IRWXG))
		(void)getgrgid_r(st.st_gid, &entry, text, sizeof(text), &group);
	if (group)
		err_hint("run as root, or join its group with 'sudo usermod -aG %s $USER' "
			 "and log in again",
			 group->gr_name);
	else if (getgrnam_r("kvm", &entry, text, sizeof(text), &kvm) != ERANGE && !kvm)
		err_hint("run as root, or let root give it to you: "
			 "'sudo setfacl -m u:$USER:rw /dev/kvm'");
	else
		err_hint("run as root, or let root give it to a group of yours: 'sudo chgrp kvm "
			 "/dev/kvm; sudo chmod g+rw /dev/kvm'");
}

static int vm_open_kvm(void)
{
	int fd = sys_open("/dev/kvm", O_RDWR, 0);

	switch (fd) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		err_set(ERR_HOST, fd, "/dev/kvm does not exist: this machine offers no KVM");
		err_hint("load it with 'modprobe kvm_intel' or 'modprobe kvm_amd'; "
			 "if that fails, turn on VT-x or SVM in the BIOS, "
			 "or nested virtualization in a virtual machine");
		return fd;
	case -EACCES:
	case -EPERM:
		err_set(ERR_HOST, fd, "no permission to use /dev/kvm");
		vm_hint_group();
		return fd;
	}
	return fd < 0 ? err_sys(ERR_HOST, fd, "open /dev/kvm") : fd;
}

/*
 * All else that is needed came to KVM before registers in the shared page (Linux 4.17), or says
 * itself that it is not there; this would just be ignored, as would immediate_exit (4.12).
 */
static int vm_check_api(const struct vm *vm)
{
	const int needed = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	int r = sys_ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_SYNC_REGS);

	/* The version that has it is KVM_API_VERSION, which is the last one there will be. */
	if (r < 0)
		return err_sys(ERR_HOST, r, "/dev/kvm does not answer as KVM");
	if ((r & needed) == needed)
		return 0;
	err_set(ERR_HOST, -ENOTSUP, "this kernel's KVM takes no registers from the shared page");
	err_hint("use Linux 5.10 or newer");
	return -ENOTSUP;
}

int vm_create(int kvm_fd)
{
	int fd;

	do {
		fd = sys_ioctl(kvm_fd, KVM_CREATE_VM, NULL);
	} while (fd == -EINTR);
	return fd < 0 ? err_sys(ERR_HOST, fd, "create a virtual machine") : fd;
}

int vm_init(struct vm *vm)
{
	int r;

	*vm = (struct vm){ .kvm_fd = -1, .vm_fd = -1 };
	pthread_mutex_init(&vm->lock, NULL);

	vm->kvm_fd = vm_open_kvm();
	if (vm->kvm_fd < 0)
		return vm->kvm_fd;
	r = vm_check_api(vm);
	if (r < 0)
		return r;

	vm->vm_fd = vm_create(vm->kvm_fd);
	if (vm->vm_fd < 0)
		return vm->vm_fd;

	r = sys_ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (r < 0)
		return err_sys(ERR_HOST, r, "size of a vCPU's shared page");
	vm->vcpu_mmap_size = (size_t)r;

	vm->slots_max = VM_SLOTS_MAX;
	return 0;
}

void vm_fini(struct vm *vm)
{
	close_fd(&vm->vm_fd);
	close_fd(&vm->kvm_fd);
	pthread_mutex_destroy(&vm->lock);
}

void vm_end(struct vm *vm)
{
	vm->ending = true;
}

int vm_check_extension(const struct vm *vm, unsigned cap)
{
	int r = sys_ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

	return r < 0 ? 0 : r;
}

static int vm_slot_alloc(struct vm *vm, uint32_t *ret_id)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&vm->lock);
	for (uint32_t id = 0; id < vm->slots_max; id++) {
		if (vm->slot_used[id / 64] >> (id % 64) & 1)
			continue;
		vm->slot_used[id / 64] |= 1ull << (id % 64);
		*ret_id = id;
		r = 0;
		break;
	}
	pthread_mutex_unlock(&vm->lock);
	return r;
}

static void vm_slot_free(struct vm *vm, uint32_t id)
{
	pthread_mutex_lock(&vm->lock);
	vm->slot_used[id / 64] &= ~(1ull << (id % 64));
	pthread_mutex_unlock(&vm->lock);
}

int vm_slot_map(struct vm *vm, struct vm_slot *slot, uint64_t gpa, uint64_t size, void *hva,
		unsigned flags)
{
	struct kvm_userspace_memory_region region = {
		.flags = flags & VM_SLOT_READONLY ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};
	int r;

	assert(!slot->mapped);
	r = vm_slot_alloc(vm, &region.slot);
	if (r < 0)
		return r;
	r = sys_ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (r < 0) {
		vm_slot_free(vm, region.slot);
		return r;
	}
	*slot = (struct vm_slot){ .mapped = true, .id = region.slot, .gpa = gpa, .size = size };
	return 0;
}

void vm_slot_unmap(struct vm *vm, struct vm_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.guest_phys_addr = slot->gpa,
	};
	int r;

	if (!slot->mapped)
		return;
	if (vm->ending) {
		slot->mapped = false;
		return;
	}
	/* A size of 0 deletes the slot. The kernel may lack memory even for that: the slot stays.
	 */
	r = sys_ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (r < 0) {
		log_error("memory slot at 0x%llx cannot be removed: %s",
			  (unsigned long long)slot->gpa, strerror(-r));
		vm_request(vm, VM_REQUEST_CRASH);
		return;
	}
	slot->mapped = false;
	vm_slot_free(vm, slot->id);
}

static int vm_doorbell(struct vm *vm, uint64_t gpa, int fd, uint32_t flags)
{
	struct kvm_ioeventfd arg = { .addr = gpa, .len = 0, .fd = fd, .flags = flags };

	return sys_ioctl(vm->vm_fd, KVM_IOEVENTFD, &arg);
}

int vm_doorbell_add(struct vm *vm, uint64_t gpa, int fd)
{
	return vm_doorbell(vm, gpa, fd, 0);
}

void vm_doorbell_remove(struct vm *vm, uint64_t gpa, int fd)
{
	if (!vm->ending)
		(void)vm_doorbell(vm, gpa, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

void vm_request(struct vm *vm, enum vm_request request)
{
	int old = atomic_load(&vm->request);

	while (old < (int)request && !atomic_compare_exchange_weak(&vm->request, &old, request))
		;
	if (vm->requested)
		vm->requested(vm);
}

/* Of the calling thread: only a vCPU's ever looks at it. */
static _Thread_local bool hold_wanted;

void vm_hold_vcpu(void)
{
	hold_wanted = true;
}

bool vm_take_hold(void)
{
	const bool wanted = hold_wanted;

	hold_wanted = false;
	return wanted;
}
