/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state in which a kernel starts without firmware: flat segments, for the 64-bit entry long
 * mode with an identity map of the first 4 GiB, and memory types as firmware leaves them.
 * [Linux Documentation/arch/x86/boot.rst, 64-bit BOOT PROTOCOL], [Xen docs/misc/pvh.pandoc].
 */
#include <errno.h>
#include <linux/kvm.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/sys.h"
#include "x86_64/x86.h"

/* What `tables` holds. */
#define GDT_OFF   0x0000u
#define PML4_OFF  0x1000u
#define PDPT_OFF  0x2000u
#define PD_OFF    0x3000u /* four, one a GiB */
#define PD_COUNT  4u
#define PAGE_SIZE 0x1000u
#define ENTRIES   512u

/* Page table entries. [Intel-SDM 3A 4.5 4-Level Paging] */
#define PTE_PRESENT  (1u << 0)
#define PTE_WRITABLE (1u << 1)
#define PTE_LARGE    (1u << 7)
#define LARGE_PAGE   (2 * MiB)

/* The selectors are Linux's __BOOT_CS and __BOOT_DS. */
#define SELECTOR_CODE 0x10u
#define SELECTOR_DATA 0x18u
#define SELECTOR_TASK 0x20u
#define GDT_ENTRIES   6u /* the task's has two */

/* Segment types. [Intel-SDM 3A 3.4.5.1 Code- and Data-Segment Descriptor Types, 3.5] */
#define TYPE_CODE 0xbu /* execute, read, accessed */
#define TYPE_DATA 0x3u /* read, write, accessed */
#define TYPE_TASK 0xbu /* 32- or 64-bit, busy */

#define CR0_PE   (1u << 0)
#define CR0_ET   (1u << 4)
#define CR0_NE   (1u << 5)
#define CR0_PG   (1u << 31)
#define CR4_PAE  (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define RFLAGS_FIXED 0x2u

/* [Intel-SDM 3A 11.12.1 Detecting and Enabling x2APIC Mode] */
#define APIC_BASE_X2APIC (1u << 10)

/* [Intel-SDM 3A 12.11.2.1 IA32_MTRR_DEF_TYPE MSR]: on, and all is write-back. */
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLED      (1u << 11)
#define MTRR_WRITE_BACK   6u

static const struct kvm_segment data_segment = {
	.limit = UINT32_MAX,
	.selector = SELECTOR_DATA,
	.type = TYPE_DATA,
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};

static const struct kvm_segment task_segment = {
	.limit = 0x67,
	.selector = SELECTOR_TASK,
	.type = TYPE_TASK,
	.present = 1,
};

static struct kvm_segment code_segment(bool is_long)
{
	struct kvm_segment s = data_segment;

	s.selector = SELECTOR_CODE;
	s.type = TYPE_CODE;
	s.l = is_long;
	s.db = !is_long;
	return s;
}

/* [Intel-SDM 3A Figure 3-8 Segment Descriptor]; every base is 0. */
static uint64_t descriptor(const struct kvm_segment *s)
{
	const uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (uint64_t)s->type << 40 | (uint64_t)s->s << 44 |
	       (uint64_t)s->dpl << 45 | (uint64_t)s->present << 47 | (limit >> 16 & 0xf) << 48 |
	       (uint64_t)s->l << 53 | (uint64_t)s->db << 54 | (uint64_t)s->g << 55;
}

static void fill_tables(uint8_t *tables, uint64_t gpa, const struct kvm_segment *code)
{
	memset(tables, 0, ARCH_BOOT_TABLES_SIZE);
	store_le(tables + GDT_OFF + SELECTOR_CODE, 8, descriptor(code));
	store_le(tables + GDT_OFF + SELECTOR_DATA, 8, descriptor(&data_segment));
	store_le(tables + GDT_OFF + SELECTOR_TASK, 8, descriptor(&task_segment));

	store_le(tables + PML4_OFF, 8, (gpa + PDPT_OFF) | PTE_PRESENT | PTE_WRITABLE);
	for (unsigned i = 0; i < PD_COUNT; i++)
		store_le(tables + PDPT_OFF + 8 * i, 8,
			 (gpa + PD_OFF + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE);
	for (unsigned i = 0; i < PD_COUNT * ENTRIES; i++)
		store_le(tables + PD_OFF + 8 * i, 8,
			 i * LARGE_PAGE | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE);
}

static int set_memory_type(struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = {
		.head.nmsrs = 1,
		.entry = { .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED | MTRR_WRITE_BACK },
	};
	int r = sys_ioctl(vcpu->fd, KVM_SET_MSRS, &msr);

	return r == 1 ? 0 : r < 0 ? r : -EINVAL;
}

/* KVM takes them from the shared page when the vCPU runs next. */
static int set_registers(struct vcpu *vcpu, const struct arch_boot *boot,
			 const struct kvm_segment *code)
{
	const bool is_long = boot->mode == ARCH_BOOT_64;
	struct kvm_regs regs = { .rip = boot->entry, .rflags = RFLAGS_FIXED };
	struct kvm_sregs sregs;
	int r = sys_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);

	if (r < 0)
		return r;
	sregs.cs = *code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment;
	sregs.tr = task_segment;
	sregs.gdt.base = boot->tables + GDT_OFF;
	sregs.gdt.limit = GDT_ENTRIES * 8 - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET;
	if (is_long) {
		sregs.cr0 |= CR0_PG | CR0_NE;
		sregs.cr3 = boot->tables + PML4_OFF;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
		regs.rsi = boot->info;
	} else {
		regs.rbx = boot->info;
	}
	vcpu->run->s.regs.regs = regs;
	vcpu->run->s.regs.sregs = sregs;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}

/*
 * Linux believes in APIC IDs above 254 only where firmware has left the first CPU in x2APIC mode;
 * others that did so leave all of them in it.
 */
static int set_x2apic(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;
	int r = sys_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);

	if (r < 0)
		return r;
	sregs.apic_base |= APIC_BASE_X2APIC;
	return sys_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
}

int arch_vcpu_boot(struct vcpu *vcpu, const struct arch_boot *boot)
{
	const struct kvm_segment code = code_segment(boot->mode == ARCH_BOOT_64);
	uint8_t *tables = mem_ptr(vcpu->set->board->mem, boot->tables, ARCH_BOOT_TABLES_SIZE);
	int r = set_memory_type(vcpu);

	if (!tables)
		return err_set(ERR_INTERNAL, -EINVAL, "no memory for the first page tables");
	if (r == 0 && arch_cpu_is_large(vcpu->set->cpu))
		r = set_x2apic(vcpu);
	if (r == 0 && vcpu->id == 0) {
		fill_tables(tables, boot->tables, &code);
		r = set_registers(vcpu, boot, &code);
	}
	return r < 0 ? err_sys(ERR_HOST, r, "set the registers of vCPU %u", vcpu->id) : 0;
}
