/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a program has to do to run a guest under KVM: what tinyvmm is measured against
 * where the kernel's interface is the limit, or the guest's own time. It runs an ELF file with a
 * PVH entry, exits.S or Linux, in a VM with the same memory, interrupt controllers and CPU
 * features, checks nothing but for errors, and has no device: reads find all ones, but for a
 * clock that never changes, since Linux waits seconds for one that is not there. The guest ends it
 * by ACPI's power-off or a reset. With -d there is the least disk: a write at DOORBELL has a thread
 * read a block from DISK, and then comes an interrupt (marks.h). [Xen, docs/misc/pvh.pandoc]
 *   bare [-d DISK] FILE [MIB [INITRD COMMAND-LINE]]
 */
#define _GNU_SOURCE
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "marks.h"

#define COM1        0x3f8
#define CMOS_DATA   0x71
#define I8042       0x64
#define I8042_RESET 0xfe
#define PM1_CONTROL 0x604

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define PVH_MAGIC                0x336ec578
#define E820_RAM                 1

/* What PVH tells the kernel, in a page of conventional memory. */
#define START_INFO       0x6000
#define CONVENTIONAL_END 0x9fc00
#define HIGH_MEMORY      0x100000
/* The rest is above 4 GiB. */
#define LOW_MAX   (3ull << 30)
#define HIGH_BASE (4ull << 30)

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
	/* From here on it is only reached by the addresses above. */
	struct {
		uint64_t gpa, size;
		uint32_t type, reserved;
	} ram[3];
	struct {
		uint64_t gpa, size, cmdline, reserved;
	} initrd;
	char text[1024];
};

#define KVM_IDENTITY_MAP 0xfeffc000ull
#define KVM_TSS          0xfeffd000ul

#define CPUID_MAX 256

#define HUGE_PAGE (2ul << 20)

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

static uint32_t pvh_entry(const uint8_t *notes, uint64_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)notes;
		const uint64_t name = (note->n_namesz + 3ull) & ~3ull;
		const uint64_t all = sizeof(*note) + name + ((note->n_descsz + 3ull) & ~3ull);
		uint32_t entry;

		if (all > size)
			break;
		memcpy(&entry, notes + sizeof(*note) + name, sizeof(entry));
		if (note->n_type == XEN_ELFNOTE_PHYS32_ENTRY)
			return entry;
		notes += all;
		size -= all;
	}
	return 0;
}

/* The segments to where they want to be; the entry that a note names. */
static uint32_t load(const char *path, uint8_t *ram, uint64_t size)
{
	uint8_t head[4096], notes[4096];
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)head;
	const Elf64_Phdr *ph;
	int fd = (int)TRY(path, open(path, O_RDONLY | O_CLOEXEC));
	uint32_t entry = 0;

	TRY(path, read(fd, head, sizeof(head)));
	if (eh->e_phoff + eh->e_phnum * sizeof(*ph) > sizeof(head))
		errx(1, "%s: not a guest of these tests", path);
	ph = (const Elf64_Phdr *)(head + eh->e_phoff);
	for (unsigned i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type == PT_NOTE && ph->p_filesz <= sizeof(notes)) {
			TRY(path, pread(fd, notes, ph->p_filesz, (off_t)ph->p_offset));
			entry = pvh_entry(notes, ph->p_filesz);
		}
		if (ph->p_type != PT_LOAD || !ph->p_filesz)
			continue;
		if (ph->p_paddr > size || ph->p_memsz > size - ph->p_paddr)
			errx(1, "%s: does not fit", path);
		TRY(path, pread(fd, ram + ph->p_paddr, ph->p_filesz, (off_t)ph->p_offset));
	}
	close(fd);
	if (!entry)
		errx(1, "%s: no PVH entry", path);
	return entry;
}

/* For a kernel: the start info, and the initrd at the end of memory. */
static void describe(uint8_t *ram, uint64_t size, const char *initrd, const char *cmdline)
{
	int fd = (int)TRY(initrd, open(initrd, O_RDONLY | O_CLOEXEC));
	const off_t length = (off_t)TRY(initrd, lseek(fd, 0, SEEK_END));
	const uint64_t low = size < LOW_MAX ? size : LOW_MAX;
	const uint64_t gpa = (low - (uint64_t)length) & ~0xfffull;
	struct start_info info = {
		.magic = PVH_MAGIC,
		.version = 1,
		.modules = 1,
		.module_list = START_INFO + offsetof(struct start_info, initrd),
		.cmdline = START_INFO + offsetof(struct start_info, text),
		.memmap = START_INFO + offsetof(struct start_info, ram),
		.memmap_entries = size > low ? 3 : 2,
		.ram = { { 0, CONVENTIONAL_END, E820_RAM, 0 },
			 { HIGH_MEMORY, low - HIGH_MEMORY, E820_RAM, 0 },
			 { HIGH_BASE, size - low, E820_RAM, 0 } },
		.initrd = { gpa, (uint64_t)length, 0, 0 },
	};

	if (strlen(cmdline) >= sizeof(info.text))
		errx(1, "the command line is too long");
	strcpy(info.text, cmdline);
	memcpy(ram + START_INFO, &info, sizeof(info));
	TRY(initrd, pread(fd, ram + gpa, (size_t)length, 0));
	close(fd);
}

