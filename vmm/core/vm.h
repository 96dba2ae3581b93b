/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM virtual machine: its fds, its memory slots, its doorbells, and what the guest asks of the
 * machine (reset, power off). Any thread after vm_init.
 */
#ifndef CORE_VM_H
#define CORE_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/util.h"

#define VM_SLOTS_MAX 509u /* KVM has at least these */
/* KVM takes fewer than 2^31 pages at once (Linux: KVM_MEM_MAX_NR_PAGES); a power of two below. */
#define VM_SLOT_SIZE_MAX (4 * TiB)

/* What ends or restarts the run; a higher value wins over a lower one. */
enum vm_request {
	VM_REQUEST_NONE,
	VM_REQUEST_RESET,
	VM_REQUEST_POWEROFF,
	VM_REQUEST_SERVER_LOST,   /* what the guest cannot do without; who served it was logged */
	VM_REQUEST_COMMAND_ENDED, /* the command that the guest was made for */
	/* A passed-through device; all three are logged by who asks. */
	VM_REQUEST_DEVICE_WANTED, /* the host wants it back */
	VM_REQUEST_DEVICE_ERROR,  /* it reported an uncorrectable error */
	VM_REQUEST_DEVICE_DEAD,   /* it did not come back from a reset */
	VM_REQUEST_CRASH,         /* a vCPU cannot continue; its reason was logged */
};

struct vm {
	int kvm_fd; /* /dev/kvm */
	int vm_fd;
	size_t vcpu_mmap_size;
	unsigned slots_max;   /* VM_SLOTS_MAX */
	pthread_mutex_t lock; /* guards slot_used */
	uint64_t slot_used[(VM_SLOTS_MAX + 63) / 64];
	atomic_int request;
	void (*requested)(struct vm *vm); /* when request changed; any thread. NULL: nobody asks */
	bool ending;                      /* see vm_end; main thread */
};

/*
 * Opens /dev/kvm and makes a VM without irqchip (the architecture adds it). Failures are told with
 * what to do: module, BIOS switch, group kvm.
 */
int MUST_CHECK vm_init(struct vm *vm);
int MUST_CHECK vm_create(int kvm_fd); /* another VM's fd, to try something in */
void vm_fini(struct vm *vm);

/*
 * No vCPU will run any more: from here on slots and doorbells are left to the end of the VM, which
 * takes all of them at once. For each that goes alone KVM waits until nobody can be using it.
 */
void vm_end(struct vm *vm);

int MUST_CHECK vm_check_extension(const struct vm *vm, unsigned cap); /* value, 0 if absent */

/* One KVM memory slot: a range of guest-physical addresses that the guest reaches without exits. */
struct vm_slot {
	bool mapped;
	uint32_t id;
	uint64_t gpa, size;
};

#define VM_SLOT_READONLY (1u << 0) /* writes exit to the mmio bus */

/*
 * Maps host memory [hva, hva + size), which must stay valid until the slot is unmapped. All are
 * page multiples, size at most VM_SLOT_SIZE_MAX. -EEXIST if it overlaps another slot, -ENOSPC if no
 * slot is free: a guest can cause both through a BAR, so the error chain is not set.
 */
int MUST_CHECK vm_slot_map(struct vm *vm, struct vm_slot *slot, uint64_t gpa, uint64_t size,
			   void *hva, unsigned flags);
void vm_slot_unmap(struct vm *vm, struct vm_slot *slot); /* not mapped: does nothing */

/*
 * A doorbell: a guest write of any value and of any size (len 0 in KVM's terms) at `gpa` signals
 * `fd` without an exit.
 */
int MUST_CHECK vm_doorbell_add(struct vm *vm, uint64_t gpa, int fd);
void vm_doorbell_remove(struct vm *vm, uint64_t gpa, int fd);

/* Asks the main loop to act. Any thread, a vCPU's handler above all. */
void vm_request(struct vm *vm, enum vm_request request);

/*
 * For a handler on a vCPU, when the host is not ready for what the guest does after this access:
 * the vCPU runs no guest code until vcpus_release. It waits without a lock and outside of the
 * handler, so that it can be paused, reset and ended meanwhile; the other vCPUs run on. On another
 * thread: does nothing.
 */
void vm_hold_vcpu(void);
/* For the vCPU's loop: whether a handler called that since the last time. */
bool vm_take_hold(void);

#endif
