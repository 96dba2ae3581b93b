/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a program has to do to run a guest under KVM: what tinyvmm is measured against
 * where the kernel's interface is the limit. It runs exits.S (any static ELF file with a PVH entry)
 * in a VM with the same memory, interrupt controllers and CPU features, checks nothing but for
 * errors, and answers every access with nothing.
 *   bare FILE [MIB]
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define COM1        0x3f8
#define PM1_CONTROL 0x604

#define KVM_IDENTITY_MAP 0xfeffc000ull
#define KVM_TSS          0xfeffd000ul

#define CPUID_MAX 256

#define TRY(name, call)                     \
	({                                  \
		long result = (call);       \
		if (result < 0)             \
			err(1, "%s", name); \
		result;                     \
	})

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_MAX];
} cpuid = { .head.nent = CPUID_MAX };

/* The segments to where they want to be; the entry that a note names is their first byte here. */
static uint32_t load(const char *path, uint8_t *ram, uint64_t size)
{
	uint8_t head[4096];
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)head;
	const Elf64_Phdr *ph;
	int fd = (int)TRY(path, open(path, O_RDONLY | O_CLOEXEC));

	TRY(path, read(fd, head, sizeof(head)));
	if (eh->e_phoff + eh->e_phnum * sizeof(*ph) > sizeof(head))
		errx(1, "%s: not a guest of these tests", path);
	ph = (const Elf64_Phdr *)(head + eh->e_phoff);
	for (unsigned i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_paddr > size || ph->p_memsz > size - ph->p_paddr)
			errx(1, "%s: does not fit", path);
		TRY(path, pread(fd, ram + ph->p_paddr, ph->p_filesz, (off_t)ph->p_offset));
	}
	close(fd);
	return (uint32_t)eh->e_entry;
}

static void enter(int vcpu, uint32_t entry)
{
	const struct kvm_segment data = {
		.limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = entry, .rflags = 2 };
	struct kvm_sregs sregs;

	TRY("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs = sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs.type = 11;
	sregs.cs.selector = 0x10;
	sregs.cr0 = 0x11; /* PE, ET */
	TRY("KVM_SET_SREGS", ioctl(vcpu, KVM_SET_SREGS, &sregs));
	TRY("KVM_SET_REGS", ioctl(vcpu, KVM_SET_REGS, &regs));
}

static void run(int vcpu, struct kvm_run *run)
{
	for (;;) {
		TRY("KVM_RUN", ioctl(vcpu, KVM_RUN, 0));
		if (run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (run->exit_reason != KVM_EXIT_IO)
			errx(1, "exit %u", run->exit_reason);
		if (run->io.direction != KVM_EXIT_IO_OUT)
			continue;
		if (run->io.port == COM1)
			putchar(((const uint8_t *)run)[run->io.data_offset]);
		else if (run->io.port == PM1_CONTROL)
			return;
	}
}

int main(int argc, char *argv[])
{
	const uint64_t size = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20;
	struct kvm_userspace_memory_region region = { .memory_size = size };
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = KVM_IDENTITY_MAP;
	int kvm, vm, vcpu;
	long run_size;
	void *shared;
	uint8_t *ram;

	if (argc < 2)
		errx(2, "usage: bare FILE [MIB]");
	kvm = (int)TRY("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	vm = (int)TRY("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
	run_size = TRY("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (ram == MAP_FAILED)
		err(1, "guest memory");
	(void)madvise(ram, size, MADV_HUGEPAGE);
	region.userspace_addr = (uintptr_t)ram;
	TRY("KVM_SET_USER_MEMORY_REGION", ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	TRY("KVM_SET_IDENTITY_MAP_ADDR", ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map));
	TRY("KVM_SET_TSS_ADDR", ioctl(vm, KVM_SET_TSS_ADDR, KVM_TSS));
	TRY("KVM_CREATE_IRQCHIP", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	TRY("KVM_CREATE_PIT2", ioctl(vm, KVM_CREATE_PIT2, &pit));
	vcpu = (int)TRY("KVM_CREATE_VCPU", ioctl(vm, KVM_CREATE_VCPU, 0));
	shared = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (shared == MAP_FAILED)
		err(1, "vCPU");
	TRY("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid));
	TRY("KVM_SET_CPUID2", ioctl(vcpu, KVM_SET_CPUID2, &cpuid));
	enter(vcpu, load(argv[1], ram, size));
	run(vcpu, shared);
	return 0;
}