static void enter(int vcpu, uint32_t entry)
{
	const struct kvm_segment data = {
		.limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = entry, .rbx = START_INFO, .rflags = 2 };
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
		uint8_t *data;

		TRY("KVM_RUN", ioctl(vcpu, KVM_RUN, 0));
		switch (run->exit_reason) {
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_IO:
			data = (uint8_t *)run + run->io.data_offset;
			if (run->io.direction != KVM_EXIT_IO_OUT)
				memset(data, run->io.port == CMOS_DATA ? 0 : 0xff,
				       (size_t)run->io.size * run->io.count);
			else if (run->io.port == COM1)
				putchar(*data);
			else if (run->io.port == PM1_CONTROL ||
				 (run->io.port == I8042 && *data == I8042_RESET))
				return;
			break;
		case KVM_EXIT_SHUTDOWN:
			return;
		default:
			errx(1, "exit %u", run->exit_reason);
		}
	}
}

static void add_memory(int vm, uint8_t *ram, uint64_t size)
{
	const uint64_t low = size < LOW_MAX ? size : LOW_MAX;
	struct kvm_userspace_memory_region region = { .memory_size = low,
						      .userspace_addr = (uintptr_t)ram };

	TRY("KVM_SET_USER_MEMORY_REGION", ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	if (size == low)
		return;
	region.slot = 1;
	region.guest_phys_addr = HIGH_BASE;
	region.memory_size = size - low;
	region.userspace_addr += low;
	TRY("KVM_SET_USER_MEMORY_REGION", ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
}

static struct {
	int file, doorbell, interrupt;
	uint8_t *block; /* of the guest's memory */
} disk;

static void *serve(void *arg)
{
	uint64_t count;

	for (;;) {
		TRY("doorbell", read(disk.doorbell, &count, sizeof(count)));
		TRY("disk", pread(disk.file, disk.block, DISK_BLOCK, 0));
		count = 1;
		TRY("interrupt", write(disk.interrupt, &count, sizeof(count)));
	}
	return arg;
}

static void add_disk(int vm, const char *path, uint8_t *block)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry msi;
	} routes = { { .nr = 1 },
		     { .type = KVM_IRQ_ROUTING_MSI,
		       .u.msi = { .address_lo = LOCAL_APIC, .data = DISK_VECTOR } } };
	struct kvm_ioeventfd bell = { .addr = DOORBELL };
	struct kvm_irqfd interrupt = { .gsi = 0 };
	pthread_t thread;

	disk.file = (int)TRY(path, open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	disk.block = block;
	disk.doorbell = bell.fd = (int)TRY("eventfd", eventfd(0, EFD_CLOEXEC));
	disk.interrupt = (int)TRY("eventfd", eventfd(0, EFD_CLOEXEC));
	interrupt.fd = (uint32_t)disk.interrupt;
	TRY("KVM_SET_GSI_ROUTING", ioctl(vm, KVM_SET_GSI_ROUTING, &routes));
	TRY("KVM_IOEVENTFD", ioctl(vm, KVM_IOEVENTFD, &bell));
	TRY("KVM_IRQFD", ioctl(vm, KVM_IRQFD, &interrupt));
	if (pthread_create(&thread, NULL, serve, NULL))
		errx(1, "no thread for the disk");
}

int main(int argc, char *argv[])
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t size, identity_map = KVM_IDENTITY_MAP;
	const char *disk_path = NULL;
	int kvm, vm, vcpu;
	long run_size;
	void *shared;
	uint8_t *ram;

	if (argc > 2 && !strcmp(argv[1], "-d")) {
		disk_path = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 2)
		errx(2, "usage: bare [-d DISK] FILE [MIB [INITRD COMMAND-LINE]]");
	size = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20;
	kvm = (int)TRY("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	vm = (int)TRY("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
	run_size = TRY("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	ram = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED)
		err(1, "guest memory");
	ram += -(uintptr_t)ram % HUGE_PAGE;
	(void)madvise(ram, size, MADV_HUGEPAGE);
	add_memory(vm, ram, size);
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
	if (argc > 4)
		describe(ram, size, argv[3], argv[4]);
	if (disk_path)
		add_disk(vm, disk_path, ram);
	enter(vcpu, load(argv[1], ram, size));
	run(vcpu, shared);
	return 0;
}
