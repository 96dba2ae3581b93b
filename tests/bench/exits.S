/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that costs exits: four loops of accesses to cheap registers that the VMM handles, each timed by
 * the TSC, one line on COM1 for each, then ACPI's power-off. An ELF file with a PVH entry, for
 * tinyvmm --kernel and for bare. With BATCHES 0 it is the shortest life a
 * guest can have, and with IDLE it sleeps instead of ending. With DISK it is about requests to
 * the disk of bare.c instead, one at a time: the doorbell, and sleep until the interrupt.
 */
#include "marks.h"

#ifndef BATCHES
#define BATCHES 1000
#endif
#define BATCH_SHIFT 6 /* accesses */

#define COM1         0x3f8
#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define CMOS_MEMORY  0x34       /* a register without a function */
#define ECAM_LPC     0xe00f8000 /* its vendor ID, where tinyvmm has ECAM */
#define PM1_CONTROL  0x604
#define PM1_SLEEP_S5 0x2000

/* [Intel-SDM 3A Table 11-1 Local APIC Register Address Map] */
#define APIC_EOI      (LOCAL_APIC + 0xb0)
#define APIC_SPURIOUS (LOCAL_APIC + 0xf0)
#define APIC_ENABLE   0x1ff
/* [Linux Documentation/virt/kvm/x86/msr.rst] */
#define MSR_KVM_PV_EOI_EN 0x4b564d04

#define CODE_SELECTOR  0x10
#define INTERRUPT_GATE 0x8e00

#define XEN_ELFNOTE_PHYS32_ENTRY 18

	.section .note, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long start

	.text
	.code32

/*
 * Prints "name cycles" for one access, in the quickest of all batches: in the others something else ran
 * on the host's CPU. Clobbers all but ecx.
 */
.macro timed name, access:vararg
	movl	$BATCHES, batches
	movl	$-1, quickest
1:	mov	$1 << BATCH_SHIFT, %ebp
	lfence
	rdtsc
	mov	%eax, %esi
2:	\access
	dec	%ebp
	jnz	2b
	lfence
	rdtsc
	sub	%esi, %eax
	cmp	quickest, %eax
	jae	3f
	mov	%eax, quickest
3:	decl	batches
	jnz	1b
	mov	$4f, %esi
	call	report
	.section .rodata
4:	.asciz "\name"
	.text
.endm

/* A statement each, as an argument of a macro ends at a semicolon. */
.macro	port_write
	mov	%ecx, %eax
	out	%al, $CMOS_INDEX
.endm

.macro	request
	movw	%ax, DOORBELL
	sti
	hlt
.endm

	.globl start
start:
	mov	$stack_end, %esp
#ifdef DISK
	lgdt	gdt_pointer
	lidt	idt_pointer
	mov	$interrupt, %eax
	mov	$idt + DISK_VECTOR * 8, %edi
	mov	%ax, (%edi)
	movw	$CODE_SELECTOR, 2(%edi)
	movw	$INTERRUPT_GATE, 4(%edi)
	shr	$16, %eax
	mov	%ax, 6(%edi)
	movl	$APIC_ENABLE, APIC_SPURIOUS
	mov	$MSR_KVM_PV_EOI_EN, %ecx
	mov	$skip_eoi + 1, %eax
	xor	%edx, %edx
	wrmsr
	timed	"request ", request
#endif
	mov	$CMOS_MEMORY, %al
	out	%al, $CMOS_INDEX
#if BATCHES > 0 && !defined(DISK)
	mov	$CMOS_MEMORY, %ecx
	timed	"port-write ", port_write
	timed	"port-read ", in $CMOS_DATA, %al
	timed	"mmio-write ", mov %ecx, ECAM_LPC
	timed	"mmio-read ", mov ECAM_LPC, %ecx
#endif
#ifndef IDLE
	mov	$PM1_CONTROL, %dx
	mov	$PM1_SLEEP_S5, %ax
	out	%ax, %dx
#endif
3:	hlt
	jmp	3b

/* The string at esi, then the cycles, and a line feed. */
report:
	mov	$COM1, %dx
4:	lodsb
	test	%al, %al
	jz	5f
	out	%al, %dx
	jmp	4b
5:	mov	quickest, %eax
	shr	$BATCH_SHIFT, %eax
	mov	$10, %ecx
	xor	%edi, %edi
6:	xor	%edx, %edx
	div	%ecx
	push	%edx
	inc	%edi
	test	%eax, %eax
	jnz	6b
	mov	$COM1, %dx
7:	pop	%eax
	add	$'0', %al
	out	%al, %dx
	dec	%edi
	jnz	7b
	mov	$'\n', %al
	out	%al, %dx
	mov	$CMOS_MEMORY, %ecx
	ret

#ifdef DISK
interrupt:
	btrl	$0, skip_eoi
	jc	8f
	movl	$0, APIC_EOI
	/* Back behind the hlt with interrupts off, as the gate left them. */
8:	pop	%eax
	add	$8, %esp
	jmp	*%eax

	.section .rodata
	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
idt_pointer:
	.word	(DISK_VECTOR + 1) * 8 - 1
	.long	idt

	.bss
	.balign	8
idt:
	.space	(DISK_VECTOR + 1) * 8
skip_eoi:
	.space	4
#endif
	.bss
batches:
	.space	4
quickest:
	.space	4
	.space	4096
stack_end:
